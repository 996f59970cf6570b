#include "api/chat.h"
#include "api/answer.h"
#include "api/logprobs.h"

/* ---- the request ---- */

int chat_fields(struct call *c, const struct json *body, struct prompt_in *in, struct buf *ignored, struct err *e)
{
    struct params p;
    int rc = params_read(&p, EP_CHAT, body, ignored, e);
    if (rc < 0 || (rc = read_model(c, p.model, e)) < 0 || (rc = read_stream(c, &p, e)) < 0 || (rc = read_sampling(c, &p, e)) < 0)
        return rc;
    if (p.has_top_logprobs && !p.logprobs)
        return err_param(e, ERR_BAD_VALUE, "top_logprobs", "top_logprobs is only allowed together with logprobs: true");
    c->q.logprobs = p.logprobs, c->q.top_logprobs = (uint32_t)p.top_logprobs;
    c->q.max_tokens = (uint32_t)(p.has_max_completion_tokens ? p.max_completion_tokens : p.max_tokens);
    rc = chat_messages(p.messages, &c->messages, e);
    *in = (struct prompt_in){.messages = c->messages, .variables = p.chat_template_kwargs, .tmpl = p.chat_template, .effort = p.reasoning_effort};
    return rc;
}

static int encode(struct call *c, struct err *e)
{
    int rc = call_prompts(c, 1, e);
    return rc < 0 ? rc : prompt_build(&c->prompts[0].tokens, c->q.model, c->source, e);
}

static int read(struct call *c, const struct json *body, struct buf *ignored, struct err *e)
{
    struct prompt_in *in = c->source = arena_new(&c->mem, sizeof *in);
    c->encode = encode;
    return in ? chat_fields(c, body, in, ignored, e) : err_set(e, ERR_NO_MEMORY, "out of memory");
}

/* ---- a plain answer ---- */

static void put_logprobs(struct jw *w, struct choice *ch, size_t n)
{
    jw_key(w, "logprobs");
    if (n)
        told_chat(w, ch, n);
    else
        jw_null(w);
}

static void put_choice(struct jw *w, struct choice *ch)
{
    jw_obj(w);
    jw_key(w, "index"), jw_u64(w, ch->index);
    jw_key(w, "message");
    jw_obj(w);
    jw_key(w, "role"), jw_str(w, "assistant");
    jw_key(w, "content"), jw_strn(w, ch->text.data ? ch->text.data : "", ch->text.len);
    jw_key(w, "refusal"), jw_null(w);
    jw_obj_end(w);
    put_logprobs(w, ch, told_ready(ch, ch->text.data, ch->text.len, true));
    answer_finish(w, ch);
    jw_obj_end(w);
}

static void reply(struct call *c)
{
    struct jw w;
    answer_scratch(c, &w);
    answer_head(&w, c, "chatcmpl", "chat.completion");
    jw_key(&w, "choices");
    jw_arr(&w);
    for (uint32_t i = 0; i < c->n_choices; i++)
        put_choice(&w, &c->choices[i]);
    jw_arr_end(&w);
    answer_usage(&w, c);
    jw_obj_end(&w);
    answer_reply(c);
}

/* ---- a streamed answer ---- */

enum part { PART_ROLE, PART_TEXT, PART_END };

static void send_chunk(struct choice *ch, enum part part, const char *p, size_t n)
{
    struct call *c = ch->call;
    struct jw w;
    answer_scratch(c, &w);
    answer_head(&w, c, "chatcmpl", "chat.completion.chunk");
    jw_key(&w, "choices");
    jw_arr(&w);
    jw_obj(&w);
    jw_key(&w, "index"), jw_u64(&w, ch->index);
    jw_key(&w, "delta");
    jw_obj(&w);
    if (part == PART_ROLE)
        jw_key(&w, "role"), jw_str(&w, "assistant");
    if (part != PART_END)
        jw_key(&w, "content"), jw_strn(&w, p, n);
    jw_obj_end(&w);
    put_logprobs(&w, ch, part == PART_ROLE ? 0 : told_ready(ch, p, n, part == PART_END));
    if (part == PART_END)
        answer_finish(&w, ch);
    else
        jw_key(&w, "finish_reason"), jw_null(&w);
    jw_obj_end(&w);
    jw_arr_end(&w);
    if (c->q.include_usage)
        jw_key(&w, "usage"), jw_null(&w);
    else if (part == PART_END && !c->n_live)
        answer_bill(&w, c);
    jw_obj_end(&w);
    answer_event(c);
}

static void send_usage(struct call *c)
{
    struct jw w;
    answer_scratch(c, &w);
    answer_head(&w, c, "chatcmpl", "chat.completion.chunk");
    jw_key(&w, "choices");
    jw_arr(&w);
    jw_arr_end(&w);
    answer_usage(&w, c);
    jw_obj_end(&w);
    answer_event(c);
}

/* ---- what call.c calls ---- */

static void on_open(struct call *c)
{
    if (!c->q.stream)
        return;
    answer_open(c);
    for (uint32_t i = 0; i < c->n_choices && c->r; i++)
        send_chunk(&c->choices[i], PART_ROLE, "", 0);
}

static void on_text(struct choice *ch, const char *p, size_t n)
{
    if (ch->call->q.stream)
        send_chunk(ch, PART_TEXT, p, n);
    else
        buf_add(&ch->text, p, n);
}

static void on_ended(struct choice *ch)
{
    if (ch->call->q.stream)
        send_chunk(ch, PART_END, NULL, 0);
}

static void on_done(struct call *c, struct choice *last)
{
    if (!c->q.stream) {
        reply(c);
        return;
    }
    send_chunk(last, PART_END, NULL, 0);
    if (c->q.include_usage)
        send_usage(c);
    answer_end(c);
}

static const struct call_wire wire = {"chat", NULL, on_open, on_text, on_ended, on_done, answer_fail};

void route_chat(struct http *r, void *app)
{
    call_route(app, r, &wire, read);
}
