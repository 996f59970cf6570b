/* The counter-based random number of sampling: Philox4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011).
 * A token's number is a function of (seed, choice, position) alone, so that batching and preemption cannot change a text. */
#pragma once
#include <stdint.h>

uint64_t rng_u64(uint64_t seed, uint32_t choice, uint64_t position, uint32_t lane);
double   rng_f64(uint64_t seed, uint32_t choice, uint64_t position, uint32_t lane); /* [0, 1), 53 bits */
