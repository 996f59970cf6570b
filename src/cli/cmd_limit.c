/* sluice limit set, list, rm */
#include "cli/cli_int.h"

static int change(const struct cli *c, const char *path, const struct admin_arg *args, struct err *e)
{
    struct json *j = NULL;
    int rc = args_count(c, 0, 0, e);
    if (rc < 0 || (rc = admin_do(c, HTTP_POST, path, args, &j, e)) < 0)
        return rc;
    object_print(c, j);
    json_free(j);
    return 0;
}

int cmd_limit_set(const struct cli *c, struct err *e)
{
    struct admin_arg args[] = {{"key", args_flag(c, "key")},           {"project", args_flag(c, "project")},
                               {"account", args_flag(c, "account")},   {"model", args_flag(c, "model")},
                               {"requests", args_flag(c, "requests")}, {"input", args_flag(c, "input")},
                               {"output", args_flag(c, "output")},     {"tokens", args_flag(c, "tokens")},
                               {"parallel", args_flag(c, "parallel")}, {0}};
    return change(c, "/admin/limits", args, e);
}

int cmd_limit_rm(const struct cli *c, struct err *e)
{
    struct admin_arg args[] = {{"key", args_flag(c, "key")},
                               {"project", args_flag(c, "project")},
                               {"account", args_flag(c, "account")},
                               {"model", args_flag(c, "model")},
                               {0}};
    return change(c, "/admin/limits/rm", args, e);
}

int cmd_limit_list(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc;
    if ((rc = args_count(c, 0, 1, e)) < 0 ||
        (rc = admin_do(c, HTTP_GET, "/admin/limits", (struct admin_arg[]){{"account", c->word[0]}, {0}}, &j, e)) < 0)
        return rc;
    table_print(c, j);
    json_free(j);
    return 0;
}
