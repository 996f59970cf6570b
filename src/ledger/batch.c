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

int batch_txn_due(struct ledger *l, const struct movement *m, struct due due, int64_t *txn, struct err *e)
{
    int64_t id = l->next_txn++;
    if (txn)
        *txn = id;
    int rc = txn_add(l, id, m, NULL, e);
    if (rc == 0 && m->amount != due.share)
        rc = entry_add(l, id, 0, m->debit, m->amount - due.share, e);
    if (rc == 0)
        rc = entry_add(l, id, 1, m->credit, -m->amount, e);
    return rc == 0 && due.share ? entry_add(l, id, 2, due.payable, due.share, e) : rc;
}

int batch_txn(struct ledger *l, const struct movement *m, int64_t *txn, struct err *e)
{
    return batch_txn_due(l, m, (struct due){0}, txn, e);
}

int batch_post(struct ledger *l, struct grant *g, const struct hold *h, int64_t usage, int64_t amount, struct due due, int64_t *txn, struct err *e)
{
    int i = g->posting;
    while (i >= 0 && (l->postings.p[i].price != h->price->id || l->postings.p[i].scope != h->scope || l->postings.p[i].payable != due.payable))
        i = l->postings.p[i].next;
    if (i < 0) {
        struct posting p = {
            .txn = l->next_txn, .first = usage, .price = h->price->id, .scope = h->scope, .payable = due.payable, .grant = g, .next = g->posting};
        if (!vec_push(&l->postings, p))
            return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a posting");
        l->next_txn++;
        g->posting = i = (int)l->postings.n - 1;
    }
    struct posting *p = &l->postings.p[i];
    p->amount += amount, p->share += due.share, p->last = usage, p->n++;
    *txn = p->txn;
    return 0;
}

static int posting_write(struct ledger *l, const struct posting *p, struct err *e)
{
    int rc = txn_add(l, p->txn, &(struct movement){.kind = "usage", .grant = p->grant}, p, e);
    if (rc == 0)
        rc = entry_add(l, p->txn, 0, p->grant->account, p->amount, e);
    if (rc == 0 && p->amount != p->share)
        rc = entry_add(l, p->txn, 1, l->revenue[p->scope], p->share - p->amount, e);
    if (rc == 0 && p->share)
        rc = entry_add(l, p->txn, 2, p->payable, -p->share, e);
    return rc;
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
