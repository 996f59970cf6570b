#include "api/prompts.h"
#include <string.h>

/* A token is at most this many bytes of text on average; a longer text cannot fit and is refused before it is tokenised. */
enum { BYTES_PER_TOKEN = 16, BYTES_LEAST = 4096 };

/* prompt, or prompt[3] */
static void name_of(char at[64], const struct prompts_opts *o, size_t i, bool many)
{
    if (many)
        str_fmt(at, 64, "%.32s[%zu]", o->param, i);
    else
        str_fmt(at, 64, "%.32s", o->param);
}

static int too_long(const struct call *c, const struct prompts_opts *o, const char *at, struct err *e)
{
    return err_param(e, ERR_CONTEXT, at, "%s does not fit: %s takes %u tokens of text here (its context is %u); shorten it", at, c->q.model->alias,
                     o->tokens_max, c->q.model->n_ctx);
}

static int encode(const struct call *c, const struct prompts_opts *o, struct str text, bool special, struct vec_i32 *out, struct err *e)
{
    const struct vocab *v = c->q.model->vocab;
    const struct text_span all = {0, (uint32_t)text.n, o->control};
    struct encode_opts eo = {.add_bos = special && vocab_add_bos(v), .add_eos = special, .tokens_max = o->tokens_max};
    return vocab_encode(v, text.p, text.n, &all, text.n > 0, &eo, out, e);
}

/* prefix token, prompt, suffix token, suffix, middle token: the order that models are trained with and llama.cpp uses. */
static int encode_middle(const struct call *c, const struct prompts_opts *o, struct str text, struct vec_i32 *out, struct err *e)
{
    const struct vocab *v = c->q.model->vocab;
    struct fim_tokens t;
    int rc;
    if (!vocab_fim(v, &t))
        return err_param(e, ERR_BAD_VALUE, "suffix", "suffix: the model %s has no tokens for filling in the middle; leave it out", c->q.model->alias);
    if (vocab_add_bos(v) && !vec_push(out, vocab_bos(v)))
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if (!vec_push(out, t.prefix))
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if ((rc = encode(c, o, text, false, out, e)) < 0)
        return rc;
    if (!vec_push(out, t.suffix))
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    if ((rc = encode(c, o, o->suffix, false, out, e)) < 0)
        return rc;
    if (!vec_push(out, t.middle))
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    return out->n > o->tokens_max ? -ERR_CONTEXT : 0;
}

static int read_text(struct call *c, struct call_prompt *p, struct str text, const struct prompts_opts *o, const char *at, struct err *e)
{
    size_t bytes = text.n + (o->suffix.n), most = (size_t)c->q.model->n_ctx * BYTES_PER_TOKEN + BYTES_LEAST;
    if (!text.n && !o->suffix.n)
        return err_param(e, ERR_BAD_VALUE, at, "%s is an empty string; give it some text", at);
    const char *blame = o->suffix.n > text.n ? "suffix" : at;
    if (bytes > most)
        return too_long(c, o, blame, e);
    int rc = o->suffix.n ? encode_middle(c, o, text, &p->tokens, e) : encode(c, o, text, o->add_special, &p->tokens, e);
    if (rc == -ERR_CONTEXT)
        return too_long(c, o, blame, e);
    if (rc < 0)
        return rc;
    if (!p->tokens.n)
        return err_param(e, ERR_BAD_VALUE, at, "%s has no tokens; give it some text", at);
    if (o->keep_text)
        p->text = (struct str){arena_str(&c->mem, text.p, text.n), text.n};
    return o->keep_text && !p->text.p ? err_set(e, ERR_NO_MEMORY, "out of memory") : 0;
}

/* What echo returns of a prompt that came as tokens. */
static int spell(struct call *c, struct call_prompt *p, struct err *e)
{
    struct detok d;
    struct buf text;
    buf_init(&text, 0);
    detok_init(&d, c->q.model->vocab, true);
    for (size_t i = 0; i < p->tokens.n; i++)
        detok_add(&d, p->tokens.p[i], &text);
    detok_end(&d, &text);
    p->text = (struct str){arena_str(&c->mem, text.data ? text.data : "", text.len), text.len};
    bool ok = p->text.p && !text.failed;
    buf_deinit(&text);
    return ok ? 0 : err_set(e, ERR_NO_MEMORY, "out of memory");
}

static int read_tokens(struct call *c, struct call_prompt *p, const struct json *ids, const struct prompts_opts *o, const char *at, struct err *e)
{
    int32_t n_vocab = vocab_size(c->q.model->vocab);
    if (!json_len(ids))
        return err_param(e, ERR_BAD_VALUE, at, "%s is an empty array; give it some tokens", at);
    if (json_len(ids) > o->tokens_max)
        return too_long(c, o, at, e);
    if (o->suffix.n)
        return err_param(e, ERR_BAD_VALUE, "suffix", "suffix is only allowed with one string as the prompt");
    for (size_t i = 0; i < json_len(ids); i++) {
        const struct json *id = json_at(ids, i);
        if (json_type(id) != JSON_INT)
            return err_param(e, ERR_BAD_REQUEST, at, "%s[%zu] must be a token's number, not %s", at, i, json_type_name(id));
        if (json_int(id) < 0 || json_int(id) >= n_vocab)
            return err_param(e, ERR_BAD_VALUE, at, "%s[%zu] is %lld; the model's tokens are 0 to %d", at, i, (long long)json_int(id), n_vocab - 1);
        if (!vec_push(&p->tokens, (int32_t)json_int(id)))
            return err_set(e, ERR_NO_MEMORY, "out of memory");
    }
    return o->keep_text ? spell(c, p, e) : 0;
}

int prompts_read(struct call *c, const struct json *in, const struct prompts_opts *o, struct err *e)
{
    char at[64];
    enum json_type first = json_type(json_at(in, 0));
    bool many = json_type(in) == JSON_ARR && (first == JSON_STR || first == JSON_ARR);
    if (json_type(in) != JSON_STR && json_type(in) != JSON_ARR)
        return err_param(e, ERR_BAD_REQUEST, o->param, "%s must be a string, an array of strings, token ids or an array of arrays of them, not %s",
                         o->param, json_type_name(in));
    if (json_type(in) == JSON_ARR && !json_len(in))
        return err_param(e, ERR_BAD_VALUE, o->param, "%s is an empty array; give it some text", o->param);
    size_t n = many ? json_len(in) : 1;
    if (n > o->prompts_max)
        return err_param(e, ERR_BAD_VALUE, o->param, "%s has %zu elements; at most %u are taken in one request", o->param, n, o->prompts_max);
    if (many && o->suffix.n)
        return err_param(e, ERR_BAD_VALUE, "suffix", "suffix is only allowed with one string as the prompt");
    int rc = call_prompts(c, (uint32_t)n, e);
    for (size_t i = 0; i < n && rc >= 0; i++) {
        const struct json *one = many ? json_at(in, i) : in;
        name_of(at, o, i, many);
        if (many && json_type(one) != first)
            rc = err_param(e, ERR_BAD_REQUEST, at, "%s is %s, unlike the elements before it", at, json_type_name(one));
        else
            rc = json_type(one) == JSON_STR ? read_text(c, &c->prompts[i], json_str(one), o, at, e) : read_tokens(c, &c->prompts[i], one, o, at, e);
    }
    return rc;
}

struct plan {
    struct prompts_opts o;
    const struct json *in;
};

static int encode_plan(struct call *c, struct err *e)
{
    const struct plan *p = c->source;
    return prompts_read(c, p->in, &p->o, e);
}

int prompts_plan(struct call *c, const struct json *in, const struct prompts_opts *o, struct err *e)
{
    struct plan *p = c->source = arena_new(&c->mem, sizeof *p);
    if (!p)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    *p = (struct plan){*o, in};
    c->encode = encode_plan;
    return 0;
}
