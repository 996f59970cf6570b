/* tojson as the `transformers` library defines it (json.dumps without HTML escapes), and JSON to values. */
#include "text/jinja/jinja.h"
#include "text/template.h"
#include <stdio.h>
#include <string.h>

struct dump {
    struct jrun *r;
    struct buf b;
    bool lines; /* with indent: one value a line */
    struct jstr indent;
    struct jstr item_sep, key_sep;
    bool ascii, sort;
    int depth;
};

static void put_escaped(struct dump *d, uint32_t cp)
{
    if (cp >= 0x10000)
        buf_fmt(&d->b, "\\u%04x\\u%04x", 0xd800 + ((cp - 0x10000) >> 10), 0xdc00 + ((cp - 0x10000) & 0x3ff));
    else
        buf_fmt(&d->b, "\\u%04x", cp);
}

static void dump_str(struct dump *d, struct jstr s)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    buf_char(&d->b, '"');
    for (size_t i = 0; i < s.n;) {
        char c = s.p[i];
        const char *k = c ? strchr(from, c) : NULL;
        uint32_t cp = (uint8_t)c;
        int n = 1;
        if (k)
            buf_char(&d->b, '\\'), buf_char(&d->b, to[k - from]);
        else if (cp < 32)
            put_escaped(d, cp);
        else if (cp >= 0x7f && d->ascii && (n = utf8_decode(s.p + i, s.n - i, &cp)) > 0)
            put_escaped(d, cp);
        else
            buf_char(&d->b, c);
        i += n > 0 ? (size_t)n : 1;
    }
    buf_char(&d->b, '"');
}

static void new_line(struct dump *d, int depth)
{
    if (!d->lines)
        return;
    buf_char(&d->b, '\n');
    for (int i = 0; i < depth && !d->b.failed; i++)
        buf_add(&d->b, d->indent.p, d->indent.n);
}

static bool dump(struct dump *d, const struct jval *v);

static bool dump_list(struct dump *d, const struct jlist *l)
{
    buf_char(&d->b, '[');
    for (uint32_t i = 0; i < l->n; i++) {
        if (i)
            buf_add(&d->b, d->item_sep.p, d->item_sep.n);
        new_line(d, d->depth);
        if (!dump(d, &l->v[i]))
            return false;
    }
    if (l->n)
        new_line(d, d->depth - 1);
    buf_char(&d->b, ']');
    return true;
}

static bool dump_key(struct dump *d, const struct jval *k)
{
    struct jstr s;
    if (k->type == J_NONE || k->type == J_BOOL)
        s = jstr_lit(k->type == J_NONE ? "null" : k->b ? "true" : "false");
    else if (k->type != J_STR && k->type != J_INT && k->type != J_FLOAT)
        return jfail(d->r, "tojson of a dict with %s as a key", jtype_name(k));
    else if (!jto_str(d->r, k, &s))
        return false;
    dump_str(d, s);
    buf_add(&d->b, d->key_sep.p, d->key_sep.n);
    return true;
}

/* The entries in the order of their keys. */
static bool sorted(struct jrun *r, const struct jdict *in, const struct jdict **out)
{
    struct jval copy, args[2] = {jbool(true), jnone()}, pairs, of = {.type = J_DICT, .d = (struct jdict *)(uintptr_t)in};
    struct jargs a = {.pos = args, .n = 1};
    if (!jfilter(r, STR("dictsort"), &of, &a, &pairs) || !jdict_new(r, in->n, &copy))
        return false;
    for (uint32_t i = 0; i < in->n; i++) {
        copy.d->k[i] = pairs.l->v[i].l->v[0];
        copy.d->v[i] = pairs.l->v[i].l->v[1];
    }
    copy.d->n = in->n;
    *out = copy.d;
    return true;
}

static bool dump_dict(struct dump *d, const struct jdict *o)
{
    if (d->sort && !sorted(d->r, o, &o))
        return false;
    buf_char(&d->b, '{');
    for (uint32_t i = 0; i < o->n; i++) {
        if (i)
            buf_add(&d->b, d->item_sep.p, d->item_sep.n);
        new_line(d, d->depth);
        if (!dump_key(d, &o->k[i]) || !dump(d, &o->v[i]))
            return false;
    }
    if (o->n)
        new_line(d, d->depth - 1);
    buf_char(&d->b, '}');
    return true;
}

static bool dump(struct dump *d, const struct jval *v)
{
    char text[40];
    bool ok = true;
    if (!jstep(d->r, 1) || ++d->depth > TEMPLATE_DEPTH_MAX + 1)
        return jfail(d->r, "values are nested too deeply");
    if (d->b.failed)
        return jfail(d->r, "a text is longer than %zu bytes", d->r->output_max);
    switch (v->type) {
    case J_NONE: buf_str(&d->b, "null"); break;
    case J_BOOL: buf_str(&d->b, v->b ? "true" : "false"); break;
    case J_INT: buf_fmt(&d->b, "%lld", (long long)v->i); break;
    case J_FLOAT:
        jdouble(text, v->f);
        buf_str(&d->b, text[0] == 'i' ? "Infinity" : text[0] == 'n' ? "NaN" : text[1] == 'i' ? "-Infinity" : text);
        break;
    case J_STR: dump_str(d, v->s); break;
    case J_LIST: ok = dump_list(d, v->l); break;
    case J_DICT: ok = dump_dict(d, v->d); break;
    default: ok = jfail(d->r, "%s cannot be written as JSON", jtype_name(v));
    }
    d->depth--;
    return ok;
}

static bool separators(struct dump *d, const struct jargs *a)
{
    struct jval v, *two;
    uint32_t n;
    if (!jarg(a, 2, "separators", &v) || v.type == J_NONE)
        return true;
    if (!jitems(d->r, &v, &two, &n))
        return false;
    if (n != 2 || two[0].type != J_STR || two[1].type != J_STR)
        return jfail(d->r, "tojson takes separators as two texts");
    d->item_sep = two[0].s;
    d->key_sep = two[1].s;
    return true;
}

/* indent= is a number of blanks or a text; none is one line. */
static bool indentation(struct dump *d, const struct jargs *a)
{
    struct jval x;
    int64_t n;
    if (!jarg(a, 1, "indent", &x) || x.type == J_NONE)
        return true;
    d->lines = true;
    d->item_sep = jstr_lit(",");
    if (x.type == J_STR)
        d->indent = x.s;
    else if (!jinteger(&x, &n) || n > 64 || !jstr_repeat(d->r, jstr_lit(" "), n, &d->indent))
        return jfail(d->r, "tojson takes an indent of up to 64 or a text");
    return true;
}

/* tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False) */
bool jtojson(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct dump d = {.r = r, .indent = jstr_lit(""), .item_sep = jstr_lit(", "), .key_sep = jstr_lit(": ")};
    struct jval x;
    d.ascii = jarg(a, 0, "ensure_ascii", &x) && jtruthy(&x);
    d.sort = jarg(a, 3, "sort_keys", &x) && jtruthy(&x);
    if (!indentation(&d, a) || !separators(&d, a))
        return false;
    buf_init(&d.b, r->output_max);
    bool ok = dump(&d, v) && (!d.b.failed || jfail(r, "a text is longer than %zu bytes", r->output_max));
    char *copy = ok ? jnew(r, d.b.len + 1, 1) : NULL;
    if (copy && d.b.len)
        memcpy(copy, d.b.data, d.b.len);
    *out = jstr_val(jstr_data(copy, d.b.len)); /* data: a value may come from the conversation */
    buf_deinit(&d.b);
    return copy && jstep(r, out->s.n / 32);
}

static bool from_object(struct jrun *r, const struct json *j, struct jval *out)
{
    void *it = NULL;
    struct str key;
    const struct json *v;
    if (!jdict_new(r, json_len(j), out))
        return false;
    struct jdict *d = out->d;
    for (; d->n < d->cap && json_each(j, &it, &key, &v); d->n++) { /* the reader refuses a key that stands twice */
        d->k[d->n] = jstr_val(jstr_data(key.p, key.n));
        if (!jfrom_json(r, v, &d->v[d->n]))
            return false;
    }
    return true;
}

bool jfrom_json(struct jrun *r, const struct json *j, struct jval *out)
{
    struct str s;
    if (!jstep(r, 1))
        return false;
    switch (json_type(j)) {
    case JSON_NULL: *out = jnone(); return true;
    case JSON_BOOL: *out = jbool(json_bool(j)); return true;
    case JSON_INT: *out = jint(json_int(j)); return true;
    case JSON_REAL: *out = (struct jval){.type = J_FLOAT, .f = json_num(j)}; return true;
    case JSON_STR:
        s = json_str(j);
        *out = jstr_val(jstr_data(s.p, s.n));
        return s.n <= UINT32_MAX || jfail(r, "a text is too long");
    case JSON_OBJ: return from_object(r, j, out);
    default: break;
    }
    if (!jlist_new(r, json_len(j), out))
        return false;
    for (uint32_t i = 0; i < out->l->n; i++)
        if (!jfrom_json(r, json_at(j, i), &out->l->v[i]))
            return false;
    return true;
}
