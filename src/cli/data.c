/* Where the data lives. */
#include "cli/cli_int.h"
#include <stdlib.h>
#include <unistd.h>

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

int data_dir(const struct cli *c, char out[PATH_LEN], struct err *e)
{
    const char *flag = args_flag(c, "data"), *v;
    bool ok;
    if (flag)
        ok = *flag && str_fmt(out, PATH_LEN, "%s", flag);
    else if ((v = env("SLUICE_DATA")))
        ok = str_fmt(out, PATH_LEN, "%s", v);
    else if (geteuid() == 0)
        ok = str_fmt(out, PATH_LEN, "/var/lib/sluice");
    else if ((v = env("XDG_DATA_HOME")))
        ok = str_fmt(out, PATH_LEN, "%s/sluice", v);
    else if ((v = env("HOME")))
        ok = str_fmt(out, PATH_LEN, "%s/.local/share/sluice", v);
    else
        return err_set(e, ERR_USAGE, "no data folder: neither --data nor SLUICE_DATA nor HOME is set; say --data DIR");
    return ok ? 0 : err_set(e, ERR_USAGE, "the name of the data folder is empty or too long");
}

int data_file(char out[PATH_LEN], const char *dir, const char *name, struct err *e)
{
    return str_fmt(out, PATH_LEN, "%s/%s", dir, name) ? 0 : err_set(e, ERR_USAGE, "the path %s/%s is too long", dir, name);
}
