/* The numbers that may differ from layer to layer: heads, KV heads, feed-forward length, sliding window. A key holds one number for all
 * layers or an array with one for each. Only some families may lack a part of a layer (0). */
#include "model/model_int.h"
#include "base/mem.h"
#include <stdio.h>
#include <string.h>

/* Reads key `tail` into the member at `offset` of every layer; *max: the most of any. Absent: dflt NULL is an error, else that member. */
static int per_layer(struct model *m, const struct modelfile *f, const char *tail, size_t offset, const size_t *dflt, uint32_t min, uint32_t max,
                     uint32_t *most, struct err *e)
{
    struct key k = key_of(m->shape.arch, tail);
    const struct meta *meta = modelfile_meta(f, k.z);
    uint32_t n = m->shape.n_layers, one = 0;
    int rc;
    bool array = meta && meta->type == META_ARR;
    if (!array && (meta || !dflt) && (rc = modelfile_u32(f, k.z, 1, max, &one, e))) /* 0 for all layers would be no model */
        return rc;
    if (array && meta->n != n)
        return err_set(e, ERR_FORMAT, "model: metadata key %s has %llu values for %u layers; the file is damaged", k.z, (unsigned long long)meta->n,
                       n);
    *most = 0;
    for (uint32_t i = 0; i < n; i++) {
        int64_t v = one;
        if (array && (!meta_arr_i64(meta, i, &v) || v < min || v > max))
            return err_set(e, ERR_FORMAT, "model: value %u of metadata key %s is %lld, no integer from %u to %u; the file is damaged", i, k.z,
                           (long long)v, min, max);
        if (!meta)
            v = *(uint32_t *)(void *)((char *)&m->layers[i] + *dflt);
        *(uint32_t *)(void *)((char *)&m->layers[i] + offset) = (uint32_t)v;
        *most = (uint32_t)v > *most ? (uint32_t)v : *most;
        m->shape.layers_differ |= i && v != *(uint32_t *)(void *)((char *)&m->layers[i - 1] + offset);
    }
    return 0;
}

/* Which layers have the window: the key is an array with a truth value for each layer, or n for "all but every n-th". */
static int read_windows(struct model *m, const struct modelfile *f, struct err *e)
{
    struct key k = key_of(m->shape.arch, "attention.sliding_window"), pk = key_of(m->shape.arch, "attention.sliding_window_pattern");
    const struct meta *p = modelfile_meta(f, pk.z);
    uint32_t window, every = 0;
    int rc = modelfile_u32_or(f, k.z, 0, MODEL_CTX_MAX, 0, &window, e);
    if (!rc && p && p->type != META_ARR)
        rc = modelfile_u32(f, pk.z, 0, MODEL_LAYERS_MAX, &every, e);
    if (rc)
        return rc;
    if (p && p->type == META_ARR && p->n != m->shape.n_layers)
        return err_set(e, ERR_FORMAT, "model: metadata key %s has %llu values for %u layers; the file is damaged", pk.z, (unsigned long long)p->n,
                       m->shape.n_layers);
    if (p && window == 0)
        return err_set(e, ERR_FORMAT, "model: metadata key %s asks for sliding windows, and %s is missing or 0; convert the model again", pk.z, k.z);
    for (uint32_t i = 0; i < m->shape.n_layers; i++) {
        int64_t on = every == 0 || i % every < every - 1;
        if (p && p->type == META_ARR && (!meta_arr_i64(p, i, &on) || on < 0 || on > 1))
            return err_set(e, ERR_FORMAT, "model: value %u of metadata key %s is %lld, neither 0 nor 1; the file is damaged", i, pk.z, (long long)on);
        if (!on || !window || window >= m->shape.n_ctx)
            continue; /* a window as long as the context is none */
        m->layers[i].window = (int)window;
        m->shape.window = window;
        m->shape.n_windowed++;
    }
    return 0;
}

static int check_heads(const struct model *m, struct err *e)
{
    const char *a = m->shape.arch;
    for (uint32_t i = 0; i < m->shape.n_layers; i++) {
        const struct layer *l = &m->layers[i];
        if (l->n_kv_heads && (!l->n_heads || l->n_heads % l->n_kv_heads))
            return err_set(e, ERR_FORMAT,
                           "model: %s.attention.head_count_kv %u does not divide %s.attention.head_count %u in layer %u; the file is damaged", a,
                           l->n_kv_heads, a, l->n_heads, i);
    }
    if (!m->shape.n_kv_heads)
        return err_set(e, ERR_FORMAT, "model: %s.attention.head_count_kv says that no layer has attention; the file is damaged", a);
    return 0;
}

int layers_read(struct model *m, const struct modelfile *f, struct err *e)
{
    struct model_shape *s = &m->shape;
    const size_t heads = offsetof(struct layer, n_heads), kv = offsetof(struct layer, n_kv_heads), ff = offsetof(struct layer, n_ff);
    uint32_t min = m->family->sparse_layers ? 0 : 1;
    mem_free(m->layers);
    mem_free(m->kv_heads_before);
    m->layers = mem_array(s->n_layers, sizeof *m->layers);
    m->kv_heads_before = mem_array(s->n_layers + 1, sizeof *m->kv_heads_before);
    if (!m->layers || !m->kv_heads_before)
        return err_set(e, ERR_NO_MEMORY, "model: no memory for %u layers", s->n_layers);
    int rc = per_layer(m, f, "attention.head_count", heads, NULL, min, MODEL_HEADS_MAX, &s->n_heads, e);
    if (rc || (rc = per_layer(m, f, "attention.head_count_kv", kv, &heads, min, MODEL_HEADS_MAX, &s->n_kv_heads, e)) ||
        (rc = per_layer(m, f, "feed_forward_length", ff, NULL, min, MODEL_FF_MAX, &s->n_ff, e)) || (rc = check_heads(m, e)))
        return rc;
    for (uint32_t i = 0; i < s->n_layers; i++)
        m->kv_heads_before[i + 1] = m->kv_heads_before[i] + m->layers[i].n_kv_heads; /* 20 bits */
    return read_windows(m, f, e);
}
