#include "text/trie.h"
#include "base/hash.h"
#include "base/mem.h"
#include "text/work.h"

bool trie_init(struct trie *t, size_t bytes_max)
{
    size_t slots;
    *t = (struct trie){.cap = 16};
    if (!ck_mul(bytes_max, (size_t)2, &slots) || slots > UINT32_MAX)
        return false;
    while (t->cap < slots)
        t->cap *= 2;
    random_bytes(&t->key, sizeof t->key);
    t->edges = mem_array(t->cap, sizeof *t->edges);
    return t->edges != NULL;
}

void trie_deinit(struct trie *t)
{
    mem_free(t->edges);
    *t = (struct trie){0};
}

static struct trie_edge *slot(const struct trie *t, uint32_t from, uint8_t byte)
{
    uint64_t h = (((uint64_t)from << 8 | byte) ^ t->key) * 0x9e3779b97f4a7c15ull;
    h = (h ^ h >> 29) * (t->key | 1);
    size_t i = (h >> 20) & (t->cap - 1);
    for (; t->edges[i].node && (t->edges[i].from != from || t->edges[i].byte != byte); i = (i + 1) & (t->cap - 1))
        work(1);
    work(1);
    return &t->edges[i];
}

void trie_add(struct trie *t, const char *p, size_t n, int32_t value)
{
    struct trie_edge *e = NULL;
    for (size_t i = 0; i < n; i++) {
        uint32_t from = e ? e->node : 0;
        e = slot(t, from, (uint8_t)p[i]);
        if (!e->node)
            *e = (struct trie_edge){++t->n, from, -1, (uint8_t)p[i]};
    }
    if (e)
        e->value = value;
}

bool trie_step(const struct trie *t, uint32_t *node, uint8_t byte, int32_t *value)
{
    const struct trie_edge *e = slot(t, *node, byte);
    *node = e->node;
    *value = e->value;
    return e->node != 0;
}
