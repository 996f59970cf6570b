/* The audit finds tampering of each kind: every case changes the store behind the ledger's back and must be told. */
#include "db/db.h"
#include "ledger/ledger_int.h"
#include "lib.h"

static struct ledger *l;
static struct principal who;

/* A store with two grants, ten requests, one left open. */
static bool start(void)
{
    l = open_at(dir_new());
    if (!l || !account_with(l, "acme", (struct money){100}, &who) || !price_now(l, "m", 1000000, 2000000) || !price_now(l, "n", 3000000, 500000))
        return false;
    struct err e;
    if (ledger_grant_create(l, &(struct grant_new){.org = who.org, .amount = {1000}, .scope = "any", .funding = "promotional", .priority = 60}, NULL,
                            &e) < 0 ||
        ledger_key_set(l, who.public_id, &(struct key_limits){.models = "m,n", .budget = "0.00001/month"}, &e) < 0)
        return false;
    for (uint32_t i = 0; i < 10; i++) {
        char request[32];
        snprintf(request, sizeof request, "r%u", i);
        struct hold_answer a = hold_now(l, &who, request, i % 3 ? "m" : "n", 10, 10);
        if (a.err.code || ledger_journal(l, &(struct journal_step){a.hold, {.input = 10, .output = 3}}, 1, &e) < 0 ||
            finish_now(l, a.hold, 10, 5 + i % 4, NULL) < 0)
            return false;
    }
    struct hold_answer open = hold_now(l, &who, "open", "m", 10, 10);
    return open.err.code == ERR_OK && ledger_journal(l, &(struct journal_step){open.hold, {.input = 10, .output = 3}}, 1, &e) == 0 &&
           audit_now(l) == 0;
}

static void end(void)
{
    ledger_close(l);
    dir_drop();
}

/* Runs sql on the ledger thread's own connection, without the append-only triggers, outside every rule. */
static int tamper(struct ledger *led, void *sql, struct err *e)
{
    static const struct sql triggers = {
        "DROP TRIGGER IF EXISTS usage_keep; DROP TRIGGER IF EXISTS usage_stay; DROP TRIGGER IF EXISTS usage_line_keep; "
        "DROP TRIGGER IF EXISTS usage_line_stay; DROP TRIGGER IF EXISTS txn_keep; DROP TRIGGER IF EXISTS txn_stay; "
        "DROP TRIGGER IF EXISTS entry_keep; DROP TRIGGER IF EXISTS entry_stay; DROP TRIGGER IF EXISTS event_keep; "
        "DROP TRIGGER IF EXISTS event_stay; DROP TRIGGER IF EXISTS refund_line_keep; DROP TRIGGER IF EXISTS refund_line_stay; DROP TRIGGER IF EXISTS "
        "operation_stay; DROP TRIGGER IF EXISTS price_keep; DROP TRIGGER IF EXISTS price_rate_keep; DROP TRIGGER IF EXISTS price_rate_stay; DROP "
        "TRIGGER IF "
        "EXISTS price_stay; PRAGMA "
        "defer_foreign_keys=1; PRAGMA ignore_check_constraints=1;"};
    int rc = db_exec(led->db, triggers, e);
    return rc < 0 ? rc : db_exec(led->db, (struct sql){sql}, e);
}

/* What the audit says after the change; NULL when it says nothing. */
static const char *told(const char *sql)
{
    static char text[8192];
    struct err e = {0};
    uint64_t n;
    struct buf out;
    if (queue_call(l, tamper, (void *)(uintptr_t)sql, &e) < 0)
        return printf("%s: %s\n", sql, e.msg), NULL;
    buf_init(&out, 0);
    int rc = ledger_audit(l, &out, &n, &e);
    snprintf(text, sizeof text, "%s", out.data ? out.data : "");
    buf_deinit(&out);
    return rc == -ERR_AUDIT && e.code == ERR_AUDIT && n > 0 && text[0] ? text : NULL;
}

static const struct {
    const char *sql, *says;
} cases[] = {
    {"UPDATE entry SET amount = amount + 1 WHERE txn_id = 3 AND line = 0", "all entries sum to 1"},
    {"UPDATE entry SET amount = amount + (CASE line WHEN 0 THEN 1 ELSE -1 END) WHERE txn_id = 3", "its entries leave"},
    {"DELETE FROM entry WHERE txn_id = 3", "transaction 3: its 0 entries"},
    {"DELETE FROM txn WHERE id = 3", "its transaction or account is missing"},
    {"INSERT INTO entry VALUES (1, 2, 1, 5), (1, 3, 2, -5)", "account"},
    {"UPDATE account SET balance = balance - 1 WHERE code = 'revenue:inference'", "account revenue:inference: balance"},
    {"UPDATE credit_grant SET remaining = remaining + 1 WHERE id = 2", "grant 2: remaining"},
    {"UPDATE credit_grant SET amount = amount + 1 WHERE id = 2", "grant 2: amount 1001, booked 1000"},
    {"UPDATE credit_grant SET adjusted = 5 WHERE id = 2", "grant 2: adjusted by 5, its entries say 0"},
    {"UPDATE credit_grant SET cash_received = 99 WHERE id = 1", "grant 1: cash 99, booked 100"},
    {"UPDATE credit_grant SET approved_us = 0 WHERE id = 2", "grant 2: amount 1000, booked 1000"},
    {"UPDATE credit_grant SET state = 2 WHERE id = 2", "grant 2: state 2 with"},
    {"UPDATE credit_grant SET approved_by = 'Admin' WHERE id = 2", "grant 2: made and approved by admin"},
    {"UPDATE credit_grant SET held = held - 1 WHERE id = 2", "grant 2: held 29, open holds reserve 30"},
    {"UPDATE credit_grant SET held = held + 1 WHERE id = 2", "memory: grant 2"},
    {"UPDATE credit_grant SET models = 'n' WHERE id = 2", "the grant is for n, the request is one of m"},
    {"UPDATE hold SET amount_any = 0 WHERE state = 0", "reserves 0 for its scope and 0 for any use, its grants say 0 and 30"},
    {"UPDATE hold SET reserved = '[]' WHERE state = 0", "held 30, open holds reserve 0"},
    {"UPDATE hold SET reserved = '[[1,30]]' WHERE state = 0", "grant 1: held 0, open holds reserve 30"},
    {"UPDATE txn SET operation_id = 9 WHERE id = 2", "transaction 2 (grant): the operation that made it is missing"},
    {"UPDATE txn SET kind = 'void', operation_id = 0 WHERE id = 2", "transaction 2 (void): the operation that made it is missing"},
    {"UPDATE txn SET kind = 'expire' WHERE id = 1", "what ended of grant 1 is in account cash"},
    {"DELETE FROM operation WHERE id = 1", "operation has 1 rows and its last is 2"},
    {"INSERT INTO refund_line VALUES (3, 1, 1, 100)", "refund of usage 1/1: 100 came back of"},
    {"UPDATE hold SET state = 1 WHERE request = 'open'", "(open): finished, but it has no usage row"},
    {"UPDATE hold SET state = 0 WHERE request = 'r4'", "its hold is missing, open or of another request"},
    {"DELETE FROM hold WHERE request = 'r4'", "its hold is missing"},
    {"UPDATE hold SET request = 'r44' WHERE request = 'r4'", "of another request"},
    {"UPDATE hold SET request = 'opened' WHERE request = 'open'", "its request, account or price differs"},
    {"UPDATE usage SET output = output - 1 WHERE id = 5", "usage 5 (r4): list"},
    {"UPDATE usage SET list = list + 1 WHERE id = 5", "usage 5 (r4): list"},
    {"UPDATE usage SET contracted = contracted + 1 WHERE id = 5", "usage 5 (r4): list"},
    {"UPDATE usage SET list_price_id = 2 WHERE id = 5", "usage 5 (r4): its list price is missing or is another"},
    {"UPDATE usage SET scope = 'embeddings' WHERE id = 5", "its hold is missing, open or of another request"},
    {"UPDATE account SET code = 'revenue:lost' WHERE code = 'revenue:inference'", "rows of inference are in account revenue:lost"},
    {"UPDATE price SET until_us = 9000000000000000 WHERE id = 1; INSERT INTO price SELECT 9, model, tier, org_id, 2, currency, effective_us + 5, 0, "
     "1, 'x' FROM price WHERE id = 1",
     "it overlaps price 9"},
    {"UPDATE usage SET input = 0, output = 0, list = 0 WHERE id = 5", "usage 5 (r4): list 0, contracted"},
    {"UPDATE usage SET charged = charged + 1, list = list + 1, contracted = contracted + 1 WHERE id = 5", "charged"},
    {"UPDATE usage SET accepted_draft = 9 WHERE id = 5", "journal: hold"},
    {"UPDATE usage SET price_id = 2 WHERE id = 5", "usage 5 (r4)"},
    {"UPDATE usage SET org_id = 9 WHERE id = 5", "names an account, project, key, price or model"},
    {"UPDATE usage SET model_id = (SELECT id FROM model WHERE alias = 'n'), price_id = (SELECT id FROM price WHERE model = 'n') WHERE id = 5",
     "usage 5"},
    {"DELETE FROM usage WHERE id = 10", "finished, but it has no usage row"},
    {"DELETE FROM usage WHERE id = 5", "usage has 9 rows and its last is 10"},
    {"UPDATE usage_line SET amount = amount + 1 WHERE usage_id = 5", "its lines sum to"},
    {"DELETE FROM usage_line WHERE usage_id = 5", "its lines sum to 0"},
    {"UPDATE usage_line SET grant_id = 2 WHERE usage_id = 1 AND grant_id = 1", "usage line 1/2"},
    {"UPDATE usage_line SET txn_id = 3 WHERE usage_id = 9", "usage line 9"},
    {"UPDATE price_rate SET rate = rate * 2 WHERE price_id = 1 AND meter = 'output'", "its counters and price give"},
    {"DELETE FROM price_rate WHERE price_id = 1 AND meter = 'input'", "its counters and price give"},
    {"UPDATE txn SET n_usage = n_usage + 1 WHERE id = 4", "transaction 4: it moves"},
    {"UPDATE txn SET grant_id = 99 WHERE id = 1", "transaction 1: its grant is missing"},
    {"UPDATE event SET detail = 'nothing to see' WHERE id = 3", "event 3: it or one before it"},
    {"DELETE FROM event WHERE id = 2", "event 3: it or one before it"},
    {"DELETE FROM credit_grant WHERE id = 2", "account grant_pool:2: its grant is missing"},
    {"UPDATE key_spend SET charged = charged + 1", "budget of key"},
    {"UPDATE key_spend SET held = held - 1", "budget of key"},
    {"UPDATE key_spend SET month = month - 1", "budget of key"},
    {"DELETE FROM key_spend", "charged 0 held 0, its rows give"},
    {"UPDATE key SET budget = -1", "it has none, or is missing"},
    {"UPDATE key SET budget = budget + 1", "memory: key"},
    {"UPDATE key SET budget_monthly = 0", "memory: key"},
    {"UPDATE key SET scopes = 'usage'", "memory: key"},
    {"UPDATE key SET scopes = 'everything'", "memory: key"},
    {"UPDATE key SET models = ''", "memory: key"},
    {"UPDATE key SET allow = '10.0.0.0/8'", "memory: key"},
    {"UPDATE key SET revoked_us = 1", "memory: key"},
    {"DELETE FROM event WHERE id = 1", "event 2: it or one before it"},
};

TEST(tampering_is_told)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(start());
        const char *text = told(cases[i].sql);
        CHECK_MSG(text && strstr(text, cases[i].says), "%s\n  expected '%s', the audit says: %s", cases[i].sql, cases[i].says,
                  text ? text : "nothing");
        end();
    }
}

TEST(the_triggers_keep_rows)
{
    const char *sql[] = {"UPDATE usage SET output = 0",  "DELETE FROM usage", "UPDATE usage_line SET amount = 1", "DELETE FROM usage_line",
                         "UPDATE txn SET n_usage = 0",   "DELETE FROM txn",   "UPDATE entry SET amount = 1",      "DELETE FROM entry",
                         "UPDATE event SET detail = ''", "DELETE FROM event", "UPDATE operation SET reason = ''", "DELETE FROM operation"};
    CHECK(start());
    ledger_close(l);
    char path[128];
    struct db *d;
    struct err e = {0};
    snprintf(path, sizeof path, "%s/ledger.db", test_dir);
    for (size_t i = 0; i < sizeof sql / sizeof *sql; i++) {
        CHECK(db_open(&d, path, DB_READ_WRITE, &e) == 0);
        int rc = db_exec(d, (struct sql){sql[i]}, &e);
        db_close(d);
        CHECK_MSG(rc < 0 && strstr(e.msg, "append-only"), "%s", sql[i]);
    }
    l = open_at(test_dir);
    CHECK(l && audit_now(l) == 0);
    end();
}

/* A step that was journaled and not billed: the journal is put back as it was before the finish. */
TEST(the_journal_and_the_rows_must_agree)
{
    CHECK(start());
    struct buf b;
    struct err e;
    buf_init(&b, 0);
    struct journal_rec r = {.type = JOURNAL_STEP, .hold = 3, .counts = {.input = 10, .output = 99}};
    journal_put(&b, &r);
    CHECK(journal_append(&l->journal, &b, &e) == 0);
    buf_clear(&b);
    r = (struct journal_rec){.type = JOURNAL_STEP, .hold = 4, .counts = {.input = 1, .output = 1}}; /* less: fine */
    journal_put(&b, &r);
    CHECK(journal_append(&l->journal, &b, &e) == 0);
    buf_clear(&b);
    r = (struct journal_rec){.type = JOURNAL_FINISH, .hold = 5, .counts = {.input = 1, .output = 1}};
    journal_put(&b, &r);
    CHECK(journal_append(&l->journal, &b, &e) == 0);
    buf_deinit(&b);
    struct buf out;
    uint64_t n;
    buf_init(&out, 0);
    CHECK(ledger_audit(l, &out, &n, &e) == -ERR_AUDIT && n == 2 && strstr(out.data, "hold 3: 10 prompt and 99 output tokens were journaled") &&
          strstr(out.data, "hold 5"));
    buf_deinit(&out);
    end();
}

static int64_t root_page;
static int find_root(struct ledger *led, void *arg, struct err *e)
{
    struct stmt *s;
    bool row;
    (void)arg;
    int rc = stmt_get(&s, led->db, SQL("SELECT rootpage FROM sqlite_schema WHERE name = 'usage_time'"), e);
    if (rc < 0)
        return rc;
    rc = stmt_step(s, &row, e);
    root_page = stmt_col_i64(s, 0);
    stmt_put(s);
    return rc;
}

/* A page that no other question of the audit reads: only SQLite's own check sees it. */
TEST(a_damaged_index)
{
    CHECK(start());
    struct err e = {0};
    ledger_close(l);
    l = open_at(test_dir); /* the open request is finished, so that the next start writes no row */
    CHECK(l && queue_call(l, find_root, NULL, &e) == 0 && root_page > 1);
    ledger_close(l);
    char path[128];
    snprintf(path, sizeof path, "%s/ledger.db", test_dir);
    FILE *f = fopen(path, "r+b");
    CHECK(f && fseek(f, (long)(root_page - 1) * 4096, SEEK_SET) == 0 && fputc(0x55, f) == 0x55);
    fclose(f);
    l = open_at(test_dir);
    CHECK(l);
    struct buf out;
    uint64_t n;
    buf_init(&out, 0);
    int rc = ledger_audit(l, &out, &n, &e);
    CHECK_MSG(rc == -ERR_AUDIT && strstr(out.data, "btreeInitPage"), "%d %s: %s", rc, e.msg, out.data ? out.data : "");
    buf_deinit(&out);
    end();
}

TEST(a_bit_that_flips_in_the_file)
{
    CHECK(start());
    ledger_close(l);
    char path[128];
    snprintf(path, sizeof path, "%s/ledger.db", test_dir);
    FILE *f = fopen(path, "r+b");
    CHECK(f && fseek(f, 0, SEEK_END) == 0);
    long size = ftell(f);
    CHECK(size > 8 * 4096);
    for (long at = 4096; at < size; at += 4096) { /* the first bytes of each page: its kind and its cells */
        fseek(f, at, SEEK_SET);
        fputc(0x55, f);
    }
    fclose(f);
    struct err e = {0};
    l = NULL;
    int rc = ledger_open(&l, &(struct ledger_opts){.dir = test_dir}, &e);
    if (rc == 0) {
        CHECK(audit_now(l) != 0);
        ledger_close(l);
    } else {
        CHECK(e.code == ERR_DB && e.msg[0]);
    }
    dir_drop();
}

TEST_MAIN()
