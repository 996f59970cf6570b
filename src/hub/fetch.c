#include "hub/fetch.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

enum {
    SEGMENT_MIN = 4 << 20,
    SEGMENT_MAX = 64 << 20,
    MARK_BYTES = 1 << 20, /* a killed process loses at most this much on each connection */
    HASH_BYTES = 4 << 20,
    HASH_ALIGN = 64 << 10, /* of a mapping: any page size divides it */
    HOT_BYTES = 1 << 20,   /* half of a core's cache or less */
    HOT_PIECE = 256 << 10,
    HOT_BEHIND = 4 << 20, /* a hasher farther behind than this reads the file: a connection never waits for it */
    TICK_MS = 200,
    SYNC_MS = 3000,
    FAST = 400 << 20 /* bytes a second */
};

/* Bytes [from, to) of the file, just written, on their way to the hasher while they are still in the processor's cache: at index offset % HOT_BYTES
 * of p. While it is on, all before `from` is in run->have, so the hasher can always go on and whoever waits for room gets it. */
struct hot {
    char *p;
    uint64_t from, to;
    bool on;
};

/* One run over a file: shared by its threads, under the mutex. */
struct run {
    struct fetch *f;
    struct mutex lock;
    struct cond changed; /* bytes came, or the end */
    struct cond room;    /* the hasher took bytes of hot, or the end */
    struct hot hot;
    uint64_t hashed;             /* the hasher is here */
    struct cond ended;           /* a connection is done, or the end: for the watcher, who looks at bytes now and then only */
    struct ranges have, claimed; /* claimed: a connection is at it */
    uint64_t end;                /* bytes wanted: [0, end) */
    uint64_t moved;
    uint32_t fails;   /* in a row, over all connections, without progress */
    unsigned working; /* connections that run */
    bool whole;       /* the server gives no ranges: one connection takes all, from the start */
    atomic_bool stop;
    int rc;
    struct err err;
    char url[URL_LEN_MAX]; /* where ranges come from: behind redirects */
    uint32_t url_age;      /* counts changes of url */
    char etag[128];        /* of what stands at url */
    struct sha256 digest;
    struct sha1 blob;
};

/* One connection's work on one range. */
struct worker {
    struct run *run;
    struct client *client;
    struct range part; /* claimed; whole: all */
    uint64_t at;       /* next byte of the answer */
    uint64_t marked;   /* up to here it is journaled and in run->have */
    uint64_t skip_to;  /* bytes before are there already: they are dropped */
    uint64_t gap_to;   /* and from there to here they are missing */
    uint64_t moved;    /* not yet in run->moved */
    bool began, progress;
    bool stranger;    /* the answer came from another host than the hub's, or the request began there */
    bool asked_whole; /* without a range */
    bool again;       /* nothing failed: ask anew, in another way */
    int rc;
    struct err err;
};

static void fail_run(struct run *r, int rc, const struct err *e)
{
    mutex_lock(&r->lock);
    if (!r->rc)
        r->rc = rc, r->err = *e;
    r->stop = true;
    cond_broadcast(&r->changed);
    cond_broadcast(&r->room);
    cond_broadcast(&r->ended);
    mutex_unlock(&r->lock);
}

static bool stopped(void *arg)
{
    struct worker *w = arg;
    return w->run->stop;
}
static bool go_on(void *arg)
{
    return !stopped(arg);
}

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

/* What was written so far is there: for the journal, the hash and the next start. */
static int mark(struct worker *w, struct err *e)
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

/* The bytes at w->at were written: to the hasher too, when they are the next that it needs. */
static int hot_put(struct worker *w, const char *p, size_t n)
{
    struct run *r = w->run;
    int rc = 0;
    mutex_lock(&r->lock);
    bool near = r->hot.p && !r->hot.on && w->at >= r->hashed && w->at - r->hashed <= HOT_BEHIND &&
                ranges_run(&r->have, r->hashed) == w->marked;
    mutex_unlock(&r->lock);
    if (near && (rc = mark(w, &w->err))) /* so that all before is in run->have */
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
        if ((w->rc = mark(w, &w->err)))
            return 0;
        next_stretch(w);
    }
    bool skip = w->at < w->skip_to;
    uint64_t room = (skip ? w->skip_to : w->gap_to) - w->at;
    n = room < n ? (size_t)room : n;
    if (!skip && ((w->rc = partial_write(w->run->f->partial, w->at, p, n, &w->err)) || (w->rc = hot_put(w, p, n))))
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
        w->rc = mark(w, &w->err);
    return !w->rc && !r->stop && !(w->part.to > r->end && w->at >= r->end); /* a head is enough */
}

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
    int rc2 = mark(w, w->rc ? &ignored : &w->err);
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

static void work(void *arg)
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
            fail_run(r, w->rc, &w->err);
        else if (!done && !w->again && !stopped(w) && (rc = after_failure(w, &a, rc, age, &e)))
            fail_run(r, rc, &e);
        client_answer_deinit(&a);
    }
    mutex_lock(&r->lock);
    r->working--;
    cond_broadcast(&r->ended);
    mutex_unlock(&r->lock);
}

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

/* Waits until bytes after `at` are there; returns the end of them, `at` when no more come. *hot: where they lie, or NULL: in the file. */
static uint64_t wait_run(struct run *r, uint64_t at, const char **hot)
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

struct hashes {
    struct sha256_ctx *sha256;
    struct sha1_ctx *sha1; /* NULL: not wanted */
};

static void hashes_add(struct hashes *h, const void *p, size_t n)
{
    sha256_add(h->sha256, p, n);
    if (h->sha1)
        sha1_add(h->sha1, p, n);
}

/* Hashes [at, at + n) of the partial file where it lies in the page cache, which saves a tenth of the time that a copy takes. The pages are
 * brought in first: a disk that cannot read them is an error, and no signal. */
static int hash_window(struct hashes *h, const struct partial *p, uint64_t at, size_t n, struct err *e)
{
    uint64_t from = at & ~(uint64_t)(HASH_ALIGN - 1);
    size_t skip = (size_t)(at - from);
    char *map = mmap(NULL, skip + n, PROT_READ, MAP_SHARED, partial_fd(p), (off_t)from);
    if (map == MAP_FAILED || (madvise(map, skip + n, MADV_POPULATE_READ) != 0 && errno != EINVAL)) {
        int rc = err_set(e, ERR_IO, "hub: read %s: %s", partial_path(p), strerror(errno));
        if (map != MAP_FAILED)
            munmap(map, skip + n);
        return rc;
    }
    hashes_add(h, map + skip, n);
    munmap(map, skip + n);
    return 0;
}

static void hash(void *arg)
{
    struct run *r = arg;
    struct hashes h = {sha256_new(), r->f->file->has_sha256 ? NULL : sha1_new()};
    char head[64];
    struct err e;
    uint64_t at = 0;
    int rc = 0;
    if (h.sha1 && str_fmt(head, sizeof head, "blob %llu", (unsigned long long)r->f->file->size))
        sha1_add(h.sha1, head, strlen(head) + 1); /* git hashes this header, its NUL included, before the bytes */
    const char *hot;
    for (uint64_t end; !rc && (end = wait_run(r, at, &hot)) > at;)
        if (hot) {
            hashes_add(&h, hot, (size_t)(end - at));
            at = end;
        } else
            while (!rc && at < end) {
                size_t n = end - at < HASH_BYTES ? (size_t)(end - at) : HASH_BYTES;
                rc = hash_window(&h, r->f->partial, at, n, &e);
                at += n;
            }
    sha256_free(h.sha256, &r->digest);
    if (h.sha1)
        sha1_free(h.sha1, &r->blob);
    if (rc)
        fail_run(r, rc, &e);
}

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
    if (thread_start(&p->t[p->started], "fetch", work, w)) {
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
                fail_run(r, rc, &e);
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
        fail_run(r, rc, &e);
    watch(r, &p);
    for (unsigned i = 0; i < p.started; i++) {
        thread_join(&p.t[i]);
        client_close(p.w[i].client);
    }
    mem_free(p.w);
    mem_free(p.t);
    return rc;
}

static int run_init(struct run *r, struct fetch *f, uint64_t end, struct err *e)
{
    *r = (struct run){.f = f, .end = end};
    memcpy(r->url, f->url, sizeof r->url);
    memcpy(r->etag, f->etag, sizeof r->etag);
    mutex_init(&r->lock);
    cond_init(&r->changed);
    cond_init(&r->room);
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
    cond_deinit(&r->room);
    cond_deinit(&r->ended);
    mem_free(r->hot.p);
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

static int verify(const struct run *r, bool *useless, struct err *e)
{
    const struct remote_file *f = r->f->file;
    char want[65], got[65];
    if (f->has_sha256) {
        if (!memcmp(&f->sha256, &r->digest, sizeof r->digest))
            return 0;
        str_to_hex(want, f->sha256.b, 32), str_to_hex(got, r->digest.b, 32);
    } else {
        if (f->has_blob && !memcmp(&f->blob, &r->blob, sizeof r->blob))
            return 0;
        str_to_hex(want, f->blob.b, 20), str_to_hex(got, r->blob.b, 20);
    }
    *useless = true;
    return err_set(e, ERR_REMOTE, "hub: %s is other content than the hub names: %.16s... was to come, %.16s... came; nothing is kept, pull again",
                   f->path, want, got);
}

int fetch_rest(struct fetch *f, struct sha256 *digest, uint64_t *moved, bool *useless, struct err *e)
{
    struct run r;
    struct thread hasher;
    unsigned n = f->connections ? f->connections : FETCH_CONNECTIONS;
    *useless = false, *moved = 0;
    int rc = run_init(&r, f, f->file->size, e);
    r.hot.p = mem_new(HOT_BYTES); /* none: the hasher reads the file */
    if (!rc && !thread_start(&hasher, "hash", hash, &r))
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
        rc = verify(&r, useless, e);
    *moved = r.moved;
    run_deinit(&r);
    return rc;
}
