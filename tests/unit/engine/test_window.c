/* Windows that slide: where attention of all layers reaches back only so far, a sequence of any length lives in a few pages. Its tokens are to the
 * bit those that the whole past gives; what was put back is full of not-a-numbers; prompts that begin alike still find what was computed. */
#include "../model/golden.h"
#include "engine/engine_int.h"

enum { N = 3, N_CTX = 1400, PROMPT = 330, OUT_MAX = 1000, WINDOW = 100, CHUNK = 32 };

/* One sequence alone, a row at a time, with pages for all of it. */
static void alone(struct run *r, const int32_t *prompt, const struct sample_params *p, int32_t *out)
{
    static float logits[1024];
    static void *pages[N_CTX / KV_PAGE + 1];
    struct sampler *s;
    struct err e;
    CHECK(sampler_new(&s, model_shape(r->model)->n_vocab, &e) == 0);
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        CHECK(pages[i] = mem_pages(kv_page_bytes(&r->kv)));
    for (int32_t pos = 0; pos < PROMPT + OUT_MAX - 1; pos++) {
        int32_t token = pos < PROMPT ? prompt[pos] : out[pos - PROMPT], want = 0;
        struct kv_seq seq = {.n_rows = 1, .pos0 = pos, .pages = pages};
        model_step(r->model, &(struct step){.n = 1,
                                            .token = &token,
                                            .pos = &pos,
                                            .seqs = &seq,
                                            .n_seqs = 1,
                                            .kv = r->kv,
                                            .want = &want,
                                            .n_want = pos + 1 >= PROMPT,
                                            .logits = logits});
        if (pos + 1 >= PROMPT)
            out[pos + 1 - PROMPT] = sampler_pick(s, p, (uint64_t)pos + 1, logits);
    }
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
        mem_pages_free(pages[i], kv_page_bytes(&r->kv));
    sampler_free(s);
}

struct told {
    int32_t token[OUT_MAX];
    uint32_t n;
    bool done;
    struct token_counts counts;
};

static void on_event(void *arg, const struct seq_event *ev)
{
    struct told *t = arg;
    if (ev->kind == SEQ_TEXT && ev->token >= 0)
        t->token[t->n++] = ev->token;
    t->done |= ev->kind == SEQ_DONE;
    t->counts = ev->counts;
}

static struct sample_params params(int i)
{
    return (struct sample_params){.temperature = i ? 0.8f : 0, .top_p = 1, .seed = (uint64_t)i};
}

static int32_t prompts[N][PROMPT], right[N][OUT_MAX];
static struct told told[N];

static void ask(struct engine *g, struct engine_model *m, int i)
{
    uint64_t id;
    struct err e;
    told[i] = (struct told){0};
    struct seq_opts o = {.model = m,
                         .tenant = {.id = 1, .weight = 1, .kv_salt = {1}},
                         .prompt = prompts[i],
                         .n_prompt = PROMPT,
                         .max_tokens = OUT_MAX,
                         .allowance = UINT32_MAX,
                         .sample = params(i),
                         .ignore_eos = true,
                         .on_event = on_event,
                         .arg = &told[i]};
    CHECK(engine_start(g, &o, &id, &e) == 0);
}

/* All at once, in so many pages; what is free is poisoned after every turn. */
static void go(struct run *r, uint32_t pages, bool cache, uint32_t drafts, struct engine_stats *st)
{
    struct engine *g;
    struct engine_model *m;
    struct err e;
    const uint64_t page = (kv_page_bytes(&r->kv) + 4095) / 4096 * 4096;
    struct engine_opts o = {.device = r->dev, .kv_type = r->kv.type, .kv_bytes = pages * page, .chunk = CHUNK, .draft_max = drafts};
    o.no_prefix_cache = !cache;
    CHECK(!engine_open(&g, &o, &e) && !engine_model_add(g, r->model, NULL, &m, &e));
    CHECK_MSG(engine_model_ctx(m) == N_CTX && m->span == 8, "a context of %u, %u pages", engine_model_ctx(m), m->span);
    for (int i = 0; i < N; i++)
        ask(g, m, i);
    for (bool ran = true; ran;) {
        CHECK(engine_turn(g, false, &ran));
        kv_pool_poison(m->pool, 0xff);
        CHECK(m->pool->n_used <= N * m->span);
    }
    for (int i = 0; i < N; i++)
        CHECK_MSG(told[i].done && told[i].n == OUT_MAX && !memcmp(told[i].token, right[i], sizeof right[i]), "text %d of %u tokens", i, told[i].n);
    engine_stats(g, st);
    if (cache && pages > 100) { /* nobody wanted their memory: the first pages of a text are still found */
        ask(g, m, 0);
        for (bool ran = true; ran;)
            CHECK(engine_turn(g, false, &ran));
        CHECK(told[0].counts.cache_read == PROMPT - 1 && !memcmp(told[0].token, right[0], sizeof right[0]));
    }
    engine_free(g);
}

TEST(long_texts_in_few_pages)
{
    static const enum kv_type types[] = {KV_F16, KV_Q8, KV_BF16, KV_F32};
    static const char *const families[] = {"phi3", "llama", "qwen2", "qwen3"};
    for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
        struct tiny o = tiny_default(families[k]);
        struct run r;
        struct engine_stats st;
        struct err e = {0};
        o.n_ctx = N_CTX, o.window = WINDOW;
        CHECK_MSG(run_tiny(&r, &o, types[k], &e), "%s", e.msg);
        for (int i = 0; i < N; i++) {
            const struct sample_params p = params(i);
            for (uint32_t n = 0; n < PROMPT; n++)
                prompts[i][n] = (int32_t)(rng_u64(n < 200 ? 1 : 2 + (uint64_t)i, 0, n, 0) % 384);
            alone(&r, prompts[i], &p, right[i]);
        }
        go(&r, N * 8, false, 0, &st);
        CHECK(st.evictions == 0);
        go(&r, N * 8, true, 0, &st);
        CHECK(st.evictions == 0 && st.cached_tokens >= 192 && st.cache_evictions > 10);
        go(&r, 10, true, 8, &st); /* for one of them */
        CHECK(st.cache_evictions > 10);
        go(&r, 120, true, 0, &st);
        CHECK(st.evictions == 0 && st.cache_evictions == 0);
        run_close(&r);
    }
}

TEST_MAIN()
