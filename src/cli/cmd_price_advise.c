/* sluice price advise: what a million tokens costs on this machine, from measured speed and the cost of an hour, beside today's price. An
 * estimate for people: floating point is good enough here, and nothing of it is booked. */
#include "cli/bench_out.h"

#include <math.h>
#include <string.h>

struct advice {
    struct jw w;
    double hour, busy; /* nano-units; a share */
    double price[3];   /* input, cached input, output, in nano-units a million; less than 0: none */
};
static const char *const names[] = {"input", "cached_input", "output"};
enum { INPUT, CACHED, OUTPUT };

static void put_nano(struct jw *w, const char *key, double nano)
{
    char text[MONEY_TEXT_MAX];
    money_text(text, (struct money){nano < 9e18 ? llround(nano) : INT64_MAX});
    jw_key(w, key), jw_str(w, text);
}

static void row(struct advice *a, int meter, int streams, double rate)
{
    struct jw *w = &a->w;
    double cost = a->hour * 1e6 / (rate * 3600), least = cost / a->busy, price = a->price[meter];
    jw_obj(w);
    jw_key(w, "meter"), jw_str(w, names[meter]);
    jw_key(w, "streams"), jw_i64(w, streams);
    bench_put(w, "tok/s", rate, 1);
    put_nano(w, "cost", cost), put_nano(w, "floor", least);
    if (price >= 0) {
        put_nano(w, "price", price);
        if (price > 0)
            bench_put(w, "margin %", 100 * (price - least) / price, 1);
        else
            jw_key(w, "margin %"), jw_null(w);
    } else {
        jw_key(w, "price"), jw_null(w), jw_key(w, "margin %"), jw_null(w);
    }
    jw_obj_end(w);
}

/* A prompt that is cached leaves one step at its depth to do. */
static void on_row(void *arg, const struct bench_model_row *r)
{
    struct advice *a = arg;
    if (*r->skipped || r->rate <= 0)
        return;
    if (strcmp(r->what, "prefill") == 0)
        row(a, INPUT, 1, r->rate);
    else if (r->depth)
        row(a, CACHED, 1, r->rate * r->depth);
    else
        row(a, OUTPUT, r->n, r->rate);
}

/* Today's list price of the standard tier, from the ledger; a model without one has none. */
static int today(const struct cli *c, struct advice *a, struct err *e)
{
    static const char *const keys[] = {"input", "cache_read", "output"};
    struct json *j = NULL;
    int rc = admin_do(c, HTTP_GET, "/admin/prices", NULL, &j, e);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < json_len(j); i++) {
        const struct json *p = json_at(j, i);
        if (!str_eqz(json_str(json_get(p, "model")), c->word[0]) || !str_eqz(json_str(json_get(p, "tier")), "standard") ||
            json_type(json_get(p, "account")) != JSON_NULL || !str_eqz(json_str(json_get(p, "state")), "in force") ||
            json_int(json_get(p, "from_tokens")))
            continue;
        for (int k = 0; k < 3; k++) {
            struct money m;
            a->price[k] = money_parse(&m, json_str(json_get(p, keys[k])), NULL) == 0 ? (double)m.nano : -1;
        }
    }
    json_free(j);
    return 0;
}

static int hour_cost(const struct cli *c, struct advice *a, struct err *e)
{
    struct money m;
    uint64_t busy;
    int rc;
    if (!args_flag(c, "hour-cost"))
        return err_set(e, ERR_USAGE, "say what an hour of this machine costs; for example: %s", c->command->example);
    if ((rc = money_parse(&m, str_of(args_flag(c, "hour-cost")), e)) < 0)
        return rc;
    if (m.nano <= 0)
        return err_set(e, ERR_BAD_VALUE, "--hour-cost %s: an hour of a machine costs more than nothing", args_flag(c, "hour-cost"));
    if ((rc = bench_number(c, "busy", 100, 100, &busy, e)) < 0)
        return rc;
    a->hour = (double)m.nano, a->busy = (double)busy / 100;
    return 0;
}

int cmd_price_advise(const struct cli *c, struct err *e)
{
    uint64_t prefill[1], depth[2] = {0}, streams[BENCH_CASES_MAX], threads, tokens, rounds;
    struct bench_model_opts o = {.kv_type = KV_F16, .prefill = prefill, .n_prefill = 1, .depth = depth, .n_depth = 2, .streams = streams};
    struct advice a = {.price = {-1, -1, -1}};
    struct buf b;
    int rc;
    if ((rc = args_count(c, 1, 1, e)) < 0 || (rc = hour_cost(c, &a, e)) < 0 ||
        (rc = bench_number(c, "threads", (uint64_t)thread_cpus(), DEVICE_THREADS_MAX, &threads, e)) < 0 ||
        (rc = bench_number(c, "tokens", 32, 4096, &tokens, e)) < 0 || (rc = bench_number(c, "rounds", 3, 64, &rounds, e)) < 0 ||
        (rc = bench_number(c, "prefill", 512, 1 << 20, prefill, e)) < 0 ||
        (rc = bench_numbers(c, "streams", "2,4,8,16,32", 1, 256, streams, &o.n_streams, e)) < 0 || (rc = today(c, &a, e)) < 0)
        return rc;
    depth[1] = prefill[0];
    o.tokens = (int)tokens, o.rounds = (int)rounds;
    buf_init(&b, 0);
    jw_init(&a.w, &b);
    jw_arr(&a.w);
    rc = bench_model_run(c, c->word[0], &o, (int)threads, on_row, &a, e);
    jw_arr_end(&a.w);
    if (rc >= 0)
        rc = bench_print(c, &b, e);
    buf_deinit(&b);
    return rc;
}
