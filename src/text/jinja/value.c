/* Values: making them, comparing them, looking into them. */
#include "text/jinja/jinja.h"
#include "text/template.h"
#include "text/unicode.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool jfail(struct jrun *r, const char *fmt, ...)
{
    char what[384];
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

struct jval jint(int64_t i)
{
    return (struct jval){.type = J_INT, .i = i};
}
struct jval jreal(double f)
{
    return (struct jval){.type = J_FLOAT, .f = f};
}
struct jval jbool(bool b)
{
    return (struct jval){.type = J_BOOL, .b = b};
}
struct jval jnone(void)
{
    return (struct jval){.type = J_NONE};
}
struct jval jundef(struct jstr name)
{
    return (struct jval){.type = J_UNDEF, .s = name};
}
struct jval jstr_val(struct jstr s)
{
    return (struct jval){.type = J_STR, .s = s};
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
    static const char *const name[] = {"undefined", "none",        "a bool",  "an int",     "a float", "a text",   "a list",
                                       "a dict",    "a namespace", "a macro", "a function", "a loop",  "a method", "an object"};
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

bool jtuple_new(struct jrun *r, size_t n, struct jval *out)
{
    if (!jlist_new(r, n, out))
        return false;
    return out->l->tuple = true;
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

static bool hashable(struct jrun *r, const struct jval *v, int depth, bool *out)
{
    *out = v->type != J_DICT && (v->type != J_LIST || (v->l->tuple && depth < 64));
    if (!*out || v->type != J_LIST)
        return true;
    for (uint32_t i = 0; *out && i < v->l->n; i++)
        if (!jstep(r, 1) || !hashable(r, &v->l->v[i], depth + 1, out))
            return false;
    return true;
}

bool jhashable(struct jrun *r, const struct jval *v, bool *out)
{
    return hashable(r, v, 0, out);
}

static bool find(struct jrun *r, const struct jdict *d, const struct jval *key, uint32_t *at)
{
    bool may;
    size_t bytes = 0;
    if (!jhashable(r, key, &may))
        return false;
    if (!may)
        return jfail(r, "%s cannot be the key of a dict", jtype_name(key));
    for (*at = 0; *at < d->n; ++*at) {
        const struct jval *k = &d->k[*at];
        bool same = false;
        if (key->type == J_STR && k->type == J_STR) {
            same = jstr_same(key->s, k->s);
            bytes += key->s.n == k->s.n ? key->s.n : 0;
        } else if (key->type != J_STR && k->type != J_STR && !jequal(r, k, key, &same))
            return false;
        if (same)
            break;
    }
    return jstep(r, *at / 16 + bytes / 64);
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
            size_t cap = d->cap ? (size_t)d->cap * 2 : 8;
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

bool jinteger(const struct jval *v, int64_t *out)
{
    *out = v->type == J_INT ? v->i : v->type == J_BOOL ? v->b : 0;
    return v->type == J_INT || v->type == J_BOOL;
}

static bool chars(struct jrun *r, struct jstr s, struct jval **items, uint32_t *n)
{
    struct jval l;
    s.markup = false; /* its characters are plain texts */
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
