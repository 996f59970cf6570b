/* Speed of model_step alone: a prefill of one prompt and single-row decoding. The engine, its sampler and the network are not in it.
 *   decode FILE.gguf [threads] [prefill] [decode] [rounds]     prints one line a round
 *   decode FILE.gguf threads -                                 obeys standard input: "prefill N", "decode N", one answer in seconds each;
 *                                                              bench/peer/compare.mjs interleaves it with llama.cpp that way */
#include "base/clock.h"
#include "base/mem.h"
#include "model/model.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { CTX_MAX = 4096, CHUNK = 512 };
struct bench {
    struct device    *dev;
    struct modelfile *file;
    struct model     *model;
    struct kv_shape   kv;
    void             *pages[CTX_MAX / KV_PAGE];
    float            *logits;
    int               pos;
    int32_t           next;
};

static int32_t argmax(const float *x, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return (int32_t)best;
}

static void feed(struct bench *b, const int32_t *token, int n)
{
    int32_t pos[CHUNK], want = n - 1;
    for (int i = 0; i < n; i++)
        pos[i] = b->pos + i;
    struct kv_seq seq = {.row0 = 0, .n_rows = n, .pos0 = b->pos, .pages = b->pages};
    model_step(
        b->model,
        &(struct step){.n = n, .token = token, .pos = pos, .seqs = &seq, .n_seqs = 1, .kv = b->kv, .want = &want, .n_want = 1, .logits = b->logits});
    b->pos += n;
    b->next = argmax(b->logits, model_shape(b->model)->n_vocab);
}

/* A new sequence of n tokens. */
static double prefill(struct bench *b, int n)
{
    int32_t token[CHUNK];
    uint64_t t0 = clock_ns();
    b->pos = 0;
    for (int at = 0; at < n; at += CHUNK) {
        int k = n - at < CHUNK ? n - at : CHUNK;
        for (int i = 0; i < k; i++)
            token[i] = (int32_t)((uint32_t)(at + i) * 7919u % model_shape(b->model)->n_vocab);
        feed(b, token, k);
    }
    return (double)(clock_ns() - t0) * 1e-9;
}

static double decode(struct bench *b, int n)
{
    uint64_t t0 = clock_ns();
    for (int i = 0; i < n; i++)
        feed(b, &(int32_t){b->next}, 1);
    return (double)(clock_ns() - t0) * 1e-9;
}

static int open_bench(struct bench *b, const char *path, int threads, struct err *e)
{
    int rc = modelfile_open(&b->file, path, e);
    if (rc || (rc = device_new(&b->dev, &(struct device_opts){.n_threads = threads}, e)) ||
        (rc = model_load(&b->model, b->file, b->dev, NULL, NULL, e)))
        return rc;
    model_kv_shape(b->model, KV_F16, &b->kv);
    for (size_t i = 0; i < sizeof b->pages / sizeof *b->pages; i++)
        b->pages[i] = mem_pages(kv_page_bytes(&b->kv));
    b->logits = mem_array(model_shape(b->model)->n_vocab, sizeof *b->logits);
    return b->logits ? 0 : err_set(e, ERR_NO_MEMORY, "bench: no memory");
}

static void obey(struct bench *b)
{
    char line[64];
    while (fgets(line, sizeof line, stdin)) {
        struct str n = str_trim(str_of(line)), what = str_split(&n, ' ');
        uint64_t v = 0;
        bool ok = n.p && str_u64(n, &v) && v > 0 && v <= CTX_MAX / 2;
        double t = !ok                                                     ? -1
                   : str_eqz(what, "prefill")                              ? prefill(b, (int)v)
                   : str_eqz(what, "decode") && b->pos + (int)v <= CTX_MAX ? decode(b, (int)v)
                                                                           : -1;
        printf("%.6f\n", t);
        fflush(stdout);
    }
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    struct err e = {0};
    uint64_t n[4] = {2, 512, 128, 3}; /* threads, prefill, decode, rounds */
    for (int i = 2; i < argc && i < 6; i++)
        if (strcmp(argv[i], "-") && !str_u64(str_of(argv[i]), &n[i - 2]))
            argc = 1;
    if (argc < 2 || n[1] > CTX_MAX / 2 || n[2] > CTX_MAX / 2) {
        fprintf(stderr, "usage: decode FILE.gguf [threads] [prefill] [decode] [rounds]\n");
        return 2;
    }
    if (open_bench(&b, argv[1], (int)n[0], &e)) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    if (argc > 3 && !strcmp(argv[3], "-")) {
        obey(&b);
        return 0;
    }
    printf("%s %s, kernels %s, %d threads\n", model_shape(b.model)->arch, model_shape(b.model)->quant, device_level(b.dev), device_threads(b.dev));
    for (uint64_t i = 0; i < n[3]; i++) {
        double p = prefill(&b, (int)n[1]), d = decode(&b, (int)n[2]);
        printf("prefill %.1f tokens/s, decode %.1f tokens/s\n", (double)n[1] / p, (double)n[2] / d);
    }
    return 0;
}
