/* sluice revenue, deferred, credits, growth, products, customers, margin, statement, focus; sluice revenue import; sluice policy */
#include "base/os.h"
#include "cli/cli_int.h"
#include <string.h>

enum { FILE_MAX = 6 << 20 }; /* as JSON it fits the body of a call */

static int report(const struct cli *c, const char *path, const char *account, struct err *e)
{
    struct json *j = NULL;
    struct admin_arg args[] = {{"since", args_flag(c, "since")},
                               {"until", args_flag(c, "until")},
                               {"period", args_flag(c, "period")},
                               {"group", args_flag(c, "group")},
                               {"only", args_flag(c, "only")},
                               {"against", args_flag(c, "against")},
                               {"policy", args_flag(c, "policy")},
                               {"account", account},
                               {0}};
    int rc = admin_do(c, HTTP_GET, path, args, &j, e);
    if (rc < 0)
        return rc;
    table_print(c, j);
    json_free(j);
    return 0;
}

#define REPORT(name)                                                                                                                                 \
    int cmd_##name(const struct cli *c, struct err *e)                                                                                               \
    {                                                                                                                                                \
        int rc = args_count(c, 0, 0, e);                                                                                                             \
        return rc < 0 ? rc : report(c, "/admin/" #name, args_flag(c, "account"), e);                                                                 \
    }
REPORT(revenue)
REPORT(deferred)
REPORT(credits)
REPORT(growth)
REPORT(products)
REPORT(customers)
REPORT(margin)
REPORT(imports)
REPORT(focus)

int cmd_statement(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 1, 1, e);
    return rc < 0 ? rc : report(c, "/admin/statement", c->word[0], e);
}

static int file_read(struct buf *out, const char *path, struct err *e)
{
    buf_init(out, FILE_MAX);
    int rc = os_read_file(out, path, e);
    return rc < 0 ? err_wrap(e, "%s has at most 6 MiB; divide a larger one", path) : 0;
}

int cmd_revenue_import(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    struct buf file;
    int rc = args_count(c, 1, 1, e);
    if (rc < 0)
        return rc;
    rc = file_read(&file, c->word[0], e);
    const char *slash = strrchr(c->word[0], '/'), *name = args_flag(c, "name");
    struct admin_arg args[] = {{"name", name    ? name
                                        : slash ? slash + 1
                                                : c->word[0]},
                               {"csv", file.data},
                               {"actor", args_flag(c, "actor")},
                               {"reason", args_flag(c, "reason")},
                               {0}};
    if (rc >= 0)
        rc = admin_do(c, HTTP_POST, "/admin/revenue/import", args, &j, e);
    buf_deinit(&file);
    if (rc < 0)
        return rc;
    object_print(c, j);
    json_free(j);
    return 0;
}

int cmd_policy_set(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    struct buf file;
    int rc = args_count(c, 1, 1, e);
    if (rc < 0)
        return rc;
    rc = file_read(&file, c->word[0], e);
    struct admin_arg args[] = {{"text", file.data}, {"actor", args_flag(c, "actor")}, {"reason", args_flag(c, "reason")}, {0}};
    if (rc >= 0)
        rc = admin_do(c, HTTP_POST, "/admin/policy", args, &j, e);
    buf_deinit(&file);
    if (rc < 0)
        return rc;
    object_print(c, j);
    json_free(j);
    return 0;
}

/* The text as it is, so that it can be changed and set again. */
int cmd_policy_show(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc = args_count(c, 0, 1, e);
    if (rc < 0 || (rc = admin_do(c, HTTP_GET, "/admin/policy", (struct admin_arg[]){{"policy", c->word[0]}, {0}}, &j, e)) < 0)
        return rc;
    if (args_flag(c, "json"))
        json_print(j);
    else
        printf("%.*s", (int)json_str(json_get(j, "text")).n, json_str(json_get(j, "text")).p);
    json_free(j);
    return 0;
}

int cmd_policy_list(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc = args_count(c, 0, 0, e);
    if (rc < 0 || (rc = admin_do(c, HTTP_GET, "/admin/policy/list", NULL, &j, e)) < 0)
        return rc;
    table_print(c, j);
    json_free(j);
    return 0;
}
