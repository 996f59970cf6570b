/* Values: making them, comparing them, looking into them. */
#include "text/jinja/jinja.h"
#include "text/template.h"
#include "text/unicode.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool jfail(struct jrun *r, const char *fmt, ...)
{
    char    what[384];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (!r->failed)
        err_set(r->e, ERR_TEMPLATE, "template: line %u: %s", r->line, what);
    r->failed = true;
    return false;
}

bool jstep(struct jrun *r, size_t cost)
{
    r->steps += cost;
    return r->steps <= TEMPLATE_STEPS_MAX || jfail(r, "the template needs more than %d steps for this conversation", TEMPLATE_STEPS_MAX);
}

void *jnew(struct jrun *r, size_t n, size_t size)
{
    void *p = arena_array(&r->mem, n, size);
    if (!p)
        jfail(r, "the template needs more than %d MiB of memory for this conversation", JINJA_MEMORY_MAX >> 20);
    return p;
}

struct jval jint(int64_t i) { return (struct jval){.type = J_INT, .i = i}; }
struct jval jbool(bool b) { return (struct jval){.type = J_BOOL, .b = b}; }
struct jval jnone(void) { return (struct jval){.type = J_NONE}; }
struct jval jundef(struct jstr name) { return (struct jval){.type = J_UNDEF, .s = name}; }
struct jval jstr_val(struct jstr s) { return (struct jval){.type = J_STR, .s = s}; }
struct jstr jstr_lit(const char *z) { return (struct jstr){z, NULL, (uint32_t)strlen(z), true}; }
struct jstr jstr_data(const char *p, size_t n) { return (struct jstr){p, NULL, (uint32_t)n, false}; }
struct str  jstr_raw(struct jstr s) { return (struct str){s.p, s.n}; }

struct jstr jstr_cut(struct jstr s, size_t from, size_t to)
{
    return (struct jstr){s.p + from, s.taint ? s.taint + from : NULL, (uint32_t)(to - from), s.trusted};
}

bool jstr_same(struct jstr a, struct jstr b) { return str_eq(jstr_raw(a), jstr_raw(b)); }

bool jstr_concat(struct jrun *r, const struct jstr *parts, size_t n, struct jstr *out)
{
    size_t bytes = 0;
    bool   mixed = false;
    for (size_t i = 0; i < n; i++)
        if (!ck_add(bytes, parts[i].n, &bytes))
            return jfail(r, "a text is too long");
    if (bytes > r->output_max)
        return jfail(r, "a text is longer than %zu bytes", r->output_max);
    *out = (struct jstr){.trusted = true};
    const struct jstr *first = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!parts[i].n)
            continue;
        mixed |= parts[i].taint || (first && first->trusted != parts[i].trusted);
        first = first ? first : &parts[i];
    }
    if (first)
        out->trusted = first->trusted;
    char    *p = jnew(r, bytes + 1, 1);
    uint8_t *t = mixed && p ? jnew(r, bytes + 1, 1) : NULL;
    if (!p || (mixed && !t) || !jstep(r, 1 + bytes / 32))
        return false;
    for (size_t i = 0, at = 0; i < n; at += parts[i++].n) {
        if (parts[i].n)
            memcpy(p + at, parts[i].p, parts[i].n);
        if (mixed && parts[i].taint)
            memcpy(t + at, parts[i].taint, parts[i].n);
        else if (mixed)
            memset(t + at, parts[i].trusted, parts[i].n);
    }
    out->p = p, out->taint = t, out->n = (uint32_t)bytes;
    return true;
}

bool jtruthy(const struct jval *v)
{
    switch (v->type) {
    case J_UNDEF:
    case J_NONE: return false;
    case J_BOOL: return v->b;
    case J_INT: return v->i != 0;
    case J_FLOAT: return v->f != 0;
    case J_STR: return v->s.n != 0;
    case J_LIST: return v->l->n != 0;
    case J_DICT: return v->d->n != 0;
    default: return true;
    }
}

const char *jtype_name(const struct jval *v)
{
    static const char *const name[] = {"undefined", "none",   "a bool",      "an int",  "a float",    "a text",
                                       "a list",    "a dict", "a namespace", "a macro", "a function", "a loop"};
    return v->type == J_LIST && v->l->tuple ? "a tuple" : name[v->type];
}

bool jlist_new(struct jrun *r, size_t n, struct jval *out)
{
    if (n > JINJA_LIST_MAX)
        return jfail(r, "a list of %zu items, the limit is %d", n, JINJA_LIST_MAX);
    struct jlist *l = jnew(r, 1, sizeof *l);
    if (!l || !jstep(r, n / 8) || !(l->v = jnew(r, n, sizeof *l->v)))
        return false;
    l->n = (uint32_t)n;
    *out = (struct jval){.type = J_LIST, .l = l};
    return true;
}

bool jdict_new(struct jrun *r, size_t cap, struct jval *out)
{
    if (cap > JINJA_LIST_MAX)
        return jfail(r, "a dict of %zu entries, the limit is %d", cap, JINJA_LIST_MAX);
    struct jdict *d = jnew(r, 1, sizeof *d);
    if (!d || !jstep(r, cap / 8) || !(d->k = jnew(r, cap, sizeof *d->k)) || !(d->v = jnew(r, cap, sizeof *d->v)))
        return false;
    d->cap = (uint32_t)cap;
    *out = (struct jval){.type = J_DICT, .d = d};
    return true;
}

static bool find(struct jrun *r, const struct jdict *d, const struct jval *key, uint32_t *at)
{
    for (*at = 0; *at < d->n; ++*at) {
        const struct jval *k = &d->k[*at];
        bool               same = false;
        if (key->type == J_STR && k->type == J_STR)
            same = jstr_same(key->s, k->s);
        else if (key->type != J_STR && k->type != J_STR && !jequal(r, k, key, &same))
            return false;
        if (same)
            break;
    }
    return jstep(r, *at / 16);
}

bool jdict_get(struct jrun *r, const struct jdict *d, const struct jval *key, struct jval *out, bool *found)
{
    uint32_t at;
    if (!find(r, d, key, &at))
        return false;
    *found = at < d->n;
    if (*found)
        *out = d->v[at];
    return true;
}

bool jdict_gets(struct jrun *r, const struct jdict *d, struct str key, struct jval *out, bool *found)
{
    struct jval k = jstr_val(jstr_data(key.p, key.n));
    return jdict_get(r, d, &k, out, found);
}

bool jdict_set(struct jrun *r, struct jdict *d, struct jval key, struct jval v)
{
    uint32_t at;
    if (!find(r, d, &key, &at))
        return false;
    if (at == d->n) {
        if (d->n == d->cap) {
            size_t       cap = d->cap ? (size_t)d->cap * 2 : 8;
            struct jval *k2 = jnew(r, cap, sizeof *k2), *v2 = k2 ? jnew(r, cap, sizeof *v2) : NULL;
            if (!v2)
                return false;
            if (d->n) {
                memcpy(k2, d->k, d->n * sizeof *k2);
                memcpy(v2, d->v, d->n * sizeof *v2);
            }
            d->k = k2, d->v = v2, d->cap = (uint32_t)cap;
        }
        d->k[d->n++] = key;
    }
    d->v[at] = v;
    return true;
}

bool jnumber(const struct jval *v, double *out)
{
    switch (v->type) {
    case J_INT: *out = (double)v->i; return true;
    case J_FLOAT: *out = v->f; return true;
    case J_BOOL: *out = v->b; return true;
    default: *out = 0; return false;
    }
}

static bool deeper(struct jrun *r) { return ++r->depth <= JINJA_WALK_MAX || jfail(r, "values are nested too deeply"); }

static bool lists_equal(struct jrun *r, const struct jlist *a, const struct jlist *b, bool *out)
{
    *out = a->n == b->n && a->tuple == b->tuple;
    for (uint32_t i = 0; *out && i < a->n; i++)
        if (!jequal(r, &a->v[i], &b->v[i], out))
            return false;
    return true;
}

static bool dicts_equal(struct jrun *r, const struct jdict *a, const struct jdict *b, bool *out)
{
    *out = a->n == b->n;
    for (uint32_t i = 0; *out && i < a->n; i++) {
        struct jval v;
        if (!jdict_get(r, b, &a->k[i], &v, out) || (*out && !jequal(r, &a->v[i], &v, out)))
            return false;
    }
    return true;
}

bool jequal(struct jrun *r, const struct jval *a, const struct jval *b, bool *out)
{
    double x, y;
    bool   ok = true;
    *out = false;
    if (!jstep(r, 1) || !deeper(r))
        return false;
    if (a->type == J_STR && b->type == J_STR) {
        *out = jstr_same(a->s, b->s);
        ok = jstep(r, *out ? a->s.n / 64 : 0);
    } else if (a->type == J_INT && b->type == J_INT)
        *out = a->i == b->i;
    else if (jnumber(a, &x) && jnumber(b, &y))
        *out = x == y;
    else if (a->type != b->type)
        *out = false;
    else if (a->type == J_LIST)
        ok = lists_equal(r, a->l, b->l, out);
    else if (a->type == J_DICT)
        ok = dicts_equal(r, a->d, b->d, out);
    else
        *out = a->type == J_NONE || a->type == J_UNDEF || (a->type == J_NS && a->d == b->d) || (a->type == J_MACRO && a->m == b->m) ||
               (a->type == J_FUNC && a->fn == b->fn);
    r->depth--;
    return ok;
}

/* Code points in order; UTF-8 keeps it. */
static int compare_str(struct jstr a, struct jstr b, bool any_case)
{
    size_t i = 0, j = 0;
    if (!any_case) {
        size_t n = a.n < b.n ? a.n : b.n;
        int    c = n ? memcmp(a.p, b.p, n) : 0;
        return c ? c : (a.n > b.n) - (a.n < b.n);
    }
    while (i < a.n && j < b.n) {
        struct uchar x = uchar_at(a.p + i, a.n - i), y = uchar_at(b.p + j, b.n - j);
        uint32_t     p = unicode_lower(x.cp), q = unicode_lower(y.cp);
        if (p != q)
            return p < q ? -1 : 1;
        i += x.n, j += y.n;
    }
    return (i < a.n) - (j < b.n);
}

bool jcompare(struct jrun *r, const struct jval *a, const struct jval *b, bool any_case, int *out)
{
    double x, y;
    if (!jstep(r, 1) || !deeper(r))
        return false;
    bool ok = true, same = true;
    if (a->type == J_STR && b->type == J_STR) {
        *out = compare_str(a->s, b->s, any_case);
        ok = jstep(r, (a->s.n < b->s.n ? a->s.n : b->s.n) / 32);
    } else if (a->type == J_INT && b->type == J_INT)
        *out = (a->i > b->i) - (a->i < b->i);
    else if (jnumber(a, &x) && jnumber(b, &y))
        *out = (x > y) - (x < y);
    else if (a->type == J_LIST && b->type == J_LIST) {
        uint32_t i = 0;
        for (; ok && same && i < a->l->n && i < b->l->n; i++) {
            ok = jcompare(r, &a->l->v[i], &b->l->v[i], any_case, out);
            same = ok && *out == 0;
        }
        if (ok && same)
            *out = (a->l->n > b->l->n) - (a->l->n < b->l->n);
    } else
        ok = jfail(r, "%s and %s have no order", jtype_name(a), jtype_name(b));
    r->depth--;
    return ok;
}

bool jcontains(struct jrun *r, const struct jval *in, const struct jval *what, bool *out)
{
    struct jval ignored;
    *out = false;
    switch (in->type) {
    case J_STR:
        if (what->type != J_STR)
            return jfail(r, "a text can hold only a text, not %s", jtype_name(what));
        *out = what->s.n == 0 || (in->s.n && jstr_find(in->s.p, in->s.n, what->s));
        return jstep(r, in->s.n / 32);
    case J_LIST:
        for (uint32_t i = 0; !*out && i < in->l->n; i++)
            if (!jequal(r, &in->l->v[i], what, out))
                return false;
        return true;
    case J_DICT: return jdict_get(r, in->d, what, &ignored, out);
    case J_UNDEF: return true;
    default: return jfail(r, "%s holds nothing that `in` could find", jtype_name(in));
    }
}

static bool chars(struct jrun *r, struct jstr s, struct jval **items, uint32_t *n)
{
    struct jval l;
    if (!jlist_new(r, jstr_chars(s), &l))
        return false;
    for (size_t at = 0, i = 0; at < s.n; at += l.l->v[i++].s.n)
        l.l->v[i] = jstr_val(jstr_char(s, at));
    *items = l.l->v;
    *n = l.l->n;
    return true;
}

bool jitems(struct jrun *r, const struct jval *v, struct jval **items, uint32_t *n)
{
    *items = NULL;
    *n = 0;
    switch (v->type) {
    case J_UNDEF: return true;
    case J_LIST: *items = v->l->v, *n = v->l->n; return true;
    case J_DICT: *items = v->d->k, *n = v->d->n; return true;
    case J_STR: return chars(r, v->s, items, n);
    default: return jfail(r, "%s cannot be walked over", jtype_name(v));
    }
}

bool jlength(struct jrun *r, const struct jval *v, int64_t *out)
{
    switch (v->type) {
    case J_UNDEF: *out = 0; return true;
    case J_STR: *out = (int64_t)jstr_chars(v->s); return jstep(r, v->s.n / 32);
    case J_LIST: *out = v->l->n; return true;
    case J_DICT: *out = v->d->n; return true;
    default: return jfail(r, "%s has no length", jtype_name(v));
    }
}
