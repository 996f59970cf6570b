#include "api/call.h"
#include "base/log.h"
#include <math.h>
#include <string.h>

/* A call's memory: its strings and tables, and no more than a large request's. */
enum { CALL_MEM_MAX = 64 << 20, CALL_TEXT_MAX = 64 << 20 };

struct call *call_new(struct api *a, struct http *r, const struct call_wire *wire)
{
    struct call *c = mem_new(sizeof *c);
    if (!c)
        return NULL;
    c->api = a, c->r = r, c->wire = wire;
    c->who = *(const struct principal *)http_user(r);
    c->start_us = clock_now_us() - (int64_t)((clock_ns() - http_start_ns(r)) / 1000);
    c->q.n = 1;
    str_fmt(c->id, sizeof c->id, "%s", http_id(r));
    arena_init(&c->mem, CALL_MEM_MAX);
    return c;
}

static void unlink_call(struct call *c)
{
    if (c->state == CALL_NEW)
        return;
    if (c->prev)
        c->prev->next = c->next;
    else
        c->api->calls = c->next;
    if (c->next)
        c->next->prev = c->prev;
}

void call_free(struct call *c)
{
    unlink_call(c);
    for (uint32_t i = 0; i < c->n_prompts; i++)
        vec_deinit(&c->prompts[i].tokens), vec_deinit(&c->prompts[i].logprobs);
    for (uint32_t i = 0; i < c->n_choices; i++) {
        struct choice *ch = &c->choices[i];
        buf_deinit(&ch->text), buf_deinit(&ch->told.tail);
        vec_deinit(&ch->told.list);
        mem_free(ch->vector);
    }
    text_job_free(c->text_job);
    json_free(c->messages), json_free(c->body);
    arena_deinit(&c->mem);
    if (c->q.model && c->api->backend.put)
        c->api->backend.put(c->api->backend.self, c->q.model);
    mem_free(c);
}

int call_prompts(struct call *c, uint32_t n, struct err *e)
{
    c->prompts = arena_array(&c->mem, n, sizeof *c->prompts);
    if (!c->prompts)
        return err_set(e, ERR_NO_MEMORY, "no memory for %u prompts; send fewer at once", n);
    c->n_prompts = n;
    return 0;
}

/* ---- what was computed ---- */

/* One choice now has the counts `now`, before it had *had: moves it and the sum of all choices. */
static void counts_move(struct token_counts *sum, struct token_counts *had, const struct token_counts *now)
{
    sum->input += now->input - had->input;
    sum->cache_read += now->cache_read - had->cache_read;
    sum->cache_write += now->cache_write - had->cache_write;
    sum->output += now->output - had->output;
    sum->reasoning += now->reasoning - had->reasoning;
    sum->accepted_draft += now->accepted_draft - had->accepted_draft;
    *had = *now;
}

static struct usage_counts usage_of(const struct token_counts *c)
{
    return (struct usage_counts){c->input, c->cache_read, c->cache_write, c->output, c->reasoning, c->accepted_draft};
}

/* A hold has one line a step, with the counts of all its choices, however many of them the step served. */
void api_journal(void *api, const struct usage_delta *d, size_t n)
{
    struct api *a = api;
    struct journal_step steps[64];
    for (size_t i = 0; i < n;) {
        size_t k = 0;
        for (; k < sizeof steps / sizeof steps[0] && i < n; i++) {
            struct choice *ch = (struct choice *)(uintptr_t)d[i].tag; /* lives until its SEQ_DONE, which follows its last journal */
            struct call *c = ch->call;
            counts_move(&c->journaled, &ch->journaled, &d[i].counts);
            if (!k || steps[k - 1].hold.v != c->hold.v)
                steps[k++].hold = c->hold;
            steps[k - 1].counts = usage_of(&c->journaled);
        }
        struct err e = {0};
        if (ledger_journal(a->ledger, steps, k, &e) < 0 && !atomic_exchange(&a->journal_failed, true))
            log_line(LOG_ERROR, "journal", "%s", e.msg);
    }
}

/* ---- the end ---- */

/* The strongest of the choices' ends: an error, a cancel, the credit, a limit; stop when all stopped by themselves. */
static enum finish_reason reason(const struct call *c)
{
    static const enum finish_reason of[] = {[SEQ_END_STOP] = FINISH_STOP,
                                            [SEQ_END_LENGTH] = FINISH_LENGTH,
                                            [SEQ_END_BUDGET] = FINISH_BUDGET,
                                            [SEQ_END_CANCEL] = FINISH_CANCEL,
                                            [SEQ_END_ERROR] = FINISH_ERROR};
    enum finish_reason why = FINISH_STOP;
    if (!c->r)
        return FINISH_CANCEL;
    if (c->err.code != ERR_OK)
        return FINISH_ERROR;
    for (uint32_t i = 0; i < c->n_choices; i++)
        if (of[c->choices[i].end] > why)
            why = of[c->choices[i].end];
    return why;
}

static void count(struct call *c, int status, enum finish_reason why)
{
    struct api_counts *n = &c->api->counts;
    n->answers[status == 499 ? 0 : status / 100]++;
    n->ends[why]++;
    n->billed_in += c->counts.input + c->counts.cache_write;
    n->billed_cached += c->counts.cache_read;
    n->billed_out += c->counts.output + c->counts.reasoning;
    if (c->first_us)
        histogram_add(&n->first_token, (uint64_t)(c->first_us - c->start_us));
    histogram_add(&n->whole, (uint64_t)(c->end_us - c->start_us));
}

static void log_end(const struct call *c, int status, enum finish_reason why)
{
    static const char *const words[] = {"stop", "length", "budget", "cancel", "error", "crash"};
    char cost[MONEY_TEXT_MAX];
    money_text(cost, c->bill.cost);
    log_line(LOG_INFO, "request",
             "id=%s route=%s status=%d ms=%.1f first_ms=%.1f key=%lld model=%s stream=%d choices=%u input=%u cached=%u output=%u end=%s cost=%s",
             c->id, c->wire->route, status, (double)(c->end_us - c->start_us) / 1e3, c->first_us ? (double)(c->first_us - c->start_us) / 1e3 : 0.0,
             (long long)c->who.key.v, c->q.model->alias, c->q.stream, c->n_choices, c->counts.input, c->counts.cache_read, c->counts.output,
             words[why], cost);
}

/* Bills what was computed and says the last word. The only caller of ledger_finish. */
static void finish(struct call *c, struct choice *last)
{
    c->end_us = clock_now_us();
    enum finish_reason why = reason(c);
    int status = !c->r ? 499 : c->err.code != ERR_OK && !c->opened ? err_http(c->err.code) : 200;
    struct finish_req q = {.hold = c->hold,
                           .reason = why,
                           .status = status,
                           .stream = c->q.stream,
                           .start_us = c->start_us,
                           .first_us = c->first_us,
                           .end_us = c->end_us,
                           .counts = usage_of(&c->counts)};
    struct err e = {0};
    if (ledger_finish(c->api->ledger, &q, &c->bill, &e) < 0) {
        log_line(LOG_ERROR, "ledger", "finish of %s failed: %s", c->id, e.msg);
        if (c->err.code == ERR_OK)
            c->err = e;
    }
    count(c, status, why);
    log_end(c, status, why);
    if (c->r && c->err.code != ERR_OK)
        c->wire->fail(c, &c->err);
    else if (c->r)
        c->wire->done(c, last);
    call_free(c);
}

void call_settle(struct call *c)
{
    if (c->state == CALL_ENDING && !c->asking && c->api->ledger)
        finish(c, &c->choices[c->last]);
}

void call_refuse(struct call *c, const struct err *e)
{
    c->end_us = clock_now_us();
    c->api->counts.refused_quota += e->code == ERR_QUOTA;
    c->api->counts.refused_rate += e->code == ERR_RATE || e->code == ERR_OVER_RATE;
    c->api->counts.answers[c->r ? err_http(e->code) / 100 : 0]++;
    if (c->r)
        c->wire->fail(c, e);
    call_free(c);
}

/* ---- the work ---- */

void call_stop_all(struct call *c)
{
    for (uint32_t i = 0; i < c->n_choices; i++)
        if (c->choices[i].job)
            c->api->backend.stop(c->api->backend.self, c->choices[i].job, SEQ_END_CANCEL);
}

static void fail(struct call *c, const char *why)
{
    if (c->err.code == ERR_OK)
        err_set(&c->err, ERR_INTERNAL, "%s", why);
    call_stop_all(c);
}

static void start_more(struct call *c);

static void on_done(struct choice *ch, const struct backend_event *ev)
{
    struct call *c = ch->call;
    ch->job = NULL, ch->ended = true, ch->end = ev->end;
    c->n_live--;
    if (ev->end == SEQ_END_ERROR && c->err.code == ERR_OK) {
        c->err = ev->err;
        call_stop_all(c);
    }
    if (c->q.kind == SEQ_EMBED && !ch->vector && ev->end != SEQ_END_CANCEL)
        fail(c, "the model gave no embedding");
    start_more(c);
    if (c->n_live) {
        if (c->r && c->err.code == ERR_OK)
            c->wire->ended(ch);
        return;
    }
    c->state = CALL_ENDING;
    c->last = ch->index;
    call_settle(c);
}

static bool add_logprobs(struct vec_logprobs *v, const struct backend_event *ev)
{
    if (!ev->n_logprobs)
        return true;
    if (!vec_reserve(v, v->n + ev->n_logprobs))
        return false;
    memcpy(v->p + v->n, ev->logprobs, ev->n_logprobs * sizeof *v->p);
    v->n += ev->n_logprobs;
    return true;
}

/* False: no memory, or no numbers. */
static bool add_vector(struct choice *ch, const struct backend_event *ev)
{
    ch->vector = mem_array(ev->n_vector, sizeof *ch->vector);
    for (size_t i = 0; ch->vector && i < ev->n_vector; i++) {
        if (!isfinite(ev->vector[i]))
            return false;
        ch->vector[i] = ev->vector[i];
    }
    return ch->vector != NULL;
}

static void on_text(struct choice *ch, const struct backend_event *ev)
{
    struct call *c = ch->call;
    c->api->counts.delivered += ev->n_tokens;
    if (!c->first_us && ev->n_tokens)
        c->first_us = clock_now_us();
    if (!add_logprobs(&ch->told.list, ev))
        fail(c, "out of memory for log probabilities; ask for fewer tokens");
    if (c->r && ev->n_text && c->err.code == ERR_OK)
        c->wire->text(ch, ev->text, ev->n_text);
    credit_ahead(c);
}

static void on_event(void *arg, const struct backend_event *ev)
{
    struct choice *ch = arg;
    struct call *c = ch->call;
    counts_move(&c->counts, &ch->counts, &ev->counts);
    switch (ev->kind) {
    case SEQ_TEXT: on_text(ch, ev); break;
    case SEQ_PAUSED:
        ch->paused = choice_used(ch) >= c->granted; /* else it was told before the last slice came */
        credit_ahead(c);
        break;
    case SEQ_PROMPT:
        if (!add_logprobs(&c->prompts[ch->prompt].logprobs, ev))
            fail(c, "out of memory for log probabilities; send a shorter prompt");
        break;
    case SEQ_VECTOR:
        if (!add_vector(ch, ev))
            fail(c, "the model gave no number for this text; its file is damaged or not supported");
        break;
    case SEQ_DONE: on_done(ch, ev); break;
    }
}

/* The choices of one prompt. */
static int start_prompt(struct call *c, uint32_t i, struct err *e)
{
    struct backend_req q = {.model = c->q.model,
                            .kind = c->q.kind,
                            .prompt = c->prompts[i].tokens.p,
                            .n_prompt = c->prompts[i].n_tokens,
                            .allowance = c->granted,
                            .sample = c->q.sample,
                            .logprobs = c->q.logprobs,
                            .prompt_logprobs = c->q.prompt_logprobs,
                            .top_logprobs = c->q.top_logprobs,
                            .stops = c->q.stops,
                            .stop_lens = c->q.stop_lens,
                            .n_stops = c->q.n_stops,
                            .on_event = on_event};
    struct backend_req many[CHOICES_MAX];
    struct backend_job *jobs[CHOICES_MAX];
    q.tenant.id = (uint64_t)c->who.org.v, q.tenant.weight = 1, q.tenant.rate = c->rate, q.tenant.input_weight = c->input_weight;
    memcpy(q.tenant.kv_salt, c->who.kv_salt, sizeof q.tenant.kv_salt);
    for (uint32_t k = 0; k < c->q.n; k++) {
        struct choice *ch = &c->choices[i * c->q.n + k];
        q.max_tokens = ch->limit, q.sample.choice = k;
        q.arg = ch, q.tag = (uint64_t)(uintptr_t)ch;
        many[k] = q;
        many[k].prompt_logprobs = q.prompt_logprobs && k == 0; /* the same for all */
    }
    int rc = c->api->backend.start(c->api->backend.self, many, c->q.n, jobs, e);
    if (rc < 0)
        return rc;
    for (uint32_t k = 0; k < c->q.n; k++)
        c->choices[i * c->q.n + k].job = jobs[k];
    c->n_live += c->q.n;
    vec_deinit(&c->prompts[i].tokens); /* the backend has its copy */
    return 0;
}

/* Starts prompts while there is room. Those that the backend is too busy for wait for this call's own jobs to end. */
static void start_more(struct call *c)
{
    struct err e = {0};
    while (c->r && c->err.code == ERR_OK && c->next_prompt < c->n_prompts && (!c->n_live || c->n_live + c->q.n <= CALL_JOBS_MAX)) {
        if (start_prompt(c, c->next_prompt, &e) < 0) {
            if (e.code == ERR_BUSY && c->n_live)
                return;
            c->err = e;
            call_stop_all(c);
            return;
        }
        c->next_prompt++;
    }
}

void call_held(void *arg, const struct hold_answer *a)
{
    struct call *c = arg;
    if (!c->api->ledger) { /* the server has ended: the ledger's next start releases the hold */
        call_free(c);
        return;
    }
    if (a->err.code == ERR_QUOTA && !c->q.max_tokens && c->q.kind == SEQ_GENERATE && c->r && credit_smaller(c)) {
        credit_hold(c);
        return;
    }
    if (a->err.code != ERR_OK) {
        call_refuse(c, &a->err);
        return;
    }
    c->hold = a->hold, c->held = a->held, c->balance = a->balance, c->rate = a->rate, c->input_weight = a->input_weight;
    c->granted = c->slice, c->held_output = c->asked;
    c->state = CALL_RUNNING;
    start_more(c);
    if (!c->n_live) { /* left, cancelled or refused meanwhile: the hold is released at 0 */
        finish(c, &c->choices[0]);
        return;
    }
    if (c->err.code == ERR_OK && c->r) {
        c->opened = c->q.stream;
        c->wire->open(c);
    }
}

static void on_gone(void *arg)
{
    struct call *c = arg;
    c->r = NULL;
    call_stop_all(c);
}

/* What comes before the answers must fit into memory, and in a stream into what may wait for a slow reader. */
static int check_echo(const struct call *c, struct err *e)
{
    uint64_t tokens = 0, bytes = 0;
    for (uint32_t i = 0; i < c->n_prompts; i++)
        tokens += c->prompts[i].tokens.n, bytes += c->prompts[i].text.n;
    uint32_t most = c->q.stream ? SCORED_STREAM_MAX : SCORED_MAX;
    if (c->q.prompt_logprobs && tokens * c->q.n > most)
        return err_param(e, ERR_BAD_VALUE, "logprobs", "log probabilities of %llu prompt tokens are too many for one request (%u%s); send less of it",
                         (unsigned long long)tokens * c->q.n, most, c->q.stream ? " in a stream" : "");
    if (c->q.echo && c->q.stream && bytes * c->q.n > ECHO_STREAM_MAX)
        return err_param(e, ERR_BAD_VALUE, "echo", "a stream echoes at most %d bytes, and the prompts have %llu; leave echo or stream out",
                         ECHO_STREAM_MAX, (unsigned long long)bytes * c->q.n);
    return 0;
}

/* The choices, and the most that each may answer. */
static int make_choices(struct call *c, struct err *e)
{
    uint32_t most = 0;
    c->n_choices = c->n_prompts * c->q.n; /* both are small: the endpoints check */
    c->choices = arena_array(&c->mem, c->n_choices, sizeof *c->choices);
    if (!c->choices) {
        c->n_choices = 0;
        return err_set(e, ERR_NO_MEMORY, "no memory for %u answers; ask for fewer at once", c->n_prompts * c->q.n);
    }
    for (uint32_t i = 0; i < c->n_choices; i++) {
        struct choice *ch = &c->choices[i];
        struct call_prompt *p = &c->prompts[i / c->q.n];
        p->n_tokens = (uint32_t)p->tokens.n;
        *ch = (struct choice){.call = c, .index = i, .prompt = i / c->q.n, .limit = c->q.model->n_ctx - p->n_tokens};
        if (c->q.max_tokens && c->q.max_tokens < ch->limit)
            ch->limit = c->q.max_tokens;
        if (c->q.kind != SEQ_GENERATE)
            ch->limit = 0;
        if (ch->limit > most)
            most = ch->limit;
        buf_init(&ch->text, CALL_TEXT_MAX), buf_init(&ch->told.tail, CALL_TEXT_MAX);
    }
    c->slice = c->q.max_tokens || most < SLICE_FIRST ? most : SLICE_FIRST;
    return 0;
}

int call_allowed(struct api *a, const struct backend_model *m, struct err *e)
{
    if (a->draining)
        return err_set(e, ERR_UNAVAILABLE, "the server is shutting down; try again in a moment");
    if (atomic_load(&a->journal_failed))
        return err_set(e, ERR_DB, "the journal cannot be written, so no work is taken; see the server's log, mend the disk and restart");
    if (!ledger_price_known(a->ledger, m->alias))
        return err_param(e, ERR_NO_PRICE, "model", "the model %s has no price; an operator sets one with: sluice price set %s --input X --output Y",
                         m->alias, m->alias);
    return 0;
}

void call_link(struct call *c)
{
    struct api *a = c->api;
    if (c->state != CALL_NEW)
        return;
    c->next = a->calls;
    if (a->calls)
        a->calls->prev = c;
    a->calls = c;
    http_on_gone(c->r, on_gone, c);
}

int call_begin(struct call *c, struct err *e)
{
    struct api *a = c->api;
    int rc = call_allowed(a, c->q.model, e);
    if (rc < 0 || (rc = check_echo(c, e)) < 0 || (rc = make_choices(c, e)) < 0)
        return rc;
    call_link(c);
    c->state = CALL_HOLDING;
    credit_hold(c);
    return 0;
}

void call_cancel(struct call *c, enum errcode code, const char *why)
{
    if (c->err.code == ERR_OK)
        err_set(&c->err, code, "%s", why);
    call_stop_all(c);
}
