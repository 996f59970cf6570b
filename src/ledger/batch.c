/* One transaction of the store, with one balanced posting per (grant, price) at its end. */
#include "ledger/share.h"

#include "base/clock.h"

int batch_begin(struct ledger *l, struct err *e)
{
    l->now_us = clock_now_us();
    l->moved = false;
    cubes_clear(&l->cubes);
    int rc = db_begin(l->db, e);
    return rc == 0 ? share_begin(l, e) : rc;
}

static int entry_add(struct ledger *l, int64_t txn, int line, int64_t account, int64_t amount, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db, SQL("INSERT INTO entry (txn_id, line, account_id, amount) VALUES (?1, ?2, ?3, ?4)"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, txn), stmt_i64(s, 2, line), stmt_i64(s, 3, account), stmt_i64(s, 4, amount);
    if ((rc = stmt_run(s, e)) < 0 || (rc = stmt_get(&s, l->db, SQL("UPDATE account SET balance = balance + ?2 WHERE id = ?1"), e)) < 0)
        return rc;
    stmt_i64(s, 1, account), stmt_i64(s, 2, amount);
    return stmt_run(s, e);
}

static int entries_add(struct ledger *l, int64_t txn, int64_t debit, int64_t credit, int64_t amount, struct err *e)
{
    int rc = entry_add(l, txn, 0, debit, amount, e);
    return rc < 0 ? rc : entry_add(l, txn, 1, credit, -amount, e);
}

static int txn_add(struct ledger *l, int64_t id, const struct movement *m, const struct posting *p, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db,
                      SQL("INSERT INTO txn (id, kind, org_id, grant_id, price_id, first_usage, last_usage, n_usage, created_us, operation_id) "
                          "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"),
                      e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, id), stmt_text(s, 2, m->kind), stmt_i64(s, 3, m->grant->org->id), stmt_i64(s, 4, m->grant->id);
    if (p)
        stmt_i64(s, 5, p->price), stmt_i64(s, 6, p->first), stmt_i64(s, 7, p->last), stmt_i64(s, 8, p->n);
    stmt_i64(s, 9, l->now_us), stmt_i64(s, 10, m->operation);
    return stmt_run(s, e);
}

int batch_txn(struct ledger *l, const struct movement *m, int64_t *txn, struct err *e)
{
    int64_t id = l->next_txn++;
    if (txn)
        *txn = id;
    int rc = txn_add(l, id, m, NULL, e);
    return rc < 0 ? rc : entries_add(l, id, m->debit, m->credit, m->amount, e);
}

int batch_post(struct ledger *l, struct grant *g, const struct hold *h, int64_t usage, int64_t amount, int64_t *txn, struct err *e)
{
    int i = g->posting;
    while (i >= 0 && (l->postings.p[i].price != h->price->id || l->postings.p[i].scope != h->scope))
        i = l->postings.p[i].next;
    if (i < 0) {
        struct posting p = {.txn = l->next_txn, .first = usage, .price = h->price->id, .scope = h->scope, .grant = g, .next = g->posting};
        if (!vec_push(&l->postings, p))
            return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a posting");
        l->next_txn++;
        g->posting = i = (int)l->postings.n - 1;
    }
    struct posting *p = &l->postings.p[i];
    p->amount += amount, p->last = usage, p->n++;
    *txn = p->txn;
    return 0;
}

static int posting_write(struct ledger *l, const struct posting *p, struct err *e)
{
    int rc = txn_add(l, p->txn, &(struct movement){.kind = "usage", .grant = p->grant}, p, e);
    return rc < 0 ? rc : entries_add(l, p->txn, p->grant->account, l->revenue[p->scope], p->amount, e);
}

int batch_end(struct ledger *l, enum db_sync sync, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < l->postings.n; i++) {
        if (rc == 0)
            rc = posting_write(l, &l->postings.p[i], e);
        l->postings.p[i].grant->posting = -1;
    }
    l->postings.n = 0;
    if (rc == 0)
        rc = cubes_write(l, e);
    if (rc == 0)
        rc = grant_flush(l, e);
    if (rc == 0)
        rc = share_end(l, e);
    if (rc == 0)
        rc = db_commit(l->db, sync, e);
    if (rc == 0)
        share_done(l);
    return rc;
}
