/* Cubes: sums of usage and refunds by hour and by day, kept by the transaction that writes the rows. Within a batch they are collected here, one
 * delta a row, and become one statement for each cell that was touched. Ledger thread. schema_5.sql has the tables. */
#pragma once
#include "base/err.h"
#include "base/vec.h"
#include <stdint.h>

struct ledger;
#define CUBE_HOUR_US 3600000000ll
#define CUBE_DAY_US  86400000000ll
enum cube_level { CUBE_HOUR, CUBE_DAY }; /* slots are hours since 1970 at both; of a day its first one */

enum cube_sum {
    CUBE_REQUESTS,
    CUBE_ERRORS,
    CUBE_INPUT,
    CUBE_CACHE_READ,
    CUBE_CACHE_WRITE,
    CUBE_OUTPUT,
    CUBE_REASONING,
    CUBE_ACCEPTED_DRAFT,
    CUBE_LIST,
    CUBE_CONTRACTED,
    CUBE_CHARGED,
    CUBE_REFUNDED,
    CUBE_SUMS
};
extern const char *const cube_sum_names[CUBE_SUMS];
/* Their columns in the order of the enum, of the table or its alias t with a point: "". */
#define CUBE_COLUMNS(t)                                                                                                                              \
    t "requests, " t "errors, " t "input, " t "cache_read, " t "cache_write, " t "output, " t "reasoning, " t "accepted_draft, " t "list, " t        \
      "contracted, " t "charged, " t "refunded"

struct cube_cell {
    int64_t slot, org, project, key, model, price, scope; /* compared in this order; scope: enum scope */
    int64_t sum[CUBE_SUMS];
};
struct grant_cell {
    int64_t grant, day, project, model, scope;
    int64_t spent, refunded;
};
struct cubes {
    struct VEC(struct cube_cell) cells;
    struct VEC(struct grant_cell) grants;
};

void cubes_clear(struct cubes *c);
void cubes_deinit(struct cubes *c);
int cube_add(struct cubes *c, const struct cube_cell *delta, struct err *e) MUST_USE;
int cube_add_grant(struct cubes *c, const struct grant_cell *delta, struct err *e) MUST_USE;
int cubes_write(struct ledger *l, struct err *e) MUST_USE; /* what this batch has collected, into the store */
