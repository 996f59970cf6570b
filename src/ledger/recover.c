/* Start after an end of any kind. The store is locked by one process, so at start every open hold is an orphan:
 *
 *   1. the journal is replayed in its order: a hold that the store lost (a machine that stopped) is placed again, a finish that the store lost
 *      is done, counts are kept;
 *   2. what is still open is finished with reason crash from its last journaled counts, never for more than it holds; a hold without counts
 *      costs 0;
 *   3. one synced commit; then the journal begins anew.
 *
 * Each step looks at the hold's state first, so that a start that is itself killed is repeated without harm. */
#include "ledger/ledger_int.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>

struct recovery {
    struct ledger *l;
    uint64_t placed, finished, crashed;
};

static int known(struct ledger *l, uint64_t hold, struct str request, bool *out, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db, SQL("SELECT 1 FROM hold WHERE id = ?1 OR request = ?2"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, (int64_t)hold), stmt_str(s, 2, request);
    rc = stmt_step(s, out, e);
    stmt_put(s);
    return rc;
}

static void copy(char *to, struct str from)
{
    memcpy(to, from.p, from.n);
    to[from.n] = 0;
}

/* Places a hold that only the journal knows. */
static int place(struct recovery *v, const struct journal_rec *r, struct err *e)
{
    struct ledger *l = v->l;
    union map_value v_price;
    const struct price *price, *list;
    bool there;
    int rc = known(l, r->hold, r->request, &there, e);
    if (rc < 0 || there)
        return rc;
    if (!org_find(l, r->org) || !map_get(&l->prices_by_id, ID_KEY(r->price), &v_price)) {
        log_line(LOG_ERROR, "recover", "hold %llu names an account or a price that the store does not have; it is not billed",
                 (unsigned long long)r->hold);
        return 0;
    }
    struct op *op = mem_new(sizeof *op);
    if (!op)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory to recover");
    op->kind = OP_HOLD, op->replay = true, op->l = l, op->scope = r->scope ? (enum scope)r->scope : SCOPE_INFERENCE, op->digest = r->digest,
    op->input = r->input, op->output = r->output;
    op->who = (struct principal){.org = {r->org}, .project = {r->project}, .key = {r->key}};
    copy(op->request, r->request), copy(op->model, r->model), copy(op->revision, r->revision);
    if ((int64_t)r->hold >= l->next_hold)
        l->next_hold = (int64_t)r->hold + 1;
    price = v_price.ptr;
    (void)price_pick(l, price->model, price->tier, 0, op->scope, r->created_us, &list); /* as it was picked then */
    rc = hold_replay(l, op, r->hold, price, price->org && list ? list : price, r->created_us, r->amount_scope + r->amount_any, e);
    if (rc == 0 && op->answer.err.code)
        log_line(LOG_ERROR, "recover", "hold %llu could not be placed again and is not billed: %s", (unsigned long long)r->hold, op->answer.err.msg);
    v->placed += rc == 0 && !op->answer.err.code;
    mem_free(op);
    return rc;
}

/* The journal's amount of a hold that grew after the store's last surviving commit. */
static int grow(struct recovery *v, struct hold *h, const struct journal_rec *r, struct err *e)
{
    int64_t more = r->amount_scope + r->amount_any - h->amount_scope - h->amount_any;
    if (more <= 0 || r->output < h->output)
        return 0;
    struct op *op = mem_new(sizeof *op);
    if (!op)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory to recover");
    op->kind = OP_MORE, op->replay = true, op->l = v->l, op->answer.hold.v = h->id, op->output = r->output - h->output;
    int rc = hold_grow(v->l, op, e);
    mem_free(op);
    return rc;
}

static int finish(struct recovery *v, struct hold *h, const struct finish_req *q, struct err *e)
{
    mutex_lock(&v->l->lock);
    meter_close(h, q);
    mutex_unlock(&v->l->lock);
    return meter_finish(v->l, h, e);
}

static int replay(void *arg, const struct journal_rec *r, struct err *e)
{
    struct recovery *v = arg;
    struct hold *h = hold_find(v->l, r->hold);
    if (r->type == JOURNAL_HOLD && !h)
        return place(v, r, e);
    if (!h || h->finished)
        return 0;
    switch (r->type) {
    case JOURNAL_HOLD:
    case JOURNAL_MORE: return grow(v, h, r, e);
    case JOURNAL_STEP: h->counts = r->counts; return 0;
    case JOURNAL_COVER: return cover_replay(v->l, h, r, e);
    case JOURNAL_FINISH: break;
    }
    v->finished++;
    return finish(v, h, &(struct finish_req){{r->hold}, r->counts, r->reason, r->status, r->stream, r->start_us, r->first_us, r->end_us}, e);
}

static int crash_the_rest(struct recovery *v, struct err *e)
{
    struct ledger *l = v->l;
    struct VEC(void *) open = {0};
    size_t it = 0;
    struct str k;
    union map_value m;
    int rc = 0;
    while (map_next(&l->holds, &it, &k, &m))
        if (!((struct hold *)m.ptr)->finished && !((struct hold *)m.ptr)->job && !vec_push(&open, m.ptr))
            rc = err_set(e, ERR_NO_MEMORY, "ledger: no memory to recover");
    for (size_t i = 0; i < open.n && rc == 0; i++) {
        struct hold *h = open.p[i];
        v->crashed++;
        rc = finish(v, h,
                    &(struct finish_req){
                        .hold = {h->id}, .counts = h->counts, .reason = FINISH_CRASH, .status = 500, .start_us = h->created_us, .end_us = l->now_us},
                    e);
    }
    vec_deinit(&open);
    return rc;
}

static int run(struct recovery *v, struct err *e)
{
    struct ledger *l = v->l;
    uint64_t torn;
    int rc = batch_begin(l, e);
    if (rc == 0)
        rc = journal_read(l->journal.path, replay, v, &torn, e);
    if (rc == 0)
        rc = crash_the_rest(v, e);
    if (rc == 0)
        rc = grant_due(l, e);
    if (rc == 0)
        rc = batch_end(l, DB_SYNC_FULL, e);
    if (rc < 0)
        db_rollback(l->db);
    return rc;
}

int recover_run(struct ledger *l, struct err *e)
{
    struct recovery v = {.l = l};
    int rc = run(&v, e);
    if (rc < 0)
        return err_wrap(e, "recovery");
    for (size_t i = 0; i < l->ended.n; i++)
        hold_drop(l, l->ended.p[i]);
    l->ended.n = 0;
    if (v.placed || v.finished || v.crashed)
        log_line(LOG_INFO, "recover", "from the journal: %llu holds placed again, %llu requests finished, %llu ended as crash",
                 (unsigned long long)v.placed, (unsigned long long)v.finished, (unsigned long long)v.crashed);
    return journal_rotate(&l->journal, NULL, NULL, e);
}
