/* Grants: compute credit. Each is a liability account (grant_pool:ID) that use, expiry and what people do to it debit.
 *
 * Order of consumption: scope match (a grant for named models before one for all, one for the request's own scope before "any"), priority,
 * earliest expiry, promotional before goodwill before investment before paid, id. A hold reserves in this order; a capture takes in this order
 * of what no other hold reserves.
 *
 * A grant that is over (expired, voided) while holds are open: at that moment it loses what no open hold reserves of it. The rest stays good
 * for the holds that reserved it before, for them alone, and goes as each of them ends. A state never goes back, so that a clock that does
 * brings nothing to life. */
#include "ledger/publisher.h"
#include "ledger/share.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

const char *const scope_names[SCOPE_COUNT] = {"any", "inference", "training", "embeddings", "storage"};
const char *const funding_names[FUNDING_COUNT] = {"promotional", "goodwill", "investment", "paid"};
const char *const grant_state_names[GRANT_STATES] = {"waits", "live", "expired", "expires", "voided", "is voided", "unapproved"};

/* Whether the owner's balance and what is held count it. */
static bool counts(const struct grant *g)
{
    return g->state == GRANT_LIVE || g->state == GRANT_EXPIRES || g->state == GRANT_IS_VOIDED;
}

/* Adds the grant to what its owner sees. At start: nobody else looks yet. */
void grant_view(const struct grant *g)
{
    if (!counts(g))
        return;
    g->org->free += g->remaining - g->held;
    g->org->held += g->held;
}

void grant_show(struct ledger *l, const struct grant *g, int64_t more)
{
    if (counts(g))
        org_view(l, g->org, more, 0);
}

void grant_free(struct grant *g)
{
    if (g)
        mem_free(g->models);
    mem_free(g);
}

/* ---- which pays ---- */

bool grant_suits(const struct grant *g, enum scope scope, const char *model)
{
    return (g->scope == SCOPE_ANY || g->scope == scope) && (!g->models || list_has(g->models, str_of(model)));
}

/* Which of two grants that suit a request pays first: x when less than 0. *rule is what decides it. */
int grant_compare(const struct grant *x, const struct grant *y, enum grant_rule *rule)
{
    const int64_t a[] = {!x->models, x->scope == SCOPE_ANY, x->priority, x->expires_us ? x->expires_us : INT64_MAX, (int64_t)x->funding, x->id};
    const int64_t b[] = {!y->models, y->scope == SCOPE_ANY, y->priority, y->expires_us ? y->expires_us : INT64_MAX, (int64_t)y->funding, y->id};
    int i = RULE_MODELS;
    while (i < RULE_ID && a[i] == b[i])
        i++;
    *rule = (enum grant_rule)i;
    return a[i] < b[i] ? -1 : a[i] > b[i];
}

static int in_order(const void *a, const void *b)
{
    enum grant_rule rule;
    return grant_compare(*(struct grant *const *)a, *(struct grant *const *)b, &rule);
}

static bool is_done(const struct grant *g)
{
    return g->state == GRANT_EXPIRED || g->state == GRANT_VOIDED;
}

bool grant_is_over(const struct grant *g)
{
    return is_done(g) || g->state == GRANT_EXPIRES || g->state == GRANT_IS_VOIDED;
}

/* Puts the organisation's grants in order and leaves out those that are over; used ones stay, for what may come back to them. */
void grant_sort(struct org *o)
{
    size_t n = 0;
    for (size_t i = 0; i < o->grants.n; i++)
        if (!is_done(o->grants.p[i]))
            o->grants.p[n++] = o->grants.p[i];
    o->grants.n = n;
    if (n > 1)
        qsort(o->grants.p, n, sizeof *o->grants.p, in_order);
}

void grant_add(struct ledger *l, struct grant *g)
{
    (void)vec_push(&l->grants, g);
    (void)vec_push(&g->org->grants, g);
    grant_sort(g->org);
    l->moved = true;
}

/* What a capture may take of g, once its own reservation is given back: of one that is over only what it had reserved. */
static int64_t takes_of(const struct grant *g, const struct hold *h)
{
    if (g->state == GRANT_LIVE)
        return grant_suits(g, h->scope, h->model->alias) ? g->remaining - g->held : 0;
    return g->state == GRANT_EXPIRES || g->state == GRANT_IS_VOIDED ? reserve_of(&h->parts, g) : 0;
}

static int line_add(struct ledger *l, struct grant *g, const struct hold *h, int64_t usage, int64_t amount, struct due due, struct err *e)
{
    struct stmt *s;
    int64_t txn;
    int rc = batch_post(l, g, h, usage, amount, due, &txn, e);
    if (rc < 0 || (rc = stmt_get(&s, l->db, SQL("INSERT INTO usage_line (usage_id, grant_id, amount, txn_id) VALUES (?1, ?2, ?3, ?4)"), e)) < 0)
        return rc;
    stmt_i64(s, 1, usage), stmt_i64(s, 2, g->id), stmt_i64(s, 3, amount), stmt_i64(s, 4, txn);
    if ((rc = stmt_run(s, e)) < 0 || !due.share)
        return rc;
    if ((rc = stmt_get(&s, l->db, SQL("INSERT INTO usage_line_share (usage_id, grant_id, amount) VALUES (?1, ?2, ?3)"), e)) < 0)
        return rc;
    stmt_i64(s, 1, usage), stmt_i64(s, 2, g->id), stmt_i64(s, 3, due.share);
    return stmt_run(s, e);
}

/* Takes what the hold is charged from grants, for a usage row, and gives back what it reserved. Never short: it has reserved as much. */
int grant_charge(struct ledger *l, const struct hold *h, int64_t usage, struct err *e)
{
    int64_t left = h->charged, share;
    const struct terms *t = publisher_of(l, h, &share);
    int rc = t ? publisher_rows(l, t, usage, share, e) : 0;
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < h->parts.n; i++)
        grant_change(l, h->parts.p[i].grant, 0, -h->parts.p[i].amount);
    for (size_t i = 0; i < h->org->grants.n && left; i++) {
        struct grant *g = h->org->grants.p[i];
        int64_t most = takes_of(g, h), n = left < most ? left : most;
        if (!n)
            continue;
        int64_t before = h->charged - left; /* the share lies evenly over the lines */
        struct due due = {0};
        if (t)
            due = (struct due){t->payable, (int64_t)((__int128)share * (before + n) / h->charged - (__int128)share * before / h->charged)};
        rc = line_add(l, g, h, usage, n, due, e);
        if (rc == 0)
            rc = cube_add_grant(&l->cubes, &(struct grant_cell){g->id, h->fin.end_us / CUBE_DAY_US, h->project, h->model->id, h->scope, n, 0}, e);
        if (rc < 0)
            return rc;
        grant_change(l, g, -n, 0);
        left -= n;
    }
    return left ? err_set(e, ERR_DB, "ledger: the grants of %s do not cover hold %llu; run `sluice audit`", h->org->name, (unsigned long long)h->id)
                : 0;
}

/* ---- beginning and end ---- */

/* The id of an account of the provider's chart, made at its first use. */
int account_get(struct ledger *l, const char *code, const char *class, int64_t org, int64_t *id, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db,
                      SQL("INSERT INTO account (code, class, org_id, currency) VALUES (?1, ?2, ?3, ?4) "
                          "ON CONFLICT (code, currency) DO UPDATE SET class = excluded.class RETURNING id"),
                      e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, code), stmt_text(s, 2, class);
    if (org)
        stmt_i64(s, 3, org);
    stmt_text(s, 4, l->currency);
    bool row;
    rc = stmt_step(s, &row, e);
    *id = rc == 0 && row ? stmt_col_i64(s, 0) : 0;
    stmt_put(s);
    return rc;
}

int grant_state_set(struct ledger *l, struct grant *g, enum grant_state state, struct err *e)
{
    struct stmt *s;
    if (g->state == state)
        return 0;
    int rc = stmt_get(&s, l->db, SQL("UPDATE credit_grant SET state = ?2 WHERE id = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, g->id), stmt_i64(s, 2, (int64_t)state);
    if ((rc = stmt_run(s, e)) == 0)
        g->state = state, l->moved = true;
    return rc;
}

/* What leaves a grant unused: breakage:FUNDING when it expires, void:FUNDING when somebody voids it. Paid credit that expires is earned; that
 * which is voided is owed to who paid it; of other funding nothing was ever received, and its cost goes back. */
static int end_book(struct ledger *l, const struct grant *g, bool expiry, int64_t amount, int64_t operation, struct err *e)
{
    char code[64];
    const char *class = g->funding != FUNDING_PAID ? "contra_revenue" : expiry ? "revenue" : "liability";
    int64_t account;
    ASSERT(str_fmt(code, sizeof code, "%s:%s", expiry ? "breakage" : "void", funding_names[g->funding]));
    int rc = account_get(l, code, class, 0, &account, e);
    return rc < 0 ? rc : batch_txn(l, &(struct movement){expiry ? "expire" : "void", g, g->account, account, amount, operation}, NULL, e);
}

int grant_gone(struct ledger *l, const struct grant *g, int64_t amount, int64_t operation, struct err *e)
{
    return end_book(l, g, g->state == GRANT_EXPIRED || g->state == GRANT_EXPIRES, amount, operation, e);
}

/* Takes from a grant that is over what no open hold reserves of it; the state says whether that is all. */
int grant_end(struct ledger *l, struct grant *g, bool expiry, struct err *e)
{
    int64_t less = g->remaining - g->held;
    int rc = less ? end_book(l, g, expiry, less, expiry ? 0 : g->void_id, e) : 0;
    if (rc < 0)
        return rc;
    if (less) {
        grant_change(l, g, -less, 0);
        grant_show(l, g, -less);
    }
    bool open = g->held > 0;
    g->org->lingering |= open;
    return grant_state_set(l, g, expiry ? (open ? GRANT_EXPIRES : GRANT_EXPIRED) : (open ? GRANT_IS_VOIDED : GRANT_VOIDED), e);
}

/* Takes what it can of the organisation's grants that are over: a hold has ended that reserved of them. */
int grant_settle(struct ledger *l, struct org *o, struct err *e)
{
    int rc = 0;
    o->lingering = false;
    for (size_t i = 0; i < o->grants.n && rc == 0; i++) {
        struct grant *g = o->grants.p[i];
        if (g->state == GRANT_EXPIRES || g->state == GRANT_IS_VOIDED)
            rc = grant_end(l, g, g->state == GRANT_EXPIRES, e);
    }
    return rc;
}

static int begin(struct ledger *l, struct grant *g, struct err *e)
{
    int rc = grant_state_set(l, g, GRANT_LIVE, e);
    if (rc == 0)
        grant_show(l, g, g->remaining);
    return rc;
}

/* When the grant's state changes next by itself; INT64_MAX: never. */
static int64_t due_at(const struct grant *g)
{
    int64_t expires = g->expires_us ? g->expires_us : INT64_MAX;
    if (g->state == GRANT_WAITS)
        return g->effective_us < expires ? g->effective_us : expires;
    return g->state == GRANT_LIVE || g->state == GRANT_UNAPPROVED ? expires : INT64_MAX;
}

static int due_one(struct ledger *l, struct grant *g, struct err *e)
{
    int rc = 0;
    bool over = g->expires_us && g->expires_us <= l->now_us;
    if (g->state == GRANT_WAITS && !over && g->effective_us <= l->now_us)
        rc = begin(l, g, e);
    else if (g->state == GRANT_UNAPPROVED && over)
        rc = grant_state_set(l, g, GRANT_EXPIRED, e);
    else if ((g->state == GRANT_WAITS || g->state == GRANT_LIVE) && over)
        rc = grant_end(l, g, true, e);
    return rc;
}

/* Begins and expires what is due, in the batch that is open, and says when to look again. */
int grant_due(struct ledger *l, struct err *e)
{
    int rc = share_all(l, e);
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < l->grants.n && rc == 0; i++) {
        struct grant *g = l->grants.p[i];
        if (due_at(g) <= l->now_us)
            l->deed = true, rc = due_one(l, g, e);
        next = due_at(g) < next ? due_at(g) : next;
    }
    if (rc == 0)
        rc = reservation_due(l, &next, e);
    if (rc == 0)
        rc = commitment_due(l, &next, e);
    l->next_due_us = next;
    return rc;
}
