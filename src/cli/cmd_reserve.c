/* sluice reserve create, resize, cancel, list; sluice commit create, list; sluice backlog */
#include "cli/cli_int.h"

#define FLAG(name, flag)                                                                                                                             \
    {                                                                                                                                                \
        name, args_flag(c, flag)                                                                                                                     \
    }
#define DEED {"actor", deed_actor(c)}, FLAG("reason", "reason"), FLAG("idempotency_key", "idempotency-key")

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

static int list(const struct cli *c, const char *path, struct err *e)
{
    struct json *j = NULL;
    int rc;
    if ((rc = args_count(c, 0, 1, e)) < 0 ||
        (rc = admin_do(c, HTTP_GET, path, (struct admin_arg[]){{"account", c->n_words ? c->word[0] : NULL}, {0}}, &j, e)) < 0)
        return rc;
    table_print(c, j);
    json_free(j);
    return 0;
}

int cmd_reserve_create(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 3, 3, e);
    if (rc < 0)
        return rc;
    struct admin_arg args[] = {{"account", c->word[0]},
                               {"model", c->word[1]},
                               {"rate", c->word[2]},
                               FLAG("price", "price"),
                               FLAG("period", "per"),
                               FLAG("from", "from"),
                               FLAG("to", "to"),
                               FLAG("spill", "spill"),
                               FLAG("input_weight", "input-weight"),
                               FLAG("capacity", "capacity"),
                               {"upfront", args_flag(c, "upfront") ? "yes" : NULL},
                               {"oversell", args_flag(c, "oversell") ? "yes" : NULL},
                               DEED,
                               {0}};
    return post(c, "/admin/reservations", args, e);
}

int cmd_reserve_resize(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 2, 2, e);
    if (rc < 0)
        return rc;
    struct admin_arg args[] = {{"reservation", c->word[0]},
                               {"rate", c->word[1]},
                               FLAG("price", "price"),
                               FLAG("capacity", "capacity"),
                               {"oversell", args_flag(c, "oversell") ? "yes" : NULL},
                               DEED,
                               {0}};
    return post(c, "/admin/reservations/resize", args, e);
}

int cmd_reserve_cancel(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 1, 1, e);
    if (rc < 0)
        return rc;
    return post(c, "/admin/reservations/cancel", (struct admin_arg[]){{"reservation", c->word[0]}, DEED, {0}}, e);
}

int cmd_reserve_list(const struct cli *c, struct err *e)
{
    return list(c, "/admin/reservations", e);
}

int cmd_commit_create(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 2, 2, e);
    if (rc < 0)
        return rc;
    struct admin_arg args[] = {{"account", c->word[0]}, {"amount", c->word[1]}, FLAG("period", "per"), FLAG("from", "from"), FLAG("to", "to"),
                               FLAG("name", "name"),    FLAG("contract", "contract"), DEED,            {0}};
    return post(c, "/admin/commitments", args, e);
}

int cmd_commit_list(const struct cli *c, struct err *e)
{
    return list(c, "/admin/commitments", e);
}

int cmd_backlog(const struct cli *c, struct err *e)
{
    return list(c, "/admin/backlog", e);
}
