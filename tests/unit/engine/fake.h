/* A model and a vocabulary that stand in for the real ones at link time. The model's state is in its KV pages, as a real one's: the logits
 * of a row come from a hash of all tokens that the pages hold for its sequence. So a lost, shared,
 * stale or misplaced page changes the text. With a window only pages that it reaches are read; then each position also keeps a hash of all tokens up
 * to it, as a real one's keys depend on what came before: so a page of another text changes the text although its own tokens are the same. */
#pragma once
#include "base/clock.h"
#include "base/rng.h"
#include "base/thread.h"
#include "base/vec.h"
#include "base/buf.h"
#include "engine/engine.h"
#include <stdatomic.h>
#include <string.h>
#include <time.h>

enum { FAKE_WIDTH = 8, FAKE_VOCAB = 64, FAKE_EOG = 0, JOBS_MAX = 4096 };

struct model {
    struct model_shape shape;
    int                layers;      /* page size */
    _Atomic uint32_t   delay_us;    /* of a step */
    _Atomic bool       closed;      /* the gate: a step waits inside while it is closed ... */
    _Atomic int        tickets;     /* ... and has no ticket */
    _Atomic int        stops;       /* steps that waited at it */
    _Atomic int        inside;      /* steps that began */
    _Atomic int        rows, seqs;  /* of the last step */
    _Atomic uint32_t   all_rows;    /* of all steps */
    _Atomic bool       nan;         /* logits are not numbers */
    bool               no_eog;
    bool               own_reach; /* keys depend on a sequence's reach */
    void             (*tick)(struct model *m, const struct step *s); /* behind the gate: moves a simulation's clock, or closes the gate */
    uint32_t           order;     /* the last so many tokens decide most, so texts repeat; 0: all tokens decide all */
};
struct vocab { int unused; };
static struct vocab fake_vocab;

static inline void fake_model(struct model *m, uint32_t n_ctx)
{
    memset(m, 0, sizeof *m);
    m->shape = (struct model_shape){.arch = "fake", .n_vocab = FAKE_VOCAB, .n_embd = FAKE_WIDTH, .n_ctx = n_ctx, .n_params = 1 << 20};
    m->layers = 1;
}

/* Attention of all layers reaches so far back alone. */
static inline void fake_window(struct model *m, uint32_t window)
{
    m->shape.window = window;
    m->shape.n_layers = m->shape.n_windowed = window > 0;
}

const struct model_shape *model_shape(const struct model *m) { return &m->shape; }
void model_kv_shape(const struct model *m, enum kv_type type, struct kv_shape *out) { *out = (struct kv_shape){m->layers, 1, 16, type, NULL}; }

bool model_reserve(struct model *m) { return m != NULL; }

uint32_t model_reach_class(const struct model *m, uint32_t reach) { return m->own_reach ? reach : 0; }

static inline uint64_t fake_hash(uint64_t h, int32_t token, uint32_t pos)
{
    return (h ^ (uint32_t)token ^ (uint64_t)pos << 20) * UINT64_C(0x9E3779B97F4A7C15);
}

/* The first position that the row at pos sees. */
static inline uint32_t fake_from(const struct model *m, uint32_t pos)
{
    return m->shape.window > 0 && pos >= m->shape.window ? pos - m->shape.window + 1 : 0;
}

/* Behind the tokens of a page, with a window: what stands for everything up to each position. */
static inline uint64_t *fake_past(void *page, uint32_t pos)
{
    return (uint64_t *)(void *)((int32_t *)page + KV_PAGE) + pos % KV_PAGE;
}

/* h: of all tokens, near: of the last m->order. */
static inline void fake_logits_of(const struct model *m, uint64_t h, uint64_t near, float *logits)
{
    for (uint32_t i = 0; i < FAKE_VOCAB; i++)
        logits[i] = (float)(rng_u64(near, 0, i, 7) % 4096) / 512;
    for (uint32_t i = 0; i < FAKE_VOCAB && m->order; i++)
        logits[i] = 3 * logits[i] + (float)(rng_u64(h, 0, i, 9) % 4096) / 8192;
    if (m->no_eog)
        logits[FAKE_EOG] = -100;
    if (m->nan)
        for (uint32_t i = 0; i < FAKE_VOCAB; i++)
            logits[i] = 0.0f / 0.0f;
}

static inline void fake_logits(const struct model *m, uint64_t h, float *logits) { fake_logits_of(m, h, h, logits); }

static inline void fake_hidden(uint64_t h, float *hidden)
{
    for (uint32_t i = 0; i < FAKE_WIDTH; i++)
        hidden[i] = (float)(int)(rng_u64(h, 1, i, 3) % 2001) / 1000 - 1;
}

/* Between two looks at what another thread does. Who yields instead is put off by some kernels as often as it yielded while nobody else was there:
 * beside busy processes it then waits for minutes. */
static inline void fake_nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
}

/* A step passes when the gate is open or a ticket is there to be taken: one look decides, so that a gate that closes meanwhile loses no ticket. */
static inline void fake_gate(struct model *m)
{
    for (bool waits = false; m->closed; waits = true) {
        int n = m->tickets;
        if (n > 0 && atomic_compare_exchange_strong(&m->tickets, &n, n - 1))
            return;
        m->stops += !waits;
        fake_nap();
    }
}

void model_step(struct model *m, const struct step *s)
{
    m->rows = s->n;
    m->seqs = s->n_seqs;
    m->all_rows += (uint32_t)s->n;
    m->inside++;
    fake_gate(m);
    if (m->tick)
        m->tick(m, s);
    if (m->delay_us)
        for (uint64_t end = clock_ns() + m->delay_us * 1000ull; clock_ns() < end;)
            ;
    float *logits = s->logits, *hidden = s->hidden;
    int    w = 0;
    for (int i = 0; i < s->n_seqs; i++) {
        const struct kv_seq *q = &s->seqs[i];
        for (int r = 0; r < q->n_rows; r++) {
            uint32_t pos = (uint32_t)(q->pos0 + r);
            int      row = q->row0 + r;
            ASSERT(s->pos[row] == (int32_t)pos);
            ((int32_t *)q->pages[pos / KV_PAGE])[pos % KV_PAGE] = s->token[row];
            if (m->shape.window)
                *fake_past(q->pages[pos / KV_PAGE], pos) =
                    fake_hash(pos ? *fake_past(q->pages[(pos - 1) / KV_PAGE], pos - 1) : 1, s->token[row], pos);
            if (w == s->n_want || s->want[w] != row)
                continue;
            uint64_t h = m->shape.window ? *fake_past(q->pages[pos / KV_PAGE], pos) : 1;
            for (uint32_t p = fake_from(m, pos); p <= pos; p++)
                h = fake_hash(h, ((const int32_t *)q->pages[p / KV_PAGE])[p % KV_PAGE], p);
            if (w >= s->n_want - s->n_hidden) {
                fake_hidden(h, hidden);
                hidden += FAKE_WIDTH;
            } else {
                uint64_t near = m->order ? 1 : h;
                for (uint32_t p = pos + 1 > m->order ? pos + 1 - m->order : 0; p <= pos && m->order; p++)
                    near = fake_hash(near, ((const int32_t *)q->pages[p / KV_PAGE])[p % KV_PAGE], 0);
                fake_logits_of(m, h, near, logits);
                logits += m->shape.n_vocab;
            }
            w++;
        }
    }
    ASSERT(w == s->n_want);
}

int32_t vocab_size(const struct vocab *v) { return v == &fake_vocab ? FAKE_VOCAB : 0; }
bool    vocab_is_eog(const struct vocab *v, int32_t token) { return v == &fake_vocab && token == FAKE_EOG; }
void    detok_init(struct detok *d, const struct vocab *v, bool start) { *d = (struct detok){.v = v, .any = !start}; }
void    detok_add(struct detok *d, int32_t token, struct buf *out)
{
    (void)d;
    if (token % 27 == 26)
        buf_str(out, "\xc3\xa9");
    else
        buf_char(out, (char)('a' + token % 27));
}
void detok_end(struct detok *d, struct buf *out) { (void)d, (void)out; }

/* A sequence as its owner sees it. */
struct job {
    struct mutex        mu;
    struct cond         more;
    struct buf          text;
    uint32_t            n_tokens, n_paused, n_done, bad; /* bad: an event broke a rule */
    struct token_counts counts, journaled;
    enum seq_end        end;
    struct err          err;
    struct vec_logprobs told, prompt_told; /* log probabilities */
    float               vector[FAKE_WIDTH];
    uint32_t            n_vector;
    uint64_t            seq, done_ns, total_done; /* total: tokens of all jobs when this one ended */
};
static struct job   jobs[JOBS_MAX];
static _Atomic uint64_t total_tokens;

static inline void jobs_reset(void)
{
    for (int i = 0; i < JOBS_MAX; i++) {
        if (jobs[i].text.data)
            buf_deinit(&jobs[i].text);
        vec_deinit(&jobs[i].told);
        vec_deinit(&jobs[i].prompt_told);
        memset(&jobs[i], 0, sizeof jobs[i]);
        mutex_init(&jobs[i].mu);
        cond_init(&jobs[i].more);
        buf_init(&jobs[i].text, 0);
    }
}

static inline void job_event(void *arg, const struct seq_event *ev)
{
    struct job *j = arg;
    mutex_lock(&j->mu);
    j->bad += j->n_done > 0;
    j->bad += j->journaled.output < ev->counts.output || j->journaled.input < ev->counts.input; /* journal first */
    j->bad += ev->counts.output < j->counts.output || ev->counts.input < j->counts.input;
    if (ev->kind == SEQ_TEXT) {
        buf_add(&j->text, ev->text, ev->n_text);
        j->n_tokens += ev->token >= 0;
        total_tokens += ev->token >= 0;
        j->bad += ev->token >= 0 && ev->counts.output != j->n_tokens;
        for (size_t i = 0; i < ev->n_logprobs; i++)
            j->bad += !vec_push(&j->told, ev->logprobs[i]);
    } else if (ev->kind == SEQ_PROMPT) {
        for (size_t i = 0; i < ev->n_logprobs; i++)
            j->bad += !vec_push(&j->prompt_told, ev->logprobs[i]);
    } else if (ev->kind == SEQ_VECTOR) {
        j->n_vector++;
        j->bad += ev->n_vector != FAKE_WIDTH;
        memcpy(j->vector, ev->vector, sizeof j->vector);
    } else if (ev->kind == SEQ_PAUSED) {
        j->n_paused++;
    } else {
        j->n_done++;
        j->end = ev->end;
        j->err = ev->err;
        j->done_ns = clock_ns();
        j->total_done = total_tokens;
        j->bad += ev->counts.output != j->n_tokens;
    }
    j->counts = ev->counts;
    cond_broadcast(&j->more);
    mutex_unlock(&j->mu);
}

static inline void job_journal(void *ctx, const struct usage_delta *d, size_t n)
{
    (void)ctx;
    for (size_t i = 0; i < n; i++) {
        struct job *j = &jobs[d[i].tag];
        mutex_lock(&j->mu);
        j->bad += d[i].counts.output < j->journaled.output || d[i].counts.input < j->journaled.input;
        j->bad += d[i].counts.output == j->journaled.output && d[i].counts.input == j->journaled.input; /* nothing changed */
        j->bad += d[i].counts.output > j->journaled.output + 1 + (d[i].counts.accepted_draft - j->journaled.accepted_draft);
        j->journaled = d[i].counts;
        mutex_unlock(&j->mu);
    }
}

#define HANGS_NS UINT64_C(300000000000) /* nothing that works takes so long, however slow the machine is */
/* Waits until the statistics, which follow the events, say what they should. */
#define STATS_WAIT(g, st, cond_)                                                                                                            \
    do {                                                                                                                                   \
        uint64_t end_ = clock_ns() + HANGS_NS;                                                                                             \
        do {                                                                                                                               \
            engine_stats(g, &(st));                                                                                                        \
            clock_sleep_ms(1);                                                                                                             \
        } while (!(cond_) && clock_ns() < end_);                                                                                           \
    } while (0)
/* Waits until the condition on job j holds. */
#define JOB_WAIT(j, cond_)                                                                                                                  \
    do {                                                                                                                                   \
        uint64_t end_ = clock_ns() + HANGS_NS;                                                                                             \
        mutex_lock(&(j)->mu);                                                                                                              \
        while (!(cond_) && clock_ns() < end_)                                                                                              \
            cond_wait_ms(&(j)->more, &(j)->mu, 100);                                                                                       \
        mutex_unlock(&(j)->mu);                                                                                                            \
    } while (0)
#define JOB_DONE(j) JOB_WAIT(j, (j)->n_done > 0)

/* Every rule that holds for a job that has ended. */
static inline bool job_ok(const struct job *j)
{
    return j->bad == 0 && j->n_done == 1 && j->n_tokens == j->counts.output && j->journaled.output == j->counts.output &&
           j->journaled.input == j->counts.input && j->journaled.accepted_draft == j->counts.accepted_draft;
}

/* What the sequence must say, computed alone, without an engine. */
struct expect {
    char         text[8192];
    size_t       n_text;
    uint32_t     n_out;
    enum seq_end end;
};
/* Bias and penalties as their definitions read, from the whole history each time. */
static inline void fake_adjust(const struct sample_params *p, const int32_t *tokens, uint32_t n_prompt, uint32_t n, float *logits)
{
    for (uint32_t i = 0; i < p->n_bias; i++)
        logits[p->bias[i].token] += p->bias[i].bias;
    for (int32_t t = 0; t < FAKE_VOCAB; t++) {
        uint32_t times = 0, near = 0;
        for (uint32_t i = 0; i < n; i++) {
            times += tokens[i] == t && i >= n_prompt;
            near += tokens[i] == t && (p->repeat_last == 0 || n - i <= p->repeat_last);
        }
        if (near && p->repetition > 0)
            logits[t] = logits[t] > 0 ? logits[t] / p->repetition : logits[t] * p->repetition;
        if (times)
            logits[t] = logits[t] - p->frequency * (float)times - p->presence;
    }
}

static inline void fake_expect(const struct model *m, const struct seq_opts *o, uint32_t n_ctx, struct expect *x)
{
    static _Thread_local int32_t tokens[1 << 16];
    struct sampler              *s;
    struct err                   e;
    struct detok                 d;
    struct buf                   all;
    float                        logits[FAKE_VOCAB];
    uint64_t                     h = 1, past = 1;
    uint32_t                     n = o->n_prompt, n_past = 0, max = n_ctx - o->n_prompt;
    max = o->max_tokens && o->max_tokens < max ? o->max_tokens : max;
    memset(x, 0, sizeof *x);
    ASSERT(sampler_new(&s, FAKE_VOCAB, &e) == 0);
    buf_init(&all, 0);
    detok_init(&d, &fake_vocab, false);
    memcpy(tokens, o->prompt, n * sizeof *tokens);
    x->end = SEQ_END_LENGTH;
    for (bool end = false; !end && x->n_out < max;) {
        for (; n_past < n; n_past++)
            past = fake_hash(past, tokens[n_past], n_past);
        h = m->shape.window ? past : 1;
        for (uint32_t p = fake_from(m, n - 1); p < n && m->shape.window; p++)
            h = fake_hash(h, tokens[p], p);
        h = m->shape.window ? h : past;
        uint64_t near = m->order ? 1 : h;
        for (uint32_t p = n > m->order ? n - m->order : 0; p < n && m->order; p++)
            near = fake_hash(near, tokens[p], 0);
        fake_logits_of(m, h, near, logits);
        fake_adjust(&o->sample, tokens, o->n_prompt, n, logits);
        int32_t t = tokens[n] = sampler_pick(s, &o->sample, n, logits);
        n++, x->n_out++;
        if (t == FAKE_EOG && !o->ignore_eos) {
            x->end = SEQ_END_STOP;
            break;
        }
        if (t != FAKE_EOG)
            detok_add(&d, t, &all);
        for (uint32_t i = 0; i < o->n_stops && !end; i++) /* no overlapping stop strings in these tests */
            for (size_t at = 0; at + o->stop_lens[i] <= all.len && !end; at++)
                if (memcmp(all.data + at, o->stops[i], o->stop_lens[i]) == 0) {
                    all.len = at;
                    x->end = SEQ_END_STOP;
                    end = true;
                }
    }
    x->n_text = all.len < sizeof x->text ? all.len : sizeof x->text;
    memcpy(x->text, all.data ? all.data : "", x->n_text);
    buf_deinit(&all);
    sampler_free(s);
}
