/* One fake model behind one engine, and requests to it: what tests of the engine's rules share. */
#pragma once
#include "engine/engine_int.h"
#include "fake.h"
#include "test.h"

static struct model model;
static struct engine *g;
static struct engine_model *served;
static uint32_t window; /* of the model, when it is opened; 0: none */

/* False, and the reason printed, when it cannot be. */
static inline bool open_engine(uint32_t n_ctx, const struct engine_opts *opts)
{
    struct err e;
    struct engine_opts o = *opts;
    fake_model(&model, n_ctx);
    fake_window(&model, window);
    jobs_reset();
    o.journal = job_journal;
    if (engine_new(&g, &o, &e) == 0 && engine_model_add(g, &model, &fake_vocab, &served, &e) == 0)
        return true;
    printf("%s\n", e.msg);
    return false;
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

/* Lets the gated model finish this many steps; returns when the next one has begun. */
static inline void gate_step(int steps)
{
    for (int i = 0; i < steps; i++) {
        int seen = model.inside;
        model.tickets++;
        while (model.inside == seen)
            ;
    }
}
