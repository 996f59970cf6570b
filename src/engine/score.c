/* Log probabilities of sampled tokens and of prompts. They are of the bare logits: before bias, penalties, temperature and cuts. */
#include "engine/engine_int.h"
#include <math.h>

/* Row p gives the probabilities of token p + 1. */
bool score_wants(const struct seq *s, uint32_t position)
{
    return s->prompt_logprobs && position + 1 < s->n_prompt && position + 1 >= s->n_scored;
}

static struct token_logprobs *add(struct engine *g)
{
    if (!vec_reserve(&g->logprobs, g->logprobs.n + 1))
        return NULL;
    struct token_logprobs *t = &g->logprobs.p[g->logprobs.n++];
    *t = (struct token_logprobs){.token = TOKEN_NONE, .value = NAN};
    return t;
}

static bool fill(struct engine *g, struct engine_model *m, const struct seq *s, int32_t token, const float *logits, uint32_t end)
{
    struct token_logprobs *t = add(g);
    if (!t)
        return false;
    t->token = token;
    t->end = end;
    t->n_top = s->top_logprobs < m->n_sample ? s->top_logprobs : m->n_sample;
    t->value = sampler_logprobs(m->samplers[0], logits, token, t->top, t->n_top);
    return true;
}

bool score_token(struct engine *g, struct engine_model *m, const struct seq *s, int32_t token, const float *logits)
{
    return fill(g, m, s, token, logits, s->text_end);
}

bool score_prompt(struct engine *g, struct engine_model *m, struct seq *s, uint32_t first, const float *logits)
{
    if (!s->prompt_logprobs || s->n_scored >= s->n_prompt)
        return true;
    size_t at = g->logprobs.n;
    if (s->n_scored == 0) {
        struct token_logprobs *t = add(g);
        if (!t)
            return false;
        t->token = s->tokens.p[0];
        s->n_scored = 1;
    }
    for (uint32_t r = 0; r < s->rows; r++) {
        uint32_t position = first + r;
        if (!score_wants(s, position))
            continue;
        if (!fill(g, m, s, s->tokens.p[position + 1], logits, 0))
            return false;
        s->n_scored = position + 2;
        logits += m->n_vocab;
    }
    if (g->logprobs.n == at)
        return true;
    struct event *ev = step_event(g, s, SEQ_PROMPT);
    ev->logprobs_at = at;
    ev->n_logprobs = g->logprobs.n - at;
    return true;
}
