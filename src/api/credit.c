/* Credit ahead of the output, slice by slice: with max_tokens all of it is held before the work starts, without it a call holds a slice for each
 * choice and asks for the next one while the last is still being spent, so that a stream does not stall. */
#include "api/call.h"

static void on_more(void *arg, const struct hold_answer *a);

/* Output tokens that must be held so that each choice may have sampled `each`. */
static uint32_t needed(const struct call *c, uint32_t each)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < c->n_choices; i++) {
        const struct choice *ch = &c->choices[i];
        sum += ch->ended ? choice_used(ch) : each < ch->limit ? each : ch->limit;
    }
    return sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
}

static uint32_t longest(const struct call *c)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < c->n_choices; i++)
        if (!c->choices[i].ended && c->choices[i].limit > most)
            most = c->choices[i].limit;
    return most;
}

void credit_hold(struct call *c)
{
    uint64_t input = 0;
    for (uint32_t i = 0; i < c->n_prompts; i++)
        input += c->prompts[i].n_tokens;
    c->asked = needed(c, c->slice);
    struct hold_req q = {.who = c->who,
                         .request = c->id,
                         .end_user = c->q.end_user,
                         .model = c->q.model->alias,
                         .revision = c->q.model->source,
                         .digest = c->q.model->digest,
                         .input = input < UINT32_MAX ? (uint32_t)input : UINT32_MAX,
                         .output = c->asked,
                         .slice = !c->q.max_tokens,
                         .tier = c->q.tier,
                         .scope = c->q.kind == SEQ_EMBED ? "embeddings" : "inference"};
    ledger_hold(c->api->ledger, &q, call_held, c);
}

/* All choices may go on to `granted`. */
static void allow(struct call *c)
{
    c->denied = false;
    for (uint32_t i = 0; i < c->n_choices; i++) {
        struct choice *ch = &c->choices[i];
        ch->paused = false;
        if (ch->job)
            c->api->backend.allow(c->api->backend.self, ch->job, c->granted);
    }
}

static void ask(struct call *c)
{
    uint32_t need = needed(c, c->granted + c->slice);
    c->asked = need > c->held_output ? need - c->held_output : 0;
    if (!c->asked) { /* choices that have ended left enough */
        c->granted += c->slice;
        allow(c);
        return;
    }
    c->asking = true;
    ledger_hold_more(c->api->ledger, c->hold, c->asked, on_more, c);
}

static bool any_paused(const struct call *c)
{
    for (uint32_t i = 0; i < c->n_choices; i++)
        if (c->choices[i].job && c->choices[i].paused)
            return true;
    return false;
}

/* Asks when less than half of the last slice is left to the choice that is ahead; at a pause in any case. */
void credit_ahead(struct call *c)
{
    uint32_t most = longest(c), used = 0;
    bool paused = any_paused(c);
    if (!c->n_live || c->asking || c->granted >= most)
        return;
    for (uint32_t i = 0; i < c->n_choices; i++)
        if (!c->choices[i].ended && choice_used(&c->choices[i]) > used)
            used = choice_used(&c->choices[i]);
    uint32_t left = c->granted > used ? c->granted - used : 0;
    if (!paused && (c->denied || left > c->slice / 2))
        return;
    if (!c->denied && c->slice < SLICE_MOST)
        c->slice *= 2;
    if (c->slice > most - c->granted)
        c->slice = most - c->granted;
    ask(c);
}

/* The credit is too short for this slice: a smaller one may still fit. */
bool credit_smaller(struct call *c)
{
    if (c->slice <= SLICE_LEAST)
        return false;
    c->slice /= 2;
    return true;
}

static void stop_paused(struct call *c)
{
    for (uint32_t i = 0; i < c->n_choices; i++)
        if (c->choices[i].job && c->choices[i].paused)
            c->api->backend.stop(c->api->backend.self, c->choices[i].job, SEQ_END_BUDGET);
}

static void on_more(void *arg, const struct hold_answer *a)
{
    struct call *c = arg;
    c->asking = false;
    if (a->err.code == ERR_OK) {
        c->held_output += c->asked;
        c->granted += c->slice;
        c->held = a->held, c->balance = a->balance;
        allow(c);
    } else if (a->err.code == ERR_QUOTA && c->n_live && credit_smaller(c)) {
        ask(c);
    } else if (a->err.code == ERR_QUOTA) {
        c->denied = true, c->of_key = a->of_key;
        stop_paused(c);
    } else if (c->n_live) {
        if (c->err.code == ERR_OK)
            c->err = a->err;
        call_stop_all(c);
    }
    call_settle(c);
}
