/* The usage explorer: metrics by groups and periods, of any time zone, down to the requests. Served by the cubes (cube.h): whole days and hours are
 * cells; what a border cuts an hour into is read from the rows, so that every border is exact. [wait] on a read-only connection. */
#pragma once
#include "base/zone.h"
#include "ledger/ledger.h"

enum { USAGE_ROWS_MAX = 100000, USAGE_CURSOR_MAX = 128 };

struct usage_filter {
    const char *account, *model; /* NULL: all; model: the alias */
    int64_t since_us, until_us;  /* when requests ended and refunds were made: since <= t < until; until 0: no end */
    /* What makes a row: at most three of account, project, key, model, revision, scope, price, and at most one of hour, day, week, month, with
     * commas: "model,day"; or "request": the requests themselves; or "total". NULL: "day" */
    const char *group;
    uint32_t limit;                    /* 0: 10,000 rows */
    const char *project, *key, *scope; /* NULL: all; project goes with account, key: its public id */
    const char *metrics;               /* "requests,cost"; NULL: all. Not of requests */
    const char *tz;                    /* of the periods: zone.h */
    const char *after;                 /* the cursor that a page before gave */
};
/* Beside the rows: the sums of all pages (an object; may be NULL), and where the next page begins ("": there is none). */
struct usage_page {
    struct buf *total;
    char next[USAGE_CURSOR_MAX];
};
/* Rows of the newest period first, within it by name; requests: the newest first. An array of flat objects. page may be NULL. */
int ledger_report_usage(struct ledger *l, const struct usage_filter *f, struct buf *out, struct err *e) MUST_USE;
int ledger_usage_page(struct ledger *l, const struct usage_filter *f, struct usage_page *page, struct buf *out, struct err *e) MUST_USE;
