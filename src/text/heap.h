/* The priority queue of both merge algorithms: the smallest 64-bit key first. A key is (priority << 32 | place), so that of two equal
 * merges the left one goes first. Keys that were overtaken by another merge stay in and are recognised when they come out. */
#pragma once
#include "base/vec.h"
#include "text/work.h"
#include <stdbool.h>

struct merge_heap {
    struct vec_u64 v;
};

static inline bool heap_push(struct merge_heap *h, uint64_t key)
{
    if (!vec_push(&h->v, key))
        return false;
    size_t i = h->v.n - 1;
    for (; i > 0 && h->v.p[(i - 1) / 2] > key; i = (i - 1) / 2)
        h->v.p[i] = h->v.p[(i - 1) / 2];
    h->v.p[i] = key;
    work(1);
    return true;
}

/* The heap must not be empty. */
static inline uint64_t heap_pop(struct merge_heap *h)
{
    uint64_t top = h->v.p[0], key = h->v.p[--h->v.n];
    size_t i = 0, n = h->v.n;
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && h->v.p[child + 1] < h->v.p[child])
            child++;
        if (h->v.p[child] >= key)
            break;
        h->v.p[i] = h->v.p[child];
        work(1);
    }
    if (n)
        h->v.p[i] = key;
    return top;
}
