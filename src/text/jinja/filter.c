/* Filters of single values, and the lookup of all. */
#include "text/jinja/jinja.h"
#include <math.h>
#include <string.h>

static bool by_case(struct jrun *r, const struct jval *v, char how, struct jval *out)
{
    struct jval s = {.type = J_STR};
    return jto_str(r, v, &s.s) && jstr_case(r, s.s, how, &s.s) && (*out = s, true);
}

static bool f_upper(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    return (void)a, by_case(r, v, 'U', out);
}
static bool f_lower(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    return (void)a, by_case(r, v, 'L', out);
}
static bool f_title(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    return (void)a, by_case(r, v, 'W', out);
}
static bool f_capitalize(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    return (void)a, by_case(r, v, 'C', out);
}

static bool f_trim(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval set = jnone(), s = {.type = J_STR};
    jarg(a, 0, "chars", &set);
    if (set.type != J_NONE && set.type != J_STR)
        return jfail(r, "trim takes a text of characters, not %s", jtype_name(&set));
    if (!jto_str(r, v, &s.s) || !jstr_strip(r, s.s, set.type == J_STR ? &set.s : NULL, true, true, &s.s))
        return false;
    *out = s;
    return true;
}

/* replace(old, new, count=None): whatever the values are, their texts. */
static bool f_replace(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval old = jnone(), new = jnone(), count = jnone(), s = {.type = J_STR};
    struct jstr from, to;
    int64_t n = -1;
    jarg(a, 0, "old", &old);
    jarg(a, 1, "new", &new);
    if (jarg(a, 2, "count", &count) && count.type != J_NONE && !jinteger(&count, &n))
        return jfail(r, "replace takes a count, not %s", jtype_name(&count));
    if (!jto_str(r, v, &s.s) || !jto_str(r, &old, &from) || !jto_str(r, &new, &to) || !jstr_replace(r, s.s, from, to, n, &s.s))
        return false;
    *out = s;
    return true;
}

static bool f_string(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval s = {.type = J_STR};
    (void)a;
    return jto_str(r, v, &s.s) && (*out = s, true);
}

static bool f_default(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval also_false;
    (void)r;
    bool take = v->type == J_UNDEF || (jarg(a, 1, "boolean", &also_false) && jtruthy(&also_false) && !jtruthy(v));
    *out = *v;
    if (take && !jarg(a, 0, "default_value", out))
        *out = jstr_val(jstr_lit(""));
    return true;
}

static bool f_length(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    (void)a;
    *out = jint(0);
    return jlength(r, v, &out->i);
}

static bool f_abs(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval zero = jint(0);
    int64_t i;
    (void)a;
    if (v->type == J_FLOAT)
        return *out = jreal(fabs(v->f)), true;
    if (!jinteger(v, &i))
        return jfail(r, "abs of %s", jtype_name(v));
    *out = jint(i);
    return i >= 0 || jarith(r, '-', &zero, v, out);
}

static const struct jfilter_row jfilters_value[] = {
    {"trim", f_trim, "chars", 0},
    {"upper", f_upper, "", 0},
    {"lower", f_lower, "", 0},
    {"title", f_title, "", 0},
    {"capitalize", f_capitalize, "", 0},
    {"replace", f_replace, "old new count", 2},
    {"string", f_string, "", 0},
    {"default", f_default, "default_value boolean", 0},
    {"d", f_default, "default_value boolean", 0},
    {"length", f_length, "", 0},
    {"count", f_length, "", 0},
    {"int", jfilter_int, "default base", 0},
    {"float", jfilter_float, "default", 0},
    {"round", jfilter_round, "precision method", 0},
    {"abs", f_abs, "", 0},
    {"tojson", jtojson, "ensure_ascii indent separators sort_keys", 0},
    {0},
};

static const struct jfilter_row *find(struct str name)
{
    const struct jfilter_row *const all[] = {jfilters_value, jfilters_text, jfilters_list, jfilters_sort, jfilters_choose};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        for (const struct jfilter_row *f = all[i]; f->name; f++)
            if (str_eqz(name, f->name))
                return f;
    return NULL;
}

bool jfilter_known(struct str name)
{
    return find(name) != NULL;
}

bool jfilter(struct jrun *r, struct str name, const struct jval *v, const struct jargs *a, struct jval *out)
{
    const struct jfilter_row *f = find(name);
    struct jval in = *v; /* out may be v */
    if (!f)
        return jfail(r, "there is no filter named %.*s", (int)(name.n < 32 ? name.n : 32), name.p);
    return (!f->params || jargs_fit(r, name, a, f->params, f->needed)) && f->fn(r, &in, a, out);
}
