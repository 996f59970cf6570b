/* The walk over a text, and the patterns that grew out of GPT-2's: words with what stands before them, numbers, punctuation, blanks. */
#include "text/pretok_int.h"
#include <string.h>

size_t run_of(const char *p, size_t n, size_t at, uint8_t mask)
{
    while (at < n) {
        struct uchar c = uchar_at(p + at, n - at);
        if (!(c.is & mask))
            break;
        at += c.n;
    }
    return at;
}

/* `[^\s\p{L}\p{N}]*` from `at`, with more kinds shut out by mask. */
static size_t run_other(const char *p, size_t n, size_t at, uint8_t mask)
{
    while (at < n) {
        struct uchar c = uchar_at(p + at, n - at);
        if (c.is & (mask | U_LETTER | U_NUMBER | U_SPACE))
            break;
        at += c.n;
    }
    return at;
}

/* `'s|'t|'re|'ve|'m|'ll|'d` at p, or 0. With any_case as (?i:...) of Unicode, where the long s (U+017F) is an s too. */
size_t contraction(const char *p, size_t n, bool any_case)
{
    if (n < 2 || p[0] != '\'')
        return 0;
    if (n >= 3 && any_case && (uint8_t)p[1] == 0xc5 && (uint8_t)p[2] == 0xbf)
        return 3;
    char a = p[1], b = n > 2 ? p[2] : 0;
    if (any_case) {
        a = a >= 'A' && a <= 'Z' ? (char)(a + 32) : a;
        b = b >= 'A' && b <= 'Z' ? (char)(b + 32) : b;
    }
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* The run, without its last character when something else follows. */
size_t blanks(const char *p, size_t n)
{
    size_t at = 0, last = 0;
    while (at < n) {
        struct uchar c = uchar_at(p + at, n - at);
        if (c.is != U_SPACE)
            return last ? last : at;
        last = at;
        at += c.n;
    }
    return at;
}

size_t line_ends(const char *p, size_t n)
{
    size_t end = 0;
    for (size_t at = 0; at < n;) {
        struct uchar c = uchar_at(p + at, n - at);
        if (c.is != U_SPACE)
            break;
        at += c.n;
        if (is_newline(c.cp))
            end = at;
    }
    return end;
}

size_t digits_of(const char *p, size_t n, int max)
{
    size_t at = 0;
    for (int i = 0; i < max && at < n; i++) {
        struct uchar c = uchar_at(p + at, n - at);
        if (c.is != U_NUMBER)
            break;
        at += c.n;
    }
    return at;
}

/* `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` */
size_t gpt2(const char *p, size_t n)
{
    size_t len = contraction(p, n, false);
    if (len)
        return len;
    size_t at = p[0] == ' ' && n > 1;
    struct uchar c = uchar_at(p + at, n - at);
    if (c.is == U_SPACE)
        return blanks(p, n);
    if (c.is & (U_LETTER | U_NUMBER))
        return run_of(p, n, at, c.is & U_LETTER ? U_LETTER : U_NUMBER);
    return run_other(p, n, at, 0);
}

/* `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[word]+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+` */
struct pattern {
    size_t (*word)(const char *p, size_t n, size_t at); /* the end of the word that begins at `at` */
    uint8_t letters;                                    /* what words begin with; the marks of a word are no punctuation */
    int digits;
    const char *tail; /* what may stand behind punctuation */
    size_t tail_max;  /* how much of it */
    bool no_contractions;
};

static size_t letters(const char *p, size_t n, size_t at)
{
    return run_of(p, n, at, U_LETTER);
}
static size_t letters_and_marks(const char *p, size_t n, size_t at)
{
    return run_of(p, n, at, U_LETTER | U_MARK);
}

/* `(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+`: words with one blank between them are one. */
static size_t phrase(const char *p, size_t n, size_t at)
{
    for (;;) {
        struct uchar c = at < n ? uchar_at(p + at, n - at) : (struct uchar){0};
        size_t skip = c.cp == ' ' && at + 1 < n;
        if (skip)
            c = uchar_at(p + at + 1, n - at - 1);
        if (!(c.is & U_LETTER))
            return at;
        at = run_of(p, n, at + skip + c.n, U_MARK);
    }
}

static size_t match(const char *p, size_t n, const struct pattern *t)
{
    size_t len = t->no_contractions ? 0 : contraction(p, n, true);
    if (len)
        return len;
    struct uchar c = uchar_at(p, n), next = {.is = U_SPACE};
    if (c.n < n)
        next = uchar_at(p + c.n, n - c.n);
    if (c.is & t->letters)
        return t->word(p, n, 0);
    if (c.is == U_NUMBER)
        return digits_of(p, n, t->digits);
    if (next.is & t->letters && !is_newline(c.cp))
        return t->word(p, n, c.n);
    uint8_t shut = t->letters | U_NUMBER | U_SPACE;
    if (!(c.is & shut) || (c.cp == ' ' && !(next.is & shut))) {
        size_t at = run_other(p, n, c.n, t->letters);
        for (size_t i = 0; i < t->tail_max && at < n && p[at] && strchr(t->tail, p[at]); i++)
            at++;
        return at;
    }
    len = line_ends(p, n);
    return len ? len : blanks(p, n);
}

enum { ANY = INT32_MAX };
#define PATTERN(name, ...)                                                                                                                           \
    size_t name(const char *p, size_t n)                                                                                                             \
    {                                                                                                                                                \
        return match(p, n, &(struct pattern){__VA_ARGS__});                                                                                          \
    }
PATTERN(llama3, letters, U_LETTER, 3, "\r\n", SIZE_MAX, false)
PATTERN(qwen2, letters, U_LETTER, 1, "\r\n", SIZE_MAX, false)
PATTERN(qwen35, letters_and_marks, U_LETTER | U_MARK, 1, "\r\n", SIZE_MAX, false)
PATTERN(minicpm5, letters, U_LETTER, ANY, "\r\n", SIZE_MAX, false)
PATTERN(ufakzeka, letters, U_LETTER, 1, "\r\n", SIZE_MAX, true)
PATTERN(seed_coder, letters, U_LETTER, 1, "", 0, false)
PATTERN(exaone_moe, phrase, U_LETTER, 1, "\r\n/", 1, false)

static const struct {
    const char *names;
    int flags;
    pretok_stage *stages[PRETOK_STAGES_MAX + 1];
} table[] = {
#define PRETOK(id, names, flags, ...) {names, flags, {__VA_ARGS__, NULL}},
#include "text/pretok.def"
#undef PRETOK
};

bool pretok_by_name(struct str name, enum pretok *out)
{
    for (int t = 0; t < PRETOK_COUNT; t++)
        for (struct str rest = str_of(table[t].names), one; rest.p;) {
            one = str_split(&rest, ' ');
            if (str_eq(one, name)) {
                *out = (enum pretok)t;
                return true;
            }
        }
    return false;
}

int pretok_flags(enum pretok t)
{
    return table[t].flags;
}

void pretok_start(struct pretok_walk *w, enum pretok t, const char *p, size_t n)
{
    *w = (struct pretok_walk){.stages = table[t].stages, .p = p, .end[0] = n};
    while (table[t].stages[w->n_stages])
        w->n_stages++;
}

bool pretok_next(struct pretok_walk *w, struct str *piece)
{
    if (w->at == w->end[0])
        return false;
    for (int k = 0; k < w->n_stages; k++)
        if (w->end[k + 1] == w->at)
            w->end[k + 1] = w->at + w->stages[k](w->p + w->at, w->end[k] - w->at);
    *piece = (struct str){w->p + w->at, w->end[w->n_stages] - w->at};
    w->at = w->end[w->n_stages];
    return true;
}
