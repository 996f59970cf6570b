/* Pages of KV memory. One budget of bytes is shared by all models; each model has a pool with pages of its own size, carved from address
 * space at start. A page costs memory from its first use until it is taken away for another pool, and the bytes of the pages that are in use
 * can never exceed the budget: kv_page_get returns NULL instead. Free pages keep their memory and are used again first; when another pool
 * needs bytes they are given back to the system (their content with them).
 *
 * A page that is worth keeping (kv_page_keep) stays, with its content, when its last user has put it: it counts as free, and is forgotten when
 * nothing else is left (prefix.c finds such pages again). Of one owner the page that was put first goes first; between owners the one goes whose
 * oldest page's age times the bytes that it keeps is the most. So an owner alone has the plain order of last use, equal ones too, and who keeps a
 * hundred times as much as another loses its own pages, not the other's, until those are a hundred times as old.
 *
 * A page's content is whatever its last user left: attention reads only positions that this sequence has written. Step thread only. */
#pragma once
#include "base/err.h"
#include "device/device.h"

struct kv_pool;
struct kv_budget {
    uint64_t        max;    /* bytes */
    uint64_t        used;   /* by pages in use */
    uint64_t        backed; /* used + free pages that still hold memory */
    uint64_t        puts, forgotten; /* kept pages so far: of which no user was left; whose memory was wanted */
    struct kv_pool *pools;
};
struct kv_kept { /* ids + 1 of the neighbours in the order of their last use; 0: none */
    uint32_t older, newer;
    uint64_t when; /* budget->puts: compares pages of different pools */
    uint8_t  owner;
    bool     keep;
};
enum { KV_OWNERS = 64 }; /* tenants by a hash: two that meet count as one */
struct kv_order { uint32_t oldest, newest, n; }; /* of an owner's kept pages; ids + 1 */
struct kv_pool {
    struct kv_budget *budget;
    struct kv_pool   *next;
    uint64_t          page_bytes; /* a multiple of the system's page */
    uint32_t          n_pages;    /* the most that the budget could ever pay for */
    uint32_t          n_used;
    uint32_t          n_warm, n_cold, n_touched;
    uint32_t         *warm, *cold; /* free page ids: with memory; once used and given back. Ids from n_touched on were never used. */
    uint16_t         *refs;        /* (n_pages) */
    uint32_t          n_kept; /* pages that nobody uses but that are kept */
    struct kv_order   order[KV_OWNERS];
    struct kv_kept   *kept;        /* (n_pages) */
    void            (*forget)(void *arg, uint32_t id); /* a kept page is about to lose its content */
    void             *forget_arg;
    uint8_t          *base;
};

/* ERR_NO_MEMORY when the budget does not pay for one page or the address space is short. The pool counts once it is linked. */
int  kv_pool_new(struct kv_pool **out, uint64_t budget_max, const struct kv_shape *shape, struct err *e) MUST_USE;
void kv_pool_link(struct kv_budget *b, struct kv_pool *p);
void kv_pool_free(struct kv_pool *p); /* unlinks; all pages must have been put back */

void *kv_page_get(struct kv_pool *p); /* NULL: the budget is spent */
void  kv_page_ref(struct kv_pool *p, void *page); /* one more user, who only reads it; also of a kept page that has none */
void  kv_page_keep(struct kv_pool *p, void *page, uint8_t owner); /* to be kept after its last user; owner below KV_OWNERS */
void  kv_page_touch(struct kv_pool *p, uint32_t id); /* a kept page that has no user becomes the last to be forgotten of its owner */
void  kv_page_put(struct kv_pool *p, void *page); /* free once the last user has put it */
/* Writes `byte` over every free page that has memory (tests: nothing may read what it did not write). */
void kv_pool_poison(struct kv_pool *p, uint8_t byte);

uint32_t kv_page_id(const struct kv_pool *p, const void *page);
static inline void *kv_page_at(const struct kv_pool *p, uint32_t id) { return p->base + id * p->page_bytes; }
static inline uint32_t kv_pages_for(uint32_t n_positions) { return (n_positions + KV_PAGE - 1) / KV_PAGE; }
