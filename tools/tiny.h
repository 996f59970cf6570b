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

struct tiny {
    const char *arch; /* "llama" (SentencePiece vocabulary) or "qwen2" (byte-level BPE) */
    uint32_t    type, embd_type; /* of matrices; of the embedding and the head */
    uint32_t    n_embd, n_layers, n_heads, n_kv_heads, n_ff, n_vocab, n_ctx;
    uint32_t    head_dim; /* 0: n_embd / n_heads, and no key says it */
    bool        tied, rope_factors;
    float       rope_theta, rope_linear; /* rope_linear 0: no scaling */
    uint64_t    seed;
};

static inline struct tiny tiny_default(const char *arch)
{
    bool qwen = !strcmp(arch, "qwen2");
    return (struct tiny){.arch = arch, .type = QUANT_F32, .embd_type = QUANT_F32, .n_embd = 64, .n_layers = 2, .n_heads = 4, .n_kv_heads = 2,
                         .n_ff = 160, .n_vocab = 384, .n_ctx = 256, .tied = qwen, .rope_theta = qwen ? 1e6f : 1e4f, .seed = 1};
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
    static const char *const merge[] = {"t h", "th e", "\xc4\xa0 t", "\xc4\xa0t he", "i n", "e r", "o n", "\xc4\xa0 a"};
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
        (!strcmp(o->arch, "qwen2") ? tiny_vocab_bpe : tiny_vocab_spm)(&v, w);
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

static inline void tiny_put_keys(struct gguf_writer *w, const struct tiny *o)
{
    const struct { const char *tail; uint32_t v; } keys[] = {
        {"context_length", o->n_ctx}, {"embedding_length", o->n_embd}, {"block_count", o->n_layers}, {"feed_forward_length", o->n_ff},
        {"attention.head_count", o->n_heads}, {"attention.head_count_kv", o->n_kv_heads}, {"rope.dimension_count", o->head_dim},
        {"attention.key_length", o->head_dim}, {"attention.value_length", o->head_dim},
    };
    char key[96];
    gguf_put_str(w, "general.architecture", str_of(o->arch));
    gguf_put_str(w, "general.name", STR("tiny random"));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (keys[i].v)
            snprintf(key, sizeof key, "%s.%s", o->arch, keys[i].tail), gguf_put_u32(w, key, keys[i].v);
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", o->arch), gguf_put_f32(w, key, !strcmp(o->arch, "qwen2") ? 1e-6f : 1e-5f);
    snprintf(key, sizeof key, "%s.rope.freq_base", o->arch), gguf_put_f32(w, key, o->rope_theta);
    if (o->rope_linear > 0) {
        snprintf(key, sizeof key, "%s.rope.scaling.type", o->arch), gguf_put_str(w, key, STR("linear"));
        snprintf(key, sizeof key, "%s.rope.scaling.factor", o->arch), gguf_put_f32(w, key, o->rope_linear);
    }
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
    uint32_t d = o->n_embd, hd = o->head_dim ? o->head_dim : o->n_embd / o->n_heads, dq = o->n_heads * hd, dkv = o->n_kv_heads * hd;
    const struct { const char *tail; uint32_t n_in, n_out; float mean, sigma; bool bias; } t[] = {
        {"attn_norm.weight", d, 0, 1, 0.1f, false},
        {"attn_q.weight", d, dq, 0, 1 / sqrtf((float)d), false}, {"attn_q.bias", dq, 0, 0, 0.2f, true},
        {"attn_k.weight", d, dkv, 0, 1 / sqrtf((float)d), false}, {"attn_k.bias", dkv, 0, 0, 0.2f, true},
        {"attn_v.weight", d, dkv, 0, 1 / sqrtf((float)d), false}, {"attn_v.bias", dkv, 0, 0, 0.2f, true},
        {"attn_output.weight", dq, d, 0, 0.5f / sqrtf((float)dq), false},
        {"ffn_norm.weight", d, 0, 1, 0.1f, false},
        {"ffn_gate.weight", d, o->n_ff, 0, 1 / sqrtf((float)d), false},
        {"ffn_up.weight", d, o->n_ff, 0, 1 / sqrtf((float)d), false},
        {"ffn_down.weight", o->n_ff, d, 0, 0.5f / sqrtf((float)o->n_ff), false},
    };
    char name[64];
    for (size_t j = 0; j < sizeof t / sizeof *t; j++) {
        if (t[j].bias && strcmp(o->arch, "qwen2"))
            continue;
        snprintf(name, sizeof name, "blk.%u.%s", i, t[j].tail);
        tiny_tensor(k, name, o->type, t[j].n_in, t[j].n_out, t[j].mean, t[j].sigma);
    }
}

/* Puts the whole model into w. False: sizes that do not fit the types, or no memory. */
static inline bool tiny_put(struct gguf_writer *w, const struct tiny *o)
{
    struct tiny_maker k = {w, o, 0, false};
    uint32_t hd = o->head_dim ? o->head_dim : o->n_embd / o->n_heads;
    float factor[512], s = 3 / sqrtf((float)o->n_embd);
    tiny_put_keys(w, o);
    if (!tiny_put_vocab(w, o))
        return false;
    tiny_tensor(&k, "token_embd.weight", o->embd_type, o->n_embd, o->n_vocab, 0, s);
    tiny_tensor(&k, "output_norm.weight", 0, o->n_embd, 0, 1, 0.1f);
    if (!o->tied)
        tiny_tensor(&k, "output.weight", o->embd_type, o->n_embd, o->n_vocab, 0, s);
    for (uint32_t i = 0; i < hd / 2 && i < 512; i++)
        factor[i] = i < hd / 4 ? 1 : 1 + (float)i / 4; /* low frequencies slowed down, as Llama 3.1 has it */
    uint64_t ne = hd / 2;
    if (o->rope_factors)
        gguf_put_tensor(w, "rope_freqs.weight", QUANT_F32, 1, &ne, factor, ne * sizeof *factor);
    for (uint32_t i = 0; i < o->n_layers; i++)
        tiny_layer(&k, i);
    return !k.failed;
}

static inline int tiny_save(const struct tiny *o, const char *path, struct err *e)
{
    struct gguf_writer *w;
    int rc = gguf_writer_new(&w, e);
    if (rc)
        return rc;
    rc = tiny_put(w, o) ? gguf_writer_save(w, path, e)
                        : err_set(e, ERR_USAGE, "tinymodel: sizes that the types do not allow (rows of 32 for Q8_0 and Q4_0; at least 384 tokens), or no memory");
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

/* One key=value of the command line (tinymodel.c lists them). */
static inline bool tiny_set(struct tiny *o, struct str key, struct str v)
{
    const struct { const char *key; uint32_t *to; } u[] = {{"embd", &o->n_embd}, {"layers", &o->n_layers}, {"heads", &o->n_heads}, {"kv", &o->n_kv_heads},
                                                           {"ff", &o->n_ff}, {"vocab", &o->n_vocab}, {"ctx", &o->n_ctx}, {"head_dim", &o->head_dim}};
    for (size_t i = 0; i < sizeof u / sizeof *u; i++)
        if (str_eqz(key, u[i].key))
            return tiny_set_u32(v, u[i].to);
    if (str_eqz(key, "arch") && (str_eqz(v, "llama") || str_eqz(v, "qwen2")))
        return *o = tiny_default(v.p), true;
    if (str_eqz(key, "like") && str_eqz(v, "qwen2.5-0.5b")) {
        *o = (struct tiny){.arch = "qwen2", .type = QUANT_Q8_0, .embd_type = QUANT_Q8_0, .n_embd = 896, .n_layers = 24, .n_heads = 14, .n_kv_heads = 2,
                           .n_ff = 4864, .n_vocab = 151936, .n_ctx = 32768, .tied = true, .rope_theta = 1e6f, .seed = 1};
        return true;
    }
    if (str_eqz(key, "type"))
        return tiny_type(v, &o->type) && tiny_type(v, &o->embd_type);
    if (str_eqz(key, "embd_type"))
        return tiny_type(v, &o->embd_type);
    if (str_eqz(key, "seed"))
        return str_u64(v, &o->seed);
    if (str_eqz(key, "tied"))
        return tiny_set_bool(v, &o->tied);
    if (str_eqz(key, "rope_factors"))
        return tiny_set_bool(v, &o->rope_factors);
    if (str_eqz(key, "rope_theta"))
        return tiny_set_f32(v, &o->rope_theta);
    return str_eqz(key, "rope_linear") && tiny_set_f32(v, &o->rope_linear);
}
