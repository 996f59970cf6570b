/* Matrix products: every tail of rows, inputs and columns; slices and columns alone bit-equal to the whole. */
#include "check.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct form {
    uint32_t type;
    kernel_matmul_fn *scalar;
};
#define QUANT_FLOAT(name, op, id, block, bytes)                         {id, matmul_##op##_scalar},
#define QUANT_BLOCK(name, op, id, block, bytes, bits, zero, group, min, values) {id, matmul_##op##_scalar},
static const struct form forms[] = {
#include "quant/quant.def"
};
#undef QUANT_FLOAT
#undef QUANT_BLOCK

/* Kernels that take their inputs in pairs of bf16. */
kernel_matmul_fn matmul_f16_amx_emulated, matmul_bf16_amx_emulated;
static bool takes_pairs(kernel_matmul_fn *k)
{
    return k == matmul_f16_amx || k == matmul_bf16_amx || k == matmul_f16_amx_emulated || k == matmul_bf16_amx_emulated;
}

struct problem {
    kernel_matmul_fn *scalar;
    const struct quant_info *type;
    struct kernel_panel at;
    bool packed, pairs;
    int n_out, n_in, n;
    struct guard w, x, bias, magnitude; /* magnitude (n, n_out): the sum of the absolute products */
    bool with_bias;
};

/* Any codes are weights, any integers that the format can hold are scales; half-precision scales are ordinary numbers. Kind 1 has the ends of
 * the ranges alone. */
static void fill_parts(struct quant_parts *p, const struct quant_form *f, int kind)
{
    static const int scale_max[] = {[2] = 15, [3] = 31, [4] = 63, [5] = 63, [6] = 127};
    for (uint32_t i = 0; i < f->block; i++) {
        uint32_t c = next_random();
        p->code[i] = (uint8_t)((kind == 1 && c & 256 ? (c & 512 ? 255 : 0) : c) & ((1u << f->bits) - 1));
    }
    for (uint32_t g = 0; f->group && g < f->block / f->group; g++) {
        int top = f->values ? 31 : scale_max[f->bits], s = (int)(next_random() % (uint32_t)(2 * top + 2)) - top - 1;
        int m = (int)(next_random() % (uint32_t)(top + 1));
        s = f->min ? (s < 0 ? -s - 1 : s) : s;
        p->scale[g] = (int8_t)(kind == 1 && s % 2 ? (s < 0 ? -top - 1 : top) : s);
        p->min[g] = (uint8_t)(kind == 1 && m % 2 ? top : m);
    }
    float d = (float)(int32_t)next_random() * 0x1p-31f, m = (float)(int32_t)next_random() * 0x1p-31f;
    d = kind == 3 ? d * 1e-6f : d;
    p->d = f->values == QUANT_E2M1 ? bf16_from_f32(d) : f16_from_f32(d);
    p->m = f16_from_f32(kind == 3 ? m * 1e-6f : m);
}

/* Quantised inputs reach both ends of int8. */
static void fill_packed(struct problem *p, int kind)
{
    size_t panels = ((size_t)p->n_out + KERNEL_PANEL - 1) / KERNEL_PANEL, nb = (size_t)p->n_in / KERNEL_BLOCK;
    guard_new(&p->w, panels * p->at.bytes);
    memset(p->w.p, 0, p->w.n);
    for (size_t r = 0; r < (size_t)p->n_out; r++)
        for (size_t b = 0; b < (size_t)p->n_in / p->type->block; b++) {
            struct quant_parts parts;
            fill_parts(&parts, &p->type->form, kind);
            kernel_panel_put((uint8_t *)p->w.p + r / KERNEL_PANEL * p->at.bytes, p->type->form, p->at, b, r % KERNEL_PANEL, &parts);
        }
    guard_new(&p->x, (size_t)p->n * nb * sizeof(struct act8));
    struct act8 *x = p->x.p;
    for (size_t b = 0; b < (size_t)p->n * nb; b++) {
        float d;
        fill(&d, 1, kind);
        x[b].d = d;
        x[b].sum[0] = x[b].sum[1] = 0;
        for (int k = 0; k < KERNEL_BLOCK; k++) {
            x[b].q[k] = (int8_t)(kind == 4 ? 0 : kind == 1 ? (next_random() % 2 ? 127 : -127) : (int)(next_random() % 255) - 127);
            x[b].sum[k / 16] = (int16_t)(x[b].sum[k / 16] + x[b].q[k]);
        }
        act8_sums(&x[b]);
    }
}

static void fill_float(struct problem *p, int kind)
{
    const struct quant_info *q = p->type;
    size_t n = (size_t)p->n_out * (size_t)p->n_in;
    float *values = malloc(n * sizeof *values);
    fill(values, n, kind);
    guard_new(&p->w, n * q->bytes);
    q->encode(p->w.p, values, n);
    free(values);
    guard_new(&p->x, (size_t)p->n * (size_t)p->n_in * sizeof(float));
    fill(p->x.p, (size_t)p->n * (size_t)p->n_in, kind);
    for (size_t i = 0; p->pairs && p->scalar == matmul_bf16_scalar && i < (size_t)p->n * (size_t)p->n_in;
         i++) /* scalar does not round its inputs; F16 keeps what rounding leaves */
        ((float *)p->x.p)[i] = bf16_to_f32(bf16_from_f32(((float *)p->x.p)[i]));
}

/* Runs the kernel on its own form of the inputs: m->x are floats. */
static void run(const struct problem *p, kernel_matmul_fn *kernel, const struct kernel_matmul *m, int row0, int row1)
{
    struct kernel_matmul of = *m;
    struct guard pairs;
    if (!p->pairs) {
        kernel(m, row0, row1);
        return;
    }
    guard_new(&pairs, (size_t)m->n * 4 * kernel_pairs((size_t)m->n_in) * sizeof(bf16));
    pairs_scalar(pairs.p, m->x, m->n, (size_t)m->n_in);
    guard_read_only(&pairs);
    of.x = pairs.p;
    kernel(&of, row0, row1);
    guard_free(&pairs);
}

/* The sum of the absolute values of what is added up for column x and block b of row r; a minimum is a term of its own. */
static double magnitude(const struct problem *p, size_t r, const struct act8 *x, size_t b)
{
    struct quant_form f = p->type->form;
    struct quant_parts w;
    double sum = 0;
    kernel_panel_get(&w, (uint8_t *)p->w.p + r / KERNEL_PANEL * p->at.bytes, f, p->at, b, r % KERNEL_PANEL);
    for (uint32_t k = 0; k < f.block; k++) {
        uint32_t g = f.group ? k / f.group : 0;
        double q = fabs((double)x[k / 32].d * x[k / 32].q[k % 32]);
        sum += q * fabs((double)quant_scale(&f, w.d) * quant_value(&f, w.code[k]) * (f.group ? w.scale[g] : 1));
        if (f.min)
            sum += q * fabs((double)f16_to_f32(w.m) * (f.group ? w.min[g] : 1));
    }
    return sum;
}

static void magnitudes(struct problem *p)
{
    guard_new(&p->magnitude, (size_t)p->n * (size_t)p->n_out * sizeof(double));
    double *m = p->magnitude.p;
    size_t nb = (size_t)p->n_in / KERNEL_BLOCK, n_in = (size_t)p->n_in;
    float *row = malloc(n_in * sizeof *row);
    for (size_t r = 0; r < (size_t)p->n_out; r++)
        for (size_t c = 0; c < (size_t)p->n; c++) {
            double sum = p->with_bias ? fabs((double)((float *)p->bias.p)[r]) : 0;
            if (!p->packed) {
                p->type->decode(row, (char *)p->w.p + r * n_in * p->type->bytes, n_in);
                for (size_t k = 0; k < n_in; k++)
                    sum += fabs((double)row[k] * (double)((float *)p->x.p)[c * n_in + k]);
            }
            for (size_t b = 0; p->packed && b < n_in / p->type->block; b++)
                sum += magnitude(p, r, (struct act8 *)p->x.p + c * nb + b * p->type->block / KERNEL_BLOCK, b);
            m[c * (size_t)p->n_out + r] = sum;
        }
    free(row);
}

static struct kernel_matmul call(const struct problem *p, float *y, int c0, int n)
{
    size_t x_row = p->packed ? (size_t)p->n_in / KERNEL_BLOCK * sizeof(struct act8) : (size_t)p->n_in * sizeof(float);
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
    run(p, kernel, &m, 0, p->n_out);
    p->scalar(&s, 0, p->n_out);
    const float *got = whole.p, *ref = want.p;
    for (size_t i = 0; i < n * n_out && !text; i++)
        if (untouched(&got[i]) || !near((double)got[i], (double)ref[i], eps(tolerance) * ((double *)p->magnitude.p)[i] + 1e-40))
            text = found("%d x %d, %d columns: row %zu of column %zu is %.9g, not %.9g", p->n_out, p->n_in, p->n, i % n_out, i / n_out,
                         (double)got[i], (double)ref[i]);
    for (int row = 0; row < p->n_out && !text; row += 2 * KERNEL_PANEL) { /* a slice is that part of the whole, and writes nothing else */
        int end = row + 2 * KERNEL_PANEL < p->n_out ? row + 2 * KERNEL_PANEL : p->n_out;
        guard_new(&part, n * n_out * sizeof(float));
        m = call(p, part.p, 0, p->n);
        run(p, kernel, &m, row, end);
        for (size_t i = 0; i < n * n_out && !text; i++)
            if ((int)(i % n_out) < row || (int)(i % n_out) >= end ? !untouched((float *)part.p + i)
                                                                  : memcmp((float *)part.p + i, &got[i], sizeof *got) != 0)
                text = found("%d x %d, %d columns: rows %d to %d alone differ in row %zu", p->n_out, p->n_in, p->n, row, end, i % n_out);
        guard_free(&part);
    }
    for (int c = 0; c < p->n && !text; c++) { /* a column alone is that column */
        guard_new(&part, n_out * sizeof(float));
        m = call(p, part.p, c, 1);
        run(p, kernel, &m, 0, p->n_out);
        if (memcmp(part.p, got + (size_t)c * n_out, n_out * sizeof *got) != 0)
            text = found("%d x %d: column %d of %d differs when it is alone", p->n_out, p->n_in, c, p->n);
        guard_free(&part);
    }
    guard_free(&whole), guard_free(&want);
    return text;
}

static const char *problem(const struct form *f, kernel_matmul_fn *kernel, double tolerance, int n_out, int n_in, int n, int kind)
{
    const struct quant_info *q = quant_info(f->type);
    struct problem p = {.scalar = f->scalar,
                        .type = q,
                        .packed = q->split != NULL,
                        .pairs = takes_pairs(kernel),
                        .n_out = n_out,
                        .n_in = n_in,
                        .n = n,
                        .with_bias = kind % 2 == 0};
    if (p.packed)
        p.at = kernel_panel(q->form, (size_t)n_in);
    guard_new(&p.bias, (size_t)n_out * sizeof(float));
    fill(p.bias.p, (size_t)n_out, 0);
    if (p.packed)
        fill_packed(&p, kind);
    else
        fill_float(&p, kind);
    magnitudes(&p);
    guard_read_only(&p.w), guard_read_only(&p.x), guard_read_only(&p.bias);
    const char *text = compare(&p, kernel, tolerance);
    guard_free(&p.w), guard_free(&p.x), guard_free(&p.bias), guard_free(&p.magnitude);
    return text;
}

static const char *check(uint32_t type, any_fn *kernel, double tolerance)
{
    const struct form *f = forms;
    while (f->type != type)
        f++;
    const int block = (int)quant_info(type)->block, longest = block > 32 ? 7 : 67;
    const char *text = NULL;
    for (int n_out = 1; n_out <= 67 && !text; n_out += n_out < 34 ? 1 : 11)
        text = problem(f, (kernel_matmul_fn *)kernel, tolerance, n_out, block * (1 + n_out % (block > 32 ? 2 : 5)), 1 + n_out % 9, n_out % FILLS);
    for (int n_in = 1; n_in <= longest && !text; n_in++)
        text = problem(f, (kernel_matmul_fn *)kernel, tolerance, 5 + 16 * (n_in % 2), n_in * block, 1 + n_in % 3, n_in % FILLS);
    for (int n = 9; n <= 25 && !text; n += 4) /* many columns of rows that do not fit a kernel's buffers at once */
        text = problem(f, (kernel_matmul_fn *)kernel, tolerance, 19, block > 32 ? 5 * block : 37 * KERNEL_BLOCK, n, n % FILLS);
    for (int n = 1; n <= 21 && !text; n++)
        for (int kind = 0; kind < FILLS && !text; kind++)
            text = problem(f, (kernel_matmul_fn *)kernel, tolerance, 19, block > 32 ? block : 3 * KERNEL_BLOCK, n, kind);
    for (int i = 0; i < 9 && !text; i++) /* wide: whole tiles of columns with and without a rest, and rows for more than four panels */
        text = problem(f, (kernel_matmul_fn *)kernel, tolerance, 1 + i * 11, block * (1 + i % (block > 32 ? 2 : 7)), 24 + i * 13 % 27, i % FILLS);
    if (!text) /* many inputs */
        text = problem(f, (kernel_matmul_fn *)kernel, tolerance, 17, block > 32 ? 9 * block : 69 * block, 26, 0);
    return text;
}

#define QUANT_FLOAT(name, op, id, block, bytes)                                                                                                      \
    const char *check_matmul_##op(any_fn *kernel, double tolerance)                                                                                  \
    {                                                                                                                                                \
        return check(id, kernel, tolerance);                                                                                                         \
    }
#define QUANT_BLOCK(name, op, id, block, bytes, bits, zero, group, min, values) QUANT_FLOAT(name, op, id, block, bytes)
#include "quant/quant.def"
#undef QUANT_FLOAT
#undef QUANT_BLOCK
