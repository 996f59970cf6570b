/* The walk over expressions. */
#include "text/jinja/jinja.h"
#include <string.h>

static bool loop_attr(const struct jloop *l, struct str name, struct jval *out)
{
    int64_t i = l->i, n = l->n;
    if (str_eqz(name, "index"))
        *out = jint(i + 1);
    else if (str_eqz(name, "index0"))
        *out = jint(i);
    else if (str_eqz(name, "revindex"))
        *out = jint(n - i);
    else if (str_eqz(name, "revindex0"))
        *out = jint(n - i - 1);
    else if (str_eqz(name, "first"))
        *out = jbool(i == 0);
    else if (str_eqz(name, "last"))
        *out = jbool(i == n - 1);
    else if (str_eqz(name, "length"))
        *out = jint(n);
    else if (str_eqz(name, "depth"))
        *out = jint(l->depth0 + (int64_t)1);
    else if (str_eqz(name, "depth0"))
        *out = jint(l->depth0);
    else if (str_eqz(name, "previtem") && i > 0)
        *out = l->items[i - 1];
    else if (str_eqz(name, "nextitem") && i < n - 1)
        *out = l->items[i + 1];
    else
        return false;
    return true;
}

static bool is_undefined(struct jrun *r, const struct jval *v, const char *what, struct str name)
{
    return jfail(r, "\"%.*s\" is undefined, so it has no %s\"%.*s\"", (int)(v->s.n < 64 ? v->s.n : 64), v->s.p ? v->s.p : "", what,
                 (int)(name.n < 64 ? name.n : 64), name.p);
}

static bool bound(struct jrun *r, const struct jval *self, struct str name, struct jval *out)
{
    struct jbound *b = jnew(r, 1, sizeof *b);
    if (!b)
        return false;
    *b = (struct jbound){*self, name};
    *out = (struct jval){.type = J_METHOD, .method = b};
    return true;
}

/* A macro tells its name and what it takes. */
static bool macro_attr(struct jrun *r, const struct jmacro *m, struct str name, struct jval *out)
{
    uint32_t n = 0;
    if (str_eqz(name, "name"))
        *out = jstr_val(m->name);
    else if (str_eqz(name, "catch_varargs") || str_eqz(name, "catch_kwargs") || str_eqz(name, "caller"))
        *out = jbool(m->hidden & (name.p[1] == 'a' && name.p[2] == 'l' ? MACRO_CALLER : name.p[6] == 'v' ? MACRO_VARARGS : MACRO_KWARGS));
    else if (str_eqz(name, "arguments")) {
        for (const struct jnode *p = m->params; p; p = p->next)
            n++;
        if (!jtuple_new(r, n, out))
            return false;
        n = 0;
        for (const struct jnode *p = m->params; p; p = p->next)
            out->l->v[n++] = jstr_val(p->val.s);
    }
    return true;
}

/* What a value has besides its items: methods, and the fields of loops, macros, groups and cyclers. Else *out stays. */
static bool own_attr(struct jrun *r, const struct jval *v, struct str name, struct jval *out)
{
    if (jmethod_known(v, name))
        return bound(r, v, name, out);
    if (v->type == J_LOOP)
        loop_attr(v->loop, name, out);
    else if (v->type == J_MACRO)
        return macro_attr(r, v->m, name, out);
    else if (v->type == J_OBJ && !v->obj->joiner && str_eqz(name, "current"))
        *out = v->obj->items[v->obj->at];
    else if (v->type == J_LIST && v->l->group && str_eqz(name, "grouper"))
        *out = v->l->v[0];
    else if (v->type == J_LIST && v->l->group && str_eqz(name, "list"))
        *out = v->l->v[1];
    return true;
}

/* value.name: an attribute of the value, else its item of that name. */
bool jattr(struct jrun *r, const struct jval *v, struct str name, struct jval *out)
{
    struct jval in = *v;
    bool found = false;
    if (str_starts(name, "__"))
        return jfail(r, "the attribute %.*s is not available", (int)(name.n < 32 ? name.n : 32), name.p);
    if (in.type == J_UNDEF)
        return is_undefined(r, &in, "", name);
    *out = jundef(jstr_data(name.p, name.n));
    if (!own_attr(r, &in, name, out))
        return false;
    return out->type != J_UNDEF || (in.type != J_DICT && in.type != J_NS) || jdict_gets(r, in.d, name, out, &found);
}

static bool text_item(struct jrun *r, const struct jval *v, int64_t i, struct jval *out)
{
    size_t n = jstr_chars(v->s);
    int64_t at = i < 0 ? i + (int64_t)n : i;
    if (at >= 0 && at < (int64_t)n)
        *out = jstr_val(jstr_char(v->s, jstr_at(v->s, (size_t)at)));
    return jstep(r, v->s.n / 16);
}

/* value[key]: the item of that key, else the attribute of that name. */
bool jitem(struct jrun *r, const struct jval *v, const struct jval *key, struct jval *out)
{
    struct jval in = *v, k = *key;
    int64_t i;
    bool found = false, may = false;
    if (in.type == J_UNDEF)
        return is_undefined(r, &in, "items, and no ", k.type == J_STR ? jstr_raw(k.s) : STR("item"));
    *out = jundef(k.type == J_STR ? k.s : jstr_lit("an item"));
    if (in.type == J_DICT && (!jhashable(r, &k, &may) || (may && !jdict_get(r, in.d, &k, out, &found))))
        return false;
    if (found)
        return true;
    if (k.type == J_STR)
        return jattr(r, &in, jstr_raw(k.s), out);
    if (in.type == J_LIST && jinteger(&k, &i)) {
        i = i < 0 ? i + in.l->n : i;
        if (i >= 0 && i < in.l->n)
            *out = in.l->v[i];
        return true;
    }
    return in.type != J_STR || !jinteger(&k, &i) || text_item(r, &in, i, out);
}

static size_t list_len(const struct jnode *n)
{
    size_t len = 0;
    for (; n; n = n->next)
        len++;
    return len;
}

/* A row of texts with + between is put together once. */
static bool eval_arith(struct jrun *r, const struct jnode *n, struct jval *out)
{
    size_t len = 1 + list_len(n->list), i = 1;
    struct jval *v = jnew(r, len, sizeof *v);
    bool texts = true;
    if (!v || !jeval(r, n->a, &v[0]))
        return false;
    texts = v[0].type == J_STR && !v[0].s.markup;
    for (const struct jnode *x = n->list; x; x = x->next, i++) {
        if (!jeval(r, x->a, &v[i]))
            return false;
        texts &= x->op == '+' && v[i].type == J_STR && !v[i].s.markup;
    }
    if (texts) {
        struct jstr *parts = jnew(r, len, sizeof *parts);
        for (i = 0; parts && i < len; i++)
            parts[i] = v[i].s;
        out->type = J_STR;
        return parts && jstr_concat(r, parts, len, &out->s);
    }
    i = 1;
    *out = v[0];
    for (const struct jnode *x = n->list; x; x = x->next, i++) {
        struct jval left = *out;
        r->line = x->line;
        if (!jarith(r, x->op, &left, &v[i], out))
            return false;
    }
    return true;
}

static bool eval_concat(struct jrun *r, const struct jnode *n, struct jval *out)
{
    size_t len = list_len(n->list), i = 0;
    struct jstr *parts = jnew(r, len, sizeof *parts);
    for (const struct jnode *x = n->list; parts && x; x = x->next, i++) {
        struct jval v;
        if (!jeval(r, x, &v) || !jto_str(r, &v, &parts[i]))
            return false;
    }
    out->type = J_STR;
    return parts && jstr_concat(r, parts, len, &out->s);
}

static bool eval_cmp(struct jrun *r, const struct jnode *n, struct jval *out)
{
    struct jval left, right;
    bool is = true;
    if (!jeval(r, n->a, &left))
        return false;
    for (const struct jnode *x = n->list; x && is; x = x->next, left = right) {
        if (!jeval(r, x->a, &right))
            return false;
        r->line = x->line;
        if (!jorder(r, x->op, &left, &right, &is))
            return false;
    }
    *out = jbool(is);
    return true;
}

/* The value of `and` and `or` is that of the operand that decided. */
static bool eval_logic(struct jrun *r, const struct jnode *n, bool until, struct jval *out)
{
    for (const struct jnode *x = n->list; x; x = x->next) {
        if (!jeval(r, x, out))
            return false;
        if (jtruthy(out) == until)
            break;
    }
    return true;
}

static bool eval_list(struct jrun *r, const struct jnode *n, struct jval *out)
{
    size_t i = 0;
    if (!jlist_new(r, list_len(n->list), out))
        return false;
    out->l->tuple = n->op;
    for (const struct jnode *x = n->list; x; x = x->next)
        if (!jeval(r, x, &out->l->v[i++]))
            return false;
    return true;
}

static bool eval_dict(struct jrun *r, const struct jnode *n, struct jval *out)
{
    if (!jdict_new(r, list_len(n->list), out))
        return false;
    for (const struct jnode *x = n->list; x; x = x->next) {
        struct jval k, v;
        if (!jeval(r, x->a, &k) || !jeval(r, x->b, &v) || !jdict_set(r, out->d, k, v))
            return false;
    }
    return true;
}

static bool eval_sign(struct jrun *r, const struct jnode *n, struct jval *out)
{
    struct jval v, zero = jint(0);
    if (!jeval(r, n->a, &v))
        return false;
    if (n->kind == X_POS || v.type != J_FLOAT)
        return jarith(r, n->kind == X_NEG ? '-' : '+', &zero, &v, out);
    *out = jreal(-v.f);
    return true;
}

static bool eval_cond(struct jrun *r, const struct jnode *n, struct jval *out)
{
    struct jval is;
    if (!jeval(r, n->b, &is))
        return false;
    if (jtruthy(&is))
        return jeval(r, n->a, out);
    *out = jundef(jstr_lit("an if without else"));
    return !n->c || jeval(r, n->c, out);
}

static bool eval_slice(struct jrun *r, const struct jval *v, const struct jnode *n, struct jval *out)
{
    struct jval at[3] = {jnone(), jnone(), jnone()};
    return (!n->a || jeval(r, n->a, &at[0])) && (!n->b || jeval(r, n->b, &at[1])) && (!n->c || jeval(r, n->c, &at[2])) && jslice(r, v, at, out);
}

/* One link. `value.name(...)` is two links and one call; *skip says that the second was taken too. */
static bool eval_link(struct jrun *r, const struct jnode *x, const struct jval *v, struct jval *out, bool *skip)
{
    struct jval key;
    struct jargs args;
    bool is;
    r->line = x->line;
    switch (x->kind) {
    case P_ATTR:
        if (!x->next || x->next->kind != P_CALL)
            return jattr(r, v, jstr_raw(x->val.s), out);
        *skip = true;
        return jargs_eval(r, x->next->list, &args) && jmethod(r, v, jstr_raw(x->val.s), &args, out);
    case P_INDEX: return jeval(r, x->a, &key) && jitem(r, v, &key, out);
    case P_SLICE: return eval_slice(r, v, x, out);
    case P_CALL: return jargs_eval(r, x->list, &args) && jcall(r, v, &args, out);
    case P_FILTER: return jargs_eval(r, x->list, &args) && jfilter(r, jstr_raw(x->val.s), v, &args, out);
    default: /* P_TEST */
        if (!jargs_eval(r, x->list, &args) || !jtest(r, jstr_raw(x->val.s), v, &args, &is))
            return false;
        *out = jbool(is != x->op);
        return true;
    }
}

static bool eval_chain(struct jrun *r, const struct jnode *n, struct jval *out)
{
    struct jval v = *out; /* a chain without a base works on what it is given (set blocks, filter blocks) */
    if (n->a && !jeval(r, n->a, &v))
        return false;
    for (const struct jnode *x = n->list; x; x = x->next) {
        bool skip = false;
        if (!jstep(r, 1) || !eval_link(r, x, &v, out, &skip))
            return false;
        v = *out;
        if (skip)
            x = x->next;
    }
    return true;
}

static bool eval(struct jrun *r, const struct jnode *n, struct jval *out)
{
    switch (n->kind) {
    case X_LIT: *out = n->val; return true;
    case X_NAME: return jlookup(r, n, out);
    case X_LIST: return eval_list(r, n, out);
    case X_DICT: return eval_dict(r, n, out);
    case X_CHAIN: return eval_chain(r, n, out);
    case X_ARITH: return eval_arith(r, n, out);
    case X_CONCAT: return eval_concat(r, n, out);
    case X_CMP: return eval_cmp(r, n, out);
    case X_AND: return eval_logic(r, n, false, out);
    case X_OR: return eval_logic(r, n, true, out);
    case X_NOT: return jeval(r, n->a, out) && (*out = jbool(!jtruthy(out)), true);
    case X_NEG:
    case X_POS: return eval_sign(r, n, out);
    case X_COND: return eval_cond(r, n, out);
    default: return jfail(r, "this expression has no value");
    }
}

bool jeval(struct jrun *r, const struct jnode *n, struct jval *out)
{
    r->line = n->line;
    if (++r->depth > JINJA_WALK_MAX)
        return jfail(r, "macros call one another too deeply");
    bool ok = jstep(r, 1) && eval(r, n, out);
    r->depth--;
    return ok;
}
