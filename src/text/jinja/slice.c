/* Slices, with Python's rules for what is absent, negative or too far. */
#include "text/jinja/jinja.h"

/* Python's slice.indices: start, stop and step for a sequence of n. */
bool jslice_indices(struct jrun *r, const struct jval at[3], int64_t n, int64_t *start, int64_t *stop, int64_t *step)
{
    int64_t given[3];
    for (int i = 0; i < 3; i++)
        if (!jinteger(&at[i], &given[i]) && at[i].type != J_NONE)
            return jfail(r, "a slice with %s in it", jtype_name(&at[i]));
    *step = at[2].type == J_NONE ? 1 : given[2];
    if (*step == 0)
        return jfail(r, "a slice with step 0");
    int64_t low = *step < 0 ? -1 : 0, high = *step < 0 ? n - 1 : n, *to[2] = {start, stop};
    for (int i = 0; i < 2; i++) {
        int64_t x = at[i].type == J_NONE ? ((*step < 0) == (i == 0) ? high : low) : given[i];
        if (at[i].type != J_NONE && x < 0)
            x = x < -n ? low : x + n;
        *to[i] = x < low ? low : x > high ? high : x;
    }
    return true;
}

static bool slice_list(struct jrun *r, const struct jval *v, size_t n, int64_t start, int64_t step, struct jval *out)
{
    if (!jlist_new(r, n, out))
        return false;
    out->l->tuple = v->l->tuple;
    for (size_t i = 0; i < n; i++, start += step)
        out->l->v[i] = v->l->v[start];
    return true;
}

/* The characters start, start + step, ... (n of them). One run of characters is a cut, not a copy. */
static bool slice_str(struct jrun *r, struct jstr s, size_t n, int64_t start, int64_t step, struct jval *out)
{
    struct jval *chars;
    uint32_t n_chars;
    if (step == 1) {
        size_t from = 0, to, k = 0;
        for (; from < s.n && (int64_t)k < start; k++)
            from += jstr_char(s, from).n;
        for (to = from, k = 0; to < s.n && k < n; k++)
            to += jstr_char(s, to).n;
        *out = jstr_val(jstr_cut(s, from, to));
        return jstep(r, s.n / 16);
    }
    struct jval all = jstr_val(s);
    if (!jitems(r, &all, &chars, &n_chars))
        return false;
    struct jstr *parts = jnew(r, n, sizeof *parts);
    if (!parts || !jstep(r, n))
        return false;
    for (size_t i = 0; i < n; i++, start += step)
        parts[i] = chars[start].s;
    out->type = J_STR;
    if (!jstr_concat(r, parts, n, &out->s))
        return false;
    out->s.markup = s.markup;
    return true;
}

bool jslice(struct jrun *r, const struct jval *v, const struct jval at[3], struct jval *out)
{
    int64_t n, start = 0, stop = 0, step = 1;
    if (v->type == J_UNDEF)
        return jfail(r, "\"%.*s\" is undefined, so it cannot be sliced", (int)(v->s.n < 64 ? v->s.n : 64), v->s.p ? v->s.p : "");
    if (v->type != J_LIST && v->type != J_STR)
        return jfail(r, "%s cannot be sliced", jtype_name(v));
    if (!jlength(r, v, &n) || !jslice_indices(r, at, n, &start, &stop, &step))
        return false;
    uint64_t span = step > 0 ? (stop > start ? (uint64_t)(stop - start) : 0) : (start > stop ? (uint64_t)(start - stop) : 0);
    uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    size_t count = span ? (size_t)((span - 1) / stride + 1) : 0;
    if (count <= 1)
        step = 1;
    return v->type == J_LIST ? slice_list(r, v, count, start, step, out) : slice_str(r, v->s, count, start, step, out);
}
