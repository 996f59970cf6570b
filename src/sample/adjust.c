/* Bias and penalties: a copy of the logits in which the tokens that were seen, and those with a bias, are moved. */
#include "sample/sample_int.h"
#include <string.h>

#define SEEN_REPEAT 0x80000000u /* in the window of the repetition penalty; the other bits count the token in the output */

static void count(struct sampler *s, const struct sample_params *p, const int32_t *tokens, size_t n_prompt, size_t n)
{
    size_t window = p->repeat_last && p->repeat_last < n ? n - p->repeat_last : 0;
    for (size_t i = window; i < n; i++)
        if ((uint32_t)tokens[i] < s->n_vocab)
            s->seen[tokens[i]] |= SEEN_REPEAT;
    for (size_t i = n_prompt; i < n; i++)
        if ((uint32_t)tokens[i] < s->n_vocab)
            s->seen[tokens[i]]++;
}

static float penalise(const struct sample_params *p, uint32_t seen, float x)
{
    uint32_t times = seen & ~SEEN_REPEAT;
    if ((seen & SEEN_REPEAT) && p->repetition > 0)
        x = x > 0 ? x / p->repetition : x * p->repetition;
    return times ? x - p->frequency * (float)times - p->presence : x;
}

static bool penalises(const struct sample_params *p)
{
    return (p->repetition > 0 && p->repetition != 1) || p->presence != 0 || p->frequency != 0;
}

bool sampler_adjusts(const struct sample_params *p)
{
    return penalises(p) || p->n_bias > 0;
}

const float *sampler_adjust(struct sampler *s, const struct sample_params *p, const int32_t *tokens, size_t n_prompt, size_t n, const float *logits)
{
    if (!sampler_adjusts(p))
        return logits;
    memcpy(s->adjusted, logits, s->n_vocab * sizeof *logits);
    for (uint32_t i = 0; i < p->n_bias; i++)
        if ((uint32_t)p->bias[i].token < s->n_vocab)
            s->adjusted[p->bias[i].token] += p->bias[i].bias;
    if (!penalises(p))
        return s->adjusted;
    count(s, p, tokens, n_prompt, n);
    for (size_t i = 0; i < n; i++) { /* each once: the count is taken away with it */
        if ((uint32_t)tokens[i] >= s->n_vocab || !s->seen[tokens[i]])
            continue;
        s->adjusted[tokens[i]] = penalise(p, s->seen[tokens[i]], s->adjusted[tokens[i]]);
        s->seen[tokens[i]] = 0;
    }
    return s->adjusted;
}
