/* Reports over many requests: makes a store of version 4 (before the cubes) with so many usage rows over so many days, lets this program migrate it,
 * and times the usage explorer. reports [requests, 10000000] [days, 90] [accounts, 60] [folder: kept and used again when it has a store] */
#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"
#include "db/db.h"
#include "ledger/ledger_int.h"
#include "ledger/usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MODELS = 5, BEGIN = 1767225600 /* 2026-01-01 */ };

static void die(const char *what, const struct err *e)
{
    fprintf(stderr, "%s: %s\n", what, e->msg);
    exit(1);
}

static uint64_t arg_or(int argc, char **argv, int i, uint64_t fallback)
{
    uint64_t v;
    return argc > i && str_u64(str_of(argv[i]), &v) ? v : fallback;
}

static uint64_t next_random(uint64_t *s) /* splitmix64 */
{
    uint64_t z = *s += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static void run_sql(struct db *d, const char *text)
{
    struct err e;
    if (db_exec(d, (struct sql){text}, &e) < 0)
        die(text, &e);
}

/* Two keys an account, one grant that pays all of its requests. */
static void owners(struct db *d, uint64_t accounts)
{
    char sql[1024];
    run_sql(d, "INSERT INTO meta VALUES ('currency', 'USD'); INSERT INTO node VALUES (1, 'bench');"
               "INSERT INTO account VALUES (1, 'revenue:inference', 'revenue', NULL, 'USD', 0);");
    for (int m = 1; m <= MODELS; m++) {
        (void)str_fmt(
            sql, sizeof sql,
            "INSERT INTO model VALUES (%d, 'model-%d', 'r', zeroblob(32)); INSERT INTO price VALUES (%d, 'model-%d', 1, 'standard', 'USD', 1, 1);"
            "INSERT INTO price_rate VALUES (%d, 'input', 0, 500000000), (%d, 'output', 0, 1500000000), (%d, 'cache_read', 0, 100000000), "
            "(%d, 'cache_write', 0, 500000000), (%d, 'reasoning', 0, 1500000000)",
            m, m, m, m, m, m, m, m, m);
        run_sql(d, sql);
    }
    for (uint64_t a = 1; a <= accounts; a++) {
        unsigned long long n = a;
        (void)str_fmt(
            sql, sizeof sql,
            "INSERT INTO organisation VALUES (%llu, 'account-%llu', 1); INSERT INTO project VALUES (%llu, %llu, 'default', 1);"
            "INSERT INTO key (id, public_id, project_id, name, hmac, last4, created_us) VALUES (%llu, 'k%09llu', %llu, 'a', zeroblob(32), 'a', 1), "
            "(%llu, 'k%09llu', %llu, 'b', zeroblob(32), 'b', 1); INSERT INTO account VALUES (%llu, 'grant_pool:%llu', 'liability', %llu, 'USD', 0);",
            n, n, n, n, 2 * n - 1, 2 * n - 1, n, 2 * n, 2 * n, n, n + 1, n, n);
        run_sql(d, sql);
        (void)str_fmt(
            sql, sizeof sql,
            "INSERT INTO credit_grant (id, org_id, account_id, scope, funding, amount, remaining, currency, cash_received, list_value, effective_us, "
            "state, created_us, created_by, approved_us) VALUES (%llu, %llu, %llu, 'any', 'paid', 1000000000000000, 0, 'USD', 0, 0, 1, 1, 1, 'b', 1)",
            n, n, n + 1);
        run_sql(d, sql);
    }
}

static void row(struct db *d, int64_t id, int64_t end_us, int64_t account, int64_t key, int64_t model, int64_t in, int64_t out)
{
    struct stmt *s;
    struct err e;
    char request[40];
    int64_t list = in * 500 + out * 1500;
    (void)str_fmt(request, sizeof request, "req_%024llx", (unsigned long long)id);
    if (stmt_get(
            &s, d,
            SQL("INSERT INTO hold (id, request, org_id, project_id, key_id, model_id, price_id, input, output, amount_scope, amount_any, node_id, "
                "created_us, expires_us, state) VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?5, ?6, ?7, 0, ?8, 1, ?9, ?9, 1)"),
            &e) < 0)
        die("hold", &e);
    stmt_i64(s, 1, id), stmt_text(s, 2, request), stmt_i64(s, 3, account), stmt_i64(s, 4, key), stmt_i64(s, 5, model), stmt_i64(s, 6, in);
    stmt_i64(s, 7, out), stmt_i64(s, 8, list), stmt_i64(s, 9, end_us - 1000000);
    if (stmt_run(s, &e) < 0)
        die("hold", &e);
    if (stmt_get(&s, d, SQL("INSERT INTO usage VALUES (?1, ?1, ?2, ?3, ?3, ?4, ?5, ?5, ?6, 0, 0, ?7, 0, 0, ?8, ?8, 0, 200, 1, ?9, ?9, ?10)"), &e) < 0)
        die("usage", &e);
    stmt_i64(s, 1, id), stmt_text(s, 2, request), stmt_i64(s, 3, account), stmt_i64(s, 4, key), stmt_i64(s, 5, model), stmt_i64(s, 6, in);
    stmt_i64(s, 7, out), stmt_i64(s, 8, list), stmt_i64(s, 9, end_us - 900000), stmt_i64(s, 10, end_us);
    if (stmt_run(s, &e) < 0)
        die("usage", &e);
    if (stmt_get(&s, d, SQL("INSERT INTO usage_line VALUES (?1, ?2, ?3, 1)"), &e) < 0)
        die("line", &e);
    stmt_i64(s, 1, id), stmt_i64(s, 2, account), stmt_i64(s, 3, list);
    if (stmt_run(s, &e) < 0)
        die("line", &e);
}

/* The busy accounts are the first ones, and an account's second key is the quiet one. */
static void fill(const char *path, uint64_t requests, uint64_t days, uint64_t accounts)
{
    struct db *d;
    struct err e;
    uint64_t seed = 1, start = clock_ns();
    if (db_open(&d, path, DB_READ_WRITE, &e) < 0 || db_migrate(d, ledger_migrations, 4, 4, &e) < 0)
        die("store", &e);
    run_sql(d, "PRAGMA synchronous = OFF");
    if (db_begin(d, &e) < 0)
        die("begin", &e);
    owners(d, accounts);
    int64_t step = (int64_t)(days * 86400ull * 1000000 / requests);
    for (uint64_t i = 0; i < requests; i++) {
        uint64_t r = next_random(&seed), u = r % 1000 * (r / 1000 % 1000);
        int64_t account = (int64_t)(u * accounts / 1000000) + 1;
        row(d, (int64_t)i + 1, BEGIN * 1000000ll + (int64_t)i * step, account, 2 * account - (r >> 40 & 7 ? 1 : 0), (int64_t)((r >> 44) % MODELS) + 1,
            (int64_t)(r >> 48 & 1023) + 1, (int64_t)(r >> 54 & 511) + 1);
        if (i % 1000000 == 999999 && (db_commit(d, DB_SYNC_NORMAL, &e) < 0 || db_begin(d, &e) < 0))
            die("commit", &e);
    }
    if (db_commit(d, DB_SYNC_NORMAL, &e) < 0)
        die("commit", &e);
    db_close(d);
    printf("%llu rows made in %.1f s\n", (unsigned long long)requests, (double)(clock_ns() - start) / 1e9);
}

/* The median of five. */
static void time_one(struct ledger *l, const char *what, const struct usage_filter *f)
{
    double ms[5];
    struct buf out;
    struct err e = {0};
    for (int i = 0; i < 5; i++) {
        buf_init(&out, 0);
        uint64_t t = clock_ns();
        if (ledger_report_usage(l, f, &out, &e) < 0)
            die(what, &e);
        ms[i] = (double)(clock_ns() - t) / 1e6;
        for (int k = i; k && ms[k] < ms[k - 1]; k--) {
            double x = ms[k];
            ms[k] = ms[k - 1], ms[k - 1] = x;
        }
        if (i == 4)
            printf("%-44s %8.1f ms (least %.1f, most %.1f; %zu bytes)\n", what, ms[2], ms[0], ms[4], out.len);
        buf_deinit(&out);
    }
}

static void times(struct ledger *l)
{
    struct usage_filter f = {.limit = USAGE_ROWS_MAX};
    static const struct {
        const char *what, *group, *tz, *account;
    } runs[] = {
        {"by day, UTC", "day", NULL, NULL},
        {"by model and day, UTC", "model,day", NULL, NULL},
        {"by account, model and day, UTC", "account,model,day", NULL, NULL},
        {"by key and day of one account, UTC", "key,day", NULL, "account-1"},
        {"by account, in all", "account", NULL, NULL},
        {"by month, Europe/Berlin", "month", "Europe/Berlin", NULL},
        {"by day, +08:00", "day", "+08:00", NULL},
        {"by model and hour, UTC", "model,hour", NULL, NULL},
        {"the 100 last requests of an account", "request", NULL, "account-1"},
    };
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        f.group = runs[i].group, f.tz = runs[i].tz, f.account = runs[i].account;
        f.limit = i + 1 == sizeof runs / sizeof *runs ? 100 : USAGE_ROWS_MAX;
        time_one(l, runs[i].what, &f);
    }
    f = (struct usage_filter){.group = "day", .tz = "+05:30", .since_us = (BEGIN + 80 * 86400ll) * 1000000};
    time_one(l, "10 days by day, +05:30 (cut hours from rows)", &f);
}

int main(int argc, char **argv)
{
    uint64_t requests = arg_or(argc, argv, 1, 10000000), days = arg_or(argc, argv, 2, 90), accounts = arg_or(argc, argv, 3, 60);
    char dir[600] = "/tmp/sluice-reports-XXXXXX", path[700], clean[700];
    struct stat st;
    struct err e = {0};
    struct ledger *l;
    if (!requests || !days || !accounts || accounts > 1000 || (argc > 4 ? !str_fmt(dir, sizeof dir, "%s", argv[4]) : !mkdtemp(dir)))
        return fprintf(stderr, "usage: reports [requests] [days] [accounts, to 1000] [folder]\n"), 2;
    (void)mkdir(dir, 0700);
    (void)str_fmt(path, sizeof path, "%s/ledger.db", dir);
    if (stat(path, &st) != 0)
        fill(path, requests, days, accounts);
    uint64_t t = clock_ns();
    if (ledger_open(&l, &(struct ledger_opts){.dir = dir, .node = "bench"}, &e) < 0)
        die("open", &e);
    printf("opened (and migrated) in %.1f s\n", (double)(clock_ns() - t) / 1e9);
    struct buf out;
    buf_init(&out, 0);
    times(l);
    buf_deinit(&out);
    ledger_close(l);
    (void)str_fmt(clean, sizeof clean, "rm -rf %s", dir);
    return argc > 4 || system(clean) == 0 ? 0 : 1;
}
