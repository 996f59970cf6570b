/* Types whose codes are places in a table: IQ4_NL and MXFP4 (32 values, one scale), IQ4_XS (256 values, eight signed scales of 6 bits). Layouts and
 * encoders are ggml's (ggml-common.h; quantize_row_iq4_nl_impl and quantize_row_mxfp4_ref in ggml-quants.c). */
#include "quant/quant_int.h"
#include <math.h>
#include <string.h>

enum { BLOCK = 32, LARGE = 256, GROUPS = LARGE / BLOCK };

struct iq4_nl { f16 d; uint8_t q[16]; };
struct iq4_xs { f16 d; uint16_t high; uint8_t low[4], q[128]; };
struct mxfp4 { uint8_t e, q[16]; };

/* Byte i of 16: value i in the low nibble, value i + 16 in the high one. */
static void split_nibbles(uint8_t *code, const uint8_t *q, int n)
{
    for (int b = 0; b < n; b += BLOCK, q += BLOCK / 2, code += BLOCK)
        for (int i = 0; i < BLOCK / 2; i++) {
            code[i] = q[i] & 15;
            code[i + BLOCK / 2] = q[i] >> 4;
        }
}

static void join_nibbles(uint8_t *q, const uint8_t *code, int n)
{
    for (int b = 0; b < n; b += BLOCK, q += BLOCK / 2, code += BLOCK)
        for (int i = 0; i < BLOCK / 2; i++)
            q[i] = (uint8_t)((code[i] & 15) | code[i + BLOCK / 2] << 4);
}

void split_IQ4_NL(struct quant_parts *p, const void *block)
{
    struct iq4_nl b;
    memcpy(&b, block, sizeof b);
    p->d = b.d, p->m = 0;
    split_nibbles(p->code, b.q, BLOCK);
}

void join_IQ4_NL(void *block, const struct quant_parts *p)
{
    struct iq4_nl b = {.d = p->d};
    join_nibbles(b.q, p->code, BLOCK);
    memcpy(block, &b, sizeof b);
}

/* A scale is 32 too large: its low nibble in a byte of two, its upper pair of bits in a number of 16. */
void split_IQ4_XS(struct quant_parts *p, const void *block)
{
    struct iq4_xs b;
    memcpy(&b, block, sizeof b);
    p->d = b.d, p->m = 0;
    for (int g = 0; g < GROUPS; g++)
        p->scale[g] = (int8_t)(((b.low[g / 2] >> g % 2 * 4 & 15) | (b.high >> 2 * g & 3) << 4) - 32);
    split_nibbles(p->code, b.q, LARGE);
}

void join_IQ4_XS(void *block, const struct quant_parts *p)
{
    struct iq4_xs b = {.d = p->d};
    for (int g = 0; g < GROUPS; g++) {
        int s = p->scale[g] + 32;
        b.low[g / 2] = (uint8_t)(b.low[g / 2] | (s & 15) << g % 2 * 4);
        b.high = (uint16_t)(b.high | (s >> 4 & 3) << 2 * g);
    }
    join_nibbles(b.q, p->code, LARGE);
    memcpy(block, &b, sizeof b);
}

/* The scale of twice a number is 2^(e - 128), which bf16 can say, as a subnormal number too. */
static bf16 scale_of_exponent(int e) { return bf16_from_f32(ldexpf(1, e - 128)); }

void split_MXFP4(struct quant_parts *p, const void *block)
{
    struct mxfp4 b;
    memcpy(&b, block, sizeof b);
    p->d = scale_of_exponent(b.e), p->m = 0;
    split_nibbles(p->code, b.q, BLOCK);
}

void join_MXFP4(void *block, const struct quant_parts *p)
{
    struct mxfp4 b;
    b.e = (uint8_t)(ilogbf(bf16_to_f32(p->d)) + 128);
    join_nibbles(b.q, p->code, BLOCK);
    memcpy(block, &b, sizeof b);
}

/* The place of the value next to x in a table that rises. */
static uint8_t nearest_place(const int8_t *values, float x)
{
    int low = 0, high = 15;
    if (x <= values[low])
        return 0;
    if (x >= values[high])
        return 15;
    while (high - low > 1) {
        int mid = (low + high) / 2;
        if (x < values[mid])
            high = mid;
        else
            low = mid;
    }
    return (uint8_t)(x - values[high - 1] < values[high] - x ? high - 1 : high);
}

struct fit {
    float qx, qq; /* sums of w q x and w q q, w = x^2: the best scale is their quotient */
};

static struct fit try_scale(const float *x, float inverse, uint8_t *code)
{
    struct fit f = {0, 0};
    const int8_t *values = quant_tables[QUANT_IQ4];
    for (int i = 0; i < BLOCK; i++) {
        uint8_t place = nearest_place(values, inverse * x[i]);
        float q = values[place], w = x[i] * x[i];
        f.qx += w * q * x[i];
        f.qq += w * q * q;
        if (code)
            code[i] = place;
    }
    return f;
}

/* The scale of 32 values with the least error of those that put the largest value near the table's first, `tries` steps up and down. */
static float fit_scale(const float *x, uint8_t *code, int tries)
{
    float amax = 0, max = 0, first = quant_tables[QUANT_IQ4][0];
    for (int i = 0; i < BLOCK; i++)
        if (fabsf(x[i]) > amax)
            amax = fabsf(x[i]), max = x[i];
    memset(code, 8, BLOCK);
    if (amax < 1e-15f)
        return 0;
    float d = tries > 0 ? -max / first : max / first;
    struct fit f = try_scale(x, 1 / d, code);
    d = f.qq > 0 ? f.qx / f.qq : 0;
    float best = d * f.qx;
    for (int i = -tries; i <= tries; i++) {
        f = try_scale(x, ((float)i + first) / max, NULL);
        if (f.qq > 0 && f.qx * f.qx > best * f.qq) {
            d = f.qx / f.qq;
            best = d * f.qx;
        }
    }
    return d;
}

static bool fits_f16(struct quant_parts *p, float d)
{
    p->d = f16_from_f32(d);
    if (isfinite(f16_to_f32(p->d)))
        return true;
    p->d = F16_NAN;
    return false;
}

void fit_IQ4_NL(struct quant_parts *p, const float *x, const struct quant_form *f)
{
    (void)f;
    (void)fits_f16(p, fit_scale(x, p->code, -1));
}

void fit_IQ4_XS(struct quant_parts *p, const float *x, const struct quant_form *f)
{
    float scale[GROUPS], top = 0;
    (void)f;
    for (int g = 0; g < GROUPS; g++) {
        scale[g] = fit_scale(x + g * BLOCK, p->code + g * BLOCK, 7);
        if (fabsf(scale[g]) > fabsf(top))
            top = scale[g];
    }
    float d = -top / 32, id = d != 0 ? 1 / d : 0;
    if (!fits_f16(p, d))
        id = 0;
    for (int g = 0; g < GROUPS; g++) {
        float s = fmaxf(-32, fminf(31, rintf(id * scale[g]))), step = d * s, inverse = step != 0 ? 1 / step : 0;
        p->scale[g] = (int8_t)s;
        for (int i = g * BLOCK; i < (g + 1) * BLOCK; i++)
            p->code[i] = nearest_place(quant_tables[QUANT_IQ4], inverse * x[i]);
    }
}

void fit_MXFP4(struct quant_parts *p, const float *x, const struct quant_form *f)
{
    float amax = 0;
    for (int i = 0; i < BLOCK; i++)
        amax = fmaxf(amax, fabsf(x[i]));
    int e = amax > 0 ? (int)floorf(log2f(amax)) - 2 + 127 : 0;
    p->d = scale_of_exponent(e < 0 ? 0 : e);
    float d = quant_scale(f, p->d);
    for (int i = 0; i < BLOCK; i++) {
        float least = INFINITY;
        for (uint8_t c = 0; c < 16; c++) {
            float off = fabsf((float)quant_value(f, c) * d - x[i]);
            if (off < least)
                least = off, p->code[i] = c;
        }
    }
}
