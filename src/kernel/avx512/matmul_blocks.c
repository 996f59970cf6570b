/* Products with the packed types (panel.h draws the panels), 16 rows at a time.
 *
 * vpdpbusd multiplies unsigned codes with signed inputs and adds four products to an int32 lane; accumulators start at minus the zero code times
 * the sum of the inputs. The sums of each group of 16 or block of 32 are exact; they are joined in float, always by these operations in this order
 * (k: products of half h, scale = d * integer scale, min = m * integer minimum, negative where the format subtracts it):
 *
 *   t = float(k[0]) * scale[0];  t = fma(sum[0], min[0], t);  t = fma(float(k[1]), scale[1], t);  t = fma(sum[1], min[1], t);  s = fma(t, d_x, s)
 *
 * with only the first of each pair where a block of 32 has one scale, and without the terms of minimums where there are none. Q4_0 and Q8_0 multiply
 * the scales first: s = fma(float(k), scale * d_x, s). Level amx repeats all this bit for bit.
 *
 * Up to eight columns are one tile that takes the codes apart as it goes. For more, a chunk of the panel is taken apart once into a buffer, from
 * which tiles of up to twelve columns read it: nothing but products and joins is left to them, and they are the same code for all types. */
#include "kernel/avx512/vec_int.h"

enum { COLUMNS = 12, CHUNK = 16, LINE = 64 };
/* How far ahead of its reading a tile asks for memory, linearly through the panel into the next. */
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
INLINE __m512 d_of(const struct quant_form f, const f16 *d) { return f.values == QUANT_E2M1 ? vec_get_bf16(d) : vec_get_f16(d); }

INLINE __m512 negative(__m512 x) { return _mm512_sub_ps(_mm512_set1_ps(-0.0f), x); }

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

INLINE bool scales_first(const struct quant_form f) { return !f.group && !f.values && (f.zero == 8 || f.zero == 128); }

/* What the products of half h of a block start at. */
INLINE __m512i start_of(const struct quant_form f, const struct act8 *x, const int h)
{
    const int zero = (int)f.zero;
    if (f.group == 16 && zero)
        return _mm512_dpwssd_epi32(_mm512_set1_epi32(0), _mm512_set1_epi32(h ? (int)((unsigned)-zero << 16) : -zero & 0xffff), four_bytes(x->sum));
    if (zero == 128)
        return _mm512_set1_epi32(x->minus128);
    return zero == 8 ? _mm512_set1_epi32(x->minus8) : zero == 16 ? _mm512_slli_epi32(_mm512_set1_epi32(x->minus8), 1) : _mm512_set1_epi32(0);
}

/* Adds 32 inputs of n_c columns. q: the codes, already one in each byte where `apart`. */
INLINE void block_32(const struct quant_form f, __m512 *s, const uint8_t *q, const bool apart, const struct scales k, const struct act8 *x, size_t nb,
                     const int n_c)
{
    const int halves = f.group == 16 ? 2 : 1, per = 8 / halves;
    __m512  t[COLUMNS];
    __m512i a[COLUMNS];
    UNROLL for (int h = 0; h < halves; h++)
    {
        UNROLL for (int c = 0; c < n_c; c++) a[c] = start_of(f, &x[(size_t)c * nb], h);
        UNROLL for (int v = h * per; v < (h + 1) * per; v++)
        {
            __m512i w = codes(f, q, apart, v);
            UNROLL for (int c = 0; c < n_c; c++) a[c] = dot_four(a[c], w, x[(size_t)c * nb].q + 4 * v);
        }
        UNROLL for (int c = 0; c < n_c; c++)
        {
            const struct act8 *in = &x[(size_t)c * nb];
            __m512 p = _mm512_cvtepi32_ps(a[c]);
            if (scales_first(f)) {
                s[c] = _mm512_fmadd_ps(p, _mm512_mul_ps(k.scale[0], _mm512_set1_ps(in->d)), s[c]);
                continue;
            }
            t[c] = h ? _mm512_fmadd_ps(p, k.scale[h], t[c]) : _mm512_mul_ps(p, k.scale[h]);
            if (f.min) {
                __m512 sum = _mm512_set1_ps(halves == 2 ? in->half[h] : in->total);
                t[c] = f.group && !apart ? _mm512_fnmadd_ps(sum, k.min[h], t[c]) : _mm512_fmadd_ps(sum, k.min[h], t[c]);
            }
        }
    }
    if (!scales_first(f)) {
        UNROLL for (int c = 0; c < n_c; c++) s[c] = _mm512_fmadd_ps(t[c], _mm512_set1_ps(x[(size_t)c * nb].d), s[c]);
    }
}

/* One call's panel: rows row .. row1 - 1 of 16. */
struct rows {
    const struct kernel_matmul *m;
    const uint8_t *panel;
    int            row;
    __mmask16      mask;
};

INLINE __m512 bias_of(const struct rows *r) { return r->m->bias ? _mm512_maskz_loadu_ps(r->mask, r->m->bias + r->row) : _mm512_set1_ps(0); }
INLINE float *y_of(const struct rows *r, int c) { return r->m->y + (size_t)c * r->m->y_stride + r->row; }

/* All columns, at most eight, codes taken apart on the way. */
INLINE void tile(const struct quant_form f, const struct kernel_panel at, const struct rows *r, const int n_c)
{
    const size_t   per = f.block / KERNEL_BLOCK, nb = (size_t)r->m->n_in / KERNEL_BLOCK;
    const size_t   step = at.record / per + (f.min ? 64 : 32) / per, lines = (step + LINE - 1) / LINE;
    const char    *next = (const char *)r->panel + AHEAD;
    const f16     *d = (const f16 *)(const void *)r->panel, *min = (const f16 *)(const void *)(r->panel + at.m);
    const uint8_t *rec = r->panel + at.body;
    const struct act8 *x = r->m->x;
    __m512         s[COLUMNS], start = bias_of(r);
    UNROLL for (int c = 0; c < n_c; c++) s[c] = start;
    for (size_t i = 0; i < nb / per; i++, rec += at.record, d += KERNEL_PANEL, min += KERNEL_PANEL) {
        __m512 scale = d_of(f, d), low = f.min ? vec_get_f16(min) : scale;
        const uint8_t *q = rec + at.code;
        for (size_t b = 0; b < per; b++, q += at.codes, x++, next += step) {
            for (size_t l = 0; l < lines; l++)
                _mm_prefetch(next + l * LINE, _MM_HINT_T0);
            block_32(f, s, q, false, scales_of(f, at, rec, b, scale, low), x, nb, n_c);
        }
    }
    UNROLL for (int c = 0; c < n_c; c++) _mm512_mask_storeu_ps(y_of(r, c), r->mask, s[c]);
}

/* Some blocks of 32 of a panel, taken apart. */
struct chunk {
    uint8_t code[CHUNK][8 * 64];
    float   scale[CHUNK][2][KERNEL_PANEL], min[CHUNK][2][KERNEL_PANEL]; /* min: as it is added */
} __attribute__((aligned(64)));

/* Blocks b0 .. b0 + n_b - 1; b0 is a multiple of CHUNK, hence of the blocks of 32 in a record. */
INLINE void take_apart(struct chunk *to, const struct quant_form f, const struct kernel_panel at, const uint8_t *panel, size_t b0, size_t n_b)
{
    const size_t per = f.block / KERNEL_BLOCK;
    for (size_t b = 0; b < n_b; b++) {
        size_t i = (b0 + b) / per, in = b % per;
        const uint8_t *rec = panel + at.body + i * at.record;
        __m512 d = d_of(f, (const f16 *)(const void *)panel + i * KERNEL_PANEL), m = d;
        if (f.min)
            m = vec_get_f16((const f16 *)(const void *)(panel + at.m) + i * KERNEL_PANEL);
        struct scales k = scales_of(f, at, rec, in, d, m);
        for (int h = 0; h < (f.group == 16 ? 2 : 1); h++)
        {
            vec_put(to->scale[b][h], k.scale[h]);
            if (f.min)
                vec_put(to->min[b][h], f.group ? negative(k.min[h]) : k.min[h]);
        }
        UNROLL for (int v = 0; v < 8; v++) _mm512_storeu_si512(&to->code[b][v * 64], codes(f, rec + at.code + in * at.codes, false, v));
    }
}

/* Columns c0 .. c0 + n_c - 1 of blocks b0 .. b0 + n_b - 1; asks for `lines` lines from `next` on for each block. */
INLINE void tile_apart(const struct quant_form f, const struct chunk *w, const struct rows *r, size_t b0, size_t n_b, int c0, const char *next,
                       size_t lines, const int n_c)
{
    const size_t nb = (size_t)r->m->n_in / KERNEL_BLOCK;
    const struct act8 *x = (const struct act8 *)r->m->x + (size_t)c0 * nb + b0;
    __m512 s[COLUMNS], start = bias_of(r);
    UNROLL for (int c = 0; c < n_c; c++) s[c] = b0 ? _mm512_maskz_loadu_ps(r->mask, y_of(r, c0 + c)) : start;
    for (size_t b = 0; b < n_b; b++, x++) {
        struct scales k = {{vec_get_f32(w->scale[b][0])}, {_mm512_set1_ps(0)}};
        if (f.min)
            k.min[0] = vec_get_f32(w->min[b][0]);
        if (f.group == 16)
            k.scale[1] = vec_get_f32(w->scale[b][1]);
        if (f.group == 16 && f.min)
            k.min[1] = vec_get_f32(w->min[b][1]);
        for (size_t l = 0; l < lines; l++, next += LINE)
            _mm_prefetch(next, _MM_HINT_T0);
        block_32(f, s, w->code[b], true, k, x, nb, n_c);
    }
    UNROLL for (int c = 0; c < n_c; c++) _mm512_mask_storeu_ps(y_of(r, c0 + c), r->mask, s[c]);
}

/* Tiles of a chunk know nothing of the type but what its accumulators start at, whether 16 or 32 values have a scale, and whether there are
 * minimums. */
typedef void apart_fn(const struct chunk *w, const struct rows *r, size_t b0, size_t n_b, int c0, const char *next, size_t lines, int n_c);
#define APART(name, zero, group, min, values)                                                                                                      \
    static void name(const struct chunk *w, const struct rows *r, size_t b0, size_t n_b, int c0, const char *next, size_t lines, int n_c)  \
    {                                                                                                                                      \
        const struct quant_form f = {KERNEL_BLOCK, 8, zero, group, min, values};                                                                   \
        switch (n_c) { /* tiles have nearly the same width: six is the least, of 13 columns */                              \
        case 7: tile_apart(f, w, r, b0, n_b, c0, next, lines, 7); break;                                                                   \
        case 8: tile_apart(f, w, r, b0, n_b, c0, next, lines, 8); break;                                                                   \
        case 9: tile_apart(f, w, r, b0, n_b, c0, next, lines, 9); break;                                                                   \
        case 10: tile_apart(f, w, r, b0, n_b, c0, next, lines, 10); break;                                                                 \
        case 11: tile_apart(f, w, r, b0, n_b, c0, next, lines, 11); break;                                                                 \
        case 12: tile_apart(f, w, r, b0, n_b, c0, next, lines, 12); break;                                                                 \
        default: tile_apart(f, w, r, b0, n_b, c0, next, lines, 6); break;                                                                  \
        }                                                                                                                                  \
    }
APART(apart_8, 8, 0, 0, QUANT_LINEAR)
APART(apart_16, 16, 0, 0, QUANT_LINEAR)
APART(apart_128, 128, 0, 0, QUANT_LINEAR)
APART(apart_table, 128, 0, 0, QUANT_IQ4)
APART(apart_min, 0, 0, 1, QUANT_LINEAR)
APART(apart_4_halves, 4, 16, 0, QUANT_LINEAR)
APART(apart_32_halves, 32, 16, 0, QUANT_LINEAR)
APART(apart_min_halves, 0, 16, 1, QUANT_LINEAR)

INLINE apart_fn *apart_of(const struct quant_form f)
{
    if (f.values)
        return apart_table;
    if (f.min)
        return f.group == 16 ? apart_min_halves : apart_min;
    if (f.group == 16)
        return f.zero == 4 ? apart_4_halves : apart_32_halves;
    return f.zero == 8 ? apart_8 : f.zero == 16 ? apart_16 : apart_128;
}

INLINE void wide(const struct quant_form f, const struct kernel_panel at, const struct rows *r)
{
    const size_t per = f.block / KERNEL_BLOCK, nb = (size_t)r->m->n_in / KERNEL_BLOCK, lines = at.bytes / nb / LINE + 1;
    const int    n = r->m->n, tiles = (n + COLUMNS - 1) / COLUMNS;
    struct chunk w;
    for (size_t b = 0; b < nb; b += CHUNK) {
        size_t n_b = nb - b < CHUNK ? nb - b : CHUNK;
        const char *next = (const char *)r->panel + at.body + (b + n_b) / per * at.record;
        take_apart(&w, f, at, r->panel, b, n_b);
        for (int i = 0; i < tiles; i++) {
            int c = (int)((int64_t)n * i / tiles), end = (int)((int64_t)n * (i + 1) / tiles);
            apart_of(f)(&w, r, b, n_b, c, next, i ? 0 : lines, end - c);
        }
    }
}

INLINE void blocks(const struct quant_form f, const struct kernel_matmul *m, int row0, int row1)
{
    const struct kernel_panel at = kernel_panel(f, (size_t)m->n_in);
    for (int row = row0; row < row1; row += KERNEL_PANEL) {
        struct rows r = {m, (const uint8_t *)m->w + (size_t)row / KERNEL_PANEL * at.bytes, row,
                         (__mmask16)(row1 - row < KERNEL_PANEL ? (1u << (row1 - row)) - 1 : 0xffff)};
        switch (m->n) {
        case 1: tile(f, at, &r, 1); break;
        case 2: tile(f, at, &r, 2); break;
        case 3: tile(f, at, &r, 3); break;
        case 4: tile(f, at, &r, 4); break;
        case 5: tile(f, at, &r, 5); break;
        case 6: tile(f, at, &r, 6); break;
        case 7: tile(f, at, &r, 7); break;
        case 8: tile(f, at, &r, 8); break;
        default: wide(f, at, &r); break;
        }
    }
}

#define BLOCKS(op)                                                                                                                         \
    void matmul_##op##_avx512(const struct kernel_matmul *m, int row0, int row1) { blocks(form_##op, m, row0, row1); }
BLOCKS(q4_0)
BLOCKS(q4_1)
BLOCKS(q5_0)
BLOCKS(q5_1)
BLOCKS(q8_0)
BLOCKS(q2_k)
BLOCKS(q3_k)
BLOCKS(q4_k)
BLOCKS(q5_k)
BLOCKS(q6_k)
BLOCKS(iq4_nl)
BLOCKS(iq4_xs)
BLOCKS(mxfp4)
