/* Texts and token arrays of a request, as completions and embeddings take them: a string, an array of strings, an array of token ids, an array of
 * such arrays. */
#pragma once
#include "api/call.h"

struct prompts_opts {
    const char       *param;       /* the field's name, for errors */
    uint32_t          prompts_max; /* in one request */
    uint32_t          tokens_max;  /* of each */
    bool              control;     /* control tokens in strings are recognised */
    bool              add_special; /* tokens before and after a string, as the vocabulary wants them */
    bool              keep_text;   /* call_prompt.text is filled in */
    struct str        suffix;      /* empty: none; else fill in the middle between the one string and this */
};
/* c->encode will call prompts_read with a copy of o (its strings must live as long as the body). */
int prompts_plan(struct call *c, const struct json *in, const struct prompts_opts *o, struct err *e) MUST_USE;
/* Fills c->prompts. ERR_CONTEXT names the one that is too long. */
int prompts_read(struct call *c, const struct json *in, const struct prompts_opts *o, struct err *e) MUST_USE;
