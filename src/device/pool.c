#include "device/pool.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include <stdatomic.h>
#include <stdio.h>

/* How long a worker waits for the next job, and the caller for the last worker, before they sleep. */
#define SPIN_NS 100000u
/* Looks at the clock once in so many pauses. */
#define SPIN_PAUSES 64

struct worker {
    struct pool  *pool;
    struct thread thread;
    int           number;
};

struct pool {
    int            n;
    pool_fn       *fn;
    void          *arg;
    struct worker *workers;
    struct mutex   mutex;
    struct cond    work, done;
    char           pad0[64]; /* what one side writes and the other polls has a cache line of its own */
    atomic_uint    job;      /* the number of the current job; a worker that sees it change reads fn and arg */
    char           pad1[64];
    atomic_int     pending; /* workers that have not finished the current job */
    char           pad2[64];
    atomic_int     sleeping;
    atomic_bool    waiting; /* the caller sleeps until pending is 0 */
    atomic_bool    busy, stop;
};

static void pause_cpu(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static bool job_came(struct pool *p, unsigned seen) { return atomic_load(&p->job) != seen; }
static bool all_done(struct pool *p, unsigned unused) { (void)unused; return atomic_load(&p->pending) == 0; }

/* Waits for ready(p, arg) without sleeping; false when the time is up. */
static inline __attribute__((always_inline)) bool spin(struct pool *p, bool (*ready)(struct pool *, unsigned), unsigned arg)
{
    uint64_t end = 0;
    for (unsigned i = 1;; i++) {
        if (ready(p, arg))
            return true;
        pause_cpu();
        if (i % SPIN_PAUSES == 0) {
            uint64_t now = clock_ns();
            if (!end)
                end = now + SPIN_NS;
            else if (now > end)
                return false;
        }
    }
}

static void wait_job(struct pool *p, unsigned old)
{
    if (spin(p, job_came, old))
        return;
    mutex_lock(&p->mutex);
    atomic_fetch_add(&p->sleeping, 1); /* before looking at job: pool_run sets job before it looks at sleeping */
    while (atomic_load(&p->job) == old)
        cond_wait(&p->work, &p->mutex);
    atomic_fetch_sub(&p->sleeping, 1);
    mutex_unlock(&p->mutex);
}

static void worker_main(void *arg)
{
    struct worker *w = arg;
    struct pool   *p = w->pool;
    for (unsigned seen = 0;; seen++) {
        wait_job(p, seen);
        if (atomic_load(&p->stop))
            return;
        p->fn(p->arg, w->number, p->n);
        if (atomic_fetch_sub(&p->pending, 1) == 1 && atomic_load(&p->waiting)) {
            mutex_lock(&p->mutex);
            cond_signal(&p->done);
            mutex_unlock(&p->mutex);
        }
    }
}

static void start_job(struct pool *p)
{
    atomic_fetch_add(&p->job, 1);
    if (atomic_load(&p->sleeping) > 0) {
        mutex_lock(&p->mutex);
        cond_broadcast(&p->work);
        mutex_unlock(&p->mutex);
    }
}

static void wait_done(struct pool *p)
{
    if (spin(p, all_done, 0))
        return;
    mutex_lock(&p->mutex);
    atomic_store(&p->waiting, true);
    while (atomic_load(&p->pending) != 0)
        cond_wait(&p->done, &p->mutex);
    atomic_store(&p->waiting, false);
    mutex_unlock(&p->mutex);
}

void pool_run(struct pool *p, pool_fn *fn, void *arg)
{
    if (p->n == 1 || atomic_exchange(&p->busy, true)) {
        for (int i = 0; i < p->n; i++)
            fn(arg, i, p->n);
        return;
    }
    p->fn = fn;
    p->arg = arg;
    atomic_store(&p->pending, p->n - 1);
    start_job(p);
    fn(arg, 0, p->n);
    wait_done(p);
    atomic_store(&p->busy, false);
}

int pool_threads(const struct pool *p) { return p->n; }

int pool_new(struct pool **out, int n_threads, struct err *e)
{
    struct pool *p = mem_new(sizeof *p);
    if (!p || !(p->workers = mem_array((size_t)n_threads, sizeof *p->workers))) {
        mem_free(p);
        return err_set(e, ERR_NO_MEMORY, "device: no memory for %d worker threads", n_threads);
    }
    p->n = 1;
    mutex_init(&p->mutex);
    cond_init(&p->work);
    cond_init(&p->done);
    for (int i = 1; i < n_threads; i++) {
        char name[16];
        snprintf(name, sizeof name, "worker-%d", i % 1000);
        p->workers[i] = (struct worker){.pool = p, .number = i};
        if (!thread_start(&p->workers[i].thread, name, worker_main, &p->workers[i])) {
            p->n = i;
            pool_free(p);
            return err_set(e, ERR_NO_MEMORY, "device: worker thread %d of %d does not start; ask for fewer threads", i, n_threads);
        }
    }
    p->n = n_threads;
    *out = p;
    return 0;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    start_job(p);
    for (int i = 1; i < p->n; i++)
        thread_join(&p->workers[i].thread);
    cond_deinit(&p->done);
    cond_deinit(&p->work);
    mutex_deinit(&p->mutex);
    mem_free(p->workers);
    mem_free(p);
}
