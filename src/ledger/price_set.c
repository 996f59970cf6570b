/* Setting a price: a new version of a book, now or from a day to come; ending one. What is written is never changed. */
#include "ledger/ledger_int.h"

#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

struct set_args {
    const struct price_new *in;
    struct price *made;
    int64_t id;
};

/* ---- the rates ---- */

static int bad_rate(const char *meter, const char *why, struct err *e)
{
    return err_param(e, ERR_BAD_VALUE, meter, "ledger: the price of %.64s %s", meter, why);
}

/* The step that begins at `from`, made in order; NULL: there are too many. */
static struct price_step *step_get(struct price *p, uint32_t from)
{
    size_t i = 0;
    while (i < p->n_steps && p->step[i].from < from)
        i++;
    if (i < p->n_steps && p->step[i].from == from)
        return &p->step[i];
    if (p->n_steps == PRICE_TIERS_MAX)
        return NULL;
    memmove(&p->step[i + 1], &p->step[i], (p->n_steps - i) * sizeof *p->step);
    p->n_steps++;
    p->step[i].from = from;
    for (int k = 0; k < METER_COUNT; k++)
        p->step[i].rate[k] = PRICE_NO_RATE;
    return &p->step[i];
}

static int rate_put(struct price *p, const char *meter, uint32_t from, struct money rate, struct err *e)
{
    enum meter m;
    if (!meter_find(str_of(meter), &m))
        return err_param(e, ERR_BAD_VALUE, "meter", "ledger: '%.40s' is no meter; they are those of `sluice help price set`", meter);
    if (rate.nano < 0)
        return bad_rate(meters[m].name, "is negative; a price is 0 or more", e);
    if (from && meters[m].scope != SCOPE_INFERENCE)
        return bad_rate(meters[m].name, "does not depend on the length of an input; leave it out above a number of tokens", e);
    struct price_step *s = step_get(p, from);
    if (!s)
        return err_param(e, ERR_BAD_VALUE, "above", "ledger: a price has at most %d steps by input length", PRICE_TIERS_MAX);
    if (s->rate[m] != PRICE_NO_RATE)
        return bad_rate(meters[m].name, "is given twice for the same input length", e);
    s->rate[m] = rate.nano;
    return 0;
}

/* What is not given: cached input, cache writes and embeddings cost as much as input, reasoning as much as output; above a number of tokens, as
 * much as below it. */
static int rates_fill(struct price *p, struct err *e)
{
    static const struct {
        enum meter m, as;
    } defaults[] = {
        {METER_CACHE_READ, METER_INPUT}, {METER_CACHE_WRITE, METER_INPUT}, {METER_REASONING, METER_OUTPUT}, {METER_EMBEDDING, METER_INPUT}};
    if (p->n_steps && p->step[0].from)
        return err_param(e, ERR_BAD_VALUE, "above", "ledger: there is a price above %u tokens and none below; give --input and --output too",
                         p->step[0].from);
    for (size_t i = 1; i < p->n_steps; i++)
        for (int m = 0; m < METER_COUNT; m++) {
            if (p->step[i].rate[m] == PRICE_NO_RATE && meters[m].scope == SCOPE_INFERENCE)
                p->step[i].rate[m] = p->step[i - 1].rate[m];
            else if (p->step[i].rate[m] != PRICE_NO_RATE && p->step[0].rate[METER_INPUT] == PRICE_NO_RATE)
                return bad_rate(meters[m].name, "is given for long inputs alone", e);
        }
    for (size_t i = 0; i < p->n_steps; i++) {
        int64_t *r = p->step[i].rate;
        if ((r[METER_INPUT] == PRICE_NO_RATE) != (r[METER_OUTPUT] == PRICE_NO_RATE))
            return bad_rate(r[METER_INPUT] == PRICE_NO_RATE ? "input" : "output", "is missing; input and output go together", e);
        for (size_t k = 0; k < sizeof defaults / sizeof *defaults; k++)
            if (r[defaults[k].m] == PRICE_NO_RATE && (i == 0 || meters[defaults[k].m].scope == SCOPE_INFERENCE))
                r[defaults[k].m] = r[defaults[k].as];
        if (r[METER_INPUT] == PRICE_NO_RATE && (r[METER_CACHE_READ] & r[METER_CACHE_WRITE] & r[METER_REASONING]) != PRICE_NO_RATE)
            return bad_rate("input", "is missing; cached input and reasoning are sold with input and output", e);
    }
    return 0;
}

static int rates_make(struct price *p, const struct price_new *in, struct err *e)
{
    const struct price_rate simple[] = {{"input", 0, in->input},
                                        {"cache_read", 0, in->cache_read},
                                        {"cache_write", 0, in->cache_write},
                                        {"output", 0, in->output},
                                        {"reasoning", 0, in->reasoning}};
    const struct price_rate *rates = in->rates ? in->rates : simple;
    size_t n = in->rates ? in->n_rates : sizeof simple / sizeof *simple;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = rate_put(p, rates[i].meter, rates[i].from_tokens, rates[i].rate, e);
    if (rc == 0 && !p->n_steps)
        rc = err_param(e, ERR_BAD_VALUE, "input", "ledger: a price names no meter; give --input and --output, or what else is sold");
    return rc < 0 ? rc : rates_fill(p, e);
}

/* ---- the version ---- */

static bool over(const struct price *p)
{
    return p->end_us <= p->effective_us;
}

static int64_t stop_of(const struct price *p)
{
    int64_t until = p->until_us ? p->until_us : INT64_MAX;
    return p->end_us < until ? p->end_us : until;
}

static int overlap(const struct price *v, const char *how, struct err *e)
{
    char from[32], until[32];
    clock_iso(from, v->effective_us);
    if (v->until_us)
        clock_iso(until, v->until_us);
    return err_param(
        e, ERR_CONFLICT, "from",
        "ledger: version %d of this price (from %s%s%s) overlaps: %s; choose another time, or take it back first: sluice price end %.100s "
        "--version %d",
        v->version, from, v->until_us ? " until " : "", v->until_us ? until : "", how, v->model, v->version);
}

/* Whether p fits into its book: no two begin at once, and those with an end lie apart or one within the other's open time. */
static int fits(const struct price *book, const struct price *p, struct err *e)
{
    for (const struct price *v = book; v; v = v->older) {
        if (over(v))
            continue;
        if (v->effective_us == p->effective_us)
            return overlap(v, "both would begin at the same moment", e);
        if (v->until_us && v->effective_us < p->effective_us && p->effective_us < stop_of(v))
            return overlap(v, "it has an end, and the new one would begin before it", e);
        if (p->until_us && p->effective_us < v->effective_us && v->effective_us < p->until_us)
            return overlap(v, "it begins before the new one ends", e);
    }
    return 0;
}

static int rates_add(struct ledger *l, const struct price *p, struct err *e)
{
    for (size_t i = 0; i < p->n_steps; i++)
        for (int m = 0; m < METER_COUNT; m++) {
            struct stmt *s;
            if (p->step[i].rate[m] == PRICE_NO_RATE)
                continue;
            int rc = stmt_get(&s, l->db, SQL("INSERT INTO price_rate (price_id, meter, from_tokens, rate) VALUES (?1, ?2, ?3, ?4)"), e);
            if (rc < 0)
                return rc;
            stmt_i64(s, 1, p->id), stmt_text(s, 2, meters[m].name), stmt_i64(s, 3, p->step[i].from), stmt_i64(s, 4, p->step[i].rate[m]);
            if ((rc = stmt_run(s, e)) < 0)
                return rc;
        }
    return 0;
}

static int price_insert(struct ledger *l, struct price *p, const char *actor, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc =
        stmt_get(&s, l->db,
                 SQL("INSERT INTO price (model, tier, org_id, version, currency, effective_us, until_us, created_us, created_by) VALUES (?1, ?2, ?3, "
                     "(SELECT coalesce(max(version), 0) + 1 FROM price WHERE model = ?1 AND tier = ?2 AND org_id = ?3), ?4, ?5, ?6, ?7, ?8) "
                     "RETURNING id, version"),
                 e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, p->model), stmt_text(s, 2, p->tier), stmt_i64(s, 3, p->org), stmt_text(s, 4, l->currency), stmt_i64(s, 5, p->effective_us);
    stmt_i64(s, 6, p->until_us), stmt_i64(s, 7, p->at_once ? p->effective_us : l->now_us), stmt_text(s, 8, actor);
    rc = stmt_step(s, &row, e);
    if (rc == 0 && row)
        p->id = stmt_col_i64(s, 0), p->version = (int)stmt_col_i64(s, 1);
    stmt_put(s);
    return rc < 0 ? rc : rates_add(l, p, e);
}

static void describe(struct buf *b, const struct ledger *l, const struct price *p)
{
    char from[32], until[32] = "-";
    struct org *o = p->org ? org_find(l, p->org) : NULL;
    clock_iso(from, p->effective_us);
    if (p->until_us)
        clock_iso(until, p->until_us);
    buf_fmt(b, "version %d tier %s account %s from %s until %s", p->version, p->tier, o ? o->name : "-", from, until);
    for (size_t i = 0; i < p->n_steps; i++) {
        if (i)
            buf_fmt(b, " above %u", p->step[i].from);
        for (int m = 0; m < METER_COUNT; m++)
            if (p->step[i].rate[m] != PRICE_NO_RATE)
                buf_fmt(b, " %s %lld", meters[m].name, (long long)p->step[i].rate[m]);
    }
}

static int note(struct ledger *l, const char *actor, const struct price *p, struct err *e)
{
    struct buf detail;
    buf_init(&detail, 0);
    describe(&detail, l, p);
    int rc = detail.failed ? err_set(e, ERR_NO_MEMORY, "ledger: no memory for a price") : event_by(l, actor, "price.set", p->model, detail.data, e);
    buf_deinit(&detail);
    return rc;
}

/* When it begins: at once, also when the clock has gone back since the last one did; or as it was asked: never before now, so that no request that
 * has ended would have cost something else. */
static int begins(struct ledger *l, struct price *p, const struct price_new *in, struct err *e)
{
    char from[32];
    p->at_once = !in->from_us;
    p->effective_us = in->from_us ? in->from_us : l->now_us;
    for (const struct price *v = price_book(l, p->model, p->tier, p->org); p->at_once && v; v = v->older)
        if (v->at_once && v->effective_us >= p->effective_us)
            p->effective_us = v->effective_us + 1;
    p->until_us = in->until_us;
    clock_iso(from, p->effective_us);
    if (p->effective_us < l->now_us)
        return err_param(
            e, ERR_BAD_VALUE, "from",
            "ledger: a price from %s would change what requests have cost; a price begins now or later (what was charged is given back by "
            "`sluice refund`)",
            from);
    if (p->until_us && p->until_us <= p->effective_us)
        return err_param(e, ERR_BAD_VALUE, "until", "ledger: a price from %s ends before it begins; give a later end", from);
    return 0;
}

static int set_call(struct ledger *l, void *arg, struct err *e)
{
    struct set_args *a = arg;
    struct price *p = a->made;
    const char *actor = a->in->actor ? a->in->actor : "admin";
    int rc = begins(l, p, a->in, e);
    if (rc < 0)
        return rc;
    if (p->org && !org_find(l, p->org))
        return err_param(e, ERR_NOT_FOUND, "account", "ledger: there is no account %lld; see `sluice account list`", (long long)p->org);
    if (p->org && !price_book(l, p->model, p->tier, 0) && !price_book(l, p->model, LEDGER_TIER_STANDARD, 0))
        return err_param(
            e, ERR_NOT_FOUND, "model",
            "ledger: %.100s has no list price, beside which a contract is shown; set it first: sluice price set %.100s --input X --output Y",
            p->model, p->model);
    if ((rc = fits(price_book(l, p->model, p->tier, p->org), p, e)) < 0)
        return rc;
    if ((rc = price_insert(l, p, actor, e)) < 0 || (rc = note(l, actor, p, e)) < 0)
        return rc;
    mutex_lock(&l->lock);
    bool ok = price_book_add(l, p);
    mutex_unlock(&l->lock);
    if (!ok)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a price");
    a->id = p->id;
    a->made = NULL; /* the maps own it */
    return 0;
}

static bool tier_ok(const char *tier)
{
    size_t n = strlen(tier);
    return n && n < LEDGER_TIER_MAX && strspn(tier, "abcdefghijklmnopqrstuvwxyz0123456789_-") == n;
}

static int head_make(struct price *p, const struct price_new *in, struct err *e)
{
    const char *tier = in->tier ? in->tier : LEDGER_TIER_STANDARD;
    size_t n = in->model ? strlen(in->model) : 0;
    if (!n || n >= LEDGER_MODEL_MAX || !utf8_valid(in->model, n))
        return err_param(e, ERR_BAD_VALUE, "model", "ledger: a model's name has 1 to %d bytes of UTF-8", LEDGER_MODEL_MAX - 1);
    if (!tier_ok(tier))
        return err_param(e, ERR_BAD_VALUE, "tier", "ledger: a tier's name has 1 to %d small letters, digits, - and _", LEDGER_TIER_MAX - 1);
    if (in->from_us < 0 || in->until_us < 0)
        return err_param(e, ERR_BAD_VALUE, in->from_us < 0 ? "from" : "until", "ledger: a time before 1970");
    memcpy(p->model, in->model, n), memcpy(p->tier, tier, strlen(tier));
    p->org = in->org.v, p->end_us = INT64_MAX;
    return 0;
}

int price_make(struct price *p, const struct price_new *in, struct err *e)
{
    *p = (struct price){0};
    int rc = head_make(p, in, e);
    return rc < 0 ? rc : rates_make(p, in, e);
}

int ledger_price_set(struct ledger *l, const struct price_new *in, struct price_id *out, struct err *e)
{
    struct price *p = mem_new(sizeof *p);
    if (!p)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a price");
    struct set_args a = {in, p, 0};
    int rc = price_make(p, in, e);
    if (rc == 0)
        rc = queue_call(l, set_call, &a, e);
    mem_free(a.made);
    if (rc == 0 && out)
        out->v = a.id;
    return rc;
}

/* ---- ending ---- */

struct end_args {
    const struct price_end *in;
    struct price *found;
};

static int end_row(struct ledger *l, const struct price *p, int64_t at, const char *actor, struct err *e)
{
    struct stmt *s;
    char detail[160], text[32];
    int rc = stmt_get(&s, l->db, SQL("INSERT INTO price_end (price_id, end_us, created_us, created_by) VALUES (?1, ?2, ?3, ?4)"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, p->id), stmt_i64(s, 2, at), stmt_i64(s, 3, l->now_us), stmt_text(s, 4, actor);
    if ((rc = stmt_run(s, e)) < 0)
        return rc;
    clock_iso(text, at);
    ASSERT(str_fmt(detail, sizeof detail, "version %d tier %s account %lld %s", p->version, p->tier, (long long)p->org,
                   at <= p->effective_us ? "taken back" : text));
    return event_by(l, actor, "price.end", p->model, detail, e);
}

/* One that has not begun is taken back; one in force ends now or at the time that was asked. */
static int end_call(struct ledger *l, void *arg, struct err *e)
{
    struct end_args *a = arg;
    const struct price_end *in = a->in;
    struct price *p = price_book(l, in->model, in->tier ? in->tier : LEDGER_TIER_STANDARD, in->org.v);
    while (p && p->version != in->version)
        p = p->older;
    if (!p)
        return err_param(e, ERR_NOT_FOUND, "version", "ledger: %.100s has no such version %d; see `sluice price list --all`", in->model, in->version);
    int64_t at = in->at_us ? in->at_us : l->now_us;
    if (p->end_us != INT64_MAX || (p->until_us && p->until_us <= l->now_us))
        return err_param(e, ERR_CONFLICT, "version", "ledger: version %d of %.100s is over already, or somebody ended it", in->version, in->model);
    if (at < l->now_us)
        return err_param(e, ERR_BAD_VALUE, "at", "ledger: that time is over; a price ends now or later");
    if (p->effective_us > l->now_us && !p->at_once) {
        if (in->at_us)
            return err_param(e, ERR_BAD_VALUE, "at", "ledger: version %d has not begun; it can be taken back as a whole, without a time",
                             in->version);
        at = p->effective_us;
    }
    int rc = end_row(l, p, at, in->actor ? in->actor : "admin", e);
    if (rc < 0)
        return rc;
    a->found = p;
    mutex_lock(&l->lock);
    p->end_us = at;
    mutex_unlock(&l->lock);
    l->moved = true; /* memory is ahead: only a commit may follow */
    return 0;
}

int ledger_price_end(struct ledger *l, const struct price_end *in, struct err *e)
{
    struct end_args a = {in, NULL};
    if (!in->model)
        return err_param(e, ERR_BAD_VALUE, "model", "ledger: a model is missing");
    return queue_call(l, end_call, &a, e);
}
