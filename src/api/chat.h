/* POST /v1/chat/completions: chat.c answers, chat_messages.c reads the conversation. */
#pragma once
#include "api/call.h"

/* Fills c->q, c->messages and *in, which borrows from both and from body. */
int chat_fields(struct call *c, const struct json *body, struct prompt_in *in, struct buf *ignored, struct err *e) MUST_USE;
/* The messages in the one form that templates see: role and content, both strings. The caller frees *out. */
int chat_messages(const struct json *in, struct json **out, struct err *e) MUST_USE;
