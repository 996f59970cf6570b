/* Arithmetic: Python's, with whole numbers of 64 bits that never wrap. */
#include "text/jinja/jinja.h"
#include <math.h>
#include <string.h>

static bool overflow(struct jrun *r)
{
    return jfail(r, "a number is out of range");
}

static bool int_pow(struct jrun *r, int64_t x, int64_t y, struct jval *out)
{
    int64_t v = 1;
    if (y < 0 && x == 0)
        return jfail(r, "0 to a negative power");
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
    bool down = rest != 0 && (rest < 0) != (y < 0); /* Python rounds down */
    *out = jint(op == '%' ? rest + (down ? y : 0) : x / y - down);
    return true;
}

/* The rest has the sign of the divisor. */
static double float_mod(double x, double y)
{
    double rest = fmod(x, y);
    if (rest == 0)
        return copysign(0, y);
    return (y < 0) != (rest < 0) ? rest + y : rest;
}

static double float_floordiv(double x, double y)
{
    double rest = fmod(x, y), div = (x - rest) / y;
    if (rest != 0 && (y < 0) != (rest < 0))
        div -= 1;
    if (div == 0)
        return copysign(0, x / y);
    double down = floor(div);
    return div - down > 0.5 ? down + 1 : down;
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
    case OP_FLOORDIV: v = float_floordiv(x, y); break;
    default: v = float_mod(x, y);
    }
    if (op == OP_POW && ((x == 0 && y < 0) || (isnan(v) && !isnan(x) && !isnan(y)) || (isinf(v) && !isinf(x) && !isinf(y))))
        return jfail(r, "a power that is no real number in range");
    *out = jreal(v);
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

static bool repeat_list(struct jrun *r, const struct jlist *l, int64_t times, struct jval *out)
{
    size_t n = times > 0 ? (size_t)times : 0, all;
    if (!ck_mul(n, (size_t)l->n, &all) || all > JINJA_LIST_MAX)
        return jfail(r, "a list of more than %d items", JINJA_LIST_MAX);
    if (!jlist_new(r, all, out))
        return false;
    out->l->tuple = l->tuple;
    for (size_t i = 0; l->n && i < n; i++)
        memcpy(out->l->v + i * l->n, l->v, l->n * sizeof *l->v);
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
        bool markup = a->s.markup || b->s.markup;
        if (markup && (!jstr_escape(r, a->s, &both[0]) || !jstr_escape(r, b->s, &both[1])))
            return false;
        if (!jstr_concat(r, both, 2, &s))
            return false;
        s.markup = markup;
        return *out = jstr_val(s), true;
    }
    if (op == '+' && a->type == J_LIST && b->type == J_LIST && a->l->tuple == b->l->tuple)
        return add_lists(r, a->l, b->l, out);
    if (op == '%' && a->type == J_STR)
        return jformat_percent(r, a->s, b, out);
    const struct jval *row = a->type == J_STR || a->type == J_LIST ? a : b, *by = row == a ? b : a;
    int64_t times;
    if (op == '*' && (row->type == J_STR || row->type == J_LIST) && jinteger(by, &times)) {
        struct jstr s;
        if (row->type == J_LIST)
            return repeat_list(r, row->l, times, out);
        bool markup = row->s.markup;
        if (!jstr_repeat(r, row->s, times, &s))
            return false;
        s.markup = markup;
        return *out = jstr_val(s), true;
    }
    const struct jval *u = a->type == J_UNDEF ? a : b;
    if (u->type == J_UNDEF)
        return jfail(r, "\"%.*s\" is undefined and cannot stand beside \"%s\"", (int)(u->s.n < 64 ? u->s.n : 64), u->s.p ? u->s.p : "", op_name(op));
    return jfail(r, "\"%s\" between %s and %s", op_name(op), jtype_name(a), jtype_name(b));
}
