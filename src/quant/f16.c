/* Half precision (IEEE binary16) and bfloat16, bit by bit: exact decoding, rounding to nearest even. */
#include "quant/quant.h"
#include <string.h>

static uint32_t bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

float f16_to_f32(f16 h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = (h >> 10) & 0x1f, man = h & 0x3ff;
    if (exp == 31) /* infinity; a NaN becomes quiet, as the hardware's conversion makes it */
        return from_bits(sign | 0x7f800000 | man << 13 | (man ? 0x400000 : 0));
    if (exp == 0) { /* zero or subnormal: man * 2^-24 */
        float f = (float)man * 0x1p-24f;
        return sign ? -f : f;
    }
    return from_bits(sign | (exp + 112) << 23 | man << 13);
}

f16 f16_from_f32(float f)
{
    uint32_t u = bits(f), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000)
        return (f16)(sign | 0x7e00 | (a >> 13 & 0x3ff));
    if (a >= 0x477ff000) /* 65520 and above round to infinity */
        return (f16)(sign | 0x7c00);
    if (a < 0x38800000) { /* below 2^-14: adding 0.5 leaves the rounded multiple of 2^-24 in the low bits */
        uint32_t r = bits(from_bits(a) + 0.5f) - 0x3f000000;
        return (f16)(sign | r);
    }
    uint32_t r = a - 0x38000000;               /* new exponent bias */
    r += 0xfff + (r >> 13 & 1);                /* round to nearest even at bit 13 */
    return (f16)(sign | r >> 13);
}

float bf16_to_f32(bf16 h) { return from_bits((uint32_t)h << 16); }

bf16 bf16_from_f32(float f)
{
    uint32_t u = bits(f);
    if ((u & 0x7fffffff) > 0x7f800000)
        return (bf16)(u >> 16 | 0x40);
    return (bf16)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
