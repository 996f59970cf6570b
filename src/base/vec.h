/* Typed growing arrays: `struct vec_i32 v = {0}; vec_push(&v, 7);` Every push may fail (false) and says so. */
#pragma once
#include "base/mem.h"

#define VEC(T)                                                                                                                             \
    {                                                                                                                                      \
        T     *p;                                                                                                                          \
        size_t n, cap;                                                                                                                     \
    }
struct vec_i32 VEC(int32_t);
struct vec_u32 VEC(uint32_t);
struct vec_u64 VEC(uint64_t);
struct vec_ptr VEC(void *);

bool vec_grow_(void **p, size_t *cap, size_t need, size_t size);
#define vec_reserve(v, need) ((need) <= (v)->cap || vec_grow_((void **)&(v)->p, &(v)->cap, (need), sizeof *(v)->p))
#define vec_push(v, x) (vec_reserve((v), (v)->n + 1) ? ((v)->p[(v)->n++] = (x), true) : false)
#define vec_deinit(v) (mem_free((v)->p), (v)->p = NULL, (v)->n = (v)->cap = 0)
