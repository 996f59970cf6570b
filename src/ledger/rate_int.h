/* Inside rate limits. rates.lock guards what is taken and the sets of limits; only the ledger thread changes the map and the limits. It is the
 * last lock: whoever has it takes no other. */
#pragma once
#include "base/map.h"
#include "base/thread.h"
#include "ledger/bucket.h"
#include "ledger/journal.h"
#include "ledger/rate.h"

#include <stdatomic.h>

enum rate_whose { RATE_OF_KEY, RATE_OF_PROJECT, RATE_OF_ACCOUNT, RATE_OF_ALL, RATE_WHOSE };
extern const char *const rate_whose_names[RATE_WHOSE], *const rate_meter_names[RATE_METERS], *const rate_window_names[RATE_WINDOWS];
extern const uint64_t rate_window_s[RATE_WINDOWS];

struct rate_id {
    enum rate_whose whose;
    int64_t owner;                /* of the key, the project or the organisation; 0 */
    char model[LEDGER_MODEL_MAX]; /* "": all models together */
};

/* A limit's number is meter * RATE_WINDOWS + window. */
enum { RATE_LIMITS = RATE_METERS * RATE_WINDOWS };
static inline enum rate_meter rate_meter_of(int i) { return (enum rate_meter)(i / RATE_WINDOWS); }
static inline enum rate_window rate_window_of(int i) { return (enum rate_window)(i % RATE_WINDOWS); }

struct rate_most { /* 0: no limit */
    uint64_t of[RATE_LIMITS], parallel;
};

/* The limits of one owner on one model, and what is taken of them. */
struct rate {
    struct rate_id id;
    char name[2 * LEDGER_NAME_MAX]; /* of the owner, as people know it: of a project "acme/lab"; "" */
    struct rate_most most;
    struct bucket bucket[RATE_LIMITS]; /* where most is not 0 */
    uint64_t running;                  /* requests that count in it */
};

struct rates {
    struct mutex lock;
    struct map all;          /* by rate_key; a set of limits that was made stays, also when it limits nothing any more */
    atomic_size_t n;         /* of them; 0: no request has to look */
    uint64_t (*clock)(void); /* monotonic nanoseconds; the tests have their own */
};

/* rate.c: what a request takes */
struct rate_ask {
    const struct principal *who;
    const char *model;
    uint32_t input, output;
    bool slice; /* output is a first slice of an answer of unknown length: as much of it is reserved as every limit can hold */
};
struct rate_take; /* what one request has taken of each set of limits */
/* Takes of every limit, or of none. *out NULL: there is no limit. ERR_RATE, with retry_ms, says which limit, whose, and how much of it is used;
 * ERR_OVER_RATE: it can never hold this request. [any] */
int rate_take(struct ledger *l, const struct rate_ask *q, struct rate_take **out, struct err *e) MUST_USE;
void rate_grow(struct ledger *l, struct rate_take *t, uint32_t output); /* t may be NULL here and below [any] */
void rate_end(struct ledger *l, struct rate_take *t, const struct usage_counts *used); /* frees t; used NULL: it did not begin [any] */

/* rate_set.c: what people set, what is kept */
void rate_init(struct rates *r);
void rate_deinit(struct rates *r);
int rate_read(struct ledger *l, struct err *e) MUST_USE; /* the rows alone */
int rate_follow(struct ledger *l, const struct rates *to, struct err *e) MUST_USE; /* to the limits of `to`, which were read anew */
int rate_load(struct ledger *l, struct err *e) MUST_USE; /* at start, after recovery */
enum { RATE_KEY_MAX = 1 + sizeof(int64_t) + LEDGER_MODEL_MAX };
struct str rate_key(char out[RATE_KEY_MAX], enum rate_whose whose, int64_t owner, struct str model);
int rate_parse(uint64_t most[RATE_WINDOWS], const char *meter, struct str text, struct err *e) MUST_USE; /* "60/minute,1000/day", "none" */
struct stmt;
bool rate_id_read(struct rate_id *id, struct stmt *s, int col); /* whose, owner_id and model, from col on; false: malformed */
bool rate_most_read(struct rate_most *most, struct str meter, int64_t window_s, int64_t n); /* one row of the store into most; false: malformed */
/* How much of one limit is taken. False: there is no such limit in memory. [any] */
struct rate_state { uint64_t used, full_ms; };
bool rate_look(struct ledger *l, const struct rate_id *id, struct str meter, int64_t window_s, struct rate_state *out);
struct rate *rate_find(struct ledger *l, const struct rate_id *id); /* under rates.lock; NULL: none */
