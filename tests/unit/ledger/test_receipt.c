/* Receipts: every figure against this file's own arithmetic, the grants in their order with the reason of each place, who may see one, and a
 * store that was changed behind the ledger's back: the receipt says so, and the audit does too. */
#include "base/json.h"
#include "db/db.h"
#include "ledger/ledger_int.h"
#include "lib.h"

static struct ledger *l;
static struct principal acme, zeta;
static struct buf text;
static struct json *j;

/* Half to even, by counting: no function of src/ledger/money.c. */
static int64_t cost(int64_t tokens, int64_t rate)
{
    __int128 p = (__int128)tokens * rate, nano = p / 1000000, rest = p - nano * 1000000;
    return (int64_t)(nano + (rest > 500000 || (rest == 500000 && nano % 2 == 1)));
}

static bool grant(const struct principal *who, int64_t nano, const char *scope, const char *funding, int priority, int64_t expires_us)
{
    struct err e = {0};
    if (ledger_grant_create(
            l,
            &(struct grant_new){
                .org = who->org, .amount = {nano}, .scope = scope, .funding = funding, .priority = priority, .expires_us = expires_us},
            NULL, &e) == 0)
        return true;
    return printf("grant: %s\n", e.msg), false;
}

/* acme has grants that each rule of the order tells from the one before; zeta has one. */
static bool start(void)
{
    struct err e = {0};
    const struct price_new p = {
        .model = "m", .input = {500000}, .cache_read = {1500000}, .cache_write = {2500001}, .output = {7000000}, .reasoning = {3}};
    int64_t soon = clock_now_us() + 3600 * 1000000ll;
    l = open_at(dir_new());
    buf_init(&text, 0);
    return l && account_with(l, "acme", (struct money){0}, &acme) && account_with(l, "zeta", USD(1), &zeta) &&
           ledger_price_set(l, &p, NULL, &e) == 0 && grant(&acme, 5, "any", "paid", 50, 0) /* grant 2 */ && grant(&acme, 6, "any", "paid", 50, 0) &&
           grant(&acme, 7, "any", "promotional", 50, 0) && grant(&acme, 8, "any", "paid", 50, soon) && grant(&acme, 9, "any", "paid", 10, 0) &&
           grant(&acme, 10, "inference", "paid", 90, 0) && grant(&acme, 100000, "any", "investment", 900, 0);
}

static void end(void)
{
    json_free(j);
    j = NULL;
    buf_deinit(&text);
    ledger_close(l);
    dir_drop();
}

static int finish(struct hold_answer a, struct usage_counts c)
{
    struct err e = {0};
    const struct finish_req q = {
        .hold = a.hold, .counts = c, .reason = FINISH_LENGTH, .status = 200, .stream = true, .start_us = 1000000, .end_us = 3000000};
    return a.err.code == ERR_OK ? ledger_finish(l, &q, NULL, &e) : -1;
}

static int receipt(const char *request, const struct principal *who, struct err *e)
{
    json_free(j);
    j = NULL;
    buf_clear(&text);
    int rc = ledger_receipt(l, request, who, &text, e);
    return rc == 0 ? json_parse(&j, text.data, text.len, e) : rc;
}

static int64_t nano(const struct json *obj, const char *key)
{
    struct money m = {INT64_MIN};
    struct err e;
    if (money_parse(&m, json_str(json_get(obj, key)), &e) < 0)
        printf("%s: %s\n", key, e.msg);
    return m.nano;
}
static bool is(const struct json *obj, const char *key, const char *want)
{
    return str_eqz(json_str(json_get(obj, key)), want);
}
static int64_t num(const struct json *obj, const char *key)
{
    return json_int(json_get(obj, key));
}
static bool agrees(void)
{
    bool ok = json_bool(json_get(j, "agrees")) && json_len(json_get(j, "differences")) == 0;
    if (!ok)
        printf("%s\n", text.data ? text.data : "");
    return ok;
}

TEST(each_meter_its_product_and_its_rounding)
{
    CHECK(start());
    struct err e = {0};
    const struct usage_counts c = {.input = 1, .cache_read = 1, .cache_write = 5, .output = 3, .reasoning = 7, .accepted_draft = 2};
    const int64_t tokens[] = {1, 1, 5, 3, 7}, rates[] = {500000, 1500000, 2500001, 7000000, 3};
    const char *exact[] = {"0.5", "1.5", "12.500005", "21", "0.000021"}, *rounding[] = {"tie", "tie", "up", "none", "down"};
    CHECK(finish(hold_now(l, &acme, "r", "m", 10, 20), c) == 0 && receipt("r", &acme, &e) == 0 && agrees());
    const struct json *shown = json_get(j, "meters");
    int64_t sum = 0;
    CHECK(json_len(shown) == 5);
    for (size_t i = 0; i < 5; i++) {
        const struct json *m = json_at(shown, i);
        int64_t want = cost(tokens[i], rates[i]);
        char digits[24];
        snprintf(digits, sizeof digits, "%lld", (long long)want);
        CHECK_MSG(is(m, "meter", meters[i].name) && num(m, "tokens") == tokens[i] && nano(m, "rate") == rates[i] && is(m, "exact_nano", exact[i]) &&
                      is(m, "rounding", rounding[i]) && is(m, "nano", digits) && nano(m, "amount") == want,
                  "meter %zu: %s", i, text.data);
        sum += want;
    }
    const struct json *hold = json_get(j, "hold");
    int64_t held = cost(10, 2500001) + cost(20, 7000000); /* every token at the dearest of its meters */
    CHECK(sum == 36 && nano(j, "list") == sum && nano(j, "charged") == sum && nano(j, "waived") == 0 && nano(j, "released") == held - sum);
    CHECK(num(hold, "input") == 10 && num(hold, "output") == 20 && is(hold, "scope", "inference") && nano(hold, "of_scope") == 10 &&
          nano(hold, "of_any") == held - 10 && nano(hold, "amount") == held && num(j, "accepted_draft") == 2);
    end();
}

TEST(who_what_and_when)
{
    CHECK(start());
    struct err e = {0};
    CHECK(finish(hold_now(l, &acme, "r", "m", 10, 20), (struct usage_counts){.input = 10}) == 0 && receipt("r", NULL, &e) == 0 && agrees());
    const struct json *key = json_get(j, "key"), *model = json_get(j, "model"), *price = json_get(j, "price");
    CHECK(is(j, "object", "sluice.receipt") && is(j, "request", "r") && is(j, "account", "acme") && is(j, "project", "default") &&
          is(j, "currency", "USD") && is(j, "reason", "length") && num(j, "status") == 200 && json_bool(json_get(j, "stream")));
    CHECK(is(j, "start", "1970-01-01T00:00:01.000000Z") && json_type(json_get(j, "first")) == JSON_NULL &&
          is(j, "end", "1970-01-01T00:00:03.000000Z"));
    CHECK(json_str(json_get(key, "id")).n == 10 && is(key, "name", "default") && json_str(json_get(key, "last4")).n == 4);
    CHECK(is(model, "alias", "m") && is(model, "revision", "repo@1:file") &&
          is(model, "digest", "sha256:0000000000000000000000000000000000000000000000000000000000000000"));
    CHECK(num(price, "version") == 1 && is(price, "tier", "standard") && json_str(json_get(price, "effective")).n > 20);
    end();
}

TEST(grants_in_the_order_in_which_they_paid_and_why)
{
    CHECK(start());
    struct err e = {0};
    const struct {
        int64_t grant, paid;
        const char *why;
    } want[] = {{7, 10, "first in order"},
                {6, 9, "scope: any after inference (grant 7)"},
                {5, 8, "priority: 50 after 10 (grant 6, used up)"},
                {4, 7, "expiry: later than grant 5 (used up)"},
                {2, 5, "funding: paid after promotional (grant 4, used up)"},
                {3, 6, "id: after grant 2 (used up), else alike"},
                {8, 25, "priority: 900 after 50 (grant 3, used up)"}};
    CHECK(finish(hold_now(l, &acme, "r", "m", 0, 10), (struct usage_counts){.output = 10}) == 0 && receipt("r", &acme, &e) == 0 && agrees());
    const struct json *grants = json_get(j, "grants"), *txns = json_get(j, "transactions"), *entries = json_get(j, "entries");
    CHECK(nano(j, "charged") == 70 && json_len(grants) == 7 && json_len(txns) == 7 && json_len(entries) == 14);
    for (size_t i = 0; i < 7; i++) {
        const struct json *g = json_at(grants, i), *t = json_at(txns, i);
        CHECK_MSG(num(g, "order") == (int64_t)i + 1 && num(g, "grant") == want[i].grant && nano(g, "paid") == want[i].paid &&
                      is(g, "why", want[i].why),
                  "place %zu: %s", i, text.data);
        CHECK(num(t, "transaction") == num(g, "transaction") && num(t, "grant") == want[i].grant && num(t, "requests") == 1 &&
              nano(t, "amount") == want[i].paid && nano(t, "of_this") == want[i].paid && nano(t, "entries_sum") == 0);
    }
    int64_t sum = 0, debits = 0;
    for (size_t i = 0; i < 14; i++) {
        int64_t amount = nano(json_at(entries, i), "amount");
        sum += amount, debits += amount > 0 ? amount : 0;
        CHECK(num(json_at(entries, i), "line") == (int64_t)(i % 2) && is(json_at(entries, i), "account", "revenue:inference") == (amount < 0));
    }
    CHECK(sum == 0 && debits == 70);
    end();
}

/* What the engine computed past the hold is waived; a request that computed nothing pays nothing; a transaction may sum several requests. */
TEST(waived_nothing_and_shared)
{
    CHECK(start());
    struct err e = {0};
    CHECK(finish(hold_now(l, &zeta, "over", "m", 0, 10), (struct usage_counts){.output = 13}) == 0 && receipt("over", &zeta, &e) == 0 && agrees());
    CHECK(nano(j, "list") == 91 && nano(j, "charged") == 70 && nano(j, "waived") == 21 && nano(j, "released") == 0);
    CHECK(finish(hold_now(l, &zeta, "none", "m", 1, 1), (struct usage_counts){0}) == 0 && receipt("none", &zeta, &e) == 0 && agrees());
    CHECK(nano(j, "charged") == 0 && nano(j, "released") == nano(json_get(j, "hold"), "amount") && json_len(json_get(j, "grants")) == 0 &&
          json_len(json_get(j, "entries")) == 0);
    struct hold_answer a[40];
    int64_t most = 0;
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%d", i);
        a[i] = hold_now(l, &zeta, name, "m", 0, 10);
    }
    for (int i = 0; i < 40; i++)
        CHECK(finish(a[i], (struct usage_counts){.output = 1 + (uint32_t)i % 3}) == 0);
    for (int i = 0; i < 40; i++) {
        char name[16];
        snprintf(name, sizeof name, "s%d", i);
        CHECK(receipt(name, &zeta, &e) == 0 && agrees() && nano(j, "charged") == 7 * (1 + i % 3));
        int64_t n = num(json_at(json_get(j, "transactions"), 0), "requests");
        most = n > most ? n : most;
    }
    CHECK_MSG(most > 1, "no transaction sums two requests: most %lld", (long long)most);
    end();
}

TEST(who_may_see_it)
{
    CHECK(start());
    struct err never = {0}, other = {0}, e = {0};
    struct hold_answer open = hold_now(l, &acme, "a-open", "m", 1, 1);
    CHECK(finish(hold_now(l, &zeta, "a-zeta", "m", 1, 1), (struct usage_counts){.input = 1}) == 0);
    CHECK(receipt("a-none", &acme, &never) == -ERR_NOT_FOUND && receipt("a-zeta", &acme, &other) == -ERR_NOT_FOUND && !text.len);
    char *at = strstr(other.msg, "a-zeta");
    CHECK(at && memcpy(at, "a-none", 6) && strcmp(never.msg, other.msg) == 0 && never.code == other.code && strcmp(never.param, other.param) == 0);
    struct principal neighbour = zeta; /* another project of the same account */
    neighbour.project.v = acme.project.v;
    CHECK(receipt("a-zeta", &neighbour, &e) == -ERR_NOT_FOUND);
    CHECK(receipt("a-zeta", &zeta, &e) == 0 && receipt("a-zeta", NULL, &e) == 0 && is(j, "account", "zeta"));
    CHECK(receipt("a-open", &acme, &e) == -ERR_NOT_FOUND && receipt("", NULL, &e) == -ERR_NOT_FOUND && receipt("' OR 1=1 --", &acme, &e) < 0);
    CHECK(finish(open, (struct usage_counts){.input = 1}) == 0 && receipt("a-open", &acme, &e) == 0 && agrees());
    end();
}

static int tamper(struct ledger *led, void *sql, struct err *e)
{
    static const struct sql triggers = {
        "DROP TRIGGER IF EXISTS usage_keep; DROP TRIGGER IF EXISTS usage_line_keep; DROP TRIGGER IF EXISTS usage_line_stay; "
        "DROP TRIGGER IF EXISTS price_keep; DROP TRIGGER IF EXISTS price_rate_keep; DROP TRIGGER IF EXISTS price_rate_stay; "
        "DROP TRIGGER IF EXISTS txn_keep; DROP TRIGGER IF EXISTS txn_stay; DROP TRIGGER IF EXISTS entry_keep; "
        "DROP TRIGGER IF EXISTS entry_stay; PRAGMA defer_foreign_keys=1; PRAGMA ignore_check_constraints=1;"};
    int rc = db_exec(led->db, triggers, e);
    return rc < 0 ? rc : db_exec(led->db, (struct sql){sql}, e);
}

static const struct {
    const char *sql, *receipt, *audit;
} cases[] = {
    {"UPDATE usage SET output = output - 1", "list: 0.00000007 is stored, the meters come to 0.000000063", "list 70, contracted"},
    {"UPDATE usage SET list = list + 1", "list: 0.000000071 is stored", "list 71"},
    {"UPDATE usage SET charged = charged - 1", "charged: 0.000000069 is stored, the grants paid 0.00000007", "its lines sum to 70"},
    {"UPDATE usage SET charged = -9223372036854775808", "list, contracted, charged or hold: an amount that cannot be", "charged"},
    {"UPDATE price_rate SET rate = 6900000 WHERE meter = 'output'", "the meters come to", "its counters and price give"},
    {"DELETE FROM price_rate WHERE meter = 'output'", "the meters come to 0.00", "its counters and price give"},
    {"UPDATE price_rate SET rate = 9223372036854775807", "the meters come to", "its counters and price give"},
    {"UPDATE usage SET output = 4294967295; UPDATE price_rate SET rate = 9223372036854775807", "the meters come to", "its counters"},
    {"UPDATE hold SET amount_any = 1", "the lesser of the meters' sum and the hold is 0.000000011",
     "charged 70, its counters and price give 70, 70 and 11"},
    {"UPDATE hold SET state = 0", "the hold is still open", "its hold is missing, open or of another request"},
    {"UPDATE hold SET price_id = 9", "of another request, account, project, key, model or price", "its hold is missing, open or of another"},
    {"UPDATE usage SET key_id = 99", "names an account, project, key, model or price that is missing", "names an account"},
    {"UPDATE usage SET project_id = 99; UPDATE hold SET project_id = 99", "names an account, project, key", "names an account, project"},
    {"UPDATE price SET model = 'x'", "the price is one of x, the request is one of m", "names an account"},
    {"UPDATE usage_line SET amount = amount + 1 WHERE grant_id = 8", "the grants paid 0.000000071", "its lines sum to 71"},
    {"DELETE FROM usage_line WHERE grant_id = 8", "the grants paid 0.000000045", "its lines sum to 45"},
    {"UPDATE usage_line SET grant_id = 1 WHERE grant_id = 8", "grant 1: it paid, and it is missing or another account's", "usage line 1/1"},
    {"UPDATE usage_line SET txn_id = txn_id + 50 WHERE grant_id = 8", "it is missing, or is not one of grant 8", "usage line 1/8"},
    {"UPDATE entry SET amount = amount + 1 WHERE line = 0 AND txn_id = (SELECT max(id) FROM txn)", "its entries sum to 0.000000001 instead of 0",
     "sum to 1"},
    {"UPDATE entry SET amount = 2 * amount WHERE txn_id = (SELECT max(id) FROM txn)",
     "it takes 0.00000005 for 1 requests, 1 requests paid 0.000000025", "it moves 50"},
    {"DELETE FROM entry WHERE txn_id = (SELECT max(id) FROM txn)", "it takes 0.00 for 1 requests", "its 0 entries"},
    {"UPDATE entry SET account_id = 99 WHERE line = 1", "the account of its line 1 is missing", "its transaction or account is missing"},
    {"UPDATE txn SET n_usage = 2 WHERE kind = 'usage'", "for 2 requests, 1 requests paid", "of 2 rows"},
    {"UPDATE txn SET price_id = 7 WHERE kind = 'usage'", "is not one of grant 7, this price", "usage line 1/7"},
    {"UPDATE credit_grant SET scope = 'training' WHERE id = 7", "grant 7: its scope is training, the request's is inference",
     "the grant is for training"},
    {"UPDATE credit_grant SET remaining = 3 WHERE id = 4", "grant 2: it paid although grant 4, which comes before it, has 0.000000003 left",
     "it paid although grant 4, which comes before it, has 3 left"},
};

static const char *audited(void)
{
    static char said[16384];
    struct buf out;
    struct err e;
    uint64_t n;
    buf_init(&out, 0);
    int rc = ledger_audit(l, &out, &n, &e);
    snprintf(said, sizeof said, "%s", out.data ? out.data : "");
    buf_deinit(&out);
    return rc == -ERR_AUDIT ? said : "nothing";
}

static bool told(const char *want)
{
    const struct json *d = json_get(j, "differences");
    for (size_t i = 0; i < json_len(d); i++)
        if (strstr(json_str(json_at(d, i)).p, want))
            return !json_bool(json_get(j, "agrees"));
    return false;
}

TEST(what_was_changed_is_told_here_and_by_the_audit)
{
    struct err e = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(start() && finish(hold_now(l, &acme, "r", "m", 0, 10), (struct usage_counts){.output = 10}) == 0);
        CHECK(receipt("r", NULL, &e) == 0 && agrees() && audit_now(l) == 0);
        CHECK_MSG(queue_call(l, tamper, (void *)(uintptr_t)cases[i].sql, &e) == 0, "%s: %s", cases[i].sql, e.msg);
        CHECK_MSG(receipt("r", NULL, &e) == 0 && told(cases[i].receipt), "%s\n  expected '%s', the receipt says: %s", cases[i].sql, cases[i].receipt,
                  text.data ? text.data : e.msg);
        const char *said = audited();
        CHECK_MSG(strstr(said, cases[i].audit), "%s\n  expected '%s', the audit says: %s", cases[i].sql, cases[i].audit, said);
        end();
    }
}

/* Another hold of the account that was open then may have reserved what a grant has left: while it is open, and when its own row is there. */
TEST(a_hold_that_was_open_beside_it_may_have_what_is_left)
{
    struct err e = {0};
    CHECK(start());
    struct hold_answer beside = hold_now(l, &acme, "o", "m", 0, 1);
    CHECK(finish(hold_now(l, &acme, "r", "m", 0, 10), (struct usage_counts){.output = 10}) == 0);
    CHECK(receipt("r", NULL, &e) == 0 && agrees() && audit_now(l) == 0);
    CHECK(queue_call(l, tamper, (void *)(uintptr_t) "UPDATE credit_grant SET remaining = 30 WHERE id = 4", &e) == 0);
    CHECK(receipt("r", NULL, &e) == 0 && !told("it paid although"));
    CHECK(strstr(audited(), "grant 4: remaining 30") && !strstr(audited(), "it paid although"));
    CHECK(finish(beside, (struct usage_counts){.output = 1}) == 0);
    CHECK(receipt("r", NULL, &e) == 0 && !told("it paid although") && !strstr(audited(), "it paid although"));
    end();
}

/* A process that died: the receipt of what the next start billed. */
TEST(a_crash_has_its_receipt)
{
    CHECK(start());
    struct err e = {0};
    struct hold_answer a = hold_now(l, &acme, "r", "m", 5, 10);
    CHECK(ledger_journal(l, &(struct journal_step){a.hold, {.input = 5, .output = 4}}, 1, &e) == 0);
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && receipt("r", &acme, &e) == 0 && agrees() && is(j, "reason", "crash") && num(j, "status") == 500);
    CHECK(nano(j, "charged") == cost(5, 500000) + cost(4, 7000000));
    end();
}

TEST_MAIN()
