/* The table of kernels: starts as scalar; each level that the CPU has overrides what it brings. */
#include "kernel/kernel.h"
#include <string.h>

static const char *const names[KERNEL_LEVELS] = {"scalar", "avx2", "avx512", "amx"};

const char *kernel_level_name(enum kernel_level l) { return names[l]; }

int kernel_level_find(const char *name)
{
    for (int l = 0; l < KERNEL_LEVELS; l++)
        if (strcmp(names[l], name) == 0)
            return l;
    return -1;
}

void kernel_table_init(struct kernel_table *t, enum kernel_level mask)
{
    bool use[KERNEL_LEVELS];
    t->level = KERNEL_scalar;
    for (int l = 0; l < KERNEL_LEVELS; l++)
        if ((use[l] = l <= (int)mask && kernel_cpu_has((enum kernel_level)l)))
            t->level = (enum kernel_level)l;
    /* kernel.def lists the levels of an operation from the lowest to the highest. */
#define KERNEL(op, family, lvl, tolerance)                                                                                                 \
    if (use[KERNEL_##lvl])                                                                                                                 \
        t->op = op##_##lvl, t->op##_level = KERNEL_##lvl;
#include "kernel/kernel.def"
#undef KERNEL
}
