/* Private to fetch.c and its parts: one run over a file, shared by its threads.
 *
 *   fetch.c       begins connections, watches them, ends        the caller's thread
 *   fetch_conn.c  claims a range, asks for it, writes it        a thread for each connection
 *   fetch_hash.c  hashes what is there, in order                one thread */
#pragma once
#include "base/thread.h"
#include "hub/fetch.h"
#include <stdatomic.h>

/* Under the mutex. */
struct run {
    struct fetch *f;
    struct mutex lock;
    struct cond changed;         /* bytes came, or the end */
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
