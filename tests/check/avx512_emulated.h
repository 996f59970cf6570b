/* The intrinsics that src/kernel/avx512 uses, in plain C, after the definitions of Intel's intrinsics guide. make/tests.mk compiles those
 * sources with this header in front, so that they are checked, guard pages and all, on CPUs that lack AVX-512 too. */
#pragma once
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>
#include "quant/quant.h"

struct emu512 { float f[16]; };
struct emu512i { int32_t i[16]; };
struct emu256i { uint16_t h[16]; };
#define __m512  struct emu512
#define __m512i struct emu512i
#define __m256i struct emu256i

#define INLINE static __attribute__((unused)) /* no copies of each tile, no unrolled loops: minutes of compilation less */
#define UNROLL
#define EMU static inline __attribute__((unused))
#define EACH for (int l = 0; l < 16; l++)
#define FLOATS(name, args, value)                                                                                                          \
    EMU __m512 emu_##name args                                                                                                             \
    {                                                                                                                                      \
        __m512 o;                                                                                                                          \
        EACH o.f[l] = value;                                                                                                               \
        return o;                                                                                                                          \
    }
#define INTS(name, args, value)                                                                                                            \
    EMU __m512i emu_##name args                                                                                                            \
    {                                                                                                                                      \
        __m512i o;                                                                                                                         \
        EACH o.i[l] = (int32_t)(value);                                                                                                    \
        return o;                                                                                                                          \
    }
#define BIT(k) ((k) >> l & 1)

FLOATS(set1_ps, (float x), x)
FLOATS(add_ps, (__m512 a, __m512 b), a.f[l] + b.f[l])
FLOATS(sub_ps, (__m512 a, __m512 b), a.f[l] - b.f[l])
FLOATS(mul_ps, (__m512 a, __m512 b), a.f[l] * b.f[l])
FLOATS(div_ps, (__m512 a, __m512 b), a.f[l] / b.f[l])
FLOATS(max_ps, (__m512 a, __m512 b), a.f[l] > b.f[l] ? a.f[l] : b.f[l]) /* the second operand when either is NaN */
FLOATS(min_ps, (__m512 a, __m512 b), a.f[l] < b.f[l] ? a.f[l] : b.f[l])
FLOATS(fmadd_ps, (__m512 a, __m512 b, __m512 c), fmaf(a.f[l], b.f[l], c.f[l]))
FLOATS(fnmadd_ps, (__m512 a, __m512 b, __m512 c), fmaf(-a.f[l], b.f[l], c.f[l]))
FLOATS(roundscale_ps, (__m512 a), rintf(a.f[l]))
FLOATS(maskz_mul_ps, (unsigned k, __m512 a, __m512 b), BIT(k) ? a.f[l] * b.f[l] : 0)
FLOATS(mask_mov_ps, (__m512 s, unsigned k, __m512 a), BIT(k) ? a.f[l] : s.f[l])
FLOATS(loadu_ps, (const float *p), p[l])
FLOATS(maskz_loadu_ps, (unsigned k, const float *p), BIT(k) ? p[l] : 0)
FLOATS(cvtph_ps, (__m256i a), f16_to_f32(a.h[l]))
FLOATS(cvtepi32_ps, (__m512i a), (float)a.i[l])

INTS(set1_epi32, (int x), x)
INTS(set1_epi8, (int x), 0x01010101u * (uint8_t)x)
INTS(add_epi32, (__m512i a, __m512i b), (uint32_t)a.i[l] + (uint32_t)b.i[l])
INTS(sub_epi32, (__m512i a, __m512i b), (uint32_t)a.i[l] - (uint32_t)b.i[l])
INTS(and_si512, (__m512i a, __m512i b), a.i[l] & b.i[l])
INTS(slli_epi32, (__m512i a, unsigned n), (uint32_t)a.i[l] << n)
INTS(xor_si512, (__m512i a, __m512i b), a.i[l] ^ b.i[l])
INTS(or_si512, (__m512i a, __m512i b), a.i[l] | b.i[l])
INTS(srli_epi32, (__m512i a, unsigned n), (uint32_t)a.i[l] >> n)
INTS(srai_epi32, (__m512i a, unsigned n), a.i[l] >> n)
INTS(srli_epi16, (__m512i a, int n), ((uint32_t)a.i[l] >> 16 >> n) << 16 | ((uint32_t)a.i[l] & 0xffff) >> n)
INTS(cvtepu16_epi32, (__m256i a), a.h[l])
INTS(cvtps_epi32, (__m512 a), fabsf(a.f[l]) < 0x1p31f ? (int32_t)rintf(a.f[l]) : INT32_MIN)

EMU __m512i emu_cvtepu8_epi32(__m128i a)
{
    uint8_t b[16];
    __m512i o;
    memcpy(b, &a, sizeof b);
    EACH o.i[l] = b[l];
    return o;
}
EMU __m512i emu_cvtepi8_epi32(__m128i a)
{
    int8_t b[16];
    __m512i o;
    memcpy(b, &a, sizeof b);
    EACH o.i[l] = b[l];
    return o;
}
EMU __m512i emu_broadcast_i32x4(__m128i a)
{
    __m512i o;
    for (int l = 0; l < 16; l += 4)
        memcpy(&o.i[l], &a, sizeof a);
    return o;
}
/* Bytes of each 16 by the low nibbles of k's; 0 where the top bit is set. */
EMU __m512i emu_shuffle_epi8(__m512i a, __m512i k)
{
    uint8_t from[64], by[64], to[64];
    __m512i o;
    memcpy(from, &a, sizeof from), memcpy(by, &k, sizeof by);
    for (int i = 0; i < 64; i++)
        to[i] = by[i] & 128 ? 0 : from[i / 16 * 16 + by[i] % 16];
    memcpy(&o, to, sizeof to);
    return o;
}
EMU __m512 emu_castsi512_ps(__m512i a)
{
    __m512 o;
    memcpy(&o, &a, sizeof o);
    return o;
}
EMU __m512i emu_loadu_si512(const void *p)
{
    __m512i o;
    memcpy(&o, p, sizeof o);
    return o;
}
EMU __m256i emu_loadu_si256(const void *p)
{
    __m256i o;
    memcpy(&o, p, sizeof o);
    return o;
}
EMU __m512i emu_sub_epi8(__m512i a, __m512i b)
{
    uint8_t x[64], y[64];
    memcpy(x, &a, sizeof x), memcpy(y, &b, sizeof y);
    for (int i = 0; i < 64; i++)
        x[i] = (uint8_t)(x[i] - y[i]);
    memcpy(&a, x, sizeof x);
    return a;
}
EMU __m512i emu_castps_si512(__m512 a)
{
    __m512i o;
    memcpy(&o, &a, sizeof o);
    return o;
}
EMU __m512i emu_permutex2var_epi16(__m512i a, __m512i at, __m512i b)
{
    uint16_t in[64], index[32], out[32];
    __m512i  o;
    memcpy(in, &a, sizeof a), memcpy(in + 32, &b, sizeof b), memcpy(index, &at, sizeof at);
    for (int i = 0; i < 32; i++)
        out[i] = in[index[i] & 63];
    memcpy(&o, out, sizeof o);
    return o;
}
EMU __m512i emu_steps(int step)
{
    __m512i o;
    EACH o.i[l] = l * step;
    return o;
}
EMU __m512 emu_gather_ps(__m512i at, const void *p)
{
    __m512 o;
    EACH memcpy(&o.f[l], (const char *)p + 4 * at.i[l], sizeof o.f[l]);
    return o;
}
EMU __mmask16 emu_equal_mask(__m512 a, __m512 b)
{
    unsigned k = 0;
    EACH if (a.f[l] == b.f[l]) k |= 1u << l;
    return (__mmask16)k;
}
EMU void emu_storeu_si512(void *p, __m512i a) { memcpy(p, &a, sizeof a); }
EMU void emu_storeu_ps(float *p, __m512 a) { memcpy(p, &a, sizeof a); }
EMU __m128i emu_cvtepi32_epi8(__m512i a)
{
    uint8_t b[16];
    __m128i o;
    EACH b[l] = (uint8_t)a.i[l];
    memcpy(&o, b, sizeof o);
    return o;
}
EMU void emu_mask_storeu_ps(float *p, unsigned k, __m512 a)
{
    EACH if (BIT(k)) p[l] = a.f[l];
}
EMU __mmask16 emu_not_less_mask(__m512 a, __m512 b)
{
    unsigned k = 0;
    EACH if (!(a.f[l] < b.f[l])) k |= 1u << l;
    return (__mmask16)k;
}
/* a + the products of four unsigned bytes of w with the four signed bytes at `four`, for each lane: no saturation (vec_int.h). */
EMU __m512i dot_four(__m512i s, __m512i w, const int8_t *four)
{
    EACH for (int k = 0; k < 4; k++)
        s.i[l] += (uint8_t)((uint32_t)w.i[l] >> 8 * k) * four[k];
    return s;
}
EMU __m512i spread_four(const int8_t *four)
{
    __m512i v;
    EACH memcpy(&v.i[l], four, 4);
    return v;
}
EMU __m512i held(__m512i v) { return v; }
EMU void put_away(__m512 *v) { (void)v; }
/* Four products of unsigned bytes of a and signed bytes of b, added to a lane: no saturation. */
EMU __m512i emu_dpbusd_epi32(__m512i s, __m512i a, __m512i b)
{
    EACH for (int k = 0; k < 32; k += 8)
        s.i[l] += (uint8_t)((uint32_t)a.i[l] >> k) * (int8_t)((uint32_t)b.i[l] >> k);
    return s;
}
/* Two products of int16, added to a lane. */
EMU __m512i emu_dpwssd_epi32(__m512i s, __m512i a, __m512i b)
{
    EACH s.i[l] += (int16_t)a.i[l] * (int16_t)b.i[l] + (a.i[l] >> 16) * (b.i[l] >> 16);
    return s;
}
/* Halves are added to halves, as the compiler does. */
EMU float emu_reduce_add_ps(__m512 a)
{
    for (int n = 8; n; n /= 2)
        for (int l = 0; l < n; l++)
            a.f[l] += a.f[l + n];
    return a.f[0];
}
EMU float emu_reduce_max_ps(__m512 a)
{
    for (int n = 8; n; n /= 2)
        for (int l = 0; l < n; l++)
            a.f[l] = a.f[l] > a.f[l + n] ? a.f[l] : a.f[l + n];
    return a.f[0];
}

#define _mm512_set1_ps         emu_set1_ps
#define _mm512_add_ps          emu_add_ps
#define _mm512_sub_ps          emu_sub_ps
#define _mm512_mul_ps          emu_mul_ps
#define _mm512_div_ps          emu_div_ps
#define _mm512_max_ps          emu_max_ps
#define _mm512_min_ps          emu_min_ps
#define _mm512_fmadd_ps        emu_fmadd_ps
#define _mm512_fnmadd_ps       emu_fnmadd_ps
#undef _mm512_roundscale_ps
#define _mm512_roundscale_ps(a, mode) (_Static_assert_zero((mode) == (_MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)), emu_roundscale_ps(a))
#define _Static_assert_zero(x) ((void)sizeof(char[(x) ? 1 : -1]))
#define _mm512_maskz_mul_ps    emu_maskz_mul_ps
#define _mm512_mask_mov_ps     emu_mask_mov_ps
#define _mm512_loadu_ps        emu_loadu_ps
#define _mm512_maskz_loadu_ps  emu_maskz_loadu_ps
#define _mm512_cvtph_ps        emu_cvtph_ps
#define _mm512_cvtepi32_ps     emu_cvtepi32_ps
#define _mm512_set1_epi32      emu_set1_epi32
#define _mm512_set1_epi8       emu_set1_epi8
#define _mm512_add_epi32       emu_add_epi32
#define _mm512_sub_epi32       emu_sub_epi32
#define _mm512_cvtepi32_epi8   emu_cvtepi32_epi8
#define _mm512_storeu_si512    emu_storeu_si512
#define _mm512_and_si512       emu_and_si512
#define _mm512_or_si512        emu_or_si512
#define _mm512_xor_si512       emu_xor_si512
#define _mm512_shuffle_epi8    emu_shuffle_epi8
#define _mm512_broadcast_i32x4 emu_broadcast_i32x4
#define _mm512_cvtepi8_epi32   emu_cvtepi8_epi32
#define _mm512_srli_epi32      emu_srli_epi32
#define _mm512_srai_epi32      emu_srai_epi32
#define _mm512_cvtepu8_epi32   emu_cvtepu8_epi32
#define _mm512_slli_epi32      emu_slli_epi32
#define _mm512_srli_epi16      emu_srli_epi16
#define _mm512_cvtepu16_epi32  emu_cvtepu16_epi32
#define _mm512_cvtps_epi32     emu_cvtps_epi32
#define _mm512_castsi512_ps    emu_castsi512_ps
#define _mm512_loadu_si512     emu_loadu_si512
#define _mm256_loadu_si256     emu_loadu_si256
#define _mm512_storeu_ps       emu_storeu_ps
#define _mm512_sub_epi8        emu_sub_epi8
#define _mm512_castps_si512    emu_castps_si512
#define _mm512_permutex2var_epi16 emu_permutex2var_epi16
/* Lanes 0, b, 2 b, ...; gathers of 4-byte steps. */
#undef _mm512_setr_epi32
#define _mm512_setr_epi32(a, b, ...)   emu_steps(b)
#undef _mm512_i32gather_ps
#define _mm512_i32gather_ps(at, p, by) (_Static_assert_zero((by) == 4), emu_gather_ps(at, p))
#define _mm512_mask_storeu_ps  emu_mask_storeu_ps
#define _mm512_dpbusd_epi32    emu_dpbusd_epi32
#define _mm512_dpwssd_epi32    emu_dpwssd_epi32
#define _mm512_reduce_add_ps   emu_reduce_add_ps
#define _mm512_reduce_max_ps   emu_reduce_max_ps
#undef _mm512_cmp_ps_mask
#define _mm512_cmp_ps_mask(a, b, how)                                                                                                                \
    (_Static_assert_zero((how) == _CMP_NLT_UQ || (how) == _CMP_EQ_OQ), (how) == _CMP_EQ_OQ ? emu_equal_mask(a, b) : emu_not_less_mask(a, b))
#undef EACH
