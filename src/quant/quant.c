/* The table of quant.def, and the one formula by which all types of blocks decode. */
#include "quant/quant_int.h"
#include <math.h>
#include <string.h>

void decode_F32(float *out, const void *in, size_t n) { memcpy(out, in, n * sizeof *out); }
void encode_F32(void *out, const float *in, size_t n) { memcpy(out, in, n * sizeof *in); }

void decode_F16(float *out, const void *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        f16 h;
        memcpy(&h, (const char *)in + 2 * i, sizeof h);
        out[i] = f16_to_f32(h);
    }
}

void encode_F16(void *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        f16 h = f16_from_f32(in[i]);
        memcpy((char *)out + 2 * i, &h, sizeof h);
    }
}

void decode_BF16(float *out, const void *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bf16 h;
        memcpy(&h, (const char *)in + 2 * i, sizeof h);
        out[i] = bf16_to_f32(h);
    }
}

void encode_BF16(void *out, const float *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bf16 h = bf16_from_f32(in[i]);
        memcpy((char *)out + 2 * i, &h, sizeof h);
    }
}

bool quant_is_finite(const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

void quant_parts_decode(float *out, const struct quant_parts *p, const struct quant_form *f)
{
    float d = quant_scale(f, p->d), m = f16_to_f32(p->m);
    if (!f->group) {
        for (uint32_t i = 0; i < f->block; i++) {
            float x = d * (float)quant_value(f, p->code[i]);
            out[i] = f->min ? x + m : x;
        }
        return;
    }
    for (uint32_t g = 0; g < f->block / f->group; g++) {
        float scale = d * (float)p->scale[g], min = m * (float)p->min[g];
        for (uint32_t i = g * f->group; i < (g + 1) * f->group; i++) {
            float x = scale * (float)quant_value(f, p->code[i]);
            out[i] = f->min ? x - min : x;
        }
    }
}

typedef void fit_fn(struct quant_parts *, const float *, const struct quant_form *);

static void decode_blocks(const struct quant_info *q, float *out, const void *in, size_t n)
{
    for (size_t b = 0; b < n / q->block; b++) {
        struct quant_parts p;
        q->split(&p, (const char *)in + b * q->bytes);
        quant_parts_decode(out + b * q->block, &p, &q->form);
    }
}

static void encode_blocks(const struct quant_info *q, fit_fn *fit, void *out, const float *in, size_t n)
{
    for (size_t b = 0; b < n / q->block; b++) {
        struct quant_parts p;
        memset(&p, 0, sizeof p);
        p.d = F16_NAN;
        if (q->form.values == QUANT_E2M1) { /* the largest of all, times a scale that makes it infinite */
            p.d = bf16_from_f32(0x1p127f);
            memset(p.code, 7, sizeof p.code);
        }
        if (quant_is_finite(in + b * q->block, q->block))
            fit(&p, in + b * q->block, &q->form);
        q->join((char *)out + b * q->bytes, &p);
    }
}

#define QUANT_FLOAT(name, op, id, blk, bytes)
#define QUANT_BLOCK(name, op, id, blk, bytes, bits, zero, group, min, values)                                                              \
    static void decode_##name(float *out, const void *in, size_t n) { decode_blocks(quant_info(id), out, in, n); }                         \
    static void encode_##name(void *out, const float *in, size_t n) { encode_blocks(quant_info(id), fit_##name, out, in, n); }
#include "quant/quant.def"
#undef QUANT_FLOAT
#undef QUANT_BLOCK

const struct quant_info *quant_info(uint32_t type)
{
    static const struct quant_info infos[] = {
#define QUANT_FLOAT(name, op, id, blk, bytes) [id] = {#name, blk, bytes, {.block = blk}, decode_##name, encode_##name, NULL, NULL},
#define QUANT_BLOCK(name, op, id, blk, bytes, bits, zero, group, min, values)                                                              \
    [id] = {#name, blk, bytes, {blk, bits, zero, group, min, QUANT_##values}, decode_##name, encode_##name, split_##name, join_##name},
#include "quant/quant.def"
#undef QUANT_FLOAT
#undef QUANT_BLOCK
    };
    return type < sizeof infos / sizeof *infos && infos[type].name ? &infos[type] : NULL;
}
