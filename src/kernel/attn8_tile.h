/* Attention over a group of pages of 8-bit KV, for any vector: a level's kv8.c includes this after its vec_int.h and what it says of integers
 * (struct pieces: rows of integers as the level multiplies them; pieces_of, pieces_put, product8, vec_get_i32). Products are sums of integers, which
 * are exact; everything else treats each row alone, lanes being positions or values: tiles change no bit. */
#pragma once
#include "kernel/kv8.h"

enum { ROWS8 = 16, SPAN = KERNEL_KV_GROUP * KERNEL_KV_PAGE };

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

/* Scores (integers) of row r of the block to weights (integers in w), and its running maximum and sum. */
static void soften8(const struct block8 *b, int r, const int32_t *score, struct pieces w, struct softened *f)
{
    const struct kernel_attn8 *a = b->a;
    int i = b->i + r, lo = a->lo[i], hi = a->hi[i];
    size_t side = kv8_side((size_t)a->head_dim);
    float s[SPAN];
    VEC top = vec_set(-INFINITY), total = vec_set(0), most = vec_set(0), sum = vec_set(0), d = vec_set(a->q.d[i]);
    int32_t zero = a->q.sum[i] * KV8_ZERO;
    for (int p = b->from; p < b->to; p++)
        for (int j = 0; j < KERNEL_KV_PAGE; j += LANES) {
            int at = p * KERNEL_KV_PAGE + j;
            VEC x = vec_window(vec_mul(vec_mul(vec_get_i32(score + at, zero), vec_get_f32(scales_of(b, p, 0) + j)), d), lo - at, hi - at);
            vec_put(s + at, x);
            top = vec_max(top, x);
        }
    float here = vec_top(top), max = here > a->max[i] ? here : a->max[i], part[LANES];
    for (int p = b->from; p < b->to; p++)
        for (int j = 0; j < KERNEL_KV_PAGE; j += LANES) {
            int at = p * KERNEL_KV_PAGE + j;
            VEC e = vec_exp2(vec_sub(vec_get_f32(s + at), vec_set(here)));
            total = vec_add(total, e);
            e = vec_only(vec_mul(e, vec_get_f32(scales_of(b, p, side) + j)), lo - at, hi - at);
            vec_put(s + at, e);
            most = vec_max(most, e);
        }
    float t = vec_top(most);
    t = t > 1e-30f ? t : 1e-30f;
    VEC by = vec_set(KV8_QUERY_TOP / t);
    for (int at = b->from * KERNEL_KV_PAGE; at < b->to * KERNEL_KV_PAGE; at += LANES) {
        VEC x = vec_round(vec_mul(vec_get_f32(s + at), by));
        sum = vec_add(sum, x);
        pieces_put(w, (size_t)r * SPAN + (size_t)at, x);
    }
    vec_put(part, vec_exp2(vec_sub(vec_set(a->max[i]), vec_set(max))));
    f->keep[r] = part[0];
    vec_put(part, vec_exp2(vec_sub(vec_set(here), vec_set(max))));
    f->by[r] = part[0] * (t / KV8_QUERY_TOP);
    f->zero[r] = (int32_t)vec_sum(sum) * KV8_ZERO; /* at most 256 * 16319: exact */
    a->sum[i] = fmaf(a->sum[i], f->keep[r], vec_sum(total) * part[0]);
    a->max[i] = max;
}

/* Products with the values join the output so far. */
static void join8(const struct block8 *b, int r, const int32_t *product, const struct softened *f)
{
    size_t hd = (size_t)b->a->head_dim, c = 0;
    float *out = b->a->out + (size_t)(b->i + r) * hd;
    VEC keep = vec_set(f->keep[r]), by = vec_set(f->by[r]);
    for (; c + LANES <= hd; c += LANES)
        vec_put(out + c, vec_fma(vec_get_i32(product + c, f->zero[r]), by, vec_mul(vec_get_f32(out + c), keep)));
    if (c < hd)
        vec_put_n(out + c, vec_fma(vec_get_i32(product + c, f->zero[r]), by, vec_mul(vec_get_n_f32(out + c, hd - c), keep)), hd - c);
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
    __attribute__((aligned(64))) int32_t score[ROWS8 * SPAN], product[ROWS8 * KERNEL_HEAD_MAX];
    struct weights8 room;
    struct pieces w = pieces_in(&room);
    struct softened f;
    const struct kernel_attn8 *a = b->a;
    size_t hd = (size_t)a->head_dim, wide = kv8_wide(hd);
    const uint8_t *v[KERNEL_KV_GROUP];
    for (int p = b->from; p < b->to; p++) {
        const uint8_t *k = (const uint8_t *)a->pages[p] + KV8_SCALES;
        v[p - b->from] = (const uint8_t *)a->pages[p] + kv8_side(hd) + KV8_SCALES;
        product8(&(struct product8){.out = score + p * KERNEL_KV_PAGE,
                                    .ldo = SPAN,
                                    .a = pieces_of(&a->q, (size_t)b->i),
                                    .lda = a->q.stride,
                                    .pages = &k,
                                    .n_pages = 1,
                                    .quads = wide / 4,
                                    .n_panels = KERNEL_KV_PAGE / 16,
                                    .n = (size_t)b->n});
    }
    for (int r = 0; r < b->n; r++)
        soften8(b, r, score + r * SPAN, w, &f);
    product8(&(struct product8){.out = product,
                                .ldo = wide,
                                .a = pieces_at(w, (size_t)b->from * KERNEL_KV_PAGE),
                                .lda = SPAN,
                                .pages = v,
                                .n_pages = (size_t)(b->to - b->from),
                                .quads = KERNEL_KV_PAGE / 4,
                                .n_panels = wide / 16,
                                .n = (size_t)b->n});
    for (int r = 0; r < b->n; r++)
        join8(b, r, product + (size_t)r * wide, &f);
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
