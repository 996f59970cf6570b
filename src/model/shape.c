/* The metadata of a model, as a schema: every key present where it must be, of its type, in its range, and consistent with the others.
 * Keys that change the arithmetic in a way this build does not compute are refused by name: never a wrong answer in silence. */
#include "model/model_int.h"
#include <stdio.h>
#include <string.h>

struct key { char z[96]; };
static struct key key_of(const char *arch, const char *tail)
{
    struct key k;
    snprintf(k.z, sizeof k.z, "%s.%s", arch, tail);
    return k;
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
    char shown[32] = "", names[128] = "";
    for (size_t i = 0; i < arch.n && i < sizeof shown - 1; i++)
        shown[i] = arch.p[i] >= 32 && arch.p[i] < 127 ? arch.p[i] : '?';
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", all[i]->name);
    return err_set(e, ERR_FORMAT, "model: the architecture \"%s\" is not one that this build runs (%s)", shown, names);
}

/* Keys whose presence with another value than the neutral one changes the arithmetic. */
static int refuse_unknown_maths(const char *arch, const struct modelfile *f, struct err *e)
{
    static const struct { const char *tail; float neutral; const char *what; } numbers[] = {
        {"expert_count", 0, "a mixture of experts"},
        {"rope.scaling.attn_factor", 1, "a RoPE attention factor"},
        {"logit_scale", 1, "scaled logits"},
        {"embedding_scale", 1, "scaled embeddings"},
        {"residual_scale", 1, "a scaled residual stream"},
        {"attention.scale", 0, "its own attention scale"},
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
        const struct meta *m = modelfile_meta(f, k.z);
        if (!m)
            continue;
        if (m->type == META_F32 || m->type == META_F64) {
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
    if (!rc && parts > 1)
        rc = err_set(e, ERR_FORMAT, "model: the file is one of %u parts (split.count); join them into one file first", parts);
    return rc;
}

static int read_heads(struct model_shape *s, const struct modelfile *f, struct err *e)
{
    const char *a = s->arch;
    uint32_t v_dim;
    struct key heads = key_of(a, "attention.head_count"), kv = key_of(a, "attention.head_count_kv"), kl = key_of(a, "attention.key_length");
    int rc = modelfile_u32(f, heads.z, 1, MODEL_HEADS_MAX, &s->n_heads, e);
    if (rc || (rc = modelfile_u32_or(f, kv.z, 1, MODEL_HEADS_MAX, s->n_heads, &s->n_kv_heads, e)))
        return rc;
    if (s->n_heads % s->n_kv_heads)
        return err_set(e, ERR_FORMAT, "model: %s %u does not divide %s %u; the file is damaged", kv.z, s->n_kv_heads, heads.z, s->n_heads);
    if (!modelfile_meta(f, kl.z) && s->n_embd % s->n_heads)
        return err_set(e, ERR_FORMAT, "model: %s %u does not divide the embedding length %u, and %s is missing; the file is damaged", heads.z,
                       s->n_heads, s->n_embd, kl.z);
    if ((rc = modelfile_u32_or(f, kl.z, 1, MODEL_HEAD_DIM_MAX, s->n_embd / s->n_heads, &s->head_dim, e)))
        return rc;
    if (s->head_dim < 1 || s->head_dim > MODEL_HEAD_DIM_MAX)
        return err_set(e, ERR_FORMAT, "model: a head of %u values is outside 1 to %d; the file is damaged", s->head_dim, MODEL_HEAD_DIM_MAX);
    struct key vl = key_of(a, "attention.value_length");
    if ((rc = modelfile_u32_or(f, vl.z, 1, MODEL_HEAD_DIM_MAX, s->head_dim, &v_dim, e)))
        return rc;
    if (v_dim != s->head_dim)
        return err_set(e, ERR_FORMAT, "model: %s %u differs from the key length %u, which this build does not compute", vl.z, v_dim, s->head_dim);
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

int shape_keys(struct model_shape *s, int *window, const struct family **fam, const struct modelfile *f, struct err *e)
{
    *s = (struct model_shape){0};
    int rc = find_family(fam, s, f, e);
    uint32_t w;
    const char *a = s->arch;
    if (rc || (rc = modelfile_u32(f, key_of(a, "block_count").z, 1, MODEL_LAYERS_MAX, &s->n_layers, e)) ||
        (rc = modelfile_u32(f, key_of(a, "context_length").z, 1, MODEL_CTX_MAX, &s->n_ctx, e)) ||
        (rc = modelfile_u32(f, key_of(a, "embedding_length").z, 1, MODEL_EMBD_MAX, &s->n_embd, e)) ||
        (rc = modelfile_u32(f, key_of(a, "feed_forward_length").z, 1, MODEL_FF_MAX, &s->n_ff, e)) ||
        (rc = modelfile_f32(f, key_of(a, "attention.layer_norm_rms_epsilon").z, 1e-12f, 0.1f, &s->norm_eps, e)) ||
        (rc = modelfile_f32_or(f, key_of(a, "rope.freq_base").z, 1, 1e12f, 10000, &s->rope_theta, e)) ||
        (rc = modelfile_u32_or(f, key_of(a, "attention.sliding_window").z, 0, MODEL_CTX_MAX, 0, &w, e)))
        return rc;
    *window = w < s->n_ctx ? (int)w : 0;
    if ((rc = read_heads(s, f, e)) || (rc = read_vocab(s, f, e)))
        return rc;
    return refuse_unknown_maths(a, f, e);
}
