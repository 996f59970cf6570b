#include "text/pretok.h"
#include "text/unicode.h"
#include <string.h>

/* The run of characters of one class from `at`: its end. */
static size_t run_of(const char *p, size_t n, size_t at, enum char_class class)
{
    while (at < n) {
        struct uchar c = uchar_at(p + at, n - at);
        if (c.class != class)
            break;
        at += c.n;
    }
    return at;
}

static bool is_newline(uint32_t cp) { return cp == '\r' || cp == '\n'; }

/* `'s|'t|'re|'ve|'m|'ll|'d` at p, which begins with an apostrophe: its length, or 0. With any_case as (?i:...) of Unicode, where
 * the long s (U+017F) is an s too. */
static size_t contraction(const char *p, size_t n, bool any_case)
{
    if (n >= 3 && any_case && (uint8_t)p[1] == 0xc5 && (uint8_t)p[2] == 0xbf)
        return 3;
    if (n < 2)
        return 0;
    char a = p[1], b = n > 2 ? p[2] : 0;
    if (any_case) {
        a = a >= 'A' && a <= 'Z' ? (char)(a + 32) : a;
        b = b >= 'A' && b <= 'Z' ? (char)(b + 32) : b;
    }
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    return (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l') ? 3 : 0;
}

/* `\s+(?!\S)|\s+` at p, which begins with a blank: the run, without its last character when something else follows. */
static size_t blanks(const char *p, size_t n)
{
    size_t at = 0, last = 0;
    while (at < n) {
        struct uchar c = uchar_at(p + at, n - at);
        if (c.class != CLASS_SPACE)
            return last ? last : at;
        last = at;
        at += c.n;
    }
    return at;
}

/* `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` */
static size_t gpt2(const char *p, size_t n)
{
    size_t len = p[0] == '\'' ? contraction(p, n, false) : 0;
    if (len)
        return len;
    size_t       at = p[0] == ' ' && n > 1;
    struct uchar c = uchar_at(p + at, n - at);
    return c.class == CLASS_SPACE ? blanks(p, n) : run_of(p, n, at, c.class);
}

/* `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+` */
static size_t llama_like(const char *p, size_t n, int digits)
{
    size_t len = p[0] == '\'' ? contraction(p, n, true) : 0;
    if (len)
        return len;
    struct uchar c = uchar_at(p, n), next = {.class = CLASS_SPACE};
    if (c.n < n)
        next = uchar_at(p + c.n, n - c.n);
    if (c.class == CLASS_LETTER)
        return run_of(p, n, c.n, CLASS_LETTER);
    if (c.class == CLASS_NUMBER) {
        size_t at = c.n;
        for (int i = 1; i < digits && at < n; i++) {
            c = uchar_at(p + at, n - at);
            if (c.class != CLASS_NUMBER)
                break;
            at += c.n;
        }
        return at;
    }
    if (next.class == CLASS_LETTER && c.n < n && !is_newline(c.cp))
        return run_of(p, n, c.n, CLASS_LETTER);
    if (c.class == CLASS_OTHER || (c.cp == ' ' && c.n < n && next.class == CLASS_OTHER)) {
        size_t at = run_of(p, n, c.n, CLASS_OTHER);
        while (at < n && is_newline((uint8_t)p[at]))
            at++;
        return at;
    }
    size_t line_end = 0; /* after the last newline of the run of blanks */
    for (size_t at = 0; at < n;) {
        c = uchar_at(p + at, n - at);
        if (c.class != CLASS_SPACE)
            break;
        at += c.n;
        if (is_newline(c.cp))
            line_end = at;
    }
    return line_end ? line_end : blanks(p, n);
}

static size_t llama3(const char *p, size_t n) { return llama_like(p, n, 3); }
static size_t qwen2(const char *p, size_t n) { return llama_like(p, n, 1); }

/* `\p{N}`, one at a time */
static size_t digit(const char *p, size_t n)
{
    struct uchar c = uchar_at(p, n);
    size_t       at = c.n;
    if (c.class == CLASS_NUMBER)
        return at;
    while (at < n && (c = uchar_at(p + at, n - at)).class != CLASS_NUMBER)
        at += c.n;
    return at;
}

/* `\p{N}+` */
static size_t numbers(const char *p, size_t n) { return uchar_at(p, n).class == CLASS_NUMBER ? run_of(p, n, 0, CLASS_NUMBER) : digit(p, n); }

/* `[0-9][0-9][0-9]` */
static size_t three_digits(const char *p, size_t n)
{
    size_t run = 0;
    for (size_t at = 0; at < n; at++) {
        run = p[at] >= '0' && p[at] <= '9' ? run + 1 : 0;
        if (run == 3)
            return at == 2 ? 3 : at - 2;
    }
    return n;
}

/* `[\p{P}\$\+<=>\^~\|]+` */
static size_t punctuation(const char *p, size_t n)
{
    bool first = false;
    for (size_t at = 0; at < n;) {
        struct uchar c = uchar_at(p + at, n - at);
        bool         is = unicode_is_punct(c.cp) || (c.cp < 0x80 && c.cp && strchr("$+<=>^~|", (int)c.cp));
        if (at == 0)
            first = is;
        else if (is != first)
            return at;
        at += c.n;
    }
    return n;
}

static const struct {
    const char   *names;
    int           flags;
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

int pretok_flags(enum pretok t) { return table[t].flags; }

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
