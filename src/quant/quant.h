/* Number formats as data and scalar maths. quant.def lists each once; block layouts are drawn here. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The values are GGUF's ggml_type numbers. */
enum quant_type {
#define QUANT(name, id, block, bytes) QUANT_##name = id,
#include "quant/quant.def"
#undef QUANT
};

struct quant_info {
    const char *name;  /* "Q8_0" */
    uint32_t    block; /* values per block */
    uint32_t    bytes; /* bytes per block */
    void (*decode)(float *out, const void *in, size_t n /* multiple of block */);
    void (*encode)(void *out, const float *in, size_t n);
};
/* NULL for a type that this build does not know. */
const struct quant_info *quant_info(uint32_t type);

typedef uint16_t f16;
typedef uint16_t bf16;
float f16_to_f32(f16 h);
f16   f16_from_f32(float f); /* round to nearest even */
float bf16_to_f32(bf16 h);
bf16  bf16_from_f32(float f);

struct q8_0 { f16 d; int8_t q[32]; };   /* x = d * q */
struct q4_0 { f16 d; uint8_t q[16]; };  /* x = d * (nibble - 8); low nibbles are values 0 to 15, high ones 16 to 31 */
