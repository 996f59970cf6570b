/* Prices: immutable versions, looked up by alias; and the two sums that are made of them. */
#include "ledger/ledger_int.h"

#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

const char *const meter_names[METER_COUNT] = {"input", "cache_read", "cache_write", "output", "reasoning"};

/* The newest price of the alias; NULL when there is none. Under lock, or on the ledger thread. */
struct price *price_find(const struct ledger *l, const char *model)
{
    union map_value v;
    return map_get(&l->prices, str_of(model), &v) ? v.ptr : NULL;
}

bool ledger_price_known(struct ledger *l, const char *model)
{
    mutex_lock(&l->lock);
    bool known = price_find(l, model) != NULL;
    mutex_unlock(&l->lock);
    return known;
}

static int64_t most_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The dearest bill of input and output tokens: every prompt token at the dearest prompt meter, every other at the dearest of the rest. A bill
 * that is split over more meters may round up to one nano-unit a meter higher; the charge is then cut to the hold. */
bool price_most(const struct price *p, uint32_t input, uint32_t output, int64_t *out)
{
    struct money in, o, sum;
    struct money dear_in = {most_of(p->rate[METER_INPUT], most_of(p->rate[METER_CACHE_READ], p->rate[METER_CACHE_WRITE]))};
    struct money dear_out = {most_of(p->rate[METER_OUTPUT], p->rate[METER_REASONING])};
    if (!money_price(input, dear_in, &in) || !money_price(output, dear_out, &o) || !money_add(in, o, &sum))
        return false;
    *out = sum.nano;
    return true;
}

/* What the counters cost: each meter rounded once, then added. */
int64_t price_list(const int64_t rate[METER_COUNT], const struct usage_counts *c)
{
    const uint32_t n[METER_COUNT] = {c->input, c->cache_read, c->cache_write, c->output, c->reasoning};
    struct money sum = {0}, part;
    for (int i = 0; i < METER_COUNT; i++)
        if (!money_price(n[i], (struct money){rate[i]}, &part) || !money_add(sum, part, &sum))
            return INT64_MAX;
    return sum.nano;
}

struct set_args {
    const struct price_new *in;
    struct price *made;
    int64_t id;
};

static int rates_add(struct ledger *l, const struct price *p, struct err *e)
{
    int rc = 0;
    for (int i = 0; i < METER_COUNT && rc == 0; i++) {
        struct stmt *s;
        rc = stmt_get(&s, l->db, SQL("INSERT INTO price_rate (price_id, meter, nano_per_million) VALUES (?1, ?2, ?3)"), e);
        if (rc < 0)
            break;
        stmt_i64(s, 1, p->id), stmt_text(s, 2, meter_names[i]), stmt_i64(s, 3, p->rate[i]);
        rc = stmt_run(s, e);
    }
    return rc;
}

static int price_insert(struct ledger *l, struct price *p, const char *tier, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db,
                      SQL("INSERT INTO price (model, version, tier, currency, effective_us, created_us) VALUES (?1, (SELECT "
                          "coalesce(max(version), 0) + 1 FROM price WHERE model = ?1 AND tier = ?2), ?2, ?3, ?4, ?4) RETURNING id, version"),
                      e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, p->model), stmt_text(s, 2, tier), stmt_text(s, 3, l->currency), stmt_i64(s, 4, l->now_us);
    bool row;
    rc = stmt_step(s, &row, e);
    if (rc == 0 && row)
        p->id = stmt_col_i64(s, 0), p->version = (int)stmt_col_i64(s, 1);
    stmt_put(s);
    return rc < 0 ? rc : rates_add(l, p, e);
}

static int set_call(struct ledger *l, void *arg, struct err *e)
{
    struct set_args *a = arg;
    struct price *p = a->made;
    const char *tier = a->in->tier ? a->in->tier : "standard";
    int rc = price_insert(l, p, tier, e);
    char detail[256];
    (void)str_fmt(detail, sizeof detail, "version %d tier %.32s input %lld cache_read %lld cache_write %lld output %lld reasoning %lld", p->version,
                  tier, (long long)p->rate[0], (long long)p->rate[1], (long long)p->rate[2], (long long)p->rate[3], (long long)p->rate[4]);
    if (rc == 0)
        rc = event_note(l, "price.set", p->model, detail, e);
    if (rc < 0)
        return rc;
    bool standard = strcmp(tier, "standard") == 0;
    mutex_lock(&l->lock);
    p->older = standard ? price_find(l, p->model) : NULL;
    bool ok = map_set(&l->prices_by_id, ID_KEY(p->id), (union map_value){.ptr = p});
    if (ok && standard && !map_set(&l->prices, str_of(p->model), (union map_value){.ptr = p}))
        ok = map_del(&l->prices_by_id, ID_KEY(p->id), NULL) && false;
    mutex_unlock(&l->lock);
    if (!ok)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a price");
    a->id = p->id;
    a->made = NULL; /* the maps own it */
    return 0;
}

/* Sets a new version of the model's price; holds that are open keep theirs. tier "standard" is the one that holds use. */
int ledger_price_set(struct ledger *l, const struct price_new *in, struct price_id *out, struct err *e)
{
    size_t n = in->model ? strlen(in->model) : 0;
    const struct money *m[METER_COUNT] = {&in->input, &in->cache_read, &in->cache_write, &in->output, &in->reasoning};
    if (!n || n >= LEDGER_MODEL_MAX || !utf8_valid(in->model, n))
        return err_param(e, ERR_BAD_VALUE, "model", "ledger: a model's name has 1 to %d bytes of UTF-8", LEDGER_MODEL_MAX - 1);
    if (in->tier && (!*in->tier || strlen(in->tier) > 32))
        return err_param(e, ERR_BAD_VALUE, "tier", "ledger: a tier's name has 1 to 32 bytes");
    struct price *p = mem_new(sizeof *p);
    if (!p)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a price");
    memcpy(p->model, in->model, n);
    for (int i = 0; i < METER_COUNT; i++) {
        p->rate[i] = m[i]->nano;
        if (p->rate[i] < 0) {
            mem_free(p);
            return err_param(e, ERR_BAD_VALUE, meter_names[i], "ledger: the price of %s is negative; a price is 0 or more", meter_names[i]);
        }
    }
    struct set_args a = {in, p, 0};
    int rc = queue_call(l, set_call, &a, e);
    mem_free(a.made);
    if (rc == 0 && out)
        out->v = a.id;
    return rc;
}
