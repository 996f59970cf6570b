/* Titles in and out of memory, one after the other. The lock is held in each of these functions and left while a file is read or weights are made. */
#include "backend/shelf_int.h"
#include "base/clock.h"
#include "base/log.h"
#include <string.h>

#define RETRY_NS (5 * 1000000000ull) /* a model that did not load is not tried again at once */

static void failed(struct shelf *s, struct title *t, const struct err *e)
{
    log_line(LOG_ERROR, "model_load", "name=%s failed: %s", t->pub.alias, e->msg);
    s->n.load_failures++;
    t->state = TITLE_COLD;
    t->opened = false;
    t->err = *e;
    t->retry_ns = clock_ns() + RETRY_NS;
    waits_tell(s, t, e);
}

static void open_one(struct shelf *s, struct title *t)
{
    struct err e = {0};
    uint64_t need = 0, most = s->n.bytes_max;
    t->state = TITLE_LOADING;
    mutex_unlock(&s->mu);
    uint32_t n_ctx = 0;
    int rc = title_open(t, s->engine, &need, &n_ctx, &e);
    if (rc >= 0 && need > most) {
        title_unload(t, NULL);
        rc = err_set(&e, ERR_NO_ROOM, "the model %s needs %llu MiB of memory, more than the %llu MiB for models; an operator raises --memory",
                     t->pub.alias, (unsigned long long)(need >> 20) + 1, (unsigned long long)(most >> 20));
    }
    mutex_lock(&s->mu);
    if (rc < 0) {
        failed(s, t, &e);
        return;
    }
    t->need = need;
    t->opened = t->seen = true;
    t->state = TITLE_WANTED;
}

/* When there is nothing else to do: so that /v1/models knows the context of a model that nobody has asked for, and the log a damaged file. */
static void look_at(struct shelf *s, struct title *t)
{
    struct err e = {0};
    uint64_t need = 0;
    uint32_t n_ctx = 0;
    t->seen = t->looking = true;
    mutex_unlock(&s->mu);
    int rc = title_open(t, s->engine, &need, &n_ctx, &e);
    title_unload(t, NULL);
    mutex_lock(&s->mu);
    t->looking = false;
    if (rc < 0)
        log_line(LOG_WARN, "model", "%s cannot be loaded: %s", t->pub.alias, e.msg);
    else
        t->need = need, t->n_ctx = n_ctx;
}

static void load_one(struct shelf *s, struct title *t)
{
    struct err e = {0};
    uint64_t begin = clock_ns();
    t->state = TITLE_LOADING;
    s->n.bytes_used += t->need;
    mutex_unlock(&s->mu);
    int rc = title_load(t, s->device, s->engine, &e);
    if (rc >= 0)
        title_publish(t, s->engine, s->prefix, s->prefix_arg);
    mutex_lock(&s->mu);
    if (rc < 0) {
        s->n.bytes_used -= t->need;
        failed(s, t, &e);
        return;
    }
    t->state = TITLE_READY;
    t->used_ns = clock_ns();
    t->n_ctx = t->pub.n_ctx;
    s->n.loads++, s->n.loaded++;
    log_line(LOG_INFO, "model_load", "name=%s ms=%.1f bytes=%llu", t->pub.alias, (double)(t->used_ns - begin) / 1e6, (unsigned long long)t->need);
    if (*t->pub.warning)
        log_line(LOG_WARN, "model", "%s: %s", t->pub.alias, t->pub.warning);
    waits_tell(s, t, &(struct err){0});
}

/* Asked while weights are written. */
static bool wanted(void *arg)
{
    struct shelf *s = arg;
    mutex_lock(&s->mu);
    bool is = shelf_wanted(s);
    mutex_unlock(&s->mu);
    return is;
}

/* When there is nothing else to do; on this thread, so that nobody unloads it meanwhile. What is broken off is not tried again until it is loaded. */
static void keep_one(struct shelf *s, struct title *t)
{
    t->unkept = false;
    if (model_packed_bytes(t->model) < s->packed_min)
        return;
    mutex_unlock(&s->mu);
    title_keep(t, s->device, wanted, s);
    mutex_lock(&s->mu);
}

static void close_one(struct shelf *s, struct title *t)
{
    t->state = TITLE_UNLOADING;
    mutex_unlock(&s->mu);
    title_unload(t, s->engine);
    mutex_lock(&s->mu);
    t->state = TITLE_COLD;
    t->opened = t->fenced = false;
    if (t->waits) /* who came meanwhile or was fenced off waits in line again */
        title_want(t, clock_ns());
}

static void unload_one(struct shelf *s, struct title *t)
{
    close_one(s, t);
    s->n.bytes_used -= t->need;
    s->n.unloads++, s->n.loaded--;
    log_line(LOG_INFO, "model_unload", "name=%s bytes=%llu", t->pub.alias, (unsigned long long)t->need);
}

/* A withdrawn title goes when nothing needs it. */
static void reap(struct shelf *s)
{
    for (size_t i = 0; i < s->titles.n;) {
        struct title *t = s->titles.p[i];
        if (t->gone && t->state == TITLE_WANTED) /* who waited was told */
            t->state = TITLE_COLD;
        if (t->gone && t->state == TITLE_COLD && !t->pins && !t->looking) {
            memmove(&s->titles.p[i], &s->titles.p[i + 1], (--s->titles.n - i) * sizeof *s->titles.p);
            title_free(t);
        } else {
            i++;
        }
    }
}

void loader_work(void *shelf)
{
    struct shelf *s = shelf;
    mutex_lock(&s->mu);
    while (!s->stop) {
        uint64_t now = clock_ns();
        struct title *t;
        waits_expire(s, now);
        reap(s);
        switch (shelf_next(s, now, &t)) {
        case TASK_OPEN: open_one(s, t); break;
        case TASK_LOAD: load_one(s, t); break;
        case TASK_UNLOAD: unload_one(s, t); break;
        case TASK_CLOSE: close_one(s, t); break;
        case TASK_LOOK: look_at(s, t); break;
        case TASK_KEEP: keep_one(s, t); break;
        case TASK_NONE: (void)cond_wait_ms(&s->wake, &s->mu, shelf_nap_ms(s));
        }
    }
    mutex_unlock(&s->mu);
}

/* ---- on the caller's thread ---- */

int shelf_load_now(struct shelf *s, struct title *t, struct err *e)
{
    uint64_t need = 0;
    uint32_t n_ctx;
    mutex_lock(&s->mu);
    t->state = TITLE_LOADING;
    mutex_unlock(&s->mu);
    int rc = title_open(t, s->engine, &need, &n_ctx, e);
    if (rc >= 0)
        rc = title_load(t, s->device, s->engine, e);
    mutex_lock(&s->mu);
    if (rc < 0) {
        t->gone = true;
        t->state = TITLE_COLD;
        reap(s);
    } else {
        t->need = need, t->n_ctx = t->pub.n_ctx;
        t->opened = t->resident = true;
        t->state = TITLE_READY;
        s->n.bytes_used += need;
        s->n.loads++, s->n.loaded++;
    }
    mutex_unlock(&s->mu);
    return rc;
}
