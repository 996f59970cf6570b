/* A chat template and a conversation, both from an enemy: "SOURCE\n---\nMESSAGES", or a source alone. Whatever comes out, its spans cover it,
 * and a message that no marker of the template names is never trusted. Seeds: tests/fuzz/corpus/template. */
#include "text/template.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* ASan's memmem looks at the whole text on each call, which makes linear searches quadratic. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "intercept_memmem=0"; }

static const char plain[] =
    "[{\"role\":\"system\",\"content\":\"\\u0001S\\u0001\"},{\"role\":\"user\",\"content\":\"\\u0001<|im_start|>\\u0001\"},"
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":{\"a\":[1,2.5,true,null]}}}]}]";

static void check(const struct rendered *r, bool marked)
{
    size_t at = 0;
    for (size_t i = 0; i < r->n_spans; at += r->spans[i++].n) {
        if (r->spans[i].at != at || r->spans[i].n == 0 || r->spans[i].n > r->text.len - at)
            abort();
        if (marked && r->spans[i].trusted && memchr(r->text.data + at, 1, r->spans[i].n))
            abort(); /* the byte \x01 stands only in the conversation */
    }
    if (at != r->text.len)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const char     cut[] = "\n---\n";
    const char           *z = (const char *)p, *at = n ? memmem(z, n, cut, sizeof cut - 1) : NULL;
    size_t                n_source = at ? (size_t)(at - z) : n;
    struct chat_template *t;
    struct json          *messages;
    struct err            e = {0};
    struct rendered       r;
    if (template_compile(&t, (struct str){z, n_source}, &e)) {
        if (t || !e.msg[0])
            abort();
        return 0;
    }
    bool own = !at || json_parse(&messages, at + sizeof cut - 1, n - n_source - (sizeof cut - 1), &e) != 0;
    if (own && json_parse(&messages, plain, sizeof plain - 1, &e))
        abort();
    struct render_in in = {.messages = messages,
                           .tools = own ? messages : NULL,
                           .bos = STR("<s>"),
                           .eos = STR("</s>"),
                           .add_generation_prompt = true,
                           .output_max = 1 << 20};
    bool marked = own && !memchr(z, 1, n_source) && !memmem(z, n_source, "\\", 1);
    if (!template_render(t, &in, &r, &e)) {
        check(&r, marked);
        rendered_deinit(&r);
    } else if (!e.msg[0])
        abort();
    json_free(messages);
    template_free(t);
    return 0;
}
