/* Private to engine/. Who touches what: fields under "mu" only with the lock held; everything else belongs to the step thread, but for the
 * atomics of a sequence, through which its owner speaks to it.
 *
 * engine.c: the API, the thread and its inbox. sched.c: who runs (admission, rows, pages). share.c: tenants and their shares. pledge.c: rates
 * that are guaranteed. pace.c: how long steps take. step.c: one step and its events. spec.c, ngram.c: speculation.
 * seq.c: one sequence. fork.c: several answers to one prompt. prefix.c: pages found again; prefix_part.c: parts of them;
 * publish.c: by all tenants. score.c: log probabilities. embed.c: embeddings.
 * kv.c: pages. */
#pragma once
#include "base/buf.h"
#include "base/thread.h"
#include "base/vec.h"
#include "engine/engine.h"
#include "engine/kv.h"
#include <stdatomic.h>

enum {
    ENGINE_SEQS_DEFAULT = 64,
    ENGINE_QUEUE_DEFAULT = 1024,
    ENGINE_CHUNK_DEFAULT = 384,
    ENGINE_EVENTS_PER_SEQ = 4,
    ENGINE_SCORE_ROWS = 32, /* rows of a prompt whose log probabilities are wanted, in one step: each needs a row of logits */
    ENGINE_DRAFT_ROWS = 64, /* of guessed tokens, in one step: each needs a row of logits */
    PACE_KNOTS = 24,
    PACE_OLD = 1000,          /* steps with decode rows alone after which a measurement is old */
    PACE_ROWS_MIN = 16,       /* of a prompt in a step: fewer would read the weights for nothing */
    PACE_ALONE_MS = 250,      /* a step is made no longer than this by rows of prompts, ... */
    PACE_READ_MS = 150,       /* ... than this while somebody reads, of this model or another, ... */
    PACE_SHARED_MS = 100,     /* ... than this while another tenant is there, or was a moment ago and may come back, ... */
    PACE_STRETCH_TENTHS = 22, /* ... and than so many tenths of the same step without them, ... */
    PACE_READ_MIN_MS = 40,    /* ... which nobody notices below this */
    PLEDGES_MAX = 1024,        /* guarantees (a tenant's of a model) that are known at once */
    SHARE_BURST = 2048,       /* tokens that a tenant who comes back may be behind the others: its first prompt goes before theirs */
};

enum seq_state { ST_WAIT, ST_RUN, ST_PAUSED, ST_FORK /* waits for the prompt that its leader computes */ };

struct share { /* a tenant's part of the work */
    uint64_t id, vt; /* vt: virtual time = work / weight */
    uint64_t kv_bytes; /* claims of its runners; set by share_count */
    uint32_t weight, n_live, n_run;
};

struct pledge { /* what a tenant is guaranteed of a model. Amounts are thousandths of a token times 10^9, so that a rate times nanoseconds is one */
    uint64_t tenant;
    struct engine_model *model;
    uint32_t rate, input_weight;
    uint32_t n_live;
    int64_t  owed;     /* what it has had too little; less than 0: too much */
    int64_t  got;      /* since owed was last brought up to date */
    int64_t  in_step;  /* of the step that is being planned: what its rows will be worth */
    uint32_t rows;     /* ... its decode rows */
    bool     wants, waits; /* it has work that could be done now; some of it has no place yet */
    bool     slow;     /* in the last step: what it asks for cannot reach its rate, whoever else runs */
};

struct pace { /* how long steps of a model take, smoothed; 0: not seen yet */
    uint64_t decode_ns[PACE_KNOTS]; /* with decode rows alone, by their number */
    uint64_t age, seen[PACE_KNOTS]; /* number of such steps; of the last one with about so many rows */
    uint8_t  times[PACE_KNOTS];     /* how many there were, at least */
    uint64_t row_ns; /* what a row of a prompt adds */
    uint64_t more_ns; /* pace_row_ns */
};

struct seq {
    uint64_t             id, serial; /* serial: order of arrival; a lower one is the senior */
    struct engine_model *model;
    enum seq_kind        kind;
    struct seq          *leader, *fork; /* ST_FORK: who computes the prompt; the list of those that wait for it */
    struct tenant        tenant;
    struct share        *share;
    struct pledge       *pledge; /* NULL: nothing is guaranteed */
    uint64_t             pledged; /* what its counts were worth when the pledge was last told */
    bool                 senior; /* came under its tenant's guarantee: before all of its priority that did not */
    int                  priority;
    enum seq_state       state;
    bool                 publishes; /* publish.c: what it computes is for all */
    bool                 evicted; /* lost its pages once; first in the queue of its priority */
    bool                 starved, shadowed; /* there was no page for it; in this step: another one computes the page that it needs */

    struct vec_i32 tokens;  /* prompt, then what was sampled */
    uint32_t       n_prompt, n_out, out_max;
    uint32_t       n_kv;    /* positions in the pages */
    uint32_t       n_free;  /* prompt tokens that another sequence of its request was billed for */
    uint32_t       n_paid;  /* positions that were computed once already: only new ones are billed and charged to the tenant */
    uint32_t       n_found; /* of the positions from n_paid to n_kv: those whose pages were found; billed with the next step */
    uint32_t       reach;   /* model_reach_class: whose keys are rotated alike */
    struct vec_ptr pages;
    uint32_t       n_gone; /* of pages: the first ones, which the window has left behind and which are put back; NULL */
    uint32_t       rows, wants; /* in the step that is being built; of them, with logits or a hidden state wanted */
    const float   *logits;  /* in this step: the row that its next token is chosen from; NULL: it gets none */
    int32_t        chosen;  /* pick.c */
    bool           decodes; /* in this step: its rows are its next token's, not a prompt's */
    uint32_t       n_draft;     /* of rows: the last ones, of tokens that are guessed */
    struct spec   *spec;        /* NULL: nothing was guessed yet */
    uint64_t       last_step;

    _Atomic uint32_t allowance;
    _Atomic int      stop; /* 0, else 1 + enum seq_end */

    struct token_counts  counts;
    bool                 counts_changed;
    struct sample_params sample;
    struct logit_bias   *bias;
    bool                 logprobs, prompt_logprobs;
    uint32_t             top_logprobs, n_scored, text_end; /* n_scored: prompt tokens whose log probabilities were told */
    enum pooling         pooling;
    uint32_t             n_pooled; /* positions in the sum */
    double              *sum;      /* (width) SEQ_EMBED */
    float               *vector;   /* (width) */
    bool                 ignore_eos, ended;
    enum seq_end         end;
    struct err           err;
    struct detok         detok;
    struct stop_match   *stops;
    uint64_t             tag;
    void (*on_event)(void *arg, const struct seq_event *ev);
    void       *arg;
    struct seq *next; /* inbox */
};

enum model_state { EM_ADDING, EM_LIVE, EM_REMOVING, EM_GONE };
struct engine_model {
    struct model       *model;
    const struct vocab *vocab; /* NULL: no text (benchmarks) */
    struct kv_shape     kv_shape;
    struct kv_pool     *pool;
    struct prefix      *prefix; /* NULL: nothing is reused */
    struct vec_ptr      public_pages; /* held for all */
    uint64_t            published;    /* mu: bytes that were promised to them */
    struct sampler    **samplers; /* (n_samplers) one a worker; the first is the step thread's too */
    int                 n_samplers;
    uint32_t            n_ctx, n_vocab, n_embd;
    uint32_t            window, span; /* where attention of no layer reaches further back; pages that a sequence holds at most then. 0, 0: no such */
    uint32_t            n_sample, cost; /* ids that have a text; cost of a row: millions of parameters, at least 1 */
    float              *logits;               /* (runners_max + ENGINE_SCORE_ROWS + ENGINE_DRAFT_ROWS, n_vocab) */
    float              *hidden;               /* (STEP_ROWS_MAX, n_embd) */
    size_t              logits_bytes, hidden_bytes;
    uint64_t            work_ns;              /* time spent */
    struct pace         pace;
    struct engine_speed  speed; /* mu */
    bool                tried;                /* in this step */
    struct engine_model *next;   /* list of the step thread */
    struct engine_model *inbox;  /* mu */
    enum model_state     state;  /* mu */
    uint32_t             n_live; /* mu */
};

struct event { /* of this step, not yet handed out */
    struct seq         *seq;
    enum seq_event_kind kind;
    size_t              text_at, n_text;
    int32_t             token;
    size_t              logprobs_at, n_logprobs;
    struct token_counts counts;
};

struct engine {
    struct engine_opts o;
    uint32_t           runners_max; /* sequences that may hold pages */
    uint32_t           live_max;

    struct mutex         mu;
    struct cond          wake, changed; /* for the step thread; for who waits in engine_model_add, _remove */
    bool                 quit, dirty;   /* mu; dirty: an atomic of some sequence was set */
    struct seq          *in_first, **in_last; /* mu: started, not yet seen by the step thread */
    struct engine_model *in_models;           /* mu */
    struct seq         **slots;               /* mu: (live_max) by id % live_max */
    uint32_t            *free_slots, n_free_slots;
    uint64_t             next_serial;
    struct engine_stats  stats; /* mu */
    uint64_t             published; /* mu: bytes of published prefixes, at most opts.public_bytes */

    struct thread        thread;
    bool                 has_thread;
    uint64_t           (*now)(void); /* clock_ns, or a test's */
    struct engine_model *models;
    struct kv_budget     budget;
    struct seq         **wait; /* (live_max) */
    struct seq         **run;  /* (runners_max): they hold pages or may */
    uint32_t             n_wait, n_run;
    struct share        *shares; /* (shares_max) */
    uint32_t             n_shares, shares_max;
    struct pledge       *pledges; /* (PLEDGES_MAX) */
    uint32_t             n_pledges;
    uint64_t             pledges_ns; /* when what is owed was last brought up to date */
    uint64_t             step_most;  /* the step that is being planned is to take no longer than so many ns by rows of others; UINT64_MAX: as ever */
    uint64_t             vt_floor, work_floor, n_steps, steps_run, evictions, prefill_tokens, decode_tokens, cached_tokens, step_ns;
    uint64_t             drafted, accepted;

    struct seq        **batch, **sorted; /* (runners_max) */
    uint32_t            n_batch, score_left;
    bool                 draft_always; /* tests: whatever it costs */
    struct kv_seq      *kv_seqs; /* (runners_max) */
    uint32_t           *reach;   /* (runners_max) of the batch */
    struct matmul_top    top; /* of the step */
    int32_t             token[STEP_ROWS_MAX], pos[STEP_ROWS_MAX], want[STEP_ROWS_MAX];
    struct event       *events; /* (events_max) */
    uint32_t            n_events, events_max;
    struct usage_delta *deltas; /* (live_max) */
    uint32_t            n_deltas;
    struct vec_ptr      forked; /* sequences that this step's prompts were shared with */
    struct vec_logprobs logprobs;
    struct buf          text, piece;
};

/* pick.c: the token that s has after these logits; all of the batch at once, from the rows s->logits to s->chosen. */
int32_t pick_token(struct sampler *sampler, const struct seq *s, const float *logits);
void    pick_all(struct engine *g, const struct engine_model *m);
int     pick_new(struct engine_model *m, const struct engine *g, struct err *e) MUST_USE;
void    pick_free(struct engine_model *m);

/* seq.c */
int  seq_new(struct seq **out, const struct seq_opts *o, struct err *e) MUST_USE;
void seq_free(struct seq *s);
bool seq_may_sample(const struct seq *s);
/* Rows that may be computed now: all known tokens, but not the last one when its result may not be sampled yet. */
uint32_t seq_rows_ready(const struct seq *s);
/* Adds a sampled token; appends the text that may go out. True when the sequence has ended (s->end says how). */
bool seq_accept(struct seq *s, int32_t token, struct buf *piece, struct buf *out);
/* What was held back goes out (the sequence ends from outside). */
void seq_flush(struct seq *s, struct buf *piece, struct buf *out);
void seq_drop_pages(struct seq *s);
void seq_slide(struct seq *s); /* puts pages back that no row to come looks into */
uint32_t seq_pages(const struct seq *s); /* that it holds */
uint32_t seq_pages_most(const struct seq *s, uint32_t n); /* on its way to n positions */
/* Bytes of its pages (shared ones too), or, when it runs, of those that its known tokens will take, and of one more to grow. */
uint64_t seq_claim(const struct seq *s);

/* fork.c: sequences that share a prompt. */
void fork_arrive(struct engine *g, struct seq *s); /* with its list, from the inbox */
void fork_share(struct engine *g, struct seq *leader); /* its prompt is computed: the others get its pages; they are in g->forked */
void fork_leave(struct engine *g, struct seq *s); /* s ends before the prompt was computed: another one leads */

/* prefix.c: full pages are kept and found again by what they hold: same model, tenant's salt, RoPE, and the same tokens from the first on. */
struct prefix_page {         /* what the page of this id holds */
    int32_t tokens[KV_PAGE];
    uint8_t salt[16];
    uint32_t reach;
    uint32_t before;         /* id + 1 of the page before; 0: the first */
    uint64_t before_life;    /* its life */
    uint64_t life;           /* how often this id was put into the index */
    uint32_t after;          /* pages in the index that come after this one */
    uint32_t chain;          /* id + 1 of the next one in the bucket */
    uint32_t older, newer;   /* ids + 1 of its neighbours in the list of what comes after the same page (prefix_part.c) */
    bool known;              /* it is in the index */
};
struct prefix {
    struct kv_pool *pool;
    struct prefix_page *pages; /* (n_pages) */
    uint32_t *heads;         /* (mask + 1) ids + 1 */
    uint32_t *followers;     /* (mask + 1) ids + 1: of what comes after a page, by a hash of that page, the newest */
    uint8_t public_salt[16]; /* of published pages; a random one, no tenant's */
    uint32_t mask;
    bool slides;             /* a page may be forgotten before what comes after it */
};
int  prefix_new(struct prefix **out, struct kv_pool *pool, bool slides, struct err *e) MUST_USE; /* slides: engine_model.window is set */
void prefix_free(struct prefix *x); /* before its pool */
uint64_t prefix_bytes(const struct prefix *x); /* of the index, for the pages used so far */
/* s goes on behind the pages that others have computed for its next tokens, as far as it wants no result of these rows. */
void prefix_take(struct seq *s);
/* The pages that s has filled since it had `before` positions may be found. */
void prefix_give(struct seq *s, uint32_t before);
/* The pages that come before page `id`, as far as they are still there, become the last to be forgotten. */
void prefix_touch_before(struct prefix *x, uint32_t id);
/* r is about to compute the page that s needs next. */
bool prefix_shadows(const struct seq *r, const struct seq *s);
uint32_t prefix_may_skip(const struct seq *s); /* positions that s may leave out: none whose result is wanted, so never the last */
void prefix_found(struct seq *s, uint32_t was); /* s, which had `was` positions, now has n_kv without having computed them */

/* prefix_part.c: the first tokens of a page that another sequence goes on from in its own way are copied. */
enum {
    PART_MIN = 8,    /* tokens: fewer are computed sooner than found */
    PART_WAIT = 16,  /* tokens for which it is worth to wait a step */
    PART_TRIED = 16, /* pages looked at, the newest of those that come after the same page */
};
void part_add(struct prefix *x, uint32_t id); /* page `id` has come into the index */
void part_remove(struct prefix *x, uint32_t id);
/* s begins a page: what of it others have computed is copied into one of its own, if memory for it is free. */
void part_take(struct engine *g, struct seq *s);
uint32_t part_length(const struct engine *g, const struct seq *s); /* tokens that part_take would find */
/* r is about to compute so much more of the page that s begins than the `length` tokens which can be copied now that s had better wait. */
bool part_shadows(const struct seq *r, const struct seq *s, uint32_t length);

/* ngram.c: places in a sequence where its last tokens stood before. */
enum { NGRAM_TABLES = 2, NGRAM_WINDOW = 1 << 16, NGRAM_MATCH_MAX = 32 };
struct ngram {
    uint32_t room, n; /* places kept, a power of two; tokens indexed */
    uint32_t *head[NGRAM_TABLES], *prev[NGRAM_TABLES]; /* (room) by hash; by place: the one before it of the same hash */
};
struct ngram_match { uint32_t at, length; }; /* the `length` tokens before `at` are the last ones; 0: none */
bool ngram_add(struct ngram *x, const int32_t *tokens, uint32_t n) MUST_USE; /* what is new of the n tokens; false: no memory */
struct ngram_match ngram_find(const struct ngram *x, const int32_t *tokens, uint32_t n); /* n: all that were added */
void ngram_deinit(struct ngram *x);

/* spec.c: tokens that are guessed and computed ahead. */
void spec_plan(struct engine *g, struct engine_model *m); /* gives rows of drafts to the members of g->batch */
int32_t spec_token(const struct seq *s, uint32_t i); /* guess i of this step */
void spec_settle(struct seq *s); /* puts back pages that only guesses needed */
void spec_free(struct spec *x);

/* publish.c */
void publish_pin(struct seq *s); /* what it has computed is kept for all */
void publish_end(struct engine_model *m); /* before its pool goes */

/* embed.c: hidden: (s->wants, n_embd) of this step's rows. True: the vector is complete. */
bool embed_rows(struct seq *s, const float *hidden);
bool embed_wants(const struct seq *s, uint32_t position);

/* score.c: log probabilities; false: no memory. first: position of the first of the step's rows; logits: of those rows that it wants. */
bool score_wants(const struct seq *s, uint32_t position);
bool score_prompt(struct engine *g, struct engine_model *m, struct seq *s, uint32_t first, const float *logits) MUST_USE;
bool score_token(struct engine *g, struct engine_model *m, const struct seq *s, int32_t token, const float *logits) MUST_USE;

/* share.c: tenants share by work. */
void share_join(struct engine *g, struct seq *s); /* a sequence has come */
void share_charge(struct seq *s, uint32_t rows);  /* work that was done the first time */
void share_floor_raise(struct engine *g);
void share_count(struct engine *g); /* kv_bytes of all */
uint64_t share_weights(const struct engine *g); /* of tenants that have a living sequence */
bool     share_several(const struct engine *g, const struct engine_model *m); /* more tenants than one are there, or were a moment ago */

/* pledge.c: rates that are guaranteed. */
bool pledge_join(struct engine *g, struct seq *s); /* a sequence has come; false: too many guarantees are known, it has none */
void pledge_leave(struct seq *s);
void pledge_turn(struct engine *g); /* each turn, before admission: what is owed now; who comes under a guarantee */
bool pledge_owes(const struct seq *s); /* its tenant has had less than its rate */
void pledge_count(struct seq *s); /* its counts have changed */
/* The rows of those who are owed have been assigned: how long others may make this step. */
uint64_t pledge_step_most(struct engine *g, const struct engine_model *m, uint32_t n_prompt /* rows of prompts that they have */);
struct engine_model *pledge_model(struct engine *g); /* whose turn it is because it owes most, of those not tried; NULL: none */
static inline int seq_rank(const struct seq *s) { return 2 * s->priority + s->senior; }

/* pace.c */
void pace_learn(struct pace *p, uint32_t n_decode, uint32_t n_prefill, uint64_t ns);
uint64_t pace_row_ns(const struct pace *p); /* what a row more takes where rows are not free; 0: not known */
uint64_t pace_age(const struct pace *p, uint32_t n); /* such steps since the last one of about n rows */
struct engine_speed pace_speed(const struct pace *p); /* as far as was seen */
uint64_t pace_decode_ns(const struct pace *p, uint32_t n); /* of a step of n decode rows alone; 0: no such step was seen */
/* Rows of prompts for a step with n_decode decode rows, of at most about most_ms; at most `most`. */
uint32_t pace_rows(const struct pace *p, uint32_t n_decode, uint32_t most_ms, uint32_t most);
uint32_t pace_rows_whole(const struct pace *p, uint32_t n_decode, uint32_t most); /* the same where nobody's reading counts */

/* sched.c */
void sched_arrive(struct engine *g, struct seq *s);
bool sched_join(struct engine *g, struct seq *s); /* a forked one, into the runners; false: there was no place, it waits in the queue */
void sched_unfork(struct engine *g, struct seq *s); /* a forked one, into the queue */
void sched_leave(struct engine *g, struct seq *s); /* out of wait or run; its pages are put back */
void sched_admit(struct engine *g);
void sched_resume(struct engine *g, struct seq *s); /* a paused one may sample again */
/* The model whose turn it is, with its step planned: g->batch, each member's rows and their pages. NULL: nothing can run. */
struct engine_model *sched_next(struct engine *g);

/* step.c */
struct event *step_event(struct engine *g, struct seq *s, enum seq_event_kind kind);
void step_controls(struct engine *g); /* stops and allowances that owners have set */
void step_pauses(struct engine *g);   /* those that have no more allowance */
void step_run(struct engine *g, struct engine_model *m);
void step_events(struct engine *g);   /* journal, then events, then what has ended is released */
void step_end(struct engine *g, struct seq *s, enum seq_end why);

/* engine.c */
/* The lock is held: s and its forks, n in all, into the inbox. ERR_BUSY, ERR_UNAVAILABLE: they are still the caller's. */
int  engine_enter(struct engine *g, struct seq *s, size_t n, uint64_t *id, struct err *e) MUST_USE;
int  engine_open(struct engine **out, const struct engine_opts *o, struct err *e) MUST_USE; /* without a thread: engine_turn does its work */
/* One turn of the thread. Sleeps first while there is nothing to do, if `idle`. False: the engine is to end. *ran: a step was run. */
bool engine_turn(struct engine *g, bool idle, bool *ran);
void engine_release(struct engine *g, struct seq *s);
