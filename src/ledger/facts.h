/* What use, expiry, grants and imports are as revenue: one fact for what was spent of a cell of the cube of grants, one for what was
 * refunded, one for each booking of a grant beside use, one for each imported line; hours of
 * reservations, shortfalls of commitments and publishers' shares by the day.
 *
 * Cash. Of a grant, `cash` was received for `amount` of value. As value leaves it, in the order of days, the cash goes with it: after x of
 * the value has left, cash * min(x, amount) / amount (rounded down) is no longer deferred, and a fact gets the difference between two such
 * figures, so that facts sum to the cash exactly. A transfer takes its part of the cash along; what is paid up front for a reservation takes it to
 * the hours that are earned of it. */
#pragma once
#include "ledger/policy.h"

enum fact_kind { FACT_USE, FACT_RECEIVED, FACT_EXPIRED, FACT_VOIDED, FACT_ADJUSTED, FACT_SHORTFALL, FACT_SHARE, FACT_IMPORT, FACT_KINDS };
struct fact {
    enum fact_kind kind;
    int32_t month;              /* year * 12 + month - 1 */
    int32_t day;                /* since 1970 */
    int64_t org, grant, model, project; /* 0: none */
    int scope, funding;
    int64_t customer;           /* of facts.customers */
    const char *segment, *product;
    bool ai, reserved;          /* reserved: FACT_USE of reserved capacity, which has no model */
    int64_t value;              /* used less refunded, expired, ...: of the credit */
    int64_t recognised, contra, memo;
    int64_t cash;               /* that went with the value, whatever the policy makes of it */
    int64_t share;              /* FACT_SHARE: what a publisher is owed, less what refunds took back; where we are agents, recognised is -share */
    int64_t released;           /* of deferred revenue; of FACT_RECEIVED what came in */
};
struct facts {
    struct policy policy;
    struct VEC(struct fact) all; /* by grant and day; then contracts, imports last */
    struct names orgs, models, words;
    struct map customers;        /* name -> index */
    struct VEC(const char *) customer; /* names */
};
int facts_read(struct facts *out, struct ledger *l, int64_t policy, struct err *e) MUST_USE; /* within a report */
void facts_deinit(struct facts *f);

/* Its `recognised` is a part of revenue. */
static inline bool fact_earns(const struct fact *f)
{
    return f->kind == FACT_USE || f->kind == FACT_EXPIRED || f->kind == FACT_SHORTFALL || f->kind == FACT_SHARE || f->kind == FACT_IMPORT;
}

/* Months of a query: [*from, *to), from the facts where it names none. ERR_BAD_VALUE: a time within a month. */
struct business_query;
int months_read(const struct business_query *q, const struct facts *f, int32_t *from, int32_t *to, struct err *e) MUST_USE;
int32_t month_of(int64_t day);
/* 1: months, 3: quarters, 0: total. */
int period_months(const struct business_query *q, int *out, struct err *e) MUST_USE;
/* "2026-01", "2026-Q1", "total" */
void month_text(char out[PERIOD_TEXT_MAX], int32_t month, int months);
/* a / b in percent with two decimals, "12.34"; "" when b is 0. Half away from 0. */
void percent_text(char out[32], int64_t a, int64_t b);
