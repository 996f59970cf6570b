/* Texts: Python's ways of printing values, cutting and changing texts. The taint follows each byte. */
#include "text/jinja/jinja.h"
#include "text/unicode.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

size_t jstr_chars(struct jstr s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((uint8_t)s.p[i] & 0xc0) != 0x80;
    return n;
}

/* The first `what` (not empty) in p[0..n). */
const char *jstr_find(const char *p, size_t n, struct jstr what)
{
    return what.n == 1 ? memchr(p, what.p[0], n) : memmem(p, n, what.p, what.n);
}

/* To the byte before the next one that begins a character: agrees with jstr_chars for every input that begins with such a byte. */
struct jstr jstr_char(struct jstr s, size_t at)
{
    size_t to = at + 1;
    while (to < s.n && ((uint8_t)s.p[to] & 0xc0) == 0x80)
        to++;
    return jstr_cut(s, at, to);
}

/* Python's repr of a float: the shortest digits that read back, an exponent below 1e-4 and from 1e16 on. */
void jdouble(char out[40], double d)
{
    double back;
    if (isnan(d) || isinf(d)) {
        snprintf(out, 40, "%s", isnan(d) ? "nan" : d < 0 ? "-inf" : "inf");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(out, 40, "%.*e", digits - 1, d);
        if (str_f64(str_of(out), &back) && back == d)
            break;
    }
    int64_t exp = 0;
    char   *e = strchr(out, 'e');
    str_i64((struct str){e + 1 + (e[1] == '+'), strlen(e + 1 + (e[1] == '+'))}, &exp);
    if (exp < -4 || exp >= 16)
        return;
    int digits = (int)(e - out) - (out[0] == '-') - (strchr(out, '.') != NULL);
    int after = digits - 1 - (int)exp;
    snprintf(out, 40, "%.*f", after > 0 ? after : 1, d);
}

/* Appends what repr or str prints of nested values. What comes out of here is data. */
struct print {
    struct jrun *r;
    struct buf   b;
    int          depth;
};

static void print_quoted(struct buf *b, struct jstr s)
{
    char quote = memchr(s.p ? s.p : "", '\'', s.n) && !memchr(s.p, '"', s.n) ? '"' : '\'';
    buf_char(b, quote);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == quote || c == '\\')
            buf_char(b, '\\');
        if (c == '\n')
            buf_str(b, "\\n");
        else if (c == '\r')
            buf_str(b, "\\r");
        else if (c == '\t')
            buf_str(b, "\\t");
        else if ((uint8_t)c < 32 || c == 127)
            buf_fmt(b, "\\x%02x", (uint8_t)c);
        else
            buf_char(b, c);
    }
    buf_char(b, quote);
}

static bool print_value(struct print *p, const struct jval *v)
{
    char text[40];
    if (!jstep(p->r, 1) || p->depth > 64)
        return p->depth <= 64 ? false : jfail(p->r, "values are nested too deeply");
    p->depth++;
    switch (v->type) {
    case J_UNDEF: buf_str(&p->b, "Undefined"); break;
    case J_NONE: buf_str(&p->b, "None"); break;
    case J_BOOL: buf_str(&p->b, v->b ? "True" : "False"); break;
    case J_INT: buf_fmt(&p->b, "%lld", (long long)v->i); break;
    case J_FLOAT: jdouble(text, v->f), buf_str(&p->b, text); break;
    case J_STR: print_quoted(&p->b, v->s); break;
    case J_LIST:
        buf_char(&p->b, v->l->tuple ? '(' : '[');
        for (uint32_t i = 0; i < v->l->n; i++) {
            buf_str(&p->b, i ? ", " : "");
            if (!print_value(p, &v->l->v[i]))
                return false;
        }
        buf_str(&p->b, !v->l->tuple ? "]" : v->l->n == 1 ? ",)" : ")");
        break;
    case J_DICT:
        buf_char(&p->b, '{');
        for (uint32_t i = 0; i < v->d->n; i++) {
            buf_str(&p->b, i ? ", " : "");
            if (!print_value(p, &v->d->k[i]))
                return false;
            buf_str(&p->b, ": ");
            if (!print_value(p, &v->d->v[i]))
                return false;
        }
        buf_char(&p->b, '}');
        break;
    default: buf_fmt(&p->b, "<%s>", jtype_name(v));
    }
    p->depth--;
    return true;
}

bool jto_str(struct jrun *r, const struct jval *v, struct jstr *out)
{
    if (v->type == J_STR) {
        *out = v->s;
        return true;
    }
    if (v->type == J_UNDEF) {
        *out = jstr_lit("");
        return true;
    }
    struct print p = {.r = r};
    buf_init(&p.b, r->output_max);
    bool  ok = print_value(&p, v);
    char *copy = ok && !p.b.failed ? jnew(r, p.b.len + 1, 1) : NULL;
    if (ok && p.b.failed)
        jfail(r, "a text is longer than %zu bytes", r->output_max);
    if (copy && p.b.len)
        memcpy(copy, p.b.data, p.b.len);
    *out = jstr_data(copy, p.b.len);
    buf_deinit(&p.b);
    return copy && jstep(r, out->n / 32);
}

static bool in_set(const struct jstr *set, struct uchar c)
{
    if (!set)
        return c.class == CLASS_SPACE || (c.cp >= 0x1c && c.cp <= 0x1f);
    for (size_t i = 0; i < set->n;) {
        struct uchar s = uchar_at(set->p + i, set->n - i);
        if (s.cp == c.cp)
            return true;
        i += s.n;
    }
    return false;
}

bool jstr_strip(struct jrun *r, struct jstr s, const struct jstr *set, bool left, bool right, struct jstr *out)
{
    size_t from = 0, to = s.n;
    while (left && from < to) {
        struct uchar c = uchar_at(s.p + from, to - from);
        if (!in_set(set, c))
            break;
        from += c.n;
    }
    while (right && to > from) {
        size_t at = to - 1;
        while (at > from && to - at < 4 && ((uint8_t)s.p[at] & 0xc0) == 0x80)
            at--;
        struct uchar c = uchar_at(s.p + at, to - at);
        if (c.n != to - at || !in_set(set, c))
            break;
        to = at;
    }
    *out = jstr_cut(s, from, to);
    return jstep(r, (s.n - out->n) * (1 + (set ? set->n / 8 : 0)) / 16);
}

/* A text that grows in the arena, byte by byte with its taint. */
struct grow {
    char    *p;
    uint8_t *t;
    size_t   n;
};

static bool grow_init(struct jrun *r, struct grow *g, size_t cap, bool taint)
{
    if (cap > r->output_max)
        return jfail(r, "a text is longer than %zu bytes", r->output_max);
    *g = (struct grow){.p = jnew(r, cap + 1, 1)};
    return g->p && (!taint || (g->t = jnew(r, cap + 1, 1))) && jstep(r, 1 + cap / 32);
}

static void grow_add(struct grow *g, const char *p, const uint8_t *taint, bool trusted, size_t n)
{
    if (!n)
        return;
    memcpy(g->p + g->n, p, n);
    if (g->t && taint)
        memcpy(g->t + g->n, taint, n);
    else if (g->t)
        memset(g->t + g->n, trusted, n);
    g->n += n;
}

static void grow_str(struct grow *g, struct jstr s) { grow_add(g, s.p, s.taint, s.trusted, s.n); }

static struct jstr grow_done(const struct grow *g, bool trusted) { return (struct jstr){g->p, g->t, (uint32_t)g->n, trusted}; }

bool jstr_case(struct jrun *r, struct jstr s, char how, struct jstr *out)
{
    struct grow g;
    bool        start = true, ok = true;
    if (!grow_init(r, &g, (size_t)s.n * 2 + 4, s.taint != NULL)) /* a changed case takes at most 3 bytes for 2 */
        return false;
    for (size_t at = 0; ok && at < s.n;) {
        struct uchar c = uchar_at(s.p + at, s.n - at);
        uint32_t     cp = c.cp;
        char         utf8[4];
        if (how == 'U')
            cp = unicode_upper(cp);
        else if (how == 'L' || !start)
            cp = unicode_lower(cp);
        else
            cp = unicode_title(cp);
        start = how == 'T' ? c.class != CLASS_LETTER : how == 'W' && (c.class == CLASS_SPACE || (c.cp && c.cp < 0x80 && strchr("-({[<", (int)c.cp)));
        bool same = cp == c.cp;
        grow_add(&g, same ? s.p + at : utf8, NULL, s.taint ? s.taint[at] : s.trusted, same ? c.n : utf8_encode(utf8, cp));
        at += c.n;
    }
    *out = grow_done(&g, s.trusted);
    return ok;
}

bool jstr_replace(struct jrun *r, struct jstr s, struct jstr old, struct jstr new, int64_t count, struct jstr *out)
{
    size_t hits = 0, bytes;
    const char *end = s.p + s.n, *at, *hit;
    if (!old.n)
        return jfail(r, "replace() of an empty text");
    *out = s;
    if (!s.n || !jstep(r, s.n / 32))
        return !s.n;
    for (at = s.p; (count < 0 || hits < (uint64_t)count) && (hit = jstr_find(at, (size_t)(end - at), old)) != NULL; at = hit + old.n)
        hits++;
    if (!hits)
        return true;
    if (!ck_mul(hits, (size_t)new.n, &bytes) || !ck_add(bytes, s.n - hits * old.n, &bytes))
        return jfail(r, "a text is too long");
    bool        taint = s.taint || new.taint || (new.n && s.trusted != new.trusted);
    struct grow g;
    if (!jstep(r, hits) || !grow_init(r, &g, bytes, taint))
        return false;
    at = s.p;
    for (size_t i = 0; i < hits; i++) {
        hit = jstr_find(at, (size_t)(end - at), old);
        grow_str(&g, jstr_cut(s, (size_t)(at - s.p), (size_t)(hit - s.p)));
        grow_str(&g, new);
        at = hit + old.n;
    }
    grow_str(&g, jstr_cut(s, (size_t)(at - s.p), s.n));
    *out = grow_done(&g, s.trusted);
    return true;
}

bool jstr_repeat(struct jrun *r, struct jstr s, int64_t n, struct jstr *out)
{
    size_t      bytes = 0;
    struct grow g;
    if (n < 0)
        n = 0;
    if (!ck_mul((size_t)s.n, (size_t)n, &bytes))
        return jfail(r, "a text is too long");
    if (!grow_init(r, &g, bytes, s.taint != NULL) || !jstep(r, s.n ? (size_t)n / 32 : 0))
        return false;
    for (int64_t i = 0; s.n && i < n; i++) /* at most output_max rounds */
        grow_str(&g, s);
    *out = grow_done(&g, s.trusted);
    return true;
}

bool jstr_reverse(struct jrun *r, struct jstr s, struct jstr *out)
{
    struct grow g;
    if (!grow_init(r, &g, s.n, s.taint != NULL))
        return false;
    for (size_t to = s.n; to > 0;) {
        size_t at = to - 1;
        while (at > 0 && ((uint8_t)s.p[at] & 0xc0) == 0x80)
            at--;
        grow_str(&g, jstr_cut(s, at, to));
        to = at;
    }
    *out = grow_done(&g, s.trusted);
    return true;
}

struct parts {
    struct jrun *r;
    struct jval *v;
    size_t       n, cap;
};

static bool part(struct parts *p, struct jstr s)
{
    if (p->n == p->cap) {
        size_t       cap = p->cap ? p->cap * 2 : 8;
        struct jval *bigger = cap > 2 * JINJA_LIST_MAX ? NULL : jnew(p->r, cap, sizeof *bigger);
        if (!bigger)
            return jfail(p->r, "split() gives more than %d parts", JINJA_LIST_MAX);
        if (p->n)
            memcpy(bigger, p->v, p->n * sizeof *bigger);
        p->v = bigger, p->cap = cap;
    }
    p->v[p->n++] = jstr_val(s);
    return jstep(p->r, 1);
}

/* Runs of blanks separate; none stand at the ends. */
static bool split_blanks(struct parts *p, struct jstr s, int64_t max)
{
    size_t at = 0;
    for (;;) {
        struct jstr rest;
        if (!jstr_strip(p->r, jstr_cut(s, at, s.n), NULL, true, false, &rest))
            return false;
        if (!rest.n)
            return true;
        at = s.n - rest.n;
        size_t to = at;
        if (max >= 0 && p->n >= (uint64_t)max)
            return part(p, rest);
        while (to < s.n) {
            struct uchar c = uchar_at(s.p + to, s.n - to);
            if (in_set(NULL, c))
                break;
            to += c.n;
        }
        if (!part(p, jstr_cut(s, at, to)))
            return false;
        at = to;
    }
}

static bool split_at(struct parts *p, struct jstr s, struct jstr sep, int64_t max)
{
    size_t at = 0;
    while (s.n && (max < 0 || p->n < (uint64_t)max)) {
        const char *hit = jstr_find(s.p + at, s.n - at, sep);
        if (!hit)
            break;
        if (!part(p, jstr_cut(s, at, (size_t)(hit - s.p))))
            return false;
        at = (size_t)(hit - s.p) + sep.n;
    }
    return part(p, jstr_cut(s, at, s.n));
}

static bool split_right(struct parts *p, struct jstr s, struct jstr sep, int64_t max)
{
    size_t end = s.n;
    while (end >= sep.n && (max < 0 || p->n < (uint64_t)max)) {
        size_t at = end - sep.n;
        while (at > 0 && memcmp(s.p + at, sep.p, sep.n) != 0)
            if (--at % 256 == 0 && !jstep(p->r, 8 + sep.n * 8))
                return false;
        if (memcmp(s.p + at, sep.p, sep.n) != 0)
            break;
        if (!part(p, jstr_cut(s, at + sep.n, end)))
            return false;
        end = at;
    }
    if (!part(p, jstr_cut(s, 0, end)))
        return false;
    for (size_t i = 0; i < p->n / 2; i++) {
        struct jval t = p->v[i];
        p->v[i] = p->v[p->n - 1 - i], p->v[p->n - 1 - i] = t;
    }
    return true;
}

bool jstr_split(struct jrun *r, struct jstr s, const struct jstr *sep, int64_t max, bool from_right, struct jval *out)
{
    struct parts p = {.r = r};
    if (sep && !sep->n)
        return jfail(r, "split() at an empty text");
    if (!jstep(r, s.n / 32) || !(!sep ? split_blanks(&p, s, max) : from_right ? split_right(&p, s, *sep, max) : split_at(&p, s, *sep, max)))
        return false;
    if (!jlist_new(r, 0, out))
        return false;
    out->l->v = p.v;
    out->l->n = (uint32_t)p.n;
    return true;
}

/* Python's slice.indices: start, stop and step for a sequence of n. */
static bool indices(struct jrun *r, const struct jval at[3], int64_t n, int64_t *start, int64_t *stop, int64_t *step)
{
    for (int i = 0; i < 3; i++)
        if (at[i].type != J_NONE && at[i].type != J_INT)
            return jfail(r, "a slice with %s in it", jtype_name(&at[i]));
    *step = at[2].type == J_NONE ? 1 : at[2].i;
    if (*step == 0)
        return jfail(r, "a slice with step 0");
    int64_t low = *step < 0 ? -1 : 0, high = *step < 0 ? n - 1 : n, *to[2] = {start, stop};
    for (int i = 0; i < 2; i++) {
        int64_t x = at[i].type == J_NONE ? ((*step < 0) == (i == 0) ? high : low) : at[i].i;
        if (at[i].type != J_NONE && x < 0)
            x = x < -n ? low : x + n;
        *to[i] = x < low ? low : x > high ? high : x;
    }
    return true;
}

static bool slice_list(struct jrun *r, const struct jval *v, size_t n, int64_t start, int64_t step, struct jval *out)
{
    if (!jlist_new(r, n, out))
        return false;
    out->l->tuple = v->l->tuple;
    for (size_t i = 0; i < n; i++, start += step)
        out->l->v[i] = v->l->v[start];
    return true;
}

/* The characters start, start + step, ... (n of them). One run of characters is a cut, not a copy. */
static bool slice_str(struct jrun *r, struct jstr s, size_t n, int64_t start, int64_t step, struct jval *out)
{
    struct jval *chars;
    uint32_t     n_chars;
    if (step == 1) {
        size_t from = 0, to, k = 0;
        for (; from < s.n && (int64_t)k < start; k++)
            from += jstr_char(s, from).n;
        for (to = from, k = 0; to < s.n && k < n; k++)
            to += jstr_char(s, to).n;
        *out = jstr_val(jstr_cut(s, from, to));
        return jstep(r, s.n / 16);
    }
    struct jval all = jstr_val(s);
    if (!jitems(r, &all, &chars, &n_chars))
        return false;
    struct jstr *parts = jnew(r, n, sizeof *parts);
    if (!parts || !jstep(r, n))
        return false;
    for (size_t i = 0; i < n; i++, start += step)
        parts[i] = chars[start].s;
    out->type = J_STR;
    return jstr_concat(r, parts, n, &out->s);
}

bool jslice(struct jrun *r, const struct jval *v, const struct jval at[3], struct jval *out)
{
    int64_t n, start = 0, stop = 0, step = 1;
    if (v->type != J_LIST && v->type != J_STR)
        return jfail(r, "%s cannot be sliced", jtype_name(v));
    if (!jlength(r, v, &n) || !indices(r, at, n, &start, &stop, &step))
        return false;
    uint64_t span = step > 0 ? (stop > start ? (uint64_t)(stop - start) : 0) : (start > stop ? (uint64_t)(start - stop) : 0);
    uint64_t stride = step > 0 ? (uint64_t)step : 0 - (uint64_t)step;
    size_t   count = span ? (size_t)((span - 1) / stride + 1) : 0;
    if (count <= 1)
        step = 1;
    return v->type == J_LIST ? slice_list(r, v, count, start, step, out) : slice_str(r, v->s, count, start, step, out);
}
