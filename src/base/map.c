/* Open addressing with linear probing; deletion shifts the run back (Knuth, TAOCP 6.4, algorithm R). */
#include "base/map.h"
#include "base/hash.h"
#include "base/mem.h"
#include <pthread.h>
#include <string.h>

struct map_slot {
    char           *key; /* NULL: empty */
    size_t          n;
    uint64_t        hash;
    union map_value value;
};

static uint8_t        hash_key[16];
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static void           key_make(void) { random_bytes(hash_key, sizeof hash_key); }

void map_init(struct map *m)
{
    pthread_once(&key_once, key_make);
    *m = (struct map){0};
}

void map_deinit(struct map *m)
{
    for (size_t i = 0; i < m->cap; i++)
        mem_free(m->slots[i].key);
    mem_free(m->slots);
    *m = (struct map){0};
}

/* The slot that holds the key, or the empty one where it would go. cap > n always. */
static size_t find(const struct map *m, struct str key, uint64_t h)
{
    size_t i = h & (m->cap - 1);
    while (m->slots[i].key && !(m->slots[i].hash == h && str_eq((struct str){m->slots[i].key, m->slots[i].n}, key)))
        i = (i + 1) & (m->cap - 1);
    return i;
}

static bool grow(struct map *m)
{
    struct map bigger = {.cap = m->cap ? m->cap * 2 : 16, .n = m->n};
    bigger.slots = mem_array(bigger.cap, sizeof *bigger.slots);
    if (!bigger.slots)
        return false;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].key)
            bigger.slots[find(&bigger, (struct str){m->slots[i].key, m->slots[i].n}, m->slots[i].hash)] = m->slots[i];
    mem_free(m->slots);
    *m = bigger;
    return true;
}

bool map_set(struct map *m, struct str key, union map_value v)
{
    if (m->n * 4 >= m->cap * 3 && !grow(m))
        return false;
    uint64_t         h = siphash(hash_key, key.p, key.n);
    struct map_slot *s = &m->slots[find(m, key, h)];
    if (!s->key) {
        char *copy = mem_str(key.p, key.n);
        if (!copy)
            return false;
        *s = (struct map_slot){copy, key.n, h, {0}};
        m->n++;
    }
    s->value = v;
    return true;
}

bool map_get(const struct map *m, struct str key, union map_value *out)
{
    if (m->n == 0)
        return false;
    const struct map_slot *s = &m->slots[find(m, key, siphash(hash_key, key.p, key.n))];
    if (!s->key)
        return false;
    *out = s->value;
    return true;
}

bool map_del(struct map *m, struct str key, union map_value *out)
{
    if (m->n == 0)
        return false;
    size_t mask = m->cap - 1, i = find(m, key, siphash(hash_key, key.p, key.n));
    if (!m->slots[i].key)
        return false;
    if (out)
        *out = m->slots[i].value;
    mem_free(m->slots[i].key);
    m->slots[i].key = NULL;
    m->n--;
    for (size_t j = (i + 1) & mask; m->slots[j].key; j = (j + 1) & mask) {
        size_t home = m->slots[j].hash & mask;
        if (((j - home) & mask) >= ((j - i) & mask)) {
            m->slots[i] = m->slots[j];
            m->slots[j].key = NULL;
            i = j;
        }
    }
    return true;
}

bool map_next(const struct map *m, size_t *it, struct str *key, union map_value *out)
{
    for (; *it < m->cap; ++*it) {
        const struct map_slot *s = &m->slots[*it];
        if (s->key) {
            *key = (struct str){s->key, s->n};
            *out = s->value;
            ++*it;
            return true;
        }
    }
    return false;
}
