/* Deci (DeciLM, Llama Nemotron 49B, 51B, 253B): Llama after a search for what it can do without. Layers differ in KV heads and feed-forward
 * length; some have one matrix instead of attention, some no attention, some no feed-forward part. */
#include "model/model_int.h"

const struct family family_deci = {.name = "deci",
                                   .rope = ROPE_NORM,
                                   .sparse_layers = true,
                                   .tensors = {.qkv_bias = MAY, .o_bias = MAY, .ffn_bias = MAY},
                                   .bind = bind_dense,
                                   .step = dense_step};
