/* The second person: a grant above the limit that the operator has set waits, unbooked, until somebody else than its maker approves it. */
#include "ledger/operation.h"

#include <string.h>

bool approval_needed(const struct ledger *l, int64_t amount)
{
    return l->approval_limit >= 0 && amount > l->approval_limit;
}

/* ---- the approval ---- */

struct approve_args {
    struct grant_id grant;
};

struct made {
    char by[LEDGER_NAME_MAX];
    int64_t cash;
};

static int made_by(struct ledger *l, const struct grant *g, struct made *out, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, l->db, SQL("SELECT created_by, cash_received FROM credit_grant WHERE id = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, g->id);
    rc = stmt_step(s, &row, e);
    struct str by = rc == 0 && row ? stmt_col_str(s, 0) : STR("");
    (void)str_fmt(out->by, sizeof out->by, "%.*s", (int)by.n, by.p);
    out->cash = rc == 0 && row ? stmt_col_i64(s, 1) : 0;
    stmt_put(s);
    return rc;
}

static int approve_check(const struct operation *o, const struct grant *g, const struct made *m, int64_t now_us, struct err *e)
{
    if (g->state != GRANT_UNAPPROVED)
        return err_param(e, ERR_CONFLICT, "grant", "ledger: grant %lld waits for nobody's approval: it %s %s", (long long)g->id,
                         g->state == GRANT_VOIDED || g->state == GRANT_EXPIRED ? "is" : "is approved and", grant_state_names[g->state]);
    if (g->expires_us && g->expires_us <= now_us)
        return err_param(e, ERR_CONFLICT, "grant", "ledger: grant %lld has expired; make a new one: sluice grant create", (long long)g->id);
    if (str_ieqz(str_of(operation_actor(o)), m->by))
        return err_param(e, ERR_FORBIDDEN, "actor", "ledger: %s made grant %lld; somebody else has to approve it", m->by, (long long)g->id);
    return 0;
}

static int approve_row(struct ledger *l, const struct operation *o, struct grant *g, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db, SQL("UPDATE credit_grant SET state = 0, remaining = amount, approved_us = ?2, approved_by = ?3 WHERE id = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, g->id), stmt_i64(s, 2, l->now_us), stmt_text(s, 3, operation_actor(o));
    if ((rc = stmt_run(s, e)) == 0)
        g->state = GRANT_WAITS, g->remaining = g->amount, l->moved = true;
    return rc;
}

static int approve_act(struct ledger *l, struct operation *o, struct err *e)
{
    const struct approve_args *a = o->arg;
    struct grant *g = operation_grant(l, o, a->grant, e);
    struct made m;
    struct jw w;
    if (!g)
        return -ERR_NOT_FOUND;
    int rc = made_by(l, g, &m, e);
    if (rc < 0 || (rc = approve_check(o, g, &m, l->now_us, e)) < 0 || (rc = grant_book(l, g, m.cash, o->id, e)) < 0 ||
        (rc = approve_row(l, o, g, e)) < 0)
        return rc;
    jw_init(&w, &o->answer);
    jw_obj(&w);
    jw_key(&w, "operation"), jw_i64(&w, o->id);
    jw_key(&w, "grant"), jw_i64(&w, g->id);
    jw_key(&w, "made_by"), jw_str(&w, m.by);
    jw_key(&w, "approved_by"), jw_str(&w, operation_actor(o));
    jw_obj_end(&w);
    return grant_due(l, e);
}

int ledger_grant_approve(struct ledger *l, struct grant_id grant, const struct deed *by, struct buf *out, struct err *e)
{
    struct approve_args a = {grant};
    struct operation o;
    operation_init(&o, "approve", by, approve_act);
    o.arg = &a, o.no_reason = true;
    operation_asks_i64(&o, grant.v);
    return operation_run(l, &o, out, e);
}

/* ---- the limit ---- */

/* "limit", as people write it. */
static void put_limit(const struct ledger *l, struct jw *w, int64_t limit)
{
    if (limit >= 0)
        answer_money(w, "limit", limit);
    else
        jw_key(w, "limit"), jw_str(w, "none");
    jw_key(w, "currency"), jw_str(w, l->currency);
}

static int limit_act(struct ledger *l, struct operation *o, struct err *e)
{
    int64_t limit = *(const int64_t *)o->arg;
    char text[24];
    struct stmt *s;
    struct jw w;
    int rc = stmt_get(&s, l->db, SQL("INSERT INTO meta (name, value) VALUES ('approval_limit', ?1) ON CONFLICT (name) DO UPDATE SET value = ?1"), e);
    if (rc < 0)
        return rc;
    ASSERT(str_fmt(text, sizeof text, "%lld", (long long)limit));
    stmt_text(s, 1, text);
    if ((rc = stmt_run(s, e)) < 0)
        return rc;
    l->approval_limit = limit, l->moved = true;
    ASSERT(str_fmt(o->object, sizeof o->object, "approval limit"));
    jw_init(&w, &o->answer);
    jw_obj(&w);
    jw_key(&w, "operation"), jw_i64(&w, o->id);
    put_limit(l, &w, limit);
    jw_obj_end(&w);
    return 0;
}

int ledger_grant_limit(struct ledger *l, const struct money *limit, const struct deed *by, struct buf *out, struct err *e)
{
    int64_t nano = limit ? limit->nano : -1;
    struct operation o;
    if (limit && nano < 0)
        return err_param(e, ERR_BAD_VALUE, "limit", "ledger: a limit is 0 (every grant is approved) or more, or none");
    operation_init(&o, "limit", by, limit_act);
    o.arg = &nano;
    operation_asks_i64(&o, nano);
    return operation_run(l, &o, out, e);
}

static int limit_get(struct ledger *l, void *arg, struct err *e)
{
    (void)e;
    *(int64_t *)arg = l->approval_limit;
    return 0;
}

int ledger_report_limit(struct ledger *l, struct buf *out, struct err *e)
{
    int64_t limit;
    struct jw w;
    int rc = queue_call(l, limit_get, &limit, e);
    if (rc < 0)
        return rc;
    jw_init(&w, out);
    jw_obj(&w);
    put_limit(l, &w, limit);
    jw_obj_end(&w);
    return 0;
}
