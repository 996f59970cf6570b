#include "api/chat.h"
#include "base/log.h"
#include <string.h>

static void on_hold(void *arg, const struct hold_answer *a);
static void on_more(void *arg, const struct hold_answer *a);

/* A chat's memory: its strings, and no more than a large request's. */
enum { CHAT_MEM_MAX = 16 << 20, CHAT_TEXT_MAX = 64 << 20 };

struct chat *chat_new(struct api *a, struct http *r, const struct chat_wire *wire)
{
    struct chat *c = mem_new(sizeof *c);
    if (!c)
        return NULL;
    c->api = a, c->r = r, c->wire = wire;
    c->who = *(const struct principal *)http_user(r);
    c->start_us = clock_now_us() - (int64_t)((clock_ns() - http_start_ns(r)) / 1000);
    str_fmt(c->id, sizeof c->id, "%s", http_id(r));
    arena_init(&c->mem, CHAT_MEM_MAX);
    buf_init(&c->text, CHAT_TEXT_MAX);
    return c;
}

static void unlink_chat(struct chat *c)
{
    if (c->state == CHAT_NEW)
        return;
    if (c->prev)
        c->prev->next = c->next;
    else
        c->api->chats = c->next;
    if (c->next)
        c->next->prev = c->prev;
}

void chat_free(struct chat *c)
{
    unlink_chat(c);
    vec_deinit(&c->prompt);
    buf_deinit(&c->text);
    arena_deinit(&c->mem);
    mem_free(c);
}

/* ---- the end ---- */

static enum finish_reason reason(const struct chat *c)
{
    if (!c->r)
        return FINISH_CANCEL;
    if (c->err.code != ERR_OK)
        return FINISH_ERROR;
    switch (c->end) {
    case SEQ_END_STOP: return FINISH_STOP;
    case SEQ_END_LENGTH: return FINISH_LENGTH;
    case SEQ_END_BUDGET: return FINISH_BUDGET;
    case SEQ_END_CANCEL: return FINISH_CANCEL;
    case SEQ_END_ERROR: return FINISH_ERROR;
    }
    return FINISH_ERROR;
}

static void count(struct chat *c, int status, enum finish_reason why)
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

static void log_end(const struct chat *c, int status, enum finish_reason why)
{
    static const char *const words[] = {"stop", "length", "budget", "cancel", "error", "crash"};
    char cost[MONEY_TEXT_MAX];
    money_text(cost, c->bill.cost);
    log_line(LOG_INFO, "request",
             "id=%s route=chat status=%d ms=%.1f first_ms=%.1f key=%lld model=%s stream=%d input=%u cached=%u output=%u end=%s cost=%s", c->id,
             status, (double)(c->end_us - c->start_us) / 1e3, c->first_us ? (double)(c->first_us - c->start_us) / 1e3 : 0.0, (long long)c->who.key.v,
             c->q.model->alias, c->q.stream, c->counts.input, c->counts.cache_read, c->counts.output, words[why], cost);
}

/* Bills what was computed and says the last word. The only caller of ledger_finish. */
static void finish(struct chat *c)
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
                           .counts = {.input = c->counts.input,
                                      .cache_read = c->counts.cache_read,
                                      .cache_write = c->counts.cache_write,
                                      .output = c->counts.output,
                                      .reasoning = c->counts.reasoning,
                                      .accepted_draft = c->counts.accepted_draft}};
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
        c->wire->done(c);
    chat_free(c);
}

/* Nothing was held: only the answer remains. */
static void refuse(struct chat *c, const struct err *e)
{
    c->end_us = clock_now_us();
    if (e->code == ERR_QUOTA)
        c->api->counts.refused_quota++;
    c->api->counts.answers[c->r ? err_http(e->code) / 100 : 0]++;
    if (c->r)
        c->wire->fail(c, e);
    chat_free(c);
}

/* ---- credit, slice by slice ---- */

static uint32_t used(const struct chat *c)
{
    return c->counts.output + c->counts.reasoning;
}

static void hold_first(struct chat *c)
{
    struct hold_req q = {.who = c->who,
                         .request = c->id,
                         .model = c->q.model->alias,
                         .revision = c->q.model->source,
                         .digest = c->q.model->digest,
                         .input = (uint32_t)c->prompt.n,
                         .output = c->slice};
    ledger_hold(c->api->ledger, &q, on_hold, c);
}

/* Asks for the next slice when less than half of the last one is left, so that a stream does not stall; at a pause in any case. */
static void hold_ahead(struct chat *c)
{
    if (!c->job || c->asking || c->granted >= c->limit)
        return;
    uint32_t left = c->granted > used(c) ? c->granted - used(c) : 0;
    if (!c->paused && (c->denied || left > c->slice / 2))
        return;
    if (!c->denied && c->slice < SLICE_MOST)
        c->slice *= 2;
    if (c->slice > c->limit - c->granted)
        c->slice = c->limit - c->granted;
    c->asking = true;
    ledger_hold_more(c->api->ledger, c->hold, c->slice, on_more, c);
}

/* The credit is too short for this slice: a smaller one may still fit. */
static bool smaller(struct chat *c)
{
    if (c->slice <= SLICE_LEAST)
        return false;
    c->slice /= 2;
    return true;
}

static void on_more(void *arg, const struct hold_answer *a)
{
    struct chat *c = arg;
    c->asking = false;
    if (a->err.code == ERR_OK) {
        c->granted += c->slice;
        c->held = a->held, c->balance = a->balance;
        c->denied = c->paused = false;
        if (c->job)
            c->api->backend.allow(c->api->backend.self, c->job, c->granted);
    } else if (a->err.code == ERR_QUOTA && c->job && smaller(c)) {
        c->asking = true;
        ledger_hold_more(c->api->ledger, c->hold, c->slice, on_more, c);
    } else if (a->err.code == ERR_QUOTA) {
        c->denied = true;
        if (c->job && c->paused)
            c->api->backend.stop(c->api->backend.self, c->job, SEQ_END_BUDGET);
    } else if (c->job) {
        if (c->err.code == ERR_OK)
            c->err = a->err;
        c->api->backend.stop(c->api->backend.self, c->job, SEQ_END_CANCEL);
    }
    if (c->state == CHAT_ENDING && !c->asking && c->api->ledger)
        finish(c);
}

/* ---- the work ---- */

static void on_event(void *arg, const struct backend_event *ev)
{
    struct chat *c = arg;
    c->counts = ev->counts;
    switch (ev->kind) {
    case SEQ_TEXT:
        c->api->counts.delivered += ev->n_tokens;
        if (!c->first_us && ev->n_tokens)
            c->first_us = clock_now_us();
        if (c->r && ev->n_text)
            c->wire->text(c, ev->text, ev->n_text);
        hold_ahead(c);
        break;
    case SEQ_PAUSED:
        c->paused = true;
        hold_ahead(c);
        break;
    case SEQ_DONE:
        c->job = NULL;
        c->end = ev->end;
        if (ev->end == SEQ_END_ERROR && c->err.code == ERR_OK)
            c->err = ev->err;
        c->state = CHAT_ENDING;
        if (!c->asking)
            finish(c);
        break;
    }
}

static int start_work(struct chat *c, struct err *e)
{
    struct backend_req q = {.model = c->q.model,
                            .prompt = c->prompt.p,
                            .n_prompt = (uint32_t)c->prompt.n,
                            .max_tokens = c->limit,
                            .allowance = c->granted,
                            .sample = c->q.sample,
                            .stops = c->q.stops,
                            .stop_lens = c->q.stop_lens,
                            .n_stops = c->q.n_stops,
                            .tag = c->hold.v,
                            .on_event = on_event,
                            .arg = c};
    q.tenant.id = (uint64_t)c->who.org.v, q.tenant.weight = 1;
    memcpy(q.tenant.kv_salt, c->who.kv_salt, sizeof q.tenant.kv_salt);
    c->state = CHAT_RUNNING;
    return c->api->backend.start(c->api->backend.self, &q, &c->job, e);
}

static void on_hold(void *arg, const struct hold_answer *a)
{
    struct chat *c = arg;
    if (!c->api->ledger) { /* the server has ended: the ledger's next start releases the hold */
        chat_free(c);
        return;
    }
    if (a->err.code == ERR_QUOTA && !c->q.max_tokens && c->r && smaller(c)) {
        hold_first(c);
        return;
    }
    if (a->err.code != ERR_OK) {
        refuse(c, &a->err);
        return;
    }
    c->hold = a->hold, c->held = a->held, c->balance = a->balance;
    c->granted = c->slice;
    if (!c->r || c->err.code != ERR_OK) { /* left, or cancelled, meanwhile: the hold is released at 0 */
        finish(c);
        return;
    }
    if (start_work(c, &c->err) < 0) {
        c->job = NULL;
        finish(c);
        return;
    }
    vec_deinit(&c->prompt); /* the backend has its copy */
    c->opened = c->q.stream;
    c->wire->open(c);
}

static void on_gone(void *arg)
{
    struct chat *c = arg;
    c->r = NULL;
    if (c->job)
        c->api->backend.stop(c->api->backend.self, c->job, SEQ_END_CANCEL);
}

int chat_begin(struct chat *c, struct err *e)
{
    struct api *a = c->api;
    if (a->draining)
        return err_set(e, ERR_UNAVAILABLE, "the server is shutting down; try again in a moment");
    if (atomic_load(&a->journal_failed))
        return err_set(e, ERR_DB, "the journal cannot be written, so no work is taken; see the server's log, mend the disk and restart");
    if (!ledger_price_known(a->ledger, c->q.model->alias))
        return err_param(e, ERR_NO_PRICE, "model", "the model %s has no price; an operator sets one with: sluice price set %s --input X --output Y",
                         c->q.model->alias, c->q.model->alias);
    int rc = prompt_build(&c->prompt, c->q.model, c->q.messages, e);
    if (rc < 0)
        return rc;
    c->limit = c->q.model->n_ctx - (uint32_t)c->prompt.n;
    if (c->q.max_tokens && c->q.max_tokens < c->limit)
        c->limit = c->q.max_tokens;
    c->slice = c->q.max_tokens || c->limit < SLICE_FIRST ? c->limit : SLICE_FIRST;
    c->state = CHAT_HOLDING;
    c->next = a->chats;
    if (a->chats)
        a->chats->prev = c;
    a->chats = c;
    http_on_gone(c->r, on_gone, c);
    hold_first(c);
    return 0;
}

void chat_cancel(struct chat *c, enum errcode code, const char *why)
{
    if (c->err.code == ERR_OK)
        err_set(&c->err, code, "%s", why);
    if (c->job)
        c->api->backend.stop(c->api->backend.self, c->job, SEQ_END_CANCEL);
}
