/* Speculation with real models of every family: tokens, log probabilities and bills are to the bit those without it, alone and sixteen at once,
 * behind pages that were found and with so little memory that sequences are computed again. Prompts repeat themselves, and so do greedy answers of
 * tiny models; sampled ones do so now and then. */
#include "../model/golden.h"
#include "base/clock.h"
#include "engine/engine_int.h"
#include <unistd.h>

enum { N = 16, OUT_MAX = 90, PROMPT_MAX = 150, N_CTX = 320, TOP = 2 };

struct told {
    struct token_logprobs token[OUT_MAX];
    uint32_t n;
    struct token_counts counts;
    enum seq_end end;
    _Atomic bool done;
};

static uint64_t wrong; /* drafted tokens of all models */

static void on_event(void *arg, const struct seq_event *ev)
{
    struct told *t = arg;
    if (ev->kind == SEQ_TEXT && ev->token >= 0) {
        ASSERT(t->n < OUT_MAX && ev->n_logprobs == 1 && ev->logprobs[0].token == ev->token);
        t->token[t->n++] = ev->logprobs[0];
    }
    t->counts = ev->counts;
    t->end = ev->end;
    if (ev->kind == SEQ_DONE)
        t->done = true;
}

static bool ask(struct engine *g, struct engine_model *m, uint32_t n_vocab, uint32_t i, struct told *t)
{
    int32_t prompt[PROMPT_MAX];
    const uint32_t n = 20 + (uint32_t)(rng_u64(3, i, 0, 0) % (PROMPT_MAX - 20)), period = 5 + i;
    uint64_t id;
    struct err e;
    static const struct logit_bias bias[] = {{3, 1.5f}, {11, -1}};
    static const struct sample_params how[] = {{.top_p = 1},
                                               {.top_p = 1, .temperature = 0.3f},
                                               {.top_p = 0.9f, .temperature = 0.5f},
                                               {.top_p = 1, .temperature = 0.4f, .top_k = 4, .min_p = 0.05f},
                                               {.top_p = 1, .repetition = 1.1f, .repeat_last = 16},
                                               {.top_p = 1, .presence = 0.02f, .frequency = 0.01f},
                                               {.top_p = 1, .bias = bias, .n_bias = 2},
                                               {.top_p = 1, .temperature = 0.9f}};
    for (uint32_t k = 0; k < n; k++)
        prompt[k] = (int32_t)(rng_u64(5, 0, k % period, 0) % n_vocab);
    struct seq_opts o = {.model = m,
                         .tenant = {.id = i % 2, .kv_salt = {1}},
                         .prompt = prompt,
                         .n_prompt = n,
                         .max_tokens = OUT_MAX - i,
                         .allowance = UINT32_MAX,
                         .sample = how[i % 8],
                         .ignore_eos = true,
                         .logprobs = true,
                         .top_logprobs = TOP,
                         .on_event = on_event,
                         .arg = t};
    o.sample.seed = i;
    memset(t, 0, sizeof *t);
    return engine_start(g, &o, &id, &e) == 0;
}

static void told_wait(struct told *t)
{
    for (int k = 0; k < 60000 && !t->done; k++)
        clock_sleep_ms(1);
}

static bool open_engine(struct engine **g, struct engine_model **m, struct run *r, const struct engine_opts *o, bool always)
{
    struct err e;
    if (engine_new(g, o, &e) < 0)
        return false;
    (*g)->draft_always = always;
    return engine_model_add(*g, r->model, NULL, m, &e) == 0;
}

static void equal(const char *what, const struct told *a, const struct told *b, uint32_t i)
{
    CHECK_MSG(a->done && b->done && a->end == b->end && a->n == b->n, "%s, %u: %u of %u tokens", what, i, b->n, a->n);
    for (uint32_t k = 0; k < a->n; k++) {
        const struct token_logprobs *x = &a->token[k], *y = &b->token[k];
        CHECK_MSG(x->token == y->token, "%s, %u: token %u is another one", what, i, k);
        CHECK_MSG(memcmp(&x->value, &y->value, sizeof x->value) == 0 && x->n_top == y->n_top && x->end == y->end &&
                      memcmp(x->top, y->top, x->n_top * sizeof *x->top) == 0,
                  "%s, %u: token %u has other bits", what, i, k);
    }
    CHECK(a->counts.input == b->counts.input + b->counts.cache_read && a->counts.output == b->counts.output && a->counts.accepted_draft == 0);
}

/* Company: one at a time, all at once. always: else as many rows as pay. */
static void round_of(const char *what, struct run *r, const struct told *alone, const struct engine_opts *o, bool always, uint64_t *drafted,
                     uint64_t *right)
{
    static struct told t[N];
    struct engine *g;
    struct engine_model *m;
    struct engine_stats st;
    CHECK(open_engine(&g, &m, r, o, always));
    for (int company = 0; company < 2; company++) {
        for (uint32_t i = 0; i < N; i++) {
            CHECK(ask(g, m, model_shape(r->model)->n_vocab, i, &t[i]));
            if (!company)
                told_wait(&t[i]);
        }
        for (uint32_t i = 0; i < N; i++) {
            told_wait(&t[i]);
            equal(what, &alone[i], &t[i], i);
        }
    }
    do {
        clock_sleep_ms(1);
        engine_stats(g, &st);
    } while (st.running > 0);
    CHECK(st.pages_used == 0);
    *drafted += st.draft_tokens, *right += st.draft_accepted;
    engine_free(g);
}

static void rounds(struct run *r, const char *what)
{
    static struct told alone[N];
    struct engine *g;
    struct engine_model *m;
    uint64_t drafted = 0, right = 0;
    const uint64_t page = (kv_page_bytes(&r->kv) + 4095) / 4096 * 4096;
    struct engine_opts o = {.device = r->dev, .kv_bytes = 64 << 20, .no_prefix_cache = true};
    CHECK(open_engine(&g, &m, r, &o, false));
    for (uint32_t i = 0; i < N; i++) {
        CHECK(ask(g, m, model_shape(r->model)->n_vocab, i, &alone[i]));
        told_wait(&alone[i]);
    }
    engine_free(g);
    o.draft_max = 7;
    o.no_prefix_cache = false; /* all at once finds what they left one by one */
    round_of(what, r, alone, &o, true, &drafted, &right);
    o.kv_bytes = 7 * page;
    round_of(what, r, alone, &o, true, &drafted, &right);
    o.draft_max = ENGINE_DRAFT_MAX, o.kv_bytes = 64 << 20, o.no_prefix_cache = true;
    round_of(what, r, alone, &o, false, &drafted, &right);
    if (getenv("SLUICE_TEST_VERBOSE"))
        printf("%s: %u drafted, %u right\n", what, (unsigned)drafted, (unsigned)right);
    CHECK_MSG(right > 200, "%s: %u drafted, %u right", what, (unsigned)drafted, (unsigned)right);
    wrong += drafted - right;
}

static void check(const char *what, struct tiny o)
{
    struct gguf_writer *w;
    struct modelfile *f;
    struct run r;
    struct err e = {0};
    struct buf b;
    o.n_ctx = N_CTX;
    buf_init(&b, 0);
    CHECK(!gguf_writer_new(&w, &e) && tiny_put(w, &o) && !gguf_writer_bytes(w, &b, &e) && !gguf_parse(&f, b.data, b.len, &e));
    CHECK_MSG(run_open(&r, f, KV_F16, NULL, &e), "%s: %s", what, e.msg);
    rounds(&r, what);
    run_close(&r);
    gguf_writer_free(w);
    buf_deinit(&b);
}

TEST(families)
{
    static const char *const all[] = {"llama", "qwen2", "qwen3", "mistral3", "smollm3", "deci", "phi3"};
    for (size_t i = 0; i < sizeof all / sizeof *all && !test_failed; i++)
        check(all[i], tiny_default(all[i]));
    CHECK_MSG(wrong > 1000, "%u were wrong", (unsigned)wrong);
}

TEST(windows)
{
    struct tiny o = tiny_default("phi3");
    o.window = 50;
    check("a window in all layers", o);
}

static void check_file(const char *what, const char *path)
{
    struct modelfile *f;
    struct run r;
    struct err e = {0};
    CHECK_MSG(gguf_open(&f, path, &e) == 0 && run_open(&r, f, KV_F16, NULL, &e), "%s: %s", what, e.msg);
    rounds(&r, what);
    run_close(&r);
}

TEST(stories)
{
    const char *path = test_data("models/stories260K-f32.gguf");
    if (!path)
        SKIP("no stories260K-f32.gguf");
    check_file("stories260K", path);
}

TEST(guide)
{
    if (access("models/guide.gguf", R_OK) != 0)
        SKIP("no models/guide.gguf");
    check_file("guide", "models/guide.gguf");
}

TEST_MAIN()
