#include "api/chat.h"
#include "api/answer.h"
#include "api/choices.h"
#include "api/logprobs.h"

/* ---- the request ---- */

int chat_fields(struct call *c, const struct json *body, struct prompt_in *in, struct buf *ignored, struct err *e)
{
    struct params p;
    int rc = params_read(&p, EP_CHAT, body, ignored, e);
    if (rc < 0 || (rc = read_model(c, p.model, e)) < 0 || (rc = read_tier(c, &p, e)) < 0 || (rc = read_stream(c, &p, e)) < 0 ||
        (rc = read_sampling(c, &p, e)) < 0)
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

/* ---- the answer ---- */

static void put_logprobs(struct jw *w, struct choice *ch, size_t n)
{
    jw_key(w, "logprobs");
    if (n)
        told_chat(w, ch, n);
    else
        jw_null(w);
}

static void put_whole(struct jw *w, struct choice *ch)
{
    jw_key(w, "index"), jw_u64(w, ch->index);
    jw_key(w, "message");
    jw_obj(w);
    jw_key(w, "role"), jw_str(w, "assistant");
    jw_key(w, "content"), jw_strn(w, ch->text.data ? ch->text.data : "", ch->text.len);
    jw_key(w, "refusal"), jw_null(w);
    jw_obj_end(w);
    put_logprobs(w, ch, told_ready(ch, ch->text.data, ch->text.len, true));
}

static void put_part(struct jw *w, struct choice *ch, enum choices_part part, const char *p, size_t n)
{
    jw_key(w, "index"), jw_u64(w, ch->index);
    jw_key(w, "delta");
    jw_obj(w);
    if (part == CHOICES_FIRST)
        jw_key(w, "role"), jw_str(w, "assistant");
    if (part != CHOICES_LAST)
        jw_key(w, "content"), jw_strn(w, p, n);
    jw_obj_end(w);
    put_logprobs(w, ch, part == CHOICES_FIRST ? 0 : told_ready(ch, p, n, part == CHOICES_LAST));
}

static const struct choices_form form = {"chatcmpl", "chat.completion", "chat.completion.chunk", true, put_whole, put_part};
static const struct call_wire wire = {"chat", NULL, choices_open, choices_text, choices_ended, choices_done, answer_fail, &form};

void route_chat(struct http *r, void *app)
{
    call_route(app, r, &wire, read);
}
