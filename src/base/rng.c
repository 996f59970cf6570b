#include "base/rng.h"

static void round_(uint32_t c[4], const uint32_t k[2])
{
    uint64_t p0 = 0xD2511F53ull * c[0], p1 = 0xCD9E8D57ull * c[2];
    uint32_t out[4] = {(uint32_t)(p1 >> 32) ^ c[1] ^ k[0], (uint32_t)p1, (uint32_t)(p0 >> 32) ^ c[3] ^ k[1], (uint32_t)p0};
    for (int i = 0; i < 4; i++)
        c[i] = out[i];
}

uint64_t rng_u64(uint64_t seed, uint32_t choice, uint64_t position, uint32_t lane)
{
    uint32_t c[4] = {(uint32_t)position, (uint32_t)(position >> 32), choice, lane};
    uint32_t k[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int i = 0; i < 10; i++) {
        round_(c, k);
        k[0] += 0x9E3779B9u;
        k[1] += 0xBB67AE85u;
    }
    return (uint64_t)c[1] << 32 | c[0];
}

double rng_f64(uint64_t seed, uint32_t choice, uint64_t position, uint32_t lane)
{
    return (double)(rng_u64(seed, choice, position, lane) >> 11) * 0x1p-53;
}
