#include "hub/fetch_int.h"
#include "base/mem.h"
#include <string.h>

enum {
    HOT_BYTES = 1 << 20, /* half of a core's cache or less */
    HOT_PIECE = 256 << 10,
    HOT_BEHIND = 4 << 20, /* a hasher farther behind than this reads the file: a connection never waits for it */
};

void hot_new(struct run *r)
{
    r->hot.p = mem_new(HOT_BYTES);
}

/* ---- the connections' side ---- */

/* Copies n bytes, at most what lies before the ring's end and its oldest byte; returns how many. Waits for room. The lock is held. */
static size_t hot_copy(struct run *r, const char *p, size_t n)
{
    struct hot *h = &r->hot;
    while (h->on && !r->stop && h->to - h->from == HOT_BYTES)
        cond_wait(&r->room, &r->lock);
    if (!h->on || r->stop)
        return 0;
    size_t at = (size_t)(h->to % HOT_BYTES), room = HOT_BYTES - (size_t)(h->to - h->from);
    n = n < room ? n : room;
    n = n < HOT_BYTES - at ? n : HOT_BYTES - at;
    memcpy(h->p + at, p, n);
    h->to += n;
    if (h->to - h->from >= HOT_PIECE)
        cond_signal(&r->changed);
    return n;
}

int hot_put(struct worker *w, const char *p, size_t n)
{
    struct run *r = w->run;
    int rc = 0;
    mutex_lock(&r->lock);
    bool near = r->hot.p && !r->hot.on && w->at >= r->hashed && w->at - r->hashed <= HOT_BEHIND && ranges_run(&r->have, r->hashed) == w->marked;
    mutex_unlock(&r->lock);
    if (near && (rc = conn_mark(w, &w->err))) /* so that all before is in run->have */
        return rc;
    mutex_lock(&r->lock);
    if (near && !r->hot.on && w->at >= r->hashed && ranges_run(&r->have, r->hashed) == w->at)
        r->hot.on = true, r->hot.from = r->hot.to = w->at;
    if (r->hot.on && r->hot.to == w->at)
        for (size_t k; n && (k = hot_copy(r, p, n)); p += k, n -= k) {
        }
    mutex_unlock(&r->lock);
    return 0;
}

/* ---- the hasher's side ---- */

/* The end of what the file has from `at` on and hot has not. Where hot is empty and others have written on, it is over with hot. */
static uint64_t file_end(struct run *r, uint64_t at)
{
    uint64_t end = ranges_run(&r->have, at);
    if (!r->hot.on)
        return end;
    if (at < r->hot.from)
        return end < r->hot.from ? end : r->hot.from;
    r->hot.on = at < r->hot.to || end <= at;
    return r->hot.on ? at : end;
}

uint64_t hot_wait(struct run *r, uint64_t at, const char **hot)
{
    uint64_t end = at;
    mutex_lock(&r->lock);
    r->hashed = at;
    if (r->hot.on && at > r->hot.from) {
        r->hot.from = at;
        cond_signal(&r->room);
    }
    for (*hot = NULL; !r->stop && at < r->end; cond_wait(&r->changed, &r->lock)) {
        if ((end = file_end(r, at)) > at)
            break;
        if (r->hot.on && r->hot.to > at) {
            size_t i = (size_t)(at % HOT_BYTES), n = HOT_BYTES - i;
            n = n < HOT_PIECE ? n : HOT_PIECE;
            end = r->hot.to - at < n ? r->hot.to : at + n;
            *hot = r->hot.p + i;
            break;
        }
    }
    end = r->stop ? at : end;
    mutex_unlock(&r->lock);
    return end;
}
