/* The specification of what works on single rows: quantising activations, norms, activation functions, rotation. */
#include "kernel/kernel.h"
#include <math.h>

/* Below this a block counts as zero: 127 / amax would overflow. */
#define QUANTIZE_MIN 1e-35f

void quantize_scalar(struct act8 *out, const float *x, size_t n_blocks)
{
    for (; n_blocks--; out++, x += KERNEL_BLOCK) {
        float amax = 0;
        bool  finite = true;
        for (int i = 0; i < KERNEL_BLOCK; i++) {
            finite = finite && isfinite(x[i]);
            amax = fmaxf(amax, fabsf(x[i]));
        }
        float id = finite && amax > QUANTIZE_MIN ? 127.0f / amax : 0;
        out->d = !finite ? NAN : id != 0 ? amax / 127.0f : 0;
        out->sum[0] = out->sum[1] = 0;
        for (int i = 0; i < KERNEL_BLOCK; i++) {
            int q = id != 0 ? (int)rintf(x[i] * id) : 0;
            out->q[i] = (int8_t)q;
            out->sum[i / 16] = (int16_t)(out->sum[i / 16] + q);
        }
        act8_sums(out);
    }
}

void rmsnorm_scalar(float *y, const float *x, const float *gain, float eps, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    double scale = 1 / sqrt(sum / (double)n + (double)eps);
    for (size_t i = 0; i < n; i++)
        y[i] = (float)((double)x[i] * scale * (double)gain[i]);
}

void add_scalar(float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        a[i] += b[i];
}

void swiglu_scalar(float *y, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double g = (double)gate[i];
        y[i] = (float)(g / (1 + exp(-g)) * (double)up[i]);
    }
}

static void rotate(float *a, float *b, float cos, float sin)
{
    double x = (double)*a, y = (double)*b;
    *a = (float)(x * (double)cos - y * (double)sin);
    *b = (float)(x * (double)sin + y * (double)cos);
}

void rope_norm_scalar(float *x, const float *cos, const float *sin, int n_heads, int head_dim, int n_rot)
{
    for (int h = 0; h < n_heads; h++, x += head_dim)
        for (int i = 0; i < n_rot / 2; i++)
            rotate(&x[2 * i], &x[2 * i + 1], cos[i], sin[i]);
}

void rope_neox_scalar(float *x, const float *cos, const float *sin, int n_heads, int head_dim, int n_rot)
{
    for (int h = 0; h < n_heads; h++, x += head_dim)
        for (int i = 0; i < n_rot / 2; i++)
            rotate(&x[i], &x[i + n_rot / 2], cos[i], sin[i]);
}

void to_f16_scalar(f16 *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = f16_from_f32(x[i] > 65504 ? 65504 : x[i] < -65504 ? -65504 : x[i]);
}

void pairs_scalar(bf16 *out, const float *x, int n, size_t n_in)
{
    for (int c0 = 0; c0 < n; c0 += KERNEL_PANEL) {
        int cols = n - c0 < KERNEL_PANEL ? n - c0 : KERNEL_PANEL;
        for (int part = 0; part < 2; part++)
            for (size_t k = 0; k < 2 * kernel_pairs(n_in); k += 2)
                for (int c = c0; c < c0 + cols; c++)
                    for (size_t i = k; i < k + 2; i++) {
                        float v = i < n_in ? x[(size_t)c * n_in + i] : 0;
                        bf16  high = bf16_from_f32(v);
                        *out++ = part ? bf16_from_f32(v - bf16_to_f32(high)) : high;
                    }
    }
}
