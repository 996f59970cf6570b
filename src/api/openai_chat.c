/* POST /v1/chat/completions: the answers, plain and streamed. */
#include "api/openai.h"
#include "net/sse.h"
#include <string.h>

static void put_money(struct jw *w, const char *key, struct money m)
{
    char text[MONEY_TEXT_MAX];
    money_text(text, m);
    jw_key(w, key), jw_str(w, text);
}

static void put_bill(struct jw *w, const struct chat *c)
{
    jw_key(w, "sluice");
    jw_obj(w);
    put_money(w, "cost", c->bill.cost);
    put_money(w, "balance", c->bill.balance);
    jw_key(w, "currency"), jw_str(w, ledger_currency(c->api->ledger));
    jw_obj_end(w);
}

static void put_usage(struct jw *w, const struct chat *c)
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
    jw_key(w, "accepted_prediction_tokens"), jw_u64(w, n->accepted_draft);
    jw_key(w, "rejected_prediction_tokens"), jw_u64(w, 0);
    jw_key(w, "audio_tokens"), jw_u64(w, 0);
    jw_obj_end(w);
    put_bill(w, c);
    jw_obj_end(w);
}

static void put_head(struct jw *w, const struct chat *c, const char *object)
{
    char print[3 + 16 + 1] = "fp_";
    str_to_hex(print + 3, c->q.model->digest.b, 8);
    jw_obj(w);
    jw_key(w, "id");
    char id[80];
    str_fmt(id, sizeof id, "chatcmpl-%s", strncmp(c->id, "req_", 4) ? c->id : c->id + 4);
    jw_str(w, id);
    jw_key(w, "object"), jw_str(w, object);
    jw_key(w, "created"), jw_i64(w, c->start_us / 1000000);
    jw_key(w, "model"), jw_str(w, c->q.model->alias);
    jw_key(w, "system_fingerprint"), jw_str(w, print);
}

/* "length" also when the credit ended the answer: clients know no other word. finish_details says it exactly. */
static void put_finish(struct jw *w, const struct chat *c)
{
    jw_key(w, "finish_reason"), jw_str(w, c->end == SEQ_END_STOP ? "stop" : "length");
    if (c->end != SEQ_END_BUDGET)
        return;
    char balance[MONEY_TEXT_MAX], text[160];
    money_text(balance, c->bill.balance);
    str_fmt(text, sizeof text, "the credit of this account is used up (balance %s %s); the answer was cut here", balance,
            ledger_currency(c->api->ledger));
    jw_key(w, "finish_details");
    jw_obj(w);
    jw_key(w, "type"), jw_str(w, "budget");
    jw_key(w, "message"), jw_str(w, text);
    jw_obj_end(w);
}

/* ---- a plain answer ---- */

static void add_money_header(struct http *r, const char *name, struct money m, const char *currency)
{
    char text[MONEY_TEXT_MAX], value[MONEY_TEXT_MAX + LEDGER_CURRENCY_MAX + 2];
    money_text(text, m);
    str_fmt(value, sizeof value, "%s %s", text, currency);
    http_header_add(r, name, value);
}

static void put_choice(struct jw *w, const struct chat *c)
{
    jw_obj(w);
    jw_key(w, "index"), jw_i64(w, 0);
    jw_key(w, "message");
    jw_obj(w);
    jw_key(w, "role"), jw_str(w, "assistant");
    jw_key(w, "content"), jw_strn(w, c->text.data ? c->text.data : "", c->text.len);
    jw_key(w, "refusal"), jw_null(w);
    jw_obj_end(w);
    jw_key(w, "logprobs"), jw_null(w);
    put_finish(w, c);
    jw_obj_end(w);
}

static void reply(struct chat *c)
{
    struct buf *b = &c->api->scratch;
    struct jw w;
    buf_clear(b);
    jw_init(&w, b);
    put_head(&w, c, "chat.completion");
    jw_key(&w, "choices");
    jw_arr(&w);
    put_choice(&w, c);
    jw_arr_end(&w);
    put_usage(&w, c);
    jw_obj_end(&w);
    const char *currency = ledger_currency(c->api->ledger);
    add_money_header(c->r, "x-sluice-cost", c->bill.cost, currency);
    add_money_header(c->r, "x-sluice-balance", c->bill.balance, currency);
    if (b->failed || c->text.failed) {
        struct err e;
        err_set(&e, ERR_NO_MEMORY, "the answer is too large to be sent; use stream: true or max_tokens");
        errors_reply(c->r, &e);
        return;
    }
    http_reply(c->r, 200, "application/json", b->data, b->len);
}

/* ---- a streamed answer ---- */

static void send_event(struct chat *c, const struct buf *json)
{
    struct buf out;
    buf_init(&out, 0);
    sse_event(&out, NULL, json->data, json->len);
    if (c->r && !out.failed)
        http_stream_write(c->r, out.data, out.len);
    buf_deinit(&out);
}

enum part { PART_ROLE, PART_TEXT, PART_END };

static void send_chunk(struct chat *c, enum part part, const char *p, size_t n)
{
    struct buf *b = &c->api->scratch;
    struct jw w;
    buf_clear(b);
    jw_init(&w, b);
    put_head(&w, c, "chat.completion.chunk");
    jw_key(&w, "choices");
    jw_arr(&w);
    jw_obj(&w);
    jw_key(&w, "index"), jw_i64(&w, 0);
    jw_key(&w, "delta");
    jw_obj(&w);
    if (part == PART_ROLE)
        jw_key(&w, "role"), jw_str(&w, "assistant");
    if (part != PART_END)
        jw_key(&w, "content"), jw_strn(&w, p, n);
    jw_obj_end(&w);
    jw_key(&w, "logprobs"), jw_null(&w);
    if (part == PART_END)
        put_finish(&w, c);
    else
        jw_key(&w, "finish_reason"), jw_null(&w);
    jw_obj_end(&w);
    jw_arr_end(&w);
    if (c->q.include_usage)
        jw_key(&w, "usage"), jw_null(&w);
    else if (part == PART_END)
        put_bill(&w, c);
    jw_obj_end(&w);
    send_event(c, b);
}

static void send_usage(struct chat *c)
{
    struct buf *b = &c->api->scratch;
    struct jw w;
    buf_clear(b);
    jw_init(&w, b);
    put_head(&w, c, "chat.completion.chunk");
    jw_key(&w, "choices");
    jw_arr(&w);
    jw_arr_end(&w);
    put_usage(&w, c);
    jw_obj_end(&w);
    send_event(c, b);
}

/* ---- what chat.c calls ---- */

static void wire_open(struct chat *c)
{
    if (!c->q.stream)
        return;
    add_money_header(c->r, "x-sluice-hold", c->held, ledger_currency(c->api->ledger));
    http_header_add(c->r, "cache-control", "no-cache");
    http_header_add(c->r, "x-accel-buffering", "no");
    http_stream_open(c->r, 200, "text/event-stream; charset=utf-8");
    send_chunk(c, PART_ROLE, "", 0);
}

static void wire_text(struct chat *c, const char *p, size_t n)
{
    if (c->q.stream)
        send_chunk(c, PART_TEXT, p, n);
    else
        buf_add(&c->text, p, n);
}

static void wire_done(struct chat *c)
{
    if (!c->q.stream) {
        reply(c);
        return;
    }
    send_chunk(c, PART_END, NULL, 0);
    if (c->q.include_usage)
        send_usage(c);
    if (c->r)
        http_stream_write(c->r, "data: [DONE]\n\n", 14);
    if (c->r)
        http_stream_end(c->r);
}

static void wire_fail(struct chat *c, const struct err *e)
{
    if (!c->opened) {
        errors_reply(c->r, e);
        return;
    }
    struct buf *b = &c->api->scratch;
    buf_clear(b);
    errors_body(b, e, c->id);
    send_event(c, b);
    if (c->r)
        http_stream_end(c->r);
}

static const struct chat_wire wire = {wire_open, wire_text, wire_done, wire_fail};

void route_chat(struct http *r, void *app)
{
    struct err e = {0};
    struct json *body = NULL, *messages = NULL;
    struct buf ignored;
    struct chat *c = chat_new(app, r, &wire);
    int rc = c ? 0 : err_set(&e, ERR_NO_MEMORY, "out of memory");
    buf_init(&ignored, IGNORED_BYTES_MAX + 8);
    if (rc >= 0)
        rc = json_parse(&body, http_body(r).p, http_body(r).n, &e);
    if (rc >= 0)
        rc = openai_read(c, body, &messages, &ignored, &e);
    if (ignored.len)
        http_header_add(r, "x-sluice-ignored", ignored.data);
    if (rc >= 0)
        rc = chat_begin(c, &e);
    json_free(messages);
    json_free(body);
    buf_deinit(&ignored);
    if (rc < 0) {
        if (c)
            chat_free(c);
        errors_reply(r, &e);
    }
}
