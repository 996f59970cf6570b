/* Memory and checked arithmetic. Sizes that come from a file or a request go through ck_*; nothing sized by input can
 * abort the process: mem_* return NULL when memory is short or the size overflows. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ck_add(a, b, out) (!__builtin_add_overflow((a), (b), (out)))
#define ck_sub(a, b, out) (!__builtin_sub_overflow((a), (b), (out)))
#define ck_mul(a, b, out) (!__builtin_mul_overflow((a), (b), (out)))
/* Rounds n up to a power of two `align`; false on overflow. */
bool ck_align(size_t n, size_t align, size_t *out);

void *mem_new(size_t n);                        /* zeroed; NULL when short */
void *mem_array(size_t n, size_t size);         /* zeroed, checked n * size */
void *mem_resize(void *p, size_t n, size_t size); /* realloc, checked */
void  mem_free(void *p);
char *mem_str(const char *s, size_t n);         /* copy with a final NUL; NULL when short */

/* Small fixed-size allocations at start-up, where failing means that nothing can run: aborts with a message. */
void *mem_must(size_t n);

/* Large blocks: page aligned, zeroed, transparent huge pages advised where it helps. */
void *mem_pages(size_t n);
void  mem_pages_free(void *p, size_t n);
void  mem_pages_drop(void *p, size_t n); /* a page-aligned part of them: content and memory go, the addresses stay and read as zero */
