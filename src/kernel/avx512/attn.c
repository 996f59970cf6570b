#include "kernel/avx512/vec_int.h"
enum { ATTN_ROWS = 12 };
#include "kernel/attn_tile.h"

ATTENTION(float, f32, attn_f32_avx512)
ATTENTION(f16, f16, attn_f16_avx512)
