/* Writes GGUF v3: the head and the metadata grow in one buffer, the tensor table in a second, the data in a third. */
#include "format/format_int.h"
#include "base/mem.h"
#include <string.h>

struct gguf_writer {
    struct buf meta, table, data;
    uint64_t   n_meta, n_tensors;
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

static void pad(struct buf *b, size_t from)
{
    while ((from + b->len) % FORMAT_ALIGN_DEFAULT && !b->failed)
        buf_char(b, 0);
}

void gguf_put_tensor(struct gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *ne, const void *data, size_t bytes)
{
    put_str(&w->table, str_of(name));
    put_u32(&w->table, n_dims);
    for (uint32_t i = 0; i < n_dims; i++)
        put_u64(&w->table, ne[i]);
    put_u32(&w->table, type);
    put_u64(&w->table, w->data.len);
    buf_add(&w->data, data, bytes);
    pad(&w->data, 0);
    w->n_tensors++;
}

int gguf_writer_bytes(struct gguf_writer *w, struct buf *out, struct err *e)
{
    buf_add(out, "GGUF", 4);
    put_u32(out, 3);
    put_u64(out, w->n_tensors);
    put_u64(out, w->n_meta);
    buf_add(out, w->meta.data, w->meta.len);
    buf_add(out, w->table.data, w->table.len);
    pad(out, 0);
    buf_add(out, w->data.data, w->data.len);
    if (w->meta.failed || w->table.failed || w->data.failed || out->failed)
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
