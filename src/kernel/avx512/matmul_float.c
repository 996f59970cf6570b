#include "kernel/avx512/vec_int.h"
#define FLOAT_COLUMNS 6
#include "kernel/float_tile.h"

FLOAT_KERNEL(float, f32, matmul_f32_avx512)
FLOAT_KERNEL(f16, f16, matmul_f16_avx512)
FLOAT_KERNEL(bf16, bf16, matmul_bf16_avx512)
