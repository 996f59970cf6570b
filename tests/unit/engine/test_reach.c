/* RoPE that depends on a length: the engine gives a sequence the scaling of prompt + max_tokens, from its first step to its last, beside
 * sequences with another one and after an eviction. */
#include "../model/golden.h"
#include "base/clock.h"
#include "engine/engine_int.h"

enum { PROMPT = 20, SHORT = 50, LONG = 100 };

struct told {
    int32_t token[LONG];
    uint32_t n;
    _Atomic bool paused, done;
};

static void on_event(void *arg, const struct seq_event *ev)
{
    struct told *t = arg;
    if (ev->kind == SEQ_TEXT && ev->token >= 0 && t->n < LONG)
        t->token[t->n++] = ev->token;
    else if (ev->kind == SEQ_PAUSED)
        t->paused = true;
    else if (ev->kind == SEQ_DONE)
        t->done = true;
}

/* The greedy tokens that the model itself gives a sequence of that reach. */
static void alone(struct run *r, const int32_t *prompt, uint32_t reach, int32_t *out, int n)
{
    float logits[384];
    int32_t want = PROMPT - 1;
    r->pos = 0, r->reach = reach;
    run_feed(r, prompt, PROMPT, &want, 1, logits);
    want = 0;
    for (int i = 0; i < n; i++) {
        out[i] = argmax(logits, 384);
        run_feed(r, &out[i], 1, &want, 1, logits);
    }
}

static void check(const char *rope, uint64_t kv_bytes)
{
    struct tiny o = tiny_default("llama");
    struct gguf_writer *w;
    struct modelfile *f;
    struct engine *g;
    struct engine_model *m;
    struct run r;
    struct err e = {0};
    struct buf b;
    uint64_t id[4];
    int32_t prompt[PROMPT], want[2][LONG];
    static struct told told[4];
    memset(told, 0, sizeof told);
    o.rope = rope, o.rope_ctx = 80, o.rope_factor = strcmp(rope, "longrope") ? 4 : 0;
    buf_init(&b, 0);
    CHECK(!gguf_writer_new(&w, &e) && tiny_put(w, &o) && !gguf_writer_bytes(w, &b, &e) && !gguf_parse(&f, b.data, b.len, &e));
    CHECK_MSG(run_open(&r, f, KV_F32, NULL, &e), "%s", e.msg);
    for (int i = 0; i < PROMPT; i++)
        prompt[i] = (int32_t)(rng_u64(3, 0, (uint64_t)i, 0) % 384);
    alone(&r, prompt, PROMPT + SHORT, want[0], SHORT);
    alone(&r, prompt, PROMPT + LONG, want[1], LONG);
    CHECK(memcmp(want[0], want[1], SHORT * sizeof(int32_t)) != 0); /* or the comparison would say nothing */
    CHECK(!engine_new(&g, &(struct engine_opts){.device = r.dev, .kv_type = KV_F32, .kv_bytes = kv_bytes}, &e) &&
          !engine_model_add(g, r.model, NULL, &m, &e));
    for (int i = 0; i < 4; i++) {
        struct seq_opts s = {.model = m,
                             .prompt = prompt,
                             .n_prompt = PROMPT,
                             .max_tokens = i % 2 ? LONG : SHORT,
                             .allowance = 5, /* all are let in with a page */
                             .sample = {.top_p = 1},
                             .ignore_eos = true,
                             .on_event = on_event,
                             .arg = &told[i]};
        CHECK_MSG(!engine_start(g, &s, &id[i], &e), "%s", e.msg);
    }
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 60000 && !told[i].paused; k++)
            clock_sleep_ms(1);
    for (int i = 0; i < 4; i++)
        engine_allow(g, id[i], UINT32_MAX);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 60000 && !told[i].done; k++)
            clock_sleep_ms(1);
    struct engine_stats stats;
    engine_stats(g, &stats);
    engine_free(g);
    for (int i = 0; i < 4; i++) {
        CHECK(told[i].done && told[i].n == (i % 2 ? LONG : SHORT));
        CHECK_MSG(!memcmp(told[i].token, want[i % 2], told[i].n * sizeof(int32_t)), "%s, sequence %d", rope, i);
    }
    CHECK_MSG(stats.evictions > 0 || kv_bytes > 1 << 20, "%llu steps", (unsigned long long)stats.steps);
    run_close(&r);
    gguf_writer_free(w);
    buf_deinit(&b);
}

TEST(longrope)
{
    check("longrope", 8 << 20);
}
TEST(dynamic)
{
    check("dynamic", 8 << 20);
}
TEST(after_an_eviction)
{
    check("dynamic", 4 * 2 * 2 * 2 * 64 * 16 * 4);
} /* four pages, all in use when the first wants its second */

TEST_MAIN()
