/* A bounded queue between threads: many producers, one consumer; fixed-size items; never blocks, never allocates after new. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct ring;
struct ring *ring_new(size_t item_size, size_t cap /* rounded up to a power of two */); /* NULL: out of memory */
void         ring_free(struct ring *r);
bool         ring_push(struct ring *r, const void *item); /* false: full */
bool         ring_pop(struct ring *r, void *item);        /* false: empty */
size_t       ring_len(const struct ring *r);              /* a guess while others work */
