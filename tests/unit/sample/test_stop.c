/* Stop strings: fixed cases, and random texts cut at random places against a search over the whole text. */
#include "base/buf.h"
#include "base/rng.h"
#include "base/str.h"
#include "sample/sample.h"
#include "test.h"

/* Feeds text in the given cuts; returns whether it stopped; out has what went out, flushed when it did not stop. */
static bool feed(struct stop_match *m, const char *text, size_t n, uint64_t seed, struct buf *out)
{
    uint64_t r = 0;
    for (size_t at = 0; at < n;) {
        size_t len = 1 + rng_u64(seed, 0, r++, 0) % 7;
        len = len > n - at ? n - at : len;
        if (stop_feed(m, text + at, len, out))
            return true;
        at += len;
    }
    stop_flush(m, out);
    return false;
}

/* The first end of any string; of those that end there the longest. */
static bool naive(const char *text, size_t n, const char *const *s, const size_t *lens, size_t n_s, size_t *cut)
{
    for (size_t end = 1; end <= n; end++) {
        size_t hit = 0;
        for (size_t i = 0; i < n_s; i++)
            if (lens[i] <= end && memcmp(text + end - lens[i], s[i], lens[i]) == 0 && lens[i] > hit)
                hit = lens[i];
        if (hit) {
            *cut = end - hit;
            return true;
        }
    }
    *cut = n;
    return false;
}

TEST(stop_equals_naive)
{
    uint64_t r = 0;
    int      stopped = 0;
    for (uint64_t round = 0; round < 20000; round++) {
        char        text[64], store[STOP_STRINGS_MAX][8];
        const char *s[STOP_STRINGS_MAX];
        size_t      lens[STOP_STRINGS_MAX], n_s = rng_u64(1, 0, r++, 0) % (STOP_STRINGS_MAX + 1), n = rng_u64(1, 0, r++, 0) % sizeof text, cut;
        uint32_t    letters = 2 + (uint32_t)(rng_u64(1, 0, r++, 0) % 3);
        for (size_t i = 0; i < n; i++)
            text[i] = (char)('a' + rng_u64(1, 0, r++, 0) % letters);
        for (size_t i = 0; i < n_s; i++) {
            lens[i] = 1 + rng_u64(1, 0, r++, 0) % sizeof store[i];
            s[i] = store[i];
            for (size_t k = 0; k < lens[i]; k++)
                store[i][k] = (char)('a' + rng_u64(1, 0, r++, 0) % letters);
        }
        struct stop_match *m;
        struct err         e;
        struct buf         out;
        buf_init(&out, 0);
        CHECK(stop_new(&m, s, lens, n_s, &e) == 0);
        bool want = naive(text, n, s, lens, n_s, &cut), got = feed(m, text, n, round, &out);
        CHECK_MSG(got == want && out.len == cut && memcmp(out.data ? out.data : "", text, cut) == 0, "round %d: %zu bytes, not %zu", (int)round,
                  out.len, cut);
        stopped += got;
        stop_free(m);
        buf_deinit(&out);
    }
    CHECK(stopped > 5000 && stopped < 19000);
}

/* What must go out at once, and what must wait. */
TEST(stop_holds_back_no_more_than_it_must)
{
    struct stop_match *m;
    struct err         e;
    struct buf         out;
    buf_init(&out, 0);
    CHECK(stop_new(&m, (const char *[]){"END\n", "\xe7\xbb\x93\xe6\x9d\x9f"}, (size_t[]){4, 6}, 2, &e) == 0);
    CHECK(!stop_feed(m, "the E", 5, &out) && out.len == 4);
    CHECK(!stop_feed(m, "", 0, &out) && out.len == 4);
    CHECK(!stop_feed(m, "N", 1, &out) && out.len == 4);
    CHECK(!stop_feed(m, "E", 1, &out) && out.len == 6 && memcmp(out.data, "the EN", 6) == 0);
    CHECK(!stop_feed(m, "\xe7\xbb\x93", 3, &out) && out.len == 7);
    CHECK(!stop_feed(m, "\xe7\xbb\x93", 3, &out) && out.len == 10);
    CHECK(utf8_valid(out.data, out.len));
    CHECK(stop_feed(m, "\xe6\x9d\x9f and more", 12, &out) && out.len == 10);
    CHECK(stop_feed(m, "after", 5, &out) && out.len == 10);
    stop_flush(m, &out);
    CHECK(out.len == 10);
    stop_free(m);
    buf_deinit(&out);
}

TEST(stop_limits)
{
    struct stop_match *m;
    struct err         e;
    struct buf         out;
    char               big[STOP_BYTES_MAX + 1];
    memset(big, 'x', sizeof big);
    buf_init(&out, 0);
    CHECK(stop_new(&m, (const char *[]){big}, (size_t[]){STOP_BYTES_MAX + 1}, 1, &e) < 0 && e.code == ERR_BAD_VALUE);
    CHECK(stop_new(&m, (const char *[]){""}, (size_t[]){0}, 1, &e) < 0 && e.code == ERR_BAD_VALUE);
    CHECK(stop_new(&m, (const char *[]){"\xe7\xbb"}, (size_t[]){2}, 1, &e) < 0 && e.code == ERR_BAD_VALUE);
    CHECK(stop_new(&m, (const char *[]){"a", "b", "c", "d", "e"}, (size_t[]){1, 1, 1, 1, 1}, 5, &e) < 0 && !strcmp(e.param, "stop"));
    CHECK(stop_new(&m, (const char *[]){big}, (size_t[]){STOP_BYTES_MAX}, 1, &e) == 0);
    CHECK(!stop_feed(m, big, STOP_BYTES_MAX - 1, &out) && out.len == 0);
    CHECK(!stop_feed(m, "y", 1, &out) && out.len == STOP_BYTES_MAX);
    CHECK(!stop_feed(m, big, 100, &out) && !stop_feed(m, big, 100, &out) && out.len == STOP_BYTES_MAX);
    CHECK(stop_feed(m, big, 100, &out) && out.len == STOP_BYTES_MAX);
    stop_free(m);
    CHECK(stop_new(&m, NULL, NULL, 0, &e) == 0);
    CHECK(!stop_feed(m, "all", 3, &out) && out.len == STOP_BYTES_MAX + 3);
    stop_free(m);
    buf_deinit(&out);
}

TEST_MAIN()
