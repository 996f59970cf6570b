#include "api/answer.h"
#include "net/sse.h"
#include <string.h>

static void put_money(struct jw *w, const char *key, struct money m)
{
    char text[MONEY_TEXT_MAX];
    money_text(text, m);
    jw_key(w, key), jw_str(w, text);
}

void answer_bill(struct jw *w, const struct call *c)
{
    jw_key(w, "sluice");
    jw_obj(w);
    put_money(w, "cost", c->bill.cost);
    put_money(w, "balance", c->bill.balance);
    jw_key(w, "currency"), jw_str(w, ledger_currency(c->api->ledger));
    jw_obj_end(w);
}

void answer_usage(struct jw *w, const struct call *c)
{
    const struct token_counts *n = &c->counts;
    uint64_t in = (uint64_t)n->input + n->cache_read + n->cache_write, out = (uint64_t)n->output + n->reasoning;
    jw_key(w, "usage");
    jw_obj(w);
    jw_key(w, "prompt_tokens"), jw_u64(w, in);
    jw_key(w, "completion_tokens"), jw_u64(w, out);
    jw_key(w, "total_tokens"), jw_u64(w, in + out);
    jw_key(w, "prompt_tokens_details");
    jw_obj(w);
    jw_key(w, "cached_tokens"), jw_u64(w, n->cache_read);
    jw_key(w, "cache_write_tokens"), jw_u64(w, n->cache_write);
    jw_key(w, "audio_tokens"), jw_u64(w, 0);
    jw_obj_end(w);
    jw_key(w, "completion_tokens_details");
    jw_obj(w);
    jw_key(w, "reasoning_tokens"), jw_u64(w, n->reasoning);
    jw_key(w, "accepted_prediction_tokens"), jw_u64(w, 0); /* of a `prediction` in the request; drafts of our own are not the client's */
    jw_key(w, "rejected_prediction_tokens"), jw_u64(w, 0);
    jw_key(w, "audio_tokens"), jw_u64(w, 0);
    jw_obj_end(w);
    answer_bill(w, c);
    jw_obj_end(w);
}

void answer_head(struct jw *w, const struct call *c, const char *prefix, const char *object)
{
    char id[96], print[3 + 16 + 1] = "fp_";
    str_to_hex(print + 3, c->q.model->digest.b, 8);
    str_fmt(id, sizeof id, "%s-%s", prefix, strncmp(c->id, "req_", 4) ? c->id : c->id + 4);
    jw_obj(w);
    jw_key(w, "id"), jw_str(w, id);
    jw_key(w, "object"), jw_str(w, object);
    jw_key(w, "created"), jw_i64(w, c->start_us / 1000000);
    jw_key(w, "model"), jw_str(w, c->q.model->alias);
    jw_key(w, "system_fingerprint"), jw_str(w, print);
    if (c->q.tier)
        jw_key(w, "service_tier"), jw_str(w, strcmp(c->q.tier, LEDGER_TIER_STANDARD) ? c->q.tier : "default"); /* OpenAI's word */
}

int request_name(char out[REQUEST_NAME_MAX], struct str id, const char *param, struct err *e)
{
    static const char *const heads[] = {"req_", "chatcmpl-", "cmpl-"};
    uint8_t bytes[12];
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        size_t n = strlen(heads[i]);
        if (!str_starts(id, heads[i]) || !str_hex((struct str){id.p + n, id.n - n}, bytes, sizeof bytes))
            continue;
        memcpy(out, "req_", 4);
        str_to_hex(out + 4, bytes, sizeof bytes); /* as they were made: small letters */
        return 0;
    }
    return err_param(e, ERR_BAD_VALUE, param,
                     "this is no id of a request; an answer has it as x-request-id (req_ and 24 hex digits) and as id (chatcmpl- or cmpl- and the "
                     "same digits)");
}

/* "length" also when the credit ended the answer: clients know no other word. finish_details says it exactly. */
void answer_finish(struct jw *w, const struct choice *ch)
{
    const struct call *c = ch->call;
    jw_key(w, "finish_reason"), jw_str(w, ch->end == SEQ_END_STOP ? "stop" : "length");
    if (ch->end != SEQ_END_BUDGET)
        return;
    char balance[MONEY_TEXT_MAX], text[160];
    money_text(balance, c->n_live ? c->balance : c->bill.balance);
    if (c->of_key)
        str_fmt(text, sizeof text, "the budget of the key %s is used up; the answer was cut here", c->who.public_id);
    else
        str_fmt(text, sizeof text, "the credit of this account is used up (balance %s %s); the answer was cut here", balance,
                ledger_currency(c->api->ledger));
    jw_key(w, "finish_details");
    jw_obj(w);
    jw_key(w, "type"), jw_str(w, "budget");
    jw_key(w, "message"), jw_str(w, text);
    jw_obj_end(w);
}

void answer_scratch(struct call *c, struct jw *w)
{
    buf_clear(&c->api->scratch);
    jw_init(w, &c->api->scratch);
}

/* ---- plain ---- */

static void add_money_header(struct http *r, const char *name, struct money m, const char *currency)
{
    char text[MONEY_TEXT_MAX], value[MONEY_TEXT_MAX + LEDGER_CURRENCY_MAX + 2];
    money_text(text, m);
    str_fmt(value, sizeof value, "%s %s", text, currency);
    http_header_add(r, name, value);
}

void answer_reply(struct call *c)
{
    const struct buf *b = &c->api->scratch;
    const char *currency = ledger_currency(c->api->ledger);
    bool failed = b->failed;
    for (uint32_t i = 0; i < c->n_choices; i++)
        failed |= c->choices[i].text.failed;
    add_money_header(c->r, "x-sluice-cost", c->bill.cost, currency);
    add_money_header(c->r, "x-sluice-balance", c->bill.balance, currency);
    if (failed) {
        struct err e;
        err_set(&e, ERR_NO_MEMORY, "the answer is too large to be sent; use stream: true or max_tokens");
        errors_reply(c->r, &e);
        return;
    }
    http_reply(c->r, 200, "application/json", b->data, b->len);
}

/* ---- streamed ---- */

void answer_open(struct call *c)
{
    add_money_header(c->r, "x-sluice-hold", c->held, ledger_currency(c->api->ledger));
    http_header_add(c->r, "cache-control", "no-cache");
    http_header_add(c->r, "x-accel-buffering", "no");
    http_stream_open(c->r, 200, "text/event-stream; charset=utf-8");
}

void answer_event(struct call *c)
{
    struct buf out;
    buf_init(&out, 0);
    sse_event(&out, NULL, c->api->scratch.data, c->api->scratch.len);
    if (c->r && !out.failed)
        http_stream_write(c->r, out.data, out.len);
    buf_deinit(&out);
}

void answer_end(struct call *c)
{
    if (c->r)
        http_stream_write(c->r, "data: [DONE]\n\n", 14);
    if (c->r)
        http_stream_end(c->r);
}

void answer_fail(struct call *c, const struct err *e)
{
    if (!c->opened) {
        errors_reply(c->r, e);
        return;
    }
    buf_clear(&c->api->scratch);
    errors_body(&c->api->scratch, e, c->id);
    answer_event(c);
    if (c->r)
        http_stream_end(c->r);
}
