/* Cutting texts into lists: split, rsplit, splitlines, partition. */
#include "text/jinja/jinja.h"
#include <string.h>

struct parts {
    struct jrun *r;
    struct jval *v;
    size_t n, cap;
};

static bool part(struct parts *p, struct jstr s)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 8;
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

static void turn(struct parts *p)
{
    for (size_t i = 0; i < p->n / 2; i++) {
        struct jval t = p->v[i];
        p->v[i] = p->v[p->n - 1 - i], p->v[p->n - 1 - i] = t;
    }
}

/* Where the blank (or, with blank false, the word) that ends at `to` begins. */
static size_t run_before(struct jstr s, size_t to, bool blank)
{
    while (to > 0) {
        size_t at = to - 1;
        while (at > 0 && to - at < 4 && ((uint8_t)s.p[at] & 0xc0) == 0x80)
            at--;
        struct uchar c = uchar_at(s.p + at, to - at);
        if (jchar_is_space(c) != blank)
            return to;
        to = at;
    }
    return 0;
}

static size_t run_after(struct jstr s, size_t at, bool blank)
{
    while (at < s.n) {
        struct uchar c = uchar_at(s.p + at, s.n - at);
        if (jchar_is_space(c) != blank)
            break;
        at += c.n;
    }
    return at;
}

/* Runs of blanks separate; none stand at the ends. */
static bool split_blanks(struct parts *p, struct jstr s, int64_t max)
{
    for (size_t at = 0, to;; at = to) {
        at = run_after(s, at, true);
        if (at == s.n)
            return true;
        to = max >= 0 && p->n >= (uint64_t)max ? s.n : run_after(s, at, false);
        if (!part(p, jstr_cut(s, at, to)))
            return false;
    }
}

static bool rsplit_blanks(struct parts *p, struct jstr s, int64_t max)
{
    for (size_t to = s.n, at;; to = at) {
        to = run_before(s, to, true);
        if (to == 0)
            break;
        at = max >= 0 && p->n >= (uint64_t)max ? 0 : run_before(s, to, false);
        if (!part(p, jstr_cut(s, at, to)))
            return false;
    }
    turn(p);
    return true;
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
    turn(p);
    return true;
}

static bool list_of(struct parts *p, bool tuple, struct jval *out)
{
    if (!jlist_new(p->r, 0, out))
        return false;
    out->l->v = p->v;
    out->l->n = (uint32_t)p->n;
    out->l->tuple = tuple;
    return true;
}

bool jstr_split(struct jrun *r, struct jstr s, const struct jstr *sep, int64_t max, bool from_right, struct jval *out)
{
    struct parts p = {.r = r};
    bool ok;
    if (sep && !sep->n)
        return jfail(r, "split() at an empty text");
    if (!jstep(r, s.n / 32))
        return false;
    if (!sep)
        ok = from_right ? rsplit_blanks(&p, s, max) : split_blanks(&p, s, max);
    else
        ok = from_right ? split_right(&p, s, *sep, max) : split_at(&p, s, *sep, max);
    return ok && list_of(&p, false, out);
}

bool jstr_partition(struct jrun *r, struct jstr s, struct jstr sep, bool from_right, struct jval *out)
{
    struct jval halves;
    if (!jstr_split(r, s, &sep, 1, from_right, &halves) || !jtuple_new(r, 3, out))
        return false;
    struct jval *v = out->l->v, empty = jstr_val(jstr_cut(s, 0, 0));
    bool found = halves.l->n == 2;
    v[0] = found || !from_right ? halves.l->v[0] : empty;
    v[1] = found ? jstr_val(jstr_cut(s, v[0].s.n, v[0].s.n + sep.n)) : empty;
    v[2] = found ? halves.l->v[1] : from_right ? halves.l->v[0] : empty;
    return true;
}

static bool ends_line(uint32_t cp)
{
    return (cp >= 10 && cp <= 13) || (cp >= 0x1c && cp <= 0x1e) || cp == 0x85 || cp == 0x2028 || cp == 0x2029;
}

bool jstr_lines(struct jrun *r, struct jstr s, bool keep_ends, struct jval *out)
{
    struct parts p = {.r = r};
    if (!jstep(r, s.n / 16))
        return false;
    for (size_t from = 0, at = 0; from < s.n; from = at) {
        size_t end = 0;
        while (at < s.n && !end) {
            struct uchar c = uchar_at(s.p + at, s.n - at);
            end = ends_line(c.cp) ? c.n : 0;
            at += c.n;
            if (end && c.cp == '\r' && at < s.n && s.p[at] == '\n')
                at++, end++;
        }
        if (!part(&p, jstr_cut(s, from, keep_ends ? at : at - end)))
            return false;
    }
    return list_of(&p, false, out);
}
