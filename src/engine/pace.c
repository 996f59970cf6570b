/* How long steps take, so that prompts are cut into chunks of bounded time: who reads never waits for more than one chunk, and that one is
 * short beside what a step takes without it. Times are learned from the steps themselves: those with decode rows alone by their number, and
 * what a prompt's row adds to that. */
#include "engine/engine_int.h"

/* Of n rows: 1, 2, 3 to 4, 5 to 8, ... */
static uint32_t bucket(uint32_t n)
{
    uint32_t b = 0;
    while (b + 1 < PACE_BUCKETS && 1u << b < n)
        b++;
    return b;
}

static uint64_t smooth(uint64_t was, uint64_t now)
{
    return was ? (3 * was + now) / 4 : now;
}

/* A step of n decode rows alone; 0: no such step was seen. */
static uint64_t decode_ns(const struct pace *p, uint32_t n)
{
    if (n == 0)
        return 0;
    uint32_t b = bucket(n);
    for (uint32_t i = b + 1; i-- > 0;)
        if (p->decode_ns[i])
            return p->decode_ns[i];
    for (uint32_t i = b + 1; i < PACE_BUCKETS; i++)
        if (p->decode_ns[i])
            return p->decode_ns[i];
    return 0;
}

void pace_learn(struct pace *p, uint32_t n_decode, uint32_t n_prefill, uint64_t ns)
{
    if (n_prefill == 0 && n_decode > 0) {
        uint64_t *d = &p->decode_ns[bucket(n_decode)];
        *d = smooth(*d, ns ? ns : 1);
        return;
    }
    if (n_prefill < PACE_ROWS_MIN)
        return;
    uint64_t base = decode_ns(p, n_decode);
    uint64_t row = base ? (ns > base ? ns - base : 0) / n_prefill : ns / (n_prefill + n_decode);
    p->row_ns = smooth(p->row_ns, row ? row : 1);
}

uint32_t pace_rows(const struct pace *p, uint32_t n_decode, bool readers, uint32_t most)
{
    const uint64_t ms = 1000000, base = decode_ns(p, n_decode);
    uint64_t whole = readers ? PACE_READ_MS * ms : PACE_ALONE_MS * ms; /* of the step */
    if (n_decode > 0 && base > 0) {
        uint64_t stretched = base * PACE_STRETCH_TENTHS / 10, least = PACE_READ_MIN_MS * ms;
        uint64_t top = base * 7 / 4 > whole ? base * 7 / 4 : whole; /* a large model's own step is long: some of the prompt still fits */
        whole = stretched < least ? least : stretched < top ? stretched : top;
    }
    uint64_t left = whole > base ? whole - base : 0;
    uint64_t rows = p->row_ns ? left / p->row_ns : PACE_ROWS_MIN; /* the first one measures */
    if (rows < PACE_ROWS_MIN)
        rows = PACE_ROWS_MIN;
    return rows < most ? (uint32_t)rows : most;
}
