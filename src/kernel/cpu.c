/* What this CPU can run. The only file of the kernels that asks the hardware. */
#include "kernel/kernel.h"
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The operating system saves the registers named by `bits` of XCR0 (6: SSE and AVX, 0xe6: AVX-512 too, 0x60000: AMX). */
static bool saves(unsigned bits)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE))
        return false;
    unsigned lo, hi;
    __asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (lo & bits) == bits;
}

/* Linux gives a process the 8 KB of tile registers only when it asks: once, for all its threads (Linux 5.16; Documentation/arch/x86/xstate.rst). */
static bool may_use_tiles(void)
{
    enum { REQUEST = 0x1023 /* ARCH_REQ_XCOMP_PERM */, TILE_DATA = 18 };
    return saves(3u << 17) && syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
}

bool kernel_cpu_has(enum kernel_level l)
{
    unsigned a, b, c, d, a7, b7, c7, d7;
    if (l == KERNEL_scalar)
        return true;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !__get_cpuid_count(7, 0, &a7, &b7, &c7, &d7))
        return false;
    if (!saves(6) || !(b7 & bit_AVX2) || !(c & bit_FMA) || !(c & bit_F16C))
        return false;
    if (l == KERNEL_avx2)
        return true;
    unsigned need = bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL;
    unsigned tiles = 1u << 24 | 1u << 25 | 1u << 22; /* AMX_TILE, AMX_INT8, AMX_BF16: clang's cpuid.h has no names for them */
    if (!saves(0xe6) || (b7 & need) != need || !(c7 & bit_AVX512VNNI))
        return false;
    return l == KERNEL_avx512 || (l == KERNEL_amx && (d7 & tiles) == tiles && may_use_tiles());
}

void kernel_cpu_name(char out[49])
{
    unsigned r[12] = {0};
    memset(out, 0, 49);
    if ((unsigned)__get_cpuid_max(0x80000000u, NULL) < 0x80000004u)
        return;
    for (unsigned i = 0; i < 3; i++)
        __get_cpuid(0x80000002u + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]);
    memcpy(out, r, 48);
}
#else
bool kernel_cpu_has(enum kernel_level l) { return l == KERNEL_scalar; }
void kernel_cpu_name(char out[49]) { memset(out, 0, 49); }
#endif
