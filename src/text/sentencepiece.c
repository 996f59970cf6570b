/* What SentencePiece does around its two algorithms: replacements of the charsmap, blanks (U+2581), the blank before the text, user-defined
 * tokens that stay whole, bytes (<0xHH>) and <unk> for what is no token. The order of steps is that of SentencePiece's normalizer.cc. */
#include "text/text_int.h"
#include <math.h>
#include <string.h>

static const char BLANK[] = "\xe2\x96\x81", REPLACEMENT[] = "\xef\xbf\xbd";
enum { BLANK_N = 3, NORMALISED_BYTES_MAX = 1 << 30 };

/* ---- loading ---- */

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

static int load_scores(struct vocab *v, const struct modelfile *f, struct err *e)
{
    const struct meta *m = modelfile_meta(f, "tokenizer.ggml.scores");
    v->score = mem_array((size_t)v->n, sizeof *v->score);
    if (!v->score)
        return err_set(e, ERR_NO_MEMORY, "vocab: no memory for the scores");
    if (!m || m->type != META_ARR || m->n != (uint64_t)v->n)
        return err_set(e, ERR_FORMAT, "vocab: tokenizer.ggml.scores is missing or has not one number a token; convert the model again");
    for (int32_t i = 0; i < v->n; i++)
        if (!meta_arr_f32(m, (uint64_t)i, &v->score[i]) || isnan(v->score[i]) || (v->kind == VOCAB_UNIGRAM && isinf(v->score[i])))
            return err_set(e, ERR_FORMAT, "vocab: the score of token %d is no number; convert the model again", i);
    return 0;
}

static int load_charsmap(struct vocab *v, const struct modelfile *f, struct err *e)
{
    const struct meta *m = modelfile_meta(f, "tokenizer.ggml.precompiled_charsmap");
    if (!m || (m->type == META_ARR && m->n == 0))
        return 0;
    if (m->type != META_ARR || (m->elem != META_U8 && m->elem != META_I8))
        return err_set(e, ERR_FORMAT, "vocab: tokenizer.ggml.precompiled_charsmap is not an array of bytes; convert the model again");
    return charsmap_load(&v->charsmap, m->data, m->n, e);
}

int sp_load(struct vocab *v, const struct modelfile *f, struct err *e)
{
    int rc = load_scores(v, f, e);
    if (!rc)
        rc = load_byte_tokens(v, e);
    if (!rc)
        rc = load_charsmap(v, f, e);
    if (!rc)
        rc = modelfile_bool_or(f, "tokenizer.ggml.remove_extra_whitespaces", false, &v->remove_blanks, e);
    return rc || v->kind != VOCAB_UNIGRAM ? rc : unigram_load(v, e);
}

/* ---- normalising ---- */

/* The user-defined token at p, TOKEN_NONE when there is none. */
static int32_t user_at(const struct vocab *v, const char *p, size_t n)
{
    return v->user_first[(uint8_t)*p] ? special_match(v, p, n, false) : TOKEN_NONE;
}

/* What the text at p begins with, and what that becomes; the number of bytes it takes. */
static size_t replace(const struct vocab *v, const char *p, size_t n, struct str *out)
{
    int32_t user = user_at(v, p, n);
    if (user != TOKEN_NONE) {
        *out = (struct str){p, vocab_text(v, user).n};
        return out->n;
    }
    size_t len = v->charsmap.n_units ? charsmap_match(&v->charsmap, p, n, &out->p, &out->n) : 0;
    if (len)
        return len;
    int c = utf8_len(p, n);
    len = c > 0 ? (size_t)c : 1;
    *out = (struct str){p, len};
    if (c <= 0 && v->charsmap.n_units) /* without a charsmap such bytes live on as byte tokens */
        *out = (struct str){REPLACEMENT, sizeof REPLACEMENT - 1};
    return len;
}

static bool normalise(const struct vocab *v, const char *p, size_t n, bool prefix, struct buf *out)
{
    struct str piece;
    size_t at = 0;
    while (v->remove_blanks && at < n) {
        size_t len = replace(v, p + at, n - at, &piece);
        if (!str_eqz(piece, " "))
            break;
        at += len;
    }
    if (prefix && at < n)
        buf_add(out, BLANK, BLANK_N);
    for (bool after_blank = v->remove_blanks; at < n && !out->failed;) {
        at += replace(v, p + at, n - at, &piece);
        while (after_blank && piece.n && piece.p[0] == ' ')
            piece.p++, piece.n--;
        for (size_t i = 0; i < piece.n; i++)
            if (piece.p[i] == ' ')
                buf_add(out, BLANK, BLANK_N);
            else
                buf_char(out, piece.p[i]);
        if (piece.n)
            after_blank = v->remove_blanks && piece.p[piece.n - 1] == ' ';
    }
    while (v->remove_blanks && out->len >= BLANK_N && memcmp(out->data + out->len - BLANK_N, BLANK, BLANK_N) == 0)
        out->len -= BLANK_N;
    return !out->failed;
}

/* ---- encoding ---- */

int sp_put_unknown(const struct vocab *v, const char *p, size_t n, bool *after_unk, struct token_sink *s)
{
    bool known = true;
    int rc = 0;
    for (size_t b = 0; b < n; b++)
        known &= v->byte_token[(uint8_t)p[b]] != TOKEN_NONE;
    for (size_t b = 0; known && b < n && !rc; b++)
        rc = token_put(s, v->byte_token[(uint8_t)p[b]]);
    if (!known && !*after_unk && v->unk != TOKEN_NONE)
        rc = token_put(s, v->unk);
    *after_unk = !known;
    return rc;
}

static int between(const struct vocab *v, const char *p, size_t n, struct token_sink *s)
{
    if (n == 0)
        return 0;
    return v->kind == VOCAB_SPM ? spm_encode(v, p, n, s) : unigram_encode(v, p, n, s);
}

static int segments(const struct vocab *v, const char *p, size_t n, struct token_sink *s)
{
    size_t from = 0;
    for (size_t at = 0; at < n;) {
        int32_t user = user_at(v, p + at, n - at);
        if (user == TOKEN_NONE) {
            at++;
            continue;
        }
        int rc = between(v, p + from, at - from, s);
        if (!rc)
            rc = token_put(s, user);
        if (rc)
            return rc;
        from = at += vocab_text(v, user).n;
    }
    return between(v, p + from, n - from, s);
}

int sp_encode(const struct vocab *v, const char *p, size_t n, bool prefix, struct token_sink *s)
{
    struct buf text;
    buf_init(&text, NORMALISED_BYTES_MAX);
    int rc = normalise(v, p, n, prefix, &text) ? segments(v, text.data ? text.data : "", text.len, s)
                                               : err_set(s->e, ERR_NO_MEMORY, "text: no memory to normalise %zu bytes", n);
    buf_deinit(&text);
    return rc;
}
