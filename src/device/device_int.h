/* Private to src/device. */
#pragma once
#include "device/device.h"
#include "device/pool.h"
#include "base/thread.h"
#include "kernel/kernel.h"

struct slab;

/* Memory of one worker, for attention: KERNEL_ATTN_MAX query rows and their state. */
struct device_lane {
    float *q, *out; /* (KERNEL_ATTN_MAX, head_dim) */
};

struct device {
    struct pool *pool;
    struct kernel_table k;
    struct act8 *act; /* the quantised input of a matmul: act_max blocks */
    size_t act_max;
    struct device_lane *lanes; /* one a worker */
    int lane_head_dim;
    struct mutex slabs_mutex; /* weights may be made by another thread than the one that drives the device */
    struct slab *slabs;
};

struct weight {
    struct device *device;
    uint32_t type, n_out, n_in;
    const void *data;  /* panels, or the caller's rows */
    size_t bytes;      /* of one panel, or of one row */
    struct slab *slab; /* NULL: the caller's data */
};
static inline bool weight_is_packed(const struct weight *w) { return w->slab != NULL; }

/* Memory for packed weights, in large pages; 64-byte aligned. The slab is given back when its last piece is. */
void *slab_get(struct device *d, struct slab **from, size_t n);
void slab_put(struct device *d, struct slab *s);

/* Splits n items evenly: the first item of share i of `shares`. */
static inline size_t share_start(size_t n, int i, int shares)
{
    return n / (size_t)shares * (size_t)i + n % (size_t)shares * (size_t)i / (size_t)shares;
}

/* Runs fn on all workers, or on the caller alone when the work (in operations) is too small to pay for waking them. */
void device_run(struct device *d, double work, pool_fn *fn, void *arg);
