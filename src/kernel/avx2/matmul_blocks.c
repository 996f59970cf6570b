/* Products with the packed types that have no kernel of their own (panel.h draws the panels): eight rows and up to four columns at a time, one
 * code path for all, compiled for each type's constants.
 *
 * vpmaddubsw multiplies unsigned codes with signed inputs into int16 pairs, as many of which are added as fit (2 * 127 * code_max each); one
 * vpmaddwd then multiplies them with the integer scale of their group and widens: the scale is free. What the zero code and the minimums
 * stand for is one vpmaddwd of (scale, scale) or (min, min) with the sums of both halves of the inputs. All of a block of 32 is exact in
 * int32; then x = d_x * (d * products - m * minimums) is added to the column's sum. */
#include "kernel/avx2/vec_int.h"

/* As in matmul_packed.c: the first tile of a panel asks for memory ahead of its reading, linearly through the panel. */
enum { COLUMNS = 4, LINE = 64, HALF = KERNEL_PANEL / 2 };
#define AHEAD (n_c == 1 ? 4096 : 2048)

/* d of eight rows. */
INLINE __m256 d_of(const struct quant_form f, const f16 *d) { return f.values == QUANT_E2M1 ? vec_get_bf16(d) : vec_get_f16(d); }

/* Bits [at, at + n) of each byte of v, moved to bit `to`: shifts of 16-bit lanes, and the mask drops what crosses. */
INLINE __m256i bits(__m256i v, const int at, const int n, const int to)
{
    v = at > to ? _mm256_srli_epi16(v, at - to) : at < to ? _mm256_slli_epi16(v, to - at) : v;
    return _mm256_and_si256(v, _mm256_set1_epi8((char)(((1 << n) - 1) << to)));
}

/* Codes of values 4v to 4v + 3 for eight rows; q: the vectors of 32 values, at the first of these rows. */
INLINE __m256i codes(const uint8_t *q, const int n_bits, const int v)
{
    if (n_bits <= 3) {
        __m256i low = bits(load(q + v % 2 * 64), v / 2 * 2, 2, 0);
        return n_bits == 3 ? _mm256_or_si256(low, bits(load(q + 128), v, 1, 2)) : low;
    }
    __m256i low = bits(load(q + v % 4 * 64), v / 4 * 4, 4, 0);
    if (n_bits == 5)
        return _mm256_or_si256(low, bits(load(q + 256), v, 1, 4));
    return n_bits == 6 ? _mm256_or_si256(low, bits(load(q + 256 + v % 2 * 64), v / 2 * 2, 2, 4)) : low;
}

/* Values of a table for codes: signed, at most 127. */
INLINE __m256i values_of(const struct quant_form f, __m256i c)
{
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)quant_tables[f.values])), c);
}

/* Products of codes with four inputs for each lane, in pairs of int16: 2 * 127 * 127 at most. A signed value passes its sign to the inputs. */
INLINE __m256i products(const struct quant_form f, __m256i w, __m256i x)
{
    return f.values ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)) : _mm256_maddubs_epi16(w, x);
}

/* Integer scales and minimums of eight rows: int16 pairs (first half of the 32 values, second half). */
struct scales {
    __m256i scale, min;
};

INLINE struct scales scales_of(const struct quant_form f, const struct kernel_panel at, const uint8_t *rec, size_t b, int row)
{
    struct scales s = {_mm256_set1_epi16(1), _mm256_set1_epi16(0)};
    const __m256i twice =
        _mm256_setr_epi8(0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7, 8, 9, 8, 9, 10, 11, 10, 11, 12, 13, 12, 13, 14, 15, 14, 15);
    if (f.group == 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(rec + b * 32 + 2 * row));
        if (!f.min) {
            s.scale = _mm256_cvtepi8_epi16(bytes);
        } else {
            __m256i both = _mm256_cvtepu8_epi16(bytes);
            s.scale = _mm256_and_si256(both, _mm256_set1_epi16(15));
            s.min = _mm256_srli_epi16(both, 4);
        }
    } else if (f.group == 32 && !f.min) {
        __m128i bytes = _mm_cvtepi8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)(rec + b * 16 + row)));
        s.scale = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), twice);
    } else if (f.group == 32) {
        __m128i bytes = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)(rec + b * 16 + row)));
        s.scale = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), twice);
        bytes = _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)(rec + at.min + b * 16 + row)));
        s.min = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), twice);
    }
    return s;
}

/* The scale of one half of the values, in both int16 of a pair. */
INLINE __m256i scale_of_half(const struct quant_form f, __m256i scale, const int half)
{
    const __m256i lane = _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0c0c0c0c, 0, 0x04040404, 0x08080808, 0x0c0c0c0c);
    return f.group == 16 ? _mm256_shuffle_epi8(scale, _mm256_add_epi8(lane, _mm256_set1_epi32(half ? 0x03020302 : 0x01000100))) : scale;
}

/* Adds 32 inputs of n_c columns for eight rows from `row` of the panel on; q as in codes(). */
INLINE void block_32(const struct quant_form f, float *s, const uint8_t *q, const struct scales k, __m256 d, __m256 m, const struct act8 *x,
                     size_t nb, const int n_c)
{
    const int flush = f.values == QUANT_IQ4 ? 1 : f.bits == 6 ? 2 : f.bits == 5 || f.group == 16 ? 4 : 8;
    __m256i part[COLUMNS], sum[COLUMNS];
    UNROLL for (int v = 0; v < 8; v++)
    {
        __m256i w = codes(q, (int)f.bits, v);
        if (f.values)
            w = values_of(f, w);
        UNROLL for (int c = 0; c < n_c; c++)
        {
            __m256i p = products(f, w, four_bytes(x[(size_t)c * nb].q + 4 * v));
            part[c] = v % flush ? _mm256_add_epi16(part[c], p) : p;
            HERE(part[c]);
        }
        if (v % flush == flush - 1) {
            __m256i scale = scale_of_half(f, k.scale, v / 4);
            UNROLL for (int c = 0; c < n_c; c++)
            {
                __m256i p = _mm256_madd_epi16(part[c], scale);
                sum[c] = v >= flush ? _mm256_add_epi32(sum[c], p) : p;
                HERE(sum[c]);
            }
        }
    }
    UNROLL for (int c = 0; c < n_c; c++)
    {
        const struct act8 *a = &x[(size_t)c * nb];
        __m256i sums = four_bytes(a->sum);
        __m256 *to = (__m256 *)(void *)(s + c * KERNEL_PANEL);
        if (f.zero && !f.values) {
            __m256i zeros = _mm256_madd_epi16(k.scale, sums);
            sum[c] = _mm256_sub_epi32(sum[c], _mm256_slli_epi32(zeros, f.zero == 4 ? 2 : f.zero == 16 ? 4 : 5));
        }
        __m256 dx = _mm256_set1_ps(a->d), t = _mm256_cvtepi32_ps(sum[c]);
        if (!f.min) {
            *to = _mm256_fmadd_ps(t, _mm256_mul_ps(d, dx), *to);
            continue;
        }
        t = _mm256_mul_ps(t, d);
        if (f.group)
            t = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(_mm256_madd_epi16(k.min, sums)), m, t);
        else
            t = _mm256_fmadd_ps(_mm256_set1_ps((float)(a->sum[0] + a->sum[1])), m, t);
        *to = _mm256_fmadd_ps(t, dx, *to);
    }
}

/* One panel and n_c columns; s: their sums, (n_c, 16). */
INLINE void tile(const struct quant_form f, float *s, const struct kernel_panel at, const uint8_t *panel, const struct act8 *x, size_t nb,
                 const int n_c, const bool first)
{
    const size_t per = f.block / KERNEL_BLOCK;
    const char  *next = (const char *)panel + AHEAD;
    const f16   *d = (const f16 *)(const void *)panel, *m = (const f16 *)(const void *)(panel + at.m);
    const uint8_t *rec = panel + at.body;
    const size_t step = at.record / per + (f.min ? 64 : 32) / per, lines = (step + LINE - 1) / LINE;
    for (size_t i = 0; i < nb / per; i++, rec += at.record, d += KERNEL_PANEL, m += KERNEL_PANEL) {
        __m256 d0 = d_of(f, d), d1 = d_of(f, d + HALF), m0 = d0, m1 = d1;
        if (f.min)
            m0 = vec_get_f16(m), m1 = vec_get_f16(m + HALF);
        const uint8_t *q = rec + at.code;
        for (size_t b = 0; b < per; b++, q += at.codes, x++, next += step) {
            for (size_t l = 0; first && l < lines; l++)
                _mm_prefetch(next + l * LINE, _MM_HINT_T0);
            block_32(f, s, q, scales_of(f, at, rec, b, 0), d0, m0, x, nb, n_c);
            if (n_c > 1)
                __asm__ volatile("" ::: "memory"); /* else the compiler keeps the inputs for the other rows, and spills them all */
            block_32(f, s + HALF, q + 4 * HALF, scales_of(f, at, rec, b, HALF), d1, m1, x, nb, n_c);
        }
    }
}

INLINE void tiles(const struct quant_form f, const struct kernel_matmul *m, const struct kernel_panel at, const uint8_t *panel, int row, int row1,
                  int c, const bool first)
{
    size_t nb = (size_t)m->n_in / KERNEL_BLOCK, rows = (size_t)(row1 - row < KERNEL_PANEL ? row1 - row : KERNEL_PANEL);
    const struct act8 *x = (const struct act8 *)m->x + (size_t)c * nb;
    float s[COLUMNS][KERNEL_PANEL] __attribute__((aligned(32))) = {{0}};
    int   n_c = m->n - c < COLUMNS ? m->n - c : COLUMNS;
    for (int i = 0; m->bias && i < n_c; i++)
        memcpy(s[i], m->bias + row, rows * sizeof(float));
    switch (n_c) {
    case 1: tile(f, s[0], at, panel, x, nb, 1, first); break;
    case 2: tile(f, s[0], at, panel, x, nb, 2, first); break;
    case 3: tile(f, s[0], at, panel, x, nb, 3, first); break;
    default: tile(f, s[0], at, panel, x, nb, 4, first); break;
    }
    for (int i = 0; i < n_c; i++)
        memcpy(m->y + (size_t)(c + i) * m->y_stride + row, s[i], rows * sizeof(float));
}

INLINE void blocks(const struct quant_form f, const struct kernel_matmul *m, int row0, int row1)
{
    const struct kernel_panel at = kernel_panel(f, (size_t)m->n_in);
    for (int row = row0; row < row1; row += KERNEL_PANEL) {
        const uint8_t *panel = (const uint8_t *)m->w + (size_t)row / KERNEL_PANEL * at.bytes;
        tiles(f, m, at, panel, row, row1, 0, true);
        for (int c = COLUMNS; c < m->n; c += COLUMNS)
            tiles(f, m, at, panel, row, row1, c, false);
    }
}

#define BLOCKS(op)                                                                                                                         \
    void matmul_##op##_avx2(const struct kernel_matmul *m, int row0, int row1) { blocks(form_##op, m, row0, row1); }
BLOCKS(q4_1)
BLOCKS(q5_0)
BLOCKS(q5_1)
BLOCKS(q2_k)
BLOCKS(q3_k)
BLOCKS(q4_k)
BLOCKS(q5_k)
BLOCKS(q6_k)
BLOCKS(iq4_nl)
BLOCKS(iq4_xs)
BLOCKS(mxfp4)
