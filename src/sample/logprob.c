/* Log probabilities of a row of logits: a log-softmax, and the best few by insertion. */
#include "sample/sample_int.h"
#include "text/vocab.h"
#include <math.h>

/* Room for one more at its place; the list is ordered by logit, then by id, and ids come ascending. */
static void insert(struct logprob *top, uint32_t *n, uint32_t max, int32_t id, float logit)
{
    uint32_t at = *n < max ? (*n)++ : max - 1;
    for (; at > 0 && top[at - 1].value < logit; at--)
        top[at] = top[at - 1];
    top[at] = (struct logprob){id, logit};
}

float sampler_logprobs(struct sampler *s, const float *logits, int32_t token, struct logprob *top, uint32_t n_top)
{
    int32_t best = sample_argmax(logits, s->n_vocab);
    float max = best == TOKEN_NONE ? 0 : logits[best];
    double sum = best == TOKEN_NONE ? 1 : sample_masses(s->w, s->block, logits, s->n_vocab, max, 1);
    float lse = (float)log(sum);
    uint32_t n = 0;
    for (uint32_t i = 0; n_top && i < s->n_vocab; i++)
        if (logits[i] > -INFINITY && (n < n_top || logits[i] > top[n - 1].value))
            insert(top, &n, n_top, (int32_t)i, logits[i]);
    for (uint32_t i = 0; i < n_top; i++)
        top[i] =
            i < n ? (struct logprob){top[i].token, top[i].value == max ? -lse : top[i].value - max - lse} : (struct logprob){TOKEN_NONE, -INFINITY};
    if ((uint32_t)token >= s->n_vocab || !(logits[token] > -INFINITY))
        return -INFINITY;
    return logits[token] == max ? -lse : logits[token] - max - lse;
}
