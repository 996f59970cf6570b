/* Every family, windows and each RoPE that depends on a length, with tiny models of the real code: tokens and log probabilities are to the bit the
 * same computed alone from the first token, all at once, behind pages that were found, and with so little memory that all are evicted. */
#include "../model/golden.h"
#include "base/clock.h"
#include "engine/engine_int.h"

enum { N = 6, COMMON = 140, OUT_MAX = 80, N_CTX = 320, VECTOR = 64 };

struct told {
    int32_t token[OUT_MAX];
    float value[OUT_MAX];
    uint32_t n, n_prompt;
    float prompt[N_CTX], vector[VECTOR];
    struct token_counts counts;
    enum seq_end end;
    _Atomic bool done;
};

static void on_event(void *arg, const struct seq_event *ev)
{
    struct told *t = arg;
    for (size_t i = 0; ev->kind == SEQ_PROMPT && i < ev->n_logprobs; i++)
        t->prompt[t->n_prompt++] = ev->logprobs[i].value;
    if (ev->kind == SEQ_TEXT && ev->token >= 0) {
        t->token[t->n] = ev->token;
        t->value[t->n++] = ev->logprobs[0].value;
    }
    if (ev->kind == SEQ_VECTOR)
        memcpy(t->vector, ev->vector, sizeof t->vector);
    t->counts = ev->counts;
    t->end = ev->end;
    if (ev->kind == SEQ_DONE)
        t->done = true;
}

/* Number i: a common beginning, a tail of its own; 4 and 5 want every row of the prompt. */
static void ask(struct engine *g, struct engine_model *m, int i, struct told *t)
{
    int32_t prompt[COMMON + 40];
    uint32_t n = COMMON + 3 * (uint32_t)(i % 2);
    uint64_t id;
    struct err e = {0};
    for (uint32_t k = 0; k < n; k++)
        prompt[k] = (int32_t)(rng_u64(k < COMMON ? 7 : 8 + (uint64_t)i, 0, k, 0) % 384);
    struct seq_opts o = {.model = m,
                         .tenant = {.kv_salt = {1}},
                         .prompt = prompt,
                         .n_prompt = n,
                         .max_tokens = i < 3 ? OUT_MAX : OUT_MAX - 9,
                         .allowance = UINT32_MAX,
                         .sample = {.temperature = 0.7f, .top_p = 1, .seed = (uint64_t)i},
                         .ignore_eos = true,
                         .logprobs = true,
                         .prompt_logprobs = i == 4,
                         .kind = i == 5 ? SEQ_EMBED : SEQ_GENERATE,
                         .on_event = on_event,
                         .arg = t};
    memset(t, 0, sizeof *t);
    CHECK_MSG(engine_start(g, &o, &id, &e) == 0, "%s", e.msg);
}

static void told_wait(struct told *t)
{
    for (int k = 0; k < 60000 && !t->done; k++)
        clock_sleep_ms(1);
}

static void equal(const char *what, const struct told *a, const struct told *b, int i)
{
    CHECK_MSG(a->done && b->done && a->end == b->end && a->n == b->n && a->n_prompt == b->n_prompt, "%s, %d: %u of %u tokens", what, i, b->n, a->n);
    CHECK_MSG(memcmp(a->token, b->token, sizeof a->token) == 0, "%s, %d: other tokens", what, i);
    CHECK_MSG(memcmp(a->value, b->value, sizeof a->value) == 0 && memcmp(a->vector, b->vector, sizeof a->vector) == 0, "%s, %d: other bits", what, i);
    CHECK_MSG(memcmp(a->prompt + 1, b->prompt + 1, sizeof a->prompt - sizeof *a->prompt) == 0, "%s, %d: other bits of the prompt", what, i);
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
                CHECK_MSG(few || !warm || i > 3 || t[i].counts.cache_read == 128, "%s, %d: %u found", what, i, t[i].counts.cache_read);
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
    struct gguf_writer *w;
    struct modelfile *f;
    struct run r;
    struct err e = {0};
    struct buf b;
    o.n_ctx = N_CTX;
    buf_init(&b, 0);
    CHECK(!gguf_writer_new(&w, &e) && tiny_put(w, &o) && !gguf_writer_bytes(w, &b, &e) && !gguf_parse(&f, b.data, b.len, &e));
    CHECK_MSG(run_open(&r, f, KV_F16, NULL, &e), "%s: %s", what, e.msg);
    rounds(&r, what, o.rope && strcmp(o.rope, "yarn"));
    run_close(&r);
    gguf_writer_free(w);
    buf_deinit(&b);
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
