/* Usage and costs of an account in buckets of time, in the shape of OpenAI's administration API (GET /v1/organization/costs and
 * /v1/organization/usage/...). From the cells that the usage explorer reads (usage.h): its sums are the same ones. [wait] on a read-only connection.
 */
#pragma once
#include "ledger/ledger.h"

enum usage_result { RESULT_COSTS, RESULT_COMPLETIONS, RESULT_EMBEDDINGS };
/* What makes a result within a bucket, together. LINE is a model and a scope; BATCH is false everywhere. */
enum usage_by { BY_PROJECT = 1, BY_KEY = 2, BY_MODEL = 4, BY_TIER = 8, BY_BATCH = 16, BY_LINE = 32 };
enum { USAGE_LIST_MAX = 100 };
struct usage_list {
    const char *of[USAGE_LIST_MAX];
    size_t n; /* 0: all */
};
struct usage_buckets {
    const char *account;
    enum usage_result result;
    unsigned by;                              /* of enum usage_by */
    int64_t since_s, until_s;                 /* since <= t < until, seconds since 1970 */
    int64_t width_s;                          /* of a bucket: 60, 3600 or 86400; it ends at a multiple of that, UTC */
    bool none;                                /* the filters leave nothing */
    struct usage_list projects, keys, models; /* only these: names, public ids, aliases */
};
/* An array of the buckets, rising, also of those with nothing in them. ERR_NOT_FOUND for a project or key that the account has not. */
int ledger_usage_buckets(struct ledger *l, const struct usage_buckets *q, struct buf *out, struct err *e) MUST_USE;
