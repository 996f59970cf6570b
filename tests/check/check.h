/* tests/check compares kernels with the scalar specification. A check function returns NULL, or what is wrong in static storage: the
 * same functions must pass every kernel of every table and catch every planted mutant. */
#pragma once
#include "kernel/kernel.h"
#include <setjmp.h>
#include <signal.h>

/* A buffer of n bytes whose last byte is followed by a page that may not be touched. */
struct guard {
    void *p, *map;
    size_t n, map_n;
};
void guard_new(struct guard *g, size_t n);
void guard_read_only(struct guard *g); /* from here on writing it faults as well */
void guard_free(struct guard *g);

/* Runs check(fn, tolerance); a fault in it comes back as a text. */
typedef void any_fn(void);
typedef const char *check_fn(any_fn *kernel, double tolerance);
const char *check_run(check_fn *check, any_fn *kernel, double tolerance);
/* Formats a finding. */
const char *found(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

uint32_t next_random(void);
/* Random values of one of several kinds: even, with outliers a hundred times as large, all positive, tiny, zeros. */
enum { FILLS = 5 };
void fill(float *p, size_t n, int kind);
static inline double eps(double tolerance)
{
    return tolerance * 0x1p-23;
}
/* Whether got is want within `bound`; NaN only where NaN is wanted. */
bool near(double got, double want, double bound);

check_fn check_pairs, check_quantize, check_attn_f16, check_attn_f32, check_attn_bf16, check_attn_q8, check_kv8_query, check_kv8_store,
    check_kv8_turn, check_rmsnorm, check_add, check_swiglu, check_rope_norm, check_rope_neox, check_to_f16;
#define QUANT_FLOAT(name, op, id, block, bytes)                         check_fn check_matmul_##op;
#define QUANT_BLOCK(name, op, id, block, bytes, bits, zero, group, min, values) check_fn check_matmul_##op;
#include "quant/quant.def"
#undef QUANT_FLOAT
#undef QUANT_BLOCK

struct mutant {
    const char *name;
    any_fn *kernel;
    check_fn *check;
    double tolerance;
};
extern const struct mutant mutants[];
extern const size_t n_mutants;
