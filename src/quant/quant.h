/* Number formats as data and scalar maths. quant.def lists each once; docs/formats/quantisations.md draws the blocks of a file.
 *
 * A block of a quantised type, taken apart (struct quant_parts), is an unsigned code for each value, a half-precision scale d, and what else the
 * type has. With code c of group g, all in float, in this order:
 *
 *   no integer scales          x = d * (c - zero)                     Q4_0 Q5_0 Q8_0
 *   ... and a minimum          x = d * c + m                          Q4_1 Q5_1
 *   integer scales             x = (d * scale[g]) * (c - zero)        Q3_K Q6_K
 *   ... and minimums           x = (d * scale[g]) * c - (m * min[g])  Q2_K Q4_K Q5_K
 *   codes into a table         x = d * values[c], or (d * scale[g]) * values[c]       IQ4_NL MXFP4, IQ4_XS
 *
 * which is bit for bit what ggml computes (tests/golden/quants.py). So one formula, one panel layout (kernel/panel.h) and one encoder for
 * the K types serve all; a type is its line in quant.def and how to take its block apart and put it together. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The values are GGUF's ggml_type numbers. */
enum quant_type {
#define QUANT_FLOAT(name, op, id, block, bytes)                          QUANT_##name = id,
#define QUANT_BLOCK(name, op, id, block, bytes, bits, zero, group, min, values) QUANT_##name = id,
#include "quant/quant.def"
#undef QUANT_FLOAT
#undef QUANT_BLOCK
};

typedef uint16_t f16;
typedef uint16_t bf16;
float f16_to_f32(f16 h);
f16   f16_from_f32(float f); /* round to nearest even */
float bf16_to_f32(bf16 h);
bf16  bf16_from_f32(float f);

enum { QUANT_BLOCK_MAX = 256, QUANT_GROUPS_MAX = 16 };

/* What codes stand for: themselves, or places in a table of 16 (quant_tables): IQ4's, or twice the numbers of E2M1 (a sign, two bits of exponent, one
 * of mantissa), whose scale is a power of two beyond half precision: there d is a bf16. */
enum quant_values { QUANT_LINEAR, QUANT_IQ4, QUANT_E2M1 };
static const int8_t quant_tables[][16] = {
    [QUANT_IQ4] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113},
    [QUANT_E2M1] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12},
};

struct quant_parts {
    f16     d, m;
    int8_t  scale[QUANT_GROUPS_MAX];
    uint8_t min[QUANT_GROUPS_MAX];
    uint8_t code[QUANT_BLOCK_MAX]; /* in the order of the values */
};

struct quant_form {
    uint32_t block; /* values per block */
    uint32_t bits;  /* of a code; 0: plain values, and nothing below holds */
    uint32_t zero;  /* the code of 0; of types with a table: what kernels add to its values to make them unsigned */
    uint32_t group; /* values per integer scale; 0: there are none */
    bool     min;
    enum quant_values values;
};

static inline int quant_value(const struct quant_form *f, uint8_t code)
{
    return f->values ? quant_tables[f->values][code] : (int)code - (int)f->zero;
}
static inline float quant_scale(const struct quant_form *f, uint16_t d) { return f->values == QUANT_E2M1 ? bf16_to_f32(d) : f16_to_f32(d); }

struct quant_info {
    const char       *name;  /* "Q8_0" */
    uint32_t          block; /* values per block */
    uint32_t          bytes; /* bytes per block */
    struct quant_form form;
    /* n is a multiple of block. Encoding rounds as ggml's reference does; for the K types it takes each group's extremes
     * (no search for the least error). A block with a value that is not finite becomes one of NaNs (MXFP4, which has none: of infinities). */
    void (*decode)(float *out, const void *in, size_t n);
    void (*encode)(void *out, const float *in, size_t n);
    /* One block; NULL for types of plain values. */
    void (*split)(struct quant_parts *out, const void *block);
    void (*join)(void *block, const struct quant_parts *in);
};
/* NULL for a type that this build does not know. */
const struct quant_info *quant_info(uint32_t type);

/* The values of one block. */
void quant_parts_decode(float *out, const struct quant_parts *p, const struct quant_form *f);
