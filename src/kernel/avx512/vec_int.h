/* Private to avx512/: small vector helpers. The set of intrinsics is kept small on purpose: tests/check runs these sources on CPUs without
 * AVX-512 by giving each intrinsic a plain C body (tests/check/avx512_emulated.h). */
#pragma once
#include "kernel/kernel.h"
#include <immintrin.h>
#include <math.h>
#include <string.h>

#ifndef INLINE /* the emulation, which is in no hurry, defines both */
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#define REAL_VECTORS

/* a + the products of four unsigned bytes of each lane of w with the four signed bytes at `four`. In assembly, because gcc 12 loads and
 * spreads the bytes with an instruction of their own. */
INLINE __m512i dot_four(__m512i a, __m512i w, const int8_t *four)
{
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(a) : "v"(w), "m"(*(const int8_t(*)[4])four));
    return a;
}

/* Four bytes in every lane. In assembly too: one instruction, where it stands. */
INLINE __m512i spread_four(const int8_t *four)
{
    __m512i v;
    __asm__("vpbroadcastd %1, %0" : "=v"(v) : "m"(*(const int8_t(*)[4])four));
    return v;
}

/* Stays in its register: gcc 12 would load it again for each use. */
INLINE __m512i held(__m512i v)
{
    __asm__("" : "+v"(v));
    return v;
}

/* Lives in memory from here on: gcc would put away what is wanted next. */
INLINE void put_away(__m512 *v)
{
    __asm__("" : "+m"(*v));
}
#endif

/* The vocabulary of attn_tile.h and float_tile.h. */
#define VEC __m512
enum { LANES = 16 };
INLINE VEC  vec_set(float x) { return _mm512_set1_ps(x); }
INLINE VEC  vec_add(VEC a, VEC b) { return _mm512_add_ps(a, b); }
INLINE VEC  vec_sub(VEC a, VEC b) { return _mm512_sub_ps(a, b); }
INLINE VEC  vec_mul(VEC a, VEC b) { return _mm512_mul_ps(a, b); }
INLINE VEC  vec_max(VEC a, VEC b) { return _mm512_max_ps(a, b); }
INLINE VEC  vec_fma(VEC a, VEC b, VEC c) { return _mm512_fmadd_ps(a, b, c); }
INLINE void vec_put(float *p, VEC v) { _mm512_storeu_ps(p, v); }
INLINE VEC  vec_get_f32(const float *p) { return _mm512_loadu_ps(p); }
INLINE VEC  vec_get_f16(const f16 *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p)); }
INLINE VEC  vec_get_bf16(const bf16 *p)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)p)), 16));
}

/* The first n < LANES values, the rest zero; nothing behind them is read or written. */
INLINE __mmask16 first_lanes(size_t n) { return (__mmask16)((1u << n) - 1); }
INLINE VEC       vec_get_n_f32(const float *p, size_t n) { return _mm512_maskz_loadu_ps(first_lanes(n), p); }
INLINE void      vec_put_n(float *p, VEC v, size_t n) { _mm512_mask_storeu_ps(p, first_lanes(n), v); }
#define GET_N(type, name)                                                                                                                  \
    INLINE VEC vec_get_n_##name(const type *p, size_t n)                                                                                   \
    {                                                                                                                                      \
        type part[LANES] = {0};                                                                                                            \
        memcpy(part, p, n * sizeof *p);                                                                                                    \
        return vec_get_##name(part);                                                                                                       \
    }
GET_N(f16, f16)
GET_N(bf16, bf16)

/* e^x to about one unit in the last place (the polynomial of Cephes' expf); 0 below -87.3, about 2.4e38 above 88.4; NaN stays. */
INLINE VEC vec_exp(VEC x)
{
    const VEC low = _mm512_set1_ps(-87.3f);
    __mmask16 counts = _mm512_cmp_ps_mask(x, low, _CMP_NLT_UQ);
    x = _mm512_max_ps(low, _mm512_min_ps(_mm512_set1_ps(88.37f), x));
    VEC n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    VEC r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    VEC p = _mm512_set1_ps(1.9875691500e-4f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.3981999507e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(8.3334519073e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(4.1665795894e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.6666665459e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.0000001201e-1f));
    p = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), _mm512_set1_ps(1));
    __m512i scale = _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23);
    return _mm512_maskz_mul_ps(counts, p, _mm512_castsi512_ps(scale));
}

/* 2^x for x <= 0 to about one unit in the last place (the polynomial of Cephes' exp2f), as if -125 for anything below; NaN stays. Adding 1.5 * 2^23
 * rounds to an integer, which is then in the low bits. */
INLINE VEC vec_exp2(VEC x)
{
    const VEC round = _mm512_set1_ps(12582912.0f);
    x = _mm512_max_ps(_mm512_set1_ps(-125), x);
    VEC t = _mm512_add_ps(x, round), r = _mm512_sub_ps(x, _mm512_sub_ps(t, round)), p = _mm512_set1_ps(1.535336188319500e-4f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.339887440266574e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(9.618437357674640e-3f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(5.550332471162809e-2f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(2.402264791363012e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(6.931472028550421e-1f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1));
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), _mm512_slli_epi32(_mm512_castps_si512(t), 23)));
}

INLINE float vec_sum(VEC v) { return _mm512_reduce_add_ps(v); }

/* The sums of four vectors, each with the additions of vec_sum in its order: halves, quarters, then 0 + 2 and 1 + 3 of what is left. */
INLINE void vec_sum_four(float out[4], VEC a, VEC b, VEC c, VEC d)
{
#ifdef REAL_VECTORS
    VEC ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    VEC cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    VEC s = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
    s = _mm512_add_ps(s, _mm512_permute_ps(s, 0x4e));
    s = _mm512_add_ps(s, _mm512_permute_ps(s, 0xb1));
    const __m512i firsts = _mm512_castsi128_si512(_mm_setr_epi32(0, 4, 8, 12));
    _mm_storeu_ps(out, _mm512_castps512_ps128(_mm512_permutexvar_ps(firsts, s)));
#else
    out[0] = vec_sum(a), out[1] = vec_sum(b), out[2] = vec_sum(c), out[3] = vec_sum(d);
#endif
}
INLINE float vec_top(VEC v) { return _mm512_reduce_max_ps(v); }

INLINE __mmask16 lanes_between(int lo, int hi)
{
    unsigned below = hi <= 0 ? 0 : hi >= LANES ? 0xffff : (1u << hi) - 1, skip = lo <= 0 ? 0 : lo >= LANES ? 0xffff : (1u << lo) - 1;
    return (__mmask16)(below & ~skip);
}
/* Lanes lo to hi - 1 of v, minus infinity elsewhere; the same with zero. */
INLINE VEC vec_window(VEC v, int lo, int hi) { return _mm512_mask_mov_ps(_mm512_set1_ps(-INFINITY), lanes_between(lo, hi), v); }
INLINE VEC vec_only(VEC v, int lo, int hi) { return _mm512_mask_mov_ps(_mm512_set1_ps(0), lanes_between(lo, hi), v); }
