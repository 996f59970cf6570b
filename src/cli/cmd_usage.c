/* sluice usage: metrics by group and period; sluice usage REQUEST: the receipt of one request */
#include "cli/cli_int.h"

/* A receipt that does not agree with the stored charge is shown all the same, and is an error. */
static int receipt(const struct cli *c, const struct admin_arg *filters, struct err *e)
{
    struct json *j = NULL;
    struct admin_arg args[] = {{"request", c->word[0]}, {0}};
    for (; filters->name; filters++)
        if (filters->value)
            return err_set(e, ERR_USAGE, "--%s goes with a table of many requests; sluice usage REQUEST takes no flag but --json", filters->name);
    int rc = admin_do(c, HTTP_GET, "/admin/receipt", args, &j, e);
    if (rc < 0)
        return rc;
    object_print(c, j);
    if (!json_bool(json_get(j, "agrees")))
        rc = err_set(e, ERR_AUDIT, "the receipt does not agree with the stored charge (differences, above); see what else: sluice audit");
    json_free(j);
    return rc;
}

int cmd_usage(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    struct admin_arg args[] = {{"account", args_flag(c, "account")},
                               {"project", args_flag(c, "project")},
                               {"key", args_flag(c, "key")},
                               {"model", args_flag(c, "model")},
                               {"scope", args_flag(c, "scope")},
                               {"since", args_flag(c, "since")},
                               {"until", args_flag(c, "until")},
                               {"tz", args_flag(c, "tz")},
                               {"group", args_flag(c, "group")},
                               {"metric", args_flag(c, "metric")},
                               {"limit", args_flag(c, "limit")},
                               {"after", args_flag(c, "after")},
                               {NULL, NULL},
                               {0}};
    int rc;
    if ((rc = args_count(c, 0, 1, e)) < 0)
        return rc;
    if (c->n_words)
        return receipt(c, args, e);
    args[sizeof args / sizeof *args - 2] = (struct admin_arg){"page", "yes"};
    if ((rc = admin_do(c, HTTP_GET, "/admin/usage", args, &j, e)) < 0)
        return rc;
    table_print(c, json_get(j, "data"));
    if (json_type(json_get(j, "next_page")) == JSON_STR)
        fprintf(stderr, "there are more rows; see them with --after %s\n", json_str(json_get(j, "next_page")).p);
    json_free(j);
    return 0;
}
