/* Private to fetch.c and its parts: one run over a file, shared by its threads.
 *
 *   fetch.c       begins connections, watches them, ends        the caller's thread
 *   fetch_conn.c  claims a range, asks for it, writes it        a thread for each connection
 *   fetch_hash.c  hashes what is there, in order                one thread
 *   fetch_hot.c   hands bytes from connections to the hasher while they are in the processor's cache */
#pragma once
#include "base/thread.h"
#include "hub/fetch.h"
#include <stdatomic.h>

/* Bytes [from, to) of the file, just written, on their way to the hasher: at index offset % HOT_BYTES of p. While it is on, all before `from` is in
 * run->have, so the hasher can always go on and whoever waits for room gets it. */
struct hot {
    char *p;
    uint64_t from, to;
    bool on;
};

/* Under the mutex. */
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

void run_fail(struct run *r, int rc, const struct err *e); /* the first error is the run's; all its threads stop */

void conn_work(void *worker); /* a thread: takes range after range until there is none, or the run stops */
/* What was written so far is there: for the journal, the hash and the next start. */
int conn_mark(struct worker *w, struct err *e) MUST_USE;

void hash_work(void *run); /* a thread: digest and blob of all bytes up to run->end */
/* The digest is the one that the hub named; else *useless: what came is other content. */
int hash_verify(const struct run *r, bool *useless, struct err *e) MUST_USE;

void hot_new(struct run *r); /* no memory: the hasher reads the file */
/* The n bytes at w->at were written: to the hasher too, when they are the next that it needs. */
int hot_put(struct worker *w, const char *p, size_t n) MUST_USE;
/* Waits until bytes after `at` are there; returns the end of them, `at` when no more come. *hot: where they lie, or NULL: in the file. */
uint64_t hot_wait(struct run *r, uint64_t at, const char **hot);
