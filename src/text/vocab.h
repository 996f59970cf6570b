/* A vocabulary read from GGUF metadata: text to tokens and back. Immutable after loading, usable from many threads. */
#pragma once
#include "base/buf.h"
#include "base/vec.h"
#include "format/modelfile.h"

struct vocab;
enum token_attr { TOKEN_NORMAL = 1, TOKEN_UNKNOWN = 2, TOKEN_CONTROL = 3, TOKEN_USER = 4, TOKEN_UNUSED = 5, TOKEN_BYTE = 6 };
enum { TOKEN_NONE = -1 };

int vocab_load(struct vocab **out, const struct modelfile *f, struct err *e) MUST_USE; /* nothing of f is kept */
void vocab_free(struct vocab *v);

int32_t vocab_size(const struct vocab *v);
int32_t vocab_bos(const struct vocab *v); /* TOKEN_NONE when absent */
int32_t vocab_eos(const struct vocab *v);
bool vocab_add_bos(const struct vocab *v);
bool vocab_is_eog(const struct vocab *v, int32_t token); /* ends a generation: eos, eot, <|im_end|>, <|eot_id|>, ... */
enum token_attr vocab_attr(const struct vocab *v, int32_t token);
struct str vocab_text(const struct vocab *v, int32_t token); /* as in the file; {NULL,0} out of range */
int32_t vocab_find(const struct vocab *v, struct str text); /* TOKEN_NONE */
/* The bytes that a token stands for in the middle of a text, which may be a part of a character; a control token's are its text. */
void vocab_bytes(const struct vocab *v, int32_t token, struct buf *out);
/* Fill in the middle: what comes before the prefix, the suffix and the wanted middle. False: the model has no such tokens. */
struct fim_tokens { int32_t prefix, suffix, middle; };
bool vocab_fim(const struct vocab *v, struct fim_tokens *out);

/* Text comes as spans: control tokens are recognised only inside trusted ones (the template's own text); a user who types
 * <|im_start|> gets plain text. Between control tokens neighbouring spans are tokenised as one text. */
struct text_span {
    uint32_t at, n;
    bool trusted;
};
struct encode_opts {
    bool add_bos, add_eos; /* ignored when the vocabulary says otherwise: use vocab_add_bos */
    uint32_t tokens_max;   /* 0: no limit; more is ERR_CONTEXT */
};
int vocab_encode(const struct vocab *v, const char *p, size_t n, const struct text_span *spans, size_t n_spans /* 0: all untrusted */,
                 const struct encode_opts *o, struct vec_i32 *out, struct err *e) MUST_USE;

/* The streaming detokenizer never emits half a character: bytes of an unfinished UTF-8 sequence wait for the next token. */
struct detok {
    const struct vocab *v;
    uint8_t held[8]; /* an unfinished sequence */
    uint8_t n_held;
    bool any;     /* a token came already: SentencePiece drops the first space */
    bool raw;     /* bytes go out as they are, also half characters */
};
void detok_init(struct detok *d, const struct vocab *v, bool start_of_text);
/* Appends the text that token completes; control tokens add nothing. Invalid sequences become U+FFFD. */
void detok_add(struct detok *d, int32_t token, struct buf *out);
void detok_end(struct detok *d, struct buf *out); /* what is held becomes U+FFFD */
