/* Which values are equal, which come first, and what holds what: Python's rules. */
#include "text/jinja/jinja.h"
#include <string.h>

static bool deeper(struct jrun *r)
{
    return ++r->depth <= JINJA_WALK_MAX || jfail(r, "values are nested too deeply");
}

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

/* Values of one type that are neither numbers nor texts. */
static bool same_type_equal(struct jrun *r, const struct jval *a, const struct jval *b, bool *out)
{
    switch (a->type) {
    case J_LIST: return lists_equal(r, a->l, b->l, out);
    case J_DICT: return dicts_equal(r, a->d, b->d, out);
    case J_NONE:
    case J_UNDEF: return *out = true;
    case J_NS: *out = a->d == b->d; return true;
    case J_MACRO: *out = a->m == b->m; return true;
    case J_FUNC: *out = a->fn == b->fn; return true;
    case J_OBJ: *out = a->obj == b->obj; return true;
    default: return true;
    }
}

bool jequal(struct jrun *r, const struct jval *a, const struct jval *b, bool *out)
{
    double x, y;
    bool ok = true;
    *out = false;
    if (!jstep(r, 1) || !deeper(r))
        return false;
    if (a->type == J_STR && b->type == J_STR) {
        *out = jstr_same(a->s, b->s);
        ok = jstep(r, a->s.n == b->s.n ? a->s.n / 64 : 0);
    } else if (a->type == J_INT && b->type == J_INT)
        *out = a->i == b->i;
    else if (jnumber(a, &x) && jnumber(b, &y))
        *out = x == y;
    else if (a->type == b->type)
        ok = same_type_equal(r, a, b, out);
    r->depth--;
    return ok;
}

/* Code points in order; UTF-8 keeps it. */
static int compare_str(struct jstr a, struct jstr b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n ? memcmp(a.p, b.p, n) : 0;
    return c ? (c > 0) - (c < 0) : (a.n > b.n) - (a.n < b.n);
}

/* The first pair that is not equal decides, and only that pair needs an order. */
static bool compare_lists(struct jrun *r, const struct jlist *a, const struct jlist *b, int *out)
{
    uint32_t i = 0, n = a->n < b->n ? a->n : b->n;
    for (bool same = true; i < n; i++) {
        if (!jequal(r, &a->v[i], &b->v[i], &same))
            return false;
        if (!same)
            return jcompare(r, &a->v[i], &b->v[i], out);
    }
    *out = (a->n > b->n) - (a->n < b->n);
    return true;
}

bool jcompare(struct jrun *r, const struct jval *a, const struct jval *b, int *out)
{
    double x, y;
    if (!jstep(r, 1) || !deeper(r))
        return false;
    bool ok = true;
    if (a->type == J_STR && b->type == J_STR) {
        *out = compare_str(a->s, b->s);
        ok = jstep(r, (a->s.n < b->s.n ? a->s.n : b->s.n) / 32);
    } else if (a->type == J_INT && b->type == J_INT)
        *out = (a->i > b->i) - (a->i < b->i);
    else if (jnumber(a, &x) && jnumber(b, &y))
        *out = x != x || y != y ? J_UNORDERED : (x > y) - (x < y);
    else if (a->type == J_LIST && b->type == J_LIST && a->l->tuple == b->l->tuple)
        ok = compare_lists(r, a->l, b->l, out);
    else
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

bool jorder(struct jrun *r, int op, const struct jval *a, const struct jval *b, bool *out)
{
    int order = 0;
    switch (op) {
    case OP_EQ: return jequal(r, a, b, out);
    case OP_NE: return jequal(r, a, b, out) && (*out = !*out, true);
    case OP_IN: return jcontains(r, b, a, out);
    case OP_NOT_IN: return jcontains(r, b, a, out) && (*out = !*out, true);
    default: break;
    }
    if (!jcompare(r, a, b, &order))
        return false;
    *out = order != J_UNORDERED && (op == '<' ? order < 0 : op == '>' ? order > 0 : op == OP_LE ? order <= 0 : order >= 0);
    return true;
}
