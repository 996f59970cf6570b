/* Attention over 8-bit KV: codes are widened to int16 and multiplied with 16-bit integers by vpmaddwd, whose sums of two are exact. */
#include "kernel/avx2/vec_int.h"

struct pieces {
    int16_t *p;
};
struct sums8 {
    int32_t *p;
};
#include "kernel/product8.h"

struct weights8 {
    int16_t p[ROWS8 * SPAN];
};
struct room8 {
    int32_t p[SUMS8];
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
INLINE struct sums8 sums_in(struct room8 *r)
{
    return (struct sums8){r->p};
}
INLINE struct sums8 sums_at(struct sums8 s, size_t at)
{
    return (struct sums8){s.p + at};
}

INLINE VEC vec_get_sum(struct sums8 s, size_t at, int32_t less)
{
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(load(s.p + at), _mm256_set1_epi32(less)));
}

/* Values [from, to) of x times `by`, rounded, to p from `row` on; their sum. */
INLINE int32_t pieces_put(struct pieces p, size_t row, const float *x, int from, int to, float by)
{
    __m256i sum = _mm256_setzero_si256();
    VEC scale = vec_set(by);
    for (int j = from; j < to; j += LANES) {
        __m256i v = _mm256_cvtps_epi32(vec_mul(vec_get_f32(x + j), scale));
        sum = _mm256_add_epi32(sum, v);
        _mm_storeu_si128((__m128i *)(void *)(p.p + row + (size_t)j), _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1)));
    }
    return (int32_t)vec_sum(_mm256_cvtepi32_ps(sum)); /* below 2^24 (unless there was a NaN): exact */
}

#define PASS8 4

/* Half a panel (8 outputs): a 16-byte piece widens to pairs of 4 outputs, whose two sums are joined at the end. */
INLINE void tile8(const struct product8 *m, size_t row, size_t panel, size_t half, const int n_r, const struct quarters mine)
{
    __m256i s[PASS8][2], w[2];
    UNROLL for (int r = 0; r < n_r; r++) s[r][0] = s[r][1] = _mm256_setzero_si256();
    const int16_t *a = m->a.p + row * m->lda;
    for (size_t page = 0; page < m->n_pages; page++) {
        const uint8_t *b = m->pages[page] + panel * m->quads * 64 + half * 32;
        for (size_t q = 0; q < m->quads; q++, b += 64, a += 4) {
            if (half == 0)
                product8_ahead(m, page, panel, q, mine);
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
        _mm256_storeu_si256((__m256i *)(void *)(m->out.p + (row + (size_t)r) * m->ldo + panel * 16 + half * 8), sum);
    }
}

INLINE void rows8(const struct product8 *m, size_t row, const int n_r, const struct quarters mine)
{
    for (size_t c = 0; c < 2 * m->n_panels; c++)
        tile8(m, row, c / 2, c % 2, n_r, mine);
}

#include "kernel/product8_rows.h"

#include "kernel/attn8_tile.h"
#include "kernel/kv8_rows.h"

void attn_q8_avx2(const struct kernel_attn8 *a)
{
    attn8(a);
}
KV8_ROWS(avx2)
