/* sluice publisher set, list, statement */
#include "cli/cli_int.h"

int cmd_publisher_set(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc = args_count(c, 1, 2, e);
    if (rc < 0)
        return rc;
    struct admin_arg args[] = {{"model", c->word[0]},
                               {"account", c->n_words > 1 ? c->word[1] : NULL},
                               {"share", args_flag(c, "share")},
                               {"withheld", args_flag(c, "no-download") ? "yes" : NULL},
                               {"from", args_flag(c, "from")},
                               {"actor", args_flag(c, "actor")},
                               {0}};
    if ((rc = admin_do(c, HTTP_POST, "/admin/publishers", args, &j, e)) < 0)
        return rc;
    object_print(c, j);
    json_free(j);
    return 0;
}

static int table(const struct cli *c, const char *path, const struct admin_arg *args, struct err *e)
{
    struct json *j = NULL;
    int rc = admin_do(c, HTTP_GET, path, args, &j, e);
    if (rc < 0)
        return rc;
    table_print(c, j);
    json_free(j);
    return 0;
}

int cmd_publisher_list(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 0, 0, e);
    return rc < 0 ? rc : table(c, "/admin/publishers", NULL, e);
}

int cmd_publisher_statement(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 1, 1, e);
    if (rc < 0)
        return rc;
    struct admin_arg args[] = {{"account", c->word[0]}, {"since", args_flag(c, "since")}, {"until", args_flag(c, "until")}, {0}};
    return table(c, "/admin/publishers/statement", args, e);
}
