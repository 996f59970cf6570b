/* The operator's acts on end users of customers. */
#include "api/admin_args.h"
#include "ledger/end_user.h"

static int end_user(struct ledger *l, const struct json *args, struct org_id *org, const char **name, struct err *e)
{
    int rc = arg_account(l, args, org, e);
    return rc < 0 ? rc : arg_text(args, "user", true, name, e);
}

int admin_end_user_export(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct org_id org;
    const char *name;
    int rc = end_user(l, args, &org, &name, e);
    return rc < 0 ? rc : ledger_end_user_export(l, org, name, out, e);
}

int admin_end_user_erase(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct org_id org;
    const char *name;
    int64_t n;
    int rc;
    if ((rc = end_user(l, args, &org, &name, e)) < 0 || (rc = ledger_end_user_erase(l, org, name, &n, e)) < 0)
        return rc;
    reply_id(out, "requests_severed", n);
    return 0;
}
