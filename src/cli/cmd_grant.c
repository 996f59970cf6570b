/* sluice grant create, list, show, approve, void, transfer, adjust, limit; sluice refund */
#include "cli/cli_int.h"
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

/* Who does it: as said, else who is logged in. A name, not a proof: whoever may open the data folder or its socket may give any. */
const char *deed_actor(const struct cli *c)
{
    const char *said = args_flag(c, "actor"), *sudo = getenv("SUDO_USER");
    const struct passwd *me = getpwuid(getuid());
    return said ? said : sudo && *sudo ? sudo : me ? me->pw_name : NULL;
}

int cmd_grant_create(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc = args_count(c, 2, 2, e);
    if (rc < 0)
        return rc;
    struct admin_arg args[] = {{"account", c->word[0]},
                               {"amount", c->word[1]},
                               {"scope", args_flag(c, "scope")},
                               {"priority", args_flag(c, "priority")},
                               {"expires", args_flag(c, "expires")},
                               {"funding", args_flag(c, "funding")},
                               {"reference", args_flag(c, "reference")},
                               {"models", args_flag(c, "models")},
                               {"effective", args_flag(c, "effective")},
                               {"cash_received", args_flag(c, "cash")},
                               {"list_value", args_flag(c, "list-value")},
                               {"counterparty", args_flag(c, "counterparty")},
                               {"instrument", args_flag(c, "instrument")},
                               {"actor", deed_actor(c)},
                               {"reason", args_flag(c, "reason")},
                               {"idempotency_key", args_flag(c, "idempotency-key")},
                               {0}};
    if ((rc = admin_do(c, HTTP_POST, "/admin/grants", args, &j, e)) < 0)
        return rc;
    object_print(c, j);
    json_free(j);
    return 0;
}

int cmd_grant_list(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc;
    if ((rc = args_count(c, 0, 1, e)) < 0 ||
        (rc = admin_do(c, HTTP_GET, "/admin/grants", (struct admin_arg[]){{"account", c->word[0]}, {0}}, &j, e)) < 0)
        return rc;
    table_print(c, j);
    json_free(j);
    return 0;
}

int cmd_grant_show(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc;
    if ((rc = args_count(c, 1, 1, e)) < 0 ||
        (rc = admin_do(c, HTTP_GET, "/admin/grants/show", (struct admin_arg[]){{"grant", c->word[0]}, {0}}, &j, e)) < 0)
        return rc;
    object_print(c, j);
    json_free(j);
    return 0;
}

/* A deed: what it is done to, then who, why and under which key. */
static int deed(const struct cli *c, const char *path, const struct admin_arg *what, struct err *e)
{
    struct json *j = NULL;
    struct admin_arg args[8] = {{"actor", deed_actor(c)}, {"reason", args_flag(c, "reason")}, {"idempotency_key", args_flag(c, "idempotency-key")}};
    for (size_t i = 3; what->name; i++)
        args[i] = *what++;
    int rc = admin_do(c, HTTP_POST, path, args, &j, e);
    if (rc < 0)
        return rc;
    object_print(c, j);
    json_free(j);
    return 0;
}

int cmd_grant_approve(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 1, 1, e);
    return rc < 0 ? rc : deed(c, "/admin/grants/approve", (struct admin_arg[]){{"grant", c->word[0]}, {0}}, e);
}

int cmd_grant_void(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 1, 1, e);
    return rc < 0 ? rc : deed(c, "/admin/grants/void", (struct admin_arg[]){{"grant", c->word[0]}, {0}}, e);
}

int cmd_grant_adjust(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 2, 2, e);
    return rc < 0 ? rc : deed(c, "/admin/grants/adjust", (struct admin_arg[]){{"grant", c->word[0]}, {"amount", c->word[1]}, {0}}, e);
}

int cmd_grant_transfer(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 3, 3, e);
    struct admin_arg args[] = {{"grant", c->word[0]}, {"account", c->word[1]}, {"amount", c->word[2]}, {0}};
    return rc < 0 ? rc : deed(c, "/admin/grants/transfer", args, e);
}

int cmd_grant_limit(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc = args_count(c, 0, 1, e);
    if (rc < 0 || c->n_words)
        return rc < 0 ? rc : deed(c, "/admin/grants/limit", (struct admin_arg[]){{"limit", c->word[0]}, {0}}, e);
    if ((rc = admin_do(c, HTTP_GET, "/admin/grants/limit", NULL, &j, e)) < 0)
        return rc;
    object_print(c, j);
    json_free(j);
    return 0;
}

int cmd_refund(const struct cli *c, struct err *e)
{
    int rc = args_count(c, 1, 1, e);
    return rc < 0 ? rc : deed(c, "/admin/refunds", (struct admin_arg[]){{"request", c->word[0]}, {"amount", args_flag(c, "amount")}, {0}}, e);
}
