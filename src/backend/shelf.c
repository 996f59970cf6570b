/* The shelf: every name that can be called, and which of them are in memory. One loader thread brings models in and out, so that neither the
 * owner nor the step thread ever waits for one.
 *
 * Who asks for a model that is not there waits in a queue of bounded length and time. Room is made by unloading idle models, the least
 * recently used first, and only when that makes enough; a pinned model is never unloaded. When the first in the queue has waited for
 * patience_ns, models in use are fenced, least recently used first: they take no new requests and go when their last one has ended, so that a
 * busy model cannot keep a wanted one out for ever. */
#include "backend/local_int.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include <string.h>

#define RETRY_NS (5 * 1000000000ull) /* a model that did not load is not tried again at once */
#define PACKED_MIN (64ull << 20)
enum { WAIT_MS_DEFAULT = 60000, PATIENCE_MS_DEFAULT = 5000, WAITS_DEFAULT = 256, TICK_MS = 100, IDLE_MS = 1000 };

/* ---- who waits; the lock is held ---- */

static void wait_add(struct shelf *s, struct title *t, struct backend_wait *w, uint64_t now)
{
    w->title = t, w->next = NULL, w->told = false;
    w->deadline_ns = now + s->wait_ns;
    *t->waits_last = w;
    t->waits_last = &w->next;
    t->n_waits++, s->n.waiting++, s->n.waits++;
}

static bool wait_remove(struct shelf *s, struct backend_wait *w)
{
    struct title *t = w->title;
    for (struct backend_wait **at = &t->waits; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            if (!*at)
                t->waits_last = at;
            t->n_waits--, s->n.waiting--;
            return true;
        }
    return false;
}

/* Each gets a pin, or the error. */
static void waits_tell(struct shelf *s, struct title *t, const struct err *e)
{
    while (t->waits) {
        struct backend_wait *w = t->waits;
        (void)wait_remove(s, w);
        w->err = *e;
        if (e->code == ERR_OK)
            t->pins++;
        mailbox_wait(s->box, w);
    }
}

static void expire(struct shelf *s, uint64_t now)
{
    for (size_t i = 0; i < s->titles.n; i++) {
        struct title *t = s->titles.p[i];
        for (struct backend_wait *w = t->waits, *next; w; w = next) {
            next = w->next;
            if (w->deadline_ns > now)
                continue;
            (void)wait_remove(s, w);
            s->n.waits_expired++;
            err_set(&w->err, ERR_UNAVAILABLE,
                    "the model %s could not be loaded within %llu s, because the memory for models is in use; try again later", t->pub.alias,
                    (unsigned long long)(s->wait_ns / 1000000000));
            mailbox_wait(s->box, w);
        }
        if (t->state == TITLE_WANTED && !t->waits && t->wanted_ns + s->wait_ns <= now)
            t->state = TITLE_COLD; /* was to be preloaded, and there is no room */
    }
}

/* ---- what the loader does next; the lock is held ---- */

static bool idle(const struct title *t)
{
    return t->state == TITLE_READY && !t->pins && !t->resident;
}

static struct title *oldest(struct shelf *s, bool (*fits)(const struct title *t))
{
    struct title *best = NULL;
    for (size_t i = 0; i < s->titles.n; i++) {
        struct title *t = s->titles.p[i];
        if (fits(t) && (!best || t->used_ns < best->used_ns))
            best = t;
    }
    return best;
}

static bool wanted_closed(const struct title *t)
{
    return t->state == TITLE_WANTED && !t->opened;
}
static bool unseen(const struct title *t)
{
    return t->state == TITLE_COLD && !t->seen && !t->gone;
}
static bool busy(const struct title *t)
{
    return t->state == TITLE_READY && t->pins && !t->resident && !t->fenced;
}

static uint64_t idle_bytes(const struct shelf *s, bool with_fenced)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < s->titles.n; i++) {
        const struct title *t = s->titles.p[i];
        if (idle(t) || (with_fenced && t->state == TITLE_READY && t->fenced))
            sum += t->need;
    }
    return sum;
}

/* Those that are to go whether or not room is wanted. */
static struct title *overdue(struct shelf *s, uint64_t now)
{
    for (size_t i = 0; i < s->titles.n; i++) {
        struct title *t = s->titles.p[i];
        if (t->state == TITLE_READY && !t->pins && (t->gone || t->fenced))
            return t;
        if (idle(t) && !t->waits && s->keep_ns && t->used_ns + s->keep_ns <= now)
            return t;
    }
    return NULL;
}

static uint64_t room(const struct shelf *s)
{
    return s->n.bytes_max > s->n.bytes_used ? s->n.bytes_max - s->n.bytes_used : 0;
}

/* The open title that was wanted first, after `after`. */
static struct title *next_wanted(struct shelf *s, const struct title *after)
{
    struct title *best = NULL;
    for (size_t i = 0; i < s->titles.n; i++) {
        struct title *t = s->titles.p[i];
        if (t->state == TITLE_WANTED && t->opened && (!after || t->wanted_ns > after->wanted_ns) && (!best || t->wanted_ns < best->wanted_ns))
            best = t;
    }
    return best;
}

static void unfence(struct shelf *s)
{
    for (size_t i = 0; i < s->titles.n; i++) {
        struct title *t = s->titles.p[i];
        if (t->fenced && t->state == TITLE_READY) {
            t->fenced = false;
            waits_tell(s, t, &(struct err){0});
        }
    }
}

static void fence(struct shelf *s, const struct title *head)
{
    struct title *t;
    while (room(s) + idle_bytes(s, true) < head->need && (t = oldest(s, busy)))
        t->fenced = true;
}

/* What can be loaded now, or what goes to make room for it; both NULL: nothing can be done. */
static void plan(struct shelf *s, uint64_t now, struct title **load, struct title **unload)
{
    struct title *head = next_wanted(s, NULL);
    *load = *unload = NULL;
    bool impatient = head && head->wanted_ns + s->patience_ns <= now && room(s) < head->need;
    if (!impatient)
        unfence(s);
    for (struct title *t = head; t && !*load && !*unload; t = next_wanted(s, t)) {
        if (t->need <= room(s))
            *load = t;
        else if (t->need <= room(s) + idle_bytes(s, false))
            *unload = oldest(s, idle);
        if (impatient)
            break; /* nobody overtakes any more */
    }
    if (impatient && !*load && !*unload)
        fence(s, head);
}

/* ---- the loader's work; the lock is held, and left meanwhile ---- */

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

/* Asked while weights are written: somebody wants the loader for something else. */
static bool wanted(void *arg)
{
    struct shelf *s = arg;
    mutex_lock(&s->mu);
    bool is = s->stop || s->n.waiting > 0;
    for (size_t i = 0; i < s->titles.n && !is; i++) {
        const struct title *t = s->titles.p[i];
        is = t->state == TITLE_WANTED || (t->gone && t->state == TITLE_READY && !t->pins);
    }
    mutex_unlock(&s->mu);
    return is;
}

static bool unkept(const struct title *t)
{
    return t->state == TITLE_READY && t->unkept && !t->gone;
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

static void want(struct title *t, uint64_t now)
{
    t->state = TITLE_WANTED;
    t->wanted_ns = now;
}

static void unload_one(struct shelf *s, struct title *t)
{
    t->state = TITLE_UNLOADING;
    mutex_unlock(&s->mu);
    title_unload(t, s->engine);
    mutex_lock(&s->mu);
    t->state = TITLE_COLD;
    t->opened = t->fenced = false;
    s->n.bytes_used -= t->need;
    s->n.unloads++, s->n.loaded--;
    log_line(LOG_INFO, "model_unload", "name=%s bytes=%llu", t->pub.alias, (unsigned long long)t->need);
    if (t->waits) /* who was fenced off waits in line again */
        want(t, clock_ns());
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

static uint32_t nap(const struct shelf *s)
{
    for (size_t i = 0; i < s->titles.n; i++)
        if (((const struct title *)s->titles.p[i])->state == TITLE_WANTED)
            return TICK_MS;
    return s->n.waiting ? TICK_MS : s->keep_ns ? IDLE_MS : UINT32_MAX;
}

static void run(void *arg)
{
    struct shelf *s = arg;
    mutex_lock(&s->mu);
    while (!s->stop) {
        uint64_t now = clock_ns();
        struct title *load, *unload, *t;
        expire(s, now);
        reap(s);
        plan(s, now, &load, &unload);
        if ((t = overdue(s, now)))
            unload_one(s, t);
        else if ((t = oldest(s, wanted_closed)))
            open_one(s, t);
        else if (unload)
            unload_one(s, unload);
        else if (load)
            load_one(s, load);
        else if ((t = oldest(s, unseen)))
            look_at(s, t);
        else if ((t = oldest(s, unkept)))
            keep_one(s, t);
        else
            (void)cond_wait_ms(&s->wake, &s->mu, nap(s));
    }
    mutex_unlock(&s->mu);
}

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

void shelf_preload(struct shelf *s, struct str alias)
{
    mutex_lock(&s->mu);
    struct title *t = find(s, alias);
    if (t && t->state == TITLE_COLD)
        want(t, clock_ns());
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
            want(t, now);
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
        w->title->state = TITLE_COLD; /* nobody wants it any more; the file stays open, which is cheap */
    }
    mutex_unlock(&s->mu);
}

void shelf_status(struct shelf *s, struct title *t, struct backend_model_status *out)
{
    static const char *const words[] = {"unloaded", "waiting", "loading", "loaded", "unloading"};
    mutex_lock(&s->mu);
    *out = (struct backend_model_status){words[t->state], t->n_ctx, t->need, t->pins, t->n_waits};
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
    return thread_start(&s->loader, "loader", run, s) ? 0 : err_set(e, ERR_NO_MEMORY, "backend: the loader thread could not be started");
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
