/* Methods of dicts, lists, loops and objects: those of Python that change nothing. */
#include "text/jinja/jinja.h"
#include <string.h>

static const char *const dict_methods[] = {"items", "keys", "values", "get", "copy", NULL}, *const list_methods[] = {"index", "count", "copy", NULL},
                         *const loop_methods[] = {"cycle", "changed", NULL}, *const cycler_methods[] = {"next", "reset", NULL};

static bool is_in(const char *const list[], struct str name)
{
    for (; *list; list++)
        if (str_eqz(name, *list))
            return true;
    return false;
}

bool jmethod_known(const struct jval *self, struct str name)
{
    switch (self->type) {
    case J_STR: return jstr_method_known(name);
    case J_DICT: return is_in(dict_methods, name);
    case J_LIST: return is_in(list_methods, name) && !(self->l->tuple && str_eqz(name, "copy"));
    case J_LOOP: return is_in(loop_methods, name);
    case J_OBJ: return !self->obj->joiner && is_in(cycler_methods, name);
    default: return false;
    }
}

static bool dict_list(struct jrun *r, const struct jdict *d, char what, struct jval *out)
{
    if (!jlist_new(r, d->n, out))
        return false;
    for (uint32_t i = 0; i < d->n; i++) {
        struct jval *to = &out->l->v[i];
        if (what != 'i') {
            *to = what == 'k' ? d->k[i] : d->v[i];
            continue;
        }
        if (!jtuple_new(r, 2, to))
            return false;
        to->l->v[0] = d->k[i];
        to->l->v[1] = d->v[i];
    }
    return true;
}

static bool dict_method(struct jrun *r, const struct jval *self, struct str name, const struct jargs *a, struct jval *out)
{
    bool found, get = str_eqz(name, "get");
    if (!jargs_fit(r, name, a, get ? "- -" : "", get))
        return false;
    if (str_eqz(name, "copy"))
        return *out = *self, true; /* nothing can change either */
    if (!get)
        return dict_list(r, self->d, name.p[0], out);
    if (!jdict_get(r, self->d, &a->pos[0], out, &found))
        return false;
    if (!found)
        *out = a->n > 1 ? a->pos[1] : jnone();
    return true;
}

static bool changed(struct jrun *r, struct jloop *l, const struct jargs *a, struct jval *out)
{
    struct jval now;
    bool same = false;
    if (!jtuple_new(r, a->n, &now))
        return false;
    if (a->n)
        memcpy(now.l->v, a->pos, a->n * sizeof *a->pos);
    if (l->had_last && !jequal(r, &l->last, &now, &same))
        return false;
    l->had_last = true;
    l->last = now;
    *out = jbool(!same);
    return true;
}

static bool loop_method(struct jrun *r, struct jloop *l, struct str name, const struct jargs *a, struct jval *out)
{
    if (str_eqz(name, "changed") && !a->n_kw)
        return changed(r, l, a, out);
    if (!a->n || a->n_kw)
        return jfail(r, "loop.cycle() takes the values that it cycles through");
    *out = a->pos[l->i % a->n];
    return true;
}

static bool list_method(struct jrun *r, const struct jval *self, struct str name, const struct jargs *a, struct jval *out)
{
    const struct jlist *l = self->l;
    bool index = str_eqz(name, "index"), same;
    int64_t hits = 0, start = 0, stop = l->n, step;
    struct jval at[3] = {jnone(), jnone(), jnone()};
    if (!jargs_fit(r, name, a, index ? "- - -" : str_eqz(name, "copy") ? "" : "-", !str_eqz(name, "copy")))
        return false;
    if (str_eqz(name, "copy"))
        return *out = *self, true;
    for (uint32_t i = 1; i < a->n; i++)
        at[i - 1] = a->pos[i];
    if (!jslice_indices(r, at, l->n, &start, &stop, &step))
        return false;
    for (int64_t i = start; i < stop; i++) {
        if (!jequal(r, &l->v[i], &a->pos[0], &same))
            return false;
        if (same && index)
            return *out = jint(i), true;
        hits += same;
    }
    *out = jint(hits);
    return !index || jfail(r, "index() of what is not in the list");
}

bool jmethod(struct jrun *r, const struct jval *self, struct str name, const struct jargs *a, struct jval *out)
{
    struct jval f, in = *self; /* out may be self */
    if (in.type == J_STR)
        return jstr_method(r, in.s, name, a, out);
    if (jmethod_known(&in, name))
        switch (in.type) {
        case J_DICT: return dict_method(r, &in, name, a, out);
        case J_LIST: return list_method(r, &in, name, a, out);
        case J_LOOP: return loop_method(r, in.loop, name, a, out);
        default: return jobj_call(r, in.obj, name, a, out);
        }
    if (in.type == J_LIST || in.type == J_OBJ || in.type == J_LOOP)
        return jfail(r, "%s has no method %.*s(); templates cannot change their values", jtype_name(&in), (int)(name.n < 32 ? name.n : 32), name.p);
    return jattr(r, &in, name, &f) && jcall(r, &f, a, out);
}
