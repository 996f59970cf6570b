/* What a sequence has cost so far, in tokens; disjoint counters, cumulative.
 *
 * input: prompt tokens whose prefill ran, counted chunk by chunk as the chunks run (a prompt that is cancelled half way costs half).
 * output: tokens that were sampled and accepted, once each; the token that ends a generation (end of text) and the tokens of a matched stop
 * string count. A token whose sampling a stop or cancel came before does not exist. Recomputation after a preemption is free. */
#pragma once
#include <stdint.h>

struct token_counts {
    uint32_t input, cache_read, cache_write, output, reasoning, accepted_draft;
};
/* One sequence whose counts changed in a step. The counts are cumulative too, so that a journal may drop or repeat a line. */
struct usage_delta {
    uint64_t            seq, tag;
    struct token_counts counts;
};
