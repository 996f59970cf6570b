/* Holds: money reserved for a request before it runs. */
#include "ledger/share.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>

/* Under lock, or on the ledger thread. */
struct hold *hold_find(struct ledger *l, uint64_t id)
{
    union map_value v;
    return map_get(&l->holds, ID_KEY(id), &v) ? v.ptr : NULL;
}

void hold_drop(struct ledger *l, struct hold *h)
{
    mutex_lock(&l->lock);
    map_del(&l->holds, ID_KEY(h->id), NULL);
    mutex_unlock(&l->lock);
    hold_free(h);
}

void hold_free(struct hold *h)
{
    vec_deinit(&h->parts);
    mem_free(h->job);
    mem_free(h);
}

/* Writes the journal record of type t for the hold: HOLD, MORE, STEP or FINISH. */
void hold_put(struct buf *b, const struct hold *h, enum journal_type t)
{
    struct journal_rec r = {.type = t, .hold = h->id, .counts = h->counts};
    if (t == JOURNAL_HOLD || t == JOURNAL_MORE)
        r.input = h->input, r.output = h->output, r.amount_scope = h->amount_scope, r.amount_any = h->amount_any;
    if (t == JOURNAL_HOLD) {
        r.org = h->org->id, r.project = h->project, r.key = h->key, r.price = h->price->id, r.created_us = h->created_us;
        r.scope = h->scope == SCOPE_INFERENCE ? 0 : (uint8_t)h->scope, r.digest = h->model->digest, r.request = str_of(h->request),
        r.model = str_of(h->model->alias), r.revision = str_of(h->model->revision);
    }
    if (t == JOURNAL_COVER)
        r.reservation = h->cover.r->id, r.hour_us = h->cover.hour_us, r.units = h->cover.units;
    if (t == JOURNAL_FINISH) {
        r.counts = h->fin.counts, r.reason = h->fin.reason, r.stream = h->fin.stream, r.status = h->fin.status;
        r.start_us = h->fin.start_us, r.first_us = h->fin.first_us, r.end_us = h->fin.end_us;
    }
    journal_put(b, &r);
}

/* ---- what an alias meant ---- */

static int model_insert(struct ledger *l, struct model *m, struct err *e)
{
    struct stmt *s;
    int rc =
        stmt_get(&s, l->db,
                 SQL("INSERT INTO model (alias, revision, digest) VALUES (?1, ?2, ?3) ON CONFLICT (alias, revision, digest) DO UPDATE SET alias = "
                     "excluded.alias RETURNING id"),
                 e);
    bool row;
    if (rc < 0)
        return rc;
    stmt_text(s, 1, m->alias), stmt_text(s, 2, m->revision), stmt_blob(s, 3, &m->digest, sizeof m->digest);
    rc = stmt_step(s, &row, e);
    m->id = rc == 0 && row ? stmt_col_i64(s, 0) : 0;
    stmt_put(s);
    return rc;
}

/* The row of (alias, revision, digest), made at its first use. Ledger thread. The strings fit (checked before). */
int model_find(struct ledger *l, const char *alias, const char *revision, const struct sha256 *digest, const struct model **out, struct err *e)
{
    char key[LEDGER_MODEL_MAX + LEDGER_REVISION_MAX + sizeof *digest];
    size_t na = strlen(alias) + 1, nr = strlen(revision) + 1;
    ASSERT(na <= LEDGER_MODEL_MAX && nr <= LEDGER_REVISION_MAX);
    memcpy(key, alias, na), memcpy(key + na, revision, nr), memcpy(key + na + nr, digest, sizeof *digest);
    struct str k = {key, na + nr + sizeof *digest};
    union map_value v;
    if (map_get(&l->models, k, &v)) {
        *out = v.ptr;
        return 0;
    }
    struct model *m = mem_new(sizeof *m);
    if (!m)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a model's name");
    memcpy(m->alias, alias, na), memcpy(m->revision, revision, nr);
    m->digest = *digest;
    int rc = model_insert(l, m, e);
    if (rc == 0 && !map_set(&l->models, k, (union map_value){.ptr = m}))
        rc = err_set(e, ERR_NO_MEMORY, "ledger: no memory for a model's name");
    if (rc < 0)
        mem_free(m);
    else
        *out = m;
    return rc;
}

/* ---- placing, on the ledger thread in a batch ---- */

/* What the account has for other things is told too, or the owner could not understand the refusal. */
static void refuse_quota(struct ledger *l, struct op *op, const struct hold *h, int64_t want)
{
    char have[MONEY_TEXT_MAX], all[MONEY_TEXT_MAX], cost[MONEY_TEXT_MAX], beside[160] = "";
    int64_t free = reserve_free(h);
    mutex_lock(&l->lock);
    op->answer.balance.nano = h->org->free;
    mutex_unlock(&l->lock);
    money_text(have, (struct money){free});
    money_text(all, op->answer.balance);
    money_text(cost, (struct money){want});
    if (free < op->answer.balance.nano)
        (void)str_fmt(beside, sizeof beside, " on %s with this model (%s in all, but grants are for their scope and models)", scope_names[h->scope],
                      all);
    err_set(&op->answer.err, ERR_QUOTA,
            "ledger: account %s has %s %s left to spend%s, and this request may cost %s %s more (%u prompt and %u output tokens of %.100s); ask for "
            "fewer "
            "tokens, or add credit: sluice grant create %s AMOUNT",
            h->org->name, have, l->currency, beside, cost, l->currency, op->kind == OP_MORE ? 0 : op->input, op->output, h->model->alias,
            h->org->name);
}

/* The text of what the hold reserves; it lives in b. */
static int reserved(struct buf *b, const struct hold *h, struct err *e)
{
    buf_init(b, 0);
    reserve_text(b, &h->parts);
    return b->failed ? err_set(e, ERR_NO_MEMORY, "ledger: no memory for a hold") : 0;
}

/* Inserts the row; *fresh is false when the request id was used before. */
static int insert_row(struct ledger *l, const struct hold *h, const char *parts, bool *fresh, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db,
                      SQL("INSERT INTO hold (id, request, org_id, project_id, key_id, model_id, price_id, input, output, amount_scope, amount_any, "
                          "node_id, created_us, expires_us, scope, reserved, list_price_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "
                          "?12, ?13, ?14, ?15, ?16, ?17) ON CONFLICT (request) DO NOTHING"),
                      e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, (int64_t)h->id), stmt_text(s, 2, h->request), stmt_i64(s, 3, h->org->id), stmt_i64(s, 4, h->project), stmt_i64(s, 5, h->key);
    stmt_i64(s, 6, h->model->id), stmt_i64(s, 7, h->price->id), stmt_i64(s, 8, h->input), stmt_i64(s, 9, h->output);
    stmt_i64(s, 10, h->amount_scope), stmt_i64(s, 11, h->amount_any), stmt_i64(s, 12, l->node_id), stmt_i64(s, 13, h->created_us);
    stmt_i64(s, 14, h->expires_us), stmt_text(s, 15, scope_names[h->scope]), stmt_text(s, 16, parts), stmt_i64(s, 17, h->list_price->id);
    rc = stmt_run(s, e);
    *fresh = db_changes(l->db) == 1;
    return rc;
}

static int insert(struct ledger *l, const struct hold *h, bool *fresh, struct err *e)
{
    struct buf text;
    int rc = reserved(&text, h, e);
    if (rc == 0)
        rc = insert_row(l, h, text.data, fresh, e);
    buf_deinit(&text);
    return rc;
}

/* Reserves want of the account's credit and of the key's budget: both or none. */
static int reserve(struct ledger *l, struct op *op, const struct hold *h, int64_t want, struct parts *parts, bool *ok, struct err *e)
{
    int rc = reserve_place(l, h, want, parts, ok, e);
    if (rc == -ERR_NO_MEMORY) {
        *ok = false;
        op->answer.err = *e;
        return 0;
    }
    if (rc < 0)
        return rc;
    if (!*ok) {
        refuse_quota(l, op, h, want);
        return 0;
    }
    if ((rc = budget_take(l, h->key, h->created_us, want, op->replay, ok, e)) < 0 || *ok)
        return rc;
    reserve_undo(l, parts);
    budget_refuse(l, op, h->key, want);
    return 0;
}

/* Gives back what reserve took. */
static int unreserve(struct ledger *l, const struct hold *h, struct parts *parts, struct err *e)
{
    int64_t scope, any;
    reserve_sums(parts, &scope, &any);
    reserve_undo(l, parts);
    return budget_settle(l, h->key, h->created_us, scope + any, 0, e);
}

/* Forgets a hold that was not placed after all. */
static int undo(struct ledger *l, struct hold *h, struct err *e)
{
    int rc = unreserve(l, h, &h->parts, e);
    if (rc == 0)
        rc = cover_undo(l, &h->cover, e);
    hold_drop(l, h);
    return rc;
}

/* Reserves, inserts, remembers. Fills op->answer and, when granted, op->hold. */
static int place(struct ledger *l, struct op *op, struct hold *h, int64_t want, struct err *e)
{
    bool ok, fresh = false;
    union map_value v = {.ptr = h};
    int rc = reserve(l, op, h, want, &h->parts, &ok, e);
    if (rc < 0 || !ok) {
        if (rc == 0)
            rc = cover_undo(l, &h->cover, e);
        hold_free(h);
        return rc;
    }
    reserve_sums(&h->parts, &h->amount_scope, &h->amount_any);
    mutex_lock(&l->lock);
    bool kept = map_set(&l->holds, ID_KEY(h->id), v);
    mutex_unlock(&l->lock);
    if (!kept || (rc = insert(l, h, &fresh, e)) < 0 || !fresh) {
        if (!kept)
            err_set(&op->answer.err, ERR_NO_MEMORY, "ledger: no memory for a hold; try again later");
        else if (rc == 0)
            err_set(&op->answer.err, ERR_CONFLICT, "ledger: the request id %s was used before; use a new id for each request", h->request);
        int undone = undo(l, h, rc < 0 ? NULL : e);
        return rc < 0 ? rc : undone;
    }
    if ((rc = cover_row(l, h, e)) < 0 || (op->has_end_user && (rc = end_user_note(l, h, &op->end_user, e)) < 0))
        return rc;
    org_view(l, h->org, -want, want);
    op->hold = h;
    if (h->cover.r)
        op->answer.rate = (uint32_t)h->cover.r->rate, op->answer.input_weight = (uint32_t)h->cover.r->input_weight;
    op->answer.hold.v = h->id;
    op->answer.held.nano = want;
    return 0;
}

/* Places a hold whose id, price and amount are known: the rest of hold_place, and what recovery does with a journaled hold. */
int hold_replay(struct ledger *l, struct op *op, uint64_t id, const struct price *p, const struct price *list, int64_t created_us, int64_t want,
                struct err *e)
{
    struct hold *h = mem_new(sizeof *h);
    if (!h) {
        err_set(&op->answer.err, ERR_NO_MEMORY, "ledger: no memory for a hold; try again later");
        return 0;
    }
    *h = (struct hold){.id = id,
                       .cover = op->cover,
                       .project = op->who.project.v,
                       .key = op->who.key.v,
                       .created_us = created_us,
                       .expires_us = l->now_us + l->hold_life_us,
                       .org = org_find(l, op->who.org.v),
                       .price = p,
                       .list_price = list,
                       .scope = op->scope,
                       .input = op->input,
                       .output = op->output};
    memcpy(h->request, op->request, sizeof h->request);
    int rc = share_org(l, h->org, e);
    if (rc == 0)
        rc = model_find(l, op->model, op->revision, &op->digest, &h->model, e);
    if (rc < 0) {
        hold_free(h);
        return rc;
    }
    return place(l, op, h, want, e);
}

int hold_place(struct ledger *l, struct op *op, struct err *e)
{
    const struct price *list, *p = price_pick(l, op->model, *op->tier ? op->tier : LEDGER_TIER_STANDARD, op->who.org.v, op->scope, l->now_us, &list);
    struct org *o = org_find(l, op->who.org.v);
    int64_t want;
    if (!o) {
        err_set(&op->answer.err, ERR_AUTH, "ledger: the account is unknown");
        return 0;
    }
    if (!p) {
        err_set(&op->answer.err, ERR_NO_PRICE,
                "ledger: model %.150s has no price for %s, so it is not served; set one: sluice price set %.150s --input X --output Y", op->model,
                scope_names[op->scope], op->model);
        return 0;
    }
    if (*op->tier && strcmp(p->tier, op->tier) != 0) { /* price_pick went on to the standard tier, which is not what was asked for */
        err_param(&op->answer.err, ERR_BAD_VALUE, "service_tier",
                  "model %.150s is not sold in the service tier '%s'; leave service_tier out, or ask the operator for a price of it", op->model,
                  op->tier);
        return 0;
    }
    op->answer.price.v = p->id;
    uint32_t input = op->input, output = op->output;
    bool ok;
    int rc = cover_take(l, op, o, &input, &output, &ok, e);
    if (rc < 0 || !ok)
        return rc;
    if (!price_most(p, op->scope, input, output, &want))
        want = INT64_MAX; /* nobody has as much */
    return hold_replay(l, op, (uint64_t)l->next_hold++, p, list, l->now_us, want, e);
}

int hold_again(struct ledger *l, struct hold *h, struct err *e)
{
    int64_t want = h->amount_scope + h->amount_any;
    bool ok, fresh, counted;
    log_line(LOG_WARN, "heal", "the store lost hold %llu; it is placed again", (unsigned long long)h->id);
    vec_deinit(&h->parts);
    int rc = reserve_place(l, h, want, &h->parts, &ok, e);
    if (rc == 0 && ok)
        rc = budget_take(l, h->key, h->created_us, want, true, &counted, e);
    mutex_lock(&l->lock);
    reserve_sums(&h->parts, &h->amount_scope, &h->amount_any); /* nothing, when the credit is gone: then it is not billed */
    int64_t held = h->amount_scope + h->amount_any;
    if (!h->finished)
        h->org->free -= held, h->org->held += held;
    h->charged = h->contracted < held ? h->contracted : held;
    mutex_unlock(&l->lock);
    return rc == 0 ? insert(l, h, &fresh, e) : rc;
}

static int grow_row(struct ledger *l, const struct hold *h, struct err *e)
{
    struct stmt *s;
    struct buf text;
    int rc = reserved(&text, h, e);
    if (rc == 0)
        rc = stmt_get(
            &s, l->db,
            SQL("UPDATE hold SET output = ?2, amount_scope = ?3, amount_any = ?4, expires_us = ?5, reserved = ?6 WHERE id = ?1 AND state = 0"), e);
    if (rc == 0) {
        stmt_i64(s, 1, (int64_t)h->id), stmt_i64(s, 2, h->output), stmt_i64(s, 3, h->amount_scope), stmt_i64(s, 4, h->amount_any);
        stmt_i64(s, 5, h->expires_us), stmt_text(s, 6, text.data);
        rc = stmt_run(s, e);
    }
    buf_deinit(&text);
    return rc;
}

/* More output tokens for an open hold. The whole amount is computed anew from the total, so that slices never round apart. */
int hold_grow(struct ledger *l, struct op *op, struct err *e)
{
    mutex_lock(&l->lock);
    struct hold *h = hold_find(l, op->answer.hold.v);
    bool open = h && !h->finished;
    mutex_unlock(&l->lock);
    if (!open) {
        err_set(&op->answer.err, ERR_NOT_FOUND, "ledger: hold %llu is not open; it was finished or never granted",
                (unsigned long long)op->answer.hold.v);
        return 0;
    }
    int rc = share_org(l, h->org, e);
    if (rc < 0)
        return rc;
    uint32_t output;
    int64_t most, scope, any, have = h->amount_scope + h->amount_any;
    struct parts more;
    bool ok;
    op->answer.price.v = h->price->id;
    op->answer.held.nano = have;
    struct cover covered;
    rc = cover_more(l, h, op, &covered, &ok, e);
    if (rc < 0 || !ok)
        return rc;
    if (!ck_add(h->output, op->output, &output) || !cover_most(h, output, &covered, &most)) {
        refuse_quota(l, op, h, INT64_MAX);
        return cover_undo(l, &covered, e);
    }
    most = most > have ? most : have;
    rc = reserve(l, op, h, most - have, &more, &ok, e);
    if (rc < 0 || !ok)
        return rc < 0 ? rc : cover_undo(l, &covered, e);
    if (!vec_reserve(&h->parts, h->parts.n + more.n)) {
        err_set(&op->answer.err, ERR_NO_MEMORY, "ledger: no memory for a hold; try again later");
        return (rc = unreserve(l, h, &more, e)) < 0 ? rc : cover_undo(l, &covered, e);
    }
    reserve_sums(&more, &scope, &any);
    mutex_lock(&l->lock);
    open = !h->finished;
    if (open) {
        reserve_join(&h->parts, &more);
        h->cover.units += covered.units;
        h->output = output, h->amount_scope += scope, h->amount_any += any, h->expires_us = l->now_us + l->hold_life_us;
        h->org->free -= most - have, h->org->held += most - have;
        rate_grow(l, h->rate, op->output);
    }
    mutex_unlock(&l->lock);
    if (!open) { /* finished meanwhile: its charge was cut to what it had */
        err_set(&op->answer.err, ERR_NOT_FOUND, "ledger: hold %llu was finished", (unsigned long long)h->id);
        return (rc = unreserve(l, h, &more, e)) < 0 ? rc : cover_undo(l, &covered, e);
    }
    vec_deinit(&more);
    op->hold = h;
    op->answer.held.nano = most;
    return covered.units && (rc = cover_row(l, h, e)) < 0 ? rc : grow_row(l, h, e);
}

/* A job's hold covers most then. This thread alone ends jobs. */
int hold_raise(struct ledger *l, struct op *op, struct hold *h, int64_t most, struct err *e)
{
    int64_t scope, any, have = h->amount_scope + h->amount_any;
    struct parts more;
    bool ok;
    int rc = reserve(l, op, h, most - have, &more, &ok, e);
    if (rc < 0 || !ok)
        return rc;
    if (!vec_reserve(&h->parts, h->parts.n + more.n)) {
        err_set(&op->answer.err, ERR_NO_MEMORY, "ledger: no memory for a hold; try again later");
        return unreserve(l, h, &more, e);
    }
    reserve_sums(&more, &scope, &any);
    mutex_lock(&l->lock);
    reserve_join(&h->parts, &more);
    h->amount_scope += scope, h->amount_any += any;
    h->org->free -= most - have, h->org->held += most - have;
    mutex_unlock(&l->lock);
    vec_deinit(&more);
    return grow_row(l, h, e);
}

/* Finishes holds that are open past their life: their owner forgot them. Ledger thread, outside a batch. */
void hold_sweep(struct ledger *l)
{
    struct VEC(uint64_t) late = {0};
    size_t it = 0;
    union map_value v;
    struct str k;
    mutex_lock(&l->lock);
    while (map_next(&l->holds, &it, &k, &v)) {
        struct hold *h = v.ptr;
        if (!h->finished && h->expires_us <= l->now_us && !vec_push(&late, h->id))
            break;
    }
    mutex_unlock(&l->lock);
    for (size_t i = 0; i < late.n; i++) {
        struct finish_req q = {.hold = {late.p[i]}, .reason = FINISH_CRASH, .status = 504, .start_us = l->now_us, .end_us = l->now_us};
        struct err e;
        log_line(LOG_WARN, "hold_late", "hold %llu was never finished; it is charged for what was journaled", (unsigned long long)late.p[i]);
        if (ledger_finish(l, &q, NULL, &e) < 0)
            log_line(LOG_WARN, "hold_late", "%s", e.msg);
    }
    vec_deinit(&late);
}

/* ---- the asynchronous calls ---- */

static struct op *op_new(struct ledger *l, enum op_kind kind, hold_fn fn, void *arg)
{
    struct op *op = mem_new(sizeof *op);
    if (op)
        op->kind = kind, op->l = l, op->fn = fn, op->arg = arg;
    return op;
}

static void refuse(struct op *op, enum errcode code, const char *why)
{
    err_set(&op->answer.err, code, "ledger: %s", why);
    queue_answer(op);
}

static void refuse_now(hold_fn fn, void *arg)
{
    struct hold_answer a = {0};
    err_set(&a.err, ERR_NO_MEMORY, "ledger: no memory for a hold; try again later");
    fn(arg, &a);
}

static bool copy(char *to, size_t cap, const char *from)
{
    size_t n = from ? strlen(from) : 0;
    if (n >= cap)
        return false;
    memcpy(to, from ? from : "", n);
    to[n] = 0;
    return true;
}

static bool scope_of(const char *name, enum scope *out)
{
    bool embeddings = name && strcmp(name, scope_names[SCOPE_EMBEDDINGS]) == 0;
    *out = embeddings ? SCOPE_EMBEDDINGS : SCOPE_INFERENCE;
    return embeddings || !name || strcmp(name, scope_names[SCOPE_INFERENCE]) == 0;
}

/* Strings of q are copied. The answer is posted after the commit that holds; only when memory is short is it given before the call returns. */
void ledger_hold(struct ledger *l, const struct hold_req *q, hold_fn fn, void *arg)
{
    struct op *op = op_new(l, OP_HOLD, fn, arg);
    if (!op) {
        refuse_now(fn, arg);
        return;
    }
    op->has_end_user = q->end_user.n > 0;
    if (op->has_end_user)
        end_user_digest(l, q->who.org.v, q->end_user, &op->end_user);
    op->who = q->who, op->input = q->input, op->output = q->output, op->digest = q->digest;
    struct rate_ask ask = {&op->who, op->model, q->input, q->output, q->slice};
    if (!scope_of(q->scope, &op->scope))
        refuse(op, ERR_BAD_VALUE, "the scope of a request is inference or embeddings");
    else if (!q->request || !*q->request || !copy(op->request, sizeof op->request, q->request) || !copy(op->model, sizeof op->model, q->model) ||
             !copy(op->revision, sizeof op->revision, q->revision) || !copy(op->tier, sizeof op->tier, q->tier))
        refuse(op, ERR_BAD_VALUE, "the request id, the model's name, its revision or the service tier is empty or too long");
    else if (queue_full(l))
        refuse(op, ERR_BUSY, "too many requests wait for a hold; try again later");
    else if (rate_take(l, &ask, &op->rate, &op->answer.err) < 0)
        queue_answer(op);
    else
        queue_push(l, op);
}

void ledger_hold_more(struct ledger *l, struct hold_id h, uint32_t output, hold_fn fn, void *arg)
{
    struct op *op = op_new(l, OP_MORE, fn, arg);
    if (!op) {
        refuse_now(fn, arg);
        return;
    }
    op->answer.hold = h;
    op->output = output;
    if (queue_full(l))
        refuse(op, ERR_BUSY, "too many requests wait for a hold; try again later");
    else
        queue_push(l, op);
}
