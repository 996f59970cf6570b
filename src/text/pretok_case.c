/* Patterns that cut words where the case changes (o200k, Tekken, Kimi): "camelCase" is two words, "HTTPServer" one. */
#include "text/pretok_int.h"
#include <string.h>

/* upper: `[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`, lower: `[\p{Ll}\p{Lm}\p{Lo}\p{M}]`. They overlap in what has no case. */
enum { UPPER = U_UPPER | U_CASELESS | U_MARK, LOWER = U_LOWER | U_CASELESS | U_MARK };

struct pattern {
    int digits;
    const char *tail; /* what may stand behind punctuation */
    bool contractions, no_han;
};

static uint8_t kind(struct uchar c, const struct pattern *t)
{
    return t->no_han && unicode_is_han(c.cp) ? 0 : c.is;
}

/* One try at `at`. `upper*lower+` is the end of the lower row when there is one, else the last character of the upper row that counts as
 * lower too (regular expressions give back one character after the other); 0 when there is none. *upper_end is the end of `upper*`. */
static size_t upper_lower(const char *p, size_t n, size_t at, size_t *upper_end, const struct pattern *t)
{
    size_t both = 0;
    while (at < n) {
        struct uchar c = uchar_at(p + at, n - at);
        uint8_t k = kind(c, t);
        if (!(k & UPPER))
            break;
        at += c.n;
        if (k & LOWER)
            both = at;
    }
    *upper_end = at;
    for (size_t from = at; at < n;) {
        struct uchar c = uchar_at(p + at, n - at);
        if (!(kind(c, t) & LOWER))
            return at > from ? at : both;
        at += c.n;
        both = at;
    }
    return both;
}

/* `[^\r\n\p{L}\p{N}]?upper*lower+|[^\r\n\p{L}\p{N}]?upper+lower*` at p, or 0. */
static size_t word(const char *p, size_t n, struct uchar c, const struct pattern *t)
{
    bool may_lead = !(c.is & (U_LETTER | U_NUMBER)) && !is_newline(c.cp);
    size_t led_upper = 0, upper = 0, len = may_lead ? upper_lower(p, n, c.n, &led_upper, t) : 0;
    if (!len)
        len = upper_lower(p, n, 0, &upper, t);
    if (!len)
        len = led_upper > c.n ? led_upper : upper;
    return len;
}

/* `word(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[tail]*|\s*[\r\n]+|\s+(?!\S)|\s+` */
static size_t match(const char *p, size_t n, const struct pattern *t)
{
    struct uchar c = uchar_at(p, n);
    size_t len = word(p, n, c, t);
    if (len)
        return len + (t->contractions ? contraction(p + len, n - len, true) : 0);
    if (c.is == U_NUMBER)
        return digits_of(p, n, t->digits);
    uint8_t shut = U_LETTER | U_NUMBER | U_SPACE;
    struct uchar next = c.cp == ' ' && n > 1 ? uchar_at(p + 1, n - 1) : (struct uchar){.is = U_SPACE};
    if (!(c.is & shut) || !(next.is & shut)) {
        size_t at = c.n;
        for (; at < n && !((c = uchar_at(p + at, n - at)).is & shut); at += c.n)
            ;
        while (at < n && p[at] && strchr(t->tail, p[at]))
            at++;
        return at;
    }
    len = line_ends(p, n);
    return len ? len : blanks(p, n);
}

size_t o200k(const char *p, size_t n)
{
    return match(p, n, &(struct pattern){3, "\r\n/", true, false});
}
size_t o200k_digit(const char *p, size_t n)
{
    return match(p, n, &(struct pattern){1, "\r\n/", true, false});
}
size_t tekken(const char *p, size_t n)
{
    return match(p, n, &(struct pattern){1, "\r\n/", false, false});
}

/* `\p{Han}+|` and o200k without Han letters in its words. */
size_t kimi(const char *p, size_t n)
{
    size_t at = 0;
    for (struct uchar c; at < n && unicode_is_han((c = uchar_at(p + at, n - at)).cp); at += c.n)
        ;
    return at ? at : match(p, n, &(struct pattern){3, "\r\n", true, true});
}
