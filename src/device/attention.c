/* Attention. Work is cut into tiles of query rows of one sequence and KV head (all heads that share it, several rows in prefill), which workers
 * take from a counter, since later rows of a causal prompt cost more. A tile goes through its positions in segments of SEGMENT pages; each begins a
 * softmax of its own, and the segments' results are joined in their order. So whether one worker computes all segments of a tile or
 * many workers share them (a few rows over a long context) changes no bit, nor does the size of a tile: kernels treat each row alone. */
#include "device/kv_int.h"
#include "base/mem.h"
#include "kernel/kv8.h"
#include <math.h>
#include <stdatomic.h>
#include <string.h>

_Static_assert((int)KV_PAGE == (int)KERNEL_KV_PAGE, "device and kernels agree on the page");

enum {
    SEGMENT = 16,               /* pages */
    TILE_MAX = DEVICE_TILE_MAX, /* each group of pages is used by so many query rows while it is in the cache */
    PARTS_MAX = 4 << 20,        /* floats for results of segments that await their joining */
};

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
    bool split;      /* an item of work is a segment of a tile, not a tile */
    atomic_int next; /* the next item that nobody has taken */
    int n_items;
};

struct tile {
    const struct kv_seq *seq;
    int row0, rows, kv_head, head0, heads;
    int from, to; /* segments */
    int number;   /* of the tile; */
    size_t part;  /* segments of the tiles before it */
};

static int row_tiles(const struct attention *a, const struct kv_seq *s)
{
    return (s->n_rows + a->tile_rows - 1) / a->tile_rows;
}
static int head_tiles(const struct attention *a)
{
    return (a->group + a->heads - 1) / a->heads;
}
static int tiles_of(const struct attention *a, const struct kv_seq *s)
{
    return row_tiles(a, s) * a->kv_heads * head_tiles(a);
}
static int tiles_all(const struct attention *a)
{
    int n = 0;
    for (int i = 0; i < a->n_seqs; i++)
        n += tiles_of(a, &a->seqs[i]);
    return n;
}

/* Tile i of a sequence; the last rows come first, being the longest work. */
static struct tile tile_at(const struct attention *a, const struct kv_seq *s, int i)
{
    int parts = head_tiles(a);
    struct tile t = {.seq = s, .kv_head = i / parts % a->kv_heads};
    t.head0 = t.kv_head * a->group + i % parts * a->heads;
    t.heads = (i % parts + 1) * a->heads <= a->group ? a->heads : a->group - i % parts * a->heads;
    t.row0 = (row_tiles(a, s) - 1 - i / parts / a->kv_heads) * a->tile_rows;
    t.rows = s->n_rows - t.row0 < a->tile_rows ? s->n_rows - t.row0 : a->tile_rows;
    int first = s->pos0 + t.row0, last = first + t.rows - 1;
    t.from = kv_first_page(a->s, first, a->window) / SEGMENT;
    t.to = last / KV_PAGE / SEGMENT + 1;
    return t;
}

/* Item i of all: a tile, or a segment of one. */
static struct tile item_at(const struct attention *a, int i)
{
    struct tile t = {0};
    int number = 0;
    size_t part = 0;
    for (const struct kv_seq *s = a->seqs;; s++) {
        int n = tiles_of(a, s);
        if (!a->split && i >= n) {
            i -= n, number += n;
            continue;
        }
        for (int j = a->split ? 0 : i; j < n; j++, number++) {
            t = tile_at(a, s, j);
            t.number = number, t.part = part;
            if (!a->split || i < t.to - t.from) {
                if (a->split)
                    t.from += i, t.to = t.from + 1;
                return t;
            }
            i -= t.to - t.from, part += (size_t)(t.to - t.from);
        }
    }
}

static float *head_of(float *base, const struct attention *a, const struct tile *t, int i)
{
    size_t row = (size_t)(t->seq->row0 + t->row0 + i / t->heads), head = (size_t)(t->head0 + i % t->heads);
    return base + (row * (size_t)a->n_heads + head) * (size_t)a->s->head_dim;
}

/* Queries of a tile, as the kernel of the type wants them. */
static void queries(const struct attention *a, const struct tile *t, struct device_lane *l)
{
    size_t hd = (size_t)a->s->head_dim, n = (size_t)t->rows * (size_t)t->heads;
    float scale = a->s->type == KV_Q8 ? 1 : a->scale;
    for (size_t i = 0; i < n; i++) {
        const float *q = head_of((float *)a->q, a, t, (int)i);
        for (size_t c = 0; c < hd; c++)
            l->q[i * hd + c] = q[c] * scale;
    }
    if (a->s->type == KV_Q8)
        a->d->k.kv8_query(&l->query, l->q, a->scale * 1.44269504f, n, hd);
}

static void clear(float *max, float *sum, float *out, size_t n, size_t hd)
{
    for (size_t i = 0; i < n; i++)
        max[i] = -INFINITY, sum[i] = 0;
    memset(out, 0, n * hd * sizeof *out);
}

/* Rows i to i + n - 1 of the tile over the pages [page, to), which end inside of one group. */
static void step(const struct attention *a, const struct tile *t, struct device_lane *l, int i, int n, int page, int to)
{
    int lo[KERNEL_ATTN_MAX], hi[KERNEL_ATTN_MAX], base = page * KV_PAGE, positions = (to - page) * KV_PAGE, some = 0;
    for (int r = 0; r < n; r++) {
        int pos = t->seq->pos0 + t->row0 + (i + r) / t->heads;
        lo[r] = a->window > 0 && pos - a->window + 1 > base ? pos - a->window + 1 - base : 0;
        hi[r] = pos + 1 - base < positions ? pos + 1 - base : positions;
        some += hi[r] > lo[r];
    }
    if (!some)
        return;
    size_t hd = (size_t)a->s->head_dim, at = (size_t)i;
    const void *k[2 * KERNEL_KV_GROUP] = {0}; /* behind the last page: those that are wanted next, as many as there are */
    int n_ahead = 0, next = a->split && to % SEGMENT == 0 ? to + (device_threads(a->d) - 1) * SEGMENT : to; /* the others take the segments between */
    for (int p = page; p < to; p++)
        k[p - page] = kv_at(a->s, t->seq->pages[p], a->layer, 0, t->kv_head);
    for (; n_ahead < KERNEL_KV_GROUP && (next + n_ahead) * KV_PAGE < t->seq->pos0 + t->row0 + t->rows; n_ahead++)
        k[to - page + n_ahead] = kv_at(a->s, t->seq->pages[next + n_ahead], a->layer, 0, t->kv_head);
    if (a->s->type == KV_Q8) {
        struct kernel_query8 q = l->query;
        q.q += at * q.stride, q.hi += at * q.stride, q.lo += at * q.stride, q.d += at, q.sum += at;
        a->d->k.attn_q8(&(struct kernel_attn8){.q = q,
                                               .pages = k,
                                               .n_ahead = n_ahead,
                                               .lo = lo,
                                               .hi = hi,
                                               .max = l->max + at,
                                               .sum = l->sum + at,
                                               .out = l->out + at * hd,
                                               .n_q = n,
                                               .n_pages = to - page,
                                               .head_dim = a->s->head_dim});
        return;
    }
    kernel_attn_fn *const kernels[] = {[KV_F16] = a->d->k.attn_f16, [KV_F32] = a->d->k.attn_f32, [KV_BF16] = a->d->k.attn_bf16};
    kernels[a->s->type](&(struct kernel_attn){.q = l->q + at * hd,
                                              .k = k[0],
                                              .v = kv_at(a->s, t->seq->pages[page], a->layer, 1, t->kv_head),
                                              .next = k[1],
                                              .lo = lo,
                                              .hi = hi,
                                              .max = l->max + at,
                                              .sum = l->sum + at,
                                              .out = l->out + at * hd,
                                              .n_q = n,
                                              .head_dim = a->s->head_dim});
}

/* One segment of a tile, from an empty state: l->max, sum, out. */
static void segment_run(const struct attention *a, const struct tile *t, struct device_lane *l, int segment)
{
    int n = t->rows * t->heads, first = t->seq->pos0 + t->row0, last = first + t->rows - 1;
    int group = a->s->type == KV_Q8 ? KERNEL_KV_GROUP : 1, end = last / KV_PAGE + 1;
    int from = kv_first_page(a->s, first, a->window);
    clear(l->max, l->sum, l->out, (size_t)n, (size_t)a->s->head_dim);
    int page = segment * SEGMENT > from ? segment * SEGMENT : from, stop = (segment + 1) * SEGMENT < end ? (segment + 1) * SEGMENT : end;
    for (; page < stop; page += group)
        for (int i = 0; i < n; i += KERNEL_ATTN_MAX)
            step(a, t, l, i, n - i < KERNEL_ATTN_MAX ? n - i : KERNEL_ATTN_MAX, page, page + group < stop ? page + group : stop);
}

/* Row state `more` joins that of `to`, which holds all positions before it. */
static void join(float *to_max, float *to_sum, float *to_out, float max, float sum, const float *out, size_t hd, bool twos)
{
    if (max == -INFINITY) /* the row has no position there */
        return;
    if (*to_max == -INFINITY) {
        *to_max = max, *to_sum = sum;
        memcpy(to_out, out, hd * sizeof *out);
        return;
    }
    float top = max > *to_max ? max : *to_max, base = twos ? 1 : 1.44269504f, keep = exp2f((*to_max - top) * base), add = exp2f((max - top) * base);
    for (size_t i = 0; i < hd; i++)
        to_out[i] = to_out[i] * keep + out[i] * add;
    *to_sum = *to_sum * keep + sum * add;
    *to_max = top;
}

/* The answers of a tile, from its joined state. */
static void finish(const struct attention *a, const struct tile *t, float *out, const float *sum)
{
    size_t hd = (size_t)a->s->head_dim, n = (size_t)t->rows * (size_t)t->heads;
    if (a->s->type == KV_Q8)
        a->d->k.kv8_turn(out, n, hd);
    for (size_t i = 0; i < n; i++) {
        float *to = head_of(a->out, a, t, (int)i);
        for (size_t c = 0; c < hd; c++)
            to[c] = out[i * hd + c] / sum[i];
    }
}

static void tile_run(const struct attention *a, const struct tile *t, struct device_lane *l)
{
    size_t hd = (size_t)a->s->head_dim, n = (size_t)t->rows * (size_t)t->heads;
    queries(a, t, l);
    if (t->to - t->from == 1) {
        segment_run(a, t, l, t->from);
        finish(a, t, l->out, l->sum);
        return;
    }
    clear(l->all_max, l->all_sum, l->all_out, n, hd);
    for (int s = t->from; s < t->to; s++) {
        segment_run(a, t, l, s);
        for (size_t i = 0; i < n; i++)
            join(&l->all_max[i], &l->all_sum[i], l->all_out + i * hd, l->max[i], l->sum[i], l->out + i * hd, hd, a->s->type == KV_Q8);
    }
    finish(a, t, l->all_out, l->all_sum);
}

/* The state of a segment of a tile that is shared out: max, sum (KERNEL_ATTN_MAX each), out. */
static size_t part_floats(size_t hd)
{
    return (hd + 2) * KERNEL_ATTN_MAX;
}

/* A segment of a tile; whoever ends the last one joins them all. */
static void part_run(const struct attention *a, const struct tile *t, struct device_lane *l)
{
    size_t hd = (size_t)a->s->head_dim, n = (size_t)t->rows * (size_t)t->heads, size = part_floats(hd);
    struct tile whole = *t;
    int first = t->seq->pos0 + t->row0;
    whole.from = kv_first_page(a->s, first, a->window) / SEGMENT;
    whole.to = (first + t->rows - 1) / KV_PAGE / SEGMENT + 1;
    float *parts = a->d->parts + t->part * size, *mine = parts + (size_t)(t->from - whole.from) * size;
    queries(a, t, l);
    segment_run(a, t, l, t->from);
    memcpy(mine, l->max, n * sizeof *mine);
    memcpy(mine + KERNEL_ATTN_MAX, l->sum, n * sizeof *mine);
    memcpy(mine + 2 * KERNEL_ATTN_MAX, l->out, n * hd * sizeof *mine);
    if (atomic_fetch_add(&a->d->parts_done[t->number], 1) + 1 < whole.to - whole.from)
        return;
    clear(l->all_max, l->all_sum, l->all_out, n, hd);
    for (int s = whole.from; s < whole.to; s++, parts += size)
        for (size_t i = 0; i < n; i++)
            join(&l->all_max[i], &l->all_sum[i], l->all_out + i * hd, parts[i], parts[KERNEL_ATTN_MAX + i], parts + 2 * KERNEL_ATTN_MAX + i * hd, hd,
                 a->s->type == KV_Q8);
    finish(a, &whole, l->all_out, l->all_sum);
}

static void attention_share(void *arg, int worker, int n_workers)
{
    struct attention *a = arg;
    (void)n_workers;
    for (int i; (i = atomic_fetch_add(&a->next, 1)) < a->n_items;) {
        struct tile t = item_at(a, i);
        if (a->split)
            part_run(a, &t, &a->d->lanes[worker]);
        else
            tile_run(a, &t, &a->d->lanes[worker]);
    }
}

/* *at, a pointer of any type, to n bytes; it stays as it is when there is no memory. */
static bool grow(void *at, size_t n)
{
    void *was, *is;
    memcpy(&was, at, sizeof was);
    if ((is = mem_resize(was, n, 1)))
        memcpy(at, &is, sizeof is);
    return is != NULL;
}

static bool lane_reserve(struct device_lane *l, size_t hd)
{
    const size_t n = TILE_MAX, wide = n * kv8_query_stride(hd), bytes = n * hd * sizeof(float);
    struct kernel_query8 *q = &l->query;
    q->d = l->query_d, q->sum = l->query_sum;
    return grow(&l->q, bytes) && grow(&l->out, bytes) && grow(&l->all_out, bytes) && grow(&q->q, wide * sizeof *q->q) && grow(&q->hi, wide) &&
           grow(&q->lo, wide);
}

bool dev_attention_reserve(struct device *d, int head_dim)
{
    for (int i = 0; head_dim > d->lane_head_dim && i < pool_threads(d->pool); i++)
        if (!lane_reserve(&d->lanes[i], (size_t)head_dim))
            return false;
    d->lane_head_dim = head_dim > d->lane_head_dim ? head_dim : d->lane_head_dim;
    return true;
}

/* Whether a few rows over long contexts are to be shared out by segments, and the memory for that. */
static bool split_reserve(struct attention *a, int n_tiles)
{
    struct device *d = a->d;
    size_t n = 0, size = part_floats((size_t)a->s->head_dim);
    if (pool_threads(d->pool) == 1 || n_tiles >= DEVICE_TILES_EACH * pool_threads(d->pool))
        return false;
    for (int i = 0; i < a->n_seqs; i++)
        for (int j = 0; j < tiles_of(a, &a->seqs[i]); j++) {
            struct tile t = tile_at(a, &a->seqs[i], j);
            n += (size_t)(t.to - t.from);
        }
    if (n <= (size_t)n_tiles || n > PARTS_MAX / size)
        return false;
    if (n * size > d->parts_max) {
        float *parts = mem_resize(d->parts, n * size, sizeof *parts);
        if (!parts)
            return false;
        d->parts = parts, d->parts_max = n * size;
    }
    for (int i = 0; i < n_tiles; i++)
        atomic_store(&d->parts_done[i], 0);
    a->n_items = (int)n;
    return true;
}

/* Rows of a tile: as many as share a group of pages well, fewer where workers would have too little to do. */
static void cut(struct attention *a)
{
    int threads = pool_threads(a->d->pool), n = 0;
    a->heads = a->group < KERNEL_ATTN_MAX ? a->group : KERNEL_ATTN_MAX;
    for (int rows = TILE_MAX; rows >= KERNEL_ATTN_MAX; rows /= 2) {
        a->tile_rows = rows / a->heads;
        n = tiles_all(a);
        if (n >= DEVICE_TILES_EACH * threads)
            break;
    }
    a->n_items = n;
    a->split = split_reserve(a, n);
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
    ASSERT(n_heads % a.kv_heads == 0 && s->head_dim <= KERNEL_HEAD_MAX);
    for (int i = 0; i < n_seqs; i++)
        work += (double)seqs[i].n_rows * (seqs[i].pos0 + seqs[i].n_rows);
    ASSERT(dev_attention_reserve(d, s->head_dim)); /* 256 rows of one head */
    cut(&a);
    for (int i = 0; i < pool_threads(d->pool); i++)
        d->lanes[i].query.stride = kv8_query_stride((size_t)s->head_dim);
    device_run(d, work * n_heads * s->head_dim / 4, attention_share, &a);
}
