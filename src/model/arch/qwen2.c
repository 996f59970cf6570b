/* Qwen2 and Qwen2.5: as Llama, with a bias on Q, K and V and RoPE on pairs half a head apart; small ones share embedding and head. */
#include "model/model_int.h"

static int bind(struct loader *ld, struct model *m, struct err *e) { return bind_dense(ld, m, NEED, e); }

const struct family family_qwen2 = {.name = "qwen2", .rope = ROPE_NEOX, .bind = bind, .step = dense_step};
