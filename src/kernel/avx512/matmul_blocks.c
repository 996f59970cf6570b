/* Products with the packed types that have no kernel of their own (panel.h draws the panels): 16 rows and up to eight columns at a time.
 * vpdpbusd multiplies unsigned codes with signed inputs and adds four products to an int32 lane; accumulators start at minus the zero code times
 * the sum of the inputs. The sums of each group of 16 or block of 32 are exact; they are joined in float: x = d_x * (products * (d * scale) -
 * sums * (m * min)). */
#include "kernel/avx512/vec_int.h"

/* As in matmul_packed.c: the first tile of a panel asks for memory ahead of its reading, linearly through the panel. */
enum { COLUMNS = 8, LINE = 64 };
#define AHEAD (n_c == 1 ? 4096 : 2048)

INLINE __m512i load(const void *p) { return _mm512_loadu_si512(p); }
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

/* Codes of values 4v to 4v + 3; q: the vectors of 32 values. */
INLINE __m512i codes(const uint8_t *q, const int n_bits, const int v)
{
    if (n_bits <= 3) {
        __m512i low = bits(load(q + v % 2 * 64), v / 2 * 2, 2, 0);
        return n_bits == 3 ? _mm512_or_si512(low, bits(load(q + 128), v, 1, 2)) : low;
    }
    __m512i low = bits(load(q + v % 4 * 64), v / 4 * 4, 4, 0);
    if (n_bits == 5)
        return _mm512_or_si512(low, bits(load(q + 256), v, 1, 4));
    return n_bits == 6 ? _mm512_or_si512(low, bits(load(q + 256 + v % 2 * 64), v / 2 * 2, 2, 4)) : low;
}

/* d * scale and m * min of 16 rows, for each half of 32 values (one for both where groups have 32 or more). */
struct scales {
    __m512 scale[2], min[2];
};

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
    } else if (f.group == 32) {
        const __m128i *p = (const __m128i *)(const void *)(rec + b * 16);
        s.scale[0] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(p))));
        p = (const __m128i *)(const void *)(rec + at.min + b * 16);
        s.min[0] = _mm512_mul_ps(m, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(p))));
    }
    return s;
}

/* Adds 32 inputs of n_c columns. */
INLINE void block_32(const struct quant_form f, __m512 *s, const uint8_t *q, const struct scales k, const struct act8 *x, size_t nb, const int n_c)
{
    const int halves = f.group == 16 ? 2 : 1, per = 8 / halves;
    __m512  t[COLUMNS];
    __m512i a[COLUMNS];
    UNROLL for (int h = 0; h < halves; h++)
    {
        UNROLL for (int c = 0; c < n_c; c++)
        {
            const struct act8 *in = &x[(size_t)c * nb];
            a[c] = _mm512_set1_epi32(f.zero ? -(int)f.zero * (halves == 2 ? in->sum[h] : in->sum[0] + in->sum[1]) : 0);
        }
        UNROLL for (int v = h * per; v < (h + 1) * per; v++)
        {
            __m512i w = codes(q, (int)f.bits, v);
            UNROLL for (int c = 0; c < n_c; c++) a[c] = _mm512_dpbusd_epi32(a[c], w, four_bytes(x[(size_t)c * nb].q + 4 * v));
        }
        UNROLL for (int c = 0; c < n_c; c++)
        {
            const struct act8 *in = &x[(size_t)c * nb];
            __m512 p = _mm512_cvtepi32_ps(a[c]), sum = _mm512_set1_ps((float)(halves == 2 ? in->sum[h] : in->sum[0] + in->sum[1]));
            t[c] = h ? _mm512_fmadd_ps(p, k.scale[h], t[c]) : _mm512_mul_ps(p, k.scale[h]);
            if (f.min)
                t[c] = f.group ? _mm512_fnmadd_ps(sum, k.min[h], t[c]) : _mm512_fmadd_ps(sum, k.min[h], t[c]);
        }
    }
    UNROLL for (int c = 0; c < n_c; c++) s[c] = _mm512_fmadd_ps(t[c], _mm512_set1_ps(x[(size_t)c * nb].d), s[c]);
}

INLINE void tile(const struct quant_form f, const struct kernel_matmul *m, const struct kernel_panel at, const uint8_t *panel, int row, int row1,
                 int c0, const int n_c, const bool first)
{
    const size_t   per = f.block / KERNEL_BLOCK, nb = (size_t)m->n_in / KERNEL_BLOCK;
    const size_t   step = at.record / per + (f.min ? 64 : 32) / per, lines = (step + LINE - 1) / LINE;
    const char    *next = (const char *)panel + AHEAD;
    const f16     *d = (const f16 *)(const void *)panel, *min = (const f16 *)(const void *)(panel + at.m);
    const uint8_t *rec = panel + at.body;
    const struct act8 *x = (const struct act8 *)m->x + (size_t)c0 * nb;
    __mmask16      rows = (__mmask16)(row1 - row < KERNEL_PANEL ? (1u << (row1 - row)) - 1 : 0xffff);
    __m512         s[COLUMNS], start = m->bias ? _mm512_maskz_loadu_ps(rows, m->bias + row) : _mm512_set1_ps(0);
    UNROLL for (int c = 0; c < n_c; c++) s[c] = start;
    for (size_t i = 0; i < nb / per; i++, rec += at.record, d += KERNEL_PANEL, min += KERNEL_PANEL) {
        __m512 scale = vec_get_f16(d), low = f.min ? vec_get_f16(min) : scale;
        const uint8_t *q = rec + at.code;
        for (size_t b = 0; b < per; b++, q += at.codes, x++, next += step) {
            for (size_t l = 0; first && l < lines; l++)
                _mm_prefetch(next + l * LINE, _MM_HINT_T0);
            block_32(f, s, q, scales_of(f, at, rec, b, scale, low), x, nb, n_c);
        }
    }
    UNROLL for (int c = 0; c < n_c; c++) _mm512_mask_storeu_ps(m->y + (size_t)(c0 + c) * m->y_stride + row, rows, s[c]);
}

INLINE void tiles(const struct quant_form f, const struct kernel_matmul *m, const struct kernel_panel at, const uint8_t *panel, int row, int row1,
                  int c, const bool first)
{
    switch (m->n - c) {
    case 1: tile(f, m, at, panel, row, row1, c, 1, first); break;
    case 2: tile(f, m, at, panel, row, row1, c, 2, first); break;
    case 3: tile(f, m, at, panel, row, row1, c, 3, first); break;
    case 4: tile(f, m, at, panel, row, row1, c, 4, first); break;
    case 5: tile(f, m, at, panel, row, row1, c, 5, first); break;
    case 6: tile(f, m, at, panel, row, row1, c, 6, first); break;
    case 7: tile(f, m, at, panel, row, row1, c, 7, first); break;
    default: tile(f, m, at, panel, row, row1, c, 8, first); break;
    }
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
    void matmul_##op##_avx512(const struct kernel_matmul *m, int row0, int row1) { blocks(form_##op, m, row0, row1); }
BLOCKS(q4_1)
BLOCKS(q5_0)
BLOCKS(q5_1)
BLOCKS(q2_k)
BLOCKS(q3_k)
BLOCKS(q4_k)
BLOCKS(q5_k)
BLOCKS(q6_k)
