/* Inside the usage explorer: what a filter says, and the cells that it covers (usage_read.c); usage.c makes rows of them. */
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
