#include "base/clock.h"
#include "base/mem.h"
#include "hub/fetch_int.h"
#include <string.h>

enum {
    TICK_MS = 200,
    SYNC_MS = 3000,
    FAST = 400 << 20 /* bytes a second */
};

void run_fail(struct run *r, int rc, const struct err *e)
{
    mutex_lock(&r->lock);
    if (!r->rc)
        r->rc = rc, r->err = *e;
    r->stop = true;
    cond_broadcast(&r->changed);
    cond_broadcast(&r->ended);
    mutex_unlock(&r->lock);
}

/* ---- connections, and who watches them ---- */

/* Connections: one at first, and one more at each tick while they bring less than FAST together. On a fast line one is enough, and more would
 * only take turns from each other and from the hasher. */
struct pool {
    struct worker *w;
    struct thread *t;
    unsigned n, started;
};

static int pool_start(struct run *r, struct pool *p, struct err *e)
{
    struct worker *w = &p->w[p->started];
    w->run = r;
    int rc = client_open(&w->client, e);
    if (rc)
        return rc;
    mutex_lock(&r->lock);
    r->working++;
    mutex_unlock(&r->lock);
    if (thread_start(&p->t[p->started], "fetch", conn_work, w)) {
        p->started++;
        return 0;
    }
    mutex_lock(&r->lock);
    r->working--;
    mutex_unlock(&r->lock);
    client_close(w->client);
    return err_set(e, ERR_NO_MEMORY, "hub: no thread can be started");
}

/* The caller's thread: shows how it goes, adds connections and syncs now and then, until all are done. */
static void watch(struct run *r, struct pool *pool)
{
    struct fetch *f = r->f;
    uint64_t next_sync = clock_ns() + SYNC_MS * 1000000ull, tick_ns = clock_ns(), tick_moved = 0;
    mutex_lock(&r->lock);
    while (r->working) {
        (void)cond_wait_ms(&r->ended, &r->lock, TICK_MS);
        struct fetch_progress p = {ranges_bytes(&r->have), f->file->size, r->moved};
        bool stop = r->stop, more = r->working && !r->whole && !stop && pool->started < pool->n;
        mutex_unlock(&r->lock);
        if (f->progress)
            f->progress(f->arg, &p);
        struct err e;
        uint64_t now = clock_ns();
        if (more && now - tick_ns >= TICK_MS * 1000000ull) {
            if ((p.moved - tick_moved) * 1000 / TICK_MS < FAST)
                pool->n = pool_start(r, pool, &e) ? pool->started : pool->n; /* fewer will do */
            tick_ns = now, tick_moved = p.moved;
        }
        if (!stop && now > next_sync) {
            int rc = partial_sync(f->partial, &e);
            if (rc)
                run_fail(r, rc, &e);
            next_sync = clock_ns() + SYNC_MS * 1000000ull;
        }
        mutex_lock(&r->lock);
    }
    mutex_unlock(&r->lock);
}

static int run_connections(struct run *r, unsigned n)
{
    struct pool p = {mem_array(n, sizeof *p.w), mem_array(n, sizeof *p.t), n, 0};
    struct err e;
    int rc = p.w && p.t ? pool_start(r, &p, &e) : err_set(&e, ERR_NO_MEMORY, "hub: no memory for %u connections", n);
    if (rc)
        run_fail(r, rc, &e);
    watch(r, &p);
    for (unsigned i = 0; i < p.started; i++) {
        thread_join(&p.t[i]);
        client_close(p.w[i].client);
    }
    mem_free(p.w);
    mem_free(p.t);
    return rc;
}

/* ---- a run ---- */

static int run_init(struct run *r, struct fetch *f, uint64_t end, struct err *e)
{
    *r = (struct run){.f = f, .end = end};
    memcpy(r->url, f->url, sizeof r->url);
    memcpy(r->etag, f->etag, sizeof r->etag);
    mutex_init(&r->lock);
    cond_init(&r->changed);
    cond_init(&r->ended);
    const struct ranges *had = partial_had(f->partial);
    for (size_t i = 0; i < had->n; i++)
        if (!ranges_add(&r->have, had->p[i].from, had->p[i].to))
            return err_set(e, ERR_NO_MEMORY, "hub: no memory to note what is there");
    return 0;
}

static void run_deinit(struct run *r)
{
    ranges_deinit(&r->have);
    ranges_deinit(&r->claimed);
    mutex_deinit(&r->lock);
    cond_deinit(&r->changed);
    cond_deinit(&r->ended);
}

int fetch_head(struct fetch *f, uint64_t n, uint64_t *moved, struct err *e)
{
    struct run r;
    int rc = run_init(&r, f, n < f->file->size ? n : f->file->size, e);
    if (!rc && ranges_run(&r.have, 0) < r.end) {
        (void)run_connections(&r, 1);
        if ((rc = r.rc))
            *e = r.err;
    }
    if (!rc)
        rc = partial_had_add(f->partial, &r.have, e);
    memcpy(f->url, r.url, sizeof f->url);
    memcpy(f->etag, r.etag, sizeof f->etag);
    *moved = r.moved;
    run_deinit(&r);
    return rc;
}

int fetch_rest(struct fetch *f, struct sha256 *digest, uint64_t *moved, bool *useless, struct err *e)
{
    struct run r;
    struct thread hasher;
    unsigned n = f->connections ? f->connections : FETCH_CONNECTIONS;
    *useless = false, *moved = 0;
    int rc = run_init(&r, f, f->file->size, e);
    if (!rc && !thread_start(&hasher, "hash", hash_work, &r))
        rc = err_set(e, ERR_NO_MEMORY, "hub: no thread can be started");
    if (!rc) {
        if (ranges_run(&r.have, 0) < r.end)
            (void)run_connections(&r, n < FETCH_CONNECTIONS_MAX ? n : FETCH_CONNECTIONS_MAX);
        mutex_lock(&r.lock);
        if (!r.rc && ranges_run(&r.have, 0) < r.end) /* no connection is left and no error was told: stopped */
            r.rc = err_set(&r.err, ERR_UNAVAILABLE, "hub: %s was not fetched to its end; pull again, what came is kept", f->file->path);
        if (r.rc)
            r.stop = true;
        cond_broadcast(&r.changed);
        mutex_unlock(&r.lock);
        thread_join(&hasher);
        if ((rc = r.rc))
            *e = r.err;
        *digest = r.digest;
    }
    if (!rc)
        rc = hash_verify(&r, useless, e);
    *moved = r.moved;
    run_deinit(&r);
    return rc;
}
