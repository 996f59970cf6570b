/* Nodes that share a ledger: share.h is the essay. */
#include "ledger/share.h"

#include "base/clock.h"
#include "base/log.h"

#include <string.h>

/* ---- the start ---- */

static int fingerprint(struct ledger *l, struct err *e)
{
    struct sha256 h;
    struct stmt *s;
    char text[2 * sizeof h + 1];
    bool row, same;
    hmac_sha256(&h, l->secret, sizeof l->secret, "sluice store", 12);
    str_to_hex(text, (const uint8_t *)&h, sizeof h);
    int rc = stmt_get(&s, l->db, SQL("UPDATE share SET secret = CASE secret WHEN '' THEN ?1 ELSE secret END WHERE id = 1 RETURNING secret"), e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, text);
    rc = stmt_step(s, &row, e);
    same = rc == 0 && row && str_eqz(stmt_col_str(s, 0), text);
    stmt_put(s);
    return rc < 0 || same ? rc
                          : err_set(e, ERR_CONFLICT,
                                    "ledger: %s/secret is not the one under which this store keeps its keys; copy the file from the data folder of "
                                    "another node",
                                    l->dir);
}

static int look(struct ledger *l, int64_t *generation, int64_t *cold, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, l->db, SQL("SELECT generation, cold FROM share WHERE id = 1"), e);
    if (rc < 0)
        return rc;
    rc = stmt_step(s, &row, e);
    if (rc == 0 && !row)
        rc = err_set(e, ERR_DB, "ledger: the store is damaged: the row of `share` is missing; restore it from the backup");
    if (rc == 0)
        *generation = stmt_col_i64(s, 0), *cold = stmt_col_i64(s, 1);
    stmt_put(s);
    return rc;
}

int share_claim(struct ledger *l, unsigned wait_ms, struct err *e)
{
    bool mine;
    int rc = db_claim(l->db, l->node, wait_ms, &mine, e);
    return rc < 0 || mine ? rc
                          : err_set(e, ERR_CONFLICT,
                                    "ledger: another sluice serves this ledger under the name '%s', or its connection has not ended yet; give each "
                                    "node a name of its own: --node NAME",
                                    l->node);
}

int share_open(struct ledger *l, struct err *e)
{
    if (!l->shared)
        return 0;
    int rc = fingerprint(l, e);
    return rc == 0 ? look(l, &l->generation, &l->cold, e) : rc;
}

/* ---- a transaction ---- */

int share_begin(struct ledger *l, struct err *e)
{
    int64_t generation, cold;
    if (!l->shared)
        return 0;
    int rc = look(l, &generation, &cold, e);
    if (rc < 0 || generation == l->generation)
        return rc;
    l->epoch++;
    rc = cold != l->cold ? state_reload(l, e) : state_counters(l, e);
    if (rc == 0)
        l->generation = generation, l->cold = cold;
    return rc;
}

int share_end(struct ledger *l, struct err *e)
{
    struct stmt *s;
    if (!l->shared)
        return 0;
    int rc = stmt_get(&s, l->db, SQL("UPDATE share SET generation = generation + 1, cold = cold + ?1 WHERE id = 1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, l->deed);
    return stmt_run(s, e);
}

void share_done(struct ledger *l)
{
    l->generation++;
    l->cold += l->deed;
    l->deed = false;
}

/* ---- grants ---- */

/* What the grant's owner sees of it, of the state that it has. */
static struct org seen(const struct grant *g)
{
    struct org o = {0};
    struct grant copy = *g;
    copy.org = &o;
    grant_view(&copy);
    return o;
}

static int fresh_grant(struct ledger *l, struct stmt *s, struct err *e)
{
    int64_t id = stmt_col_i64(s, 0);
    if (id < 1 || (size_t)id > l->grants.n)
        return err_set(e, ERR_DB, "ledger: grant %lld came without its node saying so", (long long)id);
    struct grant *g = l->grants.p[id - 1];
    struct org was = seen(g);
    g->remaining = stmt_col_i64(s, 1), g->held = stmt_col_i64(s, 2), g->state = (enum grant_state)stmt_col_i64(s, 3);
    g->adjusted = stmt_col_i64(s, 4), g->void_id = stmt_col_i64(s, 5);
    struct org is = seen(g);
    org_view(l, g->org, is.free - was.free, is.held - was.held);
    g->org->lingering |= g->state == GRANT_EXPIRES || g->state == GRANT_IS_VOIDED;
    g->org->epoch = l->epoch;
    return 0;
}

/* org 0: all. */
static int fresh(struct ledger *l, int64_t org, struct err *e)
{
    struct stmt *s;
    bool row = true;
    int rc = stmt_get(&s, l->db,
                      org ? SQL("SELECT id, remaining, held, state, adjusted, void_id FROM credit_grant WHERE org_id = ?1")
                          : SQL("SELECT id, remaining, held, state, adjusted, void_id FROM credit_grant"),
                      e);
    if (rc < 0)
        return rc;
    if (org)
        stmt_i64(s, 1, org);
    while (rc == 0 && (rc = stmt_step(s, &row, e)) == 0 && row)
        rc = fresh_grant(l, s, e);
    stmt_put(s);
    return rc;
}

int share_org(struct ledger *l, struct org *o, struct err *e)
{
    if (!l->shared || o->epoch == l->epoch)
        return 0;
    int rc = fresh(l, o->id, e);
    if (rc == 0)
        grant_sort(o);
    o->epoch = l->epoch;
    return rc;
}

int share_all(struct ledger *l, struct err *e)
{
    size_t it = 0;
    struct str k;
    union map_value v;
    if (!l->shared || l->all_epoch == l->epoch)
        return 0;
    int rc = fresh(l, 0, e);
    while (rc == 0 && map_next(&l->orgs_by_id, &it, &k, &v)) {
        grant_sort(v.ptr);
        ((struct org *)v.ptr)->epoch = l->epoch;
    }
    if (rc == 0)
        l->all_epoch = l->epoch;
    return rc;
}

/* ---- between transactions ---- */

int share_poll(struct ledger *l, struct err *e)
{
    int64_t generation, cold;
    if (!l->shared || l->now_us < l->next_poll_us)
        return 0;
    l->next_poll_us = l->now_us + SHARE_POLL_MS * 1000;
    int rc = look(l, &generation, &cold, e);
    if (rc < 0 || cold == l->cold)
        return rc;
    rc = batch_begin(l, e);
    db_rollback(l->db);
    return rc;
}

/* Holds in memory that are another node's: they are there while they are ended. */
static int foreign(struct ledger *l, bool drop, struct err *e)
{
    struct VEC(struct hold *) all = {0};
    size_t it = 0;
    struct str k;
    union map_value v;
    int rc = 0;
    mutex_lock(&l->lock);
    while (map_next(&l->holds, &it, &k, &v))
        if (((struct hold *)v.ptr)->foreign && !vec_push(&all, v.ptr) && !drop)
            rc = err_set(e, ERR_NO_MEMORY, "ledger: no memory to end a hold");
    mutex_unlock(&l->lock);
    for (size_t i = 0; i < all.n && rc == 0; i++) {
        struct hold *h = all.p[i];
        if (drop) {
            hold_drop(l, h);
            continue;
        }
        log_line(LOG_WARN, "hold_late", "hold %llu is of a node that did not come back; it ends uncharged", (unsigned long long)h->id);
        mutex_lock(&l->lock);
        meter_close(h, &(struct finish_req){.reason = FINISH_CRASH, .status = 504, .start_us = h->created_us, .end_us = l->now_us});
        mutex_unlock(&l->lock);
        rc = meter_finish(l, h, e);
    }
    vec_deinit(&all);
    return rc;
}

int share_sweep(struct ledger *l, struct err *e)
{
    if (!l->shared)
        return 0;
    int rc = batch_begin(l, e);
    if (rc == 0)
        rc = share_all(l, e);
    if (rc == 0)
        rc = state_holds(l, l->now_us - l->hold_life_us / 24, e);
    if (rc == 0)
        rc = foreign(l, false, e);
    if (rc == 0)
        rc = batch_end(l, DB_SYNC_FULL, e);
    if (rc < 0) {
        struct err none;
        db_rollback(l->db);
        l->ended.n = 0;
        (void)foreign(l, true, &none);
        return rc;
    }
    for (size_t i = 0; i < l->ended.n; i++)
        hold_drop(l, l->ended.p[i]);
    l->ended.n = 0;
    return 0;
}
