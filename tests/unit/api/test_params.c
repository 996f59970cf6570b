/* Every row of params.def against every kind of value: the answer is a success or an error of the 400 class that names the parameter. */
#include "api/params.h"
#include "base/os.h"
#include "test.h"

enum { CHAT = EP_CHAT, COMPLETIONS = EP_COMPLETIONS, EMBEDDINGS = EP_EMBEDDINGS, TOKENIZE = EP_TOKENIZE, DETOKENIZE = EP_DETOKENIZE };
static const struct {
    const char *name;
    unsigned endpoints;
} rows[] = {
#define PARAM(id, name, endpoints, type, min, max, dflt, use, text) {name, endpoints},
#include "api/params.def"
#undef PARAM
};
enum { N = sizeof rows / sizeof rows[0] };
static enum endpoint ep = EP_CHAT;

static int read(const char *text, struct params *p, struct buf *ignored, struct err *e)
{
    static struct json *last;
    json_free(last);
    last = NULL;
    int rc = json_parse(&last, text, strlen(text), e);
    return rc < 0 ? rc : params_read(p, ep, last, ignored, e);
}

/* A request with one more field; what an endpoint needs is replaced when it is one of them. */
static int with(const char *name, const char *value, struct params *p, struct err *e)
{
    char text[8192];
    const char *need = ep == EP_CHAT ? "messages" : ep == EP_COMPLETIONS ? "prompt" : ep == EP_EMBEDDINGS ? "input" : "tokens";
    const char *model = strcmp(name, "model") ? "\"model\":\"m\"," : "";
    if (ep == EP_TOKENIZE || strcmp(name, need) == 0)
        snprintf(text, sizeof text, "{%s\"%s\":%s}", model, name, value);
    else
        snprintf(text, sizeof text, "{%s\"%s\":[1],\"%s\":%s}", model, need, name, value);
    memset(e, 0, sizeof *e);
    return read(text, p, NULL, e);
}

TEST(every_parameter_takes_or_names_every_value)
{
    static const char *const values[] = {"null",
                                         "true",
                                         "false",
                                         "0",
                                         "-1",
                                         "1",
                                         "2",
                                         "1e308",
                                         "-1e308",
                                         "0.5",
                                         "9223372036854775807",
                                         "-9223372036854775808",
                                         "\"\"",
                                         "\"text\"",
                                         "\"\\u0000\"",
                                         "[]",
                                         "[1]",
                                         "[[]]",
                                         "{}",
                                         "{\"a\":1}",
                                         "1e999",
                                         "9223372036854775808",
                                         "NaN"};
    for (size_t n = 0; n < 5 * N; n++)
        for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
            const char *name = rows[n % N].name;
            struct params p;
            struct err e;
            ep = (enum endpoint)(1 << n / N);
            if (!(rows[n % N].endpoints & ep))
                continue;
            int rc = with(name, values[k], &p, &e);
            CHECK_MSG(rc == 0 || err_http(e.code) == 400, "%s = %s: %d %s", name, values[k], rc, e.msg);
            if (rc < 0 && e.param[0])
                CHECK_MSG(strcmp(e.param, name) == 0, "%s = %s blames %s", name, values[k], e.param);
            CHECK_MSG(rc < 0 || e.code == ERR_OK, "%s = %s", name, values[k]);
        }
    ep = EP_CHAT;
}

TEST(ranges_end_where_the_table_says)
{
    static const struct {
        const char *name, *value;
        bool ok;
    } cases[] = {{"temperature", "0", true},
                 {"temperature", "2", true},
                 {"temperature", "2.0001", false},
                 {"temperature", "-0.0001", false},
                 {"temperature", "1e308", false},
                 {"top_p", "1", true},
                 {"top_p", "1.1", false},
                 {"top_p", "\"1\"", false},
                 {"max_tokens", "1", true},
                 {"max_tokens", "0", false},
                 {"max_tokens", "2147483647", true},
                 {"max_tokens", "2147483648", false},
                 {"max_tokens", "1.5", false},
                 {"top_k", "-1", false},
                 {"seed", "-9223372036854775808", true},
                 {"seed", "9223372036854775807", true},
                 {"stream", "1", false},
                 {"n", "1", true},
                 {"n", "2", true},
                 {"n", "0", false},
                 {"frequency_penalty", "0.0", true},
                 {"frequency_penalty", "0", true},
                 {"frequency_penalty", "2.1", false},
                 {"tool_choice", "\"auto\"", true},
                 {"tool_choice", "\"none\"", true},
                 {"tool_choice", "\"required\"", false},
                 {"tools", "[]", true},
                 {"tools", "[{}]", false},
                 {"response_format", "{\"type\":\"text\"}", true},
                 {"response_format", "{\"type\":\"json_object\"}", false},
                 {"logit_bias", "{}", true},
                 {"logprobs", "false", true},
                 {"logprobs", "true", true},
                 {"logprobs", "3", false},
                 {"repetition_penalty", "0", false},
                 {"repetition_penalty", "1e-9", true},
                 {"repetition_penalty", "100", true},
                 {"repetition_penalty", "100.001", false},
                 {"repeat_last_n", "-1", true},
                 {"repeat_last_n", "-2", false},
                 {"n", "8", true},
                 {"n", "9", false},
                 {"audio", "null", true},
                 {"audio", "{}", false},
                 {"model", "\"\"", false},
                 {"messages", "[]", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct params p;
        struct err e;
        int rc = with(cases[i].name, cases[i].value, &p, &e);
        CHECK_MSG((rc == 0) == cases[i].ok, "%s = %s: %s", cases[i].name, cases[i].value, e.msg);
        CHECK_MSG(cases[i].ok || strcmp(e.param, cases[i].name) == 0, "%s = %s blames '%s'", cases[i].name, cases[i].value, e.param);
    }
}

TEST(values_arrive)
{
    struct params p;
    struct err e;
    CHECK(read("{\"model\":\"a/b\",\"messages\":[{}],\"stream\":true,\"seed\":-7,\"temperature\":0.25,\"max_tokens\":9,\"stop\":\"x\"}", &p, NULL,
               &e) == 0);
    CHECK(str_eqz(p.model, "a/b") && p.has_stream && p.stream && p.seed == -7 && p.temperature == 0.25 && p.max_tokens == 9);
    CHECK(p.has_stop && str_eqz(json_str(p.stop), "x") && json_len(p.messages) == 1);
    CHECK(!p.has_top_p && !p.has_max_completion_tokens);
}

TEST(null_is_absent)
{
    struct params p;
    struct err e;
    CHECK(read("{\"model\":\"m\",\"messages\":[1],\"temperature\":null,\"tools\":null}", &p, NULL, &e) == 0 && !p.has_temperature && !p.has_tools);
    CHECK(read("{\"model\":null,\"messages\":[1]}", &p, NULL, &e) == -ERR_BAD_REQUEST && strcmp(e.param, "model") == 0);
    CHECK(read("{\"model\":\"m\"}", &p, NULL, &e) == -ERR_BAD_REQUEST && strcmp(e.param, "messages") == 0);
    CHECK(read("[]", &p, NULL, &e) == -ERR_BAD_REQUEST);
}

TEST(unknown_fields_are_named_safely)
{
    struct params p;
    struct err e;
    struct buf b;
    buf_init(&b, IGNORED_BYTES_MAX + 8);
    CHECK(read("{\"model\":\"m\",\"messages\":[1],\"a b\":1,\"c\\r\\nx: y\":2,\"\xc3\xa4\":3}", &p, &b, &e) == 0);
    CHECK_MSG(strcmp(b.data, "a?b, c??x??y, ??") == 0, "%s", b.data);
    buf_clear(&b);
    char long_one[1200] = "{\"model\":\"m\",\"messages\":[1],\"short\":1,\"";
    memset(long_one + strlen(long_one), 'x', 1000);
    strcat(long_one, "\":1,\"last\":2}");
    CHECK(read(long_one, &p, &b, &e) == 0);
    CHECK_MSG(strcmp(b.data, "short, last") == 0, "%s", b.data);
    buf_deinit(&b);
}

TEST(the_documentation_is_current)
{
    struct buf made, kept;
    struct err e;
    buf_init(&made, 0), buf_init(&kept, 0);
    params_markdown(&made);
    CHECK_MSG(os_read_file(&kept, "docs/using/parameters.md", &e) == 0, "%s", e.msg);
    CHECK_MSG(made.len == kept.len && memcmp(made.data, kept.data, made.len) == 0,
              "docs/using/parameters.md is not current: build/sluice help parameters > docs/using/parameters.md");
    buf_deinit(&made), buf_deinit(&kept);
}

TEST_MAIN()
