/* sluice rm: a name, and the blobs that no other name leads to */
#include "cli/cli_int.h"

int cmd_rm(const struct cli *c, struct err *e)
{
    char dir[PATH_LEN], hub[PATH_LEN];
    struct store *s = NULL;
    uint64_t freed = 0;
    int rc;
    if ((rc = args_count(c, 1, 1, e)) < 0 || (rc = data_dir(c, dir, e)) < 0 || (rc = data_file(hub, dir, "hub", e)) < 0 ||
        (rc = store_open(&s, hub, e)) < 0)
        return rc;
    rc = hub_remove(s, str_of(c->word[0]), args_flag(c, "force") != NULL, &freed, e);
    store_close(s);
    if (rc < 0)
        return rc;
    if (args_flag(c, "json"))
        printf("{\"freed\":%llu}\n", (unsigned long long)freed);
    else
        printf("removed %s (%llu bytes freed)\n", c->word[0], (unsigned long long)freed);
    return 0;
}
