/* Inside model/: what a family is made of. A family (arch/NAME.c) says which keys and tensors its files have and composes its step from
 * blocks; everything that two families share stands in blocks.c, rope.c and weights.c. */
#pragma once
#include "device/packed.h"
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

/* One transformer layer; what the family or the file has none of is NULL. */
struct layer {
    uint32_t       n_heads, n_kv_heads, n_ff;   /* no heads: no attention; no KV heads: a matrix instead of it; no n_ff: no feed-forward part */
    int            window;                      /* attention reaches this far back; 0: all the way */
    bool           no_rope;
    float         *attn_norm, *ffn_norm;        /* (n_embd) */
    struct weight *q, *k, *v;                   /* (n_heads * head_dim, n_embd), (n_kv_heads * head_dim, n_embd), (n_kv_heads * v_dim, n_embd) */
    struct weight *o;                           /* (n_embd, n_heads * v_dim); without KV heads (n_embd, n_embd) */
    float         *q_bias, *k_bias, *v_bias, *o_bias;
    float         *qkv_bias;                    /* where one tensor has them, which the three then point into */
    float         *q_norm, *k_norm;             /* (head_dim) */
    struct weight *gate, *up;                   /* (n_ff, n_embd) */
    struct weight *down;                        /* (n_embd, n_ff) */
    float         *gate_bias, *up_bias, *down_bias;
};

enum rope_scaling { ROPE_NONE, ROPE_LINEAR, ROPE_YARN, ROPE_LONGROPE, ROPE_DYNAMIC }; /* rope.c explains them */
struct rope {
    enum rope_scaling scaling;
    uint32_t          n_rot, n_ctx_orig; /* n_ctx_orig: the context before scaling */
    double            theta, factor, beta_fast, beta_slow;
    double            scale;             /* of rotated values */
    double           *freqs, *freqs_long; /* (n_rot / 2) inverse frequencies; freqs_long: longrope, of sequences past n_ctx_orig */
};

struct model {
    struct model_shape   shape;
    const struct family *family;
    struct device       *dev;
    struct weight       *embd, *out; /* (n_vocab, n_embd); the same weight where they are tied */
    struct screen       *screen; /* of out; NULL: its logits are all computed */
    float               *out_norm;   /* (n_embd) */
    struct layer        *layers;     /* (n_layers) */
    uint32_t            *kv_heads_before; /* (n_layers + 1) KV heads in the layers before this one */
    struct rope          rope;
    float                q_scale_log; /* Llama 4's temperature: queries * (1 + this * ln(floor(pos / n_ctx_orig) + 1)); 0: none */
    struct packed_item  *items;      /* (n_items) for model_keep */
    size_t               n_items;
    void                *scratch;    /* all of the below, for STEP_ROWS_MAX rows */
    size_t               scratch_bytes;
    double *freqs;     /* (rows, n_rot / 2) of sequences with their own; dynamic RoPE only */
    float *x, *xn;     /* (rows, n_embd) residual stream, its norm */
    float *q, *att;    /* (rows, n_heads * the wider of a head, or n_embd where that is more) */
    float *k, *v;      /* (rows, n_kv_heads * the wider of a head) */
    float *gate, *up;  /* (rows, n_ff) */
    float *cos, *sin;  /* (rows, n_rot / 2) angles of the rows */
    float *q_scale;    /* (rows) */
};

/* A head in the KV pages: keys, or values, that are shorter have zeros behind. */
static inline uint32_t model_head_wide(const struct model_shape *s) { return s->head_dim > s->v_dim ? s->head_dim : s->v_dim; }

enum need { NONE, MAY, NEED };
struct loader;
struct family {
    const char     *name;
    enum rope_pairs rope;
    bool            sparse_layers; /* layers may lack attention, KV or the feed-forward part */
    bool            stacked;       /* attn_qkv.weight holds Q, K and V, ffn_up.weight the gate and up, one below the other */
    struct { enum need qkv_bias, o_bias, qk_norm, ffn_bias; } tensors; /* what bind_dense looks for beside the matrices */
    /* May read more keys and change layers, after shape.c has read its own. NULL: nothing to do. */
    int  (*shape)(struct model *m, const struct modelfile *f, struct err *e);
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
    struct packed          *kept;   /* NULL: none */
    struct packed_item     *items;  /* (n_items) matrices that were loaded, by their ids */
    size_t                  n_items, items_max;
    uint64_t                by_type[64]; /* values of each tensor type, to name the most common one */
};
int  loader_init(struct loader *ld, const struct modelfile *f, struct device *dev, struct err *e) MUST_USE;
void loader_deinit(struct loader *ld);
/* A matrix (n_out, n_in); layer < 0: fmt is the whole name. MAY: absent leaves *out as it is. */
int load_matrix(struct loader *ld, struct weight **out, const char *fmt, int layer, uint32_t n_out, uint32_t n_in, enum need need,
                struct err *e) MUST_USE;
/* One tensor (rows of all parts, n_in) that holds several matrices, one below the other. */
struct part { struct weight **out; uint32_t rows; };
int load_stacked(struct loader *ld, const struct part *parts, int n_parts, const char *fmt, int layer, uint32_t n_in, struct err *e) MUST_USE;
bool loader_has(const struct loader *ld, const char *fmt, int layer);
/* A vector (n) as float32. */
int load_vector(struct loader *ld, float **out, const char *fmt, int layer, uint32_t n, enum need need, struct err *e) MUST_USE;
/* Every tensor of the file must have been used: one that was not would make the answers silently wrong. */
int         loader_finish(struct loader *ld, struct err *e) MUST_USE;
const char *loader_quant(const struct loader *ld);

/* shape.c: metadata -> m->shape, family, layers, rope; refuses what this build does not compute. */
int shape_keys(struct model *m, const struct modelfile *f, struct err *e) MUST_USE;
struct key { char z[96]; };
struct key   key_of(const char *arch, const char *tail);
struct shown { char z[32]; };
struct shown shown(struct str s); /* text from a file, fit for an error message */
/* layers.c: the numbers that may differ from layer to layer; fills m->layers. */
int layers_read(struct model *m, const struct modelfile *f, struct err *e) MUST_USE;

/* rope.c */
int rope_read(struct rope *r, const struct model_shape *s, const struct modelfile *f, struct err *e) MUST_USE; /* the keys */
int rope_load(struct loader *ld, struct rope *r, struct err *e) MUST_USE;                                     /* the factors, the frequencies */
void rope_deinit(struct rope *r);
/* The frequencies of a sequence that can have `reach` positions; own (n_rot / 2) is room for them, if they are its own. */
const double *rope_table(const struct rope *r, uint32_t reach, double *own);
uint32_t rope_class(const struct rope *r, uint32_t reach); /* the same number: the same table */
void rope_describe(const struct rope *r, bool factors, char *out, size_t size);

/* blocks.c: what families are composed of. */
int  bind_dense(struct loader *ld, struct model *m, struct err *e) MUST_USE; /* attention + SwiGLU, pre-norm; family->tensors says what else */
void block_embed(struct model *m, const struct step *s); /* x, and the angles of the rows */
/* Adds attention to x. Of the last layer, where no logits are wanted, only keys and values are computed. */
void block_attention(struct model *m, int layer, const struct step *s);
/* Rows whose logits nobody wants end here: moves the others to the front, returns how many. */
int  block_keep_wanted(struct model *m, const struct step *s);
void block_swiglu(struct model *m, int layer, int n);
void block_head(struct model *m, const struct step *s);
void dense_step(struct model *m, const struct step *s); /* the step of a family that bind_dense describes whole */
