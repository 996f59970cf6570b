/* System prompts that the operator publishes: the files *.txt of a folder, read whenever a model is loaded. */
#include "base/os.h"
#include "base/vec.h"
#include "cli/cli_int.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PUBLISH_BYTES_MAX = 1 << 20, PUBLISH_FILES_MAX = 1000 };

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The name of file i in the order of names; the caller frees *out. NULL: there are no more. */
static int name_at(const char *dir, size_t i, char **out, struct err *e)
{
    struct vec_ptr names = {0};
    int rc = 0;
    DIR *d = opendir(dir);
    *out = NULL;
    if (!d)
        return err_set(e, ERR_IO, "publish: %s: %s", dir, strerror(errno));
    for (struct dirent *x; rc == 0 && (x = readdir(d));) {
        struct str name = str_of(x->d_name);
        if (*x->d_name == '.' || !str_ends(name, ".txt"))
            continue;
        char *copy = mem_str(name.p, name.n);
        if (!copy || !vec_push(&names, copy) || names.n > PUBLISH_FILES_MAX)
            rc = err_set(e, ERR_TOO_LARGE, "publish: %s has more than %d files; publish fewer", dir, PUBLISH_FILES_MAX);
    }
    closedir(d);
    if (rc == 0 && i < names.n) {
        qsort(names.p, names.n, sizeof *names.p, by_name);
        *out = names.p[i];
        names.p[i] = NULL;
    }
    for (size_t k = 0; k < names.n; k++)
        mem_free(names.p[k]);
    vec_deinit(&names);
    return rc;
}

int publish_next(void *dir, const struct backend_model *m, size_t i, struct vec_i32 *tokens, struct err *e)
{
    char path[PATH_LEN], *name;
    struct buf text;
    int rc = name_at(dir, i, &name, e);
    if (rc < 0 || !name) {
        if (rc < 0 && i > 0)
            return 0; /* it was told once */
        return rc;
    }
    buf_init(&text, PUBLISH_BYTES_MAX);
    if ((rc = data_file(path, dir, name, e)) >= 0 && (rc = os_read_file(&text, path, e)) >= 0)
        rc = api_prefix_tokens(tokens, m, str_trim((struct str){text.data, text.len}), e);
    if (rc < 0)
        rc = err_wrap(e, "publish: %s", name);
    buf_deinit(&text);
    mem_free(name);
    return rc < 0 ? rc : 1;
}
