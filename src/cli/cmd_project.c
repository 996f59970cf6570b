/* sluice project create, list, archive */
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

int cmd_project_create(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 2, 2, e);
    return rc < 0 ? rc : change(c, "/admin/projects", (struct admin_arg[]){{"account", c->word[0]}, {"project", c->word[1]}, {0}}, e);
}

int cmd_project_archive(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 2, 2, e);
    return rc < 0 ? rc : change(c, "/admin/projects/archive", (struct admin_arg[]){{"account", c->word[0]}, {"project", c->word[1]}, {0}}, e);
}

int cmd_project_list(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc = args_count(c, 0, 1, e);
    if (rc < 0 || (rc = admin_do(c, HTTP_GET, "/admin/projects", (struct admin_arg[]){{"account", c->word[0]}, {0}}, &j, e)) < 0)
        return rc;
    table_print(c, j);
    json_free(j);
    return 0;
}
