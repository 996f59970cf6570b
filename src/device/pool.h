/* The workers: n_threads - 1 threads and the caller, who is worker 0. A job is one function that each worker calls once with its
 * number; workers own fixed shares of the work, so that the same rows meet the same cache. Between jobs a worker spins briefly (the next
 * operation of a step usually comes within microseconds), then sleeps. */
#pragma once
#include "base/err.h"

struct pool;
typedef void pool_fn(void *arg, int worker, int n_workers);

int  pool_new(struct pool **out, int n_threads, struct err *e) MUST_USE;
void pool_free(struct pool *p);
int  pool_threads(const struct pool *p);
/* Calls fn for every worker and returns when all are done. A thread that comes while another one's job runs does all shares itself. */
void pool_run(struct pool *p, pool_fn *fn, void *arg);
