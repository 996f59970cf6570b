/* Prices: what a version makes of quantities, and which version is in force. Setting and ending them: price_set.c. */
#include "ledger/ledger_int.h"

#include "base/clock.h"

#include <string.h>

const struct meter_kind meters[METER_COUNT] = {
#define METER(id, name, unit, per, rate, scope) {name, unit, rate, per, SCOPE_##scope},
#include "ledger/meter.def"
#undef METER
};

bool meter_find(struct str name, enum meter *out)
{
    for (int i = 0; i < METER_COUNT; i++)
        if (str_eqz(name, meters[i].name)) {
            *out = (enum meter)i;
            return true;
        }
    return false;
}

bool scope_find(struct str name, enum scope *out)
{
    for (int i = SCOPE_INFERENCE; i < SCOPE_COUNT; i++)
        if (str_eqz(name, scope_names[i])) {
            *out = (enum scope)i;
            return true;
        }
    return false;
}

void quantities_of(struct quantities *out, enum scope scope, const struct usage_counts *c)
{
    uint64_t prompt = (uint64_t)c->input + c->cache_read + c->cache_write;
    *out = (struct quantities){0};
    if (scope == SCOPE_EMBEDDINGS)
        out->of[METER_EMBEDDING] = prompt + c->output + c->reasoning;
    else
        out->of[METER_INPUT] = c->input, out->of[METER_CACHE_READ] = c->cache_read, out->of[METER_CACHE_WRITE] = c->cache_write,
        out->of[METER_OUTPUT] = c->output, out->of[METER_REASONING] = c->reasoning;
}

/* ---- which version ---- */

struct book_key {
    int64_t org;
    char text[PRICE_MODEL_MAX + LEDGER_TIER_MAX]; /* tier NUL model */
};

static bool book_key(struct book_key *k, struct str *out, const char *model, const char *tier, int64_t org)
{
    size_t nt = strlen(tier) + 1, nm = strlen(model);
    if (nt > LEDGER_TIER_MAX || nm >= PRICE_MODEL_MAX)
        return false;
    k->org = org;
    memcpy(k->text, tier, nt), memcpy(k->text + nt, model, nm);
    *out = (struct str){(const char *)k, offsetof(struct book_key, text) + nt + nm};
    return true;
}

struct price *price_book(const struct ledger *l, const char *model, const char *tier, int64_t org)
{
    struct book_key k;
    struct str key;
    union map_value v;
    return book_key(&k, &key, model, tier, org) && map_get(&l->prices, key, &v) ? v.ptr : NULL;
}

static bool later(const struct price *a, const struct price *b)
{
    return a->effective_us > b->effective_us || (a->effective_us == b->effective_us && a->version > b->version);
}

/* Into its book, in order, and under its id. */
bool price_book_add(struct ledger *l, struct price *p)
{
    struct book_key k;
    struct str key;
    struct price *head = price_book(l, p->model, p->tier, p->org);
    if (!map_set(&l->prices_by_id, ID_KEY(p->id), (union map_value){.ptr = p}))
        return false;
    if (!head || later(p, head)) {
        p->older = head;
        if (book_key(&k, &key, p->model, p->tier, p->org) && map_set(&l->prices, key, (union map_value){.ptr = p}))
            return true;
        map_del(&l->prices_by_id, ID_KEY(p->id), NULL);
        return false;
    }
    while (head->older && later(head->older, p))
        head = head->older;
    p->older = head->older;
    head->older = p;
    return true;
}

const struct price *price_at(const struct price *p, int64_t now_us)
{
    while (p && ((p->effective_us > now_us && !p->at_once) || p->end_us <= now_us || p->end_us <= p->effective_us ||
                 (p->until_us && p->until_us <= now_us)))
        p = p->older;
    return p;
}

const struct price *price_find(const struct ledger *l, const char *model)
{
    return price_at(price_book(l, model, LEDGER_TIER_STANDARD, 0), clock_now_us());
}

bool price_sells(const struct price *p, enum scope scope)
{
    bool all = true, any = false;
    for (int i = 0; i < METER_COUNT; i++)
        if (meters[i].scope == scope)
            all &= p->step[0].rate[i] != PRICE_NO_RATE, any |= p->step[0].rate[i] != PRICE_NO_RATE;
    return scope == SCOPE_TRAINING || scope == SCOPE_STORAGE ? any : all; /* a job names the meters that it needs */
}

const struct price *price_pick(const struct ledger *l, const char *model, const char *tier, int64_t org, enum scope scope, int64_t now_us,
                               const struct price **list)
{
    const char *const tiers[] = {tier, LEDGER_TIER_STANDARD};
    for (int i = strcmp(tier, LEDGER_TIER_STANDARD) == 0; i < 2; i++) {
        const struct price *p = price_at(price_book(l, model, tiers[i], org), now_us), *of_list = price_at(price_book(l, model, tiers[i], 0), now_us);
        p = p && price_sells(p, scope) ? p : NULL;
        of_list = of_list && price_sells(of_list, scope) ? of_list : NULL;
        *list = of_list ? of_list : p;
        if (*list)
            return p ? p : of_list;
    }
    return NULL;
}

bool ledger_price_known(struct ledger *l, const char *model)
{
    mutex_lock(&l->lock);
    const struct price *p = price_find(l, model);
    bool known = p && (price_sells(p, SCOPE_INFERENCE) || price_sells(p, SCOPE_EMBEDDINGS));
    mutex_unlock(&l->lock);
    return known;
}

/* ---- what it comes to ---- */

const struct price_step *price_step_of(const struct price *p, const struct quantities *q)
{
    uint64_t input = q->of[METER_INPUT] + q->of[METER_CACHE_READ] + q->of[METER_CACHE_WRITE];
    size_t i = p->n_steps ? p->n_steps - 1 : 0;
    while (i > 0 && p->step[i].from > input)
        i--;
    return &p->step[i];
}

static int64_t most_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Every prompt token at the dearest prompt meter, every other at the dearest of the rest. A bill that is split over more meters may round up to
 * one nano-unit a meter higher; the charge is then cut to the hold. */
static bool step_most(const int64_t rate[METER_COUNT], enum scope scope, uint32_t input, uint32_t output, int64_t *out)
{
    struct money in, o, sum;
    struct money dear_in = {most_of(rate[METER_INPUT], most_of(rate[METER_CACHE_READ], rate[METER_CACHE_WRITE]))};
    struct money dear_out = {most_of(rate[METER_OUTPUT], rate[METER_REASONING])};
    if (scope == SCOPE_EMBEDDINGS)
        dear_in.nano = dear_out.nano = rate[METER_EMBEDDING];
    if (!money_price(input, dear_in, &in) || !money_price(output, dear_out, &o) || !money_add(in, o, &sum))
        return false;
    *out = sum.nano;
    return true;
}

/* A request that ends early has had less input and may fall into a lower step, which somebody may have made the dearer one. */
bool price_most(const struct price *p, enum scope scope, uint32_t input, uint32_t output, int64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < p->n_steps && (i == 0 || p->step[i].from <= input); i++) {
        int64_t most;
        if (!step_most(p->step[i].rate, scope, input, output, &most))
            return false;
        *out = most_of(*out, most);
    }
    return true;
}

int64_t price_list(const struct price *p, const struct quantities *q)
{
    const int64_t *rate = price_step_of(p, q)->rate;
    struct money sum = {0}, part;
    for (int i = 0; i < METER_COUNT; i++)
        if (q->of[i] && (!money_rate(q->of[i], (struct money){most_of(rate[i], 0)}, meters[i].per, &part) || !money_add(sum, part, &sum)))
            return INT64_MAX;
    return sum.nano;
}

/* ---- from the rows ---- */

bool price_rate_add(struct price *p, struct str meter, int64_t from, int64_t rate)
{
    enum meter m;
    if (!meter_find(meter, &m) || from < 0 || from > UINT32_MAX || (!p->n_steps && from))
        return false;
    if (!p->n_steps || p->step[p->n_steps - 1].from != (uint32_t)from) {
        if (p->n_steps == PRICE_TIERS_MAX || (p->n_steps && p->step[p->n_steps - 1].from > (uint32_t)from))
            return false;
        p->step[p->n_steps].from = (uint32_t)from;
        for (int i = 0; i < METER_COUNT; i++)
            p->step[p->n_steps].rate[i] = PRICE_NO_RATE;
        p->n_steps++;
    }
    p->step[p->n_steps - 1].rate[m] = rate;
    return true;
}

int price_read(struct price *out, struct db *d, int64_t id, struct err *e)
{
    struct stmt *s;
    bool row = true;
    *out = (struct price){.id = id, .end_us = INT64_MAX};
    int rc = stmt_get(&s, d, SQL("SELECT meter, from_tokens, rate FROM price_rate WHERE price_id = ?1 ORDER BY from_tokens, meter"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, id);
    while ((rc = stmt_step(s, &row, e)) == 0 && row)
        if (!price_rate_add(out, stmt_col_str(s, 0), stmt_col_i64(s, 1), stmt_col_i64(s, 2)))
            out->n_steps = PRICE_TIERS_MAX; /* no sense in it: every figure will differ */
    stmt_put(s);
    if (!out->n_steps) { /* a price without rates sells nothing */
        out->n_steps = 1;
        for (int i = 0; i < METER_COUNT; i++)
            out->step[0].rate[i] = PRICE_NO_RATE;
    }
    return rc;
}
