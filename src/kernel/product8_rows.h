/* product8 for a level whose registers hold the sums of four rows: its kv8.c includes this behind its rows8(m, row, n_r, first), which computes n_r
 * rows and, when they are the first, reads ahead. */
#pragma once
#include "kernel/product8.h"

static void product8(const struct product8 *m)
{
    size_t r = 0;
    switch (m->n % 4) { /* the odd rows first: they read ahead */
    case 0: rows8(m, r, 4, true), r = 4; break;
    case 3: rows8(m, r, 3, true), r = 3; break;
    case 2: rows8(m, r, 2, true), r = 2; break;
    default: rows8(m, r, 1, true), r = 1;
    }
    for (; r < m->n; r += 4)
        rows8(m, r, 4, false);
}
