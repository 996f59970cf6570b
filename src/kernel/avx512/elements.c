/* What works on single rows. The last values of a row go through the same instructions as the others: a value's result does not depend on where
 * the row ends. */
#include "kernel/avx512/vec_int.h"

INLINE VEC swiglu(VEC g, VEC u)
{
    VEC e = vec_exp(vec_sub(vec_set(0), g));
    return vec_mul(_mm512_div_ps(g, vec_add(vec_set(1), e)), u);
}

void swiglu_avx512(float *y, const float *gate, const float *up, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vec_put(y + i, swiglu(vec_get_f32(gate + i), vec_get_f32(up + i)));
    if (i < n)
        vec_put_n(y + i, swiglu(vec_get_n_f32(gate + i, n - i), vec_get_n_f32(up + i, n - i)), n - i);
}
