/* The chain: top_k, top_p, min_p, temperature, draw (the order and the meaning of llama.cpp's samplers; top_p works on the probabilities
 * before the temperature). The draw walks the candidates that are left by ascending id, so nothing needs to be sorted. */
#include "base/mem.h"
#include "base/rng.h"
#include "sample/sample_int.h"
#include "text/vocab.h"
#include <math.h>
#include <stdbool.h>

int sampler_new(struct sampler **out, uint32_t n_vocab, struct err *e)
{
    *out = NULL;
    struct sampler *s = mem_new(sizeof *s);
    if (s) {
        s->n_vocab = n_vocab;
        s->c.id = mem_array(n_vocab, sizeof *s->c.id);
        s->c.logit = mem_array(n_vocab, sizeof *s->c.logit);
        s->w = mem_array(n_vocab, sizeof *s->w);
        s->block = mem_array(n_vocab / DRAW_BLOCK + 1, sizeof *s->block);
        s->sel.idx = mem_array(n_vocab, sizeof *s->sel.idx);
        s->seen = mem_array(n_vocab, sizeof *s->seen);
        s->adjusted = mem_array(n_vocab, sizeof *s->adjusted);
    }
    if (!s || !s->c.id || !s->c.logit || !s->w || !s->block || !s->sel.idx || !s->seen || !s->adjusted) {
        sampler_free(s);
        return err_set(e, ERR_NO_MEMORY, "sample: no memory for a vocabulary of %u tokens; free some memory", n_vocab);
    }
    *out = s;
    return 0;
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    mem_free(s->c.id);
    mem_free(s->c.logit);
    mem_free(s->w);
    mem_free(s->block);
    mem_free(s->sel.idx);
    mem_free(s->seen);
    mem_free(s->adjusted);
    mem_free(s);
}

static void fill(struct cands *c, const float *logits, uint32_t n)
{
    c->n = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (isnan(logits[i]))
            continue;
        c->id[c->n] = (int32_t)i;
        c->logit[c->n++] = logits[i];
    }
}

static void keep_min(struct cands *c, float min)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (c->logit[i] < min)
            continue;
        c->id[kept] = c->id[i];
        c->logit[kept++] = c->logit[i];
    }
    c->n = kept;
}

/* The index at which the running sum of w passes target; the last one that has a mass when rounding lets none pass. */
static size_t draw(const float *w, const double *block, size_t n, double target)
{
    double run = 0;
    size_t at = 0;
    for (; at + DRAW_BLOCK < n && run + block[at / DRAW_BLOCK] <= target; at += DRAW_BLOCK)
        run += block[at / DRAW_BLOCK];
    for (; at < n; at++) {
        run += (double)w[at];
        if (run > target)
            return at;
    }
    while (n > 1 && w[n - 1] <= 0)
        n--;
    return n - 1;
}

int32_t sampler_pick(struct sampler *s, const struct sample_params *p, uint64_t position, const float *logits)
{
    int32_t best = sample_argmax(logits, s->n_vocab);
    if (best == TOKEN_NONE || !(p->temperature > 0))
        return best;
    const float max = logits[best];
    struct cands all = {NULL, (float *)(uintptr_t)logits, s->n_vocab}, *c = &all;
    const bool cut_k = p->top_k > 0 && p->top_k < s->n_vocab, cut_p = p->top_p<1, cut_min = p->min_p> 0;
    if (cut_k || cut_p || cut_min) {
        c = &s->c;
        fill(c, logits, s->n_vocab);
    }
    if (cut_k)
        select_top(c, NULL, p->top_k, &s->sel);
    if (cut_p) {
        double all_mass = sample_masses(s->w, s->block, c->logit, c->n, max, 1);
        select_top(c, s->w, (double)p->top_p * all_mass, &s->sel);
    }
    if (cut_min)
        keep_min(c, fminf(max, max + logf(p->min_p)));
    double sum = sample_masses(s->w, s->block, c->logit, c->n, max, p->temperature);
    size_t at = draw(s->w, s->block, c->n, sum * rng_f64(p->seed, p->choice, position, 0));
    return c->id ? c->id[at] : (int32_t)at;
}

bool sampler_top(const struct sample_params *p, uint32_t *k, float *below)
{
    *k = p->temperature > 0 ? p->top_k : 1;
    *below = *k == 0 && p->min_p > 0 && !(p->top_p < 1) ? fmaxf(0, -logf(p->min_p)) : -1;
    return !sampler_adjusts(p) && (*k > 0 || *below >= 0);
}
