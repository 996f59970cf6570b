/* A model of any family with random weights and a small vocabulary, made of a seed alone: the same file on every machine (integer random
 * numbers, no libm), so that a test can hold golden values without holding the file. Included by tools/tinymodel.c and by tests. */
#pragma once
#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "format/modelfile.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TINY_LAYERS_MAX = 64 };
struct tiny {
    const char *arch; /* "llama", "mistral3", "deci", "phi3" (SentencePiece vocabulary), "qwen2", "qwen3" or "smollm3" (byte-level BPE) */
    const char *label; /* what the file calls it; NULL: arch */
    uint32_t    type, embd_type; /* of matrices; of the embedding and the head */
    uint32_t    n_embd, n_layers, n_heads, n_kv_heads, n_ff, n_vocab, n_ctx;
    uint32_t    head_dim; /* 0: n_embd / n_heads, and no key says it */
    uint32_t    v_dim;    /* of values; 0: head_dim */
    bool        tied, rope_factors;
    float       rope_theta, rope_linear; /* rope_linear 0: no scaling */
    uint32_t    parts; /* more than 1: tiny_save takes its path as the stem of so many files */
    uint64_t    seed;
    bool        qkv_bias, o_bias, ffn_bias, qk_norm, qkv_in_one, gate_in_up;
    bool        differ; /* layers have their own numbers, of which those above are the most */
    uint32_t    layer_heads[TINY_LAYERS_MAX], layer_kv[TINY_LAYERS_MAX], layer_ff[TINY_LAYERS_MAX];
    uint32_t    n_rot;  /* 0: the head */
    uint32_t    pooling; /* pooling_type, when it is not 0 */
    uint32_t    window, window_every; /* sliding window, in all layers but each window_every-th (0: in all) */
    const char *rope;   /* rope.scaling.type, with the keys below that are not 0; "longrope" has the two tensors too */
    uint32_t    rope_ctx;
    float       rope_factor, rope_attn, yarn_fast, yarn_slow, yarn_log, yarn_attn, q_scale_log;
};

static inline bool tiny_is_bpe(const struct tiny *o) { return !strcmp(o->arch, "qwen2") || !strcmp(o->arch, "qwen3") || !strcmp(o->arch, "smollm3"); }
static inline bool tiny_is_qwen(const struct tiny *o) { return !strncmp(o->arch, "qwen", 4); }

static inline struct tiny tiny_default(const char *arch)
{
    struct tiny o = {.arch = arch, .type = QUANT_F32, .embd_type = QUANT_F32, .n_embd = 64, .n_layers = 2, .n_heads = 4, .n_kv_heads = 2,
                     .n_ff = 160, .n_vocab = 384, .n_ctx = 256, .rope_theta = 1e4f, .seed = 1};
    o.tied = tiny_is_bpe(&o);
    o.rope_theta = tiny_is_qwen(&o) ? 1e6f : !strcmp(arch, "smollm3") ? 5e6f : 1e4f;
    o.qkv_bias = !strcmp(arch, "qwen2");
    o.qk_norm = !strcmp(arch, "qwen3");
    o.qkv_in_one = o.gate_in_up = !strcmp(arch, "phi3");
    o.n_layers = !strcmp(arch, "smollm3") ? 5 : 2; /* the fourth does not rotate */
    if (!strcmp(arch, "qwen3"))
        o.head_dim = 32; /* not n_embd / n_heads, as in most files of that family */
    if (!strcmp(arch, "deci")) { /* attention of two kinds, a matrix instead, none at all */
        const uint32_t heads[] = {4, 4, 0, 4, 4}, kv[] = {2, 0, 0, 4, 1}, ff[] = {160, 96, 160, 64, 128};
        o.n_layers = 5, o.n_kv_heads = 4, o.differ = true;
        memcpy(o.layer_heads, heads, sizeof heads), memcpy(o.layer_kv, kv, sizeof kv), memcpy(o.layer_ff, ff, sizeof ff);
    }
    return o;
}

static const char tiny_template[] =
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

struct tiny_vocab {
    struct buf  text; /* of all tokens; fixed before the strs are made */
    uint32_t   *at;
    int32_t    *kind; /* token_attr */
    float      *score;
    uint32_t    n, cap;
};

static inline void tiny_token(struct tiny_vocab *v, const char *z, int32_t kind, float score)
{
    if (v->n == v->cap)
        return;
    v->at[v->n] = (uint32_t)v->text.len;
    v->kind[v->n] = kind;
    v->score[v->n++] = score;
    buf_add(&v->text, z, strlen(z) + 1);
}

/* GPT-2's printable stand-in for a byte, as UTF-8. */
static inline void tiny_byte_char(char out[5], int byte)
{
    uint32_t extra = 256;
    for (int b = 0; b < byte; b++)
        extra += !((b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174);
    bool same = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    out[utf8_encode(out, same ? (uint32_t)byte : extra)] = 0;
}

/* Byte-level BPE: 256 bytes, a few merges ("\xc4\xa0" is a blank), ChatML's three control tokens, unused ones up to the size. */
static inline void tiny_vocab_bpe(struct tiny_vocab *v, struct gguf_writer *w)
{
    static const char *const merge[] = {"t h", "th e", "\xc4\xa0 t", "\xc4\xa0 the", "i n", "e r", "o n", "\xc4\xa0 a"};
    enum { N = sizeof merge / sizeof *merge };
    struct str m[N];
    char t[64];
    for (int b = 0; b < 256; b++)
        tiny_byte_char(t, b), tiny_token(v, t, 1, 0);
    for (int i = 0; i < N; i++) {
        const char *blank = strchr(merge[i], ' ');
        snprintf(t, sizeof t, "%.*s%s", (int)(blank - merge[i]), merge[i], blank + 1);
        tiny_token(v, t, 1, 0);
        m[i] = str_of(merge[i]);
    }
    for (int i = 0; v->n + 3 < v->cap; i++)
        snprintf(t, sizeof t, "<|unused_%d|>", i), tiny_token(v, t, 5, 0);
    tiny_token(v, "<|endoftext|>", 3, 0), tiny_token(v, "<|im_start|>", 3, 0), tiny_token(v, "<|im_end|>", 3, 0);
    gguf_put_str(w, "tokenizer.ggml.model", STR("gpt2"));
    gguf_put_str(w, "tokenizer.ggml.pre", STR("qwen2"));
    gguf_put_strs(w, "tokenizer.ggml.merges", m, N);
    gguf_put_u32(w, "tokenizer.ggml.bos_token_id", v->cap - 3);
    gguf_put_u32(w, "tokenizer.ggml.eos_token_id", v->cap - 1);
    gguf_put_bool(w, "tokenizer.ggml.add_bos_token", false);
}

/* SentencePiece style: <unk> <s> </s>, 256 byte tokens, pieces ("\xe2\x96\x81" is a blank) with scores. */
static inline void tiny_vocab_spm(struct tiny_vocab *v, struct gguf_writer *w)
{
    static const char *const piece[] = {"th", "the", "\xe2\x96\x81t", "\xe2\x96\x81the", "in", "er", "on", "\xe2\x96\x81" "a", "an", "\xe2\x96\x81" "and"};
    char t[64];
    tiny_token(v, "<unk>", 2, 0), tiny_token(v, "<s>", 3, 0), tiny_token(v, "</s>", 3, 0);
    for (int b = 0; b < 256; b++)
        snprintf(t, sizeof t, "<0x%02X>", (unsigned)b), tiny_token(v, t, 6, 0);
    tiny_token(v, "<|im_start|>", 3, 0), tiny_token(v, "<|im_end|>", 3, 0);
    for (uint32_t i = 0; i < sizeof piece / sizeof *piece; i++)
        tiny_token(v, piece[i], 1, -(float)(i + 1));
    tiny_token(v, "\xe2\x96\x81", 1, -100);
    for (char c = 33; c < 127; c++)
        t[0] = c, t[1] = 0, tiny_token(v, t, 1, -(float)(100 + c));
    for (int i = 0; v->n < v->cap; i++)
        snprintf(t, sizeof t, "<|unused_%d|>", i), tiny_token(v, t, 5, 0);
    gguf_put_str(w, "tokenizer.ggml.model", STR("llama"));
    gguf_put_f32s(w, "tokenizer.ggml.scores", v->score, v->n);
    gguf_put_u32(w, "tokenizer.ggml.bos_token_id", 1);
    gguf_put_u32(w, "tokenizer.ggml.eos_token_id", 2);
    gguf_put_u32(w, "tokenizer.ggml.unknown_token_id", 0);
    gguf_put_bool(w, "tokenizer.ggml.add_bos_token", true);
}

static inline bool tiny_put_vocab(struct gguf_writer *w, const struct tiny *o)
{
    struct tiny_vocab v = {.cap = o->n_vocab};
    buf_init(&v.text, 0);
    v.at = mem_array(v.cap, sizeof *v.at), v.kind = mem_array(v.cap, sizeof *v.kind), v.score = mem_array(v.cap, sizeof *v.score);
    struct str *s = mem_array(v.cap, sizeof *s);
    bool ok = v.at && v.kind && v.score && s;
    if (ok) {
        (tiny_is_bpe(o) ? tiny_vocab_bpe : tiny_vocab_spm)(&v, w);
        for (uint32_t i = 0; i < v.n; i++)
            s[i] = str_of(v.text.data + v.at[i]);
        gguf_put_strs(w, "tokenizer.ggml.tokens", s, v.n);
        gguf_put_i32s(w, "tokenizer.ggml.token_type", v.kind, v.n);
        gguf_put_str(w, "tokenizer.chat_template", str_of(tiny_template));
    }
    mem_free(v.at), mem_free(v.kind), mem_free(v.score), mem_free(s);
    buf_deinit(&v.text);
    return ok && v.n == v.cap;
}

static inline void tiny_put_rope(struct gguf_writer *w, const struct tiny *o, const char *arch)
{
    const struct { const char *tail; float v; } keys[] = {
        {"factor", o->rope_factor},           {"attn_factor", o->rope_attn},      {"yarn_beta_fast", o->yarn_fast},
        {"yarn_beta_slow", o->yarn_slow},     {"yarn_log_multiplier", o->yarn_log}, {"yarn_attn_factor", o->yarn_attn},
    };
    char key[96];
    snprintf(key, sizeof key, "%s.rope.scaling.type", arch), gguf_put_str(w, key, str_of(o->rope));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].v > 0)
            snprintf(key, sizeof key, "%s.rope.scaling.%s", arch, keys[i].tail), gguf_put_f32(w, key, keys[i].v);
    if (o->rope_ctx)
        snprintf(key, sizeof key, "%s.rope.scaling.original_context_length", arch), gguf_put_u32(w, key, o->rope_ctx);
}

static inline void tiny_put_keys(struct gguf_writer *w, const struct tiny *o)
{
    const struct { const char *tail; uint32_t v; const uint32_t *each; } keys[] = {
        {"context_length", o->n_ctx, NULL}, {"embedding_length", o->n_embd, NULL}, {"block_count", o->n_layers, NULL},
        {"feed_forward_length", o->n_ff, o->layer_ff}, {"attention.head_count", o->n_heads, o->layer_heads},
        {"attention.head_count_kv", o->n_kv_heads, o->layer_kv}, {"rope.dimension_count", o->n_rot ? o->n_rot : o->head_dim, NULL},
        {"attention.key_length", o->head_dim, NULL}, {"attention.value_length", o->v_dim ? o->v_dim : o->head_dim, NULL},
        {"attention.sliding_window", o->window, NULL},
    };
    const char *arch = o->label ? o->label : o->arch;
    char key[96];
    gguf_put_str(w, "general.architecture", str_of(arch));
    gguf_put_str(w, "general.name", STR("tiny random"));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(key, sizeof key, "%s.%s", arch, keys[i].tail);
        if (o->differ && keys[i].each)
            gguf_put_i32s(w, key, (const int32_t *)keys[i].each, o->n_layers);
        else if (keys[i].v)
            gguf_put_u32(w, key, keys[i].v);
    }
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", arch), gguf_put_f32(w, key, tiny_is_qwen(o) ? 1e-6f : 1e-5f);
    snprintf(key, sizeof key, "%s.rope.freq_base", arch), gguf_put_f32(w, key, o->rope_theta);
    if (o->pooling)
        snprintf(key, sizeof key, "%s.pooling_type", arch), gguf_put_u32(w, key, o->pooling);
    if (o->rope_linear > 0) {
        snprintf(key, sizeof key, "%s.rope.scaling.type", arch), gguf_put_str(w, key, STR("linear"));
        snprintf(key, sizeof key, "%s.rope.scaling.factor", arch), gguf_put_f32(w, key, o->rope_linear);
    }
    if (o->rope)
        tiny_put_rope(w, o, arch);
    if (o->q_scale_log > 0)
        snprintf(key, sizeof key, "%s.attention.temperature_scale", arch), gguf_put_f32(w, key, o->q_scale_log);
    int32_t on[TINY_LAYERS_MAX];
    for (uint32_t i = 0; i < TINY_LAYERS_MAX; i++)
        on[i] = !o->window_every || i % o->window_every < o->window_every - 1;
    if (o->window_every || o->label)
        snprintf(key, sizeof key, "%s.attention.sliding_window_pattern", arch), gguf_put_i32s(w, key, on, o->n_layers);
    if (o->label) /* the peer's family with windows wants it */
        snprintf(key, sizeof key, "%s.logit_scale", arch), gguf_put_f32(w, key, 1);
}

struct tiny_maker { struct gguf_writer *w; const struct tiny *o; uint32_t n_made; bool failed; };

/* Values mean + sigma * z, z near normal: the sum of four 16-bit uniforms (Irwin and Hall), whose deviation is 2^16 / sqrt(3). */
static inline void tiny_values(float *out, size_t n, uint64_t seed, uint32_t tensor, uint64_t first, float mean, float sigma)
{
    const float unit = sigma / 37837.2262f;
    for (size_t i = 0; i < n; i++) {
        uint64_t r = rng_u64(seed, tensor, first + i, 0);
        int32_t sum = (int32_t)((r & 0xffff) + (r >> 16 & 0xffff) + (r >> 32 & 0xffff) + (r >> 48)) - 131070;
        out[i] = mean + unit * (float)sum;
    }
}

/* One tensor (n_out rows of n_in), encoded row by row. n_out 0: a vector, F32. */
static inline void tiny_tensor(struct tiny_maker *k, const char *name, uint32_t type, uint32_t n_in, uint32_t n_out, float mean, float sigma)
{
    const struct quant_info *q = quant_info(n_out ? type : QUANT_F32);
    uint64_t ne[2] = {n_in, n_out}, rows = n_out ? n_out : 1;
    if (!q || n_in % q->block) {
        k->failed = true;
        return;
    }
    size_t row_bytes = n_in / q->block * q->bytes;
    float *row = mem_array(n_in, sizeof *row);
    char *enc = mem_array(rows, row_bytes);
    for (uint64_t i = 0; i < rows && row && enc; i++) {
        tiny_values(row, n_in, k->o->seed, k->n_made, i * n_in, mean, sigma);
        q->encode(enc + i * row_bytes, row, n_in);
    }
    if (row && enc)
        gguf_put_tensor(k->w, name, n_out ? type : QUANT_F32, n_out ? 2 : 1, ne, enc, rows * row_bytes);
    else
        k->failed = true;
    k->n_made++;
    mem_free(row), mem_free(enc);
}

static inline void tiny_layer(struct tiny_maker *k, uint32_t i)
{
    const struct tiny *o = k->o;
    uint32_t d = o->n_embd, hd = o->head_dim ? o->head_dim : o->n_embd / o->n_heads, heads = o->differ ? o->layer_heads[i] : o->n_heads,
             kv = o->differ ? o->layer_kv[i] : o->n_kv_heads, ff = o->differ ? o->layer_ff[i] : o->n_ff, vd = o->v_dim ? o->v_dim : hd,
             dq = kv ? heads * hd : d, dk = kv * hd, dv = kv * vd, da = kv ? heads * vd : d;
    bool one = o->qkv_in_one;
    const struct { const char *tail; uint32_t n_in, n_out; float mean, sigma; bool there; } t[] = {
        {"attn_norm.weight", d, 0, 1, 0.1f, heads > 0},
        {"attn_qkv.weight", d, dq + dk + dv, 0, 1 / sqrtf((float)d), kv && one}, {"attn_qkv.bias", dq + dk + dv, 0, 0, 0.2f, kv && one && o->qkv_bias},
        {"attn_q.weight", d, dq, 0, 1 / sqrtf((float)d), kv && !one}, {"attn_q.bias", dq, 0, 0, 0.2f, kv && !one && o->qkv_bias},
        {"attn_k.weight", d, dk, 0, 1 / sqrtf((float)d), kv && !one}, {"attn_k.bias", dk, 0, 0, 0.2f, kv && !one && o->qkv_bias},
        {"attn_v.weight", d, dv, 0, 1 / sqrtf((float)d), kv && !one}, {"attn_v.bias", dv, 0, 0, 0.2f, kv && !one && o->qkv_bias},
        {"attn_q_norm.weight", hd, 0, 1, 0.3f, kv && o->qk_norm}, {"attn_k_norm.weight", hd, 0, 1, 0.3f, kv && o->qk_norm},
        {"attn_output.weight", da, d, 0, 0.5f / sqrtf((float)da), heads > 0}, {"attn_output.bias", d, 0, 0, 0.2f, kv && o->o_bias},
        {"attn_sinks.weight", heads, 0, -1e30f, 0, o->label != NULL}, /* that attract nothing */
        {"ffn_norm.weight", d, 0, 1, 0.1f, ff > 0},
        {"ffn_gate.weight", d, ff, 0, 1 / sqrtf((float)d), ff && !o->gate_in_up}, {"ffn_gate.bias", ff, 0, 0, 0.2f, ff && o->ffn_bias},
        {"ffn_up.weight", d, o->gate_in_up ? 2 * ff : ff, 0, 1 / sqrtf((float)d), ff > 0}, {"ffn_up.bias", ff, 0, 0, 0.2f, ff && o->ffn_bias},
        {"ffn_down.weight", ff, d, 0, 0.5f / sqrtf((float)(ff ? ff : 1)), ff > 0}, {"ffn_down.bias", d, 0, 0, 0.2f, ff && o->ffn_bias},
    };
    char name[64];
    for (size_t j = 0; j < sizeof t / sizeof *t; j++) {
        if (!t[j].there)
            continue;
        snprintf(name, sizeof name, "blk.%u.%s", i, t[j].tail);
        tiny_tensor(k, name, o->type, t[j].n_in, t[j].n_out, t[j].mean, t[j].sigma);
        k->n_made -= !strcmp(t[j].tail, "attn_sinks.weight"); /* the others stay what they are without it */
    }
}

/* The factors of RoPE's pairs: slow ones slowed down further, as Llama 3.1 (rope_freqs) and longrope have it. */
static inline void tiny_put_factors(struct gguf_writer *w, const struct tiny *o, uint32_t n_rot)
{
    float factor[512];
    uint64_t half = n_rot / 2;
    for (uint32_t i = 0; i < half && i < 512; i++)
        factor[i] = i < half / 2 ? 1 : 1 + (float)i / 4;
    if (o->rope_factors)
        gguf_put_tensor(w, "rope_freqs.weight", QUANT_F32, 1, &half, factor, half * sizeof *factor);
    if (!o->rope || strcmp(o->rope, "longrope"))
        return;
    gguf_put_tensor(w, "rope_factors_short.weight", QUANT_F32, 1, &half, factor, half * sizeof *factor);
    for (uint32_t i = 0; i < half && i < 512; i++)
        factor[i] = 1 + (float)(i * i) / 8;
    gguf_put_tensor(w, "rope_factors_long.weight", QUANT_F32, 1, &half, factor, half * sizeof *factor);
}

/* Puts the whole model into w. False: sizes that do not fit the types, or no memory. */
static inline bool tiny_put(struct gguf_writer *w, const struct tiny *o)
{
    struct tiny_maker k = {w, o, 0, false};
    uint32_t hd = o->head_dim ? o->head_dim : o->n_embd / o->n_heads;
    float s = 3 / sqrtf((float)o->n_embd);
    if (o->n_layers > TINY_LAYERS_MAX && (o->differ || o->window_every || o->label))
        return false;
    tiny_put_keys(w, o);
    if (!tiny_put_vocab(w, o))
        return false;
    tiny_tensor(&k, "token_embd.weight", o->embd_type, o->n_embd, o->n_vocab, 0, s);
    tiny_tensor(&k, "output_norm.weight", 0, o->n_embd, 0, 1, 0.1f);
    if (!o->tied)
        tiny_tensor(&k, "output.weight", o->embd_type, o->n_embd, o->n_vocab, 0, s);
    tiny_put_factors(w, o, o->n_rot ? o->n_rot : hd);
    for (uint32_t i = 0; i < o->n_layers; i++)
        tiny_layer(&k, i);
    return !k.failed;
}

/* The file in memory: the model file borrows from *bytes, which the caller has initialised. NULL: *e says why. */
static inline struct modelfile *tiny_file(const struct tiny *o, struct buf *bytes, struct err *e)
{
    struct gguf_writer *w;
    struct modelfile *f = NULL;
    if (gguf_writer_new(&w, e))
        return NULL;
    if (!tiny_put(w, o))
        err_set(e, ERR_USAGE, "tinymodel: sizes that the types do not allow, or no memory");
    else if (!gguf_writer_bytes(w, bytes, e) && gguf_parse(&f, bytes->data, bytes->len, e))
        f = NULL;
    gguf_writer_free(w);
    return f;
}

static inline int tiny_save(const struct tiny *o, const char *path, struct err *e)
{
    struct gguf_writer *w;
    int rc = gguf_writer_new(&w, e);
    if (rc)
        return rc;
    rc = !tiny_put(w, o)  ? err_set(e, ERR_USAGE, "tinymodel: sizes that the types do not allow (rows of 32 for Q4_0 to Q8_0, of 256 for the K types; "
                                                  "at least 384 tokens), or no memory")
         : o->parts > 1 ? gguf_writer_save_parts(w, path, o->parts, e)
                        : gguf_writer_save(w, path, e);
    gguf_writer_free(w);
    return rc;
}

static inline bool tiny_type(struct str name, uint32_t *out)
{
    for (uint32_t i = 0; i < 64; i++)
        if (quant_info(i) && str_ieqz(name, quant_info(i)->name)) {
            *out = i;
            return true;
        }
    return false;
}

static inline bool tiny_set_f32(struct str v, float *out)
{
    double d;
    bool ok = str_f64(v, &d);
    *out = ok ? (float)d : 0;
    return ok;
}

static inline bool tiny_set_u32(struct str v, uint32_t *out)
{
    uint64_t u;
    bool ok = str_u64(v, &u) && u <= INT32_MAX;
    *out = ok ? (uint32_t)u : 0;
    return ok;
}

static inline bool tiny_set_bool(struct str v, bool *out)
{
    *out = str_eqz(v, "1");
    return *out || str_eqz(v, "0");
}

/* "4/0/2": a number for each layer, whose count they give. */
static inline bool tiny_set_each(struct str v, uint32_t *out, struct tiny *o, uint32_t *most)
{
    for (o->n_layers = 0, *most = 0; v.p && o->n_layers < TINY_LAYERS_MAX; o->n_layers++) {
        struct str one = str_split(&v, '/');
        if (!tiny_set_u32(one, &out[o->n_layers]))
            return false;
        *most = out[o->n_layers] > *most ? out[o->n_layers] : *most;
    }
    return o->differ = o->n_layers > 0;
}

static inline bool tiny_set_rope(struct tiny *o, struct str key, struct str v)
{
    const struct { const char *key; float *to; } x[] = {{"rope_factor", &o->rope_factor}, {"rope_attn", &o->rope_attn}, {"yarn_fast", &o->yarn_fast},
                                                        {"yarn_slow", &o->yarn_slow},     {"yarn_log", &o->yarn_log},   {"yarn_attn", &o->yarn_attn},
                                                        {"rope_linear", &o->rope_linear}, {"rope_theta", &o->rope_theta}, {"q_scale", &o->q_scale_log}};
    for (size_t i = 0; i < sizeof x / sizeof *x; i++)
        if (str_eqz(key, x[i].key))
            return tiny_set_f32(v, x[i].to);
    if (str_eqz(key, "rope"))
        return o->rope = v.p, true;
    return str_eqz(key, "rope_factors") && tiny_set_bool(v, &o->rope_factors);
}

static inline bool tiny_family(struct str v)
{
    static const char *const all[] = {"llama", "qwen2", "qwen3", "mistral3", "smollm3", "deci", "phi3"};
    bool found = false;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        found |= str_eqz(v, all[i]);
    return found;
}

/* One key=value of the command line (tinymodel.c lists them). */
static inline bool tiny_set(struct tiny *o, struct str key, struct str v)
{
    const struct { const char *key; uint32_t *to; } u[] = {{"embd", &o->n_embd}, {"layers", &o->n_layers}, {"heads", &o->n_heads}, {"kv", &o->n_kv_heads},
                                                           {"ff", &o->n_ff}, {"vocab", &o->n_vocab}, {"ctx", &o->n_ctx}, {"parts", &o->parts},
                                                           {"head_dim", &o->head_dim}, {"v_dim", &o->v_dim},
                                                           {"n_rot", &o->n_rot}, {"rope_ctx", &o->rope_ctx}, {"window", &o->window},
                                                           {"window_every", &o->window_every}, {"pooling", &o->pooling}};
    const struct { const char *key; bool *to; } flags[] = {{"tied", &o->tied}, {"qkv_bias", &o->qkv_bias}, {"o_bias", &o->o_bias},
                                                           {"ffn_bias", &o->ffn_bias}, {"qk_norm", &o->qk_norm},
                                                           {"qkv_in_one", &o->qkv_in_one}};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (str_eqz(key, flags[i].key))
            return tiny_set_bool(v, flags[i].to);
    for (size_t i = 0; i < sizeof u / sizeof *u; i++)
        if (str_eqz(key, u[i].key))
            return tiny_set_u32(v, u[i].to);
    if (str_eqz(key, "arch"))
        return tiny_family(v) && (*o = tiny_default(v.p), true);
    if (str_eqz(key, "label"))
        return o->label = v.p, true;
    if (str_eqz(key, "layer_heads"))
        return tiny_set_each(v, o->layer_heads, o, &o->n_heads);
    if (str_eqz(key, "layer_kv"))
        return tiny_set_each(v, o->layer_kv, o, &o->n_kv_heads);
    if (str_eqz(key, "layer_ff"))
        return tiny_set_each(v, o->layer_ff, o, &o->n_ff);
    if (str_eqz(key, "like") && str_eqz(v, "qwen2.5-0.5b")) {
        *o = (struct tiny){.arch = "qwen2", .type = QUANT_Q8_0, .embd_type = QUANT_Q8_0, .n_embd = 896, .n_layers = 24, .n_heads = 14, .n_kv_heads = 2,
                           .n_ff = 4864, .n_vocab = 151936, .n_ctx = 32768, .tied = true, .rope_theta = 1e6f, .seed = 1, .qkv_bias = true};
        return true;
    }
    if (str_eqz(key, "type"))
        return tiny_type(v, &o->type) && tiny_type(v, &o->embd_type);
    if (str_eqz(key, "embd_type"))
        return tiny_type(v, &o->embd_type);
    if (str_eqz(key, "seed"))
        return str_u64(v, &o->seed);
    return tiny_set_rope(o, key, v);
}
