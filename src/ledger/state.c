/* What the ledger keeps in memory, read from the store once at start. */
#include "ledger/job.h"
#include "ledger/publisher.h"
#include "ledger/share.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>

/* Calls fn for each row of a query without values. */
static int each(struct ledger *l, struct sql sql, int (*fn)(struct ledger *, struct stmt *, struct err *), struct err *e)
{
    struct stmt *s;
    bool row = true;
    int rc = stmt_get(&s, l->db, sql, e);
    if (rc < 0)
        return rc;
    while (rc == 0 && row) {
        rc = stmt_step(s, &row, e);
        if (rc == 0 && row)
            rc = fn(l, s, e);
    }
    stmt_put(s);
    return rc;
}

static int short_of_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "ledger: no memory to read the store");
}

static int damaged(struct err *e, const char *what)
{
    return err_set(e, ERR_DB, "ledger: the store is damaged: %s; restore it from the backup", what);
}

static bool copy(char *to, size_t cap, struct str from)
{
    if (from.n >= cap)
        return false;
    memcpy(to, from.p ? from.p : "", from.n);
    to[from.n] = 0;
    return true;
}

static bool name_index(const char *const *names, int n, struct str name, int *out)
{
    for (*out = 0; *out < n; ++*out)
        if (str_eqz(name, names[*out]))
            return true;
    return false;
}

int state_org_add(struct ledger *l, struct org *o, struct err *e)
{
    union map_value v = {.ptr = o};
    mutex_lock(&l->lock);
    bool ok = map_set(&l->orgs_by_id, ID_KEY(o->id), v);
    if (ok && !map_set(&l->orgs_by_name, str_of(o->name), v)) {
        map_del(&l->orgs_by_id, ID_KEY(o->id), NULL);
        ok = false;
    }
    mutex_unlock(&l->lock);
    return ok ? 0 : short_of_memory(e);
}

bool state_key_add(struct ledger *l, struct key *k)
{
    union map_value v = {.ptr = k};
    if (!map_set(&l->keys_by_id, ID_KEY(k->id), v))
        return false;
    if (map_set(&l->keys, str_of(k->public_id), v))
        return true;
    map_del(&l->keys_by_id, ID_KEY(k->id), NULL);
    return false;
}

static int load_org(struct ledger *l, struct stmt *s, struct err *e)
{
    struct org *o = mem_new(sizeof *o);
    if (!o)
        return short_of_memory(e);
    o->id = stmt_col_i64(s, 0), o->project = stmt_col_i64(s, 2);
    key_salt(l, o->id, o->kv_salt);
    int rc = copy(o->name, sizeof o->name, stmt_col_str(s, 1)) ? state_org_add(l, o, e) : damaged(e, "an account's name is too long");
    if (rc < 0)
        mem_free(o);
    return rc;
}

static int load_project(struct ledger *l, struct stmt *s, struct err *e)
{
    struct project p = {.id = stmt_col_i64(s, 0), .archived_us = stmt_col_i64(s, 3), .retention_days = (int)stmt_col_i64(s, 4)};
    struct org *o = org_find(l, stmt_col_i64(s, 1));
    if (!o || !copy(p.name, sizeof p.name, stmt_col_str(s, 2)))
        return damaged(e, "a project belongs to no account or has too long a name");
    return project_add(l, o, &p, e);
}

static int load_key(struct ledger *l, struct stmt *s, struct err *e)
{
    struct key *k = mem_new(sizeof *k);
    if (!k)
        return short_of_memory(e);
    struct str hmac = stmt_col_blob(s, 4);
    *k = (struct key){.id = stmt_col_i64(s, 0),
                      .project = stmt_col_i64(s, 2),
                      .org = org_find(l, stmt_col_i64(s, 3)),
                      .expires_us = stmt_col_i64(s, 5),
                      .revoked_us = stmt_col_i64(s, 6)};
    int rc = 0;
    if (!k->org || hmac.n != sizeof k->hmac || !copy(k->public_id, sizeof k->public_id, stmt_col_str(s, 1)) || limits_load(k, s, 7, e) < 0)
        rc = damaged(e, "a key belongs to no account or is malformed");
    else
        memcpy(&k->hmac, hmac.p, sizeof k->hmac);
    if (rc == 0 && !state_key_add(l, k))
        rc = short_of_memory(e);
    if (rc < 0) {
        mem_free(k->lists);
        mem_free(k);
    }
    return rc;
}

static int load_price(struct ledger *l, struct stmt *s, struct err *e)
{
    struct price *p = mem_new(sizeof *p);
    if (!p)
        return short_of_memory(e);
    p->id = stmt_col_i64(s, 0), p->version = (int)stmt_col_i64(s, 2), p->org = stmt_col_i64(s, 4);
    p->effective_us = stmt_col_i64(s, 5), p->until_us = stmt_col_i64(s, 6), p->end_us = stmt_col_null(s, 7) ? INT64_MAX : stmt_col_i64(s, 7);
    p->at_once = p->effective_us == stmt_col_i64(s, 8);
    for (int i = 0; i < METER_COUNT; i++)
        p->step[0].rate[i] = PRICE_NO_RATE;
    if (!copy(p->model, sizeof p->model, stmt_col_str(s, 1)) || !copy(p->tier, sizeof p->tier, stmt_col_str(s, 3)) || !price_book_add(l, p)) {
        mem_free(p);
        return damaged(e, "a price has too long a name, or memory is short");
    }
    return 0;
}

static int load_rate(struct ledger *l, struct stmt *s, struct err *e)
{
    union map_value v;
    int64_t id = stmt_col_i64(s, 0);
    if (!map_get(&l->prices_by_id, ID_KEY(id), &v) || !price_rate_add(v.ptr, stmt_col_str(s, 1), stmt_col_i64(s, 2), stmt_col_i64(s, 3)))
        return damaged(e, "a rate belongs to no price");
    return 0;
}

static int load_model(struct ledger *l, struct stmt *s, struct err *e)
{
    struct model *m = mem_new(sizeof *m);
    if (!m)
        return short_of_memory(e);
    m->id = stmt_col_i64(s, 0);
    struct str digest = stmt_col_blob(s, 3);
    char key[sizeof *m];
    bool ok = digest.n == sizeof m->digest && copy(m->alias, sizeof m->alias, stmt_col_str(s, 1)) &&
              copy(m->revision, sizeof m->revision, stmt_col_str(s, 2));
    if (ok) {
        size_t na = strlen(m->alias) + 1, nr = strlen(m->revision) + 1;
        memcpy(&m->digest, digest.p, sizeof m->digest);
        memcpy(key, m->alias, na), memcpy(key + na, m->revision, nr), memcpy(key + na + nr, &m->digest, sizeof m->digest);
        ok = map_set(&l->models, (struct str){key, na + nr + sizeof m->digest}, (union map_value){.ptr = m});
    }
    if (!ok)
        mem_free(m);
    return ok ? 0 : damaged(e, "a model's name is malformed, or memory is short");
}

static int load_grant(struct ledger *l, struct stmt *s, struct err *e)
{
    struct grant *g = mem_new(sizeof *g);
    int scope, funding;
    if (!g || !vec_push(&l->grants, g)) {
        mem_free(g);
        return short_of_memory(e);
    }
    *g = (struct grant){.id = stmt_col_i64(s, 0),
                        .org = org_find(l, stmt_col_i64(s, 1)),
                        .account = stmt_col_i64(s, 2),
                        .priority = (int)stmt_col_i64(s, 5),
                        .amount = stmt_col_i64(s, 6),
                        .remaining = stmt_col_i64(s, 7),
                        .effective_us = stmt_col_i64(s, 8),
                        .expires_us = stmt_col_i64(s, 9),
                        .state = (enum grant_state)stmt_col_i64(s, 10),
                        .held = stmt_col_i64(s, 11),
                        .adjusted = stmt_col_i64(s, 12),
                        .parent = stmt_col_i64(s, 13),
                        .void_id = stmt_col_i64(s, 14),
                        .posting = -1};
    struct str models = stmt_col_str(s, 15);
    if (models.n && !(g->models = mem_str(models.p, models.n)))
        return short_of_memory(e);
    if (!g->org || !name_index(scope_names, SCOPE_COUNT, stmt_col_str(s, 3), &scope) ||
        !name_index(funding_names, FUNDING_COUNT, stmt_col_str(s, 4), &funding))
        return damaged(e, "a grant belongs to no account");
    g->scope = (enum scope)scope, g->funding = (enum funding)funding;
    if (g->id != (int64_t)l->grants.n)
        return damaged(e, "a grant is missing");
    grant_view(g);
    g->org->lingering |= g->state == GRANT_EXPIRES || g->state == GRANT_IS_VOIDED;
    return vec_push(&g->org->grants, g) ? 0 : short_of_memory(e);
}

static int load_hold(struct ledger *l, struct stmt *s, struct err *e)
{
    struct hold *h = mem_new(sizeof *h);
    const struct model *m;
    union map_value p, list, v = {.ptr = h};
    struct sha256 digest;
    int scope;
    if (!h)
        return short_of_memory(e);
    *h = (struct hold){.id = (uint64_t)stmt_col_i64(s, 0),
                       .org = org_find(l, stmt_col_i64(s, 2)),
                       .project = stmt_col_i64(s, 3),
                       .key = stmt_col_i64(s, 4),
                       .input = (uint32_t)stmt_col_i64(s, 6),
                       .output = (uint32_t)stmt_col_i64(s, 7),
                       .amount_scope = stmt_col_i64(s, 8),
                       .amount_any = stmt_col_i64(s, 9),
                       .created_us = stmt_col_i64(s, 10),
                       .expires_us = stmt_col_i64(s, 11)};
    int64_t price = stmt_col_i64(s, 5), list_price = stmt_col_i64(s, 17);
    struct str blob = stmt_col_blob(s, 14);
    char alias[LEDGER_MODEL_MAX], revision[LEDGER_REVISION_MAX];
    bool ok = h->org && name_index(scope_names, SCOPE_COUNT, stmt_col_str(s, 15), &scope) &&
              reserve_read(l, &h->parts, stmt_col_str(s, 16), e) == 0 && map_get(&l->prices_by_id, ID_KEY(price), &p) &&
              map_get(&l->prices_by_id, ID_KEY(list_price), &list) && copy(h->request, sizeof h->request, stmt_col_str(s, 1)) &&
              copy(alias, sizeof alias, stmt_col_str(s, 12)) && copy(revision, sizeof revision, stmt_col_str(s, 13)) && blob.n == sizeof digest;
    if (ok) {
        memcpy(&digest, blob.p, sizeof digest);
        h->price = p.ptr, h->list_price = list.ptr, h->scope = (enum scope)scope;
        ok = model_find(l, alias, revision, &digest, &m, e) == 0;
    }
    if (ok) {
        h->model = m, h->orphan = true, h->foreign = l->shared && stmt_col_i64(s, 18) != l->node_id;
        mutex_lock(&l->lock);
        ok = map_set(&l->holds, ID_KEY(h->id), v);
        mutex_unlock(&l->lock);
    }
    if (!ok)
        hold_free(h);
    return ok ? 0 : damaged(e, "an open hold names no account, price, model or grant");
}

/* What an open job may use and has used. It cannot have renewed while nobody was there: its lease begins anew. */
static int load_quantity(struct ledger *l, struct stmt *s, struct err *e)
{
    int64_t id = stmt_col_i64(s, 0), lease = stmt_col_i64(s, 4);
    struct hold *h = hold_find(l, (uint64_t)id);
    enum meter m;
    if (lease <= 0 || !meter_find(stmt_col_str(s, 1), &m))
        return damaged(e, "a job uses what there is not");
    if (!h)
        return 0; /* another node's */
    if (!h->job && !(h->job = mem_new(sizeof *h->job)))
        return short_of_memory(e);
    h->job->lease_us = lease;
    h->job->most.of[m] = (uint64_t)stmt_col_i64(s, 2), h->job->used.of[m] = (uint64_t)stmt_col_i64(s, 3);
    if (h->expires_us < l->now_us + lease)
        h->expires_us = l->now_us + lease;
    return 0;
}

/* ---- single values ---- */

static int one_i64(struct ledger *l, struct sql sql, int64_t *out, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, l->db, sql, e);
    if (rc < 0)
        return rc;
    rc = stmt_step(s, &row, e);
    *out = rc == 0 && row ? stmt_col_i64(s, 0) : 0;
    stmt_put(s);
    return rc;
}

static int load_chain(struct ledger *l, struct stmt *s, struct err *e)
{
    struct str h = stmt_col_blob(s, 1);
    if (h.n != sizeof l->chain)
        return damaged(e, "an event has no hash");
    l->next_event = stmt_col_i64(s, 0) + 1;
    memcpy(&l->chain, h.p, sizeof l->chain);
    return 0;
}

static int load_node(struct ledger *l, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, l->db, SQL("INSERT INTO node (name) VALUES (?1) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id"), e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, l->node);
    rc = stmt_step(s, &row, e);
    l->node_id = rc == 0 && row ? stmt_col_i64(s, 0) : 0;
    stmt_put(s);
    return rc;
}

/* The accounts of what is earned, by what was computed. */
static int load_revenue(struct ledger *l, struct err *e)
{
    int rc = 0;
    for (int i = SCOPE_INFERENCE; i < SCOPE_COUNT && rc == 0; i++) {
        char code[64];
        ASSERT(str_fmt(code, sizeof code, "revenue:%s", scope_names[i]));
        rc = account_get(l, code, "revenue", 0, &l->revenue[i], e);
    }
    return rc;
}

/* The store keeps its currency; another one is refused. */
static int load_currency(struct ledger *l, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc = stmt_get(
        &s, l->db, SQL("INSERT INTO meta (name, value) VALUES ('currency', ?1) ON CONFLICT (name) DO UPDATE SET value = meta.value RETURNING value"),
        e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, *l->currency ? l->currency : "USD");
    rc = stmt_step(s, &row, e);
    char has[LEDGER_CURRENCY_MAX];
    if (rc == 0 && (!row || !copy(has, sizeof has, stmt_col_str(s, 0))))
        rc = damaged(e, "its currency is missing");
    stmt_put(s);
    if (rc == 0 && *l->currency && strcmp(l->currency, has) != 0)
        rc = err_set(e, ERR_CONFLICT, "ledger: the store counts in %s, not in %s; use --currency %s or another --data folder", has, l->currency, has);
    if (rc == 0)
        memcpy(l->currency, has, sizeof has);
    return rc;
}

int state_counters(struct ledger *l, struct err *e)
{
    int rc = one_i64(l, SQL("SELECT coalesce(max(id), 0) + 1 FROM hold"), &l->next_hold, e);
    if (rc == 0)
        rc = one_i64(l, SQL("SELECT coalesce(max(id), 0) + 1 FROM usage"), &l->next_usage, e);
    if (rc == 0)
        rc = one_i64(l, SQL("SELECT coalesce(max(id), 0) + 1 FROM txn"), &l->next_txn, e);
    if (rc == 0)
        rc = one_i64(l, SQL("SELECT coalesce(max(id), 0) + 1 FROM operation"), &l->next_operation, e);
    if (rc == 0)
        rc = one_i64(l, SQL("SELECT coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE name = 'approval_limit'), -1)"), &l->approval_limit, e);
    l->next_event = 1;
    return rc == 0 ? each(l, SQL("SELECT id, hash FROM event ORDER BY id DESC LIMIT 1"), load_chain, e) : rc;
}

static int load_rows(struct ledger *l, struct err *e)
{
    const struct {
        struct sql sql;
        int (*fn)(struct ledger *, struct stmt *, struct err *);
    } parts[] = {
        {SQL("SELECT o.id, o.name, (SELECT min(p.id) FROM project p WHERE p.org_id = o.id) FROM organisation o"), load_org},
        {SQL("SELECT id, org_id, name, archived_us, retention_days FROM project"), load_project},
        {SQL("SELECT k.id, k.public_id, k.project_id, p.org_id, k.hmac, k.expires_us, k.revoked_us, k.scopes, k.models, "
             "k.allow, k.budget, k.budget_monthly FROM key k JOIN project p ON p.id = k.project_id"),
         load_key},
        {SQL("SELECT p.id, p.model, p.version, p.tier, p.org_id, p.effective_us, p.until_us, x.end_us, p.created_us FROM price p LEFT JOIN price_end "
             "x ON "
             "x.price_id = p.id ORDER BY p.effective_us, p.version"),
         load_price},
        {SQL("SELECT price_id, meter, from_tokens, rate FROM price_rate ORDER BY price_id, from_tokens"), load_rate},
        {SQL("SELECT id, alias, revision, digest FROM model"), load_model},
        {SQL("SELECT id, org_id, account_id, scope, funding, priority, amount, remaining, effective_us, expires_us, state, held, adjusted, "
             "parent_id, void_id, models FROM credit_grant ORDER BY id"),
         load_grant},
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && rc == 0; i++)
        rc = each(l, parts[i].sql, parts[i].fn, e);
    return rc;
}

static int view_budgets(struct ledger *l, struct err *e)
{
    size_t it = 0;
    struct str k;
    union map_value v;
    int rc = 0;
    while (rc == 0 && map_next(&l->keys_by_id, &it, &k, &v))
        rc = budget_view(l, v.ptr, e);
    return rc;
}

int state_holds(struct ledger *l, int64_t late_us, struct err *e)
{
    struct stmt *s;
    bool row = true;
    int rc = stmt_get(
        &s, l->db,
        SQL("SELECT h.id, h.request, h.org_id, h.project_id, h.key_id, h.price_id, h.input, h.output, h.amount_scope, h.amount_any, h.created_us, "
            "h.expires_us, m.alias, m.revision, m.digest, h.scope, h.reserved, h.list_price_id, h.node_id FROM hold h LEFT JOIN model m ON m.id = "
            "h.model_id WHERE "
            "h.state = 0 AND ((?1 < 0 AND (?2 = 0 OR h.node_id = ?3)) OR (h.node_id <> ?3 AND h.expires_us < ?1))"),
        e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, late_us), stmt_i64(s, 2, l->shared), stmt_i64(s, 3, l->node_id);
    while (rc == 0 && (rc = stmt_step(s, &row, e)) == 0 && row)
        if (!hold_find(l, (uint64_t)stmt_col_i64(s, 0)))
            rc = load_hold(l, s, e);
    stmt_put(s);
    if (rc == 0)
        rc = each(l,
                  SQL("SELECT q.hold_id, q.meter, q.most, q.used, h.lease_us FROM hold_quantity q JOIN hold h ON h.id = q.hold_id WHERE h.state = 0"),
                  load_quantity, e);
    return rc == 0 ? cover_load(l, e) : rc;
}

int state_read(struct ledger *l, struct err *e)
{
    size_t it = 0;
    struct str k;
    union map_value v;
    int rc = load_rows(l, e);
    if (rc == 0)
        rc = publisher_load(l, e);
    if (rc == 0)
        rc = reservation_load(l, e);
    if (rc == 0)
        rc = commitment_load(l, e);
    if (rc == 0)
        rc = state_counters(l, e);
    if (rc == 0)
        rc = view_budgets(l, e);
    if (rc == 0)
        rc = sessions_load(l, e);
    while (rc == 0 && map_next(&l->orgs_by_id, &it, &k, &v))
        grant_sort(v.ptr);
    return rc;
}

/* Reads everything, in one transaction that also writes what a new store needs. */
int state_load(struct ledger *l, struct err *e)
{
    l->now_us = clock_now_us();
    int rc = share_claim(l, CLAIM_WAIT_MS, e);
    if (rc == 0)
        rc = db_begin(l->db, e);
    if (rc == 0)
        rc = load_currency(l, e);
    if (rc == 0)
        rc = load_node(l, e);
    if (rc == 0)
        rc = share_open(l, e);
    if (rc == 0)
        rc = load_revenue(l, e);
    if (rc == 0)
        rc = state_read(l, e);
    if (rc == 0)
        rc = state_holds(l, -1, e);
    if (rc == 0)
        rc = db_commit(l->db, DB_SYNC_FULL, e);
    if (rc < 0)
        db_rollback(l->db);
    return rc;
}

static void free_values(struct map *m)
{
    size_t it = 0;
    struct str k;
    union map_value v;
    while (map_next(m, &it, &k, &v))
        mem_free(v.ptr);
    map_deinit(m);
}

void state_free(struct ledger *l)
{
    reservation_free(l);
    size_t it = 0;
    struct str k;
    union map_value v;
    while (map_next(&l->orgs_by_id, &it, &k, &v))
        vec_deinit(&((struct org *)v.ptr)->grants);
    for (it = 0; map_next(&l->keys_by_id, &it, &k, &v);)
        mem_free(((struct key *)v.ptr)->lists);
    for (it = 0; map_next(&l->holds, &it, &k, &v);)
        mem_free(((struct hold *)v.ptr)->rate), mem_free(((struct hold *)v.ptr)->job);
    for (it = 0; map_next(&l->terms, &it, &k, &v);)
        for (struct terms *t = v.ptr, *older; t; t = older) {
            older = t->older;
            mem_free(t);
        }
    map_deinit(&l->terms);
    map_deinit(&l->orgs_by_name), map_deinit(&l->prices), map_deinit(&l->keys_by_id);
    for (it = 0; map_next(&l->holds, &it, &k, &v);)
        vec_deinit(&((struct hold *)v.ptr)->parts);
    sessions_free(l);
    free_values(&l->projects);
    free_values(&l->orgs_by_id), free_values(&l->keys), free_values(&l->prices_by_id), free_values(&l->holds), free_values(&l->models);
    for (size_t i = 0; i < l->grants.n; i++)
        grant_free(l->grants.p[i]);
    vec_deinit(&l->grants), vec_deinit(&l->postings), vec_deinit(&l->ended);
    cubes_deinit(&l->cubes);
}
