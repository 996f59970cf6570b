/* From messages to tokens: the model's chat template, then its vocabulary, with the trust of each byte kept. */
#include "api/api_int.h"

/* A token is at most this many bytes of text on average; a longer prompt cannot fit and is refused before it is tokenised. */
enum { PROMPT_BYTES_PER_TOKEN = 16, PROMPT_BYTES_LEAST = 4096 };

static bool starts_with(const struct rendered *t, struct str bos)
{
    return bos.n && t->text.len >= bos.n && t->n_spans && t->spans[0].trusted && str_eq((struct str){t->text.data, bos.n}, bos);
}

int prompt_build(struct vec_i32 *out, const struct backend_model *m, const struct json *messages, struct err *e)
{
    struct str bos = vocab_text(m->vocab, vocab_bos(m->vocab)), eos = vocab_text(m->vocab, vocab_eos(m->vocab));
    size_t bytes = (size_t)m->n_ctx * PROMPT_BYTES_PER_TOKEN + PROMPT_BYTES_LEAST;
    struct render_in in = {.messages = messages, .bos = bos, .eos = eos, .add_generation_prompt = true, .now_us = clock_now_us()};
    struct rendered text;
    int rc = template_render(m->tmpl, &in, &text, e);
    if (rc < 0)
        return rc;
    if (text.text.len > bytes) {
        rc = err_param(e, ERR_CONTEXT, "messages", "the conversation has %zu bytes; %s has a context of %u tokens; shorten it", text.text.len,
                       m->alias, m->n_ctx);
    } else {
        struct encode_opts o = {.add_bos = vocab_add_bos(m->vocab) && !starts_with(&text, bos), .tokens_max = m->n_ctx - 1};
        rc = vocab_encode(m->vocab, text.text.data ? text.text.data : "", text.text.len, text.spans, text.n_spans, &o, out, e);
        if (rc == -ERR_CONTEXT)
            rc = err_param(e, ERR_CONTEXT, "messages", "the conversation does not fit into the context of %u tokens of %s; shorten it", m->n_ctx,
                           m->alias);
    }
    rendered_deinit(&text);
    if (rc >= 0 && out->n == 0)
        return err_param(e, ERR_BAD_VALUE, "messages", "the conversation renders to nothing");
    return rc < 0 ? rc : 0;
}
