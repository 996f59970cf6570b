/* One chat request from its hold to its bill: a small state machine, apart from any wire format.
 *
 *   chat_new -> (the wire fills c->q) -> chat_begin -> HOLDING: ledger_hold is asked for -> RUNNING: the backend answers, slices of
 *   credit are held ahead of it -> ENDING: the backend is done but a slice is still being asked for -> ledger_finish, exactly once,
 *   on every path -> the wire's last word -> freed.
 *
 * The client may leave at any point: c->r becomes NULL, the work is stopped, the rest runs as before without an answer. */
#pragma once
#include "api/api_int.h"

enum { SLICE_FIRST = 256, SLICE_LEAST = 16, SLICE_MOST = 4096, STOPS_MAX = 4, STOP_BYTES = 256 };

/* What is asked, whatever the wire. Strings live in c->mem. */
struct chat_request {
    const struct backend_model *model;
    const struct json          *messages; /* array of {role, content: string}; needed until chat_begin returns */
    bool                        stream, include_usage;
    uint32_t                    max_tokens; /* 0: as many as the context and the credit allow */
    struct sample_params        sample;
    const char                 *stops[STOPS_MAX];
    size_t                      stop_lens[STOPS_MAX];
    uint32_t                    n_stops;
};

struct chat;
struct chat_wire { /* never called without c->r; done and failed end the request */
    void (*open)(struct chat *c);                            /* the answer begins: held, queued */
    void (*text)(struct chat *c, const char *p, size_t n);
    void (*done)(struct chat *c);                            /* c->end, c->counts, c->bill are final */
    void (*fail)(struct chat *c, const struct err *e);
};

enum chat_state { CHAT_NEW, CHAT_HOLDING, CHAT_RUNNING, CHAT_ENDING };

struct chat {
    struct api             *api;
    struct http            *r; /* NULL: the client has left */
    const struct chat_wire *wire;
    struct chat_request     q;
    struct principal        who;
    char                    id[64]; /* the request's */
    struct arena            mem;
    enum chat_state         state;
    struct vec_i32          prompt;
    struct buf              text; /* of a plain answer */
    bool                    opened;

    uint32_t           limit;          /* most output tokens: of the caller and of the context */
    uint32_t           granted, slice; /* held output tokens; size of the next slice */
    bool               asking, denied, paused;
    struct hold_id     hold;
    struct money       held, balance;
    struct backend_job *job;
    struct token_counts counts;
    enum seq_end       end;
    struct err         err; /* why it failed */
    struct bill        bill;
    int64_t            start_us, first_us, end_us;

    struct chat *prev, *next; /* of api->chats */
};

/* A chat for r, whose principal http_user holds. NULL: out of memory. */
struct chat *chat_new(struct api *a, struct http *r, const struct chat_wire *wire);
void         chat_free(struct chat *c); /* only before chat_begin succeeded */
/* Takes the request over; on an error the caller answers it and frees c. */
int  chat_begin(struct chat *c, struct err *e) MUST_USE;
void chat_cancel(struct chat *c, enum errcode code, const char *why);
