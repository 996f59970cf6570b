/* From logits to a token: logit bias and penalties (adjust.c), then top_k, top_p, min_p, temperature in llama.cpp's order and the draw by
 * rng.h (chain.c); log probabilities (logprob.c). */
#pragma once
#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOGIT_BIAS_MAX = 1024, LOGPROBS_MAX = 20 };
struct logit_bias { int32_t token; float bias; };

struct sample_params {
    float    temperature; /* 0: greedy */
    uint32_t top_k;       /* 0: off */
    float    top_p;       /* 1: off */
    float    min_p;       /* 0: off */
    uint64_t seed;
    uint32_t choice;      /* index of the answer in a request with several */
    float    repetition;  /* 0 or 1: off */
    uint32_t repeat_last; /* how many of the last tokens it sees, prompt and output; 0: all */
    float    presence, frequency;   /* 0: off */
    const struct logit_bias *bias; /* (n_bias) at most one a token */
    uint32_t n_bias;
};
struct sampler; /* scratch for one vocabulary size; not shared between threads */
int     sampler_new(struct sampler **out, uint32_t n_vocab, struct err *e) MUST_USE;
void    sampler_free(struct sampler *s);
/* position: index of the new token in its sequence (prompt included). Ties go to the lower id. NaN never wins; TOKEN_NONE (-1) when no
 * logit is above minus infinity. top_p and min_p see the probabilities before the temperature, as in llama.cpp. */
int32_t sampler_pick(struct sampler *s, const struct sample_params *p, uint64_t position, const float *logits);

/* Whether the choice depends on the largest logits alone: the k largest with their ties (0: not by number), or all that are at most `below` under the
 * largest (negative: not so). False: it may depend on any, or they are changed before (bias, penalties). */
bool sampler_top(const struct sample_params *p, uint32_t *k, float *below);

/* The logits with bias and penalties, in the order of vLLM and llama.cpp; logits itself when there are none, else valid until the next call.
 * tokens (n): the sequence so far, of which the first n_prompt are the prompt.
 *   1. logit + bias
 *   2. repetition, of every token among the last repeat_last of prompt and output: logit > 0 ? logit / r : logit * r  (Keskar et al.,
 *      "CTRL", 2019)
 *   3. of every token of the output alone: logit - frequency * count - presence  (OpenAI, as vLLM reads it) */
const float *sampler_adjust(struct sampler *s, const struct sample_params *p, const int32_t *tokens, size_t n_prompt, size_t n, const float *logits);

/* Natural logarithm of softmax(logits) of `token`, and in top (n_top) the likeliest, best first, ties by the lower id; entries past the last
 * number have TOKEN_NONE. Logits without a number count as minus infinity. */
struct logprob { int32_t token; float value; };
float sampler_logprobs(struct sampler *s, const float *logits, int32_t token, struct logprob *top, uint32_t n_top);

/* Stop strings across token borders: text is held back while it may still become a stop string. The first string that is completed wins,
 * of two that end at the same byte the longer one, so the result does not depend on how the text was cut into tokens. */
enum { STOP_STRINGS_MAX = 4, STOP_BYTES_MAX = 256 };
struct stop_match;
/* ERR_BAD_VALUE for too many, empty, too long or not UTF-8. */
int  stop_new(struct stop_match **out, const char *const *strings, const size_t *lens, size_t n, struct err *e) MUST_USE;
void stop_free(struct stop_match *m);
/* Feeds new text and appends to out what may go out of (held + new). Whole characters in, whole characters out. True: a stop string was
 * completed (nothing from it on is emitted, then or later). */
struct buf;
bool stop_feed(struct stop_match *m, const char *p, size_t n, struct buf *out);
void stop_flush(struct stop_match *m, struct buf *out); /* the end came: what was held goes out */
