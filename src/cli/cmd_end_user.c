/* sluice end-user export, erase */
#include "cli/cli_int.h"

int cmd_end_user_export(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    struct admin_arg args[] = {{"account", c->word[0]}, {"user", c->word[1]}, {0}};
    int rc = args_count(c, 2, 2, e);
    if (rc < 0 || (rc = admin_do(c, HTTP_GET, "/admin/end-users", args, &j, e)) < 0)
        return rc;
    table_print(c, j);
    json_free(j);
    return 0;
}

int cmd_end_user_erase(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    struct admin_arg args[] = {{"account", c->word[0]}, {"user", c->word[1]}, {0}};
    int rc = args_count(c, 2, 2, e);
    if (rc < 0 || (rc = admin_do(c, HTTP_POST, "/admin/end-users/erase", args, &j, e)) < 0)
        return rc;
    object_print(c, j);
    json_free(j);
    return 0;
}
