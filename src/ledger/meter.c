/* Metering: the journal of steps, and the end of a request. */
#include "ledger/job.h"
#include "ledger/share.h"

#include "base/log.h"
#include "base/mem.h"

const char *const reason_names[FINISH_CRASH + 1] = {"stop", "length", "budget", "cancel", "error", "crash"};

static uint32_t most_of(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* The larger of each counter: counts are cumulative and never go back. */
static struct usage_counts counts_max(const struct usage_counts *a, const struct usage_counts *b)
{
    return (struct usage_counts){most_of(a->input, b->input),   most_of(a->cache_read, b->cache_read), most_of(a->cache_write, b->cache_write),
                                 most_of(a->output, b->output), most_of(a->reasoning, b->reasoning),   most_of(a->accepted_draft, b->accepted_draft)};
}

/* Steps of holds that are finished or unknown are left out: what was computed after the end is free. */
int ledger_journal(struct ledger *l, const struct journal_step *steps, size_t n, struct err *e)
{
    struct buf b;
    buf_init(&b, 0);
    mutex_lock(&l->lock);
    for (size_t i = 0; i < n; i++) {
        struct hold *h = hold_find(l, steps[i].hold.v);
        if (!h || h->finished)
            continue;
        h->counts = counts_max(&h->counts, &steps[i].counts);
        hold_put(&b, h, JOURNAL_STEP);
    }
    mutex_unlock(&l->lock);
    struct err why;
    int rc = journal_append(&l->journal, &b, &why);
    if (rc == 0 && l->strict && b.len)
        rc = journal_sync(&l->journal, &why);
    buf_deinit(&b);
    if (rc < 0) {
        ledger_break(l, &why);
        if (e)
            *e = why;
    }
    return rc;
}

/* Marks the hold finished and computes its charge: never less than what was journaled, never more than what is held. Under lock. */
void meter_close(struct hold *h, const struct finish_req *fin)
{
    h->finished = true;
    h->fin = *fin;
    h->fin.hold.v = h->id;
    h->fin.counts = counts_max(&h->counts, &fin->counts);
    int64_t held = h->amount_scope + h->amount_any;
    struct quantities q;
    int64_t taken;
    quantities_of(&q, h->scope, &h->fin.counts);
    if (h->job)
        q = h->job->used;
    h->list = price_list(h->list_price, &q);
    if (h->cover.r) {
        const struct usage_counts covered = cover_split(h->cover.r->input_weight, h->cover.units, &h->fin.counts, &taken);
        const struct usage_counts rest = counts_less(&h->fin.counts, &covered);
        quantities_of(&q, h->scope, &rest);
    }
    h->contracted = h->list_price == h->price && !h->cover.r ? h->list : price_list(h->price, &q);
    h->billed = q;
    h->charged = h->contracted < held ? h->contracted : held;
    h->org->held -= held;
    h->org->free += held - h->charged;
}

int ledger_finish(struct ledger *l, const struct finish_req *q, struct bill *out, struct err *e)
{
    struct op *op = mem_new(sizeof *op);
    if (!op)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory to finish a request");
    mutex_lock(&l->lock);
    struct hold *h = hold_find(l, q->hold.v);
    if (!h || h->finished) {
        mutex_unlock(&l->lock);
        mem_free(op);
        return err_set(e, h ? ERR_CONFLICT : ERR_NOT_FOUND, "ledger: hold %llu is not open; it was finished before or never granted",
                       (unsigned long long)q->hold.v);
    }
    struct buf b;
    buf_init(&b, 0);
    meter_close(h, q);
    h->queued = true;
    hold_put(&b, h, JOURNAL_FINISH);
    struct rate_take *rate = h->rate;
    struct usage_counts used = h->fin.counts;
    h->rate = NULL;
    if (out)
        *out = (struct bill){{h->charged}, {h->org->free}};
    mutex_unlock(&l->lock);
    rate_end(l, rate, &used);
    struct err why;
    int rc = journal_append(&l->journal, &b, &why);
    if (rc == 0 && l->strict)
        rc = journal_sync(&l->journal, &why);
    buf_deinit(&b);
    if (rc < 0) {
        ledger_break(l, &why);
        if (e)
            *e = why;
    }
    op->kind = OP_FINISH, op->l = l, op->hold = h;
    queue_push(l, op);
    return rc;
}

static int row_insert(struct ledger *l, const struct hold *h, int64_t id, struct err *e)
{
    struct stmt *s;
    int rc =
        stmt_get(&s, l->db,
                 SQL("INSERT INTO usage (id, hold_id, request, org_id, project_id, key_id, model_id, price_id, input, cache_read, cache_write, "
                     "output, reasoning, accepted_draft, list, charged, reason, status, stream, start_us, first_us, end_us, list_price_id, "
                     "contracted, scope) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, "
                     "?22, ?23, ?24, ?25)"),
                 e);
    if (rc < 0)
        return rc;
    const struct usage_counts *c = &h->fin.counts;
    stmt_i64(s, 1, id), stmt_i64(s, 2, (int64_t)h->id), stmt_text(s, 3, h->request), stmt_i64(s, 4, h->org->id), stmt_i64(s, 5, h->project);
    stmt_i64(s, 6, h->key), stmt_i64(s, 7, h->model->id), stmt_i64(s, 8, h->price->id);
    stmt_i64(s, 9, c->input), stmt_i64(s, 10, c->cache_read), stmt_i64(s, 11, c->cache_write), stmt_i64(s, 12, c->output);
    stmt_i64(s, 13, c->reasoning), stmt_i64(s, 14, c->accepted_draft), stmt_i64(s, 15, h->list), stmt_i64(s, 16, h->charged);
    stmt_i64(s, 17, (int64_t)h->fin.reason), stmt_i64(s, 18, h->fin.status), stmt_i64(s, 19, h->fin.stream);
    stmt_i64(s, 20, h->fin.start_us), stmt_i64(s, 21, h->fin.first_us), stmt_i64(s, 22, h->fin.end_us);
    stmt_i64(s, 23, h->list_price->id), stmt_i64(s, 24, h->contracted), stmt_text(s, 25, scope_names[h->scope]);
    return stmt_run(s, e);
}

/* The row in the cube, in the hour in which its request ended. */
static int row_count(struct ledger *l, const struct hold *h, struct err *e)
{
    const struct usage_counts *c = &h->fin.counts;
    bool fault = h->fin.reason == FINISH_ERROR || h->fin.reason == FINISH_CRASH;
    struct cube_cell d = {
        h->fin.end_us / CUBE_HOUR_US,
        h->org->id,
        h->project,
        h->key,
        h->model->id,
        h->price->id,
        h->scope,
        {1, fault, c->input, c->cache_read, c->cache_write, c->output, c->reasoning, c->accepted_draft, h->list, h->contracted, h->charged, 0}};
    return cube_add(&l->cubes, &d, e);
}

/* Marks the row finished; *was_open is false when it was already: then there is nothing to bill. */
static int mark(struct ledger *l, const struct hold *h, bool *was_open, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db, SQL("UPDATE hold SET state = 1 WHERE id = ?1 AND state = 0"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, (int64_t)h->id);
    rc = stmt_run(s, e);
    *was_open = db_changes(l->db) == 1;
    return rc;
}

/* Captures and releases a closed hold: its usage row, the grants that pay. The hold is freed after the commit. */
int meter_finish(struct ledger *l, struct hold *h, struct err *e)
{
    bool was_open;
    int rc = share_org(l, h->org, e);
    if (rc == 0)
        rc = mark(l, h, &was_open, e);
    if (rc == 0 && was_open) {
        int64_t id = l->next_usage++;
        if ((rc = row_insert(l, h, id, e)) == 0 && (rc = row_count(l, h, e)) == 0)
            rc = grant_charge(l, h, id, e);
        if (rc == 0 && h->job)
            rc = job_usage_add(l, h->job, id, e);
        if (rc == 0)
            rc = cover_finish(l, h, e);
        if (rc == 0)
            rc = budget_settle(l, h->key, h->created_us, h->amount_scope + h->amount_any, h->charged, e);
        if (rc == 0 && h->org->lingering)
            rc = grant_settle(l, h->org, e);
    }
    if (!vec_push(&l->ended, h) && rc == 0)
        rc = err_set(e, ERR_NO_MEMORY, "ledger: no memory to finish a request");
    return rc;
}

/* Everything that is not in the store yet: for a new journal segment. */
void meter_snapshot(void *arg, struct buf *b)
{
    struct ledger *l = arg;
    size_t it = 0;
    union map_value v;
    struct str k;
    mutex_lock(&l->lock);
    while (map_next(&l->holds, &it, &k, &v)) {
        if (((struct hold *)v.ptr)->job)
            continue; /* it is in the store, synced */
        hold_put(b, v.ptr, JOURNAL_HOLD);
        if (((struct hold *)v.ptr)->cover.r)
            hold_put(b, v.ptr, JOURNAL_COVER);
        hold_put(b, v.ptr, JOURNAL_STEP);
        if (((struct hold *)v.ptr)->finished)
            hold_put(b, v.ptr, JOURNAL_FINISH);
    }
    mutex_unlock(&l->lock);
}
