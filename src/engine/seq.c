#include "base/mem.h"
#include "engine/engine_int.h"
#include <string.h>

/* The numbers of a request against the model: ERR_CONTEXT, ERR_BAD_VALUE. */
static int check(const struct seq_opts *o, struct err *e)
{
    uint32_t n_ctx = o->model->n_ctx, n_vocab = o->model->n_vocab;
    if (o->n_prompt == 0)
        return err_param(e, ERR_BAD_VALUE, "prompt", "engine: the prompt has no tokens; give it some text");
    if (o->kind != SEQ_GENERATE && o->n_prompt > n_ctx)
        return err_param(e, ERR_CONTEXT, "prompt", "engine: the text has %u tokens and this model's context is %u tokens; shorten it", o->n_prompt,
                         n_ctx);
    if (o->kind == SEQ_GENERATE && o->n_prompt >= n_ctx)
        return err_param(e, ERR_CONTEXT, "messages",
                         "engine: the prompt has %u tokens and this model's context is %u tokens, of which one must stay for the answer; shorten it",
                         o->n_prompt, n_ctx);
    for (uint32_t i = 0; i < o->n_prompt; i++)
        if (o->prompt[i] < 0 || (uint32_t)o->prompt[i] >= n_vocab)
            return err_param(e, ERR_BAD_VALUE, "prompt", "engine: prompt token %u is %d; the model's tokens are 0 to %u", i, o->prompt[i],
                             n_vocab - 1);
    for (uint32_t i = 0; i < o->sample.n_bias; i++)
        if (o->sample.bias[i].token < 0 || (uint32_t)o->sample.bias[i].token >= n_vocab)
            return err_param(e, ERR_BAD_VALUE, "logit_bias", "engine: logit_bias names token %d; the model's tokens are 0 to %u",
                             o->sample.bias[i].token, n_vocab - 1);
    return 0;
}

/* What is kept of the caller's arrays; false when memory is short. */
static bool copy(struct seq *s, const struct seq_opts *o)
{
    s->sample = o->sample;
    s->sample.bias = NULL;
    if (!vec_reserve(&s->tokens, (size_t)o->n_prompt + 64))
        return false;
    memcpy(s->tokens.p, o->prompt, o->n_prompt * sizeof *o->prompt);
    s->tokens.n = s->n_prompt = o->n_prompt;
    if (o->sample.n_bias > 0) {
        if (!(s->bias = mem_array(o->sample.n_bias, sizeof *s->bias)))
            return false;
        memcpy(s->bias, o->sample.bias, o->sample.n_bias * sizeof *s->bias);
        s->sample.bias = s->bias;
    }
    if (o->kind != SEQ_EMBED)
        return true;
    s->sum = mem_array(o->model->n_embd, sizeof *s->sum);
    s->vector = mem_array(o->model->n_embd, sizeof *s->vector);
    return s->sum && s->vector;
}

int seq_new(struct seq **out, const struct seq_opts *o, struct err *e)
{
    *out = NULL;
    int rc = check(o, e);
    if (rc < 0)
        return rc;
    struct seq *s = mem_new(sizeof *s);
    if (s)
        s->model = o->model; /* seq_free needs it */
    if (!s || !copy(s, o)) {
        seq_free(s);
        return err_set(e, ERR_NO_MEMORY, "engine: no memory for a sequence of %u tokens; try again later", o->n_prompt);
    }
    if (o->n_stops > 0 && (rc = stop_new(&s->stops, o->stops, o->stop_lens, o->n_stops, e)) < 0) {
        seq_free(s);
        return rc;
    }
    s->kind = o->kind;
    s->pooling = o->pooling;
    s->out_max = o->kind == SEQ_GENERATE ? o->model->n_ctx - o->n_prompt : 0;
    if (o->max_tokens > 0 && o->max_tokens < s->out_max)
        s->out_max = o->max_tokens;
    s->tenant = o->tenant;
    s->priority = o->priority;
    s->reach = model_reach_class(o->model->model, s->n_prompt + s->out_max);
    atomic_init(&s->allowance, o->allowance);
    atomic_init(&s->stop, 0);
    s->logprobs = o->logprobs;
    s->prompt_logprobs = o->prompt_logprobs;
    s->top_logprobs = o->top_logprobs < LOGPROBS_MAX ? o->top_logprobs : LOGPROBS_MAX;
    s->ignore_eos = o->ignore_eos;
    s->tag = o->tag;
    s->on_event = o->on_event;
    s->arg = o->arg;
    if (o->model->vocab)
        detok_init(&s->detok, o->model->vocab, false);
    *out = s;
    return 0;
}

void seq_free(struct seq *s)
{
    if (!s)
        return;
    stop_free(s->stops);
    spec_free(s->spec);
    mem_free(s->bias);
    mem_free(s->sum);
    mem_free(s->vector);
    vec_deinit(&s->tokens);
    vec_deinit(&s->pages);
    mem_free(s);
}

void seq_drop_pages(struct seq *s)
{
    struct kv_pool *pool = s->model->pool;
    const uint32_t first = s->n_gone > 0 ? kv_page_id(pool, s->pages.p[s->n_gone]) : 0;
    while (s->pages.n > s->n_gone) /* the last first: of a chain of kept pages the end is forgotten first */
        kv_page_put(pool, s->pages.p[--s->pages.n]);
    if (s->n_gone > 0 && s->model->prefix)
        prefix_touch_before(s->model->prefix, first);
    s->pages.n = 0;
    s->n_gone = s->n_kv = s->n_found = 0;
}

void seq_slide(struct seq *s)
{
    const struct engine_model *m = s->model;
    if (m->window == 0 || s->publishes)
        return;
    uint32_t first = (uint32_t)kv_first_page(&m->kv_shape, (int)s->n_kv, (int)m->window), full = s->n_kv / KV_PAGE;
    if (first + 1 > full) /* the last full one tells what the next one comes after (prefix.c) */
        first = full > 0 ? full - 1 : 0;
    for (; s->n_gone < first; s->n_gone++) {
        kv_page_put(m->pool, s->pages.p[s->n_gone]);
        s->pages.p[s->n_gone] = NULL;
    }
}

uint32_t seq_pages(const struct seq *s)
{
    return (uint32_t)s->pages.n - s->n_gone;
}

uint32_t seq_pages_most(const struct seq *s, uint32_t n)
{
    const uint32_t all = kv_pages_for(n), span = s->publishes ? 0 : s->model->span;
    return span > 0 && span < all ? span : all;
}

uint64_t seq_claim(const struct seq *s)
{
    uint64_t n = seq_pages(s), need = seq_pages_most(s, (uint32_t)s->tokens.n + KV_PAGE);
    return (s->state == ST_RUN && need > n ? need : n) * s->model->pool->page_bytes;
}

bool seq_may_sample(const struct seq *s)
{
    return s->kind != SEQ_GENERATE || s->n_out < atomic_load_explicit(&s->allowance, memory_order_relaxed);
}

uint32_t seq_rows_ready(const struct seq *s)
{
    uint32_t known = (uint32_t)s->tokens.n - s->n_kv;
    return seq_may_sample(s) ? known : known - 1;
}

/* New text passes the stop strings. */
static bool say(struct seq *s, const struct buf *piece, struct buf *out)
{
    if (s->stops)
        return stop_feed(s->stops, piece->len ? piece->data : "", piece->len, out);
    buf_add(out, piece->data, piece->len);
    return false;
}

void seq_flush(struct seq *s, struct buf *piece, struct buf *out)
{
    buf_clear(piece);
    if (s->model->vocab)
        detok_end(&s->detok, piece);
    if (say(s, piece, out))
        return;
    if (s->stops)
        stop_flush(s->stops, out);
}

static bool end(struct seq *s, enum seq_end why)
{
    s->end = why;
    return true;
}

bool seq_accept(struct seq *s, int32_t token, struct buf *piece, struct buf *out)
{
    const struct vocab *v = s->model->vocab;
    if (!vec_push(&s->tokens, token)) {
        err_set(&s->err, ERR_NO_MEMORY, "engine: no memory for token %zu of a sequence; try again later", s->tokens.n);
        return end(s, SEQ_END_ERROR);
    }
    s->n_out++;
    s->counts.output++;
    s->counts_changed = true;
    const bool eog = v && vocab_is_eog(v, token);
    if (eog && !s->ignore_eos) {
        seq_flush(s, piece, out);
        return end(s, SEQ_END_STOP);
    }
    buf_clear(piece);
    if (v && !eog)
        detok_add(&s->detok, token, piece);
    s->text_end += (uint32_t)piece->len;
    if (say(s, piece, out))
        return end(s, SEQ_END_STOP);
    if (s->n_out >= s->out_max) {
        seq_flush(s, piece, out);
        return end(s, SEQ_END_LENGTH);
    }
    return false;
}
