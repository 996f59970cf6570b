/* sluice account create, account list */
#include "cli/cli_int.h"

int cmd_account_create(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc;
    if ((rc = args_count(c, 1, 1, e)) < 0 ||
        (rc = admin_do(c, HTTP_POST, "/admin/accounts", (struct admin_arg[]){{"name", c->word[0]}, {0}}, &j, e)) < 0)
        return rc;
    object_print(c, j);
    json_free(j);
    return 0;
}

int cmd_account_list(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc;
    if ((rc = args_count(c, 0, 0, e)) < 0 || (rc = admin_do(c, HTTP_GET, "/admin/accounts", NULL, &j, e)) < 0)
        return rc;
    table_print(c, j);
    json_free(j);
    return 0;
}
