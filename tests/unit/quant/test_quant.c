/* Number formats: hand-worked values, and every half there is. */
#include "test.h"
#include "quant/quant.h"
#include <math.h>

TEST(f16_every_value_round_trips)
{
    for (uint32_t h = 0; h <= 0xffff; h++) {
        float f = f16_to_f32((f16)h);
        if ((h & 0x7fff) > 0x7c00)
            CHECK(isnan(f) && (f16_from_f32(f) & 0x7fff) > 0x7c00);
        else
            CHECK_MSG(f16_from_f32(f) == h, "%04x", h);
    }
}

/* Between two neighbouring halves lie their middle, which goes to the even one, and values on both sides of it. */
TEST(f16_rounds_to_nearest_even)
{
    for (uint32_t h = 0; h < 0x7bff; h++) {
        float lo = f16_to_f32((f16)h), hi = f16_to_f32((f16)(h + 1)), mid = (lo + hi) / 2;
        CHECK(f16_from_f32(mid) == (h % 2 ? h + 1 : h));
        CHECK(f16_from_f32(nextafterf(mid, lo)) == h);
        CHECK(f16_from_f32(nextafterf(mid, hi)) == h + 1);
        CHECK(f16_from_f32(-mid) == (0x8000 | (h % 2 ? h + 1 : h)));
    }
    CHECK(f16_from_f32(65519.996f) == 0x7bff && f16_from_f32(65520) == 0x7c00 && f16_from_f32(-1e30f) == 0xfc00);
    CHECK(f16_from_f32(0x1p-25f) == 0 && f16_from_f32(0x1.000002p-25f) == 1 && f16_from_f32(INFINITY) == 0x7c00);
}

TEST(f16_known_values)
{
    CHECK(f16_to_f32(0x3c00) == 1 && f16_to_f32(0xc000) == -2 && f16_to_f32(0x7bff) == 65504 && f16_to_f32(0x3555) == 0x1.554p-2f);
    CHECK(f16_to_f32(0x0001) == 0x1p-24f && f16_to_f32(0x0400) == 0x1p-14f && isinf(f16_to_f32(0x7c00)) && signbit(f16_to_f32(0x8000)));
}

TEST(bf16)
{
    CHECK(bf16_to_f32(0x3f80) == 1 && bf16_to_f32(0xc000) == -2 && bf16_from_f32(1) == 0x3f80);
    CHECK(bf16_from_f32(0x1.01p0f) == 0x3f80); /* a tie, to even */
    CHECK(bf16_from_f32(0x1.03p0f) == 0x3f82); /* a tie, to even */
    CHECK(bf16_from_f32(0x1.010002p0f) == 0x3f81);
    CHECK(bf16_from_f32(3.4e38f) == 0x7f80 && isnan(bf16_to_f32(bf16_from_f32(NAN))));
    for (uint32_t h = 0; h <= 0xffff; h++)
        CHECK((h & 0x7fff) > 0x7f80 || bf16_from_f32(bf16_to_f32((bf16)h)) == h);
}

static const struct quant_info *info(uint32_t t)
{
    return quant_info(t);
}

struct q8_0 { f16 d; int8_t q[32]; };
struct q4_0 { f16 d; uint8_t q[16]; };

/* amax 127 makes the scale 1; halves round away from zero, as roundf does. */
TEST(q8_0_by_hand)
{
    float in[32] = {127, -127, 0, 0.5f, -0.5f, 1.5f, 2.49f, -3.51f, 126.5f}, out[32];
    int8_t want[32] = {127, -127, 0, 1, -1, 2, 2, -4, 127};
    struct q8_0 q;
    info(QUANT_Q8_0)->encode(&q, in, 32);
    CHECK(q.d == 0x3c00 && memcmp(q.q, want, sizeof want) == 0);
    info(QUANT_Q8_0)->decode(out, &q, 32);
    CHECK(out[0] == 127 && out[7] == -4 && out[31] == 0);
}

/* The value of largest magnitude, here positive, becomes -8 steps of a negative scale. */
TEST(q4_0_by_hand)
{
    float in[32] = {8, -8, 1, -1, 0.4f, -0.6f, 7, -7}, out[32];
    in[16] = 4, in[31] = -2.5f;
    struct q4_0 q;
    info(QUANT_Q4_0)->encode(&q, in, 32);
    CHECK(q.d == 0xbc00);           /* -1 */
    CHECK(q.q[0] == (0 | 4 << 4));  /* 8: nibble 0; 4: nibble 4 in the upper half */
    CHECK(q.q[1] == (15 | 8 << 4)); /* -8 would be 16: clamped */
    CHECK((q.q[2] & 15) == 7 && (q.q[3] & 15) == 9);
    CHECK((q.q[4] & 15) == 8 && (q.q[5] & 15) == 9);                        /* 8.1 and 9.1 before truncation */
    CHECK((q.q[6] & 15) == 1 && (q.q[7] & 15) == 15 && q.q[15] >> 4 == 11); /* 2.5 + 8.5 = 11 */
    info(QUANT_Q4_0)->decode(out, &q, 32);
    CHECK(out[0] == 8 && out[1] == -7 && out[16] == 4 && out[31] == -3 && out[8] == 0);
}

TEST(blocks_of_zeros_and_of_what_is_not_finite)
{
    static const uint32_t types[] = {QUANT_Q8_0, QUANT_Q4_0};
    for (int t = 0; t < 2; t++) {
        float in[64] = {0}, out[64];
        uint8_t q[128];
        in[40] = INFINITY;
        info(types[t])->encode(q, in, 64);
        info(types[t])->decode(out, q, 64);
        for (int i = 0; i < 64; i++)
            CHECK(i < 32 ? out[i] == 0 : isnan(out[i]));
        for (int i = 0; i < 64; i++)
            in[i] = 1e-42f; /* subnormal: 1 / d would overflow */
        info(types[t])->encode(q, in, 64);
        info(types[t])->decode(out, q, 64);
        for (int i = 0; i < 64; i++)
            CHECK(fabsf(out[i]) <= 1e-40f);
    }
}

/* Half a step of the block's scale, and the rounding of the scale to a half. */
TEST(errors_are_bounded)
{
    uint64_t s = 7;
    for (int round = 0; round < 200; round++) {
        float in[32], out[32], amax = 0;
        uint8_t q[64];
        for (int i = 0; i < 32; i++) {
            s = s * 6364136223846793005u + 1442695040888963407u;
            in[i] = (float)(int32_t)(s >> 32) * 0x1p-31f * (float)(round + 1);
            amax = fmaxf(amax, fabsf(in[i]));
        }
        info(QUANT_Q8_0)->encode(q, in, 32);
        info(QUANT_Q8_0)->decode(out, q, 32);
        for (int i = 0; i < 32; i++)
            CHECK(fabsf(out[i] - in[i]) <= amax * (0.5f / 127 + 0x1p-11f));
        info(QUANT_Q4_0)->encode(q, in, 32);
        info(QUANT_Q4_0)->decode(out, q, 32);
        for (int i = 0; i < 32; i++) /* the end without a partner is clamped by up to a whole step */
            CHECK(fabsf(out[i] - in[i]) <= amax * (1.0f / 8 + 0x1p-10f));
    }
}

/* Taking a block apart and putting it together loses nothing: any bytes are a block. */
TEST(blocks_taken_apart_and_together)
{
    uint64_t s = 3;
    for (uint32_t t = 0; t < 64; t++)
        for (int round = 0; quant_info(t) && quant_info(t)->split && round < 100; round++) {
            uint8_t block[256], again[256];
            struct quant_parts p;
            for (size_t i = 0; i < sizeof block; i++)
                s = s * 6364136223846793005u + 1442695040888963407u, block[i] = (uint8_t)(s >> 56);
            info(t)->split(&p, block);
            for (uint32_t i = 0; i < info(t)->block; i++)
                CHECK(p.code[i] < 1 << info(t)->form.bits);
            info(t)->join(again, &p);
            CHECK_MSG(memcmp(block, again, info(t)->bytes) == 0, "%s", info(t)->name);
        }
}

/* What is encoded comes back within a share of its block's largest value: half a step, and the rounding of scales and minimums. */
TEST(errors_of_each_type)
{
    static const struct { uint32_t type; float share; } types[] = {
        {QUANT_Q4_0, 0.13f}, {QUANT_Q4_1, 0.07f}, {QUANT_Q5_0, 0.07f}, {QUANT_Q5_1, 0.035f}, {QUANT_Q8_0, 0.005f},
        {QUANT_Q2_K, 0.5f},  {QUANT_Q3_K, 0.27f}, {QUANT_Q4_K, 0.09f}, {QUANT_Q5_K, 0.06f},  {QUANT_Q6_K, 0.035f},
        {QUANT_IQ4_NL, 0.12f}, {QUANT_IQ4_XS, 0.12f}, {QUANT_MXFP4, 0.27f},
    };
    uint64_t s = 5;
    for (size_t t = 0; t < sizeof types / sizeof *types; t++)
        for (int round = 0; round < 200; round++) {
            float in[256], out[256], worst = 0, scale = ldexpf(1, round % 20 - 8), shift = (float)(round % 3 - 1) * 0.5f;
            uint8_t q[512];
            for (int i = 0; i < 256; i++)
                s = s * 6364136223846793005u + 1442695040888963407u, in[i] = scale * ((float)(int32_t)(s >> 32) * 0x1p-32f + shift);
            info(types[t].type)->encode(q, in, 256);
            info(types[t].type)->decode(out, q, 256);
            for (int i = 0; i < 256; i++)
                worst = fmaxf(worst, fabsf(in[i] - out[i]) / scale);
            CHECK_MSG(worst < types[t].share, "%s: off by %g of the largest", info(types[t].type)->name, (double)worst);
        }
}

/* Zeros stay zeros; what is not finite, or larger than a scale can say, is NaN, and every code stays in range (the sanitizers watch). */
TEST(odd_blocks_of_each_type)
{
    static const float odd[] = {0, -0.0f, 1e-45f, -1e-38f, 1e-10f, 65504, -3e5f, 1e38f, 3.4e38f, -3.4e38f};
    for (uint32_t t = 0; t < 64; t++)
        for (size_t o = 0; quant_info(t) && quant_info(t)->split && o <= sizeof odd / sizeof *odd; o++) {
            float in[256] = {0}, out[256];
            uint8_t q[512];
            for (int i = 0; i < 256; i++)
                in[i] = o < sizeof odd / sizeof *odd ? odd[o] : i == 200 ? NAN : 1;
            info(t)->encode(q, in, 256);
            info(t)->decode(out, q, 256);
            for (int i = 0; i < 256; i++)
                CHECK_MSG(o < 2   ? out[i] == 0
                          : o < 5 ? fabsf(out[i] - in[i]) < 1e-7f
                                  : o > 6 || !isfinite(out[i]) || fabsf(out[i] / in[i] - 1) < (t == QUANT_MXFP4 ? 0.26f : 0.1f),
                          "%s: %g becomes %g", info(t)->name, (double)in[i], (double)out[i]);
            CHECK(o < sizeof odd / sizeof *odd || (t == QUANT_MXFP4 ? isinf(out[200]) : isnan(out[200])));
        }
}

TEST(table)
{
    CHECK(!quant_info(4) && !quant_info(9) && !quant_info(15) && !quant_info(77) && !quant_info(UINT32_MAX));
    CHECK(info(QUANT_Q4_0)->bytes == sizeof(struct q4_0) && info(QUANT_Q8_0)->bytes == sizeof(struct q8_0) && info(QUANT_Q4_0)->block == 32);
    CHECK(strcmp(info(QUANT_BF16)->name, "BF16") == 0 && info(QUANT_F32)->bytes == 4 && info(QUANT_F16)->block == 1);
}
TEST_MAIN()
