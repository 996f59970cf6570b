/* What can answer a request: our engine (local.c), later an upstream server (upstream.c), in tests a fake. The api sees only this.
 *
 * One thread owns a backend: all functions are called on it, and events arrive on it (opts.post delivers them), in order. An event is never
 * delivered from inside start, allow or stop. Texts that wait for the owner merge into one SEQ_TEXT event; a pause that is over before it
 * was told is left out. `free` ends what still runs and delivers the last events (SEQ_DONE) before it returns.
 * An owner without an event loop uses backend/postq.h. */
#pragma once
#include "base/hash.h"
#include "engine/engine.h"
#include "text/template.h"

struct backend_model { /* one name that can be called; lives as long as the backend */
    char                        alias[256];
    char                        source[512]; /* repository@revision:file */
    struct sha256               digest;
    int64_t                     created_us;
    const struct vocab         *vocab;
    const struct chat_template *tmpl;
    uint32_t                    n_ctx;
    char                        warning[256];
};

struct backend_event {
    enum seq_event_kind   kind;
    const char           *text;
    size_t                n_text;
    struct token_counts counts; /* cumulative */
    uint32_t              n_tokens; /* sampled tokens that this event covers */
    enum seq_end          end;
    struct err            err;
};
struct backend_job;
struct backend_req {
    const struct backend_model *model;
    struct tenant               tenant;
    const int32_t              *prompt;
    uint32_t                    n_prompt, max_tokens, allowance;
    struct sample_params        sample;
    const char *const          *stops;
    const size_t               *stop_lens;
    uint32_t                    n_stops;
    uint64_t                    tag; /* the hold: given back to the journal */
    void (*on_event)(void *arg, const struct backend_event *ev); /* BACKEND thread rule above; after the SEQ_DONE event the job is gone */
    void *arg;
};
struct backend {
    void *self;
    size_t (*n_models)(void *self);
    const struct backend_model *(*model_at)(void *self, size_t i);
    const struct backend_model *(*model_find)(void *self, struct str alias); /* NULL: unknown */
    int  (*start)(void *self, const struct backend_req *q, struct backend_job **out, struct err *e);
    void (*allow)(void *self, struct backend_job *j, uint32_t allowance);
    void (*stop)(void *self, struct backend_job *j, enum seq_end why); /* SEQ_DONE still comes */
    void (*stats)(void *self, struct engine_stats *out);
    void (*free)(void *self);
};

/* The engine in this process. Models are added at start; `post` runs fn(arg) on the owner's thread (server_post). */
struct backend_local_opts {
    struct device_opts device;
    struct engine_opts engine; /* .device is filled in */
    void (*post)(void *ctx, void (*fn)(void *), void *arg);
    void *post_ctx;
};
struct backend_local;
int  backend_local_new(struct backend_local **out, const struct backend_local_opts *o, struct err *e) MUST_USE;
/* Loads a file (or bytes that outlive the backend, for the embedded guide) under a name. */
struct backend_source { const char *alias, *source; struct sha256 digest; const char *path; const void *bytes; size_t n_bytes; int64_t created_us; };
int  backend_local_add(struct backend_local *b, const struct backend_source *s, struct err *e) MUST_USE;
void backend_local_iface(struct backend_local *b, struct backend *out);
