/* Speed of attention alone, over pages that were filled with random keys and values, for each type of KV:
 *   attention [--cpu] [--shape 0.5b|1.5b|7b] [--threads N] [--seconds S] [--type f16|bf16|q8|f32]
 * prints CSV: decoding (one row a step) at several depths and a prefill chunk of 512 rows at several depths, as microseconds a token and layer, with
 * the bytes read a second (decoding) or operations a second (4 * heads * head_dim a query and position). --cpu takes one thread's CPU time, for a
 * machine that is not quiet. Layers are as many as a model has, so that KV comes from memory as it does there. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "device/device.h"
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DEPTH_MAX = 16384, CHUNK = 512, PAGES = DEPTH_MAX / KV_PAGE + CHUNK / KV_PAGE, STREAMS_MAX = 16 };
struct shape {
    const char *name;
    int layers, heads, kv_heads, head_dim;
};
static const struct shape shapes[] = {{"0.5b", 24, 14, 2, 64}, {"1.5b", 28, 12, 2, 128}, {"7b", 28, 28, 4, 128}};
static const char *const types[] = {"f16", "bf16", "q8", "f32"};

struct bench {
    struct device *dev;
    struct shape shape;
    struct kv_shape kv;
    uint8_t *memory; /* of all pages in one piece, as in the engine's pool: large pages of the system */
    void *pages[PAGES];
    float *q, *out, *k;
    bool cpu;
    double seconds;
};

static double now(const struct bench *b)
{
    struct timespec t;
    if (!b->cpu)
        return (double)clock_ns() * 1e-9;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Seconds of one layer of rows at a depth, the mean of as many layers as fit the time. */
static double layer_time(struct bench *b, int rows, int depth, int streams)
{
    struct kv_seq seqs[STREAMS_MAX];
    for (int i = 0; i < streams; i++)
        seqs[i] = (struct kv_seq){.row0 = i * rows, .n_rows = rows, .pos0 = depth, .pages = b->pages};
    double t0 = now(b), t = 0;
    int n = 0;
    do {
        for (int l = 0; l < b->shape.layers; l++, n++)
            dev_attention(b->dev, b->out, b->q, &b->kv, l, seqs, streams, b->shape.heads, 1 / sqrtf((float)b->shape.head_dim), 0);
    } while ((t = now(b) - t0) < b->seconds);
    return t / n;
}

static void store_time(struct bench *b, const char *type)
{
    struct kv_seq seq = {.n_rows = CHUNK, .pages = b->pages};
    double t0 = now(b);
    for (int l = 0; l < b->shape.layers; l++)
        dev_kv_store(b->dev, &b->kv, l, &seq, 1, b->k, b->k);
    printf("%s,%s,%s,store,0,1,%.3f,,\n", b->shape.name, type, device_level(b->dev), (now(b) - t0) / CHUNK / b->shape.layers * 1e6);
}

static void fill(float *p, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (float)((double)(rng_u64(seed, 0, i, 0) >> 40) * 0x1p-23 - 1);
}

static bool measure(struct bench *b, const char *type)
{
    const struct shape *s = &b->shape;
    b->kv = (struct kv_shape){s->layers, s->kv_heads, s->head_dim, (enum kv_type)kv_type_find(type), NULL};
    const size_t page = (kv_page_bytes(&b->kv) + 4095) / 4096 * 4096;
    if (!(b->memory = mem_pages(PAGES * page)))
        return false;
    for (size_t i = 0; i < PAGES; i++)
        b->pages[i] = b->memory + i * page;
    for (int at = 0; at < PAGES * KV_PAGE; at += CHUNK) {
        struct kv_seq seq = {.n_rows = CHUNK, .pos0 = at, .pages = b->pages};
        for (int l = 0; l < s->layers; l++)
            dev_kv_store(b->dev, &b->kv, l, &seq, 1, b->k, b->k);
    }
    store_time(b, type);
    double bytes = (double)kv_page_bytes(&b->kv) / KV_PAGE / s->layers, work = 4.0 * s->heads * s->head_dim;
    static const int depths[] = {0, 512, 2048, 4096, 8192, 16384};
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++)
        for (int streams = 1; streams <= STREAMS_MAX; streams *= STREAMS_MAX) {
            double t = layer_time(b, 1, depths[i], streams) / streams;
            printf("%s,%s,%s,decode,%d,%d,%.2f,%.2f,%.1f\n", s->name, type, device_level(b->dev), depths[i], streams, t * 1e6,
                   bytes * (depths[i] + 1) / t * 1e-9, work * (depths[i] + 1) / t * 1e-9);
            fflush(stdout);
        }
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        double t = layer_time(b, CHUNK, depths[i], 1) / CHUNK, mean = depths[i] + CHUNK / 2.0;
        printf("%s,%s,%s,prefill,%d,1,%.2f,,%.1f\n", s->name, type, device_level(b->dev), depths[i], t * 1e6, work * mean / t * 1e-9);
        fflush(stdout);
    }
    mem_pages_free(b->memory, PAGES * page);
    return true;
}

int main(int argc, char **argv)
{
    struct bench b = {.shape = shapes[1], .seconds = 0.3};
    struct err e = {0};
    uint64_t threads = 1;
    const char *only = NULL;
    bool ok = true;
    for (int i = 1; i < argc && ok; i++) {
        const char *v = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(argv[i], "--cpu") == 0) {
            b.cpu = true;
            continue;
        }
        if (strcmp(argv[i], "--threads") == 0)
            ok = str_u64(str_of(v), &threads);
        else if (strcmp(argv[i], "--type") == 0)
            ok = kv_type_find(only = v) >= 0;
        else if (strcmp(argv[i], "--seconds") == 0)
            ok = sscanf(v, "%lf", &b.seconds) == 1;
        else if (strcmp(argv[i], "--shape") == 0) {
            ok = false;
            for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++)
                if (strcmp(v, shapes[k].name) == 0)
                    b.shape = shapes[k], ok = true;
        } else
            ok = false;
        i++;
    }
    if (!ok)
        return fprintf(stderr, "usage: attention [--cpu] [--shape 0.5b|1.5b|7b] [--threads N] [--seconds S] [--type f16|bf16|q8|f32]\n"), 2;
    if (device_new(&b.dev, &(struct device_opts){.n_threads = b.cpu ? 1 : (int)threads}, &e) < 0)
        return fprintf(stderr, "%s\n", e.msg), 1;
    size_t row = (size_t)b.shape.heads * (size_t)b.shape.head_dim * CHUNK;
    b.q = mem_must(row * sizeof *b.q), b.out = mem_must(row * sizeof *b.out), b.k = mem_must(row * sizeof *b.k);
    fill(b.q, row, 1), fill(b.k, row, 2);
    printf("shape,type,kernels,what,depth,streams,us_per_token_and_layer,GB/s,Gop/s\n");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if ((!only || strcmp(only, types[i]) == 0) && !measure(&b, types[i]))
            return fprintf(stderr, "attention: no memory for the pages\n"), 1;
    mem_free(b.q), mem_free(b.out), mem_free(b.k);
    device_free(b.dev);
    return 0;
}
