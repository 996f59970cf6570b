/* The engine with a real model (stories260K): the text of a sequence is the one that model_step alone gives, in any company and on pages
 * that others have used. */
#include "base/mem.h"
#include "told.h"
#include <math.h>

enum { TOKENS = 200, MANY = 8 };
static struct device    *device;
static struct modelfile *file;
static struct vocab     *vocab;
static struct model     *model;

static bool load(void)
{
    struct err  e = {0};
    const char *path = test_data("models/stories260K-f32.gguf");
    if (!path || model)
        return path != NULL;
    if (device_new(&device, &(struct device_opts){.n_threads = 2}, &e) < 0 || gguf_open(&file, path, &e) < 0 ||
        vocab_load(&vocab, file, &e) < 0 || model_load(&model, file, device, NULL, NULL, &e) < 0) {
        printf("%s\n", e.msg);
        exit(1);
    }
    return true;
}

/* One sequence, one row at a time, without an engine. Returns the tokens. */
static void alone(const int32_t *prompt, uint32_t n_prompt, const struct sample_params *p, enum kv_type type, int32_t *out, uint32_t n_out)
{
    const struct model_shape *sh = model_shape(model);
    struct kv_shape           kv;
    struct sampler           *s;
    struct err                e;
    model_kv_shape(model, type, &kv);
    const uint32_t n_pages = sh->n_ctx / KV_PAGE + 1;
    void          *pages[64];
    float         *logits = calloc(sh->n_vocab, sizeof *logits);
    ASSERT(n_pages <= 64 && logits && sampler_new(&s, sh->n_vocab, &e) == 0);
    for (uint32_t i = 0; i < n_pages; i++)
        pages[i] = mem_pages(kv_page_bytes(&kv));
    for (uint32_t pos = 0; pos < n_prompt + n_out - 1; pos++) {
        int32_t       token = pos < n_prompt ? prompt[pos] : out[pos - n_prompt], at = (int32_t)pos, want = 0;
        struct kv_seq seq = {.row0 = 0, .n_rows = 1, .pos0 = (int)pos, .pages = pages};
        struct step   st = {.n = 1, .token = &token, .pos = &at, .seqs = &seq, .n_seqs = 1, .kv = kv, .want = &want,
                            .n_want = pos + 1 >= n_prompt, .logits = logits};
        model_step(model, &st);
        if (pos + 1 >= n_prompt)
            out[pos + 1 - n_prompt] = sampler_pick(s, p, pos + 1, logits);
    }
    for (uint32_t i = 0; i < n_pages; i++)
        mem_pages_free(pages[i], kv_page_bytes(&kv));
    sampler_free(s);
    free(logits);
}

static bool open_engine(struct engine **g, struct engine_model **m, enum kv_type type, uint64_t kv_bytes)
{
    struct err e;
    return engine_new(g, &(struct engine_opts){.device = device, .kv_type = type, .kv_bytes = kv_bytes, .chunk = 24}, &e) == 0 &&
           engine_model_add(*g, model, vocab, m, &e) == 0;
}

static struct vec_i32 encode(const char *text)
{
    struct vec_i32 v = {0};
    struct err     e;
    ASSERT(vocab_encode(vocab, text, strlen(text), NULL, 0, &(struct encode_opts){.add_bos = true}, &v, &e) == 0);
    return v;
}

TEST(greedy_equals_model_step)
{
    if (!load())
        SKIP("no stories260K-f32.gguf");
    static struct told   t;
    struct engine       *g;
    struct engine_model *m;
    int32_t              want[TOKENS];
    struct vec_i32       prompt = encode("Once upon a time, there was a little girl named Lily. She loved to play outside in the park.");
    struct sample_params greedy = {.top_p = 1};
    for (enum kv_type type = KV_F16; type <= KV_F32; type++) {
        alone(prompt.p, (uint32_t)prompt.n, &greedy, type, want, TOKENS);
        CHECK(open_engine(&g, &m, type, 8 << 20));
        struct seq_opts o = told_request(&t, m, prompt.p, (uint32_t)prompt.n, TOKENS);
        CHECK(told_start(g, &o));
        told_wait(&t);
        engine_free(g);
        CHECK(t.done && t.end == SEQ_END_LENGTH && t.n == TOKENS);
        for (uint32_t i = 0; i < TOKENS; i++)
            CHECK_MSG(t.token[i].token == want[i], "token %u is %d, not %d", i, t.token[i].token, want[i]);
        CHECK(t.n_text > 300 && utf8_valid(t.text, t.n_text));
        if (getenv("SLUICE_TEST_VERBOSE"))
            printf("%.*s\n", (int)t.n_text, t.text);
    }
    vec_deinit(&prompt);
}

/* The same seed alone and among seven others, at temperature 0.8. */
TEST(company_changes_no_text)
{
    if (!load())
        SKIP("no stories260K-f32.gguf");
    static struct told   t[MANY];
    static int32_t       want[TOKENS];
    struct engine       *g;
    struct engine_model *m;
    static const char *const texts[MANY] = {"Once upon a time", "The dog",
                                            "Lily and Tom went to the big park to play with the red ball. They", "A",
                                            "One day, a bird", "Mom said", "The sun was hot and the cat was sleepy.", "In the forest"};
    CHECK(open_engine(&g, &m, KV_F16, 8 << 20));
    for (int i = 0; i < MANY; i++) {
        struct vec_i32  p = encode(texts[i]);
        struct seq_opts o = told_request(&t[i], m, p.p, (uint32_t)p.n, TOKENS);
        o.sample = (struct sample_params){.temperature = 0.8f, .top_p = 0.95f, .seed = 11};
        CHECK(told_start(g, &o));
        vec_deinit(&p);
    }
    for (int i = 0; i < MANY; i++)
        told_wait(&t[i]);
    engine_free(g);
    for (int i = 0; i < MANY; i++) {
        struct vec_i32 p = encode(texts[i]);
        alone(p.p, (uint32_t)p.n, &(struct sample_params){.temperature = 0.8f, .top_p = 0.95f, .seed = 11}, KV_F16, want, TOKENS);
        vec_deinit(&p);
        CHECK(t[i].n == TOKENS);
        for (uint32_t k = 0; k < TOKENS; k++)
            CHECK_MSG(t[i].token[k].token == want[k], "text %d, token %u is %d, not %d", i, k, t[i].token[k].token, want[k]);
    }
}

/* A tenant's pages come back to others full of not-a-numbers: whoever read one position too many would not get a text at all. */
TEST(used_pages_are_never_read)
{
    if (!load())
        SKIP("no stories260K-f32.gguf");
    static struct told   t[3];
    struct engine       *g;
    struct engine_model *m;
    struct engine_stats  st;
    struct vec_i32       p = encode("Once upon a time, there was a secret that nobody else may read");
    for (enum kv_type type = KV_F16; type <= KV_F32; type++) {
        CHECK(open_engine(&g, &m, type, 8 << 20));
        for (int i = 0; i < 3; i++) {
            struct seq_opts o = told_request(&t[i], m, p.p, (uint32_t)p.n, 150);
            o.tenant.id = (uint64_t)i;
            CHECK(told_start(g, &o));
            told_wait(&t[i]);
            do { /* the step thread sleeps when all is published */
                clock_sleep_ms(5);
                engine_stats(g, &st);
            } while (st.pages_used > 0);
            CHECK(g->budget.pools->n_warm > 0);
            kv_pool_poison(g->budget.pools, 0xff);
            const char *differ = told_differ(&t[0], &t[i]);
            CHECK_MSG(t[i].n == 150 && !differ, "text %d: %s", i, differ ? differ : "it is too short");
        }
        engine_free(g);
    }
    vec_deinit(&p);
}

/* Memory for three of eight: they are evicted and computed again, to the same texts. */
TEST(recomputed_texts_are_the_same)
{
    if (!load())
        SKIP("no stories260K-f32.gguf");
    static struct told   t[2][MANY];
    struct engine       *g;
    struct engine_model *m;
    struct engine_stats  st;
    struct vec_i32       p = encode("Lily and Tom went to the park");
    for (int round = 0; round < 2; round++) {
        struct kv_shape kv;
        model_kv_shape(model, KV_F16, &kv);
        CHECK(open_engine(&g, &m, KV_F16, round ? 12 * ((kv_page_bytes(&kv) + 4095) / 4096 * 4096) : 16 << 20));
        for (int i = 0; i < MANY; i++) {
            struct seq_opts o = told_request(&t[round][i], m, p.p, (uint32_t)p.n, 300);
            o.sample = (struct sample_params){.temperature = 0.8f, .top_p = 1, .seed = (uint64_t)i};
            CHECK(told_start(g, &o));
        }
        for (int i = 0; i < MANY; i++)
            told_wait(&t[round][i]);
        engine_stats(g, &st);
        engine_free(g);
        CHECK(round == 0 ? st.evictions == 0 : st.evictions > 0);
    }
    for (int i = 0; i < MANY; i++) {
        const char *differ = told_differ(&t[0][i], &t[1][i]);
        CHECK_MSG(t[0][i].n == 300 && !differ, "text %d: %s", i, differ ? differ : "it is too short");
    }
    vec_deinit(&p);
}

TEST_MAIN()
