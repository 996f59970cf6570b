/* Chat templates: the model's Jinja source, compiled once, rendered per request with budgets on steps, output and nesting.
 * Every byte of the output is known to come from the template's own text (trusted) or from the conversation. */
#pragma once
#include "base/buf.h"
#include "base/json.h"
#include "text/vocab.h"

struct chat_template;
enum { TEMPLATE_SOURCE_MAX = 256 << 10, TEMPLATE_STEPS_MAX = 5000000, TEMPLATE_DEPTH_MAX = 64 };

int  template_compile(struct chat_template **out, struct str source, struct err *e) MUST_USE; /* ERR_TEMPLATE with line and mend */
void template_free(struct chat_template *t);
/* The template of a model file, or a documented default (ChatML, with a warning in *warning) when it has none or it does not compile. */
int  template_load(struct chat_template **out, const struct modelfile *f, const struct vocab *v, char warning[256], struct err *e) MUST_USE;

struct render_in {
    const struct json *messages; /* array of {role, content, ...} */
    const struct json *tools;    /* or NULL */
    const struct json *extra;    /* object of further variables, or NULL */
    struct str bos, eos;         /* bos_token, eos_token */
    bool       add_generation_prompt;
    int64_t    now_us;           /* for strftime_now */
    size_t     output_max;       /* bytes; 0: 4 MiB */
};
struct rendered {
    struct buf        text;
    struct text_span *spans;
    size_t            n_spans;
};
int  template_render(const struct chat_template *t, const struct render_in *in, struct rendered *out, struct err *e) MUST_USE; /* ERR_TEMPLATE: 400 */
void rendered_deinit(struct rendered *r);
