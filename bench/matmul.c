/* matmul: times dev_matmul on the shapes of a 0.5B model (types in blocks of 256: of a 1.5B one), for each weight format and batch width, and
 * prints bytes of weights per second and operations per second; sluice bench roofline measures the limits.
 * Arguments: --csv appends rows to stdout without the header; --threads N; --level L; --format F; --out ROWS: the shape with so many rows;
 * --n WIDEST: batch widths up to that; --cpu: one thread, and its CPU time instead of the clock's, for a machine that is busy. */
#include "base/clock.h"
#include "device/device.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <math.h>

struct shape {
    uint32_t out, in;
    int copies;
}; /* copies: enough of them to be read from memory, as in a model */

static const struct shape shapes[] = {{1152, 896, 24}, {896, 896, 24}, {9728, 896, 24}, {896, 4864, 24}, {151936, 896, 1}};
static const struct shape shapes_256[] = {{1536, 1536, 24}, {17920, 1536, 12}, {1536, 8960, 12}, {151936, 1536, 1}};
static const uint32_t types[] = {QUANT_Q4_0, QUANT_Q4_1, QUANT_Q5_0, QUANT_Q5_1, QUANT_Q8_0, QUANT_Q2_K,
                                 QUANT_Q3_K, QUANT_Q4_K, QUANT_Q5_K, QUANT_Q6_K, QUANT_F16,  QUANT_F32};
static const int widths[] = {1, 2, 4, 8, 16, 32, 64, 512};

static bool by_cpu; /* time of the calling thread's CPU alone: says something on a busy machine too, for one thread */
static uint64_t now_ns(void)
{
    struct timespec t;
    if (!by_cpu)
        return clock_ns();
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static double median(double *t, int n)
{
    for (int i = 1; i < n; i++)
        for (int j = i; j > 0 && t[j] < t[j - 1]; j--) {
            double x = t[j];
            t[j] = t[j - 1], t[j - 1] = x;
        }
    return t[n / 2];
}

static void *random_rows(uint32_t type, size_t n)
{
    const struct quant_info *q = quant_info(type);
    float part[1024];
    uint8_t *p = malloc(n / q->block * q->bytes);
    uint64_t s = 1;
    for (size_t i = 0; i < n; i += 1024) {
        size_t m = n - i < 1024 ? n - i : 1024;
        for (size_t j = 0; j < m; j++) {
            s = s * 6364136223846793005u + 1442695040888963407u;
            part[j] = (float)(int32_t)(s >> 32) * 0x1p-31f;
        }
        q->encode(p + i / q->block * q->bytes, part, m);
    }
    return p;
}

static void bench(struct device *d, uint32_t type, const struct shape *s, int n_max)
{
    struct err e;
    struct weight *w[64];
    size_t n = (size_t)s->out * s->in, bytes = n / quant_info(type)->block * quant_info(type)->bytes;
    void *rows = random_rows(type, n), *copies[64];
    float *x = calloc((size_t)512 * s->in, sizeof *x), *y = calloc((size_t)512 * s->out, sizeof *y);
    for (size_t i = 0; i < (size_t)512 * s->in; i++)
        x[i] = (float)(i * 2654435761u % 1000) / 500 - 1;
    for (int i = 0; i < s->copies; i++) {
        copies[i] = malloc(bytes);
        memcpy(copies[i], rows, bytes);
        if (weight_new(&w[i], d, type, s->out, s->in, copies[i], &e) < 0)
            fprintf(stderr, "%s\n", e.msg), exit(1);
    }
    for (size_t k = 0; k < sizeof widths / sizeof *widths; k++) {
        int n_x = widths[k];
        double t[64], work = 2.0 * (double)n * n_x * s->copies;
        int reps = work > 2e10 ? 3 : 9;
        if ((s->copies == 1 && n_x > 16) || n_x > n_max)
            continue;
        for (int r = 0; r < reps; r++) {
            uint64_t a = now_ns();
            for (int i = 0; i < s->copies; i++)
                dev_matmul(d, y, w[i], NULL, x, n_x);
            t[r] = (double)(now_ns() - a) * 1e-9 / s->copies;
        }
        double best = t[0];
        for (int r = 1; r < reps; r++)
            best = fmin(best, t[r]);
        double mid = median(t, reps);
        printf("%s,%s,%u,%u,%d,%d,%.1f,%.1f,%.2f,%.1f\n", device_level(d), quant_info(type)->name, s->out, s->in, n_x, device_threads(d), mid * 1e6,
               best * 1e6, (double)bytes / best * 1e-9, 2.0 * (double)n * n_x / best * 1e-9);
        fflush(stdout);
    }
    for (int i = 0; i < s->copies; i++)
        weight_free(w[i]), free(copies[i]);
    free(rows), free(x), free(y);
}

int main(int argc, char **argv)
{
    struct device_opts o = {0};
    const char *format = NULL;
    uint32_t out = 0;
    int n_max = 512;
    bool csv = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--csv") == 0)
            csv = true;
        else if (strcmp(argv[i], "--cpu") == 0)
            by_cpu = true, o.n_threads = 1;
        else if (i + 1 < argc && strcmp(argv[i], "--threads") == 0)
            o.n_threads = (int)strtoul(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--level") == 0)
            o.cpu_mask = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--format") == 0)
            format = argv[++i];
        else if (i + 1 < argc && strcmp(argv[i], "--n") == 0)
            n_max = (int)strtoul(argv[++i], NULL, 10);
        else if (i + 1 < argc && strcmp(argv[i], "--out") == 0)
            out = (uint32_t)strtoul(argv[++i], NULL, 10);
        else
            return fprintf(stderr, "usage: matmul [--csv] [--cpu] [--threads N] [--level scalar|avx2|avx512|amx] [--format Q4_0] [--out ROWS] "
                                   "[--n WIDEST]\n"),
                   2;
    }
    struct device *d;
    struct err e;
    if (device_new(&d, &o, &e) < 0)
        return fprintf(stderr, "%s\n", e.msg), 1;
    if (!csv)
        printf("level,format,n_out,n_in,n,threads,median_us,best_us,weight_GB_s,Gop_s\n");
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        bool large = quant_info(types[t])->block == 256;
        const struct shape *of = large ? shapes_256 : shapes;
        for (size_t s = 0; s < (large ? sizeof shapes_256 : sizeof shapes) / sizeof *shapes; s++)
            if ((!format || strcmp(format, quant_info(types[t])->name) == 0) && (!out || of[s].out == out))
                bench(d, types[t], &of[s], n_max);
    }
    device_free(d);
}
