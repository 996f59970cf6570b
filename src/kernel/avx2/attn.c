#include "kernel/avx2/vec_int.h"
enum { ATTN_ROWS = 6 };
#include "kernel/attn_tile.h"

ATTENTION(float, f32, attn_f32_avx2)
ATTENTION(f16, f16, attn_f16_avx2)
