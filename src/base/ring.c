/* Bounded queue after D. Vyukov, "Bounded MPMC queue" (1024cores.net): each cell carries the turn at which it may be used. */
#include "base/ring.h"
#include "base/mem.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <stdint.h>
#include <string.h>

struct ring {
    _Alignas(64) atomic_size_t head; /* producers */
    _Alignas(64) atomic_size_t tail; /* the consumer */
    size_t mask, item_size, stride;
    char  *cells; /* each: atomic_size_t turn, then the item */
};

static atomic_size_t *turn(const struct ring *r, size_t i) { return (atomic_size_t *)(void *)(r->cells + (i & r->mask) * r->stride); }
static void          *item_of(const struct ring *r, size_t i) { return r->cells + (i & r->mask) * r->stride + sizeof(atomic_size_t); }

struct ring *ring_new(size_t item_size, size_t cap)
{
    size_t n = 2, stride;
    while (n < cap)
        if (!ck_mul(n, (size_t)2, &n))
            return NULL;
    if (!ck_align(item_size + sizeof(atomic_size_t), 16, &stride))
        return NULL;
    struct ring *r = aligned_alloc(64, sizeof *r);
    if (!r)
        return NULL;
    memset(r, 0, sizeof *r);
    r->cells = mem_array(n, stride);
    if (!r->cells) {
        mem_free(r);
        return NULL;
    }
    r->mask = n - 1, r->item_size = item_size, r->stride = stride;
    for (size_t i = 0; i < n; i++)
        atomic_init(turn(r, i), i);
    return r;
}

void ring_free(struct ring *r)
{
    if (!r)
        return;
    mem_free(r->cells);
    mem_free(r);
}

bool ring_push(struct ring *r, const void *item)
{
    size_t pos = atomic_load_explicit(&r->head, memory_order_relaxed);
    for (;;) {
        size_t t = atomic_load_explicit(turn(r, pos), memory_order_acquire);
        if (t == pos) {
            if (atomic_compare_exchange_weak_explicit(&r->head, &pos, pos + 1, memory_order_relaxed, memory_order_relaxed))
                break;
        } else if ((intptr_t)(t - pos) < 0) {
            return false;
        } else {
            pos = atomic_load_explicit(&r->head, memory_order_relaxed);
        }
    }
    memcpy(item_of(r, pos), item, r->item_size);
    atomic_store_explicit(turn(r, pos), pos + 1, memory_order_release);
    return true;
}

bool ring_pop(struct ring *r, void *item)
{
    size_t pos = atomic_load_explicit(&r->tail, memory_order_relaxed);
    if (atomic_load_explicit(turn(r, pos), memory_order_acquire) != pos + 1)
        return false;
    memcpy(item, item_of(r, pos), r->item_size);
    atomic_store_explicit(turn(r, pos), pos + r->mask + 1, memory_order_release);
    atomic_store_explicit(&r->tail, pos + 1, memory_order_relaxed);
    return true;
}

size_t ring_len(const struct ring *r)
{
    struct ring *w = (struct ring *)(uintptr_t)r;
    return atomic_load_explicit(&w->head, memory_order_relaxed) - atomic_load_explicit(&w->tail, memory_order_relaxed);
}
