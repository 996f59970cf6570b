/* Private to amx/: the eight tile registers, each up to 16 rows of 64 bytes. Assembly, because gcc 12's intrinsics for tile loads do not say that
 * they read memory. The emulation for CPUs without AMX (tests/check/amx_emulated.h) defines the same macros in plain C. */
#pragma once
#include "kernel/avx512/vec_int.h"

struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes[16]; /* of a row of tile i */
    uint8_t rows[16];
};

#ifndef TILE_LOAD
#define TILE_CONFIG(c)           __asm__ volatile("ldtilecfg %0" ::"m"(*(c)))
#define TILE_RELEASE()           __asm__ volatile("tilerelease" ::)
#define TILE_LOAD(t, p, stride)  __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #t ::"r"(p), "r"((long)(stride)) : "memory")
#define TILE_STORE(t, p, stride) __asm__ volatile("tilestored %%tmm" #t ", (%0,%1,1)" ::"r"(p), "r"((long)(stride)) : "memory")
#define TILE_ZERO(t)             __asm__ volatile("tilezero %%tmm" #t ::)
/* c (m, n) += a (m, 4 k) * b (k, n of 4): signed bytes, int32 sums. */
#define TILE_DOT_INT8(c, a, b) __asm__ volatile("tdpbssd %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::)
/* The same with unsigned bytes of b. */
#define TILE_DOT_INT8_UNSIGNED(c, a, b) __asm__ volatile("tdpbsud %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::)
/* c (m, n) += a (m, 2 k) * b (k, n of 2): bf16, float sums. */
#define TILE_DOT_BF16(c, a, b) __asm__ volatile("tdpbf16ps %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::)
#endif
