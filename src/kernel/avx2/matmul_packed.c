/* Products with packed weights (panel.h draws the panels): 16 rows and up to four columns at a time. */
#include "kernel/avx2/vec_int.h"

/* The first tile of a panel asks for memory AHEAD bytes before it reads it: linearly through the panel, scales included, into the next one. The
 * hardware alone, which sees two streams with a jump at each panel, reaches a third of the bandwidth. */
enum { COLUMNS = 4, LINE = 64 };
#define AHEAD (n_c == 1 ? 1024 : 2048)

INLINE void ahead(const char *p, int line)
{
    _mm_prefetch(p + line * LINE, _MM_HINT_T0);
}

/* Sums of one tile, and where they come from: the bias, or what an earlier part of the inputs left in y. */
struct sums {
    float f[COLUMNS][KERNEL_PANEL] __attribute__((aligned(32)));
};

static void sums_start(struct sums *s, const struct kernel_matmul *m, int row, int c0, int n_c, bool first)
{
    int n = m->n_out - row;
    for (int c = 0; c < n_c; c++) {
        const float *from = first ? m->bias : m->y + (size_t)(c0 + c) * m->y_stride;
        if (from && n >= KERNEL_PANEL) {
            memcpy(s->f[c], from + row, sizeof s->f[c]);
        } else {
            memset(s->f[c], 0, sizeof s->f[c]);
            if (from)
                memcpy(s->f[c], from + row, (size_t)n * sizeof *from);
        }
    }
}

static void sums_store(const struct sums *s, const struct kernel_matmul *m, int row, int row1, int c0, int n_c)
{
    for (int c = 0; c < n_c; c++) {
        float *to = m->y + (size_t)(c0 + c) * m->y_stride + row;
        if (row1 - row >= KERNEL_PANEL) /* a whole panel: the compiler makes it two vector moves */
            memcpy(to, s->f[c], sizeof s->f[c]);
        else
            memcpy(to, s->f[c], (size_t)(row1 - row) * sizeof *to);
    }
}

/* s += dot * scale * d, for 8 rows of one column: `dot` are the exact integer sums of one block. */
INLINE void sums_add(float *s, __m256i dot, __m256 scale, __m256 d)
{
    _mm256_store_ps(s, _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), _mm256_mul_ps(scale, d), _mm256_load_ps(s)));
}

/* Q4_0: nibbles are 0 to 15, so eight products of pairs fit an int16 (8 * 2 * 15 * 127 = 30480) and one vpmaddwd a block widens them. */
INLINE void tile_q4_0(struct sums *s, const struct kernel_matmul *m, const uint8_t *panel, const struct act8 *x, const int n_c, const bool first)
{
    size_t nb = (size_t)m->n_in / KERNEL_BLOCK;
    const char *next = (const char *)panel + AHEAD;
    const f16 *scale = (const f16 *)(const void *)panel;
    const uint8_t *q = panel + kernel_panel(form_q4_0, (size_t)m->n_in).body;
    const __m256i mask = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
    for (size_t b = 0; b < nb; b++, q += 256, scale += KERNEL_PANEL, x++, next += 288) {
        __m256i a0[COLUMNS], a1[COLUMNS];
        UNROLL for (int v = 0; v < 8; v++)
        {
            if (first && v < 5)
                ahead(next, v);
            __m256i w0 = load(q + v % 4 * 64), w1 = load(q + v % 4 * 64 + 32);
            if (v >= 4)
                w0 = _mm256_srli_epi16(w0, 4), w1 = _mm256_srli_epi16(w1, 4);
            w0 = _mm256_and_si256(w0, mask);
            w1 = _mm256_and_si256(w1, mask);
            UNROLL for (int c = 0; c < n_c; c++)
            {
                __m256i a = four_bytes(x[(size_t)c * nb].q + 4 * v);
                __m256i p0 = _mm256_maddubs_epi16(w0, a), p1 = _mm256_maddubs_epi16(w1, a);
                a0[c] = v ? _mm256_add_epi16(a0[c], p0) : p0;
                a1[c] = v ? _mm256_add_epi16(a1[c], p1) : p1;
                HERE(a0[c]);
                HERE(a1[c]);
            }
        }
        __m256 s0 = vec_get_f16(scale), s1 = vec_get_f16(scale + 8);
        UNROLL for (int c = 0; c < n_c; c++)
        {
            const struct act8 *a = &x[(size_t)c * nb];
            __m256i sum8 = _mm256_slli_epi32(_mm256_set1_epi32(a->sum[0] + a->sum[1]), 3);
            __m256 d = _mm256_set1_ps(a->d);
            sums_add(s->f[c], _mm256_sub_epi32(_mm256_madd_epi16(a0[c], ones), sum8), s0, d);
            sums_add(s->f[c] + 8, _mm256_sub_epi32(_mm256_madd_epi16(a1[c], ones), sum8), s1, d);
        }
    }
}

void matmul_q4_0_avx2(const struct kernel_matmul *m, int row0, int row1)
{
    size_t nb = (size_t)m->n_in / KERNEL_BLOCK, panel_bytes = kernel_panel(form_q4_0, (size_t)m->n_in).bytes;
    for (int row = row0; row < row1; row += KERNEL_PANEL) {
        const uint8_t *panel = (const uint8_t *)m->w + (size_t)row / KERNEL_PANEL * panel_bytes;
        for (int c = 0; c < m->n; c += COLUMNS) {
            const struct act8 *x = (const struct act8 *)m->x + (size_t)c * nb;
            struct sums s;
            int n_c = m->n - c < COLUMNS ? m->n - c : COLUMNS;
            sums_start(&s, m, row, c, n_c, true);
            switch (c ? n_c : n_c + COLUMNS) {
            case 1: tile_q4_0(&s, m, panel, x, 1, false); break;
            case 2: tile_q4_0(&s, m, panel, x, 2, false); break;
            case 3: tile_q4_0(&s, m, panel, x, 3, false); break;
            case 4: tile_q4_0(&s, m, panel, x, 4, false); break;
            case 5: tile_q4_0(&s, m, panel, x, 1, true); break;
            case 6: tile_q4_0(&s, m, panel, x, 2, true); break;
            case 7: tile_q4_0(&s, m, panel, x, 3, true); break;
            default: tile_q4_0(&s, m, panel, x, 4, true); break;
            }
            sums_store(&s, m, row, row1, c, n_c);
        }
    }
}

/* Q8_0: products of whole bytes do not fit int16 pairs, so inputs are widened to int16 once for several panels, in the order that
 * splitting a weight's dword into even and odd bytes gives: values 0, 2 and 1, 3 of each four. vpmaddwd then adds exact int32 sums of
 * rows. Inputs are taken CHUNK blocks at a time: what is widened stays in the first-level cache. */
enum { CHUNK = 32, PANELS = 4 };

struct wide {
    int16_t q[COLUMNS][CHUNK][KERNEL_BLOCK];
    int32_t sum128[COLUMNS][CHUNK]; /* 128 * sum: the weights are 128 too large */
    float d[COLUMNS][CHUNK];
};

static void widen(struct wide *w, const struct act8 *x, size_t nb, size_t n_b, int n_c)
{
    const __m256i order =
        _mm256_setr_epi8(0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15, 0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15);
    for (int c = 0; c < n_c; c++)
        for (size_t b = 0; b < n_b; b++) {
            const struct act8 *a = &x[(size_t)c * nb + b];
            for (int i = 0; i < KERNEL_BLOCK; i += 16) {
                __m256i v = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(a->q + i)));
                _mm256_storeu_si256((__m256i *)(void *)(w->q[c][b] + i), _mm256_shuffle_epi8(v, order));
            }
            w->sum128[c][b] = (a->sum[0] + a->sum[1]) * 128;
            w->d[c][b] = a->d;
        }
}

INLINE void tile_q8_0(struct sums *s, const uint8_t *q, const f16 *scale, const struct wide *x, size_t n_b, const int n_c, const bool first)
{
    const __m256i even = _mm256_set1_epi16(255);
    const char *next = (const char *)q + AHEAD;
    for (size_t b = 0; b < n_b; b++, q += 512, scale += KERNEL_PANEL, next += 544) {
        __m256i a0[COLUMNS], a1[COLUMNS];
        UNROLL for (int c = 0; c < n_c; c++) a0[c] = a1[c] = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_set1_epi32(x->sum128[c][b]));
        UNROLL for (int v = 0; v < 16; v++)
        {
            if (first && v < 9)
                ahead(next, v);
            __m256i w0 = load(q + v / 2 * 64), w1 = load(q + v / 2 * 64 + 32);
            w0 = v % 2 ? _mm256_srli_epi16(w0, 8) : _mm256_and_si256(w0, even);
            w1 = v % 2 ? _mm256_srli_epi16(w1, 8) : _mm256_and_si256(w1, even);
            UNROLL for (int c = 0; c < n_c; c++)
            {
                __m256i a = four_bytes(&x->q[c][b][2 * v]);
                a0[c] = _mm256_add_epi32(a0[c], _mm256_madd_epi16(w0, a));
                a1[c] = _mm256_add_epi32(a1[c], _mm256_madd_epi16(w1, a));
                HERE(a0[c]);
                HERE(a1[c]);
            }
        }
        __m256 s0 = vec_get_f16(scale), s1 = vec_get_f16(scale + 8);
        UNROLL for (int c = 0; c < n_c; c++)
        {
            __m256 d = _mm256_set1_ps(x->d[c][b]);
            sums_add(s->f[c], a0[c], s0, d);
            sums_add(s->f[c] + 8, a1[c], s1, d);
        }
    }
}

/* Up to PANELS panels from `row` on, n_c columns from c on. */
static void panels_q8_0(const struct kernel_matmul *m, int row, int row1, int c, int n_c)
{
    size_t nb = (size_t)m->n_in / KERNEL_BLOCK;
    struct kernel_panel at = kernel_panel(form_q8_0, (size_t)m->n_in);
    struct wide x;
    for (size_t b = 0; b < nb; b += CHUNK) {
        size_t n_b = nb - b < CHUNK ? nb - b : CHUNK;
        widen(&x, (const struct act8 *)m->x + (size_t)c * nb + b, nb, n_b, n_c);
        for (int r = row; r < row1 && r < row + PANELS * KERNEL_PANEL; r += KERNEL_PANEL) {
            const uint8_t *panel = (const uint8_t *)m->w + (size_t)r / KERNEL_PANEL * at.bytes;
            const f16 *scale = (const f16 *)(const void *)panel + b * KERNEL_PANEL;
            const uint8_t *q = panel + at.body + b * 512;
            struct sums s;
            sums_start(&s, m, r, c, n_c, b == 0);
            switch (c ? n_c : n_c + COLUMNS) {
            case 1: tile_q8_0(&s, q, scale, &x, n_b, 1, false); break;
            case 2: tile_q8_0(&s, q, scale, &x, n_b, 2, false); break;
            case 3: tile_q8_0(&s, q, scale, &x, n_b, 3, false); break;
            case 4: tile_q8_0(&s, q, scale, &x, n_b, 4, false); break;
            case 5: tile_q8_0(&s, q, scale, &x, n_b, 1, true); break;
            case 6: tile_q8_0(&s, q, scale, &x, n_b, 2, true); break;
            case 7: tile_q8_0(&s, q, scale, &x, n_b, 3, true); break;
            default: tile_q8_0(&s, q, scale, &x, n_b, 4, true); break;
            }
            sums_store(&s, m, r, row1, c, n_c);
        }
    }
}

void matmul_q8_0_avx2(const struct kernel_matmul *m, int row0, int row1)
{
    for (int row = row0; row < row1; row += PANELS * KERNEL_PANEL)
        for (int c = 0; c < m->n; c += COLUMNS)
            panels_q8_0(m, row, row1, c, m->n - c < COLUMNS ? m->n - c : COLUMNS);
}
