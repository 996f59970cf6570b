/* One step: what owners asked for, the batch through the model, a token for each row that wants one, the journal, the events. */
#include "engine/engine_int.h"

struct event *step_event(struct engine *g, struct seq *s, enum seq_event_kind kind)
{
    ASSERT(g->n_events < g->events_max);
    struct event *ev = &g->events[g->n_events++];
    *ev = (struct event){.seq = s, .kind = kind, .text_at = g->text.len, .token = TOKEN_NONE, .counts = s->counts};
    return ev;
}

/* Takes s out of the engine; its last events wait for step_events. */
void step_end(struct engine *g, struct seq *s, enum seq_end why)
{
    s->end = why;
    if (why == SEQ_END_BUDGET) { /* what was held back was paid for */
        size_t at = g->text.len;
        seq_flush(s, &g->piece, &g->text);
        if (g->text.len > at) {
            struct event *ev = step_event(g, s, SEQ_TEXT);
            ev->text_at = at;
            ev->n_text = g->text.len - at;
        }
    }
    if (s->publishes && why == SEQ_END_LENGTH)
        publish_pin(s);
    step_event(g, s, SEQ_DONE);
    sched_leave(g, s);
}

static bool asked_to_stop(const struct seq *s, enum seq_end *why)
{
    int stop = atomic_load_explicit(&s->stop, memory_order_relaxed);
    if (stop)
        *why = (enum seq_end)(stop - 1);
    return stop != 0;
}

static void stop_forks(struct engine *g, struct seq *leader)
{
    enum seq_end why;
    for (struct seq *f = leader->fork, *next; f; f = next) {
        next = f->fork;
        if (asked_to_stop(f, &why))
            step_end(g, f, why);
    }
}

void step_controls(struct engine *g)
{
    enum seq_end why;
    for (uint32_t i = 0; i < g->n_wait; i++) /* before their leaders, whose end would let one of them lead */
        stop_forks(g, g->wait[i]);
    for (uint32_t i = 0; i < g->n_run; i++)
        stop_forks(g, g->run[i]);
    for (uint32_t i = g->n_wait; i-- > 0;) /* backwards: an end swaps the last one in */
        if (asked_to_stop(g->wait[i], &why))
            step_end(g, g->wait[i], why);
    for (uint32_t i = g->n_run; i-- > 0;) {
        struct seq *s = g->run[i];
        if (asked_to_stop(s, &why))
            step_end(g, s, why);
        else if (s->state == ST_PAUSED && seq_may_sample(s))
            sched_resume(g, s);
    }
}

void step_pauses(struct engine *g)
{
    for (uint32_t i = 0; i < g->n_run; i++) {
        struct seq *s = g->run[i];
        if (s->state == ST_RUN && seq_rows_ready(s) == 0) {
            s->state = ST_PAUSED;
            step_event(g, s, SEQ_PAUSED);
        }
    }
}

static bool wants_row(const struct seq *s, uint32_t position)
{
    if (s->kind == SEQ_EMBED)
        return embed_wants(s, position);
    return score_wants(s, position) || (s->kind == SEQ_GENERATE && position + 1 >= s->tokens.n);
}

/* Only the largest logits decide what is sampled in this step: merges what s needs into top. */
static bool wants_top(const struct engine_model *m, const struct seq *s, struct matmul_top *top)
{
    uint32_t k;
    float below;
    if (s->wants == 0)
        return true;
    if (s->kind != SEQ_GENERATE || s->logprobs || s->prompt_logprobs || s->fork || !sampler_top(&s->sample, &k, &below) || k > SCREEN_TOP_MAX)
        return false;
    top->k = k > top->k ? k : top->k;
    top->below = below > top->below ? below : top->below;
    top->n_rows = m->n_sample;
    return true;
}

/* Rows, positions, pages and wanted results of g->batch. */
static void lay_out(struct engine *g, const struct engine_model *m, struct step *st)
{
    *st = (struct step){.token = g->token,
                        .pos = g->pos,
                        .seqs = g->kv_seqs,
                        .n_seqs = (int)g->n_batch,
                        .reach = g->reach,
                        .kv = m->kv_shape,
                        .want = g->want,
                        .logits = m->logits,
                        .hidden = m->hidden};
    bool top = !g->o.no_screen;
    g->top = (struct matmul_top){.below = -1};
    for (uint32_t i = 0; i < g->n_batch; i++) {
        struct seq *s = g->batch[i];
        g->kv_seqs[i] = (struct kv_seq){.row0 = st->n, .n_rows = (int)s->rows, .pos0 = (int)s->n_kv, .pages = s->pages.p};
        g->reach[i] = s->n_prompt + s->out_max; /* RoPE may depend on it: it never changes */
        s->wants = 0;
        for (uint32_t r = 0; r < s->rows; r++, st->n++) {
            g->token[st->n] = r < s->rows - s->n_draft ? s->tokens.p[s->n_kv + r] : spec_token(s, r - (s->rows - s->n_draft));
            g->pos[st->n] = (int32_t)(s->n_kv + r);
            if (!wants_row(s, s->n_kv + r))
                continue;
            g->want[st->n_want++] = st->n;
            s->wants++;
        }
        top = top && wants_top(m, s, &g->top);
        st->n_hidden += s->kind == SEQ_EMBED ? (int)s->wants : 0;
    }
    st->top = top && st->n_want > 0 ? &g->top : NULL;
    ASSERT((uint32_t)(st->n_want - st->n_hidden) <= g->runners_max + ENGINE_SCORE_ROWS + ENGINE_DRAFT_ROWS);
}

/* Bills the positions that are new, as input or as taken from the cache, and charges the tenant for those that were computed. */
static void account(struct engine *g, struct seq *s, uint32_t rows)
{
    bool decode = s->n_out > 0 && rows == 1;
    const uint32_t before = s->n_kv;
    *(decode ? &g->decode_tokens : &g->prefill_tokens) += rows;
    s->n_kv += rows;
    prefix_give(s, before);
    seq_slide(s);
    if (s->n_kv <= s->n_paid)
        return;
    share_charge(s, s->n_kv - s->n_paid - s->n_found);
    s->counts.cache_read += s->n_found;
    g->cached_tokens += s->n_found;
    s->n_paid = s->n_kv;
    s->n_found = 0;
    uint32_t input = (s->n_kv < s->n_prompt ? s->n_kv : s->n_prompt) - s->n_free - s->counts.cache_read;
    s->counts_changed |= input != s->counts.input;
    s->counts.input = input;
}

static void fail_memory(struct engine *g, struct seq *s)
{
    err_set(&s->err, ERR_NO_MEMORY, "engine: no memory for what a token brings with it; try again later");
    step_end(g, s, SEQ_END_ERROR);
}

/* The token that was chosen from a row of logits. False: the sequence has ended. */
static bool take(struct engine *g, struct engine_model *m, struct seq *s, int32_t token, const float *logits)
{
    if (token == TOKEN_NONE) {
        err_set(&s->err, ERR_INTERNAL, "engine: the model gave no number for any token; its file is damaged or not supported");
        step_end(g, s, SEQ_END_ERROR);
        return false;
    }
    size_t at = g->text.len, lp_at = g->logprobs.n;
    bool ended = seq_accept(s, token, &g->piece, &g->text);
    bool told = s->logprobs && !(ended && m->vocab && !s->ignore_eos && vocab_is_eog(m->vocab, token));
    if (g->piece.failed || g->text.failed || (told && !score_token(g, m, s, token, logits))) {
        fail_memory(g, s);
        return false;
    }
    struct event *ev = step_event(g, s, SEQ_TEXT);
    ev->text_at = at;
    ev->n_text = g->text.len - at;
    ev->token = token;
    ev->logprobs_at = lp_at;
    ev->n_logprobs = told;
    if (ended)
        step_end(g, s, s->end);
    return !ended;
}

/* The rows of the draft, as far as it is what was sampled. logits: of these rows. */
static void verify(struct engine *g, struct engine_model *m, struct seq *s, const float *logits)
{
    enum seq_end why;
    for (uint32_t i = 0; i < s->n_draft && s->tokens.p[s->tokens.n - 1] == spec_token(s, i); i++, logits += m->n_vocab) {
        if (asked_to_stop(s, &why)) {
            step_end(g, s, why);
            return;
        }
        account(g, s, 1);
        g->accepted++;
        s->counts.accepted_draft++;
        if (!take(g, m, s, pick_token(m->samplers[0], s, logits), logits))
            return;
    }
    spec_settle(s);
}

static void generate(struct engine *g, struct engine_model *m, struct seq *s)
{
    const float *logits = s->logits;
    size_t n = g->forked.n;
    enum seq_end why;
    if (s->fork)
        fork_share(g, s); /* first: a token may end s, and its pages with it */
    bool goes_on = take(g, m, s, s->chosen, logits);
    for (; n < g->forked.n; n++) {
        struct seq *f = g->forked.p[n];
        if (asked_to_stop(f, &why))
            step_end(g, f, why);
        else
            (void)take(g, m, f, pick_token(m->samplers[0], f, logits), logits);
    }
    if (goes_on && s->n_draft > 0)
        verify(g, m, s, logits + m->n_vocab);
}

/* Finds the row that each sequence's next token is chosen from, and chooses. */
static void choose(struct engine *g, struct engine_model *m)
{
    const float *logits = m->logits;
    for (uint32_t i = 0; i < g->n_batch; i++) {
        struct seq *s = g->batch[i];
        const bool whole = s->n_kv + s->rows - s->n_draft == s->tokens.n;
        s->logits = s->kind == SEQ_GENERATE && whole ? logits + (size_t)(s->wants - 1 - s->n_draft) * m->n_vocab : NULL;
        logits += s->kind == SEQ_EMBED ? 0 : (size_t)s->wants * m->n_vocab;
    }
    pick_all(g, m);
}

/* What the rows of one sequence gave: `got` is s->wants rows of logits, or of hidden states. */
static void advance(struct engine *g, struct engine_model *m, struct seq *s, const float *got)
{
    const bool whole = s->n_kv == s->tokens.n;
    switch (s->kind) {
    case SEQ_GENERATE:
    case SEQ_SCORE:
        if (!score_prompt(g, m, s, s->n_kv - (s->rows - s->n_draft), got))
            fail_memory(g, s);
        else if (whole && s->kind == SEQ_SCORE)
            step_end(g, s, SEQ_END_LENGTH);
        else if (whole)
            generate(g, m, s);
        break;
    case SEQ_EMBED:
        if (!embed_rows(s, got))
            break;
        step_event(g, s, SEQ_VECTOR);
        step_end(g, s, SEQ_END_STOP);
        break;
    }
}

/* The counts of those that the step served, for the journal. */
static void note_counts(struct engine *g)
{
    g->n_deltas = 0;
    for (size_t i = 0; i < g->n_batch + g->forked.n; i++) {
        struct seq *s = i < g->n_batch ? g->batch[i] : g->forked.p[i - g->n_batch];
        if (s->counts_changed)
            pledge_count(s);
        if (s->counts_changed)
            g->deltas[g->n_deltas++] = (struct usage_delta){.seq = s->id, .tag = s->tag, .counts = s->counts};
        s->counts_changed = false;
    }
    g->forked.n = 0;
}

void step_run(struct engine *g, struct engine_model *m)
{
    struct step st;
    uint64_t t0 = g->now();
    enum seq_end why;
    lay_out(g, m, &st);
    model_step(m->model, &st);
    uint64_t ns = g->now() - t0;
    uint32_t n_decode = 0;
    for (uint32_t i = 0; i < g->n_batch; i++)
        n_decode += g->batch[i]->decodes ? g->batch[i]->rows : 0;
    pace_learn(&m->pace, n_decode, (uint32_t)st.n - n_decode, ns);
    choose(g, m);
    const float *logits = m->logits, *hidden = m->hidden;
    for (uint32_t i = 0; i < g->n_batch; i++) {
        struct seq *s = g->batch[i];
        const float *got = s->kind == SEQ_EMBED ? hidden : logits;
        if (s->kind == SEQ_EMBED)
            hidden += (size_t)s->wants * m->n_embd;
        else
            logits += (size_t)s->wants * m->n_vocab;
        account(g, s, s->rows - s->n_draft);
        if (asked_to_stop(s, &why))
            step_end(g, s, why);
        else
            advance(g, m, s, got);
    }
    step_pauses(g);
    note_counts(g);
    ns = g->now() - t0;
    m->work_ns += ns;
    g->step_ns += ns;
    g->steps_run++;
    step_events(g);
}

void step_events(struct engine *g)
{
    if (g->n_deltas > 0 && g->o.journal)
        g->o.journal(g->o.journal_ctx, g->deltas, g->n_deltas);
    g->n_deltas = 0;
    for (uint32_t i = 0; i < g->n_events; i++) {
        struct event *ev = &g->events[i];
        struct seq *s = ev->seq;
        struct seq_event out = {.kind = ev->kind, .seq = s->id, .text = "", .token = ev->token, .counts = ev->counts};
        if (ev->n_text > 0) {
            out.text = g->text.data + ev->text_at;
            out.n_text = ev->n_text;
        }
        if (ev->n_logprobs > 0) {
            out.logprobs = g->logprobs.p + ev->logprobs_at;
            out.n_logprobs = ev->n_logprobs;
        }
        if (ev->kind == SEQ_VECTOR) {
            out.vector = s->vector;
            out.n_vector = s->model->n_embd;
        }
        if (ev->kind == SEQ_DONE) {
            out.end = s->end;
            out.err = s->err;
        }
        if (s->on_event)
            s->on_event(s->arg, &out);
        if (ev->kind == SEQ_DONE)
            engine_release(g, s);
    }
    g->n_events = 0;
    g->logprobs.n = 0;
    buf_clear(&g->text);
    buf_clear(&g->piece);
}
