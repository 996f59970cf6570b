/* sluice grant create, list, show */
#include "cli/cli_int.h"
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

/* Who does it: as said, else who is logged in. A name, not a proof: whoever may open the data folder or its socket may give any. */
static const char *actor(const struct cli *c)
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
                               {"actor", actor(c)},
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
