/* The functions that every template has: raise_exception, range, namespace, dict, strftime_now, cycler, joiner. */
#include "text/jinja/jinja.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool fn_raise(struct jrun *r, const struct jargs *a, struct jval *out)
{
    struct jval what;
    struct jstr s = {0};
    if (!jargs_fit(r, STR("raise_exception"), a, "message", 1) || (jarg(a, 0, "message", &what) && !jto_str(r, &what, &s)))
        return false;
    *out = jnone();
    return jfail(r, "the model's template refuses this conversation: %.*s", (int)(s.n < 300 ? s.n : 300), s.p ? s.p : "");
}

static bool fn_range(struct jrun *r, const struct jargs *a, struct jval *out)
{
    int64_t v[3] = {0, 0, 1};
    if (!jargs_fit(r, STR("range"), a, "- - -", 1))
        return false;
    for (uint32_t i = 0; i < a->n; i++)
        if (!jinteger(&a->pos[i], &v[a->n == 1 ? 1 : i]))
            return jfail(r, "range() of %s", jtype_name(&a->pos[i]));
    if (v[2] == 0)
        return jfail(r, "range() with step 0");
    bool up = v[2] > 0;
    uint64_t span = up ? (v[1] > v[0] ? (uint64_t)v[1] - (uint64_t)v[0] : 0) : (v[0] > v[1] ? (uint64_t)v[0] - (uint64_t)v[1] : 0);
    uint64_t stride = up ? (uint64_t)v[2] : 0 - (uint64_t)v[2], n = span ? (span - 1) / stride + 1 : 0;
    if (n > JINJA_RANGE_MAX)
        return jfail(r, "range() of %llu numbers, the limit is %d", (unsigned long long)n, JINJA_RANGE_MAX);
    if (!jlist_new(r, (size_t)n, out) || !jstep(r, (size_t)n))
        return false;
    for (uint64_t i = 0; i < n; i++)
        out->l->v[i] = jint((int64_t)((uint64_t)v[0] + i * (uint64_t)v[2]));
    return true;
}

/* The pairs of a dict, or of a list of pairs, go into d. */
static bool add_pairs(struct jrun *r, const struct jval *from, struct jdict *d)
{
    struct jval *items, *pair;
    uint32_t n, two;
    for (uint32_t i = 0; from->type == J_DICT && i < from->d->n; i++)
        if (!jdict_set(r, d, from->d->k[i], from->d->v[i]))
            return false;
    if (from->type == J_DICT)
        return true;
    if (!jitems(r, from, &items, &n))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!jitems(r, &items[i], &pair, &two))
            return false;
        if (two != 2)
            return jfail(r, "dict() and namespace() take a dict or a list of pairs");
        if (!jdict_set(r, d, pair[0], pair[1]))
            return false;
    }
    return true;
}

static bool fn_dict(struct jrun *r, const struct jargs *a, struct jval *out)
{
    if (a->n > 1)
        return jfail(r, "dict() and namespace() take one dict and names with values");
    if (!jdict_new(r, a->n_kw, out) || (a->n && !add_pairs(r, &a->pos[0], out->d)))
        return false;
    for (uint32_t i = 0; i < a->n_kw; i++) {
        struct jstr name = {a->kw[i].name.p, NULL, (uint32_t)a->kw[i].name.n, true, false};
        if (!jdict_set(r, out->d, jstr_val(name), a->kw[i].v))
            return false;
    }
    return true;
}

static bool fn_namespace(struct jrun *r, const struct jargs *a, struct jval *out)
{
    if (!fn_dict(r, a, out))
        return false;
    out->type = J_NS;
    return true;
}

/* Only dates, and only what cannot make the answer long: %Y %m %d %H %M %S %B %b %A %a %j %p %I %y %e %F %T %Z and %%, with %- too. UTC. */
static bool fn_strftime(struct jrun *r, const struct jargs *a, struct jval *out)
{
    struct jval v;
    char format[128], text[512];
    if (!jargs_fit(r, STR("strftime_now"), a, "format", 1))
        return false;
    if (!jarg(a, 0, "format", &v) || v.type != J_STR || v.s.n >= sizeof format)
        return jfail(r, "strftime_now() takes a format of up to %zu bytes", sizeof format - 1);
    memcpy(format, v.s.p ? v.s.p : "", v.s.n);
    format[v.s.n] = 0;
    for (size_t i = 0; i < v.s.n; i++) {
        if (format[i] == 0)
            return jfail(r, "strftime_now() with a NUL in its format");
        if (format[i] != '%')
            continue;
        i += format[i + 1] == '-' ? 2 : 1;
        if (!format[i] || !strchr("YmdHMSBbAajpIyeFTZ%", format[i]))
            return jfail(r, "strftime_now() with a format that is not available");
    }
    time_t t = (time_t)(r->now_us / 1000000);
    struct tm tm;
    if (!gmtime_r(&t, &tm))
        return jfail(r, "strftime_now() at a time out of range");
    size_t n = strftime(text, sizeof text, format, &tm);
    char *copy = jnew(r, n + 1, 1);
    if (!copy)
        return false;
    memcpy(copy, text, n);
    *out = jstr_val(jstr_data(copy, n));
    return true;
}

/* cycler(a, b, ...): next() gives one after the other, current is the next, reset() begins again. */
static bool fn_cycler(struct jrun *r, const struct jargs *a, struct jval *out)
{
    struct jobj *o = a->n && !a->n_kw ? jnew(r, 1, sizeof *o) : NULL;
    if (!a->n || a->n_kw)
        return jfail(r, "cycler() takes the values that it cycles through");
    if (!o)
        return false;
    *o = (struct jobj){.items = a->pos, .n = a->n};
    *out = (struct jval){.type = J_OBJ, .obj = o};
    return true;
}

/* joiner(sep=", "): nothing when it is called first, then sep. */
static bool fn_joiner(struct jrun *r, const struct jargs *a, struct jval *out)
{
    struct jobj *o = jnew(r, 1, sizeof *o);
    struct jval *sep = o ? jnew(r, 1, sizeof *sep) : NULL;
    if (!sep || !jargs_fit(r, STR("joiner"), a, "sep", 0))
        return false;
    *sep = jstr_val(jstr_lit(", "));
    jarg(a, 0, "sep", sep);
    *o = (struct jobj){.joiner = true, .items = sep, .n = 1};
    *out = (struct jval){.type = J_OBJ, .obj = o};
    return true;
}

bool jobj_call(struct jrun *r, struct jobj *o, struct str method, const struct jargs *a, struct jval *out)
{
    *out = jnone();
    if (a->n || a->n_kw)
        return jfail(r, "joiners and the methods of cyclers take no arguments");
    if (o->joiner && !method.n) {
        *out = o->at++ ? o->items[0] : jstr_val(jstr_lit(""));
        o->at = 1;
        return true;
    }
    if (!o->joiner && str_eqz(method, "next")) {
        *out = o->items[o->at];
        o->at = (o->at + 1) % o->n;
        return true;
    }
    if (!o->joiner && str_eqz(method, "reset"))
        return o->at = 0, true;
    return jfail(r, "an object has no method %.*s()", (int)(method.n < 32 ? method.n : 32), method.p ? method.p : "");
}

static const struct jfunc functions[] = {
    {"raise_exception", fn_raise}, {"range", fn_range},   {"namespace", fn_namespace}, {"dict", fn_dict},
    {"strftime_now", fn_strftime}, {"cycler", fn_cycler}, {"joiner", fn_joiner},
};

const struct jfunc *jfunc_find(struct str name)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (str_eqz(name, functions[i].name))
            return &functions[i];
    return NULL;
}
