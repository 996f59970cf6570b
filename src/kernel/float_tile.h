/* Products with float weights, for any vector: a level's matmul_float.c includes this after its vec_int.h (VEC, LANES, vec_*) and instantiates
 * FLOAT_KERNEL for each format. Lanes are neighbouring inputs, so rows stay as the file has them. Each output has one vector of partial
 * sums, filled in the order of the inputs and summed at the end, whatever the tile. The first tile of some rows asks for the memory of the
 * next ones. */
#pragma once

/* FLOAT_COLUMNS (3 or 6): columns of a tile, as many as registers hold with the four rows. */
enum { ROWS = 4, LINE = 64, AHEAD_MAX = 16 << 10 /* bytes: more would push out what is in use */ };

#if FLOAT_COLUMNS == 6
#define FLOAT_MORE_COLUMNS(name)                                                                                                           \
    case 4: tile_##name(m, row, c0, ROWS, 4); break;                                                                                       \
    case 5: tile_##name(m, row, c0, ROWS, 5); break;                                                                                       \
    default: tile_##name(m, row, c0, ROWS, 6); break;
#else
#define FLOAT_MORE_COLUMNS(name)
#endif

#define FLOAT_KERNEL(type, name, symbol)                                                                                                   \
    INLINE void tile_##name(const struct kernel_matmul *m, int row, int c0, const int n_r, const int n_c)                                  \
    {                                                                                                                                      \
        size_t       n_in = (size_t)m->n_in, k = 0, left = n_in % LANES;                                                                   \
        const type  *w = (const type *)m->w + (size_t)row * n_in;                                                                          \
        const float *x = (const float *)m->x + (size_t)c0 * n_in;                                                                          \
        VEC          s[ROWS][FLOAT_COLUMNS], v[FLOAT_COLUMNS]; \
        UNROLL for (int r = 0; r < n_r; r++) UNROLL for (int c = 0; c < n_c; c++) s[r][c] = vec_set(0);                                    \
        for (; k + LANES <= n_in; k += LANES) {                                                                                            \
            if (n_r == ROWS && c0 == 0 && n_in * ROWS * sizeof *w <= AHEAD_MAX)                                                            \
                for (size_t i = 0; i < ROWS * LANES * sizeof *w; i += LINE)                                                                \
                    _mm_prefetch((const char *)(w + ROWS * (n_in + k)) + i, _MM_HINT_T0);                                                  \
            UNROLL for (int c = 0; c < n_c; c++) v[c] = vec_get_f32(x + (size_t)c * n_in + k);                                             \
            UNROLL for (int r = 0; r < n_r; r++)                                                                                           \
            {                                                                                                                              \
                VEC a = vec_get_##name(w + (size_t)r * n_in + k);                                                                          \
                UNROLL for (int c = 0; c < n_c; c++) s[r][c] = vec_fma(a, v[c], s[r][c]);                                                  \
            }                                                                                                                              \
        }                                                                                                                                  \
        if (left) {                                                                                                                        \
            UNROLL for (int c = 0; c < n_c; c++) v[c] = vec_get_n_f32(x + (size_t)c * n_in + k, left);                                     \
            UNROLL for (int r = 0; r < n_r; r++)                                                                                           \
            {                                                                                                                              \
                VEC a = vec_get_n_##name(w + (size_t)r * n_in + k, left);                                                                  \
                UNROLL for (int c = 0; c < n_c; c++) s[r][c] = vec_fma(a, v[c], s[r][c]);                                                  \
            }                                                                                                                              \
        }                                                                                                                                  \
        UNROLL for (int c = 0; c < n_c; c++)                                                                                               \
        {                                                                                                                                  \
            float *y = m->y + (size_t)(c0 + c) * m->y_stride + (size_t)row, sum[ROWS];                                                     \
            if (n_r == ROWS)                                                                                                               \
                vec_sum_four(sum, s[0][c], s[1][c], s[2][c], s[3][c]);                                                                     \
            else                                                                                                                           \
                sum[0] = vec_sum(s[0][c]);                                                                                                 \
            for (int r = 0; r < n_r; r++)                                                                                                  \
                y[r] = sum[r] + (m->bias ? m->bias[row + r] : 0);                                                                          \
        }                                                                                                                                  \
    }                                                                                                                                      \
    static void columns_##name(const struct kernel_matmul *m, int row, int c0, int n_c)                                                    \
    {                                                                                                                                      \
        switch (n_c) {                                                                                                                     \
        case 1: tile_##name(m, row, c0, ROWS, 1); break;                                                                                   \
        case 2: tile_##name(m, row, c0, ROWS, 2); break;                                                                                   \
        case 3: tile_##name(m, row, c0, ROWS, 3); break;                                                                                   \
        FLOAT_MORE_COLUMNS(name)                                                                                                           \
        }                                                                                                                                  \
    }                                                                                                                                      \
    void symbol(const struct kernel_matmul *m, int row0, int row1)                                                                         \
    {                                                                                                                                      \
        int row = row0;                                                                                                                    \
        for (; row + ROWS <= row1; row += ROWS)                                                                                            \
            for (int c = 0; c < m->n; c += FLOAT_COLUMNS)                                                                                  \
                columns_##name(m, row, c, m->n - c < FLOAT_COLUMNS ? m->n - c : FLOAT_COLUMNS);                                            \
        for (; row < row1; row++)                                                                                                          \
            for (int c = 0; c < m->n; c++)                                                                                                 \
                tile_##name(m, row, c, 1, 1);                                                                                              \
    }
