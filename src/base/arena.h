/* An arena: many small allocations with one lifetime (a request), freed at once. Returns NULL past its maximum, and when the system has no memory. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct arena_block;
struct arena {
    struct arena_block *head;
    size_t              used, max; /* max: 0 means 64 MiB */
    bool                short_of_memory; /* what was NULL was so for want of memory, not for the maximum */
};

void  arena_init(struct arena *a, size_t max);
void  arena_deinit(struct arena *a);
void *arena_new(struct arena *a, size_t n); /* zeroed, 16-byte aligned */
void *arena_array(struct arena *a, size_t n, size_t size);
char *arena_str(struct arena *a, const char *p, size_t n); /* NUL-terminated copy */
char *arena_fmt(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
