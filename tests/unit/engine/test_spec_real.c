/* Speculation with real models of every family: tokens, log probabilities and bills are to the bit those without it, alone and sixteen at once,
 * behind pages that were found and with so little memory that sequences are computed again. Prompts repeat themselves, and so do greedy answers of
 * tiny models; sampled ones do so now and then. */
#include "told.h"
#include <unistd.h>

enum { N = 16, OUT_MAX = 90, PROMPT_MAX = 150, N_CTX = 320, TOP = 2 };

static uint64_t wrong; /* drafted tokens of all models */

static bool ask(struct engine *g, struct engine_model *m, uint32_t n_vocab, uint32_t i, struct told *t)
{
    int32_t prompt[PROMPT_MAX];
    const uint32_t n = 20 + (uint32_t)(rng_u64(3, i, 0, 0) % (PROMPT_MAX - 20)), period = 5 + i;
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
    struct seq_opts o = told_request(t, m, prompt, n, OUT_MAX - i);
    o.tenant = (struct tenant){.id = i % 2, .kv_salt = {1}};
    o.sample = how[i % 8], o.sample.seed = i;
    o.logprobs = true, o.top_logprobs = TOP;
    return told_start(g, &o);
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
    const char *differ = told_differ(a, b);
    CHECK_MSG(!differ, "%s, %u: %s", what, i, differ);
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
    struct run r;
    struct err e = {0};
    o.n_ctx = N_CTX;
    CHECK_MSG(run_tiny(&r, &o, KV_F16, &e), "%s: %s", what, e.msg);
    rounds(&r, what);
    run_close(&r);
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
