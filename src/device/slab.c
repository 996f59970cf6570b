/* Memory for packed weights: big blocks in large pages, carved in order; a block is given back with its last piece. */
#include "device/device_int.h"
#include "base/mem.h"

#define SLAB_BYTES ((size_t)64 << 20)

struct slab {
    struct slab *next;
    uint8_t     *p;
    size_t       n, used;
    size_t       pieces;
};

static struct slab *slab_new(struct device *d, size_t n)
{
    struct slab *s = mem_new(sizeof *s);
    if (!s)
        return NULL;
    s->n = n > SLAB_BYTES ? n : SLAB_BYTES;
    s->p = mem_pages(s->n);
    if (!s->p) {
        mem_free(s);
        return NULL;
    }
    s->next = d->slabs;
    return d->slabs = s;
}

void *slab_get(struct device *d, struct slab **from, size_t n)
{
    void *p = NULL;
    if (!ck_align(n, 64, &n))
        return NULL;
    mutex_lock(&d->slabs_mutex);
    struct slab *s = d->slabs;
    while (s && s->n - s->used < n)
        s = s->next;
    if (s || (s = slab_new(d, n))) {
        p = s->p + s->used;
        s->used += n;
        s->pieces++;
        *from = s;
    }
    mutex_unlock(&d->slabs_mutex);
    return p;
}

void slab_put(struct device *d, struct slab *s)
{
    mutex_lock(&d->slabs_mutex);
    if (--s->pieces == 0) {
        struct slab **at = &d->slabs;
        while (*at != s)
            at = &(*at)->next;
        *at = s->next;
        mem_pages_free(s->p, s->n);
        mem_free(s);
    }
    mutex_unlock(&d->slabs_mutex);
}
