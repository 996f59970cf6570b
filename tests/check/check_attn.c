/* Attention over pages: two pages one after the other, windows, rows without positions, every small head_dim; rows alone bit-equal. */
#include "attn.h"

enum format { F32, F16, BF16 };
enum { PAGES = 2, Q_MAX = 13, HEAD_MAX = 80 };

struct problem {
    enum format format;
    size_t n_q, hd;
    struct guard q, k[PAGES], v[PAGES];
    int lo[PAGES][Q_MAX], hi[PAGES][Q_MAX];
};
/* K and V of one page. Positions that no row asks for are left as they were: NaN. */
static void fill_page(struct problem *p, int page, int kind)
{
    size_t size = p->format == F32 ? sizeof(float) : sizeof(f16), n = KERNEL_KV_PAGE * p->hd;
    guard_new(&p->k[page], n * size), guard_new(&p->v[page], n * size);
    int lo, hi;
    asked_for(p->lo[page], p->hi[page], p->n_q, &lo, &hi);
    for (int j = lo; j < hi; j++)
        for (size_t d = 0; d < p->hd; d++) {
            float x[2];
            fill(x, 2, kind == 3 ? 0 : kind);
            size_t at_k = d * KERNEL_KV_PAGE + (size_t)j, at_v = (size_t)j * p->hd + d;
            if (p->format == BF16)
                ((bf16 *)p->k[page].p)[at_k] = bf16_from_f32(x[0]), ((bf16 *)p->v[page].p)[at_v] = bf16_from_f32(x[1]);
            else if (p->format == F16)
                ((f16 *)p->k[page].p)[at_k] = f16_from_f32(x[0]), ((f16 *)p->v[page].p)[at_v] = f16_from_f32(x[1]);
            else
                ((float *)p->k[page].p)[at_k] = x[0], ((float *)p->v[page].p)[at_v] = x[1];
        }
    guard_read_only(&p->k[page]), guard_read_only(&p->v[page]);
}

static void run(const struct problem *p, kernel_attn_fn *kernel, struct state *s, int page, size_t row, size_t n)
{
    struct kernel_attn a = {.q = (float *)p->q.p + row * p->hd,
                            .k = p->k[page].p,
                            .v = p->v[page].p,
                            .lo = p->lo[page] + row,
                            .hi = p->hi[page] + row,
                            .max = (float *)s->max.p,
                            .sum = (float *)s->sum.p,
                            .out = (float *)s->out.p,
                            .n_q = (int)n,
                            .head_dim = (int)p->hd};
    kernel(&a);
}

static double value(const struct problem *p, const struct guard *g, size_t i)
{
    return (double)(p->format == F16    ? f16_to_f32(((const f16 *)g->p)[i])
                    : p->format == BF16 ? bf16_to_f32(((const bf16 *)g->p)[i])
                                        : ((const float *)g->p)[i]);
}

/* How far the weights of row i may be off: an error in a score is one in its weight's exponent. */
static double doubt(const struct problem *p, size_t i)
{
    double most = 0;
    for (int page = 0; page < PAGES; page++)
        for (int j = p->lo[page][i]; j < p->hi[page][i]; j++) {
            double sum = 0;
            for (size_t d = 0; d < p->hd; d++)
                sum += fabs((double)((float *)p->q.p)[i * p->hd + d] * value(p, &p->k[page], d * KERNEL_KV_PAGE + (size_t)j));
            most = fmax(most, sum);
        }
    return 1 + most;
}

static const char *compare(const struct problem *p, kernel_attn_fn *kernel, kernel_attn_fn *scalar, double tolerance)
{
    const char *text = NULL;
    struct state got, want;
    state_new(&got, p->n_q, p->hd), state_new(&want, p->n_q, p->hd);
    for (int page = 0; page < PAGES; page++)
        run(p, kernel, &got, page, 0, p->n_q), run(p, scalar, &want, page, 0, p->n_q);
    for (size_t i = 0; i < p->n_q && !text; i++) {
        double bound = eps(tolerance) * doubt(p, i), top = 0;
        for (int page = 0; page < PAGES; page++)
            for (int j = p->lo[page][i]; j < p->hi[page][i]; j++)
                for (size_t d = 0; d < p->hd; d++)
                    top = fmax(top, fabs(value(p, &p->v[page], (size_t)j * p->hd + d)));
        text = state_differ(&got, &want, i, bound, bound * state_sum(&want, i) * top + 1e-40);
    }
    for (size_t i = 0; i < p->n_q && !text; i++) {
        struct state alone;
        state_new(&alone, 1, p->hd);
        for (int page = 0; page < PAGES; page++)
            run(p, kernel, &alone, page, i, 1);
        text = state_alone(&got, &alone, i);
        state_free(&alone);
    }
    state_free(&got), state_free(&want);
    return text;
}

static const char *problem(enum format format, any_fn *kernel, double tolerance, size_t n_q, size_t hd, int kind)
{
    struct problem p = {.format = format, .n_q = n_q, .hd = hd};
    guard_new(&p.q, n_q * hd * sizeof(float));
    fill(p.q.p, n_q * hd, kind);
    for (int page = 0; page < PAGES; page++) {
        for (size_t i = 0; i < n_q; i++) {
            int a = (int)(next_random() % (KERNEL_KV_PAGE + 1)), b = (int)(next_random() % (KERNEL_KV_PAGE + 1));
            p.lo[page][i] = kind == 0 ? 0 : a < b ? a : b;
            p.hi[page][i] = a < b ? b : a;
            if (page == 0 && p.hi[0][i] == p.lo[0][i]) /* each row has a position somewhere */
                p.lo[0][i] = 0, p.hi[0][i] = 1 + (int)(i % KERNEL_KV_PAGE);
        }
        fill_page(&p, page, kind);
    }
    guard_read_only(&p.q);
    kernel_attn_fn *const scalar[] = {[F32] = attn_f32_scalar, [F16] = attn_f16_scalar, [BF16] = attn_bf16_scalar};
    const char *text = compare(&p, (kernel_attn_fn *)kernel, scalar[format], tolerance);
    guard_free(&p.q);
    for (int page = 0; page < PAGES; page++)
        guard_free(&p.k[page]), guard_free(&p.v[page]);
    return text;
}

static const char *check(enum format format, any_fn *kernel, double tolerance)
{
    const char *text = NULL;
    for (size_t hd = 1; hd <= HEAD_MAX && !text; hd++)
        text = problem(format, kernel, tolerance, 1 + hd % Q_MAX, hd, (int)(hd % FILLS));
    for (size_t n_q = 1; n_q <= Q_MAX && !text; n_q++)
        for (int kind = 0; kind < FILLS && !text; kind++)
            text = problem(format, kernel, tolerance, n_q, 64, kind);
    return text;
}

const char *check_attn_f16(any_fn *kernel, double tolerance)
{
    return check(F16, kernel, tolerance);
}
const char *check_attn_f32(any_fn *kernel, double tolerance)
{
    return check(F32, kernel, tolerance);
}
const char *check_attn_bf16(any_fn *kernel, double tolerance)
{
    return check(BF16, kernel, tolerance);
}
