/* Choosing tokens: a row of logits is one worker's, with a sampler of its own, so that many streams over a large vocabulary do not wait for one
 * thread. What a sequence chooses depends on its row, its tokens and its seed alone. Only the first token of a step is chosen so: those behind a
 * draft are wanted only if it was right, and forked sequences join in the middle of a step. */
#include "base/mem.h"
#include "engine/engine_int.h"

int32_t pick_token(struct sampler *sampler, const struct seq *s, const float *logits)
{
    const float *adjusted = sampler_adjust(sampler, &s->sample, s->tokens.p, s->n_prompt, s->tokens.n, logits);
    return sampler_pick(sampler, &s->sample, s->tokens.n, adjusted);
}

struct picks {
    const struct engine_model *m;
    struct seq *const *batch;
};

static void pick_one(void *arg, int worker, int i)
{
    const struct picks *p = arg;
    struct seq *s = p->batch[i];
    if (s->logits)
        s->chosen = pick_token(p->m->samplers[worker], s, s->logits);
}

void pick_all(struct engine *g, const struct engine_model *m)
{
    struct picks p = {m, g->batch};
    if (m->n_samplers > 1)
        device_each(g->o.device, pick_one, &p, (int)g->n_batch);
    else
        for (uint32_t i = 0; i < g->n_batch; i++)
            pick_one(&p, 0, (int)i);
}

int pick_new(struct engine_model *m, const struct engine *g, struct err *e)
{
    int n = g->o.device ? device_threads(g->o.device) : 1, rc = 0;
    if (!(m->samplers = mem_array((size_t)n, sizeof *m->samplers)))
        return err_set(e, ERR_NO_MEMORY, "engine: no memory for the samplers of a model; free some memory");
    while (m->n_samplers < n && (rc = sampler_new(&m->samplers[m->n_samplers], m->n_sample, e)) == 0)
        m->n_samplers++;
    return rc;
}

void pick_free(struct engine_model *m)
{
    for (int i = 0; i < m->n_samplers; i++)
        sampler_free(m->samplers[i]);
    mem_free(m->samplers);
}
