/* The specification of the matrix products. */
#include "kernel/kernel.h"

static double dot_packed(const struct kernel_matmul *m, int row, int c, size_t panel_bytes, int values_per_byte)
{
    size_t nb = (size_t)m->n_in / KERNEL_BLOCK, r = (size_t)row % KERNEL_PANEL;
    const uint8_t *panel = (const uint8_t *)m->w + (size_t)row / KERNEL_PANEL * panel_bytes;
    const f16     *scale = (const f16 *)panel;
    const uint8_t *q = panel + kernel_panel_scales((size_t)m->n_in);
    const struct act8 *x = (const struct act8 *)m->x + (size_t)c * nb;
    double sum = 0;
    for (size_t b = 0; b < nb; b++) {
        int dot = 0;
        for (size_t k = 0; k < KERNEL_BLOCK; k++) {
            int w;
            if (values_per_byte == 2) {
                uint8_t byte = q[(b * 4 + k % 16 / 4) * 64 + r * 4 + k % 4];
                w = (k < 16 ? byte & 15 : byte >> 4) - 8;
            } else {
                w = q[(b * 8 + k / 4) * 64 + r * 4 + k % 4] - 128;
            }
            dot += w * x[b].q[k];
        }
        sum += (double)f16_to_f32(scale[b * KERNEL_PANEL + r]) * (double)x[b].d * dot;
    }
    return sum;
}

void matmul_q4_0_scalar(const struct kernel_matmul *m, int row0, int row1)
{
    for (int c = 0; c < m->n; c++)
        for (int r = row0; r < row1; r++)
            m->y[(size_t)c * m->y_stride + (size_t)r] =
                (float)(dot_packed(m, r, c, kernel_panel_q4_0((size_t)m->n_in), 2) + (m->bias ? (double)m->bias[r] : 0));
}

void matmul_q8_0_scalar(const struct kernel_matmul *m, int row0, int row1)
{
    for (int c = 0; c < m->n; c++)
        for (int r = row0; r < row1; r++)
            m->y[(size_t)c * m->y_stride + (size_t)r] =
                (float)(dot_packed(m, r, c, kernel_panel_q8_0((size_t)m->n_in), 1) + (m->bias ? (double)m->bias[r] : 0));
}

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
