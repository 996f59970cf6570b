/* One request that computes something, from its hold to its bill, whatever the endpoint: a small state machine.
 *
 *   call_new -> (the endpoint fills c->q) -> ENCODING: texts to tokens -> call_begin -> HOLDING: ledger_hold is asked for -> RUNNING: the
 *   backend answers, slices of credit are held ahead of it -> ENDING: the backend is done but a slice is still being asked for ->
 *   ledger_finish, exactly once, on every path -> the endpoint's last word -> freed.
 *
 * A call has one or more prompts (completions and embeddings take arrays) and for each prompt one or more choices; each choice is a job of the
 * backend. All of them together are one hold and one usage row. The client may leave at any point: c->r becomes NULL, the work is stopped,
 * the rest runs as before without an answer. */
#pragma once
#include "api/api_int.h"
#include "api/params.h"

enum {
    SLICE_FIRST = 256, /* output tokens of a choice that are held at first, when the caller gives no limit */
    SLICE_LEAST = 16,
    SLICE_MOST = 4096,
    STOPS_MAX = 4,
    STOP_BYTES = 256,
    CHOICES_MAX = 8,
    SCORED_MAX = 1 << 17,         /* prompt tokens of a call whose log probabilities are told: each takes memory until the answer */
    SCORED_STREAM_MAX = 2048,     /* the same in a stream, which sends them at once */
    ECHO_STREAM_MAX = 256 << 10,  /* bytes of a prompt that a stream echoes */
    CALL_JOBS_MAX = 32, /* of one call at once; its other prompts wait for them */
};

/* What is asked, whatever the endpoint. Strings live in c->mem. */
struct call_request {
    const struct backend_model *model;
    bool                        stream, include_usage;
    uint32_t                    max_tokens; /* of each choice; 0: as many as the context and the credit allow */
    uint32_t                    n;          /* choices of each prompt, at most CHOICES_MAX */
    enum seq_kind               kind;
    bool                        echo, logprobs, prompt_logprobs;
    uint32_t                    top_logprobs;
    struct sample_params        sample;
    const char                 *stops[STOPS_MAX];
    size_t                      stop_lens[STOPS_MAX];
    uint32_t                    n_stops;
    bool                        base64; /* embeddings */
    struct str                  end_user; /* safety_identifier, else user; empty: neither */
    const char                 *tier;     /* service tier; NULL: nobody asked for one */
};

struct call;
struct call_prompt {
    struct vec_i32 tokens; /* freed once it runs */
    uint32_t       n_tokens;
    struct str     text;     /* what echo returns */
    struct vec_logprobs logprobs; /* of its tokens, when they were asked for */
};

/* Log probabilities wait for the text that their tokens belong to: a token whose text a stop string takes away is not told of. */
struct told {
    struct vec_logprobs list;
    size_t              next;    /* the first that was not told */
    uint64_t            emitted; /* bytes of text that went out */
    uint32_t            end;     /* of the last token that was told */
    uint64_t            chars;   /* before that */
    struct buf          tail;    /* text that went out after it */
};

struct choice {
    struct call        *call;
    uint32_t            index, prompt; /* in the answer; of c->prompts */
    struct backend_job *job;           /* while it runs */
    bool                paused, ended, begun; /* begun: text of it went out (completions) */
    uint32_t            limit;         /* most output tokens: of the caller and of the context */
    struct token_counts counts;
    struct token_counts journaled;     /* step thread: its part of call.journaled */
    enum seq_end        end;
    struct buf          text;          /* of a plain answer */
    struct told         told;          /* log probabilities: logprobs.c */
    float              *vector;        /* (model's n_embd) its embedding */
};

struct choices_form;
struct call_wire { /* never called without c->r; done and fail end the request */
    const char *route; /* for the log */
    int (*begin)(struct call *c, struct err *e);                 /* instead of encoding and call_begin; NULL: those */
    void (*open)(struct call *c);                                /* the answer begins: held, queued */
    void (*text)(struct choice *ch, const char *p, size_t n);
    void (*ended)(struct choice *ch);                            /* it has ended and others go on: not called for the last one */
    void (*done)(struct call *c, struct choice *last);     /* c->counts and c->bill are final */
    void (*fail)(struct call *c, const struct err *e);
    const struct choices_form *form; /* of an answer made of choices: choices.h */
};

enum call_state { CALL_NEW, CALL_ENCODING, CALL_HOLDING, CALL_RUNNING, CALL_ENDING };

struct call {
    struct api             *api;
    struct http            *r; /* NULL: the client has left */
    const struct call_wire *wire;
    struct call_request     q;
    struct principal        who;
    char                    id[64]; /* the request's */
    struct arena            mem;
    enum call_state         state;
    bool                    opened; /* a stream that has begun */
    struct gate            *gate;   /* the model has to be loaded first: the call is read again then */

    struct call_prompt *prompts; /* (n_prompts), in mem */
    struct choice      *choices; /* (n_prompts * q.n), in mem; those of one prompt are neighbours */
    uint32_t            n_prompts, n_choices, next_prompt, n_live, last; /* last: the choice that ended last */

    /* Credit. Every choice may sample `granted` tokens; held_output tokens are held in all. */
    uint32_t       granted, slice, held_output, asked;
    bool           asking, denied, of_key; /* of_key: it is the key's budget that denied the last slice */
    struct hold_id hold;
    struct money   held, balance;
    uint32_t       rate, input_weight; /* what a reservation guarantees: backend_req.tenant */

    /* Its texts, until they are tokens: by encode, on the loop thread or, when they are long, on the worker for texts. */
    struct json *body, *messages;
    int (*encode)(struct call *c, struct err *e);
    void        *source; /* encode's, in mem */
    struct text_job *text_job;     /* of /tokenize and /detokenize */

    struct token_counts counts;    /* of all choices, told by their events */
    struct token_counts journaled; /* step thread: of all choices */
    struct err          err;       /* why it failed */
    struct bill         bill;
    int64_t             start_us, first_us, end_us;

    struct call *prev, *next; /* of api->calls */
};

/* A call for r, whose principal http_user holds. NULL: out of memory. */
struct call *call_new(struct api *a, struct http *r, const struct call_wire *wire);
void         call_free(struct call *c); /* only before call_begin succeeded */
/* Room for n prompts: their tokens are filled in before call_begin. */
int call_prompts(struct call *c, uint32_t n, struct err *e) MUST_USE;
/* Takes the request over; on an error the caller answers it and frees c. */
int  call_begin(struct call *c, struct err *e) MUST_USE;
void call_cancel(struct call *c, enum errcode code, const char *why);
void call_refuse(struct call *c, const struct err *e); /* nothing was held: only the answer remains; frees c */
void call_link(struct call *c); /* from here on api->calls has it and the client's leaving is noticed; again: nothing */
/* The handler of an endpoint: reads the body with `read`, which fills c->q and sets c->encode, begins the call, answers an error. What `read`
 * keeps may be borrowed from body. */
typedef int (*call_read_fn)(struct call *c, const struct json *body, struct buf *ignored, struct err *e);
void call_route(struct api *a, struct http *r, const struct call_wire *wire, call_read_fn read);

/* tokenize.c */
struct text_job;
void text_job_free(struct text_job *j);

/* What must hold before a call for m is begun: a server that takes work, a price. */
int call_allowed(struct api *a, const struct backend_model *m, struct err *e) MUST_USE;

/* gate.c. gate_get pins m and makes it c->q.model; or c->gate waits for it, and the error is not for the client. */
int  gate_get(struct call *c, const struct backend_model *m, struct err *e) MUST_USE;
void gate_park(struct gate *g, const struct call_wire *wire, call_read_fn read); /* takes the request over */

/* credit.c: credit for the output, slice by slice. */
void credit_hold(struct call *c);  /* the first: answered to call_held */
bool credit_smaller(struct call *c); /* the next try is for less; false: there is no less */
void credit_ahead(struct call *c); /* asks for the next slice when it is time to */
void call_held(void *arg, const struct hold_answer *a);
void call_settle(struct call *c); /* finishes a call that waited for its last answer */
void call_stop_all(struct call *c);

/* call_read.c: the fields that several endpoints have. read_model comes before what reads c->q.model. */
int read_model(struct call *c, struct str name, struct err *e) MUST_USE;
int read_tier(struct call *c, const struct params *p, struct err *e) MUST_USE;
int read_stream(struct call *c, const struct params *p, struct err *e) MUST_USE;
int read_sampling(struct call *c, const struct params *p, struct err *e) MUST_USE;

static inline uint32_t choice_used(const struct choice *ch) { return ch->counts.output + ch->counts.reasoning; }
