/* Private to sample/: the exponential of the draw. */
#pragma once
#include <stdint.h>

/* exp(x) for x <= 0 within 2 ulp; 0 below -87 and for NaN. Without branches, tables or fused operations, so that loops over it are
 * vectorised and give the same bits on every machine (the C library's expf does not). Reduction and polynomial of Cephes' expf. */
static inline float exp_neg(float x)
{
    const float cut = x > -87.0f ? x : -87.0f;
    const float n = (cut * 1.44269504f + 12582912.0f) - 12582912.0f; /* rounds to the nearest integer */
    const float r = (cut - n * 0.693359375f) - n * -2.12194440e-4f;
    float       p = 1.9875691500e-4f * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    const union {
        int32_t i;
        float   f;
    } two_n = {.i = ((int32_t)n + 127) * (1 << 23)};
    return x > -87.0f ? (p * r * r + r + 1.0f) * two_n.f : 0.0f;
}
