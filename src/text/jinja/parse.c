/* Statements. The parser descends as deep as the source nests and no deeper than TEMPLATE_DEPTH_MAX. */
#include "text/jinja/jinja.h"
#include "text/template.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct jnode *jparse_fail(struct jparse *p, const char *fmt, ...)
{
    char what[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (!p->e->code) /* the first error counts */
        err_set(p->e, ERR_TEMPLATE, "template: line %u: %s", p->t->line, what);
    return NULL;
}

struct jnode *jparse_no_room(struct jparse *p)
{
    if (!p->mem->short_of_memory)
        return jparse_fail(p, "the template is too large to be held in memory");
    if (!p->e->code)
        err_set(p->e, ERR_NO_MEMORY, "template: no memory for its tree");
    return NULL;
}

struct jnode *jparse_node(struct jparse *p, enum jkind kind)
{
    struct jnode *n = arena_new(p->mem, sizeof *n);
    if (!n)
        return jparse_no_room(p);
    n->kind = (uint8_t)kind;
    n->line = p->t->line;
    return n;
}

bool jparse_deeper(struct jparse *p)
{
    if (++p->depth <= TEMPLATE_DEPTH_MAX)
        return true;
    jparse_fail(p, "nested deeper than %d levels", TEMPLATE_DEPTH_MAX);
    return false;
}

bool jparse_is_op(const struct jparse *p, int op)
{
    return p->t->kind == T_OP && p->t->op == op;
}
bool jparse_is_name(const struct jparse *p, const char *name)
{
    return p->t->kind == T_NAME && str_eqz(p->t->text, name);
}

bool jparse_skip_op(struct jparse *p, int op)
{
    bool is = jparse_is_op(p, op);
    p->t += is;
    return is;
}

bool jparse_skip_name(struct jparse *p, const char *name)
{
    bool is = jparse_is_name(p, name);
    p->t += is;
    return is;
}

bool jparse_want_op(struct jparse *p, int op)
{
    if (jparse_skip_op(p, op))
        return true;
    jparse_fail(p, "\"%c\" is missing before \"%.*s\"", op, (int)(p->t->text.n < 32 ? p->t->text.n : 32), p->t->text.p);
    return false;
}

bool jparse_name_of(struct jparse *p, struct jnode *n)
{
    if (p->t->kind != T_NAME) {
        jparse_fail(p, "a name is missing before \"%.*s\"", (int)(p->t->text.n < 32 ? p->t->text.n : 32), p->t->text.p);
        return false;
    }
    struct str s = p->t->text;
    n->val = (struct jval){.type = J_STR, .s = {s.p, NULL, (uint32_t)s.n, true, false}};
    for (n->name = 0; n->name < p->names.n; n->name++)
        if (str_eq(p->names.p[n->name], s))
            break;
    if (n->name == JINJA_NAMES_MAX) {
        jparse_fail(p, "more than %d different names", JINJA_NAMES_MAX);
        return false;
    }
    if (n->name == p->names.n && !vec_push(&p->names, s)) {
        p->mem->short_of_memory = true;
        jparse_no_room(p);
        return false;
    }
    p->t++;
    return true;
}

static bool tag_end(struct jparse *p)
{
    if (p->t->kind == T_TAG_END) {
        p->t++;
        return true;
    }
    jparse_fail(p, "unexpected \"%.*s\" in a tag", (int)(p->t->text.n < 32 ? p->t->text.n : 32), p->t->text.p);
    return false;
}

static struct jnode *statements(struct jparse *p, const char *const ends[], bool *ok);

/* The body of a block up to one of `ends`, which is taken without its end of tag. */
static bool body(struct jparse *p, const char *const ends[], struct jnode **list)
{
    bool ok;
    *list = NULL;
    if (!tag_end(p) || !jparse_deeper(p))
        return false;
    *list = statements(p, ends, &ok);
    p->depth--;
    return ok;
}

/* After a body that ended in `what`: its tag ends here. */
static bool end_of(struct jparse *p, const char *what)
{
    if (jparse_skip_name(p, what))
        return tag_end(p);
    jparse_fail(p, "{%% %s %%} is missing", what);
    return false;
}

static struct jnode *parse_if(struct jparse *p)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    struct jnode *n = jparse_node(p, S_IF), **tail = n ? &n->list : NULL;
    for (bool more = n != NULL; more;) {
        struct jnode *b = jparse_node(p, S_BRANCH);
        bool is_else = jparse_is_name(p, "else");
        p->t++; /* if, elif, else */
        if (!b || (!is_else && !(b->a = jparse_expr_or_tuple(p))) || !body(p, ends, &b->list))
            return NULL;
        *tail = b;
        tail = &b->next;
        more = !is_else && !jparse_is_name(p, "endif");
    }
    return n && end_of(p, "endif") ? n : NULL;
}

static struct jnode *parse_for(struct jparse *p)
{
    static const char *const ends[] = {"else", "endfor", NULL}, *const last[] = {"endfor", NULL};
    struct jnode *n = jparse_node(p, S_FOR);
    p->t++;
    if (!n || !(n->a = jparse_target(p, true)))
        return NULL;
    if (!jparse_skip_name(p, "in"))
        return jparse_fail(p, "\"in\" is missing in a for");
    if (!(n->b = jparse_tuple(p, jparse_or)))
        return NULL;
    if (jparse_skip_name(p, "if") && !(n->c = jparse_expr(p)))
        return NULL;
    n->op = jparse_skip_name(p, "recursive");
    p->loops++;
    bool ok = body(p, ends, &n->list);
    p->loops--;
    if (!ok || (jparse_skip_name(p, "else") && !body(p, last, &n->other)))
        return NULL;
    return end_of(p, "endfor") ? n : NULL;
}

static struct jnode *parse_set(struct jparse *p)
{
    static const char *const ends[] = {"endset", NULL};
    struct jnode *n = jparse_node(p, S_SET);
    p->t++;
    if (!n || !(n->a = jparse_target(p, false)))
        return NULL;
    if (jparse_skip_op(p, '='))
        return (n->b = jparse_expr_or_tuple(p)) && tag_end(p) ? n : NULL;
    if (jparse_skip_op(p, '|') && !(n->c = jparse_filters(p, NULL)))
        return NULL;
    return body(p, ends, &n->list) && end_of(p, "endset") ? n : NULL;
}

/* A parameter that no other has, with a default when one before it has one. */
static bool parameter(struct jparse *p, const struct jnode *before, struct jnode *k)
{
    bool with_default = false;
    if (!jparse_name_of(p, k) || (jparse_skip_op(p, '=') && !(k->a = jparse_expr(p))))
        return false;
    for (const struct jnode *x = before; x; x = x->next) {
        with_default |= x->a != NULL;
        if (x->name == k->name)
            return jparse_fail(p, "two parameters have one name"), false;
    }
    if (!k->a && (with_default || str_eqz(jstr_raw(k->val.s), "caller")))
        return jparse_fail(p, "a parameter needs a default here"), false;
    return true;
}

/* `(a, b=1)`, "(" taken already. */
static bool parameters(struct jparse *p, struct jnode **list)
{
    const struct jnode *const *all = (const struct jnode *const *)list;
    for (bool first = true; !jparse_skip_op(p, ')'); first = false) {
        struct jnode *k = jparse_node(p, X_KWARG);
        if ((!first && !jparse_want_op(p, ',')) || !k || !parameter(p, *all, k))
            return false;
        *list = k;
        list = &k->next;
    }
    return true;
}

/* The body of a macro: MACRO_... says which hidden arguments it names. */
static bool macro_body(struct jparse *p, const char *end, struct jnode *n)
{
    const char *const ends[] = {end, NULL};
    const struct jtoken *from = p->t;
    int loops = p->loops;
    p->loops = 0;
    bool ok = body(p, ends, &n->list);
    p->loops = loops;
    for (const struct jtoken *t = from; ok && t < p->t; t++)
        if (t->kind == T_NAME)
            n->op |= (uint8_t)(str_eqz(t->text, "varargs")  ? MACRO_VARARGS
                               : str_eqz(t->text, "kwargs") ? MACRO_KWARGS
                               : str_eqz(t->text, "caller") ? MACRO_CALLER
                                                            : 0);
    return ok && end_of(p, end);
}

static struct jnode *parse_macro(struct jparse *p)
{
    struct jnode *n = jparse_node(p, S_MACRO);
    p->t++;
    if (!n || !jparse_name_of(p, n) || !jparse_want_op(p, '(') || !parameters(p, &n->a))
        return NULL;
    return macro_body(p, "endmacro", n) ? n : NULL;
}

static struct jnode *parse_call(struct jparse *p)
{
    struct jnode *n = jparse_node(p, S_CALL);
    p->t++;
    if (!n || (jparse_skip_op(p, '(') && !parameters(p, &n->b)) || !(n->a = jparse_postfix_only(p)))
        return NULL;
    return macro_body(p, "endcall", n) ? n : NULL;
}

/* {% with a = 1, b = 2 %} */
static struct jnode *parse_with(struct jparse *p)
{
    static const char *const ends[] = {"endwith", NULL};
    struct jnode *n = jparse_node(p, S_WITH), **tail = n ? &n->a : NULL;
    p->t++;
    while (n && p->t->kind != T_TAG_END) {
        struct jnode *s = jparse_node(p, S_SET);
        if ((n->a && !jparse_want_op(p, ',')) || !s || !(s->a = jparse_target(p, false)) || !jparse_want_op(p, '=') || !(s->b = jparse_expr(p)))
            return NULL;
        *tail = s;
        tail = &s->next;
    }
    return n && body(p, ends, &n->list) && end_of(p, "endwith") ? n : NULL;
}

static struct jnode *parse_filter(struct jparse *p)
{
    static const char *const ends[] = {"endfilter", NULL};
    struct jnode *n = jparse_node(p, S_FILTER);
    p->t++;
    return n && (n->a = jparse_filters(p, NULL)) && body(p, ends, &n->list) && end_of(p, "endfilter") ? n : NULL;
}

/* {% generation %} marks what a trainer learns from; here it is its body. */
static struct jnode *parse_generation(struct jparse *p)
{
    static const char *const ends[] = {"endgeneration", NULL};
    struct jnode *n = jparse_node(p, S_BLOCK);
    p->t++;
    return n && body(p, ends, &n->list) && end_of(p, "endgeneration") ? n : NULL;
}

static struct jnode *word(struct jparse *p, enum jkind kind)
{
    struct jnode *n = jparse_node(p, kind);
    if (!p->loops)
        return jparse_fail(p, "break and continue stand only in a loop");
    p->t++;
    return n && tag_end(p) ? n : NULL;
}

static struct jnode *statement(struct jparse *p)
{
    static const struct {
        const char *name;
        struct jnode *(*parse)(struct jparse *p);
    } table[] = {
        {"if", parse_if},
        {"for", parse_for},
        {"set", parse_set},
        {"macro", parse_macro},
        {"call", parse_call},
        {"filter", parse_filter},
        {"generation", parse_generation},
        {"with", parse_with},
    };
    if (p->t->kind != T_NAME)
        return jparse_fail(p, "a tag begins with \"%.*s\"", (int)(p->t->text.n < 32 ? p->t->text.n : 32), p->t->text.p);
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (jparse_is_name(p, table[i].name))
            return table[i].parse(p);
    if (jparse_is_name(p, "break"))
        return word(p, S_BREAK);
    if (jparse_is_name(p, "continue"))
        return word(p, S_CONTINUE);
    return jparse_fail(p, "{%% %.*s %%} is not available in chat templates", (int)(p->t->text.n < 32 ? p->t->text.n : 32), p->t->text.p);
}

static struct jnode *text(struct jparse *p)
{
    struct jnode *n = jparse_node(p, S_TEXT);
    if (n)
        n->val = (struct jval){.type = J_STR, .s = {p->t->text.p, NULL, (uint32_t)p->t->text.n, true, false}};
    p->t++;
    return n;
}

static struct jnode *print(struct jparse *p)
{
    struct jnode *n = jparse_node(p, S_PRINT);
    p->t++;
    if (!n || !(n->a = jparse_expr_or_tuple(p)))
        return NULL;
    if (p->t->kind != T_PRINT_END)
        return jparse_fail(p, "unexpected \"%.*s\" in {{ }}", (int)(p->t->text.n < 32 ? p->t->text.n : 32), p->t->text.p);
    p->t++;
    return n;
}

static bool is_one_of(const struct jparse *p, const char *const ends[])
{
    for (; ends && *ends; ends++)
        if (jparse_is_name(p, *ends))
            return true;
    return false;
}

static struct jnode *statements(struct jparse *p, const char *const ends[], bool *ok)
{
    struct jnode *first = NULL, **tail = &first, *n;
    *ok = false;
    while (p->t->kind != T_END) {
        if (p->t->kind == T_TAG) {
            p->t++;
            if (is_one_of(p, ends)) {
                *ok = true;
                return first;
            }
        }
        n = p->t->kind == T_TEXT ? text(p) : p->t->kind == T_PRINT ? print(p) : statement(p);
        if (!n)
            return NULL;
        *tail = n;
        tail = &n->next;
    }
    if (ends)
        return jparse_fail(p, "{%% %s %%} is missing at the end of the template", ends[0]);
    *ok = true;
    return first;
}

struct jnode *jinja_parse(struct jparse *p)
{
    bool ok;
    struct jnode *n = jparse_node(p, S_BLOCK);
    if (!n)
        return NULL;
    n->list = statements(p, NULL, &ok);
    return ok ? n : NULL;
}
