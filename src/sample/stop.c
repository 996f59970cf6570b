/* Stop strings by Knuth, Morris and Pratt: for each string the length of its longest prefix that ends at the current byte. What the longest
 * of these prefixes covers is held back; everything before it can never become part of a stop string and goes out. The first string that is
 * completed wins (of two that end at the same byte the longer), so the result does not depend on where tokens end. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "sample/sample.h"
#include <string.h>

struct stop_string {
    uint16_t n, state;
    uint16_t fail[STOP_BYTES_MAX]; /* fail[i]: length of the longest proper border of the first i + 1 bytes */
    char     s[STOP_BYTES_MAX];
};

struct stop_match {
    size_t             n;
    bool               done;
    size_t             n_held;
    char               held[STOP_BYTES_MAX];
    struct stop_string string[];
};

static void string_init(struct stop_string *t, const char *s, size_t n)
{
    t->n = (uint16_t)n;
    t->state = 0;
    memcpy(t->s, s, n);
    t->fail[0] = 0;
    for (size_t i = 1, k = 0; i < n; i++) {
        while (k && s[k] != s[i])
            k = t->fail[k - 1];
        k += s[k] == s[i];
        t->fail[i] = (uint16_t)k;
    }
}

int stop_new(struct stop_match **out, const char *const *strings, const size_t *lens, size_t n, struct err *e)
{
    *out = NULL;
    if (n > STOP_STRINGS_MAX)
        return err_param(e, ERR_BAD_VALUE, "stop", "stop: %zu strings were given; at most %d are allowed", n, STOP_STRINGS_MAX);
    for (size_t i = 0; i < n; i++) {
        if (lens[i] == 0)
            return err_param(e, ERR_BAD_VALUE, "stop", "stop: string %zu is empty; leave it out", i);
        if (lens[i] > STOP_BYTES_MAX)
            return err_param(e, ERR_BAD_VALUE, "stop", "stop: string %zu has %zu bytes; at most %d are allowed", i, lens[i], STOP_BYTES_MAX);
        if (!utf8_valid(strings[i], lens[i])) /* so a cut before it is never inside a character */
            return err_param(e, ERR_BAD_VALUE, "stop", "stop: string %zu is not valid UTF-8", i);
    }
    struct stop_match *m = mem_new(sizeof *m + n * sizeof m->string[0]);
    if (!m)
        return err_set(e, ERR_NO_MEMORY, "stop: no memory; try again later");
    m->n = n;
    for (size_t i = 0; i < n; i++)
        string_init(&m->string[i], strings[i], lens[i]);
    *out = m;
    return 0;
}

void stop_free(struct stop_match *m) { mem_free(m); }

/* Takes one byte; returns the length of the string that it completed, else 0. *keep: how much of the end may still become one. */
static size_t byte(struct stop_match *m, char c, size_t *keep)
{
    size_t hit = 0;
    *keep = 0;
    for (size_t i = 0; i < m->n; i++) {
        struct stop_string *t = &m->string[i];
        size_t              k = t->state;
        while (k && t->s[k] != c)
            k = t->fail[k - 1];
        k += t->s[k] == c;
        t->state = (uint16_t)k;
        if (k == t->n && k > hit)
            hit = k;
        if (k > *keep)
            *keep = k;
    }
    return hit;
}

/* Emits held + p[0..n) without its last `keep` bytes, which are held from now on. */
static void shift(struct stop_match *m, const char *p, size_t n, size_t keep, struct buf *out)
{
    if (keep >= n) { /* a part of what was held stays */
        size_t stay = keep - n, go = m->n_held - stay;
        buf_add(out, m->held, go);
        memmove(m->held, m->held + go, stay);
        memcpy(m->held + stay, p, n);
    } else {
        buf_add(out, m->held, m->n_held);
        buf_add(out, p, n - keep);
        memcpy(m->held, p + n - keep, keep);
    }
    m->n_held = keep;
}

bool stop_feed(struct stop_match *m, const char *p, size_t n, struct buf *out)
{
    if (m->done)
        return true;
    size_t keep = m->n_held;
    for (size_t i = 0; i < n; i++) {
        size_t hit = byte(m, p[i], &keep);
        if (hit) {
            shift(m, p, i + 1, hit, out);
            m->n_held = 0;
            return m->done = true;
        }
    }
    if (n)
        shift(m, p, n, keep, out);
    return false;
}

void stop_flush(struct stop_match *m, struct buf *out)
{
    buf_add(out, m->held, m->n_held);
    m->n_held = 0;
    for (size_t i = 0; i < m->n; i++)
        m->string[i].state = 0;
}
