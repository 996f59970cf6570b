/* The operator's acts on members and their sessions. */
#include "api/admin_args.h"
#include "ledger/member.h"

/* The role of who asks: the operator may do all; a member's act says its own (member.c of the api). */
static enum role by(const struct json *args)
{
    const struct json *v = json_get(args, MEMBER_ROLE_ARG);
    return json_type(v) == JSON_STR ? role_named(json_str(v)) : ROLE_OWNER;
}

int admin_member_set(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct org_id org;
    const char *email, *role;
    int rc;
    if ((rc = arg_account(l, args, &org, e)) < 0 || (rc = arg_text(args, "email", true, &email, e)) < 0 ||
        (rc = arg_text(args, "role", true, &role, e)) < 0 || (rc = ledger_member_set(l, org, email, role_named(str_of(role)), by(args), e)) < 0)
        return rc;
    reply_field(out, "member", email);
    return 0;
}

int admin_member_rm(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct org_id org;
    const char *email;
    int rc;
    if ((rc = arg_account(l, args, &org, e)) < 0 || (rc = arg_text(args, "email", true, &email, e)) < 0 ||
        (rc = ledger_member_rm(l, org, email, by(args), e)) < 0)
        return rc;
    reply_field(out, "removed", email);
    return 0;
}

int admin_member_list(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *account;
    int rc = arg_text(args, "account", false, &account, e);
    return rc < 0 ? rc : ledger_report_members(l, account, out, e);
}

int admin_member_sign_out(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *email;
    int64_t n;
    int rc;
    if ((rc = arg_text(args, "email", true, &email, e)) < 0 || (rc = ledger_sessions_end(l, email, &n, e)) < 0)
        return rc;
    reply_id(out, "sessions_ended", n);
    return 0;
}
