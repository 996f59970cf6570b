/* Qwen2 and Qwen2.5: as Llama, with a bias on Q, K and V and RoPE on pairs half a head apart; small ones share embedding and head. */
#include "model/model_int.h"

const struct family family_qwen2 = {
    .name = "qwen2", .rope = ROPE_NEOX, .tensors = {.qkv_bias = NEED, .o_bias = MAY}, .bind = bind_dense, .step = dense_step};
