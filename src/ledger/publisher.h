/* Publishers: a model may belong to a lab's account, which is owed a share of what its use is charged, by meter and in basis points. The share is
 * computed from the charge once a request, by the terms in force when it was held, and booked with it: the grant pays, revenue earns the rest and
 * payable:publisher:ACCOUNT owes the share. A refund takes the share back in the same proportion. */
#pragma once
#include "ledger/price_int.h"

struct hold;

struct publisher_share { const char *meter; uint32_t basis_points; }; /* meter NULL: every one that is not named */
struct publisher_new {
    const char   *model;
    struct org_id org;          /* 0: the model is the provider's own from then on */
    const struct publisher_share *shares;
    size_t        n_shares;
    bool          withheld;     /* served, and its files are given to nobody */
    int64_t       from_us;      /* 0: now */
    const char   *actor;
};
int ledger_publisher_set(struct ledger *l, const struct publisher_new *p, struct err *e) MUST_USE;
/* Whether the model's files may be given out: who serves them asks. True of a model without terms. [any] */
bool ledger_model_downloadable(struct ledger *l, const char *model);
struct buf;
int ledger_report_publishers(struct ledger *l, struct buf *out, struct err *e) MUST_USE; /* terms, newest first */
/* What one publisher is owed for requests that ended in [since, until): an array of objects by model and terms, with the balance in each. */
int ledger_report_statement(struct ledger *l, const char *account, int64_t since_us, int64_t until_us, struct buf *out, struct err *e) MUST_USE;

/* Inside. */
struct terms {
    int64_t id, org, effective_us, payable; /* the account that owes it */
    int version;
    bool withheld;
    uint32_t share[METER_COUNT];
    struct terms *older;
    char model[PRICE_MODEL_MAX];
};
int publisher_load(struct ledger *l, struct err *e) MUST_USE;
/* What the publisher is owed of a charge: each meter's product times its share, and cut as the charge was. */
int64_t publisher_part(const struct terms *t, const struct price *p, const struct quantities *billed, int64_t contracted, int64_t charged);
/* The terms of a hold and what they come to; NULL: the provider's own. */
const struct terms *publisher_of(const struct ledger *l, const struct hold *h, int64_t *share);
int publisher_rows(struct ledger *l, const struct terms *t, int64_t usage, int64_t share, struct err *e) MUST_USE;
