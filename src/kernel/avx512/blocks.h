/* Products with the packed types (panel.h draws the panels), two panels of 16 rows at a time.
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
 * Two panels share each broadcast of four inputs, for loads are as scarce as products: two a cycle. Tiles have up to six columns: a sum takes
 * its next product after four to six cycles, so two products a cycle want twelve sums. Where codes are taken apart on the way, eight columns share
 * that, and their float sums have to live in memory. Tiles go through a chunk of the panels one after the other,
 * which stays in the first-level cache, and take its codes apart as they go; for many columns it is taken apart once into a buffer, and nothing but
 * products and joins is left to the tiles, which are then the same code for all types. Private to avx512/: its files make functions of it. */
#pragma once
#include "kernel/avx512/codes.h"

enum { FEW = 2, PANELS = 2, COLUMNS = 8, HELD = 6, MANY = 24, MANY_6_BITS = 12, CHUNK = 16, LINE = 64, SOON = 8 * LINE };

INLINE bool scales_first(const struct quant_form f)
{
    return !f.group && !f.values && (f.zero == 8 || f.zero == 128);
}

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

/* Adds 32 inputs of n_c columns to s, for n_p panels. q: the codes of each, already one in each byte where `apart`. */
INLINE void block_32(const struct quant_form f, __m512 s[PANELS][COLUMNS], const uint8_t *const *q, const bool apart, const struct scales *k,
                     const struct act8 *x, size_t nb, const int n_p, const int n_c)
{
    const int halves = f.group == 16 ? 2 : 1, per = 8 / halves;
    __m512 t[PANELS][COLUMNS];
    __m512i a[PANELS][COLUMNS];
    UNROLL for (int h = 0; h < halves; h++)
    {
        UNROLL for (int c = 0; c < n_c; c++)
        {
            a[0][c] = start_of(f, &x[(size_t)c * nb], h);
            UNROLL for (int p = 1; p < n_p; p++) a[p][c] = a[0][c];
        }
        UNROLL for (int v = h * per; v < (h + 1) * per; v++)
        {
            __m512i w[PANELS];
            UNROLL for (int p = 0; p < n_p; p++) w[p] = held(codes(f, q[p], apart, v));
            UNROLL for (int c = 0; c < n_c; c++)
            {
                const int8_t *four = x[(size_t)c * nb].q + 4 * v;
                if (n_p == 1) {
                    a[0][c] = dot_four(a[0][c], w[0], four);
                    continue;
                }
                __m512i in = spread_four(four);
                UNROLL for (int p = 0; p < n_p; p++) a[p][c] = _mm512_dpbusd_epi32(a[p][c], w[p], in);
            }
        }
        UNROLL for (int c = 0; c < n_c; c++)
        {
            const struct act8 *in = &x[(size_t)c * nb];
            UNROLL for (int p = 0; p < n_p; p++)
            {
                __m512 sum = _mm512_cvtepi32_ps(a[p][c]);
                if (scales_first(f)) {
                    s[p][c] = _mm512_fmadd_ps(sum, _mm512_mul_ps(k[p].scale[0], _mm512_set1_ps(in->d)), s[p][c]);
                    if (n_c > HELD)
                        put_away(&s[p][c]);
                    continue;
                }
                t[p][c] = h ? _mm512_fmadd_ps(sum, k[p].scale[h], t[p][c]) : _mm512_mul_ps(sum, k[p].scale[h]);
                if (f.min) {
                    __m512 total = _mm512_set1_ps(halves == 2 ? in->half[h] : in->total);
                    t[p][c] = f.group && !apart ? _mm512_fnmadd_ps(total, k[p].min[h], t[p][c]) : _mm512_fmadd_ps(total, k[p].min[h], t[p][c]);
                }
            }
        }
    }
    if (!scales_first(f)) {
        UNROLL for (int c = 0; c < n_c; c++) UNROLL for (int p = 0; p < n_p; p++)
        {
            s[p][c] = _mm512_fmadd_ps(t[p][c], _mm512_set1_ps(x[(size_t)c * nb].d), s[p][c]);
            if (n_c > HELD)
                put_away(&s[p][c]);
        }
    }
}

/* Two panels of one call: from row `row` on. Where only one is left, the second is the first once more and is not stored. */
struct rows {
    const struct kernel_matmul *m;
    const uint8_t *panel[PANELS];
    int row;
    __mmask16 mask[PANELS];
};

INLINE __m512 bias_of(const struct rows *r, int p)
{
    return r->m->bias ? _mm512_maskz_loadu_ps(r->mask[p], r->m->bias + r->row + p * KERNEL_PANEL) : _mm512_set1_ps(0);
}
INLINE float *y_of(const struct rows *r, int p, int c)
{
    return r->m->y + (size_t)c * r->m->y_stride + r->row + p * KERNEL_PANEL;
}

/* Some blocks of 32 of two panels, taken apart. */
struct apart {
    uint8_t code[8 * LINE];
    float scale[2][KERNEL_PANEL], min[2][KERNEL_PANEL]; /* min: as it is added */
};
struct chunk {
    struct apart b[PANELS][CHUNK];
} __attribute__((aligned(LINE)));

/* Blocks b0 .. b0 + n_b - 1 of a panel; b0 is a multiple of CHUNK, hence of the blocks of 32 in a record. */
INLINE void take_apart(struct apart *to, const struct quant_form f, const struct kernel_panel at, const uint8_t *panel, size_t b0, size_t n_b)
{
    const size_t per = f.block / KERNEL_BLOCK;
    for (size_t b = 0; b < n_b; b++, to++) {
        size_t i = (b0 + b) / per, in = b % per;
        const uint8_t *rec = panel + at.body + i * at.record;
        __m512 d = d_of(f, (const f16 *)(const void *)panel + i * KERNEL_PANEL), m = d;
        if (f.min)
            m = vec_get_f16((const f16 *)(const void *)(panel + at.m) + i * KERNEL_PANEL);
        struct scales k = scales_of(f, at, rec, in, d, m);
        for (int h = 0; h < (f.group == 16 ? 2 : 1); h++) {
            vec_put(to->scale[h], k.scale[h]);
            if (f.min)
                vec_put(to->min[h], f.group ? negative(k.min[h]) : k.min[h]);
        }
        UNROLL for (int v = 0; v < 8; v++) _mm512_storeu_si512(&to->code[v * LINE], codes(f, rec + at.code + in * at.codes, false, v));
    }
}

INLINE struct scales apart_scales(const struct quant_form f, const struct apart *of)
{
    struct scales k = {{vec_get_f32(of->scale[0])}, {_mm512_set1_ps(0)}};
    if (f.min)
        k.min[0] = vec_get_f32(of->min[0]);
    if (f.group == 16)
        k.scale[1] = vec_get_f32(of->scale[1]);
    if (f.group == 16 && f.min)
        k.min[1] = vec_get_f32(of->min[1]);
    return k;
}

/* Columns c0 .. of blocks b0 .. b0 + n_b - 1. While it works it asks for `step` bytes of memory a block, from `next` on: the next panels, for the
 * second-level cache, as the first's few fill buffers would be taken for as long as memory takes; and the first tile of a chunk asks the first
 * level for what it needs itself soon. */
struct part {
    const struct rows *r;
    const struct chunk *w; /* codes taken apart; not used where they are taken apart on the way */
    size_t b0, n_b;
    int c0;
    bool first;
    const char *next;
    size_t step;
};

INLINE void own_lines(const uint8_t *const *rec, size_t at, size_t n, const int n_p)
{
    UNROLL for (int p = 0; p < n_p; p++) for (size_t l = 0; l < n; l++) _mm_prefetch((const char *)rec[p] + at + SOON + l * LINE, _MM_HINT_T0);
}

INLINE void tile(const struct quant_form f, const struct kernel_panel at, struct part *t, const bool apart, const int n_p, const int n_c)
{
    const struct rows *r = t->r;
    const char *next = t->next;
    const size_t step = t->step, lines = (step + LINE - 1) / LINE, per = apart ? 1 : f.block / KERNEL_BLOCK, nb = (size_t)r->m->n_in / KERNEL_BLOCK,
                 b0 = t->b0;
    const struct act8 *x = (const struct act8 *)r->m->x + (size_t)t->c0 * nb + b0;
    __m512 s[PANELS][COLUMNS];
    UNROLL for (int p = 0; p < n_p; p++) UNROLL for (int c = 0; c < n_c; c++) s[p][c] =
        b0 ? _mm512_maskz_loadu_ps(r->mask[p], y_of(r, p, t->c0 + c)) : bias_of(r, p);
    if (n_p > 1 && !b0) { /* their lines come while the sums are made */
        UNROLL for (int p = 0; p < n_p; p++) UNROLL for (int c = 0; c < n_c; c++) __builtin_prefetch(y_of(r, p, t->c0 + c), 1);
    }
    const struct apart *w[PANELS];
    const uint8_t *rec[PANELS];
    const f16 *d_at[PANELS], *m_at[PANELS];
    UNROLL for (int p = 0; p < n_p; p++)
    {
        w[p] = t->w ? t->w->b[p] : NULL;
        rec[p] = r->panel[p] + at.body + b0 / per * at.record;
        d_at[p] = (const f16 *)(const void *)r->panel[p] + b0 / per * KERNEL_PANEL;
        m_at[p] = (const f16 *)(const void *)(r->panel[p] + at.m) + b0 / per * KERNEL_PANEL;
    }
    for (size_t i = 0; i < t->n_b / per; i++) {
        const uint8_t *q[PANELS];
        __m512 d[PANELS], m[PANELS];
        UNROLL for (int p = 0; p < n_p && !apart; p++)
        {
            q[p] = rec[p] + at.code;
            d[p] = d_of(f, d_at[p]);
            m[p] = f.min ? vec_get_f16(m_at[p]) : d[p];
        }
        for (size_t b = 0; b < per; b++, x++, next += step) {
            struct scales k[PANELS];
            UNROLL for (int p = 0; p < n_p; p++)
            {
                k[p] = apart ? apart_scales(f, w[p]) : scales_of(f, at, rec[p], b, d[p], m[p]);
                q[p] = apart ? w[p]->code : q[p];
            }
            for (size_t l = 0; l < lines; l++) {
                if (n_p == 1 || apart)
                    _mm_prefetch(next + l * LINE, _MM_HINT_T0);
                else
                    _mm_prefetch(next + l * LINE, _MM_HINT_T1);
            }
            if (n_p > 1 && !apart && t->first)
                own_lines(rec, b * at.record / per, (at.record / per + LINE - 1) / LINE, n_p);
            block_32(f, s, q, apart, k, x, nb, n_p, n_c);
            UNROLL for (int p = 0; p < n_p; p++)
            {
                w[p] = apart ? w[p] + 1 : w[p];
                q[p] += at.codes;
            }
        }
        UNROLL for (int p = 0; p < n_p; p++) rec[p] += at.record, d_at[p] += KERNEL_PANEL, m_at[p] += KERNEL_PANEL;
    }
    t->next = next;
    UNROLL for (int p = 0; p < n_p; p++) UNROLL for (int c = 0; c < n_c; c++) _mm512_mask_storeu_ps(y_of(r, p, t->c0 + c), r->mask[p], s[p][c]);
}

/* Tiles of a chunk taken apart know nothing of the type but what its accumulators start at, whether 16 or 32 values have a scale, and whether there
 * are minimums. */
typedef void apart_fn(struct part *t, int n_c);
#define APART(name, zero, group, min, values)                                                                                                        \
    static void name(struct part *t, int n_c)                                                                                                        \
    {                                                                                                                                                \
        const struct quant_form f = {KERNEL_BLOCK, 8, zero, group, min, values};                                                                     \
        const struct kernel_panel none = {0};                                                                                                        \
        switch (n_c) {                                                                                                                               \
        case 4: tile(f, none, t, true, PANELS, 4); break; /* of 13 columns, as 5 */                                                                  \
        case 5: tile(f, none, t, true, PANELS, 5); break;                                                                                            \
        default: tile(f, none, t, true, PANELS, 6); break;                                                                                           \
        }                                                                                                                                            \
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

INLINE void tile_direct(const struct quant_form f, const struct kernel_panel at, struct part *t, int n_c)
{
    switch (n_c) {
    case 3: tile(f, at, t, false, PANELS, 3); break;
    case 4: tile(f, at, t, false, PANELS, 4); break;
    case 5: tile(f, at, t, false, PANELS, 5); break;
    case 6: tile(f, at, t, false, PANELS, 6); break;
    case 7: tile(f, at, t, false, PANELS, 7); break;
    default: tile(f, at, t, false, PANELS, 8); break;
    }
}

/* Two panels by all columns: chunk after chunk, so that what is read from memory serves all of them. */
INLINE void two_panels(const struct quant_form f, const struct kernel_panel at, const struct rows *r)
{
    const size_t nb = (size_t)r->m->n_in / KERNEL_BLOCK;
    const int n = r->m->n;
    const bool apart = f.bits != 8 && n >= (f.bits == 6 ? MANY_6_BITS : MANY);
    const int widest = apart || f.bits == 8 ? HELD : COLUMNS, tiles = (n + widest - 1) / widest;
    struct chunk w;
    struct part t = {.r = r, .w = &w};
    for (t.b0 = 0; t.b0 < nb; t.b0 += CHUNK) {
        t.n_b = nb - t.b0 < CHUNK ? nb - t.b0 : CHUNK;
        for (int p = 0; apart && p < PANELS; p++)
            take_apart(w.b[p], f, at, r->panel[p], t.b0, t.n_b);
        const size_t step = PANELS * at.bytes / nb;
        t.next = (const char *)r->panel[0] + PANELS * at.bytes + step * t.b0;
        for (int i = 0; i < tiles; i++) {
            t.first = i == 0;
            t.c0 = (int)((int64_t)n * i / tiles);
            t.step = step * (size_t)(i + 1) / (size_t)tiles - step * (size_t)i / (size_t)tiles;
            int n_c = (int)((int64_t)n * (i + 1) / tiles) - t.c0;
            if (apart)
                apart_of(f)(&t, n_c);
            else
                tile_direct(f, at, &t, n_c);
        }
    }
}

/* One or two columns: memory is what they wait for, and one stream of it is read best. */
INLINE void one_panel(const struct quant_form f, const struct kernel_panel at, const struct rows *r)
{
    const size_t per = f.block / KERNEL_BLOCK, nb = (size_t)r->m->n_in / KERNEL_BLOCK;
    struct part t = {
        .r = r, .n_b = nb, .next = (const char *)r->panel[0] + (r->m->n == 1 ? 4096 : 2048), .step = (at.record + (f.min ? 64 : 32)) / per};
    if (r->m->n == 1)
        tile(f, at, &t, false, 1, 1);
    else
        tile(f, at, &t, false, 1, 2);
}

INLINE __mmask16 mask_of(int rows_left)
{
    return (__mmask16)(rows_left <= 0 ? 0 : rows_left < KERNEL_PANEL ? (1u << rows_left) - 1 : 0xffff);
}

INLINE void blocks(const struct quant_form f, const struct kernel_matmul *m, int row0, int row1)
{
    const struct kernel_panel at = kernel_panel(f, (size_t)m->n_in);
    const int step = m->n <= FEW ? KERNEL_PANEL : PANELS * KERNEL_PANEL;
    for (int row = row0; row < row1; row += step) {
        const uint8_t *panel = (const uint8_t *)m->w + (size_t)row / KERNEL_PANEL * at.bytes;
        struct rows r = {
            m, {panel, row1 - row > KERNEL_PANEL ? panel + at.bytes : panel}, row, {mask_of(row1 - row), mask_of(row1 - row - KERNEL_PANEL)}};
        if (m->n <= FEW)
            one_panel(f, at, &r);
        else
            two_panels(f, at, &r);
    }
}

#define BLOCKS(op)                                                                                                                                   \
    void matmul_##op##_avx512(const struct kernel_matmul *m, int row0, int row1)                                                                     \
    {                                                                                                                                                \
        blocks(form_##op, m, row0, row1);                                                                                                            \
    }
