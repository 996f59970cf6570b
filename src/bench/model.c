/* How fast a model's steps are, alone: no scheduler, sampler or network. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "bench/bench.h"
#include <stdio.h>
#include <string.h>

struct work {                                            /* of the model's matrices, without the rows of the embedding that a step looks up */
    double layer_bytes, layer_ops, head_bytes, head_ops; /* operations for one row */
    bool is_float;
};
struct run {
    const struct bench_model_opts *o;
    const struct model_shape *shape;
    struct kv_shape kv;
    struct work work;
    size_t page_bytes; /* of 4096 */
    uint8_t *memory;   /* of all pages in one piece, as in the engine's pool: large pages of the system */
    void **pages;
    size_t n_pages;
    float *logits;
    uint32_t count; /* tokens fed so far: the seed of the next */
};

/* What a step reads and computes, from the file: packed matrices have exactly as many bytes as in it. A tied embedding is the head too. */
static struct work work_of(const struct modelfile *f)
{
    struct work w = {0};
    bool tied = !modelfile_tensor(f, "output.weight");
    for (size_t i = 0; i < f->n_tensors; i++) {
        const struct tensor *t = &f->tensors[i];
        bool embd = str_eqz(t->name, "token_embd.weight"), head = str_eqz(t->name, "output.weight") || (tied && embd);
        double ops = 2.0 * (double)t->ne[0] * (double)t->ne[1];
        if (t->n_dims < 2 || (embd && !head))
            continue;
        *(head ? &w.head_bytes : &w.layer_bytes) += (double)t->bytes;
        *(head ? &w.head_ops : &w.layer_ops) += ops;
        w.is_float |= !head && quant_info(t->type) && !quant_info(t->type)->form.bits;
    }
    return w;
}

static void pages_free(struct run *r)
{
    mem_pages_free(r->memory, r->n_pages * r->page_bytes);
    mem_free(r->pages);
    r->memory = NULL, r->pages = NULL, r->n_pages = 0;
}

/* Pages for n positions of each of n_seqs sequences. What is in them does not matter for speed, but that they are written does. */
static bool need_pages(struct run *r, size_t n_seqs, size_t n)
{
    const size_t want = n_seqs * ((n + KV_PAGE - 1) / KV_PAGE);
    if (want <= r->n_pages)
        return true;
    pages_free(r);
    r->pages = mem_array(want, sizeof *r->pages);
    r->memory = r->pages ? mem_pages(want * r->page_bytes) : NULL;
    if (!r->memory)
        return false;
    memset(r->memory, 0x2c, want * r->page_bytes); /* 0.066 as a half, a small number in every other type */
    for (r->n_pages = 0; r->n_pages < want; r->n_pages++)
        r->pages[r->n_pages] = r->memory + r->n_pages * r->page_bytes;
    return true;
}

/* One step: n_seqs sequences of n rows each, at positions pos. */
static void feed(struct run *r, int n_seqs, int n, int pos, size_t n_each)
{
    static int32_t token[STEP_ROWS_MAX], at[STEP_ROWS_MAX], want[STEP_ROWS_MAX];
    static struct kv_seq seqs[STEP_ROWS_MAX];
    for (int s = 0; s < n_seqs; s++) {
        seqs[s] = (struct kv_seq){.row0 = s * n, .n_rows = n, .pos0 = pos, .pages = r->pages + (size_t)s * n_each};
        want[s] = s * n + n - 1;
        for (int i = 0; i < n; i++) {
            token[s * n + i] = (int32_t)(rng_u64(1, 0, r->count++, 0) % r->shape->n_vocab);
            at[s * n + i] = pos + i;
        }
    }
    model_step(r->o->model, &(struct step){.n = n_seqs * n,
                                           .token = token,
                                           .pos = at,
                                           .seqs = seqs,
                                           .n_seqs = n_seqs,
                                           .kv = r->kv,
                                           .want = want,
                                           .n_want = n_seqs,
                                           .logits = r->logits});
}

static double seconds_since(uint64_t t0)
{
    return (double)(clock_ns() - t0) * 1e-9;
}

static double prefill_once(struct run *r, int n)
{
    uint64_t t0 = clock_ns();
    for (int i = 0; i < n; i += STEP_ROWS_MAX)
        feed(r, 1, n - i < STEP_ROWS_MAX ? n - i : STEP_ROWS_MAX, i, 0);
    return seconds_since(t0);
}

static double decode_once(struct run *r, int streams, int depth)
{
    size_t each = ((size_t)(depth + r->o->tokens + 1) + KV_PAGE - 1) / KV_PAGE;
    uint64_t t0 = clock_ns();
    for (int i = 0; i < r->o->tokens; i++)
        feed(r, streams, 1, depth + i, each);
    return seconds_since(t0);
}

static double median(double *t, int n)
{
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && t[j] < t[j - 1]; j--) {
            double x = t[j];
            t[j] = t[j - 1], t[j - 1] = x;
        }
    return n % 2 ? t[n / 2] : (t[n / 2] + t[n / 2 - 1]) / 2;
}

static double attention_ops(const struct model_shape *s, double positions)
{
    return 2.0 * s->n_heads * (s->head_dim + s->v_dim) * s->n_layers * positions; /* scores and values, for one row that sees so many */
}

/* The least time of a step: reading, or the matrices at their peak and attention at the best of floats. */
static void bound(struct bench_model_row *row, const struct run *r, const struct roofline_limits *l, double matrices, double attention)
{
    double floats = l->bf16 > l->f32 ? l->bf16 : l->f32;
    double peak = r->work.is_float ? floats : l->int8, read = row->bytes / l->read, compute = matrices / peak + attention / floats;
    row->ops = matrices + attention;
    row->bound = read > compute ? "read" : !r->work.is_float ? "int8" : l->bf16 > l->f32 ? "bf16" : "f32";
    row->limit = 1 / (read > compute ? read : compute);
}

static void prefill_limit(struct bench_model_row *row, const struct run *r, const struct roofline_limits *l)
{
    double n = row->n, chunks = (double)((row->n + STEP_ROWS_MAX - 1) / STEP_ROWS_MAX);
    row->bytes = chunks * (r->work.layer_bytes + r->work.head_bytes);
    bound(row, r, l, n * r->work.layer_ops + chunks * r->work.head_ops, attention_ops(r->shape, n * (n + 1) / 2));
    row->limit *= n;
}

static void decode_limit(struct bench_model_row *row, const struct run *r, const struct roofline_limits *l)
{
    double streams = row->n, positions = row->depth + r->o->tokens / 2.0;
    row->bytes = r->work.layer_bytes + r->work.head_bytes + streams * positions * (double)r->page_bytes / KV_PAGE;
    bound(row, r, l, streams * (r->work.layer_ops + r->work.head_ops), streams * attention_ops(r->shape, positions));
    row->limit *= streams;
}

/* Fills row->rate; false: no memory. */
static bool measure(struct run *r, struct bench_model_row *row)
{
    double t[64], tokens = !strcmp(row->what, "prefill") ? row->n : (double)row->n * r->o->tokens;
    bool prefill = !strcmp(row->what, "prefill");
    if (!need_pages(r, prefill ? 1 : (size_t)row->n, (size_t)(prefill ? row->n : row->depth + r->o->tokens + 1)))
        return false;
    if (prefill)
        prefill_once(r, row->n < STEP_ROWS_MAX ? row->n : STEP_ROWS_MAX); /* warm: memory that was never touched is slow once */
    else
        feed(r, row->n, 1, row->depth, ((size_t)(row->depth + r->o->tokens + 1) + KV_PAGE - 1) / KV_PAGE);
    uint64_t switches = bench_switches();
    for (int i = 0; i < r->o->rounds; i++)
        t[i] = prefill ? prefill_once(r, row->n) : decode_once(r, row->n, row->depth);
    row->switches = bench_switches() - switches;
    row->rate = tokens / median(t, r->o->rounds);
    row->best = tokens / t[0]; /* median() sorted them */
    return true;
}

static void one(struct run *r, struct bench_model_row *row, const struct roofline_limits *l, bench_model_fn *fn, bench_progress_fn *progress,
                void *arg)
{
    char text[96];
    size_t last = (size_t)(!strcmp(row->what, "prefill") ? row->n : row->depth + r->o->tokens + 1);
    snprintf(text, sizeof text, !strcmp(row->what, "prefill") ? "prefill of %d" : "decode, %d streams at depth %d", row->n, row->depth);
    if (progress)
        progress(arg, text);
    if (last > r->shape->n_ctx)
        snprintf(row->skipped, sizeof row->skipped, "the model's context is %u", r->shape->n_ctx);
    else if (!measure(r, row))
        snprintf(row->skipped, sizeof row->skipped, "no memory for its KV pages");
    else if (!strcmp(row->what, "prefill"))
        prefill_limit(row, r, l);
    else
        decode_limit(row, r, l);
    fn(arg, row);
}

int bench_model(const struct bench_model_opts *o, const struct roofline_limits *l, bench_model_fn *fn, bench_progress_fn *progress, void *arg,
                struct err *e)
{
    struct run r = {.o = o, .shape = model_shape(o->model), .work = work_of(o->file)};
    ASSERT(o->rounds > 0 && o->rounds <= 64 && o->tokens > 0);
    model_kv_shape(o->model, o->kv_type, &r.kv);
    r.page_bytes = (kv_page_bytes(&r.kv) + 4095) / 4096 * 4096;
    const size_t logits = (size_t)STEP_ROWS_MAX * r.shape->n_vocab * sizeof *r.logits;
    r.logits = mem_pages(logits); /* touched only as far as there are streams */
    if (!r.logits)
        return err_set(e, ERR_NO_MEMORY, "bench: no memory for logits");
    for (size_t i = 0; i < o->n_prefill; i++)
        one(&r, &(struct bench_model_row){.what = "prefill", .n = (int)o->prefill[i]}, l, fn, progress, arg);
    for (size_t i = 0; i < o->n_depth; i++)
        one(&r, &(struct bench_model_row){.what = "decode", .n = 1, .depth = (int)o->depth[i]}, l, fn, progress, arg);
    for (size_t i = 0; i < o->n_streams; i++)
        one(&r, &(struct bench_model_row){.what = "decode", .n = (int)o->streams[i]}, l, fn, progress, arg);
    pages_free(&r);
    mem_pages_free(r.logits, logits);
    return 0;
}
