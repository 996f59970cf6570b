/* Blocks of 32 values with one scale, and maybe one minimum: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0. Encoding rounds as ggml's reference does
 * (ggml-quants.c, quantize_row_*_ref), so that a file written here equals one written there. */
#include "quant/quant_int.h"
#include <math.h>
#include <string.h>

enum { BLOCK = 32 };

/* Byte i: value i in the low nibble, value i + 16 in the high one. */
static void split_nibbles(uint8_t *code, const uint8_t *q)
{
    for (int i = 0; i < BLOCK / 2; i++) {
        code[i] = q[i] & 15;
        code[i + BLOCK / 2] = q[i] >> 4;
    }
}

static void join_nibbles(uint8_t *q, const uint8_t *code)
{
    for (int i = 0; i < BLOCK / 2; i++)
        q[i] = (uint8_t)((code[i] & 15) | code[i + BLOCK / 2] << 4);
}

/* Bit i of 32, little-endian: the fifth bit of value i. */
static void split_fifth(uint8_t *code, const uint8_t *h)
{
    for (int i = 0; i < BLOCK; i++)
        code[i] = (uint8_t)(code[i] | (h[i / 8] >> i % 8 & 1) << 4);
}

static void join_fifth(uint8_t *h, const uint8_t *code)
{
    memset(h, 0, BLOCK / 8);
    for (int i = 0; i < BLOCK; i++)
        h[i / 8] = (uint8_t)(h[i / 8] | (code[i] >> 4 & 1) << i % 8);
}

struct q4_0 { f16 d; uint8_t q[16]; };
struct q4_1 { f16 d, m; uint8_t q[16]; };
struct q5_0 { f16 d; uint8_t h[4], q[16]; };
struct q5_1 { f16 d, m; uint8_t h[4], q[16]; };
struct q8_0 { f16 d; int8_t q[32]; };

void split_Q4_0(struct quant_parts *p, const void *block)
{
    struct q4_0 b;
    memcpy(&b, block, sizeof b);
    p->d = b.d, p->m = 0;
    split_nibbles(p->code, b.q);
}

void join_Q4_0(void *block, const struct quant_parts *p)
{
    struct q4_0 b = {.d = p->d};
    join_nibbles(b.q, p->code);
    memcpy(block, &b, sizeof b);
}

void split_Q4_1(struct quant_parts *p, const void *block)
{
    struct q4_1 b;
    memcpy(&b, block, sizeof b);
    p->d = b.d, p->m = b.m;
    split_nibbles(p->code, b.q);
}

void join_Q4_1(void *block, const struct quant_parts *p)
{
    struct q4_1 b = {.d = p->d, .m = p->m};
    join_nibbles(b.q, p->code);
    memcpy(block, &b, sizeof b);
}

void split_Q5_0(struct quant_parts *p, const void *block)
{
    struct q5_0 b;
    memcpy(&b, block, sizeof b);
    p->d = b.d, p->m = 0;
    split_nibbles(p->code, b.q);
    split_fifth(p->code, b.h);
}

void join_Q5_0(void *block, const struct quant_parts *p)
{
    struct q5_0 b = {.d = p->d};
    join_nibbles(b.q, p->code);
    join_fifth(b.h, p->code);
    memcpy(block, &b, sizeof b);
}

void split_Q5_1(struct quant_parts *p, const void *block)
{
    struct q5_1 b;
    memcpy(&b, block, sizeof b);
    p->d = b.d, p->m = b.m;
    split_nibbles(p->code, b.q);
    split_fifth(p->code, b.h);
}

void join_Q5_1(void *block, const struct quant_parts *p)
{
    struct q5_1 b = {.d = p->d, .m = p->m};
    join_nibbles(b.q, p->code);
    join_fifth(b.h, p->code);
    memcpy(block, &b, sizeof b);
}

void split_Q8_0(struct quant_parts *p, const void *block)
{
    struct q8_0 b;
    memcpy(&b, block, sizeof b);
    p->d = b.d, p->m = 0;
    for (int i = 0; i < BLOCK; i++)
        p->code[i] = (uint8_t)(b.q[i] + 128);
}

void join_Q8_0(void *block, const struct quant_parts *p)
{
    struct q8_0 b = {.d = p->d};
    for (int i = 0; i < BLOCK; i++)
        b.q[i] = (int8_t)(p->code[i] - 128);
    memcpy(block, &b, sizeof b);
}

/* 1 / d; 0 where that is infinite (d is 0 or subnormal: its half is 0, and so are the values). */
static float inverse(float d)
{
    float id = d != 0 ? 1 / d : 0;
    return isfinite(id) ? id : 0;
}

static uint8_t clamped(float x, int top)
{
    int v = (int)x;
    return (uint8_t)(v > top ? top : v);
}

/* The value of largest magnitude becomes exactly -zero (ggml's choice: it has no positive partner). */
static void fit_symmetric(struct quant_parts *p, const float *x, const struct quant_form *f)
{
    float max = 0, zero = (float)f->zero;
    for (int i = 0; i < BLOCK; i++)
        if (fabsf(x[i]) > fabsf(max))
            max = x[i];
    float d = max / -zero, id = inverse(d);
    p->d = f16_from_f32(d);
    for (int i = 0; i < BLOCK; i++)
        p->code[i] = clamped(x[i] * id + (zero + 0.5f), (1 << f->bits) - 1);
}

static void fit_range(struct quant_parts *p, const float *x, const struct quant_form *f)
{
    int   top = (1 << f->bits) - 1;
    float min = x[0], max = x[0];
    for (int i = 1; i < BLOCK; i++) {
        if (x[i] < min)
            min = x[i];
        if (x[i] > max)
            max = x[i];
    }
    float d = (max - min) / (float)top, id = inverse(d);
    p->d = f16_from_f32(d);
    p->m = f16_from_f32(min);
    for (int i = 0; i < BLOCK && isfinite(d); i++)
        p->code[i] = clamped((x[i] - min) * id + 0.5f, top);
}

void fit_Q4_0(struct quant_parts *p, const float *x, const struct quant_form *f) { fit_symmetric(p, x, f); }
void fit_Q4_1(struct quant_parts *p, const float *x, const struct quant_form *f) { fit_range(p, x, f); }
void fit_Q5_0(struct quant_parts *p, const float *x, const struct quant_form *f) { fit_symmetric(p, x, f); }
void fit_Q5_1(struct quant_parts *p, const float *x, const struct quant_form *f) { fit_range(p, x, f); }

void fit_Q8_0(struct quant_parts *p, const float *x, const struct quant_form *f)
{
    float amax = 0;
    for (int i = 0; i < BLOCK; i++)
        amax = fmaxf(amax, fabsf(x[i]));
    float d = amax / 127, id = inverse(d);
    p->d = f16_from_f32(d);
    for (int i = 0; i < BLOCK; i++)
        p->code[i] = (uint8_t)((int)roundf(x[i] * id) + (int)f->zero);
}
