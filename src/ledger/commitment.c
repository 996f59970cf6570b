/* Commitments: made, drawn down by what metered requests cost, and billed for what is short when a period is over. */
#include "ledger/operation.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>

enum { COMMIT_YEARS_MAX = 10 };
#define GRACE_US (300 * INT64_C(1000000)) /* after a period, for rows of requests that ended in it */

const char *const commit_period_names[COMMIT_PERIODS] = {"month", "quarter", "year", "term"};

int64_t commitment_next(const struct commitment *c, int64_t from_us)
{
    static const int months[] = {1, 3, 12};
    const int64_t next = c->period == COMMIT_TERM ? c->to_us : month_add(from_us, months[c->period]);
    return next < c->to_us ? next : c->to_us;
}

/* ---- start ---- */

static int load_one(struct ledger *l, struct stmt *s, struct err *e)
{
    struct commitment *c = mem_new(sizeof *c);
    struct str period = stmt_col_str(s, 5), name = stmt_col_str(s, 6);
    if (!c || !vec_push(&l->reserved.commitments, c)) {
        mem_free(c);
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for commitments");
    }
    *c = (struct commitment){.id = stmt_col_i64(s, 0),
                             .org = org_find(l, stmt_col_i64(s, 1)),
                             .from_us = stmt_col_i64(s, 2),
                             .to_us = stmt_col_i64(s, 3),
                             .amount = stmt_col_i64(s, 4),
                             .period = COMMIT_PERIODS,
                             .due_us = stmt_col_i64(s, 7)};
    for (int i = 0; i < COMMIT_PERIODS; i++)
        if (str_eqz(period, commit_period_names[i]))
            c->period = (enum commit_period)i;
    if (!c->org || c->period == COMMIT_PERIODS || name.n >= sizeof c->name)
        return err_set(e, ERR_DB, "ledger: commitment %lld is damaged; run `sluice audit` on a copy", (long long)c->id);
    memcpy(c->name, name.p, name.n);
    return 0;
}

int commitment_load(struct ledger *l, struct err *e)
{
    struct stmt *s;
    bool row = true;
    int rc = stmt_get(&s, l->db,
                      SQL("SELECT c.id, c.org_id, c.from_us, c.to_us, c.amount, c.period, c.name, coalesce((SELECT max(p.to_us) FROM "
                          "commitment_period p WHERE p.commitment_id = c.id), c.from_us) FROM commitment c ORDER BY c.id"),
                      e);
    if (rc < 0)
        return rc;
    while (rc == 0 && row)
        if ((rc = stmt_step(s, &row, e)) == 0 && row)
            rc = load_one(l, s, e);
    stmt_put(s);
    return rc;
}

/* ---- the end of a period ---- */

/* What metered requests of the account cost that ended in the time. */
static int drawn_in(struct ledger *l, const struct org *o, int64_t from_us, int64_t to_us, int64_t *out, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc =
        stmt_get(&s, l->db, SQL("SELECT CAST(coalesce(sum(charged), 0) AS BIGINT) FROM usage WHERE org_id = ?1 AND end_us >= ?2 AND end_us < ?3"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, o->id), stmt_i64(s, 2, from_us), stmt_i64(s, 3, to_us);
    rc = stmt_step(s, &row, e);
    *out = rc == 0 && row ? stmt_col_i64(s, 0) : 0;
    stmt_put(s);
    return rc;
}

static int bill(struct ledger *l, const struct commitment *c, int64_t shortfall, int64_t *txn, struct err *e)
{
    const struct grant none = {.org = c->org};
    int64_t receivable, revenue;
    char code[64];
    *txn = 0;
    if (!shortfall)
        return 0;
    ASSERT(str_fmt(code, sizeof code, "receivable:%lld", (long long)c->org->id));
    int rc = account_get(l, code, "asset", c->org->id, &receivable, e);
    if (rc == 0)
        rc = account_get(l, "revenue:commitment", "revenue", 0, &revenue, e);
    return rc < 0 ? rc : batch_txn(l, &(struct movement){"shortfall", &none, receivable, revenue, shortfall, 0}, txn, e);
}

static int close_period(struct ledger *l, struct commitment *c, struct err *e)
{
    const int64_t from = c->due_us, to = commitment_next(c, from);
    int64_t drawn, txn;
    struct stmt *s;
    l->moved = true;
    int rc = drawn_in(l, c->org, from, to, &drawn, e);
    const int64_t shortfall = rc == 0 && drawn < c->amount ? c->amount - drawn : 0;
    if (rc < 0 || (rc = bill(l, c, shortfall, &txn, e)) < 0)
        return rc;
    rc = stmt_get(&s, l->db,
                  SQL("INSERT INTO commitment_period (commitment_id, from_us, to_us, drawn, shortfall, txn_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, c->id), stmt_i64(s, 2, from), stmt_i64(s, 3, to), stmt_i64(s, 4, drawn), stmt_i64(s, 5, shortfall), stmt_i64(s, 6, txn);
    if ((rc = stmt_run(s, e)) < 0)
        return rc;
    c->due_us = to;
    if (shortfall)
        log_line(LOG_INFO, "commitment", "commitment %lld of %s: a period is over, and %lld nano-units of it are billed", (long long)c->id,
                 c->org->name, (long long)shortfall);
    return 0;
}

int commitment_due(struct ledger *l, int64_t *next, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < l->reserved.commitments.n && rc == 0; i++) {
        struct commitment *c = l->reserved.commitments.p[i];
        while (rc == 0 && c->due_us < c->to_us && commitment_next(c, c->due_us) + GRACE_US <= l->now_us)
            l->deed = true, rc = close_period(l, c, e);
        if (c->due_us < c->to_us && commitment_next(c, c->due_us) + GRACE_US < *next)
            *next = commitment_next(c, c->due_us) + GRACE_US;
    }
    return rc;
}

/* ---- making one ---- */

struct commit_args {
    const struct commitment_new *in;
    enum commit_period period;
};

static int insert(struct ledger *l, const struct commitment *c, const struct operation *o, const char *contract, struct err *e)
{
    struct stmt *s;
    int rc =
        stmt_get(&s, l->db,
                 SQL("INSERT INTO commitment (id, org_id, name, from_us, to_us, amount, period, contract, operation_id, created_us) VALUES (?1, ?2, "
                     "?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"),
                 e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, c->id), stmt_i64(s, 2, c->org->id), stmt_text(s, 3, c->name), stmt_i64(s, 4, c->from_us), stmt_i64(s, 5, c->to_us);
    stmt_i64(s, 6, c->amount), stmt_text(s, 7, commit_period_names[c->period]), stmt_text(s, 8, contract ? contract : ""), stmt_i64(s, 9, o->id);
    stmt_i64(s, 10, l->now_us);
    return stmt_run(s, e);
}

static int check_others(const struct ledger *l, const struct org *o, const struct commitment_new *in, struct err *e)
{
    for (size_t i = 0; i < l->reserved.commitments.n; i++) {
        const struct commitment *c = l->reserved.commitments.p[i];
        if (c->org == o && c->from_us < in->to_us && in->from_us < c->to_us)
            return err_param(
                e, ERR_CONFLICT, "from",
                "ledger: %.100s has commitment %lld (%.100s) at that time, and what is used can draw down one alone; let this one begin when "
                "it ends",
                o->name, (long long)c->id, c->name);
    }
    return 0;
}

static int commit_act(struct ledger *l, struct operation *o, struct err *e)
{
    const struct commit_args *a = o->arg;
    struct org *org = org_find(l, a->in->org.v);
    struct jw w;
    if (!org)
        return err_set(e, ERR_NOT_FOUND, "ledger: there is no account %lld; see `sluice account list`", (long long)a->in->org.v);
    int rc = check_others(l, org, a->in, e);
    if (rc < 0)
        return rc;
    struct commitment *c = mem_new(sizeof *c);
    if (!c || !vec_reserve(&l->reserved.commitments, l->reserved.commitments.n + 1)) {
        mem_free(c);
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a commitment");
    }
    *c = (struct commitment){.id = (int64_t)l->reserved.commitments.n + 1,
                             .org = org,
                             .from_us = a->in->from_us,
                             .to_us = a->in->to_us,
                             .due_us = a->in->from_us,
                             .amount = a->in->amount.nano,
                             .period = a->period};
    memcpy(c->name, a->in->name, strlen(a->in->name) + 1);
    if ((rc = insert(l, c, o, a->in->contract, e)) < 0) {
        mem_free(c);
        return rc;
    }
    (void)vec_push(&l->reserved.commitments, c);
    l->moved = true;
    ASSERT(str_fmt(o->object, sizeof o->object, "commitment %lld", (long long)c->id));
    jw_init(&w, &o->answer);
    jw_obj(&w);
    jw_key(&w, "operation"), jw_i64(&w, o->id);
    jw_key(&w, "commitment"), jw_i64(&w, c->id);
    jw_key(&w, "account"), jw_str(&w, org->name);
    answer_money(&w, "amount", c->amount);
    jw_key(&w, "period"), jw_str(&w, commit_period_names[c->period]);
    jw_key(&w, "currency"), jw_str(&w, l->currency);
    jw_obj_end(&w);
    return grant_due(l, e);
}

static int check_new(const struct commitment_new *in, enum commit_period *period, struct err *e)
{
    int p = in->period ? 0 : COMMIT_TERM;
    while (in->period && p < COMMIT_PERIODS && strcmp(in->period, commit_period_names[p]) != 0)
        p++;
    *period = (enum commit_period)p;
    int rc = in->name ? words_check("name", in->name, LEDGER_NAME_MAX - 1, e) : err_param(e, ERR_BAD_REQUEST, "name", "ledger: name is missing");
    if (rc == 0)
        rc = words_check("contract", in->contract, LEDGER_REASON_MAX, e);
    if (rc == 0 && in->amount.nano <= 0)
        rc = err_param(e, ERR_BAD_VALUE, "amount", "ledger: a commitment is more than 0");
    if (rc == 0 && p == COMMIT_PERIODS)
        rc = err_param(e, ERR_BAD_VALUE, "period", "ledger: an amount is committed for each month, quarter or year, or for the term");
    if (rc == 0 && (in->from_us <= 0 || in->from_us % DAY_US || in->to_us % DAY_US || in->to_us <= in->from_us ||
                    in->to_us - in->from_us > COMMIT_YEARS_MAX * 366 * DAY_US))
        rc = err_param(e, ERR_BAD_VALUE, "to",
                       "ledger: a commitment is from a day to a later one, UTC, at most %d years: --from 2026-12-01 --to 2027-12-01",
                       COMMIT_YEARS_MAX);
    if (rc == 0 && p < COMMIT_TERM && in->from_us - month_begin(in->from_us) > 27 * DAY_US)
        rc = err_param(e, ERR_BAD_VALUE, "from", "ledger: periods begin on the 1st to the 28th of a month, so that every month has that day");
    return rc;
}

int ledger_commit(struct ledger *l, const struct commitment_new *in, struct buf *out, struct err *e)
{
    struct commit_args a = {in, COMMIT_TERM};
    struct operation o;
    int rc = check_new(in, &a.period, e);
    if (rc < 0)
        return rc;
    operation_init(&o, "commit", &in->by, commit_act);
    o.arg = &a, o.no_reason = o.plain = true;
    operation_asks(&o, in->name), operation_asks(&o, in->contract);
    const int64_t asked[] = {in->org.v, in->amount.nano, (int64_t)a.period, in->from_us, in->to_us};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++)
        operation_asks_i64(&o, asked[i]);
    return operation_run(l, &o, out, e);
}
