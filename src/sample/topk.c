#include "sample/topk.h"
#include <stdbool.h>
#include <string.h>

/* Bits that order as the float does; -0 and 0 are one value. */
static uint32_t key_of(float x)
{
    uint32_t u;
    x += 0.0f;
    memcpy(&u, &x, sizeof u);
    return u & 0x80000000u ? ~u : u | 0x80000000u;
}

/* The bin, from the top, in which acc + masses reach limit; -1 when they never do. *acc is the mass above that bin. */
static int bin_at(const double *bin, int n_bins, double *acc, double limit)
{
    for (int b = n_bins - 1; b >= 0; b--) {
        if (bin[b] > 0 && *acc + bin[b] >= limit)
            return b;
        *acc += bin[b];
    }
    return -1;
}

/* Finds the key at which the running mass reaches limit, and how many candidates with just that key are needed (the lower ids first).
 * False: all candidates together do not reach it. */
static bool threshold(const struct cands *c, const float *mass, double limit, struct select_scratch *s, uint32_t *key, size_t *ties)
{
    static const int shifts[] = {20, 8, 0}, widths[] = {12, 12, 8};
    uint32_t prefix = 0;
    double   acc = 0;
    size_t   n = c->n;
    for (int level = 0; level < 3; level++) {
        const int      shift = shifts[level], n_bins = 1 << widths[level];
        const uint32_t m = (uint32_t)n_bins - 1;
        memset(s->bin, 0, (size_t)n_bins * sizeof *s->bin);
        for (size_t i = 0; i < n; i++) {
            size_t at = level ? s->idx[i] : i;
            s->bin[key_of(c->logit[at]) >> shift & m] += mass ? (double)mass[at] : 1.0;
        }
        int b = bin_at(s->bin, n_bins, &acc, limit);
        if (b < 0)
            return false;
        size_t kept = 0;
        for (size_t i = 0; i < n; i++) {
            uint32_t at = level ? s->idx[i] : (uint32_t)i;
            if ((key_of(c->logit[at]) >> shift & m) == (uint32_t)b)
                s->idx[kept++] = at;
        }
        n = kept;
        prefix |= (uint32_t)b << shift;
    }
    *key = prefix;
    for (*ties = 0; *ties < n;) {
        acc += mass ? (double)mass[s->idx[*ties]] : 1.0;
        ++*ties;
        if (acc >= limit)
            break;
    }
    return true;
}

void select_top(struct cands *c, const float *mass, double limit, struct select_scratch *s)
{
    uint32_t key;
    size_t   ties, kept = 0;
    if (c->n == 0 || !threshold(c, mass, limit, s, &key, &ties))
        return;
    for (size_t i = 0; i < c->n; i++) {
        uint32_t k = key_of(c->logit[i]);
        if (k < key || (k == key && ties == 0))
            continue;
        ties -= k == key;
        c->id[kept] = c->id[i];
        c->logit[kept++] = c->logit[i];
    }
    c->n = kept;
}
