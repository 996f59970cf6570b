#include "kernel/avx2/vec_int.h"
enum { ATTN_ROWS = 6 };
#define ATTN_REMAINDERS(name) REMAINDER(name, 5) REMAINDER(name, 4) REMAINDER(name, 3) REMAINDER(name, 2) REMAINDER(name, 1)
#include "kernel/attn_tile.h"

ATTENTION(float, f32, attn_f32_avx2)
ATTENTION(f16, f16, attn_f16_avx2)
ATTENTION(bf16, bf16, attn_bf16_avx2)
