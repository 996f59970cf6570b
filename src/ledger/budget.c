/* A key's budget: what its requests may cost, in all or in each calendar month (UTC). A request counts in the month in which it began, and
 * keeps counting there: its slices, and its end in the next month.
 *
 * key_spend has, for a key with a budget and a month, what finished requests cost and what open holds reserve: both follow from the rows of
 * hold and usage, and the audit computes them anew. A key without a budget has no rows here and pays nothing for this file. The numbers live in
 * the store alone and change in the commit of the hold or of the usage row, so that a killed process cannot part them. */
#include "ledger/ledger_int.h"

#include "base/clock.h"

/* What is left of the budget of key k for a request that began at us. */
#define LEFT_OF(us)                                                                                                                                  \
    "k.budget - coalesce((SELECT sum(x.charged + x.held) FROM key_spend x WHERE x.key_id = k.id AND (k.budget_monthly = 0 OR x.month = " MONTH_OF(   \
        us) ")), 0)"

static bool has_budget(const struct ledger *l, int64_t key)
{
    const struct key *k = key_by_id(l, key);
    return k && k->budget >= 0;
}

static int left_at(struct ledger *l, int64_t key, int64_t us, int64_t *left, int64_t *renews_us, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, l->db,
                      SQL("SELECT " LEFT_OF("?2") ", CASE k.budget_monthly WHEN 0 THEN 0 ELSE CAST(strftime('%s', ?2 / 1000000, 'unixepoch', "
                                                  "'start of month', '+1 month') AS INTEGER) * 1000000 END FROM key k WHERE k.id = ?1"),
                      e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, key), stmt_i64(s, 2, us);
    rc = stmt_step(s, &row, e);
    *left = rc == 0 && row ? stmt_col_i64(s, 0) : 0;
    *renews_us = rc == 0 && row ? stmt_col_i64(s, 1) : 0;
    stmt_put(s);
    return rc;
}

int budget_view(struct ledger *l, struct key *k, struct err *e)
{
    int64_t left = 0, renews = 0;
    int rc = k->budget >= 0 ? left_at(l, k->id, l->now_us, &left, &renews, e) : 0;
    mutex_lock(&l->lock);
    k->left = left, k->renews_us = renews;
    mutex_unlock(&l->lock);
    return rc;
}

int budget_begin(struct ledger *l, int64_t key, bool has, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db, SQL("DELETE FROM key_spend WHERE key_id = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, key);
    if ((rc = stmt_run(s, e)) < 0 || !has)
        return rc;
    rc = stmt_get(&s, l->db,
                  SQL("INSERT INTO key_spend (key_id, month, charged, held) SELECT h.key_id, " MONTH_OF(
                      "h.created_us") ", "
                                      "sum(coalesce(u.charged, 0)), sum(CASE h.state WHEN 0 THEN h.amount_scope + h.amount_any ELSE 0 END) "
                                      "FROM hold h LEFT JOIN usage u ON u.hold_id = h.id WHERE h.key_id = ?1 GROUP BY 1, 2"),
                  e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, key);
    return stmt_run(s, e);
}

int budget_take(struct ledger *l, int64_t key, int64_t created_us, int64_t n, bool force, bool *ok, struct err *e)
{
    struct stmt *s;
    *ok = true;
    if (!has_budget(l, key))
        return 0;
    int rc = stmt_get(
        &s, l->db,
        SQL("INSERT INTO key_spend (key_id, month, held) SELECT k.id, " MONTH_OF("?2") ", ?3 FROM key k WHERE k.id = ?1 AND (?4 <> 0 OR " LEFT_OF(
            "?2") " >= ?3) ON CONFLICT (key_id, month) DO UPDATE SET held = key_spend.held + excluded.held"),
        e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, key), stmt_i64(s, 2, created_us), stmt_i64(s, 3, n), stmt_i64(s, 4, force);
    if ((rc = stmt_run(s, e)) < 0)
        return rc;
    *ok = db_changes(l->db) == 1;
    return budget_view(l, key_by_id(l, key), e);
}

int budget_settle(struct ledger *l, int64_t key, int64_t created_us, int64_t held, int64_t charged, struct err *e)
{
    struct stmt *s;
    if (!has_budget(l, key))
        return 0;
    int rc =
        stmt_get(&s, l->db, SQL("UPDATE key_spend SET held = held - ?3, charged = charged + ?4 WHERE key_id = ?1 AND month = " MONTH_OF("?2")), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, key), stmt_i64(s, 2, created_us), stmt_i64(s, 3, held), stmt_i64(s, 4, charged);
    if ((rc = stmt_run(s, e)) < 0)
        return rc;
    if (db_changes(l->db) != 1)
        return err_set(e, ERR_DB, "ledger: the budget of key %lld does not know of a hold; run `sluice audit`", (long long)key);
    return budget_view(l, key_by_id(l, key), e);
}

/* Answers op: the key's budget is too short for want more. */
void budget_refuse(struct ledger *l, struct op *op, int64_t key, int64_t want)
{
    char left[MONEY_TEXT_MAX], budget[MONEY_TEXT_MAX], cost[MONEY_TEXT_MAX];
    const struct key *k = key_by_id(l, key);
    money_text(left, (struct money){k->left > 0 ? k->left : 0});
    money_text(budget, (struct money){k->budget});
    money_text(cost, (struct money){want});
    mutex_lock(&l->lock);
    op->answer.balance.nano = k->org->free;
    mutex_unlock(&l->lock);
    op->answer.of_key = true;
    err_set(&op->answer.err, ERR_QUOTA,
            "ledger: key %s has %s %s left of its budget of %s%s, and this request may cost %s %s more; ask for fewer tokens, or raise the budget: "
            "sluice key set %s --budget AMOUNT%s",
            k->public_id, left, l->currency, budget, k->monthly ? " a month" : "", cost, l->currency, k->public_id, k->monthly ? "/month" : "");
}
