/* sluice grant create, grant list */
#include "cli/cli_int.h"

int cmd_grant_create(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc = args_count(c, 2, 2, e);
    if (rc < 0)
        return rc;
    struct admin_arg args[] = {{"account", c->word[0]},
                               {"amount", c->word[1]},
                               {"scope", args_flag(c, "scope")},
                               {"priority", args_flag(c, "priority")},
                               {"expires", args_flag(c, "expires")},
                               {"funding", args_flag(c, "funding")},
                               {"reference", args_flag(c, "reference")},
                               {0}};
    if ((rc = admin_do(c, HTTP_POST, "/admin/grants", args, &j, e)) < 0)
        return rc;
    object_print(c, j);
    json_free(j);
    return 0;
}

int cmd_grant_list(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc;
    if ((rc = args_count(c, 0, 1, e)) < 0 ||
        (rc = admin_do(c, HTTP_GET, "/admin/grants", (struct admin_arg[]){{"account", c->word[0]}, {0}}, &j, e)) < 0)
        return rc;
    table_print(c, j);
    json_free(j);
    return 0;
}
