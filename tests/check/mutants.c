/* Planted faults of the kinds that vector kernels have had: each must be found by the checks that the real kernels pass. A mutant is
 * the scalar kernel with one thing wrong. */
#include "check.h"
#include "kernel/kv8.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void scale_slightly_off(const struct kernel_matmul *m, int row0, int row1)
{
    matmul_q4_0_scalar(m, row0, row1); /* a scale read as 12-bit float, in one row of sixteen */
    for (int c = 0; c < m->n; c++)
        for (int r = row0; r < row1; r++)
            if (r % 16 == 15)
                m->y[(size_t)c * m->y_stride + (size_t)r] *= 1 + 0x1p-12f;
}

/* vpmaddubsw without care: sums of two products saturate at int16. */
static void saturates(const struct kernel_matmul *m, int row0, int row1)
{
    matmul_q8_0_scalar(m, row0, row1);
    size_t nb = (size_t)m->n_in / KERNEL_BLOCK;
    for (int c = 0; c < m->n; c++)
        for (int r = row0; r < row1; r++) {
            struct kernel_panel at = kernel_panel(form_q8_0, (size_t)m->n_in);
            const uint8_t *panel = (const uint8_t *)m->w + (size_t)r / 16 * at.bytes;
            for (size_t b = 0; b < nb; b++) {
                const struct act8 *x = (const struct act8 *)m->x + (size_t)c * nb + b;
                int lost = 0;
                for (size_t k = 0; k < KERNEL_BLOCK; k += 2) {
                    const uint8_t *w = panel + at.body + (b * 8 + k / 4) * 64 + (size_t)r % 16 * 4 + k % 4;
                    int sum = w[0] * x->q[k] + w[1] * x->q[k + 1];
                    lost += sum > 32767 ? 32767 - sum : sum < -32768 ? -32768 - sum : 0;
                }
                m->y[(size_t)c * m->y_stride + (size_t)r] +=
                    f16_to_f32(((const f16 *)(const void *)panel)[b * 16 + (size_t)r % 16]) * x->d * (float)lost;
            }
        }
}

static void bias_of_other_row(const struct kernel_matmul *m, int row0, int row1)
{
    struct kernel_matmul n = *m;
    n.bias = NULL;
    matmul_f16_scalar(&n, row0, row1);
    for (int c = 0; m->bias && c < m->n; c++)
        for (int r = row0; r < row1; r++) /* counted from the slice, not from the matrix */
            m->y[(size_t)c * m->y_stride + (size_t)r] += m->bias[r - row0];
}

static void writes_past_slice(const struct kernel_matmul *m, int row0, int row1)
{
    matmul_q4_0_scalar(m, row0, (row1 + 15) / 16 * 16 < m->n_out ? (row1 + 15) / 16 * 16 + 1 : m->n_out);
}

static void reads_past_end(const struct kernel_matmul *m, int row0, int row1)
{
    matmul_f32_scalar(m, row0, row1);
    volatile float sink = ((const float *)m->w)[(size_t)row1 * (size_t)m->n_in];
    (void)sink;
}

static void last_column_missing(const struct kernel_matmul *m, int row0, int row1)
{
    struct kernel_matmul n = *m;
    n.n = m->n > 4 && m->n % 4 == 1 ? m->n - 1 : m->n; /* a remainder of one column is forgotten */
    matmul_q8_0_scalar(&n, row0, row1);
}

static void depends_on_batch(const struct kernel_matmul *m, int row0, int row1)
{
    matmul_bf16_scalar(m, row0, row1); /* another order of summation for wide batches: right, but not the same bits */
    for (int c = 0; m->n >= 4 && c < m->n; c++)
        for (int r = row0; r < row1; r++) {
            float *y = &m->y[(size_t)c * m->y_stride + (size_t)r];
            *y = nextafterf(*y, INFINITY);
        }
}

/* The same for whole tiles of columns only, and for one row. */
static void depends_on_wide_batch(const struct kernel_matmul *m, int row0, int row1)
{
    matmul_q4_k_scalar(m, row0, row1);
    for (int r = row0; m->n >= 24 && r < row1; r++)
        if (r == 65) {
            float *y = &m->y[17 * m->y_stride + (size_t)r];
            *y = nextafterf(*y, INFINITY);
        }
}

/* Copies the weights, lets `change` spoil each block, and multiplies those. */
static void with_changed(const struct quant_form f, kernel_matmul_fn *kernel, void (*change)(struct quant_parts *), const struct kernel_matmul *m,
                         int row0, int row1)
{
    struct kernel_panel at = kernel_panel(f, (size_t)m->n_in);
    size_t n = ((size_t)m->n_out + KERNEL_PANEL - 1) / KERNEL_PANEL * at.bytes;
    uint8_t *w = calloc(1, n);
    for (size_t r = 0; r < (size_t)m->n_out; r++)
        for (size_t i = 0; i < (size_t)m->n_in / f.block; i++) {
            struct quant_parts p;
            kernel_panel_get(&p, (const uint8_t *)m->w + r / KERNEL_PANEL * at.bytes, f, at, i, r % KERNEL_PANEL);
            change(&p);
            kernel_panel_put(w + r / KERNEL_PANEL * at.bytes, f, at, i, r % KERNEL_PANEL, &p);
        }
    struct kernel_matmul changed = *m;
    changed.w = w;
    kernel(&changed, row0, row1);
    free(w);
}

static void last_group_as_before(struct quant_parts *p) { p->scale[15] = p->scale[14]; }
static void last_min_as_before(struct quant_parts *p) { p->min[7] = p->min[6]; }
static void top_bit_of_last(struct quant_parts *p) { p->code[255] &= 0x1f; }
static void fifth_bit_lost(struct quant_parts *p) { p->code[31] &= 15; }
static void scale_unsigned(struct quant_parts *p) { p->scale[3] = (int8_t)(p->scale[3] & 127); }
static void last_is_last_but_one(struct quant_parts *p) { p->code[31] = (uint8_t)(p->code[31] == 15 ? 14 : p->code[31]); }
static void scale_as_f16(struct quant_parts *p) { p->d = bf16_from_f32(f16_to_f32(p->d)); }
static void min_negative(struct quant_parts *p) { p->m ^= 0x8000; }
static void second_scale(const struct kernel_matmul *m, int a, int b) { with_changed(form_q6_k, matmul_q6_k_scalar, last_group_as_before, m, a, b); }
static void last_min(const struct kernel_matmul *m, int a, int b) { with_changed(form_q4_k, matmul_q4_k_scalar, last_min_as_before, m, a, b); }
static void sixth_bit(const struct kernel_matmul *m, int a, int b) { with_changed(form_q6_k, matmul_q6_k_scalar, top_bit_of_last, m, a, b); }
static void fifth_bit(const struct kernel_matmul *m, int a, int b) { with_changed(form_q5_0, matmul_q5_0_scalar, fifth_bit_lost, m, a, b); }
static void sign_of_scale(const struct kernel_matmul *m, int a, int b) { with_changed(form_q3_k, matmul_q3_k_scalar, scale_unsigned, m, a, b); }
static void sign_of_scale_32(const struct kernel_matmul *m, int a, int b)
{
    with_changed(form_iq4_xs, matmul_iq4_xs_scalar, scale_unsigned, m, a, b);
}
static void last_place(const struct kernel_matmul *m, int a, int b)
{
    with_changed(form_iq4_nl, matmul_iq4_nl_scalar, last_is_last_but_one, m, a, b);
}
static void half_scale(const struct kernel_matmul *m, int a, int b) { with_changed(form_mxfp4, matmul_mxfp4_scalar, scale_as_f16, m, a, b); }
static void sign_of_min(const struct kernel_matmul *m, int a, int b) { with_changed(form_q4_1, matmul_q4_1_scalar, min_negative, m, a, b); }
static void sign_of_min_2(const struct kernel_matmul *m, int a, int b) { with_changed(form_q2_k, matmul_q2_k_scalar, min_negative, m, a, b); }

/* Eight pairs of five bits in an int16: each accumulator of a half block wraps. */
static void wraps(const struct kernel_matmul *m, int row0, int row1)
{
    matmul_q5_k_scalar(m, row0, row1);
    struct kernel_panel at = kernel_panel(form_q5_k, (size_t)m->n_in);
    size_t nb = (size_t)m->n_in / KERNEL_BLOCK;
    for (int c = 0; c < m->n; c++)
        for (int r = row0; r < row1; r++)
            for (size_t b = 0; b < nb; b++) {
                const uint8_t *panel = (const uint8_t *)m->w + (size_t)r / 16 * at.bytes, *rec = panel + at.body + b / 8 * at.record;
                const struct act8 *x = (const struct act8 *)m->x + (size_t)c * nb + b;
                int lost = 0;
                for (size_t pair = 0; pair < 2; pair++) {
                    int sum = 0;
                    for (size_t k = 0; k < KERNEL_BLOCK; k++)
                        if (k % 4 / 2 == pair)
                            sum += kernel_panel_code(form_q5_k, rec + at.code + b % 8 * at.codes, (size_t)r % 16, k) * x->q[k];
                    lost += (int16_t)sum - sum;
                }
                m->y[(size_t)c * m->y_stride + (size_t)r] +=
                    f16_to_f32(((const f16 *)(const void *)panel)[b / 8 * 16 + (size_t)r % 16]) * x->d *
                    (float)(lost * kernel_panel_scale(form_q5_k, rec, b % 8, 0, (size_t)r % 16));
            }
}

/* To bf16 by cutting off: a tie and all above it go down. */
static void cuts_off(bf16 *out, const float *x, int n, size_t n_in)
{
    pairs_scalar(out, x, n, n_in);
    for (int c = 0; c < n; c++)
        for (size_t k = 0; k < n_in; k++) {
            int      cols = n - c / 16 * 16 < 16 ? n - c / 16 * 16 : 16;
            uint32_t u;
            memcpy(&u, &x[(size_t)c * n_in + k], sizeof u);
            if (n > 16 && c == n - 1)
                out[(size_t)(c / 16 * 16) * 4 * kernel_pairs(n_in) + (k / 2 * (size_t)cols + (size_t)c % 16) * 2 + k % 2] = (bf16)(u >> 16);
        }
}

static void rounds_half_up(struct act8 *out, const float *x, size_t n)
{
    quantize_scalar(out, x, n);
    for (size_t b = 0; b < n; b++) {
        out[b].sum[0] = out[b].sum[1] = 0;
        for (int i = 0; i < KERNEL_BLOCK; i++) {
            if (out[b].d > 0)
                out[b].q[i] = (int8_t)floorf(x[b * KERNEL_BLOCK + (size_t)i] / out[b].d + 0.5f);
            out[b].sum[i / 16] = (int16_t)(out[b].sum[i / 16] + out[b].q[i]);
        }
    }
}

static void nan_vanishes(struct act8 *out, const float *x, size_t n)
{
    quantize_scalar(out, x, n);
    for (size_t b = 0; b < n; b++)
        if (isnan(out[b].d))
            out[b].d = 0;
}

static void total_of_half(struct act8 *out, const float *x, size_t n)
{
    quantize_scalar(out, x, n);
    for (size_t b = 0; b < n; b++)
        out[b].total = out[b].half[0];
}

static void forgets_older_pages(const struct kernel_attn *a)
{
    float before[KERNEL_ATTN_MAX];
    for (int i = 0; i < a->n_q; i++)
        before[i] = a->max[i];
    attn_f16_scalar(a);
    for (int i = 0; i < a->n_q; i++) /* the sum is not scaled to the new maximum */
        if (before[i] > -INFINITY && a->max[i] > before[i])
            a->sum[i] *= 1.0001f;
}

static void ignores_window(const struct kernel_attn *a)
{
    int lo[KERNEL_ATTN_MAX];
    struct kernel_attn b = *a;
    for (int i = 0; i < a->n_q; i++)
        lo[i] = a->hi[i] > a->lo[i] && a->lo[i] > 0 ? a->lo[i] - 1 : a->lo[i];
    b.lo = lo;
    attn_f32_scalar(&b);
}

/* Faults of attention over 8-bit KV, each in copies of what the kernel is given. */
static void low_halves_lost(const struct kernel_attn8 *a)
{
    struct kernel_attn8 b = *a;
    size_t n = (size_t)a->n_q * a->q.stride;
    b.q.q = malloc(n * sizeof *b.q.q);
    for (size_t i = 0; i < n; i++)
        b.q.q[i] = (int16_t)(256 * a->q.hi[i]);
    attn_q8_scalar(&b);
    free(b.q.q);
}

static void one_position_more(const struct kernel_attn8 *a)
{
    int hi[KERNEL_ATTN_MAX];
    struct kernel_attn8 b = *a;
    for (int i = 0; i < a->n_q; i++)
        hi[i] = a->hi[i] > a->lo[i] && a->hi[i] % 16 ? a->hi[i] + 1 : a->hi[i];
    b.hi = hi;
    attn_q8_scalar(&b);
}

static void scale_of_first_page(const struct kernel_attn8 *a)
{
    size_t side = kv8_side((size_t)a->head_dim);
    void *pages[KERNEL_KV_GROUP];
    struct kernel_attn8 b = *a;
    for (int p = 0; p < a->n_pages; p++) {
        pages[p] = malloc(2 * side);
        memcpy(pages[p], a->pages[p], 2 * side);
        memcpy((char *)pages[p] + side, (const char *)a->pages[0] + side, KV8_SCALES);
    }
    b.pages = (const void *const *)pages;
    attn_q8_scalar(&b);
    for (int p = 0; p < a->n_pages; p++)
        free(pages[p]);
}

static void group_not_rescaled(const struct kernel_attn8 *a)
{
    float before[KERNEL_ATTN_MAX];
    memcpy(before, a->max, (size_t)a->n_q * sizeof *before);
    attn_q8_scalar(a);
    for (int i = 0; i < a->n_q; i++)
        if (before[i] > -INFINITY && a->max[i] > before[i])
            a->out[(size_t)i * (size_t)a->head_dim] *= 1.001f;
}

static void rows_of_a_block_leak(const struct kernel_attn8 *a)
{
    attn_q8_scalar(a); /* the third row of a block is a little larger than alone */
    if (a->n_q > 2)
        a->sum[2] = nextafterf(a->sum[2], INFINITY);
}

static void query_rounds_down(const struct kernel_query8 *out, const float *q, float scale, size_t n, size_t hd)
{
    kv8_query_scalar(out, q, scale, n, hd);
    out->sum[n - 1]--;
}

static void codes_from_127(void *k, size_t slot, const float *key, const float *value, size_t hd)
{
    kv8_store_scalar(k, slot, key, value, hd);
    ((uint8_t *)k)[kv8_side(hd) + kv8_v(slot, hd - 1)]--;
}

static void last_step_missing(float *x, size_t n, size_t hd)
{
    kv8_turn_scalar(x, n, hd);
    for (size_t i = 0; i + 1 < n * hd && hd % 2 == 0; i += 2) {
        float l = x[i], r = x[i + 1];
        x[i] = (l + r) * 0.70710678f, x[i + 1] = (l - r) * 0.70710678f;
    }
}

static void forgets_eps(float *y, const float *x, const float *gain, float e, size_t n)
{
    rmsnorm_scalar(y, x, gain, 0 * e, n);
}

static void tail_unfinished(float *y, const float *gate, const float *up, size_t n)
{
    swiglu_scalar(y, gate, up, n > 8 ? n / 8 * 8 : n);
}

static void poor_exp(float *y, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = gate[i] / (1 + expf(-gate[i]) * (1 + 0x1p-18f)) * up[i];
}

static void turns_backwards(float *x, const float *cosines, const float *sines, int n_heads, int head_dim, int n_rot)
{
    float minus[128];
    for (int i = 0; i < n_rot / 2; i++) /* from the ninth pair on */
        minus[i] = i < 8 ? sines[i] : -sines[i];
    rope_neox_scalar(x, cosines, minus, n_heads, head_dim, n_rot);
}

static void truncates(f16 *out, const float *x, size_t n)
{
    to_f16_scalar(out, x, n);
    for (size_t i = 0; i < n; i++)
        if (fabsf(f16_to_f32(out[i])) > fabsf(x[i]))
            out[i]--;
}
const struct mutant mutants[] = {
    {"scale_slightly_off", (any_fn *)scale_slightly_off, check_matmul_q4_0, 4},
    {"saturates", (any_fn *)saturates, check_matmul_q8_0, 4},
    {"bias_of_other_row", (any_fn *)bias_of_other_row, check_matmul_f16, 4},
    {"writes_past_slice", (any_fn *)writes_past_slice, check_matmul_q4_0, 4},
    {"reads_past_end", (any_fn *)reads_past_end, check_matmul_f32, 4},
    {"last_column_missing", (any_fn *)last_column_missing, check_matmul_q8_0, 4},
    {"depends_on_batch", (any_fn *)depends_on_batch, check_matmul_bf16, 4},
    {"depends_on_wide_batch", (any_fn *)depends_on_wide_batch, check_matmul_q4_k, 4},
    {"second_scale", (any_fn *)second_scale, check_matmul_q6_k, 4},
    {"last_min", (any_fn *)last_min, check_matmul_q4_k, 4},
    {"sixth_bit", (any_fn *)sixth_bit, check_matmul_q6_k, 4},
    {"fifth_bit", (any_fn *)fifth_bit, check_matmul_q5_0, 4},
    {"sign_of_scale", (any_fn *)sign_of_scale, check_matmul_q3_k, 4},
    {"sign_of_scale_32", (any_fn *)sign_of_scale_32, check_matmul_iq4_xs, 4},
    {"last_place", (any_fn *)last_place, check_matmul_iq4_nl, 4},
    {"half_scale", (any_fn *)half_scale, check_matmul_mxfp4, 4},
    {"sign_of_min", (any_fn *)sign_of_min, check_matmul_q4_1, 4},
    {"sign_of_min_2", (any_fn *)sign_of_min_2, check_matmul_q2_k, 4},
    {"wraps", (any_fn *)wraps, check_matmul_q5_k, 4},
    {"cuts_off", (any_fn *)cuts_off, check_pairs, 0},
    {"rounds_half_up", (any_fn *)rounds_half_up, check_quantize, 0},
    {"nan_vanishes", (any_fn *)nan_vanishes, check_quantize, 0},
    {"total_of_half", (any_fn *)total_of_half, check_quantize, 0},
    {"forgets_older_pages", (any_fn *)forgets_older_pages, check_attn_f16, 8},
    {"ignores_window", (any_fn *)ignores_window, check_attn_f32, 8},
    {"low_halves_lost", (any_fn *)low_halves_lost, check_attn_q8, 8},
    {"one_position_more", (any_fn *)one_position_more, check_attn_q8, 8},
    {"scale_of_first_page", (any_fn *)scale_of_first_page, check_attn_q8, 8},
    {"group_not_rescaled", (any_fn *)group_not_rescaled, check_attn_q8, 8},
    {"rows_of_a_block_leak", (any_fn *)rows_of_a_block_leak, check_attn_q8, 8},
    {"query_rounds_down", (any_fn *)query_rounds_down, check_kv8_query, 0},
    {"codes_from_127", (any_fn *)codes_from_127, check_kv8_store, 0},
    {"last_step_missing", (any_fn *)last_step_missing, check_kv8_turn, 0},
    {"forgets_eps", (any_fn *)forgets_eps, check_rmsnorm, 4},
    {"tail_unfinished", (any_fn *)tail_unfinished, check_swiglu, 8},
    {"poor_exp", (any_fn *)poor_exp, check_swiglu, 8},
    {"turns_backwards", (any_fn *)turns_backwards, check_rope_neox, 2},
    {"truncates", (any_fn *)truncates, check_to_f16, 0},
};
const size_t n_mutants = sizeof mutants / sizeof *mutants;
