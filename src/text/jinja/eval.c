/* The walk over expressions. */
#include "text/jinja/jinja.h"
#include <math.h>
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
        *out = jint(1);
    else if (str_eqz(name, "depth0"))
        *out = jint(0);
    else if (str_eqz(name, "previtem") && i > 0)
        *out = l->items[i - 1];
    else if (str_eqz(name, "nextitem") && i < n - 1)
        *out = l->items[i + 1];
    else
        return false;
    return true;
}

bool jattr(struct jrun *r, const struct jval *v, struct str name, struct jval *out)
{
    bool found = false;
    if (str_starts(name, "__"))
        return jfail(r, "the attribute %.*s is not available", (int)(name.n < 32 ? name.n : 32), name.p);
    *out = jundef(jstr_data(name.p, name.n));
    switch (v->type) {
    case J_UNDEF:
        return jfail(r, "\"%.*s\" is undefined, so it has no \"%.*s\"", (int)(v->s.n < 64 ? v->s.n : 64), v->s.p ? v->s.p : "",
                     (int)(name.n < 64 ? name.n : 64), name.p);
    case J_DICT:
    case J_NS: return jdict_gets(r, v->d, name, out, &found);
    case J_LOOP: loop_attr(v->loop, name, out); return true;
    default: return true;
    }
}

bool jitem(struct jrun *r, const struct jval *v, const struct jval *key, struct jval *out)
{
    bool found;
    *out = jundef(jstr_lit("an item"));
    if (v->type == J_DICT)
        return jdict_get(r, v->d, key, out, &found);
    if (key->type == J_INT && v->type == J_LIST) {
        int64_t i = key->i < 0 ? key->i + v->l->n : key->i;
        if (i >= 0 && i < v->l->n)
            *out = v->l->v[i];
        return true;
    }
    if (key->type == J_INT && v->type == J_STR) {
        struct jval at[3] = {*key, jnone(), jnone()}, s;
        if (!jslice(r, v, at, &s))
            return false;
        if (s.s.n && (key->i >= 0 || (uint64_t)0 - (uint64_t)key->i <= jstr_chars(v->s)))
            *out = jstr_val(jstr_char(s.s, 0));
        return true;
    }
    if (key->type == J_STR && (v->type == J_UNDEF || v->type == J_NS || v->type == J_LOOP))
        return jattr(r, v, jstr_raw(key->s), out);
    return v->type != J_UNDEF || jfail(r, "\"%.*s\" is undefined, so it has no items", (int)(v->s.n < 64 ? v->s.n : 64), v->s.p ? v->s.p : "");
}

/* ---- arithmetic ---- */

static bool overflow(struct jrun *r) { return jfail(r, "a number is out of range"); }

static bool int_pow(struct jrun *r, int64_t x, int64_t y, struct jval *out)
{
    int64_t v = 1;
    if (y < 0)
        return *out = (struct jval){.type = J_FLOAT, .f = pow((double)x, (double)y)}, true;
    if (x == 0 || x == 1 || x == -1)
        return *out = jint(y == 0 ? 1 : x == -1 && y % 2 == 0 ? 1 : x), true;
    for (; y > 0; y--) /* |x| > 1: at most 63 rounds before it overflows */
        if (!ck_mul(v, x, &v))
            return overflow(r);
    return *out = jint(v), true;
}

static bool int_arith(struct jrun *r, int op, int64_t x, int64_t y, struct jval *out)
{
    int64_t v = 0;
    if ((op == '/' || op == '%' || op == OP_FLOORDIV) && y == 0)
        return jfail(r, "division by zero");
    switch (op) {
    case '+': return ck_add(x, y, &v) ? (*out = jint(v), true) : overflow(r);
    case '-': return ck_sub(x, y, &v) ? (*out = jint(v), true) : overflow(r);
    case '*': return ck_mul(x, y, &v) ? (*out = jint(v), true) : overflow(r);
    case '/': return *out = (struct jval){.type = J_FLOAT, .f = (double)x / (double)y}, true;
    case OP_POW: return int_pow(r, x, y, out);
    default: break;
    }
    if (x == INT64_MIN && y == -1)
        return op == '%' ? (*out = jint(0), true) : overflow(r);
    int64_t rest = x % y;
    bool    down = rest != 0 && (rest < 0) != (y < 0); /* Python rounds down */
    *out = jint(op == '%' ? rest + (down ? y : 0) : x / y - down);
    return true;
}

static bool float_arith(struct jrun *r, int op, double x, double y, struct jval *out)
{
    double v = 0;
    if ((op == '/' || op == '%' || op == OP_FLOORDIV) && y == 0)
        return jfail(r, "division by zero");
    switch (op) {
    case '+': v = x + y; break;
    case '-': v = x - y; break;
    case '*': v = x * y; break;
    case '/': v = x / y; break;
    case OP_POW: v = pow(x, y); break;
    case OP_FLOORDIV: v = floor(x / y); break;
    default: v = x - floor(x / y) * y;
    }
    *out = (struct jval){.type = J_FLOAT, .f = v};
    return true;
}

static bool add_lists(struct jrun *r, const struct jlist *a, const struct jlist *b, struct jval *out)
{
    if (!jlist_new(r, (size_t)a->n + b->n, out))
        return false;
    out->l->tuple = a->tuple;
    if (a->n)
        memcpy(out->l->v, a->v, a->n * sizeof *a->v);
    if (b->n)
        memcpy(out->l->v + a->n, b->v, b->n * sizeof *b->v);
    return true;
}

static const char *op_name(int op)
{
    static char names[][2] = {"+", "-", "*", "/", "%"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i][0] == op)
            return names[i];
    return op == OP_POW ? "**" : "//";
}

bool jarith(struct jrun *r, int op, const struct jval *a, const struct jval *b, struct jval *out)
{
    double x, y;
    if (a->type == J_INT && b->type == J_INT)
        return int_arith(r, op, a->i, b->i, out);
    if (jnumber(a, &x) && jnumber(b, &y)) {
        if (a->type != J_FLOAT && b->type != J_FLOAT)
            return int_arith(r, op, a->type == J_INT ? a->i : a->b, b->type == J_INT ? b->i : b->b, out);
        return float_arith(r, op, x, y, out);
    }
    if (op == '+' && a->type == J_STR && b->type == J_STR) {
        struct jstr both[2] = {a->s, b->s}, s;
        return jstr_concat(r, both, 2, &s) && (*out = jstr_val(s), true);
    }
    if (op == '+' && a->type == J_LIST && b->type == J_LIST)
        return add_lists(r, a->l, b->l, out);
    if (op == '*' && ((a->type == J_STR && b->type == J_INT) || (a->type == J_INT && b->type == J_STR))) {
        struct jstr s;
        bool        left = a->type == J_STR;
        return jstr_repeat(r, left ? a->s : b->s, left ? b->i : a->i, &s) && (*out = jstr_val(s), true);
    }
    const struct jval *u = a->type == J_UNDEF ? a : b;
    if (u->type == J_UNDEF)
        return jfail(r, "\"%.*s\" is undefined and cannot stand beside \"%s\"", (int)(u->s.n < 64 ? u->s.n : 64), u->s.p ? u->s.p : "", op_name(op));
    return jfail(r, "\"%s\" between %s and %s", op_name(op), jtype_name(a), jtype_name(b));
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
    size_t       len = 1 + list_len(n->list), i = 1;
    struct jval *v = jnew(r, len, sizeof *v);
    bool         texts = true;
    if (!v || !jeval(r, n->a, &v[0]))
        return false;
    texts = v[0].type == J_STR;
    for (const struct jnode *x = n->list; x; x = x->next, i++) {
        if (!jeval(r, x->a, &v[i]))
            return false;
        texts &= x->op == '+' && v[i].type == J_STR;
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
    size_t       len = list_len(n->list), i = 0;
    struct jstr *parts = jnew(r, len, sizeof *parts);
    for (const struct jnode *x = n->list; parts && x; x = x->next, i++) {
        struct jval v;
        if (!jeval(r, x, &v) || !jto_str(r, &v, &parts[i]))
            return false;
    }
    out->type = J_STR;
    return parts && jstr_concat(r, parts, len, &out->s);
}

static bool compare_one(struct jrun *r, int op, const struct jval *a, const struct jval *b, bool *out)
{
    int order = 0;
    switch (op) {
    case OP_EQ: return jequal(r, a, b, out);
    case OP_NE: return jequal(r, a, b, out) && (*out = !*out, true);
    case OP_IN: return jcontains(r, b, a, out);
    case OP_NOT_IN: return jcontains(r, b, a, out) && (*out = !*out, true);
    default: break;
    }
    if (!jcompare(r, a, b, false, &order))
        return false;
    *out = op == '<' ? order < 0 : op == '>' ? order > 0 : op == OP_LE ? order <= 0 : order >= 0;
    return true;
}

static bool eval_cmp(struct jrun *r, const struct jnode *n, struct jval *out)
{
    struct jval left, right;
    bool        is = true;
    if (!jeval(r, n->a, &left))
        return false;
    for (const struct jnode *x = n->list; x && is; x = x->next, left = right) {
        if (!jeval(r, x->a, &right))
            return false;
        r->line = x->line;
        if (!compare_one(r, x->op, &left, &right, &is))
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
    *out = (struct jval){.type = J_FLOAT, .f = -v.f};
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
    return (!n->a || jeval(r, n->a, &at[0])) && (!n->b || jeval(r, n->b, &at[1])) && (!n->c || jeval(r, n->c, &at[2])) &&
           jslice(r, v, at, out);
}

/* One link. `value.name(...)` is two links and one call; *skip says that the second was taken too. */
static bool eval_link(struct jrun *r, const struct jnode *x, const struct jval *v, struct jval *out, bool *skip)
{
    struct jval  key;
    struct jargs args;
    bool         is;
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
