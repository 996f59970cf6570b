#include "base/thread.h"
#include "base/err.h"
#include "base/mem.h"
#include <errno.h>
#include <sched.h>
#include <time.h>

void mutex_init(struct mutex *m) { ASSERT(pthread_mutex_init(&m->m, NULL) == 0); }
void mutex_deinit(struct mutex *m) { ASSERT(pthread_mutex_destroy(&m->m) == 0); }
void mutex_lock(struct mutex *m) { ASSERT(pthread_mutex_lock(&m->m) == 0); }
void mutex_unlock(struct mutex *m) { ASSERT(pthread_mutex_unlock(&m->m) == 0); }

void cond_init(struct cond *c)
{
    pthread_condattr_t a;
    ASSERT(pthread_condattr_init(&a) == 0);
    ASSERT(pthread_condattr_setclock(&a, CLOCK_MONOTONIC) == 0);
    ASSERT(pthread_cond_init(&c->c, &a) == 0);
    pthread_condattr_destroy(&a);
}
void cond_deinit(struct cond *c) { ASSERT(pthread_cond_destroy(&c->c) == 0); }
void cond_wait(struct cond *c, struct mutex *m) { ASSERT(pthread_cond_wait(&c->c, &m->m) == 0); }
void cond_signal(struct cond *c) { ASSERT(pthread_cond_signal(&c->c) == 0); }
void cond_broadcast(struct cond *c) { ASSERT(pthread_cond_broadcast(&c->c) == 0); }

bool cond_wait_ms(struct cond *c, struct mutex *m, uint32_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += (long)(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000)
        t.tv_sec++, t.tv_nsec -= 1000000000;
    int rc = pthread_cond_timedwait(&c->c, &m->m, &t);
    ASSERT(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}

struct start {
    void (*fn)(void *);
    void *arg;
};

static void *run(void *p)
{
    struct start s = *(struct start *)p;
    mem_free(p);
    s.fn(s.arg);
    return NULL;
}

bool thread_start(struct thread *t, const char *name, void (*fn)(void *), void *arg)
{
    struct start *s = mem_new(sizeof *s);
    t->started = false;
    if (!s)
        return false;
    *s = (struct start){fn, arg};
    if (pthread_create(&t->t, NULL, run, s) != 0) {
        mem_free(s);
        return false;
    }
    pthread_setname_np(t->t, name);
    return t->started = true;
}

void thread_join(struct thread *t)
{
    if (t->started)
        ASSERT(pthread_join(t->t, NULL) == 0);
    t->started = false;
}

int thread_cpus(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}
