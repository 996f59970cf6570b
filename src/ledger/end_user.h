/* End users: whom a customer's requests name (`user`, `safety_identifier`). Kept is an HMAC of the name under DATA/secret, for each account another
 * one, and which holds were its; never the name. Erasure takes both away: what was used stays in the books, and is nobody's. */
#pragma once
#include "ledger/ledger.h"

/* A JSON array of every request that is known to be the end user's, newest first. [wait] */
int ledger_end_user_export(struct ledger *l, struct org_id org, const char *name, struct buf *out, struct err *e) MUST_USE;
/* Forgets which requests were the end user's; *n: how many. A name that is not there is no error: 0. [wait] */
int ledger_end_user_erase(struct ledger *l, struct org_id org, const char *name, int64_t *n, struct err *e) MUST_USE;
