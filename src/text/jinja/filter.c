/* Filters of single values; those of lists are in filter_list.c. */
#include "text/jinja/jinja.h"
#include <math.h>
#include <string.h>

typedef bool filter_fn(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out);

/* Most filters of texts take anything that can be printed. */
static bool as_method(struct jrun *r, const struct jval *v, const char *method, const struct jargs *a, struct jval *out)
{
    struct jval s = {.type = J_STR};
    return jto_str(r, v, &s.s) && jmethod(r, &s, str_of(method), a, out);
}

static bool f_trim(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out) { return as_method(r, v, "strip", a, out); }
static bool f_upper(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out) { return as_method(r, v, "upper", a, out); }
static bool f_lower(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out) { return as_method(r, v, "lower", a, out); }
static bool f_capitalize(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    return as_method(r, v, "capitalize", a, out);
}
static bool f_replace(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out) { return as_method(r, v, "replace", a, out); }
static bool f_split(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out) { return as_method(r, v, "split", a, out); }
static bool f_tojson(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out) { return jtojson(r, v, a, out); }

static bool f_title(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jstr s;
    (void)a;
    out->type = J_STR;
    return jto_str(r, v, &s) && jstr_case(r, s, 'W', &out->s);
}

static bool f_string(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    (void)a;
    struct jval s = {.type = J_STR};
    if (!jto_str(r, v, &s.s))
        return false;
    *out = s;
    return true;
}

static bool f_safe(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    (void)r, (void)a;
    *out = *v;
    return true;
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

/* int(default=0): Python's int() of texts and numbers; what it does not understand is the default. */
static bool f_int(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval dflt = jint(0);
    struct jstr s;
    double      d;
    int64_t     i;
    jarg(a, 0, "default", &dflt);
    *out = dflt;
    if (v->type == J_STR) {
        if (!jstr_strip(r, v->s, NULL, true, true, &s))
            return false;
        bool plus = s.n > 1 && s.p[0] == '+';
        if (str_i64((struct str){s.p + plus, s.n - plus}, &i))
            *out = jint(i);
        else if (str_f64(jstr_raw(s), &d) && fabs(d) < 9e18)
            *out = jint((int64_t)d);
    } else if (v->type == J_INT)
        *out = *v;
    else if (jnumber(v, &d) && fabs(d) < 9e18)
        *out = jint((int64_t)d);
    return true;
}

static bool f_float(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval dflt = {.type = J_FLOAT, .f = 0};
    struct jstr s;
    double      d;
    jarg(a, 0, "default", &dflt);
    *out = dflt;
    if (v->type == J_STR) {
        if (!jstr_strip(r, v->s, NULL, true, true, &s))
            return false;
        if (str_f64(jstr_raw(s), &d))
            *out = (struct jval){.type = J_FLOAT, .f = d};
    } else if (jnumber(v, &d))
        *out = (struct jval){.type = J_FLOAT, .f = d};
    return true;
}

static bool f_abs(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval zero = jint(0);
    (void)a;
    if (v->type == J_FLOAT)
        return *out = (struct jval){.type = J_FLOAT, .f = fabs(v->f)}, true;
    if (v->type == J_INT && v->i < 0)
        return jarith(r, '-', &zero, v, out);
    *out = *v;
    return v->type == J_INT || jfail(r, "abs of %s", jtype_name(v));
}

static bool f_round(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval places = jint(0), how = jstr_val(jstr_lit("common"));
    double      d, scale;
    jarg(a, 0, "precision", &places);
    jarg(a, 1, "method", &how);
    if (!jnumber(v, &d) || places.type != J_INT || places.i < 0 || places.i > 15 || how.type != J_STR)
        return jfail(r, "round takes a number, 0 to 15 places, and common, floor or ceil");
    scale = pow(10, (double)places.i);
    d *= scale;
    d = str_eqz(jstr_raw(how.s), "floor") ? floor(d) : str_eqz(jstr_raw(how.s), "ceil") ? ceil(d) : nearbyint(d);
    *out = (struct jval){.type = J_FLOAT, .f = d / scale};
    return true;
}

/* indent(width=4, first=False, blank=False) */
static bool f_indent(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval  width = jint(4), first = jbool(false), blank = jbool(false), lines, s = {.type = J_STR};
    struct jstr  newline = jstr_lit("\n"), pad, *parts;
    jarg(a, 0, "width", &width);
    jarg(a, 1, "first", &first);
    jarg(a, 2, "blank", &blank);
    if (!jto_str(r, v, &s.s))
        return false;
    if (width.type == J_STR)
        pad = width.s;
    else if (width.type != J_INT || width.i < 0 || width.i > 1024)
        return jfail(r, "indent takes a width of 0 to 1024");
    else if (!jstr_repeat(r, jstr_lit(" "), width.i, &pad))
        return false;
    if (!jstr_split(r, s.s, &newline, -1, false, &lines) || !(parts = jnew(r, lines.l->n * (size_t)3, sizeof *parts)))
        return false;
    size_t n = 0;
    for (uint32_t i = 0; i < lines.l->n; i++) {
        struct jstr line = lines.l->v[i].s;
        if (i)
            parts[n++] = newline;
        if (i == 0 ? jtruthy(&first) : line.n || jtruthy(&blank))
            parts[n++] = pad;
        parts[n++] = line;
    }
    out->type = J_STR;
    return jstr_concat(r, parts, n, &out->s);
}

static bool f_items(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jargs none = {0};
    (void)a;
    if (v->type == J_UNDEF)
        return jlist_new(r, 0, out);
    return v->type == J_DICT ? jmethod(r, v, STR("items"), &none, out) : jfail(r, "items of %s", jtype_name(v));
}

/* escape: the five characters of HTML. What comes out is data. */
static bool f_escape(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    static const char *const from[] = {"&", "<", ">", "'", "\""}, *const to[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    struct jval s = {.type = J_STR};
    (void)a;
    if (!jto_str(r, v, &s.s))
        return false;
    for (int i = 0; i < 5; i++)
        if (!jstr_replace(r, s.s, jstr_lit(from[i]), jstr_data(to[i], strlen(to[i])), -1, &s.s))
            return false;
    *out = s;
    return true;
}

bool jfilter(struct jrun *r, struct str name, const struct jval *v, const struct jargs *a, struct jval *out)
{
    static const struct { const char *name; filter_fn *fn; } table[] = {
        {"trim", f_trim},   {"upper", f_upper},     {"lower", f_lower}, {"title", f_title}, {"capitalize", f_capitalize}, {"replace", f_replace},
        {"split", f_split}, {"tojson", f_tojson},   {"string", f_string}, {"safe", f_safe}, {"default", f_default},       {"d", f_default},
        {"length", f_length}, {"count", f_length},  {"int", f_int},     {"float", f_float}, {"abs", f_abs},               {"round", f_round},
        {"indent", f_indent}, {"items", f_items},   {"escape", f_escape}, {"e", f_escape},
    };
    bool known;
    struct jval in = *v; /* out may be v */
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (str_eqz(name, table[i].name))
            return table[i].fn(r, &in, a, out);
    if (!jfilter_list(r, name, &in, a, out, &known))
        return false;
    return known || jfail(r, "there is no filter named %.*s", (int)(name.n < 32 ? name.n : 32), name.p);
}
