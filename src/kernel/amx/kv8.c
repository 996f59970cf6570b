/* Attention over 8-bit KV in tile registers: 16 query rows by 16 outputs by 64 steps in one instruction, for each half of the 16-bit integers. A
 * panel is a tile as it lies; the sums are avx512's. */
#include "kernel/amx/tile_int.h"
#include "kernel/avx512/kv8_int.h"

/* Tiles 0 to 3: sums of both halves with two panels; 4, 5: the halves; 6, 7: the panels. */
static void tiles_for(size_t n)
{
    struct tile_config c = {.palette = 1};
    for (int t = 0; t < 8; t++)
        c.bytes[t] = 64, c.rows[t] = (uint8_t)(t < 6 ? n : 16);
    TILE_CONFIG(&c);
}

/* 64 steps of two panels (which may be the same one). */
INLINE void step8(const int8_t *hi, const int8_t *lo, size_t lda, const uint8_t *b0, const uint8_t *b1)
{
    TILE_LOAD(4, hi, lda);
    TILE_LOAD(6, b0, 64);
    TILE_DOT_INT8_UNSIGNED(0, 4, 6);
    TILE_LOAD(5, lo, lda);
    TILE_DOT_INT8_UNSIGNED(1, 5, 6);
    TILE_LOAD(7, b1, 64);
    TILE_DOT_INT8_UNSIGNED(2, 4, 7);
    TILE_DOT_INT8_UNSIGNED(3, 5, 7);
}

/* The last vectors of a panel, filled up to a tile: they meet zeros (queries are padded), but must not lie outside of the page. */
static const uint8_t *filled(uint8_t tile[1024], const uint8_t *b, size_t quads)
{
    memset(tile, 0, 1024);
    memcpy(tile, b, quads * KV8_LINE);
    return tile;
}

static void two_panels(const struct product8 *m, size_t panel, size_t panels)
{
    __attribute__((aligned(64))) uint8_t last[2][1024];
    size_t next = panels == 2 ? m->quads * KV8_LINE : 0, whole = m->quads / 16 * 16;
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    for (size_t page = 0; page < m->n_pages; page++) {
        const uint8_t *b = m->pages[page] + panel * m->quads * KV8_LINE;
        const int8_t *hi = m->a.hi + page * m->quads * 4, *lo = m->a.lo + page * m->quads * 4;
        for (size_t i = 0; m->ahead && i < panels * m->quads; i++)
            product8_ahead(m, page, panel, i, (struct quarters){0, m->ahead_of_4});
        for (size_t q = 0; q < whole; q += 16)
            step8(hi + q * 4, lo + q * 4, m->lda, b + q * KV8_LINE, b + next + q * KV8_LINE);
        if (whole < m->quads)
            step8(hi + whole * 4, lo + whole * 4, m->lda, filled(last[0], b + whole * KV8_LINE, m->quads - whole),
                  filled(last[1], b + next + whole * KV8_LINE, m->quads - whole));
    }
    size_t at = panel * 16, row = m->ldo * sizeof(int32_t);
    TILE_STORE(0, m->out.hi + at, row);
    TILE_STORE(1, m->out.lo + at, row);
    if (panels == 2) {
        TILE_STORE(2, m->out.hi + at + 16, row);
        TILE_STORE(3, m->out.lo + at + 16, row);
    }
}

static void product8(const struct product8 *m)
{
    for (size_t c = 0; c < m->n_panels; c += 2)
        two_panels(m, c, m->n_panels - c < 2 ? 1 : 2);
}

#define PRODUCTS8_BEGIN(n_rows) tiles_for((size_t)(n_rows))
#define PRODUCTS8_END()         TILE_RELEASE()
#include "kernel/attn8_tile.h"

void attn_q8_amx(const struct kernel_attn8 *a)
{
    attn8(a);
}
