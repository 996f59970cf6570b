/* Private to avx512/ and amx/: 16-bit integers as two signed bytes, 256 hi + lo; their products apart. */
#pragma once
#include "kernel/avx512/vec_int.h"

struct pieces {
    int8_t *hi, *lo;
};
struct sums8 {
    int32_t *hi, *lo;
};
#include "kernel/product8.h"

struct weights8 {
    int8_t hi[ROWS8 * SPAN], lo[ROWS8 * SPAN];
};
struct room8 {
    __attribute__((aligned(64))) int32_t hi[SUMS8], lo[SUMS8];
};
INLINE struct pieces pieces_in(struct weights8 *w)
{
    return (struct pieces){w->hi, w->lo};
}
INLINE struct pieces pieces_at(struct pieces p, size_t at)
{
    return (struct pieces){p.hi + at, p.lo + at};
}
INLINE struct pieces pieces_of(const struct kernel_query8 *q, size_t row)
{
    return (struct pieces){q->hi + row * q->stride, q->lo + row * q->stride};
}
INLINE struct sums8 sums_in(struct room8 *r)
{
    return (struct sums8){r->hi, r->lo};
}
INLINE struct sums8 sums_at(struct sums8 s, size_t at)
{
    return (struct sums8){s.hi + at, s.lo + at};
}

INLINE VEC vec_get_sum(struct sums8 s, size_t at, int32_t less)
{
    __m512i sum = _mm512_add_epi32(_mm512_slli_epi32(_mm512_loadu_si512(s.hi + at), 8), _mm512_loadu_si512(s.lo + at));
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(sum, _mm512_set1_epi32(less)));
}

/* Values [from, to) of x times `by`, rounded, to p from `row` on; their sum. */
INLINE int32_t pieces_put(struct pieces p, size_t row, const float *x, int from, int to, float by)
{
    __m512i sum = _mm512_set1_epi32(0);
    VEC scale = vec_set(by);
    for (int j = from; j < to; j += LANES) {
        __m512i v = _mm512_cvtps_epi32(vec_mul(vec_get_f32(x + j), scale));
        sum = _mm512_add_epi32(sum, v);
        _mm_storeu_si128((__m128i *)(void *)(p.hi + row + (size_t)j),
                         _mm512_cvtepi32_epi8(_mm512_srai_epi32(_mm512_add_epi32(v, _mm512_set1_epi32(128)), 8)));
        _mm_storeu_si128((__m128i *)(void *)(p.lo + row + (size_t)j), _mm512_cvtepi32_epi8(v));
    }
    return (int32_t)vec_sum(_mm512_cvtepi32_ps(sum)); /* below 2^24 (unless there was a NaN): exact */
}
