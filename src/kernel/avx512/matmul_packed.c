/* Products with packed weights (panel.h draws the panels): 16 rows and up to eight columns at a time. vpdpbusd multiplies the unsigned
 * weights with the signed inputs; the sums start at -8 (Q4_0) or -128 (Q8_0) times the sum of the inputs, which makes the weights signed. */
#include "kernel/avx512/vec_int.h"

/* The first tile of a panel asks for memory AHEAD bytes before it reads it: linearly through the panel, scales included, into the next. */
enum { COLUMNS = 8, LINE = 64 };
#define AHEAD (n_c == 1 ? 1024 : 2048)

INLINE void ahead(const char *p, int line) { _mm_prefetch(p + line * LINE, _MM_HINT_T0); }

INLINE __m512i load(const void *p) { return _mm512_loadu_si512(p); }
INLINE __m512i four_bytes(const void *p)
{
    int v;
    memcpy(&v, p, sizeof v);
    return _mm512_set1_epi32(v);
}

/* bits: 4 or 8 bits a weight. */
INLINE void tile(const struct kernel_matmul *m, const uint8_t *panel, int row, int row1, int c0, const int bits, const int n_c, const bool first)
{
    size_t             nb = (size_t)m->n_in / KERNEL_BLOCK;
    const f16         *scale = (const f16 *)(const void *)panel;
    const uint8_t     *q = panel + kernel_panel(bits == 4 ? form_q4_0 : form_q8_0, (size_t)m->n_in).body;
    const struct act8 *x = (const struct act8 *)m->x + (size_t)c0 * nb;
    const char        *next = (const char *)panel + AHEAD;
    const __m512i      mask = _mm512_set1_epi8(15);
    __mmask16          rows = (__mmask16)(row1 - row < KERNEL_PANEL ? (1u << (row1 - row)) - 1 : 0xffff);
    __m512             s[COLUMNS], start = m->bias ? _mm512_maskz_loadu_ps(rows, m->bias + row) : _mm512_set1_ps(0);
    UNROLL for (int c = 0; c < n_c; c++) s[c] = start;
    for (size_t b = 0; b < nb; b++, scale += KERNEL_PANEL, x++, q += 64 * bits, next += 32 + 64 * bits) {
        __m512i a[COLUMNS];
        UNROLL for (int c = 0; c < n_c; c++)
            a[c] = _mm512_set1_epi32((x[(size_t)c * nb].sum[0] + x[(size_t)c * nb].sum[1]) * (bits == 4 ? -8 : -128));
        UNROLL for (int v = 0; v < 8; v++) {
            if (first && v <= bits)
                ahead(next, v);
            if (first && v == 7 && bits == 8)
                ahead(next, 8);
            __m512i w = load(q + v % bits * 64);
            if (bits == 4)
                w = _mm512_and_si512(v >= 4 ? _mm512_srli_epi16(w, 4) : w, mask);
            UNROLL for (int c = 0; c < n_c; c++) a[c] = _mm512_dpbusd_epi32(a[c], w, four_bytes(x[(size_t)c * nb].q + 4 * v));
        }
        __m512 f = vec_get_f16(scale);
        UNROLL for (int c = 0; c < n_c; c++)
            s[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(a[c]), _mm512_mul_ps(f, _mm512_set1_ps(x[(size_t)c * nb].d)), s[c]);
    }
    UNROLL for (int c = 0; c < n_c; c++) _mm512_mask_storeu_ps(m->y + (size_t)(c0 + c) * m->y_stride + row, rows, s[c]);
}

#define PACKED(bits, form, symbol)                                                                                                         \
    INLINE void tiles_##bits(const struct kernel_matmul *m, const uint8_t *panel, int row, int row1, int c, const bool first)              \
    {                                                                                                                                      \
        switch (m->n - c) {                                                                                                                \
        case 1: tile(m, panel, row, row1, c, bits, 1, first); break;                                                                       \
        case 2: tile(m, panel, row, row1, c, bits, 2, first); break;                                                                       \
        case 3: tile(m, panel, row, row1, c, bits, 3, first); break;                                                                       \
        case 4: tile(m, panel, row, row1, c, bits, 4, first); break;                                                                       \
        case 5: tile(m, panel, row, row1, c, bits, 5, first); break;                                                                       \
        case 6: tile(m, panel, row, row1, c, bits, 6, first); break;                                                                       \
        case 7: tile(m, panel, row, row1, c, bits, 7, first); break;                                                                       \
        default: tile(m, panel, row, row1, c, bits, 8, first); break;                                                                      \
        }                                                                                                                                  \
    }                                                                                                                                      \
    void symbol(const struct kernel_matmul *m, int row0, int row1)                                                                         \
    {                                                                                                                                      \
        for (int row = row0; row < row1; row += KERNEL_PANEL) {                                                                            \
            const uint8_t *panel = (const uint8_t *)m->w + (size_t)row / KERNEL_PANEL * kernel_panel(form, (size_t)m->n_in).bytes;         \
            tiles_##bits(m, panel, row, row1, 0, true);                                                                                    \
            for (int c = COLUMNS; c < m->n; c += COLUMNS)                                                                                  \
                tiles_##bits(m, panel, row, row1, c, false);                                                                               \
        }                                                                                                                                  \
    }
PACKED(4, form_q4_0, matmul_q4_0_avx512)
PACKED(8, form_q8_0, matmul_q8_0_avx512)
