/* sluice bench roofline, sluice bench model: what the machine can do, and what of it a model gets. */
#include "bench/bench.h"
#include "cli/bench_out.h"
#include <string.h>

enum { STREAMS_MAX = 256, LENGTH_MAX = 1 << 20, ROUNDS_MAX = 64, TOKENS_MAX = 4096 };

static void add_roofline(void *arg, const struct roofline_row *r)
{
    struct jw *w = arg;
    jw_obj(w);
    jw_key(w, "what"), jw_str(w, r->what);
    jw_key(w, "threads"), jw_i64(w, r->threads);
    bench_put(w, "value", r->value, 1);
    jw_key(w, "unit"), jw_str(w, r->unit);
    jw_obj_end(w);
    bench_progress(NULL, r->what);
}

int cmd_bench_roofline(const struct cli *c, struct err *e)
{
    uint64_t threads;
    struct buf b;
    struct jw w;
    int rc;
    if ((rc = args_count(c, 0, 0, e)) < 0 || (rc = bench_number(c, "threads", (uint64_t)thread_cpus(), DEVICE_THREADS_MAX, &threads, e)) < 0)
        return rc;
    buf_init(&b, 0);
    jw_init(&w, &b);
    jw_arr(&w);
    rc = roofline_run((int)threads, args_flag(c, "quick") != NULL, add_roofline, &w, e);
    jw_arr_end(&w);
    bench_progress_end();
    if (rc >= 0)
        rc = bench_print(c, &b, e);
    buf_deinit(&b);
    return rc;
}

static void add_row(void *arg, const struct bench_model_row *r)
{
    struct jw *w = arg;
    bool prefill = !strcmp(r->what, "prefill");
    jw_obj(w);
    jw_key(w, "what"), jw_str(w, r->what);
    jw_key(w, "prompt"), prefill ? jw_i64(w, r->n) : jw_null(w);
    jw_key(w, "streams"), jw_i64(w, prefill ? 1 : r->n);
    jw_key(w, "depth"), jw_i64(w, r->depth);
    if (*r->skipped) {
        jw_key(w, "tok/s"), jw_null(w), jw_key(w, "best"), jw_null(w), jw_key(w, "limit"), jw_null(w), jw_key(w, "share"), jw_null(w);
        jw_key(w, "bound"), jw_str(w, r->skipped);
        jw_key(w, "GB/s"), jw_null(w), jw_key(w, "Gop/s"), jw_null(w), jw_key(w, "switches"), jw_null(w);
    } else {
        double per_s = r->rate / r->n; /* steps, or prompts, a second */
        bench_put(w, "tok/s", r->rate, 1), bench_put(w, "best", r->best, 1), bench_put(w, "limit", r->limit, 1),
            bench_put(w, "share", r->rate / r->limit, 3);
        jw_key(w, "bound"), jw_str(w, r->bound);
        bench_put(w, "GB/s", r->bytes * per_s * 1e-9, 1), bench_put(w, "Gop/s", r->ops * per_s * 1e-9, 0);
        jw_key(w, "switches"), jw_u64(w, r->switches);
    }
    jw_obj_end(w);
}

/* A file's path, or the name of a model of the store, or the built-in guide. */
static int open_model(const struct cli *c, const char *name, struct modelfile **f, struct err *e)
{
    char dir[PATH_LEN], hub[PATH_LEN];
    struct store *s = NULL;
    struct hub_model m;
    const void *p;
    size_t n;
    if (strchr(name, '/') || str_ends(str_of(name), ".gguf"))
        return modelfile_open(f, name, e);
    int rc = data_dir(c, dir, e);
    if (rc >= 0 && (rc = data_file(hub, dir, "hub", e)) >= 0 && (rc = store_open(&s, hub, e)) >= 0 &&
        (rc = hub_model_open(&m, s, str_of(name), e)) >= 0) {
        rc = modelfile_open_parts(f, (const char *const *)m.path, m.n, e);
        hub_model_close(&m);
    }
    store_close(s);
    if (rc == -ERR_NO_MODEL && strcmp(name, GUIDE_NAME) == 0 && guide_bytes(&p, &n))
        rc = gguf_parse(f, p, n, e);
    return rc;
}

int bench_model_run(const struct cli *c, const char *name, struct bench_model_opts *o, int threads, bench_model_fn *fn, void *arg, struct err *e)
{
    struct modelfile *f = NULL;
    struct device *d = NULL;
    struct roofline_limits limits;
    int rc = open_model(c, name, &f, e);
    bench_progress(NULL, "loading");
    if (rc >= 0)
        rc = device_new(&d, &(struct device_opts){.n_threads = threads}, e);
    if (rc >= 0)
        rc = model_load(&o->model, f, d, NULL, NULL, e);
    bench_progress(NULL, "the machine's limits");
    if (rc >= 0)
        rc = roofline_limits(&limits, device_threads(d), device_level(d), e);
    o->device = d, o->file = f;
    if (rc >= 0)
        rc = bench_model(o, &limits, fn, bench_progress, arg, e);
    bench_progress_end();
    if (rc >= 0 && !args_flag(c, "json") && !args_flag(c, "csv"))
        printf("%s %s, kernels %s, %d threads; read %.1f GB/s, int8 %.0f, bf16 %.0f, f32 %.0f Gop/s\n", model_shape(o->model)->arch,
               model_shape(o->model)->quant, device_level(d), device_threads(d), limits.read * 1e-9, limits.int8 * 1e-9, limits.bf16 * 1e-9,
               limits.f32 * 1e-9);
    if (o->model)
        model_free(o->model);
    if (d)
        device_free(d);
    if (f)
        modelfile_close(f);
    return rc;
}

int cmd_bench_model(const struct cli *c, struct err *e)
{
    uint64_t prefill[BENCH_CASES_MAX], depth[BENCH_CASES_MAX], streams[BENCH_CASES_MAX], threads, tokens, rounds;
    struct bench_model_opts o = {.kv_type = KV_F16, .prefill = prefill, .depth = depth, .streams = streams};
    struct buf b;
    struct jw w;
    int rc;
    if ((rc = args_count(c, 1, 1, e)) < 0 || (rc = bench_number(c, "threads", (uint64_t)thread_cpus(), DEVICE_THREADS_MAX, &threads, e)) < 0 ||
        (rc = bench_number(c, "tokens", 32, TOKENS_MAX, &tokens, e)) < 0 || (rc = bench_number(c, "rounds", 3, ROUNDS_MAX, &rounds, e)) < 0 ||
        (rc = bench_numbers(c, "prefill", "128,512,2048,8192", 1, LENGTH_MAX, prefill, &o.n_prefill, e)) < 0 ||
        (rc = bench_numbers(c, "depth", "0,4096,16384", 0, LENGTH_MAX, depth, &o.n_depth, e)) < 0 ||
        (rc = bench_numbers(c, "streams", "2,4,8,16,32", 1, STREAMS_MAX, streams, &o.n_streams, e)) < 0)
        return rc;
    const char *kv = args_flag(c, "kv-type");
    if (kv && kv_type_find(kv) < 0)
        return err_set(e, ERR_USAGE, "--kv-type %.32s is none of " KV_TYPES, kv);
    o.kv_type = kv ? (enum kv_type)kv_type_find(kv) : KV_F16;
    o.tokens = (int)tokens, o.rounds = (int)rounds;
    buf_init(&b, 0);
    jw_init(&w, &b);
    jw_arr(&w);
    rc = bench_model_run(c, c->word[0], &o, (int)threads, add_row, &w, e);
    jw_arr_end(&w);
    if (rc >= 0)
        rc = bench_print(c, &b, e);
    buf_deinit(&b);
    return rc;
}
