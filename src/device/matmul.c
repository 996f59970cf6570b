/* Matrix products: the input is quantised once, then each worker computes its own rows of every matrix, in blocks of columns that stay
 * in its cache. */
#include "device/device_int.h"
#include "base/mem.h"
#include <stdatomic.h>

/* Rows of the input that are quantised at once, and how many bytes of them a worker goes through before it takes the next: what leaves the
 * second-level cache room for the weights, but for COLUMNS_MIN rows (a panel taken apart shall serve many) up to what just fits beside them. */
enum { COLUMNS_MAX = 512, COLUMN_BYTES = 256 << 10, COLUMN_BYTES_MAX = 640 << 10, PAIR_BYTES = 2 << 20, COLUMNS_STEP = 16, COLUMNS_MIN = 64 };
/* Of a product of that many multiplications each worker's last quarter is cut into pieces for whoever is done first: a CPU that is interrupted keeps
 * the others waiting for a piece of it. */
enum { PIECES = 4 };
#define WORTH_PIECES 3e7

struct job {
    struct device           *d;
    const struct matmul_out *o;
    int                      n_o, n;
    const float             *x;
    size_t                   n_in, x_row; /* x_row: the first of the n rows in this round */
    bool                     pieces;
    atomic_int               next; /* piece that nobody has taken */
};

kernel_matmul_fn *matmul_kernel(const struct device *d, uint32_t type)
{
    switch (type) {
#define QUANT_FLOAT(name, op, id, blk, bytes)                           case id: return d->k.matmul_##op;
#define QUANT_BLOCK(name, op, id, blk, bytes, bits, zero, group, min, values) case id: return d->k.matmul_##op;
#include "quant/quant.def"
#undef QUANT_FLOAT
#undef QUANT_BLOCK
    default: return NULL; /* weight_new takes no other type */
    }
}

static void quantize_share(void *arg, int worker, int n_workers)
{
    struct job *j = arg;
    size_t from = share_start((size_t)j->n, worker, n_workers), to = share_start((size_t)j->n, worker + 1, n_workers), nb = j->n_in / KERNEL_BLOCK;
    j->d->k.quantize(j->d->act + from * nb, j->x + (j->x_row + from) * j->n_in, (to - from) * nb);
}

/* Whether the kernel of a type of plain values takes its inputs in pairs of bf16. */
static bool takes_pairs(const struct device *d, uint32_t type)
{
    switch (type) {
#define QUANT_FLOAT(name, op, id, blk, bytes)                           case id: return d->k.matmul_##op##_level == KERNEL_amx;
#define QUANT_BLOCK(name, op, id, blk, bytes, bits, zero, group, min, values)
#include "quant/quant.def"
#undef QUANT_FLOAT
#undef QUANT_BLOCK
    default: return false;
    }
}

static void pairs_share(void *arg, int worker, int n_workers)
{
    struct job *j = arg;
    size_t      tiles = ((size_t)j->n + KERNEL_PANEL - 1) / KERNEL_PANEL, tile = 2 * kernel_pairs(j->n_in) * 2 * KERNEL_PANEL;
    size_t      from = share_start(tiles, worker, n_workers), to = share_start(tiles, worker + 1, n_workers), c = from * KERNEL_PANEL;
    int         end = (int)(to * KERNEL_PANEL) < j->n ? (int)(to * KERNEL_PANEL) : j->n;
    if (from < to)
        j->d->k.pairs(j->d->pairs + from * tile, j->x + (j->x_row + c) * j->n_in, end - (int)c, j->n_in);
}

static int columns_at_once(size_t x_bytes, bool pairs)
{
    const int least = pairs ? 2 * COLUMNS_STEP : COLUMNS_STEP;
    int n = (int)((pairs ? PAIR_BYTES : COLUMN_BYTES) / x_bytes), most = (int)(COLUMN_BYTES_MAX / x_bytes);
    if (!pairs && n < COLUMNS_MIN)
        n = most < COLUMNS_MIN ? most : COLUMNS_MIN;
    return n < least ? least : n / COLUMNS_STEP * COLUMNS_STEP;
}

/* Rows row0 .. row1 - 1 of one matrix, for all columns of the round. */
static void rows(const struct job *j, const struct matmul_out *o, int row0, int row1)
{
    const struct weight *w = o->w;
    bool   packed = weight_is_packed(w), pairs = takes_pairs(j->d, w->type);
    size_t x_bytes = packed  ? j->n_in / KERNEL_BLOCK * sizeof(struct act8)
                     : pairs ? 2 * kernel_pairs(j->n_in) * 2 * sizeof(bf16)
                             : j->n_in * sizeof(float);
    const char *x = packed ? (const char *)j->d->act : pairs ? (const char *)j->d->pairs : (const char *)(j->x + j->x_row * j->n_in);
    int step = columns_at_once(x_bytes, pairs);
    for (int c = 0; c < j->n; c += step) {
        struct kernel_matmul m = {
            .y = o->y + (j->x_row + (size_t)c) * w->n_out, .y_stride = w->n_out, .w = w->data, .x = x + (size_t)c * x_bytes, .bias = o->bias,
            .n = j->n - c < step ? j->n - c : step, .n_in = (int)w->n_in, .n_out = (int)w->n_out};
        matmul_kernel(j->d, w->type)(&m, row0, row1);
    }
}

/* All matrices together are one long list of panels: panels [from, to) of it. */
static void panels(const struct job *j, size_t from, size_t to)
{
    size_t first = 0;
    for (int i = 0; i < j->n_o; i++) {
        size_t n_out = j->o[i].w->n_out, n = (n_out + KERNEL_PANEL - 1) / KERNEL_PANEL;
        size_t a = from > first ? from - first : 0, b = to > first ? to - first : 0;
        a = a < n ? a * KERNEL_PANEL : n_out;
        b = b < n ? b * KERNEL_PANEL : n_out;
        if (a < b)
            rows(j, &j->o[i], (int)a, (int)b);
        first += n;
    }
}

/* The panels of a worker, and where its last quarter begins: kernels take two panels at a time. */
static size_t own(size_t total, int worker, int n_workers, size_t *quarter, size_t *end)
{
    size_t from = share_start(total, worker, n_workers);
    *end = share_start(total, worker + 1, n_workers);
    *quarter = from + (*end - from) * 3 / 4 / 2 * 2;
    return from;
}

static void matmul_share(void *arg, int worker, int n_workers)
{
    struct job *j = arg;
    size_t total = 0, quarter, end;
    for (int i = 0; i < j->n_o; i++)
        total += (j->o[i].w->n_out + KERNEL_PANEL - 1) / KERNEL_PANEL;
    size_t from = own(total, worker, n_workers, &quarter, &end);
    panels(j, from, j->pieces ? quarter : end);
    for (int k; j->pieces && (k = atomic_fetch_add(&j->next, 1)) < PIECES * n_workers;) {
        own(total, k % n_workers, n_workers, &quarter, &end);
        size_t piece = ((end - quarter) / PIECES + 1) / 2 * 2, i = (size_t)(k / n_workers), a = quarter + i * piece;
        panels(j, a < end ? a : end, i == PIECES - 1 || a + piece > end ? end : a + piece);
    }
}

/* n rows of inputs for packed matrices; what is there stays when there is no memory. */
static bool act_reserve(struct device *d, size_t n, size_t n_in)
{
    const size_t blocks = n * (n_in / KERNEL_BLOCK);
    if (blocks <= d->act_max)
        return true;
    struct act8 *act = mem_array(blocks, sizeof *act);
    if (!act)
        return false;
    mem_free(d->act);
    d->act = act, d->act_max = blocks;
    return true;
}

static bool pairs_reserve(struct device *d, size_t n, size_t n_in)
{
    const size_t all = (n + KERNEL_PANEL - 1) / KERNEL_PANEL * KERNEL_PANEL * 2 * 2 * kernel_pairs(n_in);
    if (all <= d->pairs_max)
        return true;
    bf16 *pairs = mem_array(all, sizeof *pairs);
    if (!pairs)
        return false;
    mem_free(d->pairs);
    d->pairs = pairs, d->pairs_max = all;
    return true;
}

bool dev_matmul_reserve(struct device *d, const struct weight *w)
{
    return weight_is_packed(w) ? act_reserve(d, COLUMNS_MAX, w->n_in) : !takes_pairs(d, w->type) || pairs_reserve(d, COLUMNS_MAX, w->n_in);
}

void dev_matmul_many(struct device *d, const struct matmul_out *o, int n_o, const float *x, int n)
{
    if (n_o == 0)
        return;
    struct job j = {.d = d, .o = o, .n_o = n_o, .x = x, .n_in = o[0].w->n_in};
    bool   quantize = false, pairs = false;
    double out = 0;
    for (int i = 0; i < n_o; i++) {
        ASSERT(o[i].w->n_in == j.n_in);
        quantize = quantize || weight_is_packed(o[i].w);
        pairs = pairs || takes_pairs(d, o[i].w->type);
        out += o[i].w->n_out;
    }
    for (int c = 0; c < n; c += COLUMNS_MAX) {
        j.n = n - c < COLUMNS_MAX ? n - c : COLUMNS_MAX;
        j.x_row = (size_t)c;
        if (quantize) {
            ASSERT(act_reserve(d, (size_t)j.n, j.n_in)); /* a few megabytes: COLUMNS_MAX rows of the widest matrix */
            device_run(d, (double)j.n * (double)j.n_in, quantize_share, &j);
        }
        if (pairs) {
            ASSERT(pairs_reserve(d, (size_t)j.n, j.n_in));
            device_run(d, (double)j.n * (double)j.n_in, pairs_share, &j);
        }
        j.pieces = j.n > 2 && out * (double)j.n_in * j.n > WORTH_PIECES; /* one or two rows wait for memory */
        atomic_store(&j.next, 0);
        device_run(d, out * (double)j.n_in * j.n / 8, matmul_share, &j);
    }
}

void dev_matmul(struct device *d, float *y, const struct weight *w, const float *bias, const float *x, int n)
{
    struct matmul_out o = {y, w, bias};
    dev_matmul_many(d, &o, 1, x, n);
}
