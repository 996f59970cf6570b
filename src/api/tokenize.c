/* POST /tokenize and /detokenize, as vLLM and llama.cpp answer them. They cost nothing; the work is done on the worker for texts, so that a long one
 * holds no stream up. */
#include "api/chat.h"
#include "api/prompts.h"
#include <string.h>

/* What is asked; the strings and the arrays live in the call, which keeps the model in memory. */
struct text_job {
    struct str text;
    struct json *messages, *variables; /* or NULL */
    struct prompt_in prompt;
    struct vec_i32 tokens;
    bool special, control, strings, pieces;
};

void text_job_free(struct text_job *j)
{
    if (!j)
        return;
    json_free(j->messages);
    json_free(j->variables);
    vec_deinit(&j->tokens);
    mem_free(j);
}

/* The loop thread, after the answer. */
static void done(void *call)
{
    call_free(call);
}

/* ---- reading ---- */

static int find_model(struct call *c, const struct params *p, struct err *e)
{
    struct backend *b = &c->api->backend;
    if (p->has_any_model)
        return read_model(c, p->any_model, e);
    const char *only = NULL;
    size_t n = 0;
    for (size_t i = 0; i < b->n_models(b->self); i++) {
        const struct backend_model *m = b->model_at(b->self, i);
        if (model_allowed(c->api, &c->who, m))
            only = m->alias, n++;
    }
    if (n != 1)
        return err_param(e, ERR_BAD_REQUEST, "model", "model is missing; %zu models are served", n);
    return read_model(c, str_of(only), e);
}

static struct text_job *job_of(struct call *c, struct err *e)
{
    struct text_job *j = mem_new(sizeof *j);
    if (!j) {
        err_set(e, ERR_NO_MEMORY, "out of memory");
        return NULL;
    }
    c->text_job = j;
    return j;
}

/* A conversation, and what its template is told: copies, for the body does not wait for the worker. */
static int read_conversation(struct call *c, struct text_job *j, const struct params *p, struct err *e)
{
    struct buf text;
    int rc = chat_messages(p->conversation, &j->messages, e);
    if (rc >= 0 && p->has_chat_template_kwargs) {
        buf_init(&text, JSON_BYTES_MAX);
        json_dump(&text, p->chat_template_kwargs);
        rc = text.failed ? err_set(e, ERR_NO_MEMORY, "out of memory") : json_parse(&j->variables, text.data, text.len, e);
        buf_deinit(&text);
    }
    j->prompt = (struct prompt_in){.messages = j->messages,
                                   .variables = j->variables,
                                   .tmpl = {arena_str(&c->mem, p->chat_template.p ? p->chat_template.p : "", p->chat_template.n), p->chat_template.n},
                                   .no_answer = p->has_add_generation_prompt && !p->add_generation_prompt};
    return rc >= 0 && !j->prompt.tmpl.p ? err_set(e, ERR_NO_MEMORY, "out of memory") : rc;
}

/* One of prompt, content and messages. */
static int read_source(struct call *c, struct text_job *j, const struct params *p, struct err *e)
{
    const char *name = p->has_conversation ? "messages" : p->has_content ? "content" : "prompt";
    if (p->has_text_prompt + p->has_content + p->has_conversation != 1)
        return err_param(e, ERR_BAD_REQUEST, name, "give one of prompt, content and messages");
    if (p->has_conversation)
        return read_conversation(c, j, p, e);
    const struct json *text = p->has_content ? p->content : p->text_prompt;
    if (json_type(text) != JSON_STR)
        return err_param(e, ERR_BAD_REQUEST, name, "%s must be a string, not %s", name, json_type_name(text));
    j->text = (struct str){arena_str(&c->mem, json_str(text).p, json_str(text).n), json_str(text).n};
    j->special = p->has_content ? p->add_special : !p->has_add_special_tokens || p->add_special_tokens;
    return j->text.p ? 0 : err_set(e, ERR_NO_MEMORY, "out of memory");
}

static int read_tokenize(struct call *c, const struct json *body, struct buf *ignored, struct err *e)
{
    struct params p;
    struct text_job *j = job_of(c, e);
    int rc = j ? params_read(&p, EP_TOKENIZE, body, ignored, e) : -ERR_NO_MEMORY;
    if (rc < 0 || (rc = read_source(c, j, &p, e)) < 0)
        return rc;
    j->control = !p.has_parse_special || p.parse_special;
    j->strings = p.return_token_strs, j->pieces = p.with_pieces;
    return find_model(c, &p, e);
}

static int read_detokenize(struct call *c, const struct json *body, struct buf *ignored, struct err *e)
{
    struct params p;
    struct text_job *j = job_of(c, e);
    int rc = j ? params_read(&p, EP_DETOKENIZE, body, ignored, e) : -ERR_NO_MEMORY;
    if (rc < 0 || (rc = find_model(c, &p, e)) < 0)
        return rc;
    int32_t n_vocab = vocab_size(c->q.model->vocab);
    for (size_t i = 0; i < json_len(p.tokens); i++) {
        const struct json *id = json_at(p.tokens, i);
        if (json_type(id) != JSON_INT)
            return err_param(e, ERR_BAD_REQUEST, "tokens", "tokens[%zu] must be a token's number, not %s", i, json_type_name(id));
        if (json_int(id) < 0 || json_int(id) >= n_vocab)
            return err_param(e, ERR_BAD_VALUE, "tokens", "tokens[%zu] is %lld; the model's tokens are 0 to %d", i, (long long)json_int(id),
                             n_vocab - 1);
        if (!vec_push(&j->tokens, (int32_t)json_int(id)))
            return err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    return 0;
}

/* ---- working, on the worker ---- */

static void put_token(struct jw *w, const struct vocab *v, bool piece, int32_t token)
{
    struct buf bytes;
    if (!piece) {
        jw_i64(w, token);
        return;
    }
    buf_init(&bytes, 0);
    vocab_bytes(v, token, &bytes);
    jw_obj(w);
    jw_key(w, "id"), jw_i64(w, token);
    jw_key(w, "piece");
    if (utf8_valid(bytes.data ? bytes.data : "", bytes.len)) {
        jw_strn(w, bytes.data ? bytes.data : "", bytes.len);
    } else { /* as llama.cpp: the bytes */
        jw_arr(w);
        for (size_t i = 0; i < bytes.len; i++)
            jw_u64(w, (unsigned char)bytes.data[i]);
        jw_arr_end(w);
    }
    jw_obj_end(w);
    buf_deinit(&bytes);
}

static int encode(struct text_job *j, const struct backend_model *m, struct err *e)
{
    const struct vocab *v = m->vocab;
    const struct text_span all = {0, (uint32_t)j->text.n, j->control};
    struct encode_opts o = {.add_bos = j->special && vocab_add_bos(v), .add_eos = j->special};
    if (j->messages)
        return prompt_build(&j->tokens, m, &j->prompt, e);
    return vocab_encode(v, j->text.p, j->text.n, &all, j->text.n > 0, &o, &j->tokens, e);
}

static int tokenize(struct work *work, struct err *e)
{
    struct call *c = work->ctx;
    struct text_job *j = c->text_job;
    const struct backend_model *m = c->q.model;
    struct jw w;
    int rc = encode(j, m, e);
    if (rc < 0)
        return rc;
    jw_init(&w, &work->out);
    jw_obj(&w);
    jw_key(&w, "count"), jw_u64(&w, j->tokens.n);
    jw_key(&w, "max_model_len"), jw_u64(&w, m->n_ctx);
    jw_key(&w, "tokens");
    jw_arr(&w);
    for (size_t i = 0; i < j->tokens.n; i++)
        put_token(&w, m->vocab, j->pieces, j->tokens.p[i]);
    jw_arr_end(&w);
    jw_key(&w, "token_strs");
    if (j->strings) {
        jw_arr(&w);
        for (size_t i = 0; i < j->tokens.n; i++) {
            struct str t = vocab_text(m->vocab, j->tokens.p[i]);
            jw_strn(&w, t.p, t.n);
        }
        jw_arr_end(&w);
    } else {
        jw_null(&w);
    }
    jw_obj_end(&w);
    return 0;
}

/* vLLM calls the text prompt, llama.cpp content: it has both names. */
static int detokenize(struct work *work, struct err *e)
{
    struct call *c = work->ctx;
    struct text_job *j = c->text_job;
    const struct vocab *v = c->q.model->vocab;
    struct detok d;
    struct buf text;
    struct jw w;
    buf_init(&text, 64 << 20);
    detok_init(&d, v, true);
    for (size_t i = 0; i < j->tokens.n; i++) {
        if (vocab_attr(v, j->tokens.p[i]) == TOKEN_CONTROL) { /* shown here: the text is to be seen, not said */
            detok_end(&d, &text);
            vocab_bytes(v, j->tokens.p[i], &text);
        } else {
            detok_add(&d, j->tokens.p[i], &text);
        }
    }
    detok_end(&d, &text);
    jw_init(&w, &work->out);
    jw_obj(&w);
    jw_key(&w, "prompt"), jw_strn(&w, text.data ? text.data : "", text.len);
    jw_key(&w, "content"), jw_strn(&w, text.data ? text.data : "", text.len);
    jw_obj_end(&w);
    bool failed = text.failed;
    buf_deinit(&text);
    return failed ? err_param(e, ERR_TOO_LARGE, "tokens", "the text of these tokens is too large") : 0;
}

/* ---- the routes ---- */

static int begin(struct call *c, const char *route, int (*fn)(struct work *, struct err *), struct err *e)
{
    struct work *w = work_new(c->api, c->r, route, fn);
    if (!w)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    w->ctx = c, w->ctx_free = done;
    worker_run(c->api->texts, w);
    return 0;
}

static int begin_tokenize(struct call *c, struct err *e)
{
    return begin(c, "tokenize", tokenize, e);
}
static int begin_detokenize(struct call *c, struct err *e)
{
    return begin(c, "detokenize", detokenize, e);
}

static const struct call_wire wire_tokenize = {.route = "tokenize", .begin = begin_tokenize};
static const struct call_wire wire_detokenize = {.route = "detokenize", .begin = begin_detokenize};

void route_tokenize(struct http *r, void *app)
{
    call_route(app, r, &wire_tokenize, read_tokenize);
}
void route_detokenize(struct http *r, void *app)
{
    call_route(app, r, &wire_detokenize, read_detokenize);
}
