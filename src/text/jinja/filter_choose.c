/* Filters that take each item of a list: map, select, reject, selectattr, rejectattr. */
#include "text/jinja/jinja.h"

/* map(attribute=..., default=...) or map("filter", args...) */
static bool f_map(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval attr, dflt, *items;
    uint32_t n;
    bool by_attr = !a->n && jarg(a, UINT32_MAX, "attribute", &attr), has_default = by_attr && jarg(a, UINT32_MAX, "default", &dflt);
    struct jargs rest = {.pos = a->n ? a->pos + 1 : NULL, .n = a->n ? a->n - 1 : 0, .kw = a->kw, .n_kw = a->n_kw};
    if (!jtruthy(v)) /* as Jinja2: none and 0 are nothing, too */
        return jlist_new(r, 0, out);
    if (!by_attr && (a->n == 0 || a->pos[0].type != J_STR))
        return jfail(r, "map takes attribute= or the name of a filter");
    if (by_attr && a->n_kw > 1u + has_default)
        return jfail(r, "map takes attribute= and default=");
    if (!jitems(r, v, &items, &n) || !jlist_new(r, n, out))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct jval *to = &out->l->v[i];
        if (!(by_attr ? jattr_path(r, &items[i], &attr, to) : jfilter(r, jstr_raw(a->pos[0].s), &items[i], &rest, to)))
            return false;
        if (has_default && to->type == J_UNDEF)
            *to = dflt;
    }
    return jstep(r, n);
}

/* The items for which a test (by_attr: of an attribute), or their truth, is `want`. */
static bool choose(struct jrun *r, const struct jval *v, const struct jargs *a, bool by_attr, bool want, struct jval *out)
{
    uint32_t test_at = by_attr, k = 0, n;
    struct jargs rest = {.pos = a->n > test_at ? a->pos + test_at + 1 : NULL, .n = a->n > test_at + 1 ? a->n - test_at - 1 : 0};
    struct jval *items;
    if (!jtruthy(v))
        return jlist_new(r, 0, out);
    if ((by_attr && !a->n) || (a->n > test_at && a->pos[test_at].type != J_STR))
        return jfail(r, "select and its like take the name of a test, selectattr and rejectattr an attribute before it");
    if (!jitems(r, v, &items, &n) || !jlist_new(r, n, out))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct jval one = items[i];
        bool is;
        if (by_attr && !jattr_path(r, &items[i], &a->pos[0], &one))
            return false;
        is = jtruthy(&one);
        if (a->n > test_at && !jtest(r, jstr_raw(a->pos[test_at].s), &one, &rest, &is))
            return false;
        if (is == want)
            out->l->v[k++] = items[i];
    }
    out->l->n = k;
    return jstep(r, n);
}

static bool f_select(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    return choose(r, v, a, false, true, out);
}
static bool f_reject(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    return choose(r, v, a, false, false, out);
}
static bool f_selectattr(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    return choose(r, v, a, true, true, out);
}
static bool f_rejectattr(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    return choose(r, v, a, true, false, out);
}

const struct jfilter_row jfilters_choose[] = {
    {"map", f_map, NULL, 0},
    {"select", f_select, NULL, 0},
    {"reject", f_reject, NULL, 0},
    {"selectattr", f_selectattr, NULL, 0},
    {"rejectattr", f_rejectattr, NULL, 0},
    {0},
};
