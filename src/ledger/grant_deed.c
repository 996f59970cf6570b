/* What people do to a grant: void its unused rest, make it larger or smaller, give a part of it to another account. */
#include "ledger/operation.h"

#include "base/mem.h"

#include <string.h>

static void answer_begin(struct operation *o, struct jw *w, const struct grant *g)
{
    jw_init(w, &o->answer);
    jw_obj(w);
    jw_key(w, "operation"), jw_i64(w, o->id);
    jw_key(w, "grant"), jw_i64(w, g->id);
}

static void answer_end(const struct ledger *l, struct jw *w)
{
    jw_key(w, "currency"), jw_str(w, l->currency);
    jw_obj_end(w);
}

/* ---- void ---- */

struct void_args {
    struct grant_id grant;
};

static int void_mark(struct ledger *l, struct grant *g, int64_t operation, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db, SQL("UPDATE credit_grant SET void_id = ?2 WHERE id = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, g->id), stmt_i64(s, 2, operation);
    if ((rc = stmt_run(s, e)) == 0)
        g->void_id = operation, l->moved = true;
    return rc;
}

static int void_act(struct ledger *l, struct operation *o, struct err *e)
{
    const struct void_args *a = o->arg;
    struct grant *g = operation_grant(l, o, a->grant, e);
    struct jw w;
    if (!g)
        return -ERR_NOT_FOUND;
    bool asked_for = g->state == GRANT_UNAPPROVED; /* it is refused: nothing was booked */
    int rc = asked_for ? 0 : operation_may(l, g, "voided", e);
    if (rc == 0 && !asked_for && !g->remaining)
        rc = err_param(e, ERR_CONFLICT, "grant", "ledger: grant %lld has nothing left to void", (long long)g->id);
    if (rc < 0)
        return rc;
    int64_t held = g->held, voided = g->remaining - held;
    if ((rc = void_mark(l, g, o->id, e)) < 0 || (rc = asked_for ? grant_state_set(l, g, GRANT_VOIDED, e) : grant_end(l, g, false, e)) < 0)
        return rc;
    answer_begin(o, &w, g);
    answer_money(&w, "voided", voided), answer_money(&w, "held", held);
    answer_end(l, &w);
    return 0;
}

int ledger_grant_void(struct ledger *l, struct grant_id grant, const struct deed *by, struct buf *out, struct err *e)
{
    struct void_args a = {grant};
    struct operation o;
    operation_init(&o, "void", by, void_act);
    o.arg = &a;
    operation_asks_i64(&o, grant.v);
    return operation_run(l, &o, out, e);
}

/* ---- adjust ---- */

struct adjust_args {
    struct grant_id grant;
    int64_t by;
};

/* Both at once: what is left never passes what was given. */
static int adjust_row(struct ledger *l, struct grant *g, int64_t by, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(
        &s, l->db, SQL("UPDATE credit_grant SET adjusted = adjusted + ?2, remaining = remaining + ?2 WHERE id = ?1 AND remaining + ?2 >= held"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, g->id), stmt_i64(s, 2, by);
    if ((rc = stmt_run(s, e)) < 0)
        return rc;
    if (db_changes(l->db) != 1)
        return err_set(e, ERR_DB, "ledger: grant %lld is not what the store has; run `sluice audit`", (long long)g->id);
    g->adjusted += by, g->remaining += by, l->moved = true;
    grant_show(l, g, by);
    return 0;
}

static int adjust_book(struct ledger *l, struct operation *o, struct grant *g, int64_t by, struct err *e)
{
    char code[64];
    int64_t other;
    ASSERT(str_fmt(code, sizeof code, "adjustment:%s", funding_names[g->funding]));
    int rc = account_get(l, code, "contra_revenue", 0, &other, e);
    if (rc < 0)
        return rc;
    struct movement more = {"adjust", g, other, g->account, by, o->id}, less = {"adjust", g, g->account, other, -by, o->id};
    return batch_txn(l, by > 0 ? &more : &less, NULL, e);
}

static int adjust_check(struct ledger *l, const struct grant *g, int64_t by, struct err *e)
{
    char free[MONEY_TEXT_MAX];
    int rc = operation_may(l, g, "adjusted", e);
    if (rc == 0 && by > 0 && approval_needed(l, by))
        rc = err_param(e, ERR_FORBIDDEN, "amount",
                       "ledger: so much more needs a second person's approval, which is for grants: sluice grant create, then sluice grant approve");
    if (rc == 0 && by > 0 && !grant_fits(l, by))
        rc = err_param(e, ERR_BAD_VALUE, "amount", "ledger: with this all grants of the store would pass %lld %s; make it smaller",
                       (long long)(INT64_MAX / MONEY_NANO), l->currency);
    money_text(free, (struct money){g->remaining - g->held});
    if (rc == 0 && by < 0 && g->remaining - g->held < -by)
        rc = err_param(e, ERR_CONFLICT, "amount", "ledger: grant %lld has %s %s that is neither used nor held; take no more than that",
                       (long long)g->id, free, l->currency);
    return rc;
}

static int adjust_act(struct ledger *l, struct operation *o, struct err *e)
{
    const struct adjust_args *a = o->arg;
    struct grant *g = operation_grant(l, o, a->grant, e);
    struct jw w;
    if (!g)
        return -ERR_NOT_FOUND;
    int rc = adjust_check(l, g, a->by, e);
    if (rc < 0 || (rc = adjust_book(l, o, g, a->by, e)) < 0 || (rc = adjust_row(l, g, a->by, e)) < 0)
        return rc;
    answer_begin(o, &w, g);
    answer_money(&w, "adjusted", a->by), answer_money(&w, "remaining", g->remaining);
    answer_end(l, &w);
    return 0;
}

int ledger_grant_adjust(struct ledger *l, struct grant_id grant, struct money amount, const struct deed *by, struct buf *out, struct err *e)
{
    struct adjust_args a = {grant, amount.nano};
    struct operation o;
    if (!amount.nano || amount.nano == INT64_MIN)
        return err_param(e, ERR_BAD_VALUE, "amount", "ledger: an adjustment is more or less than 0: 5.00 adds, -5.00 takes away");
    operation_init(&o, "adjust", by, adjust_act);
    o.arg = &a;
    operation_asks_i64(&o, grant.v), operation_asks_i64(&o, amount.nano);
    return operation_run(l, &o, out, e);
}

/* ---- transfer ---- */

struct transfer_args {
    struct grant_id grant;
    struct org_id to;
    int64_t amount;
};

static int transfer_check(struct ledger *l, const struct grant *g, const struct org *to, int64_t amount, struct err *e)
{
    char free[MONEY_TEXT_MAX];
    int rc = operation_may(l, g, "transferred", e);
    money_text(free, (struct money){g->remaining - g->held});
    if (rc == 0 && to == g->org)
        rc = err_param(e, ERR_BAD_VALUE, "account", "ledger: grant %lld is %s's already; name another account", (long long)g->id, to->name);
    if (rc == 0 && amount > g->remaining - g->held)
        rc = err_param(e, ERR_CONFLICT, "amount", "ledger: grant %lld has %s %s that is neither used nor held; transfer no more than that",
                       (long long)g->id, free, l->currency);
    return rc;
}

/* The row of the new grant: what it is for and when as its parent's; the cash stays with that one. */
static int transfer_row(struct ledger *l, const struct operation *o, const struct grant *from, const struct grant *g, struct err *e)
{
    struct stmt *s;
    int rc =
        stmt_get(&s, l->db,
                 SQL("INSERT INTO credit_grant (id, org_id, account_id, parent_id, scope, models, funding, priority, amount, remaining, currency, "
                     "cash_received, list_value, counterparty, instrument, effective_us, expires_us, state, created_us, created_by, approved_us) "
                     "SELECT ?1, ?2, ?3, id, scope, models, funding, priority, ?4, ?4, currency, 0, ?4, counterparty, instrument, ?8, "
                     "expires_us, 0, ?5, ?6, ?5 FROM credit_grant WHERE id = ?7"),
                 e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, g->id), stmt_i64(s, 2, g->org->id), stmt_i64(s, 3, g->account), stmt_i64(s, 4, g->amount), stmt_i64(s, 5, l->now_us);
    stmt_text(s, 6, operation_actor(o)), stmt_i64(s, 7, from->id), stmt_i64(s, 8, g->effective_us);
    return stmt_run(s, e);
}

/* The new grant, in memory only. */
static struct grant *transfer_new(struct ledger *l, const struct grant *from, struct org *to, int64_t amount)
{
    struct grant *g = mem_new(sizeof *g);
    char *models = from->models ? mem_str(from->models, strlen(from->models)) : NULL;
    bool begun = from->state == GRANT_LIVE && from->effective_us > l->now_us; /* the clock went back since */
    if (!g || (from->models && !models) || !vec_reserve(&l->grants, l->grants.n + 1) || !vec_reserve(&to->grants, to->grants.n + 1)) {
        mem_free(g);
        mem_free(models);
        return NULL;
    }
    *g = (struct grant){.id = (int64_t)l->grants.n + 1,
                        .parent = from->id,
                        .org = to,
                        .scope = from->scope,
                        .models = models,
                        .funding = from->funding,
                        .priority = from->priority,
                        .amount = amount,
                        .remaining = amount,
                        .effective_us = begun ? l->now_us : from->effective_us,
                        .expires_us = from->expires_us,
                        .posting = -1};
    return g;
}

static int transfer_rows(struct ledger *l, const struct operation *o, const struct grant *from, struct grant *g, struct err *e)
{
    char code[64];
    ASSERT(str_fmt(code, sizeof code, "grant_pool:%lld", (long long)g->id));
    int rc = account_get(l, code, "liability", g->org->id, &g->account, e);
    if (rc == 0)
        rc = transfer_row(l, o, from, g, e);
    return rc < 0 ? rc : batch_txn(l, &(struct movement){"transfer", from, from->account, g->account, g->amount, o->id}, NULL, e);
}

static int transfer_act(struct ledger *l, struct operation *o, struct err *e)
{
    const struct transfer_args *a = o->arg;
    struct grant *from = operation_grant(l, o, a->grant, e), *g;
    struct org *to = org_find(l, a->to.v);
    struct jw w;
    if (!from)
        return -ERR_NOT_FOUND;
    if (!to)
        return err_set(e, ERR_NOT_FOUND, "ledger: there is no account %lld; see `sluice account list`", (long long)a->to.v);
    int rc = transfer_check(l, from, to, a->amount, e);
    if (rc < 0)
        return rc;
    if (!(g = transfer_new(l, from, to, a->amount)))
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a grant");
    if ((rc = transfer_rows(l, o, from, g, e)) < 0) {
        grant_free(g);
        return rc;
    }
    grant_change(l, from, -a->amount, 0);
    grant_show(l, from, -a->amount);
    grant_add(l, g);
    answer_begin(o, &w, from);
    answer_money(&w, "transferred", a->amount);
    jw_key(&w, "to"), jw_i64(&w, g->id);
    jw_key(&w, "account"), jw_str(&w, to->name);
    answer_money(&w, "remaining", from->remaining);
    answer_end(l, &w);
    return grant_due(l, e);
}

int ledger_grant_transfer(struct ledger *l, struct grant_id grant, struct org_id to, struct money amount, const struct deed *by, struct buf *out,
                          struct err *e)
{
    struct transfer_args a = {grant, to, amount.nano};
    struct operation o;
    if (amount.nano <= 0)
        return err_param(e, ERR_BAD_VALUE, "amount", "ledger: a transfer is more than 0");
    operation_init(&o, "transfer", by, transfer_act);
    o.arg = &a;
    operation_asks_i64(&o, grant.v), operation_asks_i64(&o, to.v), operation_asks_i64(&o, amount.nano);
    return operation_run(l, &o, out, e);
}
