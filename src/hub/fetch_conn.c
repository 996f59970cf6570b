#include "hub/fetch_int.h"
#include "base/clock.h"
#include <stdio.h>
#include <string.h>

enum {
    SEGMENT_MIN = 4 << 20,
    SEGMENT_MAX = 64 << 20,
    MARK_BYTES = 1 << 20, /* a killed process loses at most this much on each connection */
};

static bool stopped(void *arg)
{
    struct worker *w = arg;
    return w->run->stop;
}
static bool go_on(void *arg)
{
    return !stopped(arg);
}

/* ---- the head of an answer ---- */

/* Content-Range: bytes FROM-LAST/SIZE */
static bool content_range(const struct client_answer *a, uint64_t *from, uint64_t *last, uint64_t *size)
{
    struct str v;
    if (!client_header(a, "Content-Range", &v) || !str_starts(v, "bytes "))
        return false;
    v.p += 6, v.n -= 6;
    struct str first = str_split(&v, '-'), second = str_split(&v, '/');
    return str_u64(str_trim(first), from) && str_u64(str_trim(second), last) && str_u64(str_trim(v), size) && *from <= *last;
}

static int changed(const struct worker *w, struct err *e)
{
    return err_set(e, ERR_REMOTE, "hub: %s changed on the hub while it was fetched; pull again", w->run->f->file->path);
}

/* The hub's own answer tells the digest once more (X-Linked-Etag on a redirect, else ETag). */
static int check_linked(const struct worker *w, const struct client_answer *a, struct err *e)
{
    struct str tag;
    struct sha256 d;
    if (!client_header(a, "X-Linked-Etag", &tag) && !client_header(a, "ETag", &tag))
        return 0;
    if (tag.n > 1 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"')
        tag.p++, tag.n -= 2;
    return w->run->f->file->has_sha256 && str_hex(tag, d.b, sizeof d.b) && memcmp(&d, &w->run->f->file->sha256, sizeof d) ? changed(w, e) : 0;
}

/* Within one place, an ETag stays. */
static int check_etag(struct worker *w, const struct client_answer *a, struct err *e)
{
    struct str tag;
    char text[sizeof w->run->etag];
    if (!client_header(a, "ETag", &tag) || !str_fmt(text, sizeof text, "%.*s", (int)(tag.n < 200 ? tag.n : 200), tag.p))
        return 0;
    mutex_lock(&w->run->lock);
    bool other = *w->run->etag && strcmp(text, w->run->etag);
    if (!*w->run->etag)
        memcpy(w->run->etag, text, sizeof text);
    mutex_unlock(&w->run->lock);
    return other ? changed(w, e) : 0;
}

static int size_differs(const struct worker *w, unsigned long long told, struct err *e)
{
    const struct remote_file *f = w->run->f->file;
    return err_set(e, ERR_REMOTE, "hub: %s has %llu bytes by the hub's list and %llu by the answer; pull again, or tell the hub's keeper", f->path,
                   (unsigned long long)f->size, told);
}

static int begin_range(struct worker *w, const struct client_answer *a, struct err *e)
{
    uint64_t from, last, size;
    if (!content_range(a, &from, &last, &size) || from != w->part.from)
        return err_set(e, ERR_REMOTE, "hub: the answer for %s is not the range that was asked for (%llu-%llu)", w->run->f->file->path,
                       (unsigned long long)w->part.from, (unsigned long long)w->part.to - 1);
    return size != w->run->f->file->size ? size_differs(w, (unsigned long long)size, e) : 0;
}

/* 200 for a range: this server sends everything, always. */
static int begin_whole(struct worker *w, const struct client_answer *a, struct err *e)
{
    struct run *r = w->run;
    struct str v;
    uint64_t size;
    if (client_header(a, "Content-Length", &v) && str_u64(v, &size) && size != r->f->file->size)
        return size_differs(w, (unsigned long long)size, e);
    if (w->asked_whole)
        return 0;
    mutex_lock(&r->lock);
    r->whole = true;
    w->again = !ranges_cut(&r->claimed, w->part.from, w->part.to) || r->claimed.n || !ranges_add(&r->claimed, 0, r->f->file->size);
    if (!w->again)
        w->part = (struct range){0, r->f->file->size}, w->at = w->marked = w->skip_to = w->gap_to = 0;
    mutex_unlock(&r->lock);
    return w->again ? err_set(e, ERR_UNAVAILABLE, "hub: other connections are at work; they end, and one begins anew") : 0;
}

static int on_head(void *arg, const struct client_answer *a, bool own, struct err *e)
{
    struct worker *w = arg;
    int rc = own ? check_linked(w, a, e) : 0;
    if (rc || (a->status != 200 && a->status != 206))
        return rc;
    if (w->began)
        return 0;
    w->began = true;
    if ((rc = check_etag(w, a, e)))
        return rc;
    return a->status == 206 ? begin_range(w, a, e) : begin_whole(w, a, e);
}

/* ---- its bytes ---- */

int conn_mark(struct worker *w, struct err *e)
{
    struct run *r = w->run;
    bool any = w->at != w->marked;
    int rc = any ? partial_mark(r->f->partial, w->marked, w->at, e) : 0;
    mutex_lock(&r->lock);
    if (!rc && !ranges_add(&r->have, w->marked, w->at))
        rc = err_set(e, ERR_NO_MEMORY, "hub: no memory to note what was fetched");
    r->moved += w->moved;
    if (any) {
        r->fails = 0;
        cond_broadcast(&r->changed);
    }
    mutex_unlock(&r->lock);
    w->marked = w->at, w->moved = 0;
    return rc;
}

/* Without ranges: what of the answer, from w->at on, is there already, and what comes then. Nobody else writes meanwhile. */
static void next_stretch(struct worker *w)
{
    struct range gap;
    mutex_lock(&w->run->lock);
    bool any = ranges_gap(&w->run->have, NULL, w->at, w->part.to, UINT64_MAX, &gap);
    mutex_unlock(&w->run->lock);
    w->skip_to = any ? gap.from : w->part.to;
    w->gap_to = any ? gap.to : w->part.to;
}

/* Writes what is missing of p, drops what is there; returns how many bytes of p that took. */
static size_t take(struct worker *w, const char *p, size_t n)
{
    if (w->at >= w->gap_to) {
        if ((w->rc = conn_mark(w, &w->err)))
            return 0;
        next_stretch(w);
    }
    bool skip = w->at < w->skip_to;
    uint64_t room = (skip ? w->skip_to : w->gap_to) - w->at;
    n = room < n ? (size_t)room : n;
    if (!skip && (w->rc = partial_write(w->run->f->partial, w->at, p, n, &w->err)))
        return 0;
    w->at += n;
    w->marked = skip ? w->at : w->marked;
    w->progress = w->progress || !skip;
    return n;
}

static bool on_data(void *arg, const char *p, size_t n)
{
    struct worker *w = arg;
    struct run *r = w->run;
    if (w->part.to - w->at < n) {
        w->rc = err_set(&w->err, ERR_REMOTE, "hub: the answer for %s is longer than it says", r->f->file->path);
        return false;
    }
    w->moved += n;
    for (size_t k; n && !w->rc && !r->stop; p += k, n -= k)
        k = take(w, p, n);
    if (!w->rc && w->at - w->marked >= MARK_BYTES)
        w->rc = conn_mark(w, &w->err);
    return !w->rc && !r->stop && !(w->part.to > r->end && w->at >= r->end); /* a head is enough */
}

/* ---- a request, and what follows when it brought less ---- */

/* One request for w->part, from where ranges come. */
static int get_part(struct worker *w, struct client_answer *a, uint32_t *url_age, struct err *e)
{
    struct run *r = w->run;
    char start[URL_LEN_MAX], final[URL_LEN_MAX];
    mutex_lock(&r->lock);
    memcpy(start, r->url, sizeof start);
    *url_age = r->url_age;
    uint64_t to = r->whole ? 0 : w->part.to;
    mutex_unlock(&r->lock);
    w->stranger = *start;
    if (!*start && !r->f->remote->proto->file_url(r->f->remote, r->f->file, start))
        return err_set(e, ERR_REMOTE, "hub: the path of the file is too long");
    w->began = w->progress = w->again = false, w->rc = 0;
    w->asked_whole = !to;
    w->at = w->marked = w->skip_to = w->part.from;
    w->gap_to = to ? w->part.to : w->at;
    struct remote_get g = {.start = start,
                           .final = final,
                           .client = w->client,
                           .from = w->part.from,
                           .to = to,
                           .answer_max = 64 << 10,
                           .on_data = on_data,
                           .go_on = go_on,
                           .on_head = on_head,
                           .arg = w};
    int rc = remote_get(r->f->remote, &g, a, e);
    struct url at;
    if (!rc && !url_parse(&at, final, NULL))
        w->stranger = w->stranger || !url_same_origin(&at, &r->f->remote->origin);
    struct err ignored;
    int rc2 = conn_mark(w, w->rc ? &ignored : &w->err);
    w->rc = w->rc ? w->rc : rc2;
    mutex_lock(&r->lock);
    if (!rc && a->status / 100 == 2 && *url_age == r->url_age && !*r->url)
        memcpy(r->url, final, sizeof final);
    mutex_unlock(&r->lock);
    return rc;
}

/* A place behind a redirect that no longer answers (its signature ran out): begin at the hub again. */
static bool place_is_gone(const struct worker *w, const struct client_answer *a, uint32_t url_age)
{
    struct run *r = w->run;
    mutex_lock(&r->lock);
    bool gone = w->stranger && (a->status == 401 || a->status == 403 || a->status == 404 || a->status == 410 || a->status >= 500 || !a->status);
    if (gone && url_age == r->url_age)
        *r->url = *r->etag = 0, r->url_age++;
    mutex_unlock(&r->lock);
    return gone && a->status && a->status < 500;
}

/* After a request that did not bring all: 0 to go on (after a pause where one is due), else the run's error. */
static int after_failure(struct worker *w, struct client_answer *a, int rc, uint32_t url_age, struct err *e)
{
    struct run *r = w->run;
    struct remote *remote = r->f->remote;
    uint32_t most = remote->retries ? remote->retries : REMOTE_RETRIES;
    bool again = rc ? remote_passes(a, rc) : a->status / 100 == 2 || remote_passes(a, 0);
    bool gone = place_is_gone(w, a, url_age);
    if (!rc && a->status / 100 != 2)
        rc = remote_status_error(remote, a, r->f->file->path, e);
    else if (!rc)
        rc = err_set(e, ERR_UNAVAILABLE, "hub: %s sends no more of %s", remote->origin.host, r->f->file->path);
    mutex_lock(&r->lock);
    uint32_t fails = w->progress ? 1 : ++r->fails;
    mutex_unlock(&r->lock);
    if (!(again || gone) || fails > most)
        return rc;
    uint32_t pause = gone && fails == 1 ? 0 : remote_pause_ms(a, fails);
    if (pause)
        remote_note(remote, "%s; going on in %.1f s", e->msg, pause / 1000.0);
    for (uint32_t ms = 0; ms < pause && !stopped(w); ms += 50)
        clock_sleep_ms(50);
    return 0;
}

/* ---- the thread ---- */

static bool claim(struct worker *w)
{
    struct run *r = w->run;
    uint64_t segment = r->end / (8 * FETCH_CONNECTIONS);
    segment = segment < SEGMENT_MIN ? SEGMENT_MIN : segment > SEGMENT_MAX ? SEGMENT_MAX : segment;
    mutex_lock(&r->lock);
    bool got = !r->stop && !(r->whole && r->claimed.n);
    if (got && r->whole)
        got = ranges_run(&r->have, 0) < r->end, w->part = (struct range){0, r->f->file->size};
    else if (got)
        got = ranges_gap(&r->have, &r->claimed, 0, r->end, segment, &w->part);
    if (got && !ranges_add(&r->claimed, w->part.from, w->part.to))
        got = false;
    mutex_unlock(&r->lock);
    return got;
}

/* Gives the claim back; whether the part is done. */
static bool unclaim(struct worker *w, bool whole_answer)
{
    struct run *r = w->run;
    mutex_lock(&r->lock);
    if (!ranges_cut(&r->claimed, w->part.from, w->part.to))
        r->stop = true; /* no memory for two numbers */
    bool done = (whole_answer && w->at == w->part.to) || ranges_run(&r->have, 0) >= r->end;
    mutex_unlock(&r->lock);
    return done;
}

void conn_work(void *arg)
{
    struct worker *w = arg;
    struct run *r = w->run;
    while (claim(w)) {
        struct client_answer a;
        struct err e = {0};
        uint32_t age;
        int rc = get_part(w, &a, &age, &e);
        bool done = unclaim(w, !rc && a.status / 100 == 2);
        if (w->rc)
            run_fail(r, w->rc, &w->err);
        else if (!done && !w->again && !stopped(w) && (rc = after_failure(w, &a, rc, age, &e)))
            run_fail(r, rc, &e);
        client_answer_deinit(&a);
    }
    mutex_lock(&r->lock);
    r->working--;
    cond_broadcast(&r->ended);
    mutex_unlock(&r->lock);
}
