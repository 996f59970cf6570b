#include "hub/hub.h"
#include "base/mem.h"
#include "hub/pick.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOB_DAYS_MAX = 14 };

static int check_parts(const struct store *s, const struct ref_part *parts, size_t n, struct err *e)
{
    struct sha256 digest[REF_PARTS_MAX];
    for (size_t i = 0; i < n; i++)
        digest[i] = parts[i].digest;
    return store_check_parts(s, digest, n, e);
}

/* Under the exclusive lock: blobs that no ref names go, and those that a process holds stay. */
static int drop_unnamed(struct store *s, const struct ref_part *parts, size_t n, bool force, uint64_t *freed, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < n && !rc; i++) {
        bool used;
        if ((rc = ref_uses(s, &parts[i].digest, &used, e)) || used || !store_has(s, &parts[i].digest, parts[i].size))
            continue;
        if (!force && store_idle(s, &parts[i].digest, NULL))
            continue;
        if (!(rc = store_delete(s, &parts[i].digest, e)))
            *freed += parts[i].size;
    }
    return rc;
}

void hub_drop(struct store *s, const struct ref_part *parts, size_t n)
{
    int lock;
    uint64_t freed = 0;
    if (store_lock(s, true, &lock, NULL))
        return;
    (void)drop_unnamed(s, parts, n, false, &freed, NULL);
    store_unlock(lock);
}

int hub_name_free(const struct store *s, const struct ref *r, const struct sha256 *digest, bool replace, struct err *e)
{
    struct ref old;
    bool named = !ref_get(s, str_of(r->name), &old, NULL), same = named && !memcmp(&old.digest, digest, sizeof *digest);
    bool ours = named && strcmp(old.repository, "local") && !strcmp(old.repository, r->repository); /* a pull moves its own name on */
    if (!named || same || replace || ours)
        return 0;
    return err_set(e, ERR_CONFLICT, "hub: the name \"%s\" belongs to another file already (%s); give another --name, or --replace it", r->name,
                   old.file);
}

int hub_name(struct store *s, struct ref *r, const struct ref_part *parts, size_t n, bool replace, bool *was_new, struct err *e)
{
    struct ref old;
    struct ref_part *gone = NULL;
    struct sha256 digest;
    size_t n_gone = 0;
    uint64_t freed = 0;
    int lock, rc = check_parts(s, parts, n, e);
    if (rc || (rc = store_lock(s, true, &lock, e)))
        return rc;
    ref_digest(&digest, parts, n);
    bool same = !ref_parts(s, str_of(r->name), &old, &gone, &n_gone, NULL) && !memcmp(&old.digest, &digest, sizeof digest);
    if (same)
        r->created_us = old.created_us;
    if (was_new)
        *was_new = !same;
    if (!(rc = hub_name_free(s, r, &digest, replace, e)))
        rc = ref_set_parts(s, r, parts, n, e);
    if (!rc && !same)
        (void)drop_unnamed(s, gone, n_gone, false, &freed, NULL); /* what the name meant before */
    mem_free(gone);
    store_unlock(lock);
    return rc;
}

/* Adds up what the parts of a split report. */
struct sum {
    void (*progress)(void *, uint64_t, uint64_t);
    void *arg;
    uint64_t before;
};
static void on_part(void *arg, uint64_t done, uint64_t total)
{
    struct sum *t = arg;
    if (t->progress)
        t->progress(t->arg, t->before + done, t->before + total);
}

static int add_parts(struct store *s, const char *path, uint32_t n, size_t stem, struct sum *sum, struct ref_part *parts, struct err *e)
{
    for (uint32_t i = 0; i < n; i++) {
        char one[STORE_PATH_MAX];
        if (!str_fmt(one, sizeof one, n > 1 ? "%.*s-%05u-of-%05u.gguf" : "%.*s", n > 1 ? (int)stem : (int)strlen(path), path, i + 1, n))
            return err_set(e, ERR_BAD_VALUE, "hub: the path of the file is too long");
        int rc = store_add(s, one, on_part, sum, &parts[i].digest, &parts[i].size, e);
        if (rc == -ERR_NOT_FOUND && n > 1)
            return err_set(e, ERR_NOT_FOUND, "hub: part %u of %u is missing: %s; put all parts into one folder", i + 1, n, one);
        if (rc)
            return rc;
        sum->before += parts[i].size;
    }
    return 0;
}

int hub_add(struct store *s, const char *path, struct str name, bool replace, void (*progress)(void *, uint64_t done, uint64_t total), void *arg,
            struct ref *out, struct err *e)
{
    struct ref r = {.repository = "local"};
    struct ref_part parts[REF_PARTS_MAX];
    struct sum sum = {progress, arg, 0};
    const char *slash = strrchr(path, '/');
    struct str file = str_of(slash ? slash + 1 : path);
    uint32_t part, n = 1;
    size_t stem = 0;
    bool split = pick_split(str_of(path), &part, &n, &stem);
    if (!name.n)
        name = split ? (struct str){file.p, file.n - 20} : str_ends(file, ".gguf") ? (struct str){file.p, file.n - 5} : file;
    int rc = ref_name_check(name, e); /* before gigabytes are copied */
    if (rc)
        return rc;
    if (file.n > REF_FIELD_MAX || !utf8_valid(file.p, file.n))
        return err_set(e, ERR_BAD_VALUE, "hub: the name of the file is longer than %d bytes or not UTF-8; rename it", REF_FIELD_MAX);
    if (n > REF_PARTS_MAX)
        return err_set(e, ERR_TOO_LARGE, "hub: a model of %u parts; at most %d are read, join some", n, REF_PARTS_MAX);
    memcpy(r.name, name.p, name.n);
    memcpy(r.file, file.p, file.n);
    memset(parts, 0, sizeof parts);
    if ((rc = add_parts(s, path, split ? n : 1, stem, &sum, parts, e)) || (rc = hub_name(s, &r, parts, split ? n : 1, replace, NULL, e)))
        hub_drop(s, parts, split ? n : 1);
    return rc || !out ? rc : ref_get(s, name, out, e);
}

/* One blob's own name; of several the digest of their digests. */
static void packed_key(struct sha256 *out, const struct ref_part *parts, size_t n)
{
    struct sha256_ctx *c;
    *out = parts[0].digest;
    if (n < 2)
        return;
    c = sha256_new();
    for (size_t i = 0; i < n; i++)
        sha256_add(c, parts[i].digest.b, sizeof parts[i].digest.b);
    sha256_free(c, out);
}

uint64_t hub_packed_bytes(const struct store *s, const struct hub_model *m)
{
    return store_packed_bytes(s, &m->packed_key);
}

int hub_model_open(struct hub_model *out, const struct store *s, struct str name, struct err *e)
{
    struct ref_part *parts;
    size_t n;
    *out = (struct hub_model){0};
    int rc = ref_parts(s, name, &out->ref, &parts, &n, e);
    if (rc)
        return rc;
    out->path = mem_array(n, sizeof *out->path);
    for (size_t i = 0; i < n && !rc && out->path; i++) {
        char path[STORE_PATH_MAX];
        if (!(rc = store_path(s, &parts[i].digest, path, e)) && !(out->path[i] = mem_str(path, strlen(path))))
            rc = err_set(e, ERR_NO_MEMORY, "hub: no memory for the paths of a model");
        out->n += !rc;
    }
    if (!out->path)
        rc = err_set(e, ERR_NO_MEMORY, "hub: no memory for the paths of a model");
    if (!rc)
        packed_key(&out->packed_key, parts, n);
    mem_free(parts);
    if (rc)
        hub_model_close(out);
    return rc;
}

void hub_model_close(struct hub_model *m)
{
    for (size_t i = 0; i < m->n; i++)
        mem_free(m->path[i]);
    mem_free(m->path);
    *m = (struct hub_model){0};
}

static int remove_locked(struct store *s, struct str name, bool force, uint64_t *freed, struct err *e)
{
    struct ref ref;
    struct ref_part *parts;
    size_t n;
    int rc = ref_parts(s, name, &ref, &parts, &n, e);
    for (size_t i = 0; i < n && !rc && !force; i++) /* all or nothing: before the name goes */
        rc = store_idle(s, &parts[i].digest, e);
    if (!rc)
        rc = ref_delete(s, name, e);
    if (!rc)
        rc = drop_unnamed(s, parts, n, true, freed, e);
    mem_free(parts);
    return rc;
}

/* Blobs that no name led to for a long time: parts of a pull that never went on, what a name meant while a server held it. */
static int sweep_blobs(struct store *s, uint64_t *freed, struct err *e)
{
    struct ref_part *old;
    size_t n;
    int rc = store_old_blobs(s, BLOB_DAYS_MAX, &old, &n, e);
    if (!rc)
        rc = drop_unnamed(s, old, n, false, freed, e);
    mem_free(old);
    return rc;
}

/* Packed weights of what no name leads to any more. */
static int sweep_packed(struct store *s, uint64_t *freed, struct err *e)
{
    struct ref *refs = NULL;
    size_t n = 0, n_keys = 0;
    int rc = ref_list(s, &refs, &n, e);
    struct sha256 *keys = rc ? NULL : mem_array(n ? n : 1, sizeof *keys);
    if (!rc && !keys)
        rc = err_set(e, ERR_NO_MEMORY, "hub: no memory to list the models");
    for (size_t i = 0; i < n && !rc; i++) {
        struct ref ref;
        struct ref_part *parts;
        size_t k;
        if (!(rc = ref_parts(s, str_of(refs[i].name), &ref, &parts, &k, e))) {
            packed_key(&keys[n_keys++], parts, k);
            mem_free(parts);
        }
    }
    if (!rc)
        rc = store_packed_sweep(s, keys, n_keys, freed, e);
    mem_free(keys);
    mem_free(refs);
    return rc;
}

int hub_remove(struct store *s, struct str name, bool force, uint64_t *freed, struct err *e)
{
    int lock, rc = store_lock(s, true, &lock, e);
    *freed = 0;
    if (rc)
        return rc;
    rc = remove_locked(s, name, force, freed, e);
    if (!rc)
        rc = sweep_blobs(s, freed, e);
    if (!rc)
        rc = sweep_packed(s, freed, e);
    store_unlock(lock);
    return rc;
}
