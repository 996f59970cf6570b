/* SentencePiece-style BPE ("llama"): every character is a symbol, and of all neighbouring pairs that together are a token the one with the
 * highest score goes first, the leftmost of equal ones. What is no token goes as bytes (<0xHH>), or as <unk>. */
#include "text/text_int.h"
#include "text/heap.h"
#include <string.h>

struct node {
    uint32_t at, prev, next; /* its first byte; its neighbours' numbers */
    uint32_t order;          /* of merging with the next one, smallest first; UINT32_MAX: not a token */
};
struct line {
    const struct vocab *v;
    const char *text;
    struct node *node; /* (n + 1): the last one stands for the end */
    uint32_t n;
    struct merge_heap heap;
};

/* Floats in descending order as ascending integers; -inf is the last. */
static uint32_t order_of(float score)
{
    uint32_t u;
    score += 0.0f; /* -0 is 0 */
    memcpy(&u, &score, sizeof u);
    return u >> 31 ? u : ~u & 0x7fffffff;
}

static int32_t plain_token(const struct line *l, uint32_t from, uint32_t to)
{
    int32_t t = vocab_find_n(l->v, l->text + from, to - from);
    return token_is_plain(l->v, t) ? t : TOKEN_NONE;
}

static bool line_pair(struct line *l, uint32_t i)
{
    struct node *a = &l->node[i];
    a->order = UINT32_MAX;
    if (a->next == l->n)
        return true;
    int32_t t = plain_token(l, a->at, l->node[l->node[a->next].next].at);
    if (t == TOKEN_NONE)
        return true;
    a->order = order_of(l->v->score[t]);
    return heap_push(&l->heap, (uint64_t)a->order << 32 | i);
}

static bool line_merge(struct line *l)
{
    struct node *x = l->node;
    for (uint32_t i = 0; i < l->n; i++)
        if (!line_pair(l, i))
            return false;
    while (l->heap.v.n) {
        uint64_t key = heap_pop(&l->heap);
        uint32_t i = (uint32_t)key, right = x[i].next;
        if (x[i].order != key >> 32)
            continue;
        x[right].order = UINT32_MAX;
        x[i].next = x[right].next;
        x[x[i].next].prev = i;
        if (!line_pair(l, i) || (i > 0 && !line_pair(l, x[i].prev)))
            return false;
    }
    return true;
}

/* One node a character. */
static bool line_init(struct line *l, size_t n)
{
    l->node = mem_array(n + 1, sizeof *l->node);
    if (!l->node)
        return false;
    for (size_t at = 0; at < n; l->n++) {
        int len = utf8_len(l->text + at, n - at);
        l->node[l->n] = (struct node){(uint32_t)at, l->n - 1, l->n + 1, UINT32_MAX};
        at += len > 0 ? (size_t)len : 1;
    }
    l->node[l->n] = (struct node){(uint32_t)n, l->n - 1, l->n, UINT32_MAX};
    return true;
}

static int line_put(const struct line *l, struct token_sink *s)
{
    bool after_unk = false;
    int rc = 0;
    for (uint32_t i = 0; i < l->n && !rc; i = l->node[i].next) {
        uint32_t from = l->node[i].at, to = l->node[l->node[i].next].at;
        int32_t t = plain_token(l, from, to);
        if (t == TOKEN_NONE) {
            rc = sp_put_unknown(l->v, l->text + from, to - from, &after_unk, s);
            continue;
        }
        rc = token_put(s, t);
        after_unk = false;
    }
    return rc;
}

int spm_encode(const struct vocab *v, const char *p, size_t n, struct token_sink *s)
{
    struct line l = {.v = v, .text = p};
    int rc = line_init(&l, n) && line_merge(&l) ? line_put(&l, s) : err_set(s->e, ERR_NO_MEMORY, "text: no memory to merge %zu bytes", n);
    mem_free(l.node);
    vec_deinit(&l.heap.v);
    return rc;
}
