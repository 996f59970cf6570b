/* The operator's acts on accounts and keys. */
#include "api/admin_args.h"
#include <string.h>

int admin_account_create(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *name;
    struct org_id id;
    int rc;
    if ((rc = arg_text(args, "name", true, &name, e)) < 0 || (rc = ledger_account_create(l, name, &id, e)) < 0)
        return rc;
    reply_field(out, "account", name);
    return 0;
}

int admin_account_list(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    (void)args;
    return ledger_report_accounts(l, out, e);
}

static int limits(const struct json *args, struct key_limits *out, struct err *e)
{
    int rc;
    if ((rc = arg_text(args, "scopes", false, &out->scopes, e)) < 0 || (rc = arg_text(args, "models", false, &out->models, e)) < 0 ||
        (rc = arg_text(args, "allow", false, &out->allow, e)) < 0 || (rc = arg_text(args, "budget", false, &out->budget, e)) < 0)
        return rc;
    out->project = NULL;
    return 0;
}

int admin_key_create(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *name;
    int64_t expires;
    struct org_id org;
    struct key_limits x;
    char key[LEDGER_KEY_MAX];
    int rc;
    if ((rc = arg_account(l, args, &org, e)) < 0 || (rc = arg_text(args, "name", false, &name, e)) < 0 ||
        (rc = arg_date(args, "expires", &expires, e)) < 0 || (rc = limits(args, &x, e)) < 0 ||
        (rc = arg_text(args, "project", false, &x.project, e)) < 0 ||
        (rc = ledger_key_create(l, org, name ? name : "default", expires, &x, key, e)) < 0)
        return rc;
    reply_field(out, "key", key);
    explicit_bzero(key, sizeof key);
    return 0;
}

int admin_key_set(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *id;
    struct key_limits x;
    int rc;
    if ((rc = arg_text(args, "id", true, &id, e)) < 0 || (rc = limits(args, &x, e)) < 0 || (rc = ledger_key_set(l, id, &x, e)) < 0)
        return rc;
    reply_field(out, "set", id);
    return 0;
}

int admin_key_list(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *name;
    int rc = arg_text(args, "account", false, &name, e);
    return rc < 0 ? rc : ledger_report_keys(l, name, out, e);
}

int admin_key_rotate(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *id;
    char key[LEDGER_KEY_MAX];
    int rc;
    if ((rc = arg_text(args, "id", true, &id, e)) < 0 || (rc = ledger_key_rotate(l, id, key, e)) < 0)
        return rc;
    reply_field(out, "key", key);
    explicit_bzero(key, sizeof key);
    return 0;
}

int admin_key_revoke(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *id;
    int rc;
    if ((rc = arg_text(args, "id", true, &id, e)) < 0 || (rc = ledger_key_revoke(l, id, e)) < 0)
        return rc;
    reply_field(out, "revoked", id);
    return 0;
}
