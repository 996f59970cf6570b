/* POST /v1/completions: a text that goes on. The prompt is the caller's as a whole, so control tokens in it are recognised. */
#include "api/answer.h"
#include "api/logprobs.h"
#include "api/prompts.h"

enum { PROMPTS_MAX = 128 };

/* ---- the request ---- */

static int read_limits(struct call *c, const struct params *p, struct err *e)
{
    uint32_t n = p->has_n ? (uint32_t)p->n : 1;
    if (p->has_best_of && (uint32_t)p->best_of != n)
        return err_param(e, ERR_BAD_VALUE, "best_of", "best_of is %u and n is %u; answers are not computed and thrown away here: leave best_of out",
                         (uint32_t)p->best_of, n);
    c->q.max_tokens = p->has_completion_max_tokens ? (uint32_t)p->completion_max_tokens : 16;
    c->q.kind = c->q.max_tokens ? SEQ_GENERATE : SEQ_SCORE;
    c->q.echo = p->echo;
    c->q.logprobs = p->has_completion_logprobs && c->q.max_tokens;
    c->q.prompt_logprobs = p->has_completion_logprobs && p->echo;
    c->q.top_logprobs = (uint32_t)p->completion_logprobs;
    return 0;
}

static int read(struct call *c, const struct json *body, struct buf *ignored, struct err *e)
{
    struct params p;
    int rc = params_read(&p, EP_COMPLETIONS, body, ignored, e);
    if (rc < 0 || (rc = read_model(c, p.model, e)) < 0 || (rc = read_stream(c, &p, e)) < 0 || (rc = read_sampling(c, &p, e)) < 0 ||
        (rc = read_limits(c, &p, e)) < 0)
        return rc;
    struct prompts_opts o = {.param = "prompt",
                             .prompts_max = PROMPTS_MAX,
                             .tokens_max = c->q.model->n_ctx - (c->q.kind == SEQ_GENERATE),
                             .control = true,
                             .add_special = true,
                             .keep_text = p.echo,
                             .suffix = p.suffix};
    return prompts_plan(c, p.prompt, &o, e);
}

/* ---- the answers ---- */

/* The next n entries; the prompt's come with the first. */
static void put_logprobs(struct jw *w, struct choice *ch, size_t n, bool first)
{
    const struct call_request *q = &ch->call->q;
    bool prompt = first && q->prompt_logprobs;
    jw_key(w, "logprobs");
    if (n || prompt)
        told_completion(w, ch, n, prompt, q->echo ? utf8_count(ch->call->prompts[ch->prompt].text.p, ch->call->prompts[ch->prompt].text.n) : 0);
    else
        jw_null(w);
}

static void put_choice(struct jw *w, struct choice *ch)
{
    const struct call *c = ch->call;
    const struct call_prompt *p = &c->prompts[ch->prompt];
    struct buf text;
    buf_init(&text, 0);
    buf_add(&text, p->text.p, c->q.echo ? p->text.n : 0);
    buf_add(&text, ch->text.data, ch->text.len);
    jw_obj(w);
    jw_key(w, "text"), jw_strn(w, text.data ? text.data : "", text.len);
    jw_key(w, "index"), jw_u64(w, ch->index);
    put_logprobs(w, ch, told_ready(ch, ch->text.data, ch->text.len, true), true);
    answer_finish(w, ch);
    jw_obj_end(w);
    w->b->failed |= text.failed;
    buf_deinit(&text);
}

static void reply(struct call *c)
{
    struct jw w;
    answer_scratch(c, &w);
    answer_head(&w, c, "cmpl", "text_completion");
    jw_key(&w, "choices");
    jw_arr(&w);
    for (uint32_t i = 0; i < c->n_choices; i++)
        put_choice(&w, &c->choices[i]);
    jw_arr_end(&w);
    answer_usage(&w, c);
    jw_obj_end(&w);
    answer_reply(c);
}

/* One event: the prompt before the first text of a choice when it is echoed. */
static void send_chunk(struct choice *ch, const char *p, size_t n, bool end)
{
    struct call *c = ch->call;
    const struct str *echo = &c->prompts[ch->prompt].text;
    bool first = !ch->begun;
    size_t ready = told_ready(ch, p, n, end);
    struct buf text;
    struct jw w;
    ch->begun = true;
    buf_init(&text, 0);
    if (first && c->q.echo)
        buf_add(&text, echo->p, echo->n);
    buf_add(&text, p, n);
    answer_scratch(c, &w);
    answer_head(&w, c, "cmpl", "text_completion");
    jw_key(&w, "choices");
    jw_arr(&w);
    jw_obj(&w);
    jw_key(&w, "text"), jw_strn(&w, text.data ? text.data : "", text.len);
    jw_key(&w, "index"), jw_u64(&w, ch->index);
    put_logprobs(&w, ch, ready, first);
    if (end)
        answer_finish(&w, ch);
    else
        jw_key(&w, "finish_reason"), jw_null(&w);
    jw_obj_end(&w);
    jw_arr_end(&w);
    if (c->q.include_usage)
        jw_key(&w, "usage"), jw_null(&w);
    else if (end && !c->n_live)
        answer_bill(&w, c);
    jw_obj_end(&w);
    answer_event(c);
    buf_deinit(&text);
}

static void send_usage(struct call *c)
{
    struct jw w;
    answer_scratch(c, &w);
    answer_head(&w, c, "cmpl", "text_completion");
    jw_key(&w, "choices");
    jw_arr(&w);
    jw_arr_end(&w);
    answer_usage(&w, c);
    jw_obj_end(&w);
    answer_event(c);
}

static void on_open(struct call *c)
{
    if (c->q.stream)
        answer_open(c);
}

static void on_text(struct choice *ch, const char *p, size_t n)
{
    if (ch->call->q.stream)
        send_chunk(ch, p, n, false);
    else
        buf_add(&ch->text, p, n);
}

static void on_ended(struct choice *ch)
{
    if (ch->call->q.stream)
        send_chunk(ch, "", 0, true);
}

static void on_done(struct call *c, struct choice *last)
{
    if (!c->q.stream) {
        reply(c);
        return;
    }
    send_chunk(last, "", 0, true);
    if (c->q.include_usage)
        send_usage(c);
    answer_end(c);
}

static const struct call_wire wire = {"completions", NULL, on_open, on_text, on_ended, on_done, answer_fail};

void route_completions(struct http *r, void *app)
{
    call_route(app, r, &wire, read);
}
