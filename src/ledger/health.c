/* What sluice doctor asks of a store, on a read-only connection of its own: also beside a running server. */
#include "ledger/ledger_int.h"

#include "base/os.h"

static int newest(struct db *d, int64_t *out, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, d, SQL("SELECT max(end_us) FROM usage"), e);
    if (rc < 0)
        return rc;
    rc = stmt_step(s, &row, e);
    *out = rc == 0 && row ? stmt_col_i64(s, 0) : 0;
    stmt_put(s);
    return rc;
}

int ledger_health(struct ledger_health *out, const char *dir, const char *store, struct err *e)
{
    char path[1100];
    struct db *d = NULL;
    *out = (struct ledger_health){.known_version = ledger_migrations[ledger_n_migrations - 1].version};
    if (!str_fmt(path, sizeof path, "%s/ledger.db", dir))
        return err_set(e, ERR_IO, "ledger: the path of the data folder is too long");
    bool shared = store && *store;
    if (!shared && !os_exists(path))
        return 0;
    out->there = true;
    int rc = db_open(&d, shared ? store : path, DB_READ_ONLY, e);
    if (rc == 0)
        rc = db_check(d, false, out->fault, sizeof out->fault, e);
    if (rc == 0)
        rc = db_version(d, &out->version, e);
    if (rc == 0 && out->version == out->known_version)
        rc = newest(d, &out->newest_us, e);
    db_close(d);
    return rc;
}
