#include "model/model_int.h"
#include "base/mem.h"
#include <stdio.h>

/* Memory of the coarse copy of an output matrix that is a good part of what a token reads; 0: it gets none. */
static uint64_t screen_bytes(const struct loader *ld)
{
    enum { ROWS_MIN = 256, PART = 8 };
    const struct tensor *t = modelfile_tensor(ld->f, "output.weight");
    if (!t)
        t = modelfile_tensor(ld->f, "token_embd.weight"); /* tied */
    return t && t->type == QUANT_Q8_0 && t->ne[1] >= ROWS_MIN && t->bytes >= ld->total / PART ? t->bytes / 34 * 22 : 0; /* Q5_0 */
}

/* One block for everything that a step writes: lays it out, from m->scratch on, and says how many bytes that is. Limits in model_int.h keep the sums
 * far below 64 bits. */
static size_t lay_out_scratch(struct model *m)
{
    const struct model_shape *s = &m->shape;
    size_t rows = STEP_ROWS_MAX, d = s->n_embd, wide = model_head_wide(s), heads = s->n_heads * wide, dq = heads > d ? heads : d, all = 0,
           dkv = s->n_kv_heads * wide, ff = s->n_ff, half = s->n_rot / 2, own = m->rope.scaling == ROPE_DYNAMIC ? half : 0;
    const struct {
        float **p;
        size_t cols;
    } parts[] = {{&m->x, d},     {&m->xn, d},  {&m->q, dq},     {&m->att, dq},   {&m->k, dkv},    {&m->v, dkv},
                 {&m->gate, ff}, {&m->up, ff}, {&m->cos, half}, {&m->sin, half}, {&m->q_scale, 1}};
    m->freqs = m->scratch;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        *parts[i].p = m->scratch ? (float *)(void *)(m->freqs + rows * own) + all : NULL;
        all += rows * parts[i].cols;
    }
    return rows * own * sizeof(double) + all * sizeof(float);
}

/* What both need of the tensors: bind, RoPE, nothing left over, the sums. */
static int bind_all(struct loader *ld, struct model *m, struct err *e)
{
    int rc = m->family->bind(ld, m, e);
    if (rc || (rc = rope_load(ld, &m->rope, e)) || (rc = loader_finish(ld, e)))
        return rc;
    m->shape.n_params = ld->n_params;
    m->shape.weight_bytes = ld->total;
    m->shape.screen_bytes = screen_bytes(ld);
    m->shape.work_bytes = lay_out_scratch(m);
    snprintf(m->shape.quant, sizeof m->shape.quant, "%s", loader_quant(ld));
    return 0;
}

static int check(struct model *m, const struct modelfile *f, struct err *e)
{
    struct loader ld;
    int rc = shape_keys(m, f, e);
    if (rc || (rc = loader_init(&ld, f, NULL, e)))
        return rc;
    rc = bind_all(&ld, m, e);
    loader_deinit(&ld);
    return rc;
}

static void deinit(struct model *m);

int model_shape_read(struct model_shape *out, const struct modelfile *f, struct err *e)
{
    struct model m = {0};
    int rc = check(&m, f, e);
    *out = m.shape;
    deinit(&m);
    return rc;
}

int model_load(struct model **out, const struct modelfile *f, struct device *d, void (*progress)(void *, uint64_t done, uint64_t total), void *arg,
               struct err *e)
{
    return model_load_with(out, f, d, &(struct model_load_opts){.progress = progress, .arg = arg}, e);
}

static int alloc_scratch(struct model *m, struct err *e)
{
    m->scratch_bytes = m->shape.work_bytes;
    m->scratch = mem_pages(m->scratch_bytes);
    if (!m->scratch)
        return err_set(e, ERR_NO_MEMORY, "model: no memory for %zu bytes of scratch", m->scratch_bytes);
    lay_out_scratch(m);
    return 0;
}

int model_load_with(struct model **out, const struct modelfile *f, struct device *d, const struct model_load_opts *o, struct err *e)
{
    struct loader ld;
    *out = NULL;
    struct model *m = mem_new(sizeof *m);
    if (!m)
        return err_set(e, ERR_NO_MEMORY, "model: no memory for a model");
    m->dev = d;
    int rc = check(m, f, e); /* everything is checked before anything is packed */
    if (!rc)
        rc = loader_init(&ld, f, d, e);
    if (!rc) {
        ld.progress = o->progress, ld.arg = o->arg, ld.kept = o->kept;
        rc = bind_all(&ld, m, e);
        m->items = ld.items, m->n_items = ld.n_items;
        loader_deinit(&ld);
    }
    if (!rc)
        rc = alloc_scratch(m, e);
    if (!rc && m->shape.screen_bytes > 0 && !o->no_screen)
        rc = screen_new(&m->screen, d, m->out, e);
    if (rc)
        model_free(m);
    else
        *out = m;
    return rc;
}

bool model_reserve(struct model *m)
{
    bool ok = dev_attention_reserve(m->dev, (int)model_head_wide(&m->shape)) && dev_matmul_reserve(m->dev, m->out);
    for (uint32_t i = 0; i < m->shape.n_layers; i++) {
        const struct layer *l = &m->layers[i];
        const struct weight *w[] = {l->q, l->k, l->v, l->o, l->gate, l->up, l->down};
        for (size_t j = 0; j < sizeof w / sizeof *w; j++)
            ok = ok && (!w[j] || dev_matmul_reserve(m->dev, w[j]));
    }
    return ok;
}

static void free_layer(struct layer *l)
{
    struct weight *w[] = {l->q, l->k, l->v, l->o, l->gate, l->up, l->down};
    bool one = l->qkv_bias != NULL;
    float *v[] = {l->attn_norm,
                  l->ffn_norm,
                  one ? NULL : l->q_bias,
                  one ? NULL : l->k_bias,
                  one ? NULL : l->v_bias,
                  l->qkv_bias,
                  l->o_bias,
                  l->q_norm,
                  l->k_norm,
                  l->gate_bias,
                  l->up_bias,
                  l->down_bias};
    for (size_t i = 0; i < sizeof w / sizeof *w; i++)
        if (w[i])
            weight_free(w[i]);
    for (size_t i = 0; i < sizeof v / sizeof *v; i++)
        mem_free(v[i]);
}

static void deinit(struct model *m)
{
    for (uint32_t i = 0; m->layers && i < m->shape.n_layers; i++)
        free_layer(&m->layers[i]);
    mem_free(m->layers);
    mem_free(m->kv_heads_before);
    screen_free(m->screen);
    if (m->out && m->out != m->embd)
        weight_free(m->out);
    if (m->embd)
        weight_free(m->embd);
    mem_free(m->out_norm);
    mem_free(m->items);
    rope_deinit(&m->rope);
    if (m->scratch)
        mem_pages_free(m->scratch, m->scratch_bytes);
}

void model_free(struct model *m)
{
    if (!m)
        return;
    deinit(m);
    mem_free(m);
}

int model_keep(const struct model *m, const char *path, uint64_t layout, const uint8_t source[32], bool (*stop)(void *arg), void *arg, struct err *e)
{
    return packed_save(path, layout, source, m->items, m->n_items, stop, arg, e);
}

uint64_t model_packed_bytes(const struct model *m)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < m->n_items; i++)
        sum += weight_packed_bytes(m->items[i].w);
    return sum;
}

const struct model_shape *model_shape(const struct model *m)
{
    return &m->shape;
}

void model_kv_shape(const struct model *m, enum kv_type type, struct kv_shape *out)
{
    *out = (struct kv_shape){(int)m->shape.n_layers, (int)m->shape.n_kv_heads, (int)model_head_wide(&m->shape), type, m->kv_heads_before};
}

uint32_t model_reach_class(const struct model *m, uint32_t reach)
{
    return rope_class(&m->rope, reach);
}

void model_step(struct model *m, const struct step *s)
{
    ASSERT(s->n > 0 && s->n <= STEP_ROWS_MAX && s->n_want >= 0 && s->n_want <= s->n && s->n_hidden >= 0 && s->n_hidden <= s->n_want);
    for (int i = 0; i < s->n; i++)
        ASSERT(s->token[i] >= 0 && (uint32_t)s->token[i] < m->shape.n_vocab && s->pos[i] >= 0);
    for (int i = 0; i < s->n_want; i++)
        ASSERT(s->want[i] >= (i ? s->want[i - 1] + 1 : 0) && s->want[i] < s->n);
    m->family->step(m, s);
}
