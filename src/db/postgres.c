/* PostgreSQL behind db_int.h: this file alone sees libpq.
 *
 * The writers of all nodes take turns: each of their transactions first takes one advisory lock of the store. A transaction is a batch of up to
 * a thousand requests, and all of them change the same rows (revenue's balance, an account's grants), so that little could run side by side; in
 * return there are no deadlocks and no serialization failures, ids have no gaps, and the chain of events is one. Every commit is synchronous:
 * what the server told is not taken back by its own crash, so an id is never given twice.
 *
 * A result is taken whole, in binary; but a reader in a transaction takes its rows through a cursor, ROWS_AT_ONCE at a time. */
#include "base/clock.h"
#include "base/mem.h"
#include "db/db_int.h"
#include "db/translate.h"

#include <endian.h>
#include <postgresql/libpq-fe.h>
#include <string.h>

enum { ROWS_AT_ONCE = 2000 };
enum { TYPE_BOOL = 16, TYPE_BYTEA = 17, TYPE_INT8 = 20, TYPE_INT2 = 21, TYPE_INT4 = 23, TYPE_TEXT = 25, TYPE_FLOAT8 = 701, TYPE_NUMERIC = 1700 };

struct pg {
    struct db head;
    PGconn *c;
    int64_t changes;
    unsigned n_names, session; /* session: one more with each connection, from 1 */
    bool in_transaction;
};

struct pg_stmt {
    struct stmt head;
    char *sql; /* PostgreSQL's words */
    char name[16];
    unsigned prepared; /* in this session; 0: not yet */
    bool cursor, open; /* cursor: this run reads through one; open: it is there */
    int n_params, row, n_rows;
    PGresult *result;
    Oid type[PG_PARAMS_MAX];
    const char *value[PG_PARAMS_MAX];
    int length[PG_PARAMS_MAX];
    int64_t number[PG_PARAMS_MAX];
    char text[4][24]; /* numbers that are read as text */
    unsigned n_text;
};

static const struct db_engine engine;
static const int binary[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
_Static_assert(sizeof binary / sizeof *binary == PG_PARAMS_MAX, "each parameter is binary");

static struct pg *pg(struct db *d)
{
    return (struct pg *)d;
}

static struct pg_stmt *of(struct stmt *s)
{
    return (struct pg_stmt *)s;
}

/* r may be NULL. The URL is not told: it may hold a password. */
static int fail(struct pg *d, const PGresult *r, const char *what, struct err *e)
{
    const char *why = r ? PQresultErrorMessage(r) : PQerrorMessage(d->c);
    if (PQstatus(d->c) != CONNECTION_OK)
        return err_set(e, ERR_DB, "db: PostgreSQL (database %s at %s) is gone: %.*s; it is tried again until it is back", PQdb(d->c),
                       PQhost(d->c) ? PQhost(d->c) : "?", (int)strcspn(PQerrorMessage(d->c), "\n"), PQerrorMessage(d->c));
    return err_set(e, ERR_DB, "db: PostgreSQL (database %s): %.*s (SQLSTATE %s) in: %.200s", PQdb(d->c), (int)strcspn(why, "\n"), why,
                   r && PQresultErrorField(r, PG_DIAG_SQLSTATE) ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : "none", what);
}

static bool good(const PGresult *r)
{
    ExecStatusType t = PQresultStatus(r);
    return t == PGRES_COMMAND_OK || t == PGRES_TUPLES_OK;
}

static int64_t decimal(const char *z)
{
    int64_t v;
    return str_i64(str_of(z), &v) ? v : 0;
}

/* One or more statements in PostgreSQL's own words. */
static int run(struct pg *d, const char *text, struct err *e)
{
    PGresult *r = PQexec(d->c, text);
    int rc = good(r) ? 0 : fail(d, r, text, e);
    PQclear(r);
    return rc;
}

static int pg_exec(struct db *d, const char *text, struct err *e)
{
    struct buf b;
    int params;
    buf_init(&b, 0);
    int rc = pg_translate(&b, text, false, &params, e);
    if (rc == 0)
        rc = run(pg(d), b.data ? b.data : "", e);
    buf_deinit(&b);
    return rc;
}

/* ---- connections ---- */

static void pg_close(struct db *d)
{
    PQfinish(pg(d)->c);
    mem_free(d);
}

static void quiet(void *arg, const char *message)
{
    (void)arg, (void)message;
}

/* What each connection begins with. */
static int session(struct pg *d, struct err *e)
{
    d->session++;
    return run(d,
               "SET timezone = 'UTC'; SET synchronous_commit = on; SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s'; SET "
               "standard_conforming_strings = on",
               e);
}

/* A reader whose connection was lost connects again by itself; the writer does not, as what it did is not known. */
static int again(struct pg *d, struct err *e)
{
    if (!d->head.read_only || d->in_transaction || PQstatus(d->c) == CONNECTION_OK)
        return 0;
    PQreset(d->c);
    return PQstatus(d->c) == CONNECTION_OK ? session(d, e) : fail(d, NULL, "connect", e);
}

int pg_open(struct db **out, const char *url, enum db_mode mode, struct err *e)
{
    /* What the URL says of these counts more: it comes later. */
    static const char *const names[] = {"application_name",    "connect_timeout",  "keepalives_idle",
                                        "keepalives_interval", "keepalives_count", "tcp_user_timeout",
                                        "client_encoding",     "dbname",           NULL};
    const char *const values[] = {"sluice", "5", "10", "5", "3", "20000", "UTF8", url, NULL};
    *out = NULL;
    struct pg *d = mem_new(sizeof *d);
    if (!d)
        return err_set(e, ERR_NO_MEMORY, "db: no memory for a connection");
    d->head.engine = &engine;
    d->head.read_only = mode == DB_READ_ONLY;
    d->c = PQconnectdbParams(names, values, 1);
    int rc = 0;
    if (!d->c)
        rc = err_set(e, ERR_NO_MEMORY, "db: no memory for a connection");
    else if (PQstatus(d->c) != CONNECTION_OK)
        rc = err_set(e, ERR_DB, "db: cannot connect to PostgreSQL: %.*s; check the URL, and that the server runs",
                     (int)strcspn(PQerrorMessage(d->c), "\n"), PQerrorMessage(d->c));
    else if (PQserverVersion(d->c) < 130000)
        rc = err_set(e, ERR_DB, "db: PostgreSQL %d is too old; 13 and later will do, 15 is tested", PQserverVersion(d->c) / 10000);
    if (rc == 0) {
        PQsetNoticeProcessor(d->c, quiet, NULL);
        rc = session(d, e);
    }
    if (rc < 0)
        db_close(&d->head);
    else
        *out = &d->head;
    return rc;
}

/* ---- transactions ---- */

static int pg_begin(struct db *d, struct err *e)
{
    int rc = again(pg(d), e);
    if (rc == 0)
        rc = run(pg(d),
                 d->read_only ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
                              : "BEGIN; SELECT pg_advisory_xact_lock(hashtext('sluice ' || current_schema()), 0)",
                 e);
    if (rc == 0)
        pg(d)->in_transaction = true;
    else
        d->engine->rollback(d);
    return rc;
}

static int pg_commit(struct db *d, enum db_sync sync, struct err *e)
{
    (void)sync; /* always */
    pg(d)->in_transaction = false;
    PGresult *r = PQexec(pg(d)->c, "COMMIT");
    int rc = good(r) ? 0 : fail(pg(d), r, "COMMIT", e);
    if (rc == 0 && strcmp(PQcmdStatus(r), "COMMIT") != 0) /* a transaction that had failed is rolled back */
        rc = err_set(e, ERR_DB, "db: PostgreSQL rolled the transaction back");
    PQclear(r);
    return rc;
}

static void pg_rollback(struct db *d)
{
    pg(d)->in_transaction = false;
    if (PQtransactionStatus(pg(d)->c) != PQTRANS_IDLE && PQstatus(pg(d)->c) == CONNECTION_OK)
        PQclear(PQexec(pg(d)->c, "ROLLBACK"));
}

static int64_t pg_changes(struct db *d)
{
    return pg(d)->changes;
}

/* One value of a query without parameters; 0 for NULL and for none. */
static int value(struct pg *d, const char *text, int64_t *out, struct err *e)
{
    PGresult *r = PQexec(d->c, text);
    int rc = good(r) ? 0 : fail(d, r, text, e);
    *out = rc == 0 && PQntuples(r) ? decimal(PQgetvalue(r, 0, 0)) : 0;
    PQclear(r);
    return rc;
}

static int64_t pg_last_id(struct db *d)
{
    int64_t id;
    struct err e;
    return value(pg(d), "SELECT lastval()", &id, &e) < 0 ? 0 : id;
}

/* ---- the store as a whole ---- */

static int pg_copy(struct db *d, const char *path, struct err *e)
{
    return err_set(e, ERR_UNSUPPORTED,
                   "db: the ledger is in PostgreSQL (database %s), which has its own backups: pg_dump --format=custom, or a base backup with its log "
                   "(docs/operating/postgres.md); nothing was written to %.200s",
                   PQdb(pg(d)->c), path);
}

/* PostgreSQL checks its own pages as it reads them (data checksums); amcheck is the operator's. */
static int pg_check(struct db *d, bool quick, char *fault, size_t cap, struct err *e)
{
    (void)d, (void)quick, (void)e;
    if (cap)
        *fault = '\0';
    return 0;
}

static int pg_claim(struct db *d, const char *name, unsigned wait_ms, bool *mine, struct err *e)
{
    enum { STEP_MS = 20 };
    for (unsigned ms = 0;; ms += STEP_MS) {
        PGresult *r = PQexecParams(pg(d)->c, "SELECT pg_try_advisory_lock(hashtext('sluice node ' || current_schema()), hashtext($1))", 1, NULL,
                                   &name, NULL, NULL, 0);
        int rc = good(r) ? 0 : fail(pg(d), r, "claim", e);
        *mine = rc == 0 && *PQgetvalue(r, 0, 0) == 't';
        PQclear(r);
        if (rc < 0 || *mine || ms >= wait_ms)
            return rc;
        clock_sleep_ms(STEP_MS);
    }
}

static int pg_version_get(struct db *d, int64_t *out, struct err *e)
{
    int rc = value(pg(d), "SELECT coalesce(to_regclass('sluice_version')::oid::bigint, 0)", out, e);
    return rc < 0 || !*out ? rc : value(pg(d), "SELECT coalesce(max(version), 0) FROM sluice_version", out, e);
}

static int pg_version_set(struct db *d, int version, struct err *e)
{
    char text[80];
    if (!str_fmt(text, sizeof text, "DELETE FROM sluice_version; INSERT INTO sluice_version VALUES (%d)", version))
        return err_set(e, ERR_INTERNAL, "db: migration version %d does not fit", version);
    return run(pg(d), text, e);
}

/* Ids that a migration copied are not given again. */
static const char sequences[] =
    "DO $$ DECLARE x record; BEGIN FOR x IN SELECT table_name AS t, column_name AS c FROM information_schema.columns WHERE "
    "table_schema = current_schema() AND is_identity = 'YES' LOOP EXECUTE format('SELECT setval(pg_get_serial_sequence(%L, "
    "%L), greatest((SELECT coalesce(max(%I), 0) FROM %I) + 1, (SELECT nextval(pg_get_serial_sequence(%L, %L)))), false)', "
    "x.t, x.c, x.c, x.t, x.t, x.c); END LOOP; END $$";

static int pg_migrate(struct db *d, const char *text, bool old, struct err *e)
{
    struct buf b;
    int params;
    int64_t there;
    int rc = value(pg(d), "SELECT coalesce(to_regclass('sluice_version')::oid::bigint, 0)", &there, e);
    if (rc == 0 && !there && (rc = run(pg(d), "CREATE TABLE sluice_version (version bigint NOT NULL)", e)) == 0)
        rc = run(pg(d), pg_functions, e);
    if (rc < 0)
        return rc;
    buf_init(&b, 0);
    rc = pg_translate(&b, text, old, &params, e);
    if (rc == 0)
        rc = run(pg(d), b.data ? b.data : "", e);
    if (rc == 0)
        rc = run(pg(d), sequences, e);
    buf_deinit(&b);
    return rc;
}

/* ---- statements ---- */

/* The statement is prepared when it first runs: then the types of its values are known. */
static int pg_prepare(struct stmt **out, struct db *d, const char *text, struct err *e)
{
    struct pg_stmt *s = mem_new(sizeof *s);
    struct buf b;
    buf_init(&b, 0);
    int rc = s ? pg_translate(&b, text, false, &s->n_params, e) : err_set(e, ERR_NO_MEMORY, "db: no memory for a statement");
    if (rc == 0 && !(s->sql = mem_str(b.data ? b.data : "", b.len)))
        rc = err_set(e, ERR_NO_MEMORY, "db: no memory for a statement");
    buf_deinit(&b);
    if (rc < 0) {
        mem_free(s);
        return rc;
    }
    for (int i = 0; i < PG_PARAMS_MAX; i++)
        s->type[i] = TYPE_INT8; /* what is never bound is a number that is not there */
    ASSERT(str_fmt(s->name, sizeof s->name, "s%u", pg(d)->n_names++));
    *out = &s->head;
    return 0;
}

static void forget_result(struct pg_stmt *s)
{
    PQclear(s->result);
    s->result = NULL;
    s->row = s->n_rows = 0;
}

static void pg_reset(struct stmt *head)
{
    struct pg_stmt *s = of(head);
    struct pg *d = pg(head->db);
    char text[40];
    if (s->open && d->in_transaction && str_fmt(text, sizeof text, "CLOSE %s", s->name))
        PQclear(PQexec(d->c, text));
    s->open = s->cursor = false;
    forget_result(s);
    memset(s->value, 0, sizeof s->value);
}

static void pg_finalize(struct stmt *head)
{
    struct pg_stmt *s = of(head);
    char text[40];
    if (!head->cached && s->prepared && PQtransactionStatus(pg(head->db)->c) <= PQTRANS_INTRANS &&
        str_fmt(text, sizeof text, "DEALLOCATE %s", s->name))
        PQclear(PQexec(pg(head->db)->c, text));
    forget_result(s);
    mem_free(s->sql);
    mem_free(s);
}

static void set(struct stmt *head, int i, Oid type, const void *p, size_t n)
{
    struct pg_stmt *s = of(head);
    ASSERT(i >= 1 && i <= s->n_params);
    s->value[i - 1] = p, s->length[i - 1] = (int)n;
    if (!s->prepared)
        s->type[i - 1] = type;
}

static void pg_bind_i64(struct stmt *s, int i, int64_t v)
{
    ASSERT(i >= 1 && i <= of(s)->n_params);
    of(s)->number[i - 1] = (int64_t)htobe64((uint64_t)v);
    set(s, i, TYPE_INT8, &of(s)->number[i - 1], sizeof v);
}
static void pg_bind_text(struct stmt *s, int i, const char *p, size_t n)
{
    set(s, i, TYPE_TEXT, p, n);
}
static void pg_bind_blob(struct stmt *s, int i, const void *p, size_t n)
{
    set(s, i, TYPE_BYTEA, p, n);
}
static void pg_bind_null(struct stmt *s, int i)
{
    set(s, i, 0, NULL, 0);
}

static int prepare(struct pg *d, struct pg_stmt *s, struct err *e)
{
    PGresult *r = PQprepare(d->c, s->name, s->sql, s->n_params, s->type);
    int rc = good(r) ? 0 : fail(d, r, s->sql, e);
    PQclear(r);
    s->prepared = rc == 0 ? d->session : 0;
    return rc;
}

static int keep(struct pg *d, struct pg_stmt *s, PGresult *r, struct err *e)
{
    forget_result(s);
    s->result = r;
    if (!good(r))
        return fail(d, r, s->sql, e);
    s->n_rows = PQntuples(r);
    d->changes = decimal(PQcmdTuples(r));
    return 0;
}

static int fetch(struct pg *d, struct pg_stmt *s, struct err *e)
{
    char text[48];
    ASSERT(str_fmt(text, sizeof text, "FETCH %d FROM %s", (int)ROWS_AT_ONCE, s->name));
    return keep(d, s, PQexecParams(d->c, text, 0, NULL, NULL, NULL, NULL, 1), e);
}

/* Through a cursor: DECLARE takes parameters too. */
static int declare(struct pg *d, struct pg_stmt *s, struct err *e)
{
    struct buf b;
    buf_init(&b, 0);
    buf_fmt(&b, "DECLARE %s NO SCROLL CURSOR FOR ", s->name);
    buf_add(&b, s->sql, strlen(s->sql));
    buf_char(&b, '\0');
    int rc = b.failed ? err_set(e, ERR_NO_MEMORY, "db: no memory for a statement")
                      : keep(d, s, PQexecParams(d->c, b.data, s->n_params, s->type, s->value, s->length, binary, 1), e);
    buf_deinit(&b);
    s->cursor = s->open = rc == 0;
    return rc < 0 ? rc : fetch(d, s, e);
}

static int execute(struct pg *d, struct pg_stmt *s, struct err *e)
{
    if (d->head.read_only && d->in_transaction)
        return declare(d, s, e);
    int rc = again(d, e);
    if (rc == 0 && s->prepared != d->session)
        rc = prepare(d, s, e);
    return rc < 0 ? rc : keep(d, s, PQexecPrepared(d->c, s->name, s->n_params, s->value, s->length, binary, 1), e);
}

static int pg_step(struct stmt *head, bool *row, struct err *e)
{
    struct pg_stmt *s = of(head);
    struct pg *d = pg(head->db);
    int rc = 0;
    if (!s->result)
        rc = execute(d, s, e);
    else if (s->row + 1 == s->n_rows && s->cursor && s->n_rows == ROWS_AT_ONCE)
        rc = fetch(d, s, e);
    else
        s->row++;
    *row = rc == 0 && s->row < s->n_rows;
    return rc;
}

/* ---- columns ---- */

static uint64_t big_endian(const char *p, int n)
{
    uint64_t v = 0;
    for (int i = 0; i < n; i++)
        v = v << 8 | (uint8_t)p[i];
    return v;
}

/* The whole part of a numeric: u16 digits, i16 weight, u16 sign, u16 scale, then digits of base 10,000, the first of weight. */
static int64_t numeric(const char *p)
{
    int n = (int)big_endian(p, 2), weight = (int16_t)big_endian(p + 2, 2);
    int64_t v = 0;
    for (int i = 0; i <= weight; i++) {
        int64_t digit = i < n ? (int64_t)big_endian(p + 8 + 2 * i, 2) : 0;
        if (__builtin_mul_overflow(v, 10000, &v) || __builtin_add_overflow(v, digit, &v))
            return big_endian(p + 4, 2) ? INT64_MIN : INT64_MAX;
    }
    return big_endian(p + 4, 2) ? -v : v;
}

static int64_t number(const char *p, int n, Oid type)
{
    switch (type) {
    case TYPE_BOOL:
    case TYPE_INT2:
    case TYPE_INT4:
    case TYPE_INT8: {
        uint64_t v = big_endian(p, n);
        return n == 4 ? (int32_t)v : n == 2 ? (int16_t)v : (int64_t)v;
    }
    case TYPE_NUMERIC: return numeric(p);
    case TYPE_FLOAT8: {
        uint64_t bits = big_endian(p, n);
        double v;
        memcpy(&v, &bits, sizeof v);
        return (int64_t)v;
    }
    default: return decimal(p); /* libpq puts a NUL behind each value */
    }
}

static bool pg_col_null(struct stmt *head, int col)
{
    const struct pg_stmt *s = of(head);
    return s->row >= s->n_rows || PQgetisnull(s->result, s->row, col);
}

static int64_t pg_col_i64(struct stmt *head, int col)
{
    const struct pg_stmt *s = of(head);
    return pg_col_null(head, col) ? 0 : number(PQgetvalue(s->result, s->row, col), PQgetlength(s->result, s->row, col), PQftype(s->result, col));
}

static struct str pg_col_blob(struct stmt *head, int col)
{
    const struct pg_stmt *s = of(head);
    return pg_col_null(head, col) ? (struct str){NULL, 0}
                                  : (struct str){PQgetvalue(s->result, s->row, col), (size_t)PQgetlength(s->result, s->row, col)};
}

/* Numbers as text too: the last four of a row live until the next step. */
static struct str pg_col_str(struct stmt *head, int col)
{
    struct pg_stmt *s = of(head);
    Oid type = pg_col_null(head, col) ? TYPE_TEXT : PQftype(s->result, col);
    if (type != TYPE_BOOL && type != TYPE_INT2 && type != TYPE_INT4 && type != TYPE_INT8 && type != TYPE_NUMERIC && type != TYPE_FLOAT8)
        return pg_col_blob(head, col);
    char *text = s->text[s->n_text++ % 4];
    (void)str_fmt(text, sizeof s->text[0], "%lld", (long long)pg_col_i64(head, col));
    return str_of(text);
}

static const struct db_engine engine = {
    .kind = DB_POSTGRES,
    .close = pg_close,
    .exec = pg_exec,
    .begin = pg_begin,
    .commit = pg_commit,
    .rollback = pg_rollback,
    .changes = pg_changes,
    .last_id = pg_last_id,
    .copy = pg_copy,
    .check = pg_check,
    .claim = pg_claim,
    .version_get = pg_version_get,
    .version_set = pg_version_set,
    .migrate = pg_migrate,
    .prepare = pg_prepare,
    .finalize = pg_finalize,
    .reset = pg_reset,
    .bind_i64 = pg_bind_i64,
    .bind_text = pg_bind_text,
    .bind_blob = pg_bind_blob,
    .bind_null = pg_bind_null,
    .step = pg_step,
    .col_i64 = pg_col_i64,
    .col_str = pg_col_str,
    .col_blob = pg_col_blob,
    .col_null = pg_col_null,
};
