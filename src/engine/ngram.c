/* Where the end of a sequence stood before: two hash tables over the grams of its tokens (prompt and output), a long and a short one, each with a
 * chain from a place to the one before it of the same hash (as in LZ77 compressors). Adding a token costs two stores. A lookup walks a few places of
 * the long gram, else of the short one, and takes the place with the longest common past, the latest of equal ones.
 *
 * The room doubles while the sequence grows, up to NGRAM_WINDOW places; from then on it is a ring, and what lies further back is forgotten. */
#include "base/mem.h"
#include "engine/engine_int.h"
#include <string.h>

enum { GRAM_LONG = 5, GRAM_SHORT = 2, CHAIN_MAX = 8, ROOM_MIN = 256 };
static const uint32_t gram[NGRAM_TABLES] = {GRAM_LONG, GRAM_SHORT};

static uint32_t hash(const struct ngram *x, const int32_t *past, uint32_t n)
{
    uint64_t h = 0;
    for (uint32_t i = 0; i < n; i++)
        h = (h ^ (uint32_t)past[i]) * UINT64_C(0x9E3779B97F4A7C15), h ^= h >> 32;
    return (uint32_t)h & (x->room - 1);
}

/* More room, if there may be more: everything is indexed anew. False: no memory. */
static bool grow(struct ngram *x, uint32_t n)
{
    uint32_t room = x->room ? x->room : ROOM_MIN;
    while (room < n && room < NGRAM_WINDOW)
        room *= 2;
    if (room == x->room)
        return true;
    uint32_t *all = mem_array((size_t)room * 2 * NGRAM_TABLES, sizeof *all);
    if (!all)
        return false;
    ngram_deinit(x);
    for (int t = 0; t < NGRAM_TABLES; t++) {
        x->head[t] = all + (size_t)room * 2 * (size_t)t;
        x->prev[t] = x->head[t] + room;
    }
    x->room = room;
    return true;
}

void ngram_deinit(struct ngram *x)
{
    mem_free(x->head[0]);
    *x = (struct ngram){0};
}

/* A place is the index of a token that follows a gram; 0 stands for none, since no gram comes before the first token. */
bool ngram_add(struct ngram *x, const int32_t *tokens, uint32_t n)
{
    if (!grow(x, n))
        return false;
    uint32_t at = x->n > 0 ? x->n : 1;
    if (n > x->room && at < n - x->room)
        at = n - x->room;
    for (; at < n; at++)
        for (int t = 0; t < NGRAM_TABLES; t++) {
            if (at < gram[t])
                continue;
            uint32_t *head = &x->head[t][hash(x, tokens + at - gram[t], gram[t])];
            x->prev[t][at & (x->room - 1)] = *head;
            *head = at;
        }
    x->n = n;
    return true;
}

/* How many tokens before `at` are those before n. */
static uint32_t common(const int32_t *tokens, uint32_t at, uint32_t n)
{
    uint32_t length = 0;
    while (length < at && length < NGRAM_MATCH_MAX && tokens[at - length - 1] == tokens[n - length - 1])
        length++;
    return length;
}

struct ngram_match ngram_find(const struct ngram *x, const int32_t *tokens, uint32_t n)
{
    struct ngram_match best = {0};
    ASSERT(x->n == n);
    for (int t = 0; t < NGRAM_TABLES && best.length == 0; t++) {
        uint32_t at = n > gram[t] ? x->head[t][hash(x, tokens + n - gram[t], gram[t])] : 0;
        for (int i = 0; i < CHAIN_MAX && at > 0 && at + x->room >= n && best.length < NGRAM_MATCH_MAX; i++) {
            uint32_t length = common(tokens, at, n);
            if (length >= gram[t] && length > best.length)
                best = (struct ngram_match){.at = at, .length = length};
            at = x->prev[t][at & (x->room - 1)];
        }
    }
    return best;
}
