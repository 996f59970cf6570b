/* Products with weights in BF16 and F16 through AMX: tiles of 16 rows and 16 columns, two by two. The weights are the left operand, row by row as the
 * file has them, so that nothing is packed or held twice; the inputs, rounded to bf16, come in pairs (kernel.h: kernel_pairs). A sum stays in its
 * tile register over all inputs, in their order, whatever the number of columns; denormals count as zero.
 *
 * BF16 takes the rounded inputs alone. A weight in F16, w, has 11 significant bits and is the sum of two values in bf16 exactly; with x split
 * likewise, three products (all but that of what is left with what is left, 2^-16 of w x at most) are nearly float's, at a third of the speed. One
 * product with x rounded to 8 bits was not good enough: a tiny model's top token differed from llama.cpp's where that was sure. */
#include "kernel/amx/tile_int.h"

enum { TILE = 16, BLOCK = 32 /* rows, and columns, of two tiles; inputs of one */, CHUNK = 256, COLUMNS = 256, AHEAD_MAX = 1 << 20 };

/* The upper half of each lane of two vectors. */
static const uint16_t odd_words[BLOCK] __attribute__((aligned(KERNEL_LINE))) = {1,  3,  5,  7,  9,  11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31,
                                                                                33, 35, 37, 39, 41, 43, 45, 47, 49, 51, 53, 55, 57, 59, 61, 63};

/* Tiles (row, column) whose sums are complete and go to y (column, row) beside the next products: those leave the load ports half idle. */
struct done {
    const float (*sum)[TILE][TILE];
    int row, n_rows, column, n_columns, next; /* next: of the pieces, one a column and tile of rows */
};

struct job {
    bf16 high[BLOCK][CHUNK], low[BLOCK][CHUNK];    /* F16: the weights of a chunk of inputs */
    bf16 rest[BLOCK][BLOCK];                       /* BF16: the last inputs, where they are no whole tile */
    float sum[COLUMNS / BLOCK + 1][4][TILE][TILE]; /* tiles between chunks, and tiles that are complete */
    const struct kernel_matmul *m;
    int row, n_rows, n_columns; /* of the tiles as configured */
    struct done done;
} __attribute__((aligned(KERNEL_LINE)));

/* Tiles 0 to 3: sums of (rows, columns) (first, first), (first, second), (second, first), (second, second); 4, 5: weights; 6, 7: inputs. */
static void configure(struct job *j, int n_rows, int n_columns)
{
    if (j->n_rows == n_rows && j->n_columns == n_columns)
        return;
    struct tile_config t = {.palette = 1};
    int rows[2] = {n_rows < TILE ? n_rows : TILE, n_rows - TILE}, columns[2] = {n_columns < TILE ? n_columns : TILE, n_columns - TILE};
    for (int i = 0; i < 8; i++) {
        int r = rows[i == 2 || i == 3 || i == 5], c = columns[i == 1 || i == 3 || i == 7];
        r = i >= 6 ? TILE : r, c = i == 4 || i == 5 ? TILE : c;
        t.rows[i] = (uint8_t)(r > 0 ? r : 1); /* a register without rows may not be zeroed */
        t.bytes[i] = (uint16_t)(c > 0 ? 4 * c : 4);
    }
    TILE_CONFIG(&t);
    j->n_rows = n_rows, j->n_columns = n_columns;
}

/* One tile's worth of inputs with weights at w0, w1 (rows `stride` bytes apart) and inputs at x0, x1. */
INLINE void products(const char *w0, const char *w1, size_t stride, const char *x0, const char *x1, size_t x0_stride, size_t x1_stride)
{
    TILE_LOAD(6, x0, x0_stride);
    TILE_LOAD(4, w0, stride);
    TILE_DOT_BF16(0, 4, 6);
    if (x1) {
        TILE_LOAD(7, x1, x1_stride);
        TILE_DOT_BF16(1, 4, 7);
    }
    if (w1) {
        TILE_LOAD(5, w1, stride);
        TILE_DOT_BF16(2, 5, 6);
        if (x1)
            TILE_DOT_BF16(3, 5, 7);
    }
}

INLINE void zero_sums(void)
{
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
}

INLINE void load_sums(float (*sum)[TILE][TILE], bool second_rows, bool second_columns)
{
    TILE_LOAD(0, sum[0], KERNEL_LINE);
    if (second_columns)
        TILE_LOAD(1, sum[1], KERNEL_LINE);
    if (second_rows) {
        TILE_LOAD(2, sum[2], KERNEL_LINE);
        if (second_columns)
            TILE_LOAD(3, sum[3], KERNEL_LINE);
    }
}

INLINE void store_sums(float (*sum)[TILE][TILE], bool second_rows, bool second_columns)
{
    TILE_STORE(0, sum[0], KERNEL_LINE);
    if (second_columns)
        TILE_STORE(1, sum[1], KERNEL_LINE);
    if (second_rows) {
        TILE_STORE(2, sum[2], KERNEL_LINE);
        if (second_columns)
            TILE_STORE(3, sum[3], KERNEL_LINE);
    }
}

/* The next `pieces` columns of what is complete. */
INLINE void put(struct job *j, int pieces)
{
    const struct kernel_matmul *m = j->m;
    struct done *d = &j->done;
    const __m512i lanes = _mm512_setr_epi32(0, 16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240);
    for (; d->next < d->n_columns * (d->n_rows > TILE ? 2 : 1) && pieces; d->next++, pieces--) {
        int half = d->next >= d->n_columns, c = d->next - half * d->n_columns, row = d->row + half * TILE, left = d->n_rows - half * TILE;
        __mmask16 rows = (__mmask16)(left < TILE ? (1u << left) - 1 : 0xffff);
        __m512 v = _mm512_i32gather_ps(lanes, &d->sum[half * 2 + c / TILE][0][c % TILE], 4);
        if (m->bias)
            v = _mm512_add_ps(v, _mm512_maskz_loadu_ps(rows, m->bias + row));
        _mm512_mask_storeu_ps(m->y + (size_t)(d->column + c) * m->y_stride + row, rows, v);
    }
}

/* The tiles at `sum` are complete; what was complete before goes out. */
INLINE void complete(struct job *j, float (*sum)[TILE][TILE], int column)
{
    put(j, 2 * BLOCK);
    j->done = (struct done){(const float(*)[TILE][TILE])sum, j->row, j->n_rows, column, j->n_columns, 0};
}

/* All inputs of up to BLOCK rows and columns from `column` on. */
static void block_bf16(struct job *j, int n_rows, int column, int n_columns, float (*sum)[TILE][TILE])
{
    const struct kernel_matmul *m = j->m;
    size_t n_in = (size_t)m->n_in, stride = n_in * sizeof(bf16), x0_stride = 4 * (size_t)(n_columns < TILE ? n_columns : TILE), k = 0;
    size_t x1_stride = 4 * (size_t)(n_columns - TILE), tile = 2 * kernel_pairs(n_in) * TILE * 4;
    const char *w0 = (const char *)m->w + (size_t)j->row * stride, *w1 = n_rows > TILE ? w0 + TILE * stride : NULL;
    const char *x0 = (const char *)m->x + (size_t)column / TILE * tile, *x1 = n_columns > TILE ? x0 + tile : NULL;
    const bool ahead = column == 0 && n_rows == BLOCK && stride * BLOCK <= AHEAD_MAX;
    configure(j, n_rows, n_columns);
    zero_sums();
    for (; k + BLOCK <= n_in; k += BLOCK) {
        for (int r = 0; ahead && r < BLOCK; r++) /* the next rows, in the order in which they lie */
            _mm_prefetch(w0 + BLOCK * stride + BLOCK * sizeof(bf16) * k + (size_t)r * KERNEL_LINE, _MM_HINT_T1);
        products(w0 + 2 * k, w1 ? w1 + 2 * k : NULL, stride, x0 + k / 2 * x0_stride, x1 ? x1 + k / 2 * x1_stride : NULL, x0_stride, x1_stride);
        put(j, 3);
    }
    if (k < n_in) {
        for (int r = 0; r < n_rows; r++)
            memcpy(j->rest[r], w0 + (size_t)r * stride + 2 * k, 2 * (n_in - k));
        products((char *)j->rest, w1 ? (char *)j->rest[TILE] : NULL, sizeof j->rest[0], x0 + k / 2 * x0_stride, x1 ? x1 + k / 2 * x1_stride : NULL,
                 x0_stride, x1_stride);
    }
    store_sums(sum, w1 != NULL, x1 != NULL);
    complete(j, sum, column);
}

void matmul_bf16_amx(const struct kernel_matmul *m, int row0, int row1)
{
    struct job j;
    int turn = 0;
    j.m = m, j.n_rows = j.n_columns = 0, j.done = (struct done){0};
    memset(j.rest, 0, sizeof j.rest);
    for (int row = row0; row < row1; row += BLOCK) {
        j.row = row;
        for (int c = 0; c < m->n; c += BLOCK, turn = !turn)
            block_bf16(&j, row1 - row < BLOCK ? row1 - row : BLOCK, c, m->n - c < BLOCK ? m->n - c : BLOCK, j.sum[turn]);
    }
    put(&j, 2 * BLOCK);
    TILE_RELEASE();
}

/* The upper halves of the lanes of a and b. */
INLINE __m512i upper(__m512i a, __m512i b)
{
    return _mm512_permutex2var_epi16(a, _mm512_loadu_si512(odd_words), b);
}

/* To the nearest bf16, ties away from zero. (Infinity leaves NaN, so the sums that it is in become NaN.) */
INLINE __m512i cut(__m512 w)
{
    return _mm512_and_si512(_mm512_add_epi32(_mm512_castps_si512(w), _mm512_set1_epi32(0x8000)), _mm512_set1_epi32((int)0xffff0000));
}
INLINE __m512i left(__m512 w, __m512i high)
{
    return _mm512_castps_si512(_mm512_sub_ps(w, _mm512_castsi512_ps(high)));
}

/* 32 weights. */
INLINE void split(bf16 *high, bf16 *low, __m512 w0, __m512 w1)
{
    __m512i h0 = cut(w0), h1 = cut(w1);
    _mm512_storeu_si512(high, upper(h0, h1));
    _mm512_storeu_si512(low, upper(left(w0, h0), left(w1, h1)));
}

INLINE VEC get(const f16 *w, size_t i, size_t n)
{
    return i + LANES <= n ? vec_get_f16(w + i) : i < n ? vec_get_n_f16(w + i, n - i) : vec_set(0);
}

/* Inputs k to k + n - 1 of the rows at hand; what is missing to a whole tile is zero. */
static void split_rows(struct job *j, int n_rows, size_t k, size_t n)
{
    size_t n_in = (size_t)j->m->n_in;
    const f16 *w = (const f16 *)j->m->w + (size_t)j->row * n_in + k;
    for (int r = 0; r < n_rows; r++, w += n_in) {
        size_t i = 0;
        for (; i + BLOCK <= n; i += BLOCK)
            split(j->high[r] + i, j->low[r] + i, vec_get_f16(w + i), vec_get_f16(w + i + LANES));
        if (i < n)
            split(j->high[r] + i, j->low[r] + i, get(w, i, n), get(w, i + LANES, n));
    }
}

/* The inputs of a chunk, starting at input k. */
static void block_f16(struct job *j, int n_rows, int column, int n_columns, size_t k, size_t n)
{
    const struct kernel_matmul *m = j->m;
    size_t x0_stride = 4 * (size_t)(n_columns < TILE ? n_columns : TILE), x1_stride = 4 * (size_t)(n_columns - TILE);
    size_t pairs = kernel_pairs((size_t)m->n_in), tile = 2 * pairs * TILE * 4;
    const char *x0 = (const char *)m->x + (size_t)column / TILE * tile + k / 2 * x0_stride;
    const char *x1 = n_columns > TILE ? (const char *)m->x + (size_t)(column / TILE + 1) * tile + k / 2 * x1_stride : NULL;
    float(*sum)[TILE][TILE] = j->sum[column % COLUMNS / BLOCK];
    const bool second = n_rows > TILE;
    configure(j, n_rows, n_columns);
    if (k)
        load_sums(sum, second, x1 != NULL);
    else
        zero_sums();
    for (size_t i = 0; i < n; i += BLOCK, x0 += TILE * x0_stride, x1 = x1 ? x1 + TILE * x1_stride : NULL) {
        products((char *)&j->high[0][i], second ? (char *)&j->high[TILE][i] : NULL, sizeof j->high[0], x0, x1, x0_stride, x1_stride);
        products((char *)&j->low[0][i], second ? (char *)&j->low[TILE][i] : NULL, sizeof j->low[0], x0, x1, x0_stride, x1_stride);
        products((char *)&j->high[0][i], second ? (char *)&j->high[TILE][i] : NULL, sizeof j->high[0], x0 + pairs * x0_stride,
                 x1 ? x1 + pairs * x1_stride : NULL, x0_stride, x1_stride);
        put(j, 3);
    }
    store_sums(sum, second, x1 != NULL);
    if (k + n == (size_t)m->n_in)
        complete(j, sum, column);
}

void matmul_f16_amx(const struct kernel_matmul *m, int row0, int row1)
{
    struct job j;
    j.m = m, j.n_rows = j.n_columns = 0, j.done = (struct done){0};
    for (int c0 = 0; c0 < m->n; c0 += COLUMNS)
        for (int row = row0; row < row1; row += BLOCK) {
            int n_rows = row1 - row < BLOCK ? row1 - row : BLOCK, end = m->n - c0 < COLUMNS ? m->n : c0 + COLUMNS;
            j.row = row;
            for (size_t k = 0, n; k < (size_t)m->n_in; k += n) {
                n = (size_t)m->n_in - k < CHUNK ? (size_t)m->n_in - k : CHUNK;
                split_rows(&j, n_rows, k, n);
                for (int c = c0; c < end; c += BLOCK)
                    block_f16(&j, n_rows, c, end - c < BLOCK ? end - c : BLOCK, k, n);
            }
            put(&j, 2 * BLOCK); /* the sums of the next rows take the place of these */
        }
    TILE_RELEASE();
}

/* To bf16, to nearest even, in the upper half of each lane; NaN stays NaN. */
INLINE __m512i round_16(__m512 x)
{
    __m512i u = _mm512_castps_si512(x), odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i near = _mm512_add_epi32(_mm512_add_epi32(u, odd), _mm512_set1_epi32(0x7fff)), quiet = _mm512_or_si512(u, _mm512_set1_epi32(0x400000));
    __mmask16 number = _mm512_cmp_ps_mask(x, x, _CMP_EQ_OQ);
    return _mm512_castps_si512(_mm512_mask_mov_ps(_mm512_castsi512_ps(quiet), number, _mm512_castsi512_ps(near)));
}

INLINE __m512 input(const float *x, size_t k, size_t n_in)
{
    return k + LANES <= n_in ? vec_get_f32(x + k) : k < n_in ? vec_get_n_f32(x + k, n_in - k) : vec_set(0);
}

/* Of 32 inputs of up to 16 columns: rows of `part` are columns, which the gather turns. */
INLINE void turn(bf16 *out, bf16 (*part)[BLOCK], int cols)
{
    const __m512i lanes = _mm512_setr_epi32(0, 16, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240);
    __mmask16 some = (__mmask16)(cols < TILE ? (1u << cols) - 1 : 0xffff);
    for (int i = 0; i < TILE; i++, out += 2 * cols)
        _mm512_mask_storeu_ps((float *)(void *)out, some, _mm512_i32gather_ps(lanes, (const float *)(const void *)part + i, 4));
}

void pairs_amx(bf16 *out, const float *x, int n, size_t n_in)
{
    const __m512i top = _mm512_set1_epi32((int)0xffff0000);
    bf16 high[TILE][BLOCK] __attribute__((aligned(KERNEL_LINE))) = {{0}}, low[TILE][BLOCK] __attribute__((aligned(KERNEL_LINE))) = {{0}};
    for (int c0 = 0; c0 < n; c0 += TILE, x += TILE * n_in) {
        int cols = n - c0 < TILE ? n - c0 : TILE;
        size_t part = 2 * kernel_pairs(n_in) * (size_t)cols;
        for (size_t k = 0; k < n_in; k += BLOCK, out += BLOCK * cols) {
            for (int c = 0; c < cols; c++) {
                const float *from = x + (size_t)c * n_in;
                __m512 v0 = input(from, k, n_in), v1 = input(from, k + LANES, n_in);
                __m512i h0 = round_16(v0), h1 = round_16(v1);
                __m512 l0 = _mm512_sub_ps(v0, _mm512_castsi512_ps(_mm512_and_si512(h0, top)));
                __m512 l1 = _mm512_sub_ps(v1, _mm512_castsi512_ps(_mm512_and_si512(h1, top)));
                _mm512_storeu_si512(high[c], upper(h0, h1));
                _mm512_storeu_si512(low[c], upper(round_16(l0), round_16(l1)));
            }
            turn(out, high, cols);
            turn(out + part, low, cols);
        }
        out += part;
    }
}
