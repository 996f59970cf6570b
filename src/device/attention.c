/* Paged KV and attention. K lies transposed in its page, (kv_heads, head_dim, KV_PAGE), so that scores of neighbouring positions are
 * lanes of one vector; V lies as (kv_heads, KV_PAGE, head_dim), so that values are. Work is cut into tiles of query rows of one
 * sequence and KV head (all heads that share it, several rows in prefill); workers take tiles from a counter, since later rows of a
 * causal prompt cost more. Tiling cannot change a result: the kernel treats each query row alone. */
#include "device/device_int.h"
#include "base/mem.h"
#include <math.h>
#include <stdatomic.h>
#include <string.h>

_Static_assert((int)KV_PAGE == (int)KERNEL_KV_PAGE, "device and kernels agree on the page");

static size_t value_bytes(const struct kv_shape *s)
{
    return s->type == KV_F32 ? sizeof(float) : sizeof(f16);
}

int kv_type_find(const char *name)
{
    static const char *const names[] = {[KV_F16] = "f16", [KV_F32] = "f32", [KV_BF16] = "bf16"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return (int)i;
    return -1;
}
/* K, or V, of one head in a page. */
static size_t head_bytes(const struct kv_shape *s)
{
    return KV_PAGE * (size_t)s->head_dim * value_bytes(s);
}
/* KV heads of the layers before this one; layer n_layers: of all. */
static size_t heads_before(const struct kv_shape *s, int layer)
{
    return s->heads_before ? s->heads_before[layer] : (size_t)layer * (size_t)s->n_kv_heads;
}
static int kv_heads(const struct kv_shape *s, int layer)
{
    return (int)(heads_before(s, layer + 1) - heads_before(s, layer));
}

size_t kv_page_bytes(const struct kv_shape *s)
{
    return heads_before(s, s->n_layers) * 2 * head_bytes(s);
}

/* K (side 0) or V (side 1) of a layer and KV head. */
static char *kv_at(const struct kv_shape *s, void *page, int layer, int side, int head)
{
    return (char *)page + (heads_before(s, layer) * 2 + (size_t)(side * kv_heads(s, layer) + head)) * head_bytes(s);
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
    char *to_k = kv_at(t->s, page, t->layer, 0, head), *to_v = kv_at(t->s, page, t->layer, 1, head);
    if (t->s->type == KV_F32) {
        for (size_t i = 0; i < hd; i++)
            ((float *)(void *)to_k)[i * KV_PAGE + (size_t)slot] = k[i];
        memcpy((float *)(void *)to_v + (size_t)slot * hd, v, hd * sizeof *v);
        return;
    }
    if (t->s->type == KV_BF16) {
        for (size_t i = 0; i < hd; i++) {
            ((bf16 *)(void *)to_k)[i * KV_PAGE + (size_t)slot] = to_bf16(k[i]);
            ((bf16 *)(void *)to_v)[(size_t)slot * hd + i] = to_bf16(v[i]);
        }
        return;
    }
    f16 part[64];
    for (size_t i = 0; i < hd; i += 64) {
        size_t n = hd - i < 64 ? hd - i : 64;
        t->d->k.to_f16(part, k + i, n);
        for (size_t j = 0; j < n; j++)
            ((f16 *)(void *)to_k)[(i + j) * KV_PAGE + (size_t)slot] = part[j];
    }
    t->d->k.to_f16((f16 *)(void *)to_v + (size_t)slot * hd, v, hd);
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

struct attention {
    struct device *d;
    const struct kv_shape *s;
    const struct kv_seq *seqs;
    const float *q;
    float *out;
    float scale;
    int layer, n_seqs, n_heads, window;
    int kv_heads;
    int group; /* query heads that share a KV head */
    int heads; /* of them in one tile */
    int tile_rows;
    atomic_int next; /* the next tile that nobody has taken */
    int n_tiles;
};

struct tile {
    const struct kv_seq *seq;
    int row0, rows, kv_head, head0, heads;
};

static int tiles_of(const struct attention *a, const struct kv_seq *s)
{
    return (s->n_rows + a->tile_rows - 1) / a->tile_rows * a->kv_heads * ((a->group + a->heads - 1) / a->heads);
}

/* Tile i of all; the last rows of a sequence come first, being the longest work. */
static struct tile tile_at(const struct attention *a, int i)
{
    const struct kv_seq *s = a->seqs;
    while (i >= tiles_of(a, s))
        i -= tiles_of(a, s), s++;
    int parts = (a->group + a->heads - 1) / a->heads, row_tiles = (s->n_rows + a->tile_rows - 1) / a->tile_rows;
    struct tile t = {.seq = s, .kv_head = i / parts % a->kv_heads};
    t.head0 = t.kv_head * a->group + i % parts * a->heads;
    t.heads = (i % parts + 1) * a->heads <= a->group ? a->heads : a->group - i % parts * a->heads;
    t.row0 = (row_tiles - 1 - i / parts / a->kv_heads) * a->tile_rows;
    t.rows = s->n_rows - t.row0 < a->tile_rows ? s->n_rows - t.row0 : a->tile_rows;
    return t;
}

static float *head_of(float *base, const struct attention *a, const struct tile *t, int row, int head)
{
    return base + ((size_t)(t->seq->row0 + t->row0 + row) * (size_t)a->n_heads + (size_t)(t->head0 + head)) * (size_t)a->s->head_dim;
}

static void tile_run(const struct attention *a, const struct tile *t, struct device_lane *lane)
{
    size_t hd = (size_t)a->s->head_dim;
    int n = t->rows * t->heads, lo[KERNEL_ATTN_MAX], hi[KERNEL_ATTN_MAX], first = t->seq->pos0 + t->row0, last = first + t->rows - 1;
    float max[KERNEL_ATTN_MAX], sum[KERNEL_ATTN_MAX];
    for (int i = 0; i < n; i++) {
        const float *q = head_of((float *)a->q, a, t, i / t->heads, i % t->heads);
        for (size_t d = 0; d < hd; d++)
            lane->q[(size_t)i * hd + d] = q[d] * a->scale, lane->out[(size_t)i * hd + d] = 0;
        max[i] = -INFINITY;
        sum[i] = 0;
    }
    int page = a->window > 0 && first >= a->window ? (first - a->window + 1) / KV_PAGE : 0;
    for (; page * KV_PAGE <= last; page++) {
        for (int i = 0; i < n; i++) {
            int pos = first + i / t->heads, base = page * KV_PAGE;
            lo[i] = a->window > 0 && pos - a->window + 1 > base ? pos - a->window + 1 - base : 0;
            hi[i] = pos + 1 - base < KV_PAGE ? pos + 1 - base : KV_PAGE;
        }
        struct kernel_attn k = {.q = lane->q,
                                .k = kv_at(a->s, t->seq->pages[page], a->layer, 0, t->kv_head),
                                .v = kv_at(a->s, t->seq->pages[page], a->layer, 1, t->kv_head),
                                .lo = lo,
                                .hi = hi,
                                .max = max,
                                .sum = sum,
                                .out = lane->out,
                                .n_q = n,
                                .head_dim = a->s->head_dim};
        kernel_attn_fn *const kernels[] = {[KV_F16] = a->d->k.attn_f16, [KV_F32] = a->d->k.attn_f32, [KV_BF16] = a->d->k.attn_bf16};
        kernels[a->s->type](&k);
    }
    for (int i = 0; i < n; i++) {
        float *out = head_of(a->out, a, t, i / t->heads, i % t->heads);
        for (size_t d = 0; d < hd; d++)
            out[d] = lane->out[(size_t)i * hd + d] / sum[i];
    }
}

static void attention_share(void *arg, int worker, int n_workers)
{
    struct attention *a = arg;
    (void)n_workers;
    for (int i; (i = atomic_fetch_add(&a->next, 1)) < a->n_tiles;) {
        struct tile t = tile_at(a, i);
        tile_run(a, &t, &a->d->lanes[worker]);
    }
}

static void lanes_reserve(struct device *d, int head_dim)
{
    if (head_dim <= d->lane_head_dim)
        return;
    for (int i = 0; i < pool_threads(d->pool); i++) {
        struct device_lane *l = &d->lanes[i];
        l->q = mem_resize(l->q, (size_t)KERNEL_ATTN_MAX * (size_t)head_dim, sizeof(float));
        l->out = mem_resize(l->out, (size_t)KERNEL_ATTN_MAX * (size_t)head_dim, sizeof(float));
        ASSERT(l->q && l->out); /* 64 rows of one head */
    }
    d->lane_head_dim = head_dim;
}

void dev_attention(struct device *d, float *out, const float *q, const struct kv_shape *s, int layer, const struct kv_seq *seqs, int n_seqs,
                   int n_heads, float scale, int window)
{
    struct attention a = {.d = d,
                          .s = s,
                          .seqs = seqs,
                          .q = q,
                          .out = out,
                          .scale = scale,
                          .layer = layer,
                          .n_seqs = n_seqs,
                          .n_heads = n_heads,
                          .window = window,
                          .kv_heads = kv_heads(s, layer),
                          .group = n_heads / kv_heads(s, layer)};
    double work = 0;
    long rows = 0;
    ASSERT(n_heads % a.kv_heads == 0);
    for (int i = 0; i < n_seqs; i++) {
        rows += seqs[i].n_rows;
        work += (double)seqs[i].n_rows * (seqs[i].pos0 + seqs[i].n_rows);
    }
    a.heads = a.group < KERNEL_ATTN_MAX ? a.group : KERNEL_ATTN_MAX;
    if (rows * a.kv_heads < pool_threads(d->pool)) /* a lone decode row: share its heads out */
        a.heads = 1 + (int)((long)n_heads * rows - 1) / pool_threads(d->pool) > a.group ? a.group
                                                                                        : 1 + (int)((long)n_heads * rows - 1) / pool_threads(d->pool);
    a.tile_rows = KERNEL_ATTN_MAX / a.heads;
    for (int i = 0; i < n_seqs; i++)
        a.n_tiles += tiles_of(&a, &seqs[i]);
    lanes_reserve(d, s->head_dim);
    device_run(d, work * n_heads * s->head_dim / 4, attention_share, &a);
}
