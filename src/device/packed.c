#include "device/packed.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/vec.h"
#include "device/device_int.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAGIC "SLPACK\1\n"
enum { LINE = 64, STRIDE = 64 << 10, PIECE = 16 << 20 };

struct head {
    char magic[8];
    uint64_t layout;
    uint8_t source[PACKED_SOURCE];
    uint64_t n, sum;
};
struct entry {
    uint64_t id, offset, bytes, sum;
    uint32_t type, n_out, n_in, zero;
};
_Static_assert(sizeof(struct head) == 64 && sizeof(struct entry) == 48, "as drawn in packed.h");

struct packed {
    struct os_map map;
    const struct entry *entries;
    size_t n;
    atomic_uint refs; /* one for who opened it, one for each weight */
};

/* Of a few lines: what a damaged disk or a stray writer does is seldom smaller, and reading all would cost the second that this is to save. */
static uint64_t sample(const uint8_t *p, size_t n)
{
    uint8_t key[16] = {0};
    for (size_t at = 0; at < n; at += STRIDE) {
        uint64_t sum = siphash(key, p + at, n - at < LINE ? n - at : LINE);
        memcpy(key, &sum, sizeof sum);
    }
    return siphash(key, p + (n < LINE ? 0 : n - LINE), n < LINE ? n : LINE);
}

static uint64_t head_sum(const struct head *h, const struct entry *entries)
{
    uint8_t key[16] = {0};
    uint64_t sum = siphash(key, h, offsetof(struct head, sum));
    memcpy(key, &sum, sizeof sum);
    return siphash(key, entries, h->n * sizeof *entries);
}

/* ---- names ---- */

bool packed_path(char out[PACKED_PATH_MAX], const char *stem, uint64_t layout)
{
    if (!str_fmt(out, PACKED_PATH_MAX, "%s-%016llx", stem, (unsigned long long)layout))
        return false;
    if (!os_exists(out) && os_exists(stem))
        (void)!rename(stem, out); /* or it is packed again */
    return true;
}

void packed_forget_old(const char *stem, uint64_t but)
{
    char dir[PACKED_PATH_MAX], mine[PACKED_PATH_MAX];
    const char *slash = strrchr(stem, '/'), *name = slash ? slash + 1 : stem;
    const int64_t now = clock_now_us() / 1000000, old = 86400ll * PACKED_DAYS;
    if (!str_fmt(dir, sizeof dir, "%.*s", slash ? (int)(slash - stem) : 1, slash ? stem : ".") ||
        !str_fmt(mine, sizeof mine, "%s-%016llx", name, (unsigned long long)but))
        return;
    DIR *d = opendir(dir);
    for (const struct dirent *x; d && (x = readdir(d));) {
        struct stat st;
        if (str_starts(str_of(x->d_name), name) && x->d_name[strlen(name)] == '-' && strcmp(x->d_name, mine) != 0 &&
            fstatat(dirfd(d), x->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_atim.tv_sec + old < now)
            (void)unlinkat(dirfd(d), x->d_name, 0); /* who has it mapped keeps it */
    }
    if (d)
        closedir(d);
}

/* Also where the file system does not note when a file was read. */
static void note_use(const char *path)
{
    const struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
    (void)utimensat(AT_FDCWD, path, now, 0);
}

/* ---- reading ---- */

static const char *entries_wrong(const struct packed *p, size_t at)
{
    uint64_t id = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct entry *t = &p->entries[i];
        size_t end;
        if (i > 0 && t->id <= id)
            return "its table is out of order";
        if (t->offset < at || t->offset % LINE || t->bytes == 0 || !ck_add((size_t)t->offset, (size_t)t->bytes, &end) || end > p->map.n)
            return "a matrix lies outside it";
        id = t->id;
        at = end;
        if (sample(p->map.p + t->offset, t->bytes) != t->sum)
            return "a matrix has other bytes than were written";
    }
    size_t whole;
    return ck_align(at, LINE, &whole) && whole == p->map.n ? NULL : "it is longer than its matrices";
}

static const char *wrong(struct packed *p, uint64_t layout, const uint8_t source[PACKED_SOURCE])
{
    const struct head *h = (const void *)p->map.p;
    if (p->map.n < sizeof *h || memcmp(h->magic, MAGIC, sizeof h->magic) != 0)
        return "it is no file of packed weights";
    if (h->layout != layout)
        return "it was packed by another build or for another processor";
    if (memcmp(h->source, source, sizeof h->source) != 0)
        return "it was packed from another file";
    if (h->n > PACKED_ITEMS_MAX || sizeof *h + h->n * sizeof *p->entries > p->map.n)
        return "it is cut off in its table";
    p->entries = (const void *)(p->map.p + sizeof *h);
    p->n = h->n;
    if (head_sum(h, p->entries) != h->sum)
        return "its table is damaged";
    return entries_wrong(p, sizeof *h + p->n * sizeof *p->entries);
}

int packed_open(struct packed **out, const char *path, uint64_t layout, const uint8_t source[PACKED_SOURCE], struct err *e)
{
    *out = NULL;
    if (!os_exists(path))
        return err_set(e, ERR_NOT_FOUND, "device: there are no packed weights at %s", path);
    struct packed *p = mem_new(sizeof *p);
    if (!p)
        return err_set(e, ERR_NO_MEMORY, "device: no memory to open %s", path);
    atomic_init(&p->refs, 1);
    int rc = os_map_large(&p->map, path, e);
    const char *why = rc ? NULL : wrong(p, layout, source);
    if (why)
        rc = err_set(e, ERR_FORMAT, "device: the packed weights %s are of no use: %s; the model is packed again", path, why);
    if (rc) {
        packed_close(p);
        return rc;
    }
    note_use(path);
    *out = p;
    return 0;
}

void packed_close(struct packed *p)
{
    if (!p || atomic_fetch_sub(&p->refs, 1) > 1)
        return;
    os_map_close(&p->map);
    mem_free(p);
}

const void *packed_take(struct packed *p, uint64_t id, const struct weight *w, size_t bytes)
{
    size_t from = 0, to = p->n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (p->entries[mid].id < id)
            from = mid + 1;
        else
            to = mid;
    }
    const struct entry *t = &p->entries[from];
    if (from == p->n || t->id != id || t->type != w->type || t->n_out != w->n_out || t->n_in != w->n_in || t->bytes != bytes)
        return NULL;
    atomic_fetch_add(&p->refs, 1);
    return p->map.p + t->offset;
}

/* ---- the layout ---- */

uint64_t packed_layout(struct device *d)
{
    enum { ROWS = 16, COLS = 512 };
    uint8_t key[16] = {0};
    struct err e;
    for (uint32_t type = 0; type < 256; type++) {
        const struct quant_info *q = quant_info(type);
        uint8_t *data = q && COLS % q->block == 0 ? mem_array((size_t)ROWS * COLS / q->block, q->bytes) : NULL;
        struct weight *w;
        if (!data)
            continue;
        for (size_t i = 0; i < (size_t)ROWS * COLS / q->block * q->bytes; i++)
            data[i] = (uint8_t)(i * 2654435761u >> 13);
        if (weight_new(&w, d, type, ROWS, COLS, data, &e) == 0) {
            size_t n = weight_owns_data(w) ? weight_panel_bytes(w) : 0;
            uint64_t in[3] = {type, n, n ? siphash(key, w->data, n) : 0}, sum = siphash(key, in, sizeof in);
            memcpy(key, &sum, sizeof sum);
            weight_free(w);
        }
        mem_free(data);
    }
    uint64_t out;
    memcpy(&out, key, sizeof out);
    return out;
}

/* ---- writing ---- */

static int fail(const char *what, const char *path, struct err *e)
{
    return err_set(e, ERR_IO, "device: %s %s: %s", what, path, strerror(errno));
}

static int write_at(int fd, const void *p, size_t n, uint64_t at, const char *path, struct err *e)
{
    for (const uint8_t *c = p; n > 0;) {
        ssize_t k = pwrite(fd, c, n, (off_t)at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return fail("write", path, e);
        c += k, n -= (size_t)k, at += (uint64_t)k;
    }
    return 0;
}

struct VEC_entries VEC(struct entry);

static int by_id(const void *a, const void *b)
{
    const struct packed_item *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* 1: told to stop. */
static int write_panels(int fd, const struct packed_item *items, const struct entry *entries, size_t n, bool (*stop)(void *), void *arg,
                        const char *path, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        for (size_t at = 0; at < entries[i].bytes; at += PIECE) {
            size_t some = entries[i].bytes - at < PIECE ? entries[i].bytes - at : PIECE;
            int rc = write_at(fd, (const uint8_t *)items[i].w->data + at, some, entries[i].offset + at, path, e);
            if (rc)
                return rc;
            if (some == PIECE && fdatasync(fd) != 0)
                return fail("sync", path, e);
            if (stop && stop(arg))
                return 1;
        }
    return 0;
}

static int write_all(int fd, struct head *h, struct packed_item *items, bool (*stop)(void *), void *arg, const char *path, struct err *e)
{
    struct entry *t = mem_array(h->n ? h->n : 1, sizeof *t);
    uint64_t at = sizeof *h + h->n * sizeof *t;
    if (!t)
        return err_set(e, ERR_NO_MEMORY, "device: no memory to write %s", path);
    for (size_t i = 0; i < h->n; i++) {
        const struct weight *w = items[i].w;
        size_t bytes = weight_panel_bytes(w);
        at = (at + LINE - 1) / LINE * LINE;
        t[i] = (struct entry){items[i].id, at, bytes, sample(w->data, bytes), w->type, w->n_out, w->n_in, 0};
        at += bytes;
    }
    at = (at + LINE - 1) / LINE * LINE;
    h->sum = head_sum(h, t);
    int rc = ftruncate(fd, (off_t)at) == 0 ? write_panels(fd, items, t, h->n, stop, arg, path, e) : fail("lengthen", path, e);
    if (!rc && !(rc = write_at(fd, h, sizeof *h, 0, path, e)) && !(rc = write_at(fd, t, h->n * sizeof *t, sizeof *h, path, e)) &&
        (fchmod(fd, 0444) != 0 || fsync(fd) != 0))
        rc = fail("sync", path, e);
    mem_free(t);
    return rc;
}

/* The file that is written aside: one for each path, so that what a killed writer left is used again; locked by who writes it. 1: somebody does. */
static int open_aside(const char *path, int *fd, struct err *e)
{
    struct stat here, there;
    if ((*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
        return fail("create", path, e);
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0 && fstat(*fd, &here) == 0 && stat(path, &there) == 0 && here.st_ino == there.st_ino && here.st_nlink == 1)
        return ftruncate(*fd, 0) == 0 ? 0 : fail("empty", path, e);
    close(*fd);
    return 1;
}

int packed_save(const char *path, uint64_t layout, const uint8_t source[PACKED_SOURCE], const struct packed_item *items, size_t n,
                bool (*stop)(void *), void *arg, struct err *e)
{
    char aside[4096];
    int fd;
    struct head h = {.magic = MAGIC, .layout = layout};
    memcpy(h.source, source, sizeof h.source);
    if ((size_t)snprintf(aside, sizeof aside, "%s.tmp", path) >= sizeof aside || n > PACKED_ITEMS_MAX)
        return err_set(e, ERR_IO, "device: the name %.64s... is too long, or a model has more than %d matrices", path, PACKED_ITEMS_MAX);
    struct packed_item *own = mem_array(n ? n : 1, sizeof *own);
    if (!own)
        return err_set(e, ERR_NO_MEMORY, "device: no memory to write %s", path);
    for (size_t i = 0; i < n; i++)
        if (weight_owns_data(items[i].w))
            own[h.n++] = items[i];
    qsort(own, h.n, sizeof *own, by_id);
    int rc = open_aside(aside, &fd, e);
    if (rc) {
        mem_free(own);
        return rc;
    }
    rc = write_all(fd, &h, own, stop, arg, aside, e);
    if (!rc && rename(aside, path) != 0)
        rc = fail("put in place", path, e);
    if (rc)
        unlink(aside);
    close(fd);
    mem_free(own);
    return rc;
}
