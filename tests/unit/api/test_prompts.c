/* Prompts of completions and embeddings: every form, what is refused and by which name, fill in the middle. The vocabulary is one of bytes. */
#include "api/prompts.h"
#include "base/mem.h"
#include "test.h"

enum { N_VOCAB = 262, FIM_PRE = 259, FIM_SUF = 260, FIM_MID = 261 };
static struct backend_model model = {.alias = "m", .n_ctx = 40};

/* <unk> <s> </s>, the 256 bytes, and tokens of fill-in-the-middle: named by the file, by their texts, or absent. */
static bool open_vocab(bool bos, int fim)
{
    static char names[N_VOCAB][16];
    struct str tokens[N_VOCAB];
    float scores[N_VOCAB] = {0};
    int32_t types[N_VOCAB];
    struct buf bytes;
    struct modelfile *f;
    struct gguf_writer *w;
    struct err e;
    static const char *const special[] = {"<unk>", "<s>", "</s>"}, *const known[] = {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"};
    for (int i = 0; i < N_VOCAB; i++) {
        if (i < 3)
            snprintf(names[i], sizeof names[i], "%s", special[i]);
        else if (i < FIM_PRE)
            snprintf(names[i], sizeof names[i], "<0x%02X>", (unsigned)(i - 3) & 255);
        else if (fim == 2)
            snprintf(names[i], sizeof names[i], "%s", known[i - FIM_PRE]);
        else
            snprintf(names[i], sizeof names[i], "<|x%d|>", i);
        tokens[i] = str_of(names[i]);
        types[i] = i == 0 ? TOKEN_UNKNOWN : i < 3 || i >= FIM_PRE ? TOKEN_CONTROL : TOKEN_BYTE;
    }
    buf_init(&bytes, 0);
    if (gguf_writer_new(&w, &e) < 0)
        return false;
    gguf_put_str(w, "general.architecture", STR("llama"));
    gguf_put_str(w, "tokenizer.ggml.model", STR("llama"));
    gguf_put_strs(w, "tokenizer.ggml.tokens", tokens, N_VOCAB);
    gguf_put_f32s(w, "tokenizer.ggml.scores", scores, N_VOCAB);
    gguf_put_i32s(w, "tokenizer.ggml.token_type", types, N_VOCAB);
    gguf_put_bool(w, "tokenizer.ggml.add_space_prefix", false);
    gguf_put_bool(w, "tokenizer.ggml.add_bos_token", bos);
    if (fim == 1) {
        gguf_put_u32(w, "tokenizer.ggml.fim_pre_token_id", FIM_PRE);
        gguf_put_u32(w, "tokenizer.ggml.fim_suf_token_id", FIM_SUF);
        gguf_put_u32(w, "tokenizer.ggml.fim_mid_token_id", FIM_MID);
    }
    vocab_free((struct vocab *)(uintptr_t)model.vocab);
    model.vocab = NULL;
    struct vocab *v = NULL;
    bool ok = gguf_writer_bytes(w, &bytes, &e) == 0 && gguf_parse(&f, bytes.data, bytes.len, &e) == 0;
    if (ok && vocab_load(&v, f, &e) < 0)
        printf("%s\n", e.msg);
    model.vocab = v;
    if (ok)
        modelfile_close(f);
    gguf_writer_free(w);
    buf_deinit(&bytes);
    return v != NULL;
}

static struct api api;
static struct call call;
/* Reads a prompt; the call keeps it until the next. */
static int read(const char *json, const struct prompts_opts *o, struct err *e)
{
    struct json *j;
    for (uint32_t i = 0; i < call.n_prompts; i++)
        vec_deinit(&call.prompts[i].tokens);
    arena_deinit(&call.mem);
    call = (struct call){.api = &api, .q = {.model = &model}};
    arena_init(&call.mem, 1 << 20);
    memset(e, 0, sizeof *e);
    if (json_parse(&j, json, strlen(json), e) < 0)
        return -1;
    int rc = prompts_read(&call, j, o, e);
    json_free(j);
    return rc;
}

/* Tokens of prompt i: bytes as themselves, others as <number>. */
static const char *shown(uint32_t i)
{
    static char text[512];
    size_t n = 0;
    text[0] = '\0';
    for (size_t k = 0; i < call.n_prompts && k < call.prompts[i].tokens.n && n < 400; k++) {
        int32_t t = call.prompts[i].tokens.p[k];
        n += (size_t)snprintf(text + n, sizeof text - n, t >= 3 && t < FIM_PRE ? "%c" : "<%d>", t >= 3 && t < FIM_PRE ? t - 3 : t);
    }
    return text;
}

static const struct prompts_opts plain = {
    .param = "prompt", .prompts_max = 3, .tokens_max = 39, .control = true, .add_special = true, .keep_text = true};

TEST(each_form_is_read)
{
    struct err e;
    CHECK(open_vocab(true, 0));
    CHECK_MSG(read("\"hi\"", &plain, &e) == 0 && call.n_prompts == 1 && !strcmp(shown(0), "<1>hi") && str_eqz(call.prompts[0].text, "hi"), "%s %s",
              shown(0), e.msg);
    CHECK(read("[\"a\",\"bc\"]", &plain, &e) == 0 && call.n_prompts == 2 && !strcmp(shown(1), "<1>bc") && str_eqz(call.prompts[1].text, "bc"));
    CHECK(read("[107,108,2]", &plain, &e) == 0 && call.n_prompts == 1 && !strcmp(shown(0), "hi<2>") && str_eqz(call.prompts[0].text, "hi"));
    CHECK(read("[[107],[108,108]]", &plain, &e) == 0 && call.n_prompts == 2 && !strcmp(shown(1), "ii"));
    CHECK_MSG(read("\"a</s>b\"", &plain, &e) == 0 && !strcmp(shown(0), "<1>a<2>b"), "control tokens of a raw prompt: %s", shown(0));
    struct prompts_opts text = plain;
    text.control = false;
    CHECK_MSG(read("\"a</s>\"", &text, &e) == 0 && !strcmp(shown(0), "<1>a</s>"), "control tokens of a text: %s", shown(0));
}

TEST(what_is_wrong_is_named)
{
    static const struct {
        const char *json, *param;
        int code;
    } bad[] = {{"7", "prompt", ERR_BAD_REQUEST},
               {"{}", "prompt", ERR_BAD_REQUEST},
               {"true", "prompt", ERR_BAD_REQUEST},
               {"[]", "prompt", ERR_BAD_VALUE},
               {"\"\"", "prompt", ERR_BAD_VALUE},
               {"[\"a\",\"\"]", "prompt[1]", ERR_BAD_VALUE},
               {"[\"a\",1]", "prompt[1]", ERR_BAD_REQUEST},
               {"[\"a\",[1]]", "prompt[1]", ERR_BAD_REQUEST},
               {"[[1],\"a\"]", "prompt[1]", ERR_BAD_REQUEST},
               {"[[1],[]]", "prompt[1]", ERR_BAD_VALUE},
               {"[1,\"a\"]", "prompt", ERR_BAD_REQUEST},
               {"[1,1.5]", "prompt", ERR_BAD_REQUEST},
               {"[-1]", "prompt", ERR_BAD_VALUE},
               {"[262]", "prompt", ERR_BAD_VALUE},
               {"[9223372036854775807]", "prompt", ERR_BAD_VALUE},
               {"[[[1]]]", "prompt[0]", ERR_BAD_REQUEST},
               {"[\"a\",\"b\",\"c\",\"d\"]", "prompt", ERR_BAD_VALUE},
               {"\"0123456789012345678901234567890123456789\"", "prompt", ERR_CONTEXT},
               {"[\"a\",\"0123456789012345678901234567890123456789\"]", "prompt[1]", ERR_CONTEXT},
               {"[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]", "prompt", ERR_CONTEXT}};
    struct err e;
    CHECK(open_vocab(true, 0));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int rc = read(bad[i].json, &plain, &e);
        CHECK_MSG(rc == -bad[i].code && strcmp(e.param, bad[i].param) == 0, "%s: %d %s: %s", bad[i].json, rc, e.param, e.msg);
    }
    CHECK(read("\"01234567890123456789012345678901234567\"", &plain, &e) == 0 && call.prompts[0].tokens.n == 39); /* as much as fits */
}

TEST(fill_in_the_middle)
{
    struct err e;
    struct prompts_opts o = plain;
    o.suffix = STR("zz");
    for (int fim = 1; fim <= 2; fim++) {
        CHECK(open_vocab(fim == 1, fim));
        CHECK_MSG(read("\"ab\"", &o, &e) == 0 && !strcmp(shown(0), fim == 1 ? "<1><259>ab<260>zz<261>" : "<259>ab<260>zz<261>"), "%s %s", shown(0),
                  e.msg);
        CHECK(str_eqz(call.prompts[0].text, "ab")); /* echo returns the prompt alone */
        CHECK(read("\"\"", &o, &e) == 0);           /* the beginning of a file */
        CHECK(read("[\"ab\",\"c\"]", &o, &e) == -ERR_BAD_VALUE && !strcmp(e.param, "suffix"));
        CHECK(read("[107]", &o, &e) == -ERR_BAD_VALUE && !strcmp(e.param, "suffix"));
        CHECK(read("\"01234567890123456789012345678901234567\"", &o, &e) == -ERR_CONTEXT && !strcmp(e.param, "prompt"));
    }
    CHECK(open_vocab(true, 0));
    CHECK(read("\"ab\"", &o, &e) == -ERR_BAD_VALUE && !strcmp(e.param, "suffix"));
}

TEST_MAIN()
