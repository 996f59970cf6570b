/* The ledger thread: takes what is queued in batches, commits once for each, then posts the answers. */
#include "ledger/event.h"
#include "ledger/share.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

void queue_push(struct ledger *l, struct op *op)
{
    op->next = NULL;
    mutex_lock(&l->lock);
    *l->queue_end = op;
    l->queue_end = &op->next;
    if (l->n_queue++ == 0)
        cond_signal(&l->wake);
    mutex_unlock(&l->lock);
}

bool queue_full(struct ledger *l)
{
    mutex_lock(&l->lock);
    bool full = l->n_queue >= LEDGER_QUEUE_MAX;
    mutex_unlock(&l->lock);
    return full;
}

static void deliver(void *arg)
{
    struct op *op = arg;
    op->fn(op->arg, &op->answer);
    mem_free(op);
}

void queue_answer(struct op *op)
{
    if (op->l->post)
        op->l->post(op->l->post_ctx, deliver, op);
    else
        deliver(op);
}

/* ---- calls that wait ---- */

static int call_and_wait(struct ledger *l, struct op *op)
{
    queue_push(l, op);
    mutex_lock(&l->lock);
    while (!op->done)
        cond_wait(&l->done, &l->lock);
    mutex_unlock(&l->lock);
    return op->rc;
}

int queue_call(struct ledger *l, int (*fn)(struct ledger *, void *, struct err *), void *arg, struct err *e)
{
    struct err scratch;
    struct op op = {.kind = OP_CALL, .l = l, .call = fn, .arg = arg, .err = e ? e : &scratch, .actor = ledger_actor()};
    return call_and_wait(l, &op);
}

int queue_flush(struct ledger *l, struct err *e)
{
    return queue_call(l, NULL, NULL, e);
}

/* One lock for all: the server's thread wants it too. */
static void ended_free(struct ledger *l)
{
    mutex_lock(&l->lock);
    for (size_t i = 0; i < l->ended.n; i++)
        map_del(&l->holds, ID_KEY(l->ended.p[i]->id), NULL);
    mutex_unlock(&l->lock);
    for (size_t i = 0; i < l->ended.n; i++)
        hold_free(l->ended.p[i]);
    l->ended.n = 0;
}

static int call_in_transaction(struct ledger *l, struct op *op)
{
    struct err *e = op->err;
    int rc = ledger_broken(l, e);
    if (rc < 0)
        return rc;
    rc = batch_begin(l, e);
    l->actor = op->actor;
    if (rc == 0)
        rc = share_all(l, e);
    struct sha256 chain = l->chain; /* as of now: another node may have written */
    int64_t next_txn = l->next_txn, next_event = l->next_event, next_operation = l->next_operation;
    l->deed = true;
    if (rc == 0)
        rc = op->call(l, op->arg, e);
    l->actor = NULL;
    if (rc == 0)
        rc = batch_end(l, DB_SYNC_FULL, e);
    if (rc == 0) {
        ended_free(l);
        return 0;
    }
    db_rollback(l->db);
    l->deed = false;
    l->chain = chain, l->next_txn = next_txn, l->next_event = next_event, l->next_operation = next_operation;
    if (e->code == ERR_DB || l->moved) /* moved: memory is ahead of the store */
        ledger_break(l, e);
    return rc;
}

/* Begins and expires what is due, in a transaction of its own. */
static int due(struct ledger *l, struct err *e)
{
    int rc = batch_begin(l, e);
    if (rc == 0)
        rc = grant_due(l, e);
    if (rc == 0)
        rc = batch_end(l, DB_SYNC_NORMAL, e);
    if (rc < 0)
        db_rollback(l->db);
    return rc;
}

/* What is due comes first, apart: the call may fail, and what expired stays so. */
static int call_when_due(struct ledger *l, struct op *op)
{
    int rc = ledger_broken(l, op->err);
    if (rc == 0 && clock_now_us() >= l->next_due_us && (rc = due(l, op->err)) < 0)
        ledger_break(l, op->err);
    return rc < 0 ? rc : call_in_transaction(l, op);
}

static void run_call(struct ledger *l, struct op *op)
{
    op->rc = op->call ? call_when_due(l, op) : 0;
    mutex_lock(&l->lock);
    op->done = true;
    cond_broadcast(&l->done);
    mutex_unlock(&l->lock);
}

/* ---- batches ---- */

static int apply(struct ledger *l, struct op *op, struct err *e)
{
    switch (op->kind) {
    case OP_HOLD: return hold_place(l, op, e);
    case OP_MORE: return hold_grow(l, op, e);
    case OP_FINISH: return meter_finish(l, op->hold, e);
    case OP_CALL: break;
    }
    return err_set(e, ERR_INTERNAL, "ledger: a call in a batch");
}

/* The journal's records of what was granted: they follow the commit and precede the answers, so that no step of a hold precedes it. */
static int journal_grants(struct ledger *l, struct op *first, const struct op *end, struct err *e)
{
    struct buf b;
    buf_init(&b, 0);
    mutex_lock(&l->lock);
    for (struct op *op = first; op != end; op = op->next)
        if (op->kind != OP_FINISH && op->hold) {
            if (op->kind == OP_HOLD)
                hold_put(&b, op->hold, JOURNAL_HOLD);
            if (op->hold->cover.r)
                hold_put(&b, op->hold, JOURNAL_COVER);
            if (op->kind == OP_MORE)
                hold_put(&b, op->hold, JOURNAL_MORE);
        }
    mutex_unlock(&l->lock);
    int rc = journal_append(&l->journal, &b, e);
    buf_deinit(&b);
    return rc;
}

/* A hold whose batch failed ends with nothing computed; whether the store has it is seen when it is back. */
static void refuse_hold(struct ledger *l, struct hold *h)
{
    mutex_lock(&l->lock);
    h->refused = true;
    meter_close(h, &(struct finish_req){.reason = FINISH_ERROR, .status = 503, .start_us = h->created_us, .end_us = l->now_us});
    mutex_unlock(&l->lock);
}

static void not_finished(struct ledger *l, struct hold *h)
{
    mutex_lock(&l->lock);
    h->queued = false;
    mutex_unlock(&l->lock);
}

static bool holds(const struct op *op, const struct err *failed)
{
    return op->kind == OP_HOLD && op->hold && !failed;
}

/* What a failed batch leaves of its ops. */
static void failed_op(struct ledger *l, struct op *op, const struct err *failed)
{
    if (op->kind == OP_FINISH) {
        not_finished(l, op->hold);
        return;
    }
    op->answer.err = *failed;
    if (op->kind == OP_HOLD && op->hold)
        refuse_hold(l, op->hold);
}

/* The lock once for all: the server's thread wants it too. */
static void answers(struct ledger *l, struct op *first, const struct op *end, const struct err *failed)
{
    for (struct op *op = first; op != end; op = op->next) {
        if (failed)
            failed_op(l, op, failed);
        if (op->kind != OP_FINISH && !holds(op, failed))
            rate_end(l, op->rate, NULL);
    }
    mutex_lock(&l->lock);
    for (struct op *op = first; op != end; op = op->next) {
        if (op->kind == OP_FINISH)
            continue;
        if (holds(op, failed))
            op->hold->rate = op->rate;
        struct org *o = op->hold ? op->hold->org : org_find(l, op->who.org.v);
        op->answer.balance.nano = o ? o->free : op->answer.balance.nano;
    }
    mutex_unlock(&l->lock);
    for (struct op *op = first, *next; op != end; op = next) {
        next = op->next;
        if (op->kind == OP_FINISH)
            mem_free(op);
        else
            queue_answer(op);
    }
}

static int run_work(struct ledger *l, struct op *first, const struct op *end, struct err *e)
{
    int rc = ledger_broken(l, e);
    if (rc < 0)
        return rc;
    rc = batch_begin(l, e);
    if (rc == 0 && l->now_us >= l->next_due_us)
        rc = grant_due(l, e); /* what expired a moment ago is not spent */
    for (struct op *op = first; op != end && rc == 0; op = op->next)
        rc = apply(l, op, e);
    if (rc == 0)
        rc = batch_end(l, DB_SYNC_NORMAL, e);
    if (rc == 0)
        return journal_grants(l, first, end, e);
    db_rollback(l->db);
    return rc;
}

/* One commit for the ops from first up to end. When it fails the ledger is broken until it is healed. */
static void run_batch(struct ledger *l, struct op *first, const struct op *end)
{
    struct err e = {0};
    int rc = run_work(l, first, end, &e);
    if (rc < 0) {
        e.code = ERR_DB;
        ledger_break(l, &e);
    }
    answers(l, first, end, rc < 0 ? &e : NULL);
    if (rc == 0)
        ended_free(l);
}

/* ---- the thread ---- */

static int rotate(struct ledger *l, struct err *e)
{
    int rc = db_begin(l->db, e);
    if (rc == 0)
        rc = db_commit(l->db, DB_SYNC_FULL, e); /* an empty commit: it syncs the earlier ones */
    return rc == 0 ? journal_rotate(&l->journal, meter_snapshot, l, e) : rc;
}

static void tick(struct ledger *l)
{
    struct err e = {0};
    int rc = 0;
    l->now_us = clock_now_us();
    if (atomic_load(&l->broken)) {
        heal(l);
        return;
    }
    rc = share_poll(l, &e);
    if (rc == 0 && l->now_us >= l->next_due_us)
        rc = due(l, &e);
    if (rc == 0 && !atomic_load(&l->no_rotate) && journal_size(&l->journal) > atomic_load(&l->segment_bytes))
        rc = rotate(l, &e);
    if (l->now_us >= l->next_sweep_us) {
        l->next_sweep_us = l->now_us + l->hold_life_us / 1440;
        hold_sweep(l);
        if (rc == 0)
            rc = share_sweep(l, &e);
    }
    if (rc < 0)
        ledger_break(l, &e);
}

/* Up to LEDGER_BATCH_MAX ops, or NULL after a tick; *quit when nothing more will come. */
static struct op *take(struct ledger *l, bool *quit)
{
    mutex_lock(&l->lock);
    while (!l->queue && !l->stop)
        if (!cond_wait_ms(&l->wake, &l->lock, LEDGER_TICK_MS))
            break;
    struct op *first = l->queue, *last = first;
    size_t n = first ? 1 : 0;
    for (; last && last->next && n < LEDGER_BATCH_MAX; n++)
        last = last->next;
    if (first) {
        l->queue = last->next;
        last->next = NULL;
        if (!l->queue)
            l->queue_end = &l->queue;
        l->n_queue -= n;
    }
    *quit = !first && l->stop;
    mutex_unlock(&l->lock);
    return first;
}

void queue_main(void *arg)
{
    struct ledger *l = arg;
    for (bool quit = false; !quit;) {
        struct op *op = take(l, &quit);
        tick(l);
        while (op) {
            struct op *end = op;
            while (end && end->kind != OP_CALL)
                end = end->next;
            if (op != end)
                run_batch(l, op, end);
            if (end) {
                op = end->next;
                run_call(l, end);
            } else {
                op = NULL;
            }
        }
    }
}

/* Syncs the journal every 100 ms. */
void queue_sync_main(void *arg)
{
    struct ledger *l = arg;
    mutex_lock(&l->lock);
    while (!l->stop) {
        cond_wait_ms(&l->quit, &l->lock, JOURNAL_SYNC_MS);
        mutex_unlock(&l->lock);
        struct err e;
        if (!atomic_load(&l->broken) && journal_sync(&l->journal, &e) < 0)
            ledger_break(l, &e);
        mutex_lock(&l->lock);
    }
    mutex_unlock(&l->lock);
}
