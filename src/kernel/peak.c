#include "kernel/peak.h"
#include <cpuid.h>

enum { LOOPS = 20000, CHAINS = 12, TILES = 6 };

#define EACH(X)        X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define CLOBBERS       "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm14", "xmm15"
#define MADDUBS_YMM(i) "vpmaddubsw %%ymm15, %%ymm14, %%ymm" #i "\n"
#define FMA_YMM(i)     "vfmadd231ps %%ymm15, %%ymm14, %%ymm" #i "\n"
#define DPBUSD_ZMM(i)  "vpdpbusd %%zmm15, %%zmm14, %%zmm" #i "\n"
#define DPBF16_ZMM(i)  "vdpbf16ps %%zmm15, %%zmm14, %%zmm" #i "\n"
#define FMA_ZMM(i)     "vfmadd231ps %%zmm15, %%zmm14, %%zmm" #i "\n"

#define LOOP(name, body)                                                                                                                             \
    static void name(void)                                                                                                                           \
    {                                                                                                                                                \
        __asm__ volatile("vzeroall" ::: CLOBBERS);                                                                                                   \
        for (int i = 0; i < LOOPS; i++)                                                                                                              \
            __asm__ volatile(EACH(body)::: CLOBBERS);                                                                                                \
    }
LOOP(int8_avx2, MADDUBS_YMM)
LOOP(f32_avx2, FMA_YMM)
LOOP(int8_avx512, DPBUSD_ZMM)
LOOP(bf16_avx512, DPBF16_ZMM)
LOOP(f32_avx512, FMA_ZMM)

/* LDTILECFG's operand (Intel SDM, volume 1, chapter 18): eight registers of 16 rows of 64 bytes. */
struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};
static const struct tile_config tile_config
    __attribute__((aligned(64))) = {.palette = 1, .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64}, .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

#define EACH_TILE(X) X(0) X(1) X(2) X(3) X(4) X(5)
#define TILE_ZERO(i) "tilezero %%tmm" #i "\n"
#define TILE_INT8(i) "tdpbusd %%tmm7, %%tmm6, %%tmm" #i "\n"
#define TILE_BF16(i) "tdpbf16ps %%tmm7, %%tmm6, %%tmm" #i "\n"
#define TILE_LOOP(name, body)                                                                                                                        \
    static void name(void)                                                                                                                           \
    {                                                                                                                                                \
        __asm__ volatile("ldtilecfg %0\n" EACH_TILE(TILE_ZERO) TILE_ZERO(6) TILE_ZERO(7)::"m"(tile_config));                                         \
        for (int i = 0; i < LOOPS / 16; i++)                                                                                                         \
            __asm__ volatile(EACH_TILE(body)::);                                                                                                     \
        __asm__ volatile("tilerelease" ::);                                                                                                          \
    }
TILE_LOOP(int8_amx, TILE_INT8)
TILE_LOOP(bf16_amx, TILE_BF16)

#define VECTOR_OPS(per_vector) ((double)(per_vector)*CHAINS * LOOPS)
#define TILE_OPS(per_tile)     ((double)(per_tile)*TILES * (LOOPS / 16))
static const struct kernel_peak peaks[] = {
    {"int8", "avx2", VECTOR_OPS(64), int8_avx2},     {"f32", "avx2", VECTOR_OPS(16), f32_avx2},     {"int8", "avx512", VECTOR_OPS(128), int8_avx512},
    {"bf16", "avx512", VECTOR_OPS(64), bf16_avx512}, {"f32", "avx512", VECTOR_OPS(32), f32_avx512}, {"int8", "amx", TILE_OPS(32768), int8_amx},
    {"bf16", "amx", TILE_OPS(16384), bf16_amx},
};

static bool has_bf16(void)
{
    unsigned a, b, c, d;
    return kernel_cpu_has(KERNEL_avx512) && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & bit_AVX512BF16);
}

const struct kernel_peak *kernel_peak(int i, bool *has)
{
    if (i < 0 || i >= (int)(sizeof peaks / sizeof *peaks))
        return NULL;
    void (*loop)(void) = peaks[i].loop;
    *has = loop == int8_avx2 || loop == f32_avx2   ? kernel_cpu_has(KERNEL_avx2)
           : loop == bf16_avx512                  ? has_bf16()
           : loop == int8_amx || loop == bf16_amx ? kernel_cpu_has(KERNEL_amx)
                                                  : kernel_cpu_has(KERNEL_avx512);
    return &peaks[i];
}

void kernel_peak_read(const void *memory, size_t n)
{
    const uint8_t *p = memory, *end = p + n;
    for (; p < end; p += 256)
        __asm__ volatile("vmovdqu (%0), %%ymm0\nvmovdqu 32(%0), %%ymm1\nvmovdqu 64(%0), %%ymm2\nvmovdqu 96(%0), %%ymm3\n"
                         "vmovdqu 128(%0), %%ymm4\nvmovdqu 160(%0), %%ymm5\nvmovdqu 192(%0), %%ymm6\nvmovdqu 224(%0), %%ymm7\n" ::"r"(p)
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7");
}
