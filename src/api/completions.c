/* POST /v1/completions: a text that goes on. The prompt is the caller's as a whole, so control tokens in it are recognised. */
#include "api/answer.h"
#include "api/choices.h"
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

/* ---- the answer ---- */

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

/* The text, behind the prompt when that is echoed. */
static void put_text(struct jw *w, const struct choice *ch, bool first, const char *p, size_t n)
{
    const struct call *c = ch->call;
    const struct str *echo = &c->prompts[ch->prompt].text;
    struct buf text;
    buf_init(&text, 0);
    if (first && c->q.echo)
        buf_add(&text, echo->p, echo->n);
    buf_add(&text, p, n);
    jw_key(w, "text"), jw_strn(w, text.data ? text.data : "", text.len);
    w->b->failed |= text.failed;
    buf_deinit(&text);
}

static void put(struct jw *w, struct choice *ch, bool first, bool last, const char *p, size_t n)
{
    put_text(w, ch, first, p, n);
    jw_key(w, "index"), jw_u64(w, ch->index);
    put_logprobs(w, ch, told_ready(ch, p, n, last), first);
}

static void put_whole(struct jw *w, struct choice *ch)
{
    put(w, ch, true, true, ch->text.data, ch->text.len);
}

static void put_part(struct jw *w, struct choice *ch, enum choices_part part, const char *p, size_t n)
{
    bool first = !ch->begun;
    ch->begun = true;
    put(w, ch, first, part == CHOICES_LAST, p, n);
}

static const struct choices_form form = {"cmpl", "text_completion", "text_completion", false, put_whole, put_part};
static const struct call_wire wire = {"completions", NULL, choices_open, choices_text, choices_ended, choices_done, answer_fail, &form};

void route_completions(struct http *r, void *app)
{
    call_route(app, r, &wire, read);
}
