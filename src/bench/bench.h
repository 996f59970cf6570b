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
