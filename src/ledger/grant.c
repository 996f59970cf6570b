/* Grants: compute credit. Each is a liability account (grant_pool:ID) that use and expiry debit.
 *
 * Order of consumption: scope match (the request's own scope before "any"), priority, earliest expiry, promotional before goodwill before
 * investment before paid, id. It is decided at capture.
 *
 * A grant that expires while a hold is open: what the hold reserved stays good. At its expiry a grant loses what no open hold reserves of its
 * pool; the rest lingers, may still be captured, and is expired as soon as the holds that reserve it end. */
#include "ledger/ledger_int.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

const char *const scope_names[SCOPE_COUNT] = {"any", "inference", "training", "embeddings"};
const char *const funding_names[FUNDING_COUNT] = {"promotional", "goodwill", "investment", "paid"};

static bool seen_by_owner(enum scope s)
{
    return s == SCOPE_ANY || s == SCOPE_INFERENCE;
}

/* Which of two grants of an account pays first: x when less than 0. *rule is what decides it. */
int grant_compare(const struct grant *x, const struct grant *y, enum grant_rule *rule)
{
    const int64_t a[] = {x->scope == SCOPE_ANY, x->priority, x->expires_us ? x->expires_us : INT64_MAX, (int64_t)x->funding, x->id};
    const int64_t b[] = {y->scope == SCOPE_ANY, y->priority, y->expires_us ? y->expires_us : INT64_MAX, (int64_t)y->funding, y->id};
    int i = RULE_SCOPE;
    while (i < RULE_ID && a[i] == b[i])
        i++;
    *rule = (enum grant_rule)i;
    return a[i] < b[i] ? -1 : a[i] > b[i];
}

static int in_order(const void *a, const void *b)
{
    enum grant_rule rule;
    return grant_compare(*(struct grant *const *)a, *(struct grant *const *)b, &rule);
}

void grant_sort(struct org *o)
{
    if (o->grants.n > 1)
        qsort(o->grants.p, o->grants.n, sizeof *o->grants.p, in_order);
}

void grant_next_due(struct ledger *l)
{
    l->next_due_us = INT64_MAX;
    for (size_t i = 0; i < l->grants.n; i++) {
        const struct grant *g = l->grants.p[i];
        int64_t due = g->state == GRANT_WAITS ? g->effective_us : g->state == GRANT_LIVE && g->expires_us ? g->expires_us : INT64_MAX;
        if (due > l->now_us && due < l->next_due_us)
            l->next_due_us = due;
    }
}

/* The id of an account of the provider's chart, made at its first use. */
int account_get(struct ledger *l, const char *code, const char *class, int64_t org, int64_t *id, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db,
                      SQL("INSERT INTO account (code, class, org_id, currency) VALUES (?1, ?2, ?3, ?4) "
                          "ON CONFLICT (code, currency) DO UPDATE SET class = excluded.class RETURNING id"),
                      e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, code), stmt_text(s, 2, class);
    if (org)
        stmt_i64(s, 3, org);
    stmt_text(s, 4, l->currency);
    bool row;
    rc = stmt_step(s, &row, e);
    *id = rc == 0 && row ? stmt_col_i64(s, 0) : 0;
    stmt_put(s);
    return rc;
}

/* ---- consumption ---- */

/* Takes amount from the organisation's grants of one scope for a usage row. Never short while pools equal the sum of their grants. */
int grant_charge(struct ledger *l, struct org *o, enum scope scope, int64_t amount, int64_t price, int64_t usage, struct err *e)
{
    for (size_t i = 0; i < o->grants.n && amount; i++) {
        struct grant *g = o->grants.p[i];
        int64_t take = amount < g->remaining ? amount : g->remaining, txn;
        if (g->scope != scope || g->state != GRANT_LIVE || !take)
            continue;
        struct stmt *s;
        int rc = batch_post(l, g, price, usage, take, &txn, e);
        if (rc < 0 || (rc = stmt_get(&s, l->db, SQL("INSERT INTO usage_line (usage_id, grant_id, amount, txn_id) VALUES (?1, ?2, ?3, ?4)"), e)) < 0)
            return rc;
        stmt_i64(s, 1, usage), stmt_i64(s, 2, g->id), stmt_i64(s, 3, take), stmt_i64(s, 4, txn);
        if ((rc = stmt_run(s, e)) < 0)
            return rc;
        g->remaining -= take;
        amount -= take;
    }
    return amount ? err_set(e, ERR_DB, "ledger: the grants of %s are short of their pool; run `sluice audit`", o->name) : 0;
}

/* ---- beginning and expiry ---- */

static int state_set(struct ledger *l, struct grant *g, enum grant_state state, int64_t less, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db, SQL("UPDATE credit_grant SET state = ?2, remaining = remaining - ?3 WHERE id = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, g->id), stmt_i64(s, 2, (int64_t)state), stmt_i64(s, 3, less);
    if ((rc = stmt_run(s, e)) < 0)
        return rc;
    g->state = state;
    g->remaining -= less;
    return 0;
}

static void funding_account(enum funding f, bool expiry, char *code, size_t cap, const char **class)
{
    bool paid = f == FUNDING_PAID;
    *class = paid ? (expiry ? "revenue" : "asset") : "contra_revenue";
    ASSERT(paid ? str_fmt(code, cap, "%s", expiry ? "breakage" : "cash") : str_fmt(code, cap, "contra_revenue:%s", funding_names[f]));
}

static int expire_one(struct ledger *l, struct grant *g, struct err *e)
{
    struct pool *p = &g->org->pool[g->scope];
    int64_t free = p->balance - p->held, less = g->remaining < free ? g->remaining : free, account;
    char code[64];
    const char *class;
    int rc = 0;
    if (less) {
        funding_account(g->funding, true, code, sizeof code, &class);
        if ((rc = account_get(l, code, class, 0, &account, e)) < 0 || (rc = batch_txn(l, "expire", g, g->account, account, less, e)) < 0)
            return rc;
        pool_change(l, p, -less, 0);
        if (seen_by_owner(g->scope))
            org_view(l, g->org, -less, 0);
    }
    return state_set(l, g, g->remaining == less ? GRANT_EXPIRED : GRANT_LIVE, less, e);
}

/* Expires what it can of the organisation's grants that are past their time. */
int grant_expire(struct ledger *l, struct org *o, struct err *e)
{
    int rc = 0;
    o->lingering = false;
    for (size_t i = 0; i < o->grants.n && rc == 0; i++) {
        struct grant *g = o->grants.p[i];
        if (g->state != GRANT_LIVE || !g->expires_us || g->expires_us > l->now_us)
            continue;
        rc = expire_one(l, g, e);
        o->lingering |= g->state == GRANT_LIVE;
    }
    return rc;
}

static int begin(struct ledger *l, struct grant *g, struct err *e)
{
    int rc = state_set(l, g, GRANT_LIVE, 0, e);
    if (rc < 0)
        return rc;
    pool_change(l, &g->org->pool[g->scope], g->remaining, 0);
    if (seen_by_owner(g->scope))
        org_view(l, g->org, g->remaining, 0);
    return 0;
}

/* Begins and expires what is due, in the batch that is open. */
int grant_due(struct ledger *l, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < l->grants.n && rc == 0; i++) {
        struct grant *g = l->grants.p[i];
        if (g->state == GRANT_WAITS && g->effective_us <= l->now_us)
            rc = begin(l, g, e);
        if (rc == 0 && g->state == GRANT_LIVE && g->expires_us && g->expires_us <= l->now_us)
            rc = grant_expire(l, g->org, e);
    }
    grant_next_due(l);
    return rc;
}

/* ---- a new grant ---- */

struct create_args {
    const struct grant_new *in;
    enum scope scope;
    enum funding funding;
    int64_t id;
};

/* The same reference again: the first grant, if it says the same. */
static int replay(struct ledger *l, struct create_args *a, bool *found, struct err *e)
{
    struct stmt *s;
    *found = false;
    if (!a->in->reference)
        return 0;
    int rc = stmt_get(&s, l->db, SQL("SELECT id, org_id, amount FROM credit_grant WHERE reference = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, a->in->reference);
    if ((rc = stmt_step(s, found, e)) == 0 && *found) {
        a->id = stmt_col_i64(s, 0);
        if (stmt_col_i64(s, 1) != a->in->org.v || stmt_col_i64(s, 2) != a->in->amount.nano)
            rc = err_set(e, ERR_CONFLICT, "ledger: reference '%.64s' is already grant %lld with another account or amount; use a new reference",
                         a->in->reference, (long long)a->id);
    }
    stmt_put(s);
    return rc;
}

static int insert(struct ledger *l, const struct create_args *a, struct grant *g, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db,
                      SQL("INSERT INTO credit_grant (id, org_id, pool_id, account_id, scope, funding, priority, amount, remaining, currency, "
                          "effective_us, expires_us, state, reference, created_us) "
                          "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11, 0, ?12, ?13)"),
                      e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, g->id), stmt_i64(s, 2, g->org->id), stmt_i64(s, 3, g->org->pool[g->scope].id), stmt_i64(s, 4, g->account);
    stmt_text(s, 5, scope_names[g->scope]), stmt_text(s, 6, funding_names[g->funding]), stmt_i64(s, 7, g->priority), stmt_i64(s, 8, g->amount);
    stmt_text(s, 9, l->currency), stmt_i64(s, 10, g->effective_us), stmt_i64(s, 11, g->expires_us), stmt_text(s, 12, a->in->reference);
    stmt_i64(s, 13, l->now_us);
    return stmt_run(s, e);
}

static int book(struct ledger *l, const struct create_args *a, struct grant *g, struct err *e)
{
    char code[64];
    const char *class;
    int64_t from;
    int rc;
    ASSERT(str_fmt(code, sizeof code, "grant_pool:%lld", (long long)g->id));
    if ((rc = account_get(l, code, "liability", g->org->id, &g->account, e)) < 0 || (rc = insert(l, a, g, e)) < 0)
        return rc;
    funding_account(g->funding, false, code, sizeof code, &class);
    if ((rc = account_get(l, code, class, 0, &from, e)) < 0)
        return rc;
    return batch_txn(l, "grant", g, from, g->account, g->amount, e);
}

static int note(struct ledger *l, const struct grant *g, const char *reference, struct err *e)
{
    char object[32], detail[320], amount[MONEY_TEXT_MAX];
    money_text(amount, (struct money){g->amount});
    ASSERT(str_fmt(object, sizeof object, "grant %lld", (long long)g->id));
    (void)str_fmt(detail, sizeof detail, "%s %s scope %s funding %s priority %d reference %.64s", amount, l->currency, scope_names[g->scope],
                  funding_names[g->funding], g->priority, reference ? reference : "-");
    return event_note(l, "grant.create", object, detail, e);
}

/* No account's balance can pass the sum of all grants, so it must fit. */
static bool sum_fits(const struct ledger *l, int64_t sum)
{
    for (size_t i = 0; i < l->grants.n; i++)
        if (!ck_add(sum, l->grants.p[i]->amount, &sum))
            return false;
    return true;
}

static int create_call(struct ledger *l, void *arg, struct err *e)
{
    struct create_args *a = arg;
    bool found;
    int rc = replay(l, a, &found, e);
    if (rc < 0 || found)
        return rc;
    struct org *o = org_find(l, a->in->org.v);
    if (!o)
        return err_set(e, ERR_NOT_FOUND, "ledger: there is no account %lld; see `sluice account list`", (long long)a->in->org.v);
    if (!sum_fits(l, a->in->amount.nano))
        return err_param(e, ERR_BAD_VALUE, "amount", "ledger: with this grant all grants of the store would pass %lld %s; make it smaller",
                         (long long)(INT64_MAX / MONEY_NANO), l->currency);
    if (!vec_reserve(&l->grants, l->grants.n + 1) || !vec_reserve(&o->grants, o->grants.n + 1))
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a grant");
    struct grant *g = mem_new(sizeof *g);
    if (!g)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a grant");
    *g = (struct grant){.id = (int64_t)l->grants.n + 1,
                        .org = o,
                        .scope = a->scope,
                        .funding = a->funding,
                        .priority = a->in->priority,
                        .posting = -1,
                        .amount = a->in->amount.nano,
                        .remaining = a->in->amount.nano,
                        .expires_us = a->in->expires_us,
                        .effective_us = a->in->effective_us ? a->in->effective_us : l->now_us};
    if ((rc = book(l, a, g, e)) < 0 || (rc = note(l, g, a->in->reference, e)) < 0) {
        mem_free(g);
        return rc;
    }
    (void)vec_push(&l->grants, g);
    (void)vec_push(&o->grants, g);
    grant_sort(o);
    a->id = g->id;
    return grant_due(l, e);
}

static bool name_index(const char *const *names, int n, const char *name, int *out)
{
    for (*out = 0; *out < n; ++*out)
        if (strcmp(names[*out], name) == 0)
            return true;
    return false;
}

/* Books the grant and, when it is effective, puts it into its pool. */
int ledger_grant_create(struct ledger *l, const struct grant_new *in, struct grant_id *out, struct err *e)
{
    struct create_args a = {.in = in};
    int scope, funding;
    if (in->amount.nano <= 0)
        return err_param(e, ERR_BAD_VALUE, "amount", "ledger: a grant is more than 0");
    if (!name_index(scope_names, SCOPE_COUNT, in->scope ? in->scope : "any", &scope))
        return err_param(e, ERR_BAD_VALUE, "scope", "ledger: scope '%.32s' is unknown; use any, inference, training or embeddings", in->scope);
    if (!name_index(funding_names, FUNDING_COUNT, in->funding ? in->funding : "paid", &funding))
        return err_param(e, ERR_BAD_VALUE, "funding", "ledger: funding '%.32s' is unknown; use paid, promotional, investment or goodwill",
                         in->funding);
    if (in->priority < 0 || in->priority > 1000)
        return err_param(e, ERR_BAD_VALUE, "priority", "ledger: a priority is 0 (first) to 1000");
    if (in->reference && (!*in->reference || strlen(in->reference) >= LEDGER_NAME_MAX))
        return err_param(e, ERR_BAD_VALUE, "reference", "ledger: a reference has 1 to %d bytes", LEDGER_NAME_MAX - 1);
    if (in->expires_us && in->expires_us <= (in->effective_us ? in->effective_us : clock_now_us()))
        return err_param(e, ERR_BAD_VALUE, "expires", "ledger: the grant would expire before it begins");
    a.scope = (enum scope)scope, a.funding = (enum funding)funding;
    int rc = queue_call(l, create_call, &a, e);
    if (rc == 0 && out)
        out->v = a.id;
    return rc;
}
