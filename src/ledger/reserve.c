/* What open holds reserve: of single grants, in the order of consumption, so that it is known of every hold which credit covers it. What is
 * over (expired, voided) is reserved no more; what was reserved of it before stays good for the hold that did. */
#include "ledger/ledger_int.h"

#include "base/json.h"

void org_view(struct ledger *l, struct org *o, int64_t d_free, int64_t d_held)
{
    mutex_lock(&l->lock);
    o->free += d_free;
    o->held += d_held;
    mutex_unlock(&l->lock);
}

/* Changes the grant now here and in the store with the next take or flush of this batch. */
void grant_change(struct ledger *l, struct grant *g, int64_t d_remaining, int64_t d_held)
{
    g->remaining += d_remaining, g->d_remaining += d_remaining;
    g->held += d_held, g->d_held += d_held;
    l->moved = true;
    if (!g->dirty) {
        g->dirty = true;
        g->next_dirty = l->dirty;
        l->dirty = g;
    }
}

/* The check and the charge are this one statement. It also brings in what grant_change left. *ok is false when there is not enough. */
static int take(struct ledger *l, struct grant *g, int64_t n, bool *ok, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db,
                      SQL("UPDATE credit_grant SET remaining = remaining + ?2, held = held + ?3 + ?4 "
                          "WHERE id = ?1 AND (remaining + ?2) - (held + ?3) >= ?4 AND (state = 1 OR ?4 = 0)"),
                      e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, g->id), stmt_i64(s, 2, g->d_remaining), stmt_i64(s, 3, g->d_held), stmt_i64(s, 4, n);
    if ((rc = stmt_run(s, e)) < 0)
        return rc;
    *ok = db_changes(l->db) == 1;
    if (*ok) {
        g->d_remaining = g->d_held = 0;
        g->held += n;
    }
    return 0;
}

int grant_flush(struct ledger *l, struct err *e)
{
    int rc = 0;
    while (l->dirty && rc == 0) {
        struct grant *g = l->dirty;
        bool ok = true;
        if (g->d_remaining || g->d_held)
            rc = take(l, g, 0, &ok, e);
        if (rc == 0 && !ok)
            rc = err_set(e, ERR_DB, "ledger: grant %lld does not cover what is held of it; run `sluice audit`", (long long)g->id);
        l->dirty = g->next_dirty;
        g->dirty = false;
    }
    return rc;
}

/* ---- placing ---- */

static int64_t free_of(const struct grant *g, const struct hold *h)
{
    return g->state == GRANT_LIVE && grant_suits(g, h->scope, h->model->alias) ? g->remaining - g->held : 0;
}

int64_t reserve_free(const struct hold *h)
{
    int64_t sum = 0;
    for (size_t i = 0; i < h->org->grants.n; i++)
        sum += free_of(h->org->grants.p[i], h);
    return sum;
}

/* Reserves amount for the hold's scope and model, in the order of consumption: all or nothing. */
int reserve_place(struct ledger *l, const struct hold *h, int64_t amount, struct parts *out, bool *ok, struct err *e)
{
    int rc = 0;
    *out = (struct parts){0};
    *ok = reserve_free(h) >= amount;
    for (size_t i = 0; i < h->org->grants.n && rc == 0 && *ok && amount; i++) {
        struct grant *g = h->org->grants.p[i];
        int64_t free = free_of(g, h), n = amount < free ? amount : free;
        if (!n)
            continue;
        if (!vec_reserve(out, out->n + 1))
            rc = err_set(e, ERR_NO_MEMORY, "ledger: no memory for a hold");
        else if ((rc = take(l, g, n, ok, e)) == 0 && *ok)
            (void)vec_push(out, ((struct part){g, n}));
        amount -= n;
    }
    if (rc < 0 || !*ok)
        reserve_undo(l, out);
    return rc;
}

void reserve_undo(struct ledger *l, struct parts *parts)
{
    for (size_t i = 0; i < parts->n; i++)
        grant_change(l, parts->p[i].grant, 0, -parts->p[i].amount);
    vec_deinit(parts);
}

void reserve_join(struct parts *to, const struct parts *more)
{
    for (size_t i = 0; i < more->n; i++) {
        size_t k = 0;
        while (k < to->n && to->p[k].grant != more->p[i].grant)
            k++;
        if (k < to->n)
            to->p[k].amount += more->p[i].amount;
        else
            (void)vec_push(to, more->p[i]);
    }
}

/* ---- what is told of it ---- */

void reserve_sums(const struct parts *parts, int64_t *scope, int64_t *any)
{
    *scope = *any = 0;
    for (size_t i = 0; i < parts->n; i++)
        *(parts->p[i].grant->scope == SCOPE_ANY ? any : scope) += parts->p[i].amount;
}

int64_t reserve_of(const struct parts *parts, const struct grant *g)
{
    for (size_t i = 0; i < parts->n; i++)
        if (parts->p[i].grant == g)
            return parts->p[i].amount;
    return 0;
}

/* JSON: [[grant, amount], ...] */
void reserve_text(struct buf *out, const struct parts *parts)
{
    buf_char(out, '[');
    for (size_t i = 0; i < parts->n; i++)
        buf_fmt(out, "%s[%lld,%lld]", i ? "," : "", (long long)parts->p[i].grant->id, (long long)parts->p[i].amount);
    buf_char(out, ']');
}

int reserve_read(struct ledger *l, struct parts *out, struct str text, struct err *e)
{
    struct json *j;
    int rc = json_parse(&j, text.p ? text.p : "", text.n, e);
    for (size_t i = 0; rc == 0 && i < json_len(j); i++) {
        int64_t id = json_int(json_at(json_at(j, i), 0)), n = json_int(json_at(json_at(j, i), 1));
        if (id < 1 || (size_t)id > l->grants.n || n < 1)
            rc = err_set(e, ERR_DB, "ledger: a hold reserves of a grant that is missing");
        else if (!vec_push(out, ((struct part){l->grants.p[id - 1], n})))
            rc = err_set(e, ERR_NO_MEMORY, "ledger: no memory for a hold");
    }
    if (rc == 0)
        json_free(j);
    return rc;
}
