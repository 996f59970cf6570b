/* Rows of a file into panels, for the types that most files are of: whole words at once, where a panel's words are the file's or nearly so.
 * kernel_panel_put of the parts is the definition, and what all other types take; tests/unit/device/test_pack.c compares every byte. */
#include "device/device_int.h"
#include <string.h>

static inline uint32_t word(const uint8_t *p)
{
    uint32_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* Where block i of row r has its words: one of 16 lanes. */
static inline uint32_t *lane(uint8_t *panel, struct kernel_panel at, size_t i, size_t r)
{
    return (uint32_t *)(void *)(panel + at.body + i * at.record + at.code) + r;
}

static inline void put_d(uint8_t *panel, size_t i, size_t r, const uint8_t *d)
{
    memcpy(panel + (i * KERNEL_PANEL + r) * sizeof(f16), d, sizeof(f16));
}

/* d, 16 bytes: value j in the low half of byte j, value 16 + j in the high one, as in the panel. */
static inline void put_q4_0(uint8_t *panel, struct kernel_panel at, size_t i, size_t r, const uint8_t *b)
{
    uint32_t *to = lane(panel, at, i, r);
    put_d(panel, i, r, b);
    for (size_t v = 0; v < 4; v++)
        to[v * KERNEL_PANEL] = word(b + 2 + 4 * v);
}

/* d, 32 signed values: the code is 128 more. */
static inline void put_q8_0(uint8_t *panel, struct kernel_panel at, size_t i, size_t r, const uint8_t *b)
{
    uint32_t *to = lane(panel, at, i, r);
    put_d(panel, i, r, b);
    for (size_t v = 0; v < 8; v++)
        to[v * KERNEL_PANEL] = word(b + 2 + 4 * v) ^ 0x80808080u;
}

/* d, m, 12 bytes of scales and minimums in 6 bits, then four times 32 bytes: of value j in the low half, of value 32 + j in the high one. */
static inline void put_q4_k(uint8_t *panel, struct kernel_panel at, size_t i, size_t r, const uint8_t *b)
{
    const uint8_t *s = b + 4, *q = b + 16;
    uint8_t *rec = panel + at.body + i * at.record;
    put_d(panel, i, r, b);
    put_d(panel + at.m, i, r, b + 2);
    for (size_t g = 0; g < 8; g++) {
        rec[g * KERNEL_PANEL + r] = (uint8_t)(g < 4 ? s[g] & 63 : (s[g + 4] & 15) | (s[g - 4] >> 6) << 4);
        rec[at.min + g * KERNEL_PANEL + r] = (uint8_t)(g < 4 ? s[g + 4] & 63 : (s[g + 4] >> 4) | (s[g] >> 6) << 4);
    }
    uint32_t *to = lane(panel, at, i, r);
    for (size_t c = 0; c < 4; c++, q += 32)
        for (size_t v = 0; v < 4; v++) {
            uint32_t first = word(q + 4 * v), last = word(q + 16 + 4 * v);
            to[(c * 8 + v) * KERNEL_PANEL] = (first & 0x0f0f0f0fu) | (last & 0x0f0f0f0fu) << 4;
            to[(c * 8 + 4 + v) * KERNEL_PANEL] = (first >> 4 & 0x0f0f0f0fu) | (last & 0xf0f0f0f0u);
        }
}

/* 128 bytes of low halves, 64 of upper pairs, 16 signed scales, d. Of each 128 values, value j, 32 + j, 64 + j, 96 + j share upper byte j. */
static inline void put_q6_k(uint8_t *panel, struct kernel_panel at, size_t i, size_t r, const uint8_t *b)
{
    uint8_t *rec = panel + at.body + i * at.record;
    put_d(panel, i, r, b + 208);
    for (size_t g = 0; g < 16; g++)
        rec[g / 2 * 32 + r * 2 + g % 2] = b[192 + g];
    uint32_t *to = lane(panel, at, i, r);
    for (size_t g = 0; g < 8; g++, to += at.codes / 4) { /* 32 values each */
        const uint8_t *low = b + g / 4 * 64 + g % 2 * 32, *up = b + 128 + g / 4 * 32;
        const size_t shift = g % 4 / 2 * 4, pair = g % 4 * 2;
        uint32_t pairs[2] = {0, 0};
        for (size_t v = 0; v < 4; v++) {
            uint32_t first = word(low + 4 * v) >> shift & 0x0f0f0f0fu, last = word(low + 16 + 4 * v) >> shift & 0x0f0f0f0fu;
            to[v * KERNEL_PANEL] = first | last << 4;
        }
        for (size_t v = 0; v < 8; v++)
            pairs[v % 2] |= (word(up + 4 * v) >> pair & 0x03030303u) << v / 2 * 2;
        to[64] = pairs[0];
        to[64 + KERNEL_PANEL] = pairs[1];
    }
}

/* n rows of a panel of zeros; false: this type has no way of its own. */
bool pack_rows(uint32_t type, uint8_t *panel, struct kernel_panel at, const uint8_t *from, size_t n, size_t blocks, size_t bytes)
{
#define ROWS(put)                                                                                                                                    \
    for (size_t b = 0; b < blocks; b++) /* all rows of a block: its lines are written while they are near */                                         \
        for (size_t r = 0; r < n; r++)                                                                                                               \
            put(panel, at, b, r, from + (r * blocks + b) * bytes);                                                                                   \
    return true
    switch (type) {
    case QUANT_Q4_0: ROWS(put_q4_0);
    case QUANT_Q8_0: ROWS(put_q8_0);
    case QUANT_Q4_K: ROWS(put_q4_k);
    case QUANT_Q6_K: ROWS(put_q6_k);
    default: return false;
    }
#undef ROWS
}
