/* The device: buffers and operations. cpu.c slices rows over the worker pool and calls kernels; a kernel knows neither threads nor
 * memory. All activations are float32, row major. Rows of a batch are independent: the result of a row does not depend on its neighbours.
 * One thread at a time drives a device (the engine's step thread, or a test). */
#pragma once
#include "base/err.h"
#include "quant/quant.h"

enum { DEVICE_THREADS_MAX = 1024 };
#define WEIGHT_DIM_MAX (1u << 28) /* rows, or columns, of a matrix */

struct device;
struct device_opts {
    int         n_threads; /* 0: all CPUs this process may use */
    const char *cpu_mask;  /* level to mask at: "scalar", "avx2", NULL: SLUICE_CPU, else the best */
};
int  device_new(struct device **out, const struct device_opts *o, struct err *e) MUST_USE;
void device_free(struct device *d);
int  device_threads(const struct device *d);
const char *device_level(const struct device *d); /* "avx2" */
/* For `sluice cpu`. Level i of the kernels and whether this CPU has it; NULL past the last. */
const char *device_cpu(int i, bool *has);
void        device_cpu_name(char out[49]); /* "AMD EPYC 9354", as the CPU calls itself */
/* fn(arg, worker, i) for every i below n, each by whichever worker is free: worker is below device_threads(d), and no two run as the same one. */
void device_each(struct device *d, void (*fn)(void *arg, int worker, int i), void *arg, int n);
/* The level of the kernel that operation i uses, and the operation's name; NULL past the last. */
const char *device_kernel(const struct device *d, int i, const char **op);

/* A weight matrix (n_out, n_in), packed for the kernels once; data as in the file, row major, n_in contiguous. The source may be unmapped
 * afterwards only when weight_owns_data says so (packed), else it must outlive the weight. */
struct weight;
int  weight_new(struct weight **out, struct device *d, uint32_t type, uint32_t n_out, uint32_t n_in, const void *data, struct err *e) MUST_USE;
void weight_free(struct weight *w);
bool weight_owns_data(const struct weight *w);
uint64_t weight_packed_bytes(const struct weight *w); /* 0: not packed */
uint32_t weight_out(const struct weight *w);
uint32_t weight_in(const struct weight *w);

/* y (n, n_out) = x (n, n_in) * W^T [+ bias (n_out) when not NULL] */
void dev_matmul(struct device *d, float *y, const struct weight *w, const float *bias, const float *x, int n);
/* Takes the memory that products of w, or attention of heads so wide, need beside their operands; they take it themselves where this was not called,
 * and cannot say that there is none. False: there is none. */
bool dev_matmul_reserve(struct device *d, const struct weight *w) MUST_USE;
bool dev_attention_reserve(struct device *d, int head_dim) MUST_USE;
/* Several matrices on the same input (q, k, v; gate and up): x is quantised once. */
struct matmul_out { float *y; const struct weight *w; const float *bias; };
void dev_matmul_many(struct device *d, const struct matmul_out *o, int n_o, const float *x, int n);

/* Screening of a big matrix (screen.c): its largest outputs without reading all of it. w must outlive it. *out is NULL for a type that cannot be
 * screened; takes 22/34 of w's memory. */
struct screen;
enum { SCREEN_ROWS_MAX = 2, SCREEN_TOP_MAX = 64 };
int  screen_new(struct screen **out, struct device *d, const struct weight *w, struct err *e) MUST_USE;
void screen_free(struct screen *s);
/* What is wanted of the first n_rows outputs: the k largest and their ties (0: not asked for), and all that are at most `below` under the largest
 * (negative: not asked for). One of both at least. */
struct matmul_top { uint32_t k, n_rows; float below; };
/* As dev_matmul, n at most SCREEN_ROWS_MAX: every output that is wanted has the bits of dev_matmul, and every other one has too or is minus infinity.
 * False: nothing was left out, since that would not have paid. */
bool dev_matmul_top(struct device *d, float *y, struct screen *s, const float *x, int n, const struct matmul_top *top);
/* y (n, n_in) = rows `token[i]` of the embedding matrix w */
void dev_embed(struct device *d, float *y, const struct weight *w, const int32_t *token, int n);
/* y = x / rms(x) * gain, per row of width n_cols; y may be x */
void dev_rmsnorm(struct device *d, float *y, const float *x, const float *gain, float eps, int n, int n_cols);
/* a += b, n values */
void dev_add(struct device *d, float *a, const float *b, size_t n);
/* y = silu(gate) * up, n values; y may be gate */
void dev_swiglu(struct device *d, float *y, const float *gate, const float *up, size_t n);
/* a (n, n_cols) *= by (n), per row */
void dev_scale_rows(struct device *d, float *a, const float *by, int n, int n_cols);
/* Angles of rotation for n rows: cos, sin (n, half) of pos[i] * freqs[i][j], times scale. freqs[i] are the (half) inverse frequencies of row i.
 * Products and cosines are in double: an angle of 100,000 would be off by 4e-3 in float. */
void dev_rope_angles(struct device *d, float *cos, float *sin, const int32_t *pos, const double *const *freqs, double scale, int n, int half);
/* Rotates the first n_rot values of each head of x (n, n_heads, head_dim) in place by the angles whose cos and sin (n, n_rot / 2) are given. */
enum rope_pairs { ROPE_NORM /* pairs 2i, 2i+1 */, ROPE_NEOX /* pairs i, i + n_rot/2 */ };
void dev_rope(struct device *d, float *x, const float *cos, const float *sin, enum rope_pairs pairs, int n, int n_heads, int head_dim,
              int n_rot);

/* Paged KV. A page holds KV_PAGE positions of every layer of one model, layers one after the other, with as many KV heads as each has; one
 * head: K (head_dim, KV_PAGE), transposed, then V (KV_PAGE, head_dim), as float16 (KV_F16, saturating at +-65504), bfloat16 (KV_BF16) or float32
 * (KV_F32, for exactness tests), or in 8 bits with a scale a row (KV_Q8, drawn in kernel/kv8.h). Only dev_kv_store and dev_attention look
 * inside; a page may be copied as a whole. Start 64-byte aligned. */
enum { KV_PAGE = 64, KV_GROUP = 4 /* pages that attention takes together, at most */ };
enum kv_type { KV_F16, KV_F32, KV_BF16, KV_Q8 };
#define KV_TYPES "f16, bf16, q8, f32"
int kv_type_find(const char *name); /* -1: there is none of this name */
struct kv_shape {
    int             n_layers, n_kv_heads, head_dim;
    enum kv_type    type;
    const uint32_t *heads_before; /* (n_layers + 1) KV heads in the layers before this one; NULL: n_kv_heads in each */
};
size_t kv_page_bytes(const struct kv_shape *s);
/* One sequence in a batch: its rows are row0 .. row0 + n_rows - 1, at positions pos0 .. ; pages[i] holds positions 64 i .. 64 i + 63. */
struct kv_seq { int row0, n_rows, pos0; void *const *pages; };
/* The first page that dev_attention looks into for a row at `pos` with such a window; 0: none, all pages. Pages before it may be missing. */
int kv_first_page(const struct kv_shape *s, int pos, int window);
/* Writes k, v (n, kv_heads of the layer, head_dim) of every sequence's rows into its pages. */
void dev_kv_store(struct device *d, const struct kv_shape *s, int layer, const struct kv_seq *seqs, int n_seqs, const float *k, const float *v);
/* out (n, n_heads, head_dim): causal attention of q (n, n_heads, head_dim) over each row's own sequence, positions 0 .. its own;
 * window > 0 limits it to the last `window` positions. scale is 1/sqrt(head_dim). */
void dev_attention(struct device *d, float *out, const float *q, const struct kv_shape *s, int layer, const struct kv_seq *seqs, int n_seqs,
                   int n_heads, float scale, int window);
