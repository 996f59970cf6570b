/* Products with the types of 256 values in a block and integer scales for 16 or 32 of them. */
#include "kernel/avx512/blocks.h"

BLOCKS(q2_k)
BLOCKS(q3_k)
BLOCKS(q4_k)
BLOCKS(q5_k)
BLOCKS(q6_k)
