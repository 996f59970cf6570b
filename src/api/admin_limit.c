/* The operator's acts on rate limits. */
#include "api/admin_args.h"

/* Whose limit. */
static int owner(const struct json *args, struct rate_owner *out, struct err *e)
{
    int rc;
    if ((rc = arg_text(args, "key", false, &out->key, e)) < 0 || (rc = arg_text(args, "account", false, &out->account, e)) < 0 ||
        (rc = arg_text(args, "project", false, &out->project, e)) < 0 || (rc = arg_text(args, "model", false, &out->model, e)) < 0)
        return rc;
    return 0;
}

int admin_limit_set(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct rate_owner o;
    struct rate_texts t;
    int rc;
    if ((rc = owner(args, &o, e)) < 0 || (rc = arg_text(args, "requests", false, &t.requests, e)) < 0 ||
        (rc = arg_text(args, "input", false, &t.input, e)) < 0 || (rc = arg_text(args, "output", false, &t.output, e)) < 0 ||
        (rc = arg_text(args, "tokens", false, &t.tokens, e)) < 0 || (rc = arg_text(args, "parallel", false, &t.parallel, e)) < 0 ||
        (rc = ledger_rate_set(l, &o, &t, e)) < 0)
        return rc;
    reply_field(out, "set", o.key ? o.key : o.project ? o.project : o.account ? o.account : o.model);
    return 0;
}

int admin_limit_list(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *name;
    int rc = arg_text(args, "account", false, &name, e);
    return rc < 0 ? rc : ledger_report_rates(l, name, out, e);
}

int admin_limit_rm(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct rate_owner o;
    int rc;
    if ((rc = owner(args, &o, e)) < 0 || (rc = ledger_rate_rm(l, &o, e)) < 0)
        return rc;
    reply_field(out, "removed", o.key ? o.key : o.project ? o.project : o.account ? o.account : o.model);
    return 0;
}
