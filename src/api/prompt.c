/* From messages to tokens: the model's chat template, then its vocabulary, with the trust of each byte kept. */
#include "api/api_int.h"
#include "base/json.h"

/* A token is at most this many bytes of text on average; a longer prompt cannot fit and is refused before it is tokenised. */
enum { PROMPT_BYTES_PER_TOKEN = 16, PROMPT_BYTES_LEAST = 4096 };

static bool starts_with(const struct rendered *t, struct str bos)
{
    return bos.n && t->text.len >= bos.n && t->n_spans && t->spans[0].trusted && str_eq((struct str){t->text.data, bos.n}, bos);
}

/* The template that is asked for. */
static int choose(const struct chat_template **out, const struct backend_model *m, struct str name, struct err *e)
{
    struct buf names;
    *out = template_named(m->tmpl, name);
    if (*out)
        return 0;
    buf_init(&names, 0);
    template_names(m->tmpl, &names);
    int rc = err_param(e, ERR_BAD_VALUE, "chat_template", "%s has no chat template of that name; it has default%s%.200s", m->alias,
                       names.len ? ", " : "", names.len ? names.data : "");
    buf_deinit(&names);
    return rc;
}

static int check_variables(const struct json *variables, struct err *e)
{
    struct str name;
    const struct json *value;
    for (void *it = NULL; variables && json_each(variables, &it, &name, &value);)
        if (template_owns(name))
            return err_param(e, ERR_BAD_VALUE, "chat_template_kwargs", "chat_template_kwargs cannot set %.*s, which sluice sets; leave it out",
                             (int)name.n, name.p);
    return 0;
}

static size_t bytes_max(const struct backend_model *m)
{
    return (size_t)m->n_ctx * PROMPT_BYTES_PER_TOKEN + PROMPT_BYTES_LEAST;
}

static int too_long(const struct backend_model *m, size_t bytes, struct err *e)
{
    return err_param(e, ERR_CONTEXT, "messages", "the conversation has %zu bytes; %s has a context of %u tokens; shorten it", bytes, m->alias,
                     m->n_ctx);
}

static size_t content_bytes(const struct json *messages)
{
    size_t n = 0;
    for (size_t i = 0; i < json_len(messages); i++)
        n += json_str(json_get(json_at(messages, i), "content")).n; /* no more than the request's body */
    return n;
}

static int encode(struct vec_i32 *out, const struct backend_model *m, const struct rendered *text, struct str bos, struct err *e)
{
    struct encode_opts o = {.add_bos = vocab_add_bos(m->vocab) && !starts_with(text, bos), .tokens_max = m->n_ctx - 1};
    if (text->text.len > bytes_max(m))
        return too_long(m, text->text.len, e);
    int rc = vocab_encode(m->vocab, text->text.data ? text->text.data : "", text->text.len, text->spans, text->n_spans, &o, out, e);
    if (rc == -ERR_CONTEXT)
        rc = err_param(e, ERR_CONTEXT, "messages", "the conversation does not fit into the context of %u tokens of %s; shorten it", m->n_ctx,
                       m->alias);
    if (rc >= 0 && out->n == 0)
        return err_param(e, ERR_BAD_VALUE, "messages", "the conversation renders to nothing");
    return rc < 0 ? rc : 0;
}

int prompt_build(struct vec_i32 *out, const struct backend_model *m, const struct prompt_in *in, struct err *e)
{
    struct render_in r = {.messages = in->messages,
                          .extra = in->variables,
                          .bos = vocab_text(m->vocab, vocab_bos(m->vocab)),
                          .eos = vocab_text(m->vocab, vocab_eos(m->vocab)),
                          .effort = in->effort,
                          .add_generation_prompt = !in->no_answer,
                          .now_us = clock_now_us()};
    const struct chat_template *t;
    struct rendered text;
    int rc = choose(&t, m, in->tmpl, e);
    if (rc < 0 || (rc = check_variables(in->variables, e)) < 0)
        return rc;
    rc = template_render(t, &r, &text, e);
    if (rc == -ERR_TEMPLATE && content_bytes(in->messages) > bytes_max(m)) /* then that is what is wrong with it */
        return too_long(m, content_bytes(in->messages), e);
    if (rc == -ERR_TEMPLATE && e) {
        struct err why = *e;
        return err_param(e, ERR_TEMPLATE, "messages", "%.400s; change the conversation or the variables in chat_template_kwargs", why.msg);
    }
    if (rc < 0)
        return rc;
    rc = encode(out, m, &text, r.bos, e);
    rendered_deinit(&text);
    return rc;
}

/* A conversation of the system prompt and another first word of the user. */
static int with_user(struct vec_i32 *out, const struct backend_model *m, struct str system, const char *user, struct err *e)
{
    struct buf b;
    struct jw w;
    struct json *j = NULL;
    buf_init(&b, 0);
    jw_init(&w, &b);
    jw_arr(&w);
    for (int i = 0; i < 2; i++) {
        jw_obj(&w);
        jw_key(&w, "role"), jw_str(&w, i ? "user" : "system");
        struct str text = i ? str_of(user) : system;
        jw_key(&w, "content"), jw_strn(&w, text.p, text.n);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    int rc = json_parse(&j, b.data, b.len, e);
    if (rc >= 0)
        rc = prompt_build(out, m, &(struct prompt_in){.messages = j}, e);
    json_free(j);
    buf_deinit(&b);
    return rc;
}

int api_prefix_tokens(struct vec_i32 *out, const struct backend_model *m, struct str system, struct err *e)
{
    struct vec_i32 other = {0};
    size_t n = 0;
    int rc = with_user(out, m, system, "A", e);
    if (rc >= 0 && (rc = with_user(&other, m, system, "7 B", e)) >= 0)
        while (n < out->n && n < other.n && out->p[n] == other.p[n])
            n++;
    out->n = n;
    vec_deinit(&other);
    return rc;
}
