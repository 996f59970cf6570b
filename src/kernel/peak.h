/* What the arithmetic units can do at most: loops of nothing but one instruction on registers, twelve independent chains of it (six for AMX,
 * which has eight registers), so that neither latency nor memory is in the way. In assembly: a loop whose registers the compiler spills
 * measures the stores. src/bench/roofline.c times them. */
#pragma once
#include "kernel/kernel.h"

struct kernel_peak {
    const char *unit;  /* "int8", "bf16", "f32" */
    const char *level; /* "avx2", "avx512", "amx" */
    double      ops;   /* multiplications and additions of one call */
    void (*loop)(void);
};
/* Peak i and whether this CPU and its system can run it; NULL past the last. Asks the system for AMX's state, once, when it comes to those. */
const struct kernel_peak *kernel_peak(int i, bool *has);
/* Reads n bytes (a multiple of 256), and nothing else. */
void kernel_peak_read(const void *p, size_t n);
