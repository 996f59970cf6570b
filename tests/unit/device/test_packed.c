/* Packed weights in a file: the same bytes come back; whatever else is there is refused by name, and the matrix is packed from its source. */
#include "base/mem.h"
#include "base/os.h"
#include "base/rng.h"
#include "device/device_int.h"
#include "device/packed.h"
#include "test.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { N = 4, ROWS = 40, COLS = 512 };
static const uint32_t types[N] = {QUANT_Q4_0, QUANT_Q8_0, QUANT_Q4_K, QUANT_Q6_K};
static const uint8_t source[PACKED_SOURCE] = {1, 2, 3};
static uint8_t *rows[N];
static struct device *dev;
static char dir[64], path[96];
static uint64_t layout;

static bool begin(void)
{
    struct err e;
    strcpy(dir, "/tmp/sluice-packed-XXXXXX");
    if (!mkdtemp(dir) || device_new(&dev, &(struct device_opts){.n_threads = 2}, &e) < 0)
        return false;
    snprintf(path, sizeof path, "%s/p", dir);
    for (int i = 0; i < N; i++) {
        const struct quant_info *q = quant_info(types[i]);
        size_t n = (size_t)ROWS * COLS / q->block * q->bytes;
        rows[i] = mem_new(n);
        for (size_t k = 0; k < n; k++)
            rows[i][k] = (uint8_t)rng_u64(7, (uint32_t)i, k, 0);
    }
    layout = packed_layout(dev);
    return true;
}

static void end(void)
{
    struct err e;
    (void)!os_remove_tree(dir, &e);
    for (int i = 0; i < N; i++)
        mem_free(rows[i]);
    device_free(dev);
}

/* From `kept`, or packed. */
static bool make(struct weight **w, struct packed *kept)
{
    struct err e;
    for (int i = 0; i < N; i++)
        if (packed_weight(&w[i], dev, kept, 100u - (uint32_t)i, types[i], ROWS, COLS, rows[i], &e) < 0)
            return false;
    return true;
}

static void drop(struct weight **w)
{
    for (int i = 0; i < N; i++)
        weight_free(w[i]);
}

static int save(struct weight **w, bool (*stop)(void *), struct err *e)
{
    struct packed_item items[N];
    for (int i = 0; i < N; i++)
        items[i] = (struct packed_item){100u - (uint32_t)i, w[i]};
    return packed_save(path, layout, source, items, N, stop, NULL, e);
}

static bool absent(const char *suffix)
{
    char p[128];
    snprintf(p, sizeof p, "%s%s", path, suffix);
    return !os_exists(p);
}

TEST(the_same_panels_come_back)
{
    struct weight *a[N], *b[N];
    struct packed *p;
    struct err e;
    struct stat st;
    CHECK(begin() && packed_layout(dev) == layout);
    CHECK(packed_open(&p, path, layout, source, &e) < 0 && e.code == ERR_NOT_FOUND);
    CHECK(make(a, NULL) && save(a, NULL, &e) == 0 && absent(".tmp"));
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0444);
    CHECK(packed_open(&p, path, layout, source, &e) == 0 && make(b, p));
    packed_close(p); /* the weights keep it */
    for (int i = 0; i < N; i++) {
        CHECK(weight_owns_data(b[i]) && b[i]->kept == p && !a[i]->kept && weight_packed_bytes(a[i]) == weight_packed_bytes(b[i]));
        CHECK(a[i]->data != b[i]->data && memcmp(a[i]->data, b[i]->data, weight_packed_bytes(a[i])) == 0);
    }
    drop(a);
    CHECK(save(b, NULL, &e) == 0); /* over itself, while it is mapped */
    drop(b);
    /* another shape, another type, another matrix: packed from the source */
    CHECK(packed_open(&p, path, layout, source, &e) == 0);
    CHECK(packed_weight(a, dev, p, 100, types[0], ROWS - 16, COLS, rows[0], &e) == 0 && !a[0]->kept);
    CHECK(packed_weight(a + 1, dev, p, 100, types[1], ROWS, COLS, rows[1], &e) == 0 && !a[1]->kept);
    CHECK(packed_weight(a + 2, dev, p, 7, types[2], ROWS, COLS, rows[2], &e) == 0 && !a[2]->kept);
    CHECK(packed_weight(a + 3, dev, p, 97, types[3], ROWS, COLS, rows[3], &e) == 0 && a[3]->kept == p);
    packed_close(p);
    drop(a);
    end();
}

static bool refused(const char *word)
{
    struct packed *p;
    struct err e;
    int rc = packed_open(&p, path, layout, source, &e);
    if (rc == 0)
        packed_close(p);
    bool ok = rc == -(int)ERR_FORMAT && strstr(e.msg, word);
    if (!ok)
        printf("%d %s\n", rc, rc ? e.msg : "accepted");
    return ok;
}

static bool put(const uint8_t *p, size_t n)
{
    struct err e;
    unlink(path);
    return os_write_file(path, p, n, 0600, &e) == 0;
}

TEST(what_is_damaged_is_refused)
{
    struct weight *a[N];
    struct buf b;
    struct err e;
    CHECK(begin() && make(a, NULL) && save(a, NULL, &e) == 0);
    drop(a);
    buf_init(&b, 1 << 24);
    CHECK(os_read_file(&b, path, &e) >= 0);
    uint8_t *good = (uint8_t *)b.data, bad;
    const size_t table = 64 + N * 48;
    CHECK(put(good, b.len - 1) && refused("outside") && put(good, b.len - 4096) && refused("outside")); /* cut off */
    for (size_t n = 0; n < table; n += 7)
        CHECK(put(good, n) && (n == 0 ? refused("no file") : refused(n < 64 ? "no file" : "cut off in its table")));
    CHECK(put(good, table) && refused("outside"));
    for (size_t at = 0; at < table; at++) { /* every byte of the head and the table is watched */
        bad = good[at];
        good[at] ^= 0x10;
        CHECK_MSG(put(good, b.len) && refused("of no use"), "byte %zu", at);
        good[at] = bad;
    }
    bad = good[b.len - 10]; /* the last line of the last matrix */
    good[b.len - 10] ^= 1;
    CHECK(put(good, b.len) && refused("other bytes"));
    good[b.len - 10] = bad;
    memcpy(b.data, "XX", 2);
    CHECK(put(good, b.len) && refused("no file"));
    memcpy(b.data, "SL", 2);
    layout++;
    CHECK(put(good, b.len) && refused("another build"));
    layout--;
    struct packed *p;
    uint8_t other[PACKED_SOURCE] = {9};
    CHECK(packed_open(&p, path, layout, other, &e) < 0 && strstr(e.msg, "another file"));
    CHECK(packed_open(&p, path, layout, source, &e) == 0);
    packed_close(p);
    buf_deinit(&b);
    end();
}

static bool at_once(void *arg)
{
    (void)arg;
    return true;
}

TEST(who_writes_is_alone_and_may_be_stopped)
{
    struct weight *a[N];
    struct err e;
    char aside[128];
    CHECK(begin() && make(a, NULL));
    snprintf(aside, sizeof aside, "%s.tmp", path);
    CHECK(save(a, at_once, &e) == 1 && absent("") && absent(".tmp"));
    int fd = open(aside, O_RDWR | O_CREAT | O_CLOEXEC, 0600); /* another process writes */
    CHECK(fd >= 0 && flock(fd, LOCK_EX) == 0);
    CHECK(save(a, NULL, &e) == 1 && absent("") && !absent(".tmp"));
    CHECK(write(fd, "leftover", 8) == 8);
    close(fd); /* it was killed */
    CHECK(save(a, NULL, &e) == 0 && absent(".tmp"));
    struct packed *p;
    CHECK(packed_open(&p, path, layout, source, &e) == 0);
    packed_close(p);
    char was[96];
    strcpy(was, path);
    snprintf(path, sizeof path, "%s/none/p", dir);
    CHECK(save(a, NULL, &e) == -(int)ERR_IO);
    strcpy(path, was);
    drop(a);
    end();
}

static ino_t inode(const char *p)
{
    struct stat st;
    return stat(p, &st) == 0 ? st.st_ino : 0;
}

/* Each layout has a file; what an earlier build kept for one of them is taken over; one that nobody opens goes in time, and only by itself. */
TEST(layouts_lie_beside_each_other)
{
    struct weight *a[N];
    struct packed *p[2];
    struct err e;
    char stem[80], of[2][PACKED_PATH_MAX], other[96];
    CHECK(begin() && make(a, NULL));
    snprintf(stem, sizeof stem, "%s/m", dir);
    snprintf(other, sizeof other, "%s/n-0000000000000000", dir); /* of another model */
    for (int i = 0; i < 2; i++, layout++) {
        CHECK(packed_path(of[i], stem, layout) && !os_exists(of[i]));
        CHECK(str_fmt(path, sizeof path, "%s", of[i]));
        CHECK(save(a, NULL, &e) == 0);
    }
    layout -= 2;
    CHECK(!os_write_file(other, "n", 1, 0444, &e) && strcmp(of[0], of[1]) != 0 && strlen(of[0]) == strlen(stem) + 17);
    for (uint64_t i = 0; i < 2; i++)
        CHECK_MSG(packed_open(&p[i], of[i], layout + i, source, &e) == 0, "%s", e.msg);
    packed_close(p[0]), packed_close(p[1]);

    const struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    packed_forget_old(stem, layout);
    CHECK(os_exists(of[0]) && os_exists(of[1])); /* both were opened just now */
    CHECK(!utimensat(AT_FDCWD, of[0], old, 0) && !utimensat(AT_FDCWD, of[1], old, 0) && !utimensat(AT_FDCWD, other, old, 0));
    CHECK(packed_open(&p[1], of[1], layout + 1, source, &e) == 0); /* which is use enough */
    packed_close(p[1]);
    packed_forget_old(stem, layout);
    CHECK(os_exists(of[0]) && os_exists(of[1]));
    packed_forget_old(stem, layout + 1);
    CHECK(!os_exists(of[0]) && os_exists(of[1]) && os_exists(other));

    const time_t now = time(NULL); /* read later than it was changed: most file systems do not note another reading then */
    const struct timespec today[2] = {{.tv_sec = now + 3600}, {.tv_sec = now - 7200}};
    struct stat st;
    CHECK(!utimensat(AT_FDCWD, of[1], today, 0) && !packed_open(&p[1], of[1], layout + 1, source, &e) && !stat(of[1], &st));
    CHECK(st.st_atim.tv_sec >= now && st.st_atim.tv_sec < now + 3600 && st.st_mtim.tv_sec == now - 7200);
    packed_close(p[1]);

    ino_t was = inode(of[1]);
    CHECK(rename(of[1], stem) == 0 && packed_path(of[1], stem, layout + 1) && inode(of[1]) == was && !os_exists(stem));
    CHECK(packed_open(&p[1], of[1], layout + 1, source, &e) == 0);
    packed_close(p[1]);
    CHECK(!os_write_file(stem, "old", 3, 0444, &e) && packed_path(of[1], stem, layout + 1) && inode(of[1]) == was); /* not over a newer one */
    drop(a);
    end();
}

TEST_MAIN()
