/* One statement for each cell that a batch has touched, in the order of the cells, so that two writers never wait for each other crosswise. */
#include "ledger/ledger_int.h"

#include <stdlib.h>
#include <string.h>

const char *const cube_sum_names[CUBE_SUMS] = {"requests",  "errors",         "input", "cache_read", "cache_write", "output",
                                               "reasoning", "accepted_draft", "list",  "contracted", "charged",     "refunded"};

void cubes_clear(struct cubes *c)
{
    c->cells.n = c->grants.n = 0;
}

void cubes_deinit(struct cubes *c)
{
    vec_deinit(&c->cells);
    vec_deinit(&c->grants);
}

int cube_add(struct cubes *c, const struct cube_cell *delta, struct err *e)
{
    return vec_push(&c->cells, *delta) ? 0 : err_set(e, ERR_NO_MEMORY, "ledger: no memory for the cube of usage");
}

int cube_add_grant(struct cubes *c, const struct grant_cell *delta, struct err *e)
{
    return vec_push(&c->grants, *delta) ? 0 : err_set(e, ERR_NO_MEMORY, "ledger: no memory for the cube of grants");
}

/* ---- merging ---- */

/* Both kinds of cell begin with the int64 that are their key. */
enum { CELL_KEYS = offsetof(struct cube_cell, sum) / sizeof(int64_t), GRANT_KEYS = offsetof(struct grant_cell, spent) / sizeof(int64_t) };

static int keys_compare(const void *a, const void *b, size_t n)
{
    const int64_t *x = a, *y = b;
    for (size_t i = 0; i < n; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

static int by_cell(const void *a, const void *b)
{
    return keys_compare(a, b, CELL_KEYS);
}
static int by_grant(const void *a, const void *b)
{
    return keys_compare(a, b, GRANT_KEYS);
}

static void cells_merge(struct cubes *c)
{
    size_t n = 0;
    if (c->cells.n)
        qsort(c->cells.p, c->cells.n, sizeof *c->cells.p, by_cell);
    for (size_t i = 0; i < c->cells.n; i++) {
        if (n && by_cell(&c->cells.p[n - 1], &c->cells.p[i]) == 0)
            for (int k = 0; k < CUBE_SUMS; k++)
                c->cells.p[n - 1].sum[k] += c->cells.p[i].sum[k];
        else
            c->cells.p[n++] = c->cells.p[i];
    }
    c->cells.n = n;
}

static void grants_merge(struct cubes *c)
{
    size_t n = 0;
    if (c->grants.n)
        qsort(c->grants.p, c->grants.n, sizeof *c->grants.p, by_grant);
    for (size_t i = 0; i < c->grants.n; i++) {
        if (n && by_grant(&c->grants.p[n - 1], &c->grants.p[i]) == 0) {
            c->grants.p[n - 1].spent += c->grants.p[i].spent;
            c->grants.p[n - 1].refunded += c->grants.p[i].refunded;
        } else {
            c->grants.p[n++] = c->grants.p[i];
        }
    }
    c->grants.n = n;
}

/* ---- writing ---- */

static int cell_write(struct ledger *l, enum cube_level level, const struct cube_cell *c, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db,
                      SQL("INSERT INTO usage_cube (level, slot, org_id, project_id, key_id, model_id, price_id, scope, " CUBE_COLUMNS(
                          "") ") "
                              "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20) "
                              "ON CONFLICT (level, slot, org_id, project_id, key_id, model_id, price_id, scope) DO UPDATE SET "
                              "requests = usage_cube.requests + excluded.requests, errors = usage_cube.errors + excluded.errors, "
                              "input = usage_cube.input + excluded.input, cache_read = usage_cube.cache_read + excluded.cache_read, "
                              "cache_write = usage_cube.cache_write + excluded.cache_write, output = usage_cube.output + excluded.output, "
                              "reasoning = usage_cube.reasoning + excluded.reasoning, "
                              "accepted_draft = usage_cube.accepted_draft + excluded.accepted_draft, list = usage_cube.list + excluded.list, "
                          "contracted = usage_cube.contracted + excluded.contracted, "
                              "charged = usage_cube.charged + excluded.charged, refunded = usage_cube.refunded + excluded.refunded"),
                      e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, level), stmt_i64(s, 2, c->slot), stmt_i64(s, 3, c->org), stmt_i64(s, 4, c->project), stmt_i64(s, 5, c->key);
    stmt_i64(s, 6, c->model), stmt_i64(s, 7, c->price), stmt_text(s, 8, scope_names[c->scope]);
    for (int k = 0; k < CUBE_SUMS; k++)
        stmt_i64(s, 9 + k, c->sum[k]);
    return stmt_run(s, e);
}

static int grant_write(struct ledger *l, const struct grant_cell *c, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db,
                      SQL("INSERT INTO grant_cube (grant_id, day, project_id, model_id, scope, spent, refunded) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) "
                          "ON CONFLICT (grant_id, day, project_id, model_id, scope) DO UPDATE SET spent = grant_cube.spent + excluded.spent, "
                          "refunded = grant_cube.refunded + excluded.refunded"),
                      e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, c->grant), stmt_i64(s, 2, c->day), stmt_i64(s, 3, c->project), stmt_i64(s, 4, c->model);
    stmt_text(s, 5, scope_names[c->scope]), stmt_i64(s, 6, c->spent), stmt_i64(s, 7, c->refunded);
    return stmt_run(s, e);
}

static int level_write(struct ledger *l, enum cube_level level, struct err *e)
{
    int rc = 0;
    cells_merge(&l->cubes);
    for (size_t i = 0; i < l->cubes.cells.n && rc == 0; i++)
        rc = cell_write(l, level, &l->cubes.cells.p[i], e);
    return rc;
}

int cubes_write(struct ledger *l, struct err *e)
{
    int rc = level_write(l, CUBE_HOUR, e);
    for (size_t i = 0; i < l->cubes.cells.n; i++)
        l->cubes.cells.p[i].slot -= l->cubes.cells.p[i].slot % 24;
    if (rc == 0)
        rc = level_write(l, CUBE_DAY, e);
    grants_merge(&l->cubes);
    for (size_t i = 0; i < l->cubes.grants.n && rc == 0; i++)
        rc = grant_write(l, &l->cubes.grants.p[i], e);
    cubes_clear(&l->cubes);
    return rc;
}
