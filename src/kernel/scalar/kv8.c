#include "kernel/kv8_rows.h"

KV8_ROWS(scalar)

/* Attention over pages of 8-bit KV: kernel.h has the formula. Sums of integers are exact; the rest is in double. */
static int64_t key_product(const struct kernel_attn8 *a, size_t r, size_t j)
{
    size_t hd = (size_t)a->head_dim;
    const uint8_t *k = a->pages[j / KERNEL_KV_PAGE];
    int64_t sum = 0;
    for (size_t i = 0; i < hd; i++)
        sum += (int64_t)a->q.q[r * a->q.stride + i] * (k[kv8_k(hd, j % KERNEL_KV_PAGE, i)] - KV8_ZERO);
    return sum;
}

static double scale_of(const uint8_t *side, size_t j)
{
    float d;
    memcpy(&d, side + j % KERNEL_KV_PAGE * sizeof d, sizeof d);
    return (double)d;
}

static void row(const struct kernel_attn8 *a, size_t r)
{
    size_t hd = (size_t)a->head_dim, lo = (size_t)a->lo[r], hi = (size_t)a->hi[r], side = kv8_side(hd);
    double w[KERNEL_KV_GROUP * KERNEL_KV_PAGE], here = -INFINITY, sum = 0, top = 0;
    for (size_t j = lo; j < hi; j++) {
        w[j] = (double)key_product(a, r, j) * scale_of(a->pages[j / KERNEL_KV_PAGE], j) * (double)a->q.d[r];
        here = fmax(here, w[j]);
    }
    for (size_t j = lo; j < hi; j++) {
        sum += w[j] = exp2(w[j] - here);
        w[j] *= scale_of((const uint8_t *)a->pages[j / KERNEL_KV_PAGE] + side, j);
        top = fmax(top, w[j]);
    }
    top = fmax(top, 1e-30);
    double max = fmax((double)a->max[r], here), keep = exp2((double)a->max[r] - max), add = exp2(here - max); /* keep: 0 at first */
    for (size_t i = 0; i < hd; i++) {
        double out = 0;
        for (size_t j = lo; j < hi; j++) {
            const uint8_t *v = (const uint8_t *)a->pages[j / KERNEL_KV_PAGE] + side;
            out += rint(w[j] * KV8_WEIGHT_TOP / top) * (v[kv8_v(j % KERNEL_KV_PAGE, i)] - KV8_ZERO);
        }
        a->out[r * hd + i] = (float)((double)a->out[r * hd + i] * keep + out * add * top / KV8_WEIGHT_TOP);
    }
    a->sum[r] = (float)((double)a->sum[r] * keep + sum * add);
    a->max[r] = (float)max;
}

void attn_q8_scalar(const struct kernel_attn8 *a)
{
    for (int r = 0; r < a->n_q; r++)
        if (a->hi[r] > a->lo[r])
            row(a, (size_t)r);
}
