#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

bool ck_align(size_t n, size_t align, size_t *out)
{
    size_t up;
    if (align == 0 || (align & (align - 1)) || !ck_add(n, align - 1, &up))
        return false;
    *out = up & ~(align - 1);
    return true;
}

void *mem_new(size_t n) { return calloc(1, n ? n : 1); }

void *mem_array(size_t n, size_t size)
{
    size_t bytes;
    return ck_mul(n, size, &bytes) ? mem_new(bytes) : NULL;
}

void *mem_resize(void *p, size_t n, size_t size)
{
    size_t bytes;
    return ck_mul(n, size, &bytes) ? realloc(p, bytes ? bytes : 1) : NULL;
}

void mem_free(void *p) { free(p); }

char *mem_str(const char *s, size_t n)
{
    size_t with_nul;
    char  *out = ck_add(n, (size_t)1, &with_nul) ? malloc(with_nul) : NULL;
    if (!out)
        return NULL;
    if (n)
        memcpy(out, s, n);
    out[n] = 0;
    return out;
}

void *mem_must(size_t n)
{
    void *p = mem_new(n);
    if (!p) {
        fprintf(stderr, "sluice: out of memory for %zu bytes at start; free some memory and start again\n", n);
        abort();
    }
    return p;
}

void *mem_pages(size_t n)
{
    const size_t huge = 2 << 20;
    if (n == 0)
        return NULL;
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (n >= huge)
        (void)madvise(p, n, MADV_HUGEPAGE); /* advice: no loss when the kernel declines */
    return p;
}

void mem_pages_free(void *p, size_t n)
{
    if (p)
        munmap(p, n);
}

void mem_pages_drop(void *p, size_t n)
{
    if (madvise(p, n, MADV_DONTNEED) != 0)
        memset(p, 0, n);
}
