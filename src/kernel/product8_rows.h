/* product8 for a level whose registers hold the sums of PASS8 (4 or 6) rows: its kv8.c includes this behind its rows8(m, row, n_r, mine), which
 * computes n_r rows and reads its quarters ahead. */
#pragma once
#include "kernel/product8.h"

static void product8(const struct product8 *m)
{
    const size_t odd = m->n % PASS8 ? m->n % PASS8 : PASS8, both = m->n < odd + PASS8 ? m->n : odd + PASS8;
    const struct quarters mine = {0, (unsigned)((m->ahead_of_4 * odd + both / 2) / both)}, others = {mine.to, m->ahead_of_4};
    switch (odd) {
#if PASS8 == 6
    case 6: rows8(m, 0, 6, mine); break;
    case 5: rows8(m, 0, 5, mine); break;
#endif
    case 4: rows8(m, 0, 4, mine); break;
    case 3: rows8(m, 0, 3, mine); break;
    case 2: rows8(m, 0, 2, mine); break;
    default: rows8(m, 0, 1, mine);
    }
    for (size_t r = odd; r < m->n; r += PASS8)
        rows8(m, r, PASS8, r == odd ? others : (struct quarters){0, 0});
}
