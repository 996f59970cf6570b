/* Private to sample/: the scratch of a sampler and what its files share. */
#pragma once
#include "sample/sample.h"
#include "sample/topk.h"

enum { DRAW_BLOCK = 256 };

struct sampler {
    uint32_t              n_vocab;
    struct cands          c;
    float                *w;        /* (n_vocab) masses */
    double               *block;    /* (n_vocab / DRAW_BLOCK + 1) their sums */
    uint32_t             *seen;     /* (n_vocab) what adjust.c counts; zero between calls */
    float                *adjusted; /* (n_vocab) */
    struct select_scratch sel;
};

bool sampler_adjusts(const struct sample_params *p); /* it has a bias or a penalty */
/* The lowest id with the largest logit; TOKEN_NONE when there is none above minus infinity. */
int32_t sample_argmax(const float *x, size_t n);
/* w = exp((logit - max) / t); the maximum has 1 even when it is infinite. block: the sum of each DRAW_BLOCK of them. Returns the sum. */
double sample_masses(float *restrict w, double *restrict block, const float *restrict logit, size_t n, float max, float t);
/* Both at vectors of width i, from the narrowest on (tests); NULL: this CPU has no such. */
struct mass_loops {
    int32_t (*argmax)(const float *x, size_t n);
    double (*masses)(float *restrict w, double *restrict block, const float *restrict logit, size_t n, float max, float t);
};
const struct mass_loops *sample_loops(int i);
