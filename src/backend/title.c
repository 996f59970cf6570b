/* One model on the shelf: opened, measured, loaded, unloaded. */
#include "backend/local_int.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include "device/packed.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { HOLD_TRIES = 500, HOLD_PAUSE_MS = 2 };

static bool paths_copy(struct title *t, const char *const *paths, size_t n)
{
    if (n && !(t->paths = mem_array(n, sizeof *t->paths)))
        return false;
    for (; t->n_paths < n; t->n_paths++)
        if (!(t->paths[t->n_paths] = mem_str(paths[t->n_paths], strlen(paths[t->n_paths]))))
            return false;
    return true;
}

int title_new(struct title **out, const struct backend_source *q, struct err *e)
{
    struct title *t = mem_new(sizeof *t);
    *out = NULL;
    if (!t || !(q->n_parts ? paths_copy(t, q->parts, q->n_parts) : paths_copy(t, &q->path, q->path != NULL))) {
        title_free(t);
        return err_set(e, ERR_NO_MEMORY, "backend: no memory for a model's name; free some and start again");
    }
    if (q->packed && !(t->packed = mem_str(q->packed, strlen(q->packed)))) {
        title_free(t);
        return err_set(e, ERR_NO_MEMORY, "backend: no memory for a model's name; free some and start again");
    }
    t->packed_key = q->packed_key;
    t->bytes = q->bytes;
    t->n_bytes = q->n_bytes;
    t->waits_last = &t->waits;
    t->pub.digest = q->digest;
    t->pub.created_us = q->created_us ? q->created_us : clock_now_us();
    if (!str_fmt(t->pub.alias, sizeof t->pub.alias, "%s", q->alias) ||
        !str_fmt(t->pub.source, sizeof t->pub.source, "%s", q->source ? q->source : "")) {
        title_free(t);
        return err_set(e, ERR_BAD_VALUE, "backend: the name or the source of a model is too long (at most %zu and %zu bytes)",
                       sizeof t->pub.alias - 1, sizeof t->pub.source - 1);
    }
    *out = t;
    return 0;
}

/* Weights as they lie in the file (packing keeps the size, within a few per cent), the screen of the output matrix, scratch of a step, rows of
 * logits and hidden states, and the vocabulary's tables at about 200 bytes a token. The sums are far below 64 bits. */
static int measure(const struct title *t, const struct engine *g, uint64_t *need, uint32_t *n_ctx, struct err *e)
{
    struct model_shape s;
    int rc = model_shape_read(&s, t->file, e);
    *n_ctx = s.n_ctx;
    *need = s.weight_bytes + (t->no_screen ? 0 : s.screen_bytes) + s.work_bytes + engine_model_bytes(g, &s) + 200ull * s.n_vocab;
    return rc;
}

static void holds_close(struct title *t)
{
    for (size_t i = 0; t->holds && i < t->n_paths; i++)
        if (t->holds[i] >= 0)
            close(t->holds[i]);
    mem_free(t->holds);
    t->holds = NULL;
}

/* A shared lock on each file while it is open: hub_remove asks for an exclusive one, for a moment, and leaves what it does not get. */
static int holds_open(struct title *t, struct err *e)
{
    if (!(t->holds = mem_array(t->n_paths, sizeof *t->holds)))
        return err_set(e, ERR_NO_MEMORY, "backend: no memory to open a model");
    for (size_t i = 0; i < t->n_paths; i++)
        t->holds[i] = -1;
    for (size_t i = 0; i < t->n_paths; i++) {
        t->holds[i] = open(t->paths[i], O_RDONLY | O_CLOEXEC);
        int tries = 0;
        while (t->holds[i] >= 0 && flock(t->holds[i], LOCK_SH | LOCK_NB) != 0) {
            if (errno != EINTR && (errno != EWOULDBLOCK || ++tries == HOLD_TRIES))
                return err_set(e, ERR_IO, "backend: lock %s: %s", t->paths[i], strerror(errno));
            clock_sleep_ms(HOLD_PAUSE_MS);
        }
    } /* what cannot be opened, the reader of the file says */
    return 0;
}

static int open_files(struct title *t, struct err *e)
{
    int rc = holds_open(t, e);
    return rc ? rc : modelfile_open_parts(&t->file, (const char *const *)t->paths, t->n_paths, e);
}

int title_open(struct title *t, const struct engine *g, uint64_t *need, uint32_t *n_ctx, struct err *e)
{
    int rc = 0;
    if (!t->file)
        rc = t->n_paths ? open_files(t, e) : gguf_parse(&t->file, t->bytes, t->n_bytes, e);
    if (rc >= 0)
        rc = measure(t, g, need, n_ctx, e);
    if (rc < 0) {
        modelfile_close(t->file);
        t->file = NULL;
        holds_close(t);
        return err_wrap(e, "model %s", t->pub.alias);
    }
    return 0;
}

/* How the file's maker pools embeddings (llama.cpp's numbers). Without a word the last token's state, which has seen the whole text. */
static int read_pooling(struct title *t, struct err *e)
{
    static const enum pooling of[] = {[1] = POOL_MEAN, [2] = POOL_FIRST, [3] = POOL_LAST, [4] = POOL_LAST};
    struct str arch;
    char key[128];
    uint32_t type;
    int rc = modelfile_str(t->file, "general.architecture", &arch, e);
    if (rc < 0)
        return rc;
    str_fmt(key, sizeof key, "%.*s.pooling_type", (int)(arch.n < 64 ? arch.n : 64), arch.p);
    rc = modelfile_u32_or(t->file, key, 0, 4, 0, &type, e);
    t->pub.pooling = rc < 0 || type == 0 ? POOL_LAST : of[type];
    return rc;
}

/* The model, of kept panels if there are some that are sound. */
static int load(struct title *t, struct device *d, struct err *e)
{
    struct packed *kept = NULL;
    struct err why;
    char path[PACKED_PATH_MAX];
    const uint64_t layout = t->packed ? packed_layout(d) : 0;
    int rc = t->packed && packed_path(path, t->packed, layout) ? packed_open(&kept, path, layout, t->packed_key.b, &why) : 0;
    if (rc < 0 && why.code != ERR_NOT_FOUND)
        log_line(LOG_WARN, "model", "%s: %s", t->pub.alias, why.msg);
    rc = model_load_with(&t->model, t->file, d, &(struct model_load_opts){.kept = kept, .no_screen = t->no_screen}, e);
    t->unkept = rc == 0 && t->packed && !kept;
    packed_close(kept);
    return rc;
}

void title_keep(struct title *t, struct device *d, bool (*stop)(void *arg), void *arg)
{
    struct err e;
    char path[PACKED_PATH_MAX];
    uint64_t begin = clock_ns(), bytes = model_packed_bytes(t->model), room = os_disk_room(t->packed), layout = packed_layout(d);
    int rc;
    if (!packed_path(path, t->packed, layout))
        rc = err_set(&e, ERR_IO, "the name %.64s... is too long", t->packed);
    else if (room < bytes || room - bytes < bytes / 2)
        rc = err_set(&e, ERR_IO, "the disk has %llu MiB left, too few beside them", (unsigned long long)(room >> 20));
    else
        rc = model_keep(t->model, path, layout, t->packed_key.b, stop, arg, &e);
    if (rc == 0)
        packed_forget_old(t->packed, layout);
    if (rc == 0)
        log_line(LOG_INFO, "model_keep", "name=%s ms=%.1f bytes=%llu", t->pub.alias, (double)(clock_ns() - begin) / 1e6, (unsigned long long)bytes);
    else if (rc < 0)
        log_line(LOG_WARN, "model", "%s: its packed weights are not kept for the next start: %s", t->pub.alias, e.msg);
}

int title_load(struct title *t, struct device *d, struct engine *g, struct err *e)
{
    t->pub.warning[0] = '\0';
    int rc = vocab_load(&t->vocab, t->file, e);
    if (rc == 0)
        rc = template_load(&t->tmpl, t->file, t->vocab, t->pub.warning, e);
    if (rc == 0)
        rc = load(t, d, e);
    if (rc == 0)
        rc = read_pooling(t, e);
    if (rc == 0)
        rc = engine_model_add(g, t->model, t->vocab, &t->served, e);
    if (rc < 0) {
        title_unload(t, g);
        return err_wrap(e, "model %s", t->pub.alias);
    }
    t->pub.vocab = t->vocab;
    t->pub.tmpl = t->tmpl;
    t->pub.n_ctx = engine_model_ctx(t->served);
    t->pub.n_embd = engine_model_width(t->served);
    return 0;
}

void title_publish(struct title *t, struct engine *g, int (*prefix)(void *, const struct backend_model *, size_t, struct vec_i32 *, struct err *),
                   void *arg)
{
    struct vec_i32 tokens = {0};
    struct err e;
    int rc = 1;
    for (size_t i = 0; prefix && rc != 0; i++) {
        tokens.n = 0;
        rc = prefix(arg, &t->pub, i, &tokens, &e);
        if (rc > 0 && engine_publish(g, t->served, tokens.p, (uint32_t)tokens.n, &e) < 0)
            rc = -(int)e.code;
        if (rc < 0)
            log_line(LOG_WARN, "model", "%s: a prefix is not published: %s", t->pub.alias, e.msg);
        else if (rc > 0)
            log_line(LOG_INFO, "publish", "name=%s tokens=%zu", t->pub.alias, tokens.n / KV_PAGE * KV_PAGE);
    }
    vec_deinit(&tokens);
}

void title_unload(struct title *t, struct engine *g)
{
    if (t->served && g)
        engine_model_remove(g, t->served);
    model_free(t->model);
    template_free(t->tmpl);
    vocab_free(t->vocab);
    modelfile_close(t->file);
    holds_close(t);
    t->served = NULL, t->model = NULL, t->tmpl = NULL, t->vocab = NULL, t->file = NULL;
    t->pub.vocab = NULL, t->pub.tmpl = NULL;
    t->unkept = false;
}

void title_free(struct title *t)
{
    if (!t)
        return;
    title_unload(t, NULL);
    for (size_t i = 0; i < t->n_paths; i++)
        mem_free(t->paths[i]);
    mem_free(t->paths);
    mem_free(t->packed);
    mem_free(t);
}
