#include "ledger/journal.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char magic[8] = "SLJRNL\x00\x01";
enum { HEADER = 32, RECORD = 8, SEGMENT_NAME = 16, SEGMENTS_MAX = 4096 };

/* ---- encoding ---- */

static void put_u16(struct buf *b, uint16_t v)
{
    buf_add(b, &v, sizeof v);
}
static void put_u32(struct buf *b, uint32_t v)
{
    buf_add(b, &v, sizeof v);
}
static void put_u64(struct buf *b, uint64_t v)
{
    buf_add(b, &v, sizeof v);
}
static void put_i64(struct buf *b, int64_t v)
{
    buf_add(b, &v, sizeof v);
}
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the journal is written as the machine stores integers");

static void put_counts(struct buf *b, const struct usage_counts *c)
{
    put_u32(b, c->input), put_u32(b, c->cache_read), put_u32(b, c->cache_write);
    put_u32(b, c->output), put_u32(b, c->reasoning), put_u32(b, c->accepted_draft);
}

static void put_hold(struct buf *b, const struct journal_rec *r)
{
    put_i64(b, r->org), put_i64(b, r->project), put_i64(b, r->key), put_i64(b, r->price);
    put_u32(b, r->input), put_u32(b, r->output);
    put_i64(b, r->amount_scope), put_i64(b, r->amount_any), put_i64(b, r->created_us);
    buf_add(b, &r->digest, sizeof r->digest);
    put_u16(b, (uint16_t)r->request.n), put_u16(b, (uint16_t)r->model.n), put_u16(b, (uint16_t)r->revision.n);
    buf_add(b, r->request.p, r->request.n), buf_add(b, r->model.p, r->model.n), buf_add(b, r->revision.p, r->revision.n);
    if (r->scope)
        buf_char(b, (char)r->scope);
}

static void put_finish(struct buf *b, const struct journal_rec *r)
{
    put_counts(b, &r->counts);
    buf_char(b, (char)r->reason), buf_char(b, (char)r->stream);
    put_u16(b, (uint16_t)r->status), put_u32(b, 0);
    put_i64(b, r->start_us), put_i64(b, r->first_us), put_i64(b, r->end_us);
}

/* The CRC and the segment's byte are filled by seal(), when the segment is known. */
void journal_put(struct buf *b, const struct journal_rec *r)
{
    size_t at = b->len;
    put_u32(b, 0), put_u16(b, 0);
    buf_char(b, (char)r->type), buf_char(b, 0);
    put_u64(b, r->hold);
    switch (r->type) {
    case JOURNAL_HOLD: put_hold(b, r); break;
    case JOURNAL_MORE: put_u32(b, r->output), put_u32(b, 0), put_i64(b, r->amount_scope), put_i64(b, r->amount_any); break;
    case JOURNAL_STEP: put_counts(b, &r->counts); break;
    case JOURNAL_FINISH: put_finish(b, r); break;
    case JOURNAL_COVER: put_i64(b, r->reservation), put_i64(b, r->hour_us), put_i64(b, r->units); break;
    }
    if (b->failed)
        return;
    size_t n = b->len - at - RECORD;
    ASSERT(n <= JOURNAL_PAYLOAD_MAX);
    uint16_t n16 = (uint16_t)n;
    memcpy(b->data + at + 4, &n16, sizeof n16);
}

static void seal(struct buf *b, size_t from, uint64_t number)
{
    for (size_t at = from; at < b->len;) {
        uint16_t n;
        memcpy(&n, b->data + at + 4, sizeof n);
        b->data[at + 7] = (char)(number & 0xff);
        uint32_t crc = crc32_of(b->data + at + 4, RECORD - 4 + n);
        memcpy(b->data + at, &crc, sizeof crc);
        at += RECORD + (size_t)n;
    }
}

/* ---- decoding ---- */

struct reader {
    const uint8_t *p;
    size_t n, at;
    bool bad;
};

static const void *get(struct reader *r, size_t n)
{
    static const uint8_t zero[64];
    if (r->bad || n > r->n - r->at) {
        r->bad = true;
        return n <= sizeof zero ? zero : NULL;
    }
    const void *p = r->p + r->at;
    r->at += n;
    return p;
}
static uint8_t get_u8(struct reader *r)
{
    return *(const uint8_t *)get(r, 1);
}
static uint16_t get_u16(struct reader *r)
{
    uint16_t v;
    memcpy(&v, get(r, sizeof v), sizeof v);
    return v;
}
static uint32_t get_u32(struct reader *r)
{
    uint32_t v;
    memcpy(&v, get(r, sizeof v), sizeof v);
    return v;
}
static uint64_t get_u64(struct reader *r)
{
    uint64_t v;
    memcpy(&v, get(r, sizeof v), sizeof v);
    return v;
}
static int64_t get_i64(struct reader *r)
{
    return (int64_t)get_u64(r);
}
static struct str get_str(struct reader *r, size_t n)
{
    const char *p = get(r, n);
    return r->bad ? (struct str){"", 0} : (struct str){p, n};
}

static void get_counts(struct reader *r, struct usage_counts *c)
{
    c->input = get_u32(r), c->cache_read = get_u32(r), c->cache_write = get_u32(r);
    c->output = get_u32(r), c->reasoning = get_u32(r), c->accepted_draft = get_u32(r);
}

/* Both are amounts, and their sum is one. */
static bool amounts_ok(const struct journal_rec *o)
{
    int64_t sum;
    return o->amount_scope >= 0 && o->amount_any >= 0 && ck_add(o->amount_scope, o->amount_any, &sum);
}

static void get_more(struct reader *r, struct journal_rec *o)
{
    o->output = get_u32(r);
    (void)get_u32(r);
    o->amount_scope = get_i64(r), o->amount_any = get_i64(r);
    r->bad |= !amounts_ok(o);
}

static void get_hold(struct reader *r, struct journal_rec *o)
{
    o->org = get_i64(r), o->project = get_i64(r), o->key = get_i64(r), o->price = get_i64(r);
    o->input = get_u32(r), o->output = get_u32(r);
    o->amount_scope = get_i64(r), o->amount_any = get_i64(r), o->created_us = get_i64(r);
    memcpy(&o->digest, get(r, sizeof o->digest), sizeof o->digest);
    uint16_t request = get_u16(r), model = get_u16(r), revision = get_u16(r);
    o->request = get_str(r, request), o->model = get_str(r, model), o->revision = get_str(r, revision);
    const bool named = !r->bad && r->at < r->n; /* else it is inference, which is never named: each record has one form */
    o->scope = named ? get_u8(r) : 0;
    r->bad |= named && (o->scope == 0 || o->scope >= JOURNAL_SCOPES);
    r->bad |= request >= LEDGER_REQUEST_MAX || model >= LEDGER_MODEL_MAX || revision >= LEDGER_REVISION_MAX || !amounts_ok(o);
}

static void get_finish(struct reader *r, struct journal_rec *o)
{
    get_counts(r, &o->counts);
    uint8_t reason = get_u8(r);
    o->stream = get_u8(r) != 0;
    o->status = get_u16(r);
    (void)get_u32(r);
    o->start_us = get_i64(r), o->first_us = get_i64(r), o->end_us = get_i64(r);
    r->bad |= reason > FINISH_CRASH;
    o->reason = (enum finish_reason)reason;
}

static void get_cover(struct reader *r, struct journal_rec *o)
{
    o->reservation = get_i64(r), o->hour_us = get_i64(r), o->units = get_i64(r);
    r->bad |= o->units < 0;
}

/* Decodes the record at p; false when it is torn or not ours. *size: its whole length. */
static bool decode(const uint8_t *p, size_t n, uint64_t number, struct journal_rec *o, size_t *size)
{
    uint32_t crc;
    uint16_t len;
    if (n < RECORD)
        return false;
    memcpy(&crc, p, sizeof crc), memcpy(&len, p + 4, sizeof len);
    if (len > JOURNAL_PAYLOAD_MAX || len > n - RECORD || p[7] != (number & 0xff) || crc != crc32_of(p + 4, RECORD - 4 + (size_t)len))
        return false;
    struct reader r = {.p = p + RECORD, .n = len};
    *o = (struct journal_rec){.type = p[6], .hold = get_u64(&r)};
    switch (o->type) {
    case JOURNAL_HOLD: get_hold(&r, o); break;
    case JOURNAL_MORE: get_more(&r, o); break;
    case JOURNAL_STEP: get_counts(&r, &o->counts); break;
    case JOURNAL_FINISH: get_finish(&r, o); break;
    case JOURNAL_COVER: get_cover(&r, o); break;
    default: return false;
    }
    *size = RECORD + (size_t)len;
    return !r.bad && r.at == r.n;
}

/* ---- files ---- */

static int segment_path(char *out, size_t cap, const char *folder, uint64_t number, struct err *e)
{
    return str_fmt(out, cap, "%s/%016llx", folder, (unsigned long long)number) ? 0
                                                                               : err_set(e, ERR_IO, "journal: the path of %s is too long", folder);
}

static int folder_sync(const char *folder, struct err *e)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) < 0 ? err_set(e, ERR_IO, "journal: the folder %s could not be synced: %m; check the disk", folder) : 0;
    if (fd >= 0)
        close(fd);
    return rc;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The numbers of the segments in the folder, rising. numbers: (SEGMENTS_MAX). */
static int segments(const char *folder, uint64_t *numbers, size_t *n, struct err *e)
{
    DIR *d = opendir(folder);
    if (!d)
        return err_set(e, ERR_IO, "journal: cannot read the folder %s: %m; check its permissions", folder);
    *n = 0;
    for (struct dirent *f; (f = readdir(d));) {
        uint8_t b[SEGMENT_NAME / 2];
        if (strlen(f->d_name) != SEGMENT_NAME || !str_hex(str_of(f->d_name), b, sizeof b))
            continue;
        uint64_t v = 0;
        for (size_t i = 0; i < sizeof b; i++)
            v = v << 8 | b[i];
        if (*n == SEGMENTS_MAX) {
            closedir(d);
            return err_set(e, ERR_IO, "journal: %s holds more than %d segments; they were not removed after use, restore the store", folder,
                           SEGMENTS_MAX);
        }
        numbers[(*n)++] = v;
    }
    closedir(d);
    qsort(numbers, *n, sizeof *numbers, by_number);
    return 0;
}

int journal_open(struct journal *j, const char *dir, struct err *e)
{
    *j = (struct journal){.fd = -1};
    mutex_init(&j->lock), mutex_init(&j->sync_lock);
    uint64_t *numbers = mem_array(SEGMENTS_MAX, sizeof *numbers);
    size_t n = 0;
    int rc = numbers ? 0 : err_set(e, ERR_NO_MEMORY, "journal: no memory");
    if (rc == 0 && !str_fmt(j->path, sizeof j->path, "%s/journal", dir))
        rc = err_set(e, ERR_IO, "journal: the path of the data folder is too long");
    if (rc == 0)
        rc = os_mkdirs(j->path, 0700, e);
    if (rc == 0)
        rc = segments(j->path, numbers, &n, e);
    if (rc == 0 && n)
        j->number = numbers[n - 1];
    mem_free(numbers);
    return rc;
}

void journal_close(struct journal *j)
{
    if (j->fd >= 0)
        close(j->fd);
    j->fd = -1;
    mutex_deinit(&j->lock), mutex_deinit(&j->sync_lock);
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return -1;
        p += w, n -= (size_t)w;
    }
    return 0;
}

int journal_append(struct journal *j, struct buf *b, struct err *e)
{
    if (b->failed)
        return err_set(e, ERR_NO_MEMORY, "journal: no memory for a record");
    if (!b->len)
        return 0;
    mutex_lock(&j->lock);
    int rc = 0;
    if (j->failed || j->fd < 0) {
        rc = err_set(e, ERR_DB, "journal: an earlier write failed, so nothing more is written; check the disk and restart");
    } else {
        seal(b, 0, j->number);
        j->dirty = true;
        j->size += b->len;
        if (write_all(j->fd, b->data, b->len) < 0) {
            rc = err_set(e, ERR_DB, "journal: a write to %s failed: %m; make room on the disk and restart", j->path);
            j->failed = true;
        }
    }
    mutex_unlock(&j->lock);
    return rc;
}

void journal_mend(struct journal *j)
{
    mutex_lock(&j->lock);
    j->failed = j->sync_failed;
    mutex_unlock(&j->lock);
}

bool journal_sync_failed(struct journal *j)
{
    mutex_lock(&j->lock);
    bool failed = j->sync_failed;
    mutex_unlock(&j->lock);
    return failed;
}

size_t journal_size(struct journal *j)
{
    mutex_lock(&j->lock);
    size_t n = j->size;
    mutex_unlock(&j->lock);
    return n;
}

int journal_sync(struct journal *j, struct err *e)
{
    mutex_lock(&j->sync_lock);
    mutex_lock(&j->lock);
    bool todo = j->dirty && !j->failed && j->fd >= 0, failed = j->failed;
    int fd = j->fd;
    j->dirty = false;
    mutex_unlock(&j->lock);
    int rc = failed ? err_set(e, ERR_DB, "journal: an earlier write failed, so nothing more is written; check the disk and restart") : 0;
    if (todo && fdatasync(fd) < 0) {
        rc = err_set(e, ERR_DB, "journal: a sync of %s failed: %m; check the disk and restart", j->path);
        mutex_lock(&j->lock);
        j->failed = j->sync_failed = true;
        mutex_unlock(&j->lock);
    }
    mutex_unlock(&j->sync_lock);
    return rc;
}

static void put_header(struct buf *b, uint64_t number)
{
    buf_add(b, magic, sizeof magic);
    put_u64(b, number), put_i64(b, clock_now_us()), put_u32(b, 0);
    if (!b->failed)
        put_u32(b, crc32_of(b->data, HEADER - 4));
}

/* Makes the next segment and points appends at it; *old is the descriptor that nobody uses any more. */
static int switch_segment(struct journal *j, void (*snap)(void *, struct buf *), void *arg, int *old, struct err *e)
{
    char path[1100];
    int rc = segment_path(path, sizeof path, j->path, j->number + 1, e);
    if (rc < 0)
        return rc;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(e, ERR_DB, "journal: cannot make %s: %m; check free space and permissions", path);
    struct buf b;
    buf_init(&b, 0);
    put_header(&b, j->number + 1);
    if (snap)
        snap(arg, &b);
    if (b.failed) {
        rc = err_set(e, ERR_NO_MEMORY, "journal: no memory for a snapshot");
    } else {
        seal(&b, HEADER, j->number + 1);
        if (write_all(fd, b.data, b.len) < 0)
            rc = err_set(e, ERR_DB, "journal: a write to %s failed: %m; make room on the disk and restart", path);
    }
    if (rc == 0) {
        *old = j->fd;
        j->fd = fd, j->number++, j->size = b.len, j->dirty = true;
    } else {
        close(fd);
        unlink(path);
    }
    buf_deinit(&b);
    return rc;
}

int journal_rotate(struct journal *j, void (*snap)(void *, struct buf *), void *arg, struct err *e)
{
    int old = -1;
    mutex_lock(&j->sync_lock);
    mutex_lock(&j->lock);
    int rc = j->failed ? err_set(e, ERR_DB, "journal: an earlier write failed; check the disk and restart") : switch_segment(j, snap, arg, &old, e);
    j->failed |= rc < 0;
    mutex_unlock(&j->lock);
    if (old >= 0)
        close(old);
    mutex_unlock(&j->sync_lock);
    if (rc == 0)
        rc = journal_sync(j, e);
    if (rc == 0)
        rc = folder_sync(j->path, e);
    return rc == 0 ? journal_remove(j->path, j->number, e) : rc;
}

static bool header_ok(const uint8_t *p, size_t n, uint64_t number)
{
    uint64_t has;
    uint32_t crc;
    if (n < HEADER || memcmp(p, magic, sizeof magic) != 0)
        return false;
    memcpy(&has, p + 8, sizeof has), memcpy(&crc, p + 28, sizeof crc);
    return has == number && crc == crc32_of(p, HEADER - 4);
}

int journal_parse(const uint8_t *p, size_t n, uint64_t number, int (*fn)(void *, const struct journal_rec *, struct err *), void *arg, size_t *whole,
                  struct err *e)
{
    int rc = 0;
    *whole = header_ok(p, n, number) ? HEADER : 0;
    while (*whole && *whole < n && rc == 0) {
        struct journal_rec r;
        size_t size;
        if (!decode(p + *whole, n - *whole, number, &r, &size))
            break;
        rc = fn(arg, &r, e);
        *whole += size;
    }
    return rc;
}

static int segment_read(const char *folder, uint64_t number, int (*fn)(void *, const struct journal_rec *, struct err *), void *arg, uint64_t *torn,
                        struct err *e)
{
    char path[1100];
    struct os_map m;
    size_t whole;
    int rc = segment_path(path, sizeof path, folder, number, e);
    if (rc < 0 || (rc = os_map_open(&m, path, e)) < 0)
        return rc;
    rc = journal_parse(m.p, m.n, number, fn, arg, &whole, e);
    if (whole < m.n) {
        *torn += m.n - whole;
        log_line(LOG_WARN, "journal_torn", "segment %016llx: %zu bytes after offset %zu are not whole records and were ignored",
                 (unsigned long long)number, m.n - whole, whole);
    }
    os_map_close(&m);
    return rc;
}

int journal_read(const char *folder, int (*fn)(void *, const struct journal_rec *, struct err *), void *arg, uint64_t *torn, struct err *e)
{
    *torn = 0;
    uint64_t *numbers = mem_array(SEGMENTS_MAX, sizeof *numbers);
    size_t n = 0;
    int rc = numbers ? segments(folder, numbers, &n, e) : err_set(e, ERR_NO_MEMORY, "journal: no memory");
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = segment_read(folder, numbers[i], fn, arg, torn, e);
    mem_free(numbers);
    return rc;
}

int journal_remove(const char *folder, uint64_t below, struct err *e)
{
    uint64_t *numbers = mem_array(SEGMENTS_MAX, sizeof *numbers);
    size_t n = 0;
    int rc = numbers ? segments(folder, numbers, &n, e) : err_set(e, ERR_NO_MEMORY, "journal: no memory");
    for (size_t i = 0; rc == 0 && i < n && numbers[i] < below; i++) {
        char path[1100];
        rc = segment_path(path, sizeof path, folder, numbers[i], e);
        if (rc == 0 && unlink(path) < 0)
            rc = err_set(e, ERR_IO, "journal: cannot remove %s: %m; check its permissions", path);
    }
    mem_free(numbers);
    return rc;
}
