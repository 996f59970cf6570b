/* sluice add: a GGUF file into the store, under a name */
#include "cli/cli_int.h"
#include "model/model.h"
#include <unistd.h>

static void progress(void *arg, uint64_t done, uint64_t total)
{
    int *last = arg, percent = total ? (int)(done * 100 / total) : 100;
    if (percent == *last || !isatty(2))
        return;
    *last = percent;
    fprintf(stderr, "\r%3d%%%s", percent, percent == 100 ? "\r    \r" : "");
}

/* Refuses what could not be served, before it is copied. */
static int check(const char *path, struct err *e)
{
    struct modelfile *f = NULL;
    struct model_shape shape;
    int rc = gguf_open(&f, path, e);
    if (rc >= 0)
        rc = model_shape_read(&shape, f, e);
    modelfile_close(f);
    return rc;
}

int cmd_add(const struct cli *c, struct err *e)
{
    char dir[PATH_LEN], hub[PATH_LEN];
    struct store *s = NULL;
    struct ref ref;
    const char *name = args_flag(c, "name");
    int rc, last = -1;
    if ((rc = args_count(c, 1, 1, e)) < 0 || (rc = data_dir(c, dir, e)) < 0 || (rc = data_file(hub, dir, "hub", e)) < 0 ||
        (rc = check(c->word[0], e)) < 0 || (rc = store_open(&s, hub, e)) < 0)
        return rc;
    rc = hub_add(s, c->word[0], str_of(name ? name : ""), args_flag(c, "replace") != NULL, progress, &last, &ref, e);
    store_close(s);
    if (rc < 0)
        return rc;
    char digest[65];
    str_to_hex(digest, ref.digest.b, 32);
    printf("added %s (%llu bytes, sha256:%.16s...)\n", ref.name, (unsigned long long)ref.size, digest);
    fprintf(stderr, "A running server serves it after a restart; it needs a price: sluice price set %s --input X --output Y\n", ref.name);
    return 0;
}
