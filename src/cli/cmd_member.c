/* sluice member set, rm, list, sign-out */
#include "cli/cli_int.h"

static int change(const struct cli *c, const char *path, const struct admin_arg *args, struct err *e)
{
    struct json *j = NULL;
    int rc = admin_do(c, HTTP_POST, path, args, &j, e);
    if (rc < 0)
        return rc;
    object_print(c, j);
    json_free(j);
    return 0;
}

int cmd_member_set(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 3, 3, e);
    struct admin_arg args[] = {{"account", c->word[0]}, {"email", c->word[1]}, {"role", c->word[2]}, {0}};
    return rc < 0 ? rc : change(c, "/admin/members", args, e);
}

int cmd_member_rm(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 2, 2, e);
    return rc < 0 ? rc : change(c, "/admin/members/rm", (struct admin_arg[]){{"account", c->word[0]}, {"email", c->word[1]}, {0}}, e);
}

int cmd_member_sign_out(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 1, 1, e);
    return rc < 0 ? rc : change(c, "/admin/members/sign-out", (struct admin_arg[]){{"email", c->word[0]}, {0}}, e);
}

int cmd_member_list(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc = args_count(c, 0, 1, e);
    if (rc < 0 || (rc = admin_do(c, HTTP_GET, "/admin/members", (struct admin_arg[]){{"account", c->word[0]}, {0}}, &j, e)) < 0)
        return rc;
    table_print(c, j);
    json_free(j);
    return 0;
}
