/* sluice cpu: the instruction sets found, and what the engine uses of them */
#include "cli/cli_int.h"
#include <string.h>

int cmd_cpu(const struct cli *c, struct err *e)
{
    struct device *d = NULL;
    struct device_opts o = {0};
    struct json *j = NULL;
    struct buf b;
    struct jw w;
    int rc;
    if ((rc = args_count(c, 0, 0, e)) < 0 || (rc = device_new(&d, &o, e)) < 0)
        return rc;
    buf_init(&b, 0);
    jw_init(&w, &b);
    jw_obj(&w);
    jw_key(&w, "kernels"), jw_str(&w, device_level(d));
    jw_key(&w, "threads"), jw_i64(&w, device_threads(d));
#define HAS(name) jw_key(&w, name), jw_bool(&w, __builtin_cpu_supports(name))
    HAS("avx2"), HAS("fma"), HAS("avx512f"), HAS("avx512bw"), HAS("avx512vnni");
#undef HAS
    const char *level;
    bool        has;
    for (int i = 0; (level = device_cpu(i, &has)); i++)
        if (strcmp(level, "amx") == 0)
            jw_key(&w, level), jw_bool(&w, has);
    jw_obj_end(&w);
    rc = json_parse(&j, b.data, b.len, e);
    if (rc >= 0)
        object_print(c, j);
    json_free(j);
    buf_deinit(&b);
    device_free(d);
    return rc;
}
