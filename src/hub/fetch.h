/* The bytes of one file, from a hub into a partial file: several connections fetch ranges, lowest first; a thread of its own hashes what is
 * there in order while the rest still comes, so that the digest is known a moment after the last byte.
 *
 * Bytes that are there are never written again: what was hashed is what is on the disk. */
#pragma once
#include "hub/partial.h"
#include "hub/remote.h"

enum { FETCH_CONNECTIONS = 4, FETCH_CONNECTIONS_MAX = 16 };
struct fetch_progress {
    uint64_t done, total; /* bytes of the file that are there */
    uint64_t moved;       /* bytes that came over the network in this run */
};
struct fetch {
    struct remote            *remote;
    const struct remote_file *file;
    struct partial           *partial;
    unsigned                  connections; /* 0: FETCH_CONNECTIONS */
    /* Called on the caller's thread, some times a second; may be NULL. */
    void (*progress)(void *arg, const struct fetch_progress *p);
    void *arg;
    /* Where the bytes were found, behind redirects: fetch_head tells fetch_rest, so that the hub is asked once. "" at first. */
    char url[URL_LEN_MAX], etag[128];
};
/* Makes sure that bytes [0, n) are there, over one connection. */
int fetch_head(struct fetch *f, uint64_t n, uint64_t *moved, struct err *e) MUST_USE;
/* Fetches what is missing, verifies the digest that the hub names, and says the SHA-256. ERR_REMOTE "other content": the bytes are not the
 * file that was named; the partial file is of no use then and *useless is set. */
int fetch_rest(struct fetch *f, struct sha256 *digest, uint64_t *moved, bool *useless, struct err *e) MUST_USE;
