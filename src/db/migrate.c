/* Migrations: the store's version is SQLite's user_version; each step is one transaction, synced, and sets it. */
#include "db/db.h"

#include "base/buf.h"

static int version_get(struct db *d, int64_t *out, struct err *e)
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
static int version_set(struct db *d, int version, struct err *e)
{
    char text[48];
    if (!str_fmt(text, sizeof text, "PRAGMA user_version=%d", version))
        return err_set(e, ERR_INTERNAL, "db: migration version %d does not fit", version);
    return db_exec(d, (struct sql){text}, e);
}

static int apply(struct db *d, const struct migration *m, struct err *e)
{
    int rc = db_begin(d, e);
    if (rc < 0)
        return rc;
    rc = db_exec(d, m->sql, e);
    if (rc == 0)
        rc = version_set(d, m->version, e);
    if (rc == 0)
        rc = db_commit(d, DB_SYNC_FULL, e);
    if (rc < 0) {
        db_rollback(d);
        return err_wrap(e, "migration %d", m->version);
    }
    return 0;
}

/* m: (n), versions rising. */
int db_migrate(struct db *d, const struct migration *m, size_t n, struct err *e)
{
    int64_t have;
    int rc = version_get(d, &have, e);
    if (rc < 0)
        return rc;
    int last = n ? m[n - 1].version : 0;
    if (have > last)
        return err_set(e, ERR_CONFLICT, "db: the store is at version %lld and this program knows only %d; use the newer program or restore a backup",
                       (long long)have, last);
    for (size_t i = 0; i < n; i++) {
        ASSERT(i == 0 || m[i].version > m[i - 1].version);
        if (m[i].version > have && (rc = apply(d, &m[i], e)) < 0)
            return rc;
    }
    return 0;
}
