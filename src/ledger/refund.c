/* Refunds: what a request was charged comes back to the grants that paid it, the last one first, in all never more than each paid. What comes
 * back to a grant that is over goes at once where its rest went: expired credit is not brought to life. */
#include "ledger/operation.h"

#include <stdlib.h>
#include <string.h>

struct line {
    struct grant *grant;
    int64_t left, back;                       /* what it paid and did not get back yet; what comes back now */
    int64_t revenue;                          /* the account that earned it */
    int64_t paid, share, share_back, payable; /* all that it paid; of it a publisher's, and what of that came back before; where it is owed */
};

struct refund_args {
    const char *request;
    int64_t amount; /* 0: all */
    int64_t usage, charged;
    struct cube_cell cell; /* whose usage it was */
    struct VEC(struct line) lines;
};

/* ---- what was paid ---- */

static int find(struct ledger *l, struct refund_args *a, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, l->db,
                      SQL("SELECT u.id, u.charged, u.org_id, u.project_id, u.key_id, u.model_id, u.price_id, u.scope FROM hold h "
                          "JOIN usage u ON u.hold_id = h.id WHERE h.request = ?1"),
                      e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, a->request);
    rc = stmt_step(s, &row, e);
    if (rc == 0 && !row)
        rc = err_param(e, ERR_NOT_FOUND, "request", "ledger: there is nothing to refund of %.100s: no request has that id, or it has not ended",
                       a->request);
    if (rc == 0) {
        a->usage = stmt_col_i64(s, 0), a->charged = stmt_col_i64(s, 1);
        a->cell = (struct cube_cell){
            l->now_us / CUBE_HOUR_US, stmt_col_i64(s, 2), stmt_col_i64(s, 3), stmt_col_i64(s, 4), stmt_col_i64(s, 5), stmt_col_i64(s, 6), 0, {0}};
        while (a->cell.scope < SCOPE_COUNT - 1 && !str_eqz(stmt_col_str(s, 7), scope_names[a->cell.scope]))
            a->cell.scope++;
    }
    stmt_put(s);
    return rc;
}

static int read_line(struct ledger *l, struct refund_args *a, struct stmt *s, struct err *e)
{
    int64_t id = stmt_col_i64(s, 0);
    if (id < 1 || (size_t)id > l->grants.n)
        return err_set(e, ERR_DB, "ledger: a grant that paid %.100s is missing; run `sluice audit`", a->request);
    struct line n = {l->grants.p[id - 1], stmt_col_i64(s, 1), 0, stmt_col_i64(s, 2), stmt_col_i64(s, 3), stmt_col_i64(s, 4),
                     stmt_col_i64(s, 5),  stmt_col_i64(s, 6)};
    return vec_push(&a->lines, n) ? 0 : err_set(e, ERR_NO_MEMORY, "ledger: no memory for a refund");
}

static int last_first(const void *a, const void *b)
{
    enum grant_rule rule;
    return grant_compare(((const struct line *)b)->grant, ((const struct line *)a)->grant, &rule);
}

static int read_lines(struct ledger *l, struct refund_args *a, struct err *e)
{
    struct stmt *s;
    bool row = true;
    int rc = stmt_get(
        &s, l->db,
        SQL("SELECT n.grant_id, n.amount - coalesce((SELECT sum(r.amount) FROM refund_line r WHERE r.usage_id = n.usage_id AND "
            "r.grant_id = n.grant_id), 0), (SELECT min(a.id) FROM entry e JOIN account a ON a.id = e.account_id WHERE e.txn_id = n.txn_id AND "
            "a.class = 'revenue'), n.amount, coalesce((SELECT x.amount FROM usage_line_share x WHERE x.usage_id = n.usage_id AND x.grant_id = "
            "n.grant_id), 0), coalesce((SELECT sum(r.amount) FROM refund_share r WHERE r.usage_id = n.usage_id AND r.grant_id = n.grant_id), 0), "
            "(SELECT min(a.id) FROM entry e JOIN account a ON a.id = e.account_id WHERE e.txn_id = n.txn_id AND a.code LIKE 'payable:%') FROM "
            "usage_line n WHERE n.usage_id = ?1"),
        e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, a->usage);
    while (rc == 0 && row)
        if ((rc = stmt_step(s, &row, e)) == 0 && row)
            rc = read_line(l, a, s, e);
    stmt_put(s);
    if (rc == 0 && a->lines.n > 1)
        qsort(a->lines.p, a->lines.n, sizeof *a->lines.p, last_first);
    return rc;
}

/* Shares the amount out; *left: what may still be refunded afterwards. */
static int share(const struct ledger *l, struct refund_args *a, int64_t *left, struct err *e)
{
    char may[MONEY_TEXT_MAX], was[MONEY_TEXT_MAX];
    *left = 0;
    for (size_t i = 0; i < a->lines.n; i++)
        *left += a->lines.p[i].left;
    if (!a->amount)
        a->amount = *left;
    money_text(may, (struct money){*left});
    money_text(was, (struct money){a->charged});
    if (!*left)
        return err_param(e, ERR_CONFLICT, "request", "ledger: nothing is left to refund of %.100s: it was charged %s %s", a->request, was,
                         l->currency);
    if (a->amount > *left)
        return err_param(e, ERR_CONFLICT, "amount",
                         "ledger: %s %s may still be refunded of %.100s, which was charged %s %s; refund no more than that", may, l->currency,
                         a->request, was, l->currency);
    *left -= a->amount;
    int64_t rest = a->amount;
    for (size_t i = 0; i < a->lines.n; i++) {
        struct line *n = &a->lines.p[i];
        n->back = rest < n->left ? rest : n->left;
        rest -= n->back;
    }
    return 0;
}

/* ---- giving back ---- */

static int line_row(struct ledger *l, const struct refund_args *a, const struct line *n, int64_t txn, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db, SQL("INSERT INTO refund_line (txn_id, usage_id, grant_id, amount) VALUES (?1, ?2, ?3, ?4)"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, txn), stmt_i64(s, 2, a->usage), stmt_i64(s, 3, n->grant->id), stmt_i64(s, 4, n->back);
    return stmt_run(s, e);
}

/* In the cubes a refund counts when it is made, so that what was reported of a closed month stays. */
static int line_count(struct ledger *l, const struct refund_args *a, const struct line *n, struct err *e)
{
    struct cube_cell c = a->cell;
    struct grant_cell g = {n->grant->id, l->now_us / CUBE_DAY_US, c.project, c.model, c.scope, 0, n->back};
    c.sum[CUBE_REFUNDED] = n->back;
    int rc = cube_add(&l->cubes, &c, e);
    return rc < 0 ? rc : cube_add_grant(&l->cubes, &g, e);
}

static int share_row(struct ledger *l, const struct refund_args *a, const struct line *n, int64_t txn, int64_t back, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db, SQL("INSERT INTO refund_share (txn_id, usage_id, grant_id, amount) VALUES (?1, ?2, ?3, ?4)"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, txn), stmt_i64(s, 2, a->usage), stmt_i64(s, 3, n->grant->id), stmt_i64(s, 4, back);
    return stmt_run(s, e);
}

static int give_back(struct ledger *l, struct operation *o, const struct line *n, struct err *e)
{
    struct grant *g = n->grant;
    int64_t txn, before = n->paid - n->left, back = 0;
    if (n->share) /* as much of the share as of the charge */
        back = (int64_t)((__int128)n->share * (before + n->back) / n->paid) - n->share_back;
    o->org = g->org->id;
    int rc = batch_txn_due(l, &(struct movement){"refund", g, n->revenue, g->account, n->back, o->id}, (struct due){n->payable, back}, &txn, e);
    if (rc < 0 || (rc = line_row(l, o->arg, n, txn, e)) < 0 || (rc = line_count(l, o->arg, n, e)) < 0 ||
        (back && (rc = share_row(l, o->arg, n, txn, back, e)) < 0))
        return rc;
    if (grant_is_over(g))
        return grant_gone(l, g, n->back, o->id, e);
    grant_change(l, g, n->back, 0);
    grant_show(l, g, n->back);
    return 0;
}

static void answer(const struct ledger *l, struct operation *o, int64_t left)
{
    const struct refund_args *a = o->arg;
    struct jw w;
    jw_init(&w, &o->answer);
    jw_obj(&w);
    jw_key(&w, "operation"), jw_i64(&w, o->id);
    jw_key(&w, "request"), jw_str(&w, a->request);
    answer_money(&w, "refunded", a->amount), answer_money(&w, "charged", a->charged), answer_money(&w, "refundable", left);
    jw_key(&w, "currency"), jw_str(&w, l->currency);
    jw_key(&w, "grants"), jw_arr(&w);
    for (size_t i = 0; i < a->lines.n; i++) {
        const struct line *n = &a->lines.p[i];
        if (!n->back)
            continue;
        jw_obj(&w);
        jw_key(&w, "grant"), jw_i64(&w, n->grant->id);
        answer_money(&w, "refunded", n->back);
        answer_money(&w, "gone", grant_is_over(n->grant) ? n->back : 0);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
}

static int act(struct ledger *l, struct operation *o, struct err *e)
{
    struct refund_args *a = o->arg;
    int64_t left;
    int rc = find(l, a, e);
    if (rc < 0 || (rc = read_lines(l, a, e)) < 0 || (rc = share(l, a, &left, e)) < 0)
        return rc;
    (void)str_fmt(o->object, sizeof o->object, "%s", a->request);
    for (size_t i = 0; i < a->lines.n && rc == 0; i++)
        if (a->lines.p[i].back)
            rc = give_back(l, o, &a->lines.p[i], e);
    if (rc == 0)
        answer(l, o, left);
    return rc;
}

int ledger_refund(struct ledger *l, const char *request, const struct money *amount, const struct deed *by, struct buf *out, struct err *e)
{
    struct refund_args a = {.request = request, .amount = amount ? amount->nano : 0};
    struct operation o;
    if (amount && amount->nano <= 0)
        return err_param(e, ERR_BAD_VALUE, "amount", "ledger: a refund is more than 0; leave the amount out to refund all");
    operation_init(&o, "refund", by, act);
    o.arg = &a;
    operation_asks(&o, request), operation_asks_i64(&o, a.amount);
    int rc = operation_run(l, &o, out, e);
    vec_deinit(&a.lines);
    return rc;
}
