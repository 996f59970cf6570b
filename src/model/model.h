/* A model: weights laid out for a device and one step function per family (arch/NAME.c, one line in arch.def). */
#pragma once
#include "device/device.h"
#include "format/modelfile.h"

struct model;
struct model_shape {
    char     arch[32];     /* "llama" */
    uint32_t n_layers, n_embd, n_rot, n_vocab, n_ctx; /* n_ctx: trained context */
    uint32_t head_dim, v_dim; /* numbers of a head of queries and keys; of values */
    uint32_t n_ff, n_heads, n_kv_heads; /* where layers differ: the most of any */
    bool     layers_differ;
    uint32_t window, n_windowed; /* attention of n_windowed layers reaches only the last `window` positions; 0: none does */
    float    norm_eps, rope_theta;
    char     rope[48];     /* its scaling: "plain", "yarn, factor 4 over 32768" */
    uint64_t n_params, weight_bytes, screen_bytes; /* of the file; of what is held beside it to screen the output matrix, if it is */
    uint64_t work_bytes;   /* of a step's scratch */
    char     quant[16];    /* of most of the weights: "Q8_0" */
};

/* f must stay open as long as the model. progress may be NULL. */
int  model_load(struct model **out, const struct modelfile *f, struct device *d, void (*progress)(void *, uint64_t done, uint64_t total), void *arg,
                struct err *e) MUST_USE;
struct packed;
struct model_load_opts {
    struct packed *kept; /* panels that are kept in a file; the model keeps what it needs of it */
    bool no_screen;      /* shape.screen_bytes are saved, and model_step computes all logits */
    void (*progress)(void *arg, uint64_t done, uint64_t total);
    void *arg;
};
int  model_load_with(struct model **out, const struct modelfile *f, struct device *d, const struct model_load_opts *o, struct err *e) MUST_USE;
/* Writes the model's panels for that (packed_save). */
int  model_keep(const struct model *m, const char *path, uint64_t layout, const uint8_t source[32], bool (*stop)(void *arg), void *arg,
                struct err *e) MUST_USE;
uint64_t model_packed_bytes(const struct model *m); /* of such a file, about; 0: nothing is packed */
/* Takes what steps of m need of the device's memory, on the thread that drives it; a step that finds it missing can only end the program. False:
 * there is none. */
bool model_reserve(struct model *m) MUST_USE;
void model_free(struct model *m);
const struct model_shape *model_shape(const struct model *m);
/* Reads and checks the shape alone (sluice add, show): nothing is loaded, and no tensor's data is looked at, which may not have come yet (the
 * hub asks when it has the head of a file). */
int  model_shape_read(struct model_shape *out, const struct modelfile *f, struct err *e) MUST_USE;
/* Whether a family of this build has the file's general.architecture: all that the first part of a split model can tell. */
int  model_family_known(const struct modelfile *f, struct err *e) MUST_USE;
/* The model's KV; it points into m. */
void model_kv_shape(const struct model *m, enum kv_type type, struct kv_shape *out);

/* Sequences of one class have their keys rotated alike, whatever their reach (below): a page of one may serve another. */
uint32_t model_reach_class(const struct model *m, uint32_t reach);

/* One step over a batch of rows from many sequences. */
struct step {
    int                  n;       /* rows */
    const int32_t       *token;   /* (n) */
    const int32_t       *pos;     /* (n) */
    const struct kv_seq *seqs;    /* rows of a sequence are neighbours */
    int                  n_seqs;
    const uint32_t      *reach;   /* (n_seqs) positions that each sequence can ever have, the same in all its steps; NULL: the model's n_ctx */
    struct kv_shape      kv;
    const int32_t       *want;    /* (n_want) rows whose logits are wanted, ascending; of the last n_hidden the hidden state instead */
    int                  n_want, n_hidden;
    float               *logits;  /* out: (n_want - n_hidden, n_vocab) */
    const struct matmul_top *top; /* not NULL: only these logits are wanted, others may be minus infinity instead (device.h) */
    float               *hidden;  /* out: (n_hidden, n_embd) after the last norm; may be NULL when n_hidden is 0 */
};
enum { STEP_ROWS_MAX = 512 };
/* Scratch for up to STEP_ROWS_MAX rows belongs to the model. */
void model_step(struct model *m, const struct step *s);
