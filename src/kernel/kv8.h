/* 8-bit keys and values: where they lie in a page, and how a row becomes one. Kernels and the device include it.
 *
 *   K of one head   float d[64]   (4 panels of 16 positions, wide / 4, 16, 4) codes      wide: head_dim rounded up to 16
 *   V of one head   float d[64]   (wide / 16 panels of 16 values, 64 / 4, 16, 4) codes
 *
 * V follows K. A panel is that of packed weights (panel.h): a 64-byte vector is 16 outputs (positions of K, values of V) by 4 steps of what is
 * summed up, so that scores and values are integer products whose sums are exact and may be taken in any order.
 *
 * A row is turned before it is quantised (kv8_turn), and so are queries and, back, the outputs: an orthogonal transform changes no product
 * of a query and a key, and spreads a value that stands out (keys have such channels) over all of them. Then x = d * (code - 128), with one d a row.
 * Queries, and weights of values, keep 16 bits as 256 hi + lo, two signed bytes. */
#pragma once
#include "kernel/kernel.h"
#include <math.h>
#include <string.h>

enum { KV8_ZERO = 128, KV8_TOP = 127, KV8_WEIGHT_TOP = 127 * 256 + 127, KV8_LINE = 64, KV8_SCALES = KERNEL_KV_PAGE * (int)sizeof(float) };

static inline size_t kv8_wide(size_t head_dim)
{
    return (head_dim + 15) / 16 * 16;
}
/* Bytes of K, or V, of one head in a page. */
static inline size_t kv8_side(size_t head_dim)
{
    return KV8_SCALES + KERNEL_KV_PAGE * kv8_wide(head_dim);
}
/* Of a query: rounded up to whole lines. */
static inline size_t kv8_query_stride(size_t head_dim)
{
    return (head_dim + 63) / 64 * 64;
}
/* The largest integer of a query: sums over a head must stay within int32. */
static inline int kv8_query_top(size_t head_dim)
{
    return head_dim <= 512 ? KV8_WEIGHT_TOP : KV8_WEIGHT_TOP / 2;
}
/* Where the code of value i of position j is. */
static inline size_t kv8_k(size_t head_dim, size_t j, size_t i)
{
    return KV8_SCALES + (j / 16 * (kv8_wide(head_dim) / 4) + i / 4) * KV8_LINE + j % 16 * 4 + i % 4;
}
static inline size_t kv8_v(size_t j, size_t i)
{
    return KV8_SCALES + (i / 16 * (KERNEL_KV_PAGE / 4) + j / 4) * KV8_LINE + i % 16 * 4 + j % 4;
}
