/* A bucket of tokens that refills continuously: at most `most` in each window, none of it at once on the full minute. Integers only.
 *
 * What was taken and has not drained away yet is counted in parts: one token is as many parts as the window has nanoseconds, so that `most`
 * parts drain in each nanosecond and nothing is ever rounded. most * window is less than 2^88, and a sum of 2^40 requests of 2^32 tokens each
 * less than 2^120.
 *
 *   owed   what ended requests used
 *   open   what running ones have reserved and no draining has covered yet
 *
 * A running request has a share: it reserves when it is admitted, and says at its end what it used. Until then its reservation drains like what
 * others owe: first what is owed, then the shares, the oldest first. What has drained of a share is a credit of that request alone: at its end
 * it owes what it used, less this credit; a credit that it did not need is lost. So a reservation that was too large is given back without giving
 * back what time has given back already, and the bucket never has more free than one that had been told from the first what each would use
 * (tests/unit/ledger/test_bucket.c compares the two).
 *
 * Times are any clock's nanoseconds. A time before an earlier one counts as that one: a clock that goes back refills nothing. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define BUCKET_MOST_MAX 1000000000000ull /* tokens in a window */
#define BUCKET_NEVER UINT64_MAX

/* What one running request has of a bucket. In the caller's storage, which stays where it is from bucket_take to bucket_settle. */
struct bucket_share {
    struct bucket_share *prev, *next; /* in the order of admission */
    unsigned __int128    parts, open; /* reserved; of them not covered yet */
    bool                 held;        /* of a bucket: between take and settle */
};

struct bucket {
    uint64_t             most, window_ns, at_ns; /* at_ns: the time that the counts are of */
    unsigned __int128    owed, open;             /* parts; open: the sum over the shares */
    struct bucket_share *first, *last, *due;     /* due: the first that is not covered whole; those before it are */
};

/* most: 1 to BUCKET_MOST_MAX; window_ns: at most a day. An empty bucket is full of tokens. */
void bucket_init(struct bucket *b, uint64_t most, uint64_t window_ns, uint64_t now_ns);
void bucket_change(struct bucket *b, uint64_t most, uint64_t now_ns); /* another size; what was taken stays taken */
/* What is from_ns by the clock until now is to_ns by the one from now on. Without shares. */
void bucket_move(struct bucket *b, uint64_t from_ns, uint64_t to_ns);
void bucket_leave(struct bucket *b);                                  /* it goes: its shares are let go */

uint64_t bucket_free(struct bucket *b, uint64_t now_ns); /* whole tokens that can be taken now */
uint64_t bucket_used(struct bucket *b, uint64_t now_ns); /* tokens, rounded up; more than `most` when requests used more than they reserved */
/* How long until n can be taken, if nothing else happens: 0: now (nothing can always be taken); BUCKET_NEVER: it never holds so many. */
uint64_t bucket_wait_ns(struct bucket *b, uint64_t now_ns, uint64_t n);
uint64_t bucket_full_ns(struct bucket *b, uint64_t now_ns); /* how long until nothing is taken any more */

void bucket_take(struct bucket *b, uint64_t now_ns, struct bucket_share *s, uint64_t n); /* whether it fits is the caller's question, asked before */
void bucket_grow(struct bucket *b, uint64_t now_ns, struct bucket_share *s, uint64_t n); /* reserves n more, whether it fits or not */
void bucket_settle(struct bucket *b, uint64_t now_ns, struct bucket_share *s, uint64_t used); /* the request has ended */
void bucket_charge(struct bucket *b, uint64_t now_ns, uint64_t used);                         /* of a request that has ended before */
