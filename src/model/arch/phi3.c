/* Phi-3, Phi-3.5 and Phi-4 (dense): as Llama, with Q, K and V in one matrix, gate and up in another, RoPE on pairs half a rotation apart, of
 * all of a head or of its first part; the long ones by longrope. */
#include "model/model_int.h"

const struct family family_phi3 = {
    .name = "phi3", .rope = ROPE_NEOX, .stacked = true, .tensors = {.qkv_bias = MAY}, .bind = bind_dense, .step = dense_step};
