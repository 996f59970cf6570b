/* Filters of lists: their ends, their order, their pieces. */
#include "text/jinja/jinja.h"
#include <string.h>

bool jattr_path(struct jrun *r, const struct jval *v, const struct jval *path, struct jval *out)
{
    *out = *v;
    if (path->type == J_INT)
        return jitem(r, v, path, out);
    if (path->type != J_STR)
        return jfail(r, "%s as the name of an attribute", jtype_name(path));
    for (struct str rest = jstr_raw(path->s), one; rest.p;) {
        struct jval in = *out;
        int64_t i;
        one = str_split(&rest, '.');
        struct jval key = str_i64(one, &i) ? jint(i) : jstr_val(jstr_data(one.p, one.n));
        if (!jstep(r, 1) || !jitem(r, &in, &key, out))
            return false;
    }
    return true;
}

static bool f_list(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval *items;
    uint32_t n;
    (void)a;
    if (!jitems(r, v, &items, &n) || !jlist_new(r, n, out))
        return false;
    if (n)
        memcpy(out->l->v, items, n * sizeof *items);
    return true;
}

static bool end_of(struct jrun *r, const struct jval *v, bool last, struct jval *out)
{
    struct jval *items;
    uint32_t n;
    if (!jitems(r, v, &items, &n))
        return false;
    *out = n ? items[last ? n - 1 : 0] : jundef(jstr_lit(last ? "the last of nothing" : "the first of nothing"));
    return true;
}

static bool f_first(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    return (void)a, end_of(r, v, false, out);
}
static bool f_last(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    return (void)a, end_of(r, v, true, out);
}

static bool f_reverse(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval *items, s = {.type = J_STR};
    uint32_t n;
    (void)a;
    if (v->type == J_STR)
        return jstr_reverse(r, v->s, &s.s) && (*out = s, true);
    if (!jitems(r, v, &items, &n) || !jlist_new(r, n, out))
        return false;
    for (uint32_t i = 0; i < n; i++)
        out->l->v[i] = items[n - 1 - i];
    return true;
}

/* join(d="", attribute=None) */
static bool f_join(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval sep = jstr_val(jstr_lit("")), attr = jnone(), *items;
    struct jstr *parts, s;
    uint32_t n;
    jarg(a, 0, "d", &sep);
    jarg(a, 1, "attribute", &attr);
    if (!jitems(r, v, &items, &n) || !(parts = jnew(r, (size_t)n * 2 + 1, sizeof *parts)) || !jto_str(r, &sep, &s))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        struct jval one = items[i];
        if ((attr.type != J_NONE && !jattr_path(r, &items[i], &attr, &one)) || !jto_str(r, &one, &parts[2 * (size_t)i]))
            return false;
        parts[2 * (size_t)i + 1] = s;
    }
    out->type = J_STR;
    return jstep(r, n) && jstr_concat(r, parts, n ? 2 * (size_t)n - 1 : 0, &out->s);
}

static bool f_items(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    if (v->type == J_UNDEF)
        return jlist_new(r, 0, out);
    return v->type == J_DICT ? jmethod(r, v, STR("items"), a, out) : jfail(r, "items of %s", jtype_name(v));
}

/* A list of items[from, to) and `more` times fill. */
static bool piece(struct jrun *r, const struct jval *items, size_t from, size_t to, const struct jval *fill, size_t more, struct jval *out)
{
    if (!jlist_new(r, to - from + more, out))
        return false;
    if (to > from)
        memcpy(out->l->v, items + from, (to - from) * sizeof *items);
    for (size_t i = 0; i < more; i++)
        out->l->v[to - from + i] = *fill;
    return jstep(r, 1 + more / 8);
}

/* batch(linecount, fill_with=None): rows of so many items. */
static bool f_batch(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval *items, fill = jnone(), count = jnone();
    uint32_t n;
    int64_t width;
    jarg(a, 0, "linecount", &count);
    jarg(a, 1, "fill_with", &fill);
    if (!jitems(r, v, &items, &n))
        return false;
    if (!jinteger(&count, &width) || width < 1)
        return jfail(r, "batch takes rows of at least one item, not %s", jtype_name(&count));
    if (fill.type != J_NONE && width > JINJA_LIST_MAX)
        return jfail(r, "batch takes rows of up to %d items", JINJA_LIST_MAX);
    width = width > JINJA_LIST_MAX ? JINJA_LIST_MAX : width;
    if (!jlist_new(r, ((size_t)n + (size_t)width - 1) / (size_t)width, out))
        return false;
    for (size_t i = 0, from = 0; i < out->l->n; i++, from += (size_t)width) {
        size_t to = from + (size_t)width < n ? from + (size_t)width : n, more = fill.type == J_NONE ? 0 : (size_t)width - (to - from);
        if (!piece(r, items, from, to, &fill, more, &out->l->v[i]))
            return false;
    }
    return true;
}

/* slice(slices, fill_with=None): so many columns of about the same length. */
static bool f_slice(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval *items, fill = jnone(), count = jnone();
    uint32_t n;
    int64_t columns;
    jarg(a, 0, "slices", &count);
    jarg(a, 1, "fill_with", &fill);
    if (!jinteger(&count, &columns) || columns == 0 || columns > JINJA_LIST_MAX)
        return jfail(r, "slice takes 1 to %d slices", JINJA_LIST_MAX);
    if (!jitems(r, v, &items, &n) || !jlist_new(r, columns > 0 ? (size_t)columns : 0, out))
        return false;
    size_t each = columns > 0 ? n / (size_t)columns : 0, longer = columns > 0 ? n % (size_t)columns : 0;
    for (size_t i = 0, from = 0; i < out->l->n; i++) {
        size_t to = from + each + (i < longer);
        if (!piece(r, items, from, to, &fill, fill.type != J_NONE && i >= longer, &out->l->v[i]))
            return false;
        from = to;
    }
    return true;
}

const struct jfilter_row jfilters_list[] = {
    {"list", f_list, "", 0},
    {"first", f_first, "", 0},
    {"last", f_last, "", 0},
    {"reverse", f_reverse, "", 0},
    {"join", f_join, "d attribute", 0},
    {"items", f_items, "", 0},
    {"batch", f_batch, "linecount fill_with", 1},
    {"slice", f_slice, "slices fill_with", 1},
    {0},
};
