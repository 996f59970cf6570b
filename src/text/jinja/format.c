/* format % args and format.format(...): Python's two ways of putting values into a text, without what could reach out of the template.
 * What comes from the format keeps its trust, what comes from a text keeps that text's, numbers count as data. */
#include "text/jinja/jinja.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PLACES_MAX = 300, NUMBER_MAX = 1024 };

struct spec {
    struct jstr fill;
    char align, sign, type; /* 0: not given */
    bool alt, zero;
    char group;            /* , or _ */
    int64_t width, places; /* below 0: not given */
};

/* The row of pieces that become the text. */
struct row {
    struct jrun *r;
    struct jstr *v;
    size_t n, cap;
};

static bool put(struct row *p, struct jstr s)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 16;
        struct jstr *bigger = jnew(p->r, cap, sizeof *bigger);
        if (!bigger)
            return false;
        if (p->n)
            memcpy(bigger, p->v, p->n * sizeof *bigger);
        p->v = bigger, p->cap = cap;
    }
    p->v[p->n++] = s;
    return jstep(p->r, 1);
}

static bool done(struct row *p, struct jval *out)
{
    out->type = J_STR;
    return jstr_concat(p->r, p->v, p->n, &out->s);
}

/* A whole decimal number at s[*at]; *out stays when there is none. */
static bool number(struct jrun *r, struct jstr s, size_t *at, int64_t *out)
{
    int64_t v = 0;
    size_t from = *at;
    for (; *at < s.n && s.p[*at] >= '0' && s.p[*at] <= '9'; ++*at)
        if ((v = v * 10 + (s.p[*at] - '0')) > JINJA_WIDTH_MAX)
            return jfail(r, "a format with a width above %d", JINJA_WIDTH_MAX);
    if (*at > from)
        *out = v;
    return true;
}

static bool wrong(struct jrun *r, const struct jval *v, char type)
{
    return jfail(r, "the format \"%c\" does not take %s", type ? type : 's', jtype_name(v));
}

/* Digits of |v| in base 2, 8, 10 or 16. */
static void digits_of(char *out, uint64_t v, unsigned base, bool upper)
{
    char back[65];
    size_t n = 0, k = 0;
    do
        back[n++] = (upper ? "0123456789ABCDEF" : "0123456789abcdef")[v % base];
    while ((v /= base) > 0);
    while (n > 0)
        out[k++] = back[--n];
    out[k] = 0;
}

/* The digits of a number without its sign; *minus says it has one. */
static bool magnitude(struct jrun *r, const struct jval *v, const struct spec *s, char out[NUMBER_MAX], bool *minus)
{
    double d;
    int64_t i;
    char type = s->type ? s->type : v->type == J_FLOAT ? 'r' : 'd', format[8];
    bool whole = strchr("dbox", type | 32) && type != 'B' && type != 'O' && type != 'D';
    if (whole && jinteger(v, &i)) {
        *minus = i < 0;
        unsigned base = type == 'd' ? 10 : type == 'b' ? 2 : type == 'o' ? 8 : 16;
        digits_of(out, i < 0 ? 0 - (uint64_t)i : (uint64_t)i, base, type == 'X');
        return true;
    }
    if (whole || !jnumber(v, &d))
        return wrong(r, v, type);
    *minus = signbit(d) != 0;
    d = fabs(d);
    if (isinf(d) || isnan(d)) {
        str_fmt(out, NUMBER_MAX, "%s%s",
                isinf(d)              ? (strchr("EFG", type) ? "INF" : "inf")
                : strchr("EFG", type) ? "NAN"
                                      : "nan",
                type == '%' ? "%" : "");
        return true;
    }
    if (type == 'r' && s->places < 0) {
        jdouble(out, d);
        return true;
    }
    if (s->places > PLACES_MAX)
        return jfail(r, "a format with more than %d places", PLACES_MAX);
    if (!strchr("eEfFgG%r", type))
        return wrong(r, v, type);
    str_fmt(format, sizeof format, "%%%s.*%c", s->alt ? "#" : "", type == '%' ? 'f' : type == 'r' ? 'g' : type);
    size_t n = (size_t)snprintf(out, NUMBER_MAX - 1, format, (int)(s->places < 0 ? 6 : s->places), type == '%' ? d * 100 : d);
    if (type == '%' && n < NUMBER_MAX - 1)
        memcpy(out + n, "%", 2);
    return true;
}

/* A comma or underscore between every three digits before the point. */
static void group(char text[NUMBER_MAX], char with)
{
    size_t n = strspn(text, "0123456789"), marks = n ? (n - 1) / 3 : 0, len = strlen(text);
    if (len + marks + 1 > NUMBER_MAX)
        return;
    memmove(text + n + marks, text + n, len - n + 1);
    for (size_t i = 0, from = n, to = n + marks; marks > 0 && from > 0; i++) {
        text[--to] = text[--from];
        if (i % 3 == 2 && from > 0)
            text[--to] = with, marks--;
    }
}

static bool copied(struct jrun *r, const char *z, struct jstr *out)
{
    size_t n = strlen(z);
    char *p = jnew(r, n + 1, 1);
    if (!p)
        return false;
    memcpy(p, z, n);
    *out = jstr_data(p, n);
    return true;
}

static bool pad(struct jrun *r, struct jstr s, const struct spec *f, char dflt, struct jstr *out)
{
    int64_t more = f->width - (int64_t)jstr_chars(s);
    char align = f->align ? f->align : dflt;
    if (more <= 0)
        return *out = s, true;
    int64_t left = align == '<' ? 0 : align == '^' ? more / 2 : more;
    return jstr_pad(r, s, left, more - left, f->fill, out);
}

static bool put_number(struct row *p, const struct jval *v, const struct spec *f)
{
    char text[NUMBER_MAX] = "", sign[4] = "";
    bool minus = false;
    struct jstr parts[2], s;
    if (!magnitude(p->r, v, f, text, &minus))
        return false;
    if (f->group)
        group(text, f->group);
    size_t n = 0;
    if (minus || f->sign == '+' || f->sign == ' ')
        sign[n++] = minus ? '-' : f->sign;
    if (f->alt && f->type && strchr("xXob", f->type) && v->type != J_FLOAT)
        sign[n++] = '0', sign[n++] = f->type;
    if (!copied(p->r, sign, &parts[0]) || !copied(p->r, text, &parts[1]))
        return false;
    if (f->align == '=' || (f->zero && !f->align)) {
        struct spec inner = *f;
        inner.width -= (int64_t)n;
        inner.align = '>';
        if (f->zero)
            inner.fill = jstr_lit("0");
        return pad(p->r, parts[1], &inner, '>', &s) && put(p, parts[0]) && put(p, s);
    }
    return jstr_concat(p->r, parts, 2, &s) && pad(p->r, s, f, '>', &s) && put(p, s);
}

static bool put_text(struct row *p, struct jstr s, const struct spec *f, char dflt)
{
    if (f->places >= 0)
        s = jstr_cut(s, 0, jstr_at(s, (size_t)f->places));
    return jstep(p->r, s.n / 32) && pad(p->r, s, f, dflt, &s) && put(p, s);
}

/* ---- % ---- */

struct percent {
    struct row out;
    struct jstr format;
    size_t at;
    const struct jval *args;
    uint32_t used;
};

static bool next_arg(struct percent *p, struct jval *out)
{
    bool tuple = p->args->type == J_LIST && p->args->l->tuple;
    if (p->used >= (tuple ? p->args->l->n : 1))
        return jfail(p->out.r, "a format with more %% than values");
    *out = tuple ? p->args->l->v[p->used] : *p->args;
    p->used++;
    return true;
}

/* %(name)...: the value of that name. */
static bool named_arg(struct percent *p, struct jval *out)
{
    const char *end = memchr(p->format.p + p->at, ')', p->format.n - p->at);
    struct str name = {p->format.p + p->at + 1, end ? (size_t)(end - p->format.p) - p->at - 1 : 0};
    bool found = false;
    if (!end || p->args->type != J_DICT)
        return jfail(p->out.r, "a format with names takes a dict, not %s", jtype_name(p->args));
    p->at += name.n + 2;
    return jdict_gets(p->out.r, p->args->d, name, out, &found) && (found || jfail(p->out.r, "a format names what is not in its dict"));
}

static bool star(struct percent *p, int64_t *out)
{
    struct jval v;
    if (p->at >= p->format.n || p->format.p[p->at] != '*')
        return number(p->out.r, p->format, &p->at, out);
    p->at++;
    if (!next_arg(p, &v))
        return false;
    return (jinteger(&v, out) && *out >= -JINJA_WIDTH_MAX && *out <= JINJA_WIDTH_MAX) || jfail(p->out.r, "a format with a width out of range");
}

static bool percent_char(struct percent *p, const struct jval *v, const struct spec *f)
{
    char utf8[5] = "";
    int64_t cp;
    if (v->type == J_STR && jstr_chars(v->s) == 1)
        return put_text(&p->out, v->s, f, '>');
    struct jstr s;
    if (!jinteger(v, &cp) || cp < 1 || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
        return wrong(p->out.r, v, 'c');
    utf8_encode(utf8, (uint32_t)cp);
    return copied(p->out.r, utf8, &s) && put_text(&p->out, s, f, '>');
}

/* One conversion; at stands behind the %. */
static bool convert(struct percent *p)
{
    struct spec f = {.fill = jstr_lit(" "), .width = -1, .places = -1};
    struct jval v = jnone();
    struct jstr s;
    bool named = p->at < p->format.n && p->format.p[p->at] == '(';
    if (named && !named_arg(p, &v))
        return false;
    for (; p->at < p->format.n && p->format.p[p->at] && strchr("#0- +", p->format.p[p->at]); p->at++) {
        char c = p->format.p[p->at];
        f.alt |= c == '#', f.zero |= c == '0';
        f.align = c == '-' ? '<' : f.align;
        f.sign = c == '+' || (c == ' ' && !f.sign) ? c : f.sign;
    }
    if (!star(p, &f.width))
        return false;
    if (f.width < -1)
        f.align = '<', f.width = -f.width;
    if (p->at < p->format.n && p->format.p[p->at] == '.') {
        p->at++, f.places = 0;
        if (!star(p, &f.places))
            return false;
        f.places = f.places < 0 ? 0 : f.places;
    }
    while (p->at < p->format.n && p->format.p[p->at] && strchr("hlL", p->format.p[p->at]))
        p->at++;
    if (p->at >= p->format.n)
        return jfail(p->out.r, "a format that ends within a %%");
    f.type = p->format.p[p->at++];
    if (f.type == '%')
        return put(&p->out, jstr_cut(p->format, p->at - 1, p->at));
    if (!f.type || !strchr("diuoxXeEfFgGcrsa", f.type))
        return jfail(p->out.r, "a format with an unknown letter behind %%");
    if (!named && !next_arg(p, &v))
        return false;
    if (f.type == 's')
        return jto_str(p->out.r, &v, &s) && put_text(&p->out, s, &f, '>');
    if (f.type == 'r' || f.type == 'a')
        return jrepr(p->out.r, &v, &s) && put_text(&p->out, s, &f, '>');
    if (f.type == 'c')
        return percent_char(p, &v, &f);
    if (f.type == 'i' || f.type == 'u')
        f.type = 'd';
    if (f.type == 'd' && v.type == J_FLOAT && fabs(v.f) < 9e18)
        v = jint((int64_t)v.f);
    if (strchr("doxX", f.type) && f.places >= 0) /* at least so many digits: as zeros within the width */
        f.zero = true, f.width = f.places > f.width ? f.places : f.width;
    return put_number(&p->out, &v, &f);
}

bool jformat_percent(struct jrun *r, struct jstr format, const struct jval *args, struct jval *out)
{
    struct percent p = {.out = {.r = r}, .format = format, .args = args};
    bool keeps = args->type == J_DICT || args->type == J_UNDEF || (args->type == J_LIST && !args->l->tuple);
    while (p.at < format.n) {
        const char *hit = memchr(format.p + p.at, '%', format.n - p.at);
        size_t end = hit ? (size_t)(hit - format.p) : format.n;
        if (!put(&p.out, jstr_cut(format, p.at, end)))
            return false;
        p.at = end + 1;
        if (hit && !convert(&p))
            return false;
    }
    uint32_t n = args->type == J_LIST && args->l->tuple ? args->l->n : 1;
    if (p.used < n && !keeps)
        return jfail(r, "a format with fewer %% than values");
    return done(&p.out, out);
}

/* ---- format() ---- */

struct braces {
    struct row out;
    const struct jargs *a;
    int64_t next; /* number of the next {} */
    bool counted, numbered;
    int depth;
};

static bool get_argument(struct braces *b, struct str name, struct jval *out)
{
    struct jrun *r = b->out.r;
    uint64_t i;
    if (!name.n || str_u64(name, &i)) {
        b->counted |= !name.n, b->numbered |= name.n > 0;
        if (!name.n)
            i = (uint64_t)b->next++;
        if (b->counted && b->numbered)
            return jfail(r, "format() with both {} and {0}");
        if (i >= b->a->n)
            return jfail(r, "format() with more {} than values");
        *out = b->a->pos[i];
        return true;
    }
    for (uint32_t k = 0; k < b->a->n_kw; k++)
        if (str_eq(b->a->kw[k].name, name))
            return *out = b->a->kw[k].v, true;
    return jfail(r, "format() with {%.*s} but no value of that name", (int)(name.n < 32 ? name.n : 32), name.p);
}

/* name.attribute[item]... */
static bool get_field(struct braces *b, struct str field, struct jval *out)
{
    size_t at = 0;
    while (at < field.n && field.p[at] != '.' && field.p[at] != '[')
        at++;
    if (!get_argument(b, (struct str){field.p, at}, out))
        return false;
    while (at < field.n) {
        struct jval in = *out;
        bool item = field.p[at] == '[';
        size_t from = ++at;
        while (at < field.n && (item ? field.p[at] != ']' : field.p[at] != '.' && field.p[at] != '['))
            at++;
        struct str part = {field.p + from, at - from};
        int64_t i;
        struct jval key = str_i64(part, &i) ? jint(i) : jstr_val(jstr_data(part.p, part.n));
        if (!part.n || (item && at == field.n))
            return jfail(b->out.r, "format() with an empty name in { }");
        if (!(item ? jitem(b->out.r, &in, &key, out) : jattr(b->out.r, &in, part, out)))
            return false;
        at += item;
    }
    return true;
}

/* [[fill]align][sign][#][0][width][,][.places][type] */
static bool read_spec(struct jrun *r, struct jstr s, struct spec *f)
{
    size_t at = 0, first = s.n ? jstr_char(s, 0).n : 0;
    *f = (struct spec){.fill = jstr_lit(" "), .width = -1, .places = -1};
    if (first < s.n && strchr("<>=^", s.p[first]) && s.p[first])
        f->fill = jstr_char(s, 0), f->align = s.p[first], at = first + 1;
    else if (s.n && s.p[0] && strchr("<>=^", s.p[0]))
        f->align = s.p[at++];
    if (at < s.n && s.p[at] && strchr("+- ", s.p[at]))
        f->sign = s.p[at++];
    if (at < s.n && s.p[at] == '#')
        f->alt = true, at++;
    if (at < s.n && s.p[at] == '0')
        f->zero = true, at++;
    if (!number(r, s, &at, &f->width))
        return false;
    if (at < s.n && (s.p[at] == ',' || s.p[at] == '_'))
        f->group = s.p[at++];
    if (at < s.n && s.p[at] == '.') {
        at++;
        if (!number(r, s, &at, &f->places))
            return false;
        if (f->places < 0)
            return jfail(r, "format() with a point but no places");
    }
    if (at < s.n)
        f->type = s.p[at++];
    return at == s.n || jfail(r, "format() with a specification that is not understood");
}

static bool put_value(struct braces *b, const struct jval *v, char conversion, struct jstr spec_text)
{
    struct spec f;
    struct jstr s;
    struct jrun *r = b->out.r;
    if (!read_spec(r, spec_text, &f))
        return false;
    bool number = !conversion && (v->type == J_INT || v->type == J_FLOAT || (v->type == J_BOOL && spec_text.n));
    if (number) {
        if (v->type != J_FLOAT && f.places >= 0 && (!f.type || strchr("dboxX", f.type)))
            return jfail(r, "format() with places for a whole number");
        return put_number(&b->out, v, &f);
    }
    if (spec_text.n && v->type != J_STR && !conversion)
        return jfail(r, "format() cannot lay out %s", jtype_name(v));
    if ((f.type && f.type != 's') || f.sign || f.group || f.alt || f.align == '=')
        return wrong(r, v, f.type);
    if (f.zero && !f.align)
        f.fill = jstr_lit("0");
    return (conversion == 'r' || conversion == 'a' ? jrepr(r, v, &s) : jto_str(r, v, &s)) && put_text(&b->out, s, &f, '<');
}

static bool fill_in(struct braces *b, struct jstr format);

/* The inside of one { }. */
static bool replace_field(struct braces *b, struct jstr in)
{
    const char *colon = in.n ? memchr(in.p, ':', in.n) : NULL, *open = in.n ? memchr(in.p, '[', in.n) : NULL;
    if (colon && open && open < colon) { /* a colon within [ ] */
        const char *close = memchr(open, ']', in.n - (size_t)(open - in.p));
        colon = close ? memchr(close, ':', in.n - (size_t)(close - in.p)) : NULL;
    }
    size_t end = colon ? (size_t)(colon - in.p) : in.n;
    struct jstr spec = colon ? jstr_cut(in, end + 1, in.n) : jstr_lit("");
    char conversion = 0;
    struct jval v, made;
    if (end >= 2 && in.p[end - 2] == '!') {
        conversion = in.p[end - 1];
        end -= 2;
        if (!strchr("rsa", conversion))
            return jfail(b->out.r, "format() with a conversion other than !r, !s, !a");
    }
    if (!get_field(b, (struct str){in.p, end}, &v))
        return false;
    if (spec.n && memchr(spec.p, '{', spec.n)) {
        struct row outer = b->out;
        b->out = (struct row){.r = outer.r};
        bool ok = fill_in(b, spec) && done(&b->out, &made);
        b->out = outer;
        if (!ok)
            return false;
        spec = made.s;
    }
    return put_value(b, &v, conversion, spec);
}

static bool fill_in(struct braces *b, struct jstr format)
{
    struct jrun *r = b->out.r;
    if (++b->depth > 2)
        return jfail(r, "format() with { } nested too deeply");
    for (size_t at = 0, from = 0; at <= format.n; at++) {
        char c = at < format.n ? format.p[at] : 0;
        if (at < format.n && c != '{' && c != '}')
            continue;
        bool twice = at + 1 < format.n && format.p[at + 1] == c;
        if (!put(&b->out, jstr_cut(format, from, at + (at < format.n && twice))))
            return false;
        from = at + 1 + twice;
        if (at == format.n || twice) {
            at += twice;
            continue;
        }
        if (c == '}')
            return jfail(r, "format() with a } that closes nothing");
        int depth = 1;
        size_t end = at + 1;
        for (; end < format.n && depth > 0; end++)
            depth += (format.p[end] == '{') - (format.p[end] == '}');
        if (depth > 0)
            return jfail(r, "format() with a { that is not closed");
        if (!replace_field(b, jstr_cut(format, at + 1, end - 1)))
            return false;
        at = end - 1, from = end;
    }
    b->depth--;
    return true;
}

bool jformat_braces(struct jrun *r, struct jstr format, const struct jargs *a, struct jval *out)
{
    struct braces b = {.out = {.r = r}, .a = a};
    return jstep(r, format.n / 16) && fill_in(&b, format) && done(&b.out, out);
}
