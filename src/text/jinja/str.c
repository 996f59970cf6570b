/* Texts: cutting them, putting them together, changing them. The taint follows each byte. */
#include "text/jinja/jinja.h"
#include <string.h>

struct jstr jstr_lit(const char *z)
{
    return (struct jstr){z, NULL, (uint32_t)strlen(z), true, false};
}
struct jstr jstr_data(const char *p, size_t n)
{
    return (struct jstr){p, NULL, (uint32_t)n, false, false};
}
struct str jstr_raw(struct jstr s)
{
    return (struct str){s.p, s.n};
}

struct jstr jstr_cut(struct jstr s, size_t from, size_t to)
{
    return (struct jstr){s.p + from, s.taint ? s.taint + from : NULL, (uint32_t)(to - from), s.trusted, s.markup};
}

bool jstr_same(struct jstr a, struct jstr b)
{
    return str_eq(jstr_raw(a), jstr_raw(b));
}

bool jstr_concat(struct jrun *r, const struct jstr *parts, size_t n, struct jstr *out)
{
    size_t bytes = 0;
    bool mixed = false;
    for (size_t i = 0; i < n; i++)
        if (!ck_add(bytes, parts[i].n, &bytes))
            return jfail(r, "a text is too long");
    if (bytes > r->output_max)
        return jfail(r, "a text is longer than %zu bytes", r->output_max);
    *out = (struct jstr){.trusted = true};
    const struct jstr *first = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!parts[i].n)
            continue;
        mixed |= parts[i].taint || (first && first->trusted != parts[i].trusted);
        first = first ? first : &parts[i];
    }
    if (first)
        out->trusted = first->trusted;
    char *p = jnew(r, bytes + 1, 1);
    uint8_t *t = mixed && p ? jnew(r, bytes + 1, 1) : NULL;
    if (!p || (mixed && !t) || !jstep(r, 1 + bytes / 32))
        return false;
    for (size_t i = 0, at = 0; i < n; at += parts[i++].n) {
        if (parts[i].n)
            memcpy(p + at, parts[i].p, parts[i].n);
        if (mixed && parts[i].taint)
            memcpy(t + at, parts[i].taint, parts[i].n);
        else if (mixed)
            memset(t + at, parts[i].trusted, parts[i].n);
    }
    out->p = p, out->taint = t, out->n = (uint32_t)bytes;
    return true;
}

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

size_t jstr_at(struct jstr s, size_t chars)
{
    size_t at = 0;
    while (chars-- > 0 && at < s.n)
        at += jstr_char(s, at).n;
    return at;
}

/* To the byte before the next one that begins a character: agrees with jstr_chars for every input that begins with such a byte. */
struct jstr jstr_char(struct jstr s, size_t at)
{
    size_t to = at + 1;
    while (to < s.n && ((uint8_t)s.p[to] & 0xc0) == 0x80)
        to++;
    return jstr_cut(s, at, to);
}

static bool in_set(const struct jstr *set, struct uchar c)
{
    if (!set)
        return jchar_is_space(c);
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

bool jgrow_init(struct jrun *r, struct jgrow *g, size_t cap, bool taint)
{
    if (cap > r->output_max)
        return jfail(r, "a text is longer than %zu bytes", r->output_max);
    *g = (struct jgrow){.p = jnew(r, cap + 1, 1)};
    return g->p && (!taint || (g->t = jnew(r, cap + 1, 1))) && jstep(r, 1 + cap / 32);
}

void jgrow_add(struct jgrow *g, struct jstr s)
{
    if (!s.n)
        return;
    memcpy(g->p + g->n, s.p, s.n);
    if (g->t && s.taint)
        memcpy(g->t + g->n, s.taint, s.n);
    else if (g->t)
        memset(g->t + g->n, s.trusted, s.n);
    g->n += s.n;
}

struct jstr jgrow_done(const struct jgrow *g, bool trusted)
{
    return (struct jstr){g->p, g->t, (uint32_t)g->n, trusted, false};
}

/* new before each character and at the end. */
static bool insert(struct jrun *r, struct jstr s, struct jstr new, int64_t count, struct jstr *out)
{
    size_t times = jstr_chars(s) + 1, bytes;
    struct jgrow g;
    if (count >= 0 && times > (uint64_t)count)
        times = (size_t)count;
    if (!ck_mul(times, (size_t) new.n, &bytes) || !ck_add(bytes, (size_t)s.n, &bytes))
        return jfail(r, "a text is too long");
    if (!jgrow_init(r, &g, bytes, s.taint || new.taint || s.trusted != new.trusted) || !jstep(r, times))
        return false;
    for (size_t at = 0, i = 0;; i++) {
        if (i < times)
            jgrow_add(&g, new);
        if (at == s.n)
            break;
        struct jstr c = jstr_char(s, at);
        jgrow_add(&g, c);
        at += c.n;
    }
    *out = jgrow_done(&g, s.trusted);
    return true;
}

bool jstr_replace(struct jrun *r, struct jstr s, struct jstr old, struct jstr new, int64_t count, struct jstr *out)
{
    size_t hits = 0, bytes;
    const char *end = s.p + s.n, *at, *hit;
    if (!old.n)
        return insert(r, s, new, count, out);
    *out = s;
    if (!s.n || !jstep(r, s.n / 32))
        return !s.n;
    for (at = s.p; (count < 0 || hits < (uint64_t)count) && (hit = jstr_find(at, (size_t)(end - at), old)) != NULL; at = hit + old.n)
        hits++;
    if (!hits)
        return true;
    if (!ck_mul(hits, (size_t) new.n, &bytes) || !ck_add(bytes, s.n - hits * old.n, &bytes))
        return jfail(r, "a text is too long");
    bool taint = s.taint || new.taint || (new.n &&s.trusted != new.trusted);
    struct jgrow g;
    if (!jstep(r, hits) || !jgrow_init(r, &g, bytes, taint))
        return false;
    at = s.p;
    for (size_t i = 0; i < hits; i++) {
        hit = jstr_find(at, (size_t)(end - at), old);
        jgrow_add(&g, jstr_cut(s, (size_t)(at - s.p), (size_t)(hit - s.p)));
        jgrow_add(&g, new);
        at = hit + old.n;
    }
    jgrow_add(&g, jstr_cut(s, (size_t)(at - s.p), s.n));
    *out = jgrow_done(&g, s.trusted);
    return true;
}

bool jstr_repeat(struct jrun *r, struct jstr s, int64_t n, struct jstr *out)
{
    size_t bytes = 0;
    struct jgrow g;
    if (n < 0)
        n = 0;
    if (!ck_mul((size_t)s.n, (size_t)n, &bytes))
        return jfail(r, "a text is too long");
    if (!jgrow_init(r, &g, bytes, s.taint != NULL) || !jstep(r, s.n ? (size_t)n / 32 : 0))
        return false;
    for (int64_t i = 0; s.n && i < n; i++) /* at most output_max rounds */
        jgrow_add(&g, s);
    *out = jgrow_done(&g, s.trusted);
    return true;
}

bool jstr_reverse(struct jrun *r, struct jstr s, struct jstr *out)
{
    struct jgrow g;
    if (!jgrow_init(r, &g, s.n, s.taint != NULL))
        return false;
    for (size_t to = s.n; to > 0;) {
        size_t at = to - 1;
        while (at > 0 && ((uint8_t)s.p[at] & 0xc0) == 0x80)
            at--;
        jgrow_add(&g, jstr_cut(s, at, to));
        to = at;
    }
    *out = jgrow_done(&g, s.trusted);
    return true;
}

bool jstr_pad(struct jrun *r, struct jstr s, int64_t left, int64_t right, struct jstr fill, struct jstr *out)
{
    size_t bytes;
    *out = s;
    left = left > 0 ? left : 0, right = right > 0 ? right : 0;
    if (!left && !right)
        return true;
    if (left > (int64_t)r->output_max || right > (int64_t)r->output_max || !ck_mul((size_t)(left + right), (size_t)fill.n, &bytes) ||
        !ck_add(bytes, (size_t)s.n, &bytes))
        return jfail(r, "a text is longer than %zu bytes", r->output_max);
    struct jgrow g;
    if (!jgrow_init(r, &g, bytes, s.taint || fill.taint || s.trusted != fill.trusted))
        return false;
    for (; left > 0; left--)
        jgrow_add(&g, fill);
    jgrow_add(&g, s);
    for (; right > 0; right--)
        jgrow_add(&g, fill);
    *out = jgrow_done(&g, s.trusted);
    return true;
}
