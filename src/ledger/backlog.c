/* Reports of what is contracted: reservations, commitments, and the backlog by quarter. Read on the ledger thread, which has the contracts. */
#include "ledger/ledger_int.h"

#include "base/clock.h"
#include "base/json.h"

#include <string.h>

struct report {
    struct buf *out;
    const char *account; /* NULL: all */
    struct jw w;
};

static void put_money(struct jw *w, const char *key, int64_t nano)
{
    char text[MONEY_TEXT_MAX];
    money_text(text, (struct money){nano});
    jw_key(w, key), jw_str(w, text);
}

static void put_time(struct jw *w, const char *key, int64_t us)
{
    char text[32];
    clock_iso(text, us);
    jw_key(w, key), jw_str(w, us && us != INT64_MAX ? text : NULL);
}

/* Thousandths, as a decimal number. */
static void put_milli(struct jw *w, const char *key, int64_t milli)
{
    char text[32];
    (void)str_fmt(text, sizeof text, "%lld.%03lld", (long long)(milli / 1000), (long long)(milli % 1000));
    jw_key(w, key), jw_str(w, text);
}

static bool is_wanted(const struct report *r, const struct org *o)
{
    return !r->account || strcmp(r->account, o->name) == 0;
}

static int one_i64(struct ledger *l, struct sql sql, const int64_t *args, size_t n, int64_t *out, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, l->db, sql, e);
    *out = 0;
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < n; i++)
        stmt_i64(s, (int)i + 1, args[i]);
    rc = stmt_step(s, &row, e);
    if (rc == 0 && row)
        *out = stmt_col_i64(s, 0);
    stmt_put(s);
    return rc;
}

/* ---- reservations ---- */

static int why_of(struct ledger *l, const struct reservation *r, char out[32], struct err *e)
{
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, l->db, SQL("SELECT why FROM reservation_end WHERE reservation_id = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, r->id);
    rc = stmt_step(s, &row, e);
    if (rc == 0 && row)
        (void)str_fmt(out, 32, "%.*s", (int)stmt_col_str(s, 0).n, stmt_col_str(s, 0).p);
    stmt_put(s);
    return rc;
}

static int state_of(struct ledger *l, const struct reservation *r, char out[32], struct err *e)
{
    const char *state = l->now_us < r->from_us ? "waits" : l->now_us < reservation_end(r) ? "live" : "ended";
    (void)str_fmt(out, 32, "%s", state);
    return r->ended_us && l->now_us >= r->ended_us ? why_of(l, r, out, e) : 0;
}

static int put_reservation(struct ledger *l, struct jw *w, const struct reservation *r, struct err *e)
{
    const int64_t args[] = {r->id, l->now_us / HOUR_US * HOUR_US};
    int64_t used, held, charged;
    char state[32];
    int rc = one_i64(l, SQL("SELECT used FROM reservation_hour WHERE reservation_id = ?1 AND hour_us = ?2"), args, 2, &used, e);
    if (rc == 0)
        rc = one_i64(l, SQL("SELECT held FROM reservation_hour WHERE reservation_id = ?1 AND hour_us = ?2"), args, 2, &held, e);
    if (rc == 0)
        rc = one_i64(l, SQL("SELECT CAST(coalesce(sum(amount), 0) AS BIGINT) FROM reservation_charge WHERE reservation_id = ?1"), args, 1, &charged,
                     e);
    if (rc < 0 || (rc = state_of(l, r, state, e)) < 0)
        return rc;
    jw_obj(w);
    jw_key(w, "reservation"), jw_i64(w, r->id);
    jw_key(w, "account"), jw_str(w, r->org->name);
    jw_key(w, "model"), jw_str(w, r->model);
    put_milli(w, "tokens_per_second", r->rate), put_milli(w, "input_weight", r->input_weight);
    jw_key(w, "state"), jw_str(w, state);
    put_time(w, "from", r->from_us), put_time(w, "to", reservation_end(r));
    put_money(w, "price", r->price);
    jw_key(w, "period"), jw_str(w, reserve_period_names[r->period]);
    jw_key(w, "spill"), jw_str(w, r->refuse ? "refuse" : "metered");
    put_money(w, "upfront", r->upfront), put_money(w, "charged", charged);
    jw_key(w, "currency"), jw_str(w, l->currency);
    put_milli(w, "hour_tokens", r->rate * 3600), put_milli(w, "hour_used", used), put_milli(w, "hour_held", held);
    jw_key(w, "replaces"), r->replaces ? jw_i64(w, r->replaces) : jw_null(w);
    jw_obj_end(w);
    return 0;
}

static int reservations(struct ledger *l, void *arg, struct err *e)
{
    struct report *r = arg;
    int rc = 0;
    jw_init(&r->w, r->out);
    jw_arr(&r->w);
    for (size_t i = 0; i < l->reserved.list.n && rc == 0; i++)
        if (is_wanted(r, l->reserved.list.p[i]->org))
            rc = put_reservation(l, &r->w, l->reserved.list.p[i], e);
    jw_arr_end(&r->w);
    return rc;
}

/* ---- commitments ---- */

static int drawn_in(struct ledger *l, const struct org *o, int64_t from_us, int64_t to_us, int64_t *out, struct err *e)
{
    return one_i64(l, SQL("SELECT CAST(coalesce(sum(charged), 0) AS BIGINT) FROM usage WHERE org_id = ?1 AND end_us >= ?2 AND end_us < ?3"),
                   (int64_t[]){o->id, from_us, to_us}, 3, out, e);
}

/* A row for each period that has begun. */
static int put_commitment(struct ledger *l, struct jw *w, const struct commitment *c, struct err *e)
{
    int rc = 0;
    for (int64_t from = c->from_us, to; rc == 0 && from < c->to_us && (from <= l->now_us || from == c->from_us); from = to) {
        int64_t drawn, shortfall;
        to = commitment_next(c, from);
        rc = drawn_in(l, c->org, from, to, &drawn, e);
        if (rc == 0)
            rc = one_i64(l, SQL("SELECT shortfall FROM commitment_period WHERE commitment_id = ?1 AND from_us = ?2"), (int64_t[]){c->id, from}, 2,
                         &shortfall, e);
        if (rc < 0)
            break;
        jw_obj(w);
        jw_key(w, "commitment"), jw_i64(w, c->id);
        jw_key(w, "account"), jw_str(w, c->org->name);
        jw_key(w, "name"), jw_str(w, c->name);
        jw_key(w, "period"), jw_str(w, commit_period_names[c->period]);
        put_time(w, "from", from), put_time(w, "to", to);
        put_money(w, "committed", c->amount), put_money(w, "drawn", drawn);
        put_money(w, "left", drawn + shortfall < c->amount ? c->amount - drawn - shortfall : 0), put_money(w, "shortfall", shortfall);
        jw_key(w, "currency"), jw_str(w, l->currency);
        jw_key(w, "state"), jw_str(w, from > l->now_us ? "waits" : from < c->due_us ? "billed" : "open");
        jw_obj_end(w);
    }
    return rc;
}

static int commitments(struct ledger *l, void *arg, struct err *e)
{
    struct report *r = arg;
    int rc = 0;
    jw_init(&r->w, r->out);
    jw_arr(&r->w);
    for (size_t i = 0; i < l->reserved.commitments.n && rc == 0; i++)
        if (is_wanted(r, l->reserved.commitments.p[i]->org))
            rc = put_commitment(l, &r->w, l->reserved.commitments.p[i], e);
    jw_arr_end(&r->w);
    return rc;
}

/* ---- the backlog ---- */

struct slice { /* of a contract, in a quarter */
    int64_t quarter_us, recognised, remaining;
};
struct slices VEC(struct slice);

static struct slice *slice_at(struct slices *v, int64_t us)
{
    const int64_t quarter = quarter_begin(us);
    size_t i = 0;
    while (i < v->n && v->p[i].quarter_us < quarter)
        i++;
    if (i < v->n && v->p[i].quarter_us == quarter)
        return &v->p[i];
    if (!vec_reserve(v, v->n + 1))
        return NULL;
    memmove(&v->p[i + 1], &v->p[i], (v->n++ - i) * sizeof *v->p);
    v->p[i] = (struct slice){.quarter_us = quarter};
    return &v->p[i];
}

static int add(struct slices *v, int64_t us, int64_t recognised, int64_t remaining, struct err *e)
{
    struct slice *s = recognised || remaining ? slice_at(v, us) : NULL;
    if (s)
        s->recognised += recognised, s->remaining += remaining;
    return s || !(recognised || remaining) ? 0 : err_set(e, ERR_NO_MEMORY, "ledger: no memory for a report");
}

/* One with an end: its hours, as they are charged. Without an end nothing is contracted beyond the running hour. */
static int of_reservation(struct slices *v, const struct reservation *r, struct err *e)
{
    const int64_t end = reservation_end(r) < INT64_MAX ? reservation_end(r) : r->due_us;
    int rc = 0;
    for (int64_t h = r->from_us; h < end && rc == 0; h += HOUR_US) {
        const int64_t n = reservation_amount(r, h);
        rc = add(v, h, h < r->due_us ? n : 0, h < r->due_us ? 0 : n, e);
    }
    return rc;
}

/* amount over [from, to), evenly by time, to quarters. */
static int spread(struct slices *v, int64_t amount, int64_t from_us, int64_t to_us, struct err *e)
{
    int64_t given = 0;
    int rc = 0;
    for (int64_t at = from_us, next; at < to_us && rc == 0; at = next) {
        next = month_add(quarter_begin(at), 3);
        next = next < to_us ? next : to_us;
        const int64_t until = (int64_t)((__int128)amount * (next - from_us) / (to_us - from_us));
        rc = add(v, at, 0, until - given, e);
        given = until;
    }
    return rc;
}

/* A period: what was drawn, quarter by quarter, up to the amount; the shortfall in its last quarter; what is left over the rest of it. */
static int of_period(struct ledger *l, struct slices *v, const struct commitment *c, int64_t from_us, int64_t to_us, struct err *e)
{
    int64_t left = c->amount, drawn;
    int rc = 0;
    for (int64_t at = from_us, next; at < to_us && at <= l->now_us && rc == 0; at = next) {
        next = month_add(quarter_begin(at), 3);
        next = next < to_us ? next : to_us;
        if ((rc = drawn_in(l, c->org, at, next, &drawn, e)) < 0)
            break;
        drawn = drawn < left ? drawn : left;
        left -= drawn;
        rc = add(v, at, drawn, 0, e);
    }
    if (rc < 0 || !left)
        return rc;
    if (from_us < c->due_us)
        return add(v, to_us - 1, left, 0, e); /* billed */
    const int64_t rest = l->now_us <= from_us ? from_us : l->now_us < to_us ? l->now_us : to_us - 1;
    return spread(v, left, rest, to_us, e);
}

static int of_commitment(struct ledger *l, struct slices *v, const struct commitment *c, struct err *e)
{
    int rc = 0;
    for (int64_t from = c->from_us, to; from < c->to_us && rc == 0; from = to) {
        to = commitment_next(c, from);
        rc = of_period(l, v, c, from, to, e);
    }
    return rc;
}

static void put_row(const struct ledger *l, struct jw *w, const char *quarter, const char *account, const char *kind, int64_t id, int64_t recognised,
                    int64_t remaining)
{
    jw_obj(w);
    jw_key(w, "quarter"), jw_str(w, quarter);
    jw_key(w, "account"), jw_str(w, account);
    jw_key(w, "contract"), jw_str(w, kind);
    jw_key(w, "id"), id ? jw_i64(w, id) : jw_null(w);
    put_money(w, "contracted", recognised + remaining), put_money(w, "recognised", recognised), put_money(w, "remaining", remaining);
    jw_key(w, "currency"), jw_str(w, l->currency);
    jw_obj_end(w);
}

/* Writes the contract's quarters and adds them to the sums; empties v. */
static int put_contract(struct ledger *l, struct report *r, struct slices *v, struct slices *sums, const struct org *o, const char *kind, int64_t id,
                        struct err *e)
{
    char quarter[8];
    int rc = 0;
    for (size_t i = 0; i < v->n && rc == 0; i++) {
        const struct slice *s = &v->p[i];
        quarter_text(quarter, s->quarter_us);
        put_row(l, &r->w, quarter, o->name, kind, id, s->recognised, s->remaining);
        rc = add(sums, s->quarter_us, s->recognised, s->remaining, e);
    }
    v->n = 0;
    return rc;
}

static int contracts(struct ledger *l, struct report *r, struct slices *v, struct slices *sums, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < l->reserved.list.n && rc == 0; i++) {
        const struct reservation *x = l->reserved.list.p[i];
        if (is_wanted(r, x->org) && (rc = of_reservation(v, x, e)) == 0)
            rc = put_contract(l, r, v, sums, x->org, "reservation", x->id, e);
    }
    for (size_t i = 0; i < l->reserved.commitments.n && rc == 0; i++) {
        const struct commitment *x = l->reserved.commitments.p[i];
        if (is_wanted(r, x->org) && (rc = of_commitment(l, v, x, e)) == 0)
            rc = put_contract(l, r, v, sums, x->org, "commitment", x->id, e);
    }
    return rc;
}

static int backlog(struct ledger *l, void *arg, struct err *e)
{
    struct report *r = arg;
    struct slices v = {0}, sums = {0};
    struct slice all = {0};
    char quarter[8];
    jw_init(&r->w, r->out);
    jw_arr(&r->w);
    int rc = contracts(l, r, &v, &sums, e);
    for (size_t i = 0; i < sums.n && rc == 0; i++) {
        quarter_text(quarter, sums.p[i].quarter_us);
        put_row(l, &r->w, quarter, "all", "all", 0, sums.p[i].recognised, sums.p[i].remaining);
        all.recognised += sums.p[i].recognised, all.remaining += sums.p[i].remaining;
    }
    if (rc == 0)
        put_row(l, &r->w, "all", "all", "all", 0, all.recognised, all.remaining);
    jw_arr_end(&r->w);
    vec_deinit(&v), vec_deinit(&sums);
    return rc;
}

static int report(struct ledger *l, const char *account, struct buf *out, int (*fn)(struct ledger *, void *, struct err *), struct err *e)
{
    struct report r = {.out = out, .account = account};
    struct org_id id;
    int rc = account ? ledger_account_find(l, account, &id, e) : 0;
    if (rc == 0)
        rc = queue_call(l, fn, &r, e);
    return rc == 0 && out->failed ? err_set(e, ERR_NO_MEMORY, "ledger: the report is too large; name an account") : rc;
}

int ledger_report_reservations(struct ledger *l, const char *account, struct buf *out, struct err *e)
{
    return report(l, account, out, reservations, e);
}

int ledger_report_commitments(struct ledger *l, const char *account, struct buf *out, struct err *e)
{
    return report(l, account, out, commitments, e);
}

int ledger_report_backlog(struct ledger *l, const char *account, struct buf *out, struct err *e)
{
    return report(l, account, out, backlog, e);
}
