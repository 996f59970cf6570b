/* Inside the usage explorer: what a filter says, and the cells that it covers (usage_read.c); usage.c and usage_buckets.c make rows of them
 * (usage_table.c). */
#pragma once
#include "ledger/report_int.h"
#include "ledger/usage.h"

enum usage_dim { DIM_ACCOUNT, DIM_PROJECT, DIM_KEY, DIM_MODEL, DIM_REVISION, DIM_SCOPE, DIM_PRICE, DIM_COUNT };
enum { USAGE_GROUPS_MAX = 3 };
extern const char *const usage_dim_names[DIM_COUNT];

/* One bucket of time: rows of the answer are counted in it. UTC, microseconds. */
struct usage_bucket {
    int64_t from, to;
};
struct usage_scan {
    struct ledger *l;
    const struct usage_filter *f;
    struct zone zone;
    enum calendar period;
    int64_t step_us; /* instead of a period: a bucket ends where a multiple of it is; a divisor or a multiple of an hour; 0: none */
    enum usage_dim dim[USAGE_GROUPS_MAX];
    size_t n_dims;
    int64_t org, project, key; /* 0: all */
    const char *scope;
    struct VEC(struct usage_bucket) buckets; /* rising, next to each other */
    size_t last;                             /* the bucket of the last cell */
    struct VEC(int64_t) first_of;            /* by model id: the first model id of its alias */
    int64_t model;                           /* the first of the alias that is asked for; 0: all; -1: there is none */
    int (*cell)(void *arg, size_t bucket, const int64_t dims[DIM_COUNT], const int64_t sums[CUBE_SUMS], struct err *e);
    void *arg;
};
int usage_group_read(struct usage_scan *u, struct err *e) MUST_USE; /* f->group */
int usage_scan_run(struct usage_scan *u, struct err *e) MUST_USE;   /* in a report; calls cell for each cell or row */
void usage_scan_deinit(struct usage_scan *u);

/* Rows, each found by its bucket and groups: cells are added up in them. */
enum { USAGE_ROW_DIMS = 4 };
struct usage_row {
    int64_t from; /* of its bucket */
    int64_t dim[USAGE_ROW_DIMS];
    int64_t sum[CUBE_SUMS];
};
struct usage_table {
    struct VEC(struct usage_row) rows;
    uint32_t *index;      /* of rows, by from and dims: 1 + their place; a power of two of slots, at most half of them taken */
    size_t n_index, last; /* last: the row of the cell before */
};
/* Adds sums to the row that is as r is in all but its sums, which are 0 in r. */
int usage_table_add(struct usage_table *t, const struct usage_row *r, const int64_t sums[CUBE_SUMS], struct err *e) MUST_USE;
void usage_table_deinit(struct usage_table *t);
