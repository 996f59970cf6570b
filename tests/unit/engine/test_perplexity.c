/* Perplexity of stories260K on the TinyStories sample against llama.cpp's 3.9147 (-c 256 --chunks 64): text, vocabulary, model and device
 * together. Chunks of 256 tokens, the first of each replaced by BOS; positions 128 to 254 predict the next token. */
#include "base/mem.h"
#include "model/model.h"
#include "test.h"
#include "text/vocab.h"
#include <math.h>

enum { CTX = 256, CHUNKS = 64, FIRST = 128 };

static double nll(const float *logits, int n, int32_t token)
{
    double top = logits[0], sum = 0;
    for (int i = 1; i < n; i++)
        top = logits[i] > top ? logits[i] : top;
    for (int i = 0; i < n; i++)
        sum += exp(logits[i] - top);
    return log(sum) + top - logits[token];
}

TEST(stories260k_on_tinystories)
{
    struct err e = {0};
    struct buf text;
    struct modelfile *f;
    struct vocab *v;
    struct device *d;
    struct model *m;
    struct kv_shape kv;
    struct vec_i32 tok = {0};
    void *pages[CTX / KV_PAGE];
    if (!test_data("text/tinystories-sample-197k.txt") || !test_data("models/stories260K-f32.gguf"))
        SKIP("no ../shared/data");
    buf_init(&text, 0);
    CHECK(!os_read_file(&text, test_data("text/tinystories-sample-197k.txt"), &e));
    CHECK_MSG(!gguf_open(&f, test_data("models/stories260K-f32.gguf"), &e) && !vocab_load(&v, f, &e), "%s", e.msg);
    CHECK_MSG(!vocab_encode(v, text.data, text.len, NULL, 0, &(struct encode_opts){.add_bos = true}, &tok, &e), "%s", e.msg);
    CHECK(tok.n > CTX * CHUNKS && tok.p[0] == vocab_bos(v));
    CHECK_MSG(!device_new(&d, &(struct device_opts){0}, &e) && !model_load(&m, f, d, NULL, NULL, &e), "%s", e.msg);
    model_kv_shape(m, KV_F16, &kv);
    for (int i = 0; i < CTX / KV_PAGE; i++)
        pages[i] = mem_pages(kv_page_bytes(&kv));
    int n_vocab = vocab_size(v);
    float *logits = mem_array((size_t)(CTX - FIRST) * (size_t)n_vocab, sizeof *logits);
    double sum = 0;
    for (int c = 0; c < CHUNKS; c++) {
        int32_t *t = tok.p + c * CTX, pos[CTX], want[CTX];
        t[0] = vocab_bos(v);
        for (int i = 0; i < CTX; i++)
            pos[i] = i, want[i] = FIRST + i;
        struct kv_seq seq = {.row0 = 0, .n_rows = CTX - 1, .pos0 = 0, .pages = pages};
        model_step(m, &(struct step){.n = CTX - 1,
                                     .token = t,
                                     .pos = pos,
                                     .seqs = &seq,
                                     .n_seqs = 1,
                                     .kv = kv,
                                     .want = want,
                                     .n_want = CTX - 1 - FIRST,
                                     .logits = logits});
        for (int i = FIRST; i < CTX - 1; i++)
            sum += nll(logits + (size_t)(i - FIRST) * (size_t)n_vocab, n_vocab, t[i + 1]);
    }
    double ppl = exp(sum / (CHUNKS * (CTX - 1 - FIRST)));
    printf("perplexity %.4f\n", ppl);
    CHECK_MSG(fabs(ppl / 3.9147 - 1) < 0.005, "perplexity %.4f, llama.cpp 3.9147", ppl);
    mem_free(logits);
    for (int i = 0; i < CTX / KV_PAGE; i++)
        mem_pages_free(pages[i], kv_page_bytes(&kv));
    model_free(m);
    device_free(d);
    vocab_free(v);
    modelfile_close(f);
    vec_deinit(&tok);
    buf_deinit(&text);
}

TEST_MAIN()
