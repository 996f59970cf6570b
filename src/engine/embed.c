/* Embeddings: the hidden states after the last norm, pooled as the model's file says, scaled to length 1. Means are summed in double. */
#include "engine/engine_int.h"
#include <math.h>

bool embed_wants(const struct seq *s, uint32_t position)
{
    if (position < s->n_pooled) /* computed again after an eviction: the same bits, summed already */
        return false;
    switch (s->pooling) {
    case POOL_MEAN: return true;
    case POOL_LAST: return position == s->n_prompt - 1;
    case POOL_FIRST: return position == 0;
    }
    return false;
}

static void finish(struct seq *s)
{
    const uint32_t n = s->model->n_embd;
    double squares = 0;
    for (uint32_t i = 0; i < n; i++)
        squares += s->sum[i] * s->sum[i];
    const double scale = squares > 0 ? 1 / sqrt(squares) : 0; /* the length takes the mean's division away */
    for (uint32_t i = 0; i < n; i++)
        s->vector[i] = (float)(s->sum[i] * scale);
}

bool embed_rows(struct seq *s, const float *hidden)
{
    const uint32_t n = s->model->n_embd;
    for (uint32_t r = 0; r < s->wants; r++)
        for (uint32_t i = 0; i < n; i++)
            s->sum[i] += (double)hidden[(size_t)r * n + i];
    if (s->n_kv > s->n_pooled)
        s->n_pooled = s->n_kv;
    if (s->n_kv < s->n_prompt)
        return false;
    finish(s);
    return true;
}
