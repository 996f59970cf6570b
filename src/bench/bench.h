/* Measurements: what this machine can do (roofline.c), how fast a model runs on it and what share of the machine that is (model.c), and what a
 * running server does under load (load.c). Nothing here prints; the command line (cli/cmd_bench.c) does. */
#pragma once
#include "model/model.h"

/* Whether the measurement was alone: how often the kernel took the CPU away from this process (involuntary context switches, all threads). */
uint64_t bench_switches(void);

/* ---- the machine ---- */

struct roofline_row {
    char   what[32]; /* "read", "int8 avx512", "round trip" */
    int    threads;
    double value;
    const char *unit; /* "GB/s", "Gop/s", "ns" */
};
typedef void roofline_fn(void *arg, const struct roofline_row *r);
/* Best of many short runs, since other programs can only disturb: read bandwidth, the peaks of each level, an empty job of the workers, and the round
 * trip of a cache line between two of them. quick: a second in all instead of some five. */
int roofline_run(int threads, bool quick, roofline_fn *fn, void *arg, struct err *e) MUST_USE;

/* What bounds a model at one level of kernels. */
struct roofline_limits { double read, int8, bf16, f32; }; /* bytes, operations a second */
int roofline_limits(struct roofline_limits *out, int threads, const char *level, struct err *e) MUST_USE;

/* ---- a model ---- */

enum { BENCH_CASES_MAX = 16 };
struct bench_model_opts {
    struct device          *device;
    const struct modelfile *file;
    struct model           *model;
    enum kv_type            kv_type;
    const uint64_t         *prefill, *depth, *streams; /* lengths of prompts; positions before a decoded token; sequences side by side at depth 0 */
    size_t                  n_prefill, n_depth, n_streams;
    int                     tokens; /* steps of a decode round */
    int                     rounds; /* the median of so many is told */
};
struct bench_model_row {
    const char *what;    /* "prefill", "decode" */
    int         n;       /* tokens of the prompt; streams */
    int         depth;   /* positions before the first token */
    double      rate;    /* tokens/s, all streams together; the median of the rounds */
    double      best;
    double      limit;   /* tokens/s: max(bytes / read, operations / peak) */
    const char *bound;   /* by which: "read", "int8", "bf16", "f32" */
    double      bytes;   /* read in a step (decode) or in all (prefill) */
    double      ops;
    uint64_t    switches;
    char        skipped[96]; /* why it was not measured; "" when it was */
};
typedef void bench_model_fn(void *arg, const struct bench_model_row *r);
typedef void bench_progress_fn(void *arg, const char *text);
/* Decode feeds given tokens (no sampler), as llama-bench does, and wants one row of logits for each stream; prefill wants the last row's. */
int bench_model(const struct bench_model_opts *o, const struct roofline_limits *limits, bench_model_fn *fn, bench_progress_fn *progress, void *arg,
                struct err *e) MUST_USE;

/* ---- a server ---- */

enum { LOAD_THREADS_MAX = 1024, LOAD_KEYS_MAX = 256, LOAD_TURNS_MAX = 64 };
struct load_stream { /* requests of one kind */
    uint64_t requests; /* conversations */
    uint64_t users;    /* at once; of an open loop: at most (LOAD_THREADS_MAX when 0) */
    double   rate;     /* arrivals a second, exponential intervals (Poisson); 0: closed loop, a user's next request begins when one ended */
    uint64_t prompt, output; /* tokens of a turn's new text; of an answer at most */
    uint64_t prefix;   /* tokens of a system prompt; 0: none */
    bool     own_prefix; /* each conversation has its own instead of the one that all share */
    uint64_t turns;    /* of a conversation, at least 1: each sends what was said so far */
    const char *key[LOAD_KEYS_MAX]; /* NULL: none is sent; conversations take them in turn */
    size_t   n_keys;
};
struct load_opts {
    const char        *url, *model; /* "http://127.0.0.1:8000"; the model's name in the API */
    struct load_stream main, neighbour; /* neighbour.requests 0: none; it is not waited for */
    uint64_t           seed;
    double             temperature;
    uint32_t           timeout_ms; /* for one answer */
};
/* Times in milliseconds. A time to first token counts from when the request was due, so that a load that falls behind shows. gap: between two
 * pieces of text of one answer; tpot: an answer's mean time for a token after its first. */
struct load_row {
    char     what[32]; /* "chats", "turn 3", "neighbour" */
    uint64_t requests, failed;
    double   prompt, cached, output; /* tokens of a request, mean */
    double   output_rate, total_rate; /* tokens/s of all answers; with prompts */
    double   ttft_p50, ttft_p99, tpot_p50, tpot_p99, gap_p50, gap_p99, gap_max, whole_p50, whole_p99;
    char     fault[200]; /* the first failure's text */
};
typedef void load_fn(void *arg, const struct load_row *r);
/* Runs main (beside neighbour, when there is one) and tells a row for all, one for each turn when there are several, one for the neighbour.
 * Learns first, by two small requests, how many tokens a word is. ERR_UNAVAILABLE when the server does not answer those. */
int load_run(const struct load_opts *o, load_fn *fn, bench_progress_fn *progress, void *arg, struct err *e) MUST_USE;
