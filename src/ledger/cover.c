/* What a reservation covers of requests. Units are thousandths of weighed tokens; those of an hour are counted in its row, where the check and the
 * charge are one statement. */
#include "ledger/ledger_int.h"

enum { OUTPUT_UNITS = 1000 };

struct usage_counts counts_less(const struct usage_counts *a, const struct usage_counts *b)
{
    return (struct usage_counts){a->input - b->input,   a->cache_read - b->cache_read, a->cache_write - b->cache_write,
                                 a->output - b->output, a->reasoning - b->reasoning,   a->accepted_draft};
}

/* As many of n tokens as the units pay for. */
static uint32_t fits(int64_t *units, int64_t each, uint32_t n)
{
    const int64_t k = !each || *units / each > n ? n : *units / each;
    *units -= k * each;
    return (uint32_t)k;
}

void cover_rest(int64_t input_weight, int64_t units, uint32_t *input, uint32_t *output)
{
    if (units <= 0)
        return;
    *input -= fits(&units, input_weight, *input);
    *output -= fits(&units, OUTPUT_UNITS, *output);
}

/* In the order in which they are computed. Cached tokens are covered where all that was computed of the prompt is. */
struct usage_counts cover_split(int64_t input_weight, int64_t units, const struct usage_counts *c, int64_t *taken)
{
    struct usage_counts v = {0};
    int64_t left = units;
    *taken = 0;
    if (units <= 0)
        return v;
    v.input = fits(&left, input_weight, c->input);
    v.cache_write = fits(&left, input_weight, c->cache_write);
    if (v.input == c->input && v.cache_write == c->cache_write)
        v.cache_read = c->cache_read;
    v.output = fits(&left, OUTPUT_UNITS, c->output);
    v.reasoning = fits(&left, OUTPUT_UNITS, c->reasoning);
    *taken = units - left;
    return v;
}

static int64_t units_of(const struct reservation *r, uint32_t input, uint32_t output)
{
    return (int64_t)input * r->input_weight + (int64_t)output * OUTPUT_UNITS;
}

/* ---- the row of an hour ---- */

static int hour_left(struct ledger *l, const struct cover *c, int64_t *left, struct err *e)
{
    struct stmt *s;
    bool row;
    *left = c->r->rate * 3600;
    int rc = stmt_get(&s, l->db, SQL("SELECT capacity - held - used FROM reservation_hour WHERE reservation_id = ?1 AND hour_us = ?2"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, c->r->id), stmt_i64(s, 2, c->hour_us);
    rc = stmt_step(s, &row, e);
    if (rc == 0 && row)
        *left = stmt_col_i64(s, 0);
    stmt_put(s);
    return rc;
}

/* More units of an hour are held: the check and the charge are one. */
static int hour_hold(struct ledger *l, const struct cover *c, int64_t units, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db,
                      SQL("INSERT INTO reservation_hour (reservation_id, hour_us, capacity, held, used) VALUES (?1, ?2, ?3, ?4, 0) "
                          "ON CONFLICT (reservation_id, hour_us) DO UPDATE SET held = reservation_hour.held + excluded.held "
                          "WHERE reservation_hour.held + reservation_hour.used + excluded.held <= reservation_hour.capacity"),
                      e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, c->r->id), stmt_i64(s, 2, c->hour_us), stmt_i64(s, 3, c->r->rate * 3600), stmt_i64(s, 4, units);
    return stmt_run(s, e);
}

static int hour_changed(struct ledger *l, const struct cover *c, struct err *e)
{
    return db_changes(l->db) == 1
               ? 0
               : err_set(e, ERR_DB, "ledger: an hour of reservation %lld is not what the store has; run `sluice audit`", (long long)c->r->id);
}

/* Gives held units back, of which so many were used. */
static int hour_settle(struct ledger *l, const struct cover *c, int64_t used, struct err *e)
{
    struct stmt *s;
    int rc =
        stmt_get(&s, l->db,
                 SQL("UPDATE reservation_hour SET held = held - ?3, used = used + ?4 WHERE reservation_id = ?1 AND hour_us = ?2 AND held >= ?3"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, c->r->id), stmt_i64(s, 2, c->hour_us), stmt_i64(s, 3, c->units), stmt_i64(s, 4, used);
    return (rc = stmt_run(s, e)) < 0 ? rc : hour_changed(l, c, e);
}

/* Up to `want` units of the hour. */
static int take(struct ledger *l, struct cover *c, int64_t want, struct err *e)
{
    int64_t left;
    int rc = hour_left(l, c, &left, e);
    c->units = rc < 0 ? 0 : want < left ? want : left;
    if (rc < 0 || !c->units || (rc = hour_hold(l, c, c->units, e)) < 0)
        return rc;
    if (db_changes(l->db) != 1) /* another node was faster */
        c->units = 0;
    return 0;
}

int cover_undo(struct ledger *l, struct cover *c, struct err *e)
{
    int rc = c->r && c->units ? hour_settle(l, c, 0, e) : 0;
    c->units = 0;
    return rc;
}

/* ---- a hold ---- */

static void refuse(struct ledger *l, const struct cover *c, int64_t want, int64_t left, struct err *e)
{
    const int64_t all = c->r->rate * 3600;
    const int64_t ms = (c->hour_us + HOUR_US - l->now_us) / 1000;
    err_set(
        e, want > all ? ERR_OVER_RATE : ERR_RATE,
        "ledger: this request may take %lld tokens (weighed) of reservation %lld, which has %lld left of the %lld of this hour and refuses what is "
        "beyond it; %s",
        (long long)(want / 1000), (long long)c->r->id, (long long)(left / 1000), (long long)(all / 1000),
        want > all ? "ask for fewer tokens, or make it larger: sluice reserve resize" : "ask for fewer tokens, or wait for the next hour");
    if (e)
        e->retry_ms = want > all ? 0 : ms > 0 && ms <= 3600000 ? (uint32_t)ms : 3600000;
}

int cover_take(struct ledger *l, struct op *op, struct org *o, uint32_t *input, uint32_t *output, bool *ok, struct err *e)
{
    *ok = true;
    op->cover = (struct cover){reservation_at(l, o, op->model, l->now_us), l->now_us / HOUR_US * HOUR_US, 0};
    const struct reservation *r = op->cover.r;
    if (!r)
        return 0;
    const int64_t want = units_of(r, *input, *output);
    int rc = take(l, &op->cover, want, e);
    if (rc == 0 && op->cover.units < want && r->refuse) {
        refuse(l, &op->cover, want, op->cover.units, &op->answer.err);
        *ok = false;
        return cover_undo(l, &op->cover, e);
    }
    if (!op->cover.units)
        op->cover.r = NULL;
    else
        cover_rest(r->input_weight, op->cover.units, input, output);
    return rc;
}

/* Units for more output tokens of a hold, from its own hour. What the journal has is told by its own records. */
int cover_more(struct ledger *l, const struct hold *h, struct op *op, struct cover *out, bool *ok, struct err *e)
{
    *ok = true;
    *out = h->cover;
    out->units = 0;
    if (!out->r || op->replay)
        return 0;
    const int64_t want = units_of(out->r, 0, op->output);
    int rc = want > 0 ? take(l, out, want, e) : 0;
    if (rc < 0 || out->units >= want || !out->r->refuse)
        return rc;
    err_set(&op->answer.err, ERR_QUOTA, "ledger: reservation %lld has fewer tokens left in the hour of this request, and refuses what is beyond it",
            (long long)out->r->id);
    *ok = false;
    return cover_undo(l, out, e);
}

bool cover_most(const struct hold *h, uint32_t output, const struct cover *more, int64_t *most)
{
    uint32_t input = h->input;
    if (h->cover.r)
        cover_rest(h->cover.r->input_weight, h->cover.units + more->units, &input, &output);
    return price_most(h->price, h->scope, input, output, most);
}

static int row_set(struct ledger *l, const struct hold *h, int64_t units, const struct usage_counts *v, int state, struct err *e)
{
    struct stmt *s;
    int rc =
        stmt_get(&s, l->db,
                 SQL("INSERT INTO cover (hold_id, reservation_id, hour_us, units, input, cache_read, cache_write, output, reasoning, state) VALUES "
                     "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (hold_id) DO UPDATE SET units = excluded.units, input = "
                     "excluded.input, cache_read = excluded.cache_read, cache_write = excluded.cache_write, output = excluded.output, "
                     "reasoning = excluded.reasoning, state = excluded.state"),
                 e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, (int64_t)h->id), stmt_i64(s, 2, h->cover.r->id), stmt_i64(s, 3, h->cover.hour_us), stmt_i64(s, 4, units);
    stmt_i64(s, 5, v->input), stmt_i64(s, 6, v->cache_read), stmt_i64(s, 7, v->cache_write), stmt_i64(s, 8, v->output);
    stmt_i64(s, 9, v->reasoning), stmt_i64(s, 10, state);
    return stmt_run(s, e);
}

int cover_row(struct ledger *l, const struct hold *h, struct err *e)
{
    return h->cover.r ? row_set(l, h, h->cover.units, &(struct usage_counts){0}, 0, e) : 0;
}

int cover_finish(struct ledger *l, const struct hold *h, struct err *e)
{
    int64_t taken;
    if (!h->cover.r)
        return 0;
    const struct usage_counts v = cover_split(h->cover.r->input_weight, h->cover.units, &h->fin.counts, &taken);
    int rc = hour_settle(l, &h->cover, taken, e);
    return rc < 0 ? rc : row_set(l, h, taken, &v, 1, e);
}

/* ---- start ---- */

/* A hold's units as the journal has them: they were granted. */
int cover_replay(struct ledger *l, struct hold *h, const struct journal_rec *r, struct err *e)
{
    struct cover c = {reservation_find(l, r->reservation), r->hour_us, r->units - h->cover.units};
    if (!c.r || c.units <= 0)
        return 0;
    int rc = hour_hold(l, &c, c.units, e);
    if (rc == 0)
        rc = hour_changed(l, &c, e);
    h->cover = (struct cover){c.r, c.hour_us, r->units};
    return rc < 0 ? rc : cover_row(l, h, e);
}

int cover_load(struct ledger *l, struct err *e)
{
    struct stmt *s;
    bool row = true;
    int rc = stmt_get(&s, l->db, SQL("SELECT hold_id, reservation_id, hour_us, units FROM cover WHERE state = 0"), e);
    if (rc < 0)
        return rc;
    while (rc == 0 && row) {
        if ((rc = stmt_step(s, &row, e)) < 0 || !row)
            break;
        struct hold *h = hold_find(l, (uint64_t)stmt_col_i64(s, 0));
        mutex_lock(&l->lock);
        if (h)
            h->cover = (struct cover){reservation_find(l, stmt_col_i64(s, 1)), stmt_col_i64(s, 2), stmt_col_i64(s, 3)};
        mutex_unlock(&l->lock);
    }
    stmt_put(s);
    return rc;
}
