/* JSON: a strict reader with limits (json.c is the only file that sees jansson) and a writer that goes straight into a buf. */
#pragma once
#include "base/buf.h"
#include "base/str.h"

enum json_type { JSON_NULL, JSON_BOOL, JSON_INT, JSON_REAL, JSON_STR, JSON_ARR, JSON_OBJ };
struct json; /* a value; the root is owned, all others are borrowed from it */

enum { JSON_DEPTH_MAX = 64, JSON_BYTES_MAX = 64 << 20 };

/* Parses exactly one value; duplicate keys, invalid UTF-8, NUL in strings and nesting past JSON_DEPTH_MAX are errors (ERR_BAD_REQUEST);
 * when the fault lies in a member of the outermost object, the error's parameter is that member's name. */
int  json_parse(struct json **out, const char *p, size_t n, struct err *e) MUST_USE;
void json_free(struct json *root);

enum json_type     json_type(const struct json *j); /* NULL pointer: JSON_NULL */
const char        *json_type_name(const struct json *j); /* "an object", "null": for messages */
const struct json *json_get(const struct json *obj, const char *key); /* NULL: absent or not an object */
size_t             json_len(const struct json *j);                    /* of an array or object, else 0 */
const struct json *json_at(const struct json *arr, size_t i);
/* Walks an object in its order: start with *it = NULL; false at the end. */
bool        json_each(const struct json *obj, void **it, struct str *key, const struct json **value);
bool        json_bool(const struct json *j);
int64_t     json_int(const struct json *j);
double      json_num(const struct json *j); /* of an int or a real */
struct str  json_str(const struct json *j); /* {"",0} when not a string; NUL-terminated */
/* Serialises a value, compact, keys in their order. */
void json_dump(struct buf *out, const struct json *j);

/* The writer places commas and escapes; a value after jw_key or inside an array. */
struct jw {
    struct buf *b;
    bool        comma;
};
void jw_init(struct jw *w, struct buf *b);
void jw_obj(struct jw *w);
void jw_obj_end(struct jw *w);
void jw_arr(struct jw *w);
void jw_arr_end(struct jw *w);
void jw_key(struct jw *w, const char *key);
void jw_str(struct jw *w, const char *z); /* NULL writes null */
void jw_strn(struct jw *w, const char *p, size_t n); /* invalid UTF-8 becomes U+FFFD */
void jw_i64(struct jw *w, int64_t v);
void jw_u64(struct jw *w, uint64_t v);
void jw_f64(struct jw *w, double v); /* shortest form that reads back; null when not finite */
void jw_bool(struct jw *w, bool v);
void jw_null(struct jw *w);
void jw_raw(struct jw *w, const char *p, size_t n); /* a value already in JSON */
