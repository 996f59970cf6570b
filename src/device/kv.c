/* Paged KV: where keys and values lie, and storing them. device.h draws a page; attend.c reads it. */
#include "device/kv_int.h"
#include "kernel/kv8.h"
#include <string.h>

_Static_assert((int)KV_PAGE == (int)KERNEL_KV_PAGE && (int)KV_GROUP == (int)KERNEL_KV_GROUP, "device and kernels agree on the page");

int kv_type_find(const char *name)
{
    static const char *const names[] = {[KV_F16] = "f16", [KV_F32] = "f32", [KV_BF16] = "bf16", [KV_Q8] = "q8"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}

/* K, or V, of one head in a page. */
static size_t side_bytes(const struct kv_shape *s)
{
    if (s->type == KV_Q8)
        return kv8_side((size_t)s->head_dim);
    return KV_PAGE * (size_t)s->head_dim * (s->type == KV_F32 ? sizeof(float) : sizeof(f16));
}
/* KV heads of the layers before this one; layer n_layers: of all. */
static size_t heads_before(const struct kv_shape *s, int layer)
{
    return s->heads_before ? s->heads_before[layer] : (size_t)layer * (size_t)s->n_kv_heads;
}
int kv_heads(const struct kv_shape *s, int layer)
{
    return (int)(heads_before(s, layer + 1) - heads_before(s, layer));
}

int kv_first_page(const struct kv_shape *s, int pos, int window)
{
    const int group = s->type == KV_Q8 ? KV_GROUP : 1;
    return window > 0 && pos >= window ? (pos - window + 1) / KV_PAGE / group * group : 0;
}

size_t kv_page_bytes(const struct kv_shape *s)
{
    return heads_before(s, s->n_layers) * 2 * side_bytes(s);
}

void *kv_at(const struct kv_shape *s, void *page, int layer, int side, int head)
{
    return (char *)page + ((heads_before(s, layer) + (size_t)head) * 2 + (size_t)side) * side_bytes(s);
}

struct store {
    struct device *d;
    const struct kv_shape *s;
    const struct kv_seq *seqs;
    const float *k, *v;
    int layer, n_seqs, kv_heads;
};

/* Rounds to nearest even; saturates, so that no infinity comes of a finite value; NaN stays. */
static bf16 to_bf16(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if ((u & 0x7fffffff) > 0x7f800000)
        return (bf16)(u >> 16 | 64);
    if ((u & 0x7fffffff) >= 0x7f7f8000)
        return (bf16)((u >> 16 & 0x8000) | 0x7f7f);
    return (bf16)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* One position of one head: the values of K go to a column, those of V to a row. */
static void store_head(const struct store *t, void *page, int slot, int head, const float *k, const float *v)
{
    size_t hd = (size_t)t->s->head_dim;
    void *to_k = kv_at(t->s, page, t->layer, 0, head), *to_v = kv_at(t->s, page, t->layer, 1, head);
    if (t->s->type == KV_Q8) {
        t->d->k.kv8_store(to_k, (size_t)slot, k, v, hd);
        return;
    }
    if (t->s->type == KV_F32) {
        for (size_t i = 0; i < hd; i++)
            ((float *)to_k)[i * KV_PAGE + (size_t)slot] = k[i];
        memcpy((float *)to_v + (size_t)slot * hd, v, hd * sizeof *v);
        return;
    }
    if (t->s->type == KV_BF16) {
        for (size_t i = 0; i < hd; i++) {
            ((bf16 *)to_k)[i * KV_PAGE + (size_t)slot] = to_bf16(k[i]);
            ((bf16 *)to_v)[(size_t)slot * hd + i] = to_bf16(v[i]);
        }
        return;
    }
    f16 part[64];
    for (size_t i = 0; i < hd; i += 64) {
        size_t n = hd - i < 64 ? hd - i : 64;
        t->d->k.to_f16(part, k + i, n);
        for (size_t j = 0; j < n; j++)
            ((f16 *)to_k)[(i + j) * KV_PAGE + (size_t)slot] = part[j];
    }
    t->d->k.to_f16((f16 *)to_v + (size_t)slot * hd, v, hd);
}

/* Workers own KV heads: a column of K shares its cache lines with the columns beside it. */
static void store_share(void *arg, int worker, int n_workers)
{
    const struct store *t = arg;
    size_t hd = (size_t)t->s->head_dim, n = (size_t)t->kv_heads, row = n * hd;
    int from = (int)share_start(n, worker, n_workers), to = (int)share_start(n, worker + 1, n_workers);
    for (int i = 0; i < t->n_seqs; i++)
        for (int r = 0; r < t->seqs[i].n_rows; r++) {
            int pos = t->seqs[i].pos0 + r;
            size_t at = (size_t)(t->seqs[i].row0 + r) * row;
            for (int h = from; h < to; h++)
                store_head(t, t->seqs[i].pages[pos / KV_PAGE], pos % KV_PAGE, h, t->k + at + (size_t)h * hd, t->v + at + (size_t)h * hd);
        }
}

void dev_kv_store(struct device *d, const struct kv_shape *s, int layer, const struct kv_seq *seqs, int n_seqs, const float *k, const float *v)
{
    struct store t = {d, s, seqs, k, v, layer, n_seqs, kv_heads(s, layer)};
    double rows = 0;
    for (int i = 0; i < n_seqs; i++)
        rows += seqs[i].n_rows;
    device_run(d, rows * t.kv_heads * s->head_dim * 8, store_share, &t);
}
