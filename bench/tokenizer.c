/* tokenizer: times vocab_encode on texts of 1, 2 and 4 MB and prints MB a second (of processor time) and the t(2n)/t(n), for each published
 * vocabulary of the test data and each kind of text. An algorithm that is linear (n log n) stays near 2; the bar is 2.6. The best of several runs
 * counts. Arguments: --csv: comma-separated rows; --runs N (3); --only NAME: one vocabulary; --kind NAME: one kind
 * of text. */
#include "unit/text/nasty.h"
#include "unit/text/vocab_files.h"
#include <malloc.h>
#include <time.h>

static struct vocab *ggml(const char *file, const char *pre)
{
    char rel[128];
    (void)pre;
    snprintf(rel, sizeof rel, "vocab/ggml-vocab-%s.gguf", file);
    return vocab_of_gguf(rel);
}
static struct vocab *tokenizer_json(const char *file, const char *pre)
{
    char rel[128];
    snprintf(rel, sizeof rel, "tokenizers/%s-tokenizer.json", file);
    return vocab_of_tokenizer_json(rel, pre);
}
static struct vocab *pieces(const char *file, const char *pre)
{
    char rel[128];
    (void)pre;
    snprintf(rel, sizeof rel, "tokenizers/%s.model", file);
    return vocab_of_sentencepiece(rel);
}
static struct vocab *ranks(const char *file, const char *pre)
{
    char rel[128];
    snprintf(rel, sizeof rel, "tokenizers/%s.tiktoken", file);
    return vocab_of_ranks(rel, NULL, pre);
}
static struct vocab *llama3(const char *file, const char *pre)
{
    (void)file;
    return vocab_of_ranks("tokenizers/llama3-tokenizer.model", "tokenizers/llama3-tokenizer_config.json", pre);
}
static struct vocab *merges(const char *file, const char *pre)
{
    char vocab[128], rel[128];
    snprintf(vocab, sizeof vocab, "tokenizers/%s-vocab.json", file);
    snprintf(rel, sizeof rel, "tokenizers/%s-merges.txt", file);
    return vocab_of_gpt2_files(vocab, rel, pre);
}
static struct vocab *unigram(const char *file, const char *pre)
{
    (void)file, (void)pre;
    return vocab_of_unigram_json("tokenizers/mistral-v0.3-tokenizer.json");
}
static struct vocab *tekken(const char *file, const char *pre)
{
    (void)file, (void)pre;
    return vocab_of_tekken("tokenizers/mistral-tekken-240718-mini.json");
}
static struct vocab *babyllama(const char *file, const char *pre)
{
    (void)file, (void)pre;
    return vocab_of_gguf_without_extra_blanks("models/babyllama-tok105-f32.gguf");
}

/* The name in the table, the name of the file, the pre-tokenizer where the file does not say it. */
static const struct {
    const char *name, *file, *pre;
    struct vocab *(*load)(const char *file, const char *pre);
} vocabularies[] = {
    {"qwen3", "qwen3", "qwen2", tokenizer_json},
    {"llama3", NULL, "llama-bpe", llama3},
    {"tekken", NULL, NULL, tekken},
    {"gptoss", "gptoss", "gpt-4o", tokenizer_json},
    {"deepseek_v3", "deepseek_v3", "deepseek-v3", tokenizer_json},
    {"smollm2", "smollm2", "smollm", tokenizer_json},
    {"minimind", "minimind", "gpt-2", tokenizer_json},
    {"whisper", "whisper", "gpt-2", tokenizer_json},
    {"codegen-phi2", "codegen-phi2", "phi-2", tokenizer_json},
    {"qwen2", "qwen2", "qwen2", merges},
    {"gpt2 (vocab.json)", "gpt2", "gpt-2", merges},
    {"qwen1", "qwen1-qwen", "qwen2", ranks},
    {"cl100k_base", "cl100k_base", "llama-bpe", ranks},
    {"o200k_base", "o200k_base", "gpt-4o", ranks},
    {"p50k_base", "p50k_base", "gpt-2", ranks},
    {"r50k_base", "r50k_base", "gpt-2", ranks},
    {"gpt-2", "gpt-2", NULL, ggml},
    {"gpt-neox", "gpt-neox", NULL, ggml},
    {"mpt", "mpt", NULL, ggml},
    {"falcon", "falcon", NULL, ggml},
    {"starcoder", "starcoder", NULL, ggml},
    {"refact", "refact", NULL, ggml},
    {"deepseek-llm", "deepseek-llm", NULL, ggml},
    {"deepseek-coder", "deepseek-coder", NULL, ggml},
    {"llama-spm", "llama-spm", NULL, ggml},
    {"phi-3", "phi-3", NULL, ggml},
    {"llama2", "llama2-tokenizer", NULL, pieces},
    {"mistral-v1", "mistral-v1", NULL, pieces},
    {"mistral-v3", "mistral-v3", NULL, pieces},
    {"mistral-v7", "mistral-v7", NULL, pieces},
    {"baichuan1", "baichuan1-tokenizer", NULL, pieces},
    {"baichuan2", "baichuan2-tokenizer", NULL, pieces},
    {"chatglm3", "chatglm3-tokenizer", NULL, pieces},
    {"yi", "yi-tokenizer", NULL, pieces},
    {"mistral-v0.3 (unigram)", NULL, NULL, unigram},
    {"babyllama", NULL, NULL, babyllama},
};

enum { BYTES_MAX = 4 << 20, SIZES = 3 };
static char text[BYTES_MAX + NASTY_BYTES_MAX];

/* The published texts, one after the other, until they are full. */
static bool fill_file(const char *rel)
{
    struct buf b;
    if (!read_data(&b, rel) || b.len == 0)
        return false;
    for (size_t at = 0; at < BYTES_MAX; at += b.len)
        memcpy(text + at, b.data, b.len < BYTES_MAX - at ? b.len : BYTES_MAX - at);
    buf_deinit(&b);
    return true;
}

static bool fill_row(const char *unit)
{
    for (size_t at = 0, n = strlen(unit); at < BYTES_MAX; at += n)
        memcpy(text + at, unit, n);
    return true;
}

static bool fill_nasty(const char *none)
{
    (void)none;
    size_t at = 0;
    for (uint32_t i = 0; at < BYTES_MAX; i++)
        at += nasty_text(i, false, text + at);
    return true;
}

static const struct {
    const char *name;
    bool (*fill)(const char *arg);
    const char *arg;
} kinds[] = {
    {"english", fill_file, "text/wikitext2-v1-test.txt"},
    {"chinese", fill_file, "text/zh-fortunes.txt"},
    {"nasty", fill_nasty, NULL},
    {"rows of a", fill_row, "a"},
    {"rows of A", fill_row, "A"},
    {"blanks", fill_row, " "},
    {"newlines", fill_row, "\n"},
    {"rows of 1", fill_row, "1"},
    {"underscores", fill_row, "_"},
    {"marks", fill_row, "\xcc\x81"},
    {"rows of U+4F60", fill_row, "\xe4\xbd\xa0"},
    {"emoji", fill_row, "\xf0\x9f\x9a\x80"},
    {"not UTF-8", fill_row, "\xff"},
};

static double seconds_of(const struct vocab *v, size_t n, size_t *tokens)
{
    struct text_span span = {0, (uint32_t)n, true};
    struct encode_opts o = {0};
    struct vec_i32 ids = {0};
    struct err e = {0};
    struct timespec from, to;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
    if (vocab_encode(v, text, n, &span, 1, &o, &ids, &e)) {
        printf("%s\n", e.msg);
        exit(1);
    }
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
    *tokens = ids.n;
    vec_deinit(&ids);
    return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) * 1e-9;
}

/* Prints one row; the worst of the two ratios. */
static double bench(const struct vocab *v, const char *vocabulary, const char *kind, int runs, bool csv)
{
    double best[SIZES] = {1e9, 1e9, 1e9};
    size_t tokens = 0;
    for (int run = 0; run < runs; run++)
        for (int s = 0; s < SIZES; s++) {
            double t = seconds_of(v, (size_t)BYTES_MAX >> (SIZES - 1 - s), &tokens);
            best[s] = t < best[s] ? t : best[s];
        }
    double a = best[1] / best[0], b = best[2] / best[1], worst = a > b ? a : b, speed = BYTES_MAX / best[2] * 1e-6;
    printf(csv ? "%s,%s,%.1f,%.2f,%.2f,%zu\n" : "%-24s %-16s %7.1f MB/s   2n/n %5.2f %5.2f   %8zu tokens\n", vocabulary, kind, speed, a, b, tokens);
    fflush(stdout);
    return worst;
}

int main(int argc, char **argv)
{
    int runs = 3;
    bool csv = false;
    const char *only = NULL, *kind = NULL;
    double worst = 0;
    mallopt(M_MMAP_THRESHOLD, 1 << 20); /* glibc keeps blocks of up to 32 MB: between 1 and 2 MB of text that step would be measured */
    for (int i = 1; i < argc; i++) {
        uint64_t n;
        if (strcmp(argv[i], "--csv") == 0)
            csv = true;
        else if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc && str_u64(str_of(argv[i + 1]), &n) && n > 0 && n < 100)
            runs = (int)n, i++;
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            only = argv[++i];
        else if (strcmp(argv[i], "--kind") == 0 && i + 1 < argc)
            kind = argv[++i];
    }
    if (!test_data("golden/qwen3.json")) {
        printf("skipped: no test data\n");
        return 0;
    }
    for (size_t k = 0; k < sizeof vocabularies / sizeof *vocabularies; k++) {
        if (only && strcmp(only, vocabularies[k].name) != 0)
            continue;
        struct vocab *v = vocabularies[k].load(vocabularies[k].file, vocabularies[k].pre);
        for (size_t i = 0; v && i < sizeof kinds / sizeof *kinds; i++) {
            if ((kind && strcmp(kind, kinds[i].name) != 0) || !kinds[i].fill(kinds[i].arg))
                continue;
            double ratio = bench(v, vocabularies[k].name, kinds[i].name, runs, csv);
            worst = ratio > worst ? ratio : worst;
        }
        vocab_free(v);
    }
    if (!csv)
        printf("worst 2n/n %.2f (the bar is 2.6)\n", worst);
    return 0;
}
