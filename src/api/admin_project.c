/* The operator's acts on projects. */
#include "api/admin_args.h"
#include "ledger/project.h"

/* The account and the project's name. */
static int project(struct ledger *l, const struct json *args, struct org_id *org, const char **name, struct err *e)
{
    int rc = arg_account(l, args, org, e);
    return rc < 0 ? rc : arg_text(args, "project", true, name, e);
}

int admin_project_create(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct org_id org;
    const char *name;
    int rc;
    if ((rc = project(l, args, &org, &name, e)) < 0 || (rc = ledger_project_create(l, org, name, e)) < 0)
        return rc;
    reply_field(out, "project", name);
    return 0;
}

int admin_project_list(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *account;
    int rc = arg_text(args, "account", false, &account, e);
    return rc < 0 ? rc : ledger_report_projects(l, account, out, e);
}

int admin_project_archive(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct org_id org;
    const char *name;
    int rc;
    if ((rc = project(l, args, &org, &name, e)) < 0 || (rc = ledger_project_archive(l, org, name, e)) < 0)
        return rc;
    reply_field(out, "archived", name);
    return 0;
}
