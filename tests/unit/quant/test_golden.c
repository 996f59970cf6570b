/* Every quantisation against llama.cpp, bit for bit: tests/golden/quants.txt, made by quants.py there, which says what its lines mean. */
#include "test.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/str.h"
#include "quant/quant.h"
#include <math.h>

static uint64_t state;
static uint32_t next(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32);
}

static uint64_t fnv(uint64_t h, const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ ((const uint8_t *)p)[i]) * 0x100000001b3u;
    return h;
}
#define FNV_START 0xcbf29ce484222325u

static size_t unhex(uint8_t *out, size_t max, struct str hex)
{
    size_t n = 0;
    for (; n < max && 2 * n + 1 < hex.n; n++) {
        int v = 0;
        for (size_t k = 0; k < 2; k++) {
            char c = hex.p[2 * n + k];
            v = v << 4 | (c <= '9' ? c - '0' : c - 'a' + 10);
        }
        out[n] = (uint8_t)v;
    }
    return n;
}

/* Where the half-precision numbers of a block stand. */
static size_t halves(uint32_t type, size_t at[2])
{
    static const struct { uint32_t type; size_t n, at[2]; } all[] = {
        {QUANT_Q4_0, 1, {0}},     {QUANT_Q4_1, 2, {0, 2}}, {QUANT_Q5_0, 1, {0}},    {QUANT_Q5_1, 2, {0, 2}}, {QUANT_Q8_0, 1, {0}},
        {QUANT_Q2_K, 2, {80, 82}}, {QUANT_Q3_K, 1, {108}}, {QUANT_Q4_K, 2, {0, 2}}, {QUANT_Q5_K, 2, {0, 2}}, {QUANT_Q6_K, 1, {208}},
        {QUANT_IQ4_NL, 1, {0}},   {QUANT_IQ4_XS, 1, {0}},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].type == type)
            return memcpy(at, all[i].at, sizeof all[i].at), all[i].n;
    return 0;
}

static void random_block(uint8_t *out, uint32_t type)
{
    size_t at[2], n = halves(type, at);
    for (size_t i = 0; i < quant_info(type)->bytes; i++)
        out[i] = (uint8_t)(next() >> 24);
    for (size_t i = 0; i < n; i++)
        if ((out[at[i] + 1] & 0x7c) == 0x7c)
            out[at[i] + 1] &= 0xbf;
}

static bool test_decode(const struct quant_info *q, struct str block, struct str values)
{
    uint8_t in[256], bits[1024];
    float   out[256];
    if (unhex(in, sizeof in, block) != q->bytes || unhex(bits, sizeof bits, values) != q->block * sizeof(float))
        return false;
    q->decode(out, in, q->block);
    for (uint32_t i = 0; i < q->block; i++)
        if (memcmp(&out[i], bits + 4 * i, 4) != 0) {
            float want;
            memcpy(&want, bits + 4 * i, 4);
            printf("%s %.*s: value %u is %a, not %a\n", q->name, (int)block.n, block.p, i, (double)out[i], (double)want);
            return false;
        }
    return true;
}

static uint64_t many(uint32_t type, uint64_t n)
{
    uint64_t h = FNV_START;
    state = 7;
    /* the generator goes on where the blocks that are written out ended: 12 or 40 random ones, and those with odd scales */
    size_t   at[2], n_halves = halves(type, at);
    uint8_t  block[256];
    float    out[256];
    for (int i = 0; i < (quant_info(type)->block == 256 ? 12 : 40); i++)
        random_block(block, type);
    for (size_t i = 0; i < 13 * n_halves * quant_info(type)->bytes; i++)
        (void)next();
    for (uint64_t i = 0; i < n; i++) {
        random_block(block, type);
        quant_info(type)->decode(out, block, quant_info(type)->block);
        h = fnv(h, out, quant_info(type)->block * sizeof *out);
    }
    return h;
}

static uint64_t many_halves(uint32_t type, uint64_t n)
{
    uint64_t h = FNV_START;
    for (uint64_t i = 0; i < n; i++) {
        uint16_t in = (uint16_t)i;
        float    out;
        quant_info(type)->decode(&out, &in, 1);
        h = fnv(h, &out, sizeof out);
    }
    return h;
}

static uint64_t encode_halves(uint32_t type, uint64_t n)
{
    uint64_t h = FNV_START;
    uint32_t bits[32];
    uint16_t out[32];
    float    x[32];
    state = 11;
    for (uint64_t i = 0; i < n; i++) {
        for (int k = 0; k < 32; k++) {
            bits[k] = next();
            if ((bits[k] & 0x7f800000) == 0x7f800000 && bits[k] & 0x7fffff)
                bits[k] &= ~0x800000u;
        }
        memcpy(x, bits, sizeof x);
        quant_info(type)->encode(out, x, 32);
        h = fnv(h, out, sizeof out);
    }
    return h;
}

static uint64_t encode(uint32_t type, uint64_t n)
{
    uint64_t h = FNV_START;
    uint8_t  block[256];
    float    x[256];
    state = 11;
    for (uint64_t i = 0; i < n; i++) {
        for (uint32_t k = 0; k < quant_info(type)->block; k++)
            x[k] = (float)ldexp((double)(int32_t)next(), (int)(i % 40) - 51);
        quant_info(type)->encode(block, x, quant_info(type)->block);
        h = fnv(h, block, quant_info(type)->bytes);
    }
    return h;
}

static uint32_t type_of(struct str name)
{
    for (uint32_t t = 0; t < 64; t++)
        if (quant_info(t) && str_eqz(name, quant_info(t)->name))
            return t;
    return UINT32_MAX;
}

TEST(as_llama_cpp)
{
    struct os_map map;
    struct err    e;
    size_t        n_decode = 0, n_many = 0, n_encode = 0;
    CHECK_MSG(!os_map_open(&map, "tests/golden/quants.txt", &e), "%s", e.msg);
    struct str all = {(const char *)map.p, map.n};
    while (all.n) {
        struct str line = str_split(&all, '\n'), kind = str_split(&line, ' '), name = str_split(&line, ' '), a = str_split(&line, ' ');
        uint32_t   type = type_of(name);
        if (str_eqz(kind, "#"))
            continue;
        CHECK_MSG(type != UINT32_MAX, "%.*s", (int)name.n, name.p);
        uint8_t  digest[8];
        uint64_t n, want = 0;
        if (str_eqz(kind, "decode")) {
            CHECK(test_decode(quant_info(type), a, line));
            n_decode++;
            continue;
        }
        CHECK(unhex(digest, 8, line) == 8 && str_u64(a, &n));
        for (int i = 0; i < 8; i++)
            want = want << 8 | digest[i];
        bool is_many = str_eqz(kind, "many");
        uint64_t got = quant_info(type)->split ? (is_many ? many : encode)(type, n) : (is_many ? many_halves : encode_halves)(type, n);
        CHECK_MSG(got == want, "%s: %.*s of %llu blocks differs", quant_info(type)->name, (int)kind.n, kind.p,
                  (unsigned long long)n);
        n_many += is_many, n_encode += !is_many;
    }
    CHECK(n_decode == 7 * 40 + 6 * 12 + 13 * 17 + 7 && n_many == 15 && n_encode == 10);
    os_map_close(&map);
}
TEST_MAIN()
