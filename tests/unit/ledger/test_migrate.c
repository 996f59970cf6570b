/* A store of version 2, as an older program left it when it was killed: grants of each state, two open holds over two pools, a request that was
 * paid, expired credit in the account of before. */
#include "db/db.h"
#include "ledger/ledger_int.h"
#include "lib.h"

static const char old_rows[] =
    "INSERT INTO meta VALUES ('currency', 'USD');"
    "INSERT INTO organisation VALUES (1, 'acme', 1); INSERT INTO project VALUES (1, 1, 'default', 1);"
    "INSERT INTO key (id, public_id, project_id, name, hmac, last4, created_us) VALUES (1, '0123456789', 1, 'k', zeroblob(32), 'abcd', 1);"
    "INSERT INTO node VALUES (1, 'old');"
    "INSERT INTO price VALUES (1, 'm', 1, 'standard', 'USD', 1, 1);"
    "INSERT INTO price_rate VALUES (1, 'input', 0, 1000000), (1, 'output', 0, 1000000), (1, 'cache_read', 0, 0), (1, 'cache_write', 0, 0), "
    "(1, 'reasoning', 0, 0);"
    "INSERT INTO model VALUES (1, 'm', 'r', zeroblob(32));"
    "INSERT INTO account VALUES (1, 'revenue:inference', 'revenue', NULL, 'USD', -4), (2, 'grant_pool:1', 'liability', 1, 'USD', -6), "
    "(3, 'cash', 'asset', NULL, 'USD', 35), (4, 'grant_pool:2', 'liability', 1, 'USD', -20), (5, 'contra_revenue:promotional', 'contra_revenue', "
    "NULL, "
    "'USD', 20), (6, 'grant_pool:3', 'liability', 1, 'USD', -9), (7, 'contra_revenue:goodwill', 'contra_revenue', NULL, 'USD', 9), "
    "(8, 'grant_pool:4', 'liability', 1, 'USD', 0), (9, 'breakage', 'revenue', NULL, 'USD', -7), (10, 'grant_pool:5', 'liability', 1, 'USD', -18);"
    "INSERT INTO pool VALUES (1, 1, 'any', 'USD', 26, 22), (2, 1, 'inference', 'USD', 9, 9), (3, 1, 'training', 'USD', 0, 0), "
    "(4, 1, 'embeddings', 'USD', 0, 0);"
    "INSERT INTO credit_grant VALUES (1, 1, 1, 2, 'any', 'paid', 50, 10, 6, 'USD', 1, 0, 1, 'invoice 1', 1), "
    "(2, 1, 1, 4, 'any', 'promotional', 50, 20, 20, 'USD', 1, 0, 1, NULL, 1), (3, 1, 2, 6, 'inference', 'goodwill', 50, 9, 9, 'USD', 1, 0, 1, NULL, "
    "1), "
    "(4, 1, 1, 8, 'any', 'paid', 50, 7, 0, 'USD', 1, 2, 2, NULL, 1), (5, 1, 1, 10, 'any', 'paid', 50, 18, 18, 'USD', 4000000000000000, 0, 0, NULL, "
    "1);"
    "INSERT INTO txn VALUES (1, 'grant', 1, 1, NULL, NULL, NULL, NULL, 1), (2, 'grant', 1, 2, NULL, NULL, NULL, NULL, 1), "
    "(3, 'grant', 1, 3, NULL, NULL, NULL, NULL, 1), (4, 'grant', 1, 4, NULL, NULL, NULL, NULL, 1), (5, 'grant', 1, 5, NULL, NULL, NULL, NULL, 1), "
    "(6, 'usage', 1, 1, 1, 1, 1, 1, 1), (7, 'expire', 1, 4, NULL, NULL, NULL, NULL, 2);"
    "INSERT INTO entry VALUES (1, 0, 3, 10), (1, 1, 2, -10), (2, 0, 5, 20), (2, 1, 4, -20), (3, 0, 7, 9), (3, 1, 6, -9), (4, 0, 3, 7), (4, 1, 8, "
    "-7), "
    "(5, 0, 3, 18), (5, 1, 10, -18), (6, 0, 2, 4), (6, 1, 1, -4), (7, 0, 8, 7), (7, 1, 9, -7);"
    "INSERT INTO hold VALUES (1, 'paid', 1, 1, 1, 1, 1, 'inference', 5, 0, 0, 5, 1, 1, 2, 1), "
    "(2, 'open', 1, 1, 1, 1, 1, 'inference', 25, 0, 9, 16, 1, 3, 4, 0), (3, 'also open', 1, 1, 1, 1, 1, 'inference', 6, 0, 0, 6, 1, 3, 4, 0);"
    "INSERT INTO usage VALUES (1, 1, 'paid', 1, 1, 1, 1, 1, 4, 0, 0, 0, 0, 0, 4, 4, 0, 200, 0, 1, 0, 2);"
    "INSERT INTO usage_line VALUES (1, 1, 4, 6);";

static struct db *migrated_to(size_t n, struct db *d)
{
    char path[128];
    struct err e = {0};
    snprintf(path, sizeof path, "%s/ledger.db", test_dir);
    if (!d && db_open(&d, path, DB_READ_WRITE, &e) < 0)
        return NULL;
    if (db_migrate(d, ledger_migrations, n, LEDGER_POSTGRES_BASE, &e) == 0)
        return d;
    printf("%s\n", e.msg);
    db_close(d);
    return NULL;
}

static bool says(struct db *d, const char *sql, const char *want)
{
    struct stmt *s;
    struct err e = {0};
    bool row = false;
    if (stmt_get(&s, d, (struct sql){sql}, &e) < 0 || stmt_step(s, &row, &e) < 0)
        return printf("%s: %s\n", sql, e.msg), false;
    struct str has = row ? stmt_col_str(s, 0) : STR("nothing");
    bool same = str_eqz(has, want);
    if (!same)
        printf("%s: %.*s, not %s\n", sql, (int)has.n, has.p, want);
    stmt_put(s);
    return same;
}

TEST(a_store_of_version_2)
{
    struct err e = {0};
    dir_new();
    struct db *d = migrated_to(2, NULL);
    CHECK(d && db_exec(d, (struct sql){old_rows}, &e) == 0 && migrated_to(3, d));
    /* The goodwill grant covers what was held for the scope; the promotional one comes before the paid one. */
    CHECK(says(d, "SELECT reserved FROM hold WHERE id = 2", "[[2,16],[3,9]]"));
    CHECK(says(d, "SELECT reserved FROM hold WHERE id = 3", "[[1,2],[2,4]]") && says(d, "SELECT reserved FROM hold WHERE id = 1", "[]"));
    CHECK(says(d, "SELECT group_concat(held) FROM credit_grant", "2,20,9,0,0") &&
          says(d, "SELECT group_concat(remaining) FROM credit_grant", "6,20,9,0,18"));
    CHECK(says(d, "SELECT group_concat(cash_received || ' ' || list_value) FROM credit_grant", "10 10,0 20,0 9,7 7,18 18"));
    CHECK(says(d, "SELECT balance FROM account WHERE code = 'breakage:paid'", "-7") && says(d, "SELECT count(*) FROM txn", "7"));
    CHECK(says(d, "SELECT count(*) FROM sqlite_schema WHERE name IN ('pool', 'grant_3', 'txn_3')", "0"));
    CHECK(says(d, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'", "14"));
    db_close(d);
    struct ledger *l = open_at(test_dir); /* the open holds end and cost nothing: the old journal is gone */
    CHECK(l && audit_now(l) == 0);
    struct principal who = {.org = {1}, .project = {1}, .key = {1}, .org_name = "acme"};
    int64_t held = -1;
    CHECK(balance_now(l, &who, &held) == 35 && held == 0);
    CHECK(hold_now(l, &who, "next", "m", 35, 0).err.code == ERR_OK && hold_now(l, &who, "one more", "m", 1, 0).err.code == ERR_QUOTA);
    struct grant_id id;
    struct grant_new g = {.org = who.org, .amount = {10}, .reference = "invoice 1"};
    CHECK(ledger_grant_create(l, &g, &id, &e) == 0 && id.v == 1); /* still the same grant */
    CHECK(audit_now(l) == 0);
    ledger_close(l);
    dir_drop();
}

TEST_MAIN()
