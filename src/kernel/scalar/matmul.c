/* The specification of the matrix products. */
#include "kernel/kernel.h"

/* 32 inputs at x with block number b of row r: exact integer sums, then one rounding after the other in double. */
static double dot_32(struct quant_form f, struct kernel_panel at, const uint8_t *panel, const struct act8 *x, size_t b, size_t r)
{
    size_t i = b * KERNEL_BLOCK / f.block, in = b % (f.block / KERNEL_BLOCK);
    const uint8_t *rec = panel + at.body + i * at.record, *c = rec + at.code + in * at.codes;
    double d = (double)quant_scale(&f, ((const f16 *)(const void *)panel)[i * KERNEL_PANEL + r]), m = 0;
    int    sum = 0, mins = 0;
    for (size_t k = 0; k < KERNEL_BLOCK; k++)
        sum += quant_value(&f, kernel_panel_code(f, c, r, k)) * kernel_panel_scale(f, rec, in, k / 16, r) * x->q[k];
    if (f.min) {
        m = (double)f16_to_f32(((const f16 *)(const void *)(panel + at.m))[i * KERNEL_PANEL + r]);
        for (size_t h = 0; h < 2; h++) /* a minimum is added where it is a value, subtracted where it is an integer: as the formats have it */
            mins += x->sum[h] * (f.group ? -kernel_panel_min(f, rec, in, h, r) : 1);
    }
    return (double)x->d * (d * sum + m * mins);
}

static void packed(struct quant_form f, const struct kernel_matmul *m, int row0, int row1)
{
    size_t nb = (size_t)m->n_in / KERNEL_BLOCK;
    struct kernel_panel at = kernel_panel(f, (size_t)m->n_in);
    for (int c = 0; c < m->n; c++)
        for (int row = row0; row < row1; row++) {
            const uint8_t *panel = (const uint8_t *)m->w + (size_t)row / KERNEL_PANEL * at.bytes;
            double sum = m->bias ? (double)m->bias[row] : 0;
            for (size_t b = 0; b < nb; b++)
                sum += dot_32(f, at, panel, (const struct act8 *)m->x + (size_t)c * nb + b, b, (size_t)row % KERNEL_PANEL);
            m->y[(size_t)c * m->y_stride + (size_t)row] = (float)sum;
        }
}

#define QUANT_FLOAT(name, op, id, blk, bytes)
#define QUANT_BLOCK(name, op, id, blk, bytes, bits, zero, group, min, values)                                                              \
    void matmul_##op##_scalar(const struct kernel_matmul *m, int row0, int row1) { packed(form_##op, m, row0, row1); }
#include "quant/quant.def"
#undef QUANT_FLOAT
#undef QUANT_BLOCK

#define ROWS(name, type, value)                                                                                                            \
    void matmul_##name##_scalar(const struct kernel_matmul *m, int row0, int row1)                                                         \
    {                                                                                                                                      \
        size_t n_in = (size_t)m->n_in;                                                                                                     \
        for (int c = 0; c < m->n; c++) {                                                                                                   \
            const float *x = (const float *)m->x + (size_t)c * n_in;                                                                       \
            for (int r = row0; r < row1; r++) {                                                                                            \
                const type *w = (const type *)m->w + (size_t)r * n_in;                                                                     \
                double      sum = m->bias ? (double)m->bias[r] : 0;                                                                        \
                for (size_t k = 0; k < n_in; k++)                                                                                          \
                    sum += (double)value(w[k]) * (double)x[k];                                                                             \
                m->y[(size_t)c * m->y_stride + (size_t)r] = (float)sum;                                                                    \
            }                                                                                                                              \
        }                                                                                                                                  \
    }
ROWS(f32, float, )
ROWS(f16, f16, f16_to_f32)
ROWS(bf16, bf16, bf16_to_f32)
