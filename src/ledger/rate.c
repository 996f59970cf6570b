/* What requests take of the limits they are under. */
#include "ledger/ledger_int.h"

#include "base/clock.h"

#include <string.h>

enum { SETS = 7 };                      /* that one request can be under */
#define PARALLEL_RETRY_NS 1000000000ull /* nobody knows when a running request ends */

struct rate_take {
    size_t n;
    struct rate_part {
        struct rate *of;
        struct bucket_share share[RATE_LIMITS];
    } part[];
};

static uint64_t now_of(const struct ledger *l)
{
    return l->rates.clock();
}

/* The sets of limits that a request is under, in their order. Under rates.lock. */
static size_t sets_of(struct ledger *l, const struct principal *who, struct str model, struct rate *out[SETS])
{
    const struct {
        enum rate_whose whose;
        int64_t owner;
        struct str model;
    } of[SETS] = {{RATE_OF_KEY, who->key.v, STR("")},
                  {RATE_OF_KEY, who->key.v, model},
                  {RATE_OF_PROJECT, who->project.v, STR("")},
                  {RATE_OF_PROJECT, who->project.v, model},
                  {RATE_OF_ACCOUNT, who->org.v, STR("")},
                  {RATE_OF_ACCOUNT, who->org.v, model},
                  {RATE_OF_ALL, 0, model}};
    char key[RATE_KEY_MAX];
    union map_value v;
    size_t n = 0;
    for (size_t i = 0; i < SETS; i++) {
        bool of_model = i % 2 == 1 || i == SETS - 1;
        if ((model.n || !of_model) && map_get(&l->rates.all, rate_key(key, of[i].whose, of[i].owner, of[i].model), &v))
            out[n++] = v.ptr;
    }
    return n;
}

/* Rounded up. */
static uint64_t ms_of(uint64_t ns)
{
    return ns / 1000000 + (ns % 1000000 != 0);
}

static void amounts(uint64_t out[RATE_METERS], uint64_t input, uint64_t output)
{
    out[RATE_REQUESTS] = 1, out[RATE_INPUT] = input, out[RATE_OUTPUT] = output, out[RATE_TOKENS] = input + output;
}

/* ---- may it? ---- */

struct refusal {     /* the limit that a request has to wait for longest */
    struct rate *of; /* NULL: none */
    bool parallel;
    int limit;
    uint64_t wait_ns; /* BUCKET_NEVER, which is longest, when it never holds so much */
};

static struct refusal longest(struct rate *const of[], size_t n, const uint64_t want[RATE_METERS], uint64_t now)
{
    struct refusal r = {0};
    for (size_t i = 0; i < n; i++) {
        if (of[i]->most.parallel && of[i]->running >= of[i]->most.parallel && r.wait_ns < PARALLEL_RETRY_NS)
            r = (struct refusal){.of = of[i], .parallel = true, .wait_ns = PARALLEL_RETRY_NS};
        for (int k = 0; k < RATE_LIMITS; k++) {
            uint64_t wait = of[i]->most.of[k] ? bucket_wait_ns(&of[i]->bucket[k], now, want[rate_meter_of(k)]) : 0;
            if (wait > r.wait_ns)
                r = (struct refusal){of[i], false, k, wait};
        }
    }
    return r;
}

enum { WHOSE_TEXT = 2 * 110 };

/* "key 3f9k2m7qAB on model guide", and the flags that say so to `sluice limit set`. */
static void whose(const struct rate_id *id, const char *name, char text[WHOSE_TEXT], char flags[WHOSE_TEXT])
{
    const char *word = rate_whose_names[id->whose], *on = *id->model ? " on model " : "";
    if (id->whose == RATE_OF_ALL) {
        ASSERT(str_fmt(text, WHOSE_TEXT, "model %.90s", id->model) && str_fmt(flags, WHOSE_TEXT, "--model %.90s", id->model));
        return;
    }
    ASSERT(str_fmt(text, WHOSE_TEXT, "%s %.90s%s%.90s", word, name, on, id->model));
    ASSERT(str_fmt(flags, WHOSE_TEXT, "--%s %.90s%s%.90s", word, name, *id->model ? " --model " : "", id->model));
}

static int refuse_parallel(const struct rate *x, const char *text, const char *flags, struct err *e)
{
    return err_set(e, ERR_RATE,
                   "ledger: rate limit reached: %s may have %llu requests at once, and %llu run; try again when one has ended, or raise the limit: "
                   "sluice limit set %s --parallel N",
                   text, (unsigned long long)x->most.parallel, (unsigned long long)x->running, flags);
}

static int refuse_bucket(struct rate *x, int limit, uint64_t want, uint64_t now, uint64_t wait_ms, const char *text, const char *flags, struct err *e)
{
    static const char *const what[RATE_METERS] = {"requests", "input tokens", "output tokens", "tokens"};
    const char *window = rate_window_names[rate_window_of(limit)], *meter = rate_meter_names[rate_meter_of(limit)];
    unsigned long long most = x->most.of[limit], used = bucket_used(&x->bucket[limit], now), n = want;
    char wait[32];
    clock_duration(wait, wait_ms);
    if (want > most)
        return err_set(
            e, ERR_OVER_RATE,
            "ledger: this request may take %llu %s, and %s never has more than %llu a %s; ask for fewer tokens, or raise the limit: sluice "
            "limit set %s --%s N/%s",
            n, what[rate_meter_of(limit)], text, most, window, flags, meter, window);
    return err_set(
        e, ERR_RATE,
        "ledger: rate limit reached: %s may take %llu %s a %s, %llu are used, and this request may take %llu; try again in %s, or raise the "
        "limit: sluice limit set %s --%s N/%s",
        text, most, what[rate_meter_of(limit)], window, used, n, wait, flags, meter, window);
}

static int refuse(const struct refusal *r, const uint64_t want[RATE_METERS], uint64_t now, struct err *e)
{
    char text[WHOSE_TEXT], flags[WHOSE_TEXT];
    uint64_t ms = ms_of(r->wait_ns);
    whose(&r->of->id, r->of->name, text, flags);
    int rc =
        r->parallel ? refuse_parallel(r->of, text, flags, e) : refuse_bucket(r->of, r->limit, want[rate_meter_of(r->limit)], now, ms, text, flags, e);
    if (rc == -ERR_RATE)
        e->retry_ms = ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
    return rc;
}

/* ---- taking ---- */

/* What is reserved of a first slice: no more than every limit can hold, and a token at least. */
static uint64_t slice_of(struct rate *const of[], size_t n, uint64_t input, uint64_t output)
{
    uint64_t fits = output;
    for (size_t i = 0; i < n; i++)
        for (int w = 0; w < RATE_WINDOWS; w++) {
            uint64_t alone = of[i]->most.of[RATE_OUTPUT * RATE_WINDOWS + w], both = of[i]->most.of[RATE_TOKENS * RATE_WINDOWS + w];
            if (alone && fits > alone)
                fits = alone;
            if (both && fits + input > both)
                fits = both > input ? both - input : 0;
        }
    return fits || !output ? fits : 1;
}

static int take(struct rate *const of[], size_t n, const struct rate_ask *q, uint64_t now, struct rate_take **out, struct err *e)
{
    uint64_t want[RATE_METERS];
    amounts(want, q->input, q->slice ? slice_of(of, n, q->input, q->output) : q->output);
    struct refusal no = longest(of, n, want, now);
    if (no.of)
        return refuse(&no, want, now, e);
    struct rate_take *t = mem_new(sizeof *t + n * sizeof *t->part);
    if (!t)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory to count a request; try again later");
    t->n = n;
    for (size_t i = 0; i < n; i++) {
        t->part[i].of = of[i];
        of[i]->running++;
        for (int k = 0; k < RATE_LIMITS; k++)
            if (of[i]->most.of[k])
                bucket_take(&of[i]->bucket[k], now, &t->part[i].share[k], want[rate_meter_of(k)]);
    }
    *out = t;
    return 0;
}

int rate_take(struct ledger *l, const struct rate_ask *q, struct rate_take **out, struct err *e)
{
    struct rate *of[SETS];
    *out = NULL;
    if (!atomic_load(&l->rates.n))
        return 0;
    mutex_lock(&l->rates.lock);
    size_t n = sets_of(l, q->who, str_of(q->model), of);
    int rc = n ? take(of, n, q, now_of(l), out, e) : 0;
    mutex_unlock(&l->rates.lock);
    return rc;
}

int ledger_rate_room(struct ledger *l, const struct principal *who, const char *model, struct err *e)
{
    struct rate *of[SETS];
    uint64_t want[RATE_METERS];
    if (!atomic_load(&l->rates.n))
        return 0;
    amounts(want, 1, 0); /* the least that a request is */
    mutex_lock(&l->rates.lock);
    uint64_t now = now_of(l);
    struct refusal no = longest(of, sets_of(l, who, str_of(model), of), want, now);
    int rc = no.of ? refuse(&no, want, now, e) : 0;
    mutex_unlock(&l->rates.lock);
    return rc;
}

void rate_grow(struct ledger *l, struct rate_take *t, uint32_t output)
{
    if (!t)
        return;
    mutex_lock(&l->rates.lock);
    uint64_t now = now_of(l);
    for (size_t i = 0; i < t->n; i++)
        for (int k = RATE_OUTPUT * RATE_WINDOWS; k < RATE_LIMITS; k++) /* output, and both together */
            if (t->part[i].share[k].held)
                bucket_grow(&t->part[i].of->bucket[k], now, &t->part[i].share[k], output);
    mutex_unlock(&l->rates.lock);
}

void rate_end(struct ledger *l, struct rate_take *t, const struct usage_counts *c)
{
    uint64_t used[RATE_METERS] = {0};
    if (!t)
        return;
    if (c)
        amounts(used, (uint64_t)c->input + c->cache_read + c->cache_write, (uint64_t)c->output + c->reasoning);
    mutex_lock(&l->rates.lock);
    uint64_t now = now_of(l);
    for (size_t i = 0; i < t->n; i++) {
        t->part[i].of->running--;
        for (int k = 0; k < RATE_LIMITS; k++)
            if (t->part[i].share[k].held)
                bucket_settle(&t->part[i].of->bucket[k], now, &t->part[i].share[k], used[rate_meter_of(k)]);
    }
    mutex_unlock(&l->rates.lock);
    mem_free(t);
}

/* ---- what is left ---- */

bool ledger_rate_levels(struct ledger *l, const struct principal *who, struct str model, struct rate_levels *out)
{
    struct rate *of[SETS];
    *out = (struct rate_levels){0};
    if (!atomic_load(&l->rates.n))
        return false;
    mutex_lock(&l->rates.lock);
    size_t n = sets_of(l, who, model, of);
    uint64_t now = now_of(l);
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < RATE_LIMITS; k++) {
            struct rate_level *x = rate_meter_of(k) == RATE_REQUESTS ? &out->requests : &out->tokens;
            struct bucket *b = &of[i]->bucket[k];
            uint64_t most = of[i]->most.of[k], left = most ? bucket_free(b, now) : 0;
            if (most && (!x->most || left < x->left))
                *x = (struct rate_level){most, left, ms_of(bucket_full_ns(b, now))};
        }
    mutex_unlock(&l->rates.lock);
    return out->requests.most || out->tokens.most;
}
