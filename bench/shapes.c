/* shapes OUT.gguf SHAPE MIX [key=value ...]: a model of a real one's shape with random weights, for measurements of speed.
 *   SHAPE: qwen2.5-0.5b qwen2.5-1.5b qwen2.5-7b qwen3-0.6b llama-2-7b
 *   MIX:   a type (f16 bf16 q8_0 q4_0 ...; as llama.cpp's quantiser, the output matrix of the smaller ones is Q6_K) or q4_k_m, q5_k_m; a matrix whose
 *          rows the type's blocks do not divide gets the type that llama.cpp's quantiser falls back to
 *   merges=FILE vocab=FILE   the vocabulary: merges of a byte-level BPE as in GPT-2's merges.txt, or the tokenizer of a GGUF file; else one is made
 *   template=FILE            chat template; else ChatML
 *   layers=N seed=N
 * A block of a matrix is one of some 32,768 random blocks (encoded once) chosen by a random number, so that a file is written at the disk's speed
 * while no two rows are alike. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/vec.h"
#include "format/modelfile.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct shape {
    const char *name, *arch;
    uint32_t embd, layers, heads, kv, head_dim, ff, vocab, ctx;
    float theta;
    bool tied, bias, qk_norm;
};
static const struct shape shapes[] = {
    {"qwen2.5-0.5b", "qwen2", 896, 24, 14, 2, 64, 4864, 151936, 32768, 1e6f, true, true, false},
    {"qwen2.5-1.5b", "qwen2", 1536, 28, 12, 2, 128, 8960, 151936, 32768, 1e6f, true, true, false},
    {"qwen2.5-7b", "qwen2", 3584, 28, 28, 4, 128, 18944, 152064, 32768, 1e6f, false, true, false},
    {"qwen3-0.6b", "qwen3", 1024, 28, 16, 8, 128, 3072, 151936, 40960, 1e6f, true, false, true},
    {"llama-2-7b", "llama", 4096, 32, 32, 32, 128, 11008, 32000, 4096, 1e4f, false, false, false},
};

enum { POOL = 32768, UNIT_MIN = 32, PATH_MAX_ = 4096 };
/* Random blocks of one type and deviation. A unit is a block, or 32 plain values. */
struct pool {
    uint32_t type;
    float sigma;
    uint8_t *units;
    size_t unit, bytes; /* values, bytes */
};
struct maker {
    const struct shape *s;
    struct gguf_writer *w;
    uint32_t type; /* of most matrices */
    bool m;        /* llama.cpp's _M mixes: some matrices in Q6_K */
    uint32_t layers;
    uint64_t random;
    struct pool pool[32];
    int n_pools;
    FILE *out; /* NULL: names and sizes only */
    bool failed;
};

static uint64_t next(struct maker *k)
{
    k->random ^= k->random << 13, k->random ^= k->random >> 7, k->random ^= k->random << 17; /* Marsaglia, Xorshift RNGs, 2003 */
    return k->random;
}

/* Near normal: the sum of four 16-bit uniforms (Irwin and Hall), whose deviation is 2^16 / sqrt(3). */
static float normal(struct maker *k)
{
    uint64_t r = next(k);
    return ((float)((r & 0xffff) + (r >> 16 & 0xffff) + (r >> 32 & 0xffff) + (r >> 48)) - 131070) / 37837.2262f;
}

static const struct pool *pool_of(struct maker *k, uint32_t type, float sigma)
{
    const struct quant_info *q = quant_info(type);
    struct pool *p = k->pool;
    for (int i = 0; i < k->n_pools; i++, p++)
        if (p->type == type && p->sigma == sigma)
            return p;
    ASSERT(k->n_pools < (int)(sizeof k->pool / sizeof *k->pool));
    *p = (struct pool){.type = type, .sigma = sigma, .unit = q->block > 1 ? q->block : UNIT_MIN};
    p->bytes = p->unit / q->block * q->bytes;
    float *x = mem_array(p->unit, sizeof *x);
    p->units = mem_array(POOL, p->bytes);
    if (!x || !p->units)
        fprintf(stderr, "shapes: no memory\n"), exit(1);
    for (size_t i = 0; i < POOL; i++) {
        for (size_t j = 0; j < p->unit; j++)
            x[j] = sigma * normal(k);
        q->encode(p->units + i * p->bytes, x, p->unit);
    }
    mem_free(x);
    k->n_pools++;
    return p;
}

static void put(struct maker *k, const void *p, size_t n)
{
    k->failed |= fwrite(p, 1, n, k->out) != n;
}

static void pad(struct maker *k, uint64_t bytes)
{
    static const char zero[32];
    put(k, zero, (size_t)(-bytes & 31));
}

static void vector(struct maker *k, const char *name, uint32_t n, float mean, float sigma)
{
    uint64_t ne = n, bytes = ne * sizeof(float);
    if (!k->out) {
        gguf_put_tensor_later(k->w, name, QUANT_F32, 1, &ne, bytes);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        put(k, &(float){mean + sigma * normal(k)}, sizeof(float));
    pad(k, bytes);
}

static void matrix(struct maker *k, const char *name, uint32_t type, uint32_t n_in, uint32_t n_out, float sigma)
{
    const struct quant_info *q = quant_info(type);
    uint64_t ne[2] = {n_in, n_out}, bytes = (uint64_t)n_in / q->block * q->bytes * n_out;
    if (!k->out) {
        gguf_put_tensor_later(k->w, name, type, 2, ne, bytes);
        return;
    }
    const struct pool *p = pool_of(k, type, sigma);
    for (uint64_t i = 0, n = (uint64_t)n_in * n_out / p->unit; i < n; i++)
        put(k, p->units + (next(k) >> 32) % POOL * p->bytes, p->bytes);
    pad(k, bytes);
}

/* The type that a matrix gets when the wanted one's blocks do not divide its rows (llama.cpp, tensor_type_fallback). */
static uint32_t fitting(uint32_t type, uint32_t n_in)
{
    static const uint32_t instead[][2] = {
        {QUANT_Q2_K, QUANT_Q4_0}, {QUANT_Q3_K, QUANT_Q4_0}, {QUANT_Q4_K, QUANT_Q5_0}, {QUANT_Q5_K, QUANT_Q5_1}, {QUANT_Q6_K, QUANT_Q8_0}};
    for (size_t i = 0; i < sizeof instead / sizeof *instead; i++)
        if (type == instead[i][0] && n_in % quant_info(type)->block)
            return instead[i][1];
    return type;
}

/* Layers whose sensitive matrices have more bits in a _M mix (llama.cpp, use_more_bits). */
static bool more_bits(uint32_t i, uint32_t n)
{
    return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

static void layer(struct maker *k, uint32_t i)
{
    const struct shape *s = k->s;
    uint32_t d = s->embd, q = s->heads * s->head_dim, kv = s->kv * s->head_dim, more = k->m && more_bits(i, k->layers) ? QUANT_Q6_K : k->type;
    float in = 1 / sqrtf((float)d);
    const struct {
        const char *tail;
        uint32_t n_in, n_out, type;
        float mean, sigma;
        bool there;
    } t[] = {
        {"attn_norm.weight", d, 0, 0, 1, 0.1f, true},
        {"attn_q.weight", d, q, k->type, 0, in, true},
        {"attn_q.bias", q, 0, 0, 0, 0.2f, s->bias},
        {"attn_k.weight", d, kv, k->type, 0, in, true},
        {"attn_k.bias", kv, 0, 0, 0, 0.2f, s->bias},
        {"attn_v.weight", d, kv, more, 0, in, true},
        {"attn_v.bias", kv, 0, 0, 0, 0.2f, s->bias},
        {"attn_q_norm.weight", s->head_dim, 0, 0, 1, 0.3f, s->qk_norm},
        {"attn_k_norm.weight", s->head_dim, 0, 0, 1, 0.3f, s->qk_norm},
        {"attn_output.weight", q, d, k->type, 0, 0.5f / sqrtf((float)q), true},
        {"ffn_norm.weight", d, 0, 0, 1, 0.1f, true},
        {"ffn_gate.weight", d, s->ff, k->type, 0, in, true},
        {"ffn_up.weight", d, s->ff, k->type, 0, in, true},
        {"ffn_down.weight", s->ff, d, more, 0, 0.5f / sqrtf((float)s->ff), true},
    };
    char name[64];
    for (size_t j = 0; j < sizeof t / sizeof *t; j++) {
        snprintf(name, sizeof name, "blk.%u.%s", i, t[j].tail);
        if (t[j].there && t[j].n_out)
            matrix(k, name, fitting(t[j].type, t[j].n_in), t[j].n_in, t[j].n_out, t[j].sigma);
        else if (t[j].there)
            vector(k, name, t[j].n_in, t[j].mean, t[j].sigma);
    }
}

static void tensors(struct maker *k)
{
    const struct shape *s = k->s;
    bool small = quant_info(k->type)->form.bits > 0 && k->type != QUANT_Q8_0;
    uint32_t head = small ? QUANT_Q6_K : k->type;
    float sigma = 3 / sqrtf((float)s->embd);
    matrix(k, "token_embd.weight", fitting(s->tied ? head : k->type, s->embd), s->embd, s->vocab, sigma);
    vector(k, "output_norm.weight", s->embd, 1, 0.1f);
    if (!s->tied)
        matrix(k, "output.weight", fitting(head, s->embd), s->embd, s->vocab, sigma);
    for (uint32_t i = 0; i < k->layers; i++)
        layer(k, i);
}

/* ---- the vocabulary ---- */

struct words {
    struct buf text;
    struct vec_u64 at;
};

static void word(struct words *v, const char *p, size_t n)
{
    if (!vec_push(&v->at, v->text.len))
        v->text.failed = true;
    buf_add(&v->text, p, n), buf_char(&v->text, 0);
}

static void wordz(struct words *v, const char *z)
{
    word(v, z, strlen(z));
}

/* GPT-2's printable stand-ins, in its order: bytes that are printable first. */
static void byte_words(struct words *v)
{
    char t[8];
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t b = 0, extra = 256; b < 256; b++) {
            bool same = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
            size_t n = utf8_encode(t, same ? b : extra);
            extra += !same;
            if (same == !pass)
                word(v, t, n);
        }
}

/* Merges of syllables, when there is no file: letters in twos, threes and fours, with and without the blank ("\xc4\xa0") before them. */
static void made_merges(struct words *m, uint32_t n)
{
    char t[32];
    for (char a = 'a'; a <= 'z'; a++)
        snprintf(t, sizeof t, "\xc4\xa0 %c", a), wordz(m, t);
    for (int i = 0; i < 26 * 26; i++)
        snprintf(t, sizeof t, "%c %c", 'a' + i / 26, 'a' + i % 26), wordz(m, t);
    for (int i = 0; i < 26 * 26; i++)
        snprintf(t, sizeof t, "\xc4\xa0%c %c", 'a' + i / 26, 'a' + i % 26), wordz(m, t);
    for (int blank = 0; blank < 2; blank++)
        for (int i = 0; i < 26 * 26 * 26; i++)
            snprintf(t, sizeof t, "%s%c%c %c", blank ? "\xc4\xa0" : "", 'a' + i / 676, 'a' + i / 26 % 26, 'a' + i % 26), wordz(m, t);
    for (uint32_t i = 0; i < 26 * 26 * 26 * 26 && m->at.n < n; i++) {
        uint32_t j = i * 7u % (26 * 26 * 26 * 26); /* 7 is prime to 26: a permutation, so that all letters occur */
        snprintf(t, sizeof t, "\xc4\xa0%c%c%c %c", 'a' + (int)(j / 17576), 'a' + (int)(j / 676 % 26), 'a' + (int)(j / 26 % 26), 'a' + (int)(j % 26)),
            wordz(m, t);
    }
}

static int read_merges(struct words *m, const char *path, uint32_t n, struct err *e)
{
    struct buf b;
    buf_init(&b, 64 << 20);
    int rc = os_read_file(&b, path, e);
    struct str rest = {b.data, b.len};
    while (!rc && rest.n && m->at.n < n) {
        struct str line = str_split(&rest, '\n');
        if (line.n && !str_starts(line, "#version"))
            word(m, line.p, line.n);
    }
    buf_deinit(&b);
    return rc;
}

static struct str *strs_of(const struct words *v)
{
    struct str *s = mem_array(v->at.n + 1, sizeof *s);
    for (size_t i = 0; s && !v->text.failed && i < v->at.n; i++)
        s[i] = str_of(v->text.data + v->at.p[i]);
    return s;
}

static int put_bpe(struct gguf_writer *w, const struct shape *s, const char *merges, struct err *e)
{
    enum { CONTROL = 3 };
    static const char *const control[CONTROL] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    uint32_t most = s->vocab > 151643 + CONTROL ? 151643 - 256 : s->vocab - 256 - CONTROL;
    struct words v = {0}, m = {0};
    char t[512];
    buf_init(&v.text, 0), buf_init(&m.text, 0);
    int rc = merges ? read_merges(&m, merges, most, e) : (made_merges(&m, most), 0);
    byte_words(&v);
    for (size_t i = 0; i < m.at.n; i++) {
        struct str right = str_of(m.text.data + m.at.p[i]), left = str_split(&right, ' ');
        snprintf(t, sizeof t, "%.*s%.*s", (int)left.n, left.p, (int)right.n, right.p), wordz(&v, t);
    }
    uint32_t first = (uint32_t)v.at.n;
    for (int i = 0; i < CONTROL; i++)
        wordz(&v, control[i]);
    for (uint32_t i = 0; v.at.n < s->vocab; i++)
        snprintf(t, sizeof t, "<|unused_%u|>", i), wordz(&v, t);
    struct str *tokens = strs_of(&v), *pairs = strs_of(&m);
    int32_t *kind = mem_array(s->vocab, sizeof *kind);
    if (!rc && (!tokens || !pairs || !kind || v.text.failed || m.text.failed))
        rc = err_set(e, ERR_NO_MEMORY, "shapes: no memory for the vocabulary");
    for (uint32_t i = 0; !rc && i < s->vocab; i++)
        kind[i] = i < first ? 1 : i < first + CONTROL ? 3 : 5;
    if (!rc) {
        gguf_put_str(w, "tokenizer.ggml.model", STR("gpt2")), gguf_put_str(w, "tokenizer.ggml.pre", STR("qwen2"));
        gguf_put_strs(w, "tokenizer.ggml.tokens", tokens, v.at.n), gguf_put_i32s(w, "tokenizer.ggml.token_type", kind, s->vocab);
        gguf_put_strs(w, "tokenizer.ggml.merges", pairs, m.at.n);
        gguf_put_u32(w, "tokenizer.ggml.bos_token_id", first), gguf_put_u32(w, "tokenizer.ggml.eos_token_id", first + 2);
        gguf_put_bool(w, "tokenizer.ggml.add_bos_token", false);
    }
    mem_free(tokens), mem_free(pairs), mem_free(kind);
    buf_deinit(&v.text), buf_deinit(&m.text), vec_deinit(&v.at), vec_deinit(&m.at);
    return rc;
}

/* SentencePiece style: <unk> <s> </s>, 256 bytes, then syllables ("\xe2\x96\x81" is a blank) whose scores are their order. */
static int put_spm(struct gguf_writer *w, const struct shape *s, struct err *e)
{
    struct words v = {0}, m = {0};
    char t[64];
    buf_init(&v.text, 0), buf_init(&m.text, 0);
    wordz(&v, "<unk>"), wordz(&v, "<s>"), wordz(&v, "</s>");
    for (int b = 0; b < 256; b++)
        snprintf(t, sizeof t, "<0x%02X>", (unsigned)b), wordz(&v, t);
    made_merges(&m, s->vocab);
    for (size_t i = 0; i < m.at.n && v.at.n + 96 < s->vocab; i++) {
        struct str right = str_of(m.text.data + m.at.p[i]), left = str_split(&right, ' ');
        bool blank = str_starts(left, "\xc4\xa0");
        snprintf(t, sizeof t, "%s%.*s%.*s", blank ? "\xe2\x96\x81" : "", (int)(left.n - 2 * blank), left.p + 2 * blank, (int)right.n, right.p),
            wordz(&v, t);
    }
    wordz(&v, "\xe2\x96\x81");
    for (char c = 33; v.at.n < s->vocab; c++)
        t[0] = c, t[1] = 0, wordz(&v, c < 127 ? t : "<unused>");
    struct str *tokens = strs_of(&v);
    int32_t *kind = mem_array(s->vocab, sizeof *kind);
    float *score = mem_array(s->vocab, sizeof *score);
    int rc = tokens && kind && score && !v.text.failed ? 0 : err_set(e, ERR_NO_MEMORY, "shapes: no memory for the vocabulary");
    for (uint32_t i = 0; !rc && i < s->vocab; i++)
        kind[i] = i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1, score[i] = i < 259 ? 0 : -(float)(i - 258);
    if (!rc) {
        gguf_put_str(w, "tokenizer.ggml.model", STR("llama"));
        gguf_put_strs(w, "tokenizer.ggml.tokens", tokens, s->vocab), gguf_put_i32s(w, "tokenizer.ggml.token_type", kind, s->vocab);
        gguf_put_f32s(w, "tokenizer.ggml.scores", score, s->vocab);
        gguf_put_u32(w, "tokenizer.ggml.bos_token_id", 1), gguf_put_u32(w, "tokenizer.ggml.eos_token_id", 2);
        gguf_put_u32(w, "tokenizer.ggml.unknown_token_id", 0), gguf_put_bool(w, "tokenizer.ggml.add_bos_token", true);
    }
    mem_free(tokens), mem_free(kind), mem_free(score);
    buf_deinit(&v.text), buf_deinit(&m.text), vec_deinit(&v.at), vec_deinit(&m.at);
    return rc;
}

/* The tokenizer of another file, whose vocabulary must have the size of the shape's. */
static int copy_vocab(struct gguf_writer *w, const struct shape *s, const char *path, struct err *e)
{
    struct modelfile *f;
    int rc = gguf_open(&f, path, e);
    if (rc)
        return rc;
    const struct meta *tokens = modelfile_meta(f, "tokenizer.ggml.tokens");
    if (!tokens || tokens->n != s->vocab)
        rc = err_set(e, ERR_USAGE, "shapes: %s has a vocabulary of %llu tokens, %s has %u", path, tokens ? (unsigned long long)tokens->n : 0, s->name,
                     s->vocab);
    for (size_t i = 0; !rc && i < f->n_meta; i++) {
        const struct meta *m = &f->meta[i];
        char key[128];
        uint32_t u;
        bool b;
        struct str text;
        if (!str_starts(m->key, "tokenizer.ggml.") || !str_fmt(key, sizeof key, "%.*s", (int)m->key.n, m->key.p))
            continue;
        if (m->type == META_STR && !modelfile_str(f, key, &text, e))
            gguf_put_str(w, key, text);
        else if (m->type == META_BOOL && !modelfile_bool_or(f, key, false, &b, e))
            gguf_put_bool(w, key, b);
        else if (m->type == META_U32 && !modelfile_u32(f, key, 0, UINT32_MAX, &u, e))
            gguf_put_u32(w, key, u);
        else if (m->type == META_ARR && m->elem == META_STR)
            gguf_put_strs(w, key, m->strings, m->n);
        else if (m->type == META_ARR && m->elem == META_I32)
            gguf_put_i32s(w, key, (const int32_t *)(const void *)m->data, m->n);
        else if (m->type == META_ARR && m->elem == META_F32)
            gguf_put_f32s(w, key, (const float *)(const void *)m->data, m->n);
    }
    modelfile_close(f);
    return rc;
}

static const char chatml[] = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
                             "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

struct options {
    const char *merges, *vocab, *chat;
    uint64_t layers, seed;
};

static int put_keys(struct maker *k, const struct options *o, struct err *e)
{
    const struct shape *s = k->s;
    const struct {
        const char *tail;
        uint32_t v;
    } keys[] = {
        {"context_length", s->ctx},
        {"embedding_length", s->embd},
        {"block_count", k->layers},
        {"feed_forward_length", s->ff},
        {"attention.head_count", s->heads},
        {"attention.head_count_kv", s->kv},
        {"rope.dimension_count", s->head_dim},
        {"attention.key_length", s->head_dim},
        {"attention.value_length", s->head_dim},
    };
    struct buf chat;
    char key[96];
    gguf_put_str(k->w, "general.architecture", str_of(s->arch));
    gguf_put_str(k->w, "general.name", str_of(s->name));
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        snprintf(key, sizeof key, "%s.%s", s->arch, keys[i].tail), gguf_put_u32(k->w, key, keys[i].v);
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", s->arch), gguf_put_f32(k->w, key, s->theta > 1e5f ? 1e-6f : 1e-5f);
    snprintf(key, sizeof key, "%s.rope.freq_base", s->arch), gguf_put_f32(k->w, key, s->theta);
    buf_init(&chat, 1 << 20);
    int rc = o->chat ? os_read_file(&chat, o->chat, e) : (buf_str(&chat, chatml), 0);
    gguf_put_str(k->w, "tokenizer.chat_template", (struct str){chat.data, chat.len});
    buf_deinit(&chat);
    if (rc)
        return rc;
    return o->vocab ? copy_vocab(k->w, s, o->vocab, e) : strcmp(s->arch, "llama") ? put_bpe(k->w, s, o->merges, e) : put_spm(k->w, s, e);
}

static int save(struct maker *k, const char *path, struct err *e)
{
    struct buf head;
    char part[PATH_MAX_];
    uint64_t seed = k->random;
    buf_init(&head, 0);
    tensors(k);
    int rc = str_fmt(part, sizeof part, "%s.part", path) ? gguf_writer_head(k->w, &head, e) : err_set(e, ERR_USAGE, "shapes: the path is too long");
    k->random = seed;
    if (!rc && !(k->out = fopen(part, "wb")))
        rc = err_set(e, ERR_INTERNAL, "shapes: %s cannot be written", part);
    if (!rc) {
        put(k, head.data, head.len);
        tensors(k);
        if (fclose(k->out) || k->failed || rename(part, path))
            remove(part), rc = err_set(e, ERR_INTERNAL, "shapes: %s could not be written; is the disk full?", path);
    }
    buf_deinit(&head);
    for (int i = 0; i < k->n_pools; i++)
        mem_free(k->pool[i].units);
    return rc;
}

static bool mix(struct maker *k, const char *name)
{
    struct str n = str_of(name);
    k->m = str_ieqz(n, "q4_k_m") || str_ieqz(n, "q5_k_m");
    if (k->m)
        n.n -= 2;
    for (uint32_t i = 0; i < 64; i++)
        if (quant_info(i) && str_ieqz(n, quant_info(i)->name)) {
            k->type = i;
            return true;
        }
    return false;
}

static bool option(struct options *o, char *arg)
{
    struct str v = str_of(arg), key = str_split(&v, '=');
    if (!v.p)
        return false;
    const char **path = str_eqz(key, "merges") ? &o->merges : str_eqz(key, "vocab") ? &o->vocab : str_eqz(key, "template") ? &o->chat : NULL;
    if (path)
        *path = v.p;
    return path || (str_eqz(key, "layers") && str_u64(v, &o->layers) && o->layers <= 1000) ||
           (str_eqz(key, "seed") && str_u64(v, &o->seed) && o->seed);
}

int main(int argc, char **argv)
{
    struct options o = {.seed = 88172645463325252u};
    struct maker k = {0};
    struct err e = {0};
    for (size_t i = 0; argc > 3 && i < sizeof shapes / sizeof *shapes; i++)
        if (str_ieqz(str_of(argv[2]), shapes[i].name))
            k.s = &shapes[i];
    bool ok = k.s && mix(&k, argv[3]);
    for (int i = 4; i < argc && ok; i++)
        ok = option(&o, argv[i]);
    if (!ok) {
        fprintf(stderr, "usage: shapes OUT.gguf SHAPE MIX [merges=FILE] [vocab=FILE.gguf] [template=FILE] [layers=N] [seed=N], see bench/shapes.c\n");
        return 2;
    }
    k.layers = o.layers ? (uint32_t)o.layers : k.s->layers;
    k.random = o.seed;
    if (gguf_writer_new(&k.w, &e) || put_keys(&k, &o, &e) || save(&k, argv[1], &e)) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    gguf_writer_free(k.w);
    return 0;
}
