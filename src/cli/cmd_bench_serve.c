/* sluice bench serve: a running server under load, ours or another that speaks OpenAI's chat completions. */
#include "bench/bench.h"
#include "cli/bench_out.h"
#include "net/client.h"
#include <stdlib.h>
#include <string.h>

enum { MILLION = 1000000, TIMEOUT_S = 1800 /* for one answer */ };

/* "K1,K2": accounts take turns. Without --key: SLUICE_API_KEY, the demo's key, or none. The keys point into text. */
static int read_keys(const char *flag, char *text, size_t cap, struct load_stream *s, struct err *e)
{
    if (!str_fmt(text, cap, "%s", flag))
        return err_set(e, ERR_USAGE, "there are too many keys");
    for (char *p = text; *p; s->n_keys++) {
        char *comma = strchr(p, ',');
        if (s->n_keys == LOAD_KEYS_MAX)
            return err_set(e, ERR_USAGE, "there are too many keys: at most %d", LOAD_KEYS_MAX);
        s->key[s->n_keys] = p;
        p = comma ? comma + 1 : p + strlen(p);
        if (comma)
            *comma = '\0';
    }
    return 0;
}

static int rate_of(const struct cli *c, const char *flag, double *out, struct err *e)
{
    const char *v = args_flag(c, flag);
    *out = 0;
    return !v || (str_f64(str_of(v), out) && *out > 0 && *out <= MILLION)
               ? 0
               : err_set(e, ERR_USAGE, "--%s %s must be a number of requests a second", flag, v);
}

/* The server's first model. */
static int first_model(const char *url, const char *key, char *out, size_t cap, struct err *e)
{
    struct client_answer a = {0};
    struct json *j = NULL;
    char path[PATH_LEN];
    if (!str_fmt(path, sizeof path, "%s/v1/models", url))
        return err_set(e, ERR_USAGE, "the url is too long");
    int rc = client_do(&a, &(struct client_req){.method = "GET", .url = path, .bearer = key}, e);
    if (rc >= 0 && a.status != 200)
        rc = error_from_answer(a.status, &a.body, e);
    else if (rc >= 0)
        rc = json_parse(&j, a.body.data ? a.body.data : "", a.body.len, e);
    if (rc >= 0 && (!str_fmt(out, cap, "%s", json_str(json_get(json_at(json_get(j, "data"), 0), "id")).p) || !*out))
        rc = err_set(e, ERR_NO_MODEL, "the server has no model; name one with --model");
    json_free(j);
    client_answer_deinit(&a);
    return rc;
}

struct out {
    struct jw w;
    char fault[200];
    uint64_t good;
};

static void add_row(void *arg, const struct load_row *r)
{
    struct out *o = arg;
    struct jw *w = &o->w;
    const struct {
        const char *key;
        double v;
    } x[] = {{"prompt", r->prompt},          {"cached", r->cached},      {"output", r->output},     {"output tok/s", r->output_rate},
             {"total tok/s", r->total_rate}, {"ttft p50", r->ttft_p50},  {"ttft p99", r->ttft_p99}, {"tpot p50", r->tpot_p50},
             {"tpot p99", r->tpot_p99},      {"gap p50", r->gap_p50},    {"gap p99", r->gap_p99},   {"gap max", r->gap_max},
             {"whole p50", r->whole_p50},    {"whole p99", r->whole_p99}};
    jw_obj(w);
    jw_key(w, "what"), jw_str(w, r->what);
    jw_key(w, "requests"), jw_u64(w, r->requests);
    jw_key(w, "failed"), jw_u64(w, r->failed);
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        bench_put(w, x[i].key, x[i].v, 1);
    jw_obj_end(w);
    if (r->failed && !o->fault[0])
        str_fmt(o->fault, sizeof o->fault, "%s", r->fault);
    o->good += r->requests - r->failed;
}

static int read_stream(const struct cli *c, struct load_opts *o, struct err *e)
{
    struct load_stream *m = &o->main, *n = &o->neighbour;
    uint64_t other[BENCH_CASES_MAX];
    size_t n_other;
    int rc;
    if ((rc = rate_of(c, "rate", &m->rate, e)) < 0 || (rc = rate_of(c, "neighbour-rate", &n->rate, e)) < 0 ||
        (rc = bench_number(c, "users", m->rate > 0 ? LOAD_THREADS_MAX : 16, LOAD_THREADS_MAX, &m->users, e)) < 0 ||
        (rc = bench_number(c, "requests", 64, MILLION, &m->requests, e)) < 0 || (rc = bench_number(c, "prompt", 256, MILLION, &m->prompt, e)) < 0 ||
        (rc = bench_number(c, "output", 128, MILLION, &m->output, e)) < 0 || (rc = bench_number(c, "turns", 1, LOAD_TURNS_MAX, &m->turns, e)) < 0 ||
        (rc = bench_number(c, "seed", 1, UINT64_MAX, &o->seed, e)) < 0 ||
        (rc = bench_numbers(c, "neighbour", "", 1, MILLION, other, &n_other, e)) < 0)
        return rc;
    o->timeout_ms = TIMEOUT_S * 1000;
    if (args_flag(c, "prefix") && (rc = bench_number(c, "prefix", 1, MILLION, &m->prefix, e)) < 0)
        return rc;
    if (n_other == 2 || n_other > 3 || (n_other && other[0] > LOAD_THREADS_MAX))
        return err_set(e, ERR_USAGE, "--neighbour is REQUESTS or REQUESTS,PROMPT,OUTPUT, of at most %d requests", LOAD_THREADS_MAX);
    *n = (struct load_stream){
        .requests = n_other ? other[0] : 0, .prompt = n_other == 3 ? other[1] : 2048, .output = n_other == 3 ? other[2] : 128, .rate = n->rate};
    m->own_prefix = args_flag(c, "own-prefix") != NULL;
    n->turns = 1, n->users = n->requests;
    const char *t = args_flag(c, "temperature");
    o->temperature = 1;
    if (t && (!str_f64(str_of(t), &o->temperature) || o->temperature < 0 || o->temperature > 2))
        return err_set(e, ERR_USAGE, "--temperature %s must be a number from 0 to 2", t);
    return 0;
}

static int run(const struct cli *c, struct load_opts *o, struct err *e)
{
    struct out out = {0};
    struct buf b;
    buf_init(&b, 0);
    jw_init(&out.w, &b);
    jw_arr(&out.w);
    int rc = load_run(o, add_row, bench_progress, &out, e);
    jw_arr_end(&out.w);
    bench_progress_end();
    if (rc >= 0)
        rc = bench_print(c, &b, e);
    if (rc >= 0 && out.fault[0])
        fprintf(stderr, "sluice: the first failure: %s\n", out.fault);
    if (rc >= 0 && !out.good)
        rc = err_set(e, ERR_UNAVAILABLE, "bench: every request failed: %s", out.fault);
    buf_deinit(&b);
    return rc;
}

int cmd_bench_serve(const struct cli *c, struct err *e)
{
    struct load_opts o = {.url = args_flag(c, "url"), .model = args_flag(c, "model")};
    const char *key = args_flag(c, "key"), *other = args_flag(c, "neighbour-key"), *env = getenv("SLUICE_API_KEY");
    char dir[PATH_LEN], demo[LEDGER_KEY_MAX], model[256], keys[LOAD_KEYS_MAX * 96], other_keys[LOAD_KEYS_MAX * 96];
    int rc;
    if ((rc = args_count(c, 0, 0, e)) < 0 || (rc = data_dir(c, dir, e)) < 0 || (rc = read_stream(c, &o, e)) < 0)
        return rc;
    key = key ? key : env && *env ? env : demo_key_read(demo, dir, NULL) >= 0 || demo_key_read(demo, "demo-data", NULL) >= 0 ? demo : "";
    if ((rc = read_keys(key, keys, sizeof keys, &o.main, e)) < 0 ||
        (rc = read_keys(other ? other : key, other_keys, sizeof other_keys, &o.neighbour, e)) < 0)
        return rc;
    o.url = o.url ? o.url : "http://127.0.0.1:8000";
    if (!o.model && (rc = first_model(o.url, o.main.n_keys ? o.main.key[0] : NULL, model, sizeof model, e)) < 0)
        return rc;
    o.model = o.model ? o.model : model;
    return run(c, &o, e);
}
