/* Values as texts: Python's str() and repr(). */
#include "text/jinja/jinja.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Python's repr of a float: the shortest digits that read back, an exponent below 1e-4 and from 1e16 on. */
void jdouble(char out[40], double d)
{
    double back;
    if (isnan(d) || isinf(d)) {
        snprintf(out, 40, "%s", isnan(d) ? "nan" : d < 0 ? "-inf" : "inf");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, 40, "%.*e", digits - 1, d);
        if (str_f64(str_of(out), &back) && back == d)
            break;
    }
    int64_t exp = 0;
    char *e = strchr(out, 'e');
    str_i64((struct str){e + 1 + (e[1] == '+'), strlen(e + 1 + (e[1] == '+'))}, &exp);
    if (exp < -4 || exp >= 16)
        return;
    int digits = (int)(e - out) - (out[0] == '-') - (strchr(out, '.') != NULL);
    int after = digits - 1 - (int)exp;
    snprintf(out, 40, "%.*f", after > 0 ? after : 1, d);
}

/* Appends what repr or str prints of nested values. What comes out of here is data. */
struct print {
    struct jrun *r;
    struct buf b;
    int depth;
};

/* A character that does not print: \x1f, \u200b, \U000e0001. */
static void print_escaped(struct buf *b, uint32_t cp)
{
    static const char names[] = "\n\r\t", letters[] = "nrt";
    const char *k = cp && cp < 32 ? strchr(names, (int)cp) : NULL;
    if (k)
        buf_fmt(b, "\\%c", letters[k - names]);
    else
        buf_fmt(b, cp < 0x100 ? "\\x%02x" : cp < 0x10000 ? "\\u%04x" : "\\U%08x", cp);
}

static void print_quoted(struct buf *b, struct jstr s)
{
    char quote = s.n && memchr(s.p, '\'', s.n) && !memchr(s.p, '"', s.n) ? '"' : '\'';
    buf_char(b, quote);
    for (size_t i = 0; i < s.n;) {
        struct uchar c = uchar_at(s.p + i, s.n - i);
        if (c.cp == (uint32_t)quote || c.cp == '\\')
            buf_char(b, '\\');
        if (jchar_is_printable(c.cp) || c.cp == UINT32_MAX)
            buf_add(b, s.p + i, c.n);
        else
            print_escaped(b, c.cp);
        i += c.n;
    }
    buf_char(b, quote);
}

static bool print_value(struct print *p, const struct jval *v);

static bool print_list(struct print *p, const struct jlist *l)
{
    buf_char(&p->b, l->tuple ? '(' : '[');
    for (uint32_t i = 0; i < l->n; i++) {
        buf_str(&p->b, i ? ", " : "");
        if (!print_value(p, &l->v[i]))
            return false;
    }
    buf_str(&p->b, !l->tuple ? "]" : l->n == 1 ? ",)" : ")");
    return true;
}

static bool print_dict(struct print *p, const struct jdict *d)
{
    buf_char(&p->b, '{');
    for (uint32_t i = 0; i < d->n; i++) {
        buf_str(&p->b, i ? ", " : "");
        if (!print_value(p, &d->k[i]))
            return false;
        buf_str(&p->b, ": ");
        if (!print_value(p, &d->v[i]))
            return false;
    }
    buf_char(&p->b, '}');
    return true;
}

static bool print_value(struct print *p, const struct jval *v)
{
    char text[40];
    bool ok = true;
    if (!jstep(p->r, 1) || p->depth > 64)
        return p->depth <= 64 ? false : jfail(p->r, "values are nested too deeply");
    if (p->b.failed)
        return jfail(p->r, "a text is longer than %zu bytes", p->r->output_max);
    p->depth++;
    switch (v->type) {
    case J_UNDEF: buf_str(&p->b, "Undefined"); break;
    case J_NONE: buf_str(&p->b, "None"); break;
    case J_BOOL: buf_str(&p->b, v->b ? "True" : "False"); break;
    case J_INT: buf_fmt(&p->b, "%lld", (long long)v->i); break;
    case J_FLOAT: jdouble(text, v->f), buf_str(&p->b, text); break;
    case J_STR:
        buf_str(&p->b, v->s.markup ? "Markup(" : "");
        print_quoted(&p->b, v->s);
        buf_str(&p->b, v->s.markup ? ")" : "");
        break;
    case J_LIST: ok = print_list(p, v->l); break;
    case J_DICT: ok = print_dict(p, v->d); break;
    case J_NS:
        buf_str(&p->b, "<Namespace ");
        ok = print_dict(p, v->d);
        buf_char(&p->b, '>');
        break;
    default: buf_fmt(&p->b, "<%s>", jtype_name(v));
    }
    p->depth--;
    return ok;
}

bool jrepr(struct jrun *r, const struct jval *v, struct jstr *out)
{
    struct print p = {.r = r};
    buf_init(&p.b, r->output_max);
    bool ok = print_value(&p, v);
    char *copy = ok && !p.b.failed ? jnew(r, p.b.len + 1, 1) : NULL;
    if (ok && p.b.failed)
        jfail(r, "a text is longer than %zu bytes", r->output_max);
    if (copy && p.b.len)
        memcpy(copy, p.b.data, p.b.len);
    *out = jstr_data(copy, p.b.len);
    buf_deinit(&p.b);
    return copy && jstep(r, out->n / 32);
}

bool jto_str(struct jrun *r, const struct jval *v, struct jstr *out)
{
    if (v->type != J_STR && v->type != J_UNDEF)
        return jrepr(r, v, out);
    *out = v->type == J_STR ? v->s : jstr_lit("");
    return true;
}
