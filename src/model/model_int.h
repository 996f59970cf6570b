/* Inside model/: what a family is made of. A family (arch/NAME.c) says which keys and tensors its files have and composes its step from
 * blocks; everything that two families share stands in blocks.c, rope.c and weights.c. */
#pragma once
#include "model/model.h"

enum {
    MODEL_LAYERS_MAX = 1024,
    MODEL_EMBD_MAX = 65536,
    MODEL_FF_MAX = 1 << 20,
    MODEL_HEADS_MAX = 1024,
    MODEL_HEAD_DIM_MAX = 1024,
    MODEL_VOCAB_MAX = 1 << 22,
    MODEL_CTX_MAX = 1 << 24
};

/* One transformer layer; a bias is NULL where the family or the file has none. */
struct layer {
    float         *attn_norm, *ffn_norm;        /* (n_embd) */
    struct weight *q, *k, *v;                   /* (n_heads * head_dim, n_embd), (n_kv_heads * head_dim, n_embd) twice */
    struct weight *o;                           /* (n_embd, n_heads * head_dim) */
    float         *q_bias, *k_bias, *v_bias, *o_bias;
    struct weight *gate, *up;                   /* (n_ff, n_embd) */
    struct weight *down;                        /* (n_embd, n_ff) */
};

struct model {
    struct model_shape   shape;
    const struct family *family;
    struct device       *dev;
    struct weight       *embd, *out; /* (n_vocab, n_embd); the same weight where they are tied */
    float               *out_norm;   /* (n_embd) */
    struct layer        *layers;
    float               *rope_freqs; /* (n_rot / 2) inverse frequencies */
    int                  window;     /* attention reaches this far back; 0: all the way */
    float               *scratch;    /* all of the below, for STEP_ROWS_MAX rows */
    size_t               scratch_bytes;
    float *x, *xn;     /* (rows, n_embd) residual stream, its norm */
    float *q, *att;    /* (rows, n_heads * head_dim) */
    float *k, *v;      /* (rows, n_kv_heads * head_dim) */
    float *gate, *up;  /* (rows, n_ff) */
};

struct loader;
struct family {
    const char     *name;
    enum rope_kind  rope;
    /* Names every tensor through the loader (weights.h): checks them, and loads them when the loader says so. */
    int  (*bind)(struct loader *ld, struct model *m, struct err *e);
    void (*step)(struct model *m, const struct step *s);
};
#define FAMILY(name) extern const struct family family_##name;
#include "model/arch.def"
#undef FAMILY

/* weights.c: finds, checks and loads tensors. With dev NULL it only checks and counts. */
struct loader {
    const struct modelfile *f;
    struct device          *dev;
    uint8_t                *used;  /* (f->n_tensors) */
    uint64_t                done, total, n_params;
    void                  (*progress)(void *, uint64_t done, uint64_t total);
    void                   *arg;
    uint64_t                by_type[64]; /* values of each tensor type, to name the most common one */
};
int  loader_init(struct loader *ld, const struct modelfile *f, struct device *dev, struct err *e) MUST_USE;
void loader_deinit(struct loader *ld);
enum need { NEED, MAY };
/* A matrix (n_out, n_in); layer < 0: fmt is the whole name. MAY: absent leaves *out as it is. */
int load_matrix(struct loader *ld, struct weight **out, const char *fmt, int layer, uint32_t n_out, uint32_t n_in, enum need need,
                struct err *e) MUST_USE;
/* A vector (n) as float32. */
int load_vector(struct loader *ld, float **out, const char *fmt, int layer, uint32_t n, enum need need, struct err *e) MUST_USE;
bool loader_has(const struct loader *ld, const char *name);
/* Every tensor of the file must have been used: one that was not would make the answers silently wrong. */
int         loader_finish(struct loader *ld, struct err *e) MUST_USE;
const char *loader_quant(const struct loader *ld);

/* shape.c: metadata -> shape, refusing what this build does not compute. */
int shape_keys(struct model_shape *s, int *window, const struct family **fam, const struct modelfile *f, struct err *e) MUST_USE;
/* rope.c: the inverse frequencies of a file, (n_rot / 2) floats, with its scaling; freqs NULL: only checks. */
int rope_freqs(float *freqs, const struct model_shape *s, const struct modelfile *f, const float *factors, struct err *e) MUST_USE;

/* blocks.c: what families are composed of. */
int  bind_dense(struct loader *ld, struct model *m, enum need qkv_bias, struct err *e) MUST_USE; /* attention + SwiGLU, pre-norm */
void block_embed(struct model *m, const struct step *s);
/* Adds attention to x. Rows of the last layer whose logits nobody wants end here: returns the rows that go on. */
int  block_attention(struct model *m, int layer, const struct step *s);
void block_swiglu(struct model *m, int layer, int n);
void block_head(struct model *m, const struct step *s);
void dense_step(struct model *m, const struct step *s); /* the step of a family that bind_dense describes whole */
