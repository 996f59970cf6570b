/* Grants: which pays first, beginning and expiry, also while holds are open, and that a reference is one grant. */
#include "ledger/ledger_int.h"
#include "lib.h"
#include "skip.h"

static struct ledger *l;
static struct principal who;

static bool start(void)
{
    l = open_at(dir_new());
    return l && account_with(l, "acme", USD(0), &who) && price_now(l, "m", 1000000, 1000000); /* 1 nano a token */
}

static void end(void)
{
    ledger_close(l);
    dir_drop();
}

static int64_t grant(int64_t amount, const char *scope, const char *funding, int priority, int64_t effective, int64_t expires)
{
    struct grant_id id = {0};
    struct err e = {0};
    if (ledger_grant_create(l,
                            &(struct grant_new){.org = who.org,
                                                .amount = {amount},
                                                .scope = scope,
                                                .funding = funding,
                                                .priority = priority,
                                                .effective_us = effective,
                                                .expires_us = expires},
                            &id, &e) < 0)
        printf("grant: %s\n", e.msg);
    return id.v;
}

/* What is left of a grant, read after everything queued is committed. */
static int64_t left(int64_t id)
{
    struct err e;
    return queue_flush(l, &e) < 0 ? -1 : l->grants.p[id - 1]->remaining;
}

static bool spend(uint32_t tokens)
{
    static int n;
    char request[32];
    struct bill bill;
    snprintf(request, sizeof request, "spend-%d", n++);
    struct hold_answer a = hold_now(l, &who, request, "m", tokens, 0);
    return a.err.code == ERR_OK && finish_now(l, a.hold, tokens, 0, &bill) == 0 && bill.cost.nano == tokens;
}

/* What was asked before it is done before it; then the ledger thread looks at the clock, as it does before each piece of work. */
static bool an_hour_passes(void)
{
    struct err e;
    bool ok = queue_flush(l, &e) == 0;
    minutes_pass(60);
    return ok && queue_flush(l, &e) == 0;
}

TEST(order_of_consumption)
{
    CHECK(start());
    int64_t now = clock_now_us(), day = 86400 * 1000000ll;
    /* Made in the reverse of the order in which they must pay. */
    int64_t g[10], n = 0;
    g[n++] = grant(10, "any", "paid", 60, 0, 0); /* any scope, late priority */
    g[n++] = grant(10, "any", "paid", 50, 0, 0); /* never expires, paid */
    g[n++] = grant(10, "any", "investment", 50, 0, 0);
    g[n++] = grant(10, "any", "goodwill", 50, 0, 0);
    g[n++] = grant(10, "any", "promotional", 50, 0, 0);
    g[n++] = grant(10, "any", "paid", 50, 0, now + 2 * day); /* expires later */
    g[n++] = grant(10, "any", "paid", 50, 0, now + day);     /* expires first */
    g[n++] = grant(10, "any", "paid", 1, 0, 0);              /* early priority */
    g[n++] = grant(10, "inference", "paid", 99, 0, 0);       /* the request's own scope, whatever the priority */
    int64_t training = grant(10, "training", "promotional", 0, 0, now + day);
    for (int64_t i = 0; i < n; i++)
        CHECK(g[i] > 0);
    CHECK(balance_now(l, &who, NULL) == 100);
    for (int64_t i = n - 1; i >= 0; i--) {
        CHECK_MSG(spend(4) && left(g[i]) == 6, "grant %lld did not pay", (long long)g[i]);
        CHECK(spend(6) && left(g[i]) == 0);
    }
    CHECK(!spend(1) && left(training) == 10 && audit_now(l) == 0);
    end();
}

TEST(one_charge_from_many_grants)
{
    CHECK(start());
    int64_t a = grant(10, "any", "paid", 50, 0, 0), b = grant(7, "inference", "paid", 50, 0, 0), c = grant(100, "any", "promotional", 40, 0, 0);
    CHECK(spend(60) && left(b) == 0 && left(c) == 47 && left(a) == 10);
    CHECK(spend(50) && left(c) == 0 && left(a) == 7 && audit_now(l) == 0);
    CHECK(!spend(8) && spend(7) && audit_now(l) == 0);
    end();
}

TEST(a_grant_begins_later)
{
    CHECK(start());
    int64_t id = grant(10, "any", "paid", 50, in_minutes(30), 0);
    CHECK(id && balance_now(l, &who, NULL) == 0 && !spend(1) && audit_now(l) == 0);
    CHECK(an_hour_passes() && balance_now(l, &who, NULL) == 10 && spend(10) && audit_now(l) == 0);
    end();
}

TEST(a_grant_expires)
{
    CHECK(start());
    int64_t id = grant(10, "any", "paid", 50, 0, in_minutes(30)), keep = grant(5, "any", "paid", 50, 0, 0);
    CHECK(spend(3) && balance_now(l, &who, NULL) == 12);
    CHECK(an_hour_passes() && balance_now(l, &who, NULL) == 5 && left(id) == 0 && left(keep) == 5);
    CHECK(!spend(6) && spend(5) && audit_now(l) == 0);
    end();
}

TEST(what_a_hold_reserved_of_an_expired_grant_stays_good)
{
    CHECK(start());
    int64_t old = grant(10, "any", "promotional", 50, 0, in_minutes(30)), keep = grant(10, "any", "paid", 50, 0, 0);
    struct hold_answer a = hold_now(l, &who, "long", "m", 15, 0), b;
    CHECK(a.err.code == ERR_OK && an_hour_passes());
    CHECK(left(old) == 10 && balance_now(l, &who, NULL) == 5 && audit_now(l) == 0); /* the hold has all of it, and 5 of the other */
    b = hold_now(l, &who, "second", "m", 6, 0);
    CHECK(b.err.code == ERR_QUOTA);
    struct bill bill;
    CHECK(finish_now(l, a.hold, 3, 0, &bill) == 0 && bill.cost.nano == 3); /* the old one pays 3; its last 7 go at once */
    CHECK(left(old) == 0 && left(keep) == 10 && balance_now(l, &who, NULL) == 10 && audit_now(l) == 0);
    CHECK(!spend(11) && spend(10) && audit_now(l) == 0);
    end();
}

TEST(an_expired_grant_covers_its_hold_and_no_later_one)
{
    CHECK(start());
    int64_t old = grant(10, "any", "paid", 90, 0, in_minutes(30)), keep = grant(10, "any", "paid", 10, 0, 0);
    struct hold_answer a = hold_now(l, &who, "a", "m", 15, 0), b;
    CHECK(a.err.code == ERR_OK && an_hour_passes());
    int64_t third = grant(10, "any", "paid", 20, 0, 0);
    b = hold_now(l, &who, "b", "m", 10, 0);
    CHECK(b.err.code == ERR_OK);
    CHECK(left(old) == 5 && hold_now(l, &who, "c", "m", 1, 0).err.code == ERR_QUOTA && audit_now(l) == 0);
    CHECK(finish_now(l, b.hold, 10, 0, NULL) == 0 && left(third) == 0 && left(old) == 5);
    CHECK(finish_now(l, a.hold, 15, 0, NULL) == 0 && left(keep) == 0 && left(old) == 0 && balance_now(l, &who, NULL) == 0);
    CHECK(audit_now(l) == 0);
    end();
}

TEST(expiry_while_the_server_was_down)
{
    CHECK(start());
    int64_t id = grant(10, "any", "paid", 50, 0, in_minutes(30)), later = grant(10, "any", "paid", 50, in_minutes(40), 0);
    CHECK(id && later);
    ledger_close(l);
    minutes_pass(60);
    l = open_at(test_dir);
    CHECK(l && balance_now(l, &who, NULL) == 10 && left(id) == 0 && left(later) == 10 && audit_now(l) == 0);
    end();
}

TEST(a_reference_is_one_grant)
{
    CHECK(start());
    struct grant_id a, b;
    struct err e = {0};
    struct grant_new g = {.org = who.org, .amount = {10}, .scope = "any", .funding = "paid", .reference = "invoice-1"};
    CHECK(ledger_grant_create(l, &g, &a, &e) == 0 && ledger_grant_create(l, &g, &b, &e) == 0 && a.v == b.v && balance_now(l, &who, NULL) == 10);
    g.amount.nano = 11;
    CHECK(ledger_grant_create(l, &g, &b, &e) < 0 && e.code == ERR_CONFLICT && strstr(e.msg, "invoice-1") && balance_now(l, &who, NULL) == 10);
    ledger_close(l);
    l = open_at(test_dir);
    g.amount.nano = 10;
    CHECK(l && ledger_grant_create(l, &g, &b, &e) == 0 && a.v == b.v && balance_now(l, &who, NULL) == 10 && audit_now(l) == 0);
    end();
}

TEST(bad_grants_are_refused)
{
    CHECK(start());
    struct err e = {0};
    struct grant_new good = {.org = who.org, .amount = {10}, .scope = "any", .funding = "paid", .priority = 50}, g;
    g = good, g.amount.nano = 0;
    CHECK(ledger_grant_create(l, &g, NULL, &e) < 0 && e.code == ERR_BAD_VALUE && strcmp(e.param, "amount") == 0);
    g = good, g.amount.nano = -5;
    CHECK(ledger_grant_create(l, &g, NULL, &e) < 0 && e.code == ERR_BAD_VALUE);
    g = good, g.scope = "everything";
    CHECK(ledger_grant_create(l, &g, NULL, &e) < 0 && strcmp(e.param, "scope") == 0);
    g = good, g.funding = "stolen";
    CHECK(ledger_grant_create(l, &g, NULL, &e) < 0 && strcmp(e.param, "funding") == 0);
    g = good, g.priority = -1;
    CHECK(ledger_grant_create(l, &g, NULL, &e) < 0);
    g = good, g.expires_us = 5;
    CHECK(ledger_grant_create(l, &g, NULL, &e) < 0 && strcmp(e.param, "expires") == 0);
    g = good, g.org.v = 99;
    CHECK(ledger_grant_create(l, &g, NULL, &e) < 0 && e.code == ERR_NOT_FOUND);
    g = good, g.amount.nano = INT64_MAX;
    CHECK(ledger_grant_create(l, &g, NULL, &e) == 0);
    CHECK(ledger_grant_create(l, &g, NULL, &e) < 0 && e.code == ERR_BAD_VALUE); /* the sum would not fit */
    CHECK(balance_now(l, &who, NULL) == INT64_MAX && audit_now(l) == 0);
    end();
}

TEST(accounts)
{
    CHECK(start());
    struct org_id id;
    struct err e = {0};
    CHECK(ledger_account_create(l, "acme", &id, &e) < 0 && e.code == ERR_CONFLICT);
    CHECK(ledger_account_create(l, "", &id, &e) < 0 && ledger_account_create(l, "a\nb", &id, &e) < 0 &&
          ledger_account_create(l, "\xff", &id, &e) < 0);
    CHECK(ledger_account_find(l, "acme", &id, &e) == 0 && id.v == who.org.v && ledger_account_find(l, "none", &id, &e) < 0 &&
          e.code == ERR_NOT_FOUND);
    CHECK(ledger_balance(l, (struct org_id){99}, NULL, NULL, &e) < 0 && audit_now(l) == 0);
    end();
}

TEST_MAIN()
