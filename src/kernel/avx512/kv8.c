/* Attention over 8-bit KV: vpdpbusd multiplies the unsigned codes with the signed halves of 16-bit integers. */
#include "kernel/avx512/kv8_int.h"

#define PASS8 6

INLINE __m512i four_of(const int8_t *p)
{
    int v;
    memcpy(&v, p, sizeof v);
    return _mm512_set1_epi32(v);
}

INLINE void tile8(const struct product8 *m, size_t row, size_t panel, const int n_r, const int n_v, const struct quarters mine)
{
    __m512i hi[PASS8][2], lo[PASS8][2], w[2];
    UNROLL for (int r = 0; r < n_r; r++) UNROLL for (int v = 0; v < n_v; v++) hi[r][v] = lo[r][v] = _mm512_set1_epi32(0);
    const int8_t *h = m->a.hi + row * m->lda, *l = m->a.lo + row * m->lda;
    for (size_t page = 0; page < m->n_pages; page++) {
        const uint8_t *b = m->pages[page] + panel * m->quads * 64;
        for (size_t q = 0; q < m->quads; q++, b += 64, h += 4, l += 4) {
            UNROLL for (int v = 0; v < n_v; v++)
            {
                w[v] = _mm512_loadu_si512(b + (size_t)v * m->quads * 64);
                product8_ahead(m, page, panel, q * (size_t)n_v + (size_t)v, mine); /* in the order in which they lie */
            }
            UNROLL for (int r = 0; r < n_r; r++)
            {
                __m512i x = four_of(h + (size_t)r * m->lda), y = four_of(l + (size_t)r * m->lda);
                UNROLL for (int v = 0; v < n_v; v++)
                {
                    hi[r][v] = _mm512_dpbusd_epi32(hi[r][v], w[v], x);
                    lo[r][v] = _mm512_dpbusd_epi32(lo[r][v], w[v], y);
                }
            }
        }
    }
    UNROLL for (int r = 0; r < n_r; r++) UNROLL for (int v = 0; v < n_v; v++)
    {
        size_t at = (row + (size_t)r) * m->ldo + (panel + (size_t)v) * 16;
        _mm512_storeu_si512(m->out.hi + at, hi[r][v]);
        _mm512_storeu_si512(m->out.lo + at, lo[r][v]);
    }
}

INLINE void rows8(const struct product8 *m, size_t row, const int n_r, const struct quarters mine)
{
    size_t c = 0;
    for (; c + 2 <= m->n_panels; c += 2)
        tile8(m, row, c, n_r, 2, mine);
    if (c < m->n_panels)
        tile8(m, row, c, n_r, 1, mine);
}

#include "kernel/product8_rows.h"

#include "kernel/attn8_tile.h"

void attn_q8_avx512(const struct kernel_attn8 *a)
{
    attn8(a);
}
