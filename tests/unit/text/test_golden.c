/* Token ids against other implementations: llama.cpp's published cases, and the golden files of Hugging Face's and Google's tokenizers. */
#include "test.h"
#include "vocab_files.h"

static bool same_ids(const struct vec_i32 *got, const int64_t *want, size_t n)
{
    bool same = got->n == n;
    for (size_t i = 0; same && i < n; i++)
        same = got->p[i] == want[i];
    return same;
}

static void show(const char *what, const char *text, size_t n, const struct vec_i32 *got, const int64_t *want, size_t n_want)
{
    printf("%s: \"", what);
    for (size_t i = 0; i < n; i++)
        printf(text[i] < 32 || text[i] > 126 ? "\\x%02x" : "%c", (uint8_t)text[i]);
    printf("\"\n  got ");
    for (size_t i = 0; i < got->n; i++)
        printf(" %d", got->p[i]);
    printf("\n  want");
    for (size_t i = 0; i < n_want; i++)
        printf(" %lld", (long long)want[i]);
    printf("\n");
}

/* Encodes text wholly trusted or not; the number of differences from want (0 or 1). */
static int differs(const struct vocab *v, const char *what, const char *text, size_t n, bool trusted, const int64_t *want, size_t n_want)
{
    struct vec_i32 got = {0};
    struct err e = {0};
    struct text_span spans[256] = {{0, (uint32_t)n, true}};
    struct encode_opts o = {0};
    int rc = vocab_encode(v, text, n, spans, trusted ? 1 : marker_spans(text, n, spans, 256), &o, &got, &e);
    bool same = rc == 0 && same_ids(&got, want, n_want);
    if (!same)
        show(rc ? e.msg : what, text, n, &got, want, n_want);
    vec_deinit(&got);
    return !same;
}

/* llama.cpp's cases: texts between lines of "__ggml_vocab_test__", ids one line a case. Takes v. */
static void check_inp(struct vocab *v, const char *cases)
{
    char name[256];
    struct buf inp, ids;
    int n = 0, bad = 0;
    CHECK(v);
    snprintf(name, sizeof name, "golden/%s.inp", cases);
    CHECK(read_data(&inp, name));
    snprintf(name, sizeof name, "golden/%s.out", cases);
    CHECK(read_data(&ids, name));
    const char *sep = "\n__ggml_vocab_test__\n", *at = inp.data;
    struct str lines = {ids.data, ids.len};
    for (const char *end; (end = strstr(at, sep)) != NULL; at = end + strlen(sep), n++) {
        int64_t want[4096];
        size_t n_want = 0;
        struct str line = str_split(&lines, '\n');
        while (line.p && n_want < 4096) {
            struct str one = str_split(&line, ' ');
            if (one.n)
                CHECK(str_i64(one, &want[n_want++]));
        }
        bad += differs(v, cases, at, (size_t)(end - at), false, want, n_want);
    }
    vocab_free(v);
    buf_deinit(&inp);
    buf_deinit(&ids);
    CHECK_MSG(n >= 40, "only %d cases", n);
    CHECK_MSG(bad == 0, "%d of %d cases differ", bad, n);
}

/* The golden files of the reference implementations. Takes v. */
static void check_json(struct vocab *v, const char *name, bool trusted)
{
    char rel[256];
    int n = 0, bad = 0;
    snprintf(rel, sizeof rel, "golden/%s.json", name);
    CHECK(v);
    struct json *j = json_data(rel);
    CHECK(j);
    const struct json *cases = json_get(j, "cases");
    for (size_t i = 0; i < json_len(cases); i++) {
        const struct json *ids = json_get(json_at(cases, i), "ids");
        char raw[4096];
        struct str text = json_str(json_get(json_at(cases, i), "text"));
        int64_t want[4096];
        CHECK(json_len(ids) <= 4096);
        for (size_t k = 0; k < json_len(ids); k++)
            want[k] = json_int(json_at(ids, k));
        CHECK(text.n <= sizeof raw);
        text = nul_back(text, raw);
        n++;
        bad += differs(v, name, text.p, text.n, trusted, want, json_len(ids));
    }
    json_free(j);
    vocab_free(v);
    CHECK_MSG(n >= 69, "only %d cases", n);
    CHECK_MSG(bad == 0, "%d of %d cases differ", bad, n);
}

static bool have_data(void)
{
    return test_data("golden/qwen3.json") != NULL;
}

#define INP(test, load, cases)                                                                                                                       \
    TEST(llamacpp_##test)                                                                                                                            \
    {                                                                                                                                                \
        if (!have_data())                                                                                                                            \
            SKIP("no test data");                                                                                                                    \
        check_inp(load, cases);                                                                                                                      \
    }
#define GOLDEN(test, load, cases, trusted)                                                                                                           \
    TEST(golden_##test)                                                                                                                              \
    {                                                                                                                                                \
        if (!have_data())                                                                                                                            \
            SKIP("no test data");                                                                                                                    \
        check_json(load, cases, trusted);                                                                                                            \
    }

INP(llama_spm, vocab_of_gguf("vocab/ggml-vocab-llama-spm.gguf"), "ggml-vocab-llama-spm.gguf")
INP(phi_3, vocab_of_gguf("vocab/ggml-vocab-phi-3.gguf"), "ggml-vocab-phi-3.gguf")
INP(gpt_2, vocab_of_gguf("vocab/ggml-vocab-gpt-2.gguf"), "ggml-vocab-gpt-2.gguf")
INP(mpt, vocab_of_gguf("vocab/ggml-vocab-mpt.gguf"), "ggml-vocab-mpt.gguf")
INP(starcoder, vocab_of_gguf("vocab/ggml-vocab-starcoder.gguf"), "ggml-vocab-starcoder.gguf")
INP(refact, vocab_of_gguf("vocab/ggml-vocab-refact.gguf"), "ggml-vocab-refact.gguf")
INP(qwen2, vocab_of_tokenizer_json("tokenizers/qwen3-tokenizer.json", "qwen2"), "ggml-vocab-qwen2.gguf")
INP(qwen2_files, vocab_of_gpt2_files("tokenizers/qwen2-vocab.json", "tokenizers/qwen2-merges.txt", "qwen2"), "ggml-vocab-qwen2.gguf")
INP(llama_bpe, vocab_of_ranks("tokenizers/llama3-tokenizer.model", "tokenizers/llama3-tokenizer_config.json", "llama-bpe"),
    "ggml-vocab-llama-bpe.gguf")
INP(deepseek_r1_qwen, vocab_of_tokenizer_json("tokenizers/qwen3-tokenizer.json", "deepseek-r1-qwen"), "ggml-vocab-deepseek-r1-qwen.gguf")
INP(deepseek_llm, vocab_of_gguf("vocab/ggml-vocab-deepseek-llm.gguf"), "ggml-vocab-deepseek-llm.gguf")
INP(deepseek_coder, vocab_of_gguf("vocab/ggml-vocab-deepseek-coder.gguf"), "ggml-vocab-deepseek-coder.gguf")
INP(falcon, vocab_of_gguf("vocab/ggml-vocab-falcon.gguf"), "ggml-vocab-falcon.gguf")

GOLDEN(qwen1, vocab_of_ranks("tokenizers/qwen1-qwen.tiktoken", NULL, "qwen2"), "qwen1", false)
GOLDEN(cl100k, vocab_of_ranks("tokenizers/cl100k_base.tiktoken", NULL, "llama-bpe"), "cl100k_base", false)
GOLDEN(o200k, vocab_of_ranks("tokenizers/o200k_base.tiktoken", NULL, "gpt-4o"), "o200k_base", false)
GOLDEN(p50k, vocab_of_ranks("tokenizers/p50k_base.tiktoken", NULL, "gpt-2"), "p50k_base", false)
GOLDEN(r50k, vocab_of_ranks("tokenizers/r50k_base.tiktoken", NULL, "gpt-2"), "r50k_base", false)
GOLDEN(gptoss, vocab_of_tokenizer_json("tokenizers/gptoss-tokenizer.json", "gpt-4o"), "gptoss", true)
GOLDEN(deepseek_v3, vocab_of_tokenizer_json("tokenizers/deepseek_v3-tokenizer.json", "deepseek-v3"), "deepseek_v3", true)
GOLDEN(whisper, vocab_of_tokenizer_json("tokenizers/whisper-tokenizer.json", "gpt-2"), "whisper", true)
GOLDEN(qwen3, vocab_of_tokenizer_json("tokenizers/qwen3-tokenizer.json", "qwen2"), "qwen3", true)
GOLDEN(gpt2, vocab_of_gpt2_files("tokenizers/gpt2-vocab.json", "tokenizers/gpt2-merges.txt", "gpt-2"), "r50k_base", true)
GOLDEN(llama3, vocab_of_ranks("tokenizers/llama3-tokenizer.model", "tokenizers/llama3-tokenizer_config.json", "llama-bpe"), "llama3", true)
GOLDEN(smollm2, vocab_of_tokenizer_json("tokenizers/smollm2-tokenizer.json", "smollm"), "smollm2", true)
GOLDEN(minimind, vocab_of_tokenizer_json("tokenizers/minimind-tokenizer.json", "gpt-2"), "minimind", true)
GOLDEN(phi2, vocab_of_tokenizer_json("tokenizers/codegen-phi2-tokenizer.json", "gpt-2"), "codegen-phi2", true)
GOLDEN(llama2_spm, vocab_of_sentencepiece("tokenizers/llama2-tokenizer.model"), "llama2-spm", false)
GOLDEN(llama2_gguf, vocab_of_gguf("vocab/ggml-vocab-llama-spm.gguf"), "llama2-spm", false)
GOLDEN(llama2_hf, vocab_of_gguf("vocab/ggml-vocab-llama-spm.gguf"), "llama2-hf", true)
GOLDEN(mistral_v1, vocab_of_sentencepiece("tokenizers/mistral-v1.model"), "mistral-v1", false)
GOLDEN(mistral_v3, vocab_of_sentencepiece("tokenizers/mistral-v3.model"), "mistral-v3", false)
GOLDEN(mistral_v7, vocab_of_sentencepiece("tokenizers/mistral-v7.model"), "mistral-v7", false)
GOLDEN(baichuan1, vocab_of_sentencepiece("tokenizers/baichuan1-tokenizer.model"), "baichuan1", false)
GOLDEN(baichuan2, vocab_of_sentencepiece("tokenizers/baichuan2-tokenizer.model"), "baichuan2", false)
GOLDEN(chatglm3, vocab_of_sentencepiece("tokenizers/chatglm3-tokenizer.model"), "chatglm3", false)
GOLDEN(yi, vocab_of_sentencepiece("tokenizers/yi-tokenizer.model"), "yi", false)
GOLDEN(mistral_v03_hf, vocab_of_unigram_json("tokenizers/mistral-v0.3-tokenizer.json"), "mistral-v0.3-hf", true)
GOLDEN(babyllama, vocab_of_gguf_without_extra_blanks("models/babyllama-tok105-f32.gguf"), "babyllama-tok105", false)

TEST_MAIN()
