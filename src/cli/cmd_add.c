/* sluice add: a GGUF file into the store, under a name */
#include "cli/cli_int.h"
#include "hub/probe.h"
#include <unistd.h>

static void progress(void *arg, uint64_t done, uint64_t total)
{
    int *last = arg, percent = total ? (int)(done * 100 / total) : 100;
    if (percent == *last || !isatty(2))
        return;
    *last = percent;
    fprintf(stderr, "\r%3d%%%s", percent, percent == 100 ? "\r    \r" : "");
}

/* Refuses what could not be served. */
static int check(void *arg, const int *fds, size_t n, struct err *e)
{
    struct probe_facts facts;
    (void)arg;
    return probe_files(&facts, fds, n, e);
}

int cmd_add(const struct cli *c, struct err *e)
{
    char dir[PATH_LEN], hub[PATH_LEN];
    struct store *s = NULL;
    struct ref ref;
    const char *name = args_flag(c, "name");
    int rc, last = -1;
    if ((rc = args_count(c, 1, 1, e)) < 0 || (rc = data_dir(c, dir, e)) < 0 || (rc = data_file(hub, dir, "hub", e)) < 0 ||
        (rc = store_open(&s, hub, e)) < 0)
        return rc;
    store_check_set(s, check, NULL);
    rc = hub_add(s, c->word[0], str_of(name ? name : ""), args_flag(c, "replace") != NULL, progress, &last, &ref, e);
    store_close(s);
    if (rc < 0)
        return rc;
    char digest[65];
    str_to_hex(digest, ref.digest.b, 32);
    if (args_flag(c, "json"))
        printf("{\"name\":\"%s\",\"bytes\":%llu,\"digest\":\"sha256:%s\"}\n", ref.name, (unsigned long long)ref.size, digest);
    else
        printf("added %s (%llu bytes, sha256:%.16s...)\n", ref.name, (unsigned long long)ref.size, digest);
    fprintf(stderr, "A running server serves it at once, when it has a price: sluice price set %s --input X --output Y\n", ref.name);
    return 0;
}
