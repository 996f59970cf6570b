#include "base/str.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct str str_of(const char *z) { return (struct str){z, z ? strlen(z) : 0}; }
bool       str_eq(struct str a, struct str b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }
bool       str_eqz(struct str a, const char *z) { return str_eq(a, str_of(z)); }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

bool str_ieqz(struct str a, const char *z)
{
    struct str b = str_of(z);
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

bool str_starts(struct str a, const char *z)
{
    size_t n = strlen(z);
    return a.n >= n && memcmp(a.p, z, n) == 0;
}

bool str_ends(struct str a, const char *z)
{
    size_t n = strlen(z);
    return a.n >= n && memcmp(a.p + a.n - n, z, n) == 0;
}

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

struct str str_trim(struct str a)
{
    while (a.n && blank(a.p[0]))
        a.p++, a.n--;
    while (a.n && blank(a.p[a.n - 1]))
        a.n--;
    return a;
}

struct str str_split(struct str *rest, char sep)
{
    struct str  all = *rest;
    const char *at = all.n ? memchr(all.p, sep, all.n) : NULL;
    if (!at) {
        *rest = (struct str){NULL, 0};
        return all;
    }
    size_t n = (size_t)(at - all.p);
    *rest = (struct str){at + 1, all.n - n - 1};
    return (struct str){all.p, n};
}

bool str_u64(struct str a, uint64_t *out)
{
    uint64_t v = 0;
    if (a.n == 0)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        if (a.p[i] < '0' || a.p[i] > '9' || __builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, (uint64_t)(a.p[i] - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

bool str_i64(struct str a, int64_t *out)
{
    bool     neg = a.n && a.p[0] == '-';
    uint64_t v;
    if (!str_u64(neg ? (struct str){a.p + 1, a.n - 1} : a, &v) || v > (uint64_t)INT64_MAX + neg)
        return false;
    *out = neg ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* The shape [-]digits[.digits][e[+-]digits] is checked first, so that strtod sees no hex, no "inf" and no blanks. */
static bool float_shape(struct str a)
{
    size_t i = 0, digits = 0;
    if (i < a.n && a.p[i] == '-')
        i++;
    for (; i < a.n && a.p[i] >= '0' && a.p[i] <= '9'; i++)
        digits++;
    if (i < a.n && a.p[i] == '.')
        for (i++; i < a.n && a.p[i] >= '0' && a.p[i] <= '9'; i++)
            digits++;
    if (digits == 0)
        return false;
    if (i < a.n && (a.p[i] == 'e' || a.p[i] == 'E')) {
        i++;
        if (i < a.n && (a.p[i] == '+' || a.p[i] == '-'))
            i++;
        size_t from = i;
        while (i < a.n && a.p[i] >= '0' && a.p[i] <= '9')
            i++;
        if (i == from)
            return false;
    }
    return i == a.n;
}

bool str_f64(struct str a, double *out)
{
    char z[64];
    if (a.n >= sizeof z || !float_shape(a))
        return false;
    memcpy(z, a.p, a.n);
    z[a.n] = 0;
    double v = strtod(z, NULL);
    if (!isfinite(v))
        return false;
    *out = v;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool str_hex(struct str a, uint8_t *out, size_t n)
{
    if (a.n != n * 2)
        return false;
    for (size_t i = 0; i < n; i++) {
        int hi = hex_digit(a.p[2 * i]), lo = hex_digit(a.p[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

void str_to_hex(char *out, const uint8_t *p, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * n] = 0;
}

bool str_fmt(char *out, size_t cap, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(out, cap, fmt, ap);
    va_end(ap);
    return n >= 0 && (size_t)n < cap;
}

/* Unicode 15, table 3-7: well-formed UTF-8 byte sequences. */
int utf8_decode(const char *s, size_t n, uint32_t *cp)
{
    const uint8_t *p = (const uint8_t *)s;
    if (n == 0)
        return 0;
    if (p[0] < 0x80)
        return *cp = p[0], 1;
    int     len = p[0] >= 0xC2 && p[0] <= 0xDF ? 2 : p[0] >= 0xE0 && p[0] <= 0xEF ? 3 : p[0] >= 0xF0 && p[0] <= 0xF4 ? 4 : -1;
    uint8_t lo = p[0] == 0xE0 ? 0xA0 : p[0] == 0xF0 ? 0x90 : 0x80, hi = p[0] == 0xED ? 0x9F : p[0] == 0xF4 ? 0x8F : 0xBF;
    if (len < 0)
        return -1;
    uint32_t v = p[0] & (0xFFu >> (len + 1));
    for (int i = 1; i < len; i++) {
        if ((size_t)i >= n)
            return 0;
        if (p[i] < lo || p[i] > hi)
            return -1;
        v = v << 6 | (p[i] & 0x3Fu);
        lo = 0x80, hi = 0xBF;
    }
    *cp = v;
    return len;
}

int utf8_len(const char *p, size_t n)
{
    uint32_t cp;
    return utf8_decode(p, n, &cp);
}

bool utf8_valid(const char *p, size_t n)
{
    while (n) {
        int k = utf8_len(p, n);
        if (k <= 0)
            return false;
        p += k, n -= (size_t)k;
    }
    return true;
}

size_t utf8_encode(char *out, uint32_t cp)
{
    if (cp < 0x80)
        return out[0] = (char)cp, 1;
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6), out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12), out[1] = (char)(0x80 | (cp >> 6 & 0x3F)), out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18), out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F)), out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

size_t str_from_u64(char out[21], uint64_t v)
{
    char   digits[20];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    for (size_t i = 0; i < n; i++)
        out[i] = digits[n - 1 - i];
    out[n] = 0;
    return n;
}
