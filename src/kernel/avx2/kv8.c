/* Attention over 8-bit KV: codes are widened to int16 and multiplied with 15-bit integers by vpmaddwd, whose sums of two are exact. */
#include "kernel/avx2/vec_int.h"

struct pieces {
    int16_t *p;
};
#include "kernel/product8.h"

INLINE VEC vec_get_i32(const int32_t *p, int32_t less)
{
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(load(p), _mm256_set1_epi32(less)));
}

INLINE void pieces_put(struct pieces p, size_t at, VEC x)
{
    __m256i v = _mm256_cvtps_epi32(x);
    _mm_storeu_si128((__m128i *)(void *)(p.p + at), _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
}

/* Half a panel (8 outputs): a 16-byte piece widens to pairs of 4 outputs, whose two sums are joined at the end. */
INLINE void tile8(const struct product8 *m, size_t row, size_t panel, size_t half, const int n_r)
{
    __m256i s[4][2], w[2];
    UNROLL for (int r = 0; r < n_r; r++) s[r][0] = s[r][1] = _mm256_setzero_si256();
    const int16_t *a = m->a.p + row * m->lda;
    for (size_t page = 0; page < m->n_pages; page++) {
        const uint8_t *b = m->pages[page] + panel * m->quads * 64 + half * 32;
        for (size_t q = 0; q < m->quads; q++, b += 64, a += 4) {
            UNROLL for (int v = 0; v < 2; v++) w[v] = _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(b + 16 * v)));
            UNROLL for (int r = 0; r < n_r; r++)
            {
                long long four;
                memcpy(&four, a + (size_t)r * m->lda, sizeof four);
                __m256i x = _mm256_set1_epi64x(four);
                UNROLL for (int v = 0; v < 2; v++) s[r][v] = _mm256_add_epi32(s[r][v], _mm256_madd_epi16(w[v], x));
            }
        }
    }
    UNROLL for (int r = 0; r < n_r; r++)
    {
        __m256i sum = _mm256_permute4x64_epi64(_mm256_hadd_epi32(s[r][0], s[r][1]), 0xd8);
        _mm256_storeu_si256((__m256i *)(void *)(m->out + (row + (size_t)r) * m->ldo + panel * 16 + half * 8), sum);
    }
}

INLINE void rows8(const struct product8 *m, size_t row, const int n_r)
{
    for (size_t c = 0; c < 2 * m->n_panels; c++)
        tile8(m, row, c / 2, c % 2, n_r);
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

struct weights8 {
    int16_t p[16 * KERNEL_KV_GROUP * KERNEL_KV_PAGE];
};
INLINE struct pieces pieces_in(struct weights8 *w)
{
    return (struct pieces){w->p};
}
INLINE struct pieces pieces_at(struct pieces p, size_t at)
{
    return (struct pieces){p.p + at};
}
INLINE struct pieces pieces_of(const struct kernel_query8 *q, size_t row)
{
    return (struct pieces){q->q + row * q->stride};
}
#include "kernel/attn8_tile.h"
#include "kernel/kv8_rows.h"

void attn_q8_avx2(const struct kernel_attn8 *a)
{
    attn8(a);
}
KV8_ROWS(avx2)
