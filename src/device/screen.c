/* Screening: the largest outputs of a big matrix without reading all of it. A copy of the weights with 5 bits of their 8 gives every output within a
 * bound; only rows that may still be among the largest are computed from the weights themselves, by the same kernel in the same order, so to the same
 * bits. Reads 22 bytes of 34 and the panels of the rows that are left.
 *
 *   code of a weight    c = 8 h + l      h: 5 bits, rounded to the nearest (31 at most), so l is -4 .. 3, or up to 7 at the top
 *   weight              d (c - 128) = (8 d) (h - 16) + d l       the first part is a row of Q5_0 with the scale 8 d, exactly
 *   output              |true - coarse| = |sum of d l x| <= sqrt(sum (d l)^2) * sqrt(sum x^2)       (Cauchy and Schwarz)
 *
 * x is the quantised input, which both products take, so its own error is in both alike. The first root is a number for each row, made once, with
 * what float rounding can add in both chains (n + 2 roundings of n blocks, of terms whose absolute sum is at most the product of the norms). Rows
 * whose upper bound is under the k-th largest lower bound are out: k rows are surely larger. Ties stay in. */
#include "device/device_int.h"
#include "base/mem.h"
#include <float.h>
#include <math.h>
#include <string.h>

enum { CHUNK = 64, PANELS_SHARE = 4 /* more than one in four panels left: it does not pay */, BACKOFF_MAX = 1024 };

struct screen {
    struct device *device;
    const struct weight *w;
    struct weight coarse;
    float *reach;           /* (n_out) the bound for an input of norm 1 */
    float *best;            /* (SCREEN_ROWS_MAX, chunks) the largest lower bound of each chunk of rows */
    uint8_t *left;          /* (panels) some row may count */
    uint32_t skip, backoff; /* calls that are not screened, after one that did not pay */
};

/* 64 codes of Q8_0 (4 inputs of 16 rows) into their place in the vectors of Q5_0; adds the squares of l and of c - 128 by lane. */
static void split_line(uint8_t *restrict nibbles, uint8_t *restrict tops, const uint8_t *restrict c, int v, int32_t *restrict rest,
                       int32_t *restrict all)
{
    for (int j = 0; j < KERNEL_LINE; j++) {
        const int code = c[j], round = (code + 4) >> 3, high = round < 31 ? round : 31, low = code - 8 * high;
        nibbles[j] |= (uint8_t)((high & 15) << v / 4 * 4);
        tops[j] |= (uint8_t)(high >> 4 << v);
        rest[j] += low * low;
        all[j] += (code - 128) * (code - 128);
    }
}

/* One panel of Q8_0 into one of Q5_0 (kernel/panel.h); the squares of d l and d (c - 128) of its 16 rows. */
static void split_panel(uint8_t *to, const uint8_t *from, size_t n, const struct kernel_panel *at5, const struct kernel_panel *at8, double *rest,
                        double *all)
{
    for (size_t b = 0; b < n; b++) {
        const uint8_t *c = from + at8->body + b * at8->record;
        uint8_t *h = to + at5->body + b * at5->record;
        int32_t rest2[KERNEL_LINE] = {0}, all2[KERNEL_LINE] = {0};
        for (int v = 0; v < 8; v++)
            split_line(h + v % 4 * KERNEL_LINE, h + 4 * KERNEL_LINE, c + v * KERNEL_LINE, v, rest2, all2);
        for (size_t r = 0; r < KERNEL_PANEL; r++) {
            const float d = f16_to_f32(((const f16 *)(const void *)from)[b * KERNEL_PANEL + r]);
            ((f16 *)(void *)to)[b * KERNEL_PANEL + r] = f16_from_f32(8 * d);
            rest[r] += (double)d * (double)d * (rest2[4 * r] + rest2[4 * r + 1] + rest2[4 * r + 2] + rest2[4 * r + 3]);
            all[r] += (double)d * (double)d * (all2[4 * r] + all2[4 * r + 1] + all2[4 * r + 2] + all2[4 * r + 3]);
        }
    }
}

static void split_share(void *arg, int worker, int n_workers)
{
    struct screen *s = arg;
    const size_t n_out = s->w->n_out, blocks = s->w->n_in / KERNEL_BLOCK, panels = (n_out + KERNEL_PANEL - 1) / KERNEL_PANEL;
    const struct kernel_panel at5 = kernel_panel(form_q5_0, s->w->n_in), at8 = kernel_panel(form_q8_0, s->w->n_in);
    for (size_t p = share_start(panels, worker, n_workers); p < share_start(panels, worker + 1, n_workers); p++) {
        double rest[KERNEL_PANEL] = {0}, all[KERNEL_PANEL] = {0};
        uint8_t *to = (uint8_t *)(uintptr_t)s->coarse.data + p * at5.bytes;
        memset(to, 0, at5.bytes);
        split_panel(to, (const uint8_t *)s->w->data + p * at8.bytes, blocks, &at5, &at8, rest, all);
        for (size_t r = 0; r < KERNEL_PANEL && p * KERNEL_PANEL + r < n_out; r++) {
            double rounding = 4 * (double)blocks * ldexp(1, -24) * (2 * sqrt(all[r]) + sqrt(rest[r]));
            s->reach[p * KERNEL_PANEL + r] = nextafterf((float)((sqrt(rest[r]) + rounding) * (1 + 1e-6)), INFINITY);
        }
    }
}

int screen_new(struct screen **out, struct device *d, const struct weight *w, struct err *e)
{
    *out = NULL;
    if (w->type != QUANT_Q8_0 || !weight_is_packed(w))
        return 0;
    struct screen *s = mem_new(sizeof *s);
    const size_t panels = ((size_t)w->n_out + KERNEL_PANEL - 1) / KERNEL_PANEL;
    if (s) {
        s->device = d, s->w = w, s->backoff = 1;
        s->coarse = (struct weight){.device = d, .type = QUANT_Q5_0, .n_out = w->n_out, .n_in = w->n_in};
        s->coarse.bytes = kernel_panel(form_q5_0, w->n_in).bytes;
        s->coarse.data = slab_get(d, &s->coarse.slab, panels * s->coarse.bytes); /* less than w's */
        s->reach = mem_array(w->n_out, sizeof *s->reach);
        s->best = mem_array(((size_t)w->n_out / CHUNK + 1) * SCREEN_ROWS_MAX, sizeof *s->best);
        s->left = mem_array(panels, 1);
    }
    if (!s || !s->coarse.data || !s->reach || !s->best || !s->left) {
        screen_free(s);
        return err_set(e, ERR_NO_MEMORY, "device: no memory to screen a weight of %u x %u; close another model", w->n_out, w->n_in);
    }
    device_run(d, (double)w->n_out * w->n_in, split_share, s);
    *out = s;
    return 0;
}

void screen_free(struct screen *s)
{
    if (!s)
        return;
    if (s->coarse.slab)
        slab_put(s->device, s->coarse.slab);
    mem_free(s->reach);
    mem_free(s->best);
    mem_free(s->left);
    mem_free(s);
}

struct search {
    struct screen *s;
    float *y;
    int n;
    size_t rows;                  /* that count */
    float norm[SCREEN_ROWS_MAX];  /* of the quantised inputs, rounded up */
    float least[SCREEN_ROWS_MAX]; /* what an upper bound must reach */
    _Atomic uint32_t n_left;
};

static float bound(const struct search *q, int c, float y, size_t row)
{
    return q->s->reach[row] * q->norm[c] * (1 + 8 * FLT_EPSILON) + fabsf(y) * (4 * FLT_EPSILON);
}

static void best_share(void *arg, int worker, int n_workers)
{
    struct search *q = arg;
    const size_t n_out = q->s->w->n_out, chunks = (q->rows + CHUNK - 1) / CHUNK;
    for (size_t k = share_start(chunks, worker, n_workers); k < share_start(chunks, worker + 1, n_workers); k++)
        for (int c = 0; c < q->n; c++) {
            const float *y = q->y + (size_t)c * n_out;
            float best = -INFINITY;
            for (size_t i = k * CHUNK; i < (k + 1) * CHUNK && i < q->rows; i++) {
                float low = y[i] - bound(q, c, y[i], i);
                best = low > best ? low : best;
            }
            q->s->best[(size_t)c * (n_out / CHUNK + 1) + k] = best;
        }
}

/* The k-th largest of the chunks' bests: at least k rows are as large. */
static float kth(const float *x, size_t n, uint32_t k)
{
    float top[SCREEN_TOP_MAX];
    uint32_t have = 0;
    for (size_t i = 0; i < n; i++) {
        if (have == k && !(x[i] > top[k - 1]))
            continue;
        uint32_t at = have < k ? have++ : k - 1;
        for (; at > 0 && top[at - 1] < x[i]; at--)
            top[at] = top[at - 1];
        top[at] = x[i];
    }
    return have == k ? top[k - 1] : -INFINITY;
}

static void left_share(void *arg, int worker, int n_workers)
{
    struct search *q = arg;
    const size_t n_out = q->s->w->n_out, panels = (n_out + KERNEL_PANEL - 1) / KERNEL_PANEL;
    uint32_t n_left = 0;
    for (size_t p = share_start(panels, worker, n_workers); p < share_start(panels, worker + 1, n_workers); p++) {
        bool left = false;
        for (int c = 0; c < q->n; c++)
            for (size_t i = p * KERNEL_PANEL; i < (p + 1) * KERNEL_PANEL && i < q->rows; i++) {
                float y = q->y[(size_t)c * n_out + i];
                left |= y + bound(q, c, y, i) >= q->least[c];
            }
        q->s->left[p] = left;
        n_left += left;
    }
    q->n_left += n_left;
}

/* The panels that are left, exactly; minus infinity elsewhere. */
static void exact_share(void *arg, int worker, int n_workers)
{
    struct search *q = arg;
    const struct weight *w = q->s->w;
    const size_t panels = ((size_t)w->n_out + KERNEL_PANEL - 1) / KERNEL_PANEL;
    const struct kernel_matmul m = {
        .y = q->y, .y_stride = w->n_out, .w = w->data, .x = q->s->device->act, .n = q->n, .n_in = (int)w->n_in, .n_out = (int)w->n_out};
    for (size_t p = share_start(panels, worker, n_workers); p < share_start(panels, worker + 1, n_workers); p++) {
        const size_t from = p * KERNEL_PANEL, to = from + KERNEL_PANEL < w->n_out ? from + KERNEL_PANEL : w->n_out;
        if (q->s->left[p])
            matmul_kernel(q->s->device, w->type)(&m, (int)from, (int)to);
        for (int c = 0; c < q->n && !q->s->left[p]; c++)
            for (size_t i = from; i < to; i++)
                q->y[(size_t)c * w->n_out + i] = -INFINITY;
    }
}

/* What an upper bound must reach; false: the inputs or the weights have what is not a number. */
static bool thresholds(struct search *q, const struct matmul_top *top)
{
    const size_t n_out = q->s->w->n_out, blocks = q->s->w->n_in / KERNEL_BLOCK, chunks = (q->rows + CHUNK - 1) / CHUNK;
    for (int c = 0; c < q->n; c++) {
        const struct act8 *x = q->s->device->act + (size_t)c * blocks;
        double norm2 = 0;
        for (size_t b = 0; b < blocks; b++) {
            int32_t squares = 0;
            for (size_t k = 0; k < KERNEL_BLOCK; k++)
                squares += x[b].q[k] * x[b].q[k];
            norm2 += (double)x[b].d * (double)x[b].d * squares;
        }
        q->norm[c] = nextafterf((float)(sqrt(norm2) * (1 + 1e-6)), INFINITY);
    }
    device_run(q->s->device, (double)q->rows * q->n, best_share, q);
    for (int c = 0; c < q->n; c++) {
        const float *best = q->s->best + (size_t)c * (n_out / CHUNK + 1);
        float least = top->k > 0 ? kth(best, chunks, top->k) : INFINITY, max = kth(best, chunks, 1);
        if (top->below >= 0)
            least = fminf(least, max - top->below - fabsf(max) * (8 * FLT_EPSILON));
        if (!isfinite(least))
            return false;
        q->least[c] = least;
    }
    return true;
}

/* True: y is there. */
static bool search(struct search *q, const struct matmul_top *top, const float *x)
{
    const size_t panels = ((size_t)q->s->w->n_out + KERNEL_PANEL - 1) / KERNEL_PANEL;
    struct device *d = q->s->device;
    dev_matmul(d, q->y, &q->s->coarse, NULL, x, q->n);
    if (!thresholds(q, top))
        return false;
    device_run(d, (double)q->s->w->n_out * q->n, left_share, q);
    if (q->n_left > panels / PANELS_SHARE)
        return false;
    device_run(d, (double)q->n_left * KERNEL_PANEL * q->s->w->n_in + q->s->w->n_out, exact_share, q);
    return true;
}

bool dev_matmul_top(struct device *d, float *y, struct screen *s, const float *x, int n, const struct matmul_top *top)
{
    struct search q = {.s = s, .y = y, .n = n, .rows = top->n_rows < s->w->n_out ? top->n_rows : s->w->n_out};
    ASSERT(n > 0 && n <= SCREEN_ROWS_MAX && top->k <= SCREEN_TOP_MAX && (top->k > 0 || top->below >= 0));
    if (s->skip == 0) {
        if (search(&q, top, x)) {
            s->backoff = 1;
            return true;
        }
        s->skip = s->backoff = s->backoff < BACKOFF_MAX ? 2 * s->backoff : BACKOFF_MAX;
    } else {
        s->skip--;
    }
    dev_matmul(d, y, s->w, NULL, x, n);
    return false;
}
