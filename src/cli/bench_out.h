/* Private to cli/: what the three benchmarks share. */
#pragma once
#include "base/os.h"
#include "bench/bench.h"
#include "cli/cli_int.h"

/* A whole number from 1 to max. */
int bench_number(const struct cli *c, const char *flag, uint64_t dflt, uint64_t max, uint64_t *out, struct err *e) MUST_USE;
/* "1,2,4": up to BENCH_CASES_MAX numbers; "" is none. */
int bench_numbers(const struct cli *c, const char *flag, const char *dflt, uint64_t min, uint64_t max, uint64_t *out, size_t *n,
                  struct err *e) MUST_USE;
/* One line on standard error that the next one overwrites, when that is a terminal. */
void bench_progress(void *arg, const char *text);
void bench_progress_end(void);
/* Opens a model by its name or file and measures it; says on standard output what it ran on, unless --json or --csv is there. */
int bench_model_run(const struct cli *c, const char *name, struct bench_model_opts *o, int threads, bench_model_fn *fn, void *arg,
                    struct err *e) MUST_USE;
/* A key with a number of so many decimals. */
void bench_put(struct jw *w, const char *key, double v, int decimals);
/* rows: the text of an array of flat objects with the same keys; as a table or JSON, and with --csv FILE as CSV there ("-": that alone). */
int bench_print(const struct cli *c, struct buf *rows, struct err *e) MUST_USE;
