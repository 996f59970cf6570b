#include "hub/partial.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "hub/hub_int.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { KIND_WRITTEN = 1, KIND_SYNCED = 2, SPARE_BYTES = 16 << 20 };
static const char magic[8] = {'s', 'l', 'u', 'i', 'c', 'e', 'j', '1'};

struct partial {
    int data, journal;
    char data_path[STORE_PATH_MAX], journal_path[STORE_PATH_MAX];
    uint64_t size;
    struct ranges had;
};

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> 8 * i);
}
static void put64(uint8_t *p, uint64_t v)
{
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}
static uint32_t get32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static uint64_t get64(const uint8_t *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static void header_make(uint8_t h[JOURNAL_HEADER], uint64_t size, const uint8_t boot[16])
{
    memset(h, 0, JOURNAL_HEADER);
    memcpy(h, magic, 8);
    put64(h + 8, size);
    memcpy(h + 16, boot, 16);
    put32(h + 32, crc32_of(h, 32));
}

bool partial_journal_read(struct ranges *out, const void *data, size_t n, uint64_t size, const uint8_t boot[16])
{
    const uint8_t *p = data;
    *out = (struct ranges){0};
    if (n < JOURNAL_HEADER || memcmp(p, magic, 8) || get32(p + 32) != crc32_of(p, 32) || get64(p + 8) != size)
        return false;
    size_t end = JOURNAL_HEADER, believed = JOURNAL_HEADER;
    for (; n - end >= JOURNAL_RECORD && get32(p + end + 20) == crc32_of(p + end, 20); end += JOURNAL_RECORD)
        if (get32(p + end + 16) == KIND_SYNCED && get64(p + end) <= end && get64(p + end) > believed)
            believed = (size_t)get64(p + end);
    if (!memcmp(p + 16, boot, 16))
        believed = end;
    for (size_t at = JOURNAL_HEADER; at + JOURNAL_RECORD <= believed; at += JOURNAL_RECORD) {
        uint64_t from = get64(p + at), to = get64(p + at + 8);
        to = to < size ? to : size;
        if (get32(p + at + 16) == KIND_WRITTEN && from < to && !ranges_add(out, from, to))
            return ranges_deinit(out), false;
    }
    return true;
}

static void boot_id(uint8_t out[16])
{
    struct buf b;
    char hex[33];
    size_t n = 0;
    memset(out, 0, 16);
    buf_init(&b, 128);
    if (!os_read_file(&b, "/proc/sys/kernel/random/boot_id", NULL))
        for (size_t i = 0; i < b.len && n < 32; i++)
            if (b.data[i] != '-')
                hex[n++] = b.data[i];
    if (!str_hex((struct str){hex, n}, out, 16))
        memset(out, 0, 16);
    buf_deinit(&b);
}

static int fail(struct err *e, const char *what, const char *path)
{
    int why = errno;
    if (why == ENOSPC || why == EDQUOT)
        return err_set(e, ERR_IO, "hub: the disk is full (%s %s); make room and pull again, what came is kept", what, path);
    return err_set(e, ERR_IO, "hub: %s %s: %s", what, path, strerror(why));
}

static int append(struct partial *p, const uint8_t *record, size_t n, struct err *e)
{
    ssize_t k;
    do
        k = write(p->journal, record, n); /* O_APPEND: one piece, whatever other threads write */
    while (k < 0 && errno == EINTR);
    if (k >= 0 && (size_t)k < n)
        errno = ENOSPC;
    return k == (ssize_t)n ? 0 : fail(e, "write", p->journal_path);
}

static int record(struct partial *p, uint64_t from, uint64_t to, uint32_t kind, struct err *e)
{
    uint8_t r[JOURNAL_RECORD];
    put64(r, from);
    put64(r + 8, to);
    put32(r + 16, kind);
    put32(r + 20, crc32_of(r, 20));
    return append(p, r, sizeof r, e);
}

/* The journal anew: what is believed now, in as few records as it takes. */
static int rewrite(struct partial *p, const uint8_t boot[16], struct err *e)
{
    uint8_t h[JOURNAL_HEADER];
    header_make(h, p->size, boot);
    if (ftruncate(p->journal, 0) != 0)
        return fail(e, "empty", p->journal_path);
    int rc = append(p, h, sizeof h, e);
    for (size_t i = 0; i < p->had.n && !rc; i++)
        rc = record(p, p->had.p[i].from, p->had.p[i].to, KIND_WRITTEN, e);
    return !rc && p->had.n ? record(p, JOURNAL_HEADER + p->had.n * JOURNAL_RECORD, 0, KIND_SYNCED, e) : rc;
}

static int check_room(const struct partial *p, const char *dir, struct err *e)
{
    struct statvfs v;
    uint64_t missing = p->size - ranges_bytes(&p->had), room;
    if (statvfs(dir, &v) != 0 || !ck_mul((uint64_t)v.f_bavail, (uint64_t)v.f_frsize, &room))
        return 0; /* unknown: a write will tell */
    if (room >= missing && room - missing >= SPARE_BYTES)
        return 0;
    return err_set(e, ERR_IO, "hub: %.1f MB are to come and %s has %.1f MB free; make room, or name another folder with --data",
                   (double)missing / 1e6, dir, (double)room / 1e6);
}

static int read_journal(struct partial *p, const char *dir, struct err *e)
{
    uint8_t boot[16];
    struct buf b;
    struct stat st;
    boot_id(boot);
    buf_init(&b, JOURNAL_BYTES_MAX);
    int rc = os_read_file(&b, p->journal_path, e);
    bool whole = fstat(p->data, &st) == 0 && (uint64_t)st.st_size == p->size;
    if (rc == -ERR_TOO_LARGE)
        rc = 0, whole = false;
    if (!rc && !(whole && partial_journal_read(&p->had, b.data ? b.data : "", b.len, p->size, boot)) && ftruncate(p->data, 0) != 0)
        rc = fail(e, "empty", p->data_path); /* no holes with old bytes in them */
    buf_deinit(&b);
    if (!rc)
        rc = check_room(p, dir, e);
    if (!rc && p->had.n && fdatasync(p->data) != 0)
        rc = fail(e, "sync", p->data_path);
    if (!rc && ftruncate(p->data, (off_t)p->size) != 0)
        rc = fail(e, "make room for", p->data_path);
    return rc ? rc : rewrite(p, boot, e);
}

static int open_both(struct partial *p, const char *dir, struct err *e)
{
    if ((p->journal = open(p->journal_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
        return fail(e, "open", p->journal_path);
    if (flock(p->journal, LOCK_EX | LOCK_NB) != 0)
        return err_set(e, ERR_CONFLICT, "hub: another sluice fetches this file now; wait for it, or stop it");
    if ((p->data = open(p->data_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
        return fail(e, "open", p->data_path);
    int rc = read_journal(p, dir, e);
    if (rc && !p->had.n)
        partial_remove(p); /* nothing is lost */
    return rc;
}

int partial_open(struct partial **out, const struct store *s, const char *key, uint64_t size, struct err *e)
{
    char dir[STORE_PATH_MAX];
    *out = NULL;
    struct partial *p = mem_new(sizeof *p);
    if (!p)
        return err_set(e, ERR_NO_MEMORY, "hub: no memory to fetch a file");
    p->data = p->journal = -1, p->size = size;
    (void)str_fmt(dir, sizeof dir, "%s/partial", store_dir(s));
    (void)str_fmt(p->data_path, sizeof p->data_path, "%s/%.80s.data", dir, key);
    (void)str_fmt(p->journal_path, sizeof p->journal_path, "%s/%.80s.journal", dir, key);
    int rc = size > INT64_MAX ? err_set(e, ERR_TOO_LARGE, "hub: a file of 8 EiB or more") : open_both(p, dir, e);
    if (rc) {
        partial_close(p);
        return rc;
    }
    *out = p;
    return 0;
}

void partial_close(struct partial *p)
{
    if (!p)
        return;
    if (p->data >= 0)
        close(p->data);
    if (p->journal >= 0)
        close(p->journal);
    ranges_deinit(&p->had);
    mem_free(p);
}

void partial_remove(struct partial *p)
{
    unlink(p->data_path); /* gone already when it became a blob */
    unlink(p->journal_path);
}

int partial_fd(const struct partial *p)
{
    return p->data;
}
const char *partial_path(const struct partial *p)
{
    return p->data_path;
}
const struct ranges *partial_had(const struct partial *p)
{
    return &p->had;
}

int partial_had_add(struct partial *p, const struct ranges *more, struct err *e)
{
    for (size_t i = 0; i < more->n; i++)
        if (!ranges_add(&p->had, more->p[i].from, more->p[i].to))
            return err_set(e, ERR_NO_MEMORY, "hub: no memory to note what is there");
    return 0;
}

int partial_write(struct partial *p, uint64_t at, const void *data, size_t n, struct err *e)
{
    const char *from = data;
    while (n) {
        ssize_t k = pwrite(p->data, from, n, (off_t)at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return fail(e, "write", p->data_path);
        from += k, at += (uint64_t)k, n -= (size_t)k;
    }
    return 0;
}

int partial_mark(struct partial *p, uint64_t from, uint64_t to, struct err *e)
{
    return record(p, from, to, KIND_WRITTEN, e);
}

int partial_sync(struct partial *p, struct err *e)
{
    struct stat st;
    if (fstat(p->journal, &st) != 0 || fdatasync(p->data) != 0)
        return fail(e, "sync", p->data_path);
    return record(p, (uint64_t)st.st_size, 0, KIND_SYNCED, e); /* what was recorded before the sync began, and not what came during it */
}

void partial_sweep(const char *dir)
{
    DIR *d = opendir(dir);
    time_t now = time(NULL);
    for (struct dirent *x; d && (x = readdir(d));) {
        char data[300];
        struct stat st;
        struct str name = str_of(x->d_name);
        if (!str_ends(name, ".journal"))
            continue;
        int fd = openat(dirfd(d), x->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
            continue;
        if (fstat(fd, &st) == 0 && now - st.st_mtime > PARTIAL_DAYS_MAX * 86400 && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
            str_fmt(data, sizeof data, "%.*s.data", (int)name.n - 8, name.p)) {
            unlinkat(dirfd(d), data, 0);
            unlinkat(dirfd(d), x->d_name, 0);
        }
        close(fd);
    }
    if (d)
        closedir(d);
}
