/* Llama 1 to 3 and what is built like it (Mistral, Yi, TinyLlama, SmolLM): RMSNorm before attention and before SwiGLU, grouped-query
 * attention, RoPE on neighbouring pairs because converters permute the rows of Q and K. Some carry biases. */
#include "model/model_int.h"

static int bind(struct loader *ld, struct model *m, struct err *e) { return bind_dense(ld, m, MAY, e); }

const struct family family_llama = {.name = "llama", .rope = ROPE_NORM, .bind = bind, .step = dense_step};
