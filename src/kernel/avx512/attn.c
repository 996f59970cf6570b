#include "kernel/avx512/vec_int.h"
enum { ATTN_ROWS = 12 };
#define ATTN_REMAINDERS(name)                                                                                                              \
    case 11: case 10: case 9: REMAINDER(name, 8) REMAINDER(name, 7) REMAINDER(name, 6) case 5: REMAINDER(name, 4) REMAINDER(name, 3)       \
    REMAINDER(name, 2) REMAINDER(name, 1)
#include "kernel/attn_tile.h"

ATTENTION(float, f32, attn_f32_avx512)
ATTENTION(f16, f16, attn_f16_avx512)
ATTENTION(bf16, bf16, attn_bf16_avx512)
