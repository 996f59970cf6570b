/* A backend with the models of the data folder and the built-in guide. */
#include "base/log.h"
#include "base/os.h"
#include "cli/cli_int.h"

#define GUIDE_CREATED_US 1795478400000000ll /* 2026-11-24 */

static int add_ref(struct backend_local *b, const struct store *s, const struct ref *r, struct err *e)
{
    char path[STORE_PATH_MAX], source[3 * REF_FIELD_MAX + 8];
    struct ref found;
    int rc = hub_model_path(s, str_of(r->name), &found, path, e);
    if (rc < 0)
        return rc;
    str_fmt(source, sizeof source, "%s%s%s:%s", found.repository, *found.revision ? "@" : "", found.revision, found.file);
    struct backend_source q = {.alias = found.name, .source = source, .digest = found.digest, .path = path, .created_us = found.created_us};
    return backend_local_add(b, &q, e);
}

static int add_guide(struct backend_local *b, struct err *e)
{
    struct backend_source q = {.alias = GUIDE_NAME, .source = "built-in@" SLUICE_VERSION ":guide.gguf", .created_us = GUIDE_CREATED_US};
    if (!guide_bytes(&q.bytes, &q.n_bytes))
        return 0;
    sha256(&q.digest, q.bytes, q.n_bytes);
    return backend_local_add(b, &q, e);
}

/* A model that does not load is left out and logged, so that one bad file does not stop the others; unless it was asked for. */
static int add_all(struct backend_local *b, const struct models_opts *o, const struct store *s, const struct ref *refs, size_t n, struct err *e)
{
    bool guide = false;
    for (size_t i = 0; i < n; i++) {
        if (o->only && !str_eqz(str_of(o->only), refs[i].name))
            continue;
        guide = guide || str_eqz(str_of(refs[i].name), GUIDE_NAME);
        struct err why = {0};
        if (add_ref(b, s, &refs[i], &why) >= 0)
            continue;
        if (o->only)
            return *e = why, -(int)why.code;
        log_line(LOG_ERROR, "model_load", "%s is not served: %s", refs[i].name, why.msg);
    }
    return guide || (o->only && !str_eqz(str_of(o->only), GUIDE_NAME)) ? 0 : add_guide(b, e);
}

int models_open(struct backend_local **out, const struct models_opts *o, struct err *e)
{
    char hub[PATH_LEN];
    struct store *s = NULL;
    struct ref *refs = NULL;
    size_t n = 0;
    struct backend_local *b = NULL;
    struct backend iface;
    int rc;
    if ((rc = data_file(hub, o->dir, "hub", e)) < 0)
        return rc;
    if (os_exists(hub) && ((rc = store_open(&s, hub, e)) < 0 || (rc = ref_list(s, &refs, &n, e)) < 0)) {
        store_close(s);
        return rc;
    }
    rc = backend_local_new(&b, &o->local, e);
    if (rc >= 0)
        rc = add_all(b, o, s, refs, n, e);
    mem_free(refs);
    store_close(s);
    if (rc < 0 && b) {
        backend_local_iface(b, &iface);
        iface.free(iface.self);
    }
    *out = rc < 0 ? NULL : b;
    return rc;
}

const struct backend_model *models_default(const struct backend *b)
{
    const struct backend_model *m = b->model_find(b->self, STR(GUIDE_NAME));
    return m || !b->n_models(b->self) ? m : b->model_at(b->self, 0);
}
