/* Mistral Small 3 and Ministral 3: as Llama, usually with YaRN; some multiply their queries by 1 + s ln(floor(pos / original context) + 1)
 * (the temperature of Llama 4's attention). */
#include "model/model_int.h"

static int shape(struct model *m, const struct modelfile *f, struct err *e)
{
    return modelfile_f32_or(f, key_of("mistral3", "attention.temperature_scale").z, 0, 100, 0, &m->q_scale_log, e);
}

const struct family family_mistral3 = {.name = "mistral3",
                                       .rope = ROPE_NORM,
                                       .tensors = {.qkv_bias = MAY, .o_bias = MAY, .ffn_bias = MAY},
                                       .shape = shape,
                                       .bind = bind_dense,
                                       .step = dense_step};
