/* A GGUF file built field by field, so that any one field can lie. */
#pragma once
#include "base/buf.h"
#include "format/modelfile.h"
#include <stdlib.h>
#include <string.h>

struct made { struct buf b; };
static inline void u32(struct made *m, uint64_t v) { buf_add(&m->b, &v, 4); }
static inline void u64(struct made *m, uint64_t v) { buf_add(&m->b, &v, 8); }
static inline void str(struct made *m, const char *z) { u64(m, strlen(z)), buf_str(&m->b, z); }

#define LIE_HONEST UINT64_MAX /* of a length: what it really is */
#define LIE_CUT_NONE UINT64_MAX

struct lie {
    const char *magic, *key1, *key2, *name;
    uint64_t    magic_n, version, n_tensors, n_meta;
    uint64_t    align_type, align, key1_len, str_type, str_len, elem_type, arr_len, strings_n, string_len, bool_type, bool_value;
    uint64_t    name_len, n_dims, ne[4], type, offset;
    uint64_t    cut;  /* bytes of the file that are there */
    uint64_t    lost; /* bytes of its end that are not */
};

#define LIE_TRUTH                                                                                                                          \
    .magic = "GGUF", .magic_n = 4, .version = 3, .n_tensors = 2, .n_meta = 6, .align_type = META_U32, .align = 32, .key1 = "a.str_x",      \
    .key1_len = LIE_HONEST, .str_type = META_STR, .str_len = 5, .key2 = "b.array", .elem_type = META_F32, .arr_len = 3, .strings_n = 2,    \
    .string_len = 3, .bool_type = META_BOOL, .bool_value = 1, .name = "tw.ox", .name_len = LIE_HONEST, .n_dims = 2, .ne = {32, 2, 1, 1},   \
    .type = QUANT_F32, .offset = 256, .cut = LIE_CUT_NONE

static const struct lie truth = {LIE_TRUTH};

/* 6 keys, 2 tensors: "one" (32 x 2 F32, 256 bytes at 0), then `name` with the fields of l; 512 bytes of data. */
static inline void make(struct made *m, const struct lie *l)
{
    buf_init(&m->b, 0);
    buf_add(&m->b, l->magic, l->magic_n), u32(m, l->version), u64(m, l->n_tensors), u64(m, l->n_meta);
    str(m, "general.alignment"), u32(m, l->align_type), u32(m, l->align);
    u64(m, l->key1_len == LIE_HONEST ? strlen(l->key1) : l->key1_len), buf_str(&m->b, l->key1);
    u32(m, l->str_type), u64(m, l->str_len), buf_str(&m->b, "hello");
    str(m, l->key2), u32(m, META_ARR), u32(m, l->elem_type), u64(m, l->arr_len);
    for (int i = 0; i < 3; i++) {
        float f = (float)i;
        buf_add(&m->b, &f, 4);
    }
    str(m, "c.strings"), u32(m, META_ARR), u32(m, META_STR), u64(m, l->strings_n), str(m, "x"), u64(m, l->string_len), buf_str(&m->b, "yyy");
    str(m, "d.bool"), u32(m, l->bool_type), buf_char(&m->b, (char)l->bool_value);
    str(m, "e.u64"), u32(m, META_U64), u64(m, UINT64_MAX);
    str(m, "one"), u32(m, 2), u64(m, 32), u64(m, 2), u32(m, QUANT_F32), u64(m, 0);
    u64(m, l->name_len == LIE_HONEST ? strlen(l->name) : l->name_len), buf_str(&m->b, l->name);
    u32(m, l->n_dims);
    for (uint64_t i = 0; i < (l->n_dims < 5 ? l->n_dims : 5); i++)
        u64(m, i < 4 ? l->ne[i] : 1);
    u32(m, l->type), u64(m, l->offset);
    while (m->b.len % 32)
        buf_char(&m->b, 0);
    for (int i = 0; i < 512; i++)
        buf_char(&m->b, (char)i);
    if (l->cut < m->b.len)
        m->b.len = (size_t)l->cut;
    m->b.len -= (size_t)l->lost;
}

/* The parser reads from an exact heap block, so that the sanitizer sees one byte too far. */
static inline int parse_exact(const struct made *m, size_t n, struct modelfile **f, void **block, struct err *e)
{
    *block = malloc(n ? n : 1);
    memcpy(*block, m->b.data, n);
    return gguf_parse(f, *block, n, e);
}
