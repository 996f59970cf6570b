/* Products with the packed types (panel.h draws the panels) through AMX: tiles of 16 columns and 16 rows, four panels at a time. The results are
 * bit for bit those of avx512: the integer sums of a block are exact, and what joins them in float is the same chain of operations. So a few
 * columns, where a tile would be mostly empty, are left to avx512's kernels.
 *
 * What limits this is not the multiplier (16 cycles for 16 x 16 x 32) but joining its sums in float: while tile instructions are in flight port
 * 5 takes no 512-bit multiplication or conversion (measured; additions it takes), so each of those costs a cycle. Hence:
 * - No conversion. Accumulators start at 1.5 * 2^23 as a float's bits, so that adding integers leaves a float that is that much plus the sum,
 *   exactly while the sum stays below 2^22. A tile runs on over the blocks of a group without being reset; the sum of a block is the difference
 *   of two stored states, an exact subtraction. Two blocks of 32 * 128 * 127 are below 2^20.
 * - The tile instructions of a group are interleaved with the joining of the group before.
 * - Codes are unpacked to signed bytes, CHUNK blocks of four panels at a time, and serve all columns. Those are read from the second-level cache;
 *   the first keeps the states of two groups. */
#include "kernel/amx/tile_int.h"
#include "kernel/avx512/codes.h"

enum { TILE = 16, PANELS = 4, UNITS = 2, CHUNK = 64, STEPS = 2 * UNITS };
/* Calls of fewer columns, and fewer columns than FEWEST beside whole tiles, are faster in avx512: unpacking and empty rows of tiles cost too. */
enum { ENOUGH = 24, FEWEST = 5 };
#define MAGIC 12582912.0f
static const float magic[KERNEL_PANEL] = {MAGIC, MAGIC, MAGIC, MAGIC, MAGIC, MAGIC, MAGIC, MAGIC,
                                          MAGIC, MAGIC, MAGIC, MAGIC, MAGIC, MAGIC, MAGIC, MAGIC};

/* Types whose chain multiplies both scales before the sum; the others scale the sum, then the block (avx512/blocks.h). */
INLINE bool scales_first(const struct quant_form f)
{
    return !f.group && !f.min && (f.bits == 4 || f.bits == 8);
}

/* CHUNK blocks of PANELS panels. A unit is what one tile product takes: a block of 32, or a group of 16 (two halves a block). */
struct unpacked {
    int8_t code[CHUNK][PANELS][KERNEL_PANEL * KERNEL_BLOCK]; /* as panel.h orders codes of 8 bits */
    float scale[CHUNK][PANELS][2][KERNEL_PANEL], min[CHUNK][PANELS][2][KERNEL_PANEL];
};

/* Up to UNITS units of up to 16 columns: what the tiles have computed and not yet joined. */
struct group {
    float sum[UNITS][PANELS][TILE][KERNEL_PANEL]; /* states of the accumulators after each unit */
    float d[UNITS][TILE], x_sum[UNITS][TILE];     /* scales of the inputs; for minimums: their sums */
    const struct act8 *x;                         /* first column, first block */
    int column, block, blocks;                    /* within the problem; within the chunk */
} __attribute__((aligned(KERNEL_LINE)));          /* an access across two lines costs twice */

struct job {
    struct unpacked w;
    struct group group[2];
    float s[PANELS][TILE][KERNEL_PANEL]; /* outputs of the columns at hand, up to the group before */
    const struct kernel_matmul *m;
    int row, row1, n_panels, n_columns; /* n_columns: of each tile */
    int blocks;                         /* of this chunk */
    bool first, last;                   /* whether outputs start at the bias, or end, with this chunk */
    bool alone;                         /* one tile of columns: its outputs stay in s from chunk to chunk */
};

/* n blocks of 32 of panel p, from number `from` on. CHUNK is a multiple of the blocks of a record. */
INLINE void unpack(const struct quant_form f, const struct kernel_panel at, struct unpacked *u, int p, const uint8_t *panel, size_t from, size_t n)
{
    const size_t per = f.block / KERNEL_BLOCK;
    const f16 *d = (const f16 *)(const void *)panel + from / per * KERNEL_PANEL;
    const f16 *min = (const f16 *)(const void *)(panel + at.m) + from / per * KERNEL_PANEL;
    const uint8_t *rec = panel + at.body + from / per * at.record;
    const __m512i zero = _mm512_set1_epi8((char)f.zero);
    int k = 0;
    for (size_t i = 0; i < n / per; i++, rec += at.record, d += KERNEL_PANEL, min += KERNEL_PANEL) {
        __m512 scale = vec_get_f16(d), low = f.min ? vec_get_f16(min) : scale;
        const uint8_t *q = rec + at.code;
        for (size_t b = 0; b < per; b++, k++, q += at.codes) {
            const struct scales s = scales_of(f, at, rec, b, scale, low);
            for (int h = 0; h < (f.group == 16 ? 2 : 1); h++) {
                _mm512_storeu_ps(u->scale[k][p][h], s.scale[h]);
                if (f.min)
                    _mm512_storeu_ps(u->min[k][p][h], s.min[h]);
            }
            UNROLL for (int v = 0; v < 8; v++)
            {
                __m512i c = codes(f, q, false, v);
                _mm512_storeu_si512(u->code[k][p] + 64 * v, f.zero ? _mm512_sub_epi8(c, zero) : c);
            }
        }
    }
}

/* What the tiles do in one step: unit u (of K bytes of inputs a column) with two panels, those of step % 2. Before that the states after the unit
 * before are stored: the next product overwrites them. */
#define PRODUCT(c, b)                                                                                                                                \
    if (c < n_panels) {                                                                                                                              \
        if (before)                                                                                                                                  \
            TILE_STORE(c, before[c], KERNEL_LINE);                                                                                                   \
        if (u < units) {                                                                                                                             \
            if (u == 0)                                                                                                                              \
                TILE_LOAD(c, magic, 0);                                                                                                              \
            TILE_LOAD(b, j->w.code[k][c] + half * KERNEL_PANEL * 16, KERNEL_LINE);                                                                   \
            if (u % 2)                                                                                                                               \
                TILE_DOT_INT8(c, 5, b);                                                                                                              \
            else                                                                                                                                     \
                TILE_DOT_INT8(c, 4, b);                                                                                                              \
        }                                                                                                                                            \
    }
INLINE void products(const struct job *j, const struct group *g, float (*before)[TILE][KERNEL_PANEL], const int step, const int halves,
                     const int units, const int n_panels)
{
    const int u = step / 2, b = u / halves, half = u % halves, k = g->block + b;
    const size_t stride = (size_t)j->m->n_in / KERNEL_BLOCK * sizeof(struct act8);
    if (step % 2 == 0) {
        if (u < units) {
            if (u % 2)
                TILE_LOAD(5, g->x[b].q + 16 * half, stride);
            else
                TILE_LOAD(4, g->x[b].q + 16 * half, stride);
        }
        PRODUCT(0, 6)
        PRODUCT(1, 7)
    } else {
        PRODUCT(2, 6)
        PRODUCT(3, 7)
    }
}

/* Adds n_c columns of a group from c on to the outputs of panel p: the same chain as avx512's. */
INLINE void join(const struct quant_form f, struct job *j, const struct group *g, int p, int c, const int blocks, const int n_c)
{
    const int halves = f.group == 16 ? 2 : 1;
    __m512 s[8], before[8], t[8];
    UNROLL for (int i = 0; i < n_c; i++) s[i] = _mm512_loadu_ps(j->s[p][c + i]), before[i] = _mm512_set1_ps(MAGIC), t[i] = s[i];
    UNROLL for (int u = 0; u < UNITS; u++)
    {
        if (u >= blocks * halves)
            break;
        const int b = u / halves, h = u % halves;
        __m512 scale = _mm512_loadu_ps(j->w.scale[g->block + b][p][h]), min = f.min ? _mm512_loadu_ps(j->w.min[g->block + b][p][h]) : scale;
        UNROLL for (int i = 0; i < n_c; i++)
        {
            __m512 state = _mm512_loadu_ps(g->sum[u][p][c + i]), a = _mm512_sub_ps(state, before[i]), d = _mm512_set1_ps(g->d[b][c + i]);
            before[i] = state;
            if (scales_first(f)) {
                s[i] = _mm512_fmadd_ps(a, _mm512_mul_ps(scale, d), s[i]);
                continue;
            }
            t[i] = h ? _mm512_fmadd_ps(a, scale, t[i]) : _mm512_mul_ps(a, scale);
            if (f.min) {
                __m512 sum = _mm512_set1_ps(g->x_sum[u][c + i]);
                t[i] = f.group ? _mm512_fnmadd_ps(sum, min, t[i]) : _mm512_fmadd_ps(sum, min, t[i]);
            }
            if (h == halves - 1)
                s[i] = _mm512_fmadd_ps(t[i], d, s[i]);
        }
    }
    UNROLL for (int i = 0; i < n_c; i++) _mm512_storeu_ps(j->s[p][c + i], s[i]);
}

INLINE __mmask16 rows_of(const struct job *j, int p)
{
    int n = j->row1 - j->row - p * KERNEL_PANEL;
    return (__mmask16)(n < KERNEL_PANEL ? (1u << n) - 1 : 0xffff);
}

/* The outputs of a tile of columns start at the bias, or at what the chunk before has left. */
INLINE void start(struct job *j, int column)
{
    const struct kernel_matmul *m = j->m;
    for (int p = 0; p < j->n_panels; p++) {
        int row = j->row + p * KERNEL_PANEL;
        __mmask16 rows = rows_of(j, p);
        const float *y = m->y + (size_t)column * m->y_stride + row;
        __m512 bias = m->bias ? _mm512_maskz_loadu_ps(rows, m->bias + row) : _mm512_set1_ps(0);
        for (int c = 0; c < j->n_columns; c++, y += m->y_stride)
            _mm512_storeu_ps(j->s[p][c], j->first ? bias : _mm512_maskz_loadu_ps(rows, y));
    }
}

INLINE void finish(struct job *j, int column)
{
    for (int p = 0; p < j->n_panels; p++) {
        __mmask16 rows = rows_of(j, p);
        float *y = j->m->y + (size_t)column * j->m->y_stride + j->row + p * KERNEL_PANEL;
        for (int c = 0; c < j->n_columns; c++, y += j->m->y_stride)
            _mm512_mask_storeu_ps(y, rows, _mm512_loadu_ps(j->s[p][c]));
    }
}

/* Scales and sums of the inputs of block b, for all panels. */
INLINE void inputs(const struct quant_form f, struct group *g, int b, size_t nb, const int n_columns)
{
    const struct act8 *x = g->x + b;
    for (int c = 0; c < n_columns; c++, x += nb) {
        g->d[b][c] = x->d;
        if (f.min && f.group == 16)
            g->x_sum[2 * b][c] = (float)x->sum[0], g->x_sum[2 * b + 1][c] = (float)x->sum[1];
        else if (f.min)
            g->x_sum[b][c] = (float)(x->sum[0] + x->sum[1]);
    }
}

/* Joins columns c to end - 1 of a group's blocks: what is not a whole group of whole tiles. */
typedef void rest_fn(struct job *j, const struct group *g, int p, int c, int end);
INLINE void rest(const struct quant_form f, struct job *j, const struct group *g, int p, int c, int end)
{
    for (; c + 4 <= end; c += 4)
        join(f, j, g, p, c, g->blocks, 4);
    for (; c < end; c++)
        join(f, j, g, p, c, g->blocks, 1);
}

/* The tiles of group g (none when it has no blocks, but the last states of `done` are stored) beside the joining of group `done`, if any. Constants
 * and no `few` for whole groups of whole tiles. */
INLINE void steps(const struct quant_form f, struct job *j, struct group *g, struct group *done, const int units, const int units_done,
                  const int n_panels, const int n_columns, rest_fn *few)
{
    const int halves = f.group == 16 ? 2 : 1;
    float(*before)[TILE][KERNEL_PANEL] = done ? done->sum[units_done - 1] : NULL;
    UNROLL for (int step = 0; step < STEPS; step++)
    {
        if (step / 2 < units || step < 2)
            products(j, g, before, step, halves, units, n_panels);
        if (step % 2)
            before = step / 2 < units ? g->sum[step / 2] : NULL;
        if (step % (2 * halves) == 0 && step / 2 < units)
            inputs(f, g, step / 2 / halves, (size_t)j->m->n_in / KERNEL_BLOCK, n_columns);
        if (!few) {
            join(f, j, done, step, 0, UNITS / halves, 8);
            join(f, j, done, step, 8, UNITS / halves, 8);
        } else if (done && step < n_panels)
            few(j, done, step, 0, n_columns);
    }
}
_Static_assert(STEPS == PANELS, "a step joins a panel");

/* n_tiles times n_columns columns from `column` on, with the blocks of the chunk, which starts at block `from`. */
INLINE void columns(const struct quant_form f, rest_fn *few, struct job *j, size_t from, int column, int n_tiles)
{
    const int halves = f.group == 16 ? 2 : 1, of_group = UNITS / halves;
    const size_t nb = (size_t)j->m->n_in / KERNEL_BLOCK;
    struct group *done = NULL;
    for (int t = 0, block = 0, turn = 0;; turn = !turn) {
        struct group *g = &j->group[turn];
        g->column = column + t * j->n_columns, g->block = block;
        g->blocks = t == n_tiles ? 0 : j->blocks - block < of_group ? j->blocks - block : of_group;
        g->x = (const struct act8 *)j->m->x + (size_t)g->column * nb + from + (size_t)block;
        if (done && done->block == 0 && (j->first || !j->alone))
            start(j, done->column);
        if (done && done->blocks == of_group && g->blocks == of_group && j->n_panels == PANELS && j->n_columns == TILE)
            steps(f, j, g, done, UNITS, UNITS, PANELS, TILE, NULL);
        else
            steps(f, j, g, done, g->blocks * halves, done ? done->blocks * halves : 0, j->n_panels, j->n_columns, few);
        if (done && done->block + done->blocks == j->blocks && (j->last || !j->alone))
            finish(j, done->column);
        if (t == n_tiles)
            return;
        block += g->blocks;
        done = g;
        if (block == j->blocks)
            block = 0, t++;
    }
}

static void configure(const struct quant_form f, struct job *j, int n_columns)
{
    struct tile_config t = {.palette = 1};
    const int k = f.group == 16 ? 16 : 32; /* bytes of inputs to a unit */
    for (int i = 0; i < 8; i++) {
        t.rows[i] = (uint8_t)(i < 6 ? n_columns : k / 4);
        t.bytes[i] = (uint16_t)(i == 4 || i == 5 ? k : 64);
    }
    j->n_columns = n_columns;
    TILE_CONFIG(&t);
}

/* Up to PANELS panels, all columns but the last few. */
INLINE void panels(const struct quant_form f, rest_fn *few, struct job *j, const struct kernel_panel at, const uint8_t *w, int n_tiles, int tail)
{
    size_t nb = (size_t)j->m->n_in / KERNEL_BLOCK;
    j->alone = n_tiles + (tail > 0) == 1;
    j->n_panels = (j->row1 - j->row + KERNEL_PANEL - 1) / KERNEL_PANEL;
    for (size_t from = 0; from < nb; from += CHUNK) {
        size_t n = nb - from < CHUNK ? nb - from : CHUNK;
        j->blocks = (int)n, j->first = from == 0, j->last = from + n == nb;
        for (int p = 0; p < j->n_panels; p++)
            unpack(f, at, &j->w, p, w + (size_t)p * at.bytes, from, n);
        if (n_tiles) {
            if (tail || (from == 0 && j->n_columns != TILE))
                configure(f, j, TILE);
            columns(f, few, j, from, 0, n_tiles);
        }
        if (tail) {
            if (n_tiles || j->n_columns != tail)
                configure(f, j, tail);
            columns(f, few, j, from, n_tiles * TILE, 1);
        }
    }
}

static void tail_of(kernel_matmul_fn *vector, const struct kernel_matmul *m, int column, int row, int row1)
{
    struct kernel_matmul t = *m;
    t.y += (size_t)column * m->y_stride;
    t.x = (const struct act8 *)m->x + (size_t)column * ((size_t)m->n_in / KERNEL_BLOCK);
    t.n = m->n - column;
    vector(&t, row, row1);
}

INLINE void tiles(const struct quant_form f, rest_fn *few, kernel_matmul_fn *vector, const struct kernel_matmul *m, int row0, int row1)
{
    int n_tiles = m->n / TILE, tail = m->n % TILE >= FEWEST ? m->n % TILE : 0, done = n_tiles * TILE + tail;
    if (m->n < ENOUGH || m->n_in == 0) {
        vector(m, row0, row1);
        return;
    }
    const struct kernel_panel at = kernel_panel(f, (size_t)m->n_in);
    struct job j;
    j.m = m, j.n_columns = 0;
    for (int row = row0; row < row1; row += PANELS * KERNEL_PANEL) {
        j.row = row, j.row1 = row1 - row < PANELS * KERNEL_PANEL ? row1 : row + PANELS * KERNEL_PANEL;
        panels(f, few, &j, at, (const uint8_t *)m->w + (size_t)row / KERNEL_PANEL * at.bytes, n_tiles, tail);
        if (done < m->n)
            tail_of(vector, m, done, row, j.row1);
    }
    TILE_RELEASE();
}

/* Not inlined: compiled once a type, at no cost that could be measured. */
#define TILES(op)                                                                                                                                    \
    static __attribute__((noinline)) void rest_##op(struct job *j, const struct group *g, int p, int c, int end)                                     \
    {                                                                                                                                                \
        rest(form_##op, j, g, p, c, end);                                                                                                            \
    }                                                                                                                                                \
    void matmul_##op##_amx(const struct kernel_matmul *m, int row0, int row1)                                                                        \
    {                                                                                                                                                \
        tiles(form_##op, rest_##op, matmul_##op##_avx512, m, row0, row1);                                                                            \
    }
TILES(q4_0)
TILES(q8_0)
TILES(q4_1)
TILES(q5_0)
TILES(q5_1)
TILES(q2_k)
TILES(q3_k)
TILES(q4_k)
TILES(q5_k)
TILES(q6_k)
