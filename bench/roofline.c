/* roofline [--csv]: what this machine can do, with one thread and with all: memory read bandwidth, int8 and f32 multiply-add peaks of
 * each level that the CPU has, and the time of an empty job of the worker pool. Each figure is the best of short runs, so that other
 * programs on the machine disturb it least. The loops are assembly: a loop that the compiler spills measures the stores. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "device/pool.h"
#include "kernel/kernel.h"
#include <stdio.h>
#include <string.h>

enum { RUNS = 60, LOOPS = 20000, UNROLLED = 12 };
#define READ_BYTES ((size_t)512 << 20)

#define EACH(X)  X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define CLOBBERS "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm14", "xmm15"

#define MADDUBS_YMM(i) "vpmaddubsw %%ymm15, %%ymm14, %%ymm" #i "\n"
#define FMA_YMM(i)     "vfmadd231ps %%ymm15, %%ymm14, %%ymm" #i "\n"
#define DPBUSD_ZMM(i)  "vpdpbusd %%zmm15, %%zmm14, %%zmm" #i "\n"
#define FMA_ZMM(i)     "vfmadd231ps %%zmm15, %%zmm14, %%zmm" #i "\n"

typedef void loop_fn(void);
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
LOOP(f32_avx512, FMA_ZMM)

struct job {
    loop_fn *loop;
    const uint8_t *p;
};

static void loop_share(void *arg, int worker, int n_workers)
{
    (void)worker, (void)n_workers;
    ((struct job *)arg)->loop();
}

static void read_share(void *arg, int worker, int n_workers)
{
    const uint8_t *p = ((struct job *)arg)->p + READ_BYTES / (size_t)n_workers / 256 * 256 * (size_t)worker,
                  *end = p + READ_BYTES / (size_t)n_workers / 256 * 256;
    for (; p < end; p += 256)
        __asm__ volatile("vmovdqu (%0), %%ymm0\nvmovdqu 32(%0), %%ymm1\nvmovdqu 64(%0), %%ymm2\nvmovdqu 96(%0), %%ymm3\n"
                         "vmovdqu 128(%0), %%ymm4\nvmovdqu 160(%0), %%ymm5\nvmovdqu 192(%0), %%ymm6\nvmovdqu 224(%0), %%ymm7\n" ::"r"(p)
                         : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7");
}

static void nothing(void *arg, int worker, int n_workers)
{
    (void)arg, (void)worker, (void)n_workers;
}

/* Seconds of the fastest of `runs` jobs. */
static double best(struct pool *p, pool_fn *fn, struct job *j, int runs)
{
    double least = 1e9;
    for (int i = 0; i < runs; i++) {
        uint64_t t = clock_ns();
        pool_run(p, fn, j);
        double s = (double)(clock_ns() - t) * 1e-9;
        least = s < least ? s : least;
    }
    return least;
}

static void report(const char *what, int threads, double value, const char *unit)
{
    printf("%s,%d,%.1f,%s\n", what, threads, value, unit);
}

static void measure(int threads, uint8_t *memory)
{
    struct err e;
    struct pool *p;
    struct job j = {.p = memory};
    if (pool_new(&p, threads, &e) < 0) {
        fprintf(stderr, "%s\n", e.msg);
        return;
    }
    if (kernel_cpu_has(KERNEL_avx2)) {
        report("read", threads, (double)READ_BYTES / best(p, read_share, &j, 10) * 1e-9, "GB/s");
        j.loop = int8_avx2;
        report("int8 avx2", threads, 64.0 * UNROLLED * LOOPS * threads / best(p, loop_share, &j, RUNS) * 1e-9, "Gop/s");
        j.loop = f32_avx2;
        report("f32 avx2", threads, 16.0 * UNROLLED * LOOPS * threads / best(p, loop_share, &j, RUNS) * 1e-9, "Gop/s");
    }
    if (kernel_cpu_has(KERNEL_avx512)) {
        j.loop = int8_avx512;
        report("int8 avx512", threads, 128.0 * UNROLLED * LOOPS * threads / best(p, loop_share, &j, RUNS) * 1e-9, "Gop/s");
        j.loop = f32_avx512;
        report("f32 avx512", threads, 32.0 * UNROLLED * LOOPS * threads / best(p, loop_share, &j, RUNS) * 1e-9, "Gop/s");
    }
    report("empty job", threads, best(p, nothing, &j, 2000) * 1e6, "us");
    pool_free(p);
}

int main(int argc, char **argv)
{
    char cpu[49];
    kernel_cpu_name(cpu);
    uint8_t *memory = mem_pages(READ_BYTES);
    if (!memory)
        return fprintf(stderr, "roofline: no memory for %zu bytes\n", READ_BYTES), 1;
    memset(memory, 1, READ_BYTES);
    if (argc < 2 || strcmp(argv[1], "--csv") != 0)
        printf("# %s, %d CPUs\nwhat,threads,value,unit\n", cpu, thread_cpus());
    measure(1, memory);
    if (thread_cpus() > 1)
        measure(thread_cpus(), memory);
    mem_pages_free(memory, READ_BYTES);
}
