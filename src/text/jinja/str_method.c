/* The methods of texts: Python's, as far as they answer and change nothing. */
#include "text/jinja/jinja.h"
#include <string.h>

/* A call: the text, its arguments, and which of the methods that share a function this is. */
struct on {
    struct jrun *r;
    struct jstr s;
    const struct jargs *a;
    int how;
};

static bool text_arg(const struct on *c, uint32_t i, const char *name, struct jstr *out)
{
    struct jval v;
    if (!jarg(c->a, i, name, &v) || v.type != J_STR)
        return jfail(c->r, "%s where a text is wanted", jarg(c->a, i, name, &v) ? jtype_name(&v) : "nothing");
    *out = v.s;
    return true;
}

/* As text_arg; *given is false where it is absent or none. */
static bool text_or_none(const struct on *c, uint32_t i, const char *name, struct jstr *out, bool *given)
{
    struct jval v;
    *given = jarg(c->a, i, name, &v) && v.type != J_NONE;
    return !*given || text_arg(c, i, name, out);
}

static bool int_arg(const struct on *c, uint32_t i, const char *name, int64_t *out)
{
    struct jval v;
    if (jarg(c->a, i, name, &v) && !jinteger(&v, out))
        return jfail(c->r, "%s where a whole number is wanted", jtype_name(&v));
    return true;
}

static bool m_strip(const struct on *c, struct jval *out)
{
    struct jstr set;
    bool given;
    return text_or_none(c, 0, "chars", &set, &given) && jstr_strip(c->r, c->s, given ? &set : NULL, c->how != 'r', c->how != 'l', &out->s);
}

static bool m_split(const struct on *c, struct jval *out)
{
    struct jstr sep;
    bool given;
    int64_t max = -1;
    return text_or_none(c, 0, "sep", &sep, &given) && int_arg(c, 1, "maxsplit", &max) &&
           jstr_split(c->r, c->s, given ? &sep : NULL, max, c->how == 'r', out);
}

static bool m_partition(const struct on *c, struct jval *out)
{
    struct jstr sep;
    return text_arg(c, 0, NULL, &sep) && jstr_partition(c->r, c->s, sep, c->how == 'r', out);
}

static bool m_lines(const struct on *c, struct jval *out)
{
    struct jval keep = jbool(false);
    jarg(c->a, 0, "keepends", &keep);
    return jstr_lines(c->r, c->s, jtruthy(&keep), out);
}

static bool m_case(const struct on *c, struct jval *out)
{
    return jstr_case(c->r, c->s, (char)c->how, &out->s);
}

static bool m_is(const struct on *c, struct jval *out)
{
    *out = jbool(false);
    return jchars_are(c->r, c->s, c->how, &out->b);
}

/* The part [start, end) that the arguments behind the first one name; *past: start lies behind the end, where even nothing is not found. */
static bool window(const struct on *c, struct jstr *out, size_t *chars_before, bool *past)
{
    struct jval at[3] = {jnone(), jnone(), jnone()};
    int64_t n = (int64_t)jstr_chars(c->s), start, stop, step, asked;
    if (c->a->n > 1)
        at[0] = c->a->pos[1];
    if (c->a->n > 2)
        at[1] = c->a->pos[2];
    if (!jslice_indices(c->r, at, n, &start, &stop, &step))
        return false;
    *past = start > stop || (jinteger(&at[0], &asked) && asked > n);
    size_t from = jstr_at(c->s, (size_t)start);
    *out = jstr_cut(c->s, from, *past ? from : from + jstr_at(jstr_cut(c->s, from, c->s.n), (size_t)(stop - start)));
    *chars_before = (size_t)start;
    return jstep(c->r, c->s.n / 16);
}

static bool starts(struct jstr s, struct jstr with, bool end)
{
    return s.n >= with.n && (with.n == 0 || memcmp(end ? s.p + s.n - with.n : s.p, with.p, with.n) == 0);
}

static bool m_starts(const struct on *c, struct jval *out)
{
    struct jval v = c->a->pos[0], *one = &v;
    struct jstr in;
    size_t before;
    bool past, many = v.type == J_LIST && v.l->tuple;
    uint32_t n = many ? v.l->n : 1;
    *out = jbool(false);
    if (!window(c, &in, &before, &past))
        return false;
    one = many ? v.l->v : one;
    for (uint32_t i = 0; i < n && !out->b; i++) {
        if (one[i].type != J_STR)
            return jfail(c->r, "startswith() and endswith() take a text or a tuple of texts, not %s", jtype_name(&one[i]));
        out->b = !past && starts(in, one[i].s, c->how == 'e');
    }
    return jstep(c->r, n);
}

static bool m_cut_affix(const struct on *c, struct jval *out)
{
    struct jstr affix, s = c->s;
    if (!text_arg(c, 0, NULL, &affix))
        return false;
    if (starts(s, affix, c->how == 's'))
        s = c->how == 's' ? jstr_cut(s, 0, s.n - affix.n) : jstr_cut(s, affix.n, s.n);
    *out = jstr_val(s);
    return jstep(c->r, affix.n / 64);
}

static bool m_replace(const struct on *c, struct jval *out)
{
    struct jstr old, new;
    int64_t count = -1;
    return text_arg(c, 0, NULL, &old) && text_arg(c, 1, NULL, &new) && int_arg(c, 2, NULL, &count) &&
           jstr_replace(c->r, c->s, old, new, count, &out->s);
}

/* How often `what` (not empty) stands in s without overlap; *first and *last: where, in bytes; -1: nowhere. */
static bool occurrences(const struct on *c, struct jstr s, struct jstr what, bool all, int64_t *n, int64_t *first, int64_t *last)
{
    size_t at = 0;
    *n = 0, *first = *last = -1;
    while (at < s.n) {
        const char *hit = jstr_find(s.p + at, s.n - at, what);
        if (!hit)
            break;
        *last = hit - s.p;
        *first = *first < 0 ? *last : *first;
        ++*n;
        if (!all && c->how == 'f')
            break;
        at = (size_t)*last + (all ? what.n : 1);
        if (!jstep(c->r, 1))
            return false;
    }
    return true;
}

/* find, rfind, index, rindex, count: in characters. */
static bool m_find(const struct on *c, struct jval *out)
{
    struct jstr what, in;
    size_t before;
    bool past, count = c->how == 'c', last = c->how == 'r' || c->how == 'R';
    int64_t n = 0, first, end;
    struct on as = *c;
    if (!text_arg(c, 0, NULL, &what) || !window(c, &in, &before, &past))
        return false;
    as.how = last ? 'r' : 'f';
    if (what.n && !occurrences(&as, in, what, count, &n, &first, &end))
        return false;
    if (!what.n)
        n = past ? 0 : (int64_t)jstr_chars(in) + 1, first = past ? -1 : 0, end = past ? -1 : (int64_t)in.n;
    int64_t at = last ? end : first;
    if (!count && at < 0 && (c->how == 'i' || c->how == 'R'))
        return jfail(c->r, "index() of a text that is not there");
    *out = jint(count ? n : at < 0 ? -1 : (int64_t)(before + jstr_chars(jstr_cut(in, 0, (size_t)at))));
    return jstep(c->r, c->s.n / 16);
}

/* ljust, rjust, center: to a width, with one character. */
static bool m_justify(const struct on *c, struct jval *out)
{
    struct jstr fill = jstr_lit(" ");
    int64_t width = 0, n = (int64_t)jstr_chars(c->s);
    if (!int_arg(c, 0, NULL, &width) || (c->a->n > 1 && !text_arg(c, 1, NULL, &fill)))
        return false;
    if (!jstep(c->r, (c->s.n + fill.n) / 32))
        return false;
    if (jstr_chars(fill) != 1)
        return jfail(c->r, "a text is filled with one character");
    int64_t more = width > n ? width - n : 0, left = more / 2 + (more & width & 1); /* as Python divides an odd rest */
    return jstr_pad(c->r, c->s,
                    c->how == 'l'   ? 0
                    : c->how == 'r' ? more
                                    : left,
                    c->how == 'l'   ? more
                    : c->how == 'r' ? 0
                                    : more - left,
                    fill, &out->s);
}

static bool m_zfill(const struct on *c, struct jval *out)
{
    struct jstr parts[2] = {jstr_cut(c->s, 0, 0), c->s};
    int64_t width = 0, n = (int64_t)jstr_chars(c->s);
    if (!jstep(c->r, c->s.n / 32) || !int_arg(c, 0, NULL, &width))
        return false;
    if (c->s.n && (c->s.p[0] == '-' || c->s.p[0] == '+'))
        parts[0] = jstr_cut(c->s, 0, 1), parts[1] = jstr_cut(c->s, 1, c->s.n);
    return jstr_pad(c->r, parts[1], width - n, 0, jstr_lit("0"), &parts[1]) && jstr_concat(c->r, parts, 2, &out->s);
}

static bool m_expandtabs(const struct on *c, struct jval *out)
{
    int64_t size = 8, column = 0;
    size_t tabs = 0, bytes;
    if (!int_arg(c, 0, "tabsize", &size))
        return false;
    for (size_t i = 0; i < c->s.n; i++)
        tabs += c->s.p[i] == '\t';
    if (size < 0)
        size = 0;
    if (size > JINJA_WIDTH_MAX || !ck_mul(tabs, (size_t)size, &bytes) || !ck_add(bytes, (size_t)c->s.n, &bytes))
        return jfail(c->r, "expandtabs() of more than %d", JINJA_WIDTH_MAX);
    struct jgrow g;
    struct jstr space = jstr_lit(" ");
    if (!jgrow_init(c->r, &g, bytes, c->s.taint || !c->s.trusted))
        return false;
    for (size_t at = 0; at < c->s.n;) {
        struct jstr one = jstr_char(c->s, at);
        at += one.n;
        if (one.p[0] == '\t') {
            for (int64_t k = size ? size - column % size : 0; k > 0; k--, column++)
                jgrow_add(&g, space);
            continue;
        }
        column = one.p[0] == '\n' || one.p[0] == '\r' ? 0 : column + 1;
        jgrow_add(&g, one);
    }
    out->s = jgrow_done(&g, c->s.trusted);
    return true;
}

static bool m_join(const struct on *c, struct jval *out)
{
    struct jval *items;
    uint32_t n;
    if (!jitems(c->r, &c->a->pos[0], &items, &n))
        return false;
    struct jstr *parts = jnew(c->r, (size_t)n * 2 + 1, sizeof *parts);
    for (uint32_t i = 0; parts && i < n; i++) {
        if (items[i].type != J_STR)
            return jfail(c->r, "join() of a list with %s in it; use the filter join", jtype_name(&items[i]));
        parts[2 * (size_t)i] = items[i].s;
        parts[2 * (size_t)i + 1] = c->s;
    }
    return parts && jstep(c->r, n) && jstr_concat(c->r, parts, n ? 2 * (size_t)n - 1 : 0, &out->s);
}

static bool m_format(const struct on *c, struct jval *out)
{
    return jformat_braces(c->r, c->s, c->a, out);
}

static const struct row {
    const char *name;
    bool (*fn)(const struct on *c, struct jval *out);
    int how;
    const char *params; /* NULL: fn looks itself */
    uint32_t needed;
} rows[] = {
    {"strip", m_strip, 'b', "-", 0},
    {"lstrip", m_strip, 'l', "-", 0},
    {"rstrip", m_strip, 'r', "-", 0},
    {"split", m_split, 'l', "sep maxsplit", 0},
    {"rsplit", m_split, 'r', "sep maxsplit", 0},
    {"splitlines", m_lines, 0, "keepends", 0},
    {"partition", m_partition, 'l', "-", 1},
    {"rpartition", m_partition, 'r', "-", 1},
    {"startswith", m_starts, 's', "- - -", 1},
    {"endswith", m_starts, 'e', "- - -", 1},
    {"removeprefix", m_cut_affix, 'p', "-", 1},
    {"removesuffix", m_cut_affix, 's', "-", 1},
    {"replace", m_replace, 0, "- - -", 2},
    {"find", m_find, 'f', "- - -", 1},
    {"rfind", m_find, 'r', "- - -", 1},
    {"index", m_find, 'i', "- - -", 1},
    {"rindex", m_find, 'R', "- - -", 1},
    {"count", m_find, 'c', "- - -", 1},
    {"upper", m_case, 'U', "", 0},
    {"lower", m_case, 'L', "", 0},
    {"title", m_case, 'T', "", 0},
    {"capitalize", m_case, 'C', "", 0},
    {"swapcase", m_case, 'S', "", 0},
    {"casefold", m_case, 'F', "", 0},
    {"isdigit", m_is, CHARS_DIGIT, "", 0},
    {"isnumeric", m_is, CHARS_NUMERIC, "", 0},
    {"isdecimal", m_is, CHARS_DECIMAL, "", 0},
    {"isalpha", m_is, CHARS_ALPHA, "", 0},
    {"isalnum", m_is, CHARS_ALNUM, "", 0},
    {"isspace", m_is, CHARS_SPACE, "", 0},
    {"isupper", m_is, CHARS_UPPER, "", 0},
    {"islower", m_is, CHARS_LOWER, "", 0},
    {"istitle", m_is, CHARS_TITLE, "", 0},
    {"isascii", m_is, CHARS_ASCII, "", 0},
    {"isidentifier", m_is, CHARS_IDENTIFIER, "", 0},
    {"isprintable", m_is, CHARS_PRINTABLE, "", 0},
    {"center", m_justify, 'c', "- -", 1},
    {"ljust", m_justify, 'l', "- -", 1},
    {"rjust", m_justify, 'r', "- -", 1},
    {"zfill", m_zfill, 0, "-", 1},
    {"expandtabs", m_expandtabs, 0, "tabsize", 0},
    {"join", m_join, 0, "-", 1},
    {"format", m_format, 0, NULL, 0},
};

static const struct row *find_row(struct str name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (str_eqz(name, rows[i].name))
            return &rows[i];
    return NULL;
}

bool jstr_method_known(struct str name)
{
    return find_row(name) != NULL;
}

bool jstr_method(struct jrun *r, struct jstr s, struct str name, const struct jargs *a, struct jval *out)
{
    const struct row *m = find_row(name);
    if (!m)
        return jfail(r, "a text has no method %.*s()", (int)(name.n < 32 ? name.n : 32), name.p);
    if (m->params && !jargs_fit(r, name, a, m->params, m->needed))
        return false;
    struct on call = {r, s, a, m->how};
    out->type = J_STR;
    return m->fn(&call, out);
}
