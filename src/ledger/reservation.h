/* Reserved compute and commitments: what accounts have contracted for a time.
 *
 * A reservation is a share of the machine: tokens per second of a model, from one whole hour (UTC) to another or until it is cancelled. Its
 * price is recognised hour by hour, used or not, from the account's credit or from what was paid up front; when the credit ends it lapses. Tokens
 * are weighed: an output token counts 1, a prompt token that is computed input_weight (0.25 unless said otherwise), one that was cached nothing.
 * Each hour has rate * 3600 of them. A hold takes the most that it may need from the hour in which it is placed, its end gives back what it did not
 * need, and what a request took so costs nothing: prompt tokens first. What does not fit is priced by the price book (spill "metered"), or the
 * request is refused (spill "refuse"). The engine guarantees the rate to requests that are covered: engine.h, struct tenant.
 *
 * A reservation never changes. Resizing ends it with the running hour and begins another one; so does cancelling without the other one. One that is
 * paid up front runs to its end.
 *
 * A commitment is an amount that an account will spend on metered use in each period of a term (or in the term). What it spends draws it down; what
 * is short when a period ends is billed: it is receivable, and revenue. The backlog says of both what is contracted, recognised and remaining. */
#pragma once
#include "ledger/ledger.h"

struct reservation_id {
    int64_t v;
};
struct reservation_new {
    struct org_id org;
    const char *model;      /* an alias that has a price */
    int64_t rate;           /* thousandths of a token in a second */
    int input_weight;       /* thousandths; -1: 250 */
    int64_t from_us, to_us; /* whole hours; 0: the running one; 0: until it is cancelled */
    struct money price;
    const char *period; /* of the price: "hour" (NULL), "month" (each of its hours the same part), "term" */
    const char *spill;  /* "metered" (NULL), "refuse" */
    bool upfront;
    int64_t capacity; /* what the machine was measured to do of the model, thousandths of a token in a second; 0: not known */
    bool oversell;    /* although it is more than the machine does, or nobody knows */
    struct deed by;
};
int ledger_reserve(struct ledger *l, const struct reservation_new *r, struct buf *out, struct err *e) MUST_USE;
/* From the next hour on. price NULL: as it was in proportion to the rate. */
int ledger_reserve_resize(struct ledger *l, struct reservation_id id, int64_t rate, const struct money *price, int64_t capacity, bool oversell,
                          const struct deed *by, struct buf *out, struct err *e) MUST_USE;
int ledger_reserve_cancel(struct ledger *l, struct reservation_id id, const struct deed *by, struct buf *out, struct err *e) MUST_USE;

struct commitment_new {
    struct org_id org;
    const char *name, *contract; /* contract: by which prices; NULL: none is named */
    struct money amount;         /* of each period */
    const char *period;          /* "term" (NULL), "year", "quarter", "month": of the calendar of its first day */
    int64_t from_us, to_us;      /* whole days, UTC */
    struct deed by;
};
int ledger_commit(struct ledger *l, const struct commitment_new *c, struct buf *out, struct err *e) MUST_USE;

/* What the machine was seen to do of a model, thousandths of a token in a second: what is sold later is sold against it. [any] */
void ledger_capacity(struct ledger *l, const char *model, int64_t rate);

/* JSON arrays of flat objects, like the reports of ledger.h. account NULL: all. [wait] */
int ledger_report_reservations(struct ledger *l, const char *account, struct buf *out, struct err *e) MUST_USE;
int ledger_report_commitments(struct ledger *l, const char *account, struct buf *out, struct err *e) MUST_USE;
/* By quarter, account and contract; then a row for each quarter and one for all, with account "all". contracted = recognised + remaining. */
int ledger_report_backlog(struct ledger *l, const char *account, struct buf *out, struct err *e) MUST_USE;
