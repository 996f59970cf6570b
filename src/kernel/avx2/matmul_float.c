#include "kernel/avx2/vec_int.h"
#define FLOAT_COLUMNS 3
#include "kernel/float_tile.h"

FLOAT_KERNEL(float, f32, matmul_f32_avx2)
FLOAT_KERNEL(f16, f16, matmul_f16_avx2)
FLOAT_KERNEL(bf16, bf16, matmul_bf16_avx2)
