/* Qwen3: as Qwen2 without biases; each head of Q and K goes through an RMS norm before it is rotated. */
#include "model/model_int.h"

const struct family family_qwen3 = {
    .name = "qwen3", .rope = ROPE_NEOX, .tensors = {.qkv_bias = MAY, .o_bias = MAY, .qk_norm = NEED}, .bind = bind_dense, .step = dense_step};
