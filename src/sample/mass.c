/* What goes over a whole vocabulary: the largest logit, and the exponentials with their sums. Plain loops that the compiler turns into vectors,
 * once for each width that a CPU may have; lanes and sums are written down, so that all of them give the same bits. */
#include "sample/exp.h"
#include "sample/sample_int.h"
#include "text/vocab.h"
#include <math.h>
#include <stdbool.h>

enum { LANES = 16 };
#define BODY static inline __attribute__((always_inline))

BODY int32_t argmax(const float *x, size_t n)
{
    float lane[LANES], max = -INFINITY;
    size_t i = 0;
    for (int k = 0; k < LANES; k++)
        lane[k] = -INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++)
            lane[k] = x[i + (size_t)k] > lane[k] ? x[i + (size_t)k] : lane[k]; /* NaN leaves it */
    for (; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (int k = 0; k < LANES; k++)
        max = lane[k] > max ? lane[k] : max;
    if (!(max > -INFINITY))
        return TOKEN_NONE;
    for (i = 0; i + DRAW_BLOCK <= n; i += DRAW_BLOCK) { /* which block has it */
        int any = 0;
        for (size_t k = 0; k < DRAW_BLOCK; k++)
            any |= x[i + k] == max;
        if (any)
            break;
    }
    for (; i < n; i++)
        if (x[i] == max)
            return (int32_t)i;
    return TOKEN_NONE;
}

BODY double masses(float *restrict w, double *restrict block, const float *restrict logit, size_t n, float max, float t)
{
    double sum = 0;
    if (t == 1)
        for (size_t i = 0; i < n; i++)
            w[i] = exp_neg(logit[i] == max ? 0.0f : logit[i] - max);
    else
        for (size_t i = 0; i < n; i++) {
            const float x = (logit[i] - max) / t;
            w[i] = exp_neg(logit[i] == max ? 0.0f : x);
        }
    for (size_t at = 0; at < n; at += DRAW_BLOCK) {
        double part[LANES] = {0}, *b = &block[at / DRAW_BLOCK];
        size_t end = at + DRAW_BLOCK < n ? at + DRAW_BLOCK : n, i = at;
        for (; i + LANES <= end; i += LANES)
            for (int k = 0; k < LANES; k++)
                part[k] += (double)w[i + (size_t)k];
        for (int k = 0; i < end; i++, k++)
            part[k] += (double)w[i];
        for (int half = LANES / 2; half > 0; half /= 2)
            for (int k = 0; k < half; k++)
                part[k] += part[k + half];
        sum += *b = part[0];
    }
    return sum;
}

#define EACH(name, target)                                                                                                                           \
    target static int32_t argmax_##name(const float *x, size_t n)                                                                                    \
    {                                                                                                                                                \
        return argmax(x, n);                                                                                                                         \
    }                                                                                                                                                \
    target static double masses_##name(float *restrict w, double *restrict block, const float *restrict logit, size_t n, float max, float t)         \
    {                                                                                                                                                \
        return masses(w, block, logit, n, max, t);                                                                                                   \
    }
EACH(any, )
EACH(avx2, __attribute__((target("avx2"))))
EACH(avx512, __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512"))))

static const struct mass_loops loops[] = {
    {argmax_any, masses_any},
    {argmax_avx2, masses_avx2},
    {argmax_avx512, masses_avx512},
};

const struct mass_loops *sample_loops(int i)
{
    const bool avx2 = __builtin_cpu_supports("avx2"), avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                                                               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    return i <= avx2 + avx512 ? &loops[i] : NULL;
}

static const struct mass_loops *widest(void)
{
    int i = 2;
    while (!sample_loops(i))
        i--;
    return &loops[i];
}

int32_t sample_argmax(const float *x, size_t n)
{
    return widest()->argmax(x, n);
}

double sample_masses(float *restrict w, double *restrict block, const float *restrict logit, size_t n, float max, float t)
{
    return widest()->masses(w, block, logit, n, max, t);
}
