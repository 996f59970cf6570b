/* The engine: sequences in, tokens out. One step thread serves all loaded models; each step packs prefill chunks and decode rows of many
 * sequences into one batch. It knows no money: a sequence has a token allowance that its owner raises; at the allowance it pauses and keeps
 * its KV. It knows no HTTP: events leave through a callback on the step thread, after `journal` was called for the step.
 *
 * Order of one step: schedule -> model_step -> sample, detokenize, match stops -> opts.journal(deltas of the step) -> on_event for each. */
#pragma once
#include "engine/usage.h"
#include "model/model.h"
#include "sample/sample.h"
#include "text/vocab.h"

struct engine;
enum { ENGINE_SEQS_MAX = 128, ENGINE_QUEUE_MAX = 1 << 16 };
struct engine_opts { /* more than a maximum means the maximum */
    struct device *device;
    uint64_t       kv_bytes;    /* memory for KV pages of all models; 0: a quarter of the machine's, at most 8 GiB */
    uint32_t       seqs_max;    /* running at once; 0: 64 */
    uint32_t       queue_max;   /* waiting; with more than seqs_max + queue_max in all engine_start gives ERR_BUSY; 0: 1024 */
    uint32_t       chunk;       /* prefill rows per step at most, fewer when a step would take long; 0: 256 */
    enum kv_type   kv_type;
    /* Step thread, once per step, before any event of the step: the sequences whose counts changed, with their cumulative counts.
     * May be NULL. */
    void (*journal)(void *ctx, const struct usage_delta *d, size_t n);
    void *journal_ctx;
};
int  engine_new(struct engine **out, const struct engine_opts *o, struct err *e) MUST_USE;
void engine_free(struct engine *g); /* cancels what runs, joins the thread */

struct engine_model; /* a model the engine serves */
/* v may be NULL: then there is no text and no end of text (benchmarks). m and v must outlive it; engine_free removes what was not removed. */
int  engine_model_add(struct engine *g, struct model *m, const struct vocab *v, struct engine_model **out, struct err *e) MUST_USE;
void engine_model_remove(struct engine *g, struct engine_model *m); /* waits until its sequences have ended */
uint32_t engine_model_ctx(const struct engine_model *m); /* longest sequence that is served */

struct tenant { uint64_t id; uint32_t weight; uint8_t kv_salt[16]; };

/* Each sampled token gives one SEQ_TEXT event, with empty text when nothing may go out yet. Text that was held back (for a stop string, half
 * a character) goes out with the last token, or after SEQ_END_BUDGET in an event of its own whose token is TOKEN_NONE; after SEQ_END_CANCEL it
 * is dropped. */
enum seq_event_kind { SEQ_TEXT, SEQ_PAUSED, SEQ_DONE };
enum seq_end { SEQ_END_STOP, SEQ_END_LENGTH, SEQ_END_BUDGET, SEQ_END_CANCEL, SEQ_END_ERROR };
struct seq_event {
    enum seq_event_kind kind;
    uint64_t            seq;
    const char         *text; /* SEQ_TEXT: whole UTF-8 characters, valid during the call; may be empty */
    size_t              n_text;
    int32_t             token;   /* SEQ_TEXT: the sampled token */
    struct token_counts counts; /* cumulative */
    enum seq_end        end;     /* SEQ_DONE */
    struct err          err;     /* SEQ_END_ERROR */
};

struct seq_opts {
    struct engine_model *model;
    struct tenant        tenant;
    int                  priority;   /* higher first; 0 */
    const int32_t       *prompt;     /* copied */
    uint32_t             n_prompt;
    uint32_t             max_tokens; /* the caller's limit; 0: up to the context */
    uint32_t             allowance;  /* output tokens that may be sampled before a pause */
    struct sample_params sample;
    const char *const   *stops;
    const size_t        *stop_lens;
    uint32_t             n_stops;
    bool                 ignore_eos; /* benchmarks and tests */
    uint64_t             tag;        /* the owner's: comes back in usage_delta */
    void (*on_event)(void *arg, const struct seq_event *ev); /* step thread; must not block */
    void *arg;
};
/* Any thread. ERR_CONTEXT when the prompt does not fit, ERR_BUSY when the queue is full. SEQ_DONE comes exactly once for each success. */
int  engine_start(struct engine *g, const struct seq_opts *o, uint64_t *seq, struct err *e) MUST_USE;
void engine_allow(struct engine *g, uint64_t seq, uint32_t allowance); /* total output tokens allowed, only ever raised; goes on from a pause */
void engine_stop(struct engine *g, uint64_t seq, enum seq_end why);    /* SEQ_END_CANCEL or SEQ_END_BUDGET; takes effect within one step */

struct engine_stats {
    uint64_t steps, prefill_tokens, decode_tokens, step_ns, evictions; /* since the start */
    uint32_t running, waiting, paused, pages_used, pages_total; /* with several models pages differ in size: bytes are exact */
    uint64_t kv_bytes_used, kv_bytes_total;
};
void engine_stats(struct engine *g, struct engine_stats *out); /* any thread */
