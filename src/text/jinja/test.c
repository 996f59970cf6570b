/* Tests: `value is name(args)`. */
#include "text/jinja/jinja.h"
#include "text/unicode.h"

static bool type_test(struct str name, const struct jval *v, bool *out)
{
    enum jtype t = v->type;
    if (str_eqz(name, "defined"))
        *out = t != J_UNDEF;
    else if (str_eqz(name, "undefined"))
        *out = t == J_UNDEF;
    else if (str_eqz(name, "none"))
        *out = t == J_NONE;
    else if (str_eqz(name, "string"))
        *out = t == J_STR;
    else if (str_eqz(name, "mapping"))
        *out = t == J_DICT;
    else if (str_eqz(name, "iterable"))
        *out = t == J_STR || t == J_LIST || t == J_DICT || t == J_UNDEF;
    else if (str_eqz(name, "sequence"))
        *out = t == J_STR || t == J_LIST || t == J_DICT;
    else if (str_eqz(name, "number"))
        *out = t == J_INT || t == J_FLOAT || t == J_BOOL;
    else if (str_eqz(name, "integer"))
        *out = t == J_INT;
    else if (str_eqz(name, "float"))
        *out = t == J_FLOAT;
    else if (str_eqz(name, "boolean"))
        *out = t == J_BOOL;
    else if (str_eqz(name, "true"))
        *out = t == J_BOOL && v->b;
    else if (str_eqz(name, "false"))
        *out = t == J_BOOL && !v->b;
    else if (str_eqz(name, "callable"))
        *out = t == J_MACRO || t == J_FUNC;
    else
        return false;
    return true;
}

static bool cased(struct jstr s, bool upper)
{
    bool some = false;
    for (size_t at = 0; at < s.n;) {
        struct uchar c = uchar_at(s.p + at, s.n - at);
        if (upper ? unicode_is_lower(c.cp) : unicode_is_upper(c.cp))
            return false;
        some |= upper ? unicode_is_upper(c.cp) : unicode_is_lower(c.cp);
        at += c.n;
    }
    return some;
}

/* Comparisons by name: their operator, or 0. */
static int compare_name(struct str name)
{
    static const struct { const char *name; int op; } table[] = {
        {"equalto", OP_EQ}, {"eq", OP_EQ}, {"sameas", OP_EQ}, {"ne", OP_NE},           {"lt", '<'},   {"lessthan", '<'},
        {"le", OP_LE},      {"gt", '>'},   {"greaterthan", '>'}, {"ge", OP_GE},        {"in", OP_IN},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (str_eqz(name, table[i].name))
            return table[i].op;
    return 0;
}

static bool compare(struct jrun *r, int op, const struct jval *v, const struct jval *with, bool *out)
{
    int order;
    if (op == OP_IN)
        return jcontains(r, with, v, out);
    if (op == OP_EQ || op == OP_NE) {
        if (!jequal(r, v, with, out))
            return false;
        *out = *out == (op == OP_EQ);
        return true;
    }
    if (!jcompare(r, v, with, false, &order))
        return false;
    *out = op == '<' ? order < 0 : op == '>' ? order > 0 : op == OP_LE ? order <= 0 : order >= 0;
    return true;
}

bool jtest(struct jrun *r, struct str name, const struct jval *v, const struct jargs *a, bool *out)
{
    struct jval with;
    bool        given = jarg(a, 0, NULL, &with);
    int         op = compare_name(name);
    if (type_test(name, v, out))
        return true;
    if (op)
        return given ? compare(r, op, v, &with, out) : jfail(r, "the test %.*s takes a value", (int)(name.n < 32 ? name.n : 32), name.p);
    if (str_eqz(name, "odd") || str_eqz(name, "even")) {
        *out = v->type == J_INT && (v->i % 2 != 0) == (name.p[0] == 'o');
        return v->type == J_INT || jfail(r, "odd and even test a whole number, not %s", jtype_name(v));
    }
    if (str_eqz(name, "divisibleby")) {
        if (!given || with.type != J_INT || v->type != J_INT || with.i == 0)
            return jfail(r, "divisibleby() takes a whole number that is not 0");
        *out = with.i == -1 || v->i % with.i == 0;
        return true;
    }
    if (str_eqz(name, "upper") || str_eqz(name, "lower")) {
        *out = v->type == J_STR && cased(v->s, name.p[0] == 'u');
        return v->type != J_STR || jstep(r, v->s.n / 32);
    }
    return jfail(r, "there is no test named %.*s", (int)(name.n < 32 ? name.n : 32), name.p);
}
