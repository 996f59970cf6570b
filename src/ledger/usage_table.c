/* Cells of the usage explorer, added up in rows. */
#include "ledger/usage_read.h"

#include <string.h>

static bool row_same(const struct usage_row *a, const struct usage_row *b)
{
    return memcmp(a, b, offsetof(struct usage_row, sum)) == 0;
}

/* The slot of the row, or the free one where it belongs. Ids are ours: nobody can choose them to collide. */
static uint32_t *slot_of(struct usage_table *t, const struct usage_row *r)
{
    uint64_t h = (uint64_t)r->from;
    for (int i = 0; i < USAGE_ROW_DIMS; i++)
        h = (h ^ h >> 29) * 0x9e3779b97f4a7c15 + (uint64_t)r->dim[i];
    h = (h ^ h >> 32) * 0xd6e8feb86659fd93;
    size_t at = (size_t)(h ^ h >> 32) & (t->n_index - 1);
    while (t->index[at] && !row_same(&t->rows.p[t->index[at] - 1], r))
        at = (at + 1) & (t->n_index - 1);
    return &t->index[at];
}

static bool index_grow(struct usage_table *t)
{
    if (2 * (t->rows.n + 1) <= t->n_index)
        return true;
    size_t n = t->n_index ? 2 * t->n_index : 1024;
    uint32_t *more = mem_array(n, sizeof *more);
    if (!more)
        return false;
    mem_free(t->index);
    t->index = more, t->n_index = n;
    for (size_t i = 0; i < t->rows.n; i++)
        *slot_of(t, &t->rows.p[i]) = (uint32_t)i + 1;
    return true;
}

static int row_new(struct usage_table *t, const struct usage_row *r, struct err *e)
{
    if (t->rows.n == USAGE_ROWS_MAX)
        return err_param(e, ERR_TOO_LARGE, "group", "ledger: the report has more than %d rows; narrow it, or group by less", USAGE_ROWS_MAX);
    if (!index_grow(t) || !vec_push(&t->rows, *r))
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a report");
    t->last = t->rows.n - 1;
    *slot_of(t, r) = (uint32_t)t->rows.n;
    return 0;
}

int usage_table_add(struct usage_table *t, const struct usage_row *r, const int64_t sums[CUBE_SUMS], struct err *e)
{
    if (!t->rows.n || !row_same(&t->rows.p[t->last], r)) { /* cells of one row mostly follow each other */
        uint32_t *slot = t->n_index ? slot_of(t, r) : NULL;
        if (slot && *slot)
            t->last = *slot - 1;
        else if (row_new(t, r, e) < 0)
            return -(int)e->code;
    }
    for (int k = 0; k < CUBE_SUMS; k++)
        t->rows.p[t->last].sum[k] += sums[k];
    return 0;
}

void usage_table_deinit(struct usage_table *t)
{
    mem_free(t->index);
    vec_deinit(&t->rows);
}
