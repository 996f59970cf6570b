/* Log probabilities on the wire, as chat and completions write them. */
#pragma once
#include "api/call.h"

/* Text of ch goes out: notes it, and returns how many entries may go out with it. `last`: the answer has ended, all that belong to its text. */
size_t told_ready(struct choice *ch, const char *p, size_t n, bool last);
/* The value of "logprobs" with the next n entries, which are then told. {content: [{token, logprob, bytes, top_logprobs}], refusal: null} */
void told_chat(struct jw *w, struct choice *ch, size_t n);
/* {tokens, token_logprobs, top_logprobs, text_offset}; with_prompt: the prompt's tokens come first. base: characters (code
 * points, as OpenAI counts) before the answer's text. */
void told_completion(struct jw *w, struct choice *ch, size_t n, bool with_prompt, uint64_t base);
size_t utf8_count(const char *p, size_t n); /* characters of valid UTF-8 */
