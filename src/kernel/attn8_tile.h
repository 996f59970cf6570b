/* Attention over a group of pages of 8-bit KV, for any vector: a level's kv8.c includes this after its vec_int.h and what it says of integers
 * (struct pieces: rows of integers as the level multiplies them, struct sums8: their products; product8, PRODUCTS8_BEGIN and _END around several).
 * Products are sums of integers, which are exact; everything else treats each row alone, lanes being positions or values: tiles change no bit. */
#pragma once
#include "kernel/kv8.h"

#ifndef PRODUCTS8_BEGIN
#define PRODUCTS8_BEGIN(n_rows)
#define PRODUCTS8_END()
#endif
/* Rows i to i + n - 1 of a call, and the pages [from, to) that any of them asks for. */
struct block8 {
    const struct kernel_attn8 *a;
    int i, n, from, to;
};

/* Of each row after its softmax: what scales the output so far, what scales the new products, the integer that the codes' zero adds to them. */
struct softened {
    float keep[ROWS8], by[ROWS8];
    int32_t zero[ROWS8];
};

INLINE const float *scales_of(const struct block8 *b, int page, size_t side)
{
    return (const float *)(const void *)((const char *)b->a->pages[page] + side);
}

/* What is read ahead: V of these pages while K is multiplied and softened, the next K while that is softened and V multiplied. Memory shall be asked
 * evenly, for its queue is short: of each four lines the first ones are the products', the others the softmax's, which loads little itself. */
enum { V_WITH_K = 2, K_WITH_V = 2 };
struct ahead8 {
    const uint8_t *const *v, *const *k;
    size_t quads, quads_end, step; /* the row's share: fours of lines, so many with each vector of positions */
};

INLINE void ahead8_row(struct ahead8 *h, const struct block8 *b, int r)
{
    size_t fours = kv8_wide((size_t)b->a->head_dim) / 4, n = (size_t)b->n;
    h->quads = fours * (size_t)r / n;
    h->quads_end = fours * ((size_t)r + 1) / n;
    h->step = (h->quads_end - h->quads + 2 * KERNEL_KV_PAGE / LANES - 1) / (2 * KERNEL_KV_PAGE / LANES);
}

/* With vector `i` of 2 * KERNEL_KV_PAGE / LANES on page p. */
INLINE void ahead8_ask(const struct ahead8 *h, int p, int i)
{
    size_t from = h->quads + (size_t)i * h->step, to = from + h->step < h->quads_end ? from + h->step : h->quads_end;
    for (size_t four = from; h->v && four < to; four++) {
        for (int line = V_WITH_K; line < 4; line++)
            _mm_prefetch((const char *)h->v[p] + (four * 4 + (size_t)line) * KV8_LINE, _MM_HINT_T0);
        for (int line = K_WITH_V; line < 4; line++)
            _mm_prefetch((const char *)h->k[p] + (four * 4 + (size_t)line) * KV8_LINE, _MM_HINT_T0);
    }
}

/* Scores (integers) of row r of the block to weights (integers in w), and its running maximum and sum. Where every position of a page counts,
 * nothing is masked; else what does not count is -3e38 for the maximum and a weight of 0. */
static void soften8(const struct block8 *b, int r, struct sums8 score, struct pieces w, struct softened *f, struct ahead8 *ahead)
{
    const struct kernel_attn8 *a = b->a;
    int i = b->i + r, lo = a->lo[i], hi = a->hi[i];
    size_t side = kv8_side((size_t)a->head_dim);
    float s[SPAN];
    VEC top = vec_set(-INFINITY), total = vec_set(0), most = vec_set(0), d = vec_set(a->q.d[i]);
    int32_t zero = a->q.sum[i] * KV8_ZERO;
    ahead8_row(ahead, b, r);
    for (int p = b->from; p < b->to; p++) {
        int at = p * KERNEL_KV_PAGE;
        const float *k = scales_of(b, p, 0);
        if (lo <= at && hi >= at + KERNEL_KV_PAGE)
            for (int j = 0; j < KERNEL_KV_PAGE; j += LANES) {
                VEC x = vec_mul(vec_get_sum(score, (size_t)(r * SPAN + at + j), zero), vec_get_f32(k + j));
                ahead8_ask(ahead, p - b->from, j / LANES);
                vec_put(s + at + j, x);
                top = vec_max(top, x);
            }
        else
            for (int j = 0; j < KERNEL_KV_PAGE; j += LANES) {
                VEC x = vec_mul(vec_get_sum(score, (size_t)(r * SPAN + at + j), zero), vec_get_f32(k + j));
                ahead8_ask(ahead, p - b->from, j / LANES);
                x = vec_max(vec_set(-3e38f), vec_window(x, lo - at - j, hi - at - j));
                vec_put(s + at + j, x);
                top = vec_max(top, x);
            }
    }
    float here = vec_top(top) * a->q.d[i], max = here > a->max[i] ? here : a->max[i], part[LANES];
    VEC less = vec_set(-here);
    for (int p = b->from; p < b->to; p++) {
        int at = p * KERNEL_KV_PAGE;
        const float *v = scales_of(b, p, side);
        if (lo <= at && hi >= at + KERNEL_KV_PAGE)
            for (int j = 0; j < KERNEL_KV_PAGE; j += LANES) {
                VEC e = vec_exp2(vec_fma(vec_get_f32(s + at + j), d, less));
                ahead8_ask(ahead, p - b->from, (KERNEL_KV_PAGE + j) / LANES);
                total = vec_add(total, e);
                e = vec_mul(e, vec_get_f32(v + j));
                vec_put(s + at + j, e);
                most = vec_max(most, e);
            }
        else
            for (int j = 0; j < KERNEL_KV_PAGE; j += LANES) {
                VEC e = vec_only(vec_exp2(vec_fma(vec_get_f32(s + at + j), d, less)), lo - at - j, hi - at - j);
                ahead8_ask(ahead, p - b->from, (KERNEL_KV_PAGE + j) / LANES);
                total = vec_add(total, e);
                e = vec_only(vec_mul(e, vec_get_f32(v + j)), lo - at - j, hi - at - j);
                vec_put(s + at + j, e);
                most = vec_max(most, e);
            }
    }
    float t = vec_top(most);
    t = t > 1e-30f ? t : 1e-30f;
    f->zero[r] = KV8_ZERO * pieces_put(w, (size_t)r * SPAN, s, b->from * KERNEL_KV_PAGE, b->to * KERNEL_KV_PAGE, KV8_WEIGHT_TOP / t);
    vec_put(part, vec_exp2(vec_sub(vec_set(a->max[i]), vec_set(max))));
    f->keep[r] = a->max[i] > -INFINITY ? part[0] : 0;
    vec_put(part, vec_exp2(vec_sub(vec_set(here), vec_set(max))));
    f->by[r] = part[0] * (t / KV8_WEIGHT_TOP);
    a->sum[i] = fmaf(a->sum[i], f->keep[r], vec_sum(total) * part[0]);
    a->max[i] = max;
}

/* Products with the values join the output so far. */
static void join8(const struct block8 *b, int r, struct sums8 product, size_t wide, const struct softened *f)
{
    size_t hd = (size_t)b->a->head_dim, c = 0, at = (size_t)r * wide;
    float *out = b->a->out + (size_t)(b->i + r) * hd;
    VEC keep = vec_set(f->keep[r]), by = vec_set(f->by[r]);
    for (; c + LANES <= hd; c += LANES)
        vec_put(out + c, vec_fma(vec_get_sum(product, at + c, f->zero[r]), by, vec_mul(vec_get_f32(out + c), keep)));
    if (c < hd)
        vec_put_n(out + c, vec_fma(vec_get_sum(product, at + c, f->zero[r]), by, vec_mul(vec_get_n_f32(out + c, hd - c), keep)), hd - c);
}

/* From row i on, as many that have positions here as make one block. */
static struct block8 block_at(const struct kernel_attn8 *a, int i)
{
    int lo = SPAN, hi = 0, n = 0;
    for (; n < ROWS8 && i + n < a->n_q && a->hi[i + n] > a->lo[i + n]; n++) {
        lo = a->lo[i + n] < lo ? a->lo[i + n] : lo;
        hi = a->hi[i + n] > hi ? a->hi[i + n] : hi;
    }
    return (struct block8){a, i, n, lo / KERNEL_KV_PAGE, (hi + KERNEL_KV_PAGE - 1) / KERNEL_KV_PAGE};
}

static void attn8_block(const struct block8 *b)
{
    struct room8 score_room, product_room;
    struct sums8 score = sums_in(&score_room), product = sums_in(&product_room);
    struct weights8 room;
    struct pieces w = pieces_in(&room);
    struct softened f;
    const struct kernel_attn8 *a = b->a;
    size_t hd = (size_t)a->head_dim, wide = kv8_wide(hd);
    const uint8_t *k[KERNEL_KV_GROUP], *v[KERNEL_KV_GROUP], *next[KERNEL_KV_GROUP];
    for (int p = 0; p < b->to - b->from; p++) {
        k[p] = (const uint8_t *)a->pages[b->from + p] + KV8_SCALES;
        v[p] = k[p] + kv8_side(hd);
        for (int line = 0; b->i == 0 && line < KV8_SCALES; line += KV8_LINE) {
            _mm_prefetch((const char *)k[p] - KV8_SCALES + line, _MM_HINT_T0);
            _mm_prefetch((const char *)v[p] - KV8_SCALES + line, _MM_HINT_T0);
        }
    }
    for (int p = 0; p < b->to - b->from; p++)
        next[p] = p < a->n_ahead ? (const uint8_t *)a->pages[a->n_pages + p] + KV8_SCALES : v[p];
    PRODUCTS8_BEGIN(b->n);
    for (int p = 0; p < b->to - b->from; p++)
        product8(&(struct product8){.out = sums_at(score, (size_t)(b->from + p) * KERNEL_KV_PAGE),
                                    .ldo = SPAN,
                                    .a = pieces_of(&a->q, (size_t)b->i),
                                    .lda = a->q.stride,
                                    .pages = k + p,
                                    .ahead = b->i ? NULL : v + p, /* the first rows read ahead for all */
                                    .ahead_of_4 = V_WITH_K,
                                    .n_pages = 1,
                                    .quads = wide / 4,
                                    .n_panels = KERNEL_KV_PAGE / 16,
                                    .n = (size_t)b->n});
    struct ahead8 ahead = {.v = b->i ? NULL : v, .k = next};
    for (int r = 0; r < b->n; r++)
        soften8(b, r, score, w, &f, &ahead);
    product8(&(struct product8){.out = product,
                                .ldo = wide,
                                .a = pieces_at(w, (size_t)b->from * KERNEL_KV_PAGE),
                                .lda = SPAN,
                                .pages = v,
                                .ahead = b->i ? NULL : next,
                                .ahead_of_4 = K_WITH_V,
                                .n_pages = (size_t)(b->to - b->from),
                                .quads = KERNEL_KV_PAGE / 4,
                                .n_panels = wide / 16,
                                .n = (size_t)b->n});
    PRODUCTS8_END();
    for (int r = 0; r < b->n; r++)
        join8(b, r, product, wide, &f);
}

static void attn8(const struct kernel_attn8 *a)
{
    for (int i = 0; i < a->n_q;) {
        struct block8 b = block_at(a, i);
        if (b.n > 0)
            attn8_block(&b);
        i += b.n > 0 ? b.n : 1;
    }
}
