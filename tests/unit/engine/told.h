/* What the engine tells a request, kept to be compared: what its tests with real models share. */
#pragma once
#include "../model/golden.h"
#include "base/clock.h"
#include "engine/engine_int.h"

enum { TOLD_MAX = 320, TOLD_TEXT = 4096, TOLD_VECTOR = 64 };

struct told {
    struct token_logprobs token[TOLD_MAX]; /* (n); without logprobs only .token */
    uint32_t n, n_prompt, n_text;
    float prompt[TOLD_MAX], vector[TOLD_VECTOR];
    char text[TOLD_TEXT];
    struct token_counts counts;
    enum seq_end end;
    _Atomic bool paused, done;
};

static inline void told_event(void *arg, const struct seq_event *ev)
{
    struct told *t = arg;
    for (size_t i = 0; ev->kind == SEQ_PROMPT && i < ev->n_logprobs; i++) {
        ASSERT(t->n_prompt < TOLD_MAX);
        t->prompt[t->n_prompt++] = ev->logprobs[i].value;
    }
    if (ev->kind == SEQ_TEXT && ev->token >= 0) {
        ASSERT(t->n < TOLD_MAX && ev->n_logprobs <= 1 && (!ev->n_logprobs || ev->logprobs->token == ev->token));
        t->token[t->n++] = ev->n_logprobs ? *ev->logprobs : (struct token_logprobs){.token = ev->token};
    }
    if (ev->kind == SEQ_TEXT && ev->n_text) {
        ASSERT(ev->n_text <= TOLD_TEXT - t->n_text);
        memcpy(t->text + t->n_text, ev->text, ev->n_text);
        t->n_text += (uint32_t)ev->n_text;
    }
    if (ev->kind == SEQ_VECTOR)
        memcpy(t->vector, ev->vector, sizeof t->vector);
    t->counts = ev->counts;
    t->end = ev->end;
    t->paused |= ev->kind == SEQ_PAUSED;
    t->done |= ev->kind == SEQ_DONE;
}

/* A request for n tokens, whatever they are, that t (emptied) is told of; callers change fields. The prompt is borrowed until it is started. */
static inline struct seq_opts told_request(struct told *t, struct engine_model *m, const int32_t *prompt, uint32_t n_prompt, uint32_t n)
{
    memset(t, 0, sizeof *t);
    return (struct seq_opts){.model = m,
                             .prompt = prompt,
                             .n_prompt = n_prompt,
                             .max_tokens = n,
                             .allowance = UINT32_MAX,
                             .sample = {.top_p = 1},
                             .ignore_eos = true,
                             .on_event = told_event,
                             .arg = t};
}

/* False, and the reason printed, when the engine refuses. */
static inline bool told_start(struct engine *g, const struct seq_opts *o)
{
    uint64_t id;
    struct err e;
    if (engine_start(g, o, &id, &e) == 0)
        return true;
    printf("%s\n", e.msg);
    return false;
}

static inline void told_wait(const struct told *t)
{
    for (int k = 0; k < 120000 && !t->done; k++)
        clock_sleep_ms(1);
}

/* NULL: both are done and were told the same, to the last bit; else in what they differ. */
static inline const char *told_differ(const struct told *a, const struct told *b)
{
    static char text[80];
    if (!a->done || !b->done || a->end != b->end || a->n != b->n || a->n_prompt != b->n_prompt) {
        snprintf(text, sizeof text, "%u and %u tokens%s", a->n, b->n, a->done && b->done ? "" : ", and no end");
        return text;
    }
    for (uint32_t k = 0; k < a->n; k++) {
        const struct token_logprobs *x = &a->token[k], *y = &b->token[k];
        bool bits = memcmp(&x->value, &y->value, sizeof x->value) == 0 && x->n_top == y->n_top && x->end == y->end &&
                    memcmp(x->top, y->top, x->n_top * sizeof *x->top) == 0;
        snprintf(text, sizeof text, "token %u %s", k, x->token == y->token ? "has other bits" : "is another one");
        if (x->token != y->token || !bits)
            return text;
    }
    if (memcmp(a->prompt, b->prompt, sizeof a->prompt) != 0)
        return "the prompt has other bits";
    if (memcmp(a->vector, b->vector, sizeof a->vector) != 0)
        return "the vector has other bits";
    return NULL;
}
