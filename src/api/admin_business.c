/* What the operator reads of revenue, growth and customers, and what these are computed from: the policy, imports. */
#include "api/admin_args.h"
#include "ledger/business.h"

static int query_read(struct business_query *q, const struct json *args, struct err *e)
{
    int rc;
    *q = (struct business_query){0};
    if ((rc = arg_date(args, "since", &q->since_us, e)) < 0 || (rc = arg_date(args, "until", &q->until_us, e)) < 0 ||
        (rc = arg_text(args, "period", false, &q->period, e)) < 0 || (rc = arg_text(args, "group", false, &q->group, e)) < 0 ||
        (rc = arg_text(args, "only", false, &q->only, e)) < 0 || (rc = arg_text(args, "against", false, &q->against, e)) < 0 ||
        (rc = arg_text(args, "account", false, &q->account, e)) < 0 || (rc = arg_int(args, "policy", 0, INT32_MAX, 0, &q->policy, e)) < 0)
        return rc;
    return 0;
}

int admin_revenue(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct business_query q;
    int rc = query_read(&q, args, e);
    return rc < 0 ? rc : ledger_report_revenue(l, &q, out, e);
}

int admin_deferred(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct business_query q;
    int rc = query_read(&q, args, e);
    return rc < 0 ? rc : ledger_report_deferred(l, &q, out, e);
}

int admin_growth(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct business_query q;
    int rc = query_read(&q, args, e);
    return rc < 0 ? rc : ledger_report_growth(l, &q, out, e);
}

int admin_products(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct business_query q;
    int rc = query_read(&q, args, e);
    return rc < 0 ? rc : ledger_report_products(l, &q, out, e);
}

int admin_customers(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct business_query q;
    int rc = query_read(&q, args, e);
    return rc < 0 ? rc : ledger_report_customers(l, &q, out, e);
}

int admin_margin(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct business_query q;
    int rc = query_read(&q, args, e);
    return rc < 0 ? rc : ledger_report_margin(l, &q, out, e);
}

int admin_statement(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct business_query q;
    int rc = query_read(&q, args, e);
    return rc < 0 ? rc : ledger_report_account(l, &q, out, e);
}

int admin_focus(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct business_query q;
    int rc = query_read(&q, args, e);
    return rc < 0 ? rc : ledger_report_focus(l, &q, out, e);
}

int admin_credits(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    (void)args;
    return ledger_report_credits(l, out, e);
}

int admin_imports(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    (void)args;
    return ledger_revenue_imports(l, out, e);
}

int admin_policy_list(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    (void)args;
    return ledger_policy_list(l, out, e);
}

int admin_policy_show(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    int64_t version;
    int rc = arg_int(args, "policy", 0, INT32_MAX, 0, &version, e);
    return rc < 0 ? rc : ledger_policy_show(l, version, out, e);
}

/* A text of many lines. */
static int long_text(const struct json *args, const char *name, struct str *out, struct err *e)
{
    const struct json *v = json_get(args, name);
    if (json_type(v) != JSON_STR || !json_str(v).n)
        return err_param(e, ERR_BAD_REQUEST, name, "%s is missing, or no string", name);
    *out = json_str(v);
    return 0;
}

int admin_policy_set(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct str text;
    struct deed by;
    int rc;
    if ((rc = long_text(args, "text", &text, e)) < 0 || (rc = arg_deed(args, &by, e)) < 0)
        return rc;
    return ledger_policy_set(l, text.p, &by, out, e);
}

int admin_revenue_import(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct str csv;
    struct deed by;
    const char *name;
    int rc;
    if ((rc = arg_text(args, "name", true, &name, e)) < 0 || (rc = long_text(args, "csv", &csv, e)) < 0 || (rc = arg_deed(args, &by, e)) < 0)
        return rc;
    return ledger_revenue_import(l, name, csv, &by, out, e);
}
