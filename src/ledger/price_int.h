/* Prices inside the ledger: a version, what it makes of quantities, and which one is in force. Amounts are nano-units.
 *
 * A book is the versions of one (model, service tier, account); account 0 has the list price. A version begins and ends by itself: it is looked
 * up by the time of the hold, and then pinned, so that nothing has to be switched. */
#pragma once
#include "ledger/ledger.h"

struct db;
struct stmt;

enum meter {
#define METER(id, name, unit, per, rate, scope) METER_##id,
#include "ledger/meter.def"
#undef METER
    METER_COUNT
};
enum { PRICE_TIERS_MAX = 8 /* by input length */, PRICE_MODEL_MAX = 256, PRICE_NO_RATE = -1 };
enum scope { SCOPE_ANY, SCOPE_INFERENCE, SCOPE_TRAINING, SCOPE_EMBEDDINGS, SCOPE_STORAGE, SCOPE_COUNT };

struct meter_kind {
    const char *name, *unit, *rate_unit;
    int64_t per;
    enum scope scope;
};
extern const struct meter_kind meters[METER_COUNT];
bool meter_find(struct str name, enum meter *out);

bool scope_find(struct str name, enum scope *out); /* false: nothing computes it; *out as it was */

/* What was used, each meter in its units. */
struct quantities {
    uint64_t of[METER_COUNT];
};
/* The counters of a request: a text's five meters, or all its prompt tokens as embedding. */
void quantities_of(struct quantities *out, enum scope scope, const struct usage_counts *c);

struct price_step {
    uint32_t from;             /* input tokens */
    int64_t rate[METER_COUNT]; /* PRICE_NO_RATE: not sold */
};

struct price {
    int64_t id, org, effective_us, until_us /* 0: open */, end_us /* by somebody's hand; INT64_MAX: no */;
    int version;
    bool at_once;   /* it began when it was set, whatever the clock says now */
    size_t n_steps; /* at least 1; the first from 0, then rising */
    struct price_step step[PRICE_TIERS_MAX];
    struct price *older; /* of its book, by effective_us and then version */
    char model[PRICE_MODEL_MAX], tier[LEDGER_TIER_MAX];
};

/* The newest version of a book; NULL: none. Under lock, or on the ledger thread; so is all that finds. */
struct price *price_book(const struct ledger *l, const char *model, const char *tier, int64_t org);
bool price_book_add(struct ledger *l, struct price *p); /* under lock; false: no memory */
const struct price *price_at(const struct price *book, int64_t now_us);
/* The list price of the standard tier in force now; NULL: none. */
const struct price *price_find(const struct ledger *l, const char *model);
bool price_sells(const struct price *p, enum scope scope); /* all meters that a request of this scope may need */
/* The price of a request: the contract's, else the list's, of the tier, else of the standard one. *list: the list price beside it. */
const struct price *price_pick(const struct ledger *l, const char *model, const char *tier, int64_t org, enum scope scope, int64_t now_us,
                               const struct price **list);
const struct price_step *price_step_of(const struct price *p, const struct quantities *q);
/* What a hold covers: the dearest bill of these tokens, in whatever step their number may fall; false: overflow. */
bool price_most(const struct price *p, enum scope scope, uint32_t input, uint32_t output, int64_t *out);
int64_t price_list(const struct price *p, const struct quantities *q); /* each meter rounded once, then added; INT64_MAX: overflow */
/* The rates of a version from the rows. */
int price_read(struct price *out, struct db *d, int64_t id, struct err *e) MUST_USE;
bool price_rate_add(struct price *p, struct str meter, int64_t from, int64_t rate); /* rows come by from_tokens; false: damaged */
