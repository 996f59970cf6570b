/* sluice price set, price preview, price end, price list */
#include "cli/cli_int.h"

#define FLAG(name, flag)                                                                                                                             \
    {                                                                                                                                                \
        name, args_flag(c, flag)                                                                                                                     \
    }
#define TERMS                                                                                                                                        \
    {"model", c->word[0]}, FLAG("input", "input"), FLAG("output", "output"), FLAG("cached_input", "cached-input"),                                   \
        FLAG("cache_write", "cache-write"), FLAG("reasoning", "reasoning"), FLAG("embedding", "embedding"),                                          \
        FLAG("training_token", "training-token"), FLAG("gpu_hour", "gpu-hour"), FLAG("storage_gb_month", "storage-gb-month"),                        \
        FLAG("above", "above"), FLAG("tier", "tier"), FLAG("account", "account"), FLAG("from", "from"), FLAG("until", "until"),                      \
        FLAG("actor", "actor"),                                                                                                                      \
    {                                                                                                                                                \
        0                                                                                                                                            \
    }

static int post(const struct cli *c, const char *path, const struct admin_arg *args, struct err *e)
{
    struct json *j = NULL;
    int rc = admin_do(c, HTTP_POST, path, args, &j, e);
    if (rc < 0)
        return rc;
    object_print(c, j);
    json_free(j);
    return 0;
}

int cmd_price_set(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 1, 1, e);
    if (rc < 0)
        return rc;
    struct admin_arg args[] = {TERMS};
    return post(c, "/admin/prices", args, e);
}

int cmd_price_preview(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 1, 1, e);
    if (rc < 0)
        return rc;
    struct admin_arg args[] = {TERMS};
    return post(c, "/admin/prices/preview", args, e);
}

int cmd_price_end(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 1, 1, e);
    if (rc < 0)
        return rc;
    if (!args_flag(c, "version"))
        return err_set(e, ERR_USAGE, "say which version ends; for example: %s", c->command->example);
    struct admin_arg args[] = {{"model", c->word[0]},
                               FLAG("version", "version"),
                               FLAG("tier", "tier"),
                               FLAG("account", "account"),
                               FLAG("at", "at"),
                               FLAG("actor", "actor"),
                               {0}};
    return post(c, "/admin/prices/end", args, e);
}

int cmd_price_list(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc;
    if ((rc = args_count(c, 0, 1, e)) < 0)
        return rc;
    struct admin_arg args[] = {{"account", c->n_words ? c->word[0] : NULL}, {"all", args_flag(c, "all") ? "yes" : NULL}, {0}};
    if ((rc = admin_do(c, HTTP_GET, "/admin/prices", args, &j, e)) < 0)
        return rc;
    table_print(c, j);
    json_free(j);
    return 0;
}
