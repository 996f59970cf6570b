/* Rows of 8-bit KV, in plain C that a compiler may turn into vectors: it adds nothing up in another order, so that every level gives the same
 * bits. scalar/ and avx2/ include it and give the functions their names. */
#pragma once
#include "kernel/kv8.h"

/* Hadamard's transform, its rows of length one: it is its own inverse. Of the whole row where head_dim is a power of two, else of blocks of the
 * largest one that divides it. Each step reads halves and writes pairs; after all of them each value is back at its place. */
static inline void turn_row(float *x, size_t head_dim)
{
    float other[KERNEL_HEAD_MAX];
    size_t block = head_dim & -head_dim;
    float scale = 1 / sqrtf((float)block);
    for (size_t b = 0; b < head_dim && block > 1; b += block) {
        float *from = x + b, *to = other;
        for (size_t n = block; n > 1; n /= 2) {
            for (size_t i = 0; i < block / 2; i++) {
                float l = from[i], r = from[i + block / 2];
                to[2 * i] = l + r;
                to[2 * i + 1] = l - r;
            }
            float *t = from;
            from = to, to = t;
        }
        for (size_t i = 0; i < block; i++)
            x[b + i] = from[i] * scale;
    }
}

/* The largest magnitude; more than FLT_MAX when there is an infinity or a NaN. */
static inline float row_top(const float *x, size_t n)
{
    uint32_t top = 0;
    float f;
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        memcpy(&u, &x[i], sizeof u);
        u &= 0x7fffffff;
        top = u > top ? u : top;
    }
    memcpy(&f, &top, sizeof f);
    return f;
}

/* Copies a row within bounds that cannot overflow in a sum, and turns it. */
static inline void turned(float *out, const float *x, size_t head_dim)
{
    for (size_t i = 0; i < head_dim; i++)
        out[i] = x[i] > 1e30f ? 1e30f : x[i] < -1e30f ? -1e30f : x[i];
    turn_row(out, head_dim);
}

/* x = scale * (integers of at most `most`), which take x's place; a row with a NaN has scale NaN and zeros, one of nothing but zeros (or less than
 * 1e-30) scale 0. */
static inline float integers_of(float *x, size_t n, float most)
{
    float top = row_top(x, n);
    if (!(top >= 1e-30f && top <= 3e38f)) {
        memset(x, 0, n * sizeof *x);
        return top < 1 ? 0 : NAN;
    }
    float by = most / top;
    for (size_t i = 0; i < n; i++)
        x[i] = rintf(x[i] * by);
    return top / most;
}

static inline void query_row(const struct kernel_query8 *q, size_t r, const float *x, float scale, size_t head_dim)
{
    float t[KERNEL_HEAD_MAX];
    int16_t *to = q->q + r * q->stride;
    int8_t *hi = q->hi + r * q->stride, *lo = q->lo + r * q->stride;
    int sum = 0;
    turned(t, x, head_dim);
    float d = integers_of(t, head_dim, (float)kv8_query_top(head_dim));
    for (size_t i = 0; i < head_dim; i++) {
        int v = (int)t[i], h = (v + 128) >> 8;
        to[i] = (int16_t)v;
        hi[i] = (int8_t)h;
        lo[i] = (int8_t)(v - h * 256);
        sum += v;
    }
    memset(to + head_dim, 0, (q->stride - head_dim) * sizeof *to);
    memset(hi + head_dim, 0, q->stride - head_dim);
    memset(lo + head_dim, 0, q->stride - head_dim);
    q->d[r] = d * scale;
    q->sum[r] = sum;
}

static inline void store_row(uint8_t *k_side, size_t slot, const float *k, const float *v, size_t head_dim)
{
    float t[KERNEL_HEAD_MAX];
    uint8_t *v_side = k_side + kv8_side(head_dim);
    turned(t, k, head_dim);
    float d = integers_of(t, head_dim, KV8_TOP);
    memcpy(k_side + slot * sizeof d, &d, sizeof d);
    for (size_t i = 0; i < head_dim; i++)
        k_side[kv8_k(head_dim, slot, i)] = (uint8_t)((int)t[i] + KV8_ZERO);
    turned(t, v, head_dim);
    d = integers_of(t, head_dim, KV8_TOP);
    memcpy(v_side + slot * sizeof d, &d, sizeof d);
    for (size_t i = 0; i < head_dim; i++)
        v_side[kv8_v(slot, i)] = (uint8_t)((int)t[i] + KV8_ZERO);
}

#define KV8_ROWS(level)                                                                                                                              \
    void kv8_turn_##level(float *x, size_t n, size_t head_dim)                                                                                       \
    {                                                                                                                                                \
        for (size_t r = 0; r < n; r++)                                                                                                               \
            turn_row(x + r * head_dim, head_dim);                                                                                                    \
    }                                                                                                                                                \
    void kv8_query_##level(const struct kernel_query8 *q, const float *x, float scale, size_t n, size_t head_dim)                                    \
    {                                                                                                                                                \
        for (size_t r = 0; r < n; r++)                                                                                                               \
            query_row(q, r, x + r * head_dim, scale, head_dim);                                                                                      \
    }                                                                                                                                                \
    void kv8_store_##level(void *k, size_t slot, const float *key, const float *value, size_t head_dim)                                              \
    {                                                                                                                                                \
        store_row(k, slot, key, value, head_dim);                                                                                                    \
    }
