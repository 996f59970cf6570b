/* sluice usage: tokens and cost by account, model and day */
#include "cli/cli_int.h"

int cmd_usage(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    struct admin_arg args[] = {{"account", args_flag(c, "account")},
                               {"model", args_flag(c, "model")},
                               {"since", args_flag(c, "since")},
                               {"until", args_flag(c, "until")},
                               {"group", args_flag(c, "group")},
                               {"limit", args_flag(c, "limit")},
                               {0}};
    int rc;
    if ((rc = args_count(c, 0, 0, e)) < 0 || (rc = admin_do(c, HTTP_GET, "/admin/usage", args, &j, e)) < 0)
        return rc;
    table_print(c, j);
    json_free(j);
    return 0;
}
