/* Every family, windows and each RoPE that depends on a length, with tiny models of the real code: tokens and log probabilities are to the bit the
 * same computed alone from the first token, all at once, behind pages that were found, and with so little memory that all are evicted. */
#include "told.h"

enum { N = 6, COMMON = 140, OUT_MAX = 80, N_CTX = 320 };

/* Of prompt i. */
static uint32_t length(int i)
{
    return COMMON + 3 * (uint32_t)(i % 2);
}

/* Number i: a common beginning, a tail of its own; 4 and 5 want every row of the prompt. */
static void ask(struct engine *g, struct engine_model *m, int i, struct told *t)
{
    int32_t prompt[COMMON + 40];
    const uint32_t n = length(i);
    for (uint32_t k = 0; k < n; k++)
        prompt[k] = (int32_t)(rng_u64(k < COMMON ? 7 : 8 + (uint64_t)i, 0, k, 0) % 384);
    struct seq_opts o = told_request(t, m, prompt, n, i < 3 ? OUT_MAX : OUT_MAX - 9);
    o.tenant = (struct tenant){.kv_salt = {1}};
    o.sample = (struct sample_params){.temperature = 0.7f, .top_p = 1, .seed = (uint64_t)i};
    o.logprobs = true, o.prompt_logprobs = i == 4;
    o.kind = i == 5 ? SEQ_EMBED : SEQ_GENERATE;
    CHECK(told_start(g, &o));
}

static void equal(const char *what, const struct told *a, const struct told *b, int i)
{
    const char *differ = told_differ(a, b);
    CHECK_MSG(!differ, "%s, %d: %s", what, i, differ);
    CHECK(a->counts.input == b->counts.input + b->counts.cache_read && a->counts.output == b->counts.output);
}

static uint64_t evictions; /* of all rounds: who loses pages in one of them depends on who came first */

static void rounds(struct run *r, const char *what, bool own_reach)
{
    static struct told alone[N], t[N];
    struct engine *g;
    struct engine_model *m;
    struct engine_stats st;
    struct err e = {0};
    const uint64_t page = (kv_page_bytes(&r->kv) + 4095) / 4096 * 4096;
    CHECK(!engine_new(&g, &(struct engine_opts){.device = r->dev, .kv_bytes = 64 << 20, .no_prefix_cache = true}, &e) &&
          !engine_model_add(g, r->model, NULL, &m, &e));
    for (int i = 0; i < N; i++) {
        ask(g, m, i, &alone[i]);
        told_wait(&alone[i]);
    }
    engine_free(g);
    for (int few = 0; few < 2; few++) { /* memory: plenty, five pages */
        uint32_t found = 0;
        CHECK(!engine_new(&g, &(struct engine_opts){.device = r->dev, .kv_bytes = few ? 5 * page : 64 << 20, .chunk = 48}, &e) &&
              !engine_model_add(g, r->model, NULL, &m, &e));
        for (int warm = 0; warm < 2; warm++) {
            for (int i = 0; i < N; i++)
                ask(g, m, i, &t[i]);
            for (int i = 0; i < N; i++) {
                told_wait(&t[i]);
                equal(what, &alone[i], &t[i], i);
                found += t[i].counts.cache_read;
                CHECK(i < 4 || t[i].counts.cache_read == 0);
                CHECK_MSG(few || !warm || i > 3 || t[i].counts.cache_read == length(i) - 1, "%s, %d: %u found", what, i, t[i].counts.cache_read);
            }
        }
        engine_stats(g, &st);
        engine_free(g);
        evictions += st.evictions;
        CHECK_MSG(few ? st.cache_evictions > 0 : found >= (own_reach ? 4u : 6u) * 128, "%s: %u found", what, found);
    }
}

static void check(const char *what, struct tiny o)
{
    struct run r;
    struct err e = {0};
    o.n_ctx = N_CTX;
    CHECK_MSG(run_tiny(&r, &o, KV_F16, &e), "%s: %s", what, e.msg);
    rounds(&r, what, o.rope && strcmp(o.rope, "yarn"));
    run_close(&r);
}

TEST(families)
{
    static const char *const all[] = {"llama", "qwen2", "qwen3", "mistral3", "smollm3", "deci", "phi3"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        check(all[i], tiny_default(all[i]));
    CHECK(evictions > 0);
}

TEST(windows)
{
    struct tiny o = tiny_default("phi3");
    o.window = 50; /* less than a page, so pages are found of which the rows of the tail see only a part */
    check("a window in all layers", o);
}

TEST(heads_of_two_widths)
{
    struct tiny o = tiny_default("qwen3");
    o.v_dim = 20;
    check("values narrower than keys", o);
}

TEST(ropes)
{
    static const char *const all[] = {"yarn", "dynamic", "longrope"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct tiny o = tiny_default("llama");
        o.rope = all[i], o.rope_ctx = 215, o.rope_factor = strcmp(all[i], "longrope") ? 4 : 0; /* 211 and 220 positions, 214 and 223 */
        check(all[i], o);
    }
}

TEST_MAIN()
