/* Private to avx2/: small vector helpers. */
#pragma once
#include "kernel/kernel.h"
#include <immintrin.h>
#include <math.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
/* The compiler may not move the computation of x past here: it would otherwise delay the additions of an unrolled loop to its end and
 * spill everything that they wait for. */
#define HERE(x) __asm__ volatile("" : "+x"(x))

INLINE __m256i load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
INLINE __m256i four_bytes(const void *p)
{
    int v;
    memcpy(&v, p, sizeof v);
    return _mm256_set1_epi32(v);
}

/* The vocabulary of attn_tile.h and float_tile.h. */
#define VEC __m256
enum { LANES = 8 };
INLINE VEC  vec_set(float x) { return _mm256_set1_ps(x); }
INLINE VEC  vec_add(VEC a, VEC b) { return _mm256_add_ps(a, b); }
INLINE VEC  vec_sub(VEC a, VEC b) { return _mm256_sub_ps(a, b); }
INLINE VEC  vec_mul(VEC a, VEC b) { return _mm256_mul_ps(a, b); }
INLINE VEC  vec_max(VEC a, VEC b) { return _mm256_max_ps(a, b); }
INLINE VEC  vec_fma(VEC a, VEC b, VEC c) { return _mm256_fmadd_ps(a, b, c); }
INLINE void vec_put(float *p, VEC v) { _mm256_storeu_ps(p, v); }
INLINE VEC  vec_get_f32(const float *p) { return _mm256_loadu_ps(p); }
INLINE VEC  vec_get_f16(const f16 *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p)); }
INLINE VEC  vec_get_bf16(const bf16 *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)), 16));
}

/* The first n < LANES values, the rest zero; nothing behind them is read or written. */
#define GET_N(type, name)                                                                                                                  \
    INLINE VEC vec_get_n_##name(const type *p, size_t n)                                                                                   \
    {                                                                                                                                      \
        type part[LANES] = {0};                                                                                                            \
        memcpy(part, p, n * sizeof *p);                                                                                                    \
        return vec_get_##name(part);                                                                                                       \
    }
GET_N(float, f32)
GET_N(f16, f16)
GET_N(bf16, bf16)
INLINE void vec_put_n(float *p, VEC v, size_t n)
{
    float part[LANES];
    vec_put(part, v);
    memcpy(p, part, n * sizeof *p);
}

/* e^x to about one unit in the last place (the polynomial of Cephes' expf); 0 below -87.3, about 2.4e38 above 88.4; NaN stays. */
INLINE __m256 vec_exp(__m256 x)
{
    const __m256 low = _mm256_set1_ps(-87.3f);
    __m256 small = _mm256_cmp_ps(x, low, _CMP_LT_OQ);
    x = _mm256_max_ps(low, _mm256_min_ps(_mm256_set1_ps(88.37f), x));
    __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    __m256 p = _mm256_set1_ps(1.9875691500e-4f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.3981999507e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(8.3334519073e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(4.1665795894e-2f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.6666665459e-1f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.0000001201e-1f));
    p = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r), _mm256_set1_ps(1));
    __m256i scale = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_andnot_ps(small, _mm256_mul_ps(p, _mm256_castsi256_ps(scale)));
}

/* 2^x for x <= 0 to about one unit in the last place (the polynomial of Cephes' exp2f), as if -125 for anything below; NaN stays. Adding 1.5 * 2^23
 * rounds to an integer, which is then in the low bits. */
INLINE VEC vec_exp2(VEC x)
{
    const VEC round = _mm256_set1_ps(12582912.0f);
    x = _mm256_max_ps(_mm256_set1_ps(-125), x);
    VEC t = _mm256_add_ps(x, round), r = _mm256_sub_ps(x, _mm256_sub_ps(t, round)), p = _mm256_set1_ps(1.535336188319500e-4f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.339887440266574e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(9.618437357674640e-3f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(5.550332471162809e-2f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(2.402264791363012e-1f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(6.931472028550421e-1f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1));
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
}

INLINE float vec_sum(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
INLINE void vec_sum_four(float out[4], VEC a, VEC b, VEC c, VEC d)
{
    out[0] = vec_sum(a), out[1] = vec_sum(b), out[2] = vec_sum(c), out[3] = vec_sum(d);
}

INLINE float vec_top(__m256 v)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}

INLINE __m256 lanes_between(int lo, int hi)
{
    const __m256i i = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256i in = _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(lo), i), _mm256_cmpgt_epi32(_mm256_set1_epi32(hi), i));
    return _mm256_castsi256_ps(in);
}
/* Lanes lo to hi - 1 of v, minus infinity elsewhere; the same with zero. */
INLINE VEC vec_window(VEC v, int lo, int hi) { return _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), v, lanes_between(lo, hi)); }
INLINE VEC vec_only(VEC v, int lo, int hi) { return _mm256_and_ps(v, lanes_between(lo, hi)); }
