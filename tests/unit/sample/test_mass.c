/* The loops over a whole vocabulary: every width of vectors gives the same bits, and the largest logit is the first of the largest. */
#include "base/rng.h"
#include "sample/sample_int.h"
#include "test.h"
#include "text/vocab.h"
#include <math.h>
#include <string.h>

enum { MOST = 5000 };

/* Ordinary logits; some rows have ties, minus infinity, infinity or NaN among them. */
static void logits(float *x, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t r = rng_u64(seed, 0, i, 0);
        x[i] = (float)((double)(r >> 40) * 0x1p-20 - 8);
        if (seed % 3 == 0)
            x[i] = (float)(int)x[i];
        if (seed % 4 == 1)
            x[i] = r % 7 == 0 ? -INFINITY : r % 11 == 0 ? NAN : x[i];
        if (seed % 8 == 5 && r % 501 == 0)
            x[i] = INFINITY;
    }
}

static int32_t naive(const float *x, size_t n)
{
    int32_t best = TOKEN_NONE;
    for (size_t i = 0; i < n; i++)
        if (x[i] > (best == TOKEN_NONE ? -INFINITY : x[best]))
            best = (int32_t)i;
    return best;
}

static void same(const struct mass_loops *l, const float *x, size_t n, float max, float t)
{
    static float w[2][MOST];
    static double block[2][MOST / DRAW_BLOCK + 1];
    memset(w, 1, sizeof w), memset(block, 1, sizeof block);
    double a = sample_loops(0)->masses(w[0], block[0], x, n, max, t), b = l->masses(w[1], block[1], x, n, max, t);
    CHECK(memcmp(&a, &b, sizeof a) == 0);
    CHECK(memcmp(w[0], w[1], sizeof w[0]) == 0 && memcmp(block[0], block[1], sizeof block[0]) == 0);
}

TEST(mass_widths)
{
    static float x[MOST];
    static const size_t sizes[] = {1, 3, 15, 16, 17, 255, 256, 257, 1000, 4096, MOST};
    static const float temperatures[] = {1, 0.7f, 2, 0.01f};
    for (uint64_t seed = 0; seed < 24; seed++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            const size_t n = sizes[k];
            logits(x, n, seed);
            const int32_t best = naive(x, n);
            for (int i = 0; sample_loops(i); i++) {
                CHECK(sample_loops(i)->argmax(x, n) == best);
                same(sample_loops(i), x, n, best == TOKEN_NONE ? 0 : x[best], temperatures[seed % 4]);
            }
        }
}

TEST_MAIN()
