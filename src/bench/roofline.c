/* What this machine can do. */
#include "base/clock.h"
#include "base/mem.h"
#include "bench/bench.h"
#include "device/pool.h"
#include "kernel/peak.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define READ_BYTES ((size_t)512 << 20)
enum { TRIPS = 2000, SPINS = 20000, SLEEPS_MAX = 1000 };

uint64_t bench_switches(void)
{
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) ? 0 : (uint64_t)u.ru_nivcsw;
}

struct job {
    const struct kernel_peak *peak;
    const uint8_t *memory;
    _Atomic bool lost; /* the round trips took so long that they were given up */
    _Alignas(64) _Atomic int ball;
};

static void loop_share(void *arg, int worker, int n_workers)
{
    (void)worker, (void)n_workers;
    ((struct job *)arg)->peak->loop();
}

static void read_share(void *arg, int worker, int n_workers)
{
    size_t share = READ_BYTES / (size_t)n_workers / 4096 * 4096;
    kernel_peak_read(((struct job *)arg)->memory + share * (size_t)worker, share);
}

static void nothing(void *arg, int worker, int n_workers)
{
    (void)arg, (void)worker, (void)n_workers;
}

/* Waits for the ball. After many spins it sleeps: the partner may wait for this very processor, which a real-time policy takes away from nobody who
 * spins. False: the time is over. */
static bool catch_ball(struct job *j, int want, int *sleeps)
{
    for (int spins = 0; atomic_load_explicit(&j->ball, memory_order_acquire) != want; spins++) {
        if (spins < SPINS)
            __builtin_ia32_pause();
        else if (++*sleeps < SLEEPS_MAX && !j->lost)
            clock_sleep_ms(1);
        else
            return false;
    }
    return true;
}

/* Workers 0 and 1 pass a cache line to and fro. */
static void bounce(void *arg, int worker, int n_workers)
{
    struct job *j = arg;
    int sleeps = 0;
    (void)n_workers;
    for (int i = 0; i < TRIPS && worker < 2; i++) {
        if (!catch_ball(j, 2 * i + worker, &sleeps)) {
            j->lost = true;
            return;
        }
        atomic_store_explicit(&j->ball, 2 * i + worker + 1, memory_order_release);
    }
}

/* Seconds of the fastest of `runs` jobs. */
static double best(struct pool *p, pool_fn *fn, struct job *j, int runs)
{
    double least = 1e9;
    for (int i = 0; i < runs && !j->lost; i++) {
        j->ball = 0;
        uint64_t t = clock_ns();
        pool_run(p, fn, j);
        double s = (double)(clock_ns() - t) * 1e-9;
        least = s < least ? s : least;
    }
    return least;
}

struct teller {
    roofline_fn *fn;
    void *arg;
};
static void tell(const struct teller *t, const char *what, const char *level, int threads, double value, const char *unit)
{
    struct roofline_row r = {.threads = threads, .value = value, .unit = unit};
    snprintf(r.what, sizeof r.what, "%s%s%s", what, *level ? " " : "", level);
    t->fn(t->arg, &r);
}

static int measure(int threads, bool quick, const uint8_t *memory, const struct teller *t, struct err *e)
{
    struct pool *p;
    struct job j = {.memory = memory};
    bool has;
    int rc = pool_new(&p, threads, e);
    if (rc < 0)
        return rc;
    tell(t, "read", "", threads,
         (double)(READ_BYTES / (size_t)threads / 4096 * 4096 * (size_t)threads) / best(p, read_share, &j, quick ? 8 : 20) * 1e-9, "GB/s");
    for (int i = 0; (j.peak = kernel_peak(i, &has)); i++)
        if (has)
            tell(t, j.peak->unit, j.peak->level, threads, j.peak->ops * threads / best(p, loop_share, &j, quick ? 20 : 100) * 1e-9, "Gop/s");
    tell(t, "empty job", "", threads, best(p, nothing, &j, 2000) * 1e9, "ns");
    if (threads > 1) {
        double s = best(p, bounce, &j, quick ? 20 : 100);
        if (!j.lost)
            tell(t, "round trip", "", 2, s / TRIPS * 1e9, "ns");
    }
    pool_free(p);
    return 0;
}

/* For each of the counts of threads. */
static int run(const int *threads, int n, bool quick, const struct teller *t, struct err *e)
{
    uint8_t *memory = mem_pages(READ_BYTES);
    int rc = memory ? 0 : err_set(e, ERR_NO_MEMORY, "bench: no memory for the %zu MB that are read", READ_BYTES >> 20);
    if (!rc)
        memset(memory, 1, READ_BYTES); /* pages that were never written share one page of zeros */
    for (int i = 0; i < n && !rc; i++)
        rc = measure(threads[i], quick, memory, t, e);
    if (memory)
        mem_pages_free(memory, READ_BYTES);
    return rc;
}

int roofline_run(int threads, bool quick, roofline_fn *fn, void *arg, struct err *e)
{
    int counts[32], n = 0; /* 1, 2, 4, ... and all */
    for (int k = quick ? threads : 1; k < threads; k *= 2)
        counts[n++] = k;
    counts[n++] = threads;
    return run(counts, n, quick, &(struct teller){fn, arg}, e);
}

struct limits_of {
    struct roofline_limits *out;
    int level;
};
static int rank(const char *level)
{
    static const char *const order[] = {"scalar", "avx2", "avx512", "amx"};
    for (int i = 0; i < 4; i++)
        if (!strcmp(level, order[i]))
            return i;
    return 0;
}

static void take(void *arg, const struct roofline_row *r)
{
    struct limits_of *l = arg;
    const char *level = strchr(r->what, ' ');
    double *to = !strcmp(r->what, "read")        ? &l->out->read
                 : !strncmp(r->what, "int8 ", 5) ? &l->out->int8
                 : !strncmp(r->what, "bf16 ", 5) ? &l->out->bf16
                 : !strncmp(r->what, "f32 ", 4)  ? &l->out->f32
                                                 : NULL;
    if (to && (!level || rank(level + 1) <= l->level) && r->value * 1e9 > *to)
        *to = r->value * 1e9;
}

int roofline_limits(struct roofline_limits *out, int threads, const char *level, struct err *e)
{
    *out = (struct roofline_limits){0};
    return run(&threads, 1, true, &(struct teller){take, &(struct limits_of){out, rank(level)}}, e);
}
