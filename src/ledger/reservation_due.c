/* What the hours of a reservation cost: each is charged once, when it begins, whether it is used or not. */
#include "ledger/ledger_int.h"

#include "base/log.h"

/* Part k of n equal parts of an amount: the parts sum to it, whatever is rounded. */
static int64_t part(int64_t amount, int64_t k, int64_t n)
{
    return (int64_t)((__int128)amount * (k + 1) / n - (__int128)amount * k / n);
}

int64_t reservation_amount(const struct reservation *r, int64_t hour_us)
{
    int64_t from, to;
    switch (r->period) {
    case PERIOD_HOUR: return r->price;
    case PERIOD_MONTH: from = month_begin(hour_us), to = month_add(from, 1); break;
    default: from = r->from_us, to = r->to_us; break;
    }
    return part(r->price, (hour_us - from) / HOUR_US, (to - from) / HOUR_US);
}

int64_t reservation_total(const struct reservation *r, int64_t from_us, int64_t to_us)
{
    int64_t sum = 0;
    for (int64_t h = from_us; h < to_us; h += HOUR_US)
        if (!ck_add(sum, reservation_amount(r, h), &sum))
            return INT64_MAX;
    return sum;
}

/* ---- who pays ---- */

static int64_t free_of(const struct reservation *r, const struct grant *g)
{
    return g->state == GRANT_LIVE && grant_suits(g, SCOPE_INFERENCE, r->model) ? g->remaining - g->held : 0;
}

int64_t reservation_free_credit(const struct reservation *r)
{
    int64_t sum = 0;
    for (size_t i = 0; i < r->org->grants.n; i++)
        sum += free_of(r, r->org->grants.p[i]);
    return sum;
}

static int line_add(struct ledger *l, const struct reservation *r, int64_t hour_us, int64_t grant, int64_t amount, int64_t txn, struct err *e)
{
    struct stmt *s;
    int rc =
        stmt_get(&s, l->db, SQL("INSERT INTO reservation_line (reservation_id, hour_us, grant_id, amount, txn_id) VALUES (?1, ?2, ?3, ?4, ?5)"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, r->id), stmt_i64(s, 2, hour_us), stmt_i64(s, 3, grant), stmt_i64(s, 4, amount), stmt_i64(s, 5, txn);
    return stmt_run(s, e);
}

static int accounts_get(struct ledger *l, int64_t *deferred, int64_t *revenue, struct err *e)
{
    int rc = account_get(l, "deferred:reserved", "liability", 0, deferred, e);
    return rc < 0 ? rc : account_get(l, "revenue:reserved", "revenue", 0, revenue, e);
}

int reservation_pay(struct ledger *l, const struct reservation *r, int64_t hour_us, int64_t amount, int64_t operation, bool *paid, struct err *e)
{
    int64_t deferred, revenue, txn;
    *paid = reservation_free_credit(r) >= amount;
    if (!*paid || !amount)
        return 0;
    int rc = accounts_get(l, &deferred, &revenue, e);
    for (size_t i = 0; i < r->org->grants.n && amount && rc == 0; i++) {
        struct grant *g = r->org->grants.p[i];
        const int64_t free = free_of(r, g), n = amount < free ? amount : free;
        if (!n)
            continue;
        struct movement m = {hour_us ? "reserve" : "prepay", g, g->account, hour_us ? revenue : deferred, n, operation};
        if ((rc = batch_txn(l, &m, &txn, e)) < 0 || (rc = line_add(l, r, hour_us, g->id, n, txn, e)) < 0)
            break;
        grant_change(l, g, -n, 0);
        grant_show(l, g, -n);
        amount -= n;
    }
    return rc;
}

/* An hour of what was paid up front is earned. */
static int earn(struct ledger *l, const struct reservation *r, int64_t hour_us, int64_t amount, struct err *e)
{
    const struct grant none = {.org = r->org};
    int64_t deferred, revenue, txn;
    int rc = accounts_get(l, &deferred, &revenue, e);
    if (rc < 0 || !amount || (rc = batch_txn(l, &(struct movement){"reserve", &none, deferred, revenue, amount, 0}, &txn, e)) < 0)
        return rc;
    return line_add(l, r, hour_us, 0, amount, txn, e);
}

/* ---- its hours ---- */

static int charge_add(struct ledger *l, const struct reservation *r, int64_t hour_us, int64_t amount, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db, SQL("INSERT INTO reservation_charge (reservation_id, hour_us, amount) VALUES (?1, ?2, ?3)"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, r->id), stmt_i64(s, 2, hour_us), stmt_i64(s, 3, amount);
    return stmt_run(s, e);
}

/* Its credit has ended: so does it, with the hour before. */
static int lapse(struct ledger *l, struct reservation *r, int64_t amount, struct err *e)
{
    char text[MONEY_TEXT_MAX], object[64], detail[256];
    money_text(text, (struct money){amount});
    ASSERT(str_fmt(object, sizeof object, "reservation %lld", (long long)r->id));
    (void)str_fmt(detail, sizeof detail, "account %.100s has no %s %s for its next hour", r->org->name, text, l->currency);
    log_line(LOG_WARN, "reservation", "reservation %lld of %s has lapsed: the account has no %s %s for the next hour", (long long)r->id, r->org->name,
             text, l->currency);
    int rc = reservation_deed(l, r->id, r->due_us, "lapsed", 0, e);
    if (rc == 0)
        r->ended_us = r->due_us;
    return rc < 0 ? rc : event_by(l, "sluice", "reservation.lapsed", object, detail, e);
}

static int charge(struct ledger *l, struct reservation *r, struct err *e)
{
    const int64_t hour = r->due_us, amount = reservation_amount(r, hour);
    bool paid = true;
    l->moved = true;
    int rc = r->upfront ? earn(l, r, hour, amount, e) : reservation_pay(l, r, hour, amount, 0, &paid, e);
    if (rc == 0)
        rc = paid ? charge_add(l, r, hour, amount, e) : lapse(l, r, amount, e);
    if (rc == 0 && paid)
        r->due_us += HOUR_US;
    return rc;
}

int reservation_due(struct ledger *l, int64_t *next, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < l->reserved.list.n && rc == 0; i++) {
        struct reservation *r = l->reserved.list.p[i];
        while (rc == 0 && r->due_us <= l->now_us && r->due_us < reservation_end(r))
            l->deed = true, rc = charge(l, r, e);
        if (r->due_us < reservation_end(r) && r->due_us < *next)
            *next = r->due_us;
    }
    return rc;
}
