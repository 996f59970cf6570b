/* A queue of calls for an owner without an event loop (sluice run, tests): what a backend posts is run by the thread that waits here. */
#pragma once
#include "base/thread.h"
#include <stdbool.h>
#include <stdint.h>

struct postq_call;
struct postq {
    struct mutex        mu;
    struct cond         more;
    struct postq_call  *first, **last;
};
void postq_init(struct postq *q);
void postq_deinit(struct postq *q); /* what was not run is dropped */
/* Any thread; has the shape of backend_local_opts.post (ctx is the struct postq). Aborts only when memory is gone. */
void postq_post(void *ctx, void (*fn)(void *), void *arg);
/* Runs what is there, waiting up to ms for the first (0: does not wait). False: nothing came. */
bool postq_run(struct postq *q, uint32_t ms);
