/* Filters of lists and dicts. */
#include "text/jinja/jinja.h"
#include <string.h>

typedef bool filter_fn(struct jrun *r, struct jval *items, uint32_t n, const struct jargs *a, struct jval *out);

static bool list_of(struct jrun *r, const struct jval *items, uint32_t n, struct jval *out)
{
    if (!jlist_new(r, n, out))
        return false;
    if (n)
        memcpy(out->l->v, items, n * sizeof *items);
    return true;
}

/* `a.b.0` of v, as the attribute arguments of filters name it. */
static bool attr_path(struct jrun *r, const struct jval *v, const struct jval *path, struct jval *out)
{
    *out = *v;
    if (path->type == J_INT)
        return jitem(r, v, path, out);
    if (path->type != J_STR)
        return jfail(r, "%s as the name of an attribute", jtype_name(path));
    for (struct str rest = jstr_raw(path->s), one; rest.p;) {
        struct jval in = *out;
        int64_t     i;
        one = str_split(&rest, '.');
        if (str_i64(one, &i)) {
            struct jval at = jint(i);
            if (!jitem(r, &in, &at, out))
                return false;
        } else if (!jattr(r, &in, one, out))
            return false;
    }
    return jstep(r, 1);
}

static bool f_list(struct jrun *r, struct jval *items, uint32_t n, const struct jargs *a, struct jval *out)
{
    (void)a;
    return list_of(r, items, n, out);
}

static bool f_first(struct jrun *r, struct jval *items, uint32_t n, const struct jargs *a, struct jval *out)
{
    (void)r, (void)a;
    *out = n ? items[0] : jundef(jstr_lit("the first of nothing"));
    return true;
}

static bool f_last(struct jrun *r, struct jval *items, uint32_t n, const struct jargs *a, struct jval *out)
{
    (void)r, (void)a;
    *out = n ? items[n - 1] : jundef(jstr_lit("the last of nothing"));
    return true;
}

static bool f_reverse(struct jrun *r, struct jval *items, uint32_t n, const struct jargs *a, struct jval *out)
{
    (void)a;
    if (!jlist_new(r, n, out))
        return false;
    for (uint32_t i = 0; i < n; i++)
        out->l->v[i] = items[n - 1 - i];
    return true;
}

/* join(d="", attribute=None) */
static bool f_join(struct jrun *r, struct jval *items, uint32_t n, const struct jargs *a, struct jval *out)
{
    struct jval  sep = jstr_val(jstr_lit("")), attr = jnone();
    struct jstr *parts = jnew(r, (size_t)n * 2 + 1, sizeof *parts), s;
    jarg(a, 0, "d", &sep);
    jarg(a, 1, "attribute", &attr);
    if (!parts || !jto_str(r, &sep, &s))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct jval v = items[i];
        if ((attr.type != J_NONE && !attr_path(r, &items[i], &attr, &v)) || !jto_str(r, &v, &parts[2 * (size_t)i]))
            return false;
        parts[2 * (size_t)i + 1] = s;
    }
    out->type = J_STR;
    return jstep(r, n) && jstr_concat(r, parts, n ? 2 * (size_t)n - 1 : 0, &out->s);
}

/* map(attribute=..., default=...) or map("filter", args...) */
static bool f_map(struct jrun *r, struct jval *items, uint32_t n, const struct jargs *a, struct jval *out)
{
    struct jval  attr, dflt;
    bool         by_attr = jarg(a, UINT32_MAX, "attribute", &attr), has_default = jarg(a, UINT32_MAX, "default", &dflt);
    struct jargs rest = {.pos = a->n ? a->pos + 1 : NULL, .n = a->n ? a->n - 1 : 0, .kw = a->kw, .n_kw = a->n_kw};
    if (!by_attr && (a->n == 0 || a->pos[0].type != J_STR))
        return jfail(r, "map takes attribute= or the name of a filter");
    if (!jlist_new(r, n, out))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct jval *to = &out->l->v[i];
        if (!(by_attr ? attr_path(r, &items[i], &attr, to) : jfilter(r, jstr_raw(a->pos[0].s), &items[i], &rest, to)))
            return false;
        if (has_default && to->type == J_UNDEF)
            *to = dflt;
    }
    return true;
}

/* select and reject (by_attr: selectattr and rejectattr): the items for which a test, or their truth, is `want`. */
static bool choose(struct jrun *r, struct jval *items, uint32_t n, const struct jargs *a, bool by_attr, bool want, struct jval *out)
{
    uint32_t     test_at = by_attr, k = 0;
    struct jargs rest = {.pos = a->n > test_at ? a->pos + test_at + 1 : NULL, .n = a->n > test_at + 1 ? a->n - test_at - 1 : 0};
    if ((by_attr && !a->n) || (a->n > test_at && a->pos[test_at].type != J_STR))
        return jfail(r, "select and its like take the name of a test, selectattr and rejectattr an attribute before it");
    if (!jlist_new(r, n, out))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct jval v = items[i];
        bool        is;
        if (by_attr && !attr_path(r, &items[i], &a->pos[0], &v))
            return false;
        is = jtruthy(&v);
        if (a->n > test_at && !jtest(r, jstr_raw(a->pos[test_at].s), &v, &rest, &is))
            return false;
        if (is == want)
            out->l->v[k++] = items[i];
    }
    out->l->n = k;
    return jstep(r, n);
}

static bool f_select(struct jrun *r, struct jval *v, uint32_t n, const struct jargs *a, struct jval *out)
{
    return choose(r, v, n, a, false, true, out);
}
static bool f_reject(struct jrun *r, struct jval *v, uint32_t n, const struct jargs *a, struct jval *out)
{
    return choose(r, v, n, a, false, false, out);
}
static bool f_selectattr(struct jrun *r, struct jval *v, uint32_t n, const struct jargs *a, struct jval *out)
{
    return choose(r, v, n, a, true, true, out);
}
static bool f_rejectattr(struct jrun *r, struct jval *v, uint32_t n, const struct jargs *a, struct jval *out)
{
    return choose(r, v, n, a, true, false, out);
}

/* A stable merge sort of `at` (indices into keys), bottom up. */
static bool sort_keys(struct jrun *r, const struct jval *keys, uint32_t *at, uint32_t n, bool any_case, bool down)
{
    uint32_t *to = jnew(r, n, sizeof *to);
    if (!to)
        return false;
    for (uint32_t width = 1; width < n; width = width > n / 2 ? n : width * 2) {
        for (uint32_t from = 0; from < n; from += 2 * width) {
            uint32_t mid = n - from > width ? from + width : n, end = n - mid > width ? mid + width : n, i = from, j = mid;
            for (uint32_t k = from; k < end; k++) {
                int order = 0;
                if (i < mid && j < end && !jcompare(r, &keys[at[j]], &keys[at[i]], any_case, &order))
                    return false;
                bool right = i == mid || (j < end && (down ? order > 0 : order < 0));
                to[k] = at[right ? j++ : i++];
            }
            if (n - from <= 2 * width)
                break;
        }
        memcpy(at, to, n * sizeof *at);
        if (width >= n - width)
            break;
    }
    return true;
}

static bool sort_by(struct jrun *r, const struct jval *items, const struct jval *keys, uint32_t n, bool any_case, bool down, struct jval *out)
{
    uint32_t *at = jnew(r, n, sizeof *at);
    if (!at || !jlist_new(r, n, out))
        return false;
    for (uint32_t i = 0; i < n; i++)
        at[i] = i;
    if (!sort_keys(r, keys, at, n, any_case, down))
        return false;
    for (uint32_t i = 0; i < n; i++)
        out->l->v[i] = items[at[i]];
    return true;
}

/* The value under attribute= of each item, or the items themselves. */
static bool keys_of(struct jrun *r, struct jval *items, uint32_t n, const struct jval *attr, struct jval **keys)
{
    *keys = items;
    if (attr->type == J_NONE)
        return true;
    if (!(*keys = jnew(r, n, sizeof **keys)))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (!attr_path(r, &items[i], attr, &(*keys)[i]))
            return false;
    return true;
}

/* sort(reverse=False, case_sensitive=False, attribute=None) */
static bool f_sort(struct jrun *r, struct jval *items, uint32_t n, const struct jargs *a, struct jval *out)
{
    struct jval down = jbool(false), with_case = jbool(false), attr = jnone(), *keys;
    jarg(a, 0, "reverse", &down);
    jarg(a, 1, "case_sensitive", &with_case);
    jarg(a, 2, "attribute", &attr);
    return keys_of(r, items, n, &attr, &keys) && sort_by(r, items, keys, n, !jtruthy(&with_case), jtruthy(&down), out);
}

/* unique(case_sensitive=False, attribute=None): the first of each, in their order. Sorting finds equal neighbours. */
static bool f_unique(struct jrun *r, struct jval *items, uint32_t n, const struct jargs *a, struct jval *out)
{
    struct jval with_case = jbool(false), attr = jnone(), *keys;
    uint32_t    k = 0;
    jarg(a, 0, "case_sensitive", &with_case);
    jarg(a, 1, "attribute", &attr);
    bool      any_case = !jtruthy(&with_case);
    uint32_t *at = jnew(r, n, sizeof *at);
    bool     *again = jnew(r, n, sizeof *again);
    if (!at || !again || !keys_of(r, items, n, &attr, &keys) || !jlist_new(r, n, out))
        return false;
    for (uint32_t i = 0; i < n; i++)
        at[i] = i;
    if (!sort_keys(r, keys, at, n, any_case, false))
        return false;
    for (uint32_t i = 1; i < n; i++) {
        int order;
        if (!jcompare(r, &keys[at[i - 1]], &keys[at[i]], any_case, &order))
            return false;
        again[at[i]] = order == 0;
    }
    for (uint32_t i = 0; i < n; i++)
        if (!again[i])
            out->l->v[k++] = items[i];
    out->l->n = k;
    return true;
}

static bool extreme(struct jrun *r, struct jval *items, uint32_t n, const struct jargs *a, int sign, struct jval *out)
{
    struct jval with_case = jbool(false), attr = jnone(), *keys;
    uint32_t    best = 0;
    jarg(a, 0, "case_sensitive", &with_case);
    jarg(a, 1, "attribute", &attr);
    if (!keys_of(r, items, n, &attr, &keys))
        return false;
    for (uint32_t i = 1; i < n; i++) {
        int order;
        if (!jcompare(r, &keys[i], &keys[best], !jtruthy(&with_case), &order))
            return false;
        best = order * sign > 0 ? i : best;
    }
    *out = n ? items[best] : jundef(jstr_lit("the extreme of nothing"));
    return true;
}

static bool f_min(struct jrun *r, struct jval *v, uint32_t n, const struct jargs *a, struct jval *out) { return extreme(r, v, n, a, -1, out); }
static bool f_max(struct jrun *r, struct jval *v, uint32_t n, const struct jargs *a, struct jval *out) { return extreme(r, v, n, a, 1, out); }

/* sum(attribute=None, start=0) */
static bool f_sum(struct jrun *r, struct jval *items, uint32_t n, const struct jargs *a, struct jval *out)
{
    struct jval attr = jnone(), sum = jint(0), *keys;
    jarg(a, 0, "attribute", &attr);
    jarg(a, 1, "start", &sum);
    if (!keys_of(r, items, n, &attr, &keys))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct jval left = sum;
        if (!jstep(r, 1) || !jarith(r, '+', &left, &keys[i], &sum))
            return false;
    }
    *out = sum;
    return true;
}

/* dictsort(case_sensitive=False, by="key", reverse=False) */
static bool dictsort(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval  with_case = jbool(false), by = jstr_val(jstr_lit("key")), down = jbool(false), pairs;
    struct jargs none = {0};
    jarg(a, 0, "case_sensitive", &with_case);
    jarg(a, 1, "by", &by);
    jarg(a, 2, "reverse", &down);
    if (v->type != J_DICT || by.type != J_STR)
        return jfail(r, "dictsort of %s", jtype_name(v));
    bool by_value = str_eqz(jstr_raw(by.s), "value");
    return jmethod(r, v, STR("items"), &none, &pairs) &&
           sort_by(r, pairs.l->v, by_value ? v->d->v : v->d->k, v->d->n, !jtruthy(&with_case), jtruthy(&down), out);
}

bool jfilter_list(struct jrun *r, struct str name, const struct jval *v, const struct jargs *a, struct jval *out, bool *known)
{
    static const struct {
        const char *name;
        filter_fn  *fn;
    } table[] = {
        {"list", f_list},
        {"first", f_first},
        {"last", f_last},
        {"reverse", f_reverse},
        {"join", f_join},
        {"map", f_map},
        {"select", f_select},
        {"reject", f_reject},
        {"selectattr", f_selectattr},
        {"rejectattr", f_rejectattr},
        {"sort", f_sort},
        {"unique", f_unique},
        {"min", f_min},
        {"max", f_max},
        {"sum", f_sum},
    };
    struct jval *items;
    uint32_t     n;
    *known = true;
    if (str_eqz(name, "dictsort"))
        return dictsort(r, v, a, out);
    if (str_eqz(name, "reverse") && v->type == J_STR)
        return out->type = J_STR, jstr_reverse(r, v->s, &out->s);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (str_eqz(name, table[i].name))
            return jitems(r, v, &items, &n) && table[i].fn(r, items, n, a, out);
    *known = false;
    return true;
}
