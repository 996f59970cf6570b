/* The shelf: every name that can be called, and which of them are in memory. One loader thread brings models in and out, so that neither the
 * owner nor the step thread ever waits for one.
 *
 * Who asks for a model that is not there waits in a queue of bounded length and time. Room is made by unloading idle models, the least
 * recently used first, and only when that makes enough; a pinned model is never unloaded. When the first in the queue has waited for
 * patience_ns, models in use are fenced, least recently used first: they take no new requests and go when their last one has ended, so that a
 * busy model cannot keep a wanted one out for ever. */
#include "backend/shelf_int.h"
#include "base/clock.h"

#define PACKED_MIN (64ull << 20)
enum { WAIT_MS_DEFAULT = 60000, PATIENCE_MS_DEFAULT = 5000, WAITS_DEFAULT = 256 };

/* ---- the owner's side ---- */

static struct title *find(struct shelf *s, struct str alias)
{
    for (size_t i = 0; i < s->titles.n; i++) {
        struct title *t = s->titles.p[i];
        if (!t->gone && str_eqz(alias, t->pub.alias))
            return t;
    }
    return NULL;
}

struct title *shelf_find(struct shelf *s, struct str alias)
{
    mutex_lock(&s->mu);
    struct title *t = find(s, alias);
    mutex_unlock(&s->mu);
    return t;
}

struct title *shelf_at(struct shelf *s, size_t i)
{
    struct title *out = NULL;
    mutex_lock(&s->mu);
    for (size_t k = 0; k < s->titles.n && !out; k++)
        if (!((struct title *)s->titles.p[k])->gone && i-- == 0)
            out = s->titles.p[k];
    mutex_unlock(&s->mu);
    return out;
}

size_t shelf_count(struct shelf *s)
{
    size_t n = 0;
    mutex_lock(&s->mu);
    for (size_t i = 0; i < s->titles.n; i++)
        n += !((struct title *)s->titles.p[i])->gone;
    mutex_unlock(&s->mu);
    return n;
}

int shelf_offer(struct shelf *s, const struct backend_source *q, struct title **out, struct err *e)
{
    struct title *t;
    struct backend_source offered = *q;
    if (s->no_packed)
        offered.packed = NULL;
    int rc = title_new(&t, &offered, e);
    if (rc < 0)
        return rc;
    t->no_screen = s->no_screen;
    t->seen = out != NULL; /* who loads it at once looks at it himself */
    mutex_lock(&s->mu);
    if (find(s, str_of(q->alias)))
        rc = err_set(e, ERR_CONFLICT, "backend: the name %s is taken by another model; give this one another name", q->alias);
    else if (!vec_push(&s->titles, t))
        rc = err_set(e, ERR_NO_MEMORY, "backend: no memory for a model; free some and start again");
    cond_signal(&s->wake);
    mutex_unlock(&s->mu);
    if (rc < 0)
        title_free(t);
    else if (out)
        *out = t;
    return rc;
}

void shelf_preload(struct shelf *s, struct str alias)
{
    mutex_lock(&s->mu);
    struct title *t = find(s, alias);
    if (t && t->state == TITLE_COLD)
        title_want(t, clock_ns());
    cond_signal(&s->wake);
    mutex_unlock(&s->mu);
}

void shelf_withdraw(struct shelf *s, struct str alias)
{
    struct err e;
    mutex_lock(&s->mu);
    struct title *t = find(s, alias);
    if (t) {
        t->gone = true;
        t->resident = false;
        err_set(&e, ERR_NO_MODEL, "the model %s was removed while this request waited for it", t->pub.alias);
        waits_tell(s, t, &e);
        cond_signal(&s->wake);
    }
    mutex_unlock(&s->mu);
}

/* Whether a title takes one more who waits. */
static int refuse(struct shelf *s, const struct title *t, uint64_t now, struct err *e)
{
    if (s->stop || t->gone)
        return err_set(e, ERR_UNAVAILABLE, "the server is ending, or the model %s is being removed; try again later", t->pub.alias);
    if (t->state == TITLE_COLD && t->retry_ns > now)
        return *e = t->err, -(int)t->err.code;
    if (s->n.waiting < s->waits_max)
        return 0;
    s->n.waits_refused++;
    return err_set(e, ERR_UNAVAILABLE, "%u requests wait for models to be loaded, which is the limit; try again later", s->waits_max);
}

int shelf_get(struct shelf *s, struct title *t, struct backend_wait *w, struct err *e)
{
    int rc;
    mutex_lock(&s->mu);
    uint64_t now = clock_ns();
    if (t->state == TITLE_READY && !t->fenced && !s->stop) {
        t->pins++;
        t->used_ns = now;
        rc = 0;
    } else if ((rc = refuse(s, t, now, e)) == 0) {
        wait_add(s, t, w, now);
        if (t->state == TITLE_COLD)
            title_want(t, now);
        cond_signal(&s->wake);
        rc = 1;
    }
    mutex_unlock(&s->mu);
    return rc;
}

bool shelf_pin(struct shelf *s, struct title *t)
{
    mutex_lock(&s->mu);
    bool ok = t->state == TITLE_READY;
    t->pins += ok;
    mutex_unlock(&s->mu);
    return ok;
}

/* The lock is held. */
static void unpin(struct shelf *s, struct title *t)
{
    ASSERT(t->pins > 0);
    t->used_ns = clock_ns();
    if (--t->pins == 0)
        cond_signal(&s->wake);
}

void shelf_put(struct shelf *s, struct title *t)
{
    mutex_lock(&s->mu);
    unpin(s, t);
    mutex_unlock(&s->mu);
}

void shelf_leave(struct shelf *s, struct backend_wait *w)
{
    mutex_lock(&s->mu);
    if (w->told) {
        if (mailbox_leave(s->box, w) && w->err.code == ERR_OK)
            unpin(s, w->title);
    } else if (wait_remove(s, w) && !w->title->waits && w->title->state == TITLE_WANTED) {
        w->title->state = TITLE_COLD; /* nobody wants it any more: the loader closes its file */
        cond_signal(&s->wake);
    }
    mutex_unlock(&s->mu);
}

void shelf_status(struct shelf *s, struct title *t, struct backend_model_status *out)
{
    static const char *const words[] = {"unloaded", "waiting", "loading", "loaded", "unloading"};
    mutex_lock(&s->mu);
    *out = (struct backend_model_status){words[t->state], t->n_ctx, t->need, t->pins, t->n_waits, {0}};
    if (t->state == TITLE_READY) /* it is not taken away while mu is held */
        out->speed = engine_model_speed(s->engine, t->served);
    mutex_unlock(&s->mu);
}

void shelf_stats(struct shelf *s, struct backend_shelf_stats *out)
{
    mutex_lock(&s->mu);
    *out = s->n;
    out->known = (uint32_t)s->titles.n;
    mutex_unlock(&s->mu);
}

/* ---- life ---- */

int shelf_init(struct shelf *s, const struct backend_local_opts *o, struct device *d, struct engine *g, struct mailbox *box, struct err *e)
{
    s->device = d, s->engine = g, s->box = box;
    s->n.bytes_max = o->memory ? o->memory : UINT64_MAX;
    s->keep_ns = o->keep_s * 1000000000ull;
    s->wait_ns = (o->wait_ms ? o->wait_ms : WAIT_MS_DEFAULT) * 1000000ull;
    s->patience_ns = (o->patience_ms ? o->patience_ms : PATIENCE_MS_DEFAULT) * 1000000ull;
    s->prefix = o->prefix, s->prefix_arg = o->prefix_arg;
    s->no_packed = o->no_packed;
    s->packed_min = o->packed_min ? o->packed_min : PACKED_MIN;
    s->waits_max = o->waits_max ? o->waits_max : WAITS_DEFAULT;
    s->no_screen = o->engine.no_screen;
    mutex_init(&s->mu);
    cond_init(&s->wake);
    return thread_start(&s->loader, "loader", loader_work, s) ? 0 : err_set(e, ERR_NO_MEMORY, "backend: the loader thread could not be started");
}

void shelf_stop(struct shelf *s)
{
    struct err e;
    if (!s->box)
        return;
    mutex_lock(&s->mu);
    s->stop = true;
    cond_signal(&s->wake);
    mutex_unlock(&s->mu);
    thread_join(&s->loader);
    err_set(&e, ERR_UNAVAILABLE, "the server is shutting down; try again in a moment");
    mutex_lock(&s->mu);
    for (size_t i = 0; i < s->titles.n; i++)
        waits_tell(s, s->titles.p[i], &e);
    mutex_unlock(&s->mu);
}

void shelf_deinit(struct shelf *s)
{
    if (!s->box)
        return;
    for (size_t i = 0; i < s->titles.n; i++)
        title_free(s->titles.p[i]);
    vec_deinit(&s->titles);
    cond_deinit(&s->wake);
    mutex_deinit(&s->mu);
}
