/* The operator's acts on grants, and refunds. */
#include "api/admin_args.h"
#include <string.h>

int admin_grant_create(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct grant_new g = {0};
    struct money cash, list;
    int64_t priority;
    int rc;
    if ((rc = arg_account(l, args, &g.org, e)) < 0 || (rc = arg_money(args, "amount", (struct money){0}, true, &g.amount, e)) < 0 ||
        (rc = arg_text(args, "scope", false, &g.scope, e)) < 0 || (rc = arg_text(args, "funding", false, &g.funding, e)) < 0 ||
        (rc = arg_text(args, "reference", false, &g.reference, e)) < 0 || (rc = arg_date(args, "expires", &g.expires_us, e)) < 0 ||
        (rc = arg_date(args, "effective", &g.effective_us, e)) < 0 || (rc = arg_int(args, "priority", 0, 1000, 50, &priority, e)) < 0 ||
        (rc = arg_text(args, "models", false, &g.models, e)) < 0 || (rc = arg_text(args, "counterparty", false, &g.counterparty, e)) < 0 ||
        (rc = arg_text(args, "instrument", false, &g.instrument, e)) < 0 || (rc = arg_deed(args, &g.by, e)) < 0 ||
        (rc = arg_money(args, "cash_received", (struct money){0}, false, &cash, e)) < 0 ||
        (rc = arg_money(args, "list_value", (struct money){0}, false, &list, e)) < 0)
        return rc;
    if (!g.amount.nano)
        return err_param(e, ERR_BAD_VALUE, "amount", "amount is zero; a grant gives something");
    g.scope = g.scope ? g.scope : "any";
    g.funding = g.funding ? g.funding : "paid";
    g.priority = (int)priority;
    g.cash_received = arg_given(args, "cash_received") ? &cash : NULL;
    g.list_value = arg_given(args, "list_value") ? &list : NULL;
    g.answer = out;
    return ledger_grant_create(l, &g, NULL, e);
}

int admin_grant_list(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *name;
    int rc = arg_text(args, "account", false, &name, e);
    return rc < 0 ? rc : ledger_report_grants(l, name, out, e);
}

int admin_grant_show(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct grant_id id;
    int rc = arg_grant(args, &id, e);
    return rc < 0 ? rc : ledger_report_grant(l, id, out, e);
}

int admin_grant_approve(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct grant_id id;
    struct deed by;
    int rc;
    if ((rc = arg_grant(args, &id, e)) < 0 || (rc = arg_deed(args, &by, e)) < 0)
        return rc;
    return ledger_grant_approve(l, id, &by, out, e);
}

int admin_grant_void(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct grant_id id;
    struct deed by;
    int rc;
    if ((rc = arg_grant(args, &id, e)) < 0 || (rc = arg_deed(args, &by, e)) < 0)
        return rc;
    return ledger_grant_void(l, id, &by, out, e);
}

/* An amount with its sign. */
int admin_grant_adjust(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct grant_id id;
    struct deed by;
    struct money amount;
    const char *z;
    int rc;
    if ((rc = arg_grant(args, &id, e)) < 0 || (rc = arg_deed(args, &by, e)) < 0 || (rc = arg_text(args, "amount", true, &z, e)) < 0 ||
        (rc = money_parse(&amount, str_of(z + (*z == '+')), e)) < 0)
        return rc;
    return ledger_grant_adjust(l, id, amount, &by, out, e);
}

int admin_grant_transfer(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct grant_id id;
    struct org_id to;
    struct deed by;
    struct money amount;
    int rc;
    if ((rc = arg_grant(args, &id, e)) < 0 || (rc = arg_account(l, args, &to, e)) < 0 || (rc = arg_deed(args, &by, e)) < 0 ||
        (rc = arg_money(args, "amount", (struct money){0}, true, &amount, e)) < 0)
        return rc;
    return ledger_grant_transfer(l, id, to, amount, &by, out, e);
}

int admin_grant_limit(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct deed by;
    struct money limit;
    const char *z;
    int rc;
    if ((rc = arg_deed(args, &by, e)) < 0 || (rc = arg_text(args, "limit", true, &z, e)) < 0)
        return rc;
    bool none = strcmp(z, "none") == 0;
    if (!none && (rc = money_parse(&limit, str_of(z), e)) < 0)
        return rc;
    return ledger_grant_limit(l, none ? NULL : &limit, &by, out, e);
}

int admin_grant_limit_show(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    (void)args;
    return ledger_report_limit(l, out, e);
}

int admin_refund(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *id;
    char request[REQUEST_NAME_MAX];
    struct deed by;
    struct money amount;
    int rc;
    if ((rc = arg_text(args, "request", true, &id, e)) < 0 || (rc = request_name(request, str_of(id), "request", e)) < 0 ||
        (rc = arg_deed(args, &by, e)) < 0 || (rc = arg_money(args, "amount", (struct money){0}, false, &amount, e)) < 0)
        return rc;
    return ledger_refund(l, request, arg_given(args, "amount") ? &amount : NULL, &by, out, e);
}
