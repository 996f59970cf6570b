/* Filters that lay out texts: center, indent, truncate, wordwrap, format, striptags, urlencode, filesizeformat, escape. */
#include "text/jinja/jinja.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static bool as_text(struct jrun *r, const struct jval *v, struct jval *out)
{
    struct jstr s;
    if (!jto_str(r, v, &s))
        return false;
    *out = jstr_val(s);
    return true;
}

static bool width_arg(struct jrun *r, const struct jargs *a, uint32_t i, const char *name, int64_t *out)
{
    struct jval v;
    if (jarg(a, i, name, &v) && (!jinteger(&v, out) || *out > JINJA_WIDTH_MAX))
        return jfail(r, "%s= is a whole number of up to %d, not %s", name, JINJA_WIDTH_MAX, jtype_name(&v));
    return true;
}

static bool flag(const struct jargs *a, uint32_t i, const char *name, bool dflt)
{
    struct jval v;
    return jarg(a, i, name, &v) ? jtruthy(&v) : dflt;
}

static bool f_center(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval s, width = jint(80);
    struct jargs one = {.pos = &width, .n = 1};
    jarg(a, 0, "width", &width);
    return as_text(r, v, &s) && jstr_method(r, s.s, STR("center"), &one, out);
}

/* indent(width=4, first=False, blank=False): the width is a number of blanks or a text. */
static bool f_indent(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval width = jint(4), lines;
    struct jstr newline = jstr_lit("\n"), pad = jstr_lit(""), *parts, s[2] = {v->s, newline}, all;
    bool first = flag(a, 1, "first", false), blank = flag(a, 2, "blank", false);
    int64_t n_pad = 0;
    if (v->type != J_STR)
        return jfail(r, "indent takes a text, not %s", jtype_name(v));
    if (jarg(a, 0, "width", &width) && width.type == J_STR)
        pad = width.s;
    else if (!jinteger(&width, &n_pad) || n_pad > JINJA_WIDTH_MAX || !jstr_repeat(r, jstr_lit(" "), n_pad, &pad))
        return jfail(r, "indent takes a width of up to %d or a text", JINJA_WIDTH_MAX);
    if (!jstr_concat(r, s, 2, &all) || !jstr_lines(r, all, false, &lines) || !(parts = jnew(r, 3 * (size_t)lines.l->n, sizeof *parts)))
        return false;
    size_t n = 0;
    for (uint32_t i = 0; i < lines.l->n; i++) {
        struct jstr line = lines.l->v[i].s;
        if (i)
            parts[n++] = newline;
        if (i == 0 ? first : line.n || blank)
            parts[n++] = pad;
        parts[n++] = line;
    }
    out->type = J_STR;
    return jstr_concat(r, parts, n, &out->s);
}

/* truncate(length=255, killwords=False, end="...", leeway=5) */
static bool f_truncate(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval end = jstr_val(jstr_lit("..."));
    int64_t length = 255, leeway = 5, n_end, n;
    bool kill = flag(a, 1, "killwords", false);
    jarg(a, 2, "end", &end);
    if (!jlength(r, v, &n) || !jlength(r, &end, &n_end) || !width_arg(r, a, 0, "length", &length) || !width_arg(r, a, 3, "leeway", &leeway))
        return false;
    if (length < n_end || leeway < 0)
        return jfail(r, "truncate to %lld characters, which is less than what stands at the end", (long long)length);
    *out = *v;
    if (n <= length + leeway)
        return true;
    if (v->type != J_STR || end.type != J_STR)
        return jfail(r, "truncate takes a text, not %s", jtype_name(v->type != J_STR ? v : &end));
    struct jstr parts[2] = {jstr_cut(v->s, 0, jstr_at(v->s, (size_t)(length - n_end))), end.s};
    size_t at = kill ? 0 : parts[0].n;
    while (at > 0 && parts[0].p[at - 1] != ' ')
        at--;
    if (at > 0) /* rsplit(" ", 1)[0] */
        parts[0].n = (uint32_t)at - 1;
    out->type = J_STR;
    return jstr_concat(r, parts, 2, &out->s);
}

static bool f_wordcount(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval s;
    int64_t n = 0;
    (void)a;
    if (!as_text(r, v, &s))
        return false;
    bool in = false;
    for (size_t at = 0; at < s.s.n;) {
        struct uchar c = uchar_at(s.s.p + at, s.s.n - at);
        bool word = jchar_is_word(c.cp);
        n += word && !in;
        in = word;
        at += c.n;
    }
    *out = jint(n);
    return jstep(r, s.s.n / 16);
}

static bool f_format(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval s, args;
    if (a->n && a->n_kw)
        return jfail(r, "format takes values or names with values, not both");
    if (!as_text(r, v, &s))
        return false;
    if (!a->n_kw) {
        if (!jtuple_new(r, a->n, &args))
            return false;
        if (a->n)
            memcpy(args.l->v, a->pos, a->n * sizeof *a->pos);
        return jformat_percent(r, s.s, &args, out);
    }
    if (!jdict_new(r, a->n_kw, &args))
        return false;
    for (uint32_t i = 0; i < a->n_kw; i++)
        if (!jdict_set(r, args.d, jstr_val(jstr_data(a->kw[i].name.p, a->kw[i].name.n)), a->kw[i].v))
            return false;
    return jformat_percent(r, s.s, &args, out);
}

/* What comes out is data. */
bool jstr_escape(struct jrun *r, struct jstr s, struct jstr *out)
{
    static const char *const from[] = {"&", "<", ">", "'", "\""}, *const to[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    *out = s;
    for (int i = 0; !s.markup && i < 5; i++)
        if (!jstr_replace(r, *out, jstr_lit(from[i]), jstr_data(to[i], strlen(to[i])), -1, out))
            return false;
    out->markup = true;
    return true;
}

static bool f_escape(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval s;
    (void)a;
    return as_text(r, v, &s) && jstr_escape(r, s.s, &s.s) && (*out = s, true);
}

static bool f_forceescape(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval s;
    (void)a;
    if (!as_text(r, v, &s))
        return false;
    s.s.markup = false;
    return jstr_escape(r, s.s, &s.s) && (*out = s, true);
}

static bool f_safe(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    (void)a;
    if (!as_text(r, v, out))
        return false;
    return out->s.markup = true;
}

/* Cuts every [open ... close] out of s. */
static bool cut_between(struct jrun *r, struct jstr *s, const char *open, const char *close)
{
    struct jgrow g;
    struct jstr from = jstr_lit(open), to = jstr_lit(close);
    if (!jgrow_init(r, &g, s->n, s->taint != NULL))
        return false;
    for (size_t at = 0; at < s->n;) {
        const char *hit = jstr_find(s->p + at, s->n - at, from);
        size_t begin = hit ? (size_t)(hit - s->p) : s->n, after = hit ? begin + from.n : s->n;
        const char *end = hit ? jstr_find(s->p + after, s->n - after, to) : NULL;
        if (!end)
            begin = s->n;
        jgrow_add(&g, jstr_cut(*s, at, begin));
        at = end ? (size_t)(end - s->p) + to.n : s->n;
        if (!jstep(r, 1))
            return false;
    }
    *s = jgrow_done(&g, s->trusted);
    return true;
}

/* striptags: no comments, no tags, one blank for each run of blanks, the entities of escape undone. */
static bool f_striptags(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    static const char *const from[] = {"&lt;", "&gt;", "&#39;", "&#34;", "&quot;", "&amp;"}, *const to[] = {"<", ">", "'", "\"", "\"", "&"};
    struct jval s, words, sep = jstr_val(jstr_lit(" "));
    struct jargs join = {.pos = &words, .n = 1};
    (void)a;
    if (!as_text(r, v, &s) || !cut_between(r, &s.s, "<!--", "-->") || !cut_between(r, &s.s, "<", ">") ||
        !jstr_split(r, s.s, NULL, -1, false, &words) || !jstr_method(r, sep.s, STR("join"), &join, &s))
        return false;
    for (int i = 0; i < 6; i++)
        if (!jstr_replace(r, s.s, jstr_lit(from[i]), jstr_data(to[i], strlen(to[i])), -1, &s.s))
            return false;
    *out = s;
    return true;
}

static void put_quoted(struct buf *b, struct jstr s, bool in_query)
{
    for (size_t i = 0; i < s.n; i++) {
        uint8_t c = (uint8_t)s.p[i];
        bool plain = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z') || (c && strchr("_.-~", c)) || (c == '/' && !in_query);
        if (plain)
            buf_char(b, (char)c);
        else if (c == ' ' && in_query)
            buf_char(b, '+');
        else
            buf_fmt(b, "%%%02X", c);
    }
}

/* urlencode of a text, or of a dict or a list of pairs as a query. */
static bool f_urlencode(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval pairs = *v, *items = NULL, *two;
    struct jargs none = {0};
    struct buf b;
    struct jstr s;
    uint32_t n = 0, n_two;
    (void)a;
    bool query = v->type == J_DICT || v->type == J_LIST;
    if (v->type == J_DICT && !jmethod(r, v, STR("items"), &none, &pairs))
        return false;
    if (query ? !jitems(r, &pairs, &items, &n) : !jto_str(r, v, &s))
        return false;
    buf_init(&b, r->output_max);
    bool ok = true;
    if (!query)
        put_quoted(&b, s, false);
    for (uint32_t i = 0; ok && i < n; i++) {
        ok = jitems(r, &items[i], &two, &n_two) && (n_two == 2 || jfail(r, "urlencode takes pairs"));
        if (i)
            buf_char(&b, '&');
        for (int k = 0; ok && k < 2; k++) {
            ok = jto_str(r, &two[k], &s) && jstep(r, s.n / 8);
            if (ok)
                put_quoted(&b, s, true);
            if (ok && k == 0)
                buf_char(&b, '=');
        }
    }
    if (ok && b.failed)
        ok = jfail(r, "a text is longer than %zu bytes", r->output_max);
    char *copy = ok ? jnew(r, b.len + 1, 1) : NULL;
    if (copy && b.len)
        memcpy(copy, b.data, b.len);
    *out = jstr_val(jstr_data(copy, b.len));
    buf_deinit(&b);
    return copy && jstep(r, out->s.n / 32);
}

/* filesizeformat(binary=False) */
static bool f_filesize(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    static const char names[] = "kMGTPEZY";
    bool binary = flag(a, 0, "binary", false);
    double d, base = binary ? 1024 : 1000, unit = base;
    char text[64];
    struct jval number;
    struct jargs none = {0};
    if (v->type != J_STR && !jnumber(v, &d))
        return jfail(r, "filesizeformat takes a number, not %s", jtype_name(v));
    if (v->type == J_STR) {
        if (!jparse_float(v->s, &d))
            return jfail(r, "filesizeformat takes a number");
    } else if (!jfilter_float(r, v, &none, &number))
        return false;
    size_t i = 0;
    if (d == 1)
        snprintf(text, sizeof text, "1 Byte");
    else if (d < base)
        snprintf(text, sizeof text, "%lld Bytes", (long long)(d < -9e18 ? -9e18 : d));
    else {
        for (unit = base * base; d >= unit && i < 7; i++)
            unit *= base;
        snprintf(text, sizeof text, "%.1f %c%sB", base * d / unit, binary && i == 0 ? 'K' : names[i], binary ? "i" : "");
    }
    size_t n = strlen(text);
    char *copy = jnew(r, n + 1, 1);
    if (!copy)
        return false;
    memcpy(copy, text, n);
    *out = jstr_val(jstr_data(copy, n));
    return true;
}

const struct jfilter_row jfilters_text[] = {
    {"center", f_center, "width", 0},
    {"indent", f_indent, "width first blank", 0},
    {"truncate", f_truncate, "length killwords end leeway", 0},
    {"wordcount", f_wordcount, "", 0},
    {"format", f_format, NULL, 0},
    {"escape", f_escape, "", 0},
    {"e", f_escape, "", 0},
    {"forceescape", f_forceescape, "", 0},
    {"safe", f_safe, "", 0},
    {"striptags", f_striptags, "", 0},
    {"urlencode", f_urlencode, "", 0},
    {"filesizeformat", f_filesize, "binary", 0},
    {0},
};
