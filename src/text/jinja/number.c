/* Texts to numbers as Python's int() and float() read them, and the filters int, float and round. */
#include "text/jinja/jinja.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS_MAX = 400 };

/* s without blanks around it, its digits of any script made ASCII; false when that is longer than any number. */
static bool plain(struct jstr s, char out[DIGITS_MAX + 1], size_t *n)
{
    size_t from = 0, to = s.n;
    *n = 0;
    while (from < to) {
        struct uchar c = uchar_at(s.p + from, to - from);
        if (!jchar_is_space(c))
            break;
        from += c.n;
    }
    for (size_t blanks = 0; from < to; from += uchar_at(s.p + from, s.n - from).n) {
        struct uchar c = uchar_at(s.p + from, s.n - from);
        int digit = jchar_digit(c.cp);
        blanks = jchar_is_space(c) ? blanks + 1 : 0;
        if (blanks)
            continue; /* at the end they are no part of it; before anything else they make it no number */
        if (from > 0 && *n && jchar_is_space(uchar_at(s.p + from - 1, 1)))
            return false;
        if (*n == DIGITS_MAX)
            return false;
        out[(*n)++] = digit >= 0 ? (char)('0' + digit) : c.cp < 0x80 && c.cp ? (char)c.cp : '?';
    }
    out[*n] = 0;
    return *n > 0;
}

static int value_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 32);
    return c >= 'a' && c <= 'z' ? c - 'a' + 10 : 99;
}

/* "0x", "0o" and "0b" before a number of base 16, 8 or 2; base 0 takes the base from it. */
static size_t prefix(const char *p, int64_t *base)
{
    int64_t says = p[0] != '0' ? 0 : (p[1] | 32) == 'x' ? 16 : (p[1] | 32) == 'o' ? 8 : (p[1] | 32) == 'b' ? 2 : 0;
    if (says && (*base == says || *base == 0)) {
        *base = says;
        return 2;
    }
    return 0;
}

enum jparsed jparse_int(struct jstr s, int64_t base, int64_t *out)
{
    char text[DIGITS_MAX + 1];
    size_t n, at;
    bool big = false, any = false, old_style = base == 0;
    int64_t v = 0;
    if (!plain(s, text, &n) || (base != 0 && (base < 2 || base > 36)))
        return JPARSED_NOT;
    bool minus = text[0] == '-';
    at = minus || text[0] == '+';
    size_t skip = prefix(text + at, &base);
    at += skip;
    if (skip && text[at] == '_')
        at++;
    if (base == 0)
        base = 10;
    old_style = old_style && !skip && text[at] == '0'; /* 007 is no number where the base is open */
    for (; at < n; at++) {
        int d = value_of(text[at]);
        if (text[at] == '_' && any && text[at - 1] != '_' && at + 1 < n)
            continue;
        if (text[at] == '_' || d >= base || (old_style && d != 0))
            return JPARSED_NOT;
        any = true;
        big |= !ck_mul(v, base, &v) || (minus ? !ck_sub(v, (int64_t)d, &v) : !ck_add(v, (int64_t)d, &v));
    }
    *out = v;
    return !any ? JPARSED_NOT : big ? JPARSED_BIG : JPARSED;
}

/* What Python calls a float but str_f64 does not: inf and nan, underscores between digits, a sign +, a point at an end. */
bool jparse_float(struct jstr s, double *out)
{
    char text[DIGITS_MAX + 1], clean[DIGITS_MAX + 3];
    size_t n, k = 0;
    if (!plain(s, text, &n))
        return false;
    size_t sign = text[0] == '-' || text[0] == '+';
    struct str word = {text + sign, n - sign};
    bool inf = str_ieqz(word, "inf") || str_ieqz(word, "infinity");
    if (inf || str_ieqz(word, "nan"))
        return *out = inf ? (text[0] == '-' ? -INFINITY : INFINITY) : NAN, true;
    for (size_t i = sign; i < n; i++) {
        bool digit = text[i] >= '0' && text[i] <= '9', before = i > sign && text[i - 1] >= '0' && text[i - 1] <= '9';
        bool after = i + 1 < n && text[i + 1] >= '0' && text[i + 1] <= '9';
        if (text[i] == '_' ? !before || !after : !digit && !strchr(".eE+-", text[i]))
            return false;
        if (text[i] == '_')
            continue;
        if (text[i] == '.' && !before && (i > sign || !after))
            return false;
        if (text[i] == '.' && !before)
            clean[k++] = '0';
        clean[k++] = text[i];
        if (text[i] == '.' && !after)
            clean[k++] = '0';
        if (k > DIGITS_MAX)
            return false;
    }
    if (!str_f64((struct str){clean, k}, out))
        return false;
    if (text[0] == '-')
        *out = -*out;
    return true;
}

static bool big(struct jrun *r)
{
    return jfail(r, "a number is out of range");
}

static bool from_double(struct jrun *r, double d, const struct jval *dflt, struct jval *out)
{
    *out = *dflt;
    if (isnan(d) || isinf(d))
        return true;
    if (fabs(d) >= 9.2233720368547748e18)
        return big(r);
    *out = jint((int64_t)d);
    return true;
}

/* int(default=0, base=10): what is no number is the default. */
bool jfilter_int(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval dflt = jint(0), base = jint(10);
    double d;
    int64_t i, b;
    jarg(a, 0, "default", &dflt);
    jarg(a, 1, "base", &base);
    *out = dflt;
    if (v->type == J_UNDEF)
        return jfail(r, "\"%.*s\" is undefined, so it is no number", (int)(v->s.n < 64 ? v->s.n : 64), v->s.p ? v->s.p : "");
    if (v->type != J_STR) {
        if (jinteger(v, &i))
            return *out = jint(i), true;
        return v->type == J_FLOAT ? from_double(r, v->f, &dflt, out) : true;
    }
    enum jparsed rc = jinteger(&base, &b) ? jparse_int(v->s, b, &i) : JPARSED_NOT;
    if (rc == JPARSED_BIG)
        return big(r);
    if (rc == JPARSED)
        return *out = jint(i), jstep(r, v->s.n / 32);
    return jstep(r, v->s.n / 32) && (!jparse_float(v->s, &d) || from_double(r, d, &dflt, out));
}

/* float(default=0.0) */
bool jfilter_float(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval dflt = jreal(0);
    double d;
    jarg(a, 0, "default", &dflt);
    *out = dflt;
    if (v->type == J_UNDEF)
        return jfail(r, "\"%.*s\" is undefined, so it is no number", (int)(v->s.n < 64 ? v->s.n : 64), v->s.p ? v->s.p : "");
    if (v->type == J_STR ? jparse_float(v->s, &d) : jnumber(v, &d))
        *out = jreal(d);
    return jstep(r, v->type == J_STR ? v->s.n / 32 : 0);
}

/* round() of a whole number to tens, hundreds, ...: to the even neighbour from the middle. */
static bool round_int(struct jrun *r, int64_t i, int64_t places, struct jval *out)
{
    int64_t unit = 1;
    *out = jint(i);
    for (; places < 0; places++)
        if (!ck_mul(unit, (int64_t)10, &unit))
            return *out = jint(0), true;
    int64_t rest = i % unit, down = i - rest, half = unit / 2, way = rest < 0 ? -unit : unit, far = rest < 0 ? -rest : rest;
    bool odd = unit > 1 && (down / unit) % 2 != 0;
    if (unit > 1 && (far > half || (far == half && odd)) && !ck_add(down, way, &down))
        return big(r);
    *out = jint(unit > 1 ? down : i);
    return true;
}

static double round_double(double d, int64_t places)
{
    char text[400];
    double back;
    if (isnan(d) || isinf(d) || places > 300)
        return d;
    if (places < 0) {
        double unit = pow(10, (double)-places);
        return isinf(unit) ? copysign(0, d) : nearbyint(d / unit) * unit;
    }
    if (!str_fmt(text, sizeof text, "%.*f", (int)(places > 60 ? 60 : places), d) || !str_f64(str_of(text), &back)) /* printf rounds the exact value */
        return d;
    return back;
}

/* round(precision=0, method="common") */
bool jfilter_round(struct jrun *r, const struct jval *v, const struct jargs *a, struct jval *out)
{
    struct jval places = jint(0), how = jstr_val(jstr_lit("common"));
    double d, scale;
    int64_t n, i;
    jarg(a, 0, "precision", &places);
    jarg(a, 1, "method", &how);
    bool common = how.type == J_STR && str_eqz(jstr_raw(how.s), "common"), up = how.type == J_STR && str_eqz(jstr_raw(how.s), "ceil");
    if (!jnumber(v, &d) || !jinteger(&places, &n) || !(common || up || (how.type == J_STR && str_eqz(jstr_raw(how.s), "floor"))))
        return jfail(r, "round of %s takes a number, how many places, and common, floor or ceil", jtype_name(v));
    if (common && jinteger(v, &i))
        return round_int(r, i, n, out);
    if (common)
        return *out = jreal(round_double(d, n)), true;
    scale = pow(10, (double)n);
    d = up ? ceil(d * scale) : floor(d * scale);
    if (scale == 0 || isinf(d) || isnan(d))
        return jfail(r, "round of a number out of range");
    *out = jreal((d == 0 ? 0 : d) / scale);
    return true;
}
