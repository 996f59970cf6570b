/* Numbers against llama.cpp and, where it has none, against plain Python (tests/golden/make.mjs made them): logits of tiny random models of
 * every family and RoPE variant in float32, the top token of quantised ones
 * wherever the peer itself is sure of it, 200 greedy tokens of stories260K; and against ourselves: batches, pages and levels do not
 * change a number beyond what their order of summing allows. */
#include "golden.h"
#include <math.h>

enum { TOKENS_MAX = 256 };

static int read_tokens(const struct json *j, int32_t *out)
{
    int n = (int)json_len(j);
    for (int i = 0; i < n && i < TOKENS_MAX; i++)
        out[i] = (int32_t)json_int(json_at(j, (size_t)i));
    return n < TOKENS_MAX ? n : TOKENS_MAX;
}

/* max |ours - theirs| / max |theirs| over all rows that the golden case holds; negative: something failed, and said so. */
static double case_error(const struct json *root, const struct json *c, const char *mask, int chunk)
{
    int32_t token[TOKENS_MAX], want[TOKENS_MAX];
    int n = read_tokens(json_get(root, "tokens"), token), n_want = read_tokens(json_get(c, "want"), want);
    const struct json *rows = json_get(c, "logits");
    struct err e = {0};
    struct buf bytes;
    struct run r;
    buf_init(&bytes, 0);
    struct modelfile *f = golden_model(c, &bytes, &e);
    if (!f || !run_open(&r, f, KV_F32, mask, &e)) {
        printf("%s\n", e.msg);
        buf_deinit(&bytes);
        return -1;
    }
    int vocab = (int)model_shape(r.model)->n_vocab, start = (int)json_int(json_get(c, "start"));
    float *logits = mem_array((size_t)n_want * (size_t)vocab, sizeof *logits), *to = logits;
    r.reach = (uint32_t)json_int(json_get(c, "reach"));
    if (start)
        run_late(&r, start);
    for (int at = 0, k = 0; at < n; at += chunk) {
        int rows_now = n - at < chunk ? n - at : chunk, n_now = 0;
        int32_t now[TOKENS_MAX];
        while (k < n_want && want[k] < at + rows_now)
            now[n_now++] = want[k++] - at;
        run_feed(&r, token + at, rows_now, now, n_now, to);
        to += n_now * vocab;
    }
    double diff = 0, top = 0;
    for (int i = 0; i < n_want; i++)
        for (int v = 0; v < vocab; v++) {
            double theirs = json_num(json_at(json_at(rows, (size_t)i), (size_t)v)), ours = logits[i * vocab + v];
            diff = fmax(diff, isfinite(ours) ? fabs(ours - theirs) : INFINITY);
            top = fmax(top, fabs(theirs));
        }
    if ((int)json_len(rows) != n_want || (int)json_len(json_at(rows, 0)) != vocab)
        diff = INFINITY;
    mem_free(logits);
    run_close(&r);
    buf_deinit(&bytes);
    return diff / top;
}

static void check_f32(const char *name, size_t n_cases)
{
    struct json *j = golden_read(name);
    CHECK(j && json_len(json_get(j, "cases")) >= n_cases);
    static const char *const masks[] = {NULL, "avx2", "scalar"};
    double worst = 0;
    for (size_t i = 0; i < json_len(json_get(j, "cases")); i++)
        for (size_t k = 0; k < sizeof masks / sizeof *masks; k++) {
            static const int chunks[] = {80, 7, 1};
            double err = case_error(j, json_at(json_get(j, "cases"), i), masks[k], chunks[(i + k) % 3]);
            CHECK_MSG(err >= 0 && err < 2e-6, "case %zu of %s, kernels %s, chunks of %d: %g", i, name, masks[k] ? masks[k] : "best",
                      chunks[(i + k) % 3], err);
            worst = fmax(worst, err);
        }
    if (getenv("SLUICE_TEST_VERBOSE"))
        printf("%s: %zu cases, the worst is off by %.2g of its largest logit\n", name, json_len(json_get(j, "cases")), worst);
    json_free(j);
}

TEST(llama_f32_logits_equal_the_peers)
{
    check_f32("llama.json", 20);
}
TEST(qwen2_f32_logits_equal_the_peers)
{
    check_f32("qwen2.json", 8);
}
TEST(qwen3_f32_logits_equal_the_peers)
{
    check_f32("qwen3.json", 8);
}
TEST(mistral3_f32_logits_equal_the_peers)
{
    check_f32("mistral3.json", 6);
}
TEST(smollm3_f32_logits_equal_the_peers)
{
    check_f32("smollm3.json", 5);
}
TEST(deci_f32_logits_equal_the_peers)
{
    check_f32("deci.json", 9);
}
TEST(phi3_f32_logits_equal_the_peers)
{
    check_f32("phi3.json", 8);
}

/* Teacher-forced: the same top token wherever the peer's margin exceeds its own difference between float32 and this type. */
static void check_types(const char *name)
{
    struct json *j = golden_read(name);
    int32_t token[TOKENS_MAX];
    CHECK(j);
    int n = read_tokens(json_get(j, "tokens"), token), all_sure = 0;
    for (size_t i = 0; i < json_len(json_get(j, "types")); i++) {
        const struct json *c = json_at(json_get(j, "types"), i);
        struct err e = {0};
        struct buf bytes;
        struct run r;
        buf_init(&bytes, 0);
        struct modelfile *f = golden_model(c, &bytes, &e);
        CHECK_MSG(f && run_open(&r, f, KV_F32, NULL, &e), "%s", e.msg);
        int vocab = (int)model_shape(r.model)->n_vocab, sure = 0;
        int32_t want[TOKENS_MAX];
        for (int p = 0; p < n; p++)
            want[p] = p;
        float *logits = mem_array((size_t)n * (size_t)vocab, sizeof *logits);
        run_feed(&r, token, n, want, n, logits);
        for (int p = 0; p < n; p++) {
            double margin = json_num(json_at(json_get(c, "margin"), (size_t)p)), diff = json_num(json_at(json_get(c, "diff"), (size_t)p));
            if (margin <= diff)
                continue;
            sure++;
            CHECK_MSG(argmax(logits + p * vocab, vocab) == json_int(json_at(json_get(c, "top"), (size_t)p)), "%s type %zu position %d", name, i, p);
        }
        CHECK_MSG(sure > 0, "%s type %zu: no position says anything", name, i);
        all_sure += sure;
        mem_free(logits);
        run_close(&r);
        buf_deinit(&bytes);
    }
    CHECK_MSG(all_sure > n, "%s: only %d positions of all types say anything", name, all_sure);
    json_free(j);
}

TEST(llama_types_pick_the_peers_token)
{
    check_types("llama.json");
}
TEST(qwen2_types_pick_the_peers_token)
{
    check_types("qwen2.json");
}
TEST(qwen3_types_pick_the_peers_token)
{
    check_types("qwen3.json");
}
TEST(mistral3_types_pick_the_peers_token)
{
    check_types("mistral3.json");
}
TEST(smollm3_types_pick_the_peers_token)
{
    check_types("smollm3.json");
}
TEST(deci_types_pick_the_peers_token)
{
    check_types("deci.json");
}
TEST(phi3_types_pick_the_peers_token)
{
    check_types("phi3.json");
}

TEST(stories_200_greedy_tokens)
{
    const char *path = test_data("models/stories260K-f32.gguf");
    if (!path)
        SKIP("no ../shared/data/models/stories260K-f32.gguf");
    struct json *j = golden_read("stories260k.json");
    struct err e = {0};
    struct modelfile *f;
    struct run r;
    struct sha256 d;
    char hex[65];
    CHECK(j && !sha256_file(&d, path, NULL, NULL, &e));
    str_to_hex(hex, d.b, sizeof d.b);
    CHECK(str_eqz(json_str(json_get(j, "sha256")), hex));
    const struct json *greedy = json_get(j, "greedy");
    CHECK(json_len(greedy) == 200);
    for (int type = KV_F16; type <= KV_F32; type++) {
        CHECK_MSG(!gguf_open(&f, path, &e) && run_open(&r, f, (enum kv_type)type, NULL, &e), "%s", e.msg);
        CHECK(model_shape(r.model)->n_vocab == 512);
        float logits[512];
        int32_t t = 1, want = 0; /* <s> */
        for (size_t i = 0; i < 200; i++) {
            run_feed(&r, &t, 1, &want, 1, logits);
            t = argmax(logits, 512);
            CHECK_MSG(t == json_int(json_at(greedy, i)), "token %zu with KV type %d", i, type);
        }
        run_close(&r);
    }
    json_free(j);
}

TEST_MAIN()
