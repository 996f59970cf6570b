/* Private to bench/: a load in progress. */
#pragma once
#include "base/buf.h"
#include "base/thread.h"
#include "base/vec.h"
#include "bench/bench.h"
#include "net/client.h"

struct load_call { /* one request and what came of it */
    uint64_t       due_ns;
    uint32_t       turn;
    uint64_t       prompt, cached, output; /* tokens, as the server says */
    double         ttft_ms, last_ms, whole_ms;
    struct vec_u32 gap; /* microseconds between pieces */
    struct buf     text; /* the answer */
    char           fault[200]; /* "" when it was whole */
};
struct load_run;
struct load_class { /* the requests of one stream */
    struct load_run          *run;
    const struct load_stream *stream;
    uint32_t                  lane; /* of random numbers */
    struct VEC(struct load_call) calls; /* the run's lock, as all below */
    uint64_t                  next, due_ns;
    size_t                    ended; /* users */
};
struct load_run {
    const struct load_opts *o;
    struct mutex            lock;
    struct load_class       main, neighbour;
    uint64_t                done;
    _Atomic bool            stop;
    double                  tokens_per_word, overhead; /* overhead: what the template adds to a message of a user */
};

/* load_call.c. Appends a message of so many tokens, whose words are a function of the run's seed and `which`; 0: the same for all. */
void load_message(struct buf *said, const char *role, const struct load_class *k, uint64_t which, uint64_t tokens);
/* Appends a message with a given text. */
void load_said(struct buf *said, const char *role, const struct buf *text);
/* Sends the conversation and reads the answer; out->due_ns and turn are given. c NULL: a connection of its own. */
void load_call(const struct load_class *k, struct client *c, const char *key, const struct buf *said, struct load_call *out);
