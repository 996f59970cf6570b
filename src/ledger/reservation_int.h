/* Reservations and commitments inside the ledger. Ledger thread, but cover_split. */
#pragma once
#include "base/vec.h"
#include "db/db.h"
#include "ledger/journal.h"
#include "ledger/reservation.h"

struct org;
struct hold;
struct op;
struct grant;
struct price;

#define HOUR_US INT64_C(3600000000)
#define DAY_US  (24 * HOUR_US)

enum reserve_period { PERIOD_HOUR, PERIOD_MONTH, PERIOD_TERM, RESERVE_PERIODS };
enum commit_period { COMMIT_MONTH, COMMIT_QUARTER, COMMIT_YEAR, COMMIT_TERM, COMMIT_PERIODS };
extern const char *const reserve_period_names[RESERVE_PERIODS], *const commit_period_names[COMMIT_PERIODS];

struct reservation {
    int64_t id, rate, input_weight, from_us, to_us, price, upfront, capacity, replaces;
    int64_t ended_us; /* cancelled, resized or lapsed; 0: it was not */
    int64_t due_us;   /* the first hour that is not charged yet */
    struct org *org;
    enum reserve_period period;
    bool refuse;
    char model[LEDGER_MODEL_MAX];
};

struct commitment {
    int64_t id, from_us, to_us, amount;
    int64_t due_us; /* the beginning of the first period that is not over and billed */
    struct org *org;
    enum commit_period period;
    char name[LEDGER_NAME_MAX];
};

struct speed { /* of a model, as it was seen */
    int64_t rate;
    char model[LEDGER_MODEL_MAX];
};

struct reserved { /* of the ledger */
    struct VEC(struct speed) speeds; /* under lock */
    struct VEC(struct reservation *) list;
    struct VEC(struct commitment *) commitments;
};

/* What a reservation covers of a hold: units (thousandths of weighed tokens) of one of its hours; r NULL: nothing. */
struct cover {
    const struct reservation *r;
    int64_t hour_us, units;
};

/* reservation.c */
int reservation_load(struct ledger *l, struct err *e) MUST_USE;
void reservation_free(struct ledger *l);
struct reservation *reservation_find(const struct ledger *l, int64_t id);
/* The one that is in force; NULL: none. */
const struct reservation *reservation_at(const struct ledger *l, const struct org *o, const char *model, int64_t us);
int64_t reservation_end(const struct reservation *r);                                                                          /* INT64_MAX: open */
int reservation_deed(struct ledger *l, int64_t id, int64_t at_us, const char *why, int64_t operation, struct err *e) MUST_USE; /* its end */

/* reservation_due.c: what its hours cost. */
int64_t reservation_amount(const struct reservation *r, int64_t hour_us);
int64_t reservation_total(const struct reservation *r, int64_t from_us, int64_t to_us);
/* Charges the hours that have begun; *next: when to look again, if that is earlier. In a batch. */
int reservation_due(struct ledger *l, int64_t *next, struct err *e) MUST_USE;
/* Takes amount, whole or not at all, from the account's grants for the model, for one of its hours, or up front (hour_us 0). */
int reservation_pay(struct ledger *l, const struct reservation *r, int64_t hour_us, int64_t amount, int64_t operation, bool *paid,
                    struct err *e) MUST_USE;
int64_t reservation_free_credit(const struct reservation *r);

/* commitment.c */
int commitment_load(struct ledger *l, struct err *e) MUST_USE;
int commitment_due(struct ledger *l, int64_t *next, struct err *e) MUST_USE;
int64_t commitment_next(const struct commitment *c, int64_t from_us); /* the end of the period that begins then */

/* cover.c */
/* Takes units for a hold of so many tokens from the hour of now, and leaves in input and output what is to be paid. False in *ok: refused. */
int cover_take(struct ledger *l, struct op *op, struct org *o, uint32_t *input, uint32_t *output, bool *ok, struct err *e) MUST_USE;
int cover_more(struct ledger *l, const struct hold *h, struct op *op, struct cover *out, bool *ok, struct err *e) MUST_USE;
bool cover_most(const struct hold *h, uint32_t output, const struct cover *more, int64_t *most); /* what it must hold then; false: overflow */
int cover_undo(struct ledger *l, struct cover *c, struct err *e) MUST_USE;                       /* gives units back */
int cover_row(struct ledger *l, const struct hold *h, struct err *e) MUST_USE;
int cover_finish(struct ledger *l, const struct hold *h, struct err *e) MUST_USE;
int cover_replay(struct ledger *l, struct hold *h, const struct journal_rec *r, struct err *e) MUST_USE;
int cover_load(struct ledger *l, struct err *e) MUST_USE;
void cover_rest(int64_t input_weight, int64_t units, uint32_t *input, uint32_t *output); /* what so many units leave */
/* Of the counters: those that are covered; the units that they take. */
struct usage_counts cover_split(int64_t input_weight, int64_t units, const struct usage_counts *c, int64_t *taken);
struct usage_counts counts_less(const struct usage_counts *a, const struct usage_counts *b);

/* calendar.c: UTC */
int64_t month_begin(int64_t us);
int64_t month_add(int64_t begin_us, int n); /* of a month's beginning, or of any day up to the 28th: the same day n months later */
void quarter_text(char out[8], int64_t us); /* "2026Q4" */
int64_t quarter_begin(int64_t us);
