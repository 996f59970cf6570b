/* One fake model behind one engine, and requests to it: what tests of the engine's rules share. */
#pragma once
#include "engine/engine_int.h"
#include "fake.h"
#include "test.h"

static struct model model;
static struct engine *g;
static struct engine_model *served;
static uint32_t window; /* of the model, when it is opened; 0: none */

/* An engine's clock that each look moves by a microsecond: a step takes one or two, so that a busy machine does not cut prompts into other chunks. */
static inline uint64_t served_now(void)
{
    static _Atomic uint64_t now_ns;
    return now_ns += 1000;
}

/* False, and the reason printed, when it cannot be. */
static inline bool open_engine(uint32_t n_ctx, const struct engine_opts *opts)
{
    struct err e;
    struct engine_opts o = *opts;
    fake_model(&model, n_ctx);
    fake_window(&model, window);
    jobs_reset();
    o.journal = job_journal;
    if (engine_new(&g, &o, &e) < 0 || engine_model_add(g, &model, &fake_vocab, &served, &e) < 0)
        return printf("%s\n", e.msg), false;
    g->now = served_now; /* no step runs yet */
    return true;
}

/* Token i of text `text`. */
static inline int32_t token_of(uint64_t text, uint32_t i)
{
    return 1 + (int32_t)(rng_u64(text, 0, i, 3) % (FAKE_VOCAB - 1));
}

static int32_t prompt_buf[1 << 16];
/* A request of 20 tokens whose prompt is the first n of text `text`; callers change fields. */
static inline struct seq_opts request_of(uint32_t tag, uint64_t text, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        prompt_buf[i] = token_of(text, i);
    return (struct seq_opts){
        .model = served,
        .tenant = {.id = 1, .weight = 1},
        .prompt = prompt_buf,
        .n_prompt = n,
        .max_tokens = 20,
        .allowance = UINT32_MAX,
        .sample = {.temperature = 0.8f, .top_p = 1, .seed = tag},
        .tag = tag,
        .on_event = job_event,
        .arg = &jobs[tag],
    };
}

static inline bool start(const struct seq_opts *o)
{
    struct err e;
    return engine_start(g, o, &jobs[o->tag].seq, &e) == 0;
}

/* Until a step waits at the gate that came there after model.stops was `before`. */
static inline void gate_wait(int before)
{
    while (model.stops == before)
        fake_nap();
}

/* Lets the step that waits at the gate, and so many in all, pass; returns when the next one waits there. */
static inline void gate_step(int steps)
{
    for (int i = 0; i < steps; i++) {
        int before = model.stops;
        model.tickets++;
        gate_wait(before);
    }
}

static struct {
    uint32_t job, tokens;
} gate_closer;
static inline void gate_tick(struct model *m, const struct step *s)
{
    (void)s;
    if (jobs[gate_closer.job].n_tokens < gate_closer.tokens) /* this thread has counted them */
        return;
    m->tick = NULL;
    m->closed = true;
}

/* The gate will close behind the step that finds the job with so many tokens: there the engine is found, whoever looks how late. Called while no
 * step runs, or one waits at the gate. */
static inline void gate_close_at(uint32_t job, uint32_t tokens)
{
    gate_closer.job = job, gate_closer.tokens = tokens;
    model.tick = gate_tick;
}

/* Opens the gate; returns when a step waits at it again. */
static inline void gate_run_until(uint32_t job, uint32_t tokens)
{
    int before = model.stops;
    gate_close_at(job, tokens);
    model.closed = false;
    gate_wait(before);
}
