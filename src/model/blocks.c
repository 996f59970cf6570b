/* The blocks that families are composed of: embedding, attention over paged KV, SwiGLU, output head. All rows of a step go through each
 * block together; which sequence a row belongs to matters to attention alone. */
#include "model/model_int.h"
#include <math.h>
#include <string.h>

static int bind_layer(struct loader *ld, struct model *m, struct layer *l, int i, enum need qkv_bias, struct err *e)
{
    const struct model_shape *s = &m->shape;
    uint32_t d = s->n_embd, dq = s->n_heads * s->head_dim, dkv = s->n_kv_heads * s->head_dim;
    int rc;
    if ((rc = load_vector(ld, &l->attn_norm, "attn_norm.weight", i, d, NEED, e)) ||
        (rc = load_vector(ld, &l->ffn_norm, "ffn_norm.weight", i, d, NEED, e)) || (rc = load_matrix(ld, &l->q, "attn_q.weight", i, dq, d, NEED, e)) ||
        (rc = load_matrix(ld, &l->k, "attn_k.weight", i, dkv, d, NEED, e)) || (rc = load_matrix(ld, &l->v, "attn_v.weight", i, dkv, d, NEED, e)) ||
        (rc = load_matrix(ld, &l->o, "attn_output.weight", i, d, dq, NEED, e)))
        return rc;
    if ((rc = load_vector(ld, &l->q_bias, "attn_q.bias", i, dq, qkv_bias, e)) ||
        (rc = load_vector(ld, &l->k_bias, "attn_k.bias", i, dkv, qkv_bias, e)) ||
        (rc = load_vector(ld, &l->v_bias, "attn_v.bias", i, dkv, qkv_bias, e)) ||
        (rc = load_vector(ld, &l->o_bias, "attn_output.bias", i, d, MAY, e)))
        return rc;
    if ((rc = load_matrix(ld, &l->gate, "ffn_gate.weight", i, s->n_ff, d, NEED, e)) ||
        (rc = load_matrix(ld, &l->up, "ffn_up.weight", i, s->n_ff, d, NEED, e)))
        return rc;
    return load_matrix(ld, &l->down, "ffn_down.weight", i, d, s->n_ff, NEED, e);
}

int bind_dense(struct loader *ld, struct model *m, enum need qkv_bias, struct err *e)
{
    const struct model_shape *s = &m->shape;
    struct layer dummy = {0}; /* while only checking, nothing is stored */
    int rc;
    if ((rc = load_matrix(ld, &m->embd, "token_embd.weight", -1, s->n_vocab, s->n_embd, NEED, e)) ||
        (rc = load_vector(ld, &m->out_norm, "output_norm.weight", -1, s->n_embd, NEED, e)) ||
        (rc = load_matrix(ld, &m->out, "output.weight", -1, s->n_vocab, s->n_embd, MAY, e)))
        return rc;
    if (!m->out)
        m->out = m->embd; /* tied */
    for (uint32_t i = 0; i < s->n_layers; i++)
        if ((rc = bind_layer(ld, m, m->layers ? &m->layers[i] : &dummy, (int)i, qkv_bias, e)))
            return rc;
    return 0;
}

void block_embed(struct model *m, const struct step *s) { dev_embed(m->dev, m->x, m->embd, s->token, s->n); }

/* Moves the wanted rows to the front; they are ascending, so that a row never lands on one that is still needed. */
static int keep_wanted(struct model *m, const struct step *s)
{
    size_t d = m->shape.n_embd;
    for (int i = 0; i < s->n_want; i++)
        if (s->want[i] != i)
            memcpy(m->x + (size_t)i * d, m->x + (size_t)s->want[i] * d, d * sizeof *m->x);
    return s->n_want;
}

int block_attention(struct model *m, int layer, const struct step *s)
{
    const struct model_shape *h = &m->shape;
    const struct layer *l = &m->layers[layer];
    bool last = layer == (int)h->n_layers - 1;
    int n = s->n, n_embd = (int)h->n_embd, hd = (int)h->head_dim, n_rot = (int)h->n_rot;
    dev_rmsnorm(m->dev, m->xn, m->x, l->attn_norm, h->norm_eps, n, n_embd);
    const struct matmul_out qkv[] = {{m->q, l->q, l->q_bias}, {m->k, l->k, l->k_bias}, {m->v, l->v, l->v_bias}};
    dev_matmul_many(m->dev, qkv, 3, m->xn, n);
    dev_rope(m->dev, m->k, s->pos, m->rope_freqs, m->family->rope, n, (int)h->n_kv_heads, hd, n_rot);
    dev_kv_store(m->dev, &s->kv, layer, s->seqs, s->n_seqs, m->k, m->v);
    if (last && !s->n_want)
        return 0; /* a chunk in the middle of a prompt: its keys and values were all that is needed */
    dev_rope(m->dev, m->q, s->pos, m->rope_freqs, m->family->rope, n, (int)h->n_heads, hd, n_rot);
    dev_attention(m->dev, m->att, m->q, &s->kv, layer, s->seqs, s->n_seqs, (int)h->n_heads, 1.0f / sqrtf((float)hd), m->window);
    dev_matmul(m->dev, m->xn, l->o, l->o_bias, m->att, n);
    dev_add(m->dev, m->x, m->xn, (size_t)n * h->n_embd);
    return last ? keep_wanted(m, s) : n;
}

void block_swiglu(struct model *m, int layer, int n)
{
    const struct model_shape *h = &m->shape;
    const struct layer *l = &m->layers[layer];
    dev_rmsnorm(m->dev, m->xn, m->x, l->ffn_norm, h->norm_eps, n, (int)h->n_embd);
    const struct matmul_out gu[] = {{m->gate, l->gate, NULL}, {m->up, l->up, NULL}};
    dev_matmul_many(m->dev, gu, 2, m->xn, n);
    dev_swiglu(m->dev, m->gate, m->gate, m->up, (size_t)n * h->n_ff);
    dev_matmul(m->dev, m->xn, l->down, NULL, m->gate, n);
    dev_add(m->dev, m->x, m->xn, (size_t)n * h->n_embd);
}

void block_head(struct model *m, const struct step *s)
{
    dev_rmsnorm(m->dev, m->xn, m->x, m->out_norm, m->shape.norm_eps, s->n_want, (int)m->shape.n_embd);
    dev_matmul(m->dev, s->logits, m->out, NULL, m->xn, s->n_want);
}

void dense_step(struct model *m, const struct step *s)
{
    block_embed(m, s);
    for (int i = 0; i < (int)m->shape.n_layers; i++) {
        int n = block_attention(m, i, s);
        if (n)
            block_swiglu(m, i, n);
    }
    if (s->n_want)
        block_head(m, s);
}
