/* The bodies of completions, embeddings, tokenize and detokenize from an enemy: refused with an error of the 400 class, or prompts whose every token
 * the vocabulary has, within the limits, and sampling within its ranges. The first byte chooses the endpoint. */
#include "api/prompts.h"
#include "base/mem.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

enum { N_VOCAB = 262 };
static struct backend_model model = {.alias = "m", .n_ctx = 500};
static const struct backend_model *find(void *self, struct str alias)
{
    return (void)self, str_eqz(alias, "m") ? &model : NULL;
}

/* <unk> <s> </s>, the bytes, and tokens of fill-in-the-middle. */
static void open_vocab(void)
{
    static const char *const special[] = {"<unk>", "<s>", "</s>"}, *const fim[] = {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"};
    static char names[N_VOCAB][16];
    struct str tokens[N_VOCAB];
    float scores[N_VOCAB] = {0};
    int32_t types[N_VOCAB];
    struct gguf_writer *w;
    struct modelfile *f;
    struct vocab *v;
    struct buf bytes;
    struct err e;
    for (int i = 0; i < N_VOCAB; i++) {
        if (i < 3 || i >= 259)
            str_fmt(names[i], sizeof names[i], "%s", i < 3 ? special[i] : fim[i - 259]);
        else
            str_fmt(names[i], sizeof names[i], "<0x%02X>", (unsigned)(i - 3));
        tokens[i] = str_of(names[i]);
        types[i] = i == 0 ? TOKEN_UNKNOWN : i < 3 || i >= 259 ? TOKEN_CONTROL : TOKEN_BYTE;
    }
    buf_init(&bytes, 0);
    ASSERT(gguf_writer_new(&w, &e) == 0);
    gguf_put_str(w, "general.architecture", STR("llama"));
    gguf_put_str(w, "tokenizer.ggml.model", STR("llama"));
    gguf_put_strs(w, "tokenizer.ggml.tokens", tokens, N_VOCAB);
    gguf_put_f32s(w, "tokenizer.ggml.scores", scores, N_VOCAB);
    gguf_put_i32s(w, "tokenizer.ggml.token_type", types, N_VOCAB);
    ASSERT(gguf_writer_bytes(w, &bytes, &e) == 0 && gguf_parse(&f, bytes.data, bytes.len, &e) == 0 && vocab_load(&v, f, &e) == 0);
    modelfile_close(f);
    gguf_writer_free(w);
    buf_deinit(&bytes);
    model.vocab = v;
}

static int read(struct call *c, enum endpoint ep, const struct json *body, struct buf *ignored, struct err *e)
{
    struct params p;
    int rc = params_read(&p, ep, body, ignored, e);
    if (rc < 0 || !(ep & (EP_COMPLETIONS | EP_EMBEDDINGS)))
        return rc;
    if ((rc = read_model(c, p.model, e)) < 0)
        return rc;
    bool text = ep == EP_COMPLETIONS;
    if (text && ((rc = read_stream(c, &p, e)) < 0 || (rc = read_sampling(c, &p, e)) < 0))
        return rc;
    struct prompts_opts o = {.param = text ? "prompt" : "input",
                             .prompts_max = 128,
                             .tokens_max = 499,
                             .control = text,
                             .add_special = true,
                             .keep_text = text && p.echo,
                             .suffix = text ? p.suffix : (struct str){NULL, 0}};
    return prompts_read(c, text ? p.prompt : p.input, &o, e);
}

static void check_sampling(const struct call_request *q)
{
    const struct sample_params *s = &q->sample;
    ASSERT(s->n_bias <= LOGIT_BIAS_MAX && s->repetition >= 0 && s->repetition <= 100 && s->presence >= -2 && s->presence <= 2);
    ASSERT(s->frequency >= -2 && s->frequency <= 2 && q->n <= CHOICES_MAX);
    for (uint32_t i = 0; i < s->n_bias; i++)
        ASSERT(s->bias[i].token >= 0 && s->bias[i].token < N_VOCAB && s->bias[i].bias >= -100 && s->bias[i].bias <= 100);
}

static void check_prompts(const struct call *c)
{
    ASSERT(c->n_prompts <= 128);
    for (uint32_t i = 0; i < c->n_prompts; i++) {
        const struct call_prompt *p = &c->prompts[i];
        ASSERT(p->tokens.n > 0 && p->tokens.n <= 499);
        for (size_t k = 0; k < p->tokens.n; k++)
            ASSERT(p->tokens.p[k] >= 0 && p->tokens.p[k] < N_VOCAB);
        ASSERT(!p->text.p || utf8_valid(p->text.p, p->text.n));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct api api = {.backend = {.model_find = find}};
    static const enum endpoint all[] = {EP_COMPLETIONS, EP_EMBEDDINGS, EP_TOKENIZE, EP_DETOKENIZE};
    struct call c = {.api = &api, .who = {.all_models = true}};
    struct json *body = NULL;
    struct buf ignored;
    struct err e = {0};
    if (!model.vocab)
        open_vocab();
    if (!n)
        return 0;
    arena_init(&c.mem, 8 << 20);
    buf_init(&ignored, IGNORED_BYTES_MAX + 8);
    int rc = json_parse(&body, (const char *)p + 1, n - 1, &e);
    if (rc == 0)
        rc = read(&c, all[p[0] % 4], body, &ignored, &e);
    if (rc < 0) {
        ASSERT(err_http(e.code) >= 400 && err_http(e.code) < 500 && e.msg[0] && utf8_valid(e.param, strlen(e.param)));
    } else {
        check_sampling(&c.q);
        check_prompts(&c);
    }
    ASSERT(!ignored.failed && ignored.len <= IGNORED_BYTES_MAX);
    for (uint32_t i = 0; i < c.n_prompts; i++)
        vec_deinit(&c.prompts[i].tokens);
    json_free(body);
    buf_deinit(&ignored);
    arena_deinit(&c.mem);
    return 0;
}
