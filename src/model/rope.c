/* Rotary position embedding: the inverse frequencies theta^(-2i/n_rot) (Su et al., "RoFormer", 2021), with the scalings that need no more
 * than other frequencies: linear (a constant factor) and Llama 3's (a factor for each pair, which converters store as rope_freqs.weight). */
#include "model/model_int.h"
#include <math.h>
#include <stdio.h>

/* The factor of linear scaling; other kinds change attention too and are refused. */
static int linear_factor(float *out, const struct model_shape *s, const struct modelfile *f, struct err *e)
{
    char key[96];
    struct str type = STR("linear"); /* what a factor without a type means */
    *out = 1;
    snprintf(key, sizeof key, "%s.rope.scaling.type", s->arch);
    if (modelfile_meta(f, key)) {
        int rc = modelfile_str(f, key, &type, e);
        if (rc)
            return rc;
    }
    if (str_eqz(type, "none"))
        return 0;
    if (!str_eqz(type, "linear"))
        return err_set(e, ERR_FORMAT, "model: metadata key %s asks for a RoPE scaling other than none and linear, which this build does not compute",
                       key);
    snprintf(key, sizeof key, "%s.rope.scaling.factor", s->arch);
    if (!modelfile_meta(f, key))
        snprintf(key, sizeof key, "%s.rope.scale_linear", s->arch); /* its name before 2023-11 */
    if (!modelfile_meta(f, key))
        return 0;
    int rc = modelfile_f32(f, key, 0, 1e6f, out, e);
    if (!rc && *out < 1e-6f)
        *out = 1; /* 0: no scaling */
    return rc;
}

int rope_freqs(float *freqs, const struct model_shape *s, const struct modelfile *f, const float *factors, struct err *e)
{
    float factor;
    int rc = linear_factor(&factor, s, f, e);
    if (rc || !freqs)
        return rc;
    for (uint32_t i = 0; i < s->n_rot / 2; i++) {
        float by = factors ? factors[i] : 1;
        if (!isfinite(by) || by < 1e-6f)
            return err_set(e, ERR_FORMAT, "model: value %u of tensor rope_freqs.weight is no positive number; the file is damaged", i);
        freqs[i] = (float)(pow((double)s->rope_theta, -2.0 * i / s->n_rot) / factor / by);
    }
    return 0;
}
