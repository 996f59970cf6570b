/* Writes GGUF v3: the head and the metadata grow in one buffer, the tensor table in a second, the data in a third; where each tensor begins in
 * the last two is kept, so that the same writer can write the model in parts. */
#include "format/format_int.h"
#include "base/vec.h"
#include <string.h>

struct gguf_writer {
    struct buf     meta, table, data;
    struct vec_u64 starts; /* of each tensor: in table, in data */
    uint64_t       n_meta, n_tensors, later; /* later: bytes of tensors whose data the caller writes himself */
    bool           failed;
};

int gguf_writer_new(struct gguf_writer **out, struct err *e)
{
    *out = mem_new(sizeof **out);
    if (!*out)
        return err_set(e, ERR_NO_MEMORY, "gguf: no memory for a writer");
    buf_init(&(*out)->meta, 0);
    buf_init(&(*out)->table, 0);
    buf_init(&(*out)->data, (size_t)1 << 40);
    return 0;
}

void gguf_writer_free(struct gguf_writer *w)
{
    if (!w)
        return;
    buf_deinit(&w->meta);
    buf_deinit(&w->table);
    buf_deinit(&w->data);
    vec_deinit(&w->starts);
    mem_free(w);
}

static void put_u32(struct buf *b, uint32_t v) { buf_add(b, &v, sizeof v); }
static void put_u64(struct buf *b, uint64_t v) { buf_add(b, &v, sizeof v); }

static void put_str(struct buf *b, struct str s)
{
    put_u64(b, s.n);
    buf_add(b, s.p, s.n);
}

static struct buf *put_key(struct gguf_writer *w, const char *key, enum meta_type t)
{
    put_str(&w->meta, str_of(key));
    put_u32(&w->meta, t);
    w->n_meta++;
    return &w->meta;
}

static struct buf *put_array(struct gguf_writer *w, const char *key, enum meta_type elem, size_t n)
{
    put_key(w, key, META_ARR);
    put_u32(&w->meta, elem);
    put_u64(&w->meta, n);
    return &w->meta;
}

void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v) { buf_add(put_key(w, key, META_U32), &v, sizeof v); }
void gguf_put_f32(struct gguf_writer *w, const char *key, float v) { buf_add(put_key(w, key, META_F32), &v, sizeof v); }
void gguf_put_bool(struct gguf_writer *w, const char *key, bool v) { buf_char(put_key(w, key, META_BOOL), v); }
void gguf_put_str(struct gguf_writer *w, const char *key, struct str v) { put_str(put_key(w, key, META_STR), v); }

void gguf_put_strs(struct gguf_writer *w, const char *key, const struct str *v, size_t n)
{
    struct buf *b = put_array(w, key, META_STR, n);
    for (size_t i = 0; i < n; i++)
        put_str(b, v[i]);
}

void gguf_put_u8s(struct gguf_writer *w, const char *key, const uint8_t *v, size_t n) { buf_add(put_array(w, key, META_U8, n), v, n); }
void gguf_put_i32s(struct gguf_writer *w, const char *key, const int32_t *v, size_t n) { buf_add(put_array(w, key, META_I32, n), v, n * sizeof *v); }
void gguf_put_f32s(struct gguf_writer *w, const char *key, const float *v, size_t n) { buf_add(put_array(w, key, META_F32, n), v, n * sizeof *v); }

static void pad(struct buf *b)
{
    while (b->len % FORMAT_ALIGN_DEFAULT && !b->failed)
        buf_char(b, 0);
}

void gguf_put_tensor(struct gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *ne, const void *data, size_t bytes)
{
    w->failed = !vec_push(&w->starts, w->table.len) || !vec_push(&w->starts, w->data.len) || w->failed;
    put_str(&w->table, str_of(name));
    put_u32(&w->table, n_dims);
    for (uint32_t i = 0; i < n_dims; i++)
        put_u64(&w->table, ne[i]);
    put_u32(&w->table, type);
    put_u64(&w->table, w->data.len);
    buf_add(&w->data, data, bytes);
    pad(&w->data);
    w->n_tensors++;
}

void gguf_put_tensor_later(struct gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *ne, uint64_t bytes)
{
    ASSERT(w->data.len == 0);
    gguf_put_tensor(w, name, type, n_dims, ne, NULL, 0);
    w->table.len -= sizeof w->later; /* the offset, which comes last */
    put_u64(&w->table, w->later);
    w->later += (bytes + FORMAT_ALIGN_DEFAULT - 1) / FORMAT_ALIGN_DEFAULT * FORMAT_ALIGN_DEFAULT;
}

int gguf_writer_head(struct gguf_writer *w, struct buf *out, struct err *e)
{
    return gguf_writer_bytes(w, out, e);
}

int gguf_writer_bytes(struct gguf_writer *w, struct buf *out, struct err *e)
{
    buf_add(out, "GGUF", 4);
    put_u32(out, 3);
    put_u64(out, w->n_tensors);
    put_u64(out, w->n_meta);
    buf_add(out, w->meta.data, w->meta.len);
    buf_add(out, w->table.data, w->table.len);
    pad(out);
    buf_add(out, w->data.data, w->data.len);
    if (w->failed || w->meta.failed || w->table.failed || w->data.failed || out->failed)
        return err_set(e, ERR_NO_MEMORY, "gguf: no memory to write the file");
    return 0;
}

int gguf_writer_save(struct gguf_writer *w, const char *path, struct err *e)
{
    struct buf b;
    buf_init(&b, (size_t)1 << 40);
    int rc = gguf_writer_bytes(w, &b, e);
    if (!rc)
        rc = os_write_file(path, b.data, b.len, 0644, e);
    buf_deinit(&b);
    return rc;
}

static void put_number(struct buf *b, const char *key, enum meta_type t, uint32_t v)
{
    put_str(b, str_of(key));
    put_u32(b, t);
    buf_add(b, &v, meta_type_size(t)); /* little-endian: the low bytes come first */
}

/* Where tensor t begins in the table (which 0) or the data (which 1); t may be n_tensors. */
static size_t start(const struct gguf_writer *w, size_t t, int which)
{
    return t < w->n_tensors ? (size_t)w->starts.p[2 * t + (size_t)which] : which ? w->data.len : w->table.len;
}

int gguf_writer_part_bytes(struct gguf_writer *w, uint32_t i, uint32_t n, struct buf *out, struct err *e)
{
    ASSERT(n > 0 && n <= MODELFILE_PARTS_MAX && i < n);
    size_t from = (size_t)(w->n_tensors * i / n), to = (size_t)(w->n_tensors * (i + 1) / n), base = start(w, from, 1);
    buf_add(out, "GGUF", 4);
    put_u32(out, 3);
    put_u64(out, to - from);
    put_u64(out, (i == 0 ? w->n_meta : 0) + 3);
    if (i == 0)
        buf_add(out, w->meta.data, w->meta.len);
    put_number(out, "split.no", META_U16, i);
    put_number(out, "split.count", META_U16, n);
    put_number(out, "split.tensors.count", META_I32, (uint32_t)w->n_tensors);
    for (size_t t = from; t < to && !w->table.failed && !w->failed; t++) { /* the offset, last, counts from the part's own data */
        buf_add(out, w->table.data + start(w, t, 0), start(w, t + 1, 0) - start(w, t, 0) - sizeof(uint64_t));
        put_u64(out, start(w, t, 1) - base);
    }
    pad(out);
    if (!w->data.failed)
        buf_add(out, w->data.data + base, start(w, to, 1) - base);
    if (w->failed || w->meta.failed || w->table.failed || w->data.failed || out->failed)
        return err_set(e, ERR_NO_MEMORY, "gguf: no memory to write part %u of %u", i + 1, n);
    return 0;
}

int gguf_writer_save_parts(struct gguf_writer *w, const char *stem, uint32_t n, struct err *e)
{
    int rc = 0;
    for (uint32_t i = 0; i < n && !rc; i++) {
        char       path[4096];
        struct buf b;
        buf_init(&b, (size_t)1 << 40);
        rc = gguf_writer_part_bytes(w, i, n, &b, e);
        if (!rc && !shard_name(path, sizeof path, str_of(stem), i, n))
            rc = err_set(e, ERR_USAGE, "gguf: the name %s is too long", stem);
        if (!rc)
            rc = os_write_file(path, b.data, b.len, 0644, e);
        buf_deinit(&b);
    }
    return rc;
}
