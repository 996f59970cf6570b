/* How long steps take, so that prompts are cut into chunks of bounded time: who reads never waits for more than one chunk, and that one is
 * short beside what a step takes without it. Times are learned from the steps themselves: those with decode rows alone by their number, and
 * what a prompt's row adds to that. */
#include "engine/engine_int.h"

/* Numbers of rows whose time is known apart. */
static const uint16_t knots[PACE_KNOTS] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 64, 80, 96, 128, 160, STEP_ROWS_MAX};

static int knot_of(uint32_t rows)
{
    int i = 0;
    while (knots[i] < rows)
        i++;
    return i;
}

static uint64_t smooth(uint64_t was, uint64_t now)
{
    return was ? (3 * was + now) / 4 : now;
}

/* Follows the steps that nothing held up: down fast, up by a little, so that one that was interrupted says next to nothing. The first ones, when
 * memory is new and caches are cold, are forgotten at the next better one. */
static uint64_t settle(uint64_t was, uint64_t now, uint32_t times)
{
    if (!was || (now < was && times < 3))
        return now;
    return now < was ? (was + now) / 2 : now - was < was / 32 ? now : was + was / 32;
}

/* What was measured long ago, or seldom and some time ago, is no reason to keep away. */
static bool is_old(const struct pace *p, int at)
{
    uint64_t most = p->times[at] < 6 ? 8u << p->times[at] : PACE_OLD;
    return p->age - p->seen[at] > most;
}

/* What is learned bounds what a row more takes; kept, because drafts ask for it many times a step. */
static void bound_rows(struct pace *p)
{
    uint64_t row = p->row_ns ? p->row_ns : UINT64_MAX;
    for (int i = 0; i < PACE_KNOTS; i++) {
        uint64_t rows = knots[i] < 4 ? 4 : knots[i], bound = p->decode_ns[i] / rows; /* up to four rows wait for memory */
        if (bound > 0 && bound < row)
            row = bound;
    }
    p->more_ns = row == UINT64_MAX ? 0 : row;
}

uint64_t pace_row_ns(const struct pace *p)
{
    return p->more_ns;
}

/* By the next smaller number of rows that is known: more are nearly free while reading the weights takes the time, then each takes what a prompt's
 * row does; and they cost no less than those between the two next smaller numbers did. */
static uint64_t by_fewer(const struct pace *p, int at, uint32_t rows)
{
    int i = at, j;
    while (i >= 0 && !p->decode_ns[i])
        i--;
    if (i < 0)
        return UINT64_MAX;
    for (j = i - 1; j >= 0 && !p->decode_ns[j];)
        j--;
    const uint64_t more = rows - knots[i], known = p->decode_ns[i], row = pace_row_ns(p) * rows;
    uint64_t slope = j >= 0 && known > p->decode_ns[j] ? (known - p->decode_ns[j]) / (uint64_t)(knots[i] - knots[j]) : 0;
    slope = slope > known / 100 ? slope : known / 100;
    return known + slope * more > row ? known + slope * more : row;
}

uint64_t pace_decode_ns(const struct pace *p, uint32_t n)
{
    if (n == 0)
        return 0;
    const int at = knot_of(n);
    uint64_t ns = p->decode_ns[at];
    if (!ns || is_old(p, at)) {
        uint64_t reckoned = by_fewer(p, ns ? at - 1 : at, n);
        ns = ns && ns < reckoned ? ns : reckoned;
    }
    for (int i = at + 1; i < PACE_KNOTS; i++) /* more rows are never cheaper: what was measured of them is a bound */
        if (p->decode_ns[i] && p->decode_ns[i] < ns)
            ns = p->decode_ns[i];
    return ns == UINT64_MAX ? 0 : ns;
}

/* The most that steps of decode rows alone have done. */
struct engine_speed pace_speed(const struct pace *p)
{
    struct engine_speed v = {0};
    for (int i = 0; i < PACE_KNOTS; i++) {
        const uint64_t rate = p->decode_ns[i] ? (uint64_t)knots[i] * 1000 * 1000000000 / p->decode_ns[i] : 0;
        if (rate > v.rate)
            v.rate = rate < ENGINE_RATE_MAX ? (uint32_t)rate : ENGINE_RATE_MAX;
    }
    const uint64_t weight = p->row_ns * v.rate / 1000000000;
    v.input_weight = weight < 1000 ? (uint32_t)weight : 1000;
    return v;
}

uint64_t pace_age(const struct pace *p, uint32_t n)
{
    return p->age - p->seen[knot_of(n)];
}

void pace_learn(struct pace *p, uint32_t n_decode, uint32_t n_prefill, uint64_t ns)
{
    if (n_prefill == 0 && n_decode > 0) {
        const int at = knot_of(n_decode);
        p->decode_ns[at] = settle(p->decode_ns[at], ns ? ns : 1, p->times[at]);
        if (p->times[at] < 100)
            p->times[at]++;
        p->seen[at] = ++p->age;
        bound_rows(p);
        return;
    }
    if (n_prefill < PACE_ROWS_MIN)
        return;
    uint64_t base = pace_decode_ns(p, n_decode);
    uint64_t row = base ? (ns > base ? ns - base : 0) / n_prefill : ns / (n_prefill + n_decode);
    p->row_ns = smooth(p->row_ns, row ? row : 1);
    bound_rows(p);
}

/* Rows of prompts that fit beside n_decode others in a step of `whole` nanoseconds. */
static uint32_t rows_within(const struct pace *p, uint64_t base, uint64_t whole, uint32_t most)
{
    uint64_t left = whole > base ? whole - base : 0;
    uint64_t rows = p->row_ns ? left / p->row_ns : PACE_ROWS_MIN; /* the first one measures */
    if (rows < PACE_ROWS_MIN)
        rows = PACE_ROWS_MIN;
    return rows < most ? (uint32_t)rows : most;
}

uint32_t pace_rows(const struct pace *p, uint32_t n_decode, uint32_t most_ms, uint32_t most)
{
    const uint64_t ms = 1000000, base = pace_decode_ns(p, n_decode);
    uint64_t whole = most_ms * ms; /* of the step */
    if (n_decode > 0 && base > 0) {
        uint64_t stretched = base * PACE_STRETCH_TENTHS / 10, least = PACE_READ_MIN_MS * ms;
        uint64_t top = base * 7 / 4 > whole ? base * 7 / 4 : whole; /* a large model's own step is long: some of the prompt still fits */
        whole = stretched < least ? least : stretched < top ? stretched : top;
    }
    return rows_within(p, base, whole, most);
}

uint32_t pace_rows_whole(const struct pace *p, uint32_t n_decode, uint32_t most)
{
    return rows_within(p, pace_decode_ns(p, n_decode), PACE_ALONE_MS * 1000000ull, most);
}
