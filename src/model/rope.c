/* Rotary position embedding (Su et al., "RoFormer", 2021): pair i of a head turns by pos * theta^(-2i / n_rot). A scaling changes the
 * frequencies, and some scale the rotated values too:
 *
 *   linear    every frequency / factor                                             (Chen et al., "Position Interpolation", 2023)
 *   llama3    frequency i / rope_freqs.weight[i]; works together with the others    (Llama 3.1; converters compute the factors)
 *   yarn      linear for slow pairs, nothing for fast ones, a ramp between; values * (0.1 ln factor + 1)   (Peng et al., "YaRN", 2023)
 *   longrope  / rope_factors_short.weight[i], or _long for sequences past the original context              (Ding et al., 2024)
 *   dynamic   another theta, the larger the longer the sequence is                   (Hugging Face modeling_rope_utils, "dynamic NTK")
 *
 * The last two depend on a length. Keys are rotated once, when they enter the KV pages, so that length must not change while a sequence
 * lives: it is the sequence's reach, the positions that it can ever have (prompt and most output), known when it starts. */
#include "model/model_int.h"
#include "base/mem.h"
#include <math.h>
#include <stdio.h>

static const char *const names[] = {"none", "linear", "yarn", "longrope", "dynamic"};

static struct key key_of_scaling(const struct model_shape *s, const char *tail)
{
    struct key k;
    snprintf(k.z, sizeof k.z, "%s.rope.scaling.%s", s->arch, tail);
    return k;
}

static int read_type(struct rope *r, const struct model_shape *s, const struct modelfile *f, struct err *e)
{
    struct key k = key_of_scaling(s, "type");
    struct str type;
    r->scaling = ROPE_LINEAR; /* what a factor without a type means */
    if (!modelfile_meta(f, k.z)) {
        if (modelfile_tensor(f, "rope_factors_long.weight"))
            r->scaling = ROPE_LONGROPE;
        return 0;
    }
    int rc = modelfile_str(f, k.z, &type, e);
    if (rc)
        return rc;
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
        if (str_eqz(type, names[i])) {
            r->scaling = (enum rope_scaling)i;
            return 0;
        }
    return err_set(e, ERR_FORMAT, "model: metadata key %s is \"%s\"; this build computes none, linear, yarn, longrope and dynamic", k.z,
                   shown(type).z);
}

static int read_factor(struct rope *r, const struct model_shape *s, const struct modelfile *f, struct err *e)
{
    struct key k = key_of_scaling(s, "factor");
    float factor = 1;
    if (!modelfile_meta(f, k.z))
        snprintf(k.z, sizeof k.z, "%s.rope.scale_linear", s->arch); /* its name before 2023-11 */
    int rc = modelfile_f32_or(f, k.z, 0, 1e6f, 1, &factor, e);
    if (rc)
        return rc;
    r->factor = factor < 1e-6f || r->scaling == ROPE_NONE ? 1 : (double)factor; /* 0: no scaling */
    if (r->scaling == ROPE_LONGROPE && (r->factor < 1 || r->factor > 1))
        return err_set(e, ERR_FORMAT, "model: metadata key %s is %g, and longrope takes its factors from tensors; convert the model again", k.z,
                       r->factor);
    return 0;
}

static double yarn_scale(double factor, double by)
{
    return factor <= 1 ? 1 : 0.1 * by * log(factor) + 1;
}

/* What the rotated values are multiplied by. */
static int read_scale(struct rope *r, const struct model_shape *s, const struct modelfile *f, struct err *e)
{
    float attn = 1, whole = 1, log_mul = 0;
    int rc = modelfile_f32_or(f, key_of_scaling(s, "attn_factor").z, 1e-3f, 1e3f, 1, &attn, e);
    r->scale = (double)attn;
    if (rc || r->scaling != ROPE_YARN)
        return rc;
    if ((rc = modelfile_f32_or(f, key_of_scaling(s, "yarn_log_multiplier").z, 0, 1e3f, 0, &log_mul, e)) ||
        (rc = modelfile_f32_or(f, key_of_scaling(s, "yarn_attn_factor").z, 1e-3f, 1e3f, 1, &whole, e)))
        return rc;
    if (whole < 1 || whole > 1) /* Hugging Face's attention_factor is the whole; 1 is also what "attn_factor" of old configurations says */
        r->scale *= (double)whole;
    else if (log_mul > 0)
        r->scale *= yarn_scale(r->factor, 1) / yarn_scale(r->factor, (double)log_mul);
    else
        r->scale *= yarn_scale(r->factor, 1);
    return 0;
}

int rope_read(struct rope *r, const struct model_shape *s, const struct modelfile *f, struct err *e)
{
    float fast, slow, ext;
    r->n_rot = s->n_rot;
    r->theta = (double)s->rope_theta;
    int rc = read_type(r, s, f, e);
    if (rc || (rc = read_factor(r, s, f, e)) ||
        (rc = modelfile_u32_or(f, key_of_scaling(s, "original_context_length").z, 1, MODEL_CTX_MAX, s->n_ctx, &r->n_ctx_orig, e)) ||
        (rc = modelfile_f32_or(f, key_of_scaling(s, "yarn_beta_fast").z, 1e-3f, 1e6f, 32, &fast, e)) ||
        (rc = modelfile_f32_or(f, key_of_scaling(s, "yarn_beta_slow").z, 1e-3f, 1e6f, 1, &slow, e)) ||
        (rc = modelfile_f32_or(f, key_of_scaling(s, "yarn_ext_factor").z, -1, 1, 1, &ext, e)) || (rc = read_scale(r, s, f, e)))
        return rc;
    r->beta_fast = (double)fast;
    r->beta_slow = (double)slow;
    if (r->scaling == ROPE_YARN && ext >= 0 && ext < 1)
        return err_set(e, ERR_FORMAT, "model: metadata key %s is %g, and this build computes YaRN only with 1",
                       key_of_scaling(s, "yarn_ext_factor").z, (double)ext);
    if (r->scaling == ROPE_YARN && !(r->theta > 1))
        return err_set(e, ERR_FORMAT, "model: %s.rope.freq_base is %g, and YaRN needs more than 1; the file is damaged", s->arch, r->theta);
    if (r->scaling == ROPE_DYNAMIC && r->n_rot < 4)
        return err_set(e, ERR_FORMAT, "model: %s.rope.dimension_count is %u, and dynamic scaling needs at least 4; the file is damaged", s->arch,
                       r->n_rot);
    return 0;
}

/* The pair that turns `turns` times over the original context. */
static double yarn_pair(const struct rope *r, double turns)
{
    return r->n_rot * log(r->n_ctx_orig / (turns * 2 * M_PI)) / (2 * log(r->theta));
}

/* freqs (n_rot / 2), from theta and, where not NULL, a divisor for each pair. */
static void fill(double *freqs, const struct rope *r, double theta, const float *factors)
{
    double low = 0, high = 0;
    if (r->scaling == ROPE_YARN) {
        low = fmax(0, floor(yarn_pair(r, r->beta_fast)));
        high = fmin(r->n_rot - 1, ceil(yarn_pair(r, r->beta_slow)));
    }
    for (uint32_t i = 0; i < r->n_rot / 2; i++) {
        double freq = pow(theta, -2.0 * i / r->n_rot) / (factors ? (double)factors[i] : 1);
        double keep = 0; /* how much of the pair is left as it is */
        if (r->scaling == ROPE_YARN)
            keep = 1 - fmin(1, fmax(0, (i - low) / fmax(0.001, high - low)));
        freqs[i] = r->scaling == ROPE_DYNAMIC ? freq : freq * keep + freq / r->factor * (1 - keep);
    }
}

static int load_freqs(struct loader *ld, double **out, const struct rope *r, const char *name, enum need need, struct err *e)
{
    uint32_t half = r->n_rot / 2;
    float *factors = NULL;
    int rc = load_vector(ld, &factors, name, -1, half, need, e);
    if (!ld->dev)
        return rc; /* only checking: the data may not have come yet */
    for (uint32_t i = 0; !rc && factors && i < half; i++)
        if (!isfinite(factors[i]) || factors[i] < 1e-6f || factors[i] > 1e9f)
            rc = err_set(e, ERR_FORMAT, "model: value %u of tensor %s is %g, no positive factor; the file is damaged", i, name, (double)factors[i]);
    *out = rc ? NULL : mem_array(half, sizeof **out);
    if (!rc && !*out)
        rc = err_set(e, ERR_NO_MEMORY, "model: no memory for %u RoPE frequencies", half);
    if (!rc)
        fill(*out, r, r->theta, factors);
    mem_free(factors);
    return rc;
}

int rope_load(struct loader *ld, struct rope *r, struct err *e)
{
    if (r->scaling != ROPE_LONGROPE)
        return load_freqs(ld, &r->freqs, r, "rope_freqs.weight", MAY, e);
    int rc = load_freqs(ld, &r->freqs, r, "rope_factors_short.weight", NEED, e);
    return rc ? rc : load_freqs(ld, &r->freqs_long, r, "rope_factors_long.weight", NEED, e);
}

void rope_deinit(struct rope *r)
{
    mem_free(r->freqs);
    mem_free(r->freqs_long);
}

const double *rope_table(const struct rope *r, uint32_t reach, double *own)
{
    if (r->scaling == ROPE_LONGROPE)
        return reach > r->n_ctx_orig ? r->freqs_long : r->freqs;
    if (r->scaling != ROPE_DYNAMIC || reach <= r->n_ctx_orig)
        return r->freqs;
    double grow = pow(r->factor * reach / r->n_ctx_orig - (r->factor - 1), r->n_rot / (r->n_rot - 2.0)), more;
    for (uint32_t i = 0; i < r->n_rot / 2; i++) { /* (theta * grow)^(-2i / n_rot), divided by the pair's factor as freqs is */
        more = pow(grow, -2.0 * i / r->n_rot);
        own[i] = r->freqs[i] * more;
    }
    return own;
}

uint32_t rope_class(const struct rope *r, uint32_t reach)
{
    const bool past = reach > r->n_ctx_orig;
    if (r->scaling == ROPE_LONGROPE)
        return past;
    return r->scaling == ROPE_DYNAMIC && past ? reach : 0;
}

void rope_describe(const struct rope *r, bool factors, char *out, size_t size)
{
    if (r->scaling == ROPE_YARN || r->scaling == ROPE_DYNAMIC)
        snprintf(out, size, "%s, factor %g over %u", names[r->scaling], r->factor, r->n_ctx_orig);
    else if (r->scaling == ROPE_LONGROPE)
        snprintf(out, size, "longrope over %u", r->n_ctx_orig);
    else if (r->scaling == ROPE_LINEAR && r->factor > 1)
        snprintf(out, size, "linear, factor %g", r->factor);
    else
        snprintf(out, size, "%s", factors ? "llama3 factors" : "plain");
}
