/* Variables, calls of macros and of the functions that templates have. */
#include "text/jinja/jinja.h"
#include "base/clock.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

bool jbind(struct jrun *r, struct jframe *f, uint32_t name, struct jval v)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (f->b[i].name == name) {
            f->b[i].v = v;
            return true;
        }
    if (f->n == f->cap) {
        uint32_t      cap = f->cap ? f->cap * 2 : 8; /* at most one for each of JINJA_NAMES_MAX names */
        struct jbind *bigger = jnew(r, cap, sizeof *bigger);
        if (!bigger)
            return false;
        if (f->n)
            memcpy(bigger, f->b, f->n * sizeof *bigger);
        f->b = bigger;
        f->cap = cap;
    }
    f->b[f->n++] = (struct jbind){name, v};
    return true;
}

bool jargs_eval(struct jrun *r, const struct jnode *list, struct jargs *out)
{
    size_t n = 0;
    *out = (struct jargs){0};
    for (const struct jnode *x = list; x; x = x->next)
        n++;
    if (n > JINJA_ARGS_MAX)
        return jfail(r, "more than %d arguments", JINJA_ARGS_MAX);
    if (n == 0)
        return true;
    if (!(out->pos = jnew(r, n, sizeof *out->pos)) || !(out->kw = jnew(r, n, sizeof *out->kw)))
        return false;
    for (const struct jnode *x = list; x; x = x->next) {
        bool         kw = x->kind == X_KWARG;
        struct jval *to = kw ? &out->kw[out->n_kw].v : &out->pos[out->n];
        if (!jeval(r, kw ? x->a : x, to))
            return false;
        if (kw)
            out->kw[out->n_kw++].name = jstr_raw(x->val.s);
        else
            out->n++;
    }
    return true;
}

bool jarg(const struct jargs *a, uint32_t i, const char *name, struct jval *out)
{
    if (i < a->n) {
        *out = a->pos[i];
        return true;
    }
    for (uint32_t k = 0; name && k < a->n_kw; k++)
        if (str_eqz(a->kw[k].name, name)) {
            *out = a->kw[k].v;
            return true;
        }
    return false;
}

/* ---- functions ---- */

static bool fn_raise(struct jrun *r, const struct jargs *a, struct jval *out)
{
    struct jval what;
    struct jstr s = {0};
    if (jarg(a, 0, "message", &what) && !jto_str(r, &what, &s))
        return false;
    *out = jnone();
    return jfail(r, "the model's template refuses this conversation: %.*s", (int)(s.n < 300 ? s.n : 300), s.p ? s.p : "");
}

static bool fn_range(struct jrun *r, const struct jargs *a, struct jval *out)
{
    int64_t v[3] = {0, 0, 1};
    if (a->n < 1 || a->n > 3 || a->n_kw)
        return jfail(r, "range() takes one to three numbers");
    for (uint32_t i = 0; i < a->n; i++) {
        if (a->pos[i].type != J_INT)
            return jfail(r, "range() of %s", jtype_name(&a->pos[i]));
        v[a->n == 1 ? 1 : i] = a->pos[i].i;
    }
    if (v[2] == 0)
        return jfail(r, "range() with step 0");
    bool     up = v[2] > 0;
    uint64_t span = up ? (v[1] > v[0] ? (uint64_t)v[1] - (uint64_t)v[0] : 0) : (v[0] > v[1] ? (uint64_t)v[0] - (uint64_t)v[1] : 0);
    uint64_t stride = up ? (uint64_t)v[2] : 0 - (uint64_t)v[2], n = span ? (span - 1) / stride + 1 : 0;
    if (n > JINJA_LIST_MAX)
        return jfail(r, "range() of %llu numbers, the limit is %d", (unsigned long long)n, JINJA_LIST_MAX);
    if (!jlist_new(r, (size_t)n, out) || !jstep(r, (size_t)n))
        return false;
    for (uint64_t i = 0; i < n; i++)
        out->l->v[i] = jint((int64_t)((uint64_t)v[0] + i * (uint64_t)v[2]));
    return true;
}

static bool fn_dict(struct jrun *r, const struct jargs *a, struct jval *out)
{
    uint32_t from = a->n == 1 && a->pos[0].type == J_DICT ? a->pos[0].d->n : 0;
    if (a->n > 1 || (a->n == 1 && a->pos[0].type != J_DICT))
        return jfail(r, "dict() and namespace() take a dict and names with values");
    if (!jdict_new(r, (size_t)from + a->n_kw, out))
        return false;
    for (uint32_t i = 0; i < from; i++)
        if (!jdict_set(r, out->d, a->pos[0].d->k[i], a->pos[0].d->v[i]))
            return false;
    for (uint32_t i = 0; i < a->n_kw; i++) {
        struct jstr name = {a->kw[i].name.p, NULL, (uint32_t)a->kw[i].name.n, true};
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
    char        format[128], text[512];
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
    time_t    t = (time_t)(r->now_us / 1000000);
    struct tm tm;
    if (!gmtime_r(&t, &tm))
        return jfail(r, "strftime_now() at a time out of range");
    size_t n = strftime(text, sizeof text, format, &tm);
    char  *copy = jnew(r, n + 1, 1);
    if (!copy)
        return false;
    memcpy(copy, text, n);
    *out = jstr_val(jstr_data(copy, n));
    return true;
}

static const struct jfunc functions[] = {
    {"raise_exception", fn_raise}, {"range", fn_range}, {"namespace", fn_namespace}, {"dict", fn_dict}, {"strftime_now", fn_strftime},
};

bool jlookup(struct jrun *r, const struct jnode *name, struct jval *out)
{
    size_t cost = 0;
    for (const struct jframe *f = r->frame; f; f = f->parent)
        for (uint32_t i = 0; i < f->n; i++, cost++)
            if (f->b[i].name == name->name) {
                *out = f->b[i].v;
                return jstep(r, cost / 32);
            }
    struct str s = jstr_raw(name->val.s);
    if (str_starts(s, "__"))
        return jfail(r, "the name %.*s is not available", (int)(s.n < 32 ? s.n : 32), s.p);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (str_eqz(s, functions[i].name)) {
            *out = (struct jval){.type = J_FUNC, .fn = &functions[i]};
            return true;
        }
    *out = jundef(name->val.s);
    return jstep(r, cost / 32);
}

/* ---- macros ---- */

static bool bind_params(struct jrun *r, const struct jmacro *m, const struct jargs *a, struct jframe *f)
{
    uint32_t i = 0, used_kw = 0;
    for (const struct jnode *p = m->params; p; p = p->next, i++) {
        struct jval v;
        bool        given = i < a->n;
        if (given)
            v = a->pos[i];
        for (uint32_t k = 0; !given && k < a->n_kw; k++)
            if (str_eq(a->kw[k].name, jstr_raw(p->val.s)))
                v = a->kw[k].v, given = true, used_kw++;
        if (!given) {
            struct jframe *before = r->frame;
            v = jundef(p->val.s);
            r->frame = f; /* a default may name an earlier parameter */
            bool ok = !p->a || jeval(r, p->a, &v);
            r->frame = before;
            if (!ok)
                return false;
        }
        if (!jbind(r, f, p->name, v))
            return false;
    }
    if (a->n > i || used_kw < a->n_kw)
        return jfail(r, "the macro %.*s got arguments that it does not take", (int)(m->name.n < 64 ? m->name.n : 64), m->name.p ? m->name.p : "");
    return true;
}

static bool call_macro(struct jrun *r, const struct jmacro *m, const struct jargs *a, struct jval *out)
{
    struct jframe *f = jnew(r, 1, sizeof *f);
    if (!f)
        return false;
    f->parent = m->frame;
    if (!bind_params(r, m, a, f) || (m->has_caller && !jbind(r, f, r->caller_name, m->caller)))
        return false;
    out->type = J_STR;
    return jcapture(r, m->body, f, &out->s);
}

bool jcall(struct jrun *r, const struct jval *f, const struct jargs *a, struct jval *out)
{
    if (f->type == J_FUNC)
        return f->fn->call(r, a, out);
    if (f->type == J_MACRO)
        return call_macro(r, f->m, a, out);
    if (f->type == J_UNDEF)
        return jfail(r, "\"%.*s\" is undefined and cannot be called", (int)(f->s.n < 64 ? f->s.n : 64), f->s.p ? f->s.p : "");
    return jfail(r, "%s cannot be called", jtype_name(f));
}
