/* Private to src/device. */
#pragma once
#include "device/device.h"
#include "device/pool.h"
#include "base/thread.h"
#include "kernel/kernel.h"
#include "kernel/panel.h"
#include <stdatomic.h>

struct slab;

/* Memory of one worker, for attention: a tile's query rows, their state in one segment of positions and in all before it. */
enum { DEVICE_TILE_MAX = 256 /* query rows */, DEVICE_TILES_EACH = 4 /* tiles for each worker, at least, where there are enough rows */ };
struct device_lane {
    float *q, *out, *all_out; /* (DEVICE_TILE_MAX, head_dim) */
    struct kernel_query8 query;
    float max[DEVICE_TILE_MAX], sum[DEVICE_TILE_MAX], all_max[DEVICE_TILE_MAX], all_sum[DEVICE_TILE_MAX], query_d[DEVICE_TILE_MAX];
    int32_t query_sum[DEVICE_TILE_MAX];
};

struct device {
    struct pool *pool;
    struct kernel_table k;
    struct act8 *act; /* the quantised input of a matmul: act_max blocks */
    size_t act_max;
    bf16 *pairs; /* the input of a matmul in bf16: pairs_max values */
    size_t pairs_max;
    struct device_lane *lanes; /* one a worker */
    int lane_head_dim;
    float *parts; /* results of segments of tiles that several workers share: parts_max */
    size_t parts_max;
    atomic_int *parts_done; /* (TILES_EACH * threads) segments that are there, of each tile */
    struct mutex slabs_mutex; /* weights may be made by another thread than the one that drives the device */
    struct slab *slabs;
};

struct weight {
    struct device *device;
    uint32_t type, n_out, n_in;
    const void *data;  /* panels, or the caller's rows */
    size_t bytes;      /* of one panel, or of one row */
    struct slab *slab;     /* of its panels, or NULL ... */
    struct packed *kept;   /* ... or the file that has them, or NULL: the caller's data */
};
static inline bool weight_is_packed(const struct weight *w) { return w->slab || w->kept; }
size_t weight_panel_bytes(const struct weight *w); /* of all panels of a packed one */

/* pack.c: n rows of blocks into a panel of zeros; false: as kernel_panel_put says. */
bool pack_rows(uint32_t type, uint8_t *panel, struct kernel_panel at, const uint8_t *from, size_t n, size_t blocks, size_t bytes);

/* packed.c: the panels of matrix id, of so many bytes, which then keep p mapped; NULL: it has none for w. */
struct packed;
const void *packed_take(struct packed *p, uint64_t id, const struct weight *w, size_t bytes);

/* Memory for packed weights, in large pages; 64-byte aligned. The slab is given back when its last piece is. */
void *slab_get(struct device *d, struct slab **from, size_t n);
void slab_put(struct device *d, struct slab *s);

kernel_matmul_fn *matmul_kernel(const struct device *d, uint32_t type);

/* Splits n items evenly: the first item of share i of `shares`. */
static inline size_t share_start(size_t n, int i, int shares)
{
    return n / (size_t)shares * (size_t)i + n % (size_t)shares * (size_t)i / (size_t)shares;
}

/* Runs fn on all workers, or on the caller alone when the work (in operations) is too small to pay for waking them. */
void device_run(struct device *d, double work, pool_fn *fn, void *arg);
