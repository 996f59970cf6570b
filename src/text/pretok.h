/* Pre-tokenizers: byte-level BPE merges only inside the pieces that a pattern cuts the text into. The patterns (named in pretok*.c with
 * their regular expressions) are written out by hand: linear, without recursion, no look further ahead than one run. */
#pragma once
#include "base/str.h"

enum pretok {
#define PRETOK(id, names, flags, ...) PRETOK_##id,
#include "text/pretok.def"
#undef PRETOK
    PRETOK_COUNT
};

enum { PRETOK_STAGES_MAX = 6 };
enum { PRETOK_WHOLE = 1, PRETOK_BOS = 2, PRETOK_NFC = 4 };
/* A stage gives the length of the first piece of p[0..n), n > 0: a match of its pattern, or what stands before the next one. */
typedef size_t pretok_stage(const char *p, size_t n);

struct pretok_walk {
    pretok_stage *const *stages;
    const char *p;
    size_t at, end[PRETOK_STAGES_MAX + 1];
    int n_stages;
};

bool pretok_by_name(struct str name, enum pretok *out); /* a value of tokenizer.ggml.pre */
int pretok_flags(enum pretok t);
void pretok_start(struct pretok_walk *w, enum pretok t, const char *p, size_t n);
bool pretok_next(struct pretok_walk *w, struct str *piece); /* false at the end */
