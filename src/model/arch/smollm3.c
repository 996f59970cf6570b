/* SmolLM3: as Llama; every fourth layer does not rotate ("NoPE", Kazemnejad et al., 2023; the file does not say which). */
#include "model/model_int.h"

static int shape(struct model *m, const struct modelfile *f, struct err *e)
{
    (void)f, (void)e;
    for (uint32_t i = 3; i < m->shape.n_layers; i += 4)
        m->layers[i].no_rope = true;
    return 0;
}

const struct family family_smollm3 = {
    .name = "smollm3", .rope = ROPE_NORM, .tensors = {.qkv_bias = MAY, .o_bias = MAY}, .shape = shape, .bind = bind_dense, .step = dense_step};
