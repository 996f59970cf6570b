/* Perplexity of stories260K on the TinyStories sample against llama.cpp's 3.9147 (-c 256 --chunks 64): text, vocabulary, model and device
 * together. Chunks of 256 tokens, the first of each replaced by BOS; positions 128 to 254 predict the next token. And what the formats of the KV
 * cache change, there and with the guide on English that it was not trained on. */
#include "base/mem.h"
#include "model/model.h"
#include "test.h"
#include "text/vocab.h"
#include <math.h>

enum { CTX = 256, CHUNKS = 64, FEW = 12, FIRST = 128 };

static double nll(const float *logits, int n, int32_t token)
{
    double top = logits[0], sum = 0;
    for (int i = 1; i < n; i++)
        top = logits[i] > top ? logits[i] : top;
    for (int i = 0; i < n; i++)
        sum += exp(logits[i] - top);
    return log(sum) + top - logits[token];
}

struct run {
    struct modelfile *f;
    struct vocab *v;
    struct device *d;
    struct model *m;
    struct vec_i32 tok;
};

/* Paths below ../shared/data, or below the tree. */
static bool run_open(struct run *r, bool data, const char *model, const char *text)
{
    struct err e = {0};
    struct buf b;
    buf_init(&b, 0);
    bool ok = !os_read_file(&b, data ? test_data(text) : text, &e) && !gguf_open(&r->f, data ? test_data(model) : model, &e) &&
              !vocab_load(&r->v, r->f, &e) && !vocab_encode(r->v, b.data, b.len, NULL, 0, &(struct encode_opts){.add_bos = true}, &r->tok, &e) &&
              !device_new(&r->d, &(struct device_opts){0}, &e) && !model_load(&r->m, r->f, r->d, NULL, NULL, &e);
    if (!ok)
        printf("%s\n", e.msg);
    buf_deinit(&b);
    return ok;
}

static void run_close(struct run *r)
{
    model_free(r->m);
    device_free(r->d);
    vocab_free(r->v);
    modelfile_close(r->f);
    vec_deinit(&r->tok);
}

static double perplexity(struct run *r, enum kv_type type, int chunks)
{
    struct kv_shape kv;
    void *pages[CTX / KV_PAGE];
    model_kv_shape(r->m, type, &kv);
    for (int i = 0; i < CTX / KV_PAGE; i++)
        pages[i] = mem_pages(kv_page_bytes(&kv));
    int n_vocab = vocab_size(r->v), n = 0;
    float *logits = mem_array((size_t)(CTX - FIRST) * (size_t)n_vocab, sizeof *logits);
    double sum = 0;
    for (int c = 0; c < chunks && (size_t)(c + 1) * CTX <= r->tok.n; c++) {
        int32_t token[CTX], pos[CTX], want[CTX];
        memcpy(token, r->tok.p + c * CTX, sizeof token);
        token[0] = vocab_bos(r->v) >= 0 ? vocab_bos(r->v) : token[0];
        for (int i = 0; i < CTX; i++)
            pos[i] = i, want[i] = FIRST + i;
        struct kv_seq seq = {.row0 = 0, .n_rows = CTX - 1, .pos0 = 0, .pages = pages};
        struct step s = {
            .n = CTX - 1, .token = token, .pos = pos, .seqs = &seq, .n_seqs = 1, .kv = kv, .want = want, .n_want = CTX - 1 - FIRST, .logits = logits};
        model_step(r->m, &s);
        for (int i = FIRST; i < CTX - 1; i++, n++)
            sum += nll(logits + (size_t)(i - FIRST) * (size_t)n_vocab, n_vocab, token[i + 1]);
    }
    mem_free(logits);
    for (int i = 0; i < CTX / KV_PAGE; i++)
        mem_pages_free(pages[i], kv_page_bytes(&kv));
    return exp(sum / n); /* no chunk: not a number, and no comparison holds */
}

TEST(stories260k_on_tinystories)
{
    struct run r = {0};
    if (!test_data("text/tinystories-sample-197k.txt") || !test_data("models/stories260K-f32.gguf"))
        SKIP("no ../shared/data");
    CHECK(run_open(&r, true, "models/stories260K-f32.gguf", "text/tinystories-sample-197k.txt"));
    CHECK(r.tok.n > CTX * CHUNKS && r.tok.p[0] == vocab_bos(r.v));
    double ppl = perplexity(&r, KV_F16, CHUNKS);
    printf("perplexity %.4f\n", ppl);
    CHECK_MSG(fabs(ppl / 3.9147 - 1) < 0.005, "perplexity %.4f, llama.cpp 3.9147", ppl);
    run_close(&r);
}

/* Each type's perplexity against exact KV, in parts of a hundred. */
static void compare_types(struct run *r, const char *name)
{
    static const struct {
        const char *name;
        double most;
    } types[] = {{"f16", 0.001}, {"bf16", 0.003}, {"q8", 0.003}};
    double exact = perplexity(r, KV_F32, FEW);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        double ppl = perplexity(r, (enum kv_type)kv_type_find(types[i].name), FEW);
        printf("%s, KV in %s: perplexity %.5f, %+.4f%% against f32's\n", name, types[i].name, ppl, (ppl / exact - 1) * 100);
        CHECK_MSG(fabs(ppl / exact - 1) < types[i].most, "KV in %s: perplexity %.5f, exact %.5f", types[i].name, ppl, exact);
    }
}

TEST(kv_types_change_next_to_nothing)
{
    struct run r = {0}, g = {0};
    if (test_data("text/tinystories-sample-197k.txt") && test_data("models/stories260K-f32.gguf")) {
        CHECK(run_open(&r, true, "models/stories260K-f32.gguf", "text/tinystories-sample-197k.txt"));
        compare_types(&r, "stories260K");
        run_close(&r);
    }
    CHECK(run_open(&g, false, "models/guide.gguf", "tests/guide/english-heldout.txt"));
    compare_types(&g, "guide");
    run_close(&g);
}

TEST_MAIN()
