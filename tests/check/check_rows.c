/* Kernels on single rows, for every length up to a few vectors. */
#include "check.h"
#include <math.h>
#include <string.h>

enum { LENGTHS = 70 };

static const char *quantize_case(kernel_quantize_fn *kernel, size_t n, int kind)
{
    struct guard x, got, want;
    guard_new(&x, n * KERNEL_BLOCK * sizeof(float)), guard_new(&got, n * sizeof(struct act8)), guard_new(&want, n * sizeof(struct act8));
    float *v = x.p;
    fill(v, n * KERNEL_BLOCK, kind % FILLS);
    if (kind == FILLS) /* halves between two steps of the scale: the rounding shows */
        for (size_t i = 0; i < n * KERNEL_BLOCK; i++)
            v[i] = i % KERNEL_BLOCK ? (float)(int)(next_random() % 254) - 126.5f : 127;
    if (kind == FILLS + 1)
        v[next_random() % (n * KERNEL_BLOCK)] = NAN, v[0] = -INFINITY;
    if (kind == FILLS + 2)
        for (size_t i = 0; i < n * KERNEL_BLOCK; i++)
            v[i] *= 1e-10f; /* down to subnormal */
    guard_read_only(&x);
    kernel(got.p, v, n);
    quantize_scalar(want.p, v, n);
    const char *text = NULL;
    for (size_t b = 0; b < n && !text; b++) {
        const struct act8 *g = (struct act8 *)got.p + b, *w = (struct act8 *)want.p + b;
        bool same_d = isnan(w->d) ? isnan(g->d) : g->d == w->d;
        if (!same_d || memcmp(g->q, w->q, sizeof g->q) != 0 || memcmp(g->sum, w->sum, sizeof *w - offsetof(struct act8, sum)) != 0)
            text = found("block %zu of %zu: scale %.9g and sums %d, %d, not %.9g and %d, %d, or other values", b, n, (double)g->d, g->sum[0],
                         g->sum[1], (double)w->d, w->sum[0], w->sum[1]);
    }
    guard_free(&x), guard_free(&got), guard_free(&want);
    return text;
}

const char *check_quantize(any_fn *kernel, double tolerance)
{
    const char *text = NULL;
    (void)tolerance;
    for (size_t n = 1; n <= 5 && !text; n++)
        for (int kind = 0; kind < FILLS + 3 && !text; kind++)
            text = quantize_case((kernel_quantize_fn *)kernel, n, kind);
    return text;
}

static const char *values_differ(const char *what, const float *got, const float *want, const double *bound, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (*(const uint32_t *)(const void *)&got[i] == 0xffffffff || !near((double)got[i], (double)want[i], bound[i]))
            return found("%s: value %zu of %zu is %.9g, not %.9g", what, i, n, (double)got[i], (double)want[i]);
    return NULL;
}

/* Two inputs, one output of n floats. in_place: the output is the first input. */
struct row {
    struct guard a, b, got, want;
    double bound[LENGTHS];
};
static void row_new(struct row *r, size_t n, int kind)
{
    guard_new(&r->a, n * sizeof(float)), guard_new(&r->b, n * sizeof(float)), guard_new(&r->got, n * sizeof(float)),
        guard_new(&r->want, n * sizeof(float));
    fill(r->a.p, n, kind), fill(r->b.p, n, 0);
}
static void row_free(struct row *r)
{
    guard_free(&r->a), guard_free(&r->b), guard_free(&r->got), guard_free(&r->want);
}

const char *check_rmsnorm(any_fn *kernel, double tolerance)
{
    kernel_norm_fn *fn = (kernel_norm_fn *)kernel;
    const char *text = NULL;
    struct row r;
    for (size_t n = 1; n <= LENGTHS && !text; n++)
        for (int kind = 0; kind < FILLS && !text; kind++) {
            row_new(&r, n, kind);
            guard_read_only(&r.b);
            rmsnorm_scalar(r.want.p, r.a.p, r.b.p, 1e-6f, n);
            fn(r.got.p, r.a.p, r.b.p, 1e-6f, n);
            for (size_t i = 0; i < n; i++)
                r.bound[i] = eps(tolerance) * fabs((double)((float *)r.want.p)[i]) + 1e-40;
            text = values_differ("rmsnorm", r.got.p, r.want.p, r.bound, n);
            fn(r.a.p, r.a.p, r.b.p, 1e-6f, n);
            if (!text && memcmp(r.a.p, r.got.p, n * sizeof(float)) != 0)
                text = found("%zu values in place differ", n);
            row_free(&r);
        }
    return text;
}

const char *check_add(any_fn *kernel, double tolerance)
{
    const char *text = NULL;
    struct row r;
    (void)tolerance;
    for (size_t n = 1; n <= LENGTHS && !text; n++) {
        row_new(&r, n, 1);
        guard_read_only(&r.b);
        memcpy(r.got.p, r.a.p, n * sizeof(float)), memcpy(r.want.p, r.a.p, n * sizeof(float));
        ((kernel_add_fn *)kernel)(r.got.p, r.b.p, n);
        add_scalar(r.want.p, r.b.p, n);
        if (memcmp(r.got.p, r.want.p, n * sizeof(float)) != 0)
            text = found("sums of %zu values differ", n);
        row_free(&r);
    }
    return text;
}

/* Gates of every size; a value's result must not depend on where its row ends (dev_swiglu cuts rows anywhere). */
const char *check_swiglu(any_fn *kernel, double tolerance)
{
    kernel_swiglu_fn *fn = (kernel_swiglu_fn *)kernel;
    const char *text = NULL;
    struct row r;
    for (size_t n = 1; n <= LENGTHS && !text; n++) {
        row_new(&r, n, 0);
        float *g = r.a.p;
        for (size_t i = 0; i < n; i++)
            g[i] *= (float[]){1, 10, 100, 1e-3f, 1e30f}[(i + n) % 5];
        guard_read_only(&r.a), guard_read_only(&r.b);
        swiglu_scalar(r.want.p, g, r.b.p, n);
        fn(r.got.p, g, r.b.p, n);
        for (size_t i = 0; i < n; i++) /* below -87 the answer is a subnormal number: as good as 0 */
            r.bound[i] = eps(tolerance) * fabs((double)((float *)r.want.p)[i]) + 1e-36 * fmax(1, g[i] < -87 ? fabs((double)g[i]) : 0);
        text = values_differ("swiglu", r.got.p, r.want.p, r.bound, n);
        for (size_t i = 0; i < n && !text; i++) {
            float alone;
            fn(&alone, g + i, (float *)r.b.p + i, 1);
            if (memcmp(&alone, (float *)r.got.p + i, sizeof alone) != 0)
                text = found("value %zu of %zu differs when it is alone", i, n);
        }
        row_free(&r);
    }
    return text;
}

static const char *rope_case(kernel_rope_fn *kernel, kernel_rope_fn *scalar, double tolerance, bool neox, int n_heads, int head_dim, int n_rot)
{
    size_t half = (size_t)n_rot / 2, n = (size_t)(n_heads * head_dim);
    struct guard got, want, cosines, sines;
    double bound[3 * LENGTHS];
    guard_new(&got, n * sizeof(float)), guard_new(&want, n * sizeof(float)), guard_new(&cosines, half * sizeof(float)),
        guard_new(&sines, half * sizeof(float));
    fill(got.p, n, 1);
    memcpy(want.p, got.p, n * sizeof(float));
    for (size_t i = 0; i < half; i++) {
        double angle = (double)next_random() * 1e-5;
        ((float *)cosines.p)[i] = (float)cos(angle), ((float *)sines.p)[i] = (float)sin(angle);
    }
    guard_read_only(&cosines), guard_read_only(&sines);
    for (size_t i = 0; i < n; i++) {
        int at = (int)i % head_dim, mate = neox ? (at + (int)half) % n_rot : at ^ 1;
        const float *head = (float *)want.p + i / (size_t)head_dim * (size_t)head_dim;
        bound[i] = at < n_rot ? eps(tolerance) * (fabs((double)head[at]) + fabs((double)head[mate])) : 0;
    }
    kernel(got.p, cosines.p, sines.p, n_heads, head_dim, n_rot);
    scalar(want.p, cosines.p, sines.p, n_heads, head_dim, n_rot);
    const char *text = values_differ("rope", got.p, want.p, bound, n);
    guard_free(&got), guard_free(&want), guard_free(&cosines), guard_free(&sines);
    return text;
}

static const char *check_rope(any_fn *kernel, kernel_rope_fn *scalar, double tolerance, bool neox)
{
    const char *text = NULL;
    for (int head_dim = 2; head_dim <= LENGTHS && !text; head_dim++)
        for (int n_rot = 2; n_rot <= head_dim && !text; n_rot += 2)
            text = rope_case((kernel_rope_fn *)kernel, scalar, tolerance, neox, 1 + head_dim % 3, head_dim, n_rot);
    return text;
}
const char *check_rope_norm(any_fn *kernel, double tolerance)
{
    return check_rope(kernel, rope_norm_scalar, tolerance, false);
}
const char *check_rope_neox(any_fn *kernel, double tolerance)
{
    return check_rope(kernel, rope_neox_scalar, tolerance, true);
}

/* All kinds of floats: ordinary ones, ties between two halves, subnormal halves, beyond the largest, not finite. */
const char *check_to_f16(any_fn *kernel, double tolerance)
{
    const char *text = NULL;
    (void)tolerance;
    for (size_t n = 1; n <= LENGTHS && !text; n++)
        for (int round = 0; round < 50 && !text; round++) {
            struct guard x, got, want;
            guard_new(&x, n * sizeof(float)), guard_new(&got, n * sizeof(f16)), guard_new(&want, n * sizeof(f16));
            for (size_t i = 0; i < n; i++) {
                uint32_t u = next_random();
                switch (next_random() % 4) {
                case 0: u = (u & 0x8fffffff) | 0x30000000; break; /* magnitudes near those of halves */
                case 1: u = (u & 0x8fffe000) | 0x30001000; break; /* ties */
                case 2: u = (u & 0x80ffffff) | 0x47000000; break; /* 32768 and up, infinity and NaN among the rest */
                default: break;
                }
                memcpy((float *)x.p + i, &u, sizeof u);
            }
            guard_read_only(&x);
            ((kernel_to_f16_fn *)kernel)(got.p, x.p, n);
            to_f16_scalar(want.p, x.p, n);
            for (size_t i = 0; i < n && !text; i++) {
                f16 g = ((f16 *)got.p)[i], w = ((f16 *)want.p)[i];
                bool nan = (w & 0x7fff) > 0x7c00;
                if (nan ? (g & 0x7fff) <= 0x7c00 : g != w)
                    text = found("%.9g becomes %04x, not %04x", (double)((float *)x.p)[i], g, w);
            }
            guard_free(&x), guard_free(&got), guard_free(&want);
        }
    return text;
}

/* Every number of columns and tail of inputs; NaN, infinities and ties. */
const char *check_pairs(any_fn *kernel, double tolerance)
{
    (void)tolerance;
    for (int n = 1; n <= 37; n++)
        for (size_t n_in = 1; n_in <= 97; n_in += n_in < 34 ? 1 : 9) {
            struct guard x, got, want;
            size_t size = (size_t)n * 4 * kernel_pairs(n_in) * sizeof(bf16);
            guard_new(&x, (size_t)n * n_in * sizeof(float)), guard_new(&got, size), guard_new(&want, size);
            fill(x.p, (size_t)n * n_in, n % FILLS);
            for (size_t i = 0; i < (size_t)n * n_in; i += 7) {
                uint32_t bits[] = {0x7f800000, 0xff800000, 0x7fc00001, 0x3f808000, 0x3f818000, 0x7f7fffff, 0x80000001};
                memcpy((float *)x.p + i, &bits[i / 7 % 7], sizeof(float));
            }
            guard_read_only(&x);
            ((kernel_pairs_fn *)kernel)(got.p, x.p, n, n_in);
            pairs_scalar(want.p, x.p, n, n_in);
            bool same = memcmp(got.p, want.p, size) == 0;
            guard_free(&x), guard_free(&got), guard_free(&want);
            if (!same)
                return found("%d columns of %zu inputs: pairs differ", n, n_in);
        }
    return NULL;
}
