/* The integer product of attn8_tile.h: out (n, 16 n_panels) = rows of a times panels (kv8.h draws them), over pages one behind the other: each
 * has n_panels panels of `quads` 64-byte vectors and meets the next 4 * quads values of a. */
#pragma once
#include "kernel/kv8.h"
#include <immintrin.h>

enum { ROWS8 = 16, SPAN = KERNEL_KV_GROUP * KERNEL_KV_PAGE, SUMS8 = ROWS8 * (KERNEL_HEAD_MAX > SPAN ? KERNEL_HEAD_MAX : SPAN) };

struct product8 {
    struct sums8 out;
    size_t ldo; /* values between rows of out */
    struct pieces a;
    size_t lda; /* and of a */
    const uint8_t *const *pages;
    const uint8_t *const *ahead; /* (n_pages) what is wanted when each page is done: read ahead; or NULL */
    unsigned ahead_of_4;         /* so many of each four lines of it: the softmax asks for the others */
    size_t n_pages, quads, n_panels, n;
};

/* Of each four lines, those that one pass over the pages asks for: the passes share them by the time they take. */
struct quarters {
    unsigned from, to;
};

static inline __attribute__((always_inline)) void product8_ahead(const struct product8 *m, size_t page, size_t panel, size_t quad,
                                                                 struct quarters mine)
{
    if (m->ahead && quad % 4 >= mine.from && quad % 4 < mine.to)
        _mm_prefetch((const char *)m->ahead[page] + (panel * m->quads + quad) * KV8_LINE, _MM_HINT_T0);
}
