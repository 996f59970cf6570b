/* Variables, arguments, calls. */
#include "text/jinja/jinja.h"
#include <string.h>

bool jbind(struct jrun *r, struct jframe *f, uint32_t name, struct jval v)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (f->b[i].name == name) {
            f->b[i].v = v;
            return true;
        }
    if (f->n == f->cap) {
        uint32_t cap = f->cap ? f->cap * 2 : 8; /* at most one for each of JINJA_NAMES_MAX names */
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

static bool add_kw(struct jrun *r, struct jargs *a, struct str name, struct jval v)
{
    for (uint32_t i = 0; i < a->n_kw; i++)
        if (str_eq(a->kw[i].name, name))
            return jfail(r, "the argument %.*s is given twice", (int)(name.n < 64 ? name.n : 64), name.p);
    a->kw[a->n_kw].name = name;
    a->kw[a->n_kw++].v = v;
    return true;
}

/* How many arguments x stands for; its value is in v. */
static bool spread(struct jrun *r, const struct jnode *x, struct jval *v, size_t *pos, size_t *kw)
{
    struct jval *items;
    uint32_t n;
    if (!jeval(r, x->kind == X_KWARG || x->kind == X_SPREAD ? x->a : x, v))
        return false;
    if (x->kind == X_KWARG)
        ++*kw;
    else if (x->kind != X_SPREAD)
        ++*pos;
    else if (x->op == 2) {
        if (v->type != J_DICT)
            return jfail(r, "** takes a dict, not %s", jtype_name(v));
        *kw += v->d->n;
    } else {
        if (!jitems(r, v, &items, &n))
            return false;
        *pos += n;
    }
    return true;
}

static bool add_arg(struct jrun *r, const struct jnode *x, const struct jval *v, struct jargs *a)
{
    struct jval *items;
    uint32_t n;
    if (x->kind == X_KWARG)
        return add_kw(r, a, jstr_raw(x->val.s), *v);
    if (x->kind != X_SPREAD)
        return a->pos[a->n++] = *v, true;
    if (x->op != 2) {
        if (!jitems(r, v, &items, &n))
            return false;
        for (uint32_t i = 0; i < n; i++)
            a->pos[a->n++] = items[i];
        return true;
    }
    for (uint32_t i = 0; i < v->d->n; i++) {
        const struct jval *k = &v->d->k[i];
        if (k->type != J_STR)
            return jfail(r, "** of a dict with %s as a key", jtype_name(k));
        if (!add_kw(r, a, jstr_raw(k->s), v->d->v[i]))
            return false;
    }
    return true;
}

bool jargs_eval(struct jrun *r, const struct jnode *list, struct jargs *out)
{
    size_t nodes = 0, n = 0, n_kw = 0, i = 0;
    *out = (struct jargs){0};
    for (const struct jnode *x = list; x; x = x->next)
        nodes++;
    if (nodes == 0)
        return true;
    struct jval *v = nodes <= JINJA_ARGS_MAX ? jnew(r, nodes, sizeof *v) : NULL;
    for (const struct jnode *x = list; v && x; x = x->next)
        if (!spread(r, x, &v[i++], &n, &n_kw))
            return false;
    if (nodes > JINJA_ARGS_MAX || n > JINJA_ARGS_MAX || n_kw > JINJA_ARGS_MAX)
        return jfail(r, "more than %d arguments", JINJA_ARGS_MAX);
    if (!v || !(out->pos = jnew(r, n + 1, sizeof *out->pos)) || !(out->kw = jnew(r, n_kw + 1, sizeof *out->kw)))
        return false;
    i = 0;
    for (const struct jnode *x = list; x; x = x->next)
        if (!add_arg(r, x, &v[i++], out))
            return false;
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
    const struct jfunc *fn = jfunc_find(s);
    *out = fn ? (struct jval){.type = J_FUNC, .fn = fn} : jundef(name->val.s);
    return jstep(r, cost / 32);
}

static bool has_name(const char *params, struct str name)
{
    for (struct str rest = str_of(params); rest.p;)
        if (str_eq(str_split(&rest, ' '), name))
            return true;
    return false;
}

bool jargs_fit(struct jrun *r, struct str what, const struct jargs *a, const char *params, uint32_t needed)
{
    uint32_t n = 0;
    struct jval ignored;
    int len = (int)(what.n < 32 ? what.n : 32);
    for (struct str rest = str_of(params); rest.n; n++) {
        struct str one = str_split(&rest, ' ');
        for (uint32_t k = 0; k < a->n_kw; k++)
            if (n < a->n && str_eq(a->kw[k].name, one))
                return jfail(r, "%.*s() got %.*s twice", len, what.p, (int)one.n, one.p);
        char name[32];
        if (n < needed && n >= a->n && !(str_fmt(name, sizeof name, "%.*s", (int)one.n, one.p) && jarg(a, UINT32_MAX, name, &ignored)))
            return jfail(r, "%.*s() takes at least %u arguments", len, what.p, needed);
    }
    if (a->n > n)
        return jfail(r, "%.*s() takes at most %u arguments", len, what.p, n);
    for (uint32_t k = 0; k < a->n_kw; k++)
        if (str_eqz(a->kw[k].name, "-") || !has_name(params, a->kw[k].name))
            return jfail(r, "%.*s() does not take %.*s=", len, what.p, (int)(a->kw[k].name.n < 32 ? a->kw[k].name.n : 32), a->kw[k].name.p);
    return true;
}

/* ---- macros ---- */

static bool is_param(const struct jmacro *m, struct str name)
{
    for (const struct jnode *p = m->params; p; p = p->next)
        if (str_eq(jstr_raw(p->val.s), name))
            return true;
    return false;
}

/* What no parameter took: varargs and kwargs, where the macro's body names them. */
static bool bind_rest(struct jrun *r, const struct jmacro *m, const struct jargs *a, uint32_t n_params, struct jframe *f)
{
    struct jval varargs, kwargs;
    uint32_t more = a->n > n_params ? a->n - n_params : 0, more_kw = 0;
    for (uint32_t k = 0; k < a->n_kw; k++)
        more_kw += !is_param(m, a->kw[k].name);
    if ((more && !(m->hidden & MACRO_VARARGS)) || (more_kw && !(m->hidden & MACRO_KWARGS)))
        return jfail(r, "the macro %.*s got arguments that it does not take", (int)(m->name.n < 64 ? m->name.n : 64), m->name.p ? m->name.p : "");
    if (m->hidden & MACRO_VARARGS) {
        if (!jtuple_new(r, more, &varargs) || !jbind(r, f, r->varargs_name, varargs))
            return false;
        for (uint32_t i = 0; i < more; i++)
            varargs.l->v[i] = a->pos[n_params + i];
    }
    if (!(m->hidden & MACRO_KWARGS))
        return true;
    if (!jdict_new(r, more_kw, &kwargs))
        return false;
    for (uint32_t k = 0; k < a->n_kw; k++) {
        struct str name = a->kw[k].name;
        struct jval key = jstr_val((struct jstr){name.p, NULL, (uint32_t)name.n, true, false});
        if (!is_param(m, name) && !jdict_set(r, kwargs.d, key, a->kw[k].v))
            return false;
    }
    return jbind(r, f, r->kwargs_name, kwargs);
}

/* The value of the i-th parameter p: given by place, by name, or its default, which may name earlier parameters. */
static bool param(struct jrun *r, const struct jmacro *m, const struct jnode *p, const struct jargs *a, uint32_t i, struct jframe *f,
                  struct jval *out)
{
    struct jval *named = NULL;
    (void)m;
    for (uint32_t k = 0; !named && k < a->n_kw; k++)
        if (str_eq(a->kw[k].name, jstr_raw(p->val.s)))
            named = &a->kw[k].v;
    if (named && i < a->n)
        return jfail(r, "a macro got its argument %.*s twice", (int)(p->val.s.n < 64 ? p->val.s.n : 64), p->val.s.p);
    *out = i < a->n ? a->pos[i] : named ? *named : jundef(p->val.s);
    if (i < a->n || named || !p->a)
        return true;
    struct jframe *before = r->frame;
    r->frame = f;
    bool ok = jeval(r, p->a, out);
    r->frame = before;
    return ok;
}

static bool bind_params(struct jrun *r, const struct jmacro *m, const struct jargs *a, struct jframe *f)
{
    uint32_t i = 0;
    for (const struct jnode *p = m->params; p; p = p->next, i++) {
        struct jval v;
        if (!param(r, m, p, a, i, f, &v) || !jbind(r, f, p->name, v))
            return false;
    }
    return bind_rest(r, m, a, i, f);
}

static bool call_macro(struct jrun *r, const struct jmacro *m, const struct jargs *a, struct jval *out)
{
    struct jframe *f = jnew(r, 1, sizeof *f);
    if (!f)
        return false;
    f->parent = m->frame;
    if (!bind_params(r, m, a, f) ||
        ((m->hidden & MACRO_CALLER) && !jbind(r, f, r->caller_name, m->has_caller ? m->caller : jundef(jstr_lit("caller")))))
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
    if (f->type == J_METHOD)
        return jmethod(r, &f->method->self, f->method->name, a, out);
    if (f->type == J_LOOP)
        return jloop_call(r, f->loop, a, out);
    if (f->type == J_OBJ)
        return jobj_call(r, f->obj, (struct str){0}, a, out);
    if (f->type == J_UNDEF)
        return jfail(r, "\"%.*s\" is undefined and cannot be called", (int)(f->s.n < 64 ? f->s.n : 64), f->s.p ? f->s.p : "");
    return jfail(r, "%s cannot be called", jtype_name(f));
}
