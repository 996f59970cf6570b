/* sluice key create, set, list, rotate, revoke */
#include "cli/cli_int.h"

static int change(const struct cli *c, const char *path, const struct admin_arg *args, bool secret, struct err *e)
{
    struct json *j = NULL;
    int rc = admin_do(c, HTTP_POST, path, args, &j, e);
    if (rc < 0)
        return rc;
    object_print(c, j);
    if (secret && !args_flag(c, "json"))
        fprintf(stderr, "This key is shown once and cannot be shown again.\n");
    json_free(j);
    return 0;
}

int cmd_key_create(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 1, 1, e);
    if (rc < 0)
        return rc;
    struct admin_arg args[] = {{"account", c->word[0]},
                               {"name", args_flag(c, "name")},
                               {"project", args_flag(c, "project")},
                               {"expires", args_flag(c, "expires")},
                               {"scopes", args_flag(c, "scopes")},
                               {"models", args_flag(c, "models")},
                               {"allow", args_flag(c, "allow")},
                               {"budget", args_flag(c, "budget")},
                               {0}};
    return change(c, "/admin/keys", args, true, e);
}

int cmd_key_set(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 1, 1, e);
    if (rc < 0)
        return rc;
    struct admin_arg args[] = {{"id", c->word[0]},
                               {"scopes", args_flag(c, "scopes")},
                               {"models", args_flag(c, "models")},
                               {"allow", args_flag(c, "allow")},
                               {"budget", args_flag(c, "budget")},
                               {0}};
    return change(c, "/admin/keys/set", args, false, e);
}

int cmd_key_rotate(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 1, 1, e);
    return rc < 0 ? rc : change(c, "/admin/keys/rotate", (struct admin_arg[]){{"id", c->word[0]}, {0}}, true, e);
}

int cmd_key_revoke(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 1, 1, e);
    return rc < 0 ? rc : change(c, "/admin/keys/revoke", (struct admin_arg[]){{"id", c->word[0]}, {0}}, false, e);
}

int cmd_key_list(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc;
    if ((rc = args_count(c, 0, 1, e)) < 0 ||
        (rc = admin_do(c, HTTP_GET, "/admin/keys", (struct admin_arg[]){{"account", c->word[0]}, {0}}, &j, e)) < 0)
        return rc;
    table_print(c, j);
    json_free(j);
    return 0;
}
