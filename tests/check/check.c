/* make check: every kernel of every level against the scalar specification, through the production table; then the mutants. */
#include "test.h"
#include "check.h"

#define KERNEL_IF_amx(...)    __VA_ARGS__
#define KERNEL_IF_avx512(...) __VA_ARGS__
#define KERNEL_IF_avx2(...)
#define KERNEL_IF_scalar(...)

/* The sources of avx512 and amx over plain C intrinsics (avx512_emulated.h, amx_emulated.h). */
#define KERNEL(op, family, level, tolerance) KERNEL_IF_##level(kernel_##family##_fn op##_##level##_emulated;)
#include "kernel/kernel.def"
#undef KERNEL

static void report(const char *level, const char *op, any_fn *kernel, check_fn *check, double tolerance)
{
    const char *text = check_run(check, kernel, tolerance);
    if (text)
        printf("%s %s: %s\n", level, op, text), test_failed = true;
}

/* The tolerance of the kernel of `op` that a table masked at `mask` holds. */
static void level(enum kernel_level mask)
{
    struct kernel_table t;
    kernel_table_init(&t, mask);
    CHECK(t.level <= mask);
    if (t.level < mask) /* this CPU lacks the level: emulated below for avx512 */
        return;
#define KERNEL(op, family, lvl, tolerance)                                                                                                           \
    if (t.op##_level == KERNEL_##lvl) {                                                                                                              \
        CHECK(t.op == op##_##lvl);                                                                                                                   \
        report(kernel_level_name(mask), #op, (any_fn *)t.op, check_##op, tolerance);                                                                 \
    }
#include "kernel/kernel.def"
#undef KERNEL
}

TEST(level_scalar)
{
    level(KERNEL_scalar);
}
TEST(level_avx2)
{
    level(KERNEL_avx2);
}
TEST(level_avx512)
{
    level(KERNEL_avx512);
}
TEST(level_amx)
{
    level(KERNEL_amx);
}
TEST(levels_emulated)
{
#define KERNEL(op, family, lvl, tolerance) KERNEL_IF_##lvl(report(#lvl " emulated", #op, (any_fn *)op##_##lvl##_emulated, check_##op, tolerance);)
#include "kernel/kernel.def"
#undef KERNEL
}

/* A mask never lets a higher level through, and a table has no hole. */
TEST(masks)
{
    for (int mask = 0; mask < KERNEL_LEVELS; mask++) {
        struct kernel_table t;
        memset(&t, 0, sizeof t);
        kernel_table_init(&t, (enum kernel_level)mask);
        CHECK(kernel_level_find(kernel_level_name((enum kernel_level)mask)) == mask);
#define KERNEL(op, family, lvl, tolerance) CHECK(t.op && (int)t.op##_level <= mask && kernel_cpu_has(t.op##_level));
#include "kernel/kernel.def"
#undef KERNEL
    }
    CHECK(kernel_level_find("avx3") == -1);
}

TEST(mutants)
{
    for (size_t i = 0; i < n_mutants; i++) {
        const char *text = check_run(mutants[i].check, mutants[i].kernel, mutants[i].tolerance);
        printf("mutant %-22s %s%s\n", mutants[i].name, text ? "caught: " : "PASSED", text ? text : "");
        if (!text)
            test_failed = true;
    }
}
TEST_MAIN()
