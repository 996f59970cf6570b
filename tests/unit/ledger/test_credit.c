/* What a grant is for and when: models, scopes, times, by a clock that this test sets; what it is worth, and where what ends of it is booked. */
#include "credit.h"

static struct ledger *l;
static struct principal who, zeta;

static bool start(void)
{
    atomic_store(&now_us, NOON);
    l = open_at(dir_new());
    return l && account_with(l, "acme", (struct money){0}, &who) && account_with(l, "zeta", (struct money){0}, &zeta) &&
           price_now(l, "m", 1000000, 1000000) && price_now(l, "n", 1000000, 1000000) && price_now(l, "o", 1000000, 1000000);
}

static void end(void)
{
    ledger_close(l);
    dir_drop();
    atomic_store(&now_us, 0);
}

static int64_t made(struct grant_new g)
{
    struct grant_id id = {0};
    struct err e = {0};
    g.org = who.org, g.priority = g.priority ? g.priority : 50;
    if (ledger_grant_create(l, &g, &id, &e) < 0)
        printf("grant: %s\n", e.msg);
    return id.v;
}
#define GRANT(nano, ...) made((struct grant_new){.amount = {nano}, __VA_ARGS__})

static int64_t left(int64_t id)
{
    return left_of(l, id);
}
static int64_t booked(const char *code)
{
    return booked_at(l, code);
}

static struct hold_answer hold(const char *model, const char *scope, uint32_t tokens)
{
    static int n;
    char request[32];
    struct waiter w;
    snprintf(request, sizeof request, "hold-%d", n++);
    waiter_init(&w);
    ledger_hold(l, &(struct hold_req){.who = who, .request = request, .model = model, .scope = scope, .input = tokens}, waiter_fn, &w);
    return waiter_wait(&w);
}

static bool spend(const char *model, const char *scope, uint32_t tokens)
{
    struct hold_answer a = hold(model, scope, tokens);
    return a.err.code == ERR_OK && finish_now(l, a.hold, tokens, 0, NULL) == 0;
}

/* ---- what it is for ---- */

TEST(named_models_before_every_model_then_the_scope_then_the_priority)
{
    CHECK(start());
    int64_t every = GRANT(10, .scope = "any", .priority = 1), own = GRANT(10, .scope = "inference", .priority = 2),
            named = GRANT(10, .scope = "any", .models = "m,n", .priority = 9),
            named_own = GRANT(10, .scope = "inference", .models = "m", .priority = 9),
            late = GRANT(10, .scope = "any", .models = "m,o", .priority = 10);
    CHECK(spend("m", NULL, 9) && left(named_own) == 1 && spend("m", NULL, 2) && left(named_own) == 0 && left(named) == 9);
    CHECK(spend("m", NULL, 10) && left(named) == 0 && left(late) == 9);
    CHECK(spend("m", NULL, 10) && left(late) == 0 && left(own) == 9);
    CHECK(spend("n", NULL, 10) && left(own) == 0 && left(every) == 9 && audit_now(l) == 0);
    end();
}

TEST(credit_for_a_model_is_for_no_other)
{
    CHECK(start());
    int64_t named = GRANT(10, .models = "m, n"), every = GRANT(5, .models = "all");
    struct hold_answer a = hold("o", NULL, 6);
    CHECK(a.err.code == ERR_QUOTA && strstr(a.err.msg, "has 0.000000005 USD left to spend on inference with this model (0.000000015 in all"));
    CHECK(spend("o", NULL, 5) && left(named) == 10 && left(every) == 0 && !spend("o", NULL, 1) && spend("n", NULL, 10) && audit_now(l) == 0);
    end();
}

TEST(credit_of_a_scope)
{
    CHECK(start());
    int64_t inference = GRANT(10, .scope = "inference"), embeddings = GRANT(10, .scope = "embeddings"), training = GRANT(10, .scope = "training"),
            any = GRANT(10, .scope = "any");
    CHECK(balance_now(l, &who, NULL) == 40);
    CHECK(spend("m", "embeddings", 12) && left(embeddings) == 0 && left(any) == 8 && left(inference) == 10);
    CHECK(spend("m", "inference", 13) && left(inference) == 0 && left(any) == 5 && !spend("m", "embeddings", 6) && spend("m", NULL, 5));
    CHECK(left(training) == 10 && hold("m", "training", 1).err.code == ERR_BAD_VALUE && hold("m", "any", 1).err.code == ERR_BAD_VALUE);
    CHECK(balance_now(l, &who, NULL) == 10 && audit_now(l) == 0);
    end();
}

/* What a hold reserves survives the process, scope and grants too. */
TEST(a_hold_of_embeddings_after_a_restart)
{
    CHECK(start());
    struct err e;
    int64_t embeddings = GRANT(10, .scope = "embeddings", .models = "m"), any = GRANT(10, .scope = "any");
    struct hold_answer a = hold("m", "embeddings", 15);
    CHECK(a.err.code == ERR_OK && ledger_journal(l, &(struct journal_step){a.hold, {.input = 12}}, 1, &e) == 0);
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && left(embeddings) == 0 && left(any) == 8 && balance_now(l, &who, NULL) == 8 && audit_now(l) == 0);
    end();
}

/* Decided at the capture, of what no other hold reserves: what another gave back meanwhile pays first. */
TEST(the_order_is_that_of_the_capture)
{
    CHECK(start());
    int64_t first = GRANT(10, .priority = 1), second = GRANT(10, .priority = 2);
    struct hold_answer a = hold("m", NULL, 8), b = hold("m", NULL, 8), c;
    CHECK(finish_now(l, a.hold, 1, 0, NULL) == 0 && finish_now(l, b.hold, 8, 0, NULL) == 0 && left(first) == 1 && left(second) == 10);
    CHECK(audit_now(l) == 0);
    a = hold("m", NULL, 1), b = hold("m", NULL, 5), c = hold("m", NULL, 5); /* the first grant is all reserved by a */
    CHECK(finish_now(l, b.hold, 5, 0, NULL) == 0 && left(first) == 1 && left(second) == 5 && finish_now(l, a.hold, 0, 0, NULL) == 0);
    CHECK(finish_now(l, c.hold, 5, 0, NULL) == 0 && left(first) == 0 && left(second) == 1 && audit_now(l) == 0);
    end();
}

/* ---- when ---- */

TEST(expired_credit_is_never_spent)
{
    CHECK(start());
    int64_t old = GRANT(10, .expires_us = NOON + HOUR), keep = GRANT(3, .priority = 60);
    struct hold_answer a = hold("m", NULL, 6);
    atomic_store(&now_us, NOON + HOUR - 1);
    CHECK(a.err.code == ERR_OK && spend("m", NULL, 1) && left(old) == 9);
    atomic_store(&now_us, NOON + HOUR); /* nobody has looked yet: the next hold is the first to know */
    CHECK(hold("m", NULL, 4).err.code == ERR_QUOTA && left(old) == 6 && booked("breakage:paid") == -3);
    CHECK(spend("m", NULL, 3) && left(keep) == 0 && hold("m", NULL, 1).err.code == ERR_QUOTA);
    CHECK(finish_now(l, a.hold, 5, 0, NULL) == 0 && left(old) == 0 && booked("breakage:paid") == -4 && audit_now(l) == 0);
    end();
}

TEST(a_slice_after_the_expiry_is_not_of_expired_credit)
{
    CHECK(start());
    int64_t old = GRANT(10, .expires_us = NOON + HOUR), keep = GRANT(5, .priority = 60);
    struct hold_answer a = hold("m", NULL, 4);
    atomic_store(&now_us, NOON + 2 * HOUR);
    CHECK(more_now(l, a.hold, 6).err.code == ERR_QUOTA && more_now(l, a.hold, 5).err.code == ERR_OK && left(old) == 4);
    CHECK(finish_now(l, a.hold, 4, 3, NULL) == 0 && left(old) == 0 && left(keep) == 2 && audit_now(l) == 0); /* 4 and 3 */
    end();
}

TEST(a_clock_that_goes_back_brings_nothing_to_life)
{
    CHECK(start());
    int64_t old = GRANT(10, .expires_us = NOON + HOUR), later = GRANT(10, .effective_us = NOON + HOUR, .models = "n");
    struct hold_answer a = hold("m", NULL, 4);
    atomic_store(&now_us, NOON + 2 * HOUR);
    CHECK(hold("m", NULL, 1).err.code == ERR_QUOTA && left(old) == 4 && balance_now(l, &who, NULL) == 10);
    atomic_store(&now_us, NOON);
    CHECK(hold("m", NULL, 1).err.code == ERR_QUOTA && finish_now(l, a.hold, 1, 0, NULL) == 0 && left(old) == 0);
    CHECK(hold("m", NULL, 1).err.code == ERR_QUOTA && spend("n", NULL, 10) && left(later) == 0 && audit_now(l) == 0); /* it had begun */
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && hold("m", NULL, 1).err.code == ERR_QUOTA && left(old) == 0 && audit_now(l) == 0);
    end();
}

TEST(each_funding_has_its_breakage)
{
    CHECK(start());
    static const char *const fundings[] = {"paid", "promotional", "investment", "goodwill"};
    for (int i = 0; i < 4; i++)
        CHECK(GRANT(10 * (i + 1), .funding = fundings[i], .expires_us = NOON + HOUR));
    CHECK(booked("cash") == 10 && booked("contra_revenue:paid") == 0 && booked("contra_revenue:promotional") == 20 &&
          booked("contra_revenue:investment") == 30 && booked("contra_revenue:goodwill") == 40 && booked("grant_pool:4") == -40);
    atomic_store(&now_us, NOON + HOUR);
    CHECK(hold("m", NULL, 1).err.code == ERR_QUOTA && booked("breakage:paid") == -10 && booked("breakage:promotional") == -20 &&
          booked("breakage:investment") == -30 && booked("breakage:goodwill") == -40 && booked("grant_pool:4") == 0 && audit_now(l) == 0);
    end();
}

TEST(a_grant_that_expires_before_the_server_saw_it_begin)
{
    CHECK(start());
    int64_t id = GRANT(10, .effective_us = NOON + HOUR, .expires_us = NOON + 2 * HOUR);
    ledger_close(l);
    atomic_store(&now_us, NOON + 3 * HOUR);
    l = open_at(test_dir);
    CHECK(l && left(id) == 0 && balance_now(l, &who, NULL) == 0 && booked("breakage:paid") == -10 && audit_now(l) == 0);
    end();
}

/* ---- what it is worth ---- */

TEST(cash_and_discount)
{
    CHECK(start());
    const struct money cash = {70}, list = {120};
    CHECK(GRANT(100, .funding = "paid", .cash_received = &cash, .list_value = &list, .counterparty = "Acme Ltd", .instrument = "order 7"));
    CHECK(booked("cash") == 70 && booked("contra_revenue:paid") == 30 && booked("grant_pool:1") == -100 && audit_now(l) == 0);
    struct buf out;
    struct err e;
    buf_init(&out, 0);
    CHECK(ledger_report_grant(l, (struct grant_id){1}, &out, &e) == 0);
    const char *const words[] = {"\"cash_received\":\"0.00000007\"",
                                 "\"list_value\":\"0.00000012\"",
                                 "\"counterparty\":\"Acme Ltd\"",
                                 "\"instrument\":\"order 7\"",
                                 "\"created_by\":\"admin\"",
                                 "\"models\":\"all\"",
                                 "\"spent\":\"0.00\""};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        CHECK_MSG(strstr(out.data, words[i]), "%s is not in %s", words[i], out.data);
    CHECK(ledger_report_grant(l, (struct grant_id){2}, &out, &e) == -ERR_NOT_FOUND && strstr(e.msg, "no grant 2"));
    buf_deinit(&out);
    end();
}

static bool refused(struct grant_new g, const char *param, const char *says)
{
    struct err e = {0};
    g.org = who.org;
    if (ledger_grant_create(l, &g, NULL, &e) < 0 && e.code == ERR_BAD_VALUE && strcmp(e.param, param) == 0 && strstr(e.msg, says))
        return true;
    return printf("%s: %s\n", e.param, e.msg), false;
}
#define REFUSED(param, says, ...) refused((struct grant_new){.amount = {10}, __VA_ARGS__}, param, says)

TEST(what_a_grant_cannot_be)
{
    CHECK(start());
    const struct money less = {-1}, more = {11}, some = {1};
    CHECK(REFUSED("models", "no model q has a price", .models = "m,q") && REFUSED("models", "an empty name", .models = "m,,n") &&
          REFUSED("models", "an empty name", .models = ""));
    CHECK(REFUSED("effective", "begin in the past", .effective_us = NOON - 1) && REFUSED("expires", "expired already", .expires_us = NOON) &&
          REFUSED("expires", "expire before it begins", .effective_us = NOON + 9, .expires_us = NOON + 9));
    CHECK(REFUSED("cash_received", "the cash received is 0 to the amount", .cash_received = &less) &&
          REFUSED("cash_received", "the cash received is 0 to the amount", .cash_received = &more) &&
          REFUSED("cash_received", "goodwill credit is not paid for", .cash_received = &some, .funding = "goodwill") &&
          REFUSED("list_value", "0 or more", .list_value = &less));
    CHECK(REFUSED("counterparty", "1 to 127 bytes", .counterparty = "") && REFUSED("instrument", "without control", .instrument = "a\nb") &&
          REFUSED("reference", "UTF-8", .reference = "\xff") && REFUSED("actor", "1 to 127 bytes", .by.actor = ""));
    CHECK(balance_now(l, &who, NULL) == 0 && l->grants.n == 0 && booked("cash") == 0 && audit_now(l) == 0);
    end();
}

TEST(all_credit_together_is_an_amount)
{
    CHECK(start());
    int64_t most = GRANT(INT64_MAX - 5, .scope = "inference"), rest = GRANT(5, .scope = "any");
    CHECK(most && rest && REFUSED("amount", "would pass 9223372036", .scope = "training") && balance_now(l, &who, NULL) == INT64_MAX);
    CHECK(hold("m", NULL, 5).err.code == ERR_OK && balance_now(l, &who, NULL) == INT64_MAX - 5 && audit_now(l) == 0);
    end();
}

TEST_MAIN()
