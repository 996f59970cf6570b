/* Lookups and typed reads. Nothing here trusts more than gguf_parse has checked: offsets and lengths yes, meaning no. */
#include "format/format_int.h"
#include "base/mem.h"
#include <math.h>
#include <string.h>

struct shown shown_of(struct str s)
{
    struct shown o = {{0}};
    for (size_t i = 0; i < s.n && i < sizeof o.z - 1; i++)
        o.z[i] = s.p[i] >= 32 && s.p[i] < 127 ? s.p[i] : '?';
    return o;
}

size_t meta_type_size(uint32_t type)
{
    static const uint8_t size[] = {[META_U8] = 1,  [META_I8] = 1,   [META_U16] = 2, [META_I16] = 2, [META_U32] = 4, [META_I32] = 4,
                                   [META_F32] = 4, [META_BOOL] = 1, [META_U64] = 8, [META_I64] = 8, [META_F64] = 8};
    return type < sizeof size ? size[type] : 0;
}

static const char *type_name(enum meta_type t)
{
    static const char *const name[] = {"u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "a string", "an array", "u64", "i64", "f64"};
    return (size_t)t < sizeof name / sizeof *name ? name[t] : "unknown";
}

/* ggml's tensor types, with the layout of a block: what a file may hold, whether or not this build computes with it. */
static const struct tensor_type types[] = {
    {"F32", 0, 1, 4},        {"F16", 1, 1, 2},         {"Q4_0", 2, 32, 18},    {"Q4_1", 3, 32, 20},    {"Q5_0", 6, 32, 22},
    {"Q5_1", 7, 32, 24},     {"Q8_0", 8, 32, 34},      {"Q8_1", 9, 32, 36},    {"Q2_K", 10, 256, 84},  {"Q3_K", 11, 256, 110},
    {"Q4_K", 12, 256, 144},  {"Q5_K", 13, 256, 176},   {"Q6_K", 14, 256, 210}, {"Q8_K", 15, 256, 292}, {"IQ2_XXS", 16, 256, 66},
    {"IQ2_XS", 17, 256, 74}, {"IQ3_XXS", 18, 256, 98}, {"IQ1_S", 19, 256, 50}, {"IQ4_NL", 20, 32, 18}, {"IQ3_S", 21, 256, 110},
    {"IQ2_S", 22, 256, 82},  {"IQ4_XS", 23, 256, 136}, {"I8", 24, 1, 1},       {"I16", 25, 1, 2},      {"I32", 26, 1, 4},
    {"I64", 27, 1, 8},       {"F64", 28, 1, 8},        {"IQ1_M", 29, 256, 56}, {"BF16", 30, 1, 2},     {"TQ1_0", 34, 256, 54},
    {"TQ2_0", 35, 256, 66},  {"MXFP4", 39, 32, 17},
};

const struct tensor_type *tensor_type(uint32_t id)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].id == id)
            return &types[i];
    return NULL;
}

void modelfile_close(struct modelfile *f)
{
    if (!f)
        return;
    for (size_t i = 1; i < f->n_parts; i++)
        modelfile_close(f->parts[i]);
    mem_free(f->parts);
    for (size_t i = 0; i < f->n_meta; i++)
        mem_free(f->meta[i].strings);
    mem_free(f->meta);
    mem_free(f->tensors);
    struct modelfile_index *x = f->index;
    if (x) {
        map_deinit(&x->meta);
        map_deinit(&x->tensors);
        mem_free(x);
    }
    if (f->map_owned)
        os_map_close(&f->map);
    mem_free(f);
}

const struct tensor *modelfile_tensor(const struct modelfile *f, const char *name)
{
    union map_value at;
    const struct modelfile_index *x = f->index;
    return map_get(&x->tensors, str_of(name), &at) ? &f->tensors[at.u64] : NULL;
}

const struct meta *modelfile_meta(const struct modelfile *f, const char *key)
{
    union map_value at;
    const struct modelfile_index *x = f->index;
    return map_get(&x->meta, str_of(key), &at) ? &f->meta[at.u64] : NULL;
}

/* A number of any integer type at p; u64 past INT64_MAX does not fit. */
static bool read_i64(enum meta_type t, const uint8_t *p, int64_t *out)
{
    union {
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        uint64_t u64;
        int64_t i64;
    } v;
    size_t n = meta_type_size(t);
    if (!n || t == META_F32 || t == META_F64)
        return false;
    memcpy(&v, p, n);
    switch (t) {
    case META_U8:
    case META_BOOL: *out = *p; return true;
    case META_I8: *out = v.i8; return true;
    case META_U16: *out = v.u16; return true;
    case META_I16: *out = v.i16; return true;
    case META_U32: *out = v.u32; return true;
    case META_I32: *out = v.i32; return true;
    case META_U64: *out = v.i64; return v.u64 <= INT64_MAX;
    case META_I64: *out = v.i64; return true;
    default: return false;
    }
}

static bool read_f32(enum meta_type t, const uint8_t *p, float *out)
{
    double d;
    int64_t i;
    if (t == META_F32)
        memcpy(out, p, sizeof *out);
    else if (t == META_F64)
        memcpy(&d, p, sizeof d), *out = (float)d;
    else if (t != META_BOOL && read_i64(t, p, &i))
        *out = (float)i;
    else
        return false;
    return true;
}

bool meta_arr_i64(const struct meta *m, uint64_t i, int64_t *out)
{
    return m->type == META_ARR && i < m->n && read_i64(m->elem, m->data + i * meta_type_size(m->elem), out);
}

bool meta_arr_f32(const struct meta *m, uint64_t i, float *out)
{
    return m->type == META_ARR && i < m->n && read_f32(m->elem, m->data + i * meta_type_size(m->elem), out);
}

static int absent(const char *key, struct err *e)
{
    return err_set(e, ERR_FORMAT, "gguf: metadata key %s is missing; the file is not a complete model, convert or download it again", key);
}

static int wrong_type(const struct meta *m, const char *want, struct err *e)
{
    return err_set(e, ERR_FORMAT, "gguf: metadata key %s is %s, not %s; convert the model again", shown_of(m->key).z, type_name(m->type), want);
}

int modelfile_u32(const struct modelfile *f, const char *key, uint32_t min, uint32_t max, uint32_t *out, struct err *e)
{
    const struct meta *m = modelfile_meta(f, key);
    int64_t v;
    *out = 0;
    if (!m)
        return absent(key, e);
    if (meta_type_size(m->type) == 0 || m->type == META_F32 || m->type == META_F64 || m->type == META_BOOL)
        return wrong_type(m, "an integer", e);
    bool fits = read_i64(m->type, m->data, &v);
    if (!fits || v < min || v > max)
        return err_set(e, ERR_FORMAT,
                       "gguf: metadata key %s is %lld%s, outside %u to %u; the file is damaged or of a kind that this build does not read", key,
                       (long long)(fits ? v : INT64_MAX), fits ? "" : " or more", min, max);
    *out = (uint32_t)v;
    return 0;
}

int modelfile_u32_or(const struct modelfile *f, const char *key, uint32_t min, uint32_t max, uint32_t dflt, uint32_t *out, struct err *e)
{
    if (modelfile_meta(f, key))
        return modelfile_u32(f, key, min, max, out, e);
    *out = dflt;
    return 0;
}

int modelfile_f32(const struct modelfile *f, const char *key, float min, float max, float *out, struct err *e)
{
    const struct meta *m = modelfile_meta(f, key);
    *out = 0;
    if (!m)
        return absent(key, e);
    if (m->type != META_F32 && m->type != META_F64)
        return wrong_type(m, "a floating-point number", e);
    if (!read_f32(m->type, m->data, out) || !isfinite(*out) || *out < min || *out > max)
        return err_set(e, ERR_FORMAT, "gguf: metadata key %s is %g, not a number from %g to %g; the file is damaged", key, (double)*out, (double)min,
                       (double)max);
    return 0;
}

int modelfile_f32_or(const struct modelfile *f, const char *key, float min, float max, float dflt, float *out, struct err *e)
{
    if (modelfile_meta(f, key))
        return modelfile_f32(f, key, min, max, out, e);
    *out = dflt;
    return 0;
}

int modelfile_bool_or(const struct modelfile *f, const char *key, bool dflt, bool *out, struct err *e)
{
    const struct meta *m = modelfile_meta(f, key);
    *out = dflt;
    if (!m)
        return 0;
    if (m->type != META_BOOL)
        return wrong_type(m, "a bool", e);
    *out = m->data[0] != 0;
    return 0;
}

int modelfile_str(const struct modelfile *f, const char *key, struct str *out, struct err *e)
{
    const struct meta *m = modelfile_meta(f, key);
    uint64_t n;
    *out = (struct str){"", 0};
    if (!m)
        return absent(key, e);
    if (m->type != META_STR)
        return wrong_type(m, "a string", e);
    memcpy(&n, m->data, sizeof n); /* checked against the file by gguf_parse */
    *out = (struct str){(const char *)m->data + sizeof n, (size_t)n};
    return 0;
}

void modelfile_drop(const struct modelfile *f, const void *p, size_t n)
{
    const uint8_t *from = p;
    for (size_t i = 0; i < (f->parts ? f->n_parts : 1); i++) {
        const struct modelfile *one = f->parts ? f->parts[i] : f;
        if (one->map_owned && from >= one->map.p && n <= one->map.n && (size_t)(from - one->map.p) <= one->map.n - n)
            os_map_drop(from, n);
    }
}
