/* Byte-level BPE ("gpt2"): the text is cut into pieces (pretok.c), each byte is a symbol, and of all neighbouring pairs that a rule merges
 * the rule that stands first in the file goes first, the leftmost of equal ones. Time O(n log n) in the length of a piece. */
#include "text/text_int.h"
#include "base/hash.h"
#include "text/heap.h"
#include "text/unicode.h"
#include <string.h>

enum { NO_RULE = -1 };

/* GPT-2 writes each byte as a printable character: printable Latin-1 bytes as themselves, the other 68 from U+0100 on. */
static bool printable(uint32_t b)
{
    return (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || (b >= 0xae && b <= 0xff);
}

static uint32_t cp_of_byte(uint32_t byte)
{
    if (printable(byte))
        return byte;
    uint32_t k = 0;
    for (uint32_t b = 0; b < byte; b++)
        k += !printable(b);
    return 256 + k;
}

size_t bpe_byte_of(uint32_t cp)
{
    if (cp < 256)
        return printable(cp) ? cp : 256;
    if (cp <= 0x120) /* 0 to 0x20 */
        return cp - 256;
    if (cp <= 0x142) /* 0x7f to 0xa0 */
        return cp - 0x121 + 0x7f;
    return cp == 0x143 ? 0xad : 256;
}

static struct merge_rule *rule_slot(const struct vocab *v, uint32_t left, uint32_t right)
{
    uint64_t h = (((uint64_t)left << 32 | right) ^ v->merge_key) * 0x9e3779b97f4a7c15ull;
    h = (h ^ (h >> 29)) * (v->merge_key | 1);
    size_t i = (h >> 20) & (v->merges_cap - 1);
    for (; v->merges[i].left != UINT32_MAX && (v->merges[i].left != left || v->merges[i].right != right); i = (i + 1) & (v->merges_cap - 1))
        work(1);
    work(1);
    return &v->merges[i];
}

static int bad_merge(uint64_t i, struct str m, struct err *e)
{
    return err_set(e, ERR_FORMAT, "vocab: merge %llu (%zu bytes) is not two texts with a blank between; convert the model again",
                   (unsigned long long)i, m.n);
}

/* The number of a token that stands in merge i; false: there is no such token. */
static bool symbol_of(const struct vocab *v, struct str text, uint32_t *out)
{
    int32_t token = vocab_find(v, text);
    *out = (uint32_t)token;
    return token != TOKEN_NONE;
}

static bool is_joint(const struct vocab *v, char a, char b)
{
    size_t at = (size_t)(uint8_t)a << 8 | (uint8_t)b;
    return v->joints[at / 64] >> at % 64 & 1;
}

/* A text of symbols that bytes can become is written in characters that stand for bytes. */
static void note_joint(struct vocab *v, struct str left, struct str right)
{
    uint32_t end, begin;
    size_t last = left.n - 1;
    while (last > 0 && ((uint8_t)left.p[last] & 0xc0) == 0x80)
        last--;
    if (utf8_decode(left.p + last, left.n - last, &end) <= 0 || utf8_decode(right.p, right.n, &begin) <= 0)
        return;
    size_t a = bpe_byte_of(end), b = bpe_byte_of(begin);
    if (a < 256 && b < 256)
        v->joints[(a << 8 | b) / 64] |= UINT64_C(1) << b % 64;
}

static int load_merge(struct vocab *v, uint64_t i, struct str m, struct err *e)
{
    char both[2 * TOKEN_TEXT_MAX];
    const char *gap = m.n > 2 ? memchr(m.p + 1, ' ', m.n - 1) : NULL;
    if (!gap || m.n > sizeof both)
        return bad_merge(i, m, e);
    struct str left = {m.p, (size_t)(gap - m.p)}, right = {gap + 1, m.n - left.n - 1};
    if (right.n == 0)
        return bad_merge(i, m, e);
    memcpy(both, left.p, left.n);
    memcpy(both + left.n, right.p, right.n);
    struct merge_rule r = {.rank = (uint32_t)i};
    if (!symbol_of(v, left, &r.left) || !symbol_of(v, right, &r.right) || !symbol_of(v, (struct str){both, m.n - 1}, &r.made))
        return 0; /* it can never apply: such files are in use, and llama.cpp reads them too */
    struct merge_rule *slot = rule_slot(v, r.left, r.right);
    if (slot->left == UINT32_MAX)
        *slot = r; /* of two equal rules the first counts */
    note_joint(v, left, right);
    return 0;
}

static int load_merges(struct vocab *v, const struct meta *m, struct err *e)
{
    for (v->merges_cap = 16; v->merges_cap < m->n * 2; v->merges_cap *= 2)
        ;
    v->merges = mem_array(v->merges_cap, sizeof *v->merges);
    if (!v->merges)
        return err_set(e, ERR_NO_MEMORY, "vocab: no memory for %llu merges", (unsigned long long)m->n);
    for (size_t i = 0; i < v->merges_cap; i++)
        v->merges[i].left = UINT32_MAX;
    random_bytes(&v->merge_key, sizeof v->merge_key);
    for (uint64_t i = 0; i < m->n; i++) {
        int rc = load_merge(v, i, m->strings[i], e);
        if (rc)
            return rc;
    }
    return 0;
}

/* The token of each byte. */
static void load_bytes(struct vocab *v)
{
    v->all_bytes = true;
    for (uint32_t b = 0; b < 256; b++) {
        char c[4];
        int32_t t = vocab_find_n(v, c, utf8_encode(c, cp_of_byte(b)));
        v->byte_token[b] = token_is_plain(v, t) ? t : TOKEN_NONE;
        v->all_bytes &= v->byte_token[b] != TOKEN_NONE;
    }
}

int bpe_load(struct vocab *v, const struct modelfile *f, struct err *e)
{
    const struct meta *m = modelfile_meta(f, "tokenizer.ggml.merges");
    if (!m || m->type != META_ARR || m->elem != META_STR || m->n > VOCAB_MERGES_MAX)
        return err_set(e, ERR_FORMAT, "vocab: tokenizer.ggml.merges is missing or no array of up to %d strings; convert the model again",
                       VOCAB_MERGES_MAX);
    load_bytes(v);
    return load_merges(v, m, e);
}

/* One piece while it is merged. A symbol is named by the offset of its first byte. */
struct node {
    uint32_t sym, prev, next;
    int32_t rank; /* of the rule that merges this symbol with the next one, or NO_RULE */
    uint32_t made;
};
struct word {
    const struct vocab *v;
    struct node *node; /* (cap) */
    size_t cap;
    struct merge_heap heap;
    struct buf known; /* the piece without bytes that are no token */
};

static bool word_pair(struct word *w, uint32_t i, uint32_t n)
{
    struct node *a = &w->node[i];
    a->rank = NO_RULE;
    if (a->next >= n)
        return true;
    const struct merge_rule *r = rule_slot(w->v, a->sym, w->node[a->next].sym);
    if (r->left == UINT32_MAX)
        return true;
    a->rank = (int32_t)r->rank;
    a->made = r->made;
    return heap_push(&w->heap, (uint64_t)r->rank << 32 | i);
}

static bool word_merge(struct word *w, const char *p, uint32_t n)
{
    struct node *x = w->node;
    w->heap.v.n = 0;
    for (uint32_t i = 0; i < n; i++)
        x[i] = (struct node){.sym = (uint32_t)w->v->byte_token[(uint8_t)p[i]], .prev = i - 1, .next = i + 1, .rank = NO_RULE};
    for (uint32_t i = 0; i < n; i++)
        if (!word_pair(w, i, n))
            return false;
    while (w->heap.v.n) {
        uint64_t key = heap_pop(&w->heap);
        uint32_t i = (uint32_t)key, right = x[i].next;
        if (x[i].rank != (int32_t)(key >> 32))
            continue;
        x[i].sym = x[i].made;
        x[right].rank = NO_RULE;
        x[i].next = x[right].next;
        if (x[i].next < n)
            x[x[i].next].prev = i;
        if (!word_pair(w, i, n) || (i > 0 && !word_pair(w, x[i].prev, n)))
            return false;
    }
    return true;
}

/* What merges into a control token stays bytes: text never becomes such a token. */
static int word_put(const struct word *w, const char *p, uint32_t n, struct token_sink *s)
{
    int rc = 0;
    for (uint32_t i = 0; i < n && !rc; i = w->node[i].next) {
        if (token_is_plain(w->v, (int32_t)w->node[i].sym)) {
            rc = token_put(s, (int32_t)w->node[i].sym);
            continue;
        }
        for (uint32_t b = i; b < w->node[i].next && !rc; b++)
            rc = token_put(s, w->v->byte_token[(uint8_t)p[b]]);
    }
    return rc;
}

/* The token whose text is the whole piece, where the vocabulary takes such tokens without asking the merges. */
static int32_t whole(const struct vocab *v, struct str piece)
{
    char text[2 * TOKEN_TEXT_MAX];
    size_t n = 0;
    if (!v->ignore_merges || piece.n > TOKEN_TEXT_MAX)
        return TOKEN_NONE;
    for (size_t i = 0; i < piece.n; i++)
        n += utf8_encode(text + n, cp_of_byte((uint8_t)piece.p[i]));
    int32_t t = vocab_find_n(v, text, n);
    return token_is_plain(v, t) ? t : TOKEN_NONE;
}

/* Bytes that are no token are left out before anything merges, as in Hugging Face's tokenizers: their neighbours become neighbours. */
static bool leave_out(struct word *w, struct str *piece)
{
    if (w->v->all_bytes)
        return true;
    buf_clear(&w->known);
    for (size_t i = 0; i < piece->n; i++)
        if (w->v->byte_token[(uint8_t)piece->p[i]] != TOKEN_NONE)
            buf_char(&w->known, piece->p[i]);
    *piece = (struct str){w->known.data, w->known.len};
    return !w->known.failed;
}

static int part_encode(struct word *w, const char *p, size_t n, struct token_sink *s)
{
    if (n == 1)
        return token_put(s, w->v->byte_token[(uint8_t)*p]);
    if (n > w->cap) {
        size_t cap = n < 64 ? 64 : n;
        struct node *bigger = mem_resize(w->node, cap, sizeof *bigger);
        if (!bigger)
            return err_set(s->e, ERR_NO_MEMORY, "text: no memory to merge %zu bytes", n);
        w->node = bigger;
        w->cap = cap;
    }
    if (!word_merge(w, p, (uint32_t)n))
        return err_set(s->e, ERR_NO_MEMORY, "text: no memory to merge %zu bytes", n);
    return word_put(w, p, (uint32_t)n, s);
}

/* Between two bytes that no merge joins a piece falls apart: what is left of it never meets what is right of it. So megabytes of one character
 * seldom are megabytes of nodes. */
static int piece_encode(struct word *w, struct str piece, struct token_sink *s)
{
    if (!leave_out(w, &piece))
        return err_set(s->e, ERR_NO_MEMORY, "text: no memory to merge %zu bytes", piece.n);
    int32_t t = whole(w->v, piece);
    if (t != TOKEN_NONE)
        return token_put(s, t);
    int rc = 0;
    for (size_t from = 0, to; from < piece.n && !rc; from = to) {
        for (to = from + 1; to < piece.n && is_joint(w->v, piece.p[to - 1], piece.p[to]);)
            to++;
        rc = part_encode(w, piece.p + from, to - from, s);
    }
    return rc;
}

static int pieces_encode(const struct vocab *v, const char *p, size_t n, struct token_sink *s)
{
    struct word w = {.v = v};
    struct pretok_walk walk;
    struct str piece;
    int rc = 0;
    buf_init(&w.known, 0);
    pretok_start(&walk, v->pre, p, n);
    while (!rc && pretok_next(&walk, &piece))
        rc = piece_encode(&w, piece, s);
    mem_free(w.node);
    buf_deinit(&w.known);
    vec_deinit(&w.heap.v);
    return rc;
}

int bpe_encode(const struct vocab *v, const char *p, size_t n, struct token_sink *s)
{
    struct buf nfc;
    if (!v->nfc || unicode_is_nfc(p, n))
        return pieces_encode(v, p, n, s);
    buf_init(&nfc, (size_t)ENCODE_BYTES_MAX * 4);
    int rc =
        unicode_nfc(p, n, &nfc) ? pieces_encode(v, nfc.data, nfc.len, s) : err_set(s->e, ERR_NO_MEMORY, "text: no memory to normalise %zu bytes", n);
    buf_deinit(&nfc);
    return rc;
}
