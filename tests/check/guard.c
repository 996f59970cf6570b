#include "check.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

void guard_new(struct guard *g, size_t n)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (n + page - 1) / page * page;
    g->n = n;
    g->map_n = body + page;
    g->map = mmap(NULL, g->map_n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (g->map == MAP_FAILED || mprotect((char *)g->map + body, page, PROT_NONE) != 0)
        perror("guard"), abort();
    g->p = (char *)g->map + body - n;
    memset(g->map, 0xff, body); /* NaN, whatever the format */
}

void guard_read_only(struct guard *g)
{
    if (mprotect(g->map, g->map_n - (size_t)sysconf(_SC_PAGESIZE), PROT_READ) != 0)
        perror("guard"), abort();
}

void guard_free(struct guard *g)
{
    munmap(g->map, g->map_n);
}

static sigjmp_buf fault_jump;
static void fault(int sig)
{
    siglongjmp(fault_jump, sig);
}

const char *check_run(check_fn *check, any_fn *kernel, double tolerance)
{
    struct sigaction act = {.sa_handler = fault, .sa_flags = SA_NODEFER}, old[2];
    sigaction(SIGSEGV, &act, &old[0]);
    sigaction(SIGBUS, &act, &old[1]);
    const char *found_text = sigsetjmp(fault_jump, 1) ? "reads or writes outside its buffers" : check(kernel, tolerance);
    sigaction(SIGSEGV, &old[0], NULL);
    sigaction(SIGBUS, &old[1], NULL);
    return found_text;
}

const char *found(const char *fmt, ...)
{
    static char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return text;
}

uint32_t next_random(void)
{
    static uint64_t s = 88172645463325252u;
    s = s * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(s >> 32);
}

void fill(float *p, size_t n, int kind)
{
    for (size_t i = 0; i < n; i++) {
        float x = (float)(int32_t)next_random() * 0x1p-31f;
        switch (kind) {
        case 1: p[i] = next_random() % 100 ? x : 100 * x; break;
        case 2: p[i] = fabsf(x) + 0.25f; break;
        case 3: p[i] = x * 1e-30f; break;
        case 4: p[i] = next_random() % 3 ? 0 : x; break;
        default: p[i] = x; break;
        }
    }
}

bool near(double got, double want, double bound)
{
    return isnan(want) ? isnan(got) : isinf(want) ? got == want : fabs(got - want) <= bound;
}
