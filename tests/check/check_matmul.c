/* Matrix products: every tail of rows, inputs and columns; slices and columns alone bit-equal to the whole. */
#include "check.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct form {
    uint32_t type;
    kernel_matmul_fn *scalar;
    bool packed;
    size_t (*panel)(size_t);
};

static size_t panel_q4_0(size_t n)
{
    return kernel_panel_q4_0(n);
}
static size_t panel_q8_0(size_t n)
{
    return kernel_panel_q8_0(n);
}
static const struct form forms[] = {
    {QUANT_Q4_0, matmul_q4_0_scalar, true, panel_q4_0}, {QUANT_Q8_0, matmul_q8_0_scalar, true, panel_q8_0},
    {QUANT_F32, matmul_f32_scalar, false, NULL},        {QUANT_F16, matmul_f16_scalar, false, NULL},
    {QUANT_BF16, matmul_bf16_scalar, false, NULL},
};

struct problem {
    const struct form *form;
    int n_out, n_in, n;
    struct guard w, x, bias, magnitude; /* magnitude (n, n_out): the sum of the absolute products */
    bool with_bias;
};

/* Any bytes are weights; scales are ordinary numbers. Quantised inputs reach both ends of int8. */
static void fill_packed(struct problem *p, int kind)
{
    size_t panels = ((size_t)p->n_out + KERNEL_PANEL - 1) / KERNEL_PANEL, bytes = p->form->panel((size_t)p->n_in),
           nb = (size_t)p->n_in / KERNEL_BLOCK;
    guard_new(&p->w, panels * bytes);
    for (size_t i = 0; i < p->w.n; i++)
        ((uint8_t *)p->w.p)[i] = kind == 1 && next_random() % 2 ? (next_random() % 2 ? 255 : 0) : (uint8_t)next_random();
    for (size_t i = 0; i < panels; i++)
        for (size_t j = 0; j < nb * KERNEL_PANEL; j++) {
            float s = (float)(int32_t)next_random() * 0x1p-31f;
            ((f16 *)(void *)((char *)p->w.p + i * bytes))[j] = f16_from_f32(kind == 3 ? s * 1e-6f : s);
        }
    guard_new(&p->x, (size_t)p->n * nb * sizeof(struct act8));
    struct act8 *x = p->x.p;
    for (size_t b = 0; b < (size_t)p->n * nb; b++) {
        float d;
        fill(&d, 1, kind);
        x[b].d = d;
        x[b].sum = 0;
        for (int k = 0; k < KERNEL_BLOCK; k++) {
            x[b].q[k] = (int8_t)(kind == 4 ? 0 : kind == 1 ? (next_random() % 2 ? 127 : -127) : (int)(next_random() % 255) - 127);
            x[b].sum += x[b].q[k];
        }
    }
}

static void fill_float(struct problem *p, int kind)
{
    const struct quant_info *q = quant_info(p->form->type);
    size_t n = (size_t)p->n_out * (size_t)p->n_in;
    float *values = malloc(n * sizeof *values);
    fill(values, n, kind);
    guard_new(&p->w, n * q->bytes);
    q->encode(p->w.p, values, n);
    free(values);
    guard_new(&p->x, (size_t)p->n * (size_t)p->n_in * sizeof(float));
    fill(p->x.p, (size_t)p->n * (size_t)p->n_in, kind);
}

/* The same problem with every factor made positive gives the sums of the absolute products. */
static void magnitudes(struct problem *p)
{
    guard_new(&p->magnitude, (size_t)p->n * (size_t)p->n_out * sizeof(double));
    double *m = p->magnitude.p;
    size_t nb = (size_t)p->n_in / KERNEL_BLOCK, n_in = (size_t)p->n_in;
    float *row = malloc(n_in * sizeof *row);
    for (size_t r = 0; r < (size_t)p->n_out; r++)
        for (size_t c = 0; c < (size_t)p->n; c++) {
            double sum = p->with_bias ? fabs((double)((float *)p->bias.p)[r]) : 0;
            if (!p->form->packed) {
                const struct quant_info *q = quant_info(p->form->type);
                q->decode(row, (char *)p->w.p + r * n_in * q->bytes, n_in);
                for (size_t k = 0; k < n_in; k++)
                    sum += fabs((double)row[k] * (double)((float *)p->x.p)[c * n_in + k]);
            } else {
                const char *panel = (char *)p->w.p + r / KERNEL_PANEL * p->form->panel(n_in);
                const uint8_t *q = (const uint8_t *)panel + kernel_panel_scales(n_in);
                bool four = p->form->type == QUANT_Q4_0;
                for (size_t b = 0; b < nb; b++) {
                    const struct act8 *x = (struct act8 *)p->x.p + c * nb + b;
                    double s = fabs((double)f16_to_f32(((const f16 *)(const void *)panel)[b * KERNEL_PANEL + r % KERNEL_PANEL]) * (double)x->d);
                    for (size_t k = 0; k < KERNEL_BLOCK; k++) {
                        uint8_t byte = q[(b * (four ? 4 : 8) + k % (four ? 16 : 32) / 4) * 64 + r % KERNEL_PANEL * 4 + k % 4];
                        int w = four ? (k < 16 ? byte & 15 : byte >> 4) - 8 : byte - 128;
                        sum += s * abs(w * x->q[k]);
                    }
                }
            }
            m[c * (size_t)p->n_out + r] = sum;
        }
    free(row);
}

static struct kernel_matmul call(const struct problem *p, float *y, int c0, int n)
{
    size_t x_row = p->form->packed ? (size_t)p->n_in / KERNEL_BLOCK * sizeof(struct act8) : (size_t)p->n_in * sizeof(float);
    return (struct kernel_matmul){.y = y,
                                  .y_stride = (size_t)p->n_out,
                                  .w = p->w.p,
                                  .x = (char *)p->x.p + (size_t)c0 * x_row,
                                  .bias = p->with_bias ? p->bias.p : NULL,
                                  .n = n,
                                  .n_in = p->n_in,
                                  .n_out = p->n_out};
}

static bool untouched(const float *y)
{
    return *(const uint32_t *)(const void *)y == 0xffffffff;
}

static const char *compare(const struct problem *p, kernel_matmul_fn *kernel, double tolerance)
{
    const char *text = NULL;
    size_t n_out = (size_t)p->n_out, n = (size_t)p->n;
    struct guard whole, part, want;
    guard_new(&whole, n * n_out * sizeof(float));
    guard_new(&want, n * n_out * sizeof(float));
    struct kernel_matmul m = call(p, whole.p, 0, p->n), s = call(p, want.p, 0, p->n);
    kernel(&m, 0, p->n_out);
    p->form->scalar(&s, 0, p->n_out);
    const float *got = whole.p, *ref = want.p;
    for (size_t i = 0; i < n * n_out && !text; i++)
        if (untouched(&got[i]) || !near((double)got[i], (double)ref[i], eps(tolerance) * ((double *)p->magnitude.p)[i] + 1e-40))
            text = found("%d x %d, %d columns: row %zu of column %zu is %.9g, not %.9g", p->n_out, p->n_in, p->n, i % n_out, i / n_out,
                         (double)got[i], (double)ref[i]);
    for (int row = 0; row < p->n_out && !text; row += 2 * KERNEL_PANEL) { /* a slice is that part of the whole, and writes nothing else */
        int end = row + 2 * KERNEL_PANEL < p->n_out ? row + 2 * KERNEL_PANEL : p->n_out;
        guard_new(&part, n * n_out * sizeof(float));
        m = call(p, part.p, 0, p->n);
        kernel(&m, row, end);
        for (size_t i = 0; i < n * n_out && !text; i++)
            if ((int)(i % n_out) < row || (int)(i % n_out) >= end ? !untouched((float *)part.p + i)
                                                                  : memcmp((float *)part.p + i, &got[i], sizeof *got) != 0)
                text = found("%d x %d, %d columns: rows %d to %d alone differ in row %zu", p->n_out, p->n_in, p->n, row, end, i % n_out);
        guard_free(&part);
    }
    for (int c = 0; c < p->n && !text; c++) { /* a column alone is that column */
        guard_new(&part, n_out * sizeof(float));
        m = call(p, part.p, c, 1);
        kernel(&m, 0, p->n_out);
        if (memcmp(part.p, got + (size_t)c * n_out, n_out * sizeof *got) != 0)
            text = found("%d x %d: column %d of %d differs when it is alone", p->n_out, p->n_in, c, p->n);
        guard_free(&part);
    }
    guard_free(&whole), guard_free(&want);
    return text;
}

static const char *problem(const struct form *f, kernel_matmul_fn *kernel, double tolerance, int n_out, int n_in, int n, int kind)
{
    struct problem p = {.form = f, .n_out = n_out, .n_in = n_in, .n = n, .with_bias = kind % 2 == 0};
    guard_new(&p.bias, (size_t)n_out * sizeof(float));
    fill(p.bias.p, (size_t)n_out, 0);
    if (f->packed)
        fill_packed(&p, kind);
    else
        fill_float(&p, kind);
    magnitudes(&p);
    guard_read_only(&p.w), guard_read_only(&p.x), guard_read_only(&p.bias);
    const char *text = compare(&p, kernel, tolerance);
    guard_free(&p.w), guard_free(&p.x), guard_free(&p.bias), guard_free(&p.magnitude);
    return text;
}

static const char *check(int form, any_fn *kernel, double tolerance)
{
    const struct form *f = &forms[form];
    const int step = f->packed ? KERNEL_BLOCK : 1;
    const char *text = NULL;
    for (int n_out = 1; n_out <= 67 && !text; n_out += n_out < 34 ? 1 : 11)
        text = problem(f, (kernel_matmul_fn *)kernel, tolerance, n_out, step * (1 + n_out % 5), 1 + n_out % 9, n_out % FILLS);
    for (int n_in = 1; n_in <= 67 && !text; n_in++)
        text = problem(f, (kernel_matmul_fn *)kernel, tolerance, 5 + 16 * (n_in % 2), n_in * step, 1 + n_in % 3, n_in % FILLS);
    for (int n = 1; n <= 21 && !text; n++)
        for (int kind = 0; kind < FILLS && !text; kind++)
            text = problem(f, (kernel_matmul_fn *)kernel, tolerance, 19, 96, n, kind);
    return text;
}

const char *check_matmul_q4_0(any_fn *kernel, double tolerance)
{
    return check(0, kernel, tolerance);
}
const char *check_matmul_q8_0(any_fn *kernel, double tolerance)
{
    return check(1, kernel, tolerance);
}
const char *check_matmul_f32(any_fn *kernel, double tolerance)
{
    return check(2, kernel, tolerance);
}
const char *check_matmul_f16(any_fn *kernel, double tolerance)
{
    return check(3, kernel, tolerance);
}
const char *check_matmul_bf16(any_fn *kernel, double tolerance)
{
    return check(4, kernel, tolerance);
}
