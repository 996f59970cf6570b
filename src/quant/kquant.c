/* Blocks of 256 values in groups of 16 or 32, each with an integer scale, and maybe an integer minimum: Q2_K to Q6_K. The layouts are
 * ggml's (ggml-common.h, block_q2_K to block_q6_K). */
#include "quant/quant_int.h"
#include <math.h>
#include <string.h>

enum { BLOCK = 256, HALF = 128 };

struct q2_k { uint8_t scales[16], q[64]; f16 d, m; };
struct q3_k { uint8_t h[32], q[64], scales[12]; f16 d; };
struct q4_k { f16 d, m; uint8_t scales[12], q[128]; };
struct q5_k { f16 d, m; uint8_t scales[12], h[32], q[128]; };
struct q6_k { uint8_t q[128], h[64]; int8_t scales[16]; f16 d; };

/* Pairs of bits: byte i of a half of 128 holds values i, i + 32, i + 64, i + 96. */
static void split_pairs(uint8_t *code, const uint8_t *q)
{
    for (int n = 0; n < BLOCK; n += HALF, q += 32)
        for (int j = 0; j < 4; j++)
            for (int i = 0; i < 32; i++)
                code[n + 32 * j + i] = q[i] >> 2 * j & 3;
}

static void join_pairs(uint8_t *q, const uint8_t *code)
{
    for (int n = 0; n < BLOCK; n += HALF, q += 32)
        for (int i = 0; i < 32; i++)
            q[i] = (uint8_t)((code[n + i] & 3) | (code[n + 32 + i] & 3) << 2 | (code[n + 64 + i] & 3) << 4 | (code[n + 96 + i] & 3) << 6);
}

/* Nibbles: byte i of a quarter of 64 holds values i and i + 32. */
static void split_nibbles(uint8_t *code, const uint8_t *q)
{
    for (int n = 0; n < BLOCK; n += 64, q += 32)
        for (int i = 0; i < 32; i++) {
            code[n + i] = q[i] & 15;
            code[n + 32 + i] = q[i] >> 4;
        }
}

static void join_nibbles(uint8_t *q, const uint8_t *code)
{
    for (int n = 0; n < BLOCK; n += 64, q += 32)
        for (int i = 0; i < 32; i++)
            q[i] = (uint8_t)((code[n + i] & 15) | code[n + 32 + i] << 4);
}

/* One more bit, `at` bits up: bit j of byte i belongs to value 32 j + i. */
static void split_bit(uint8_t *code, const uint8_t *h, int at)
{
    for (int j = 0; j < 8; j++)
        for (int i = 0; i < 32; i++)
            code[32 * j + i] = (uint8_t)(code[32 * j + i] | (h[i] >> j & 1) << at);
}

static void join_bit(uint8_t *h, const uint8_t *code, int at)
{
    memset(h, 0, 32);
    for (int j = 0; j < 8; j++)
        for (int i = 0; i < 32; i++)
            h[i] = (uint8_t)(h[i] | (code[32 * j + i] >> at & 1) << j);
}

/* Q4_K and Q5_K: 8 scales and 8 minimums of 6 bits in 12 bytes. The first four of each are the low bits of bytes 0 to 3 and 4 to 7; the
 * others are nibbles of bytes 8 to 11 below the upper bits of bytes 0 to 3 (scales) and 4 to 7 (minimums). */
static void split_scales(struct quant_parts *p, const uint8_t *s)
{
    for (int j = 0; j < 4; j++) {
        p->scale[j] = (int8_t)(s[j] & 63);
        p->min[j] = s[j + 4] & 63;
        p->scale[j + 4] = (int8_t)((s[j + 8] & 15) | s[j] >> 6 << 4);
        p->min[j + 4] = (uint8_t)(s[j + 8] >> 4 | s[j + 4] >> 6 << 4);
    }
}

static void join_scales(uint8_t *s, const struct quant_parts *p)
{
    for (int j = 0; j < 4; j++) {
        int hi = p->scale[j + 4], hi_min = p->min[j + 4];
        s[j] = (uint8_t)(p->scale[j] | hi >> 4 << 6);
        s[j + 4] = (uint8_t)(p->min[j] | hi_min >> 4 << 6);
        s[j + 8] = (uint8_t)((hi & 15) | (hi_min & 15) << 4);
    }
}

void split_Q2_K(struct quant_parts *p, const void *block)
{
    struct q2_k b;
    memcpy(&b, block, sizeof b);
    p->d = b.d, p->m = b.m;
    for (int g = 0; g < 16; g++) {
        p->scale[g] = b.scales[g] & 15;
        p->min[g] = b.scales[g] >> 4;
    }
    split_pairs(p->code, b.q);
}

void join_Q2_K(void *block, const struct quant_parts *p)
{
    struct q2_k b = {.d = p->d, .m = p->m};
    for (int g = 0; g < 16; g++)
        b.scales[g] = (uint8_t)(p->scale[g] | p->min[g] << 4);
    join_pairs(b.q, p->code);
    memcpy(block, &b, sizeof b);
}

/* 16 scales of 6 bits, 32 too large: nibbles in bytes 0 to 7 (scales 0 to 7 low, 8 to 15 high), pairs of upper bits in bytes 8 to 11. */
void split_Q3_K(struct quant_parts *p, const void *block)
{
    struct q3_k b;
    memcpy(&b, block, sizeof b);
    p->d = b.d, p->m = 0;
    for (int g = 0; g < 16; g++) {
        int low = b.scales[g % 8] >> g / 8 * 4 & 15, high = b.scales[8 + g % 4] >> g / 4 * 2 & 3;
        p->scale[g] = (int8_t)((low | high << 4) - 32);
    }
    split_pairs(p->code, b.q);
    split_bit(p->code, b.h, 2);
}

void join_Q3_K(void *block, const struct quant_parts *p)
{
    struct q3_k b = {.d = p->d};
    for (int g = 0; g < 16; g++) {
        int s = p->scale[g] + 32;
        b.scales[g % 8] = (uint8_t)(b.scales[g % 8] | (s & 15) << g / 8 * 4);
        b.scales[8 + g % 4] = (uint8_t)(b.scales[8 + g % 4] | s >> 4 << g / 4 * 2);
    }
    join_pairs(b.q, p->code);
    join_bit(b.h, p->code, 2);
    memcpy(block, &b, sizeof b);
}

void split_Q4_K(struct quant_parts *p, const void *block)
{
    struct q4_k b;
    memcpy(&b, block, sizeof b);
    p->d = b.d, p->m = b.m;
    split_scales(p, b.scales);
    split_nibbles(p->code, b.q);
}

void join_Q4_K(void *block, const struct quant_parts *p)
{
    struct q4_k b = {.d = p->d, .m = p->m};
    join_scales(b.scales, p);
    join_nibbles(b.q, p->code);
    memcpy(block, &b, sizeof b);
}

void split_Q5_K(struct quant_parts *p, const void *block)
{
    struct q5_k b;
    memcpy(&b, block, sizeof b);
    p->d = b.d, p->m = b.m;
    split_scales(p, b.scales);
    split_nibbles(p->code, b.q);
    split_bit(p->code, b.h, 4);
}

void join_Q5_K(void *block, const struct quant_parts *p)
{
    struct q5_k b = {.d = p->d, .m = p->m};
    join_scales(b.scales, p);
    join_nibbles(b.q, p->code);
    join_bit(b.h, p->code, 4);
    memcpy(block, &b, sizeof b);
}

/* Value 128 n + 32 j + i: nibble j / 2 of byte 64 n + 32 (j % 2) + i, pair j of upper bits of byte 32 n + i. */
void split_Q6_K(struct quant_parts *p, const void *block)
{
    struct q6_k b;
    memcpy(&b, block, sizeof b);
    p->d = b.d, p->m = 0;
    memcpy(p->scale, b.scales, sizeof b.scales);
    for (int n = 0; n < 2; n++)
        for (int j = 0; j < 4; j++)
            for (int i = 0; i < 32; i++)
                p->code[128 * n + 32 * j + i] =
                    (uint8_t)((b.q[64 * n + 32 * (j % 2) + i] >> j / 2 * 4 & 15) | (b.h[32 * n + i] >> 2 * j & 3) << 4);
}

void join_Q6_K(void *block, const struct quant_parts *p)
{
    struct q6_k b = {.d = p->d};
    memcpy(b.scales, p->scale, sizeof b.scales);
    for (int n = 0; n < 2; n++)
        for (int j = 0; j < 4; j++)
            for (int i = 0; i < 32; i++) {
                int c = p->code[128 * n + 32 * j + i];
                uint8_t *q = &b.q[64 * n + 32 * (j % 2) + i], *h = &b.h[32 * n + i];
                *q = (uint8_t)(*q | (c & 15) << j / 2 * 4);
                *h = (uint8_t)(*h | c >> 4 << 2 * j);
            }
    memcpy(block, &b, sizeof b);
}

static int nearest(float x, int min, int max)
{
    int v = (int)rintf(x);
    return v < min ? min : v > max ? max : v;
}

/* Each group takes the step that its extremes need; steps and minimums are then rounded to integers of the block's largest. */
static void fit(struct quant_parts *p, const float *x, const struct quant_form *f, int scale_max)
{
    float step[QUANT_GROUPS_MAX], low[QUANT_GROUPS_MAX], top_step = 0, top_low = 0;
    int   n = (int)f->group, groups = BLOCK / n, zero = (int)f->zero, top = (1 << f->bits) - 1;
    for (int g = 0; g < groups; g++) {
        float min = 0, max = 0;
        for (int i = g * n; i < (g + 1) * n; i++) {
            min = fminf(min, x[i]);
            max = fmaxf(max, x[i]);
        }
        step[g] = f->min ? (max - min) / (float)top : (-min > max ? min : max) / (float)-zero;
        low[g] = -min;
        top_step = fmaxf(top_step, fabsf(step[g]));
        top_low = fmaxf(top_low, low[g]);
    }
    p->d = f16_from_f32(top_step / (float)scale_max);
    p->m = f->min ? f16_from_f32(top_low / (float)scale_max) : 0;
    float d = f16_to_f32(p->d), m = f16_to_f32(p->m);
    if (!isfinite(d) || !isfinite(m)) /* larger than the format can say: NaN, like what is not finite */
        p->d = F16_NAN, p->m = 0, d = m = 0;
    for (int g = 0; g < groups; g++) {
        p->scale[g] = (int8_t)(d > 0 ? nearest(step[g] / d, f->min ? 0 : -scale_max, scale_max) : 0);
        p->min[g] = (uint8_t)(m > 0 ? nearest(low[g] / m, 0, scale_max) : 0);
        float s = d * (float)p->scale[g], add = m * (float)p->min[g];
        for (int i = g * n; i < (g + 1) * n; i++)
            p->code[i] = (uint8_t)(s != 0 ? nearest((x[i] + add) / s + (float)zero, 0, top) : zero);
    }
}

void fit_Q2_K(struct quant_parts *p, const float *x, const struct quant_form *f) { fit(p, x, f, 15); }
void fit_Q3_K(struct quant_parts *p, const float *x, const struct quant_form *f) { fit(p, x, f, 31); }
void fit_Q4_K(struct quant_parts *p, const float *x, const struct quant_form *f) { fit(p, x, f, 63); }
void fit_Q5_K(struct quant_parts *p, const float *x, const struct quant_form *f) { fit(p, x, f, 63); }
void fit_Q6_K(struct quant_parts *p, const float *x, const struct quant_form *f) { fit(p, x, f, 127); }
