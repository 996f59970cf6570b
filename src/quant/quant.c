/* The formats of quant.def: values to blocks and back, with the rounding of ggml's reference quantisers (ggml-quants.c,
 * quantize_row_q8_0_ref and quantize_row_q4_0_ref), so that a file written here equals one written there. */
#include "quant/quant.h"
#include <math.h>
#include <string.h>

enum { BLOCK = 32 };

/* A block with a value that is not finite decodes to NaN, everywhere: visible, and never out of range for an int. */
static bool is_finite(const float *x)
{
    for (int i = 0; i < BLOCK; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

static void decode_F32(float *out, const void *in, size_t n) { memcpy(out, in, n * sizeof *out); }
static void encode_F32(void *out, const float *in, size_t n) { memcpy(out, in, n * sizeof *in); }

static void decode_F16(float *out, const void *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        f16 h;
        memcpy(&h, (const char *)in + 2 * i, sizeof h);
        out[i] = f16_to_f32(h);
    }
}

static void encode_F16(void *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        f16 h = f16_from_f32(in[i]);
        memcpy((char *)out + 2 * i, &h, sizeof h);
    }
}

static void decode_BF16(float *out, const void *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bf16 h;
        memcpy(&h, (const char *)in + 2 * i, sizeof h);
        out[i] = bf16_to_f32(h);
    }
}

static void encode_BF16(void *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bf16 h = bf16_from_f32(in[i]);
        memcpy((char *)out + 2 * i, &h, sizeof h);
    }
}

static void decode_Q8_0(float *out, const void *in, size_t n)
{
    for (size_t b = 0; b < n / BLOCK; b++) {
        struct q8_0 q;
        memcpy(&q, (const char *)in + b * sizeof q, sizeof q);
        float d = f16_to_f32(q.d);
        for (int i = 0; i < BLOCK; i++)
            out[b * BLOCK + (size_t)i] = d * (float)q.q[i];
    }
}

static void encode_Q8_0(void *out, const float *in, size_t n)
{
    for (size_t b = 0; b < n / BLOCK; b++) {
        const float *x = in + b * BLOCK;
        struct q8_0  q = {.d = 0x7e00};
        float amax = 0;
        for (int i = 0; i < BLOCK; i++)
            amax = fmaxf(amax, fabsf(x[i]));
        if (is_finite(x)) {
            float d = amax / 127, id = d != 0 ? 1 / d : 0;
            q.d = f16_from_f32(d);
            for (int i = 0; i < BLOCK; i++) /* 1 / d overflows for subnormal d: the scale is 0 then, and so are the values */
                q.q[i] = isfinite(id) ? (int8_t)roundf(x[i] * id) : 0;
        }
        memcpy((char *)out + b * sizeof q, &q, sizeof q);
    }
}

static void decode_Q4_0(float *out, const void *in, size_t n)
{
    for (size_t b = 0; b < n / BLOCK; b++) {
        struct q4_0 q;
        memcpy(&q, (const char *)in + b * sizeof q, sizeof q);
        float d = f16_to_f32(q.d);
        for (int i = 0; i < BLOCK / 2; i++) {
            out[b * BLOCK + (size_t)i] = d * (float)((q.q[i] & 15) - 8);
            out[b * BLOCK + (size_t)i + BLOCK / 2] = d * (float)((q.q[i] >> 4) - 8);
        }
    }
}

/* The value of largest magnitude becomes exactly -8 (ggml's choice: -8 has no positive partner). */
static uint8_t nibble(float x, float id)
{
    int v = (int)(x * id + 8.5f);
    return (uint8_t)(v > 15 ? 15 : v);
}

static void encode_Q4_0(void *out, const float *in, size_t n)
{
    for (size_t b = 0; b < n / BLOCK; b++) {
        const float *x = in + b * BLOCK;
        struct q4_0  q = {.d = 0x7e00};
        float max = 0;
        for (int i = 0; i < BLOCK; i++)
            if (fabsf(x[i]) > fabsf(max))
                max = x[i];
        if (is_finite(x)) {
            float d = max / -8, id = d != 0 ? 1 / d : 0;
            q.d = f16_from_f32(d);
            if (!isfinite(id))
                id = 0;
            for (int i = 0; i < BLOCK / 2; i++)
                q.q[i] = (uint8_t)(nibble(x[i], id) | nibble(x[i + BLOCK / 2], id) << 4);
        }
        memcpy((char *)out + b * sizeof q, &q, sizeof q);
    }
}

const struct quant_info *quant_info(uint32_t type)
{
    static const struct quant_info infos[] = {
#define QUANT(name, id, block, bytes) [id] = {#name, block, bytes, decode_##name, encode_##name},
#include "quant/quant.def"
#undef QUANT
    };
    return type < sizeof infos / sizeof *infos && infos[type].name ? &infos[type] : NULL;
}
