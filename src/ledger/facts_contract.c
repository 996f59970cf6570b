/* Facts that no grant's own rows tell: hours of reservations that were paid up front, what commitments were short of, publishers' shares. */
#include "ledger/facts_int.h"

/* ---- reservations that are paid up front ---- */

static int prepaid_row(void *arg, struct stmt *s, struct err *e)
{
    struct reading *r = arg;
    struct prepaid p = {.reservation = stmt_col_i64(s, 0), .grant = stmt_col_i64(s, 1), .amount = stmt_col_i64(s, 2), .txn = stmt_col_i64(s, 3)};
    return vec_push(&r->prepaid, p) ? 0 : facts_no_memory(e);
}

int prepaid_read(struct reading *r, struct ledger *l, struct err *e)
{
    return report_each(l, SQL("SELECT reservation_id, grant_id, amount, txn_id FROM reservation_line WHERE hour_us = 0 ORDER BY txn_id"), NULL,
                       prepaid_row, r, e);
}

int prepaid_take(struct reading *r, const struct booking *b, int64_t cash, struct err *e)
{
    size_t lo = 0, hi = r->prepaid.n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (r->prepaid.p[mid].txn < b->txn)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == r->prepaid.n || r->prepaid.p[lo].txn != b->txn)
        return err_set(e, ERR_DB, "ledger: transaction %lld pays for no reservation; run `sluice audit` on a copy", (long long)b->txn);
    r->prepaid.p[lo].cash = cash;
    return 0;
}

struct earning {
    struct reading *r;
    size_t at; /* in prepaid: both are in the order of reservations */
};

/* What a reservation earned in a day, from what paid for it, in that order. */
static int earned_row(void *arg, struct stmt *s, struct err *e)
{
    struct earning *a = arg;
    struct reading *r = a->r;
    int64_t reservation = stmt_col_i64(s, 0), day = stmt_col_i64(s, 1), left = stmt_col_i64(s, 2);
    int rc = 0;
    while (rc == 0 && left && a->at < r->prepaid.n && r->prepaid.p[a->at].reservation <= reservation) {
        struct prepaid *p = &r->prepaid.p[a->at];
        int64_t n = p->amount - p->earned < left ? p->amount - p->earned : left;
        if (p->reservation < reservation || !n) {
            a->at++;
            continue;
        }
        int64_t before = (int64_t)((__int128)p->cash * p->earned / p->amount);
        p->earned += n, left -= n;
        rc = fact_reserved(r->f, &r->grants.p[p->grant - 1], day, n, (int64_t)((__int128)p->cash * p->earned / p->amount) - before, e);
    }
    return rc;
}

static int earned_read(struct reading *r, struct ledger *l, struct err *e)
{
    return report_each(l,
                       SQL("SELECT n.reservation_id, t.created_us / 86400000000, CAST(sum(n.amount) AS BIGINT) FROM reservation_line n JOIN txn t ON "
                           "t.id = n.txn_id WHERE n.grant_id = 0 GROUP BY n.reservation_id, t.created_us / 86400000000 ORDER BY 1, 2"),
                       NULL, earned_row, &(struct earning){r, 0}, e);
}

/* ---- commitments ---- */

static int shortfall_row(void *arg, struct stmt *s, struct err *e)
{
    struct reading *r = arg;
    const int64_t n = stmt_col_i64(s, 2);
    struct fact x = {.kind = FACT_SHORTFALL, .segment = "commitment", .product = "shortfall", .ai = true, .value = n, .recognised = n};
    return fact_add(r->f, &x, &(struct source){.org = stmt_col_i64(s, 0)}, stmt_col_i64(s, 1), e);
}

static int shortfalls_read(struct reading *r, struct ledger *l, struct err *e)
{
    return report_each(l,
                       SQL("SELECT t.org_id, t.created_us / 86400000000, p.shortfall FROM commitment_period p JOIN txn t ON t.id = p.txn_id WHERE "
                           "p.shortfall > 0 ORDER BY t.id"),
                       NULL, shortfall_row, r, e);
}

/* ---- publishers ---- */

static int share_row(void *arg, struct stmt *s, struct err *e)
{
    struct reading *r = arg;
    struct facts *f = r->f;
    const int64_t grant = stmt_col_i64(s, 0), model = stmt_col_i64(s, 3), share = stmt_col_i64(s, 5);
    const char *name = names_get(&f->models, model);
    int scope = 0;
    while (scope < SCOPE_COUNT - 1 && !str_eqz(stmt_col_str(s, 4), scope_names[scope]))
        scope++;
    const struct policy_product *t = policy_product_of(&f->policy, name, scope);
    struct fact x = {.kind = FACT_SHARE,
                     .model = model,
                     .project = stmt_col_i64(s, 2),
                     .scope = scope,
                     .segment = t->segment,
                     .product = t->product,
                     .ai = t->ai,
                     .recognised = policy_principal(&f->policy, name) ? 0 : -share,
                     .share = share};
    if (grant < 1 || (size_t)grant > r->grants.n)
        return err_set(e, ERR_DB, "ledger: a publisher's share is of grant %lld, which is not there; run `sluice audit` on a copy", (long long)grant);
    return fact_add(f, &x, &r->grants.p[grant - 1], stmt_col_i64(s, 1), e);
}

/* Of use when it ended, of refunds when they were made, as the use itself. */
static int shares_read(struct reading *r, struct ledger *l, struct err *e)
{
    int rc = report_each(l,
                         SQL("SELECT x.grant_id, u.end_us / 86400000000, u.project_id, u.model_id, u.scope, CAST(sum(x.amount) AS BIGINT) FROM "
                             "usage_line_share x JOIN usage u ON u.id = x.usage_id GROUP BY x.grant_id, u.end_us / 86400000000, u.project_id, "
                             "u.model_id, u.scope ORDER BY 1, 2, 3, 4, 5"),
                         NULL, share_row, r, e);
    return rc < 0
               ? rc
               : report_each(l,
                             SQL("SELECT x.grant_id, t.created_us / 86400000000, u.project_id, u.model_id, u.scope, CAST(-sum(x.amount) AS BIGINT) "
                                 "FROM refund_share x JOIN usage u ON u.id = x.usage_id JOIN txn t ON t.id = x.txn_id GROUP BY x.grant_id, "
                                 "t.created_us / 86400000000, u.project_id, u.model_id, u.scope ORDER BY 1, 2, 3, 4, 5"),
                             NULL, share_row, r, e);
}

int contracts_read(struct reading *r, struct ledger *l, struct err *e)
{
    int rc = earned_read(r, l, e);
    if (rc == 0)
        rc = shortfalls_read(r, l, e);
    return rc < 0 ? rc : shares_read(r, l, e);
}
