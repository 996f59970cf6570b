/* Token ids against other implementations: llama.cpp's published cases, the golden files of Hugging Face's, OpenAI's and Google's tokenizers,
 * and what these say of the 5,000 texts of nasty.h (as digests, made by tests/golden/tokens.mjs and tokens.py). */
#include "test.h"
#include "base/hash.h"
#include "nasty.h"
#include "text/pretok.h"
#include "text/unicode.h"
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

/* llama.cpp's cases: texts between lines of "__ggml_vocab_test__", ids one line a case. */
static void check_inp(const struct vocab *v, const char *cases)
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
    buf_deinit(&inp);
    buf_deinit(&ids);
    CHECK_MSG(n >= 40, "only %d cases", n);
    CHECK_MSG(bad == 0, "%d of %d cases differ", bad, n);
}

/* The golden files of the reference implementations. */
static void check_json(const struct vocab *v, const char *name, bool trusted)
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
    CHECK_MSG(n >= 69, "only %d cases", n);
    CHECK_MSG(bad == 0, "%d of %d cases differ", bad, n);
}

/* ---- digests over many texts ---- */

static char texts[NASTY_COUNT * 200];
static size_t text_at[NASTY_COUNT + 1];

static bool make_texts(bool no_byte_names)
{
    static char one[NASTY_BYTES_MAX];
    for (uint32_t i = 0; i < NASTY_COUNT; i++) {
        size_t n = nasty_text(i, no_byte_names, one);
        if (n > sizeof texts - text_at[i])
            return false;
        memcpy(texts + text_at[i], one, n);
        text_at[i + 1] = text_at[i] + n;
    }
    return true;
}

static struct str text_of(uint32_t i)
{
    return (struct str){texts + text_at[i], text_at[i + 1] - text_at[i]};
}

/* The digests of one list of tests/golden/tokens*.json, block by block as text after text is added. */
struct digests {
    const struct json *want;
    struct sha256_ctx *sha;
    uint32_t n, bad, first_bad;
};

static void digest_add(struct digests *d, const void *p, uint32_t count, size_t bytes)
{
    if (!d->sha)
        d->sha = sha256_new();
    sha256_add(d->sha, &count, sizeof count);
    sha256_add(d->sha, p, bytes);
    if (++d->n % NASTY_BLOCK)
        return;
    struct sha256 sum;
    char hex[17];
    uint32_t block = d->n / NASTY_BLOCK - 1;
    sha256_free(d->sha, &sum);
    d->sha = NULL;
    str_to_hex(hex, sum.b, 8);
    if (str_eqz(json_str(json_at(d->want, block)), hex))
        return;
    d->first_bad = d->bad++ ? d->first_bad : block;
}

/* A list of digests: file, "vocabularies" or "pretokenizers", name, "ids", "text" or "cuts". */
static struct json *golden_file(const char *path)
{
    struct buf b;
    struct json *j = NULL;
    struct err e = {0};
    buf_init(&b, 1 << 20);
    if (os_read_file(&b, path, &e) || json_parse(&j, b.data, b.len, &e))
        printf("%s: %s\n", path, e.msg);
    buf_deinit(&b);
    return j;
}

static void encode_and_decode(const struct vocab *v, struct str t, bool trusted, struct digests *ids, struct digests *back)
{
    struct text_span spans[256] = {{0, (uint32_t)t.n, true}};
    struct encode_opts o = {0};
    struct vec_i32 got = {0};
    struct err e = {0};
    struct detok d;
    struct buf text;
    if (vocab_encode(v, t.p, t.n, spans, trusted ? 1 : marker_spans(t.p, t.n, spans, 256), &o, &got, &e))
        printf("%s\n", e.msg);
    buf_init(&text, 0);
    detok_init(&d, v, true);
    for (size_t i = 0; i < got.n; i++)
        if (!trusted || vocab_attr(v, got.p[i]) != TOKEN_UNKNOWN) /* to those peers <unk> is a special token, of which no text is shown */
            detok_add(&d, got.p[i], &text);
    detok_end(&d, &text);
    digest_add(ids, got.p, (uint32_t)got.n, got.n * sizeof *got.p);
    digest_add(back, text.data, (uint32_t)text.len, text.len);
    vec_deinit(&got);
    buf_deinit(&text);
}

static void check_digests(const struct vocab *v, const char *file, const char *name, bool trusted)
{
    struct json *j = golden_file(file);
    const struct json *entry = json_get(json_get(j, "vocabularies"), name);
    struct digests ids = {.want = json_get(entry, "ids")}, back = {.want = json_get(entry, "text")};
    CHECK(v && j && json_len(ids.want) == NASTY_COUNT / NASTY_BLOCK);
    CHECK(make_texts(strcmp(name, "mistral-v0.3-hf") == 0));
    for (uint32_t i = 0; i < NASTY_COUNT; i++)
        encode_and_decode(v, text_of(i), trusted, &ids, &back);
    bool has_text = back.want != NULL;
    json_free(j);
    CHECK_MSG(ids.bad == 0, "%s: ids of %u blocks of 100 texts differ, the first is %u", name, ids.bad, ids.first_bad);
    CHECK_MSG(!has_text || back.bad == 0, "%s: texts of %u blocks of 100 texts differ, the first is %u", name, back.bad, back.first_bad);
}

static bool have_data(void)
{
    return test_data("golden/qwen3.json") != NULL;
}

/* A vocabulary, llama.cpp's cases, a golden file, and the name in tests/golden/tokens.json (HF) or tokens_sp.json (SP); NULL: has none. */
#define HF "tests/golden/tokens.json"
#define SP "tests/golden/tokens_sp.json"
#define VOCAB(test, load, cases, golden, file, name, trusted)                                                                                        \
    TEST(test)                                                                                                                                       \
    {                                                                                                                                                \
        if (!have_data())                                                                                                                            \
            SKIP("no test data");                                                                                                                    \
        struct vocab *v = load;                                                                                                                      \
        if (cases)                                                                                                                                   \
            check_inp(v, cases);                                                                                                                     \
        if (golden)                                                                                                                                  \
            check_json(v, golden, trusted);                                                                                                          \
        if (name)                                                                                                                                    \
            check_digests(v, file, name, trusted);                                                                                                   \
        vocab_free(v);                                                                                                                               \
    }
#define GGML(test, name, golden, file, digests, trusted)                                                                                             \
    VOCAB(test, vocab_of_gguf("vocab/ggml-vocab-" name ".gguf"), "ggml-vocab-" name ".gguf", golden, file, digests, trusted)
#define JSON(name, pre)  vocab_of_tokenizer_json("tokenizers/" name "-tokenizer.json", pre)
#define RANKS(name, pre) vocab_of_ranks("tokenizers/" name ".tiktoken", NULL, pre)
#define PIECES(file)     vocab_of_sentencepiece("tokenizers/" file ".model")

GGML(llama_spm, "llama-spm", "llama2-spm", SP, "llama2-spm", false)
VOCAB(llama_spm_as_hugging_face, vocab_of_gguf("vocab/ggml-vocab-llama-spm.gguf"), NULL, "llama2-hf", HF, "llama2-hf", true)
GGML(phi_3, "phi-3", NULL, NULL, NULL, false)
GGML(gpt_2, "gpt-2", "r50k_base", HF, "r50k_base", false)
GGML(mpt, "mpt", NULL, HF, "ggml-mpt", true)
GGML(starcoder, "starcoder", NULL, HF, "ggml-starcoder", true)
GGML(refact, "refact", NULL, HF, "ggml-refact", true)
GGML(falcon, "falcon", NULL, HF, "ggml-falcon", true)
GGML(deepseek_llm, "deepseek-llm", NULL, HF, "ggml-deepseek-llm", true)
GGML(deepseek_coder, "deepseek-coder", NULL, HF, "ggml-deepseek-coder", true)
VOCAB(gpt_neox, vocab_of_gguf("vocab/ggml-vocab-gpt-neox.gguf"), NULL, NULL, HF, "ggml-gpt-neox", true)
VOCAB(qwen3, JSON("qwen3", "qwen2"), "ggml-vocab-qwen2.gguf", "qwen3", HF, "qwen3", true)
VOCAB(qwen2_files, vocab_of_gpt2_files("tokenizers/qwen2-vocab.json", "tokenizers/qwen2-merges.txt", "qwen2"), "ggml-vocab-qwen2.gguf", NULL, NULL,
      NULL, false)
VOCAB(deepseek_r1_qwen, JSON("qwen3", "deepseek-r1-qwen"), "ggml-vocab-deepseek-r1-qwen.gguf", NULL, NULL, NULL, false)
VOCAB(llama3, vocab_of_ranks("tokenizers/llama3-tokenizer.model", "tokenizers/llama3-tokenizer_config.json", "llama-bpe"),
      "ggml-vocab-llama-bpe.gguf", "llama3", HF, "llama3", true)
VOCAB(qwen1, RANKS("qwen1-qwen", "qwen2"), NULL, "qwen1", NULL, NULL, false)
VOCAB(qwen1_plain, RANKS("qwen1-qwen", "stablelm2"), NULL, NULL, HF, "qwen1", false)
VOCAB(cl100k, RANKS("cl100k_base", "llama-bpe"), NULL, "cl100k_base", HF, "cl100k_base", false)
VOCAB(o200k, RANKS("o200k_base", "gpt-4o"), NULL, "o200k_base", HF, "o200k_base", false)
VOCAB(p50k, RANKS("p50k_base", "gpt-2"), NULL, "p50k_base", HF, "p50k_base", false)
VOCAB(r50k_ranks, RANKS("r50k_base", "gpt-2"), NULL, "r50k_base", HF, "r50k_base", false)
VOCAB(gpt2_files, vocab_of_gpt2_files("tokenizers/gpt2-vocab.json", "tokenizers/gpt2-merges.txt", "gpt-2"), NULL, "r50k_base", HF, "r50k_base", false)
VOCAB(tekken, vocab_of_tekken("tokenizers/mistral-tekken-240718-mini.json"), NULL, NULL, HF, "tekken", false)
VOCAB(gptoss, JSON("gptoss", "gpt-4o"), NULL, "gptoss", HF, "gptoss", true)
VOCAB(deepseek_v3, JSON("deepseek_v3", "deepseek-v3"), NULL, "deepseek_v3", HF, "deepseek_v3", true)
VOCAB(whisper, JSON("whisper", "gpt-2"), NULL, "whisper", HF, "whisper", true)
VOCAB(smollm2, JSON("smollm2", "smollm"), NULL, "smollm2", HF, "smollm2", true)
VOCAB(minimind, JSON("minimind", "gpt-2"), NULL, "minimind", HF, "minimind", true)
VOCAB(phi2, JSON("codegen-phi2", "phi-2"), NULL, "codegen-phi2", HF, "codegen-phi2", true)
VOCAB(llama2, PIECES("llama2-tokenizer"), NULL, "llama2-spm", SP, "llama2-spm", false)
VOCAB(mistral_v1, PIECES("mistral-v1"), NULL, "mistral-v1", SP, "mistral-v1", false)
VOCAB(mistral_v3, PIECES("mistral-v3"), NULL, "mistral-v3", SP, "mistral-v3", false)
VOCAB(mistral_v7, PIECES("mistral-v7"), NULL, "mistral-v7", SP, "mistral-v7", false)
VOCAB(baichuan1, PIECES("baichuan1-tokenizer"), NULL, "baichuan1", SP, "baichuan1", false)
VOCAB(baichuan2, PIECES("baichuan2-tokenizer"), NULL, "baichuan2", SP, "baichuan2", false)
VOCAB(chatglm3, PIECES("chatglm3-tokenizer"), NULL, "chatglm3", SP, "chatglm3", false)
VOCAB(yi, PIECES("yi-tokenizer"), NULL, "yi", SP, "yi", false)
VOCAB(mistral_v03_hf, vocab_of_unigram_json("tokenizers/mistral-v0.3-tokenizer.json"), NULL, "mistral-v0.3-hf", HF, "mistral-v0.3-hf", true)
VOCAB(babyllama, vocab_of_gguf_without_extra_blanks("models/babyllama-tok105-f32.gguf"), NULL, "babyllama-tok105", NULL, NULL, false)

/* Small unigram models of our own making: one with replacements, user-defined tokens and <unk>, one with bytes. */
TEST(unigram)
{
    static const char *const names[] = {"unigram-rules", "unigram-bytes"};
    for (size_t i = 0; i < 2; i++) {
        char path[64];
        snprintf(path, sizeof path, "tests/golden/unigram/%s.model", names[i]);
        struct vocab *v = vocab_of_sentencepiece_at(path);
        check_digests(v, SP, names[i], false);
        vocab_free(v);
    }
}

/* Where the pre-tokenizers cut, whatever the vocabulary. */
static void check_cuts(enum pretok t, const char *name, const struct json *want)
{
    struct digests cuts = {.want = want};
    struct pretok_walk w;
    struct str piece;
    for (uint32_t i = 0; i < NASTY_COUNT; i++) {
        uint32_t chars[NASTY_BYTES_MAX], n = 0;
        struct str text = text_of(i);
        for (pretok_start(&w, t, text.p, text.n); pretok_next(&w, &piece); n++) {
            chars[n] = 0;
            for (size_t k = 0; k < piece.n; k++)
                chars[n] += ((uint8_t)piece.p[k] & 0xc0) != 0x80;
        }
        digest_add(&cuts, chars, n, n * sizeof *chars);
    }
    CHECK_MSG(cuts.bad == 0, "%s: cuts of %u blocks of 100 texts differ, the first is %u", name, cuts.bad, cuts.first_bad);
}

TEST(pretokenizers_cut_as_their_patterns)
{
    struct json *j = golden_file(HF);
    const struct json *all = json_get(j, "pretokenizers"), *one;
    struct str name;
    int n = 0;
    CHECK(j && make_texts(false));
    for (void *it = NULL; json_each(all, &it, &name, &one); n++) {
        enum pretok t;
        CHECK_MSG(pretok_by_name(name, &t), "%.*s", (int)name.n, name.p);
        CHECK(json_len(json_get(one, "cuts")) == NASTY_COUNT / NASTY_BLOCK);
        check_cuts(t, name.p, json_get(one, "cuts"));
    }
    json_free(j);
    CHECK(n >= 26);
}

TEST_MAIN()
