/* Money: rounding against a brute-force oracle that shares no code with it, text both ways, overflow. */
#include "base/rng.h"
#include "ledger/money.h"
#include "test.h"

#include <limits.h>

/* Half-even by definition: of the two neighbours of p / 1000000, the nearer; of two equally near, the even one. Whole numbers only. */
static __int128 oracle(__int128 p)
{
    __int128 low = p / 1000000;
    while (low * 1000000 > p)
        low--;
    __int128 down = p - low * 1000000, up = (low + 1) * 1000000 - p;
    if (down != up)
        return down < up ? low : low + 1;
    return low % 2 == 0 ? low : low + 1;
}

static bool same(uint64_t tokens, int64_t price)
{
    struct money out = {0};
    __int128 want = oracle((__int128)tokens * price);
    bool fits = want <= INT64_MAX && want >= INT64_MIN, ok = money_price(tokens, (struct money){price}, &out);
    if (ok != fits || (fits && out.nano != (int64_t)want))
        return printf("%llu tokens at %lld: got %lld\n", (unsigned long long)tokens, (long long)price, (long long)out.nano), false;
    return true;
}

TEST(half_even_by_hand)
{
    const struct {
        uint64_t tokens;
        int64_t price, want;
    } t[] = {{1, 500000, 0}, {1, 1500000, 2},     {1, 2500000, 2}, {1, 3500000, 4},   {1, 500001, 1},    {1, 499999, 0},
             {3, 500000, 2}, {5, 500000, 2},      {1, -500000, 0}, {1, -1500000, -2}, {1, -2500000, -2}, {1, -500001, -1},
             {0, 7, 0},      {1000000, 123, 123}, {7, 150000, 1},  {2, 250000, 0},    {6, 250000, 2}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct money out;
        CHECK_MSG(money_price(t[i].tokens, (struct money){t[i].price}, &out) && out.nano == t[i].want, "case %zu: %lld", i, (long long)out.nano);
    }
}

TEST(half_even_against_the_oracle)
{
    for (uint64_t tokens = 0; tokens < 60; tokens++)
        for (int64_t price = -60; price < 60; price++)
            for (int64_t near = -2; near <= 2; near++)
                CHECK(same(tokens, price * 125000 + near));
    for (uint64_t i = 0; i < 200000; i++) {
        uint64_t tokens = rng_u64(1, 0, i, 0) >> (rng_u64(1, 1, i, 0) % 64);
        int64_t price = (int64_t)(rng_u64(1, 2, i, 0) >> (1 + rng_u64(1, 3, i, 0) % 63));
        if (i % 3 == 0)
            price = price / 500000 * 500000; /* many exact halves */
        CHECK(same(tokens, i % 2 ? price : -price));
    }
}

/* The text of an exact product read back, in millionths of a nano-unit; -1 when it is not as short as it may be. */
static __int128 product_of(const char *z)
{
    bool minus = *z == '-';
    __int128 v = 0;
    int decimals = -1;
    for (z += minus; *z; z++) {
        if (*z == '.')
            decimals = 0;
        else
            v = v * 10 + (*z - '0'), decimals += decimals >= 0;
    }
    if (decimals == 0 || decimals > 6 || (decimals > 0 && z[-1] == '0'))
        return -1;
    for (decimals = decimals < 0 ? 0 : decimals; decimals < 6; decimals++)
        v *= 10;
    return minus ? -v : v;
}

TEST(a_product_tells_its_rounding)
{
    struct money_product m;
    for (uint64_t i = 0; i < 100000; i++) {
        uint64_t tokens = rng_u64(2, 0, i, 0) >> (rng_u64(2, 1, i, 0) % 64);
        int64_t price = (int64_t)(rng_u64(2, 2, i, 0) >> (1 + rng_u64(2, 3, i, 0) % 63));
        if (i % 3 == 0)
            price = price / 500000 * 500000;
        __int128 p = (__int128)tokens * (i % 2 ? price : -price), want = oracle(p), more = p - want * 1000000;
        if (!money_product(tokens, (struct money){i % 2 ? price : -price}, 1000000, &m)) {
            CHECK(want > INT64_MAX || want < INT64_MIN);
            continue;
        }
        const char *word = more == 0 ? "none" : 2 * more == 1000000 || 2 * more == -1000000 ? "tie" : more > 0 ? "down" : "up";
        CHECK_MSG(product_of(m.exact) == p && m.rounded.nano == (int64_t)want && strcmp(m.rounding, word) == 0, "%llu tokens at %lld: %s, %s to %lld",
                  (unsigned long long)tokens, (long long)price, m.exact, m.rounding, (long long)m.rounded.nano);
    }
    CHECK(money_product(7, (struct money){150000}, 1000000, &m) && strcmp(m.exact, "1.05") == 0 && money_product(0, (struct money){7}, 1000000, &m) &&
          strcmp(m.exact, "0") == 0 && money_product(1000000, (struct money){INT64_MAX}, 1000000, &m) && strcmp(m.exact, "9223372036854775807") == 0);
}

TEST(overflow_is_told)
{
    struct money out;
    CHECK(money_price(1000000, (struct money){INT64_MAX}, &out) && out.nano == INT64_MAX);
    CHECK(!money_price(1000001, (struct money){INT64_MAX}, &out));
    CHECK(!money_price(UINT64_MAX, (struct money){INT64_MAX}, &out) && !money_price(UINT64_MAX, (struct money){INT64_MIN}, &out));
    CHECK(!money_add((struct money){INT64_MAX}, (struct money){1}, &out) && !money_sub((struct money){INT64_MIN}, (struct money){1}, &out));
    CHECK(money_add((struct money){40}, (struct money){2}, &out) && out.nano == 42 && money_sub(out, (struct money){2}, &out) && out.nano == 40);
}

TEST(text_both_ways)
{
    const struct {
        const char *in, *out;
        int64_t nano;
    } t[] = {{"10.00", "10.00", 10000000000},
             {"10", "10.00", 10000000000},
             {"0.000000123", "0.000000123", 123},
             {"-3", "-3.00", -3000000000},
             {"0.1", "0.10", 100000000},
             {"-0.5", "-0.50", -500000000},
             {"0.125", "0.125", 125000000},
             {"0", "0.00", 0},
             {"007", "7.00", 7000000000},
             {"0.000012345", "0.000012345", 12345},
             {"9223372036.854775807", "9223372036.854775807", INT64_MAX},
             {"0.010", "0.01", 10000000}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct money m;
        struct err e;
        char text[MONEY_TEXT_MAX];
        CHECK_MSG(money_parse(&m, str_of(t[i].in), &e) == 0 && m.nano == t[i].nano, "%s", t[i].in);
        money_text(text, m);
        CHECK_MSG(strcmp(text, t[i].out) == 0, "%s gave %s", t[i].in, text);
    }
    char text[MONEY_TEXT_MAX];
    money_text(text, (struct money){INT64_MIN});
    CHECK(strcmp(text, "-9223372036.854775808") == 0);
    for (uint64_t i = 0; i < 100000; i++) {
        struct money m = {(int64_t)(rng_u64(2, 0, i, 0) >> (1 + rng_u64(2, 1, i, 0) % 63))}, back;
        struct err e;
        if (i % 2)
            m.nano = -m.nano;
        money_text(text, m);
        CHECK(money_parse(&back, str_of(text), &e) == 0 && back.nano == m.nano);
    }
}

TEST(bad_text_is_refused)
{
    const char *bad[] = {"",
                         "-",
                         ".",
                         "1.",
                         ".5",
                         "1.0000000000",
                         "1,5",
                         " 1",
                         "1 ",
                         "+1",
                         "--1",
                         "1e3",
                         "0x1",
                         "1.2.3",
                         "9223372036.854775808",
                         "10000000000",
                         "99999999999999999999999999",
                         "-.1",
                         "\xd9\xa1",
                         "NaN",
                         "1-"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct money m;
        struct err e = {0};
        CHECK_MSG(money_parse(&m, str_of(bad[i]), &e) < 0 && e.code == ERR_BAD_VALUE && e.msg[0], "'%s' was taken", bad[i]);
    }
    struct money m;
    struct err e;
    CHECK(money_parse(&m, (struct str){"1\0002", 3}, &e) < 0 && money_parse(&m, (struct str){NULL, 0}, &e) < 0);
}

TEST_MAIN()
