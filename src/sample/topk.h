/* Private to sample/: which candidates stay, without sorting them. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* The candidates of a choice: id ascending, logit beside it. No NaN among them. */
struct cands {
    int32_t *id;    /* (n) */
    float   *logit; /* (n) */
    size_t   n;
};

enum { SELECT_BINS = 4096 };
struct select_scratch {
    double    bin[SELECT_BINS];
    uint32_t *idx; /* (room for n) candidates of the bin that is being split */
};

/* Keeps the best candidates, in (logit descending, id ascending) order, until their masses add up to at least `limit`; always one at least.
 * mass NULL means 1 each (so limit is a count). Linear in n: a radix select over the bits of the logits. Ids stay ascending. */
void select_top(struct cands *c, const float *mass /* (n) */, double limit, struct select_scratch *s);
