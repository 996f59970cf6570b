/* What people do to credit: each deed's booking, that it is done once, who may do it, and what it refuses without a nano-unit moved. */
#include "credit.h"

static struct ledger *l;
static struct principal acme, zeta;
static struct buf out;
static struct err e;

static bool start(void)
{
    atomic_store(&now_us, NOON);
    buf_init(&out, 0);
    l = open_at(dir_new());
    return l && account_with(l, "acme", (struct money){0}, &acme) && account_with(l, "zeta", (struct money){0}, &zeta) &&
           price_now(l, "m", 1000000, 1000000);
}

static void end(void)
{
    ledger_close(l);
    dir_drop();
    buf_deinit(&out);
    atomic_store(&now_us, 0);
}

static int64_t grant(struct grant_new g)
{
    struct grant_id id = {0};
    g.org = acme.org, g.priority = g.priority ? g.priority : 50;
    if (ledger_grant_create(l, &g, &id, &e) < 0)
        printf("grant: %s\n", e.msg);
    return id.v;
}
#define GRANT(nano, ...) grant((struct grant_new){.amount = {nano}, __VA_ARGS__})

static struct hold_answer hold(const struct principal *who, uint32_t tokens)
{
    static int n;
    char request[32];
    snprintf(request, sizeof request, "hold-%d", n++);
    return hold_now(l, who, request, "m", tokens, 0);
}
static bool spend(const struct principal *who, const char *request, uint32_t tokens)
{
    struct hold_answer a = hold_now(l, who, request, "m", tokens, 0);
    return a.err.code == ERR_OK && finish_now(l, a.hold, tokens, 0, NULL) == 0;
}

static int64_t left(int64_t id)
{
    return left_of(l, id);
}
static int64_t booked(const char *code)
{
    return booked_at(l, code);
}

/* ---- deeds, each into `out` ---- */

static const struct deed why = {.actor = "ann", .reason = "a test"};
static struct deed keyed(const char *key)
{
    return (struct deed){.key = key, .actor = "ann", .reason = "a test"};
}
static int voids(int64_t g, struct deed by)
{
    buf_clear(&out);
    return ledger_grant_void(l, (struct grant_id){g}, &by, &out, &e);
}
static int adjust(int64_t g, int64_t nano, struct deed by)
{
    buf_clear(&out);
    return ledger_grant_adjust(l, (struct grant_id){g}, (struct money){nano}, &by, &out, &e);
}
static int transfer(int64_t g, const struct principal *to, int64_t nano, struct deed by)
{
    buf_clear(&out);
    return ledger_grant_transfer(l, (struct grant_id){g}, to->org, (struct money){nano}, &by, &out, &e);
}
static int refund(const char *request, int64_t nano, struct deed by)
{
    const struct money m = {nano};
    buf_clear(&out);
    return ledger_refund(l, request, nano ? &m : NULL, &by, &out, &e);
}
static int approve(int64_t g, const char *actor)
{
    const struct deed by = {.actor = actor};
    buf_clear(&out);
    return ledger_grant_approve(l, (struct grant_id){g}, &by, &out, &e);
}
static int limit(int64_t nano)
{
    const struct money m = {nano};
    return ledger_grant_limit(l, nano < 0 ? NULL : &m, &why, NULL, &e);
}
static bool told(const char *text)
{
    bool ok = out.data && strstr(out.data, text);
    if (!ok)
        printf("%s is not in %s\n", text, out.data ? out.data : "");
    return ok;
}
static bool refused(int rc, enum errcode code, const char *text)
{
    bool ok = rc == -(int)code && e.code == code && strstr(e.msg, text);
    if (!ok)
        printf("%d: %s\n", rc, e.msg);
    return ok;
}

/* ---- void ---- */

TEST(a_void_takes_the_unused_rest)
{
    CHECK(start());
    int64_t g = GRANT(100, .funding = "promotional");
    CHECK(spend(&acme, "r", 30));
    struct hold_answer a = hold(&acme, 20);
    CHECK(voids(g, why) == 0 && told("\"voided\":\"0.00000005\"") && told("\"held\":\"0.00000002\"") && left(g) == 20);
    CHECK(booked("void:promotional") == -50 && balance_now(l, &acme, NULL) == 0 && hold(&acme, 1).err.code == ERR_QUOTA && audit_now(l) == 0);
    CHECK(refused(voids(g, why), ERR_CONFLICT, "is voided") && refused(adjust(g, 5, why), ERR_CONFLICT, "cannot be adjusted: it is voided") &&
          refused(transfer(g, &zeta, 5, why), ERR_CONFLICT, "cannot be transferred"));
    CHECK(finish_now(l, a.hold, 15, 0, NULL) == 0 && left(g) == 0 && booked("void:promotional") == -55 && audit_now(l) == 0);
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && left(g) == 0 && hold(&acme, 1).err.code == ERR_QUOTA && audit_now(l) == 0);
    end();
}

TEST(a_void_of_what_is_held_survives_a_restart)
{
    CHECK(start());
    int64_t g = GRANT(100);
    struct hold_answer a = hold(&acme, 100);
    CHECK(voids(g, why) == 0 && told("\"voided\":\"0.00\"") && left(g) == 100 &&
          ledger_journal(l, &(struct journal_step){a.hold, {.input = 40}}, 1, &e) == 0);
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && left(g) == 0 && booked("void:paid") == -60 && booked("revenue:inference") == -40 && audit_now(l) == 0);
    end();
}

TEST(a_grant_that_waits_is_voided_whole)
{
    CHECK(start());
    int64_t g = GRANT(100, .effective_us = NOON + HOUR);
    CHECK(voids(g, why) == 0 && left(g) == 0 && booked("void:paid") == -100);
    atomic_store(&now_us, NOON + 2 * HOUR);
    CHECK(hold(&acme, 1).err.code == ERR_QUOTA && balance_now(l, &acme, NULL) == 0 && audit_now(l) == 0);
    end();
}

/* ---- adjust ---- */

TEST(an_adjustment_adds_or_takes_away)
{
    CHECK(start());
    int64_t g = GRANT(100, .funding = "goodwill");
    CHECK(adjust(g, 50, why) == 0 && told("\"adjusted\":\"0.00000005\"") && told("\"remaining\":\"0.00000015\"") && left(g) == 150);
    CHECK(booked("adjustment:goodwill") == 50 && balance_now(l, &acme, NULL) == 150 && spend(&acme, "r", 120));
    struct hold_answer a = hold(&acme, 10);
    CHECK(refused(adjust(g, -21, why), ERR_CONFLICT, "has 0.00000002 USD that is neither used nor held") && left(g) == 30);
    CHECK(adjust(g, -20, why) == 0 && left(g) == 10 && booked("adjustment:goodwill") == 30 && balance_now(l, &acme, NULL) == 0);
    CHECK(finish_now(l, a.hold, 0, 0, NULL) == 0 && adjust(g, -10, why) == 0 && left(g) == 0 && audit_now(l) == 0);
    CHECK(adjust(g, 7, why) == 0 && spend(&acme, "s", 7) && audit_now(l) == 0); /* a used one comes back */
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && left(g) == 0 && audit_now(l) == 0);
    end();
}

TEST(adjustments_stay_amounts)
{
    CHECK(start());
    int64_t g = GRANT(INT64_MAX - 10);
    CHECK(refused(adjust(g, 11, why), ERR_BAD_VALUE, "would pass") && adjust(g, 10, why) == 0 && left(g) == INT64_MAX);
    CHECK(refused(adjust(g, 1, why), ERR_BAD_VALUE, "would pass") && adjust(g, -INT64_MAX, why) == 0 && left(g) == 0);
    CHECK(refused(adjust(g, 0, why), ERR_BAD_VALUE, "more or less than 0") && refused(adjust(g, INT64_MIN, why), ERR_BAD_VALUE, "more or less"));
    CHECK(balance_now(l, &acme, NULL) == 0 && audit_now(l) == 0);
    end();
}

/* ---- transfer ---- */

TEST(a_transfer_is_a_grant_of_another_account)
{
    CHECK(start());
    int64_t g = GRANT(100, .funding = "investment", .models = "m", .scope = "inference", .priority = 7, .expires_us = NOON + HOUR);
    struct hold_answer a = hold(&acme, 30);
    CHECK(refused(transfer(g, &zeta, 71, why), ERR_CONFLICT, "has 0.00000007 USD") &&
          refused(transfer(g, &acme, 1, why), ERR_BAD_VALUE, "acme's already") &&
          refused(transfer(g, &(struct principal){.org = {99}}, 1, why), ERR_NOT_FOUND, "no account 99") &&
          refused(transfer(g, &zeta, 0, why), ERR_BAD_VALUE, "more than 0") && refused(transfer(g, &zeta, -1, why), ERR_BAD_VALUE, "more than 0"));
    CHECK(transfer(g, &zeta, 70, why) == 0 && told("\"to\":2") && told("\"account\":\"zeta\"") && told("\"remaining\":\"0.00000003\""));
    CHECK(left(g) == 30 && left(2) == 70 && balance_now(l, &acme, NULL) == 0 && balance_now(l, &zeta, NULL) == 70 && audit_now(l) == 0);
    CHECK(booked("grant_pool:1") == -30 && booked("grant_pool:2") == -70 && booked("contra_revenue:investment") == 100);
    CHECK(spend(&zeta, "r", 60) && refused(voids(3, why), ERR_NOT_FOUND, "no grant 3") && finish_now(l, a.hold, 30, 0, NULL) == 0);
    ledger_close(l);
    atomic_store(&now_us, NOON + HOUR);
    l = open_at(test_dir);
    CHECK(l && left(2) == 0 && booked("breakage:investment") == -10 && balance_now(l, &zeta, NULL) == 0 && audit_now(l) == 0);
    end();
}

TEST(a_grant_goes_from_hand_to_hand)
{
    CHECK(start());
    int64_t g = GRANT(INT64_MAX, .effective_us = NOON + HOUR);
    CHECK(transfer(g, &zeta, 100, why) == 0 && transfer(2, &acme, 40, why) == 0 && left(g) == INT64_MAX - 100 && left(2) == 60 && left(3) == 40);
    CHECK(balance_now(l, &zeta, NULL) == 0 && audit_now(l) == 0);
    atomic_store(&now_us, NOON + HOUR);
    CHECK(spend(&zeta, "r", 60) && balance_now(l, &acme, NULL) == INT64_MAX - 60 && audit_now(l) == 0);
    CHECK(ledger_report_grant(l, (struct grant_id){3}, &out, &e) == 0 && told("\"transferred_from\":2") &&
          told("\"kind\":\"transfer\",\"amount\":\"0.00000004\"") && told("\"actor\":\"ann\",\"reason\":\"a test\""));
    end();
}

/* ---- refund ---- */

TEST(a_refund_goes_back_the_way_it_came)
{
    CHECK(start());
    int64_t first = GRANT(10, .priority = 1), second = GRANT(20, .priority = 2), third = GRANT(30, .priority = 3);
    CHECK(spend(&acme, "r", 45) && left(third) == 15);
    CHECK(refund("r", 20, why) == 0 && told("\"refunded\":\"0.00000002\",\"charged\":\"0.000000045\",\"refundable\":\"0.000000025\"") &&
          told("{\"grant\":3,\"refunded\":\"0.000000015\",\"gone\":\"0.00\"},{\"grant\":2,\"refunded\":\"0.000000005\",\"gone\":\"0.00\"}"));
    CHECK(left(first) == 0 && left(second) == 5 && left(third) == 30 && booked("revenue:inference") == -25 && balance_now(l, &acme, NULL) == 35);
    CHECK(refused(refund("r", 26, why), ERR_CONFLICT, "0.000000025 USD may still be refunded") && audit_now(l) == 0);
    CHECK(refund("r", 0, why) == 0 && told("\"refundable\":\"0.00\"") && left(first) == 10 && left(second) == 20 && booked("revenue:inference") == 0);
    CHECK(refused(refund("r", 0, why), ERR_CONFLICT, "nothing is left to refund") && refused(refund("r", 1, why), ERR_CONFLICT, "nothing is left"));
    CHECK(audit_now(l) == 0 && spend(&acme, "s", 60) && left(third) == 0 && balance_now(l, &acme, NULL) == 0 && audit_now(l) == 0);
    end();
}

TEST(what_cannot_be_refunded)
{
    CHECK(start());
    CHECK(GRANT(10));
    struct hold_answer a = hold_now(l, &acme, "open", "m", 5, 0);
    CHECK(a.err.code == ERR_OK && refused(refund("open", 0, why), ERR_NOT_FOUND, "has not ended") &&
          refused(refund("none", 0, why), ERR_NOT_FOUND, "no request"));
    CHECK(finish_now(l, a.hold, 0, 0, NULL) == 0 && refused(refund("open", 0, why), ERR_CONFLICT, "it was charged 0.00 USD"));
    CHECK(refused(refund("open", -1, why), ERR_BAD_VALUE, "more than 0") && balance_now(l, &acme, NULL) == 10 && audit_now(l) == 0);
    end();
}

TEST(a_refund_brings_nothing_to_life)
{
    CHECK(start());
    int64_t old = GRANT(10, .expires_us = NOON + HOUR, .funding = "promotional"), gone = GRANT(10, .funding = "goodwill"),
            live = GRANT(10, .priority = 60);
    CHECK(spend(&acme, "r", 25));
    atomic_store(&now_us, NOON + HOUR);
    CHECK(adjust(gone, 1, why) == 0 && voids(gone, why) == 0); /* one that is used up has nothing to void */
    CHECK(refund("r", 0, why) == 0 && told("{\"grant\":3,\"refunded\":\"0.000000005\",\"gone\":\"0.00\"}") &&
          told("{\"grant\":1,\"refunded\":\"0.00000001\",\"gone\":\"0.00000001\"}"));
    CHECK(left(old) == 0 && left(gone) == 0 && left(live) == 10 && balance_now(l, &acme, NULL) == 10 && booked("breakage:promotional") == -10 &&
          booked("void:goodwill") == -11 && booked("revenue:inference") == 0 && audit_now(l) == 0);
    end();
}

TEST(the_receipt_tells_what_came_back)
{
    CHECK(start());
    CHECK(GRANT(10, .priority = 1) && GRANT(10, .priority = 2) && spend(&acme, "r", 15) && refund("r", 7, why) == 0);
    buf_clear(&out);
    CHECK(ledger_receipt(l, "r", &acme, &out, &e) == 0 && told("\"charged\":\"0.000000015\"") && told("\"refunded\":\"0.000000007\"") &&
          told("\"agrees\":true"));
    CHECK(told("\"grant\":1,\"paid\":\"0.00000001\",\"refunded\":\"0.000000002\"") &&
          told("\"grant\":2,\"paid\":\"0.000000005\",\"refunded\":\"0.000000005\""));
    end();
}

/* ---- once ---- */

TEST(a_key_is_one_deed)
{
    CHECK(start());
    char first[512];
    int64_t g = GRANT(100, .by = keyed("make")), again = GRANT(100, .by = keyed("make"));
    CHECK(g == 1 && again == 1 && spend(&acme, "r", 10) && adjust(g, 5, keyed("a")) == 0);
    snprintf(first, sizeof first, "%s", out.data);
    for (int i = 0; i < 3; i++)
        CHECK(adjust(g, 5, keyed("a")) == 0 && strcmp(out.data, first) == 0 && left(g) == 95);
    CHECK(refused(adjust(g, 6, keyed("a")), ERR_CONFLICT, "'a' was used for something else (operation 2)") &&
          refused(voids(g, keyed("a")), ERR_CONFLICT, "used for something else") && strcmp(e.param, "idempotency_key") == 0);
    CHECK(transfer(g, &zeta, 5, keyed("t")) == 0 && transfer(g, &zeta, 5, keyed("t")) == 0 && told("\"to\":2") && left(g) == 90 && l->grants.n == 2);
    CHECK(refund("r", 4, keyed("r")) == 0 && refund("r", 4, keyed("r")) == 0 && left(g) == 94);
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && adjust(g, 5, keyed("a")) == 0 && strcmp(out.data, first) == 0 && left(g) == 94);
    CHECK(voids(g, keyed("v")) == 0 && voids(g, keyed("v")) == 0 && told("\"voided\":\"0.000000094\"") && booked("void:paid") == -94);
    CHECK(GRANT(100, .by = keyed("make")) == 1 && l->grants.n == 2 && audit_now(l) == 0); /* though it is voided by now */
    end();
}

TEST(what_failed_may_be_tried_again_with_its_key)
{
    CHECK(start());
    int64_t g = GRANT(10);
    CHECK(refused(adjust(g, -11, keyed("k")), ERR_CONFLICT, "neither used nor held") && adjust(g, 5, why) == 0 && adjust(g, -11, keyed("k")) == 0);
    CHECK(left(g) == 4 && audit_now(l) == 0);
    end();
}

TEST(who_and_why)
{
    CHECK(start());
    int64_t g = GRANT(10);
    char text[LEDGER_REASON_MAX + 2];
    memset(text, 'x', sizeof text - 1), text[sizeof text - 1] = 0;
    CHECK(refused(adjust(g, 1, (struct deed){.actor = "ann"}), ERR_BAD_VALUE, "a reason is missing") && strcmp(e.param, "reason") == 0);
    CHECK(refused(adjust(g, 1, (struct deed){.reason = text}), ERR_BAD_VALUE, "reason has 1 to 500 bytes"));
    CHECK(refused(voids(g, (struct deed){.reason = "x", .actor = ""}), ERR_BAD_VALUE, "actor has 1 to 127 bytes") &&
          refused(voids(g, (struct deed){.reason = "x", .key = "\n"}), ERR_BAD_VALUE, "idempotency_key has"));
    CHECK(adjust(g, 1, (struct deed){.reason = text + 1}) == 0 && left(g) == 11 && audit_now(l) == 0);
    CHECK(ledger_report_grant(l, (struct grant_id){g}, &out, &e) == 0 && told("\"actor\":\"admin\""));
    end();
}

/* ---- a second person ---- */

TEST(above_the_limit_a_second_person_approves)
{
    CHECK(start());
    CHECK(limit(100) == 0);
    int64_t small = GRANT(100, .by = {.actor = "ann"}), big = GRANT(101, .by = {.actor = "ann"}, .funding = "paid", .expires_us = NOON + HOUR);
    CHECK(left(small) == 100 && left(big) == 0 && balance_now(l, &acme, NULL) == 100 && booked("cash") == 100 && audit_now(l) == 0);
    CHECK(refused(approve(big, "ann"), ERR_FORBIDDEN, "ann made grant 2; somebody else") &&
          refused(approve(big, "ANN"), ERR_FORBIDDEN, "somebody else"));
    CHECK(refused(adjust(big, 1, why), ERR_CONFLICT, "is not approved yet") &&
          refused(transfer(big, &zeta, 1, why), ERR_CONFLICT, "is not approved yet") &&
          refused(approve(small, "bob"), ERR_CONFLICT, "it is approved and live") && hold(&acme, 101).err.code == ERR_QUOTA);
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && left(big) == 0 && approve(big, "bob") == 0 && told("\"made_by\":\"ann\",\"approved_by\":\"bob\"") && left(big) == 101);
    CHECK(booked("cash") == 201 && balance_now(l, &acme, NULL) == 201 && spend(&acme, "r", 201) &&
          refused(approve(big, "bob"), ERR_CONFLICT, "approved"));
    CHECK(audit_now(l) == 0);
    end();
}

TEST(a_grant_that_nobody_approves)
{
    CHECK(start());
    CHECK(limit(0) == 0);
    int64_t late = GRANT(5, .expires_us = NOON + HOUR), no = GRANT(6), later = GRANT(7, .effective_us = NOON + 3 * HOUR);
    CHECK(voids(no, why) == 0 && told("\"voided\":\"0.00\"") && refused(approve(no, "bob"), ERR_CONFLICT, "it is voided"));
    CHECK(approve(later, "bob") == 0 && left(later) == 7 && balance_now(l, &acme, NULL) == 0);
    atomic_store(&now_us, NOON + HOUR);
    CHECK(refused(approve(late, "bob"), ERR_CONFLICT, "it is expired") && left(late) == 0 && booked("cash") == 7 && booked("void:paid") == 0);
    atomic_store(&now_us, NOON + 3 * HOUR);
    CHECK(spend(&acme, "r", 7) && !spend(&acme, "s", 1) && audit_now(l) == 0);
    end();
}

TEST(the_limit)
{
    CHECK(start());
    CHECK(ledger_report_limit(l, &out, &e) == 0 && told("\"limit\":\"none\"") && limit(100) == 0 &&
          refused(adjust(GRANT(50), 101, why), ERR_FORBIDDEN, "a second person"));
    ledger_close(l);
    l = open_at(test_dir);
    buf_clear(&out);
    CHECK(l && ledger_report_limit(l, &out, &e) == 0 && told("\"limit\":\"0.0000001\"") && adjust(1, 100, why) == 0);
    CHECK(limit(-1) == 0 && left(GRANT(1000)) == 1000 &&
          refused(ledger_grant_limit(l, &(struct money){-2}, &why, NULL, &e), ERR_BAD_VALUE, "or none"));
    CHECK(refused(ledger_grant_limit(l, NULL, &(struct deed){0}, NULL, &e), ERR_BAD_VALUE, "a reason is missing") && audit_now(l) == 0);
    end();
}

TEST_MAIN()
