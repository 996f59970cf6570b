/* OpenAI's wire format of a chat: openai_read.c takes a request apart, openai_chat.c writes the answers. */
#pragma once
#include "api/chat.h"
#include "api/params.h"

/* Fills c->q; *messages is the caller's to free (also NULL). */
int openai_read(struct chat *c, const struct json *body, struct json **messages, struct buf *ignored, struct err *e) MUST_USE;
