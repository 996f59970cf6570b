/* Byte strings that need no NUL, and the only parsers of numbers (strtol, atoi and their like are not used anywhere). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    const char *p;
    size_t      n;
};

#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
struct str str_of(const char *z);
bool       str_eq(struct str a, struct str b);
bool       str_eqz(struct str a, const char *z);
bool       str_ieqz(struct str a, const char *z); /* ASCII case ignored */
bool       str_starts(struct str a, const char *z);
bool       str_ends(struct str a, const char *z);
struct str str_trim(struct str a); /* ASCII blanks */
/* Cuts *rest at the first sep: returns what stood before it; *rest is what stands after ({NULL,0} at the end). */
struct str str_split(struct str *rest, char sep);
/* Whole string must be the number; false on anything else or out of range. */
bool str_u64(struct str a, uint64_t *out);
size_t str_from_u64(char out[21], uint64_t v); /* decimal, ends with 0; its length */
bool str_i64(struct str a, int64_t *out);
bool str_f64(struct str a, double *out); /* C locale, finite only */
bool str_hex(struct str a, uint8_t *out, size_t n); /* exactly 2n hex digits */
void str_to_hex(char *out /* 2n + 1 */, const uint8_t *p, size_t n);
/* snprintf that never truncates silently: false when it did not fit. */
bool str_fmt(char *out, size_t cap, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* UTF-8: length of the valid sequence at p (1 to 4), 0 when it is cut off at the end, -1 when invalid. */
int    utf8_len(const char *p, size_t n);
bool   utf8_valid(const char *p, size_t n);
int    utf8_decode(const char *p, size_t n, uint32_t *cp); /* as utf8_len */
size_t utf8_encode(char *out /* 4 */, uint32_t cp);
