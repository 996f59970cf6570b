/* A model file as the rest of the program sees it: metadata and a table of tensors over a read-only map. gguf.c (and later safetensors.c)
 * fill it; every count, offset and dimension has been checked against the file before a caller sees it.
 *
 *   modelfile_open         a model by the path of its file, or of any part of a split one: finds the other parts by their names
 *   modelfile_open_parts   a model by the paths of all its parts, whatever they are called (blobs of the store)
 *   modelfile_join         a model of parts that were parsed one by one (descriptors of the sandboxed child, bytes of a test)
 *   gguf_open, gguf_parse  one file as it is: a part stays a part, and model_load refuses it */
#pragma once
#include "base/err.h"
#include "base/os.h"
#include "base/str.h"
#include "quant/quant.h"

/* GGUF's metadata value types. */
enum meta_type { META_U8, META_I8, META_U16, META_I16, META_U32, META_I32, META_F32, META_BOOL, META_STR, META_ARR, META_U64, META_I64, META_F64 };

struct meta {
    struct str     key;
    enum meta_type type;      /* META_ARR: see elem, n, data */
    enum meta_type elem;
    uint64_t       n;         /* elements of an array */
    const uint8_t *data;      /* the value's first byte in the file (not aligned) */
    struct str    *strings;   /* for arrays of strings: n of them, pointing into the file */
};

enum { TENSOR_DIMS_MAX = 4 };
struct tensor {
    struct str     name;
    uint32_t       type;      /* quant_type; a type that quant_info does not know is kept and refused when used */
    uint32_t       n_dims;
    uint64_t       ne[TENSOR_DIMS_MAX]; /* ne[0] is the contiguous dimension: row length */
    const void    *data;
    uint64_t       bytes;
};

struct modelfile {
    struct os_map  map;
    uint32_t       version;
    struct meta   *meta;
    size_t         n_meta;
    struct tensor *tensors;
    size_t         n_tensors;
    bool           map_owned; /* gguf_open mapped it */
    void          *index; /* name lookups, private */
    struct modelfile **parts; /* of a model in several files: all of them in order, this one first; else NULL */
    size_t         n_parts;   /* files that make up the model: 0 or 1 for one that was never split or not joined */
};
enum { MODELFILE_PARTS_MAX = 1024 };

/* ggml's table of tensor types: what a file may hold, whether or not this build computes with it (quant_info says that). */
struct tensor_type { const char *name; uint32_t id, block, bytes; };
const struct tensor_type *tensor_type(uint32_t id); /* NULL: unknown */

/* All files of a model, in any order; the order of the tensors is that of the parts. Faults (a part missing, twice, of another set or model, a tensor
 * twice, a wrong count) each have an error of their own; ERR_NOT_FOUND for a part that is not there, else ERR_FORMAT. */
int  modelfile_open(struct modelfile **out, const char *path, struct err *e) MUST_USE;
int  modelfile_open_parts(struct modelfile **out, const char *const *paths, size_t n, struct err *e) MUST_USE;
/* Takes the files over, and closes them when it fails. n = 1: the file itself, when it is whole. */
int  modelfile_join(struct modelfile **out, struct modelfile **files, size_t n, struct err *e) MUST_USE;
/* Which part of how many a single file is: 0 of 1 when it is whole. */
int  modelfile_part(const struct modelfile *f, uint32_t *part, uint32_t *parts, struct err *e) MUST_USE;
/* STEM-00001-of-00003.gguf for part i (from 0) of n. False: it does not fit. */
bool shard_name(char *out, size_t cap, struct str stem, uint32_t i, uint32_t n);

int  gguf_open(struct modelfile **out, const char *path, struct err *e) MUST_USE;
/* Parses bytes that the caller keeps alive (an embedded model, tests); p is aligned to 16 bytes or more, as tensors are read in place. */
int  gguf_parse(struct modelfile **out, const void *p, size_t n, struct err *e) MUST_USE;
void modelfile_close(struct modelfile *f);
/* n bytes at p, a tensor's, are not wanted again soon: a mapped file's pages leave this process (they stay in the page cache, and come back when
 * they are read). */
void modelfile_drop(const struct modelfile *f, const void *p, size_t n);

const struct tensor *modelfile_tensor(const struct modelfile *f, const char *name); /* NULL: absent */
const struct meta   *modelfile_meta(const struct modelfile *f, const char *key);
/* Typed reads with a check of the type: integers of any width convert when they fit [min, max]; absent -> ERR_FORMAT naming the key. */
int  modelfile_u32(const struct modelfile *f, const char *key, uint32_t min, uint32_t max, uint32_t *out, struct err *e) MUST_USE;
int  modelfile_u32_or(const struct modelfile *f, const char *key, uint32_t min, uint32_t max, uint32_t dflt, uint32_t *out, struct err *e) MUST_USE;
int  modelfile_f32(const struct modelfile *f, const char *key, float min, float max, float *out, struct err *e) MUST_USE; /* finite */
int  modelfile_f32_or(const struct modelfile *f, const char *key, float min, float max, float dflt, float *out, struct err *e) MUST_USE;
int  modelfile_bool_or(const struct modelfile *f, const char *key, bool dflt, bool *out, struct err *e) MUST_USE;
int  modelfile_str(const struct modelfile *f, const char *key, struct str *out, struct err *e) MUST_USE;
/* Value i of a numeric array; false when the type or index does not fit. */
bool meta_arr_i64(const struct meta *m, uint64_t i, int64_t *out);
bool meta_arr_f32(const struct meta *m, uint64_t i, float *out);

/* Writing GGUF v3 (tests, tools/tinymodel). */
struct gguf_writer;
int  gguf_writer_new(struct gguf_writer **out, struct err *e) MUST_USE;
void gguf_writer_free(struct gguf_writer *w);
void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v);
void gguf_put_f32(struct gguf_writer *w, const char *key, float v);
void gguf_put_bool(struct gguf_writer *w, const char *key, bool v);
void gguf_put_str(struct gguf_writer *w, const char *key, struct str v);
void gguf_put_strs(struct gguf_writer *w, const char *key, const struct str *v, size_t n);
void gguf_put_u8s(struct gguf_writer *w, const char *key, const uint8_t *v, size_t n);
void gguf_put_i32s(struct gguf_writer *w, const char *key, const int32_t *v, size_t n);
void gguf_put_f32s(struct gguf_writer *w, const char *key, const float *v, size_t n);
/* data is copied; `type` as encoded already. */
void gguf_put_tensor(struct gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *ne, const void *data, size_t bytes);
/* A tensor whose data the caller writes himself, behind the head: tensors in this order, each padded with zeros to a multiple of 32 bytes. Not
 * together with gguf_put_tensor. gguf_writer_head appends the head, as long as such tensors are all that there are. */
void gguf_put_tensor_later(struct gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims, const uint64_t *ne, uint64_t bytes);
int  gguf_writer_head(struct gguf_writer *w, struct buf *out, struct err *e) MUST_USE;
int  gguf_writer_bytes(struct gguf_writer *w, struct buf *out, struct err *e) MUST_USE; /* appends the whole file */
int  gguf_writer_save(struct gguf_writer *w, const char *path, struct err *e) MUST_USE;
/* Part i of n (1 to MODELFILE_PARTS_MAX), as llama-gguf-split writes it: the first has the metadata, each its share of the tensors. */
int  gguf_writer_part_bytes(struct gguf_writer *w, uint32_t i, uint32_t n, struct buf *out, struct err *e) MUST_USE;
int  gguf_writer_save_parts(struct gguf_writer *w, const char *stem, uint32_t n, struct err *e) MUST_USE; /* STEM-00001-of-0000N.gguf ... */
