/* Buckets on a clock that the test moves: exact to the nanosecond, never more than their rate, and true when reservations were too large. */
#include "ledger/bucket.h"
#include "test.h"

enum { S = 1000000000 };
#define MINUTE (60ull * S)
#define DAY    (86400ull * S)

/* Reproducible numbers. */
static uint64_t seed;
static uint64_t below(uint64_t n)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (seed >> 33) % n;
}

TEST(refills_continuously_and_to_the_nanosecond)
{
    struct bucket b;
    struct bucket_share s[60];
    bucket_init(&b, 60, MINUTE, 5);
    CHECK(bucket_free(&b, 5) == 60 && bucket_used(&b, 5) == 0 && bucket_wait_ns(&b, 5, 60) == 0 && bucket_full_ns(&b, 5) == 0);
    for (int i = 0; i < 60; i++) {
        CHECK(bucket_wait_ns(&b, 5, 1) == 0);
        bucket_take(&b, 5, &s[i], 1);
        CHECK(bucket_free(&b, 5) == (uint64_t)(59 - i) && bucket_used(&b, 5) == (uint64_t)(i + 1));
    }
    CHECK(bucket_wait_ns(&b, 5, 1) == 1ull * S && bucket_wait_ns(&b, 5, 7) == 7ull * S && bucket_full_ns(&b, 5) == MINUTE);
    CHECK(bucket_free(&b, 5 + S - 1) == 0 && bucket_wait_ns(&b, 5 + S - 1, 1) == 1 && bucket_free(&b, 5 + S) == 1);
    CHECK(bucket_free(&b, 5 + MINUTE - 1) == 59 && bucket_free(&b, 5 + MINUTE) == 60 && bucket_free(&b, 5 + 9 * MINUTE) == 60);
    for (int i = 0; i < 60; i++)
        bucket_settle(&b, 5 + 9 * MINUTE, &s[i], 1);
    CHECK(bucket_free(&b, 5 + 9 * MINUTE) == 60); /* time had covered them */
}

/* Taken as soon as it fits, over a long time, a bucket gives its size and then exactly its rate: no remainder is lost, none is invented. */
TEST(gives_exactly_its_rate)
{
    for (uint64_t most = 1; most <= 50; most += 7)
        for (uint64_t n = 1; n <= most; n += 3) {
            struct bucket b;
            struct bucket_share s;
            uint64_t now = 0, taken = 0;
            bucket_init(&b, most, MINUTE, 0);
            while (now < 10 * MINUTE) {
                uint64_t wait = bucket_wait_ns(&b, now, n);
                CHECK(!wait || bucket_free(&b, now + wait - 1) < n);
                now += wait;
                CHECK(bucket_free(&b, now) >= n);
                bucket_take(&b, now, &s, n), bucket_settle(&b, now, &s, n);
                taken += n;
                /* taken <= most + rate * time, and the last one came as soon as that allowed it */
                unsigned __int128 parts = (unsigned __int128)taken * MINUTE, may = (unsigned __int128)most * MINUTE + (unsigned __int128)most * now;
                CHECK(parts <= may && (!wait || may - parts < most));
            }
        }
}

/* ---- against a bucket that is counted nanosecond by nanosecond ---- */

TEST(agrees_with_one_that_is_counted_nanosecond_by_nanosecond)
{
    for (seed = 1; seed <= 300;) {
        uint64_t first = seed, most = 1 + below(20), window = 1 + below(30), now = below(100), owed = 0; /* owed: in parts */
        struct bucket b;
        bucket_init(&b, most, window, now);
        for (int i = 0; i < 200; i++) {
            for (uint64_t t = below(4) ? below(3) : below(60); t > 0; t--, now++)
                owed = owed > most ? owed - most : 0;
            uint64_t n = 1 + below(most + 2), all = most * window;
            bool fits = n <= most && owed + n * window <= all;
            CHECK_MSG((bucket_wait_ns(&b, now, n) == 0) == fits, "seed %llu", (unsigned long long)first);
            CHECK(bucket_free(&b, now) == (owed < all ? (all - owed) / window : 0) && bucket_used(&b, now) == (owed + window - 1) / window);
            CHECK(bucket_full_ns(&b, now) == (owed + most - 1) / most);
            if (fits || below(10) == 0)
                bucket_charge(&b, now, n), owed += n * window;
        }
        seed = first + 1;
    }
}

/* ---- huge values, and clocks ---- */

TEST(huge_values_do_not_wrap)
{
    struct bucket b;
    struct bucket_share s[3];
    bucket_init(&b, BUCKET_MOST_MAX, DAY, 0);
    bucket_take(&b, 0, &s[0], BUCKET_MOST_MAX);
    CHECK(bucket_free(&b, 0) == 0 && bucket_full_ns(&b, 0) == DAY && bucket_wait_ns(&b, 0, BUCKET_MOST_MAX) == DAY);
    CHECK(bucket_wait_ns(&b, 0, BUCKET_MOST_MAX + 1) == BUCKET_NEVER && bucket_wait_ns(&b, 0, UINT64_MAX) == BUCKET_NEVER);
    CHECK(bucket_free(&b, DAY / 2) == BUCKET_MOST_MAX / 2);
    bucket_settle(&b, DAY / 2, &s[0], BUCKET_MOST_MAX);
    CHECK(bucket_free(&b, DAY / 2) == BUCKET_MOST_MAX / 2);
    for (int i = 0; i < 1 << 20; i++) /* far more than it holds: requests of 2^32 tokens each */
        bucket_charge(&b, DAY / 2, UINT32_MAX);
    uint64_t owed = BUCKET_MOST_MAX / 2 + (1ull << 20) * UINT32_MAX;
    CHECK(bucket_used(&b, DAY / 2) == owed && bucket_free(&b, DAY / 2) == 0);
    uint64_t full = bucket_full_ns(&b, DAY / 2); /* DAY * 4,504: still a time */
    CHECK(full / DAY == owed / BUCKET_MOST_MAX && bucket_used(&b, full - DAY / 2) == BUCKET_MOST_MAX && bucket_used(&b, DAY / 2 + full) == 0);
    CHECK(bucket_free(&b, UINT64_MAX) == BUCKET_MOST_MAX);
    bucket_init(&b, 1, DAY, UINT64_MAX - 1); /* one a day, at the end of time: a wait longer than any clock */
    for (int i = 0; i < 300000; i++)
        bucket_charge(&b, UINT64_MAX, 1);
    CHECK(bucket_full_ns(&b, UINT64_MAX) == UINT64_MAX && bucket_wait_ns(&b, UINT64_MAX, 1) == UINT64_MAX);
}

TEST(a_clock_that_goes_back_refills_nothing)
{
    struct bucket b;
    bucket_init(&b, 60, MINUTE, 10 * MINUTE);
    bucket_charge(&b, 10 * MINUTE, 60);
    for (int i = 0; i < 1000; i++) /* to and fro: no more than the time that really went by */
        CHECK(bucket_free(&b, 9 * MINUTE) == 0 && bucket_free(&b, 0) == 0 && bucket_free(&b, 10 * MINUTE + S - 1) == 0);
    CHECK(bucket_free(&b, 10 * MINUTE + S) == 1 && bucket_free(&b, 10 * MINUTE) == 1 && bucket_free(&b, 10 * MINUTE + 2 * S) == 2);
}

TEST(another_size_keeps_what_was_taken)
{
    struct bucket b;
    struct bucket_share s;
    bucket_init(&b, 100, MINUTE, 0);
    bucket_take(&b, 0, &s, 80);
    bucket_change(&b, 40, 0);
    CHECK(bucket_used(&b, 0) == 80 && bucket_free(&b, 0) == 0 && bucket_wait_ns(&b, 0, 40) == 2 * MINUTE &&
          bucket_wait_ns(&b, 0, 41) == BUCKET_NEVER);
    bucket_change(&b, 1000, 0);
    CHECK(bucket_free(&b, 0) == 920);
    bucket_settle(&b, 0, &s, 10);
    CHECK(bucket_free(&b, 0) == 990);
}

/* ---- reservations ---- */

TEST(what_was_not_used_is_given_back)
{
    struct bucket b;
    struct bucket_share s, t;
    bucket_init(&b, 100, MINUTE, 0);
    bucket_take(&b, 0, &s, 60), bucket_take(&b, 0, &t, 40);
    CHECK(bucket_free(&b, 0) == 0);
    bucket_settle(&b, 0, &s, 10);
    CHECK(bucket_free(&b, 0) == 50 && !s.held && t.held);
    bucket_settle(&b, 0, &t, 0);
    CHECK(bucket_free(&b, 0) == 90);
    bucket_take(&b, 0, &s, 90), bucket_settle(&b, 0, &s, 200); /* more than it reserved: it owes */
    CHECK(bucket_free(&b, 0) == 0 && bucket_used(&b, 0) == 210 && bucket_wait_ns(&b, 0, 1) == (211 - 100) * (MINUTE / 100));
    CHECK(bucket_wait_ns(&b, 0, 0) == 0); /* who takes nothing does not wait */
}

/* Long requests with large reservations that time has given back must not give back again what others took since. */
TEST(reservations_that_time_gave_back_give_back_nothing)
{
    struct bucket b;
    struct bucket_share hoard[5], s;
    bucket_init(&b, 100, MINUTE, 0);
    uint64_t now = 0;
    for (int i = 0; i < 5; i++, now += MINUTE) {
        CHECK(bucket_free(&b, now) == 100);
        bucket_take(&b, now, &hoard[i], 100);
    }
    bucket_take(&b, now, &s, 100), bucket_settle(&b, now, &s, 100);
    for (int i = 0; i < 5; i++) {
        bucket_settle(&b, now, &hoard[i], 0);
        CHECK(bucket_free(&b, now) == 0);
    }
    /* a half that is covered gives back the other half */
    now += MINUTE;
    bucket_take(&b, now, &s, 100), bucket_settle(&b, now + MINUTE / 2, &s, 20);
    CHECK(bucket_free(&b, now + MINUTE / 2) == 100);
    now += MINUTE;
    bucket_take(&b, now, &s, 100), bucket_settle(&b, now + MINUTE / 2, &s, 70);
    CHECK(bucket_free(&b, now + MINUTE / 2) == 80);
}

TEST(a_reservation_grows)
{
    struct bucket b;
    struct bucket_share s, t;
    bucket_init(&b, 100, MINUTE, 0);
    bucket_take(&b, 0, &s, 10);
    bucket_grow(&b, 0, &s, 20);
    CHECK(bucket_free(&b, 0) == 70);
    bucket_take(&b, MINUTE, &t, 50); /* the first is covered by now, the second is not */
    bucket_grow(&b, MINUTE, &s, 80);
    CHECK(bucket_free(&b, MINUTE) == 0 && bucket_used(&b, MINUTE) == 130);
    bucket_settle(&b, MINUTE, &t, 50);
    bucket_settle(&b, MINUTE, &s, 40); /* 30 of its 40 were covered */
    CHECK(bucket_used(&b, MINUTE) == 60);
}

TEST(a_bucket_that_goes_lets_its_shares_go)
{
    struct bucket b;
    struct bucket_share s[3];
    bucket_init(&b, 100, MINUTE, 0);
    for (int i = 0; i < 3; i++)
        bucket_take(&b, 0, &s[i], 10);
    bucket_leave(&b);
    CHECK(!s[0].held && !s[1].held && !s[2].held && !b.first);
}

/* ---- against the truth ---- */

enum { REQUESTS = 120 };
struct request {
    uint64_t from, until, reserved, used;
    bool running, grown;
    struct bucket_share share;
};

/* What a bucket that knew from the first what each request uses would have taken, in parts: the most that any beginning of time explains. */
static unsigned __int128 truth(const struct request *r, int n, const struct bucket *b, uint64_t now)
{
    unsigned __int128 most = 0;
    for (int s = 0; s < n; s++) {
        unsigned __int128 sum = 0, drained = (unsigned __int128)(now - r[s].from) * b->most;
        for (int i = 0; i < n; i++)
            if (r[i].from > r[s].from || (r[i].from == r[s].from && i >= s))
                sum += (unsigned __int128)r[i].used * b->window_ns;
        if (sum > drained && sum - drained > most)
            most = sum - drained;
    }
    return most;
}

/* The sum over the shares, and their order, as the bucket says. */
static bool sound(const struct bucket *b)
{
    unsigned __int128 open = 0;
    bool due = false;
    const struct bucket_share *prev = NULL;
    for (const struct bucket_share *s = b->first; s; prev = s, s = s->next) {
        due |= s == b->due;
        if (s->prev != prev || !s->held || s->open > s->parts || (!due && s->open))
            return false;
        open += s->open;
    }
    return b->last == prev && open == b->open && (due || !b->due);
}

/* Random courses of requests that reserve too much. Never is more free than in truth; and when everybody used what he reserved, exactly as much. */
TEST(never_more_is_free_than_in_truth)
{
    static struct request r[REQUESTS];
    for (uint64_t course = 1; course <= 400; course++) {
        struct bucket b;
        uint64_t now = 0;
        int n = 0;
        seed = course;
        bool honest = course % 4 == 0, grows = course % 4 == 1;
        bucket_init(&b, 1 + below(40), 1 + below(50), 0);
        while (n < REQUESTS) {
            now += below(3) ? below(4) : below(3 * b.window_ns);
            for (int i = 0; i < n; i++)
                if (r[i].running && r[i].until <= now) {
                    bucket_settle(&b, now, &r[i].share, r[i].used);
                    r[i].running = false;
                } else if (r[i].running && grows && below(20) == 0) {
                    bucket_grow(&b, now, &r[i].share, below(10));
                }
            uint64_t want = below(b.most + 1);
            if (bucket_wait_ns(&b, now, want) == 0) {
                r[n] = (struct request){.from = now, .until = now + below(4 * b.window_ns), .reserved = want, .running = true};
                r[n].used = honest ? want : below(want + 1);
                bucket_take(&b, now, &r[n].share, want);
                n++;
            }
            CHECK_MSG(sound(&b), "course %llu", (unsigned long long)course);
            unsigned __int128 is = b.owed + b.open, should = truth(r, n, &b, now);
            CHECK_MSG(is >= should && (!honest || is == should), "course %llu, %d requests: %llu parts taken, in truth %llu",
                      (unsigned long long)course, n, (unsigned long long)is, (unsigned long long)should);
        }
        for (int i = 0; i < n; i++)
            if (r[i].running)
                bucket_settle(&b, now, &r[i].share, r[i].used);
        CHECK(b.open == 0 && !b.first && !b.last && !b.due && bucket_free(&b, now + bucket_full_ns(&b, now)) == b.most);
    }
}

TEST_MAIN()
