/* Text to tokens: special tokens are cut out first, what stands between them goes to sentencepiece.c or bpe.c. */
#include "text/text_int.h"
#include "text/unicode.h"

_Thread_local uint64_t text_work;

/* Walks the spans beside the text. Neighbouring trusted spans are one. */
struct trust {
    const struct text_span *spans;
    size_t n, i, end; /* the trusted stretch that holds or follows the last position asked: [from, end) */
    size_t from;
};

static void trust_next(struct trust *t)
{
    while (t->i < t->n && (!t->spans[t->i].trusted || t->spans[t->i].n == 0))
        t->i++;
    if (t->i == t->n) {
        t->from = t->end = SIZE_MAX;
        return;
    }
    t->from = t->spans[t->i].at;
    t->end = t->from;
    for (; t->i < t->n && (t->spans[t->i].n == 0 || (t->spans[t->i].trusted && t->spans[t->i].at == t->end)); t->i++)
        t->end += t->spans[t->i].n;
}

/* How many bytes from `at` on are trusted. Positions must not go back. */
static size_t trusted_from(struct trust *t, size_t at)
{
    while (t->end <= at && t->end != SIZE_MAX)
        trust_next(t);
    return t->from <= at ? t->end - at : 0;
}

static int check_spans(size_t n, const struct text_span *spans, size_t n_spans, struct err *e)
{
    size_t at = 0;
    for (size_t i = 0; i < n_spans; i++) {
        if (spans[i].at < at || spans[i].at > n || spans[i].n > n - spans[i].at)
            return err_set(e, ERR_INTERNAL, "text: span %zu of the prompt is out of order", i);
        at = (size_t)spans[i].at + spans[i].n;
    }
    return 0;
}

static int plain(const struct vocab *v, const char *p, size_t n, bool after_special, struct token_sink *s)
{
    if (n == 0)
        return 0;
    return v->kind == VOCAB_BPE ? bpe_encode(v, p, n, s) : sp_encode(v, p, n, after_special && v->add_space_prefix, s);
}

/* The special token at p + at, if any. Control tokens must lie wholly in trusted text. */
static int32_t special_at(const struct vocab *v, const char *p, size_t n, size_t at, struct trust *t)
{
    if (!v->special_first[(uint8_t)p[at]])
        return TOKEN_NONE;
    size_t trusted = trusted_from(t, at), left = n - at;
    int32_t user = special_match(v, p + at, left, false);
    int32_t any = trusted ? special_match(v, p + at, trusted < left ? trusted : left, true) : TOKEN_NONE;
    return vocab_text(v, any).n >= vocab_text(v, user).n ? any : user;
}

/* The ends of the blanks around a special token at p[at, to), as far as it takes them with it. */
static size_t strip_left(const char *p, size_t from, size_t at)
{
    while (at > from) {
        size_t c = at - 1;
        while (c > from && at - c < 4 && ((uint8_t)p[c] & 0xc0) == 0x80)
            c--;
        struct uchar u = uchar_at(p + c, at - c);
        if (u.is != U_SPACE || c + u.n != at)
            break;
        at = c;
    }
    return at;
}

static size_t strip_right(const char *p, size_t n, size_t to)
{
    while (to < n && uchar_at(p + to, n - to).is == U_SPACE)
        to += uchar_at(p + to, n - to).n;
    return to;
}

/* Cuts special tokens out of the text and encodes what stands between them. SentencePiece keeps user-defined tokens in the text. */
static int cut(const struct vocab *v, const char *p, size_t n, struct trust *t, struct token_sink *s)
{
    size_t from = 0;
    bool after_special = true; /* SentencePiece puts a blank before the text that follows one */
    int rc = 0;
    for (size_t at = 0; at < n;) {
        int32_t token = special_at(v, p, n, at, t);
        if (token == TOKEN_NONE || (v->kind != VOCAB_BPE && v->attr[token] == TOKEN_USER)) {
            at += token == TOKEN_NONE ? 1 : vocab_text(v, token).n;
            continue;
        }
        int strip = v->strip ? v->strip[token] : 0;
        size_t left = strip & STRIP_LEFT ? strip_left(p, from, at) : at, to = at + vocab_text(v, token).n;
        rc = plain(v, p + from, left - from, after_special, s);
        if (!rc)
            rc = token_put(s, token);
        if (rc)
            return rc;
        from = at = strip & STRIP_RIGHT ? strip_right(p, n, to) : to;
        after_special = true;
    }
    return plain(v, p + from, n - from, after_special, s);
}

int vocab_encode(const struct vocab *v, const char *p, size_t n, const struct text_span *spans, size_t n_spans, const struct encode_opts *o,
                 struct vec_i32 *out, struct err *e)
{
    struct token_sink s = {out, o->tokens_max, e};
    struct trust t = {.spans = spans, .n = n_spans};
    int rc = check_spans(n, spans, n_spans, e);
    if (rc)
        return rc;
    if (n > ENCODE_BYTES_MAX)
        return err_set(e, ERR_TOO_LARGE, "text: %zu bytes to tokenize, the limit is %d", n, ENCODE_BYTES_MAX);
    if (o->add_bos && v->add_bos && v->bos != TOKEN_NONE && (rc = token_put(&s, v->bos)) != 0)
        return rc;
    trust_next(&t);
    rc = cut(v, p, n, &t, &s);
    if (!rc && o->add_eos && v->add_eos && v->eos != TOKEN_NONE)
        rc = token_put(&s, v->eos);
    return rc;
}
