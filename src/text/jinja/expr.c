/* Expressions, loosest binding first. Chains of equal operators are lists, so that long ones do not nest. */
#include "text/jinja/jinja.h"
#include "base/str.h"
#include <math.h>
#include <string.h>

/* A list node of `kind`: first, then items as parse adds them. */
static struct jnode *list_of(struct jparse *p, enum jkind kind, struct jnode *first)
{
    struct jnode *n = first ? jparse_node(p, kind) : NULL;
    if (n)
        n->list = first;
    return n;
}

static struct jnode *parse_unary(struct jparse *p);

/* first (op item)*: NULL ops end the table. */
static struct jnode *left_to_right(struct jparse *p, const char *ops, int extra, struct jnode *(*item)(struct jparse *))
{
    struct jnode *first = item(p), *n = NULL, **tail = NULL;
    while (first && p->t->kind == T_OP && ((p->t->op >= 32 && strchr(ops, p->t->op)) || (extra && p->t->op == extra))) {
        struct jnode *x = jparse_node(p, X_ITEM);
        if (!n && (n = jparse_node(p, X_ARITH)) != NULL) {
            n->a = first;
            tail = &n->list;
        }
        if (!x || !n)
            return NULL;
        x->op = p->t->op;
        p->t++;
        if (!(x->a = item(p)))
            return NULL;
        *tail = x;
        tail = &x->next;
    }
    return n ? n : first;
}

static struct jnode *parse_pow(struct jparse *p)
{
    return left_to_right(p, "", OP_POW, parse_unary);
}
static struct jnode *parse_mul(struct jparse *p)
{
    return left_to_right(p, "*/%", OP_FLOORDIV, parse_pow);
}

static struct jnode *parse_concat(struct jparse *p)
{
    struct jnode *first = parse_mul(p), *n = NULL, **tail = NULL;
    while (first && jparse_is_op(p, '~')) {
        if (!n) {
            if (!(n = list_of(p, X_CONCAT, first)))
                return NULL;
            tail = &first->next;
        }
        p->t++;
        if (!(*tail = parse_mul(p)))
            return NULL;
        tail = &(*tail)->next;
    }
    return n ? n : first;
}

static struct jnode *parse_add(struct jparse *p)
{
    return left_to_right(p, "+-", 0, parse_concat);
}

static int compare_op(struct jparse *p)
{
    if (p->t->kind == T_OP &&
        (p->t->op == OP_EQ || p->t->op == OP_NE || p->t->op == OP_LE || p->t->op == OP_GE || p->t->op == '<' || p->t->op == '>'))
        return (p->t++)->op;
    if (jparse_skip_name(p, "in"))
        return OP_IN;
    if (jparse_is_name(p, "not") && p->t[1].kind == T_NAME && str_eqz(p->t[1].text, "in")) {
        p->t += 2;
        return OP_NOT_IN;
    }
    return 0;
}

static struct jnode *parse_compare(struct jparse *p)
{
    struct jnode *first = parse_add(p), *n = NULL, **tail = NULL;
    for (int op; first && (op = compare_op(p)) != 0;) {
        struct jnode *x = jparse_node(p, X_ITEM);
        if (!n && (n = jparse_node(p, X_CMP)) != NULL) {
            n->a = first;
            tail = &n->list;
        }
        if (!x || !n || !(x->a = parse_add(p)))
            return NULL;
        x->op = (uint8_t)op;
        *tail = x;
        tail = &x->next;
    }
    return n ? n : first;
}

static struct jnode *parse_not(struct jparse *p)
{
    size_t nots = 0;
    while (jparse_skip_name(p, "not"))
        nots++;
    struct jnode *n = parse_compare(p);
    for (size_t i = 0; n && i < (nots ? 1 + (nots + 1) % 2 : 0); i++) { /* an even number above 0 still makes it a bool */
        struct jnode *x = jparse_node(p, X_NOT);
        if (!x)
            return NULL;
        x->a = n;
        n = x;
    }
    return n;
}

static struct jnode *parse_logic(struct jparse *p, const char *op, enum jkind kind, struct jnode *(*item)(struct jparse *))
{
    struct jnode *first = item(p), *n = NULL, **tail = NULL;
    while (first && jparse_is_name(p, op)) {
        if (!n) {
            if (!(n = list_of(p, kind, first)))
                return NULL;
            tail = &first->next;
        }
        p->t++;
        if (!(*tail = item(p)))
            return NULL;
        tail = &(*tail)->next;
    }
    return n ? n : first;
}

static struct jnode *parse_and(struct jparse *p)
{
    return parse_logic(p, "and", X_AND, parse_not);
}
struct jnode *jparse_or(struct jparse *p)
{
    return parse_logic(p, "or", X_OR, parse_and);
}

struct jnode *jparse_expr(struct jparse *p)
{
    if (!jparse_deeper(p))
        return NULL;
    int links = 0;
    struct jnode *n = jparse_or(p);
    while (n && jparse_skip_name(p, "if")) {
        struct jnode *x = jparse_node(p, X_COND);
        if (!x || !(x->b = jparse_or(p)) || (jparse_skip_name(p, "else") && !(x->c = jparse_expr(p))))
            return NULL;
        x->a = n;
        n = x;
        if (++links > 8)
            return jparse_fail(p, "too many \"if\" in one expression; use brackets");
    }
    p->depth--;
    return n;
}

/* What ends a row with commas: the end of its tag or bracket, or a word of a for. */
static bool ends_tuple(const struct jparse *p)
{
    return p->t->kind == T_TAG_END || p->t->kind == T_PRINT_END || jparse_is_op(p, ')') || jparse_is_name(p, "in") || jparse_is_name(p, "if") ||
           jparse_is_name(p, "recursive");
}

/* a, b, c is a tuple. */
struct jnode *jparse_tuple(struct jparse *p, struct jnode *(*item)(struct jparse *))
{
    struct jnode *first = item(p), *n, **tail;
    if (!first || !jparse_is_op(p, ','))
        return first;
    if (!(n = list_of(p, X_LIST, first)))
        return NULL;
    n->op = 1;
    tail = &first->next;
    while (jparse_skip_op(p, ',')) {
        if (ends_tuple(p))
            break;
        if (!(*tail = item(p)))
            return NULL;
        tail = &(*tail)->next;
    }
    return n;
}

struct jnode *jparse_expr_or_tuple(struct jparse *p)
{
    return jparse_tuple(p, jparse_expr);
}

static bool is_constant(const struct jparse *p)
{
    static const char *const words[] = {"true", "false", "none", "True", "False", "None"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (jparse_is_name(p, words[i]))
            return true;
    return false;
}

static struct jnode *target_row(struct jparse *p, bool in_brackets);

/* A name, name.attribute of a namespace, or a row of targets in brackets. */
struct jnode *jparse_one_target(struct jparse *p)
{
    struct jnode *n;
    if (jparse_skip_op(p, '(')) {
        if (!jparse_deeper(p) || !(n = target_row(p, true)) || !jparse_want_op(p, ')'))
            return NULL;
        p->depth--;
        return n;
    }
    if (is_constant(p))
        return jparse_fail(p, "\"%.*s\" cannot be set", (int)p->t->text.n, p->t->text.p);
    if (!(n = jparse_node(p, X_NAME)) || !jparse_name_of(p, n))
        return NULL;
    if (jparse_skip_op(p, '.') && (!(n->a = jparse_node(p, P_ATTR)) || !jparse_name_of(p, n->a)))
        return NULL;
    return n;
}

/* A row of more than one, or of one with a comma behind it, is a list. */
static struct jnode *target_row(struct jparse *p, bool in_brackets)
{
    struct jnode *first = jparse_one_target(p), **tail = first ? &first->next : NULL;
    bool many = false;
    while (first && jparse_skip_op(p, ',')) {
        many = true;
        if (in_brackets && jparse_is_op(p, ')'))
            break;
        if (!(*tail = jparse_one_target(p)))
            return NULL;
        tail = &(*tail)->next;
    }
    return first && many ? list_of(p, X_LIST, first) : first;
}

struct jnode *jparse_target(struct jparse *p, bool in_for)
{
    struct jnode *n = target_row(p, false);
    if (n && in_for && n->kind == X_NAME && str_eqz(jstr_raw(n->val.s), "loop"))
        return jparse_fail(p, "a loop cannot set \"loop\"");
    return n && in_for && n->kind == X_NAME && n->a ? jparse_fail(p, "a for sets names, not attributes") : n;
}

/* ---- primaries ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* \xHH, \uHHHH, \UHHHHHHHH and \OOO at s[at], which is behind the backslash: how many characters were taken; 0 when they are no character. */
static size_t coded_escape(struct str s, size_t at, char out[4], size_t *n_out)
{
    bool octal = s.p[at] >= '0' && s.p[at] <= '7';
    size_t digits = s.p[at] == 'x' ? 2 : s.p[at] == 'u' ? 4 : s.p[at] == 'U' ? 8 : 3, i = octal ? 0 : 1;
    uint32_t cp = 0;
    for (digits += i; i < digits; i++) {
        int d = at + i < s.n ? hex_digit(s.p[at + i]) : -1;
        if (octal && (d < 0 || d > 7))
            break;
        if (d < 0)
            return 0;
        cp = cp << (octal ? 3 : 4) | (uint32_t)d;
    }
    if (cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
        return 0;
    *n_out = utf8_encode(out, cp);
    return i;
}

static size_t escape(struct str s, size_t at, char out[4], size_t *n_out)
{
    static const char from[] = "nrtbfva\\'\"", to[] = "\n\r\t\b\f\v\a\\'\"";
    char c = s.p[at];
    const char *k = c ? strchr(from, c) : NULL;
    *n_out = 1;
    if (k)
        return out[0] = to[k - from], 1;
    if (c == 'x' || c == 'u' || c == 'U' || (c >= '0' && c <= '7'))
        return coded_escape(s, at, out, n_out);
    if (c == 'N')
        return 0;              /* the names of characters are not here */
    out[0] = '\\', out[1] = c; /* as Python: an unknown escape stays as it is */
    *n_out = 2;
    return 1;
}

/* "a" "b" is one text. */
static struct jnode *parse_string(struct jparse *p)
{
    struct jnode *n = jparse_node(p, X_LIT);
    size_t bytes = 0, used = 0;
    for (const struct jtoken *t = p->t; t->kind == T_STRING; t++)
        bytes += t->text.n; /* they lie in the source, which is bounded; an escape never grows */
    char *out = n ? arena_new(p->mem, bytes + 1) : NULL;
    if (!out)
        return n ? jparse_no_room(p) : NULL;
    for (; p->t->kind == T_STRING; p->t++)
        for (size_t i = 0; i < p->t->text.n;) {
            char c[4];
            size_t n_c;
            if (p->t->text.p[i] != '\\' || i + 1 >= p->t->text.n) {
                out[used++] = p->t->text.p[i++];
                continue;
            }
            if (p->t->text.p[i + 1] == '\n') { /* a line goes on */
                i += 2;
                continue;
            }
            size_t taken = escape(p->t->text, i + 1, c, &n_c);
            if (!taken)
                return jparse_fail(p, "an escape in a text that is no character: \\%c", p->t->text.p[i + 1]);
            i += 1 + taken;
            memcpy(out + used, c, n_c);
            used += n_c;
        }
    n->val = (struct jval){.type = J_STR, .s = {out, NULL, (uint32_t)used, true, false}};
    return n;
}

static struct jnode *parse_number(struct jparse *p)
{
    struct jnode *n = jparse_node(p, X_LIT);
    struct jstr s = jstr_data(p->t->text.p, p->t->text.n);
    bool prefixed = s.n > 2 && s.p[0] == '0' && (s.p[1] | 32) >= 'a' && (s.p[1] | 32) != 'e', whole = p->t->kind == T_INT;
    if (!n)
        return NULL;
    n->val.type = whole ? J_INT : J_FLOAT;
    if (whole && jparse_int(s, prefixed ? 0 : 10, &n->val.i) != JPARSED)
        return jparse_fail(p, "the number %.*s is out of range", (int)(s.n < 64 ? s.n : 64), s.p);
    if (!whole && !jparse_float(s, &n->val.f)) /* the lexer saw that it is one: too large or too small */
        n->val.f = memchr(s.p, '-', s.n) ? 0 : INFINITY;
    p->t++;
    return n;
}

static struct jnode *parse_name(struct jparse *p)
{
    static const struct {
        const char *name;
        struct jval v;
    } words[] = {
        {"true", {.type = J_BOOL, .b = true}},
        {"True", {.type = J_BOOL, .b = true}},
        {"false", {.type = J_BOOL, .b = false}},
        {"False", {.type = J_BOOL, .b = false}},
        {"none", {.type = J_NONE}},
        {"None", {.type = J_NONE}},
    };
    struct jnode *n = jparse_node(p, X_NAME);
    for (size_t i = 0; n && i < sizeof words / sizeof *words; i++)
        if (jparse_skip_name(p, words[i].name)) {
            n->kind = X_LIT;
            n->val = words[i].v;
            return n;
        }
    return n && jparse_name_of(p, n) ? n : NULL;
}

/* The items of a list or tuple up to `close`, which is taken. */
static bool parse_items(struct jparse *p, int close, struct jnode **list, bool *comma)
{
    *comma = false;
    while (!jparse_skip_op(p, close)) {
        if (!(*list = jparse_expr(p)))
            return false;
        list = &(*list)->next;
        if (jparse_is_op(p, close))
            continue;
        if (!jparse_want_op(p, ','))
            return false;
        *comma = true;
    }
    return true;
}

static struct jnode *parse_dict(struct jparse *p)
{
    struct jnode *n = jparse_node(p, X_DICT), **tail = n ? &n->list : NULL;
    while (n && !jparse_skip_op(p, '}')) {
        struct jnode *pair = jparse_node(p, X_PAIR);
        if (!pair || !(pair->a = jparse_expr(p)) || !jparse_want_op(p, ':') || !(pair->b = jparse_expr(p)))
            return NULL;
        *tail = pair;
        tail = &pair->next;
        if (!jparse_is_op(p, '}') && !jparse_want_op(p, ','))
            return NULL;
    }
    return n;
}

static struct jnode *parse_primary(struct jparse *p)
{
    struct jnode *n;
    bool comma;
    switch (p->t->kind) {
    case T_STRING: return parse_string(p);
    case T_INT:
    case T_FLOAT: return parse_number(p);
    case T_NAME: return parse_name(p);
    default: break;
    }
    if (jparse_skip_op(p, '[')) {
        n = jparse_node(p, X_LIST);
        return n && parse_items(p, ']', &n->list, &comma) ? n : NULL;
    }
    if (jparse_skip_op(p, '{'))
        return parse_dict(p);
    if (jparse_skip_op(p, '(')) {
        n = jparse_node(p, X_LIST);
        if (!n || !parse_items(p, ')', &n->list, &comma))
            return NULL;
        n->op = 1;
        return n->list && !comma ? n->list : n;
    }
    return jparse_fail(p, p->t->kind == T_OP ? "an expression is missing before \"%.*s\"" : "an expression is missing",
                       (int)(p->t->text.n < 32 ? p->t->text.n : 32), p->t->text.p);
}

bool jparse_args(struct jparse *p, struct jnode **list)
{
    while (!jparse_skip_op(p, ')')) {
        struct jnode *a;
        if (jparse_is_op(p, '*') || jparse_is_op(p, OP_POW)) {
            uint8_t stars = jparse_is_op(p, '*') ? 1 : 2;
            p->t++;
            if (!(a = jparse_node(p, X_SPREAD)) || !(a->a = jparse_expr(p)))
                return false;
            a->op = stars;
        } else if (p->t->kind == T_NAME && p->t[1].kind == T_OP && p->t[1].op == '=') {
            if (!(a = jparse_node(p, X_KWARG)) || !jparse_name_of(p, a))
                return false;
            p->t++;
            if (!(a->a = jparse_expr(p)))
                return false;
        } else if (!(a = jparse_expr(p)))
            return false;
        *list = a;
        list = &a->next;
        if (!jparse_is_op(p, ')') && !jparse_want_op(p, ','))
            return false;
    }
    return true;
}

/* [a], [a:b:c], [a, b]; "[" is taken. */
static struct jnode *parse_subscript(struct jparse *p)
{
    struct jnode *n = jparse_node(p, P_INDEX), *part[3] = {0}, *row, **tail;
    int colons = 0;
    while (n && !jparse_is_op(p, ']') && !jparse_is_op(p, ',')) {
        if (jparse_skip_op(p, ':')) {
            if (++colons > 2)
                return jparse_fail(p, "a slice has more than three parts");
            continue;
        }
        if (part[colons])
            return jparse_fail(p, "\"]\" is missing");
        if (!(part[colons] = jparse_expr(p)))
            return NULL;
    }
    if (!n)
        return NULL;
    n->a = part[0], n->b = part[1], n->c = part[2];
    if (colons)
        n->kind = P_SLICE;
    else if (!n->a)
        return jparse_fail(p, "an index is missing in [ ]");
    if (!colons && jparse_is_op(p, ',')) {
        if (!(row = list_of(p, X_LIST, n->a)))
            return NULL;
        row->op = 1;
        n->a = row;
        for (tail = &row->list->next; jparse_skip_op(p, ',') && !jparse_is_op(p, ']'); tail = &(*tail)->next)
            if (!(*tail = jparse_expr(p)))
                return NULL;
    }
    return jparse_want_op(p, ']') ? n : NULL;
}

/* One link of .name, .0, [..] or (..); *is is false when there is none. */
static struct jnode *parse_link(struct jparse *p, bool *is)
{
    struct jnode *n;
    *is = true;
    if (jparse_skip_op(p, '.')) {
        if (p->t->kind == T_INT)
            return (n = jparse_node(p, P_INDEX)) && (n->a = parse_number(p)) ? n : NULL;
        return (n = jparse_node(p, P_ATTR)) && jparse_name_of(p, n) ? n : NULL;
    }
    if (jparse_skip_op(p, '['))
        return parse_subscript(p);
    if (jparse_skip_op(p, '('))
        return (n = jparse_node(p, P_CALL)) && jparse_args(p, &n->list) ? n : NULL;
    *is = false;
    return NULL;
}

static struct jnode *chain(struct jparse *p, struct jnode *base, struct jnode *links)
{
    struct jnode *n = links ? jparse_node(p, X_CHAIN) : NULL;
    if (!n)
        return links ? NULL : base;
    n->a = base;
    n->list = links;
    return n;
}

struct jnode *jparse_postfix_only(struct jparse *p)
{
    struct jnode *base = parse_primary(p), *links = NULL, **tail = &links;
    for (bool is = true; base;) {
        struct jnode *x = parse_link(p, &is);
        if (!is)
            return chain(p, base, links);
        if (!x)
            return NULL;
        *tail = x;
        tail = &x->next;
    }
    return NULL;
}

static struct jnode *parse_filter(struct jparse *p)
{
    struct jnode *n = jparse_node(p, P_FILTER);
    if (!n || !jparse_name_of(p, n))
        return NULL;
    return !jparse_skip_op(p, '(') || jparse_args(p, &n->list) ? n : NULL;
}

/* `x is divisibleby 3` and `x is divisibleby(3)`; "is" is taken. */
static struct jnode *parse_test(struct jparse *p)
{
    struct jnode *n = jparse_node(p, P_TEST);
    if (!n)
        return NULL;
    n->op = jparse_skip_name(p, "not");
    if (!jparse_name_of(p, n))
        return NULL;
    if (jparse_skip_op(p, '('))
        return jparse_args(p, &n->list) ? n : NULL;
    if (jparse_is_name(p, "is"))
        return jparse_fail(p, "two tests in a row; use brackets");
    bool value = p->t->kind == T_STRING || p->t->kind == T_INT || p->t->kind == T_FLOAT || jparse_is_op(p, '[') || jparse_is_op(p, '{') ||
                 (p->t->kind == T_NAME && !jparse_is_name(p, "else") && !jparse_is_name(p, "or") && !jparse_is_name(p, "and") &&
                  !jparse_is_name(p, "is") && !jparse_is_name(p, "if") && !jparse_is_name(p, "in") && !jparse_is_name(p, "not"));
    return !value || (n->list = jparse_postfix_only(p)) ? n : NULL;
}

/* The filters and tests behind an expression, as links. */
static bool parse_tail(struct jparse *p, struct jnode **tail)
{
    for (struct jnode *x; jparse_is_op(p, '|') || jparse_is_name(p, "is"); tail = &x->next) {
        bool filter = jparse_is_op(p, '|');
        p->t++;
        if (!(x = filter ? parse_filter(p) : parse_test(p)))
            return false;
        *tail = x;
    }
    return true;
}

struct jnode *jparse_filters(struct jparse *p, struct jnode *base)
{
    struct jnode *first = parse_filter(p);
    return first && parse_tail(p, &first->next) ? chain(p, base, first) : NULL;
}

static struct jnode *parse_unary(struct jparse *p)
{
    struct jnode *links = NULL, *n;
    const struct jtoken *sign = p->t;
    while (jparse_skip_op(p, '-') || jparse_skip_op(p, '+'))
        if (p->t - sign > 8)
            return jparse_fail(p, "too many signs before a number");
    const struct jtoken *end = p->t;
    n = jparse_postfix_only(p);
    for (const struct jtoken *t = end; n && t > sign; t--) {
        struct jnode *x = jparse_node(p, t[-1].op == '-' ? X_NEG : X_POS);
        if (!x)
            return NULL;
        x->a = n;
        n = x;
    }
    return n && parse_tail(p, &links) ? chain(p, n, links) : NULL;
}
