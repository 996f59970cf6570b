/* Tests: `value is name(args)`. */
#include "text/jinja/jinja.h"

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
        *out = t == J_STR || t == J_LIST || t == J_DICT || t == J_UNDEF;
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
        *out = t == J_MACRO || t == J_FUNC || t == J_METHOD || t == J_LOOP || t == J_UNDEF || (t == J_OBJ && v->obj->joiner);
    else if (str_eqz(name, "escaped"))
        *out = t == J_STR && v->s.markup;
    else
        return false;
    return true;
}

/* Comparisons by name: their operator, or 0. */
static int compare_name(struct str name)
{
    static const struct {
        const char *name;
        int op;
    } table[] = {
        {"equalto", OP_EQ}, {"eq", OP_EQ}, {"==", OP_EQ}, {"ne", OP_NE}, {"!=", OP_NE},        {"lt", '<'},   {"lessthan", '<'}, {"<", '<'},
        {"le", OP_LE},      {"<=", OP_LE}, {"gt", '>'},   {">", '>'},    {"greaterthan", '>'}, {"ge", OP_GE}, {">=", OP_GE},     {"in", OP_IN},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (str_eqz(name, table[i].name))
            return table[i].op;
    return 0;
}

/* Python's `is`, as far as values show it. */
static bool same_thing(const struct jval *a, const struct jval *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case J_BOOL: return a->b == b->b;
    case J_INT: return a->i == b->i;
    case J_FLOAT: return a->f == b->f;
    case J_STR: return jstr_same(a->s, b->s);
    case J_LIST: return a->l == b->l || (a->l->tuple && b->l->tuple && a->l->n + b->l->n == 0);
    case J_DICT:
    case J_NS: return a->d == b->d;
    case J_MACRO: return a->m == b->m;
    case J_FUNC: return a->fn == b->fn;
    case J_OBJ: return a->obj == b->obj;
    default: return a->type == J_NONE;
    }
}

/* odd, even and divisibleby: of whole numbers and floats. */
static bool divides(struct jrun *r, const struct jval *v, const struct jval *by, int64_t rest, bool *out)
{
    struct jval left, want = jint(rest);
    double x, y;
    if (!jnumber(v, &x) || !jnumber(by, &y))
        return jfail(r, "odd, even and divisibleby test numbers, not %s", jtype_name(jnumber(v, &x) ? by : v));
    return jarith(r, '%', v, by, &left) && jequal(r, &left, &want, out);
}

static bool by_case(struct jrun *r, const struct jval *v, bool upper, bool *out)
{
    struct jstr s;
    return jto_str(r, v, &s) && jchars_are(r, s, upper ? CHARS_UPPER : CHARS_LOWER, out);
}

static bool takes_argument(struct str name)
{
    return compare_name(name) || str_eqz(name, "sameas") || str_eqz(name, "divisibleby");
}

static bool other_test(struct str name)
{
    static const char *const names[] = {"odd", "even", "upper", "lower", "filter", "test"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_eqz(name, names[i]))
            return true;
    return false;
}

bool jtest_known(struct str name)
{
    struct jval none = jnone();
    bool ignored;
    return takes_argument(name) || other_test(name) || type_test(name, &none, &ignored);
}

bool jtest(struct jrun *r, struct str name, const struct jval *v, const struct jargs *a, bool *out)
{
    struct jval with = jnone(), two = jint(2);
    if (!jtest_known(name))
        return jfail(r, "there is no test named %.*s", (int)(name.n < 32 ? name.n : 32), name.p);
    bool takes = takes_argument(name);
    if (!jargs_fit(r, name, a, str_eqz(name, "divisibleby") ? "num" : str_eqz(name, "sameas") ? "other" : takes ? "-" : "", takes))
        return false;
    if (takes)
        with = a->n ? a->pos[0] : a->kw[0].v;
    if (compare_name(name))
        return jorder(r, compare_name(name), v, &with, out);
    if (str_eqz(name, "sameas"))
        return *out = same_thing(v, &with), jstep(r, v->type == J_STR ? v->s.n / 64 : 0);
    if (str_eqz(name, "divisibleby"))
        return divides(r, v, &with, 0, out);
    if (str_eqz(name, "odd") || str_eqz(name, "even"))
        return divides(r, v, &two, name.p[0] == 'o', out);
    if (str_eqz(name, "upper") || str_eqz(name, "lower"))
        return by_case(r, v, name.p[0] == 'u', out);
    if (str_eqz(name, "filter") || str_eqz(name, "test")) {
        if (!jhashable(r, v, out))
            return false;
        if (!*out)
            return jfail(r, "%s is no name", jtype_name(v));
        return *out = v->type == J_STR && (name.p[0] == 'f' ? jfilter_known(jstr_raw(v->s)) : jtest_known(jstr_raw(v->s))), true;
    }
    return type_test(name, v, out);
}
