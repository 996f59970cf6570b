/* A wall clock that a test puts forward: this program's own clock_gettime stands before libc's. So no test waits for an hour to come, and none is
 * late for one that was near. */
#pragma once
#include "base/clock.h"

#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static atomic_llong skipped_s;

int clock_gettime(clockid_t id, struct timespec *t)
{
    int rc = (int)syscall(SYS_clock_gettime, id, t);
    if (rc == 0 && id == CLOCK_REALTIME)
        t->tv_sec += atomic_load(&skipped_s);
    return rc;
}

/* The wall clock's time so many minutes from now, in microseconds. */
static inline int64_t in_minutes(int64_t n)
{
    return clock_now_us() + n * 60 * 1000000;
}

static inline void minutes_pass(int64_t n)
{
    atomic_fetch_add(&skipped_s, n * 60);
}
