/* Chat templates: the model's Jinja source, compiled once, rendered per request with budgets on steps, output and nesting.
 * Every byte of the output is known to come from the template's own text (trusted) or from the conversation. */
#pragma once
#include "base/buf.h"
#include "base/json.h"
#include "text/vocab.h"

struct chat_template;
enum { TEMPLATE_SOURCE_MAX = 256 << 10, TEMPLATE_STEPS_MAX = 5000000, TEMPLATE_DEPTH_MAX = 64, TEMPLATE_NAMED_MAX = 16 };

int template_compile(struct chat_template **out, struct str source, struct err *e) MUST_USE; /* ERR_TEMPLATE with line and mend */
void template_free(struct chat_template *t);                                                 /* and those that it holds by name */

/* The template of a model file (tokenizer.chat_template, or else .default), with those that it has by name (tokenizer.chat_template.NAME).
 * When it has none, or
 * one that does not compile, a default that its vocabulary speaks for (docs/using/templates.md) and in `warning` what is wrong and which default
 * it is. A named template that does not compile is left out, with a warning. */
int template_load(struct chat_template **out, const struct modelfile *f, const struct vocab *v, char warning[256], struct err *e) MUST_USE;
/* The template of that name; "default" and "" are t itself. NULL: t has none of that name. */
const struct chat_template *template_named(const struct chat_template *t, struct str name);
/* The names that t has besides "default", ", " between. */
void template_names(const struct chat_template *t, struct buf *out);

struct render_in {
    const struct json *messages; /* array of {role, content, ...} */
    const struct json *tools;    /* or NULL: none */
    const struct json *extra;    /* object of further variables, or NULL; it cannot set those that sluice sets (template_owns) */
    struct str bos, eos;         /* bos_token, eos_token */
    struct str effort;           /* reasoning_effort; empty: undefined, unless extra has it */
    bool add_generation_prompt;
    int64_t now_us;    /* for strftime_now */
    size_t output_max; /* bytes; 0: 4 MiB */
};
struct rendered {
    struct buf text;
    struct text_span *spans;
    size_t n_spans;
    uint64_t steps, memory; /* what the run cost, also one that failed; memory in bytes */
};
bool template_owns(struct str variable); /* messages, tools, bos_token, eos_token, add_generation_prompt */
int template_render(const struct chat_template *t, const struct render_in *in, struct rendered *out, struct err *e) MUST_USE; /* ERR_TEMPLATE: 400 */
void rendered_deinit(struct rendered *r);
