#include "hub/ranges.h"
#include "base/vec.h"
#include <string.h>

void ranges_deinit(struct ranges *r)
{
    vec_deinit(r);
}

/* Index of the first range that ends at or after x. */
static size_t find(const struct ranges *r, uint64_t x)
{
    size_t lo = 0, hi = r->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (r->p[mid].to < x)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Puts n ranges in the place of p[i..k). */
static bool splice(struct ranges *r, size_t i, size_t k, const struct range *in, size_t n)
{
    size_t after = r->n - (k - i) + n;
    if (after > RANGES_MAX || !vec_reserve(r, after))
        return false;
    if (r->n > k)
        memmove(&r->p[i + n], &r->p[k], (r->n - k) * sizeof *r->p);
    for (size_t j = 0; j < n; j++)
        r->p[i + j] = in[j];
    r->n = after;
    return true;
}

bool ranges_add(struct ranges *r, uint64_t from, uint64_t to)
{
    if (from >= to)
        return true;
    size_t i = find(r, from), k = i;
    struct range one = {from, to};
    for (; k < r->n && r->p[k].from <= to; k++) {
        one.from = r->p[k].from < one.from ? r->p[k].from : one.from;
        one.to = r->p[k].to > one.to ? r->p[k].to : one.to;
    }
    return splice(r, i, k, &one, 1);
}

bool ranges_cut(struct ranges *r, uint64_t from, uint64_t to)
{
    struct range left[2];
    size_t n = 0, i = find(r, from), k = i;
    if (from >= to)
        return true;
    for (; k < r->n && r->p[k].from < to; k++) {
        if (r->p[k].from < from)
            left[n++] = (struct range){r->p[k].from, r->p[k].to < from ? r->p[k].to : from};
        if (r->p[k].to > to)
            left[n++] = (struct range){to, r->p[k].to};
    }
    return splice(r, i, k, left, n);
}

uint64_t ranges_bytes(const struct ranges *r)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < r->n; i++)
        sum += r->p[i].to - r->p[i].from;
    return sum;
}

uint64_t ranges_run(const struct ranges *r, uint64_t at)
{
    size_t i = find(r, at + (at < UINT64_MAX));
    return i < r->n && r->p[i].from <= at ? r->p[i].to : at;
}

bool ranges_gap(const struct ranges *a, const struct ranges *b, uint64_t at, uint64_t size, uint64_t most, struct range *out)
{
    for (uint64_t before = UINT64_MAX; at != before;) {
        before = at;
        at = ranges_run(a, at);
        at = b ? ranges_run(b, at) : at;
    }
    if (at >= size)
        return false;
    uint64_t end = size - at > most ? at + most : size;
    const struct ranges *both[] = {a, b};
    for (int k = 0; k < 2; k++) {
        size_t i = both[k] ? find(both[k], at) : 0;
        while (both[k] && i < both[k]->n && both[k]->p[i].to <= at)
            i++;
        if (both[k] && i < both[k]->n && both[k]->p[i].from < end)
            end = both[k]->p[i].from;
    }
    *out = (struct range){at, end};
    return true;
}
