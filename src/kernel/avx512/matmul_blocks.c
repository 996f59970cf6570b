/* Products with the types whose blocks are 32 values, or whose codes are places in a table. */
#include "kernel/avx512/blocks.h"

BLOCKS(q4_0)
BLOCKS(q4_1)
BLOCKS(q5_0)
BLOCKS(q5_1)
BLOCKS(q8_0)
BLOCKS(iq4_nl)
BLOCKS(iq4_xs)
BLOCKS(mxfp4)
