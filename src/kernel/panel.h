/* Packed weights: PANEL = 16 rows are interleaved, so that one vector of 64 bytes holds 4 consecutive inputs of 16 rows and the int32 lanes of
 * a dot product are output rows. One panel, for a type with blocks of `block` values and codes of `bits` bits (quant.h):
 *
 *   f16 d[n_in / block][16]                padded with zeros to a multiple of 64 bytes, as m; bf16 for values of E2M1
 *   f16 m[n_in / block][16]                types with minimums only
 *   for each block
 *     groups of 16   scale[8][16][2]       byte [b][r][h]: of values 32 b + 16 h .. + 15 of row r; with minimums: scale | min << 4 (Q2_K)
 *     groups of 32   scale[8][16], then min[8][16] where there are minimums; else the scale is signed
 *     for each 32 values, vectors of 64 bytes, byte [r][i] of vector v holds value 4v + i (mod 4 * the number of vectors) of row r:
 *       8 bits       8 vectors: the code
 *       4, 5, 6      4 vectors: low nibble values 0 to 15, high nibble 16 to 31; then the upper bits:
 *                    5: 1 vector, bit v: value 4v + i    6: 2 vectors of pairs of bits, as below
 *       2, 3         2 vectors: pair p of bits: values 8p to 8p + 7; then 3: 1 vector of upper bits, as with 5
 *
 * which is as many bytes as the file has, but for the 6-bit scales of Q3_K, Q4_K and Q5_K, which take 8 here (2 to 4% more). Rows past n_out in
 * the last panel are zero. */
#pragma once
#include "quant/quant.h"
#include <string.h>

enum { KERNEL_PANEL = 16, KERNEL_BLOCK = 32, KERNEL_LINE = 64 };

/* form_q4_k and its like: constants, so that a kernel compiled for one type keeps nothing of the others. */
#define QUANT_FLOAT(name, op, id, blk, bytes)
#define QUANT_BLOCK(name, op, id, blk, bytes, bits, zero, group, min, values)                                                              \
    static const struct quant_form form_##op = {blk, bits, zero, group, min, QUANT_##values};
#include "quant/quant.def"
#undef QUANT_FLOAT
#undef QUANT_BLOCK

/* Where things lie, in bytes. */
struct kernel_panel {
    size_t m, body; /* from the panel's start; d is at 0 */
    size_t min, code; /* from a record's start; scales are at 0 */
    size_t record, codes; /* of one block; of 32 values */
    size_t bytes;   /* of the panel */
};

static inline struct kernel_panel kernel_panel(struct quant_form f, size_t n_in)
{
    struct kernel_panel p;
    size_t n = n_in / f.block, half = (n * 2 * KERNEL_PANEL + KERNEL_LINE - 1) / KERNEL_LINE * KERNEL_LINE;
    size_t scales = f.group ? f.block / f.group * KERNEL_PANEL : 0;
    p.m = half;
    p.body = f.min ? 2 * half : half;
    p.min = scales;
    p.code = f.group == 32 && f.min ? 2 * scales : scales;
    p.codes = (size_t)f.bits * KERNEL_LINE;
    p.record = p.code + f.block / KERNEL_BLOCK * p.codes;
    p.bytes = p.body + n * p.record;
    return p;
}

/* The code of value k of 32 in row r; c: the codes of those 32. */
static inline uint8_t kernel_panel_code(struct quant_form f, const uint8_t *c, size_t r, size_t k)
{
    size_t v = k / 4, at = 4 * r + k % 4;
    switch (f.bits) {
    case 2: return c[v % 2 * 64 + at] >> v / 2 * 2 & 3;
    case 3: return (uint8_t)((c[v % 2 * 64 + at] >> v / 2 * 2 & 3) | (c[128 + at] >> v & 1) << 2);
    case 4: return c[v % 4 * 64 + at] >> v / 4 * 4 & 15;
    case 5: return (uint8_t)((c[v % 4 * 64 + at] >> v / 4 * 4 & 15) | (c[256 + at] >> v & 1) << 4);
    case 6: return (uint8_t)((c[v % 4 * 64 + at] >> v / 4 * 4 & 15) | (c[256 + v % 2 * 64 + at] >> v / 2 * 2 & 3) << 4);
    default: return c[v * 64 + at];
    }
}

/* Scale and minimum of the group that holds values 32 b + 16 h of row r; rec: the record of the block. */
static inline int kernel_panel_scale(struct quant_form f, const uint8_t *rec, size_t b, size_t h, size_t r)
{
    if (f.group == 16)
        return f.min ? rec[b * 32 + r * 2 + h] & 15 : (int8_t)rec[b * 32 + r * 2 + h];
    return !f.group ? 1 : f.min ? rec[b * 16 + r] : (int8_t)rec[b * 16 + r];
}

static inline int kernel_panel_min(struct quant_form f, const uint8_t *rec, size_t b, size_t h, size_t r)
{
    if (f.group == 16)
        return rec[b * 32 + r * 2 + h] >> 4;
    return rec[f.block / f.group * KERNEL_PANEL + b * 16 + r];
}

/* Puts one block of row r into a panel of zeros: block number i. */
static inline void kernel_panel_put(uint8_t *panel, struct quant_form f, struct kernel_panel at, size_t i, size_t r, const struct quant_parts *p)
{
    uint8_t *rec = panel + at.body + i * at.record;
    ((f16 *)(void *)panel)[i * KERNEL_PANEL + r] = p->d;
    if (f.min)
        ((f16 *)(void *)(panel + at.m))[i * KERNEL_PANEL + r] = p->m;
    for (size_t g = 0; f.group && g < f.block / f.group; g++) {
        uint8_t *to = f.group == 16 ? &rec[g / 2 * 32 + r * 2 + g % 2] : &rec[g * 16 + r];
        *to = (uint8_t)(f.group == 16 && f.min ? p->scale[g] | p->min[g] << 4 : p->scale[g]);
        if (f.group == 32 && f.min)
            rec[at.min + g * 16 + r] = p->min[g];
    }
    for (size_t b = 0; b < f.block / KERNEL_BLOCK; b++)
        for (size_t v = 0; v < 8; v++) { /* four values at once: their codes are bytes of one word, and no shift carries into the next byte */
            uint32_t four, low, *c = (uint32_t *)(void *)(rec + at.code + b * at.codes) + r;
            memcpy(&four, p->code + b * KERNEL_BLOCK + 4 * v, sizeof four);
            low = four & 0x0f0f0f0f;
            switch (f.bits) {
            case 2: c[v % 2 * 16] |= four << v / 2 * 2; break;
            case 3: c[v % 2 * 16] |= (four & 0x03030303) << v / 2 * 2, c[32] |= (four >> 2 & 0x01010101) << v; break;
            case 4: c[v % 4 * 16] |= low << v / 4 * 4; break;
            case 5: c[v % 4 * 16] |= low << v / 4 * 4, c[64] |= (four >> 4 & 0x01010101) << v; break;
            case 6: c[v % 4 * 16] |= low << v / 4 * 4, c[64 + v % 2 * 16] |= (four >> 4 & 0x03030303) << v / 2 * 2; break;
            default: c[v * 16] = four; break;
            }
        }
}

/* Takes it out again. */
static inline void kernel_panel_get(struct quant_parts *p, const uint8_t *panel, struct quant_form f, struct kernel_panel at, size_t i, size_t r)
{
    const uint8_t *rec = panel + at.body + i * at.record;
    p->d = ((const f16 *)(const void *)panel)[i * KERNEL_PANEL + r];
    p->m = f.min ? ((const f16 *)(const void *)(panel + at.m))[i * KERNEL_PANEL + r] : 0;
    for (size_t g = 0; f.group && g < f.block / f.group; g++) {
        size_t b = g * f.group / KERNEL_BLOCK, h = f.group == 16 ? g % 2 : 0;
        p->scale[g] = (int8_t)kernel_panel_scale(f, rec, b, h, r);
        p->min[g] = (uint8_t)(f.min ? kernel_panel_min(f, rec, b, h, r) : 0);
    }
    for (size_t k = 0; k < f.block; k++)
        p->code[k] = kernel_panel_code(f, rec + at.code + k / KERNEL_BLOCK * at.codes, r, k % KERNEL_BLOCK);
}
