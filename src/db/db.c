/* What is the same for every engine: opening by name, the cache of statements, running a statement to its end. */
#include "db/db_int.h"

#include <string.h>

bool db_is_url(const char *where)
{
    return strncmp(where, "postgres://", 11) == 0 || strncmp(where, "postgresql://", 13) == 0;
}

int db_open(struct db **out, const char *where, enum db_mode mode, struct err *e)
{
    return db_is_url(where) ? pg_open(out, where, mode, e) : lite_open(out, where, mode, e);
}

void db_close(struct db *d)
{
    if (!d)
        return;
    for (size_t i = 0; i < STMT_CACHE_MAX; i++)
        if (d->cache[i])
            d->engine->finalize(d->cache[i]);
    d->engine->close(d);
}

enum db_kind db_kind(const struct db *d)
{
    return d->engine->kind;
}

int db_exec(struct db *d, struct sql sql, struct err *e)
{
    return d->engine->exec(d, sql.text, e);
}

int db_begin(struct db *d, struct err *e)
{
    return d->engine->begin(d, e);
}

int db_commit(struct db *d, enum db_sync sync, struct err *e)
{
    return d->engine->commit(d, sync, e);
}

void db_rollback(struct db *d)
{
    d->engine->rollback(d);
}

int64_t db_changes(struct db *d)
{
    return d->engine->changes(d);
}

int64_t db_last_id(struct db *d)
{
    return d->engine->last_id(d);
}

int db_copy(struct db *d, const char *path, struct err *e)
{
    return d->engine->copy(d, path, e);
}

int db_check(struct db *d, bool quick, char *fault, size_t cap, struct err *e)
{
    return d->engine->check(d, quick, fault, cap, e);
}

int db_claim(struct db *d, const char *name, unsigned wait_ms, bool *mine, struct err *e)
{
    *mine = false;
    return d->engine->claim(d, name, wait_ms, mine, e);
}

bool db_sync_failed(const struct db *d)
{
    return d->sync_failed;
}

int db_version(struct db *d, int64_t *out, struct err *e)
{
    return d->engine->version_get(d, out, e);
}

/* ---- statements ---- */

/* The slot of a text, or the first empty one; NULL when the cache is full of others. */
static struct stmt **slot_of(struct db *d, const char *text)
{
    size_t at = (size_t)(((uintptr_t)text * 0x9e3779b97f4a7c15u) >> 55);
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
    struct stmt *s;
    int rc = d->engine->prepare(&s, d, sql.text, e);
    if (rc < 0)
        return rc;
    s->db = d, s->text = sql.text, s->busy = true;
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
        s->db->engine->finalize(s);
        return;
    }
    s->db->engine->reset(s);
    s->busy = false;
}

void stmt_i64(struct stmt *s, int i, int64_t v)
{
    s->db->engine->bind_i64(s, i, v);
}

void stmt_str(struct stmt *s, int i, struct str v)
{
    s->db->engine->bind_text(s, i, v.p ? v.p : "", v.n);
}

void stmt_text(struct stmt *s, int i, const char *z)
{
    s->db->engine->bind_text(s, i, z, z ? strlen(z) : 0);
}

void stmt_blob(struct stmt *s, int i, const void *p, size_t n)
{
    s->db->engine->bind_blob(s, i, n ? p : "", n);
}

void stmt_null(struct stmt *s, int i)
{
    s->db->engine->bind_null(s, i);
}

/* After an error the statement must still be put back. */
int stmt_step(struct stmt *s, bool *row, struct err *e)
{
    *row = false;
    return s->db->engine->step(s, row, e);
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
    return s->db->engine->col_i64(s, col);
}

struct str stmt_col_str(struct stmt *s, int col)
{
    return s->db->engine->col_str(s, col);
}

struct str stmt_col_blob(struct stmt *s, int col)
{
    return s->db->engine->col_blob(s, col);
}

bool stmt_col_null(struct stmt *s, int col)
{
    return s->db->engine->col_null(s, col);
}
