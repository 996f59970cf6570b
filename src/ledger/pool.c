/* Pools: what an organisation may spend in one scope, and how much of it open holds reserve. */
#include "ledger/ledger_int.h"

void org_view(struct ledger *l, struct org *o, int64_t d_free, int64_t d_held)
{
    mutex_lock(&l->lock);
    o->free += d_free;
    o->held += d_held;
    mutex_unlock(&l->lock);
}

/* Changes the pool now here and in the store with the next take or flush of this batch. */
void pool_change(struct ledger *l, struct pool *p, int64_t d_balance, int64_t d_held)
{
    p->balance += d_balance, p->d_balance += d_balance;
    p->held += d_held, p->d_held += d_held;
    if (!p->dirty) {
        p->dirty = true;
        p->next_dirty = l->dirty;
        l->dirty = p;
    }
}

/* The check and the charge are this one statement. It also brings in what pool_change left. *ok is false when there is not enough. */
static int take(struct ledger *l, struct pool *p, int64_t n, bool *ok, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db,
                      SQL("UPDATE pool SET balance = balance + ?2, held = held + ?3 + ?4 WHERE id = ?1 AND (balance + ?2) - (held + ?3) >= ?4"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, p->id), stmt_i64(s, 2, p->d_balance), stmt_i64(s, 3, p->d_held), stmt_i64(s, 4, n);
    if ((rc = stmt_run(s, e)) < 0)
        return rc;
    *ok = db_changes(l->db) == 1;
    if (*ok) {
        p->d_balance = p->d_held = 0;
        p->held += n;
    }
    return 0;
}

int pool_flush(struct ledger *l, struct err *e)
{
    int rc = 0;
    while (l->dirty && rc == 0) {
        struct pool *p = l->dirty;
        bool ok = true;
        if (p->d_balance || p->d_held)
            rc = take(l, p, 0, &ok, e);
        if (rc == 0 && !ok)
            rc = err_set(e, ERR_DB, "ledger: pool %lld does not cover what is held of it; run `sluice audit`", (long long)p->id);
        l->dirty = p->next_dirty;
        p->dirty = false;
    }
    return rc;
}

/* Reserves amount for inference: first of the pool of that scope, the rest of "any". All or nothing. */
int pool_place(struct ledger *l, struct org *o, int64_t amount, int64_t *scope, int64_t *any, bool *ok, struct err *e)
{
    struct pool *special = &o->pool[SCOPE_INFERENCE];
    int64_t free = special->balance - special->held;
    *scope = amount < free ? amount : free;
    *any = amount - *scope;
    *ok = true;
    int rc = *scope ? take(l, special, *scope, ok, e) : 0;
    if (rc < 0 || !*ok || !*any)
        return rc;
    rc = take(l, &o->pool[SCOPE_ANY], *any, ok, e);
    if (rc == 0 && !*ok)
        pool_change(l, special, 0, -*scope);
    return rc;
}
