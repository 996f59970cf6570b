/* SQLite behind db_int.h: this file and memory.c alone see sqlite3.h.
 *
 * Every connection runs in WAL mode. The writer commits with synchronous=NORMAL; a DB_SYNC_FULL commit then syncs the write-ahead log
 * itself, which is what synchronous=FULL does at the end of a commit, but decided when the commit is made. Readers never checkpoint:
 * wal_autocheckpoint=0 and NO_CKPT_ON_CLOSE (SQLite 3.7.0 to 3.51.2 can corrupt a store that two connections checkpoint at once). */
#include "db/db_int.h"

#include "base/mem.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <unistd.h>

enum { DB_BUSY_MS = 5000, DB_CACHE_KIB = 8192, DB_CHECKPOINT_PAGES = 4000 };

struct lite_stmt {
    struct stmt head;
    sqlite3_stmt *s;
    int bind_rc; /* the first bind that failed */
};

struct lite {
    struct db head;
    sqlite3 *h;
};

static const struct db_engine engine;

static struct lite *lite(struct db *d)
{
    return (struct lite *)d;
}

static struct lite_stmt *of(struct stmt *s)
{
    return (struct lite_stmt *)s;
}

static int fail(struct db *d, const char *what, struct err *e)
{
    sqlite3 *h = lite(d)->h;
    const char *path = sqlite3_db_filename(h, "main");
    return err_set(e, ERR_DB, "db: %s: %s: %s (SQLite code %d); check free space and the permissions of the folder", path ? path : "store", what,
                   sqlite3_errmsg(h), sqlite3_extended_errcode(h));
}

static int lite_exec(struct db *d, const char *text, struct err *e)
{
    return sqlite3_exec(lite(d)->h, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(d, text, e);
}

/* ---- connections ---- */

static int configure(struct lite *d, struct err *e)
{
    sqlite3_extended_result_codes(d->h, 1);
    sqlite3_busy_timeout(d->h, DB_BUSY_MS);
    sqlite3_db_config(d->h, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    sqlite3_db_config(d->h, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
    if (d->head.read_only) {
        sqlite3_db_config(d->h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
        return lite_exec(&d->head, "PRAGMA mmap_size=0", e) || sqlite3_wal_autocheckpoint(d->h, 0) != SQLITE_OK
                   ? err_wrap(e, "cannot configure the reader")
                   : 0;
    }
    sqlite3_wal_autocheckpoint(d->h, DB_CHECKPOINT_PAGES);
    if (lite_exec(&d->head, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=1; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY",
                  e))
        return -ERR_DB;
    sqlite3_limit(d->h, SQLITE_LIMIT_ATTACHED, 1);
    char cache[48];
    if (!str_fmt(cache, sizeof cache, "PRAGMA cache_size=-%d", (int)DB_CACHE_KIB))
        return err_set(e, ERR_INTERNAL, "db: the cache size does not fit");
    return lite_exec(&d->head, cache, e);
}

/* The last connection of a store to be closed is the writer, which folds the log into the file. */
static void lite_close(struct db *d)
{
    if (lite(d)->h)
        ASSERT(sqlite3_close(lite(d)->h) == SQLITE_OK); /* a statement that was not put back */
    mem_free(d);
}

int lite_open(struct db **out, const char *path, enum db_mode mode, struct err *e)
{
    *out = NULL;
    db_memory_init();
    struct lite *d = mem_new(sizeof *d);
    if (!d)
        return err_set(e, ERR_NO_MEMORY, "db: no memory for a connection to %s", path);
    d->head.engine = &engine;
    d->head.read_only = mode == DB_READ_ONLY;
    int flags = (d->head.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &d->h, flags, NULL) != SQLITE_OK) {
        err_set(e, ERR_DB, "db: cannot open %s: %s; check that the folder exists and may be written", path,
                d->h ? sqlite3_errmsg(d->h) : "no memory");
        db_close(&d->head);
        return -ERR_DB;
    }
    int rc = configure(d, e);
    if (rc < 0) {
        db_close(&d->head);
        return rc;
    }
    *out = &d->head;
    return 0;
}

/* ---- transactions ---- */

static int lite_begin(struct db *d, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, d, d->read_only ? SQL("BEGIN") : SQL("BEGIN IMMEDIATE"), e);
    return rc < 0 ? rc : stmt_run(s, e);
}

/* Puts the write-ahead log on the disk. A sync that failed is never tried again: the connection refuses every later commit. */
static int log_sync(struct lite *d, struct err *e)
{
    sqlite3_file *f = NULL;
    if (sqlite3_file_control(d->h, "main", SQLITE_FCNTL_JOURNAL_POINTER, &f) != SQLITE_OK)
        return fail(&d->head, "sync", e);
    if (!f || !f->pMethods)
        return 0; /* nothing was ever written */
    int rc = f->pMethods->xSync(f, SQLITE_SYNC_NORMAL);
    if (rc == SQLITE_OK)
        return 0;
    d->head.sync_failed = true;
    return err_set(e, ERR_DB, "db: the log could not be synced to the disk (SQLite code %d); check the disk", rc);
}

static int lite_commit(struct db *d, enum db_sync sync, struct err *e)
{
    if (d->sync_failed)
        return err_set(e, ERR_DB, "db: an earlier sync failed, so nothing more is written over this connection; check the disk");
    struct stmt *s;
    int rc = stmt_get(&s, d, SQL("COMMIT"), e);
    if (rc < 0 || (rc = stmt_run(s, e)) < 0)
        return rc;
    return sync == DB_SYNC_FULL ? log_sync(lite(d), e) : 0;
}

static void lite_rollback(struct db *d)
{
    if (!sqlite3_get_autocommit(lite(d)->h))
        (void)sqlite3_exec(lite(d)->h, "ROLLBACK", NULL, NULL, NULL);
}

static int64_t lite_changes(struct db *d)
{
    return sqlite3_changes64(lite(d)->h);
}

static int64_t lite_last_id(struct db *d)
{
    return sqlite3_last_insert_rowid(lite(d)->h);
}

/* ---- the store as a whole ---- */

static int lite_copy(struct db *d, const char *path, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, d, SQL("VACUUM INTO ?1"), e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, path);
    if ((rc = stmt_run(s, e)) < 0)
        return rc;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        rc = err_set(e, ERR_IO, "db: the copy %s could not be synced: %m; check the disk", path);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int lite_check(struct db *d, bool quick, char *fault, size_t cap, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, d, quick ? SQL("PRAGMA quick_check(1)") : SQL("PRAGMA integrity_check(1)"), e);
    if (rc < 0)
        return rc;
    rc = stmt_step(s, &row, e);
    struct str text = rc == 0 && row ? stmt_col_str(s, 0) : STR("ok");
    (void)str_fmt(fault, cap, "%.*s", str_eqz(text, "ok") ? 0 : (int)(text.n < cap ? text.n : cap - 1), text.p);
    stmt_put(s);
    return rc;
}

/* The store is locked by its folder. */
static int lite_claim(struct db *d, const char *name, unsigned wait_ms, bool *mine, struct err *e)
{
    (void)d, (void)name, (void)wait_ms, (void)e;
    *mine = true;
    return 0;
}

static int lite_version_get(struct db *d, int64_t *out, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, d, SQL("PRAGMA user_version"), e);
    if (rc < 0)
        return rc;
    rc = stmt_step(s, &row, e);
    *out = rc == 0 && row ? stmt_col_i64(s, 0) : 0;
    stmt_put(s);
    return rc;
}

/* A pragma takes no bound value; the version is a number of this program, never input. */
static int lite_version_set(struct db *d, int version, struct err *e)
{
    char text[48];
    if (!str_fmt(text, sizeof text, "PRAGMA user_version=%d", version))
        return err_set(e, ERR_INTERNAL, "db: migration version %d does not fit", version);
    return lite_exec(d, text, e);
}

static int lite_migrate(struct db *d, const char *text, bool old, struct err *e)
{
    (void)old;
    return lite_exec(d, text, e);
}

/* ---- statements ---- */

static int lite_prepare(struct stmt **out, struct db *d, const char *text, struct err *e)
{
    struct lite_stmt *s = mem_new(sizeof *s);
    if (!s)
        return err_set(e, ERR_NO_MEMORY, "db: no memory for a statement");
    if (sqlite3_prepare_v3(lite(d)->h, text, -1, SQLITE_PREPARE_PERSISTENT, &s->s, NULL) != SQLITE_OK) {
        mem_free(s);
        return fail(d, text, e);
    }
    *out = &s->head;
    return 0;
}

static void lite_finalize(struct stmt *s)
{
    sqlite3_finalize(of(s)->s);
    mem_free(s);
}

static void lite_reset(struct stmt *s)
{
    sqlite3_reset(of(s)->s);
    sqlite3_clear_bindings(of(s)->s);
    of(s)->bind_rc = SQLITE_OK;
}

static void bound(struct stmt *s, int rc)
{
    if (rc != SQLITE_OK && of(s)->bind_rc == SQLITE_OK)
        of(s)->bind_rc = rc;
}

static void lite_bind_i64(struct stmt *s, int i, int64_t v)
{
    bound(s, sqlite3_bind_int64(of(s)->s, i, v));
}
static void lite_bind_text(struct stmt *s, int i, const char *p, size_t n)
{
    bound(s, sqlite3_bind_text64(of(s)->s, i, p, n, SQLITE_STATIC, SQLITE_UTF8));
}
static void lite_bind_blob(struct stmt *s, int i, const void *p, size_t n)
{
    bound(s, sqlite3_bind_blob64(of(s)->s, i, p, n, SQLITE_STATIC));
}
static void lite_bind_null(struct stmt *s, int i)
{
    bound(s, sqlite3_bind_null(of(s)->s, i));
}

static int lite_step(struct stmt *s, bool *row, struct err *e)
{
    int rc = of(s)->bind_rc;
    if (rc != SQLITE_OK)
        return err_set(e, rc == SQLITE_NOMEM ? ERR_NO_MEMORY : ERR_INTERNAL, "db: a value could not be bound (%s) in: %.200s", sqlite3_errstr(rc),
                       s->text);
    rc = sqlite3_step(of(s)->s);
    *row = rc == SQLITE_ROW;
    return rc == SQLITE_DONE || *row ? 0 : fail(s->db, s->text, e);
}

static int64_t lite_col_i64(struct stmt *s, int col)
{
    return sqlite3_column_int64(of(s)->s, col);
}

static struct str lite_col_str(struct stmt *s, int col)
{
    const char *p = (const char *)sqlite3_column_text(of(s)->s, col);
    return p ? (struct str){p, (size_t)sqlite3_column_bytes(of(s)->s, col)} : (struct str){NULL, 0};
}

static struct str lite_col_blob(struct stmt *s, int col)
{
    const char *p = sqlite3_column_blob(of(s)->s, col);
    return p ? (struct str){p, (size_t)sqlite3_column_bytes(of(s)->s, col)} : (struct str){NULL, 0};
}

static bool lite_col_null(struct stmt *s, int col)
{
    return sqlite3_column_type(of(s)->s, col) == SQLITE_NULL;
}

static const struct db_engine engine = {
    .kind = DB_SQLITE,
    .close = lite_close,
    .exec = lite_exec,
    .begin = lite_begin,
    .commit = lite_commit,
    .rollback = lite_rollback,
    .changes = lite_changes,
    .last_id = lite_last_id,
    .copy = lite_copy,
    .check = lite_check,
    .claim = lite_claim,
    .version_get = lite_version_get,
    .version_set = lite_version_set,
    .migrate = lite_migrate,
    .prepare = lite_prepare,
    .finalize = lite_finalize,
    .reset = lite_reset,
    .bind_i64 = lite_bind_i64,
    .bind_text = lite_bind_text,
    .bind_blob = lite_bind_blob,
    .bind_null = lite_bind_null,
    .step = lite_step,
    .col_i64 = lite_col_i64,
    .col_str = lite_col_str,
    .col_blob = lite_col_blob,
    .col_null = lite_col_null,
};
