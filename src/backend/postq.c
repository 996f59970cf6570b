#include "backend/postq.h"
#include "base/mem.h"

struct postq_call {
    void (*fn)(void *);
    void              *arg;
    struct postq_call *next;
};

void postq_init(struct postq *q)
{
    mutex_init(&q->mu);
    cond_init(&q->more);
    q->first = NULL;
    q->last = &q->first;
}

static struct postq_call *take(struct postq *q, uint32_t ms)
{
    mutex_lock(&q->mu);
    while (!q->first && ms > 0 && cond_wait_ms(&q->more, &q->mu, ms))
        ;
    struct postq_call *all = q->first;
    q->first = NULL;
    q->last = &q->first;
    mutex_unlock(&q->mu);
    return all;
}

void postq_deinit(struct postq *q)
{
    for (struct postq_call *c = take(q, 0), *next; c; c = next) {
        next = c->next;
        mem_free(c);
    }
    cond_deinit(&q->more);
    mutex_deinit(&q->mu);
}

void postq_post(void *ctx, void (*fn)(void *), void *arg)
{
    struct postq      *q = ctx;
    struct postq_call *c = mem_must(sizeof *c);
    *c = (struct postq_call){fn, arg, NULL};
    mutex_lock(&q->mu);
    *q->last = c;
    q->last = &c->next;
    cond_signal(&q->more);
    mutex_unlock(&q->mu);
}

bool postq_run(struct postq *q, uint32_t ms)
{
    struct postq_call *c = take(q, ms), *next;
    bool               any = c != NULL;
    for (; c; c = next) {
        next = c->next;
        c->fn(c->arg);
        mem_free(c);
    }
    return any;
}
