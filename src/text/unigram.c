/* Unigram ("t5"): of all ways to cut the text into tokens the one with the highest sum of scores (log probabilities), found by dynamic
 * programming from left to right (Kudo 2018, "Subword Regularization"). Of equal sums the cut that begins further left counts, as in
 * SentencePiece. Sums are doubles, as in Hugging Face's tokenizers and llama.cpp (SentencePiece itself rounds each to float). */
#include "text/text_int.h"
#include <float.h>

/* Longer tokens would let a file make a text's time that many times its length. */
enum { UNIGRAM_TOKEN_MAX = 512 };
static const double UNKNOWN_PENALTY = 10.0; /* below the worst token, kUnkPenalty */

static bool in_trie(const struct vocab *v, int32_t t)
{
    return v->attr[t] == TOKEN_NORMAL && vocab_text(v, t).n > 0;
}

int unigram_load(struct vocab *v, struct err *e)
{
    size_t bytes = 0;
    double worst = DBL_MAX;
    for (int32_t t = 0; t < v->n; t++) {
        if (!in_trie(v, t))
            continue;
        if (vocab_text(v, t).n > UNIGRAM_TOKEN_MAX)
            return err_set(e, ERR_FORMAT, "vocab: token %d is %zu bytes long, the limit of a unigram vocabulary is %d; convert the model again", t,
                           vocab_text(v, t).n, UNIGRAM_TOKEN_MAX);
        bytes += vocab_text(v, t).n; /* at most 2^21 * 2^9 */
        if ((double)v->score[t] < worst)
            worst = (double)v->score[t];
    }
    v->unk_score = (worst == DBL_MAX ? 0 : worst) - UNKNOWN_PENALTY;
    if (!trie_init(&v->trie, bytes))
        return err_set(e, ERR_NO_MEMORY, "vocab: no memory for a tree of %zu bytes", bytes);
    for (int32_t t = 0; t < v->n; t++)
        if (in_trie(v, t))
            trie_add(&v->trie, vocab_text(v, t).p, vocab_text(v, t).n, t);
    return 0;
}

/* The best way to cut what ends before a byte: its last token and where that begins. */
struct best {
    double sum;
    uint32_t from; /* UINT32_MAX: none yet */
    int32_t token; /* TOKEN_NONE: a character that is no token */
};

static void offer(struct best *b, double sum, uint32_t from, int32_t token)
{
    if (b->from == UINT32_MAX || sum > b->sum)
        *b = (struct best){sum, from, token};
}

/* All tokens that begin at `at`; a character that is none of them is unknown. */
static void step(const struct vocab *v, const char *p, size_t n, uint32_t at, size_t len, struct best *best)
{
    bool whole = false;
    uint32_t node = 0;
    int32_t token;
    for (size_t i = at; i < n && trie_step(&v->trie, &node, (uint8_t)p[i], &token); i++) {
        if (token < 0)
            continue;
        offer(&best[i + 1], best[at].sum + (double)v->score[token], at, token);
        whole |= i + 1 - at == len;
    }
    if (!whole)
        offer(&best[at + len], best[at].sum + v->unk_score, at, TOKEN_NONE);
}

/* Turns the chain of cuts around: afterwards best[i] says where the token that begins at i ends. */
static void turn(struct best *best, uint32_t n)
{
    struct best b = best[n];
    for (uint32_t to = n, from; to > 0; to = from) {
        from = b.from;
        struct best before = best[from];
        best[from].from = to;
        best[from].token = b.token;
        b = before;
    }
}

int unigram_encode(const struct vocab *v, const char *p, size_t n, struct token_sink *s)
{
    struct best *best = mem_array(n + 1, sizeof *best); /* n is at most 2^30 */
    if (!best)
        return err_set(s->e, ERR_NO_MEMORY, "text: no memory to cut %zu bytes", n);
    for (size_t i = 1; i <= n; i++)
        best[i].from = UINT32_MAX;
    for (size_t at = 0; at < n;) {
        int c = utf8_len(p + at, n - at);
        size_t len = c > 0 ? (size_t)c : 1;
        step(v, p, n, (uint32_t)at, len, best);
        at += len;
    }
    turn(best, (uint32_t)n);
    bool after_unk = false;
    int rc = 0;
    for (uint32_t at = 0; at < n && !rc; at = best[at].from) {
        if (best[at].token == TOKEN_NONE) {
            rc = sp_put_unknown(v, p + at, best[at].from - at, &after_unk, s);
            continue;
        }
        rc = token_put(s, best[at].token);
        after_unk = false;
    }
    mem_free(best);
    return rc;
}
