/* sluice pull: a model from a hub into the store, under a name.
 *
 *   list the repository ─ pick ─┬─ a blob is there already: no byte moves
 *                               └─ per part: room ─ head ─ probe ─ the rest, hashed as it comes ─ digest ─ probe ─ blob
 *   then the ref: nothing is visible before all parts are. */
#pragma once
#include "hub/fetch.h"
#include "hub/hub.h"
#include "hub/probe.h"

struct pull_opts {
    const char *spec;       /* see spec.h */
    const char *from;       /* "huggingface" (also NULL) or "modelscope" */
    const char *name;       /* of the ref; NULL: ORG/NAME or ORG/NAME:TAG, as asked for */
    const char *token_file; /* NULL: what the environment says */
    bool        replace;    /* take the name from another repository's model */
    unsigned    connections;
    uint32_t    retries, stall_ms; /* 0: see remote.h */
    void (*progress)(void *arg, const char *file, const struct fetch_progress *p);
    void (*note)(void *arg, const char *text); /* any thread */
    void *arg;
    /* Reads a file in a sandbox: probe_files, or a test's. */
    int (*probe)(struct probe_facts *out, const int *fds, size_t n, struct err *e);
};
struct pull_done {
    struct ref ref;
    uint64_t   moved;  /* bytes of model files that came over the network */
    size_t     parts;
    bool       was_new; /* the ref did not name this content before */
};
int hub_pull(struct store *s, const struct pull_opts *o, struct pull_done *out, struct err *e) MUST_USE;
