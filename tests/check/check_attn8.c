/* Attention over groups of pages of 8-bit KV: two groups one after the other, windows, rows without positions, groups of 1 to 4 pages; rows alone
 * bit-equal. Queries, stored rows and turning: bit for bit, and against the transform written out. */
#include "attn.h"
#include "kernel/kv8.h"
#include <stdlib.h>

enum { GROUPS = 2, Q_MAX = 19, HEAD_MAX = 150 };

struct problem {
    size_t n_q, hd;
    int pages[GROUPS], lo[GROUPS][Q_MAX], hi[GROUPS][Q_MAX];
    struct guard q, hi8, lo8, d, sum, kv[GROUPS][KERNEL_KV_GROUP];
};
static struct kernel_query8 query_in(const struct problem *p, size_t row)
{
    size_t stride = kv8_query_stride(p->hd), at = row * stride;
    return (struct kernel_query8){.q = (int16_t *)p->q.p + at,
                                  .hi = (int8_t *)p->hi8.p + at,
                                  .lo = (int8_t *)p->lo8.p + at,
                                  .d = (float *)p->d.p + row,
                                  .sum = (int32_t *)p->sum.p + row,
                                  .stride = stride};
}

static void fill_queries(struct problem *p, int kind)
{
    size_t stride = kv8_query_stride(p->hd);
    float *x = malloc(p->n_q * p->hd * sizeof *x);
    guard_new(&p->q, p->n_q * stride * 2), guard_new(&p->hi8, p->n_q * stride), guard_new(&p->lo8, p->n_q * stride);
    guard_new(&p->d, p->n_q * 4), guard_new(&p->sum, p->n_q * 4);
    struct kernel_query8 q = query_in(p, 0);
    fill(x, p->n_q * p->hd, kind);
    kv8_query_scalar(&q, x, 3 / sqrtf((float)p->hd), p->n_q, p->hd);
    guard_read_only(&p->q), guard_read_only(&p->hi8), guard_read_only(&p->lo8), guard_read_only(&p->d), guard_read_only(&p->sum);
    free(x);
}

/* Positions that no row asks for are left as they were: codes of 255 and scales of NaN. */
static void fill_group(struct problem *p, int g, int kind)
{
    float x[2][HEAD_MAX];
    int lo, hi;
    asked_for(p->lo[g], p->hi[g], p->n_q, &lo, &hi);
    for (int page = 0; page < p->pages[g]; page++) {
        guard_new(&p->kv[g][page], 2 * kv8_side(p->hd));
        for (int j = page * KERNEL_KV_PAGE; j < (page + 1) * KERNEL_KV_PAGE; j++)
            if (j >= lo && j < hi) {
                fill(x[0], p->hd, kind == 3 ? 0 : kind), fill(x[1], p->hd, kind == 3 ? 0 : kind);
                kv8_store_scalar(p->kv[g][page].p, (size_t)(j % KERNEL_KV_PAGE), x[0], x[1], p->hd);
            }
        guard_read_only(&p->kv[g][page]);
    }
}

static void run(const struct problem *p, kernel_attn8_fn *kernel, struct state *s, int g, size_t row, size_t n)
{
    const void *pages[KERNEL_KV_GROUP];
    for (int i = 0; i < p->pages[g]; i++)
        pages[i] = p->kv[g][i].p;
    kernel(&(struct kernel_attn8){.q = query_in(p, row),
                                  .pages = pages,
                                  .lo = p->lo[g] + row,
                                  .hi = p->hi[g] + row,
                                  .max = s->max.p,
                                  .sum = s->sum.p,
                                  .out = s->out.p,
                                  .n_q = (int)n,
                                  .n_pages = p->pages[g],
                                  .head_dim = (int)p->hd});
}

/* Row i: the largest magnitude that a score is the sum of, and the sum over positions and groups of the largest weight times a value's scale. */
static void sizes(const struct problem *p, size_t i, double *doubt, double *top)
{
    struct kernel_query8 q = query_in(p, i);
    double most = 0, large = 0;
    int n = 0;
    for (int g = 0; g < GROUPS; g++)
        for (int j = p->lo[g][i]; j < p->hi[g][i]; j++, n++) {
            const uint8_t *k = p->kv[g][j / KERNEL_KV_PAGE].p, *v = k + kv8_side(p->hd);
            size_t at = (size_t)j % KERNEL_KV_PAGE;
            float kd, vd;
            double sum = 0;
            memcpy(&kd, k + at * sizeof kd, sizeof kd), memcpy(&vd, v + at * sizeof vd, sizeof vd);
            for (size_t c = 0; c < p->hd; c++)
                sum += fabs((double)q.q[c] * (k[kv8_k(p->hd, at, c)] - KV8_ZERO));
            most = fmax(most, sum * (double)kd * (double)q.d[0]);
            large = fmax(large, (double)vd * KV8_TOP);
        }
    *doubt = 1 + most;
    *top = large * (0.51 * n / KV8_WEIGHT_TOP);
}

static const char *compare(const struct problem *p, kernel_attn8_fn *kernel, double tolerance)
{
    const char *text = NULL;
    struct state got, want;
    state_new(&got, p->n_q, p->hd), state_new(&want, p->n_q, p->hd);
    for (int g = 0; g < GROUPS; g++)
        run(p, kernel, &got, g, 0, p->n_q), run(p, attn_q8_scalar, &want, g, 0, p->n_q);
    for (size_t i = 0; i < p->n_q && !text; i++) {
        double doubt, rounding;
        sizes(p, i, &doubt, &rounding);
        double bound = eps(tolerance) * doubt, top = rounding / 0.51 * KV8_WEIGHT_TOP; /* >= all values */
        text = state_differ(&got, &want, i, bound, bound * top + rounding + 1e-37);    /* a weight may be rounded the other way */
    }
    for (size_t i = 0; i < p->n_q && !text; i++) {
        struct state alone;
        state_new(&alone, 1, p->hd);
        for (int g = 0; g < GROUPS; g++)
            run(p, kernel, &alone, g, i, 1);
        text = state_alone(&got, &alone, i);
        state_free(&alone);
    }
    state_free(&got), state_free(&want);
    return text;
}

static const char *problem(kernel_attn8_fn *kernel, double tolerance, size_t n_q, size_t hd, int kind)
{
    struct problem p = {.n_q = n_q, .hd = hd};
    fill_queries(&p, kind);
    for (int g = 0; g < GROUPS; g++) {
        p.pages[g] = 1 + (int)(next_random() % KERNEL_KV_GROUP);
        uint32_t end = (uint32_t)(p.pages[g] * KERNEL_KV_PAGE) + 1;
        for (size_t i = 0; i < n_q; i++) {
            int a = (int)(next_random() % end), b = (int)(next_random() % end);
            p.lo[g][i] = a < b ? a : b, p.hi[g][i] = a < b ? b : a;
            if (kind == 1 && i % 3) /* as in a causal prompt: everything up to a position, or nothing */
                p.lo[g][i] = 0, p.hi[g][i] = i % 3 == 1 ? b : 0;
        }
        fill_group(&p, g, kind);
    }
    const char *text = compare(&p, kernel, tolerance);
    guard_free(&p.q), guard_free(&p.hi8), guard_free(&p.lo8), guard_free(&p.d), guard_free(&p.sum);
    for (int g = 0; g < GROUPS; g++)
        for (int i = 0; i < p.pages[g]; i++)
            guard_free(&p.kv[g][i]);
    return text;
}

const char *check_attn_q8(any_fn *kernel, double tolerance)
{
    const char *text = NULL;
    for (size_t hd = 1; hd <= HEAD_MAX && !text; hd += hd < 40 ? 1 : 11)
        text = problem((kernel_attn8_fn *)kernel, tolerance, 1 + hd % Q_MAX, hd, (int)(hd % FILLS));
    for (size_t n_q = 1; n_q <= Q_MAX && !text; n_q++)
        for (int kind = 0; kind < FILLS && !text; kind++)
            text = problem((kernel_attn8_fn *)kernel, tolerance, n_q, 64, kind);
    return text;
}

static const size_t sizes_of_heads[] = {1, 2, 13, 24, 64, 80, 96, 128, 256, 1000, 1024};
enum { SIZES = sizeof sizes_of_heads / sizeof *sizes_of_heads, ROWS = 3 };

/* Whether all bytes of two guarded buffers are equal. */
static bool same(const struct guard *a, const struct guard *b)
{
    return memcmp(a->p, b->p, a->n) == 0;
}

static const char *query_case(kernel_query8_fn *kernel, size_t hd, int kind)
{
    size_t stride = kv8_query_stride(hd), bytes[] = {ROWS * stride * 2, ROWS * stride, ROWS * stride, ROWS * 4, ROWS * 4};
    struct guard x, g[2][5];
    guard_new(&x, ROWS * hd * sizeof(float));
    fill(x.p, ROWS * hd, kind);
    if (kind == 4)
        ((float *)x.p)[hd - 1] = NAN, ((float *)x.p)[hd] = 3e38f;
    guard_read_only(&x);
    bool equal = true;
    for (int who = 0; who < 2; who++) {
        for (int i = 0; i < 5; i++)
            guard_new(&g[who][i], bytes[i]);
        struct kernel_query8 q = {.q = g[who][0].p, .hi = g[who][1].p, .lo = g[who][2].p, .d = g[who][3].p, .sum = g[who][4].p, .stride = stride};
        (who ? kv8_query_scalar : kernel)(&q, x.p, 0.3f, ROWS, hd);
    }
    for (int i = 0; i < 5; i++)
        equal = equal && same(&g[0][i], &g[1][i]), guard_free(&g[0][i]), guard_free(&g[1][i]);
    guard_free(&x);
    return equal ? NULL : found("queries of %zu values differ", hd);
}
const char *check_kv8_query(any_fn *kernel, double tolerance)
{
    const char *text = NULL;
    (void)tolerance;
    for (int i = 0; i < SIZES * FILLS && !text; i++)
        text = query_case((kernel_query8_fn *)kernel, sizes_of_heads[i / FILLS], i % FILLS);
    return text;
}

static const char *store_case(kernel_store8_fn *kernel, size_t hd, int kind)
{
    struct guard k, v, page[2];
    guard_new(&k, hd * sizeof(float)), guard_new(&v, hd * sizeof(float));
    fill(k.p, hd, kind), fill(v.p, hd, kind);
    if (kind == 4)
        ((float *)k.p)[hd / 2] = INFINITY, ((float *)v.p)[0] = NAN;
    for (int who = 0; who < 2; who++) {
        guard_new(&page[who], 2 * kv8_side(hd));
        (who ? kv8_store_scalar : kernel)(page[who].p, (hd * 7) % KERNEL_KV_PAGE, k.p, v.p, hd);
    }
    bool equal = same(&page[0], &page[1]);
    guard_free(&k), guard_free(&v), guard_free(&page[0]), guard_free(&page[1]);
    return equal ? NULL : found("a stored row of %zu values differs", hd);
}
const char *check_kv8_store(any_fn *kernel, double tolerance)
{
    const char *text = NULL;
    (void)tolerance;
    for (int i = 0; i < SIZES * FILLS && !text; i++)
        text = store_case((kernel_store8_fn *)kernel, sizes_of_heads[i / FILLS], i % FILLS);
    return text;
}

/* Row i of the transform of n is the sum of +-x[j], minus where i and j have an odd number of bits in common. */
static const char *turn_case(kernel_turn8_fn *kernel, size_t hd)
{
    size_t block = hd & -hd, n = ROWS * hd;
    struct guard x, y, z;
    guard_new(&x, n * 4), guard_new(&y, n * 4), guard_new(&z, n * 4);
    fill(x.p, n, 0);
    memcpy(y.p, x.p, n * 4), memcpy(z.p, x.p, n * 4);
    kernel(y.p, ROWS, hd);
    kv8_turn_scalar(z.p, ROWS, hd);
    const char *text = same(&y, &z) ? NULL : found("turned rows of %zu values differ", hd);
    for (size_t i = 0; i < n && !text; i++) {
        double want = 0, size = 0;
        for (size_t j = 0; j < block; j++) {
            double v = (double)((float *)x.p)[i / block * block + j];
            want += __builtin_popcountll((i % block) & j) % 2 ? -v : v, size += fabs(v);
        }
        if (!near((double)((float *)y.p)[i], want / sqrt((double)block), 0x1p-20 * size))
            text = found("value %zu of turned rows of %zu is wrong", i, hd);
    }
    guard_free(&x), guard_free(&y), guard_free(&z);
    return text;
}
const char *check_kv8_turn(any_fn *kernel, double tolerance)
{
    const char *text = NULL;
    (void)tolerance;
    for (int i = 0; i < SIZES && !text; i++)
        text = turn_case((kernel_turn8_fn *)kernel, sizes_of_heads[i]);
    return text;
}
