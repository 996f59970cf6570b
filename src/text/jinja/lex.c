/* Source to tokens, with Jinja's rules for blanks: trim_blocks and lstrip_blocks as chat templates are written for, and {%- -%}. */
#include "text/jinja/jinja.h"
#include <string.h>

struct lex {
    struct str s;
    size_t at;
    uint32_t line;
    struct jtokens *out;
    struct err *e;
};

static int fail(struct lex *l, const char *what)
{
    return err_set(l->e, ERR_TEMPLATE, "template: line %u: %s", l->line, what);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f';
}
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static bool is_name_char(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static char peek(const struct lex *l, size_t ahead)
{
    return l->at + ahead < l->s.n ? l->s.p[l->at + ahead] : 0;
}

static void move(struct lex *l, size_t to)
{
    for (; l->at < to && l->at < l->s.n; l->at++)
        l->line += l->s.p[l->at] == '\n';
}

static int put(struct lex *l, enum jtok kind, int op, size_t from, size_t to)
{
    struct jtoken t = {(uint8_t)kind, (uint8_t)op, l->line, {l->s.p + from, to - from}};
    return vec_push(l->out, t) ? 0 : err_set(l->e, ERR_NO_MEMORY, "template: no memory for its tokens");
}

/* How long the blank at p is, Unicode's included; 0: none. */
static size_t blank_at(const char *p, size_t n)
{
    if (n == 0 || (uint8_t)*p < 0x80)
        return n && is_blank(*p);
    struct uchar c = uchar_at(p, n);
    return jchar_is_space(c) ? c.n : 0;
}

static void skip_blanks(struct lex *l)
{
    for (size_t n; (n = blank_at(l->s.p + l->at, l->s.n - l->at)) > 0;)
        move(l, l->at + n);
}

/* Where the blanks before `end` begin, no further back than `from`; with in_line, newlines are none. */
static size_t blanks_before(struct str s, size_t from, size_t end, bool in_line)
{
    while (end > from) {
        size_t at = end - 1;
        while (at > from && end - at < 4 && ((uint8_t)s.p[at] & 0xc0) == 0x80)
            at--;
        if ((in_line && s.p[at] == '\n') || blank_at(s.p + at, end - at) != end - at)
            break;
        end = at;
    }
    return end;
}

/* Behind the end of a tag or comment: `-` takes all blanks, else a tag takes one newline (trim_blocks). */
static void after_tag(struct lex *l, bool minus, bool trim)
{
    if (minus)
        skip_blanks(l);
    else if (trim && peek(l, 0) == '\n')
        move(l, l->at + 1);
}

/* The end of the text [from, to) that stands before the tag at `to`. */
static size_t text_end(const struct lex *l, size_t from, size_t to)
{
    char what = l->s.p[to + 1], sign = to + 2 < l->s.n ? l->s.p[to + 2] : 0;
    if (sign == '-')
        return blanks_before(l->s, from, to, false);
    if (what == '{' || sign == '+')
        return to;
    size_t end = blanks_before(l->s, from, to, true);
    bool line_start = end == 0 || l->s.p[end - 1] == '\n';
    return line_start ? end : to; /* lstrip_blocks: only blanks before it on its line */
}

static size_t find_tag(const struct lex *l, size_t at)
{
    for (; at + 1 < l->s.n; at++)
        if (l->s.p[at] == '{' && (l->s.p[at + 1] == '{' || l->s.p[at + 1] == '%' || l->s.p[at + 1] == '#'))
            return at;
    return l->s.n;
}

static int comment(struct lex *l)
{
    const char *end = memmem(l->s.p + l->at + 2, l->s.n - l->at - 2, "#}", 2);
    if (!end && l->s.n - l->at == 2) /* as Jinja2 */
        return l->at = l->s.n, 0;
    if (!end)
        return fail(l, "a comment {# has no end; write #}");
    bool minus = end[-1] == '-' && end > l->s.p + l->at + 2, plus = end[-1] == '+' && end > l->s.p + l->at + 2;
    move(l, (size_t)(end - l->s.p) + 2);
    after_tag(l, minus, !plus);
    return 0;
}

/* `word` with an optional sign and blanks around it, at a "{%": the position after "%}", and the sign before "%}" or 0. */
static size_t tag_word(const struct lex *l, size_t at, const char *word, char *sign)
{
    size_t n = strlen(word);
    at += 2;
    if (at < l->s.n && (l->s.p[at] == '-' || l->s.p[at] == '+'))
        at++;
    while (at < l->s.n && is_blank(l->s.p[at]))
        at++;
    if (l->s.n - at < n || memcmp(l->s.p + at, word, n) != 0)
        return 0;
    for (at += n; at < l->s.n && is_blank(l->s.p[at]); at++)
        ;
    *sign = at < l->s.n && (l->s.p[at] == '-' || l->s.p[at] == '+') ? l->s.p[at] : 0;
    at += *sign != 0;
    return l->s.n - at >= 2 && memcmp(l->s.p + at, "%}", 2) == 0 ? at + 2 : 0;
}

/* {% raw %} ... {% endraw %} at `at`; *taken is false when it is another tag. */
static int raw(struct lex *l, bool *taken)
{
    char sign;
    size_t from = tag_word(l, l->at, "raw", &sign), after;
    *taken = from != 0 && sign != '+';
    if (!*taken)
        return 0;
    move(l, from);
    after_tag(l, sign == '-', false);
    for (size_t at = l->at;; at++) {
        at = find_tag(l, at);
        if (at == l->s.n && l->at == at) /* as Jinja2 */
            return 0;
        if (at == l->s.n)
            return fail(l, "{% raw %} has no {% endraw %}");
        if (l->s.p[at + 1] != '%' || !(after = tag_word(l, at, "endraw", &sign)))
            continue;
        int rc = put(l, T_TEXT, 0, l->at, text_end(l, l->at, at));
        move(l, after);
        after_tag(l, sign == '-', sign != '+');
        return rc;
    }
}

/* The end of the digits at `at`, single underscores between them included. */
static size_t digits(const struct lex *l, size_t at, const char *set)
{
    bool any = false;
    for (; at < l->s.n; at++) {
        if (l->s.p[at] && strchr(set, l->s.p[at]))
            any = true;
        else if (l->s.p[at] != '_' || !any || at + 1 >= l->s.n || !l->s.p[at + 1] || !strchr(set, l->s.p[at + 1]))
            break;
    }
    return at;
}

/* 0x1F, 0b101, 0o17: the end of it, or 0. */
static size_t prefixed(const struct lex *l)
{
    static const struct {
        char letter;
        const char *set;
    } bases[] = {{'x', "0123456789abcdefABCDEF"}, {'o', "01234567"}, {'b', "01"}};
    char letter = (char)(peek(l, 1) | 32);
    for (size_t i = 0; peek(l, 0) == '0' && i < sizeof bases / sizeof *bases; i++) {
        size_t from = l->at + 2 + (peek(l, 2) == '_'), end = digits(l, from, bases[i].set);
        if (letter == bases[i].letter && end > from)
            return end;
    }
    return 0;
}

static int number(struct lex *l)
{
    static const char ten[] = "0123456789";
    size_t from = l->at, at = digits(l, from, ten), end;
    bool real = false;
    if (at < l->s.n && l->s.p[at] == '.' && (end = digits(l, at + 1, ten)) > at + 1)
        real = true, at = end;
    if (at < l->s.n && (l->s.p[at] | 32) == 'e') {
        size_t exp = at + 1 + (at + 1 < l->s.n && (l->s.p[at + 1] == '+' || l->s.p[at + 1] == '-'));
        if ((end = digits(l, exp, ten)) > exp)
            real = true, at = end;
    }
    if (!real && prefixed(l))
        at = prefixed(l);
    else if (!real && l->s.p[from] == '0') /* 007 is no number */
        at = digits(l, from, "0");
    l->at = at;
    return put(l, real ? T_FLOAT : T_INT, 0, from, at);
}

/* How long the character of a name at l->at is; 0: it is none. Letters of any script are. */
static size_t name_char(const struct lex *l)
{
    char c = peek(l, 0);
    if ((uint8_t)c < 0x80)
        return is_name_char(c);
    struct uchar u = uchar_at(l->s.p + l->at, l->s.n - l->at);
    return jchar_is_word(u.cp) || unicode_is_mark(u.cp) ? u.n : 0;
}

static int string(struct lex *l)
{
    char quote = l->s.p[l->at];
    size_t from = l->at + 1, at = from;
    while (at < l->s.n && l->s.p[at] != quote)
        at += l->s.p[at] == '\\' ? 2 : 1;
    if (at >= l->s.n)
        return fail(l, "a text in quotes has no end");
    int rc = put(l, T_STRING, 0, from, at);
    move(l, at + 1);
    return rc;
}

static int operator(struct lex *l, int *depth)
{
    static const struct {
        char c[3];
        uint8_t op;
    } two[] = {{"==", OP_EQ}, {"!=", OP_NE}, {"<=", OP_LE}, {">=", OP_GE}, {"//", OP_FLOORDIV}, {"**", OP_POW}};
    char c = peek(l, 0);
    for (size_t i = 0; i < sizeof two / sizeof *two; i++)
        if (c == two[i].c[0] && peek(l, 1) == two[i].c[1]) {
            l->at += 2;
            return put(l, T_OP, two[i].op, l->at - 2, l->at);
        }
    if (!c || !strchr("+-*/%~<>=.,:|()[]{}", c)) {
        char what[64];
        str_fmt(what, sizeof what, "the character 0x%02x has no meaning in a tag", (uint8_t)c);
        return fail(l, what);
    }
    if (strchr("([{", c))
        ++*depth;
    else if (strchr(")]}", c) && --*depth < 0)
        return fail(l, "a bracket closes that was not opened");
    l->at++;
    return put(l, T_OP, c, l->at - 1, l->at);
}

/* Inside {{ }} or {% %}. */
static int tag(struct lex *l, char closer)
{
    int depth = 0, rc = 0;
    while (!rc) {
        skip_blanks(l);
        if (l->at >= l->s.n)
            return fail(l, closer == '}' ? "{{ has no end; write }}" : "{% has no end; write %}");
        char c = peek(l, 0);
        bool sign = c == '-' || (c == '+' && closer == '%');
        if (depth == 0 && peek(l, sign) == closer && peek(l, sign + 1u) == '}') {
            rc = put(l, closer == '}' ? T_PRINT_END : T_TAG_END, 0, l->at, l->at + 2);
            move(l, l->at + 2 + sign);
            after_tag(l, c == '-', closer == '%' && c != '+');
            return rc;
        }
        if (is_digit(c))
            rc = number(l);
        else if (name_char(l)) {
            size_t from = l->at;
            for (size_t n; (n = name_char(l)) > 0;)
                l->at += n;
            rc = put(l, T_NAME, 0, from, l->at);
        } else
            rc = c == '\'' || c == '"' ? string(l) : operator(l, &depth);
    }
    return rc;
}

static int tag_open(struct lex *l)
{
    char what = l->s.p[l->at + 1];
    if (what == '#')
        return comment(l);
    if (what == '%') {
        bool taken;
        int rc = raw(l, &taken);
        if (rc || taken)
            return rc;
    }
    int rc = put(l, what == '{' ? T_PRINT : T_TAG, 0, l->at, l->at + 2);
    char sign = peek(l, 2);
    l->at += sign == '-' || sign == '+' ? 3 : 2;
    return rc ? rc : tag(l, what == '{' ? '}' : '%');
}

int jinja_lex(struct jtokens *out, struct str source, struct err *e)
{
    if (source.n && source.p[source.n - 1] == '\n')
        source.n--; /* keep_trailing_newline is off */
    struct lex l = {.s = source, .line = 1, .out = out, .e = e};
    int rc = 0;
    while (!rc && l.at < source.n) {
        size_t at = find_tag(&l, l.at), end = at < source.n ? text_end(&l, l.at, at) : at;
        if (end > l.at)
            rc = put(&l, T_TEXT, 0, l.at, end);
        move(&l, at);
        if (!rc && at < source.n)
            rc = tag_open(&l);
    }
    return rc ? rc : put(&l, T_END, 0, source.n, source.n);
}
