/* Runs a model file over tokens with paged KV: what the model tests share. */
#pragma once
#include "../../../tools/tiny.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/os.h"
#include "model/model.h"
#include "test.h"

enum { RUN_PAGES = 16 };
struct run {
    struct device *dev;
    struct modelfile *file;
    struct buf bytes; /* of run_tiny */
    struct model *model;
    struct kv_shape kv;
    void *pages[RUN_PAGES];
    void **table;   /* of a sequence that starts late (run_late); else pages */
    uint32_t reach; /* 0: the model's context */
    int pos;
};

static inline void run_close(struct run *r)
{
    for (int i = 0; i < RUN_PAGES; i++)
        if (r->pages[i])
            mem_pages_free(r->pages[i], kv_page_bytes(&r->kv));
    mem_free(r->table);
    model_free(r->model);
    modelfile_close(r->file);
    buf_deinit(&r->bytes);
    if (r->dev)
        device_free(r->dev);
    *r = (struct run){0};
}

/* Takes the file over. NULL mask: the best kernels of this CPU. */
static inline bool run_open(struct run *r, struct modelfile *f, enum kv_type type, const char *mask, struct err *e)
{
    *r = (struct run){.file = f};
    if (device_new(&r->dev, &(struct device_opts){.n_threads = 2, .cpu_mask = mask}, e) || model_load(&r->model, f, r->dev, NULL, NULL, e)) {
        run_close(r);
        return false;
    }
    model_kv_shape(r->model, type, &r->kv);
    for (int i = 0; i < RUN_PAGES; i++)
        r->pages[i] = mem_pages(kv_page_bytes(&r->kv));
    return true;
}

/* A tiny model, made for this run. */
static inline bool run_tiny(struct run *r, const struct tiny *o, enum kv_type type, struct err *e)
{
    struct buf bytes;
    buf_init(&bytes, 0);
    struct modelfile *f = tiny_file(o, &bytes, e);
    if (!f || !run_open(r, f, type, NULL, e)) {
        buf_deinit(&bytes);
        return false;
    }
    r->bytes = bytes;
    return true;
}

/* The sequence goes on at pos, with pages of zeros before: for windows only, whose first rows are not meant. */
static inline void run_late(struct run *r, int pos)
{
    r->pos = pos;
    r->table = mem_array((size_t)(pos / KV_PAGE + RUN_PAGES), sizeof *r->table);
    for (int i = -1; i < RUN_PAGES - 1; i++)
        if (r->table && pos / KV_PAGE + i >= 0)
            r->table[pos / KV_PAGE + i] = r->pages[i + 1];
}

/* Appends n tokens of the one sequence; logits (n_want, n_vocab) after the rows of want. */
static inline void run_feed(struct run *r, const int32_t *token, int n, const int32_t *want, int n_want, float *logits)
{
    int32_t pos[STEP_ROWS_MAX];
    for (int i = 0; i < n; i++)
        pos[i] = r->pos + i;
    struct kv_seq seq = {.row0 = 0, .n_rows = n, .pos0 = r->pos, .pages = r->table ? r->table : r->pages};
    model_step(r->model, &(struct step){.n = n,
                                        .token = token,
                                        .pos = pos,
                                        .seqs = &seq,
                                        .n_seqs = 1,
                                        .reach = r->reach ? &r->reach : NULL,
                                        .kv = r->kv,
                                        .want = want,
                                        .n_want = n_want,
                                        .logits = logits});
    r->pos += n;
}

static inline int32_t argmax(const float *x, int32_t n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

/* tests/golden/NAME as JSON; NULL after a message. */
static inline struct json *golden_read(const char *name)
{
    char path[256];
    struct err e = {0};
    struct buf b;
    struct json *j = NULL;
    snprintf(path, sizeof path, "tests/golden/%s", name);
    buf_init(&b, 16 << 20);
    if (os_read_file(&b, path, &e) || json_parse(&j, b.data, b.len, &e))
        printf("%s: %s\n", path, e.msg);
    buf_deinit(&b);
    return j;
}

/* The tiny model of a golden case: made again from its arguments; its digest must be the one that the peer saw. */
static inline struct modelfile *golden_model(const struct json *c, struct buf *bytes, struct err *e)
{
    struct tiny o = tiny_default("llama");
    const struct json *args = json_get(c, "args");
    struct sha256 d;
    char hex[65];
    for (size_t i = 0; i < json_len(args); i++) {
        struct str v = json_str(json_at(args, i)), key = str_split(&v, '=');
        if (!tiny_set(&o, key, v))
            return err_set(e, ERR_USAGE, "argument %zu of the golden file", i), NULL;
    }
    struct modelfile *f = tiny_file(&o, bytes, e);
    if (!f)
        return NULL;
    sha256(&d, bytes->data, bytes->len);
    str_to_hex(hex, d.b, sizeof d.b);
    if (!str_eqz(json_str(json_get(c, "sha256")), hex)) {
        err_set(e, ERR_FORMAT, "tinymodel makes another file (%s) than the peer saw: run tests/golden/make.mjs again if that was meant", hex);
        modelfile_close(f), f = NULL;
    }
    return f;
}
