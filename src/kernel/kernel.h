/* Kernels: the inner loops of the engine, one folder for each instruction set. A kernel is stateless: it allocates nothing, starts no
 * threads, does no I/O and keeps no globals; it takes a range of rows and computes exactly those. src/device slices the rows and owns
 * the buffers. scalar/ is the executable specification (simple loops, double accumulators, never optimised); the other folders must
 * agree with it within the tolerance that kernel.def gives, which tests/check verifies for every pointer of every table.
 *
 * Every output element is computed by the same operations in the same order, however many columns or rows are asked for at once: a
 * row of a batch is bit-identical to the same row alone.
 *
 * Weights of the types with blocks are packed into panels of 16 rows (panel.h draws them). Activations are quantised per 32 to int8 with a
 * float scale and the sums of the quantised values: the sums turn the unsigned codes into signed weights (subtract 8 sums for Q4_0, 128 for
 * Q8_0) and stand for the terms of the minimums. */
#pragma once
#include "kernel/panel.h"
#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KERNEL_KV_PAGE = 64 };

/* 32 activations: x = d * q; sum[h] = the sum of values 16 h to 16 h + 15 of q. A block with a value that is not finite has d = NaN, q = 0.
 * The sums follow in each form that a kernel takes straight from memory: what accumulators start at, and factors of minimums. One cache line. */
struct act8 {
    int8_t  q[KERNEL_BLOCK];
    float   d;
    int16_t sum[2];
    int32_t minus8, minus128; /* -8 and -128 times the sum of all */
    float   total, half[2];   /* the sum of all; sum[h] */
    int32_t unused;           /* 0 */
};
static_assert(sizeof(struct act8) == KERNEL_LINE, "one cache line");

/* Fills what follows from sum[]. */
static inline void act8_sums(struct act8 *a)
{
    int all = a->sum[0] + a->sum[1];
    a->minus8 = -8 * all;
    a->minus128 = -128 * all;
    a->total = (float)all;
    a->half[0] = a->sum[0];
    a->half[1] = a->sum[1];
    a->unused = 0;
}

/* y[c][r] = sum over k of w[r][k] * x[c][k] (+ bias[r]), for c < n and the rows that the call names (a multiple of PANEL first). */
struct kernel_matmul {
    float       *y;        /* (n, >= n_out) */
    size_t       y_stride; /* floats between the rows of y */
    const void  *w;        /* panels (types with blocks), or rows of n_in values (F32, F16, BF16) */
    const void  *x;        /* for panels: struct act8 (n, n_in / 32); F16 and BF16 at level amx: pairs (below); else float (n, n_in) */
    const float *bias;     /* (n_out) or NULL */
    int          n, n_in, n_out;
};

/* Inputs in bf16 for the tiles of AMX: columns 16 t to 16 t + 15 (fewer in the last tile) one after the other, each tile twice (pairs of inputs,
 * columns, 2), padded with zeros to whole blocks of 32 inputs: first x rounded to bf16, then what that leaves, again to bf16. */
static inline size_t kernel_pairs(size_t n_in) /* pairs of one column */
{
    return (n_in + KERNEL_BLOCK - 1) / KERNEL_BLOCK * (KERNEL_BLOCK / 2);
}

/* Attention of n_q query rows over one page for one KV head, as one step of an online softmax. Positions lo[i] .. hi[i] - 1 of the
 * page count for row i (none when hi <= lo: the row is left alone). State of a row, before its first page: max -INFINITY, sum 0, out 0.
 * After its last page the answer is out / sum. */
struct kernel_attn {
    const float *q;  /* (n_q, head_dim), already multiplied by the scale */
    const void  *k;  /* (head_dim, KERNEL_KV_PAGE): transposed, so that neighbouring positions are neighbours */
    const void  *v;  /* (KERNEL_KV_PAGE, head_dim) */
    const void  *next; /* K of the next page, read ahead, or NULL */
    const int   *lo, *hi;
    float       *max, *sum; /* (n_q) */
    float       *out;       /* (n_q, head_dim) */
    int          n_q, head_dim; /* n_q <= KERNEL_ATTN_MAX */
};
enum { KERNEL_ATTN_MAX = 64, KERNEL_HEAD_MAX = 1024, KERNEL_KV_GROUP = 4 };

/* Queries for 8-bit KV (kv8.h): turned, then d * q with integers q = 256 hi + lo. */
struct kernel_query8 {
    int16_t *q;        /* (n, stride), zeros behind head_dim */
    int8_t  *hi, *lo;  /* (n, stride) */
    float   *d;        /* (n) */
    int32_t *sum;      /* (n) of q */
    size_t   stride;   /* kv8_query_stride(head_dim) */
};

/* Attention of n_q query rows over a group of n_pages pages of 8-bit KV of one head, as one step of an online softmax in powers of two. Row r
 * has positions lo[r] .. hi[r] - 1 of the group. With s[j] = q.d * K.d[j] * (sum of q * (code - 128)), w[j] = 2^(s[j] - the largest s) * V.d[j] and
 * t the largest w: the values' sum is t / 32639 * sum of round(32639 w[j] / t) * (code - 128). It joins out as a page does above. */
struct kernel_attn8 {
    struct kernel_query8 q; /* made with the scale 1/sqrt(head_dim) * log2(e) */
    const void *const   *pages; /* (n_pages) K of the head in each, V behind it */
    int                  n_ahead; /* pages of the next group, which stand behind these: read ahead */
    const int           *lo, *hi;
    float               *max, *sum; /* (n_q) */
    float               *out;       /* (n_q, head_dim), turned */
    int                  n_q, n_pages, head_dim; /* n_pages <= KERNEL_KV_GROUP */
};

/* Families of kernels. */
typedef void kernel_quantize_fn(struct act8 *out, const float *x, size_t n_blocks);
typedef void kernel_pairs_fn(bf16 *out, const float *x, int n, size_t n_in); /* x (n, n_in) to nearest even; NaN stays NaN */
typedef void kernel_matmul_fn(const struct kernel_matmul *m, int row0, int row1);
typedef void kernel_attn_fn(const struct kernel_attn *a);
typedef void kernel_attn8_fn(const struct kernel_attn8 *a);
typedef void kernel_query8_fn(const struct kernel_query8 *out, const float *q, float scale, size_t n, size_t head_dim); /* d of out: times scale */
typedef void kernel_store8_fn(void *k, size_t slot, const float *key, const float *value, size_t head_dim); /* one position of one head */
typedef void kernel_turn8_fn(float *x, size_t n, size_t head_dim); /* rows, there or back */
typedef void kernel_norm_fn(float *y, const float *x, const float *gain, float eps, size_t n);
typedef void kernel_add_fn(float *a, const float *b, size_t n);
typedef void kernel_swiglu_fn(float *y, const float *gate, const float *up, size_t n);
typedef void kernel_rope_fn(float *x, const float *cos, const float *sin, int n_heads, int head_dim, int n_rot);
typedef void kernel_to_f16_fn(f16 *out, const float *x, size_t n); /* saturates at +-65504; NaN stays NaN */

enum kernel_level { KERNEL_scalar, KERNEL_avx2, KERNEL_avx512, KERNEL_amx, KERNEL_LEVELS };

/* One pointer for each operation, and the level that it came from. */
struct kernel_table {
#define KERNEL(op, family, level, tolerance) KERNEL_FIELD_##level(op, family)
#define KERNEL_FIELD_scalar(op, family)      kernel_##family##_fn *op;
#define KERNEL_FIELD_avx2(op, family)
#define KERNEL_FIELD_avx512(op, family)
#define KERNEL_FIELD_amx(op, family)
#include "kernel/kernel.def"
#undef KERNEL
#undef KERNEL_FIELD_scalar
#define KERNEL_FIELD_scalar(op, family) enum kernel_level op##_level;
#define KERNEL(op, family, level, tolerance) KERNEL_FIELD_##level(op, family)
#include "kernel/kernel.def"
#undef KERNEL
#undef KERNEL_FIELD_scalar
#undef KERNEL_FIELD_avx2
#undef KERNEL_FIELD_avx512
#undef KERNEL_FIELD_amx
    enum kernel_level level; /* the best level that is in use */
};

#define KERNEL(op, family, level, tolerance) kernel_##family##_fn op##_##level;
#include "kernel/kernel.def"
#undef KERNEL

const char *kernel_level_name(enum kernel_level l);
/* The number of the level called `name`; -1 when there is none. */
int kernel_level_find(const char *name);
/* Whether this CPU (and its operating system) can run kernels of level l. */
bool kernel_cpu_has(enum kernel_level l);
/* What the CPU calls itself, e.g. "AMD EPYC 9354"; at most 48 bytes and a NUL. */
void kernel_cpu_name(char out[49]);
/* Fills t: scalar, overridden by each level up to `mask` that the CPU has. */
void kernel_table_init(struct kernel_table *t, enum kernel_level mask);
