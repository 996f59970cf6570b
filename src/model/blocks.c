/* The blocks that families are composed of: embedding, attention over paged KV, SwiGLU, output head. All rows of a step go through each
 * block together; which sequence a row belongs to matters to attention and to the angles of rotation alone. */
#include "model/model_int.h"
#include <math.h>
#include <string.h>

/* Q, K and V: three matrices, or one that holds them one below the other; the biases likewise. */
static int bind_qkv(struct loader *ld, const struct model *m, struct layer *l, int i, struct err *e)
{
    const enum need bias = m->family->tensors.qkv_bias;
    uint32_t d = m->shape.n_embd, dq = l->n_heads * m->shape.head_dim, dk = l->n_kv_heads * m->shape.head_dim, dv = l->n_kv_heads * m->shape.v_dim;
    int rc;
    if (loader_has(ld, "attn_qkv.weight", i) || (m->family->stacked && !loader_has(ld, "attn_q.weight", i))) {
        const struct part qkv[] = {{&l->q, dq}, {&l->k, dk}, {&l->v, dv}};
        rc = load_stacked(ld, qkv, 3, "attn_qkv.weight", i, d, e);
    } else if (!(rc = load_matrix(ld, &l->q, "attn_q.weight", i, dq, d, NEED, e)) &&
               !(rc = load_matrix(ld, &l->k, "attn_k.weight", i, dk, d, NEED, e))) {
        rc = load_matrix(ld, &l->v, "attn_v.weight", i, dv, d, NEED, e);
    }
    if (rc || bias == NONE)
        return rc;
    if (!loader_has(ld, "attn_qkv.bias", i)) {
        if ((rc = load_vector(ld, &l->q_bias, "attn_q.bias", i, dq, bias, e)) || (rc = load_vector(ld, &l->k_bias, "attn_k.bias", i, dk, bias, e)))
            return rc;
        return load_vector(ld, &l->v_bias, "attn_v.bias", i, dv, bias, e);
    }
    if ((rc = load_vector(ld, &l->qkv_bias, "attn_qkv.bias", i, dq + dk + dv, NEED, e)) || !l->qkv_bias)
        return rc;
    l->q_bias = l->qkv_bias, l->k_bias = l->q_bias + dq, l->v_bias = l->k_bias + dk;
    return 0;
}

static int bind_attention(struct loader *ld, const struct model *m, struct layer *l, int i, struct err *e)
{
    const struct model_shape *s = &m->shape;
    const enum need norm = m->family->tensors.qk_norm;
    uint32_t d = s->n_embd, da = l->n_heads * s->v_dim;
    int rc = load_vector(ld, &l->attn_norm, "attn_norm.weight", i, d, NEED, e);
    if (rc || (rc = load_vector(ld, &l->o_bias, "attn_output.bias", i, d, m->family->tensors.o_bias, e)))
        return rc;
    if (!l->n_kv_heads)
        return load_matrix(ld, &l->o, "attn_output.weight", i, d, d, NEED, e);
    if ((rc = bind_qkv(ld, m, l, i, e)) || (rc = load_matrix(ld, &l->o, "attn_output.weight", i, d, da, NEED, e)) ||
        (rc = load_vector(ld, &l->q_norm, "attn_q_norm.weight", i, s->head_dim, norm, e)))
        return rc;
    return load_vector(ld, &l->k_norm, "attn_k_norm.weight", i, s->head_dim, norm, e);
}

static int bind_swiglu(struct loader *ld, const struct model *m, struct layer *l, int i, struct err *e)
{
    const enum need bias = m->family->tensors.ffn_bias;
    const struct part both[] = {{&l->gate, l->n_ff}, {&l->up, l->n_ff}};
    uint32_t d = m->shape.n_embd;
    int rc = load_vector(ld, &l->ffn_norm, "ffn_norm.weight", i, d, NEED, e);
    if (rc)
        return rc;
    if (m->family->stacked)
        rc = load_stacked(ld, both, 2, "ffn_up.weight", i, d, e);
    else if (!(rc = load_matrix(ld, &l->gate, "ffn_gate.weight", i, l->n_ff, d, NEED, e)))
        rc = load_matrix(ld, &l->up, "ffn_up.weight", i, l->n_ff, d, NEED, e);
    if (rc || (rc = load_matrix(ld, &l->down, "ffn_down.weight", i, d, l->n_ff, NEED, e)) ||
        (rc = load_vector(ld, &l->gate_bias, "ffn_gate.bias", i, l->n_ff, bias, e)) ||
        (rc = load_vector(ld, &l->up_bias, "ffn_up.bias", i, l->n_ff, bias, e)))
        return rc;
    return load_vector(ld, &l->down_bias, "ffn_down.bias", i, d, bias, e);
}

int bind_dense(struct loader *ld, struct model *m, struct err *e)
{
    const struct model_shape *s = &m->shape;
    int rc;
    if ((rc = load_matrix(ld, &m->embd, "token_embd.weight", -1, s->n_vocab, s->n_embd, NEED, e)) ||
        (rc = load_vector(ld, &m->out_norm, "output_norm.weight", -1, s->n_embd, NEED, e)) ||
        (rc = load_matrix(ld, &m->out, "output.weight", -1, s->n_vocab, s->n_embd, MAY, e)))
        return rc;
    if (!m->out)
        m->out = m->embd; /* tied */
    for (uint32_t i = 0; i < s->n_layers; i++) {
        struct layer *l = &m->layers[i];
        if ((l->n_heads && (rc = bind_attention(ld, m, l, (int)i, e))) || (l->n_ff && (rc = bind_swiglu(ld, m, l, (int)i, e))))
            return rc;
    }
    return 0;
}

/* The angles of every row, by the frequencies of its sequence, and what its queries are multiplied by. */
static void angles(struct model *m, const struct step *s)
{
    const double *freqs[STEP_ROWS_MAX];
    size_t half = m->shape.n_rot / 2;
    for (int i = 0; i < s->n_seqs; i++) {
        const struct kv_seq *seq = &s->seqs[i];
        const double *table = rope_table(&m->rope, s->reach ? s->reach[i] : m->shape.n_ctx, m->freqs + (size_t)seq->row0 * half);
        for (int r = 0; r < seq->n_rows; r++)
            freqs[seq->row0 + r] = table;
    }
    dev_rope_angles(m->dev, m->cos, m->sin, s->pos, freqs, m->rope.scale, s->n, (int)half);
    for (int i = 0; i < s->n && m->q_scale_log > 0; i++)
        m->q_scale[i] = (float)(1 + (double)m->q_scale_log * log(floor((double)s->pos[i] / m->rope.n_ctx_orig) + 1));
}

void block_embed(struct model *m, const struct step *s)
{
    dev_embed(m->dev, m->x, m->embd, s->token, s->n);
    angles(m, s);
}

static void rotate(struct model *m, float *x, int n, uint32_t n_heads)
{
    dev_rope(m->dev, x, m->cos, m->sin, m->family->rope, n, (int)n_heads, (int)m->shape.head_dim, (int)m->shape.n_rot);
}

/* RMS norm of each head. */
static void norm_heads(struct model *m, float *x, const float *gain, int n, uint32_t n_heads)
{
    if (gain)
        dev_rmsnorm(m->dev, x, x, gain, m->shape.norm_eps, n * (int)n_heads, (int)m->shape.head_dim);
}

/* n rows of `is` values become rows of `to`, with zeros behind: from the last on, so that none lands on one that is still needed. */
static void widen(float *x, size_t n, size_t is, size_t to)
{
    for (size_t i = n; is < to && i-- > 0;) {
        memmove(x + i * to, x + i * is, is * sizeof *x);
        memset(x + i * to + is, 0, (to - is) * sizeof *x);
    }
}

/* And back. */
static void narrow(float *x, size_t n, size_t is, size_t to)
{
    for (size_t i = 1; to < is && i < n; i++)
        memmove(x + i * to, x + i * is, to * sizeof *x);
}

void block_attention(struct model *m, int layer, const struct step *s)
{
    const struct model_shape *h = &m->shape;
    const struct layer *l = &m->layers[layer];
    const size_t hd = h->head_dim, wide = model_head_wide(h), heads = (size_t)s->n * l->n_heads, kv_heads = (size_t)s->n * l->n_kv_heads;
    int n = s->n;
    dev_rmsnorm(m->dev, m->xn, m->x, l->attn_norm, h->norm_eps, n, (int)h->n_embd);
    const struct matmul_out qkv[] = {{m->q, l->q, l->q_bias}, {m->k, l->k, l->k_bias}, {m->v, l->v, l->v_bias}};
    dev_matmul_many(m->dev, qkv, 3, m->xn, n);
    norm_heads(m, m->k, l->k_norm, n, l->n_kv_heads);
    if (!l->no_rope)
        rotate(m, m->k, n, l->n_kv_heads);
    widen(m->k, kv_heads, hd, wide);
    widen(m->v, kv_heads, h->v_dim, wide);
    dev_kv_store(m->dev, &s->kv, layer, s->seqs, s->n_seqs, m->k, m->v);
    if (layer == (int)h->n_layers - 1 && !s->n_want)
        return; /* a chunk in the middle of a prompt: its keys and values were all that is needed */
    norm_heads(m, m->q, l->q_norm, n, l->n_heads);
    if (!l->no_rope)
        rotate(m, m->q, n, l->n_heads);
    if (m->q_scale_log > 0)
        dev_scale_rows(m->dev, m->q, m->q_scale, n, (int)(l->n_heads * hd));
    widen(m->q, heads, hd, wide);
    dev_attention(m->dev, m->att, m->q, &s->kv, layer, s->seqs, s->n_seqs, (int)l->n_heads, 1.0f / sqrtf((float)hd), l->window);
    narrow(m->att, heads, wide, h->v_dim);
    dev_matmul(m->dev, m->xn, l->o, l->o_bias, m->att, n);
    dev_add(m->dev, m->x, m->xn, (size_t)n * h->n_embd);
}

/* A layer whose attention was replaced by one matrix. */
static void block_linear(struct model *m, int layer, int n)
{
    const struct layer *l = &m->layers[layer];
    dev_rmsnorm(m->dev, m->xn, m->x, l->attn_norm, m->shape.norm_eps, n, (int)m->shape.n_embd);
    dev_matmul(m->dev, m->q, l->o, l->o_bias, m->xn, n);
    dev_add(m->dev, m->x, m->q, (size_t)n * m->shape.n_embd);
}

/* They are ascending, so that a row never lands on one that is still needed. */
int block_keep_wanted(struct model *m, const struct step *s)
{
    size_t d = m->shape.n_embd;
    for (int i = 0; i < s->n_want; i++)
        if (s->want[i] != i)
            memcpy(m->x + (size_t)i * d, m->x + (size_t)s->want[i] * d, d * sizeof *m->x);
    return s->n_want;
}

void block_swiglu(struct model *m, int layer, int n)
{
    const struct model_shape *h = &m->shape;
    const struct layer *l = &m->layers[layer];
    dev_rmsnorm(m->dev, m->xn, m->x, l->ffn_norm, h->norm_eps, n, (int)h->n_embd);
    const struct matmul_out gu[] = {{m->gate, l->gate, l->gate_bias}, {m->up, l->up, l->up_bias}};
    dev_matmul_many(m->dev, gu, 2, m->xn, n);
    dev_swiglu(m->dev, m->gate, m->gate, m->up, (size_t)n * l->n_ff);
    dev_matmul(m->dev, m->xn, l->down, l->down_bias, m->gate, n);
    dev_add(m->dev, m->x, m->xn, (size_t)n * h->n_embd);
}

void block_head(struct model *m, const struct step *s)
{
    dev_rmsnorm(m->dev, m->xn, m->x, m->out_norm, m->shape.norm_eps, s->n_want, (int)m->shape.n_embd);
    int n = s->n_want - s->n_hidden;
    if (n && n <= SCREEN_ROWS_MAX && s->top && m->screen)
        (void)dev_matmul_top(m->dev, s->logits, m->screen, m->xn, n, s->top);
    else if (n)
        dev_matmul(m->dev, s->logits, m->out, NULL, m->xn, n);
    if (s->n_hidden)
        memcpy(s->hidden, m->xn + (size_t)n * m->shape.n_embd, (size_t)s->n_hidden * m->shape.n_embd * sizeof *s->hidden);
}

void dense_step(struct model *m, const struct step *s)
{
    int n = s->n, last = (int)m->shape.n_layers - 1;
    block_embed(m, s);
    for (int i = 0; i <= last; i++) {
        const struct layer *l = &m->layers[i];
        if (l->n_kv_heads)
            block_attention(m, i, s);
        else if (l->n_heads)
            block_linear(m, i, n);
        if (i == last)
            n = block_keep_wanted(m, s);
        if (l->n_ff && n)
            block_swiglu(m, i, n);
    }
    if (n)
        block_head(m, s);
}
