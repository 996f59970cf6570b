/* What an attention kernel keeps of its rows, guarded, and how two of them compare: what check_attn.c and check_attn8.c share. */
#pragma once
#include "check.h"
#include <math.h>
#include <string.h>

struct state {
    size_t n_q, hd;
    struct guard max, sum, out;
};

static inline void state_new(struct state *s, size_t n_q, size_t hd)
{
    s->n_q = n_q, s->hd = hd;
    guard_new(&s->max, n_q * sizeof(float)), guard_new(&s->sum, n_q * sizeof(float)), guard_new(&s->out, n_q * hd * sizeof(float));
    for (size_t i = 0; i < n_q; i++)
        ((float *)s->max.p)[i] = -INFINITY, ((float *)s->sum.p)[i] = 0;
    memset(s->out.p, 0, s->out.n);
}

static inline void state_free(struct state *s)
{
    guard_free(&s->max), guard_free(&s->sum), guard_free(&s->out);
}

/* The sum that row i has. */
static inline double state_sum(const struct state *s, size_t i)
{
    return (double)((float *)s->sum.p)[i];
}

/* Row i against the specification's: the maximum within `bound`, the sum within `bound` of itself, each value within `values`. */
static inline const char *state_differ(const struct state *got, const struct state *want, size_t i, double bound, double values)
{
    double max = (double)((float *)got->max.p)[i], max_want = (double)((float *)want->max.p)[i], sum = state_sum(want, i);
    if (!near(max, max_want, bound) || !near(state_sum(got, i), sum, bound * sum))
        return found("%zu rows of %zu: row %zu has maximum %.9g and sum %.9g, not %.9g and %.9g", got->n_q, got->hd, i, max, state_sum(got, i),
                     max_want, sum);
    for (size_t d = 0; d < got->hd; d++) {
        double g = (double)((float *)got->out.p)[i * got->hd + d], w = (double)((float *)want->out.p)[i * got->hd + d];
        if (!near(g, w, values))
            return found("%zu rows of %zu: value %zu of row %zu is %.9g, not %.9g", got->n_q, got->hd, d, i, g, w);
    }
    return NULL;
}

/* Row i among others against the same row alone: every bit. */
static inline const char *state_alone(const struct state *all, const struct state *alone, size_t i)
{
    bool same = memcmp(alone->out.p, (float *)all->out.p + i * all->hd, alone->out.n) == 0 &&
                memcmp(alone->sum.p, (float *)all->sum.p + i, sizeof(float)) == 0;
    return same ? NULL : found("%zu rows of %zu: row %zu differs when it is alone", all->n_q, all->hd, i);
}

/* The positions [*from, *to) that some of n rows asks for. */
static inline void asked_for(const int *lo, const int *hi, size_t n, int *from, int *to)
{
    *from = KERNEL_KV_GROUP * KERNEL_KV_PAGE, *to = 0;
    for (size_t i = 0; i < n; i++)
        if (hi[i] > lo[i]) {
            *from = lo[i] < *from ? lo[i] : *from;
            *to = hi[i] > *to ? hi[i] : *to;
        }
}
