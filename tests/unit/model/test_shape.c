/* The schema of a model's metadata and tensors: a good file with one key or tensor taken away, zeroed or changed gives an error that names
 * it, or the key is one that may be absent. Nothing half-good is ever loaded. */
#include "golden.h"

/* A good file as a list of keys and tensors from which a file with one change is written. */
static struct modelfile *good(struct buf *b, const struct tiny *o)
{
    struct err e = {0};
    buf_init(b, 0);
    struct modelfile *f = tiny_file(o, b, &e);
    if (!f)
        printf("%s\n", e.msg);
    return f;
}

static void copy_meta(struct gguf_writer *w, const struct modelfile *f, const struct meta *m, bool zero)
{
    char key[128];
    struct err e;
    snprintf(key, sizeof key, "%.*s", (int)m->key.n, m->key.p);
    struct str s;
    uint32_t u = 0;
    float x = 0;
    bool b = false;
    if (m->type == META_STR && !modelfile_str(f, key, &s, &e))
        gguf_put_str(w, key, zero ? (struct str){"", 0} : s);
    else if (m->type == META_U32 && !modelfile_u32(f, key, 0, UINT32_MAX, &u, &e))
        gguf_put_u32(w, key, zero ? 0 : u);
    else if (m->type == META_F32 && !modelfile_f32(f, key, -1e30f, 1e30f, &x, &e))
        gguf_put_f32(w, key, zero ? 0 : x);
    else if (m->type == META_BOOL && !modelfile_bool_or(f, key, false, &b, &e))
        gguf_put_bool(w, key, zero ? false : b);
    else if (m->type == META_ARR && m->elem == META_STR)
        gguf_put_strs(w, key, m->strings, zero ? 0 : (size_t)m->n);
    else if (m->type == META_ARR && m->elem == META_I32)
        gguf_put_i32s(w, key, (const int32_t *)(const void *)m->data, zero ? 0 : (size_t)m->n);
    else if (m->type == META_ARR && m->elem == META_F32)
        gguf_put_f32s(w, key, (const float *)(const void *)m->data, zero ? 0 : (size_t)m->n);
    else
        abort(); /* a kind that tinymodel does not write */
}

enum change { DROP, ZERO };
struct edit {
    const char *drop_key, *zero_key, *drop_tensor;
    const char *retype_tensor; /* gets `type`, its bytes staying */
    uint32_t type;
    const char *add_tensor; /* F32, 32 values */
    const char *key;        /* added or replaced by u (kind 0), x (1), z (2) or b (3) */
    int kind;               /* or an array of a (4) */
    int32_t a[4];
    size_t n_a;
    uint32_t u;
    float x;
    const char *z;
    const char *reshape_tensor; /* its two dimensions change places, or 1-d becomes half as long */
};

static struct modelfile *edited(struct buf *b, const struct modelfile *f, const struct edit *d)
{
    struct gguf_writer *w;
    struct modelfile *out = NULL;
    struct err e = {0};
    buf_init(b, 0);
    if (gguf_writer_new(&w, &e))
        return NULL;
    for (size_t i = 0; i < f->n_meta; i++) {
        struct str k = f->meta[i].key;
        if ((d->drop_key && str_eqz(k, d->drop_key)) || (d->key && str_eqz(k, d->key)))
            continue;
        copy_meta(w, f, &f->meta[i], d->zero_key && str_eqz(k, d->zero_key));
    }
    if (d->key)
        d->kind == 0   ? gguf_put_u32(w, d->key, d->u)
        : d->kind == 1 ? gguf_put_f32(w, d->key, d->x)
        : d->kind == 2 ? gguf_put_str(w, d->key, str_of(d->z))
        : d->kind == 4 ? gguf_put_i32s(w, d->key, d->a, d->n_a)
                       : gguf_put_bool(w, d->key, d->u);
    for (size_t i = 0; i < f->n_tensors; i++) {
        const struct tensor *t = &f->tensors[i];
        char name[128];
        uint64_t ne[4] = {t->ne[0], t->ne[1], t->ne[2], t->ne[3]};
        snprintf(name, sizeof name, "%.*s", (int)t->name.n, t->name.p);
        if (d->drop_tensor && !strcmp(name, d->drop_tensor))
            continue;
        if (d->reshape_tensor && !strcmp(name, d->reshape_tensor))
            ne[0] = t->n_dims == 2 ? t->ne[1] : t->ne[0] / 2, ne[1] = t->n_dims == 2 ? t->ne[0] : 1;
        bool retype = d->retype_tensor && !strcmp(name, d->retype_tensor);
        gguf_put_tensor(w, name, retype ? d->type : t->type, t->n_dims, ne, t->data, t->bytes);
    }
    if (d->add_tensor)
        gguf_put_tensor(w, d->add_tensor, QUANT_F32, 1, &(uint64_t){32}, (float[32]){1}, 128);
    if (gguf_writer_bytes(w, b, &e) || gguf_parse(&out, b->data, b->len, &e))
        printf("%s\n", e.msg);
    gguf_writer_free(w);
    return out;
}

/* text NULL: must be accepted; else ERR_FORMAT whose message holds it. Loading must say the same as reading the shape. */
static bool says(const struct modelfile *f, const struct edit *d, const char *text)
{
    static struct device *dev;
    struct buf b;
    struct model_shape s;
    struct model *m;
    struct err e = {0}, e2 = {0};
    if (!dev && device_new(&dev, &(struct device_opts){.n_threads = 1}, &e))
        return false;
    struct modelfile *g = edited(&b, f, d);
    if (!g)
        return false;
    int rc = model_shape_read(&s, g, &e), rc2 = model_load(&m, g, dev, NULL, NULL, &e2);
    bool ok = rc == rc2 && (text ? rc == -ERR_FORMAT && strstr(e.msg, text) && !m && !strcmp(e.msg, e2.msg) : rc == 0 && m);
    if (!ok)
        printf("wanted %s, got %d %s / %d %s\n", text ? text : "success", rc, e.msg, rc2, e2.msg);
    model_free(m);
    modelfile_close(g);
    buf_deinit(&b);
    return ok;
}

static bool starts(const char *z, const char *with)
{
    return !strncmp(z, with, strlen(with));
}

static void check_each_key(struct tiny o)
{
    /* Keys that may be absent, and those where 0 or "" means the same as their absence. */
    static const char *const optional[] = {"general.name",
                                           "tokenizer.",
                                           "attention.head_count_kv",
                                           "rope.",
                                           "attention.key_length",
                                           "attention.value_length",
                                           "attention.sliding_window",
                                           "attention.temperature_scale"};
    static const char *const zero_too[] = {"general.name", "rope.scaling.factor", "rope.scaling.yarn_log_multiplier", "attention.temperature_scale"};
    const char *arch = o.arch;
    struct buf b;
    struct modelfile *f = good(&b, &o);
    CHECK(f && f->n_meta > 15);
    for (size_t i = 0; i < f->n_meta; i++) {
        char key[128];
        snprintf(key, sizeof key, "%.*s", (int)f->meta[i].key.n, f->meta[i].key.p);
        const char *tail = starts(key, arch) ? key + strlen(arch) + 1 : key;
        bool may = false, zero_may = starts(tail, "tokenizer.") && strcmp(tail, "tokenizer.ggml.tokens");
        for (size_t k = 0; k < sizeof optional / sizeof *optional; k++)
            may |= starts(tail, optional[k]);
        for (size_t k = 0; k < sizeof zero_too / sizeof *zero_too; k++)
            zero_may |= !strcmp(tail, zero_too[k]);
        const char *named = !strcmp(key, "general.architecture") ? "architecture" : !strcmp(key, "tokenizer.ggml.tokens") ? "tokenizer" : key;
        bool window = o.window && !strcmp(tail, "attention.sliding_window"); /* a pattern without it */
        CHECK_MSG(says(f, &(struct edit){.drop_key = key}, may && !window ? NULL : key), "%s dropped", key);
        CHECK_MSG(says(f, &(struct edit){.zero_key = key}, zero_may ? NULL : named), "%s zeroed", key);
        if (!may || starts(tail, "rope.scaling.") || starts(tail, "attention.")) /* the wrong type */
            CHECK_MSG(says(f, &(struct edit){.key = key, .kind = 3, .u = 1}, key), "%s as a bool", key);
        if ((!may && strcmp(key, "general.architecture")) || (starts(tail, "rope.scaling.") && strcmp(tail, "rope.scaling.type")))
            CHECK_MSG(says(f, &(struct edit){.key = key, .kind = 2, .z = "7"}, key), "%s as a string", key);
    }
    modelfile_close(f);
    buf_deinit(&b);
}

static struct tiny with_all_keys(const char *arch)
{
    struct tiny o = tiny_default(arch);
    o.n_kv_heads = 4, o.head_dim = 16;
    o.rope = "yarn", o.rope_ctx = 64, o.rope_factor = 4, o.rope_attn = 1.5f, o.yarn_fast = 16, o.yarn_slow = 2, o.yarn_log = 1, o.yarn_attn = 1.25f;
    o.window = 16, o.window_every = 2;
    o.q_scale_log = !strcmp(arch, "mistral3") ? 0.1f : 0;
    return o;
}

TEST(llama_keys)
{
    check_each_key(with_all_keys("llama"));
}
TEST(qwen2_keys)
{
    check_each_key(with_all_keys("qwen2"));
}
TEST(qwen3_keys)
{
    check_each_key(with_all_keys("qwen3"));
}
TEST(mistral3_keys)
{
    check_each_key(with_all_keys("mistral3"));
}
TEST(smollm3_keys)
{
    check_each_key(with_all_keys("smollm3"));
}
TEST(phi3_keys)
{
    check_each_key(with_all_keys("phi3"));
}

static void check_each_tensor(const char *arch)
{
    struct tiny o = tiny_default(arch);
    struct buf b;
    o.tied = false;
    struct modelfile *f = good(&b, &o);
    CHECK(f && f->n_tensors > 14);
    for (size_t i = 0; i < f->n_tensors; i++) {
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)f->tensors[i].name.n, f->tensors[i].name.p);
        bool tied = !strcmp(name, "output.weight"); /* without it the embedding serves */
        CHECK_MSG(says(f, &(struct edit){.drop_tensor = name}, tied ? NULL : name), "%s dropped", name);
        bool square = f->tensors[i].n_dims == 2 && f->tensors[i].ne[0] == f->tensors[i].ne[1];
        CHECK_MSG(says(f, &(struct edit){.reshape_tensor = name},
                       square                               ? NULL
                       : !strcmp(name, "token_embd.weight") ? "tokenizer has"
                                                            : name),
                  "%s reshaped", name);
        CHECK_MSG(says(f, &(struct edit){.retype_tensor = name, .type = 26}, name), "%s as I32", name);
        CHECK_MSG(says(f, &(struct edit){.retype_tensor = name, .type = 77}, "number 77"), "%s of an unknown type", name);
    }
    CHECK(says(f, &(struct edit){.add_tensor = "blk.0.attn_sinks.weight"}, "blk.0.attn_sinks.weight is not part"));
    CHECK(says(f, &(struct edit){.add_tensor = "blk.9.attn_norm.weight"}, "blk.9.attn_norm.weight is not part"));
    modelfile_close(f);
    buf_deinit(&b);
}

TEST(llama_tensors)
{
    check_each_tensor("llama");
}
TEST(qwen2_tensors)
{
    check_each_tensor("qwen2");
}
TEST(qwen3_tensors)
{
    check_each_tensor("qwen3");
}
TEST(mistral3_tensors)
{
    check_each_tensor("mistral3");
}
TEST(smollm3_tensors)
{
    check_each_tensor("smollm3");
}
TEST(deci_tensors)
{
    check_each_tensor("deci");
}
TEST(phi3_tensors)
{
    check_each_tensor("phi3");
}

#define KEY_U(k, v, text)   CHECK(says(f, &(struct edit){.key = k, .u = v}, text))
#define KEY_F(k, v, text)   CHECK(says(f, &(struct edit){.key = k, .kind = 1, .x = v}, text))
#define KEY_A(k, text, ...) CHECK(says(f, &(struct edit){.key = k, .kind = 4, .a = {__VA_ARGS__}, .n_a = sizeof(int32_t[]){__VA_ARGS__} / 4}, text))
#define KEY_Z(k, v, text)   CHECK(says(f, &(struct edit){.key = k, .kind = 2, .z = v}, text))

TEST(ranges_and_consistency)
{
    struct tiny o = tiny_default("llama");
    struct buf b;
    struct modelfile *f = good(&b, &o);
    CHECK(f);
    KEY_Z("general.architecture", "gpt2", "architecture \"gpt2\" is not one");
    KEY_U("llama.attention.head_count", 3, "does not divide"); /* 2 kv heads */
    KEY_U("llama.attention.head_count", 6, "does not divide the embedding");
    KEY_U("llama.attention.head_count", 1025, "outside 1 to 1024");
    KEY_U("llama.attention.head_count", UINT32_MAX, "outside");
    KEY_U("llama.attention.head_count_kv", 3, "does not divide");
    KEY_U("llama.attention.head_count_kv", 1, "attn_k.weight has the shape");
    KEY_U("llama.attention.head_count", 2, "attn_k.weight has the shape"); /* heads of 32: q keeps its shape */
    KEY_U("llama.block_count", 3, "blk.2.attn_norm.weight is missing");
    KEY_U("llama.block_count", 1, "blk.1.");
    KEY_U("llama.block_count", 1025, "outside");
    KEY_U("llama.block_count", UINT32_MAX, "outside");
    KEY_U("llama.embedding_length", 128, "token_embd.weight has the shape");
    KEY_U("llama.embedding_length", 1u << 31, "outside");
    KEY_U("llama.feed_forward_length", 128, "ffn_gate.weight has the shape");
    KEY_U("llama.feed_forward_length", UINT32_MAX, "outside");
    KEY_U("llama.context_length", 1u << 31, "outside");
    KEY_U("llama.context_length", 1, NULL);
    KEY_U("llama.vocab_size", 383, "llama.vocab_size is 383");
    KEY_U("llama.vocab_size", 384, NULL);
    KEY_U("llama.rope.dimension_count", 16, NULL);
    KEY_U("llama.rope.dimension_count", 8, NULL);
    KEY_U("llama.rope.dimension_count", 7, "is odd");
    KEY_U("llama.rope.dimension_count", 18, "outside");
    KEY_U("llama.rope.dimension_count", 0, "outside");
    KEY_U("llama.attention.key_length", 16, NULL);
    KEY_U("llama.attention.key_length", 8, "attn_q.weight has the shape");
    KEY_U("llama.attention.key_length", 0, "outside");
    KEY_U("llama.attention.value_length", 16, NULL);
    KEY_U("llama.attention.value_length", 8, "attn_v.weight has the shape");
    KEY_U("llama.attention.value_length", 0, "outside");
    KEY_U("llama.attention.value_length", 1025, "outside");
    KEY_F("llama.attention.layer_norm_rms_epsilon", -1e-5f, "layer_norm_rms_epsilon");
    KEY_F("llama.attention.layer_norm_rms_epsilon", NAN, "layer_norm_rms_epsilon");
    KEY_F("llama.attention.layer_norm_rms_epsilon", 1, "layer_norm_rms_epsilon");
    KEY_F("llama.rope.freq_base", INFINITY, "rope.freq_base");
    KEY_F("llama.rope.freq_base", 0.5f, "rope.freq_base");
    KEY_U("llama.attention.sliding_window", 16, NULL);
    KEY_U("split.count", 3, "one of 3 parts");
    KEY_U("split.count", 1, NULL);
    modelfile_close(f);
    buf_deinit(&b);
}

TEST(layers_that_differ)
{
    struct tiny o = tiny_default("llama");
    struct buf b;
    struct modelfile *f = good(&b, &o);
    CHECK(f);
    KEY_A("llama.attention.head_count", NULL, 4, 4);
    KEY_A("llama.attention.head_count", "head_count has 1 values for 2 layers", 4);
    KEY_A("llama.attention.head_count", "head_count has 3 values for 2 layers", 4, 4, 4);
    KEY_A("llama.attention.head_count", "value 1 of metadata key llama.attention.head_count is 0, no integer from 1", 4, 0);
    KEY_A("llama.attention.head_count", "value 0 of metadata key llama.attention.head_count", -1, 4);
    KEY_A("llama.attention.head_count", "value 0 of metadata key llama.attention.head_count is 1025, no integer from 1 to 1024", 1025, 4);
    KEY_A("llama.attention.head_count", "blk.1.attn_q.weight has the shape", 4, 2);
    KEY_A("llama.attention.head_count_kv", "does not divide", 2, 3);
    KEY_A("llama.attention.head_count_kv", "value 1 of metadata key llama.attention.head_count_kv", 2, 0);
    KEY_A("llama.attention.head_count_kv", "blk.1.attn_k.weight has the shape", 2, 4);
    KEY_A("llama.feed_forward_length", "blk.1.ffn_gate.weight has the shape", 160, 128);
    KEY_A("llama.feed_forward_length", "value 1 of metadata key llama.feed_forward_length", 160, 0);
    KEY_A("llama.feed_forward_length", "feed_forward_length is 2147483647, no integer from 1 to 1048576", INT32_MAX, 160);
    KEY_A("llama.block_count", "llama.block_count", 2, 2);
    KEY_A("llama.context_length", "llama.context_length", 256);
    KEY_A("llama.attention.sliding_window_pattern", "sliding_window is missing", 0, 1);
    modelfile_close(f);
    buf_deinit(&b);
    o.window = 16;
    CHECK((f = good(&b, &o)));
    KEY_A("llama.attention.sliding_window_pattern", NULL, 0, 1);
    KEY_A("llama.attention.sliding_window_pattern", "sliding_window_pattern has 3 values for 2 layers", 0, 1, 1);
    KEY_A("llama.attention.sliding_window_pattern", "value 1 of metadata key llama.attention.sliding_window_pattern is 2, neither", 0, 2);
    KEY_U("llama.attention.sliding_window_pattern", 2, NULL);
    KEY_U("llama.attention.sliding_window_pattern", 0, NULL);
    KEY_U("llama.attention.sliding_window_pattern", UINT32_MAX, "outside");
    KEY_U("llama.attention.sliding_window", UINT32_MAX, "outside");
    modelfile_close(f);
    buf_deinit(&b);
    o = tiny_default("deci");
    CHECK((f = good(&b, &o)));
    static const char *const each[] = {"deci.attention.head_count", "deci.attention.head_count_kv", "deci.feed_forward_length"};
    for (int i = 0; i < 3; i++) {
        char empty[96];
        snprintf(empty, sizeof empty, "%s has 0 values for 5 layers", each[i]);
        CHECK(says(f, &(struct edit){.zero_key = each[i]}, empty));
        CHECK(says(f, &(struct edit){.drop_key = each[i]}, i == 1 ? "blk.0.attn_k.weight has the shape" : each[i]));
        CHECK(says(f, &(struct edit){.key = each[i], .kind = 2, .z = "4"}, each[i]));
        CHECK(says(f, &(struct edit){.key = each[i], .kind = 1, .x = 4}, each[i]));
        CHECK(says(f, &(struct edit){.key = each[i], .kind = 3, .u = 1}, each[i]));
    }
    KEY_U("deci.attention.head_count_kv", 0, "outside");
    KEY_A("deci.attention.head_count_kv", "has 4 values for 5 layers", 2, 0, 0, 4);
    modelfile_close(f);
    buf_deinit(&b);
}

TEST(layers_without_any_attention)
{
    struct tiny o = tiny_default("deci");
    struct buf b;
    memset(o.layer_kv, 0, sizeof o.layer_kv);
    struct modelfile *f = good(&b, &o);
    struct model_shape s;
    struct err e;
    CHECK(f && model_shape_read(&s, f, &e) == -ERR_FORMAT && strstr(e.msg, "no layer has attention"));
    modelfile_close(f);
    buf_deinit(&b);
}

TEST(rope_ranges)
{
    struct tiny o = tiny_default("llama");
    struct buf b;
    o.rope = "yarn", o.rope_factor = 4;
    struct modelfile *f = good(&b, &o);
    CHECK(f);
    KEY_F("llama.rope.scaling.factor", -1, "llama.rope.scaling.factor is -1, not a number from 0");
    KEY_F("llama.rope.scaling.factor", 2e6f, "llama.rope.scaling.factor");
    KEY_F("llama.rope.scaling.factor", NAN, "llama.rope.scaling.factor");
    KEY_F("llama.rope.scaling.factor", 0.5f, NULL);
    KEY_U("llama.rope.scaling.factor", 4, "not a floating-point number");
    KEY_U("llama.rope.scaling.original_context_length", 0, "original_context_length is 0, outside 1 to");
    KEY_U("llama.rope.scaling.original_context_length", UINT32_MAX, "original_context_length is 4294967295, outside");
    KEY_F("llama.rope.scaling.yarn_beta_fast", 0, "yarn_beta_fast");
    KEY_F("llama.rope.scaling.yarn_beta_fast", INFINITY, "yarn_beta_fast");
    KEY_F("llama.rope.scaling.yarn_beta_slow", -1, "yarn_beta_slow");
    KEY_F("llama.rope.scaling.yarn_log_multiplier", -1, "yarn_log_multiplier");
    KEY_F("llama.rope.scaling.yarn_log_multiplier", 1e4f, "yarn_log_multiplier");
    KEY_F("llama.rope.scaling.yarn_attn_factor", 0, "yarn_attn_factor");
    KEY_F("llama.rope.scaling.yarn_ext_factor", 0.5f, "yarn_ext_factor is 0.5");
    KEY_F("llama.rope.scaling.yarn_ext_factor", 1, NULL);
    KEY_F("llama.rope.scaling.yarn_ext_factor", 2, "yarn_ext_factor");
    KEY_F("llama.rope.scaling.attn_factor", 1e4f, "attn_factor");
    KEY_F("llama.rope.freq_base", 1, "freq_base is 1, and YaRN needs more");
    KEY_Z("llama.rope.scaling.type", "longrope", "llama.rope.scaling.factor is 4, and longrope");
    KEY_F("llama.attention.temperature_scale", 0.1f, "llama.attention.temperature_scale asks for queries");
    KEY_A("llama.rope.dimension_sections", "dimension_sections asks for RoPE over several axes", 1, 1, 2, 0);
    KEY_F("llama.rope.freq_base_swa", 1e4f, "freq_base_swa asks");
    modelfile_close(f);
    buf_deinit(&b);
    o.rope = "dynamic", o.n_rot = 2;
    CHECK((f = good(&b, &o)));
    KEY_Z("general.name", "", "dimension_count is 2, and dynamic scaling needs at least 4");
    modelfile_close(f);
    buf_deinit(&b);
}

TEST(other_arithmetic_is_refused_by_name)
{
    struct tiny o = tiny_default("llama");
    struct buf b;
    struct modelfile *f = good(&b, &o);
    CHECK(f);
    KEY_Z("llama.rope.scaling.type", "su", "llama.rope.scaling.type is \"su\"; this build computes none, linear, yarn");
    KEY_Z("llama.rope.scaling.type", "", "llama.rope.scaling.type is \"\"");
    KEY_Z("llama.rope.scaling.type", "yarn", NULL);
    KEY_Z("llama.rope.scaling.type", "dynamic", NULL);
    KEY_Z("llama.rope.scaling.type", "longrope", "rope_factors_short.weight is missing");
    KEY_Z("llama.rope.scaling.type", "none", NULL);
    KEY_Z("llama.rope.scaling.type", "linear", NULL);
    KEY_U("llama.expert_count", 8, "llama.expert_count asks for a mixture");
    KEY_U("llama.expert_count", 0, NULL);
    KEY_F("llama.rope.scaling.attn_factor", 1.2f, NULL);
    KEY_F("llama.rope.scaling.attn_factor", 0, "attn_factor");
    KEY_F("llama.logit_scale", 0.5f, "llama.logit_scale");
    KEY_F("llama.final_logit_softcapping", 30, "softcapping");
    KEY_F("llama.attn_logit_softcapping", 0, NULL);
    KEY_F("llama.attention.max_alibi_bias", 8, "ALiBi");
    CHECK(says(f, &(struct edit){.key = "llama.attention.causal", .kind = 3, .u = 0}, "both directions"));
    CHECK(says(f, &(struct edit){.key = "llama.attention.causal", .kind = 3, .u = 1}, NULL));
    KEY_Z("llama.expert_count", "8", "not an integer");
    modelfile_close(f);
    buf_deinit(&b);
}

static void check_factors(const struct tiny *o, const char *name)
{
    struct buf b;
    struct modelfile *f = good(&b, o);
    struct device *dev;
    struct model *m;
    struct model_shape shape;
    struct err e = {0};
    char text[96];
    CHECK(f && !device_new(&dev, &(struct device_opts){.n_threads = 1}, &e) && !model_shape_read(&shape, f, &e));
    float bad[] = {0, -1, NAN, INFINITY, 1e10f};
    char *to = b.data + ((const char *)modelfile_tensor(f, name)->data - b.data) + 4;
    snprintf(text, sizeof text, "value 1 of tensor %s", name);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        memcpy(to, &bad[i], 4);
        CHECK(model_load(&m, f, dev, NULL, NULL, &e) == -ERR_FORMAT && strstr(e.msg, text) && !m);
    }
    device_free(dev);
    modelfile_close(f);
    buf_deinit(&b);
}

TEST(rope_factors_must_be_positive)
{
    struct tiny o = tiny_default("llama");
    o.rope_factors = true;
    check_factors(&o, "rope_freqs.weight");
    o.rope_factors = false, o.rope = "longrope";
    check_factors(&o, "rope_factors_short.weight");
    check_factors(&o, "rope_factors_long.weight");
}

/* The hub asks for the shape when only the head of a file has come: zeros lie where the tensors will be. */
TEST(the_shape_needs_no_tensor_data)
{
    static const char *const ropes[] = {NULL, "longrope"};
    for (int i = 0; i < 2; i++) {
        struct tiny o = tiny_default("llama");
        struct buf b;
        struct model_shape s;
        struct err e = {0};
        o.rope = ropes[i], o.rope_factors = !o.rope;
        struct modelfile *f = good(&b, &o);
        CHECK(f && f->n_tensors > 0);
        const char *first = f->tensors[0].data;
        for (size_t k = 0; k < f->n_tensors; k++)
            first = (const char *)f->tensors[k].data < first ? f->tensors[k].data : first;
        memset(b.data + (first - b.data), 0, b.len - (size_t)(first - b.data));
        CHECK_MSG(!model_shape_read(&s, f, &e), "%s", e.msg);
        modelfile_close(f);
        buf_deinit(&b);
    }
}

TEST(longrope_needs_both_tensors)
{
    struct tiny o = tiny_default("llama");
    struct buf b;
    o.rope = "longrope", o.rope_ctx = 64;
    struct modelfile *f = good(&b, &o);
    CHECK(f && says(f, &(struct edit){.drop_tensor = "rope_factors_short.weight"}, "rope_factors_short.weight is missing"));
    CHECK(says(f, &(struct edit){.drop_tensor = "rope_factors_long.weight"}, "rope_factors_long.weight is missing"));
    CHECK(says(f, &(struct edit){.drop_key = "llama.rope.scaling.type"}, NULL)); /* the tensors say it */
    CHECK(says(f, &(struct edit){.key = "llama.rope.scaling.type", .kind = 2, .z = "linear"}, "rope_factors_short.weight is not part"));
    CHECK(says(f, &(struct edit){.reshape_tensor = "rope_factors_long.weight"}, "rope_factors_long.weight has the shape"));
    modelfile_close(f);
    buf_deinit(&b);
}

TEST(shape_tells_what_is_special)
{
    static const struct {
        const char *args, *rope;
        uint32_t window, n_windowed;
        bool differ;
    } all[] = {
        {"arch=llama", "plain", 0, 0, false},
        {"arch=llama window=16", "plain", 16, 2, false},
        {"arch=llama window=16 window_every=2", "plain", 16, 1, false},
        {"arch=llama window=256", "plain", 0, 0, false}, /* as long as the context */
        {"arch=qwen2 rope=yarn rope_factor=4 rope_ctx=64", "yarn, factor 4 over 64", 0, 0, false},
        {"arch=qwen3 rope=dynamic rope_factor=2.5", "dynamic, factor 2.5 over 256", 0, 0, false},
        {"arch=llama rope_linear=8", "linear, factor 8", 0, 0, false},
        {"arch=llama rope_factors=1", "llama3 factors", 0, 0, false},
        {"arch=llama rope=longrope rope_ctx=128", "longrope over 128", 0, 0, false},
        {"arch=deci", "plain", 0, 0, true},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct tiny o = tiny_default("llama");
        char text[128];
        struct model_shape s;
        struct err e;
        struct buf b;
        snprintf(text, sizeof text, "%s", all[i].args);
        for (char *save, *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save)) {
            struct str v = str_of(p), key = str_split(&v, '=');
            CHECK(tiny_set(&o, key, v));
        }
        struct modelfile *f = good(&b, &o);
        CHECK(f && !model_shape_read(&s, f, &e));
        CHECK_MSG(!strcmp(s.rope, all[i].rope) && s.window == all[i].window && s.n_windowed == all[i].n_windowed && s.layers_differ == all[i].differ,
                  "%s: %s, %u of %u", all[i].args, s.rope, s.n_windowed, s.window);
        CHECK(s.n_heads == 4 && s.n_kv_heads == (all[i].differ ? 4 : 2) && s.n_ff == 160);
        modelfile_close(f);
        buf_deinit(&b);
    }
}

static uint64_t last_done, last_total;
static int calls;
static void progress(void *arg, uint64_t done, uint64_t total)
{
    (void)arg;
    calls += done > last_done, last_done = done, last_total = total;
}

TEST(shape_and_progress)
{
    struct tiny o = tiny_default("qwen2");
    struct buf b;
    struct model_shape s;
    struct err e = {0};
    struct device *dev;
    struct model *m;
    o.type = QUANT_Q8_0;
    struct modelfile *f = good(&b, &o);
    CHECK(f && !model_shape_read(&s, f, &e));
    CHECK(!strcmp(s.arch, "qwen2") && s.n_layers == 2 && s.n_embd == 64 && s.n_ff == 160 && s.n_heads == 4 && s.n_kv_heads == 2 && s.head_dim == 16 &&
          s.n_rot == 16);
    CHECK(s.n_vocab == 384 && s.n_ctx == 256 && s.rope_theta > 999999 && s.norm_eps < 2e-6f && !strcmp(s.quant, "Q8_0"));
    /* embedding, final norm, and per layer: 2 norms, q and o, k and v, 3 biases, 3 matrices of the feed-forward part */
    CHECK(s.n_params == 384 * 64 + 64 + 2 * (2 * 64 + 2 * 64 * 64 + 2 * 64 * 32 + 64 + 2 * 32 + 3 * 64 * 160));
    CHECK(!device_new(&dev, &(struct device_opts){.n_threads = 1}, &e) && !model_load(&m, f, dev, progress, NULL, &e));
    CHECK(calls == (int)f->n_tensors && last_done == last_total && last_total == s.weight_bytes);
    struct kv_shape kv;
    model_kv_shape(m, KV_F16, &kv);
    CHECK(kv.n_layers == 2 && kv.n_kv_heads == 2 && kv.head_dim == 16 && kv.type == KV_F16);
    model_free(m);
    device_free(dev);
    modelfile_close(f);
    buf_deinit(&b);
}

TEST(published_models_load)
{
    static const struct {
        const char *path;
        uint32_t n_vocab;
    } files[] = {{"models/babyllama-tok105-f32.gguf", 105}, {"models/llama-2-tiny-random.gguf", 32000}};
    for (size_t i = 0; i < 2; i++) {
        const char *path = test_data(files[i].path);
        struct modelfile *f;
        struct err e = {0};
        struct run r;
        if (!path)
            SKIP("no ../shared/data/models");
        CHECK_MSG(!gguf_open(&f, path, &e) && run_open(&r, f, KV_F16, NULL, &e), "%s", e.msg);
        CHECK(model_shape(r.model)->n_vocab == files[i].n_vocab);
        float *logits = mem_array(files[i].n_vocab, sizeof *logits);
        int32_t t = 1, want = 0;
        for (int k = 0; k < 100; k++) {
            run_feed(&r, &t, 1, &want, 1, logits);
            t = argmax(logits, (int32_t)files[i].n_vocab);
            CHECK_MSG(isfinite(logits[t]), "%s: token %d", files[i].path, k);
        }
        mem_free(logits);
        run_close(&r);
    }
}

TEST_MAIN()
