#include "base/vec.h"

bool vec_grow_(void **p, size_t *cap, size_t need, size_t size)
{
    size_t want = *cap ? *cap : 8;
    while (want < need)
        if (!ck_mul(want, (size_t)2, &want))
            return false;
    void *q = mem_resize(*p, want, size);
    if (!q)
        return false;
    *p = q;
    *cap = want;
    return true;
}
