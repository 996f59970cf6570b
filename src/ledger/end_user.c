/* End users of customers: severable from what they used. */
#include "ledger/end_user.h"

#include "ledger/list_int.h"
#include "ledger/member.h"

void end_user_digest(struct ledger *l, int64_t org, struct str name, struct sha256 *out)
{
    char purpose[48];
    ASSERT(str_fmt(purpose, sizeof purpose, "end user of %lld", (long long)org));
    ledger_mac(l, purpose, name, out);
}

/* In the batch of the hold. */
int end_user_note(struct ledger *l, const struct hold *h, const struct sha256 *digest, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc = stmt_get(
        &s, l->db,
        SQL("INSERT INTO end_user (org_id, digest) VALUES (?1, ?2) ON CONFLICT (org_id, digest) DO UPDATE SET org_id = excluded.org_id RETURNING id"),
        e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, h->org->id), stmt_blob(s, 2, digest, sizeof *digest);
    rc = stmt_step(s, &row, e);
    int64_t id = rc == 0 && row ? stmt_col_i64(s, 0) : 0;
    stmt_put(s);
    if (rc < 0 || (rc = stmt_get(&s, l->db, SQL("INSERT INTO end_user_hold (hold_id, end_user_id) VALUES (?1, ?2)"), e)) < 0)
        return rc;
    stmt_i64(s, 1, (int64_t)h->id), stmt_i64(s, 2, id);
    return stmt_run(s, e);
}

static void row(struct ledger *l, struct jw *w, struct stmt *s)
{
    list_str(w, "request", s, 0), list_str(w, "project", s, 1), list_str(w, "key", s, 2), list_str(w, "model", s, 3);
    report_time(w, "start", stmt_col_i64(s, 4)), report_time(w, "end", stmt_col_i64(s, 5));
    report_i64(w, "input", stmt_col_i64(s, 6)), report_i64(w, "output", stmt_col_i64(s, 7));
    report_money(w, "cost", stmt_col_i64(s, 8));
    jw_key(w, "currency"), jw_str(w, l->currency);
}

int ledger_end_user_export(struct ledger *l, struct org_id org, const char *name, struct buf *out, struct err *e)
{
    struct sha256 digest;
    struct stmt *s;
    end_user_digest(l, org.v, str_of(name), &digest);
    int rc =
        list_begin(l, NULL,
                   SQL("SELECT u.request, p.name, k.public_id, m.alias, u.start_us, u.end_us, u.input + u.cache_read + u.cache_write, u.output + "
                       "u.reasoning, u.charged FROM end_user x JOIN end_user_hold h ON h.end_user_id = x.id JOIN usage u ON u.hold_id = h.hold_id "
                       "LEFT JOIN project p ON p.id = u.project_id LEFT JOIN key k ON k.id = u.key_id LEFT JOIN model m ON m.id = u.model_id "
                       "WHERE x.org_id = ?1 AND x.digest = ?2 ORDER BY u.id DESC"),
                   &s, e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, org.v), stmt_blob(s, 2, &digest, sizeof digest);
    return list_end(l, s, row, out, e);
}

struct args {
    int64_t org, n;
    struct sha256 digest;
};

static int run(struct ledger *l, struct sql sql, const struct args *a, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db, sql, e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, a->org), stmt_blob(s, 2, &a->digest, sizeof a->digest);
    return stmt_run(s, e);
}

static int erase_call(struct ledger *l, void *arg, struct err *e)
{
    struct args *a = arg;
    struct org *o = org_find(l, a->org);
    char detail[64];
    int rc = run(l, SQL("DELETE FROM end_user_hold WHERE end_user_id IN (SELECT id FROM end_user WHERE org_id = ?1 AND digest = ?2)"), a, e);
    a->n = db_changes(l->db);
    if (rc == 0)
        rc = run(l, SQL("DELETE FROM end_user WHERE org_id = ?1 AND digest = ?2"), a, e);
    ASSERT(str_fmt(detail, sizeof detail, "requests severed %lld", (long long)a->n)); /* whose: erased, so not here either */
    return rc < 0 ? rc : event_of(l, a->org, "end-user.erase", o ? o->name : "", detail, e);
}

int ledger_end_user_erase(struct ledger *l, struct org_id org, const char *name, int64_t *n, struct err *e)
{
    struct args a = {.org = org.v};
    end_user_digest(l, org.v, str_of(name), &a.digest);
    int rc = queue_call(l, erase_call, &a, e);
    *n = a.n;
    return rc;
}
