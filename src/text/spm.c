/* SentencePiece-style BPE ("llama"): every character is a symbol, and of all neighbouring pairs that together are a token the one with the
 * highest score goes first, the leftmost of equal ones. Blanks are U+2581. What is no token goes as bytes (<0xHH>), or as <unk>. */
#include "text/text_int.h"
#include "text/heap.h"
#include <math.h>
#include <string.h>

static const char BLANK[] = "\xe2\x96\x81";

/* `<0xHH>` and nothing else. */
static bool byte_of(struct str t, uint8_t *out)
{
    return t.n == 6 && memcmp(t.p, "<0x", 3) == 0 && t.p[5] == '>' && str_hex((struct str){t.p + 3, 2}, out, 1);
}

static int load_byte_tokens(struct vocab *v, struct err *e)
{
    for (int b = 0; b < 256; b++)
        v->byte_token[b] = TOKEN_NONE;
    for (int32_t i = 0; i < v->n; i++) {
        uint8_t b;
        if (v->attr[i] != TOKEN_BYTE)
            continue;
        if (!byte_of(vocab_text(v, i), &b))
            return err_set(e, ERR_FORMAT, "vocab: token %d has the type of a byte, but its text is not <0x00> to <0xFF>; convert the model again", i);
        v->byte_token[b] = i;
    }
    return 0;
}

int spm_load(struct vocab *v, const struct modelfile *f, struct err *e)
{
    const struct meta *m = modelfile_meta(f, "tokenizer.ggml.scores");
    v->score = mem_array((size_t)v->n, sizeof *v->score);
    if (!v->score)
        return err_set(e, ERR_NO_MEMORY, "vocab: no memory for the scores");
    if (!m || m->type != META_ARR || m->n != (uint64_t)v->n)
        return err_set(e, ERR_FORMAT, "vocab: tokenizer.ggml.scores is missing or has not one number a token; convert the model again");
    for (int32_t i = 0; i < v->n; i++)
        if (!meta_arr_f32(m, (uint64_t)i, &v->score[i]) || isnan(v->score[i]))
            return err_set(e, ERR_FORMAT, "vocab: the score of token %d is no number; convert the model again", i);
    return load_byte_tokens(v, e);
}

struct node {
    uint32_t at, prev, next; /* its first byte; its neighbours' numbers */
    uint32_t order;          /* of merging with the next one, smallest first; UINT32_MAX: not a token */
};
struct line {
    const struct vocab *v;
    char               *text;
    size_t              n_text;
    struct node        *node; /* (n + 1): the last one stands for the end */
    uint32_t            n;
    struct merge_heap   heap;
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

/* Blanks become U+2581, one goes before the text when prefix is set; then one node a character. */
static bool line_init(struct line *l, const char *p, size_t n, bool prefix)
{
    size_t blanks = prefix, chars = 0;
    for (size_t i = 0; i < n; i++)
        blanks += p[i] == ' ';
    l->text = mem_array(n + 2 * blanks + prefix + 1, 1); /* n is at most ENCODE_BYTES_MAX */
    l->node = mem_array(n + prefix + 1, sizeof *l->node);
    if (!l->text || !l->node)
        return false;
    if (prefix)
        memcpy(l->text, BLANK, 3), l->n_text = 3;
    for (size_t i = 0; i < n; i++)
        if (p[i] == ' ')
            memcpy(l->text + l->n_text, BLANK, 3), l->n_text += 3;
        else
            l->text[l->n_text++] = p[i];
    for (size_t at = 0; at < l->n_text; chars++) {
        int len = utf8_len(l->text + at, l->n_text - at);
        l->node[chars] = (struct node){(uint32_t)at, (uint32_t)chars - 1, (uint32_t)chars + 1, UINT32_MAX};
        at += len > 0 ? (size_t)len : 1;
    }
    l->n = (uint32_t)chars;
    l->node[chars] = (struct node){(uint32_t)l->n_text, (uint32_t)chars - 1, (uint32_t)chars, UINT32_MAX};
    return true;
}

/* One symbol that is no token: its bytes, or <unk>, of which neighbours are one (as in SentencePiece). */
static int put_bytes(const struct line *l, uint32_t from, uint32_t to, bool *after_unk, struct token_sink *s)
{
    bool known = true;
    int  rc = 0;
    for (uint32_t b = from; b < to; b++)
        known &= l->v->byte_token[(uint8_t)l->text[b]] != TOKEN_NONE;
    for (uint32_t b = from; known && b < to && !rc; b++)
        rc = token_put(s, l->v->byte_token[(uint8_t)l->text[b]]);
    if (!known && !*after_unk && l->v->unk != TOKEN_NONE)
        rc = token_put(s, l->v->unk);
    *after_unk = !known;
    return rc;
}

static int line_put(const struct line *l, struct token_sink *s)
{
    bool after_unk = false;
    int  rc = 0;
    for (uint32_t i = 0; i < l->n && !rc; i = l->node[i].next) {
        uint32_t from = l->node[i].at, to = l->node[l->node[i].next].at;
        int32_t  t = plain_token(l, from, to);
        if (t == TOKEN_NONE) {
            rc = put_bytes(l, from, to, &after_unk, s);
            continue;
        }
        rc = token_put(s, t);
        after_unk = false;
    }
    return rc;
}

int spm_encode(const struct vocab *v, const char *p, size_t n, bool prefix, struct token_sink *s)
{
    struct line l = {.v = v};
    int rc = line_init(&l, p, n, prefix) && line_merge(&l) ? line_put(&l, s) : err_set(s->e, ERR_NO_MEMORY, "text: no memory to merge %zu bytes", n);
    mem_free(l.text);
    mem_free(l.node);
    vec_deinit(&l.heap.v);
    return rc;
}
