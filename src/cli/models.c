/* A backend with the models of the data folder and the built-in guide, and who keeps it in step with the folder. */
#include "base/clock.h"
#include "base/log.h"
#include "base/os.h"
#include "cli/cli_int.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define GUIDE_CREATED_US 1795478400000000ll /* 2026-11-24 */

typedef int (*add_fn)(struct backend_local *b, const struct backend_source *s, struct err *e);

static int add_ref(struct backend_local *b, const struct store *s, const struct ref *r, add_fn add, struct err *e)
{
    char source[3 * REF_FIELD_MAX + 8];
    struct hub_model m;
    int rc = hub_model_open(&m, s, str_of(r->name), e);
    if (rc < 0)
        return rc;
    const struct ref *found = &m.ref;
    str_fmt(source, sizeof source, "%s%s%s:%s", found->repository, *found->revision ? "@" : "", found->revision, found->file);
    struct backend_source q = {.alias = found->name,
                               .source = source,
                               .digest = found->digest,
                               .created_us = found->created_us,
                               .parts = (const char *const *)m.path,
                               .n_parts = m.n};
    rc = add(b, &q, e);
    hub_model_close(&m);
    return rc;
}

static int add_guide(struct backend_local *b, add_fn add, struct err *e)
{
    struct backend_source q = {.alias = GUIDE_NAME, .source = "built-in@" SLUICE_VERSION ":guide.gguf", .created_us = GUIDE_CREATED_US};
    if (!guide_bytes(&q.bytes, &q.n_bytes))
        return 0;
    sha256(&q.digest, q.bytes, q.n_bytes);
    return add(b, &q, e);
}

static int open_store(struct store **s, const char *dir, struct err *e)
{
    char hub[PATH_LEN];
    int rc = data_file(hub, dir, "hub", e);
    return rc < 0 ? rc : store_open(s, hub, e);
}

/* ---- one model, loaded now: sluice run ---- */

static int load_one(struct backend_local *b, const char *dir, const char *only, struct err *e)
{
    struct store *s = NULL;
    struct ref *refs = NULL;
    size_t n = 0;
    bool found = false;
    int rc = open_store(&s, dir, e);
    if (rc >= 0)
        rc = ref_list(s, &refs, &n, e);
    for (size_t i = 0; rc >= 0 && i < n && !found; i++)
        if (!only || str_eqz(str_of(only), refs[i].name)) {
            found = true;
            rc = add_ref(b, s, &refs[i], backend_local_add, e);
        }
    if (rc >= 0 && !found && (!only || str_eqz(str_of(only), GUIDE_NAME)))
        rc = add_guide(b, backend_local_add, e);
    mem_free(refs);
    store_close(s);
    return rc;
}

int models_open(struct backend_local **out, const struct models_opts *o, struct err *e)
{
    struct backend_local *b = NULL;
    struct backend iface;
    os_map_guard();
    int rc = backend_local_new(&b, &o->local, e);
    *out = b;
    if (rc < 0 || !o->one || (rc = load_one(b, o->dir, o->only, e)) >= 0)
        return rc;
    backend_local_iface(b, &iface);
    iface.free(iface.self);
    *out = NULL;
    return rc;
}

int models_budget(const struct settings *s, struct models_budget *out, struct err *e)
{
    uint64_t kv, models, all = os_memory_bytes(), most = 8ull << 30;
    int rc;
    if ((rc = settings_u64(s, "kv-memory", 1 << 24, &kv, e)) < 0 || (rc = settings_u64(s, "memory", 1 << 24, &models, e)) < 0)
        return rc;
    out->kv = kv ? kv << 20 : all / 4 < most ? all / 4 : most;
    out->models = models ? models << 20 : all / 5 * 4 > out->kv ? all / 5 * 4 - out->kv : all / 5;
    return 0;
}

const struct backend_model *models_default(const struct backend *b)
{
    const struct backend_model *m = b->model_find(b->self, STR(GUIDE_NAME));
    return m || !b->n_models(b->self) ? m : b->model_at(b->self, 0);
}

/* ---- every name of the store, as they come and go: sluice serve ---- */

/* The watch is begun before the first listing, so that no change falls between them. A change is told by inotify; where that is not to be had
 * (a network file system, the limit of watches) the folder's own time is looked at every POLL_MS. */
enum { POLL_MS = 2000, SETTLE_MS = 50 };

struct models_watch {
    struct backend_local *local;
    struct store *store;
    void (*post)(void *ctx, void (*fn)(void *), void *arg);
    void *post_ctx;
    void (*on_new)(void *arg, const char *alias);
    void *arg;
    char refs[PATH_LEN];
    int inotify, quit;
    struct timespec changed; /* of the folder, at the last listing */
    struct thread thread;
};

struct listing { /* on its way to the owner's thread */
    struct models_watch *w;
    struct ref *refs;
    size_t n;
};

static const struct ref *ref_of(const struct listing *l, const char *alias)
{
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->refs[i].name, alias) == 0)
            return &l->refs[i];
    return NULL;
}

static void offer(struct models_watch *w, const struct ref *r)
{
    struct err e = {0};
    int rc = r ? add_ref(w->local, w->store, r, backend_local_offer, &e) : add_guide(w->local, backend_local_offer, &e);
    if (rc < 0)
        log_line(LOG_ERROR, "model", "%s is not served: %s", r ? r->name : GUIDE_NAME, e.msg);
    else
        w->on_new(w->arg, r ? r->name : GUIDE_NAME);
}

/* Owner's thread: names that went, or that now mean another file, are withdrawn; then what is new is offered. */
static void apply(void *arg)
{
    struct listing *l = arg;
    struct backend b;
    backend_local_iface(l->w->local, &b);
    for (size_t i = 0; i < b.n_models(b.self);) {
        const struct backend_model *m = b.model_at(b.self, i);
        const struct ref *r = ref_of(l, m->alias);
        bool built_in = !r && strcmp(m->alias, GUIDE_NAME) == 0 && str_starts(str_of(m->source), "built-in@");
        if (built_in || (r && memcmp(&r->digest, &m->digest, sizeof r->digest) == 0))
            i++;
        else
            backend_local_withdraw(l->w->local, str_of(m->alias));
    }
    for (size_t i = 0; i < l->n; i++)
        if (!b.model_find(b.self, str_of(l->refs[i].name)))
            offer(l->w, &l->refs[i]);
    const void *p;
    size_t n;
    if (!b.model_find(b.self, STR(GUIDE_NAME)) && guide_bytes(&p, &n))
        offer(l->w, NULL);
    mem_free(l->refs);
    mem_free(l);
}

static bool folder_time(const char *path, struct timespec *out)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return false;
    *out = st.st_mtim;
    return true;
}

static int list(struct models_watch *w, struct listing **out, struct err *e)
{
    struct listing *l = mem_new(sizeof *l);
    *out = l;
    if (!l)
        return err_set(e, ERR_NO_MEMORY, "no memory to list the models");
    l->w = w;
    (void)folder_time(w->refs, &w->changed);
    int rc = ref_list(w->store, &l->refs, &l->n, e);
    if (rc < 0)
        mem_free(l);
    return rc;
}

/* True: something changed. Waits; several changes in a row are one. */
static bool wait_change(struct models_watch *w, bool *quit)
{
    struct pollfd p[] = {{.fd = w->quit, .events = POLLIN}, {.fd = w->inotify, .events = POLLIN}};
    struct timespec now;
    char events[4096];
    poll(p, w->inotify >= 0 ? 2 : 1, POLL_MS);
    *quit = p[0].revents != 0;
    bool told = w->inotify >= 0 && read(w->inotify, events, sizeof events) > 0;
    if (told && !*quit) { /* a ref is written aside and renamed: let it come to rest */
        *quit = poll(p, 1, SETTLE_MS) > 0;
        while (read(w->inotify, events, sizeof events) > 0) {
        }
    }
    return told || (folder_time(w->refs, &now) && memcmp(&now, &w->changed, sizeof now) != 0);
}

static void watch(void *arg)
{
    struct models_watch *w = arg;
    for (bool quit = false; !quit;) {
        struct err e = {0};
        struct listing *l;
        if (!wait_change(w, &quit) || quit)
            continue;
        if (list(w, &l, &e) < 0)
            log_line(LOG_WARN, "model", "the models cannot be listed: %s", e.msg);
        else
            w->post(w->post_ctx, apply, l);
    }
}

int models_watch_start(struct models_watch **out, const struct models_watch_opts *o, struct err *e)
{
    struct models_watch *w = mem_must(sizeof *w);
    struct listing *l;
    w->local = o->local, w->post = o->post, w->post_ctx = o->post_ctx, w->on_new = o->on_new, w->arg = o->arg;
    w->inotify = w->quit = -1;
    *out = w;
    int rc = open_store(&w->store, o->dir, e);
    if (rc >= 0)
        rc = data_file(w->refs, o->dir, "hub/refs", e);
    if (rc < 0)
        return rc;
    w->quit = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (w->inotify >= 0 && inotify_add_watch(w->inotify, w->refs, IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE) < 0) {
        close(w->inotify);
        w->inotify = -1;
    }
    if (w->quit < 0)
        return err_set(e, ERR_IO, "no event descriptor: %s; raise the limit of open files", strerror(errno));
    if ((rc = list(w, &l, e)) < 0)
        return rc;
    apply(l);
    return thread_start(&w->thread, "models", watch, w) ? 0 : err_set(e, ERR_UNAVAILABLE, "no thread could be started; raise the limit on processes");
}

void models_watch_stop(struct models_watch *w)
{
    uint64_t one = 1;
    if (w && w->quit >= 0 && write(w->quit, &one, sizeof one) > 0)
        thread_join(&w->thread);
}

void models_watch_free(struct models_watch *w)
{
    if (!w)
        return;
    models_watch_stop(w);
    if (w->inotify >= 0)
        close(w->inotify);
    if (w->quit >= 0)
        close(w->quit);
    store_close(w->store);
    mem_free(w);
}
