/* Private to src/quant: what each type of quant.def brings. */
#pragma once
#include "quant/quant.h"

#define QUANT_FLOAT(name, op, id, blk, bytes)                                                                                              \
    void decode_##name(float *out, const void *in, size_t n);                                                                              \
    void encode_##name(void *out, const float *in, size_t n);
#define QUANT_BLOCK(name, op, id, blk, bytes, bits, zero, group, min, values)                                                              \
    void split_##name(struct quant_parts *out, const void *block);                                                                         \
    void join_##name(void *block, const struct quant_parts *in);                                                                           \
    void fit_##name(struct quant_parts *out, const float *x, const struct quant_form *f);
#include "quant/quant.def"
#undef QUANT_FLOAT
#undef QUANT_BLOCK

/* A block with a value that is not finite decodes to NaN, everywhere: visible, and never out of range for an int. */
enum { F16_NAN = 0x7e00 };
bool quant_is_finite(const float *x, size_t n);
