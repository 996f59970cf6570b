/* sluice price set, price list */
#include "cli/cli_int.h"

int cmd_price_set(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc = args_count(c, 1, 1, e);
    if (rc < 0)
        return rc;
    if (!args_flag(c, "input") || !args_flag(c, "output"))
        return err_set(e, ERR_USAGE, "a price needs --input and --output, per million tokens; for example: %s", c->command->example);
    struct admin_arg args[] = {{"model", c->word[0]},
                               {"input", args_flag(c, "input")},
                               {"output", args_flag(c, "output")},
                               {"cached_input", args_flag(c, "cached-input")},
                               {0}};
    if ((rc = admin_do(c, HTTP_POST, "/admin/prices", args, &j, e)) < 0)
        return rc;
    object_print(c, j);
    json_free(j);
    return 0;
}

int cmd_price_list(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc;
    if ((rc = args_count(c, 0, 0, e)) < 0 || (rc = admin_do(c, HTTP_GET, "/admin/prices", NULL, &j, e)) < 0)
        return rc;
    table_print(c, j);
    json_free(j);
    return 0;
}
