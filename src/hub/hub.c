#include "hub/hub.h"
#include <string.h>

int hub_add(struct store *s, const char *path, struct str name, bool replace, void (*progress)(void *, uint64_t done, uint64_t total), void *arg,
            struct ref *out, struct err *e)
{
    struct ref r = {.repository = "local"}, old;
    const char *slash = strrchr(path, '/');
    struct str file = str_of(slash ? slash + 1 : path);
    if (!name.n)
        name = str_ends(file, ".gguf") ? (struct str){file.p, file.n - 5} : file;
    int rc = ref_name_check(name, e); /* before gigabytes are copied */
    if (rc)
        return rc;
    if (file.n > REF_FIELD_MAX || !utf8_valid(file.p, file.n))
        return err_set(e, ERR_BAD_VALUE, "hub: the name of the file is longer than %d bytes or not UTF-8; rename it", REF_FIELD_MAX);
    memcpy(r.name, name.p, name.n);
    memcpy(r.file, file.p, file.n);
    if ((rc = store_add(s, path, progress, arg, &r.digest, &r.size, e)))
        return rc;
    if (!ref_get(s, name, &old, NULL)) {
        bool same = !memcmp(&old.digest, &r.digest, sizeof r.digest);
        if (!same && !replace)
            return err_set(e, ERR_CONFLICT, "hub: the name \"%s\" belongs to another file already (%s); give another --name, or replace it", r.name,
                           old.file);
        if (same)
            r.created_us = old.created_us;
    }
    if ((rc = ref_set(s, &r, e)) || !out)
        return rc;
    return ref_get(s, name, out, e);
}

int hub_model_path(const struct store *s, struct str name, struct ref *ref, char path[STORE_PATH_MAX], struct err *e)
{
    int rc = ref_get(s, name, ref, e);
    return rc ? rc : store_path(s, &ref->digest, path, e);
}
