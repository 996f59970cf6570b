/* Attention over 8-bit KV: vpdpbusd multiplies the unsigned codes with the signed halves of 15-bit integers. */
#include "kernel/avx512/vec_int.h"

struct pieces {
    int8_t *hi, *lo;
};
#include "kernel/product8.h"

INLINE VEC vec_get_i32(const int32_t *p, int32_t less)
{
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_loadu_si512(p), _mm512_set1_epi32(less)));
}

INLINE void pieces_put(struct pieces p, size_t at, VEC x)
{
    __m512i v = _mm512_cvtps_epi32(x), hi = _mm512_srai_epi32(_mm512_add_epi32(v, _mm512_set1_epi32(64)), 7);
    _mm_storeu_si128((__m128i *)(void *)(p.hi + at), _mm512_cvtepi32_epi8(hi));
    _mm_storeu_si128((__m128i *)(void *)(p.lo + at), _mm512_cvtepi32_epi8(_mm512_sub_epi32(v, _mm512_slli_epi32(hi, 7))));
}

INLINE __m512i four_of(const int8_t *p)
{
    int v;
    memcpy(&v, p, sizeof v);
    return _mm512_set1_epi32(v);
}

INLINE void tile8(const struct product8 *m, size_t row, size_t panel, const int n_r, const int n_v)
{
    __m512i hi[4][2], lo[4][2], w[2];
    UNROLL for (int r = 0; r < n_r; r++) UNROLL for (int v = 0; v < n_v; v++) hi[r][v] = lo[r][v] = _mm512_set1_epi32(0);
    const int8_t *h = m->a.hi + row * m->lda, *l = m->a.lo + row * m->lda;
    for (size_t page = 0; page < m->n_pages; page++) {
        const uint8_t *b = m->pages[page] + panel * m->quads * 64;
        for (size_t q = 0; q < m->quads; q++, b += 64, h += 4, l += 4) {
            UNROLL for (int v = 0; v < n_v; v++) w[v] = _mm512_loadu_si512(b + (size_t)v * m->quads * 64);
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
    UNROLL for (int r = 0; r < n_r; r++) UNROLL for (int v = 0; v < n_v; v++) _mm512_storeu_si512(
        m->out + (row + (size_t)r) * m->ldo + (panel + (size_t)v) * 16, _mm512_add_epi32(_mm512_slli_epi32(hi[r][v], 7), lo[r][v]));
}

INLINE void rows8(const struct product8 *m, size_t row, const int n_r)
{
    size_t c = 0;
    for (; c + 2 <= m->n_panels; c += 2)
        tile8(m, row, c, n_r, 2);
    if (c < m->n_panels)
        tile8(m, row, c, n_r, 1);
}

static void product8(const struct product8 *m)
{
    size_t r = 0;
    for (; r + 4 <= m->n; r += 4)
        rows8(m, r, 4);
    if (m->n - r == 3)
        rows8(m, r, 3);
    else if (m->n - r == 2)
        rows8(m, r, 2);
    else if (m->n - r == 1)
        rows8(m, r, 1);
}

enum { WEIGHTS8 = 16 * KERNEL_KV_GROUP * KERNEL_KV_PAGE };
struct weights8 {
    int8_t hi[WEIGHTS8], lo[WEIGHTS8];
};
INLINE struct pieces pieces_in(struct weights8 *w)
{
    return (struct pieces){w->hi, w->lo};
}
INLINE struct pieces pieces_at(struct pieces p, size_t at)
{
    return (struct pieces){p.hi + at, p.lo + at};
}
INLINE struct pieces pieces_of(const struct kernel_query8 *q, size_t row)
{
    return (struct pieces){q->hi + row * q->stride, q->lo + row * q->stride};
}
#include "kernel/attn8_tile.h"

void attn_q8_avx512(const struct kernel_attn8 *a)
{
    attn8(a);
}
