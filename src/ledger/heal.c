/* A broken ledger comes back, in the running process: share.h says when. The store is opened again and believed; what only memory knows (holds
 * that run, requests that ended while nothing could be written) is laid beside it:
 *
 *   open in the store, in memory      it goes on, with the amounts of the store: a slice whose commit failed was refused
 *   finished in the store             its commit was made although its answer was lost: it is forgotten
 *   not in the store, granted         the store lost its commit: it is placed again
 *   in memory, but never granted      its answer was an error: it ends with nothing computed
 *   a job (job.h)                     the store's is right: what it was told was durable before it was answered
 *   open in the store alone           memory had ended it, and the store lost that: it ends as the journal says */
#include "ledger/share.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <stddef.h>
#include <string.h>

struct holds VEC(struct hold *);

static int short_of_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "ledger: no memory to read the store again");
}

/* ---- memory anew ---- */

static void scratch_free(struct ledger *t)
{
    if (!t)
        return;
    t->db = NULL;
    ledger_release(t);
}

/* A ledger that has nothing but what the store has. */
static int scratch_new(struct ledger **out, struct ledger *l, struct err *e)
{
    struct ledger *t = *out = mem_new(sizeof *t);
    if (!t)
        return short_of_memory(e);
    ledger_init(t);
    memcpy(t->secret, l->secret, sizeof t->secret);
    memcpy(t->currency, l->currency, sizeof t->currency);
    t->db = l->db, t->now_us = l->now_us, t->node_id = l->node_id, t->shared = l->shared;
    int rc = state_read(t, e);
    return rc == 0 ? rate_read(t, e) : rc;
}

/* Where each hold's rows are in t, in the order of the map. */
struct place {
    struct org *org;
    const struct price *price, *list_price;
    const struct model *model;
    const struct reservation *r;
};
struct places VEC(struct place);

static int places(struct ledger *l, struct ledger *t, struct places *out, struct err *e)
{
    size_t it = 0;
    struct str k;
    union map_value v, price, list;
    int rc = 0;
    while (rc == 0 && map_next(&l->holds, &it, &k, &v)) {
        const struct hold *h = v.ptr;
        struct place p = {.org = org_find(t, h->org->id)};
        if (!p.org || !map_get(&t->prices_by_id, ID_KEY(h->price->id), &price) || !map_get(&t->prices_by_id, ID_KEY(h->list_price->id), &list))
            return err_set(e, ERR_DB, "ledger: hold %llu is of an account or a price that the store does not have", (unsigned long long)h->id);
        p.price = price.ptr, p.list_price = list.ptr;
        p.r = h->cover.r ? reservation_find(t, h->cover.r->id) : NULL;
        rc = model_find(t, h->model->alias, h->model->revision, &h->model->digest, &p.model, e);
        if (rc == 0 && !vec_push(out, p))
            rc = short_of_memory(e);
    }
    return rc;
}

/* What the owner sees of a hold that has ended in memory and is open in the store. */
static void ended_view(const struct hold *h, int sign)
{
    int64_t held = h->amount_scope + h->amount_any;
    h->org->held -= sign * held;
    h->org->free += sign * (held - h->charged);
}

static void move_hold(struct ledger *t, struct hold *h, const struct place *p)
{
    size_t n = 0;
    h->org = p->org, h->price = p->price, h->list_price = p->list_price, h->model = p->model, h->cover.r = p->r;
    for (size_t i = 0; i < h->parts.n; i++) {
        int64_t id = h->parts.p[i].grant->id;
        if ((size_t)id <= t->grants.n)
            h->parts.p[n++] = (struct part){t->grants.p[id - 1], h->parts.p[i].amount};
    }
    h->parts.n = n;
    if (h->finished)
        ended_view(h, 1);
}

static void exchange(struct ledger *l, struct ledger *t, const struct places *all)
{
    enum { FROM = offsetof(struct ledger, keys), SIZE = offsetof(struct ledger, state_end) - FROM };
    static char keep[SIZE]; /* one ledger thread */
    size_t it = 0, i = 0;
    struct str k;
    union map_value v;
    mutex_lock(&l->lock);
    while (map_next(&l->holds, &it, &k, &v))
        move_hold(t, v.ptr, &all->p[i++]);
    memcpy(keep, (char *)l + FROM, SIZE);
    memcpy((char *)l + FROM, (char *)t + FROM, SIZE);
    memcpy((char *)t + FROM, keep, SIZE);
    for (it = 0; map_next(&l->orgs_by_id, &it, &k, &v);)
        ((struct org *)v.ptr)->epoch = l->epoch;
    mutex_unlock(&l->lock);
    l->all_epoch = l->epoch;
    l->dirty = NULL;
    l->postings.n = 0;
    l->next_due_us = 0;
}

int state_reload(struct ledger *l, struct err *e)
{
    struct ledger *t = NULL;
    struct places all = {0};
    int rc = scratch_new(&t, l, e);
    if (rc == 0)
        rc = places(l, t, &all, e);
    if (rc == 0) {
        exchange(l, t, &all);
        rc = rate_follow(l, &t->rates, e);
    }
    vec_deinit(&all);
    scratch_free(t);
    return rc;
}

/* ---- holds of memory beside those of the store ---- */

/* The amounts of the store's row. */
static int settle_amounts(struct ledger *l, struct hold *h, struct stmt *s, struct err *e)
{
    struct parts parts = {0};
    int rc = reserve_read(l, &parts, stmt_col_str(s, 4), e);
    if (rc < 0) {
        vec_deinit(&parts);
        return rc;
    }
    mutex_lock(&l->lock);
    if (h->finished)
        ended_view(h, -1);
    vec_deinit(&h->parts);
    h->parts = parts;
    h->output = (uint32_t)stmt_col_i64(s, 1), h->amount_scope = stmt_col_i64(s, 2), h->amount_any = stmt_col_i64(s, 3);
    if (h->finished) {
        int64_t held = h->amount_scope + h->amount_any;
        h->charged = h->contracted < held ? h->contracted : held;
        ended_view(h, 1);
    }
    mutex_unlock(&l->lock);
    h->seen = l->epoch;
    return 0;
}

static int settle_open(struct ledger *l, struct err *e)
{
    struct stmt *s;
    bool row = true;
    int rc =
        stmt_get(&s, l->db, SQL("SELECT id, output, amount_scope, amount_any, reserved FROM hold WHERE state = 0 AND (?1 = 0 OR node_id = ?2)"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, l->shared), stmt_i64(s, 2, l->node_id);
    while (rc == 0 && (rc = stmt_step(s, &row, e)) == 0 && row) {
        struct hold *h = hold_find(l, (uint64_t)stmt_col_i64(s, 0));
        if (h)
            rc = settle_amounts(l, h, s, e);
    }
    stmt_put(s);
    return rc;
}

/* Of a hold that is not open in the store: whether its row is there at all. */
static int known(struct ledger *l, const struct hold *h, bool *out, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db, SQL("SELECT 1 FROM hold WHERE id = ?1 AND request = ?2"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, (int64_t)h->id), stmt_text(s, 2, h->request);
    rc = stmt_step(s, out, e);
    stmt_put(s);
    return rc;
}

static int settle_missing(struct ledger *l, struct hold *h, struct err *e)
{
    bool there;
    int rc = known(l, h, &there, e);
    if (rc < 0)
        return rc;
    if (there || h->refused) {
        mutex_lock(&l->lock);
        if (h->finished)
            ended_view(h, -1);
        mutex_unlock(&l->lock);
        if (h->finished && !h->queued)
            hold_drop(l, h);
        return 0;
    }
    return hold_again(l, h, e);
}

static int all_holds(struct ledger *l, struct holds *out, struct err *e)
{
    size_t it = 0;
    struct str k;
    union map_value v;
    while (map_next(&l->holds, &it, &k, &v))
        if (!vec_push(out, v.ptr))
            return short_of_memory(e);
    return 0;
}

/* Jobs are read again from the store. */
static void forget_job(struct ledger *l, struct hold *h)
{
    mutex_lock(&l->lock);
    if (h->finished)
        ended_view(h, -1);
    mutex_unlock(&l->lock);
    hold_drop(l, h);
}

static int settle_holds(struct ledger *l, struct err *e)
{
    struct holds all = {0};
    int rc = settle_open(l, e);
    if (rc == 0)
        rc = all_holds(l, &all, e);
    for (size_t i = 0; i < all.n && rc == 0; i++)
        if (all.p[i]->job && !all.p[i]->queued)
            forget_job(l, all.p[i]);
        else if (all.p[i]->seen != l->epoch)
            rc = settle_missing(l, all.p[i], e);
    vec_deinit(&all);
    return rc;
}

/* ---- what ended ---- */

/* The journal of holds that the store alone has. */
static int on_record(void *arg, const struct journal_rec *r, struct err *e)
{
    struct ledger *l = arg;
    struct hold *h = hold_find(l, r->hold);
    (void)e;
    if (!h || !h->orphan || h->job || h->finished)
        return 0;
    mutex_lock(&l->lock);
    if (r->type == JOURNAL_STEP)
        h->counts = r->counts;
    else if (r->type == JOURNAL_FINISH)
        meter_close(h, &(struct finish_req){{r->hold}, r->counts, r->reason, r->status, r->stream, r->start_us, r->first_us, r->end_us});
    mutex_unlock(&l->lock);
    return 0;
}

static int finish_ended(struct ledger *l, struct err *e)
{
    struct holds all = {0};
    int rc = all_holds(l, &all, e);
    for (size_t i = 0; i < all.n && rc == 0; i++) {
        struct hold *h = all.p[i];
        mutex_lock(&l->lock);
        if (h->orphan && !h->finished && !h->job)
            meter_close(
                h, &(struct finish_req){.counts = h->counts, .reason = FINISH_CRASH, .status = 500, .start_us = h->created_us, .end_us = l->now_us});
        bool ended = h->finished && !h->queued; /* a queued one ends by its turn */
        mutex_unlock(&l->lock);
        if (ended)
            rc = meter_finish(l, h, e);
    }
    vec_deinit(&all);
    return rc;
}

static int bring_up(struct ledger *l, struct err *e)
{
    uint64_t torn;
    int rc = state_reload(l, e);
    if (rc == 0)
        rc = settle_holds(l, e);
    if (rc == 0)
        rc = state_holds(l, -1, e);
    if (rc == 0)
        rc = journal_read(l->journal.path, on_record, l, &torn, e);
    if (rc == 0)
        rc = finish_ended(l, e);
    return rc == 0 ? grant_due(l, e) : rc;
}

/* ---- the store again ---- */

static int reconnect(struct ledger *l, struct err *e)
{
    struct db *reader = NULL;
    db_close(l->db);
    l->db = NULL;
    int rc = db_open(&l->db, l->store, DB_READ_WRITE, e);
    if (rc == 0)
        rc = db_open(&reader, l->store, DB_READ_ONLY, e);
    if (rc < 0)
        return rc;
    mutex_lock(&l->reader_lock);
    db_close(l->reader);
    l->reader = reader;
    mutex_unlock(&l->reader_lock);
    return 0;
}

static int transaction(struct ledger *l, struct err *e)
{
    l->now_us = clock_now_us();
    l->moved = l->deed = false;
    l->ended.n = 0;
    l->epoch++;
    int rc = share_claim(l, 0, e);
    if (rc == 0)
        rc = db_begin(l->db, e);
    if (rc == 0)
        rc = share_open(l, e);
    if (rc == 0)
        rc = bring_up(l, e);
    if (rc == 0)
        rc = batch_end(l, DB_SYNC_FULL, e);
    if (rc < 0) {
        db_rollback(l->db);
        return rc;
    }
    for (size_t i = 0; i < l->ended.n; i++)
        hold_drop(l, l->ended.p[i]);
    l->ended.n = 0;
    return 0;
}

static bool hopeless(struct ledger *l)
{
    return (l->db && db_sync_failed(l->db)) || journal_sync_failed(&l->journal);
}

/* Whether it is time to try; says when the next time is. */
static bool is_time(struct ledger *l)
{
    if (atomic_load(&l->no_heal) || l->now_us < l->next_heal_us)
        return false;
    bool first = !l->heal_wait_ms;
    l->heal_wait_ms = first ? HEAL_FIRST_MS : l->heal_wait_ms * 2 < HEAL_MOST_MS ? l->heal_wait_ms * 2 : HEAL_MOST_MS;
    l->next_heal_us = l->now_us + l->heal_wait_ms * 1000;
    return !first;
}

void heal(struct ledger *l)
{
    struct err e = {0};
    if (!is_time(l))
        return;
    if (hopeless(l)) {
        atomic_store(&l->no_heal, true);
        log_line(LOG_ERROR, "ledger_broken", "a sync failed, so the disk is not trusted: check it, and restart");
        return;
    }
    int rc = reconnect(l, &e);
    if (rc == 0)
        rc = transaction(l, &e);
    if (rc == 0) {
        journal_mend(&l->journal);
        rc = journal_rotate(&l->journal, meter_snapshot, l, &e);
    }
    if (rc < 0) {
        log_line(LOG_WARN, "ledger_broken", "still: %s", e.msg);
        return;
    }
    l->heal_wait_ms = 0, l->next_heal_us = 0;
    atomic_store(&l->broken, false);
    log_line(LOG_INFO, "ledger_healed", "billable work is accepted again");
}
