/* What sluice doctor asks of a store, on a read-only connection of its own: also beside a running server. */
#include "ledger/ledger_int.h"

#include "base/os.h"

#include <string.h>

static int first(struct db *d, struct sql sql, int64_t *number, char *text, size_t cap, struct err *e)
{
    struct stmt *s;
    bool row = false;
    int rc = stmt_get(&s, d, sql, e);
    if (rc < 0)
        return rc;
    rc = stmt_step(s, &row, e);
    if (rc == 0 && row && text)
        (void)str_fmt(text, cap, "%.*s", (int)stmt_col_str(s, 0).n, stmt_col_str(s, 0).p);
    else if (rc == 0)
        *number = row ? stmt_col_i64(s, 0) : 0;
    stmt_put(s);
    return rc;
}

int ledger_health(struct ledger_health *out, const char *dir, struct err *e)
{
    char path[1100];
    struct db *d = NULL;
    *out = (struct ledger_health){.known_version = ledger_migrations[ledger_n_migrations - 1].version};
    if (!str_fmt(path, sizeof path, "%s/ledger.db", dir))
        return err_set(e, ERR_IO, "ledger: the path of the data folder is too long");
    if (!os_exists(path))
        return 0;
    out->there = true;
    int rc = db_open(&d, path, DB_READ_ONLY, e);
    if (rc == 0)
        rc = first(d, SQL("PRAGMA integrity_check(1)"), NULL, out->fault, sizeof out->fault, e);
    if (rc == 0 && strcmp(out->fault, "ok") == 0)
        out->fault[0] = '\0';
    if (rc == 0)
        rc = first(d, SQL("PRAGMA user_version"), &out->version, NULL, 0, e);
    if (rc == 0 && out->version == out->known_version)
        rc = first(d, SQL("SELECT max(end_us) FROM usage"), &out->newest_us, NULL, 0, e);
    db_close(d);
    return rc;
}
