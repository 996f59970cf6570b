/* POST /v1/embeddings: one vector of length 1 for each text. Metered are the input tokens. */
#include "api/answer.h"
#include "api/prompts.h"
#include <string.h>

enum { INPUTS_MAX = 2048 };

static int read_shape(struct call *c, const struct params *p, struct err *e)
{
    uint32_t width = c->q.model->n_embd;
    if (p->has_dimensions && (uint32_t)p->dimensions != width)
        return err_param(e, ERR_BAD_VALUE, "dimensions",
                         "dimensions is %u and the vectors of %s have %u; its file does not say that they may be cut: leave dimensions out",
                         (uint32_t)p->dimensions, c->q.model->alias, width);
    c->q.base64 = p->has_encoding_format && str_eqz(p->encoding_format, "base64");
    if (p->has_encoding_format && !c->q.base64 && !str_eqz(p->encoding_format, "float"))
        return err_param(e, ERR_BAD_VALUE, "encoding_format", "encoding_format must be float or base64");
    return 0;
}

static int read(struct call *c, const struct json *body, struct buf *ignored, struct err *e)
{
    struct params p;
    int rc = params_read(&p, EP_EMBEDDINGS, body, ignored, e);
    if (rc < 0 || (rc = read_model(c, p.model, e)) < 0 || (rc = read_shape(c, &p, e)) < 0)
        return rc;
    c->q.kind = SEQ_EMBED;
    struct prompts_opts o = {.param = "input", .prompts_max = INPUTS_MAX, .tokens_max = c->q.model->n_ctx, .add_special = true};
    return prompts_plan(c, p.input, &o, e);
}

static void put_vector(struct jw *w, const struct choice *ch)
{
    const struct call *c = ch->call;
    size_t n = c->q.model->n_embd;
    if (c->q.base64) {
        struct buf text;
        buf_init(&text, 0);
        buf_base64(&text, ch->vector, n * sizeof *ch->vector); /* this machine is little-endian, as the format wants it */
        jw_strn(w, text.data ? text.data : "", text.len);
        w->b->failed |= text.failed;
        buf_deinit(&text);
        return;
    }
    jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        char text[32];
        str_fmt(text, sizeof text, "%.9g", (double)ch->vector[i]); /* nine digits give a float back */
        jw_raw(w, text, strlen(text));
    }
    jw_arr_end(w);
}

static void put_usage(struct jw *w, const struct call *c)
{
    uint64_t in = (uint64_t)c->counts.input + c->counts.cache_read + c->counts.cache_write;
    jw_key(w, "usage");
    jw_obj(w);
    jw_key(w, "prompt_tokens"), jw_u64(w, in);
    jw_key(w, "total_tokens"), jw_u64(w, in);
    answer_bill(w, c);
    jw_obj_end(w);
}

static void on_done(struct call *c, struct choice *last)
{
    struct jw w;
    (void)last;
    answer_scratch(c, &w);
    jw_obj(&w);
    jw_key(&w, "object"), jw_str(&w, "list");
    jw_key(&w, "data");
    jw_arr(&w);
    for (uint32_t i = 0; i < c->n_choices; i++) {
        jw_obj(&w);
        jw_key(&w, "object"), jw_str(&w, "embedding");
        jw_key(&w, "index"), jw_u64(&w, i);
        jw_key(&w, "embedding");
        put_vector(&w, &c->choices[i]);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_key(&w, "model"), jw_str(&w, c->q.model->alias);
    put_usage(&w, c);
    jw_obj_end(&w);
    answer_reply(c);
}

static void on_open(struct call *c)
{
    (void)c;
}
static void on_text(struct choice *ch, const char *p, size_t n)
{
    (void)ch, (void)p, (void)n;
}
static void on_ended(struct choice *ch)
{
    (void)ch;
}

static const struct call_wire wire = {"embeddings", NULL, on_open, on_text, on_ended, on_done, answer_fail, NULL};

void route_embeddings(struct http *r, void *app)
{
    call_route(app, r, &wire, read);
}
