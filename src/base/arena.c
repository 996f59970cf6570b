#include "base/arena.h"
#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 8192, ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t              used, cap;
    _Alignas(ALIGN) char data[];
};

void arena_init(struct arena *a, size_t max) { *a = (struct arena){.max = max ? max : (size_t)64 << 20}; }

void arena_deinit(struct arena *a)
{
    for (struct arena_block *b = a->head, *next; b; b = next) {
        next = b->next;
        mem_free(b);
    }
    *a = (struct arena){.max = a->max};
}

void *arena_new(struct arena *a, size_t n)
{
    size_t size, total;
    if (!ck_align(n ? n : 1, ALIGN, &size) || !ck_add(a->used, size, &total) || total > a->max)
        return NULL;
    struct arena_block *b = a->head;
    if (!b || b->cap - b->used < size) {
        size_t cap = size > BLOCK ? size : BLOCK;
        b = mem_new(sizeof *b + cap);
        if (!b) {
            a->short_of_memory = true;
            return NULL;
        }
        b->cap = cap;
        b->next = a->head;
        a->head = b;
    }
    void *p = b->data + b->used;
    b->used += size;
    a->used = total;
    return p;
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
    size_t bytes;
    return ck_mul(n, size, &bytes) ? arena_new(a, bytes) : NULL;
}

char *arena_str(struct arena *a, const char *p, size_t n)
{
    size_t with_nul;
    char  *out = ck_add(n, (size_t)1, &with_nul) ? arena_new(a, with_nul) : NULL;
    if (out && n)
        memcpy(out, p, n);
    return out;
}

char *arena_fmt(struct arena *a, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int   n = vsnprintf(NULL, 0, fmt, ap);
    char *out = n < 0 ? NULL : arena_new(a, (size_t)n + 1);
    if (out)
        vsnprintf(out, (size_t)n + 1, fmt, again);
    va_end(again);
    va_end(ap);
    return out;
}
