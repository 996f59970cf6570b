/* RoPE that depends on a length: the engine gives a sequence the scaling of prompt + max_tokens, from its first step to its last, beside
 * sequences with another one and after an eviction. */
#include "told.h"

enum { PROMPT = 20, SHORT = 50, LONG = 100 };

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
    struct engine *g;
    struct engine_model *m;
    struct run r;
    struct err e = {0};
    uint64_t id[4];
    int32_t prompt[PROMPT], want[2][LONG];
    static struct told told[4];
    o.rope = rope, o.rope_ctx = 80, o.rope_factor = strcmp(rope, "longrope") ? 4 : 0;
    CHECK_MSG(run_tiny(&r, &o, KV_F32, &e), "%s", e.msg);
    for (int i = 0; i < PROMPT; i++)
        prompt[i] = (int32_t)(rng_u64(3, 0, (uint64_t)i, 0) % 384);
    alone(&r, prompt, PROMPT + SHORT, want[0], SHORT);
    alone(&r, prompt, PROMPT + LONG, want[1], LONG);
    CHECK(memcmp(want[0], want[1], SHORT * sizeof(int32_t)) != 0); /* or the comparison would say nothing */
    CHECK(!engine_new(&g, &(struct engine_opts){.device = r.dev, .kv_type = KV_F32, .kv_bytes = kv_bytes}, &e) &&
          !engine_model_add(g, r.model, NULL, &m, &e));
    for (int i = 0; i < 4; i++) {
        struct seq_opts s = told_request(&told[i], m, prompt, PROMPT, i % 2 ? LONG : SHORT);
        s.allowance = 5; /* all are let in with a page */
        CHECK_MSG(!engine_start(g, &s, &id[i], &e), "%s", e.msg);
    }
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 60000 && !told[i].paused; k++)
            clock_sleep_ms(1);
    for (int i = 0; i < 4; i++)
        engine_allow(g, id[i], UINT32_MAX);
    for (int i = 0; i < 4; i++)
        told_wait(&told[i]);
    struct engine_stats stats;
    engine_stats(g, &stats);
    engine_free(g);
    for (int i = 0; i < 4; i++) {
        CHECK(told[i].done && told[i].n == (i % 2 ? LONG : SHORT));
        for (uint32_t k = 0; k < told[i].n; k++)
            CHECK_MSG(told[i].token[k].token == want[i % 2][k], "%s, sequence %d, token %u", rope, i, k);
    }
    CHECK_MSG(stats.evictions > 0 || kv_bytes > 1 << 20, "%llu steps", (unsigned long long)stats.steps);
    run_close(&r);
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
