/* Kernels: the inner loops of the engine, one folder for each instruction set. A kernel is stateless: it allocates nothing, starts no
 * threads, does no I/O and keeps no globals; it takes a range of rows and computes exactly those. src/device slices the rows and owns
 * the buffers. scalar/ is the executable specification (simple loops, double accumulators, never optimised); the other folders must
 * agree with it within the tolerance that kernel.def gives, which tests/check verifies for every pointer of every table.
 *
 * Every output element is computed by the same operations in the same order, however many columns or rows are asked for at once: a
 * row of a batch is bit-identical to the same row alone.
 *
 * Packed weights (Q4_0, Q8_0): PANEL = 16 rows are interleaved, so that one vector of 64 bytes holds 4 consecutive inputs of 16 rows
 * and the int32 lanes of a dot product are output rows. nb = n_in / 32 blocks. One panel is
 *
 *   f16 scale[nb][16]         padded with zeros to a multiple of 64 bytes
 *   Q4_0: uint8 q[nb][4][16][4]   byte [b][v][r][i] = low nibble: value 4v + i of block b of row r; high nibble: value 16 + 4v + i
 *   Q8_0: uint8 q[nb][8][16][4]   byte [b][v][r][i] = 128 + value 4v + i of block b of row r
 *
 * which is as many bytes as the file has. Rows past n_out in the last panel are zero. Activations are quantised per 32 to int8 with
 * the float scale and the sum of the quantised values: the sum turns the unsigned weights into signed ones (subtract 8 or 128 sums). */
#pragma once
#include "quant/quant.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KERNEL_PANEL = 16, KERNEL_BLOCK = 32, KERNEL_KV_PAGE = 64 };

/* 32 activations: x = d * q; sum = the sum of q. A block with a value that is not finite has d = NaN and q = 0. */
struct act8 {
    float   d;
    int32_t sum;
    int8_t  q[KERNEL_BLOCK];
};

static inline size_t kernel_panel_scales(size_t n_in) { return (n_in / KERNEL_BLOCK * 2 * KERNEL_PANEL + 63) / 64 * 64; }
static inline size_t kernel_panel_q4_0(size_t n_in) { return kernel_panel_scales(n_in) + n_in / 2 * KERNEL_PANEL; }
static inline size_t kernel_panel_q8_0(size_t n_in) { return kernel_panel_scales(n_in) + n_in * KERNEL_PANEL; }

/* y[c][r] = sum over k of w[r][k] * x[c][k] (+ bias[r]), for c < n and the rows that the call names (a multiple of PANEL first). */
struct kernel_matmul {
    float       *y;        /* (n, >= n_out) */
    size_t       y_stride; /* floats between the rows of y */
    const void  *w;        /* panels (Q4_0, Q8_0), or rows of n_in values (F32, F16, BF16) */
    const void  *x;        /* Q4_0, Q8_0: struct act8 (n, n_in / 32); else float (n, n_in) */
    const float *bias;     /* (n_out) or NULL */
    int          n, n_in, n_out;
};

/* Attention of n_q query rows over one page for one KV head, as one step of an online softmax. Positions lo[i] .. hi[i] - 1 of the
 * page count for row i (none when hi <= lo: the row is left alone). State of a row, before its first page: max -INFINITY, sum 0, out 0.
 * After its last page the answer is out / sum. */
struct kernel_attn {
    const float *q;  /* (n_q, head_dim), already multiplied by the scale */
    const void  *k;  /* (head_dim, KERNEL_KV_PAGE): transposed, so that neighbouring positions are neighbours */
    const void  *v;  /* (KERNEL_KV_PAGE, head_dim) */
    const int   *lo, *hi;
    float       *max, *sum; /* (n_q) */
    float       *out;       /* (n_q, head_dim) */
    int          n_q, head_dim; /* n_q <= KERNEL_ATTN_MAX */
};
enum { KERNEL_ATTN_MAX = 64 };

/* Families of kernels. */
typedef void kernel_quantize_fn(struct act8 *out, const float *x, size_t n_blocks);
typedef void kernel_matmul_fn(const struct kernel_matmul *m, int row0, int row1);
typedef void kernel_attn_fn(const struct kernel_attn *a);
typedef void kernel_norm_fn(float *y, const float *x, const float *gain, float eps, size_t n);
typedef void kernel_add_fn(float *a, const float *b, size_t n);
typedef void kernel_swiglu_fn(float *y, const float *gate, const float *up, size_t n);
typedef void kernel_rope_fn(float *x, const float *cos, const float *sin, int n_heads, int head_dim, int n_rot);
typedef void kernel_to_f16_fn(f16 *out, const float *x, size_t n); /* saturates at +-65504; NaN stays NaN */

enum kernel_level { KERNEL_scalar, KERNEL_avx2, KERNEL_avx512, KERNEL_LEVELS };

/* One pointer for each operation, and the level that it came from. */
struct kernel_table {
#define KERNEL(op, family, level, tolerance) KERNEL_FIELD_##level(op, family)
#define KERNEL_FIELD_scalar(op, family)      kernel_##family##_fn *op;
#define KERNEL_FIELD_avx2(op, family)
#define KERNEL_FIELD_avx512(op, family)
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
