/* The metadata of a model, as a schema: every key present where it must be, of its type, in its range, and consistent with the others.
 * Keys that change the arithmetic in a way this build does not compute are refused by name: never a wrong answer in silence. */
#include "model/model_int.h"
#include <stdio.h>
#include <string.h>

struct key key_of(const char *arch, const char *tail)
{
    struct key k;
    snprintf(k.z, sizeof k.z, "%s.%s", arch, tail);
    return k;
}

struct shown shown(struct str s)
{
    struct shown o = {{0}};
    for (size_t i = 0; i < s.n && i < sizeof o.z - 1; i++)
        o.z[i] = s.p[i] >= 32 && s.p[i] < 127 ? s.p[i] : '?';
    return o;
}

static int find_family(const struct family **out, struct model_shape *s, const struct modelfile *f, struct err *e)
{
    static const struct family *const all[] = {
#define FAMILY(name) &family_##name,
#include "model/arch.def"
#undef FAMILY
    };
    struct str arch;
    int rc = modelfile_str(f, "general.architecture", &arch, e);
    if (rc)
        return rc;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (str_eqz(arch, all[i]->name)) {
            snprintf(s->arch, sizeof s->arch, "%s", all[i]->name);
            *out = all[i];
            return 0;
        }
    char names[256] = "";
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", all[i]->name);
    return err_set(e, ERR_FORMAT,
                   "model: the architecture \"%s\" is not one that this build runs; it runs %s: take a model of one of these", shown(arch).z,
                   names);
}

/* Keys whose presence with another value than the neutral one changes the arithmetic. */
static int refuse_unknown_maths(const struct model *m, const struct modelfile *f, struct err *e)
{
    const char *arch = m->shape.arch;
    const struct {
        const char *tail;
        float neutral;
        const char *what;
    } numbers[] = {
        {"expert_count", 0, "a mixture of experts"},
        {"rope.scaling.alpha", 0, "a RoPE alpha"},
        {"rope.dimension_count_swa", 0, "another RoPE in windowed layers"},
        {"rope.freq_base_swa", 0, "another RoPE in windowed layers"},
        {"attention.key_length_swa", 0, "other heads in windowed layers"},
        {"attention.value_length_swa", 0, "other heads in windowed layers"},
        {"nextn_predict_layers", 0, "layers that predict further tokens"},
        {"logit_scale", 1, "scaled logits"},
        {"embedding_scale", 1, "scaled embeddings"},
        {"residual_scale", 1, "a scaled residual stream"},
        {"attention.scale", 0, "its own attention scale"},
        {"attention.temperature_scale", m->q_scale_log, "queries that grow with the position"},
        {"attention.max_alibi_bias", 0, "ALiBi"},
        {"attention.clamp_kqv", 0, "clamped projections"},
        {"attn_logit_softcapping", 0, "soft-capped attention"},
        {"final_logit_softcapping", 0, "soft-capped logits"},
        {"leading_dense_block_count", 0, "a mixture of experts"},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct key k = key_of(arch, numbers[i].tail);
        float v;
        uint32_t u;
        const struct meta *meta = modelfile_meta(f, k.z);
        if (!meta)
            continue;
        if (meta->type == META_F32 || meta->type == META_F64) {
            int rc = modelfile_f32(f, k.z, -1e30f, 1e30f, &v, e);
            if (rc)
                return rc;
        } else {
            int rc = modelfile_u32(f, k.z, 0, UINT32_MAX, &u, e);
            if (rc)
                return rc;
            v = (float)u;
        }
        if (v < numbers[i].neutral || v > numbers[i].neutral)
            return err_set(e, ERR_FORMAT, "model: metadata key %s asks for %s, which this build does not compute", k.z, numbers[i].what);
    }
    bool causal = true;
    struct key k = key_of(arch, "attention.causal");
    int rc = modelfile_bool_or(f, k.z, true, &causal, e);
    if (!rc && !causal)
        rc = err_set(e, ERR_FORMAT, "model: metadata key %s asks for attention in both directions, which generates no text", k.z);
    uint32_t parts = 0;
    if (!rc)
        rc = modelfile_u32_or(f, "split.count", 0, UINT16_MAX, 0, &parts, e);
    if (!rc && parts > 1 && f->n_parts != parts)
        rc = err_set(e, ERR_FORMAT, "model: the file is one of %u parts (split.count); give all of them", parts);
    return rc;
}

/* Arrays that change the arithmetic by being there. */
static int refuse_arrays(const char *arch, const struct modelfile *f, struct err *e)
{
    static const struct {
        const char *tail, *what;
    } arrays[] = {
        {"rope.dimension_sections", "RoPE over several axes"},
        {"attention.rope_pattern", "a pattern of layers without RoPE"},
        {"swiglu_clamp_exp", "a clamped SwiGLU"},
    };
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) {
        struct key k = key_of(arch, arrays[i].tail);
        if (modelfile_meta(f, k.z))
            return err_set(e, ERR_FORMAT, "model: metadata key %s asks for %s, which this build does not compute", k.z, arrays[i].what);
    }
    return 0;
}

/* The width of a head of keys, or values: a key, or what the embedding gives each head of the first layer that has some. */
static int read_width(const struct model *m, const struct modelfile *f, const char *tail, uint32_t n_heads, uint32_t *out, struct err *e)
{
    const struct model_shape *s = &m->shape;
    struct key heads = key_of(s->arch, "attention.head_count"), k = key_of(s->arch, tail);
    if (!modelfile_meta(f, k.z) && s->n_embd % n_heads)
        return err_set(e, ERR_FORMAT, "model: %s %u does not divide the embedding length %u, and %s is missing; the file is damaged", heads.z,
                       n_heads, s->n_embd, k.z);
    int rc = modelfile_u32_or(f, k.z, 1, MODEL_HEAD_DIM_MAX, s->n_embd / n_heads, out, e);
    if (!rc && (*out < 1 || *out > MODEL_HEAD_DIM_MAX))
        rc = err_set(e, ERR_FORMAT, "model: a head of %u values is outside 1 to %d; the file is damaged", *out, MODEL_HEAD_DIM_MAX);
    return rc;
}

/* After layers_read. */
static int read_head_dim(struct model *m, const struct modelfile *f, struct err *e)
{
    struct model_shape *s = &m->shape;
    const char *a = s->arch;
    uint32_t n_heads = s->n_heads;
    for (uint32_t i = s->n_layers; i-- > 0;)
        n_heads = m->layers[i].n_heads ? m->layers[i].n_heads : n_heads;
    int rc = read_width(m, f, "attention.key_length", n_heads, &s->head_dim, e);
    if (rc || (rc = read_width(m, f, "attention.value_length", n_heads, &s->v_dim, e)))
        return rc;
    struct key rot = key_of(a, "rope.dimension_count");
    if ((rc = modelfile_u32_or(f, rot.z, 2, s->head_dim, s->head_dim, &s->n_rot, e)))
        return rc;
    if (s->n_rot % 2)
        return err_set(e, ERR_FORMAT, "model: %s %u is odd, and RoPE rotates pairs; the file is damaged", rot.z, s->n_rot);
    return 0;
}

/* The vocabulary's size is the embedding's; the tokenizer and the key, where present, must agree, or a token would point outside. */
static int read_vocab(struct model_shape *s, const struct modelfile *f, struct err *e)
{
    const struct tensor *t = modelfile_tensor(f, "token_embd.weight");
    if (!t)
        return err_set(e, ERR_FORMAT, "model: tensor token_embd.weight is missing; the file holds no complete model (a vocabulary alone cannot run)");
    if (t->n_dims != 2 || t->ne[1] > MODEL_VOCAB_MAX)
        return err_set(e, ERR_FORMAT, "model: tensor token_embd.weight has no two dimensions or more than %d rows; the file is damaged",
                       MODEL_VOCAB_MAX);
    s->n_vocab = (uint32_t)t->ne[1];
    const struct meta *m = modelfile_meta(f, "tokenizer.ggml.tokens");
    if (m && (m->type != META_ARR || m->elem != META_STR))
        return err_set(e, ERR_FORMAT, "model: metadata key tokenizer.ggml.tokens is no array of strings; convert the model again");
    if (m && m->n != s->n_vocab)
        return err_set(e, ERR_FORMAT, "model: the tokenizer has %llu tokens and the embedding %u rows; the file is damaged", (unsigned long long)m->n,
                       s->n_vocab);
    uint32_t n;
    struct key k = key_of(s->arch, "vocab_size");
    int rc = modelfile_u32_or(f, k.z, 1, MODEL_VOCAB_MAX, s->n_vocab, &n, e);
    if (!rc && n != s->n_vocab)
        rc = err_set(e, ERR_FORMAT, "model: %s is %u and the embedding has %u rows; the file is damaged", k.z, n, s->n_vocab);
    return rc;
}

int shape_keys(struct model *m, const struct modelfile *f, struct err *e)
{
    struct model_shape *s = &m->shape;
    *s = (struct model_shape){0};
    int rc = find_family(&m->family, s, f, e);
    const char *a = s->arch;
    if (rc || (rc = modelfile_u32(f, key_of(a, "block_count").z, 1, MODEL_LAYERS_MAX, &s->n_layers, e)) ||
        (rc = modelfile_u32(f, key_of(a, "context_length").z, 1, MODEL_CTX_MAX, &s->n_ctx, e)) ||
        (rc = modelfile_u32(f, key_of(a, "embedding_length").z, 1, MODEL_EMBD_MAX, &s->n_embd, e)) ||
        (rc = modelfile_f32(f, key_of(a, "attention.layer_norm_rms_epsilon").z, 1e-12f, 0.1f, &s->norm_eps, e)) ||
        (rc = modelfile_f32_or(f, key_of(a, "rope.freq_base").z, 1, 1e12f, 10000, &s->rope_theta, e)) || (rc = layers_read(m, f, e)) ||
        (rc = read_head_dim(m, f, e)) || (rc = rope_read(&m->rope, s, f, e)) || (rc = read_vocab(s, f, e)))
        return rc;
    rope_describe(&m->rope, modelfile_tensor(f, "rope_freqs.weight"), s->rope, sizeof s->rope);
    if (m->family->shape && (rc = m->family->shape(m, f, e)))
        return rc;
    rc = refuse_arrays(a, f, e);
    return rc ? rc : refuse_unknown_maths(m, f, e);
}

int model_family_known(const struct modelfile *f, struct err *e)
{
    struct model_shape s = {0};
    const struct family *fam;
    return find_family(&fam, &s, f, e);
}
