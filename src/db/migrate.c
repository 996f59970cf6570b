/* Migrations: each step is one transaction, synced, and sets the store's version (SQLite's user_version, a table of PostgreSQL). */
#include "db/db_int.h"

static int apply(struct db *d, const struct migration *m, bool old, struct err *e)
{
    int64_t have;
    int rc = db_begin(d, e);
    if (rc < 0)
        return rc;
    if ((rc = db_version(d, &have, e)) == 0 && have >= m->version) { /* another node was faster */
        db_rollback(d);
        return 0;
    }
    if (rc == 0)
        rc = d->engine->migrate(d, m->sql.text, old, e);
    if (rc == 0)
        rc = d->engine->version_set(d, m->version, e);
    if (rc == 0)
        rc = db_commit(d, DB_SYNC_FULL, e);
    if (rc < 0) {
        db_rollback(d);
        return err_wrap(e, "migration %d", m->version);
    }
    return 0;
}

/* m: (n), versions rising. */
int db_migrate(struct db *d, const struct migration *m, size_t n, int base, struct err *e)
{
    int64_t have;
    int rc = db_version(d, &have, e);
    if (rc < 0)
        return rc;
    int last = n ? m[n - 1].version : 0;
    if (have > last)
        return err_set(e, ERR_CONFLICT, "db: the store is at version %lld and this program knows only %d; use the newer program or restore a backup",
                       (long long)have, last);
    for (size_t i = 0; i < n; i++) {
        ASSERT(i == 0 || m[i].version > m[i - 1].version);
        if (m[i].version > have && (rc = apply(d, &m[i], m[i].version <= base, e)) < 0)
            return rc;
    }
    return 0;
}
