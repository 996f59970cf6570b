/* What people did to the ledger, hash-chained: a changed or missing row breaks every later hash. */
#include "ledger/ledger_int.h"

/* SHA-256(previous hash, at, then each field ended by a NUL). */
void event_hash(struct sha256 *out, const struct sha256 *before, int64_t at, struct str actor, struct str action, struct str object,
                struct str detail)
{
    struct sha256_ctx *c = sha256_new();
    const struct str f[] = {actor, action, object, detail};
    sha256_add(c, before, sizeof *before);
    sha256_add(c, &at, sizeof at);
    for (size_t i = 0; i < sizeof f / sizeof *f; i++) {
        sha256_add(c, f[i].p, f[i].n);
        sha256_add(c, "", 1);
    }
    sha256_free(c, out);
}

/* Adds an event in the open batch. No secrets in detail. */
int event_by(struct ledger *l, const char *actor, const char *action, const char *object, const char *detail, struct err *e)
{
    struct sha256 hash;
    event_hash(&hash, &l->chain, l->now_us, str_of(actor), str_of(action), str_of(object), str_of(detail));
    struct stmt *s;
    int rc = stmt_get(&s, l->db, SQL("INSERT INTO event (id, at_us, actor, action, object, detail, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, l->next_event), stmt_i64(s, 2, l->now_us), stmt_text(s, 3, actor), stmt_text(s, 4, action), stmt_text(s, 5, object);
    stmt_text(s, 6, detail), stmt_blob(s, 7, &hash, sizeof hash);
    if ((rc = stmt_run(s, e)) < 0)
        return rc;
    l->next_event++;
    l->chain = hash;
    return 0;
}

int event_note(struct ledger *l, const char *action, const char *object, const char *detail, struct err *e)
{
    return event_by(l, "admin", action, object, detail, e);
}
