/* Ranges against a plain bitmap; the journal across kills, torn ends and a restart of the machine. */
#include "base/buf.h"
#include "base/os.h"
#include "base/mem.h"
#include "base/rng.h"
#include "hub/hub.h"
#include "hub/partial.h"
#include "test.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BITS = 200 };

static uint32_t state = 12345;
static uint32_t below(uint32_t n)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % n;
}

static bool matches(const struct ranges *r, const bool *bit)
{
    bool got[BITS] = {0};
    for (size_t i = 0; i < r->n; i++) {
        if (r->p[i].from >= r->p[i].to || (i && r->p[i].from <= r->p[i - 1].to))
            return false; /* empty, touching, or out of order */
        for (uint64_t k = r->p[i].from; k < r->p[i].to; k++)
            got[k] = true;
    }
    return !memcmp(got, bit, sizeof got);
}

TEST(ranges_are_a_bitmap)
{
    for (int round = 0; round < 200; round++) {
        struct ranges r = {0}, other = {0};
        bool bit[BITS] = {0}, taken[BITS] = {0};
        for (int step = 0; step < 60; step++) {
            uint32_t from = below(BITS), to = from + below(BITS - from + 1);
            bool cut = below(3) == 0;
            CHECK(cut ? ranges_cut(&r, from, to) : ranges_add(&r, from, to));
            memset(bit + from, !cut, to - from);
            CHECK(matches(&r, bit));
            from = below(BITS), to = from + below(8);
            to = to < BITS ? to : BITS;
            CHECK(ranges_add(&other, from, to));
            memset(taken + from, 1, to - from);
            uint64_t sum = 0, at = below(BITS), run = at;
            for (int i = 0; i < BITS; i++)
                sum += bit[i];
            while (run < BITS && bit[run])
                run++;
            CHECK(ranges_bytes(&r) == sum && ranges_run(&r, at) == run);
            uint64_t most = 1 + below(20), a = at;
            while (a < BITS && (bit[a] || taken[a]))
                a++;
            uint64_t b = a;
            while (b < BITS && b - a < most && !bit[b] && !taken[b])
                b++;
            struct range gap = {0, 0};
            CHECK(ranges_gap(&r, &other, at, BITS, most, &gap) == (a < BITS));
            CHECK(a == BITS || (gap.from == a && gap.to == b));
        }
        ranges_deinit(&r);
        ranges_deinit(&other);
    }
}

static char tmp[512];
static struct store *fresh(void)
{
    struct store *s;
    snprintf(tmp, sizeof tmp, "%s/sluice-partial-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(tmp) && !store_open(&s, tmp, NULL) ? s : NULL;
}
static void wipe(struct store *s)
{
    char cmd[600];
    store_close(s);
    snprintf(cmd, sizeof cmd, "rm -rf '%s'", tmp);
    if (system(cmd) != 0)
        printf("cannot remove %s\n", tmp);
}

TEST(what_was_marked_is_there_next_time)
{
    struct store *s = fresh();
    struct partial *p, *q;
    struct err e = {0};
    CHECK(s && !partial_open(&p, s, "sha256-aa", 1000, &e));
    CHECK(partial_had(p)->n == 0 && partial_open(&q, s, "sha256-aa", 1000, &e) == -ERR_CONFLICT);
    CHECK(!partial_write(p, 100, "hello", 5, &e) && !partial_mark(p, 100, 105, &e) && !partial_write(p, 0, "x", 1, &e)); /* the last is not marked */
    partial_close(p);
    CHECK(!partial_open(&p, s, "sha256-aa", 1000, &e));
    CHECK(partial_had(p)->n == 1 && partial_had(p)->p[0].from == 100 && partial_had(p)->p[0].to == 105);
    CHECK(!partial_mark(p, 105, 2000, &e)); /* past the end: clipped when read */
    partial_close(p);
    CHECK(!partial_open(&p, s, "sha256-aa", 1000, &e) && partial_had(p)->p[0].to == 1000);
    partial_close(p);
    CHECK(!partial_open(&p, s, "sha256-aa", 999, &e) && partial_had(p)->n == 0); /* of another size */
    partial_remove(p);
    partial_close(p);
    wipe(s);
}

/* The journal of `s`, with the machine's id changed: as after a restart. */
static bool restart_machine(const char *key)
{
    char path[700];
    struct buf b;
    uint8_t h[JOURNAL_HEADER];
    snprintf(path, sizeof path, "%s/partial/%s.journal", tmp, key);
    buf_init(&b, 0);
    if (os_read_file(&b, path, NULL))
        return false;
    memcpy(h, b.data, sizeof h);
    h[16] ^= 1;
    uint32_t crc = crc32_of(h, 32);
    memcpy(h + 32, &crc, 4);
    memcpy(b.data, h, sizeof h);
    bool ok = !os_write_file(path, b.data, b.len, 0600, NULL);
    buf_deinit(&b);
    return ok;
}

TEST(after_a_restart_only_what_was_synced_counts)
{
    struct store *s = fresh();
    struct partial *p;
    struct err e = {0};
    CHECK(s && !partial_open(&p, s, "k", 1000, &e));
    CHECK(!partial_mark(p, 0, 10, &e) && !partial_mark(p, 20, 30, &e) && !partial_sync(p, &e) && !partial_mark(p, 40, 50, &e));
    partial_close(p);
    CHECK(restart_machine("k") && !partial_open(&p, s, "k", 1000, &e));
    CHECK(partial_had(p)->n == 2 && ranges_bytes(partial_had(p)) == 20);
    partial_close(p);
    CHECK(restart_machine("k") && !partial_open(&p, s, "k", 1000, &e) && ranges_bytes(partial_had(p)) == 20); /* opening synced it */
    partial_close(p);
    wipe(s);
}

TEST(a_journal_is_believed_up_to_its_first_fault)
{
    struct store *s = fresh();
    struct partial *p;
    struct err e = {0};
    struct buf b;
    char path[700];
    CHECK(s && !partial_open(&p, s, "k", 1 << 20, &e));
    for (uint64_t i = 0; i < 10; i++)
        CHECK(!partial_mark(p, i * 100, i * 100 + 50, &e));
    partial_close(p);
    snprintf(path, sizeof path, "%s/partial/k.journal", tmp);
    buf_init(&b, 0);
    CHECK(!os_read_file(&b, path, &e) && b.len == JOURNAL_HEADER + 10 * JOURNAL_RECORD);
    uint8_t boot[16];
    memcpy(boot, b.data + 16, 16);
    struct ranges r;
    for (size_t n = 0; n <= b.len; n++) { /* torn anywhere */
        bool ok = partial_journal_read(&r, b.data, n, 1 << 20, boot);
        CHECK(ok == (n >= JOURNAL_HEADER) && (!ok || r.n == (n - JOURNAL_HEADER) / JOURNAL_RECORD));
        ranges_deinit(&r);
    }
    for (size_t i = 0; i < b.len; i++) { /* any byte changed */
        b.data[i] ^= 0x10;
        bool ok = partial_journal_read(&r, b.data, b.len, 1 << 20, boot);
        CHECK_MSG(i >= JOURNAL_HEADER - 4 ? ok : !ok, "byte %zu", i);
        CHECK(!ok || i < JOURNAL_HEADER || r.n == (i - JOURNAL_HEADER) / JOURNAL_RECORD);
        ranges_deinit(&r);
        b.data[i] ^= 0x10;
    }
    CHECK(!partial_journal_read(&r, b.data, b.len, (1 << 20) + 1, boot));
    buf_deinit(&b);
    wipe(s);
}

TEST(no_room_is_said_before_anything_is_made)
{
    struct store *s = fresh();
    struct partial *p;
    struct err e = {0};
    char path[700];
    CHECK(s && partial_open(&p, s, "k", 1ull << 60, &e) == -ERR_IO && strstr(e.msg, "make room"));
    snprintf(path, sizeof path, "%s/partial/k.data", tmp);
    CHECK(!os_exists(path));
    CHECK(partial_open(&p, s, "k", UINT64_MAX, &e) == -ERR_TOO_LARGE);
    wipe(s);
}

TEST(old_partial_files_go)
{
    struct store *s = fresh();
    struct partial *p;
    struct err e = {0};
    char path[700], dir[600];
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    CHECK(s && !partial_open(&p, s, "k", 10, &e));
    snprintf(path, sizeof path, "%s/partial/k.journal", tmp);
    snprintf(dir, sizeof dir, "%s/partial", tmp);
    CHECK(utimensat(AT_FDCWD, path, old, 0) == 0);
    partial_sweep(dir);
    CHECK(os_exists(path)); /* somebody has it */
    partial_close(p);
    CHECK(utimensat(AT_FDCWD, path, old, 0) == 0);
    partial_sweep(dir);
    CHECK(!os_exists(path));
    wipe(s);
}

TEST_MAIN()
