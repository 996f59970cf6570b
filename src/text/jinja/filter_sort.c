/* Filters that compare the items of a list: sort, unique, min, max, sum, groupby, dictsort. */
#include "text/jinja/jinja.h"
#include <string.h>

/* A stable merge sort of `at` (indices into keys), bottom up. */
static bool sort_keys(struct jrun *r, const struct jval *keys, uint32_t *at, uint32_t n, bool down)
{
    uint32_t *to = jnew(r, n, sizeof *to);
    if (!to)
        return false;
    for (uint32_t width = 1; width<n; width = width> n / 2 ? n : width * 2) {
        for (uint32_t from = 0; from < n; from += 2 * width) {
            uint32_t mid = n - from > width ? from + width : n, end = n - mid > width ? mid + width : n, i = from, j = mid;
            for (uint32_t k = from; k < end; k++) {
                int order = 0;
                if (i < mid && j < end && !jcompare(r, &keys[at[j]], &keys[at[i]], &order))
                    return false;
                bool right = i == mid || (j < end && (down ? order == 1 : order < 0));
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

static bool sort_by(struct jrun *r, const struct jval *items, const struct jval *keys, uint32_t n, bool down, struct jval *out)
{
    uint32_t *at = jnew(r, n, sizeof *at);
    if (!at || !jlist_new(r, n, out))
        return false;
    for (uint32_t i = 0; i < n; i++)
        at[i] = i;
    if (!sort_keys(r, keys, at, n, down))
        return false;
    for (uint32_t i = 0; i < n; i++)
        out->l->v[i] = items[at[i]];
    return true;
}

/* Texts in lower case, where the case of letters does not count. */
static bool without_case(struct jrun *r, struct jval *v)
{
    return v->type != J_STR || jstr_case(r, v->s, 'L', &v->s);
}

/* What items are compared by: themselves or their attribute, any case where with_case is false, dflt where it is undefined. */
static bool keys_of(struct jrun *r, struct jval *items, uint32_t n, const struct jval *attr, const struct jval *dflt, bool with_case,
                    struct jval **keys)
{
    if (!(*keys = jnew(r, n, sizeof **keys)))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct jval *k = &(*keys)[i];
        *k = items[i];
        if (attr->type != J_NONE && !jattr_path(r, &items[i], attr, k))
            return false;
        if (dflt && k->type == J_UNDEF)
            *k = *dflt;
        if (!with_case && !without_case(r, k))
            return false;
    }
    return jstep(r, n);
}

/* The keys of sort(attribute="a,b") are lists, so that values that are equal need no order. */
static bool multi_keys(struct jrun *r, struct jval *items, uint32_t n, const struct jval *attr, bool with_case, struct jval **keys)
{
    uint32_t parts = 0;
    struct jval *one;
    if (attr->type != J_STR && attr->type != J_INT && attr->type != J_NONE)
        return jfail(r, "%s as the name of an attribute", jtype_name(attr));
    for (struct str rest = jstr_raw(attr->s); attr->type == J_STR && rest.p; parts++)
        str_split(&rest, ',');
    parts = parts ? parts : 1;
    if (parts > JINJA_ARGS_MAX || !(*keys = jnew(r, n, sizeof **keys)))
        return jfail(r, "sort by more than %d attributes", JINJA_ARGS_MAX);
    for (uint32_t i = 0; i < n; i++)
        if (!jlist_new(r, parts, &(*keys)[i]))
            return false;
    struct str rest = attr->type == J_STR ? jstr_raw(attr->s) : (struct str){0};
    for (uint32_t p = 0; p < parts; p++) {
        struct str name = rest.p ? str_split(&rest, ',') : rest;
        struct jval by = attr->type == J_STR ? jstr_val(jstr_data(name.p, name.n)) : *attr;
        if (!keys_of(r, items, n, &by, NULL, with_case, &one))
            return false;
        for (uint32_t i = 0; i < n; i++)
            (*keys)[i].l->v[p] = one[i];
    }
    return true;
}

/* sort(reverse=False, case_sensitive=False, attribute=None) */
static bool f_sort(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval down = jbool(false), with_case = jbool(false), attr = jnone(), *keys, *items;
    uint32_t n;
    jarg(a, 0, "reverse", &down);
    jarg(a, 1, "case_sensitive", &with_case);
    jarg(a, 2, "attribute", &attr);
    return jitems(r, v, &items, &n) && multi_keys(r, items, n, &attr, jtruthy(&with_case), &keys) && sort_by(r, items, keys, n, jtruthy(&down), out);
}

/* unique(case_sensitive=False, attribute=None): the first of each, in their order. */
static bool f_unique(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval with_case = jbool(false), attr = jnone(), seen, ignored, *keys, *items;
    uint32_t k = 0, n;
    jarg(a, 0, "case_sensitive", &with_case);
    jarg(a, 1, "attribute", &attr);
    if (!jitems(r, v, &items, &n) || !keys_of(r, items, n, &attr, NULL, jtruthy(&with_case), &keys) || !jlist_new(r, n, out) ||
        !jdict_new(r, 8, &seen))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        bool again;
        if (!jdict_get(r, seen.d, &keys[i], &ignored, &again) || (!again && !jdict_set(r, seen.d, keys[i], jnone())))
            return false;
        if (!again)
            out->l->v[k++] = items[i];
    }
    out->l->n = k;
    return true;
}

static bool extreme(struct jrun *r, const struct jval *v, const struct jargs *a, int sign, struct jval *out)
{
    struct jval with_case = jbool(false), attr = jnone(), *keys, *items;
    uint32_t best = 0, n;
    jarg(a, 0, "case_sensitive", &with_case);
    jarg(a, 1, "attribute", &attr);
    if (!jitems(r, v, &items, &n) || !keys_of(r, items, n, &attr, NULL, jtruthy(&with_case), &keys))
        return false;
    for (uint32_t i = 1; i < n; i++) {
        int order;
        if (!jcompare(r, &keys[i], &keys[best], &order))
            return false;
        best = order == sign ? i : best;
    }
    *out = n ? items[best] : jundef(jstr_lit("the extreme of nothing"));
    return true;
}

static bool f_min(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    return extreme(r, v, a, -1, out);
}
static bool f_max(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    return extreme(r, v, a, 1, out);
}

/* sum(attribute=None, start=0) */
static bool f_sum(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval attr = jnone(), sum = jint(0), *keys, *items;
    uint32_t n;
    jarg(a, 0, "attribute", &attr);
    jarg(a, 1, "start", &sum);
    if (sum.type == J_STR)
        return jfail(r, "sum of texts; use the filter join");
    if (!jitems(r, v, &items, &n) || !keys_of(r, items, n, &attr, NULL, true, &keys))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct jval left = sum;
        if (!jstep(r, 1) || !jarith(r, '+', &left, &keys[i], &sum))
            return false;
    }
    *out = sum;
    return true;
}

static bool add_group(struct jrun *r, const struct jval *grouper, const struct jval *items, uint32_t n, struct jval *out)
{
    struct jval list;
    if (!jtuple_new(r, 2, out) || !jlist_new(r, n, &list))
        return false;
    memcpy(list.l->v, items, n * sizeof *items);
    out->l->group = true;
    out->l->v[0] = *grouper;
    out->l->v[1] = list;
    return true;
}

/* groupby(attribute, default=None, case_sensitive=False): (grouper, list) for each value, in order. */
static bool f_groupby(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval attr = jnone(), dflt = jnone(), with_case = jbool(false), *keys, *names, *items, in_order, of;
    uint32_t n, groups = 0;
    jarg(a, 0, "attribute", &attr);
    bool has_default = jarg(a, 1, "default", &dflt) && dflt.type != J_NONE;
    jarg(a, 2, "case_sensitive", &with_case);
    if (!jitems(r, v, &items, &n) || !keys_of(r, items, n, &attr, has_default ? &dflt : NULL, jtruthy(&with_case), &keys) ||
        !sort_by(r, items, keys, n, false, &in_order) || !jlist_new(r, n, out))
        return false;
    items = in_order.l->v; /* their keys and names once more, now in order */
    if (!keys_of(r, items, n, &attr, has_default ? &dflt : NULL, jtruthy(&with_case), &keys) ||
        !keys_of(r, items, n, &attr, has_default ? &dflt : NULL, true, &names))
        return false;
    for (uint32_t from = 0, to; from < n; from = to) {
        bool same = true;
        for (to = from + 1; to < n; to++) {
            if (!jequal(r, &keys[from], &keys[to], &same))
                return false;
            if (!same)
                break;
        }
        if (!add_group(r, &names[from], items + from, to - from, &of))
            return false;
        out->l->v[groups++] = of;
    }
    out->l->n = groups;
    return true;
}

/* dictsort(case_sensitive=False, by="key", reverse=False) */
static bool f_dictsort(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval with_case = jbool(false), by = jstr_val(jstr_lit("key")), down = jbool(false), none = jnone(), pairs, *keys;
    struct jargs no_args = {0};
    jarg(a, 0, "case_sensitive", &with_case);
    jarg(a, 1, "by", &by);
    jarg(a, 2, "reverse", &down);
    bool by_value = by.type == J_STR && str_eqz(jstr_raw(by.s), "value");
    if (v->type != J_DICT || (!by_value && !(by.type == J_STR && str_eqz(jstr_raw(by.s), "key"))))
        return jfail(r, "dictsort takes a dict, by \"key\" or \"value\", not %s", jtype_name(v));
    return jmethod(r, v, STR("items"), &no_args, &pairs) &&
           keys_of(r, by_value ? v->d->v : v->d->k, v->d->n, &none, NULL, jtruthy(&with_case), &keys) &&
           sort_by(r, pairs.l->v, keys, v->d->n, jtruthy(&down), out);
}

const struct jfilter_row jfilters_sort[] = {
    {"sort", f_sort, "reverse case_sensitive attribute", 0},
    {"unique", f_unique, "case_sensitive attribute", 0},
    {"min", f_min, "case_sensitive attribute", 0},
    {"max", f_max, "case_sensitive attribute", 0},
    {"sum", f_sum, "attribute start", 0},
    {"groupby", f_groupby, "attribute default case_sensitive", 1},
    {"dictsort", f_dictsort, "case_sensitive by reverse", 0},
    {0},
};
