#include "engine/kv.h"
#include "base/mem.h"
#include <string.h>

enum { SYSTEM_PAGE = 4096, POOL_PAGES_MAX = 1 << 22 };

int kv_pool_new(struct kv_pool **out, uint64_t budget_max, const struct kv_shape *shape, struct err *e)
{
    size_t page;
    *out = NULL;
    if (!ck_align(kv_page_bytes(shape), SYSTEM_PAGE, &page) || page == 0 || page > budget_max)
        return err_set(e, ERR_NO_MEMORY, "engine: %llu bytes of KV memory do not hold one page of %zu bytes of this model; raise kv-memory",
                       (unsigned long long)budget_max, page);
    struct kv_pool *p = mem_new(sizeof *p);
    if (!p)
        return err_set(e, ERR_NO_MEMORY, "engine: no memory for a KV pool");
    uint64_t n = budget_max / page;
    p->page_bytes = page;
    p->n_pages = (uint32_t)(n < POOL_PAGES_MAX ? n : POOL_PAGES_MAX);
    p->warm = mem_array(p->n_pages, sizeof *p->warm);
    p->cold = mem_array(p->n_pages, sizeof *p->cold);
    p->refs = mem_array(p->n_pages, sizeof *p->refs);
    p->kept = mem_array(p->n_pages, sizeof *p->kept);
    p->base = mem_pages(p->n_pages * page);
    if (!p->warm || !p->cold || !p->refs || !p->kept || !p->base) {
        err_set(e, ERR_NO_MEMORY, "engine: no address space for %u KV pages of %zu bytes; lower kv-memory", p->n_pages, page);
        kv_pool_free(p);
        return -ERR_NO_MEMORY;
    }
    *out = p;
    return 0;
}

void kv_pool_link(struct kv_budget *b, struct kv_pool *p)
{
    p->budget = b;
    p->next = b->pools;
    b->pools = p;
}

void kv_pool_free(struct kv_pool *p)
{
    if (!p)
        return;
    ASSERT(p->n_used == 0);
    if (p->budget) {
        struct kv_pool **at = &p->budget->pools;
        while (*at != p)
            at = &(*at)->next;
        *at = p->next;
        p->budget->backed -= ((uint64_t)p->n_warm + p->n_kept) * p->page_bytes;
    }
    mem_pages_free(p->base, p->n_pages * p->page_bytes);
    mem_free(p->warm);
    mem_free(p->cold);
    mem_free(p->refs);
    mem_free(p->kept);
    mem_free(p);
}

/* Takes the memory of free pages, of other pools first, until `bytes` more may be backed. */
static bool make_room(struct kv_pool *p, uint64_t bytes)
{
    struct kv_budget *b = p->budget;
    for (struct kv_pool *q = b->pools; q && b->backed + bytes > b->max; q = q->next)
        while (q != p && q->n_warm > 0 && b->backed + bytes > b->max) {
            uint32_t id = q->warm[--q->n_warm];
            mem_pages_drop(q->base + id * q->page_bytes, q->page_bytes);
            q->cold[q->n_cold++] = id;
            b->backed -= q->page_bytes;
        }
    return b->backed + bytes <= b->max;
}

/* ---- kept pages, by their last use ---- */

static void kept_in(struct kv_pool *p, uint32_t id)
{
    struct kv_kept *k = &p->kept[id];
    struct kv_order *o = &p->order[k->owner];
    k->when = ++p->budget->puts;
    k->older = o->newest;
    k->newer = 0;
    if (o->newest)
        p->kept[o->newest - 1].newer = id + 1;
    else
        o->oldest = id + 1;
    o->newest = id + 1;
    o->n++;
    p->n_kept++;
}

static void kept_out(struct kv_pool *p, uint32_t id)
{
    const struct kv_kept *k = &p->kept[id];
    struct kv_order *o = &p->order[k->owner];
    if (k->older)
        p->kept[k->older - 1].newer = k->newer;
    else
        o->oldest = k->newer;
    if (k->newer)
        p->kept[k->newer - 1].older = k->older;
    else
        o->newest = k->older;
    o->n--;
    p->n_kept--;
}

/* The pool where `owner` has its oldest kept page (of pool `only`, or of any), and how much that page is worth being forgotten; NULL: none. */
static struct kv_pool *oldest_of(struct kv_budget *b, struct kv_pool *only, int owner, double *worth)
{
    struct kv_pool *at = NULL;
    uint64_t bytes = 0;
    for (struct kv_pool *q = b->pools; q; q = q->next) {
        const struct kv_order *o = &q->order[owner];
        bytes += o->n * q->page_bytes;
        if (o->n > 0 && (!only || q == only) && (!at || q->kept[o->oldest - 1].when < at->kept[at->order[owner].oldest - 1].when))
            at = q;
    }
    if (at)
        *worth = (double)(b->puts + 1 - at->kept[at->order[owner].oldest - 1].when) * (double)bytes;
    return at;
}

/* A page that is of no use becomes a free one; of pool `only`, or of any. False: none is kept. */
static bool forget_one(struct kv_budget *b, struct kv_pool *only)
{
    struct kv_pool *p = NULL;
    int owner = 0;
    double most = 0, worth;
    for (int o = 0; o < KV_OWNERS; o++) {
        struct kv_pool *q = oldest_of(b, only, o, &worth);
        if (q && (!p || worth > most))
            p = q, owner = o, most = worth;
    }
    if (!p)
        return false;
    uint32_t id = p->order[owner].oldest - 1;
    p->forget(p->forget_arg, id);
    kept_out(p, id);
    p->kept[id].keep = false;
    p->warm[p->n_warm++] = id;
    b->forgotten++;
    return true;
}

void *kv_page_get(struct kv_pool *p)
{
    struct kv_budget *b = p->budget;
    uint32_t id;
    while (p->n_warm == 0) {
        bool ids = p->n_used + p->n_kept < p->n_pages;
        if (ids && make_room(p, p->page_bytes))
            break;
        if (!forget_one(b, ids ? NULL : p))
            return NULL;
    }
    if (p->n_warm > 0) {
        id = p->warm[--p->n_warm];
    } else {
        id = p->n_cold > 0 ? p->cold[--p->n_cold] : p->n_touched++;
        b->backed += p->page_bytes;
    }
    ASSERT(p->refs[id] == 0);
    p->refs[id] = 1;
    p->n_used++;
    b->used += p->page_bytes;
    ASSERT(b->used <= b->backed && b->backed <= b->max);
    return kv_page_at(p, id);
}

uint32_t kv_page_id(const struct kv_pool *p, const void *page)
{
    uint32_t id = (uint32_t)((uint64_t)((const uint8_t *)page - p->base) / p->page_bytes);
    ASSERT(id < p->n_pages && (p->refs[id] > 0 || p->kept[id].keep));
    return id;
}

void kv_page_ref(struct kv_pool *p, void *page)
{
    uint32_t id = kv_page_id(p, page);
    ASSERT(p->refs[id] < UINT16_MAX);
    if (p->refs[id]++ > 0)
        return;
    kept_out(p, id);
    p->n_used++;
    p->budget->used += p->page_bytes;
}

void kv_page_keep(struct kv_pool *p, void *page, uint8_t owner)
{
    uint32_t id = kv_page_id(p, page);
    ASSERT(p->refs[id] > 0 && p->forget && owner < KV_OWNERS);
    p->kept[id].keep = true;
    p->kept[id].owner = owner;
}

void kv_page_touch(struct kv_pool *p, uint32_t id)
{
    if (p->refs[id] > 0 || !p->kept[id].keep)
        return;
    kept_out(p, id);
    kept_in(p, id);
}

void kv_page_put(struct kv_pool *p, void *page)
{
    uint32_t id = kv_page_id(p, page);
    ASSERT(p->refs[id] > 0);
    if (--p->refs[id] > 0)
        return;
    if (p->kept[id].keep)
        kept_in(p, id);
    else
        p->warm[p->n_warm++] = id;
    p->n_used--;
    p->budget->used -= p->page_bytes;
}

void kv_pool_poison(struct kv_pool *p, uint8_t byte)
{
    for (uint32_t i = 0; i < p->n_warm; i++)
        memset(p->base + p->warm[i] * p->page_bytes, byte, p->page_bytes);
}
