#include "api/params.h"
#include <math.h>
#include <string.h>

enum param_type { STR, BOOL, INT, NUM, OVER, ARR, OBJ, ANY };
enum param_use { NEEDED, HONOURED, NO_EFFECT, LATER };

enum { CHAT = EP_CHAT, COMPLETIONS = EP_COMPLETIONS, EMBEDDINGS = EP_EMBEDDINGS, TOKENIZE = EP_TOKENIZE, DETOKENIZE = EP_DETOKENIZE };
static const struct {
    enum endpoint ep;
    const char *path;
} endpoints[] = {{EP_CHAT, "/v1/chat/completions"},
                 {EP_COMPLETIONS, "/v1/completions"},
                 {EP_EMBEDDINGS, "/v1/embeddings"},
                 {EP_TOKENIZE, "/tokenize"},
                 {EP_DETOKENIZE, "/detokenize"}};

struct param {
    const char *name;
    unsigned endpoints;
    enum param_type type;
    int64_t min, max;
    const char *dflt;
    enum param_use use;
    const char *text;
    size_t value, has; /* offsets in struct params */
};

static const struct param table[] = {
#define PARAM(id, n, ep, t, lo, hi, d, u, txt) {n, ep, t, lo, hi, d, u, txt, offsetof(struct params, id), offsetof(struct params, has_##id)},
#include "api/params.def"
#undef PARAM
};
enum { N_PARAMS = sizeof table / sizeof table[0] };

static const char *const type_words[] = {"a string", "true or false", "an integer", "a number", "a number", "an array", "an object", "a value"};

static const struct param *find(struct str name, enum endpoint ep)
{
    for (size_t i = 0; i < N_PARAMS; i++)
        if ((table[i].endpoints & ep) && str_eqz(name, table[i].name))
            return &table[i];
    return NULL;
}

static int wrong_type(const struct param *p, const struct json *v, struct err *e)
{
    return err_param(e, ERR_BAD_REQUEST, p->name, "%s must be %s, not %s", p->name, type_words[p->type], json_type_name(v));
}

static int read_number(const struct param *p, const struct json *v, double *out, struct err *e)
{
    enum json_type t = json_type(v);
    if (t != JSON_INT && t != JSON_REAL)
        return wrong_type(p, v, e);
    double x = json_num(v);
    if (p->type == OVER && x <= (double)p->min)
        return err_param(e, ERR_BAD_VALUE, p->name, "%s is %g; it must be above %lld and at most %lld", p->name, x, (long long)p->min,
                         (long long)p->max);
    if (!isfinite(x) || x < (double)p->min || x > (double)p->max)
        return err_param(e, ERR_BAD_VALUE, p->name, "%s is %g, which is outside %lld to %lld", p->name, x, (long long)p->min, (long long)p->max);
    *out = x;
    return 0;
}

static int read_integer(const struct param *p, const struct json *v, int64_t *out, struct err *e)
{
    if (json_type(v) != JSON_INT)
        return wrong_type(p, v, e);
    int64_t x = json_int(v);
    if (x < p->min || x > p->max)
        return err_param(e, ERR_BAD_VALUE, p->name, "%s is %lld, which is outside %lld to %lld", p->name, (long long)x, (long long)p->min,
                         (long long)p->max);
    *out = x;
    return 0;
}

static int check_count(const struct param *p, size_t n, const char *what, struct err *e)
{
    if (n < (uint64_t)p->min || n > (uint64_t)p->max)
        return err_param(e, ERR_BAD_VALUE, p->name, "%s has %zu %s; it must have %lld to %lld", p->name, n, what, (long long)p->min,
                         (long long)p->max);
    return 0;
}

static int read_value(const struct param *p, const struct json *v, void *slot, struct err *e)
{
    switch (p->type) {
    case STR:
        if (json_type(v) != JSON_STR)
            return wrong_type(p, v, e);
        *(struct str *)slot = json_str(v);
        return check_count(p, json_str(v).n, "bytes", e);
    case BOOL:
        if (json_type(v) != JSON_BOOL)
            return wrong_type(p, v, e);
        *(bool *)slot = json_bool(v);
        return 0;
    case INT: return read_integer(p, v, slot, e);
    case NUM:
    case OVER: return read_number(p, v, slot, e);
    case ARR:
    case OBJ:
        if (json_type(v) != (p->type == ARR ? JSON_ARR : JSON_OBJ))
            return wrong_type(p, v, e);
        *(const struct json **)slot = v;
        return check_count(p, json_len(v), p->type == ARR ? "elements" : "fields", e);
    case ANY: *(const struct json **)slot = v; return 0;
    }
    return 0;
}

/* True when the value is one of the neutral ones that change nothing: numbers compare by value, the rest by its compact text. */
static bool neutral(const struct param *p, const struct json *v)
{
    struct buf text;
    buf_init(&text, 4096);
    json_dump(&text, v);
    bool same = false;
    struct str rest = str_of(p->dflt), value = {text.data, text.len};
    double a, b;
    while (!text.failed && rest.n && !same) {
        struct str one = str_split(&rest, '|');
        same = str_eq(one, value) || ((p->type == NUM || p->type == OVER) && str_f64(one, &a) && str_f64(value, &b) && a == b);
    }
    buf_deinit(&text);
    return same;
}

static void name_ignored(struct buf *out, struct str name)
{
    if (out->len + name.n + 2 > IGNORED_BYTES_MAX)
        return;
    if (out->len)
        buf_str(out, ", ");
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.';
        buf_char(out, plain ? c : '?');
    }
}

int params_read(struct params *out, enum endpoint ep, const struct json *obj, struct buf *ignored, struct err *e)
{
    memset(out, 0, sizeof *out);
    if (json_type(obj) != JSON_OBJ)
        return err_set(e, ERR_BAD_REQUEST, "the request body must be a JSON object, not %s", json_type_name(obj));
    void *it = NULL;
    struct str name;
    const struct json *v;
    while (json_each(obj, &it, &name, &v)) {
        const struct param *p = find(name, ep);
        if (!p) {
            if (ignored)
                name_ignored(ignored, name);
            continue;
        }
        if (json_type(v) == JSON_NULL)
            continue; /* as if it were absent; a needed one is then missing below */
        int rc = read_value(p, v, (char *)out + p->value, e);
        if (rc < 0)
            return rc;
        if (p->use == LATER && !neutral(p, v))
            return err_param(e, ERR_UNSUPPORTED, p->name, "%s is not supported yet%s%s; leave it out", p->name, *p->dflt ? " except as " : "",
                             p->dflt);
        *(bool *)((char *)out + p->has) = true;
    }
    for (size_t i = 0; i < N_PARAMS; i++)
        if ((table[i].endpoints & ep) && table[i].use == NEEDED && !*(bool *)((char *)out + table[i].has))
            return err_param(e, ERR_BAD_REQUEST, table[i].name, "%s is missing; it must be %s", table[i].name, type_words[table[i].type]);
    return 0;
}

static const char *const use_words[] = {"required", "honoured", "accepted without effect", "400 until a later version"};

static void range_text(struct buf *out, const struct param *p)
{
    bool sized = p->type == STR || p->type == ARR || p->type == OBJ;
    if (p->type == BOOL || p->type == ANY)
        buf_str(out, "");
    else if (p->min == INT64_MIN)
        buf_str(out, "64-bit");
    else
        buf_fmt(out, p->type == OVER ? "above %lld, to %lld%s" : "%lld to %lld%s", (long long)p->min, (long long)p->max,
                !sized           ? ""
                : p->type == STR ? " bytes"
                : p->type == ARR ? " elements"
                                 : " fields");
}

static void row_text(struct buf *out, const struct param *p)
{
    static const char *const types[] = {"string", "boolean", "integer", "number", "number", "array", "object", "any"};
    buf_fmt(out, "| `%s` | %s | ", p->name, types[p->type]);
    range_text(out, p);
    buf_str(out, " | ");
    struct str rest = str_of(p->dflt);
    for (bool first = true; rest.n; first = false) {
        struct str one = str_split(&rest, '|');
        buf_fmt(out, "%s`%.*s`", first ? "" : " or ", (int)one.n, one.p);
    }
    buf_fmt(out, " | %s | %s |\n", use_words[p->use], p->text);
}

void params_markdown(struct buf *out)
{
    buf_str(
        out,
        "# Parameters\n\n"
        "Made from `src/api/params.def` by `sluice help parameters`; change it there. A field that is not in these tables is ignored and named in\n"
        "the answer's header `x-sluice-ignored`. `null` means absent. A parameter of a later version is refused with 400\n"
        "(`unsupported_parameter`) unless it has the value that changes nothing, shown as its default.\n");
    for (size_t k = 0; k < sizeof endpoints / sizeof *endpoints; k++) {
        buf_fmt(out, "\n## `POST %s`\n\n| parameter | type | range | default | treatment | meaning |\n|---|---|---|---|---|---|\n",
                endpoints[k].path);
        for (size_t i = 0; i < N_PARAMS; i++)
            if (table[i].endpoints & endpoints[k].ep)
                row_text(out, &table[i]);
    }
}
