/* The specification of attention over one page: softmax with the maximum subtracted, continued from page to page. */
#include "kernel/kernel.h"
#include <math.h>

typedef double value_fn(const void *p, size_t i);
static double value_f16(const void *p, size_t i) { return (double)f16_to_f32(((const f16 *)p)[i]); }
static double value_bf16(const void *p, size_t i) { return (double)bf16_to_f32(((const bf16 *)p)[i]); }
static double value_f32(const void *p, size_t i) { return (double)((const float *)p)[i]; }

static void row(const struct kernel_attn *a, size_t i, value_fn *value)
{
    double score[KERNEL_KV_PAGE], max = (double)a->max[i], sum;
    size_t hd = (size_t)a->head_dim, lo = (size_t)a->lo[i], hi = (size_t)a->hi[i];
    for (size_t j = lo; j < hi; j++) {
        score[j] = 0;
        for (size_t d = 0; d < hd; d++)
            score[j] += (double)a->q[i * hd + d] * value(a->k, d * KERNEL_KV_PAGE + j);
        max = fmax(max, score[j]);
    }
    double keep = exp((double)a->max[i] - max); /* 0 for the first page */
    sum = (double)a->sum[i] * keep;
    for (size_t j = lo; j < hi; j++)
        sum += score[j] = exp(score[j] - max);
    for (size_t d = 0; d < hd; d++) {
        double out = (double)a->out[i * hd + d] * keep;
        for (size_t j = lo; j < hi; j++)
            out += score[j] * value(a->v, j * hd + d);
        a->out[i * hd + d] = (float)out;
    }
    a->max[i] = (float)max;
    a->sum[i] = (float)sum;
}

static void rows(const struct kernel_attn *a, value_fn *value)
{
    for (int i = 0; i < a->n_q; i++)
        if (a->hi[i] > a->lo[i])
            row(a, (size_t)i, value);
}

void attn_f16_scalar(const struct kernel_attn *a) { rows(a, value_f16); }
void attn_bf16_scalar(const struct kernel_attn *a) { rows(a, value_bf16); }
void attn_f32_scalar(const struct kernel_attn *a) { rows(a, value_f32); }
