/* SQLite behind db.h: this file and memory.c alone see sqlite3.h.
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

enum { STMT_CACHE_MAX = 256, DB_BUSY_MS = 5000, DB_CACHE_KIB = 8192, DB_CHECKPOINT_PAGES = 4000 };

struct stmt {
    struct db *db;
    const char *text;
    sqlite3_stmt *s;
    int bind_rc; /* the first bind that failed */
    bool busy, cached;
};

struct db {
    sqlite3 *h;
    bool read_only, broken;
    struct stmt *cache[STMT_CACHE_MAX]; /* open addressing by the address of the text */
    size_t n_cache;
};

static int fail(struct db *d, const char *what, struct err *e)
{
    const char *path = sqlite3_db_filename(d->h, "main");
    return err_set(e, ERR_DB, "db: %s: %s: %s (SQLite code %d); check free space and the permissions of the folder", path ? path : "store", what,
                   sqlite3_errmsg(d->h), sqlite3_extended_errcode(d->h));
}

static int exec(struct db *d, const char *text, struct err *e)
{
    return sqlite3_exec(d->h, text, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(d, text, e);
}

/* ---- connections ---- */

static int configure(struct db *d, struct err *e)
{
    sqlite3_extended_result_codes(d->h, 1);
    sqlite3_busy_timeout(d->h, DB_BUSY_MS);
    sqlite3_db_config(d->h, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    sqlite3_db_config(d->h, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
    if (d->read_only) {
        sqlite3_db_config(d->h, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)NULL);
        return exec(d, "PRAGMA mmap_size=0", e) || sqlite3_wal_autocheckpoint(d->h, 0) != SQLITE_OK ? err_wrap(e, "cannot configure the reader") : 0;
    }
    sqlite3_wal_autocheckpoint(d->h, DB_CHECKPOINT_PAGES);
    if (exec(d, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=1; PRAGMA mmap_size=0; PRAGMA temp_store=MEMORY", e))
        return -ERR_DB;
    sqlite3_limit(d->h, SQLITE_LIMIT_ATTACHED, 1);
    char cache[48];
    if (!str_fmt(cache, sizeof cache, "PRAGMA cache_size=-%d", (int)DB_CACHE_KIB))
        return err_set(e, ERR_INTERNAL, "db: the cache size does not fit");
    return exec(d, cache, e);
}

/* Opens the store at path (made by DB_READ_WRITE when it is absent). The caller closes it with db_close. A connection is used by one
 * thread at a time. */
int db_open(struct db **out, const char *path, enum db_mode mode, struct err *e)
{
    *out = NULL;
    db_memory_init();
    struct db *d = mem_new(sizeof *d);
    if (!d)
        return err_set(e, ERR_NO_MEMORY, "db: no memory for a connection to %s", path);
    d->read_only = mode == DB_READ_ONLY;
    int flags = (d->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE) | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &d->h, flags, NULL) != SQLITE_OK) {
        err_set(e, ERR_DB, "db: cannot open %s: %s; check that the folder exists and may be written", path,
                d->h ? sqlite3_errmsg(d->h) : "no memory");
        db_close(d);
        return -ERR_DB;
    }
    int rc = configure(d, e);
    if (rc < 0) {
        db_close(d);
        return rc;
    }
    *out = d;
    return 0;
}

/* Closes; the last connection of a store is the writer, which folds the log into the file. NULL is allowed. */
void db_close(struct db *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < STMT_CACHE_MAX; i++)
        if (d->cache[i]) {
            sqlite3_finalize(d->cache[i]->s);
            mem_free(d->cache[i]);
        }
    if (d->h)
        ASSERT(sqlite3_close(d->h) == SQLITE_OK); /* a statement that was not put back */
    mem_free(d);
}

int db_exec(struct db *d, struct sql sql, struct err *e)
{
    return exec(d, sql.text, e);
}

int db_begin(struct db *d, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, d, d->read_only ? SQL("BEGIN") : SQL("BEGIN IMMEDIATE"), e);
    return rc < 0 ? rc : stmt_run(s, e);
}

/* Puts the write-ahead log on the disk. A sync that failed is never tried again: the connection refuses every later commit. */
static int log_sync(struct db *d, struct err *e)
{
    sqlite3_file *f = NULL;
    if (sqlite3_file_control(d->h, "main", SQLITE_FCNTL_JOURNAL_POINTER, &f) != SQLITE_OK)
        return fail(d, "sync", e);
    if (!f || !f->pMethods)
        return 0; /* nothing was ever written */
    int rc = f->pMethods->xSync(f, SQLITE_SYNC_NORMAL);
    if (rc == SQLITE_OK)
        return 0;
    d->broken = true;
    return err_set(e, ERR_DB, "db: the log could not be synced to the disk (SQLite code %d); check the disk and restart", rc);
}

/* Commits. DB_SYNC_FULL: this and every earlier commit are on the disk when it returns 0. */
int db_commit(struct db *d, enum db_sync sync, struct err *e)
{
    if (d->broken)
        return err_set(e, ERR_DB, "db: an earlier sync failed, so nothing more is written; check the disk and restart");
    struct stmt *s;
    int rc = stmt_get(&s, d, SQL("COMMIT"), e);
    if (rc < 0 || (rc = stmt_run(s, e)) < 0)
        return rc;
    return sync == DB_SYNC_FULL ? log_sync(d, e) : 0;
}

void db_rollback(struct db *d)
{
    if (!sqlite3_get_autocommit(d->h))
        (void)sqlite3_exec(d->h, "ROLLBACK", NULL, NULL, NULL);
}

int64_t db_changes(struct db *d)
{
    return sqlite3_changes64(d->h);
}

int64_t db_last_id(struct db *d)
{
    return sqlite3_last_insert_rowid(d->h);
}

/* Writes a consistent copy of the store, as of now, into a new file; synced. Works on a reader, which then blocks nobody. */
int db_copy(struct db *d, const char *path, struct err *e)
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

/* ---- statements ---- */

/* The slot of a text, or the first empty one; NULL when the cache is full of others. */
static struct stmt **slot_of(struct db *d, const char *text)
{
    size_t at = (size_t)(((uintptr_t)text * 0x9e3779b97f4a7c15u) >> 56);
    for (size_t i = 0; i < STMT_CACHE_MAX; i++) {
        struct stmt **p = &d->cache[(at + i) % STMT_CACHE_MAX];
        if (!*p || (*p)->text == text)
            return p;
    }
    return NULL;
}

int stmt_get(struct stmt **out, struct db *d, struct sql sql, struct err *e)
{
    struct stmt **slot = slot_of(d, sql.text);
    *out = NULL;
    if (slot && *slot && !(*slot)->busy) {
        *out = *slot;
        (*out)->busy = true;
        return 0;
    }
    struct stmt *s = mem_new(sizeof *s);
    if (!s)
        return err_set(e, ERR_NO_MEMORY, "db: no memory for a statement");
    if (sqlite3_prepare_v3(d->h, sql.text, -1, SQLITE_PREPARE_PERSISTENT, &s->s, NULL) != SQLITE_OK) {
        mem_free(s);
        return fail(d, sql.text, e);
    }
    *s = (struct stmt){.db = d, .text = sql.text, .s = s->s, .busy = true};
    if (slot && !*slot && d->n_cache < STMT_CACHE_MAX - 1) {
        *slot = s;
        s->cached = true;
        d->n_cache++;
    }
    *out = s;
    return 0;
}

void stmt_put(struct stmt *s)
{
    if (!s)
        return;
    if (!s->cached) {
        sqlite3_finalize(s->s);
        mem_free(s);
        return;
    }
    sqlite3_reset(s->s);
    sqlite3_clear_bindings(s->s);
    s->bind_rc = SQLITE_OK;
    s->busy = false;
}

static void bound(struct stmt *s, int rc)
{
    if (rc != SQLITE_OK && s->bind_rc == SQLITE_OK)
        s->bind_rc = rc;
}

/* Bound bytes are not copied: they must live until the statement is put back. */
void stmt_i64(struct stmt *s, int i, int64_t v)
{
    bound(s, sqlite3_bind_int64(s->s, i, v));
}
void stmt_str(struct stmt *s, int i, struct str v)
{
    bound(s, sqlite3_bind_text64(s->s, i, v.p ? v.p : "", v.n, SQLITE_STATIC, SQLITE_UTF8));
}
void stmt_text(struct stmt *s, int i, const char *z)
{
    bound(s, z ? sqlite3_bind_text(s->s, i, z, -1, SQLITE_STATIC) : sqlite3_bind_null(s->s, i));
}
void stmt_blob(struct stmt *s, int i, const void *p, size_t n)
{
    bound(s, sqlite3_bind_blob64(s->s, i, n ? p : "", n, SQLITE_STATIC));
}
void stmt_null(struct stmt *s, int i)
{
    bound(s, sqlite3_bind_null(s->s, i));
}

/* After an error the statement must still be put back. */
int stmt_step(struct stmt *s, bool *row, struct err *e)
{
    *row = false;
    if (s->bind_rc != SQLITE_OK)
        return err_set(e, s->bind_rc == SQLITE_NOMEM ? ERR_NO_MEMORY : ERR_INTERNAL, "db: a value could not be bound (%s) in: %.200s",
                       sqlite3_errstr(s->bind_rc), s->text);
    int rc = sqlite3_step(s->s);
    if (rc == SQLITE_ROW) {
        *row = true;
        return 0;
    }
    return rc == SQLITE_DONE ? 0 : fail(s->db, s->text, e);
}

int stmt_run(struct stmt *s, struct err *e)
{
    bool row = true;
    int rc = 0;
    while (row && rc == 0)
        rc = stmt_step(s, &row, e);
    stmt_put(s);
    return rc;
}

int64_t stmt_col_i64(struct stmt *s, int col)
{
    return sqlite3_column_int64(s->s, col);
}

struct str stmt_col_str(struct stmt *s, int col)
{
    const char *p = (const char *)sqlite3_column_text(s->s, col);
    return p ? (struct str){p, (size_t)sqlite3_column_bytes(s->s, col)} : (struct str){NULL, 0};
}

struct str stmt_col_blob(struct stmt *s, int col)
{
    const char *p = sqlite3_column_blob(s->s, col);
    return p ? (struct str){p, (size_t)sqlite3_column_bytes(s->s, col)} : (struct str){NULL, 0};
}

bool stmt_col_null(struct stmt *s, int col)
{
    return sqlite3_column_type(s->s, col) == SQLITE_NULL;
}
