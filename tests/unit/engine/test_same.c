/* On one level of the kernels a request gives the same tokens and the same log probabilities, to the bit, whatever goes on around it: alone, among
 * sixteen, with memory so small that all are evicted, with pages found or not, guessed ahead or not, by 1, 2 or 3 threads, in chunks of any size.
 * For each level that this CPU has, with weights and caches of several formats. */
#include "told.h"

#ifdef __SANITIZE_THREAD__
enum { RACES = 1 }; /* which are the same at every level */
#else
enum { RACES = 0 };
#endif
enum { N = 16, OUT_MAX = 16, N_CTX = 256, PROMPT_MAX = 150 };

/* Request i: half of them begin alike; greedy and sampled ones, some with penalties. */
static void ask(struct engine *g, struct engine_model *m, uint32_t i, struct told *t)
{
    int32_t prompt[PROMPT_MAX];
    uint32_t n = 3 + i * 11 % (PROMPT_MAX - 3);
    for (uint32_t k = 0; k < n; k++)
        prompt[k] = (int32_t)(rng_u64(i % 2 || k > 130 ? i : 0, 5, k % 23, 0) % 384); /* repeats: something to guess */
    struct seq_opts o = told_request(t, m, prompt, n, OUT_MAX - i % 5);
    o.tenant = (struct tenant){.id = i % 3, .kv_salt = {1}};
    o.sample =
        (struct sample_params){.temperature = i % 3 ? 0.9f : 0, .top_p = 0.95f, .top_k = i % 4 ? 0 : 20, .seed = i, .frequency = i % 5 ? 0 : 0.3f};
    o.logprobs = true;
    CHECK(told_start(g, &o));
}

struct way {
    const char *what;
    int threads;
    uint32_t chunk, pages; /* pages 0: enough for all */
    uint32_t drafts;       /* engine_opts.draft_max */
    bool together, warm, no_cache;
};

/* All requests in one way; the first way is what the others are compared with. */
static void go(const struct modelfile *f, const char *level, const struct way *w, enum kv_type kv, struct told *t, uint64_t *evicted, uint64_t *found)
{
    struct device *d;
    struct model *m;
    struct engine *g;
    struct engine_model *served;
    struct engine_stats st;
    struct kv_shape shape;
    struct err e = {0};
    CHECK_MSG(device_new(&d, &(struct device_opts){.n_threads = w->threads, .cpu_mask = level}, &e) == 0, "%s", e.msg);
    CHECK_MSG(model_load(&m, f, d, NULL, NULL, &e) == 0, "%s", e.msg);
    model_kv_shape(m, kv, &shape);
    size_t page = 0;
    CHECK(ck_align(kv_page_bytes(&shape), 4096, &page));
    struct engine_opts o = {.device = d, .kv_bytes = (w->pages ? w->pages : 200) * page, .chunk = w->chunk, .kv_type = kv};
    o.no_prefix_cache = w->no_cache;
    o.draft_max = w->drafts;
    CHECK_MSG(engine_new(&g, &o, &e) == 0 && engine_model_add(g, m, NULL, &served, &e) == 0, "%s", e.msg);
    for (int round = 0; round <= w->warm; round++)
        for (uint32_t i = 0; i < N; i++) {
            ask(g, served, i, &t[i]);
            if (!w->together)
                told_wait(&t[i]);
        }
    for (uint32_t i = 0; i < N; i++)
        told_wait(&t[i]);
    engine_stats(g, &st);
    *evicted += st.evictions, *found += st.cached_tokens;
    engine_free(g);
    model_free(m);
    device_free(d);
}

static void check(uint32_t type, enum kv_type kv)
{
    static const struct way ways[] = {
        {"alone", 1, 256, 0, 0, false, false, true},
        {"three threads", 3, 256, 0, 0, false, false, true},
        {"guessed ahead", 2, 256, 0, 8, false, false, true},
        {"sixteen, two threads, chunks of 17", 2, 17, 0, 0, true, false, true},
        {"sixteen, three threads, chunks of 100, found pages", 3, 100, 0, 8, true, false, false},
        {"memory for a few", 2, 64, 8, 0, true, false, false},
        {"memory for a few, guessed ahead", 1, 33, 8, 8, true, false, false},
        {"warm", 2, 256, 0, 0, false, true, false},
    };
    static struct told first[N], t[N];
    struct err e = {0};
    struct buf b;
    struct tiny o = tiny_default("qwen2");
    uint64_t evicted = 0, found = 0;
    const bool wide = quant_info(type)->block > 64;
    o.n_ctx = N_CTX, o.type = o.embd_type = type, o.n_embd = wide ? 256 : 64, o.n_ff = 256;
    buf_init(&b, 0);
    struct modelfile *f = tiny_file(&o, &b, &e);
    CHECK_MSG(f, "%s", e.msg);
    bool has, faster = false;
    const char *level;
    device_cpu(1, &faster);
    for (int l = (wide || RACES) && faster ? 1 : 0; (level = device_cpu(l, &has)); l++) { /* the specification is slow */
        for (size_t k = 0; has && k < sizeof ways / sizeof *ways; k++) {
            go(f, level, &ways[k], kv, k ? t : first, &evicted, &found);
            for (uint32_t i = 0; k && i < N; i++) {
                const char *differ = told_differ(&first[i], &t[i]);
                CHECK_MSG(!differ && t[i].n > 0, "%s, type %u, %s: request %u: %s", level, type, ways[k].what, i, differ ? differ : "no text");
            }
        }
    }
    CHECK_MSG(evicted > 0 && found > 1000, "%u evictions, %u tokens found: it proves little", (unsigned)evicted, (unsigned)found);
    modelfile_close(f);
    buf_deinit(&b);
}

TEST(q4_0)
{
    check(QUANT_Q4_0, KV_F16);
}
TEST(q8_0)
{
    check(QUANT_Q8_0, KV_Q8);
}
TEST(q4_k)
{
    check(QUANT_Q4_K, KV_F16);
}
TEST(q6_k)
{
    check(QUANT_Q6_K, KV_BF16);
}
TEST(f16)
{
    check(QUANT_F16, KV_F16);
}

TEST_MAIN()
