/* The screened output matrix (device/screen.c) beside the whole one: time, and how much is left, by how far the largest logit stands out.
 *   screen [rows] [columns] [threads]           random weights, an input that points to one row */
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "model/model.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RUNS = 25 };

static clockid_t clock_id; /* one thread: its CPU time, so that a busy machine does less harm */

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(clock_id, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static double gauss(uint64_t i)
{
    double u = rng_f64(1, 0, i, 0), v = rng_f64(1, 1, i, 0);
    return sqrt(-2 * log(1 - u)) * cos(6.283185307179586 * v);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double height(const float *y, size_t n)
{
    double sum = 0, squares = 0, max = -INFINITY;
    for (size_t i = 0; i < n; i++)
        sum += (double)y[i], squares += (double)y[i] * (double)y[i], max = fmax(max, (double)y[i]);
    return (max - sum / (double)n) / sqrt(squares / (double)n - sum / (double)n * sum / (double)n);
}

static int matrix(uint32_t n_out, uint32_t n_in, int threads)
{
    static const double heights[] = {0, 6, 7, 8, 9, 10, 12, 14};
    const struct quant_info *q = quant_info(QUANT_Q8_0);
    struct device *d;
    struct weight *w;
    struct screen *s;
    struct err e;
    const size_t row_bytes = n_in / q->block * q->bytes;
    uint8_t *data = malloc(n_out * row_bytes);
    float *row = malloc(n_in * sizeof *row), *x = malloc(n_in * sizeof *x), *y = malloc(n_out * sizeof *y);
    if (!data || !row || !x || !y || device_new(&d, &(struct device_opts){.n_threads = threads}, &e) < 0)
        return 1;
    for (uint32_t r = 0; r < n_out; r++) {
        for (uint32_t k = 0; k < n_in; k += 2) { /* sums of two uniform numbers of 16 bits */
            uint64_t bits = rng_u64(r, 0, k, 0);
            row[k] = (float)(bits & 0xffff) + (float)(bits >> 16 & 0xffff) - 65535;
            row[k + 1] = (float)(bits >> 32 & 0xffff) + (float)(bits >> 48) - 65535;
        }
        q->encode(data + r * row_bytes, row, n_in);
    }
    uint64_t t0 = now();
    if (weight_new(&w, d, QUANT_Q8_0, n_out, n_in, data, &e) < 0)
        return 1;
    uint64_t t1 = now();
    if (screen_new(&s, d, w, &e) < 0)
        return 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("packing %.0f ms, screen %.0f ms\nheight_sd,whole_us,screened_us,ratio,panels_left,of\n", (double)(t1 - t0) * 1e-6,
           (double)(now() - t1) * 1e-6);
    q->decode(row, data + 1234 % n_out * row_bytes, n_in);
    double norm = 0;
    for (uint32_t k = 0; k < n_in; k++)
        norm += (double)row[k] * (double)row[k];
    for (size_t h = 0; h < sizeof heights / sizeof *heights; h++) {
        double whole[RUNS], some[RUNS];
        const double along = heights[h] / sqrt((double)n_in), across = sqrt(fmax(0, 1 - along * along));
        for (uint32_t k = 0; k < n_in; k++) /* a unit of standard deviation across, `height` of them along the row */
            x[k] = (float)(along * (double)row[k] / sqrt(norm / (double)n_in) + across * gauss(k));
        uint32_t left = 0;
        for (int i = 0; i < RUNS; i++) {
            uint64_t a = now();
            dev_matmul(d, y, w, NULL, x, 1);
            uint64_t b = now();
            (void)dev_matmul_top(d, y, s, x, 1, &(struct matmul_top){.k = 1, .n_rows = n_out, .below = -1});
            whole[i] = (double)(b - a) * 1e-3, some[i] = (double)(now() - b) * 1e-3;
        }
        for (uint32_t p = 0; p < n_out; p += 16)
            left += y[p] > -INFINITY;
        dev_matmul(d, y, w, NULL, x, 1);
        qsort(whole, RUNS, sizeof *whole, by_size);
        qsort(some, RUNS, sizeof *some, by_size);
        printf("%.1f,%.0f,%.0f,%.2f,%u,%u\n", height(y, n_out), whole[RUNS / 2], some[RUNS / 2], whole[RUNS / 2] / some[RUNS / 2], left,
               (n_out + 15) / 16);
    }
    screen_free(s);
    weight_free(w);
    device_free(d);
    free(data), free(row), free(x), free(y);
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t size[3] = {151936, 896, 2};
    for (int i = 1; i < argc && i < 4; i++)
        if (!str_u64(str_of(argv[i]), &size[i - 1]) || size[i - 1] == 0 || size[i - 1] > 1 << 20)
            return fprintf(stderr, "usage: screen [rows] [columns] [threads]\n"), 2;
    clock_id = size[2] == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
    return matrix((uint32_t)size[0], (uint32_t)size[1] / 32 * 32, (int)size[2]);
}
