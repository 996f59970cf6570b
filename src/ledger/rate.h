/* Rate limits: how much a key, a project, an account or a model may take in a minute, in a day, and at once.
 *
 * A limit belongs to a key, to a project, to an account, or to everybody; and to one model or to all of them together. So a request is under at
 * most seven sets of limits, and has to fit into all of them; it takes of all or of none:
 *
 *   its key, project and account   each of them on this model   this model
 *
 * Each set may limit requests, input tokens, output tokens and both together ("tokens"), each of them per minute and per day, and how many
 * requests run at once. What is per minute or day is a bucket that refills continuously (bucket.h).
 *
 * The limits are asked in ledger_hold, before any money: there the prompt's tokens are known, and the output is reserved that the hold asks for.
 * ledger_hold_more reserves what it is granted; an answer that has begun is never refused by a limit, it may owe. ledger_finish settles what was
 * computed; a hold that is refused takes nothing. So whatever ends a request, its limits are freed exactly once.
 *
 * Limits are rows of the store. What is taken lives in memory: buckets begin, at start and when they are first set, with what the usage rows of
 * their window say. */
#pragma once
#include "ledger/ledger.h"

enum rate_meter { RATE_REQUESTS, RATE_INPUT, RATE_OUTPUT, RATE_TOKENS, RATE_METERS };
enum rate_window { RATE_MINUTE, RATE_DAY, RATE_WINDOWS };
#define RATE_PARALLEL_MAX 1000000u

/* Whose limits: of a key (its public id), of a project ("ACCOUNT/PROJECT") or of an account (its name), or of everybody when all are NULL; on one
 * model (its alias), or on all together when that is NULL. At least one is named, and only one of key, project and account. */
struct rate_owner {
    const char *key, *project, *account, *model;
};
/* Limits as people write them, all of one meter: "60/minute", "60/minute,1000/day", "none"; of parallel "4". NULL: as it was. */
struct rate_texts {
    const char *requests, *input, *output, *tokens, *parallel;
};

/* Sets what is named, for every later request. [wait] */
int ledger_rate_set(struct ledger *l, const struct rate_owner *o, const struct rate_texts *t, struct err *e) MUST_USE;
/* Takes all limits of this owner on this model away; ERR_NOT_FOUND when there are none. [wait] */
int ledger_rate_rm(struct ledger *l, const struct rate_owner *o, struct err *e) MUST_USE;
/* A JSON array: a row for each limit, with what is used of it now. account: its own and its keys' limits; NULL: all. [wait] */
int ledger_report_rates(struct ledger *l, const char *account, struct buf *out, struct err *e) MUST_USE;

/* Whether any request on the model could begin now, before its tokens are known: ERR_RATE as ledger_hold says it. Takes nothing. [any] */
int ledger_rate_room(struct ledger *l, const struct principal *who, const char *model, struct err *e) MUST_USE;

/* Of the limits that the caller is under, the one with the least left: of those on requests, and of those on tokens of any kind. */
struct rate_level {
    uint64_t most, left; /* most 0: there is no such limit */
    uint64_t full_ms;    /* until nothing of it is taken */
};
struct rate_levels {
    struct rate_level requests, tokens;
};
/* model: empty when it is not known: then only limits on all models count. False: the caller is under no limit. [any] */
bool ledger_rate_levels(struct ledger *l, const struct principal *who, struct str model, struct rate_levels *out);
