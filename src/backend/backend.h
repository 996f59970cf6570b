/* What can answer a request: our engine (local.c), later an upstream server (upstream.c), in tests a fake. The api sees only this.
 *
 * One thread owns a backend: all functions are called on it, and events arrive on it (opts.post delivers them), in order. An event is never
 * delivered from inside start, allow, stop or get. Texts that wait for the owner merge into one SEQ_TEXT event; a pause that is over before it
 * was told is left out. `end` ends what still runs and delivers the last events (SEQ_DONE, ready) before it returns; models stay readable to those
 * who have pinned them until `free`, which does the same first.
 * An owner without an event loop uses backend/postq.h.
 *
 * A name that can be called is not always in memory (shelf.c): `get` pins a model, so that its vocabulary and template may be read and work
 * may be started, and `put` gives the pin back. While a model is pinned it is not unloaded. */
#pragma once
#include "base/hash.h"
#include "engine/engine.h"
#include "text/template.h"

struct backend_model { /* one name that can be called; without a pin it lives until the owner returns to its event loop */
    char                        alias[256];
    char                        source[512]; /* repository@revision:file */
    struct sha256               digest;
    int64_t                     created_us;
    const struct vocab         *vocab;       /* this and the rest: only with a pin */
    const struct chat_template *tmpl;
    uint32_t                    n_ctx;
    uint32_t                    n_embd;  /* numbers of an embedding */
    enum pooling                pooling; /* of its embeddings: as the file says, POOL_LAST where it says nothing */
    char                        warning[256];
};

struct backend_event {
    enum seq_event_kind   kind;
    const char           *text;
    size_t                n_text;
    struct token_counts counts; /* cumulative */
    uint32_t              n_tokens; /* sampled tokens that this event covers */
    const struct token_logprobs *logprobs; /* (n_logprobs) SEQ_TEXT and SEQ_PROMPT, when they were asked for; valid during the call */
    size_t                n_logprobs;
    const float          *vector; /* (n_vector) SEQ_VECTOR; valid during the call */
    size_t                n_vector;
    enum seq_end          end;
    struct err            err;
};
struct backend_job;
struct backend_req {
    const struct backend_model *model; /* pinned until start returns; the job has a pin of its own */
    struct tenant               tenant;
    enum seq_kind               kind;    /* pooling is the model's */
    const int32_t              *prompt;
    uint32_t                    n_prompt, max_tokens, allowance;
    struct sample_params        sample;
    bool                        logprobs, prompt_logprobs;
    uint32_t                    top_logprobs;
    const char *const          *stops;
    const size_t               *stop_lens;
    uint32_t                    n_stops;
    uint64_t                    tag; /* the owner's: given back to the journal */
    void (*on_event)(void *arg, const struct backend_event *ev); /* BACKEND thread rule above; after the SEQ_DONE event the job is gone */
    void *arg;
};

/* Somebody who waits for a model: the caller's storage, until ready is called or the wait is left. */
struct title;
struct backend_wait {
    void (*ready)(void *arg, const struct err *e); /* code ERR_OK: pinned now, the pin is the waiter's */
    void                *arg;
    struct title        *title; /* from here on the backend's */
    struct backend_wait *next;
    uint64_t             deadline_ns;
    struct err           err;
    bool                 told; /* in the mailbox */
};
struct backend_model_status {
    const char *state; /* "unloaded", "waiting", "loading", "loaded", "unloading" */
    uint32_t    n_ctx; /* 0: never loaded, not known yet */
    uint64_t    bytes; /* memory it takes, or took; 0: not known yet */
    uint32_t    in_use, waiting;
    struct engine_speed speed; /* while it is loaded; 0: not seen yet */
};
struct backend_shelf_stats {
    uint64_t loads, load_failures, unloads, waits, waits_refused, waits_expired; /* since the start */
    uint64_t bytes_used, bytes_max;
    uint32_t waiting, loaded, known;
};

struct backend {
    void *self;
    size_t (*n_models)(void *self);
    const struct backend_model *(*model_at)(void *self, size_t i);
    const struct backend_model *(*model_find)(void *self, struct str alias); /* NULL: unknown */
    /* n answers to one prompt, all or none: q and out are (n); they may differ in sample.choice, tag and arg alone. The prompt is billed to the
     * first. */
    int  (*start)(void *self, const struct backend_req *q, size_t n, struct backend_job **out, struct err *e);
    void (*allow)(void *self, struct backend_job *j, uint32_t allowance);
    void (*stop)(void *self, struct backend_job *j, enum seq_end why); /* SEQ_DONE still comes */
    void (*stats)(void *self, struct engine_stats *out);
    void (*free)(void *self);
    void (*end)(void *self); /* NULL: free is all there is */
    /* All NULL where every model is always there. get: 0, pinned; 1, w waits and its ready will be called once; negative, an error now. */
    int  (*get)(void *self, const struct backend_model *m, struct backend_wait *w, struct err *e);
    void (*put)(void *self, const struct backend_model *m);
    void (*leave)(void *self, struct backend_wait *w); /* ready will not be called */
    void (*model_status)(void *self, const struct backend_model *m, struct backend_model_status *out);
    void (*shelf_stats)(void *self, struct backend_shelf_stats *out);
};

/* The engine in this process. `post` runs fn(arg) on the owner's thread (server_post). */
struct backend_local_opts {
    struct device_opts device;
    struct engine_opts engine; /* .device is filled in */
    uint64_t           memory;    /* bytes for loaded models (KV pages are engine.kv_bytes, apart); 0: no limit */
    uint32_t           keep_s;    /* a model is unloaded after so many idle seconds; 0: only when its memory is wanted */
    uint32_t           wait_ms;   /* how long a request waits for its model; 0: a minute */
    uint32_t           patience_ms; /* after so long a wait models in use take no new requests, until there is room; 0: 5 s */
    /* Loader thread, with a model that was just loaded: prefix number i to publish for all tenants, as tokens. 1: these; 0: there are no more;
     * negative: this one cannot be. NULL: nothing is published. */
    int              (*prefix)(void *arg, const struct backend_model *m, size_t i, struct vec_i32 *tokens, struct err *e);
    void              *prefix_arg;
    bool               no_packed; /* packed weights are neither kept in files nor looked for */
    uint64_t           packed_min; /* bytes of packed weights that are worth a file; 0: 64 MiB, which are packed in an instant */
    uint32_t           waits_max; /* requests that wait for models; more are refused; 0: 256 */
    void (*post)(void *ctx, void (*fn)(void *), void *arg);
    void *post_ctx;
};
struct backend_local;
int  backend_local_new(struct backend_local **out, const struct backend_local_opts *o, struct err *e) MUST_USE;
struct backend_source { /* a file, or bytes that outlive the backend (the embedded guide) */
    const char   *alias, *source;
    struct sha256 digest;
    const char   *path;
    const char *const *parts; /* of a model in several files: all of them, and path is not read */
    size_t        n_parts;
    const void   *bytes;
    size_t        n_bytes;
    int64_t       created_us;
    const char   *packed; /* where its packed weights are kept: the stem of the files (device/packed.h); NULL: nowhere */
    struct sha256 packed_key; /* what they are packed from */
};
/* Loads it now, on this thread, and keeps it for good: for owners of one model, and tests. Not while others wait. */
int  backend_local_add(struct backend_local *b, const struct backend_source *s, struct err *e) MUST_USE;
/* Makes the name callable; it is loaded when first used. ERR_CONFLICT: the name is taken. */
int  backend_local_offer(struct backend_local *b, const struct backend_source *s, struct err *e) MUST_USE;
void backend_local_preload(struct backend_local *b, struct str alias); /* begins to load it before anybody asks */
/* The name is gone at once; what runs on the model ends in its own time. Unknown: nothing happens. */
void backend_local_withdraw(struct backend_local *b, struct str alias);
void backend_local_iface(struct backend_local *b, struct backend *out);
