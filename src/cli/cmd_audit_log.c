/* sluice audit log: what people did; --verify follows the chain of its hashes */
#include "cli/cli_int.h"

static int verify(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc = admin_do(c, HTTP_GET, "/admin/events/check", NULL, &j, e);
    if (rc < 0)
        return rc;
    object_print(c, j);
    const struct json *broken = json_get(j, "broken");
    if (json_type(broken) == JSON_INT)
        rc = err_set(e, ERR_AUDIT, "the audit log was changed: event %lld, or one before it, was changed or removed; compare it with a backup",
                     (long long)json_int(broken));
    json_free(j);
    return rc;
}

int cmd_audit_log(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    struct admin_arg args[] = {{"account", args_flag(c, "account")}, {"actor", args_flag(c, "actor")},
                               {"action", args_flag(c, "action")},   {"since", args_flag(c, "since")},
                               {"until", args_flag(c, "until")},     {"before", args_flag(c, "before")},
                               {"limit", args_flag(c, "limit")},     {0}};
    int rc = args_count(c, 0, 0, e);
    if (rc < 0)
        return rc;
    if (args_flag(c, "verify"))
        return verify(c, e);
    if ((rc = admin_do(c, HTTP_GET, "/admin/events", args, &j, e)) < 0)
        return rc;
    table_print(c, j);
    json_free(j);
    return 0;
}
