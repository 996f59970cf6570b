/* What people did: the chain of events. */
#include "api/admin_args.h"
#include "ledger/event.h"

int admin_event_list(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct event_filter f = {0};
    int64_t limit;
    int rc;
    if ((rc = arg_text(args, "account", false, &f.account, e)) < 0 || (rc = arg_text(args, "actor", false, &f.actor, e)) < 0 ||
        (rc = arg_text(args, "action", false, &f.action, e)) < 0 || (rc = arg_date(args, "since", &f.since_us, e)) < 0 ||
        (rc = arg_date(args, "until", &f.until_us, e)) < 0 || (rc = arg_int(args, "before", 1, INT64_MAX, 0, &f.before, e)) < 0 ||
        (rc = arg_int(args, "limit", 1, 100000, 1000, &limit, e)) < 0)
        return rc;
    f.limit = (uint32_t)limit;
    return ledger_report_events(l, &f, out, e);
}

int admin_event_check(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    (void)args;
    return ledger_event_check(l, out, e);
}
