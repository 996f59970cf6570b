/* Publishers: the share of each charge, over grants that pay parts of it, by the terms of its time; refunds; what is refused; the books. */
#include "base/json.h"
#include "credit.h"
#include "ledger/publisher.h"

static struct ledger *l;
static struct principal who, lab;
static struct err e;
static int64_t now;
static char payable[64];

static void tick(int64_t us)
{
    now = us;
    atomic_store(&now_us, us);
}

static bool give(int64_t amount, int priority)
{
    struct grant_new g = {.org = who.org, .amount = {amount}, .scope = "any", .funding = "paid", .priority = priority};
    return ledger_grant_create(l, &g, NULL, &e) == 0;
}

static bool start(void)
{
    tick(NOON);
    l = open_at(dir_new());
    return l && account_with(l, "acme", (struct money){0}, &who) && account_with(l, "lab", (struct money){0}, &lab) &&
           price_now(l, "m", 1000000, 2000000) && snprintf(payable, sizeof payable, "payable:publisher:%lld", (long long)lab.org.v) > 0;
}

static void end(void)
{
    ledger_close(l);
    dir_drop();
}

static int set(const char *model, int64_t org, uint32_t all, uint32_t output, int64_t from)
{
    const struct publisher_share s[] = {{NULL, all}, {"output", output}};
    e = (struct err){0};
    return ledger_publisher_set(l, &(struct publisher_new){.model = model, .org = {org}, .shares = s, .n_shares = 2, .from_us = from}, &e);
}

static int64_t spend(const char *id, uint32_t in, uint32_t out)
{
    struct hold_answer a = hold_now(l, &who, id, "m", in, out);
    struct bill b = {0};
    struct finish_req q = {.hold = a.hold, .counts = {.input = in, .output = out}, .end_us = now};
    return a.err.code || ledger_finish(l, &q, &b, &e) < 0 ? -1 : b.cost.nano;
}

TEST(a_share_of_each_charge)
{
    CHECK(start() && give(50, 1) && give(1000, 2) && set("m", lab.org.v, 1000, 5000, 0) == 0);
    /* 100 for the input and 40 for the output: 10 and 20 are the lab's, over two grants */
    CHECK(spend("one", 100, 20) == 140 && booked_at(l, payable) == -30 && booked_at(l, "revenue:inference") == -110 && audit_now(l) == 0);
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && spend("two", 100, 20) == 140 && booked_at(l, payable) == -60 && audit_now(l) == 0);
    /* Half of a charge comes back, and with it half of the share; then the rest. */
    CHECK(ledger_refund(l, "one", &(struct money){70}, &(struct deed){.reason = "r"}, NULL, &e) == 0 && audit_now(l) == 0);
    int64_t half = booked_at(l, payable);
    CHECK(half <= -44 && half >= -46);
    CHECK(ledger_refund(l, "one", NULL, &(struct deed){.reason = "r"}, NULL, &e) == 0 && booked_at(l, payable) == -30 && audit_now(l) == 0);
    struct buf out;
    buf_init(&out, 0);
    CHECK(ledger_report_statement(l, "lab", 0, 0, &out, &e) == 0 && strstr(out.data, "\"requests\":2") &&
          strstr(out.data, "\"charged\":\"0.00000028\"") && strstr(out.data, "\"owed\":\"0.00000003\"") &&
          strstr(out.data, "\"balance\":\"0.00000003\""));
    buf_deinit(&out);
    end();
}

TEST(terms_begin_and_end)
{
    CHECK(start() && give(100000, 1) && spend("before", 100, 0) == 100 && booked_at(l, payable) == 0);
    CHECK(set("m", lab.org.v, 10000, 10000, now + HOUR) == 0 && spend("still", 100, 0) == 100 && booked_at(l, payable) == 0);
    struct hold_answer held = hold_now(l, &who, "held", "m", 100, 0);
    tick(now + HOUR);
    CHECK(finish_now(l, held.hold, 100, 0, NULL) == 0 && booked_at(l, payable) == 0); /* the terms of its beginning */
    CHECK(spend("all", 100, 0) == 100 && booked_at(l, payable) == -100 && booked_at(l, "revenue:inference") == -300 && audit_now(l) == 0);
    CHECK(ledger_refund(l, "all", NULL, &(struct deed){.reason = "r"}, NULL, &e) == 0 && booked_at(l, payable) == 0 && audit_now(l) == 0);
    CHECK(set("m", 0, 0, 0, 0) == 0);
    tick(now + 1000000);
    CHECK(spend("own", 100, 0) == 100 && booked_at(l, payable) == 0 && audit_now(l) == 0);
    end();
}

TEST(what_is_refused_and_withheld)
{
    CHECK(start() && ledger_model_downloadable(l, "m") && set("m", lab.org.v, 10001, 0, 0) == -ERR_BAD_VALUE &&
          set("m", 99, 1, 1, 0) == -ERR_NOT_FOUND);
    CHECK(set("m", lab.org.v, 1, 1, now - 1) == -ERR_BAD_VALUE && set("", lab.org.v, 1, 1, 0) == -ERR_BAD_VALUE);
    CHECK(set("m", lab.org.v, 1, 1, now + 100 * HOUR) == 0 && set("m", lab.org.v, 1, 1, now + 50 * HOUR) == -ERR_CONFLICT);
    CHECK(set("n", lab.org.v, 1, 1, 0) == 0 && ledger_model_downloadable(l, "n"));
    CHECK(ledger_publisher_set(l, &(struct publisher_new){.model = "n", .org = lab.org, .withheld = true}, &e) == 0);
    tick(now + 1000000);
    CHECK(!ledger_model_downloadable(l, "n"));
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && !ledger_model_downloadable(l, "n") && audit_now(l) == 0);
    end();
}

TEST_MAIN()
