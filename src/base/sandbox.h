/* A child process for reading what an enemy may have written: the same program again, with an empty environment, no descriptors but those it
 * is given, and, once it has entered the sandbox, no system calls but those for memory, its pipe and its end. Whatever a file does to its
 * reader there, the reader ends and the caller gets an error.
 *
 *   sandbox_run      posix_spawn of /proc/self/exe: nothing of the caller's memory is in the child, and it is safe to call from any thread
 *   sandbox_enter    called by the child, after it has mapped its files: rlimits, no new privileges, not dumpable, seccomp */
#pragma once
#include "base/buf.h"
#include <stdint.h>

enum { SANDBOX_FILES_MAX = 300, SANDBOX_OUTPUT_MAX = 1 << 20 };

struct sandbox_child {
    const char *const *argv;  /* NULL ends; argv[0] is a name for ps */
    const int         *files; /* the first becomes descriptor 0 of the child, the others 3, 4, ...; 1 is the pipe, 2 is /dev/null */
    size_t             n_files;
    uint32_t           timeout_ms;
};
struct sandbox_end {
    int  exit_code, signal; /* signal 0: it ended by itself */
    bool timed_out;         /* it was killed */
    bool flooded;           /* it was killed because it wrote more than out may hold */
};
/* Runs the child to its end; out gets what it wrote to descriptor 1, at most SANDBOX_OUTPUT_MAX bytes. 0 however it ended; an error only
 * when no child could be started. */
int sandbox_run(struct sandbox_end *end, struct buf *out, const struct sandbox_child *c, struct err *e) MUST_USE;

/* No way back. memory_max: bytes of address space past what is mapped already. */
int sandbox_enter(uint64_t memory_max, uint32_t cpu_seconds, struct err *e) MUST_USE;
