/* Private to backend/: the mailbox between the threads that work and the owner, and the shelf of models.
 *
 * Lock order: shelf.mu, mailbox.mu. A title's fields under "mu" belong to the shelf's lock; its file, vocabulary, template and model are
 * written by the loader thread while the state is LOADING or UNLOADING, and read by others only with a pin. */
#pragma once
#include "backend/backend.h"
#include "base/thread.h"
#include "base/vec.h"

/* ---- local.c: outlives the backend while a post is outstanding ---- */

struct mailbox {
    struct mutex         mu;
    struct backend_job  *first, **last;   /* jobs with something pending */
    struct backend_wait *waits, **waits_last; /* whose answer is known */
    bool                 posted, closed, orphan; /* closed: no more posts; orphan: the backend is gone */
    void (*post)(void *ctx, void (*fn)(void *), void *arg);
    void *post_ctx;
};
void mailbox_wait(struct mailbox *x, struct backend_wait *w); /* any thread: w->err is the answer */
bool mailbox_leave(struct mailbox *x, struct backend_wait *w); /* takes w out again; false: it is not there */

/* ---- shelf.c and its parts (shelf_int.h) ---- */

enum title_state { TITLE_COLD, TITLE_WANTED, TITLE_LOADING, TITLE_READY, TITLE_UNLOADING };
struct title { /* one name */
    struct backend_model  pub; /* the first member */
    char                **paths; /* n_paths files; none: bytes */
    int                  *holds; /* while the files are open, n_paths descriptors that keep `sluice rm` from them */
    size_t                n_paths;
    const void           *bytes;
    size_t                n_bytes;
    char                 *packed; /* the stem of its files (packed_path); NULL: not kept */
    struct sha256         packed_key;
    bool                  no_screen; /* its output matrix is not screened */
    bool                  unkept; /* it was packed, and is to be kept when there is nothing else to do */
    struct modelfile     *file;
    struct vocab         *vocab;
    struct chat_template *tmpl;
    struct model         *model;
    struct engine_model  *served;

    enum title_state     state;    /* mu: this and the rest */
    bool                 opened;   /* file is open and need is exact */
    bool                 resident; /* never unloaded */
    bool                 gone;     /* the name was withdrawn */
    bool                 seen, looking; /* its file was looked at once (or is being): n_ctx and need are known */
    bool                 fenced;   /* in use, but somebody has waited long enough: no new pins */
    uint32_t             pins, n_ctx, n_waits;
    uint64_t             need, used_ns, wanted_ns, retry_ns;
    struct err           err; /* of the last load, until retry_ns */
    struct backend_wait *waits, **waits_last;
};

struct shelf {
    struct device  *device;
    struct engine  *engine;
    struct mailbox *box;
    uint64_t        keep_ns, wait_ns, patience_ns;
    uint32_t        waits_max;
    int           (*prefix)(void *arg, const struct backend_model *m, size_t i, struct vec_i32 *tokens, struct err *e);
    void           *prefix_arg;
    bool            no_packed;
    uint64_t        packed_min;
    bool            no_screen;

    struct mutex    mu;
    struct cond     wake;
    bool            stop;
    struct vec_ptr  titles; /* struct title * */
    struct backend_shelf_stats n;
    struct thread   loader;
};
int  shelf_init(struct shelf *s, const struct backend_local_opts *o, struct device *d, struct engine *g, struct mailbox *box, struct err *e) MUST_USE;
void shelf_stop(struct shelf *s);   /* joins the loader; who waits is told so */
void shelf_deinit(struct shelf *s); /* after engine_free: frees every model */
int  shelf_offer(struct shelf *s, const struct backend_source *q, struct title **out, struct err *e) MUST_USE;
int  shelf_load_now(struct shelf *s, struct title *t, struct err *e) MUST_USE; /* on this thread; t is freed on an error */
void shelf_preload(struct shelf *s, struct str alias);
void shelf_withdraw(struct shelf *s, struct str alias);
size_t        shelf_count(struct shelf *s);
struct title *shelf_at(struct shelf *s, size_t i);
struct title *shelf_find(struct shelf *s, struct str alias);
int  shelf_get(struct shelf *s, struct title *t, struct backend_wait *w, struct err *e) MUST_USE;
bool shelf_pin(struct shelf *s, struct title *t); /* one pin more for a model that is there */
void shelf_put(struct shelf *s, struct title *t);
void shelf_leave(struct shelf *s, struct backend_wait *w);
void shelf_status(struct shelf *s, struct title *t, struct backend_model_status *out);
void shelf_stats(struct shelf *s, struct backend_shelf_stats *out);

/* title.c: one model in and out of memory. Called without the lock, by the one thread that has the title in LOADING or UNLOADING. */
int  title_new(struct title **out, const struct backend_source *q, struct err *e) MUST_USE;
/* Opens the file, and says what a load will take and the context that the model was made for. */
int  title_open(struct title *t, const struct engine *g, uint64_t *need, uint32_t *n_ctx, struct err *e) MUST_USE;
int  title_load(struct title *t, struct device *d, struct engine *g, struct err *e) MUST_USE;
/* Writes the packed weights of a loaded one aside; stop: see packed_save. */
void title_keep(struct title *t, struct device *d, bool (*stop)(void *arg), void *arg);
/* Has the prefixes that prefix() tells published for all; what cannot be is told to the log. */
void title_publish(struct title *t, struct engine *g, int (*prefix)(void *, const struct backend_model *, size_t, struct vec_i32 *, struct err *),
                   void *arg);
void title_unload(struct title *t, struct engine *g); /* g NULL: the engine is gone */
void title_free(struct title *t);
