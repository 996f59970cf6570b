/* Llama 1 to 3 and what is built like it (Mistral, Yi, TinyLlama, SmolLM): RMSNorm before attention and before SwiGLU, grouped-query
 * attention, RoPE on neighbouring pairs because converters permute the rows of Q and K. Some carry biases, some a sliding window. */
#include "model/model_int.h"

const struct family family_llama = {
    .name = "llama", .rope = ROPE_NORM, .tensors = {.qkv_bias = MAY, .o_bias = MAY, .ffn_bias = MAY}, .bind = bind_dense, .step = dense_step};
