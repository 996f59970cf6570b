/* The price book: versions that begin and end by themselves, contracts, service tiers, steps by input length; what is refused; and thousands of
 * random requests against a pricing of thirty lines that knows only a list of rates. */
#include "base/json.h"
#include "base/rng.h"
#include "credit.h"

static struct ledger *l;
static struct principal who;
static struct err e;
static int64_t now;

static void tick(int64_t us)
{
    now = us;
    atomic_store(&now_us, us);
}

static bool start(void)
{
    tick(NOON);
    l = open_at(dir_new());
    return l && account_with(l, "acme", (struct money){0}, &who);
}

static void end(void)
{
    ledger_close(l);
    dir_drop();
}

static bool give(int64_t amount)
{
    return ledger_grant_create(l, &(struct grant_new){.org = who.org, .amount = {amount}, .scope = "any", .funding = "paid"}, NULL, &e) == 0;
}

static int set(struct price_new p)
{
    e = (struct err){0};
    return ledger_price_set(l, &p, NULL, &e);
}

static bool refused(struct price_new p, enum errcode code, const char *word)
{
    if (set(p) == -(int)code && strstr(e.msg, word))
        return true;
    printf("not '%s': %s\n", word, e.msg);
    return false;
}

#define RATES(...)                                                                                                                                   \
    .rates = (const struct price_rate[]){__VA_ARGS__}, .n_rates = sizeof((const struct price_rate[]){__VA_ARGS__}) / sizeof(struct price_rate)
#define SIMPLE(in, out) .input = {in}, .cache_read = {in}, .cache_write = {in}, .output = {out}, .reasoning = {out}

/* What a request of 100 prompt tokens costs now; -1: no price; -2: refused for another reason. The amount is the price per million / 10,000. */
static int64_t costs_at(const char *tier)
{
    static int n;
    char id[32];
    struct waiter w;
    struct bill bill;
    snprintf(id, sizeof id, "p%d", n++);
    waiter_init(&w);
    ledger_hold(l, &(struct hold_req){.who = who, .request = id, .model = "q", .revision = "r", .input = 100, .tier = tier}, waiter_fn, &w);
    struct hold_answer a = waiter_wait(&w);
    if (a.err.code)
        return a.err.code == ERR_NO_PRICE ? -1 : -2;
    int rc = ledger_finish(l, &(struct finish_req){.hold = a.hold, .counts = {.input = 100}, .end_us = now}, &bill, &e);
    return rc == 0 ? bill.cost.nano : -3;
}
static int64_t costs(void)
{
    return costs_at(NULL);
}

TEST(versions_begin_and_end_by_themselves)
{
    const int64_t day = 86400ll * 1000000;
    CHECK(start() && give(1000000));
    CHECK(costs() == -1 && set((struct price_new){.model = "q", SIMPLE(10000, 0)}) == 0 && costs() == 1);
    CHECK(set((struct price_new){.model = "q", SIMPLE(20000, 0), .from_us = now + 10 * day}) == 0);
    CHECK(set((struct price_new){.model = "q", SIMPLE(30000, 0), .from_us = now + 2 * day, .until_us = now + 4 * day}) == 0);
    const int64_t t0 = now, want[] = {1, 1, 3, 3, 1, 1, 1, 1, 1, 1, 2, 2};
    for (int d = 0; d < 12; d++) {
        tick(t0 + d * day);
        CHECK_MSG(costs() == want[d], "day %d", d);
    }
    tick(t0 + 3 * day);
    CHECK(costs() == 3);
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && costs() == 3 && audit_now(l) == 0);
    /* A request keeps the price that it was held at. */
    struct hold_answer a = hold_now(l, &who, "kept", "q", 100, 0);
    struct bill bill;
    tick(t0 + 5 * day);
    CHECK(a.held.nano == 3 && finish_now(l, a.hold, 100, 0, &bill) == 0 && bill.cost.nano == 3);
    /* One that has not begun is taken back, one in force ends. */
    CHECK(ledger_price_end(l, &(struct price_end){.model = "q", .version = 2}, &e) == 0);
    CHECK(ledger_price_end(l, &(struct price_end){.model = "q", .version = 2}, &e) == -ERR_CONFLICT);
    CHECK(ledger_price_end(l, &(struct price_end){.model = "q", .version = 9}, &e) == -ERR_NOT_FOUND);
    tick(t0 + 20 * day);
    CHECK(costs() == 1 && ledger_price_end(l, &(struct price_end){.model = "q", .version = 1, .at_us = now + day}, &e) == 0 && costs() == 1);
    tick(now + day);
    CHECK(costs() == -1 && !ledger_price_known(l, "q"));
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && costs() == -1 && audit_now(l) == 0);
    end();
}

TEST(a_clock_that_goes_back_takes_no_price_away)
{
    CHECK(start() && give(1000000) && set((struct price_new){.model = "q", SIMPLE(10000, 0)}) == 0);
    tick(now - 3600ll * 1000000);
    CHECK(costs() == 1 && set((struct price_new){.model = "q", SIMPLE(20000, 0)}) == 0 && costs() == 2);
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && costs() == 2 && audit_now(l) == 0);
    end();
}

#define SET_REFUSED(code, word, ...) refused((struct price_new){.model = "q", __VA_ARGS__}, code, word)

TEST(what_is_refused)
{
    const int64_t day = 86400ll * 1000000;
    CHECK(start() && give(1000000) && set((struct price_new){.model = "q", SIMPLE(10000, 0)}) == 0);
    CHECK(set((struct price_new){.model = "q", SIMPLE(1, 1), .from_us = now + 2 * day, .until_us = now + 4 * day}) == 0);
    CHECK(set((struct price_new){.model = "q", SIMPLE(1, 1), .from_us = now + 6 * day}) == 0);
    CHECK(SET_REFUSED(ERR_CONFLICT, "overlaps", SIMPLE(1, 1), .from_us = now + 2 * day)); /* the same moment */
    CHECK(SET_REFUSED(ERR_CONFLICT, "overlaps", SIMPLE(1, 1), .from_us = now + 3 * day)); /* inside one with an end */
    CHECK(SET_REFUSED(ERR_CONFLICT, "overlaps", SIMPLE(1, 1), .from_us = now + 3 * day, .until_us = now + 5 * day));
    CHECK(SET_REFUSED(ERR_CONFLICT, "overlaps", SIMPLE(1, 1), .from_us = now + 1 * day, .until_us = now + 3 * day));
    CHECK(SET_REFUSED(ERR_CONFLICT, "overlaps", SIMPLE(1, 1), .from_us = now + 5 * day, .until_us = now + 7 * day));      /* another begins in it */
    CHECK(set((struct price_new){.model = "q", SIMPLE(1, 1), .from_us = now + 4 * day, .until_us = now + 5 * day}) == 0); /* end to end */
    CHECK(SET_REFUSED(ERR_BAD_VALUE, "begins now or later", SIMPLE(1, 1), .from_us = now - 1));
    CHECK(SET_REFUSED(ERR_BAD_VALUE, "ends before it begins", SIMPLE(1, 1), .from_us = now + 9 * day, .until_us = now + 9 * day));
    CHECK(SET_REFUSED(ERR_BAD_VALUE, "negative", SIMPLE(-1, 1)) && SET_REFUSED(ERR_BAD_VALUE, "negative", RATES({"gpu_hour", 0, {-1}})));
    CHECK(SET_REFUSED(ERR_BAD_VALUE, "no meter", RATES({"gpu-minutes", 0, {1}})) &&
          SET_REFUSED(ERR_BAD_VALUE, "twice", RATES({"gpu_hour", 0, {1}}, {"gpu_hour", 0, {1}})));
    CHECK(SET_REFUSED(ERR_BAD_VALUE, "output is missing", RATES({"input", 0, {1}})) &&
          SET_REFUSED(ERR_BAD_VALUE, "input is missing", RATES({"output", 0, {1}})));
    CHECK(SET_REFUSED(ERR_BAD_VALUE, "input is missing", RATES({"cache_read", 0, {1}})));
    CHECK(SET_REFUSED(ERR_BAD_VALUE, "none below", RATES({"input", 5, {1}}, {"output", 5, {1}})));
    CHECK(SET_REFUSED(ERR_BAD_VALUE, "does not depend", RATES({"input", 0, {1}}, {"output", 0, {1}}, {"gpu_hour", 5, {1}})));
    CHECK(SET_REFUSED(ERR_BAD_VALUE, "tier", SIMPLE(1, 1), .tier = "Fast!") && SET_REFUSED(ERR_BAD_VALUE, "tier", SIMPLE(1, 1), .tier = ""));
    CHECK(SET_REFUSED(ERR_NOT_FOUND, "no account 99", SIMPLE(1, 1), .org = {99}));
    CHECK(ledger_price_set(l, &(struct price_new){.model = "new", SIMPLE(1, 1), .org = who.org}, NULL, &e) == -ERR_NOT_FOUND);
    struct price_rate many[PRICE_TIERS_MAX + 2] = {{"input", 0, {1}}, {"output", 0, {1}}};
    for (uint32_t i = 0; i < PRICE_TIERS_MAX; i++)
        many[2 + i] = (struct price_rate){"input", 10 + i, {1}};
    CHECK(SET_REFUSED(ERR_BAD_VALUE, "at most", .rates = many, .n_rates = PRICE_TIERS_MAX + 2));
    CHECK(costs() == 1);
    /* The dearest price there can be is too dear for everybody, and is not an overflow. */
    CHECK(set((struct price_new){.model = "q", SIMPLE(INT64_MAX, INT64_MAX)}) == 0);
    struct hold_answer a = hold_now(l, &who, "dear", "q", 4000000000u, 4000000000u);
    CHECK(a.err.code == ERR_QUOTA && audit_now(l) == 0);
    end();
}

TEST(a_contract_comes_before_the_list)
{
    struct principal other;
    struct buf out;
    CHECK(start() && give(1000000) && set((struct price_new){.model = "q", SIMPLE(40000, 0)}) == 0);
    CHECK(set((struct price_new){.model = "q", SIMPLE(80000, 0), .tier = "priority"}) == 0);
    CHECK(set((struct price_new){.model = "q", SIMPLE(30000, 0), .org = who.org, .until_us = now + 3600ll * 1000000}) == 0);
    CHECK(account_with(l, "other", USD(1), &other));
    CHECK(costs() == 3 && costs_at("priority") == 8 && costs_at("standard") == 3 && costs_at("flex") == -2);
    CHECK(hold_now(l, &other, "o", "q", 100, 0).held.nano == 4);
    buf_init(&out, 0);
    struct hold_answer a = hold_now(l, &who, "shown", "q", 100, 0);
    struct json *j = NULL;
    CHECK(finish_now(l, a.hold, 100, 0, NULL) == 0 && ledger_receipt(l, "shown", &who, &out, &e) == 0 && json_parse(&j, out.data, out.len, &e) == 0);
    CHECK(j && json_bool(json_get(j, "agrees")) && str_eqz(json_str(json_get(j, "list")), "0.000000004") &&
          str_eqz(json_str(json_get(j, "discount")), "0.000000001") && str_eqz(json_str(json_get(j, "contracted")), "0.000000003") &&
          str_eqz(json_str(json_get(j, "charged")), "0.000000003") && json_bool(json_get(json_get(j, "price"), "contract")));
    json_free(j);
    out.len = 0;
    CHECK(ledger_report_prices(l, "acme", false, &out, &e) == 0 && strstr(out.data, "\"account\":\"acme\"") &&
          strstr(out.data, "\"tier\":\"priority\""));
    buf_deinit(&out);
    CHECK(audit_now(l) == 0);
    ledger_close(l);
    l = open_at(test_dir); /* "o" ends as a crash; list and contract are found again */
    CHECK(l && costs() == 3);
    tick(now + 3600ll * 1000000);
    CHECK(costs() == 4 && audit_now(l) == 0);
    end();
}

/* 100 prompt tokens at 8 and at 4 nano-units: a cut to 6 reaches the list price alone. */
TEST(a_change_is_previewed)
{
    struct principal other;
    struct buf out;
    struct json *j = NULL;
    CHECK(start() && give(1000000) && account_with(l, "other", USD(1), &other) && set((struct price_new){.model = "q", SIMPLE(80000, 0)}) == 0);
    CHECK(costs() == 8 && costs() == 8);
    tick(now + 31 * 24 * HOUR); /* those are too long ago */
    CHECK(costs() == 8 && set((struct price_new){.model = "q", SIMPLE(40000, 0), .org = other.org}) == 0);
    struct hold_answer a = hold_now(l, &other, "o", "q", 100, 0);
    CHECK(a.held.nano == 4 && ledger_finish(l, &(struct finish_req){.hold = a.hold, .counts = {.input = 100}, .end_us = now}, NULL, &e) == 0);
    CHECK(costs() == 8);
    buf_init(&out, 0);
    CHECK(ledger_price_preview(l, &(struct price_new){.model = "q", SIMPLE(60000, 0)}, &out, &e) == 0 && json_parse(&j, out.data, out.len, &e) == 0);
    CHECK_MSG(str_eqz(json_str(json_get(j, "before")), "0.000000016") && str_eqz(json_str(json_get(j, "after")), "0.000000012") &&
                  str_eqz(json_str(json_get(j, "percent")), "-25.0") && json_int(json_get(j, "at_other_prices")) == 1 &&
                  json_len(json_get(j, "accounts")) == 1 &&
                  str_eqz(json_str(json_get(j, "says")), "this cut costs you 0.000000004 USD a month and saves your customers 25.0%"),
              "%s", out.data);
    json_free(j);
    out.len = 0;
    CHECK(ledger_price_preview(l, &(struct price_new){.model = "q", SIMPLE(50000, 0), .org = other.org}, &out, &e) == 0 &&
          strstr(out.data, "this rise brings you 0.000000001 USD a month and costs your customers 25.0% more"));
    CHECK(ledger_price_preview(l, &(struct price_new){.model = "q", SIMPLE(-1, 0)}, &out, &e) == -ERR_BAD_VALUE);
    CHECK(costs() == 8 && audit_now(l) == 0); /* nothing was changed */
    buf_deinit(&out);
    end();
}

/* ---- random requests ---- */

enum { N_RATES = 24 };
struct ref {
    int meter; /* 0 to 4 as struct usage_counts, 5 embedding */
    uint32_t from;
    int64_t rate;
};

/* The bill of n tokens of each meter: the rates with the greatest `from` that the input reaches, in tenths of a millionth, rounded like a person
 * does it: the nearest, of two the even one. */
static int64_t reference(const struct ref *r, int n_rates, const uint32_t n[6])
{
    int64_t sum = 0;
    for (int m = 0; m < 6; m++) {
        const struct ref *best = NULL;
        for (int i = 0; i < n_rates; i++)
            if (r[i].meter == m && r[i].from <= n[0] + n[1] + n[2] && (!best || r[i].from >= best->from))
                best = &r[i];
        __int128 product = best ? (__int128)n[m] * best->rate : 0, whole = product / 1000000, rest = product - whole * 1000000;
        sum += (int64_t)(rest > 500000 ? whole + 1 : rest < 500000 ? whole : whole + whole % 2);
    }
    return sum;
}

TEST(random_requests_cost_what_the_reference_says)
{
    static const char *const names[] = {"input", "cache_read", "cache_write", "output", "reasoning", "embedding"};
    uint32_t k = 0;
#define DICE(n) ((uint32_t)(rng_u64(77, k++, 0, 0) % (uint64_t)(n)))
    CHECK(start() && give(INT64_MAX / 4));
    for (int round = 0; round < 40; round++) {
        struct ref ref[N_RATES];
        struct price_rate rate[N_RATES];
        int n = 0;
        for (uint32_t from = 0; from <= 200; from += 100)
            for (int m = 0; m < (from ? 5 : 6); m++)
                ref[n++] = (struct ref){m, from, DICE(3) ? DICE(3000000000) : (int64_t)DICE(20) * 500000};
        for (int i = 0; i < n; i++)
            rate[i] = (struct price_rate){names[ref[i].meter], ref[i].from, {ref[i].rate}};
        CHECK_MSG(set((struct price_new){.model = "q", .rates = rate, .n_rates = (size_t)n}) == 0, "%s", e.msg);
        for (int i = 0; i < 25; i++) {
            bool embeds = DICE(4) == 0;
            uint32_t c[6] = {0};
            for (int m = 0; m < 5; m++)
                c[m] = embeds && m ? 0 : (uint32_t)DICE(m < 3 ? 110 : 60);
            char id[32];
            struct waiter w;
            struct bill bill;
            snprintf(id, sizeof id, "x%d.%d", round, i);
            waiter_init(&w);
            ledger_hold(l,
                        &(struct hold_req){.who = who,
                                           .request = id,
                                           .model = "q",
                                           .revision = "r",
                                           .scope = embeds ? "embeddings" : NULL,
                                           .input = c[0] + c[1] + c[2] + (uint32_t)DICE(50),
                                           .output = c[3] + c[4]},
                        waiter_fn, &w);
            struct hold_answer a = waiter_wait(&w);
            CHECK_MSG(a.err.code == ERR_OK, "%s", a.err.msg);
            struct usage_counts u = {c[0], c[1], c[2], c[3], c[4], 0};
            if (embeds)
                c[5] = c[0], c[0] = 0;
            int64_t want = reference(ref, n, c);
            CHECK(ledger_finish(l, &(struct finish_req){.hold = a.hold, .counts = u, .reason = FINISH_STOP, .end_us = now}, &bill, &e) == 0);
            /* Split over more meters than the hold assumes a bill may round up to three nano-units past it; then it is cut. */
            CHECK_MSG(bill.cost.nano <= want && bill.cost.nano >= want - 3 && (bill.cost.nano == want || bill.cost.nano == a.held.nano),
                      "%s: %lld, not %lld", id, (long long)bill.cost.nano, (long long)want);
        }
    }
    CHECK(audit_now(l) == 0);
    end();
}

TEST_MAIN()
