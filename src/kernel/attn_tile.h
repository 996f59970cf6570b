/* Attention over one page, for any vector: a level's attn.c includes this after its vec_int.h (VEC, LANES, ATTN_ROWS, vec_*) and instantiates
 * ATTENTION for each format. Scores and values are the same product of small matrices, out (n_q, n) += a (n_q, depth) * b (depth, n), in
 * which lanes are columns and each output adds its products in the order of the depth: tiles change no bit. */
#pragma once
#include <math.h>

enum { VECTORS = 2 };
/* Of product_NAME: the next n_r rows. A remainder reads b once as well: it is all that a step of decoding has (the heads that share b). */
#define ROWS_AT_ONCE(name, n_r)                                                                                                                      \
    rows_##name(out + r * ldo, ldo, a + r * lda, lda, b, ldb, from, to, n_r, n, r ? 0 : ahead), r += n_r;                                            \
    break;
#define REMAINDER(name, n_r)                                                                                                                         \
    case n_r: ROWS_AT_ONCE(name, n_r)

/* Scores of one row to weights: masks what does not count, moves the running maximum and sum, scales what was summed so far. */
static void soften(float *score, int lo, int hi, float *max, float *sum, float *out, size_t head_dim)
{
    VEC top = vec_set(-INFINITY), total = vec_set(0);
    for (int j = 0; j < KERNEL_KV_PAGE; j += LANES) {
        VEC s = vec_window(vec_get_f32(score + j), lo - j, hi - j);
        vec_put(score + j, s);
        top = vec_max(top, s);
    }
    float here = vec_top(top), new_max = here > *max ? here : *max;
    for (int j = 0; j < KERNEL_KV_PAGE; j += LANES) {
        VEC e = vec_exp(vec_sub(vec_get_f32(score + j), vec_set(new_max)));
        vec_put(score + j, e);
        total = vec_add(total, e);
    }
    float part[LANES];
    vec_put(part, vec_exp(vec_set(*max - new_max)));
    *max = new_max;
    *sum = fmaf(*sum, part[0], vec_sum(total));
    if (part[0] != 1)
        for (size_t d = 0; d < head_dim; d++)
            out[d] *= part[0];
}

/* Rows whose positions of this page count, one behind the other from i on: how many, and the range that any of them asks for. */
static int run_of_rows(const struct kernel_attn *a, int i, int *lo, int *hi)
{
    int n = 0;
    *lo = KERNEL_KV_PAGE;
    *hi = 0;
    for (; i + n < a->n_q && a->hi[i + n] > a->lo[i + n]; n++) {
        *lo = a->lo[i + n] < *lo ? a->lo[i + n] : *lo;
        *hi = a->hi[i + n] > *hi ? a->hi[i + n] : *hi;
    }
    return n;
}

#define ATTENTION(type, name, symbol)                                                                                                                \
    INLINE void tile_##name(float *out, size_t ldo, const float *a, size_t lda, const type *b, size_t ldb, size_t from, size_t to, const int n_r,    \
                            const int n_v, size_t n, uintptr_t ahead)                                                                                \
    {                                                                                                                                                \
        VEC s[ATTN_ROWS][VECTORS], w[VECTORS];                                                                                                       \
        UNROLL for (int r = 0; r < n_r; r++) UNROLL for (int v = 0; v < n_v; v++) s[r][v] =                                                          \
            n < LANES ? vec_get_n_f32(out + (size_t)r * ldo, n) : vec_get_f32(out + (size_t)r * ldo + v * LANES);                                    \
        for (size_t i = from; i < to; i++) {                                                                                                         \
            if (ahead)                                                                                                                               \
                _mm_prefetch((const char *)((uintptr_t)(b + i * ldb) + ahead), _MM_HINT_T0);                                                         \
            UNROLL for (int v = 0; v < n_v; v++) w[v] = n < LANES ? vec_get_n_##name(b + i * ldb, n) : vec_get_##name(b + i * ldb + v * LANES);      \
            UNROLL for (int r = 0; r < n_r; r++)                                                                                                     \
            {                                                                                                                                        \
                VEC x = vec_set(a[(size_t)r * lda + i]);                                                                                             \
                UNROLL for (int v = 0; v < n_v; v++) s[r][v] = vec_fma(x, w[v], s[r][v]);                                                            \
            }                                                                                                                                        \
        }                                                                                                                                            \
        UNROLL for (int r = 0; r < n_r; r++) UNROLL for (int v = 0; v < n_v; v++)                                                                    \
        {                                                                                                                                            \
            if (n < LANES)                                                                                                                           \
                vec_put_n(out + (size_t)r * ldo, s[r][v], n);                                                                                        \
            else                                                                                                                                     \
                vec_put(out + (size_t)r * ldo + v * LANES, s[r][v]);                                                                                 \
        }                                                                                                                                            \
    }                                                                                                                                                \
    INLINE void rows_##name(float *out, size_t ldo, const float *a, size_t lda, const type *b, size_t ldb, size_t from, size_t to, const int n_r,    \
                            size_t n, uintptr_t ahead)                                                                                               \
    {                                                                                                                                                \
        size_t c = 0;                                                                                                                                \
        for (; c + VECTORS * LANES <= n; c += VECTORS * LANES)                                                                                       \
            tile_##name(out + c, ldo, a, lda, b + c, ldb, from, to, n_r, VECTORS, LANES, ahead);                                                     \
        for (; c + LANES <= n; c += LANES)                                                                                                           \
            tile_##name(out + c, ldo, a, lda, b + c, ldb, from, to, n_r, 1, LANES, ahead);                                                           \
        if (c < n)                                                                                                                                   \
            tile_##name(out + c, ldo, a, lda, b + c, ldb, from, to, n_r, 1, n - c, ahead);                                                           \
    }                                                                                                                                                \
    static void product_##name(float *out, size_t ldo, const float *a, size_t lda, const type *b, size_t ldb, size_t from, size_t to, size_t n_q,    \
                               size_t n, uintptr_t ahead)                                                                                            \
    {                                                                                                                                                \
        size_t r = 0;                                                                                                                                \
        while (r < n_q)                                                                                                                              \
            switch (n_q - r) {                                                                                                                       \
            default: ROWS_AT_ONCE(name, ATTN_ROWS) ATTN_REMAINDERS(name)                                                                             \
            }                                                                                                                                        \
    }                                                                                                                                                \
    void symbol(const struct kernel_attn *a)                                                                                                         \
    {                                                                                                                                                \
        float score[KERNEL_ATTN_MAX][KERNEL_KV_PAGE];                                                                                                \
        size_t hd = (size_t)a->head_dim;                                                                                                             \
        for (int i = 0, n, lo, hi; i < a->n_q; i += n ? n : 1) {                                                                                     \
            n = run_of_rows(a, i, &lo, &hi);                                                                                                         \
            if (n == 0)                                                                                                                              \
                continue;                                                                                                                            \
            float *out = a->out + (size_t)i * hd;                                                                                                    \
            memset(score, 0, (size_t)n * sizeof score[0]);                                                                                           \
            product_##name(score[0], KERNEL_KV_PAGE, a->q + (size_t)i * hd, hd, a->k, KERNEL_KV_PAGE, 0, hd, (size_t)n, KERNEL_KV_PAGE,              \
                           (uintptr_t)a->v - (uintptr_t)a->k);                                                                                       \
            for (int r = 0; r < n; r++)                                                                                                              \
                soften(score[r], a->lo[i + r], a->hi[i + r], &a->max[i + r], &a->sum[i + r], out + (size_t)r * hd, hd);                              \
            product_##name(out, hd, score[0], KERNEL_KV_PAGE, a->v, hd, (size_t)lo, (size_t)hi, (size_t)n, hd,                                       \
                           a->next ? (uintptr_t)a->next - (uintptr_t)a->v : 0);                                                                      \
        }                                                                                                                                            \
    }
