/* The engine: sequences in, tokens out. One step thread serves all loaded models; each step packs prefill chunks and decode rows of many
 * sequences into one batch. It knows no money: a sequence has a token allowance that its owner raises; at the allowance it pauses and keeps
 * its KV. It knows no HTTP: events leave through a callback on the step thread, after `journal` was called for the step.
 *
 * Order of one step: schedule -> model_step -> sample, detokenize, match stops -> opts.journal(deltas of the step) -> on_event for each. */
#pragma once
#include "base/vec.h"
#include "engine/usage.h"
#include "model/model.h"
#include "sample/sample.h"
#include "text/vocab.h"

struct engine;
enum { ENGINE_SEQS_MAX = 128, ENGINE_QUEUE_MAX = 1 << 16, ENGINE_CHOICES_MAX = 128, ENGINE_DRAFT_MAX = 31, ENGINE_RATE_MAX = 100000000 };
struct engine_opts { /* more than a maximum means the maximum */
    struct device *device;
    uint64_t       kv_bytes;    /* memory for KV pages of all models; 0: a quarter of the machine's, at most 8 GiB */
    uint64_t       public_bytes; /* of them, set aside for published prefixes (at most a half); 0: none can be published */
    uint32_t       seqs_max;    /* running at once; 0: 64 */
    uint32_t       queue_max;   /* waiting; with more than seqs_max + queue_max in all engine_start gives ERR_BUSY; 0: 1024 */
    uint32_t       chunk;       /* prefill rows per step at most, fewer when a step would take long; 0: 384 */
    enum kv_type   kv_type;
    bool           no_prefix_cache; /* computes every prompt from its first token */
    bool           no_screen;       /* computes every logit, also where only the largest count; models need no screen then (model_load_with) */
    uint32_t       draft_max;       /* tokens guessed ahead for one sequence in a step (spec.c), at most ENGINE_DRAFT_MAX; 0: no speculation */
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
/* The full pages of the first n tokens are computed once, billed to nobody, and found by the sequences of all tenants until the model is removed.
 * ERR_NO_ROOM when what is published would be more than opts.public_bytes. */
int engine_publish(struct engine *g, struct engine_model *m, const int32_t *tokens, uint32_t n, struct err *e) MUST_USE;
uint64_t engine_model_bytes(const struct engine *g, const struct model_shape *s); /* that a model of this shape will take here, KV pages apart */
uint32_t engine_model_ctx(const struct engine_model *m); /* longest sequence that is served */
uint32_t engine_model_width(const struct engine_model *m); /* numbers of an embedding */
/* What the machine does of it, as far as was seen: output tokens in a second with many sequences, in thousandths, and what a prompt token costs of
 * one, in thousandths. 0: not seen yet. Any thread. */
struct engine_speed { uint32_t rate, input_weight; };
struct engine_speed engine_model_speed(struct engine *g, const struct engine_model *m);

/* rate: what it is guaranteed of the sequence's model, in thousandths of a token in a second; 0: nothing. An output token counts as 1000
 * thousandths, a prompt token that is computed as input_weight, one that was found as none. Below its rate its sequences go before all others of
 * their priority, with their rows and their pages; above it they share as everybody does (pledge.c). The newest sequence's numbers hold. */
struct tenant {
    uint64_t id;
    uint32_t weight;
    uint32_t rate, input_weight; /* at most ENGINE_RATE_MAX */
    uint8_t  kv_salt[16];        /* prompts are reused within one salt alone */
};

/* What a sequence is for. SCORE computes the prompt and samples nothing (log probabilities of a prompt). EMBED gives one vector: the hidden
 * states after the last norm, pooled, with length 1 (embed.c). */
enum seq_kind { SEQ_GENERATE, SEQ_SCORE, SEQ_EMBED };
enum pooling { POOL_MEAN, POOL_LAST, POOL_FIRST };

/* One token with its log probability by the bare logits (before bias, penalties and temperature). Its text is bytes [end of the token
 * before, end) of all text of the sequence, stop strings included. */
struct token_logprobs {
    int32_t        token;
    float          value; /* NaN: the first token of a prompt has none */
    uint32_t       end;
    uint32_t       n_top;
    struct logprob top[LOGPROBS_MAX];
};
struct vec_logprobs VEC(struct token_logprobs);

/* Each sampled token gives one SEQ_TEXT event (a step may sample several of one sequence), with empty text when nothing may go out yet. Text
 * that was held back (for a stop string, half a character) goes out with the last token, or after SEQ_END_BUDGET in an event of its own whose
 * token is TOKEN_NONE; after SEQ_END_CANCEL it is dropped. SEQ_PROMPT carries log probabilities of the prompt, piece by piece; SEQ_VECTOR the
 * embedding. */
enum seq_event_kind { SEQ_TEXT, SEQ_PAUSED, SEQ_DONE, SEQ_PROMPT, SEQ_VECTOR };
enum seq_end { SEQ_END_STOP, SEQ_END_LENGTH, SEQ_END_BUDGET, SEQ_END_CANCEL, SEQ_END_ERROR };
struct seq_event {
    enum seq_event_kind kind;
    uint64_t            seq;
    const char         *text; /* SEQ_TEXT: whole UTF-8 characters, valid during the call; may be empty */
    size_t              n_text;
    int32_t             token;   /* SEQ_TEXT: the sampled token */
    const struct token_logprobs *logprobs; /* (n_logprobs) SEQ_TEXT, SEQ_PROMPT; valid during the call; none for a token that ends the text */
    size_t              n_logprobs;
    const float        *vector; /* (n_vector) SEQ_VECTOR; valid during the call */
    size_t              n_vector;
    struct token_counts counts; /* cumulative */
    enum seq_end        end;     /* SEQ_DONE */
    struct err          err;     /* SEQ_END_ERROR */
};

struct seq_opts {
    struct engine_model *model;
    enum seq_kind        kind;
    enum pooling         pooling;    /* SEQ_EMBED */
    struct tenant        tenant;
    int                  priority;   /* higher first; 0 */
    const int32_t       *prompt;     /* copied */
    uint32_t             n_prompt;
    uint32_t             max_tokens; /* the caller's limit; 0: up to the context */
    uint32_t             allowance;  /* output tokens that may be sampled before a pause */
    struct sample_params sample;     /* its bias is copied */
    bool                 logprobs;   /* of sampled tokens */
    bool                 prompt_logprobs;
    uint32_t             top_logprobs; /* alternatives beside each, at most LOGPROBS_MAX */
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
/* n sequences of one model and one prompt, all or none: the prompt is computed once, billed to the first, and the others share its pages. The
 * texts are those that each would have alone. o, seq: (n), n at most ENGINE_CHOICES_MAX. */
int  engine_start_many(struct engine *g, const struct seq_opts *o, size_t n, uint64_t *seq, struct err *e) MUST_USE;
void engine_allow(struct engine *g, uint64_t seq, uint32_t allowance); /* total output tokens allowed, only ever raised; goes on from a pause */
void engine_stop(struct engine *g, uint64_t seq, enum seq_end why);    /* SEQ_END_CANCEL or SEQ_END_BUDGET; takes effect within one step */

struct engine_stats {
    uint64_t steps, prefill_tokens, decode_tokens, step_ns, evictions; /* since the start */
    uint32_t running, waiting, paused, pages_used, pages_total; /* with several models pages differ in size: bytes are exact */
    uint64_t kv_bytes_used, kv_bytes_total;
    uint64_t kv_bytes_backed; /* of pages in use, free ones that still have memory, and the index of those that are kept */
    uint64_t draft_tokens, draft_accepted; /* rows computed for guessed tokens; those that were right */
    uint64_t cached_tokens;    /* prompt tokens that were not computed, because their pages were found */
    uint64_t cache_evictions;  /* pages that nobody used and whose memory was wanted */
    uint32_t pages_public;     /* of pages_used: of published prefixes */
    uint32_t pages_cached;     /* that nobody uses and that may be found again: free memory */
};
void engine_stats(struct engine *g, struct engine_stats *out); /* any thread */
