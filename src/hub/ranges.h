/* Ranges of bytes of one file: sorted, apart from each other. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range { uint64_t from, to; }; /* [from, to) */
struct ranges {
    struct range *p;
    size_t        n, cap;
};
enum { RANGES_MAX = 1 << 20 };

void     ranges_deinit(struct ranges *r);
bool     ranges_add(struct ranges *r, uint64_t from, uint64_t to); /* joins what touches; false: no memory, or more than RANGES_MAX apart */
bool     ranges_cut(struct ranges *r, uint64_t from, uint64_t to); /* takes out; false as above */
uint64_t ranges_bytes(const struct ranges *r);
uint64_t ranges_run(const struct ranges *r, uint64_t at); /* end of the run that holds byte `at`; `at` itself when it is not held */
/* The first part of [at, size) that is in neither (b may be NULL), at most `most` bytes; false: there is none. */
bool ranges_gap(const struct ranges *a, const struct ranges *b, uint64_t at, uint64_t size, uint64_t most, struct range *out);
