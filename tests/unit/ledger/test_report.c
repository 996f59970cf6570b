/* Reports say what happened, add up, and a backup is a ledger. */
#include "base/json.h"
#include "ledger/ledger_int.h"
#include "ledger/usage.h"
#include "lib.h"

static struct ledger *l;
static struct principal acme, zeta;
static struct buf text;
static struct json *j;

static bool request(struct principal *who, const char *name, const char *model, uint32_t in, uint32_t out, int64_t end_us)
{
    struct err e;
    struct hold_answer a = hold_now(l, who, name, model, in + 4, out);
    return a.err.code == ERR_OK && ledger_finish(l,
                                                 &(struct finish_req){.hold = a.hold,
                                                                      .counts = {.input = in, .cache_read = 4, .output = out},
                                                                      .reason = FINISH_LENGTH,
                                                                      .status = 200,
                                                                      .stream = true,
                                                                      .start_us = end_us - 5,
                                                                      .first_us = end_us - 3,
                                                                      .end_us = end_us},
                                                 NULL, &e) == 0;
}

static const int64_t day1 = 1767225600000000 /* 2026-01-01 */, hour = 3600 * 1000000ll;

static bool start(void)
{
    l = open_at(dir_new());
    buf_init(&text, 0);
    return l && account_with(l, "acme", USD(2), &acme) && account_with(l, "zeta", USD(3), &zeta) && price_now(l, "m", 1000000000, 2000000000) &&
           price_now(l, "org/n", 0, 4000000000) && request(&acme, "a1", "m", 1000, 10, day1 + hour) &&
           request(&acme, "a2", "org/n", 1, 1, day1 + hour + 5) && request(&acme, "a3", "m", 1, 1, day1 + 2 * hour) &&
           request(&zeta, "z1", "m", 7, 7, day1 + 30 * hour);
}

static void end(void)
{
    json_free(j);
    j = NULL;
    buf_deinit(&text);
    ledger_close(l);
    dir_drop();
}

static bool parsed(int rc)
{
    struct err e;
    json_free(j);
    j = NULL;
    bool ok = rc == 0 && json_parse(&j, text.data, text.len, &e) == 0 && json_type(j) == JSON_ARR;
    if (!ok)
        printf("report: %d %s\n", rc, text.data ? text.data : "");
    buf_clear(&text);
    return ok;
}

static bool usage(const char *account, const char *model, const char *group, int64_t since, int64_t until, uint32_t limit)
{
    struct err e = {0};
    return parsed(ledger_report_usage(
        l, &(struct usage_filter){.account = account, .model = model, .since_us = since, .until_us = until, .group = group, .limit = limit}, &text,
        &e));
}

static bool is(size_t row, const char *key, const char *want)
{
    return str_eqz(json_str(json_get(json_at(j, row), key)), want);
}
static int64_t num(size_t row, const char *key)
{
    return json_int(json_get(json_at(j, row), key));
}

TEST(usage_by_each_group)
{
    CHECK(start());
    CHECK(usage(NULL, NULL, NULL, 0, 0, 0) && json_len(j) == 2 && is(0, "day", "2026-01-02") && is(1, "day", "2026-01-01"));
    CHECK(num(1, "requests") == 3 && num(1, "input") == 1002 && num(1, "cache_read") == 12 && num(1, "output") == 12);
    /* (1001 + 11 * 2) micro-units, 8 cached tokens at half price, 1 token at 4 micro-units */
    CHECK(is(1, "cost", "0.001031") && is(1, "currency", "USD") && is(0, "cost", "0.000023"));
    CHECK(usage(NULL, NULL, "hour", 0, 0, 0) && json_len(j) == 3 && is(2, "hour", "2026-01-01T01:00Z") && num(2, "requests") == 2);
    CHECK(usage(NULL, NULL, "model", 0, 0, 0) && json_len(j) == 2 && is(1, "model", "org/n") && is(1, "cost", "0.000004"));
    CHECK(usage(NULL, NULL, "account", 0, 0, 0) && json_len(j) == 2 && is(0, "account", "acme") && num(0, "requests") == 3);
    CHECK(usage("zeta", NULL, "request", 0, 0, 0) && json_len(j) == 1 && is(0, "request", "z1") && is(0, "reason", "length") &&
          num(0, "status") == 200 && is(0, "revision", "repo@1:file") && is(0, "end", "2026-01-02T06:00:00.000000Z") &&
          num(0, "price_version") == 1 && json_bool(json_get(json_at(j, 0), "stream")));
    CHECK(usage("acme", "m", "request", 0, 0, 0) && json_len(j) == 2 && is(0, "request", "a3"));
    CHECK(usage("acme", NULL, "request", 0, 0, 1) && json_len(j) == 1 && usage(NULL, NULL, "request", day1 + 2 * hour, day1 + 30 * hour, 0) &&
          json_len(j) == 1);
    CHECK(usage(NULL, "none", "day", 0, 0, 0) && json_len(j) == 0);
    struct err e = {0};
    CHECK(ledger_report_usage(l, &(struct usage_filter){.group = "year"}, &text, &e) < 0 && e.code == ERR_BAD_VALUE && strcmp(e.param, "group") == 0);
    CHECK(ledger_report_usage(l, &(struct usage_filter){.account = "nobody"}, &text, &e) < 0 && e.code == ERR_NOT_FOUND);
    CHECK(ledger_report_usage(l, &(struct usage_filter){.account = "x' OR '1'='1"}, &text, &e) < 0);
    end();
}

TEST(accounts_keys_grants_prices)
{
    struct err e;
    CHECK(start() && parsed(ledger_report_accounts(l, &text, &e)) && json_len(j) == 2 && is(0, "account", "acme") && is(0, "balance", "1.998969") &&
          is(0, "held", "0.00") && is(0, "granted", "2.00") && is(0, "spent", "0.001031") && is(0, "currency", "USD") && num(0, "keys") == 1);
    struct hold_answer a = hold_now(l, &acme, "held", "m", 0, 1000000);
    CHECK(a.err.code == ERR_QUOTA && (a = hold_now(l, &acme, "held2", "m", 0, 500000)).err.code == ERR_OK);
    CHECK(parsed(ledger_report_accounts(l, &text, &e)) && is(0, "held", "1.00") && is(0, "balance", "0.998969"));
    CHECK(parsed(ledger_report_keys(l, "zeta", &text, &e)) && json_len(j) == 1 && is(0, "account", "zeta") && is(0, "state", "live") &&
          json_str(json_get(json_at(j, 0), "id")).n == 10 && json_str(json_get(json_at(j, 0), "last4")).n == 4 &&
          json_type(json_get(json_at(j, 0), "expires")) == JSON_NULL);
    CHECK(parsed(ledger_report_grants(l, NULL, &text, &e)) && json_len(j) == 2 && is(0, "amount", "2.00") && is(0, "remaining", "1.998969") &&
          is(0, "funding", "paid") && is(0, "scope", "any") && num(0, "priority") == 50 && is(0, "state", "live"));
    CHECK(price_now(l, "m", 1500000000, 2500000000) && parsed(ledger_report_prices(l, NULL, false, &text, &e)) && json_len(j) == 2 &&
          is(0, "model", "m") && num(0, "version") == 2 && is(0, "input", "1.50") && is(0, "output", "2.50") && is(0, "cache_read", "0.75") &&
          is(1, "model", "org/n"));
    end();
}

/* The same numbers from every report, from the balance and from the grants. */
TEST(totals_agree)
{
    CHECK(start());
    int64_t sum[4] = {0};
    const char *groups[] = {"day", "model", "account", "request"};
    struct err e;
    for (int g = 0; g < 4; g++) {
        CHECK(usage(NULL, NULL, groups[g], 0, 0, 0));
        for (size_t i = 0; i < json_len(j); i++) {
            struct money m;
            CHECK(money_parse(&m, json_str(json_get(json_at(j, i), "cost")), &e) == 0);
            sum[g] += m.nano;
        }
    }
    CHECK(sum[0] > 0 && sum[0] == sum[1] && sum[1] == sum[2] && sum[2] == sum[3]);
    CHECK(USD(5).nano - balance_now(l, &acme, NULL) - balance_now(l, &zeta, NULL) == sum[0] && audit_now(l) == 0);
    end();
}

TEST(a_backup_is_a_ledger)
{
    CHECK(start());
    struct err e = {0};
    struct hold_answer a = hold_now(l, &acme, "open", "m", 10, 10);
    CHECK(a.err.code == ERR_OK && ledger_journal(l, &(struct journal_step){a.hold, {.input = 10, .output = 2}}, 1, &e) == 0);
    char dir[160];
    snprintf(dir, sizeof dir, "%s/backup", test_dir);
    CHECK_MSG(ledger_backup(l, dir, &e) == 0, "%s", e.msg);
    CHECK(ledger_backup(l, dir, &e) < 0 && e.code == ERR_CONFLICT);
    CHECK(finish_now(l, a.hold, 10, 10, NULL) == 0);
    int64_t before = balance_now(l, &acme, NULL);
    char key[LEDGER_KEY_MAX];
    struct ledger *b = open_at(dir);                                                /* beside the living one: it is another store */
    CHECK(b && balance_now(b, &acme, NULL) == before + 16000 && audit_now(b) == 0); /* the open request ended there with what was journaled */
    CHECK(ledger_key_create(b, acme.org, "new", 0, NULL, key, &e) == 0);
    ledger_close(b);
    CHECK(balance_now(l, &acme, NULL) == before && audit_now(l) == 0);
    end();
}

TEST(a_backup_keeps_the_keys)
{
    l = open_at(dir_new());
    struct err e;
    struct org_id org;
    char key[LEDGER_KEY_MAX], dir[160];
    CHECK(l && ledger_account_create(l, "acme", &org, &e) == 0 && ledger_key_create(l, org, NULL, 0, NULL, key, &e) == 0);
    snprintf(dir, sizeof dir, "%s/backup", test_dir);
    CHECK(ledger_backup(l, dir, &e) == 0);
    struct ledger *b = open_at(dir);
    CHECK(b && ledger_principal(b, str_of(key), &acme, &e) == 0);
    ledger_close(b);
    ledger_close(l);
    dir_drop();
}

TEST_MAIN()
