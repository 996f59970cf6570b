/* What people did: a chain of events, each with the hash of the one before. Every administrative act is one, and so are sign-ins and denials. */
#pragma once
#include "ledger/ledger.h"

/* Who asks for what this thread calls from here on, for the events: a name that lives until it is set again; NULL: "admin", the operator. */
void ledger_act_as(const char *actor);
const char *ledger_actor(void);

/* An event that is no change of the store: somebody was denied something. org 0: of no account. [wait] */
int ledger_event(struct ledger *l, struct org_id org, const char *action, const char *object, const char *detail, struct err *e) MUST_USE;

struct event_filter {
    const char *account, *actor, *action; /* NULL: all. action: "key.create", or "key" for all that begin with "key." */
    int64_t since_us, until_us;           /* until 0: no end */
    int64_t before;                       /* only events with a smaller number; 0: all */
    uint32_t limit;
};
/* A JSON array, newest first. [wait] */
int ledger_report_events(struct ledger *l, const struct event_filter *f, struct buf *out, struct err *e) MUST_USE;
/* Follows the chain from its first event: {"events": n, "head": hash, "broken": the first event that does not follow, or null}. Whoever notes the
 * head elsewhere can tell later that nothing before it was changed or cut off. [wait] */
int ledger_event_check(struct ledger *l, struct buf *out, struct err *e) MUST_USE;
