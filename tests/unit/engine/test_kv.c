/* Pages: exact bytes, never more than the budget, memory that moves between pools of different page size. */
#include "base/rng.h"
#include "engine/kv.h"
#include "test.h"

static const struct kv_shape small = {1, 1, 16, KV_F16, NULL}, large = {3, 1, 16, KV_F32, NULL}; /* 4096 and 24576 bytes */

TEST(kv_budget_is_exact)
{
    struct kv_budget b = {.max = 10 * 24576};
    struct kv_pool  *s, *l;
    struct err       e;
    void            *page[100];
    CHECK(kv_pool_new(&s, b.max, &small, &e) == 0 && kv_pool_new(&l, b.max, &large, &e) == 0);
    kv_pool_link(&b, s);
    kv_pool_link(&b, l);
    CHECK(s->page_bytes == 4096 && l->page_bytes == 24576 && s->n_pages == 60 && l->n_pages == 10);
    int n = 0;
    for (; (page[n] = kv_page_get(s)); n++)
        memset(page[n], n + 1, 4096);
    CHECK(n == 60 && b.used == b.max && !kv_page_get(l));
    for (int i = 0; i < 5; i++)
        kv_page_put(s, page[--n]);
    CHECK(!kv_page_get(l)); /* 5 small ones are not yet a large one */
    kv_page_put(s, page[--n]);
    void *big = kv_page_get(l);
    CHECK(big && b.used == b.max && b.backed == b.max && !kv_page_get(s) && !kv_page_get(l));
    memset(big, 0xee, 24576);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < 4096; k++)
            CHECK(((uint8_t *)page[i])[k] == i + 1);
    kv_page_put(l, big);
    CHECK(b.used == b.max - 24576 && b.backed == b.max);
    CHECK((page[n++] = kv_page_get(s)) && b.used == b.max - 24576 + 4096 && b.backed <= b.max);
    while (n > 0)
        kv_page_put(s, page[--n]);
    CHECK(b.used == 0);
    kv_pool_free(s);
    kv_pool_free(l);
    CHECK(b.backed == 0 && b.pools == NULL);
}

/* Random gets and puts in three pools: no page is given twice, its content stays while it is held, the sums hold. */
TEST(kv_random)
{
    enum { HELD_MAX = 600 };
    static struct { struct kv_pool *p; uint8_t *page; uint8_t mark; } held[HELD_MAX];
    struct kv_budget b = {.max = 1 << 20};
    struct kv_pool  *pool[3];
    struct err       e;
    struct kv_shape  shapes[] = {small, large, {2, 3, 24, KV_F16, NULL}};
    uint64_t         r = 0, refused = 0;
    int              n = 0;
    for (int i = 0; i < 3; i++) {
        CHECK(kv_pool_new(&pool[i], b.max, &shapes[i], &e) == 0);
        kv_pool_link(&b, pool[i]);
    }
    for (int round = 0; round < 200000; round++) {
        struct kv_pool *p = pool[rng_u64(5, 0, r++, 0) % 3];
        if (n < HELD_MAX && rng_u64(5, 0, r++, 0) % 100 < 52) {
            bool     fits = b.used + p->page_bytes <= b.max;
            uint8_t *page = kv_page_get(p);
            CHECK(fits == (page != NULL));
            refused += !fits;
            if (page) {
                held[n].p = p, held[n].page = page, held[n].mark = (uint8_t)round;
                page[0] = page[p->page_bytes - 1] = (uint8_t)round;
                n++;
            }
        } else if (n > 0) {
            int i = (int)(rng_u64(5, 0, r++, 0) % (uint64_t)n);
            CHECK(held[i].page[0] == held[i].mark && held[i].page[held[i].p->page_bytes - 1] == held[i].mark);
            kv_page_put(held[i].p, held[i].page);
            held[i] = held[--n];
        }
        uint64_t used = 0;
        for (int i = 0; i < 3; i++)
            used += pool[i]->n_used * pool[i]->page_bytes;
        CHECK(used == b.used && b.used <= b.backed && b.backed <= b.max);
    }
    CHECK(refused > 1000);
    while (n > 0)
        n--, kv_page_put(held[n].p, held[n].page);
    for (int i = 0; i < 3; i++)
        kv_pool_free(pool[i]);
    CHECK(b.backed == 0);
}

TEST(kv_refuses_what_does_not_fit)
{
    struct kv_pool *p;
    struct err      e;
    CHECK(kv_pool_new(&p, 4095, &small, &e) == -ERR_NO_MEMORY && strstr(e.msg, "4095") && p == NULL);
}

TEST_MAIN()
