/* A tiny model in every quantisation against llama.cpp (tests/golden/quants.mjs). Both round their activations to int8, each in its own way, so
 * the logits differ by that noise: 2 to 3% of their size where the weights are right, about their size where anything is wrong. */
#include "golden.h"
#include "test.h"
#include <math.h>

enum { TOKENS_MAX = 128 };

static double distance(const float *got, const struct json *want)
{
    double diff = 0, size = 0;
    for (size_t k = 0; k < json_len(want); k++) {
        double w = json_num(json_at(want, k)), d = (double)got[k] - w;
        diff += d * d, size += w * w;
    }
    return sqrt(diff / size);
}

static void check(const char *level)
{
    struct json *j = golden_read("quants.json");
    int32_t token[TOKENS_MAX], want[2];
    CHECK(j && json_len(json_get(j, "tokens")) <= TOKENS_MAX);
    int n = (int)json_len(json_get(j, "tokens"));
    for (int i = 0; i < n; i++)
        token[i] = (int32_t)json_int(json_at(json_get(j, "tokens"), (size_t)i));
    CHECK(json_len(json_get(j, "types")) == 13);
    for (size_t i = 0; i < json_len(json_get(j, "types")); i++) {
        const struct json *c = json_at(json_get(j, "types"), i);
        struct err e = {0};
        struct buf bytes;
        struct run r;
        buf_init(&bytes, 0);
        struct modelfile *f = golden_model(c, &bytes, &e);
        CHECK_MSG(f && run_open(&r, f, KV_F32, level, &e), "%s", e.msg);
        size_t vocab = model_shape(r.model)->n_vocab;
        float *logits = mem_array(2 * vocab, sizeof *logits);
        for (int k = 0; k < 2; k++)
            want[k] = (int32_t)json_int(json_at(json_get(c, "want"), (size_t)k));
        run_feed(&r, token, n, want, 2, logits);
        for (size_t k = 0; k < 2; k++) {
            double d = distance(logits + k * vocab, json_at(json_get(c, "logits"), k));
            CHECK_MSG(d < 0.05, "%s: after %d tokens the logits are %.4f of their size away", model_shape(r.model)->quant, want[k] + 1, d);
        }
        mem_free(logits);
        run_close(&r);
        buf_deinit(&bytes);
    }
    json_free(j);
}

/* A model of a mix of types in three files computes what it computes in one, and one of its files alone is no model. */
TEST(in_parts)
{
    struct tiny o = tiny_default("qwen2");
    char dir[] = "/tmp/parts.XXXXXX", whole[64], stem[64], part[64], cmd[80];
    int32_t token[40], want = 39;
    float logits[2][384];
    CHECK(mkdtemp(dir));
    snprintf(whole, sizeof whole, "%s/w.gguf", dir), snprintf(stem, sizeof stem, "%s/p", dir);
    snprintf(part, sizeof part, "%s/p-00002-of-00003.gguf", dir);
    o.type = QUANT_Q4_K, o.embd_type = QUANT_Q6_K, o.n_embd = 256, o.n_ff = 512;
    for (int i = 0; i < 40; i++)
        token[i] = i * 9;
    for (int i = 0; i < 2; i++) {
        struct modelfile *f;
        struct err e = {0};
        struct run r;
        o.parts = i ? 3 : 0;
        CHECK_MSG(!tiny_save(&o, i ? stem : whole, &e), "%s", e.msg);
        CHECK_MSG(!modelfile_open(&f, i ? part : whole, &e) && run_open(&r, f, KV_F16, NULL, &e), "%s", e.msg);
        CHECK(model_shape(r.model)->n_vocab == 384);
        run_feed(&r, token, 40, &want, 1, logits[i]);
        run_close(&r);
        if (i) {
            CHECK(!gguf_open(&f, part, &e) && !run_open(&r, f, KV_F16, NULL, &e));
        }
    }
    CHECK(memcmp(logits[0], logits[1], sizeof logits[0]) == 0);
    snprintf(cmd, sizeof cmd, "rm -r '%s'", dir);
    CHECK(system(cmd) == 0);
}

TEST(best_level)
{
    check(NULL);
}
TEST(avx2)
{
    check("avx2");
}
TEST(scalar)
{
    check("scalar");
}
TEST_MAIN()
