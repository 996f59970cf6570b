/* A receipt between its reading and its writing. receipt.c fills it from the rows and compares; receipt_write.c makes JSON of it. Strings live
 * in mem; a name whose row is missing is "", and "differences" says so. Money is in nano-units. */
#pragma once
#include "base/arena.h"
#include "ledger/ledger_int.h"

enum { RECEIPT_DIFFERENCES_MAX = 64 }; /* told; one that is told is enough to distrust it */

struct receipt_meter {
    uint64_t quantity;
    uint64_t covered; /* of the quantity: by a reservation, at no charge */
    int64_t rate, list_rate; /* PRICE_NO_RATE: not sold */
    bool fits;               /* the product is an amount */
    struct money_product product;
};

/* One grant that paid, and the transaction that took it. */
struct receipt_grant {
    struct grant g; /* id, scope, models, priority, expires_us, funding, remaining */
    bool known;     /* its row is there, with a scope and a funding that there is */
    int64_t amount, refunded;
    int64_t came_back; /* to the grant, of whatever: refunds, and adjustments that added */
    int64_t txn, posted_us, n_usage;
    int64_t txn_amount; /* of all the requests that the transaction sums */
    int64_t txn_sum;    /* of its entries */
};

struct receipt_entry {
    int64_t txn, line, amount;
    const char *account;
};

struct receipt {
    struct arena mem;
    int64_t id, org, price_id, list_price_id; /* of the usage row */
    const char *request, *account, *project, *key_id, *key_name, *key_last4;
    const char *alias, *revision, *digest, *priced_alias, *tier;
    int64_t reason, status, start_us, first_us, end_us;
    bool stream;
    int64_t version, effective_us, list_version;
    bool contract;
    uint32_t from_tokens; /* the step by input length */
    struct usage_counts counts;
    struct receipt_meter meter[METER_COUNT];
    int64_t accepted_draft;
    int64_t reservation, cover_hour_us, cover_units; /* what covers a part of it; 0: nothing does */
    struct usage_counts covered;
    int64_t list, contracted, charged; /* as stored */
    int64_t discount, waived, released; /* list - contracted, contracted - charged, held - charged */
    int64_t refunded;                   /* of charged */
    const char *scope;
    int64_t input, output, amount_scope, amount_any, held, placed_us; /* the hold: tokens, amounts */
    struct VEC(struct receipt_grant) grants;                          /* in the order in which they paid */
    struct VEC(struct receipt_entry) entries;
    const char *difference[RECEIPT_DIFFERENCES_MAX];
    size_t n_differences;
};

/* receipt_write.c */
void receipt_write(const struct receipt *r, const char *currency, struct buf *out);
