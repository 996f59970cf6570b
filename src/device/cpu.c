/* The CPU device: opening and closing it, and the operations on single rows. matmul.c and attention.c have the rest. */
#include "device/device_int.h"
#include "base/mem.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Waking the workers costs about as much as so many multiply-adds of a vector kernel. */
#define WORK_MIN 50000.0

void device_run(struct device *d, double work, pool_fn *fn, void *arg)
{
    if (work < WORK_MIN)
        fn(arg, 0, 1);
    else
        pool_run(d->pool, fn, arg);
}

int device_new(struct device **out, const struct device_opts *o, struct err *e)
{
    const char *mask = o->cpu_mask ? o->cpu_mask : getenv("SLUICE_CPU");
    int level = mask && *mask ? kernel_level_find(mask) : KERNEL_LEVELS - 1;
    if (level < 0)
        return err_set(e, ERR_BAD_VALUE, "device: no kernels called %.32s; SLUICE_CPU is scalar, avx2, avx512 or amx", mask);
    if (o->n_threads < 0 || o->n_threads > DEVICE_THREADS_MAX)
        return err_set(e, ERR_BAD_VALUE, "device: %d threads; ask for 1 to %d, or 0 for one a CPU", o->n_threads, DEVICE_THREADS_MAX);
    struct device *d = mem_new(sizeof *d);
    if (!d)
        return err_set(e, ERR_NO_MEMORY, "device: no memory to start");
    kernel_table_init(&d->k, (enum kernel_level)level);
    mutex_init(&d->slabs_mutex);
    int n = o->n_threads ? o->n_threads : thread_cpus();
    n = n < 1 ? 1 : n > DEVICE_THREADS_MAX ? DEVICE_THREADS_MAX : n;
    int rc = pool_new(&d->pool, n, e);
    if (rc < 0) {
        device_free(d);
        return rc;
    }
    d->lanes = mem_must((size_t)n * sizeof *d->lanes);
    d->parts_done = mem_must((size_t)n * DEVICE_TILES_EACH * sizeof *d->parts_done);
    *out = d;
    return 0;
}

static void lane_deinit(struct device_lane *l)
{
    mem_free(l->q), mem_free(l->out), mem_free(l->all_out);
    mem_free(l->query.q), mem_free(l->query.hi), mem_free(l->query.lo);
}

void device_free(struct device *d)
{
    if (!d)
        return;
    for (int i = 0; d->lanes && i < pool_threads(d->pool); i++)
        lane_deinit(&d->lanes[i]);
    mem_free(d->lanes);
    mem_free(d->parts);
    mem_free(d->parts_done);
    pool_free(d->pool);
    ASSERT(!d->slabs); /* every weight is freed before its device */
    mutex_deinit(&d->slabs_mutex);
    mem_free(d->act);
    mem_free(d->pairs);
    mem_free(d);
}

struct each {
    void (*fn)(void *arg, int worker, int i);
    void *arg;
    int n;
    atomic_int next; /* that nobody has taken */
};

static void each_share(void *arg, int worker, int n_workers)
{
    struct each *e = arg;
    (void)n_workers;
    for (int i; (i = atomic_fetch_add(&e->next, 1)) < e->n;)
        e->fn(e->arg, worker, i);
}

void device_each(struct device *d, void (*fn)(void *arg, int worker, int i), void *arg, int n)
{
    struct each e = {.fn = fn, .arg = arg, .n = n};
    device_run(d, n > 1 ? WORK_MIN : 0, each_share, &e);
}

int device_threads(const struct device *d)
{
    return pool_threads(d->pool);
}
const char *device_level(const struct device *d)
{
    return kernel_level_name(d->k.level);
}

const char *device_kernel(const struct device *d, int i, const char **op)
{
    static const char *const ops[] = {
#define KERNEL_NAME_scalar(op) #op,
#define KERNEL_NAME_avx2(op)
#define KERNEL_NAME_avx512(op)
#define KERNEL_NAME_amx(op)
#define KERNEL(op, family, level, tolerance) KERNEL_NAME_##level(op)
#include "kernel/kernel.def"
#undef KERNEL
#undef KERNEL_NAME_scalar
    };
    const enum kernel_level levels[] = {
#define KERNEL_NAME_scalar(op)               d->k.op##_level,
#define KERNEL(op, family, level, tolerance) KERNEL_NAME_##level(op)
#include "kernel/kernel.def"
#undef KERNEL
    };
    if (i < 0 || (size_t)i >= sizeof ops / sizeof *ops)
        return NULL;
    *op = ops[i];
    return kernel_level_name(levels[i]);
}

const char *device_cpu(int i, bool *has)
{
    if (i < 0 || i >= KERNEL_LEVELS)
        return NULL;
    *has = kernel_cpu_has((enum kernel_level)i);
    return kernel_level_name((enum kernel_level)i);
}

void device_cpu_name(char out[49])
{
    kernel_cpu_name(out);
}

/* The operations below split rows, or plain values, over the workers. */
struct rows {
    const struct device *d;
    float *y;
    const float *a, *b;
    float eps;
    size_t n, cols;
    const float *cos, *sin;
    enum rope_pairs pairs;
    int n_heads, head_dim, n_rot;
};

static void rmsnorm_share(void *arg, int worker, int n_workers)
{
    struct rows *r = arg;
    for (size_t i = share_start(r->n, worker, n_workers); i < share_start(r->n, worker + 1, n_workers); i++)
        r->d->k.rmsnorm(r->y + i * r->cols, r->a + i * r->cols, r->b, r->eps, r->cols);
}

void dev_rmsnorm(struct device *d, float *y, const float *x, const float *gain, float eps, int n, int n_cols)
{
    struct rows r = {.d = d, .y = y, .a = x, .b = gain, .eps = eps, .n = (size_t)n, .cols = (size_t)n_cols};
    device_run(d, (double)n * n_cols, rmsnorm_share, &r);
}

/* Values are shared out in whole vectors, so that a value meets the same instructions whatever the number of threads. */
static size_t share_values(size_t n, int i, int shares)
{
    return i == shares ? n : share_start(n / KERNEL_PANEL, i, shares) * KERNEL_PANEL;
}

static void add_share(void *arg, int worker, int n_workers)
{
    struct rows *r = arg;
    size_t from = share_values(r->n, worker, n_workers), to = share_values(r->n, worker + 1, n_workers);
    r->d->k.add(r->y + from, r->a + from, to - from);
}

void dev_add(struct device *d, float *a, const float *b, size_t n)
{
    struct rows r = {.d = d, .y = a, .a = b, .n = n};
    device_run(d, (double)n, add_share, &r);
}

static void swiglu_share(void *arg, int worker, int n_workers)
{
    struct rows *r = arg;
    size_t from = share_values(r->n, worker, n_workers), to = share_values(r->n, worker + 1, n_workers);
    r->d->k.swiglu(r->y + from, r->a + from, r->b + from, to - from);
}

void dev_swiglu(struct device *d, float *y, const float *gate, const float *up, size_t n)
{
    struct rows r = {.d = d, .y = y, .a = gate, .b = up, .n = n};
    device_run(d, 4 * (double)n, swiglu_share, &r);
}

static void scale_share(void *arg, int worker, int n_workers)
{
    struct rows *r = arg;
    for (size_t i = share_start(r->n, worker, n_workers); i < share_start(r->n, worker + 1, n_workers); i++)
        for (size_t j = 0; j < r->cols; j++)
            r->y[i * r->cols + j] *= r->a[i];
}

void dev_scale_rows(struct device *d, float *a, const float *by, int n, int n_cols)
{
    struct rows r = {.d = d, .y = a, .a = by, .n = (size_t)n, .cols = (size_t)n_cols};
    device_run(d, (double)n * n_cols, scale_share, &r);
}

struct angles {
    float *cos, *sin;
    const int32_t *pos;
    const double *const *freqs;
    double scale;
    size_t n, half;
};

static void angles_share(void *arg, int worker, int n_workers)
{
    struct angles *a = arg;
    for (size_t i = share_start(a->n, worker, n_workers); i < share_start(a->n, worker + 1, n_workers); i++)
        for (size_t j = 0; j < a->half; j++) {
            double angle = (double)a->pos[i] * a->freqs[i][j];
            a->cos[i * a->half + j] = (float)(cos(angle) * a->scale);
            a->sin[i * a->half + j] = (float)(sin(angle) * a->scale);
        }
}

void dev_rope_angles(struct device *d, float *cos, float *sin, const int32_t *pos, const double *const *freqs, double scale, int n, int half)
{
    struct angles a = {cos, sin, pos, freqs, scale, (size_t)n, (size_t)half};
    device_run(d, 100.0 * n * half, angles_share, &a);
}

static void rope_share(void *arg, int worker, int n_workers)
{
    struct rows *r = arg;
    kernel_rope_fn *kernel = r->pairs == ROPE_NORM ? r->d->k.rope_norm : r->d->k.rope_neox;
    size_t half = (size_t)r->n_rot / 2;
    for (size_t i = share_start(r->n, worker, n_workers); i < share_start(r->n, worker + 1, n_workers); i++)
        kernel(r->y + i * r->cols, r->cos + i * half, r->sin + i * half, r->n_heads, r->head_dim, r->n_rot);
}

void dev_rope(struct device *d, float *x, const float *cos, const float *sin, enum rope_pairs pairs, int n, int n_heads, int head_dim, int n_rot)
{
    struct rows r = {.d = d,
                     .y = x,
                     .cos = cos,
                     .sin = sin,
                     .n = (size_t)n,
                     .cols = (size_t)n_heads * (size_t)head_dim,
                     .pairs = pairs,
                     .n_heads = n_heads,
                     .head_dim = head_dim,
                     .n_rot = n_rot};
    if (n > 0 && n_rot > 0)
        device_run(d, (double)n * n_heads * n_rot, rope_share, &r);
}
