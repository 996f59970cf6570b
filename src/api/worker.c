/* Calls that may wait for the ledger run here, on one thread, so that no stream waits behind an audit. */
#include "api/api_int.h"

struct worker {
    struct mutex lock;
    struct cond wake;
    struct thread thread;
    struct work *first, **last;
    bool stop;
};

struct work *work_new(struct api *a, struct http *r, const char *route, int (*fn)(struct work *, struct err *))
{
    struct work *w = mem_new(sizeof *w);
    if (!w)
        return NULL;
    w->api = a, w->r = r, w->route = route, w->fn = fn;
    buf_init(&w->out, 64 << 20);
    return w;
}

void work_free(struct work *w)
{
    if (!w)
        return;
    if (w->ctx_free)
        w->ctx_free(w->ctx);
    json_free(w->args);
    buf_deinit(&w->out);
    mem_free(w);
}

/* Loop thread. */
static void answer(void *arg)
{
    struct work *w = arg;
    if (w->then) {
        w->then(w);
        work_free(w);
        return;
    }
    if (w->out.failed && w->err.code == ERR_OK)
        err_set(&w->err, ERR_TOO_LARGE, "the answer is too large to be sent; ask for less");
    if (w->r && w->err.code != ERR_OK) {
        errors_reply(w->r, &w->err);
    } else if (w->r) {
        log_answer(w->r, w->route, 200);
        http_reply(w->r, 200, w->type ? w->type : "application/json",
                   w->out.data ? w->out.data
                   : w->type   ? ""
                               : "{}",
                   w->out.data ? w->out.len
                   : w->type   ? 0
                               : 2);
    }
    work_free(w);
}

static void gone(void *arg)
{
    ((struct work *)arg)->r = NULL;
}

static void run(void *arg)
{
    struct worker *q = arg;
    mutex_lock(&q->lock);
    for (;;) {
        while (!q->first && !q->stop)
            cond_wait(&q->wake, &q->lock);
        struct work *w = q->first;
        if (!w)
            break;
        if (!(q->first = w->next))
            q->last = &q->first;
        mutex_unlock(&q->lock);
        if (w->fn(w, &w->err) < 0 && w->err.code == ERR_OK)
            err_set(&w->err, ERR_INTERNAL, "%s failed without a reason", w->route);
        server_post(w->api->server, answer, w);
        mutex_lock(&q->lock);
    }
    mutex_unlock(&q->lock);
}

void worker_run(struct worker *q, struct work *w)
{
    if (w->r)
        http_on_gone(w->r, gone, w);
    mutex_lock(&q->lock);
    *q->last = w, q->last = &w->next;
    cond_signal(&q->wake);
    mutex_unlock(&q->lock);
}

int worker_new(struct worker **out, struct err *e)
{
    struct worker *q = mem_new(sizeof *q);
    if (!q)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    mutex_init(&q->lock);
    cond_init(&q->wake);
    q->last = &q->first;
    if (!thread_start(&q->thread, "api-worker", run, q)) {
        mem_free(q);
        return err_set(e, ERR_UNAVAILABLE, "api: no thread could be started; raise the limit on processes");
    }
    *out = q;
    return 0;
}

void worker_free(struct worker *q)
{
    if (!q)
        return;
    mutex_lock(&q->lock);
    q->stop = true;
    cond_signal(&q->wake);
    mutex_unlock(&q->lock);
    thread_join(&q->thread);
    cond_deinit(&q->wake);
    mutex_deinit(&q->lock);
    mem_free(q);
}
