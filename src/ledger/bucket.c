#include "ledger/bucket.h"

#include "base/err.h"

#include <stddef.h>

#define DAY_NS 86400000000000ull

void bucket_init(struct bucket *b, uint64_t most, uint64_t window_ns, uint64_t now_ns)
{
    ASSERT(most > 0 && most <= BUCKET_MOST_MAX && window_ns > 0 && window_ns <= DAY_NS);
    *b = (struct bucket){.most = most, .window_ns = window_ns, .at_ns = now_ns};
}

/* ---- draining ---- */

/* Covers the oldest shares. parts is at most the sum of what is open. */
static void cover(struct bucket *b, unsigned __int128 parts)
{
    b->open -= parts;
    while (parts) {
        struct bucket_share *s = b->due;
        if (s->open > parts) {
            s->open -= parts;
            return;
        }
        parts -= s->open;
        s->open = 0;
        b->due = s->next;
    }
}

static void drain(struct bucket *b, uint64_t now_ns)
{
    if (now_ns <= b->at_ns)
        return;
    unsigned __int128 parts = (unsigned __int128)(now_ns - b->at_ns) * b->most, owed = parts < b->owed ? parts : b->owed;
    b->at_ns = now_ns;
    b->owed -= owed;
    parts -= owed;
    cover(b, parts < b->open ? parts : b->open);
}

void bucket_change(struct bucket *b, uint64_t most, uint64_t now_ns)
{
    ASSERT(most > 0 && most <= BUCKET_MOST_MAX);
    drain(b, now_ns);
    b->most = most;
}

void bucket_move(struct bucket *b, uint64_t from_ns, uint64_t to_ns)
{
    ASSERT(!b->first);
    drain(b, from_ns);
    b->at_ns = to_ns;
}

/* ---- what is there ---- */

static unsigned __int128 parts_of(const struct bucket *b, uint64_t tokens)
{
    return (unsigned __int128)tokens * b->window_ns;
}

static uint64_t in_64(unsigned __int128 v)
{
    return v < UINT64_MAX ? (uint64_t)v : UINT64_MAX;
}

/* How long until no more than `left` parts are taken. */
static uint64_t until(const struct bucket *b, unsigned __int128 left)
{
    unsigned __int128 taken = b->owed + b->open;
    return taken > left ? in_64((taken - left + b->most - 1) / b->most) : 0;
}

uint64_t bucket_free(struct bucket *b, uint64_t now_ns)
{
    drain(b, now_ns);
    unsigned __int128 all = parts_of(b, b->most), taken = b->owed + b->open;
    return taken < all ? (uint64_t)((all - taken) / b->window_ns) : 0;
}

uint64_t bucket_used(struct bucket *b, uint64_t now_ns)
{
    drain(b, now_ns);
    return in_64((b->owed + b->open + b->window_ns - 1) / b->window_ns);
}

uint64_t bucket_wait_ns(struct bucket *b, uint64_t now_ns, uint64_t n)
{
    drain(b, now_ns);
    return n > b->most ? BUCKET_NEVER : n ? until(b, parts_of(b, b->most - n)) : 0;
}

uint64_t bucket_full_ns(struct bucket *b, uint64_t now_ns)
{
    drain(b, now_ns);
    return until(b, 0);
}

/* ---- the shares ---- */

static void append(struct bucket *b, struct bucket_share *s)
{
    s->prev = b->last, s->next = NULL;
    if (b->last)
        b->last->next = s;
    else
        b->first = s;
    b->last = s;
    if (!b->due)
        b->due = s;
}

static void detach(struct bucket *b, struct bucket_share *s)
{
    if (b->due == s)
        b->due = s->next;
    if (s->prev)
        s->prev->next = s->next;
    else
        b->first = s->next;
    if (s->next)
        s->next->prev = s->prev;
    else
        b->last = s->prev;
}

void bucket_take(struct bucket *b, uint64_t now_ns, struct bucket_share *s, uint64_t n)
{
    drain(b, now_ns);
    *s = (struct bucket_share){.parts = parts_of(b, n), .open = parts_of(b, n), .held = true};
    b->open += s->open;
    append(b, s);
}

void bucket_grow(struct bucket *b, uint64_t now_ns, struct bucket_share *s, uint64_t n)
{
    unsigned __int128 more = parts_of(b, n);
    ASSERT(s->held);
    drain(b, now_ns);
    if (!s->open) /* covered whole: what comes now is younger than all others */
        detach(b, s);
    bool back = !s->open;
    s->parts += more, s->open += more, b->open += more;
    if (back)
        append(b, s);
}

void bucket_settle(struct bucket *b, uint64_t now_ns, struct bucket_share *s, uint64_t used)
{
    unsigned __int128 cost = parts_of(b, used);
    ASSERT(s->held);
    drain(b, now_ns);
    unsigned __int128 covered = s->parts - s->open;
    b->owed += cost > covered ? cost - covered : 0;
    b->open -= s->open;
    detach(b, s);
    s->held = false;
}

void bucket_charge(struct bucket *b, uint64_t now_ns, uint64_t used)
{
    drain(b, now_ns);
    b->owed += parts_of(b, used);
}

void bucket_leave(struct bucket *b)
{
    for (struct bucket_share *s = b->first; s; s = s->next)
        s->held = false;
    *b = (struct bucket){0};
}
