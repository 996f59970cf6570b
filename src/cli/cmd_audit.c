/* sluice audit: recomputes every balance from the rows */
#include "cli/cli_int.h"

int cmd_audit(const struct cli *c, struct err *e)
{
    struct json *j = NULL;
    int rc;
    if ((rc = args_count(c, 0, 0, e)) < 0 || (rc = admin_do(c, HTTP_GET, "/admin/audit", NULL, &j, e)) < 0)
        return rc;
    int64_t n = json_int(json_get(j, "differences"));
    if (args_flag(c, "json"))
        json_print(j);
    else
        printf("%s%s", json_str(json_get(j, "report")).p, n ? "" : "audit: no difference\n");
    json_free(j);
    return n ? err_set(e, ERR_AUDIT, "the audit found %lld difference%s", (long long)n, n == 1 ? "" : "s") : 0;
}
