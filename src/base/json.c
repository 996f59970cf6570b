/* The only file that sees jansson. Jansson's own limit on depth is higher than ours and its error is vague, so depth is checked first. */
/* jansson's names that ours would meet. */
#define json_type jansson_type
#define JSON_REAL JANSSON_REAL
#define JSON_NULL JANSSON_NULL
#include <jansson.h>
#undef json_type
#undef JSON_REAL
#undef JSON_NULL
#include "base/json.h"
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static json_t *of(const struct json *j) { return (json_t *)(uintptr_t)j; }
static const struct json *wrap(const json_t *j) { return (const struct json *)(uintptr_t)j; }

/* Walks p[0, n) without recursion, strings skipped. Stops where nesting passes JSON_DEPTH_MAX: the bytes walked, n when it never does.
 * *member (may be NULL): the last name at the first level, quotes left out; empty when there was none. */
static size_t walk(const char *p, size_t n, struct str *member)
{
    int depth = 0;
    bool in_str = false;
    size_t from = 0, to = 0; /* of the last string */
    for (size_t i = 0; i < n; i++) {
        if (in_str) {
            if (p[i] == '\\')
                i++;
            else if (p[i] == '"')
                in_str = false, to = i;
        } else if (p[i] == '"') {
            in_str = true, from = i + 1;
        } else if (p[i] == ':' && depth == 1 && member && to >= from) {
            *member = (struct str){p + from, to - from};
        } else if (p[i] == '{' || p[i] == '[') {
            if (++depth > JSON_DEPTH_MAX)
                return i;
        } else if (p[i] == '}' || p[i] == ']') {
            depth--;
        }
    }
    return n;
}

/* The member of the outermost object that a fault at byte `at` belongs to, as the error's parameter; "" when it is no plain name. */
static void member_at(char out[64], const char *p, size_t at)
{
    struct str name = {0};
    walk(p, at, &name);
    bool plain = name.n < 64;
    for (size_t i = 0; i < name.n; i++)
        plain &= name.p[i] == '_' || (name.p[i] >= 'a' && name.p[i] <= 'z') || (name.p[i] >= 'A' && name.p[i] <= 'Z') ||
                 (name.p[i] >= '0' && name.p[i] <= '9');
    snprintf(out, 64, "%.*s", plain ? (int)name.n : 0, name.n ? name.p : "");
}

int json_parse(struct json **out, const char *p, size_t n, struct err *e)
{
    json_error_t why;
    char member[64];
    size_t walked;
    *out = NULL;
    if (n > JSON_BYTES_MAX)
        return err_set(e, ERR_TOO_LARGE, "json: %zu bytes; at most %d are read", n, JSON_BYTES_MAX);
    if ((walked = walk(p, n, NULL)) < n) {
        member_at(member, p, walked);
        return err_param(e, ERR_BAD_REQUEST, member, "json: nested deeper than %d levels", JSON_DEPTH_MAX);
    }
    json_t *j = json_loadb(n ? p : "", n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (!j) {
        member_at(member, p, why.position > 0 && (size_t)why.position < n ? (size_t)why.position : n);
        return err_param(e, ERR_BAD_REQUEST, member, "json: line %d, column %d: %s; send one valid JSON value", why.line, why.column, why.text);
    }
    *out = (struct json *)j;
    return 0;
}

void json_free(struct json *root) { json_decref((json_t *)root); }

enum json_type json_type(const struct json *j)
{
    if (!j)
        return JSON_NULL;
    switch (json_typeof(of(j))) {
    case JSON_OBJECT: return JSON_OBJ;
    case JSON_ARRAY: return JSON_ARR;
    case JSON_STRING: return JSON_STR;
    case JSON_INTEGER: return JSON_INT;
    case JANSSON_REAL: return JSON_REAL;
    case JSON_TRUE:
    case JSON_FALSE: return JSON_BOOL;
    default: return JSON_NULL;
    }
}

const char *json_type_name(const struct json *j)
{
    static const char *const names[] = {"null", "a boolean", "an integer", "a number", "a string", "an array", "an object"};
    return names[json_type(j)];
}

const struct json *json_get(const struct json *obj, const char *key) { return obj ? wrap(json_object_get(of(obj), key)) : NULL; }

size_t json_len(const struct json *j) { return !j ? 0 : json_is_array(of(j)) ? json_array_size(of(j)) : json_object_size(of(j)); }

const struct json *json_at(const struct json *arr, size_t i) { return arr ? wrap(json_array_get(of(arr), i)) : NULL; }

bool json_each(const struct json *obj, void **it, struct str *key, const struct json **value)
{
    if (!obj || !json_is_object(of(obj)))
        return false;
    *it = *it ? json_object_iter_next(of(obj), *it) : json_object_iter(of(obj));
    if (!*it)
        return false;
    *key = str_of(json_object_iter_key(*it));
    *value = wrap(json_object_iter_value(*it));
    return true;
}

bool    json_bool(const struct json *j) { return j && json_is_true(of(j)); }
int64_t json_int(const struct json *j) { return j ? (int64_t)json_integer_value(of(j)) : 0; }
double  json_num(const struct json *j) { return j ? json_number_value(of(j)) : 0; }

struct str json_str(const struct json *j)
{
    if (!j || !json_is_string(of(j)))
        return STR("");
    return (struct str){json_string_value(of(j)), json_string_length(of(j))};
}

/* The writer of objects and arrays keeps an explicit stack of iterators: depth was limited when the value was read. */
static void dump(struct jw *w, const struct json *j, int depth)
{
    struct str         key, s;
    const struct json *v;
    void              *it = NULL;
    switch (json_type(j)) {
    case JSON_NULL: jw_null(w); break;
    case JSON_BOOL: jw_bool(w, json_bool(j)); break;
    case JSON_INT: jw_i64(w, json_int(j)); break;
    case JSON_REAL: jw_f64(w, json_num(j)); break;
    case JSON_STR: s = json_str(j), jw_strn(w, s.p, s.n); break;
    case JSON_ARR:
        jw_arr(w);
        for (size_t i = 0; depth < JSON_DEPTH_MAX && i < json_len(j); i++)
            dump(w, json_at(j, i), depth + 1);
        jw_arr_end(w);
        break;
    case JSON_OBJ:
        jw_obj(w);
        while (depth < JSON_DEPTH_MAX && json_each(j, &it, &key, &v)) {
            jw_key(w, key.p);
            dump(w, v, depth + 1);
        }
        jw_obj_end(w);
        break;
    }
}

void json_dump(struct buf *out, const struct json *j)
{
    struct jw w;
    jw_init(&w, out);
    dump(&w, j, 0);
}

void jw_init(struct jw *w, struct buf *b) { *w = (struct jw){b, false}; }

static void before(struct jw *w)
{
    if (w->comma)
        buf_char(w->b, ',');
    w->comma = true;
}

static void open_(struct jw *w, char c)
{
    before(w);
    buf_char(w->b, c);
    w->comma = false;
}

static void close_(struct jw *w, char c)
{
    buf_char(w->b, c);
    w->comma = true;
}

void jw_obj(struct jw *w) { open_(w, '{'); }
void jw_obj_end(struct jw *w) { close_(w, '}'); }
void jw_arr(struct jw *w) { open_(w, '['); }
void jw_arr_end(struct jw *w) { close_(w, ']'); }

static void escape(struct buf *b, unsigned char c)
{
    switch (c) {
    case '"': buf_str(b, "\\\""); break;
    case '\\': buf_str(b, "\\\\"); break;
    case '\n': buf_str(b, "\\n"); break;
    case '\r': buf_str(b, "\\r"); break;
    case '\t': buf_str(b, "\\t"); break;
    default: buf_fmt(b, "\\u%04x", c);
    }
}

static void quoted(struct buf *b, const char *p, size_t n)
{
    buf_char(b, '"');
    size_t from = 0, i = 0;
    while (i < n) {
        unsigned char c = (unsigned char)p[i];
        int           k = c < 0x80 ? 1 : utf8_len(p + i, n - i);
        if (k > 0 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            i += (size_t)k;
            continue;
        }
        buf_add(b, p + from, i - from);
        if (k > 0)
            escape(b, c);
        else
            buf_str(b, "\xEF\xBF\xBD");
        from = ++i;
    }
    buf_add(b, p + from, n - from);
    buf_char(b, '"');
}

void jw_key(struct jw *w, const char *key)
{
    before(w);
    quoted(w->b, key, strlen(key));
    buf_char(w->b, ':');
    w->comma = false;
}

void jw_strn(struct jw *w, const char *p, size_t n)
{
    before(w);
    quoted(w->b, p, n);
}

void jw_str(struct jw *w, const char *z)
{
    if (z)
        jw_strn(w, z, strlen(z));
    else
        jw_null(w);
}

void jw_i64(struct jw *w, int64_t v)
{
    before(w);
    if (v < 0)
        buf_char(w->b, '-');
    char digits[21];
    buf_add(w->b, digits, str_from_u64(digits, v < 0 ? 0 - (uint64_t)v : (uint64_t)v));
}
void jw_u64(struct jw *w, uint64_t v)
{
    char digits[21];
    before(w);
    buf_add(w->b, digits, str_from_u64(digits, v));
}
void jw_bool(struct jw *w, bool v) { before(w), buf_str(w->b, v ? "true" : "false"); }
void jw_null(struct jw *w) { before(w), buf_str(w->b, "null"); }
void jw_raw(struct jw *w, const char *p, size_t n) { before(w), buf_add(w->b, p, n); }

void jw_f64(struct jw *w, double v)
{
    char   z[40];
    double back = 0;
    if (!isfinite(v)) {
        jw_null(w);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(z, sizeof z, "%.*g", digits, v);
        if (str_f64(str_of(z), &back) && back == v)
            break;
    }
    before(w);
    buf_str(w->b, z);
}
