/* A Jinja interpreter for chat templates, private to text/. Source -> tokens (lex.c) -> tree (parse.c, expr.c) -> walk (exec.c, eval.c).
 *
 * A template is code that came with a model file, and the conversation is data from a stranger; neither is trusted with the machine:
 * no files, no imports, no attributes but those of dicts, namespaces and loops, every loop and every copied byte counted, the depth of
 * the walk bounded. Each string knows which of its bytes are the template's own text (trusted) and which come from data: a
 * byte of taint stands beside each byte where a string is mixed. What is neither clearly the one nor the other counts as data. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/vec.h"
#include "text/unicode.h"

/* Limits of a run; the template's own limits are in text/template.h. */
enum {
    JINJA_MEMORY_MAX = 96 << 20,
    JINJA_LIST_MAX = 1000000,
    JINJA_WALK_MAX = 600,
    JINJA_ARGS_MAX = 64,
    JINJA_TREE_MAX = 64 << 20,
    JINJA_NAMES_MAX = 2048,
    JINJA_RANGE_MAX = 100000 /* as Jinja2's sandbox */,
    JINJA_WIDTH_MAX = 65536
};

struct jstr {
    const char *p;
    const uint8_t *taint; /* (n): 1 is trusted; NULL: all bytes as `trusted` says */
    uint32_t n;
    bool trusted;
    bool markup; /* of escape and safe: what is added with + is escaped */
};

enum jtype { J_UNDEF, J_NONE, J_BOOL, J_INT, J_FLOAT, J_STR, J_LIST, J_DICT, J_NS, J_MACRO, J_FUNC, J_LOOP, J_METHOD, J_OBJ };

struct jval {
    enum jtype type;
    union {
        bool b;
        int64_t i;
        double f;
        struct jstr s; /* of an undefined value: its name, for messages */
        struct jlist *l;
        struct jdict *d; /* J_DICT and J_NS; a namespace's can change */
        struct jmacro *m;
        struct jloop *loop;
        const struct jfunc *fn;
        struct jbound *method;
        struct jobj *obj;
    };
};

/* `value.name` where name is a method: what a template can call later, or ask whether it is callable. */
struct jbound {
    struct jval self;
    struct str name;
};

struct jlist {
    struct jval *v;
    uint32_t n;
    bool tuple; /* prints with ( ) */
    bool group; /* of groupby: a tuple whose items are also called grouper and list */
};

/* cycler(...) and joiner(...): the only values besides namespaces that remember something. */
struct jobj {
    bool joiner;
    struct jval *items; /* of a cycler; of a joiner: its separator */
    uint32_t n, at;     /* of a joiner: at is 1 once it was called */
};

struct jdict {
    struct jval *k, *v; /* in their order */
    uint32_t n, cap;
};

/* A node of the tree. What a, b, c and list mean stands beside each kind. */
enum jkind {
    /* statements, in a list through `next` */
    S_TEXT,   /* val */
    S_PRINT,  /* a */
    S_IF,     /* list: S_BRANCH... */
    S_BRANCH, /* a: condition, NULL in else; list: body */
    S_FOR,    /* a: target, b: sequence, c: filter or NULL; list: body, other: else; op: 1 for recursive */
    S_SET,    /* a: target, b: value, or list: body; c: filters of a set block or NULL */
    S_MACRO,  /* val: name; a: parameters (X_KWARG: name, a: default or NULL); list: body; op: MACRO_... */
    S_CALL,   /* a: the call; b: parameters; list: body; op: MACRO_... of the body */
    S_FILTER, /* a: a chain of filters on nothing; list: body */
    S_BREAK,
    S_CONTINUE,
    S_BLOCK, /* list: body */
    S_WITH,  /* a: S_SET...; list: body */
    /* expressions */
    X_LIT,    /* val */
    X_NAME,   /* val: name */
    X_LIST,   /* list; op: 1 for a tuple */
    X_DICT,   /* list: X_PAIR... */
    X_PAIR,   /* a: key, b: value */
    X_CHAIN,  /* a: base; list: P_... */
    X_ARITH,  /* a: first; list: X_ITEM... (left to right) */
    X_CONCAT, /* list */
    X_CMP,    /* a: first; list: X_ITEM... */
    X_ITEM,   /* op, a */
    X_AND,    /* list */
    X_OR,     /* list */
    X_NOT,    /* a */
    X_NEG,    /* a */
    X_POS,    /* a */
    X_COND,   /* a: then, b: condition, c: else or NULL */
    X_KWARG,  /* val: name; a */
    X_SPREAD, /* *a; op 2: **a */
    /* links of a chain */
    P_ATTR,   /* val: name */
    P_INDEX,  /* a */
    P_SLICE,  /* a, b, c: start, stop, step, each may be NULL */
    P_CALL,   /* list: arguments */
    P_FILTER, /* val: name; list: arguments */
    P_TEST,   /* val: name; list: arguments; op: 1 for `is not` */
};

struct jnode {
    uint8_t kind, op;
    uint32_t line;
    struct jnode *next, *a, *b, *c, *list, *other;
    uint32_t name; /* number of the name in val, for variables */
    struct jval val;
};

/* Which of its hidden arguments the body of a macro names. */
enum { MACRO_VARARGS = 1, MACRO_KWARGS = 2, MACRO_CALLER = 4 };

/* Operators of more than one character; the others are their character. */
enum { OP_EQ = 1, OP_NE, OP_LE, OP_GE, OP_FLOORDIV, OP_POW, OP_IN, OP_NOT_IN };

struct jtoken {
    uint8_t kind, op; /* enum jtok */
    uint32_t line;
    struct str text; /* of a string: between the quotes, escapes not yet resolved */
};
enum jtok { T_END, T_TEXT, T_PRINT, T_PRINT_END, T_TAG, T_TAG_END, T_NAME, T_INT, T_FLOAT, T_STRING, T_OP };

struct jtokens {
    struct jtoken *p;
    size_t n, cap;
};
/* lex.c: the whole source, cut into tokens that point into it. */
int jinja_lex(struct jtokens *out, struct str source, struct err *e) MUST_USE;

struct jparse {
    struct arena *mem;
    const struct jtoken *t; /* the next token; the last one is T_END */
    struct err *e;
    struct vec_names {
        struct str *p;
        size_t n, cap;
    } names;
    int depth, loops; /* loops around this place, within its macro */
};
/* parse.c: NULL is an error in p->e. An empty template is a list of one S_BLOCK. */
struct jnode *jinja_parse(struct jparse *p);
struct jnode *jparse_node(struct jparse *p, enum jkind kind);
struct jnode *jparse_fail(struct jparse *p, const char *fmt, ...) PRINTF(2, 3);
struct jnode *jparse_no_room(struct jparse *p); /* the arena gave nothing */
bool jparse_deeper(struct jparse *p); /* counts one level; p->depth-- on the way out */
bool jparse_is_op(const struct jparse *p, int op);
bool jparse_is_name(const struct jparse *p, const char *name);
bool jparse_skip_op(struct jparse *p, int op);
bool jparse_skip_name(struct jparse *p, const char *name);
bool jparse_want_op(struct jparse *p, int op);
bool jparse_name_of(struct jparse *p, struct jnode *n); /* takes a T_NAME into n */
/* expr.c */
struct jnode *jparse_expr(struct jparse *p); /* with `x if y else z` */
struct jnode *jparse_expr_or_tuple(struct jparse *p);
struct jnode *jparse_tuple(struct jparse *p, struct jnode *(*item)(struct jparse *)); /* items of that kind with commas between are a tuple */
struct jnode *jparse_one_target(struct jparse *p);
struct jnode *jparse_or(struct jparse *p);                          /* without */
struct jnode *jparse_target(struct jparse *p, bool in_for);         /* name, name.attr, or targets with commas and brackets */
struct jnode *jparse_filters(struct jparse *p, struct jnode *base); /* `name(args)|name...`, no pipe before the first */
bool jparse_args(struct jparse *p, struct jnode **list);            /* after "(", takes ")" */
struct jnode *jparse_postfix_only(struct jparse *p);                /* a primary with .attr, [..] and calls */

/* A frame of variables. */
struct jframe {
    struct jframe *parent;
    struct jbind {
        uint32_t name;
        struct jval v;
    } * b;
    uint32_t n, cap;
};

struct jmacro {
    const struct jnode *params, *body;
    struct jframe *frame; /* where it was defined */
    struct jstr name;
    bool has_caller;
    uint8_t hidden; /* MACRO_... */
    struct jval caller;
};

struct jloop {
    const struct jval *items;
    uint32_t n, i, depth0;
    bool had_last;
    struct jval last; /* of loop.changed() */
    const struct jnode *node;
    struct jframe *outer; /* of a recursive loop: where loop(...) runs it again */
};

/* Where output goes: bytes and their taint. */
struct jout {
    struct buf text, taint;
};

struct jrun {
    struct arena mem;
    struct err *e;
    struct jframe *frame, *globals;
    struct jout *out;
    uint64_t steps;
    int depth;
    uint32_t line;
    size_t output_max;
    int64_t now_us;
    uint32_t caller_name, loop_name, varargs_name, kwargs_name; /* the numbers of these names */
    bool failed;
};

struct jargs {
    struct jval *pos;
    uint32_t n;
    struct jkw {
        struct str name;
        struct jval v;
    } * kw;
    uint32_t n_kw;
};

struct jfunc {
    const char *name;
    bool (*call)(struct jrun *r, const struct jargs *a, struct jval *out);
};

/* All functions below that return bool: false means that r->e holds the error. */
bool jfail(struct jrun *r, const char *fmt, ...) PRINTF(2, 3);
bool jstep(struct jrun *r, size_t cost);           /* counts steps: one a node, and one for each 32 bytes copied or compared */
void *jnew(struct jrun *r, size_t n, size_t size); /* zeroed; NULL: r->e says so */

/* value.c */
struct jval jint(int64_t i);
struct jval jreal(double f);
struct jval jbool(bool b);
struct jval jnone(void);
struct jval jundef(struct jstr name);
struct jval jstr_val(struct jstr s);
const char *jtype_name(const struct jval *v);
bool jtruthy(const struct jval *v);
bool jlist_new(struct jrun *r, size_t n, struct jval *out);
bool jtuple_new(struct jrun *r, size_t n, struct jval *out);
bool jdict_new(struct jrun *r, size_t cap, struct jval *out);
bool jhashable(struct jrun *r, const struct jval *v, bool *out); /* may it be a key? */
bool jdict_get(struct jrun *r, const struct jdict *d, const struct jval *key, struct jval *out, bool *found);
bool jdict_gets(struct jrun *r, const struct jdict *d, struct str key, struct jval *out, bool *found);
bool jdict_set(struct jrun *r, struct jdict *d, struct jval key, struct jval v);
bool jitems(struct jrun *r, const struct jval *v, struct jval **items, uint32_t *n); /* what a loop over v sees */
bool jlength(struct jrun *r, const struct jval *v, int64_t *out);
bool jnumber(const struct jval *v, double *out);   /* of int, float, bool */
bool jinteger(const struct jval *v, int64_t *out); /* of int, bool */
/* order.c */
enum { J_UNORDERED = 2 }; /* what jcompare says of NaN */
bool jequal(struct jrun *r, const struct jval *a, const struct jval *b, bool *out);
bool jcompare(struct jrun *r, const struct jval *a, const struct jval *b, int *out);        /* -1, 0, 1 or J_UNORDERED */
bool jorder(struct jrun *r, int op, const struct jval *a, const struct jval *b, bool *out); /* ==, <, in, ... */
bool jcontains(struct jrun *r, const struct jval *in, const struct jval *what, bool *out);
/* print.c */
bool jto_str(struct jrun *r, const struct jval *v, struct jstr *out); /* Python's str() */
bool jrepr(struct jrun *r, const struct jval *v, struct jstr *out);
void jdouble(char out[40], double d); /* Python's repr of a float */
/* str.c */
struct jstr jstr_lit(const char *z);            /* trusted, not copied */
struct jstr jstr_data(const char *p, size_t n); /* untrusted, not copied */
struct jstr jstr_cut(struct jstr s, size_t from, size_t to);
struct str jstr_raw(struct jstr s);
bool jstr_same(struct jstr a, struct jstr b);
bool jstr_concat(struct jrun *r, const struct jstr *parts, size_t n, struct jstr *out);
bool jstr_strip(struct jrun *r, struct jstr s, const struct jstr *set, bool left, bool right, struct jstr *out);
bool jstr_replace(struct jrun *r, struct jstr s, struct jstr old, struct jstr new, int64_t count, struct jstr *out);
bool jstr_repeat(struct jrun *r, struct jstr s, int64_t n, struct jstr *out);
bool jstr_reverse(struct jrun *r, struct jstr s, struct jstr *out);
bool jstr_pad(struct jrun *r, struct jstr s, int64_t left, int64_t right, struct jstr fill, struct jstr *out); /* fill: one character */
const char *jstr_find(const char *p, size_t n, struct jstr what);                                              /* NULL: not there */
size_t jstr_chars(struct jstr s);
size_t jstr_at(struct jstr s, size_t chars);     /* the byte where character number `chars` begins, or s.n */
struct jstr jstr_char(struct jstr s, size_t at); /* the character at byte `at` */
/* filter_text.c: the five characters of HTML, but not of markup */
bool jstr_escape(struct jrun *r, struct jstr s, struct jstr *out);
/* A text that grows in the arena with the taint of each byte; init says how long it can get. */
struct jgrow {
    char *p;
    uint8_t *t;
    size_t n;
};
bool jgrow_init(struct jrun *r, struct jgrow *g, size_t cap, bool taint);
void jgrow_add(struct jgrow *g, struct jstr s);
struct jstr jgrow_done(const struct jgrow *g, bool trusted);
/* split.c */
bool jstr_split(struct jrun *r, struct jstr s, const struct jstr *sep, int64_t max, bool from_right, struct jval *out);
bool jstr_partition(struct jrun *r, struct jstr s, struct jstr sep, bool from_right, struct jval *out);
bool jstr_lines(struct jrun *r, struct jstr s, bool keep_ends, struct jval *out);
/* slice.c */
bool jslice_indices(struct jrun *r, const struct jval at[3], int64_t n, int64_t *start, int64_t *stop, int64_t *step);
bool jslice(struct jrun *r, const struct jval *v, const struct jval at[3], struct jval *out); /* Python's v[a:b:c]; none where absent */
/* casing.c: how is U(pper), L(ower), C(apitalize), F(old), S(wap), T as str.title(), W as the filter title */
bool jstr_case(struct jrun *r, struct jstr s, char how, struct jstr *out);
/* chars.c: what Python says of characters */
bool jchar_is_space(struct uchar c);
bool jchar_is_word(uint32_t cp); /* \w */
bool jchar_is_printable(uint32_t cp);
bool jchar_is_cased(uint32_t cp);
int jchar_digit(uint32_t cp); /* of a decimal digit of any script; else -1 */
bool jchars_are(struct jrun *r, struct jstr s, int what /* enum jchars */, bool *out);
enum jchars {
    CHARS_DIGIT,
    CHARS_NUMERIC,
    CHARS_DECIMAL,
    CHARS_ALPHA,
    CHARS_ALNUM,
    CHARS_SPACE,
    CHARS_UPPER,
    CHARS_LOWER,
    CHARS_TITLE,
    CHARS_ASCII,
    CHARS_IDENTIFIER,
    CHARS_PRINTABLE
};
/* number.c */
enum jparsed { JPARSED, JPARSED_NOT, JPARSED_BIG };                 /* a number, none, one of more than 64 bits */
enum jparsed jparse_int(struct jstr s, int64_t base, int64_t *out); /* Python's int(text, base) */
bool jparse_float(struct jstr s, double *out);                      /* Python's float(text) */
bool jfilter_int(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out);
bool jfilter_float(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out);
bool jfilter_round(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out);
/* arith.c */
bool jarith(struct jrun *r, int op, const struct jval *a, const struct jval *b, struct jval *out);
/* format.c */
bool jformat_percent(struct jrun *r, struct jstr format, const struct jval *args, struct jval *out); /* format % args */
bool jformat_braces(struct jrun *r, struct jstr format, const struct jargs *a, struct jval *out);    /* format.format(...) */
/* json.c */
bool jtojson(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out);
bool jfrom_json(struct jrun *r, const struct json *j, struct jval *out);
/* eval.c */
bool jeval(struct jrun *r, const struct jnode *n, struct jval *out);
bool jattr(struct jrun *r, const struct jval *v, struct str name, struct jval *out);
bool jitem(struct jrun *r, const struct jval *v, const struct jval *key, struct jval *out);
/* call.c */
bool jargs_eval(struct jrun *r, const struct jnode *list, struct jargs *out);
bool jarg(const struct jargs *a, uint32_t i, const char *name, struct jval *out); /* found? */
/* That a has the first `needed` of `params` (names with blanks between; "-" can only be given by place), and nothing else. */
bool jargs_fit(struct jrun *r, struct str what, const struct jargs *a, const char *params, uint32_t needed);
bool jcall(struct jrun *r, const struct jval *f, const struct jargs *a, struct jval *out);
bool jbind(struct jrun *r, struct jframe *f, uint32_t name, struct jval v);
bool jlookup(struct jrun *r, const struct jnode *name, struct jval *out);
/* func.c */
const struct jfunc *jfunc_find(struct str name); /* a function of every template: range, namespace, ... */
bool jobj_call(struct jrun *r, struct jobj *o, struct str method, const struct jargs *a, struct jval *out); /* method: empty for o(...) */
/* method.c, str_method.c */
bool jmethod(struct jrun *r, const struct jval *self, struct str name, const struct jargs *a, struct jval *out);
bool jmethod_known(const struct jval *self, struct str name);
bool jstr_method(struct jrun *r, struct jstr s, struct str name, const struct jargs *a, struct jval *out);
bool jstr_method_known(struct str name);
/* filter.c, filter_text.c, filter_list.c, filter_sort.c, filter_choose.c */
struct jfilter_row {
    const char *name;
    bool (*fn)(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out);
    const char *params; /* as jargs_fit takes them; NULL: fn looks itself */
    uint32_t needed;
};
extern const struct jfilter_row jfilters_text[], jfilters_list[], jfilters_sort[], jfilters_choose[]; /* the last row has no name */
bool jfilter(struct jrun *r, struct str name, const struct jval *v, const struct jargs *a, struct jval *out);
bool jfilter_known(struct str name);
bool jattr_path(struct jrun *r, const struct jval *v, const struct jval *path, struct jval *out); /* `a.b.0`, as attribute= names it */
/* test.c */
bool jtest(struct jrun *r, struct str name, const struct jval *v, const struct jargs *a, bool *out);
bool jtest_known(struct str name);
/* exec.c */
bool jexec(struct jrun *r, const struct jnode *list);
bool jcapture(struct jrun *r, const struct jnode *list, struct jframe *frame, struct jstr *out); /* what list prints, run in frame */
bool jloop_call(struct jrun *r, const struct jloop *l, const struct jargs *a, struct jval *out); /* loop(items) of a recursive loop */
void jout_init(struct jout *o, size_t max);
void jout_deinit(struct jout *o);
