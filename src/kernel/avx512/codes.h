/* Private to avx512/ and amx/: codes and scales of the packed types (panel.h draws the panels), taken apart. */
#pragma once
#include "kernel/avx512/vec_int.h"

INLINE __m512i load(const void *p)
{
    return _mm512_loadu_si512(p);
}
INLINE __m512i four_bytes(const void *p)
{
    int v;
    memcpy(&v, p, sizeof v);
    return _mm512_set1_epi32(v);
}

/* Bits [at, at + n) of each byte of v, moved to bit `to`: shifts of whole lanes, and the mask drops what crosses. */
INLINE __m512i bits(__m512i v, const int at, const int n, const int to)
{
    v = at > to ? _mm512_srli_epi32(v, (unsigned)(at - to)) : at < to ? _mm512_slli_epi32(v, (unsigned)(to - at)) : v;
    return _mm512_and_si512(v, _mm512_set1_epi8((char)(((1 << n) - 1) << to)));
}

/* A type's table in every 16 bytes, made unsigned. */
INLINE __m512i table_of(const struct quant_form f)
{
    __m512i t = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)quant_tables[f.values]));
    return _mm512_xor_si512(t, _mm512_set1_epi8((char)128));
}

/* Codes of values 4v to 4v + 3; q: the vectors of 32 values. `apart`: they are one in each byte already. */
INLINE __m512i codes(const struct quant_form f, const uint8_t *q, const bool apart, const int v)
{
    const int n_bits = apart ? 8 : (int)f.bits;
    if (n_bits == 8)
        return load(q + v * 64);
    if (f.values)
        return _mm512_shuffle_epi8(table_of(f), bits(load(q + v % 4 * 64), v / 4 * 4, 4, 0));
    if (n_bits <= 3) {
        __m512i low = bits(load(q + v % 2 * 64), v / 2 * 2, 2, 0);
        return n_bits == 3 ? _mm512_or_si512(low, bits(load(q + 128), v, 1, 2)) : low;
    }
    __m512i low = bits(load(q + v % 4 * 64), v / 4 * 4, 4, 0);
    if (n_bits == 5)
        return _mm512_or_si512(low, bits(load(q + 256), v, 1, 4));
    return n_bits == 6 ? _mm512_or_si512(low, bits(load(q + 256 + v % 2 * 64), v / 2 * 2, 2, 4)) : low;
}

/* scale and min of 16 rows for each half of 32 values (the first for both where groups have 32 or more). */
struct scales {
    __m512 scale[2], min[2];
};

/* d of 16 rows. */
INLINE __m512 d_of(const struct quant_form f, const f16 *d)
{
    return f.values == QUANT_E2M1 ? vec_get_bf16(d) : vec_get_f16(d);
}

INLINE __m512 negative(__m512 x)
{
    return _mm512_sub_ps(_mm512_set1_ps(-0.0f), x);
}

INLINE struct scales scales_of(const struct quant_form f, const struct kernel_panel at, const uint8_t *rec, size_t b, __m512 d, __m512 m)
{
    struct scales s = {{d, d}, {m, m}};
    if (f.group == 16) {
        __m512i both = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(rec + b * 32)));
        for (int h = 0; h < 2; h++) {
            __m512i byte = _mm512_slli_epi32(both, h ? 16 : 24); /* at the top of its lane */
            if (!f.min) {
                s.scale[h] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_srai_epi32(byte, 24)));
                continue;
            }
            __m512i low = _mm512_srli_epi32(_mm512_slli_epi32(byte, 4), 28);
            s.scale[h] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(low));
            s.min[h] = _mm512_mul_ps(m, _mm512_cvtepi32_ps(_mm512_srli_epi32(byte, 28)));
        }
    } else if (f.group == 32 && !f.min) {
        s.scale[0] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(rec + b * 16)))));
    } else if (f.group == 32) {
        const __m128i *p = (const __m128i *)(const void *)(rec + b * 16);
        s.scale[0] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(p))));
        p = (const __m128i *)(const void *)(rec + at.min + b * 16);
        s.min[0] = _mm512_mul_ps(m, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(p))));
    }
    return s;
}
