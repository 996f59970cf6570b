/* GGUF v2 and v3 (docs/formats/gguf.md draws the layout). The file is an enemy: every count, length, offset and dimension is checked against
 * the bytes that are there before it is used, sizes go through ck_*, and each fault has an error of its own that says how to mend it.
 * Faults that a damaged download shows (cut off, overwritten) and faults of a converter read differently, because the mend differs. */
#include "format/format_int.h"
#include "base/mem.h"
#include <stdlib.h>
#include <string.h>

struct reader {
    const uint8_t    *p;
    size_t            n, at;
    struct modelfile *f;
    size_t            align;
    struct err       *e;
};

static int fail_cut(struct reader *r, const char *what)
{
    return err_set(r->e, ERR_FORMAT, "gguf: the file ends after %zu bytes, inside %s; the download is incomplete, fetch it again", r->n, what);
}

static int take(struct reader *r, void *out, size_t n, const char *what)
{
    if (r->n - r->at < n)
        return fail_cut(r, what);
    memcpy(out, r->p + r->at, n);
    r->at += n;
    return 0;
}

/* A string: u64 length, bytes. */
static int take_str(struct reader *r, struct str *out, const char *what)
{
    uint64_t n = 0;
    int rc = take(r, &n, sizeof n, what);
    if (rc)
        return rc;
    if (n > r->n - r->at)
        return err_set(r->e, ERR_FORMAT,
                       "gguf: the length %llu of %s is more than the %zu bytes that are left; the download is incomplete or the file damaged",
                       (unsigned long long)n, what, r->n - r->at);
    *out = (struct str){(const char *)r->p + r->at, (size_t)n};
    r->at += (size_t)n;
    return 0;
}

/* Keys and tensor names: they are looked up as C strings and shown in messages. */
static int check_name(struct reader *r, struct str s, size_t max, const char *what)
{
    if (s.n == 0 || s.n > max)
        return err_set(r->e, ERR_FORMAT, "gguf: %s has a name of %zu bytes, where 1 to %zu are allowed; the file is damaged", what, s.n, max);
    if (memchr(s.p, 0, s.n) || !utf8_valid(s.p, s.n))
        return err_set(r->e, ERR_FORMAT, "gguf: the name of %s \"%s\" is not UTF-8 text; the file is damaged", what, shown_of(s).z);
    return 0;
}

/* What people hand in by mistake, by its first bytes. */
static int fail_magic(struct reader *r)
{
    static const struct { const char *bytes; size_t n; const char *text; } known[] = {
        {"version https://git-lfs", 23, "it is a Git LFS pointer: fetch the file itself (git lfs pull)"},
        {"FUGG", 4, "it is big-endian: convert it to little-endian"},
        {"lmgg", 4, "it is a GGML file from before GGUF: convert the original weights again"},
        {"tjgg", 4, "it is a GGJT file from before GGUF: convert the original weights again"},
        {"PK\3\4", 4, "it is a zip archive, maybe of PyTorch: such files can run code and are never read; use GGUF"},
        {"\x80\x02", 2, "it is a Python pickle: such files can run code and are never read; use GGUF"},
        {"<!DOCTYPE", 9, "it is a web page: the download went wrong"},
        {"<html", 5, "it is a web page: the download went wrong"},
        {"{", 1, "it is JSON, not a model"},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (r->n >= known[i].n && !memcmp(r->p, known[i].bytes, known[i].n))
            return err_set(r->e, ERR_FORMAT, "gguf: this is no GGUF file; %s", known[i].text);
    return err_set(r->e, ERR_FORMAT, "gguf: this is no GGUF file: it does not begin with \"GGUF\"; give a model in GGUF format");
}

static int parse_head(struct reader *r, uint64_t *n_tensors, uint64_t *n_meta)
{
    if (r->n == 0)
        return err_set(r->e, ERR_FORMAT, "gguf: the file is empty; fetch it again");
    if (r->n < 4 || memcmp(r->p, "GGUF", 4))
        return r->n < 4 && !memcmp(r->p, "GGUF", r->n) ? fail_cut(r, "the magic number") : fail_magic(r);
    r->at = 4;
    uint32_t v = 0;
    int rc = take(r, &v, sizeof v, "the version");
    if (rc)
        return rc;
    if (v == 1)
        return err_set(r->e, ERR_FORMAT, "gguf: version 1 is not read (its counts have 32 bits); convert the model to version 3");
    if ((v & 0xffff) == 0 && v)
        return err_set(r->e, ERR_FORMAT, "gguf: the file is big-endian; convert it to little-endian");
    if (v != 2 && v != 3)
        return err_set(r->e, ERR_FORMAT, "gguf: version %u is unknown, 2 and 3 are read; a newer sluice may read it, or the file is damaged", v);
    r->f->version = v;
    if ((rc = take(r, n_tensors, 8, "the tensor count")) || (rc = take(r, n_meta, 8, "the metadata count")))
        return rc;
    size_t left = r->n - r->at;
    /* The smallest key takes 8 + 1 + 4 + 1 bytes, the smallest tensor 8 + 1 + 4 + 8 + 4 + 8. */
    if (*n_meta > left / 14)
        return err_set(r->e, ERR_FORMAT,
                       "gguf: the metadata count %llu cannot fit in the %zu bytes that follow; the download is incomplete or the file damaged",
                       (unsigned long long)*n_meta, left);
    if (*n_tensors > left / 33)
        return err_set(r->e, ERR_FORMAT,
                       "gguf: the tensor count %llu cannot fit in the %zu bytes that follow; the download is incomplete or the file damaged",
                       (unsigned long long)*n_tensors, left);
    if (*n_meta > FORMAT_META_MAX)
        return err_set(r->e, ERR_FORMAT, "gguf: the metadata count %llu is over the limit of %d", (unsigned long long)*n_meta, FORMAT_META_MAX);
    if (*n_tensors > FORMAT_TENSORS_MAX)
        return err_set(r->e, ERR_FORMAT, "gguf: the tensor count %llu is over the limit of %d", (unsigned long long)*n_tensors, FORMAT_TENSORS_MAX);
    return 0;
}

static int parse_array(struct reader *r, struct meta *m)
{
    uint32_t elem = 0;
    int rc = take(r, &elem, sizeof elem, "an array's type");
    if (rc || (rc = take(r, &m->n, sizeof m->n, "an array's length")))
        return rc;
    struct shown key = shown_of(m->key);
    if (elem == META_ARR)
        return err_set(r->e, ERR_FORMAT, "gguf: metadata key %s is an array of arrays, which no model uses and this build does not read", key.z);
    if (elem > META_F64)
        return err_set(r->e, ERR_FORMAT, "gguf: metadata key %s is an array of the unknown type %u; the file is damaged", key.z, elem);
    m->elem = elem;
    m->data = r->p + r->at;
    size_t size = elem == META_STR ? 8 : meta_type_size(elem);
    if (m->n > (r->n - r->at) / size)
        return err_set(
            r->e, ERR_FORMAT,
            "gguf: metadata key %s says %llu elements, more than the %zu bytes that are left; the download is incomplete or the file damaged", key.z,
            (unsigned long long)m->n, r->n - r->at);
    if (elem != META_STR) {
        r->at += (size_t)m->n * size; /* no overflow: n <= left / size */
        return 0;
    }
    if (m->n && !(m->strings = mem_array((size_t)m->n, sizeof *m->strings)))
        return err_set(r->e, ERR_NO_MEMORY, "gguf: no memory for the %llu strings of %s", (unsigned long long)m->n, key.z);
    for (uint64_t i = 0; i < m->n; i++)
        if ((rc = take_str(r, &m->strings[i], "a string in an array")))
            return err_wrap(r->e, "metadata key %s", key.z);
    return 0;
}

static int parse_value(struct reader *r, struct meta *m)
{
    struct str s;
    if (m->type == META_ARR)
        return parse_array(r, m);
    m->data = r->p + r->at;
    if (m->type == META_STR)
        return take_str(r, &s, "a metadata string") ? err_wrap(r->e, "metadata key %s", shown_of(m->key).z) : 0;
    size_t size = meta_type_size(m->type);
    if (r->n - r->at < size)
        return fail_cut(r, "a metadata value");
    if (m->type == META_BOOL && m->data[0] > 1)
        return err_set(r->e, ERR_FORMAT, "gguf: metadata key %s is a bool with the value %u; the file is damaged", shown_of(m->key).z, m->data[0]);
    r->at += size;
    return 0;
}

static int parse_meta(struct reader *r, uint64_t n)
{
    struct modelfile_index *x = r->f->index;
    if (n && !(r->f->meta = mem_array((size_t)n, sizeof *r->f->meta)))
        return err_set(r->e, ERR_NO_MEMORY, "gguf: no memory for %llu metadata keys", (unsigned long long)n);
    for (uint64_t i = 0; i < n; i++) {
        struct meta *m = &r->f->meta[i];
        uint32_t type = 0;
        union map_value seen;
        int rc = take_str(r, &m->key, "a metadata key");
        if (rc || (rc = check_name(r, m->key, FORMAT_KEY_MAX, "a metadata key")) || (rc = take(r, &type, sizeof type, "a metadata type")))
            return rc;
        if (type > META_F64)
            return err_set(r->e, ERR_FORMAT, "gguf: metadata key %s has the unknown type %u; the file is damaged", shown_of(m->key).z, type);
        m->type = type;
        r->f->n_meta = (size_t)i + 1; /* before the value: its strings are freed by modelfile_close */
        if ((rc = parse_value(r, m)))
            return rc;
        if (map_get(&x->meta, m->key, &seen))
            return err_set(r->e, ERR_FORMAT, "gguf: metadata key %s stands twice; which one is meant is not known, convert the model again",
                           shown_of(m->key).z);
        if (!map_set(&x->meta, m->key, (union map_value){.u64 = i}))
            return err_set(r->e, ERR_NO_MEMORY, "gguf: no memory for the index of metadata");
    }
    return 0;
}

static int read_align(struct reader *r)
{
    const struct meta *m = modelfile_meta(r->f, "general.alignment");
    uint32_t v = 0;
    r->align = FORMAT_ALIGN_DEFAULT;
    if (!m)
        return 0;
    if (m->type != META_U32)
        return err_set(r->e, ERR_FORMAT, "gguf: general.alignment is not a 32-bit unsigned integer; convert the model again");
    memcpy(&v, m->data, sizeof v);
    if (v < FORMAT_ALIGN_MIN || v > FORMAT_ALIGN_MAX || (v & (v - 1)))
        return err_set(r->e, ERR_FORMAT, "gguf: general.alignment %u is not a power of two from %d to %d; convert the model again", v,
                       FORMAT_ALIGN_MIN, FORMAT_ALIGN_MAX);
    r->align = v;
    return 0;
}

/* Dimensions, and the bytes that they need in this type. */
static int parse_dims(struct reader *r, struct tensor *t)
{
    struct shown name = shown_of(t->name);
    int rc = take(r, &t->n_dims, sizeof t->n_dims, "a tensor's dimensions");
    if (rc)
        return rc;
    if (t->n_dims < 1 || t->n_dims > TENSOR_DIMS_MAX)
        return err_set(r->e, ERR_FORMAT, "gguf: tensor %s has %u dimensions, where 1 to %d are allowed; the file is damaged", name.z, t->n_dims,
                       TENSOR_DIMS_MAX);
    uint64_t values = 1;
    for (uint32_t i = 0; i < TENSOR_DIMS_MAX; i++)
        t->ne[i] = 1;
    for (uint32_t i = 0; i < t->n_dims; i++) {
        if ((rc = take(r, &t->ne[i], 8, "a tensor's dimensions")))
            return rc;
        if (t->ne[i] < 1 || t->ne[i] > FORMAT_DIM_MAX)
            return err_set(r->e, ERR_FORMAT, "gguf: dimension %u of tensor %s is %llu, where 1 to %d are allowed; the file is damaged", i, name.z,
                           (unsigned long long)t->ne[i], FORMAT_DIM_MAX);
        if (!ck_mul(values, t->ne[i], &values) || values / 64 > r->n) /* no type packs more than 64 values into a byte */
            return err_set(r->e, ERR_FORMAT,
                           "gguf: tensor %s has more values than the file has room for; the download is incomplete or the file damaged", name.z);
    }
    if ((rc = take(r, &t->type, sizeof t->type, "a tensor's type")))
        return rc;
    const struct tensor_type *ty = tensor_type(t->type);
    if (!ty)
        return 0; /* kept; refused when something needs it */
    if (t->ne[0] % ty->block)
        return err_set(r->e, ERR_FORMAT, "gguf: rows of tensor %s have %llu values, which is no multiple of %u as %s needs; convert the model again",
                       name.z, (unsigned long long)t->ne[0], ty->block, ty->name);
    if (!ck_mul(values / ty->block, (uint64_t)ty->bytes, &t->bytes))
        return err_set(r->e, ERR_FORMAT, "gguf: the size of tensor %s overflows; the file is damaged", name.z);
    return 0;
}

static int parse_tensors(struct reader *r, uint64_t n, uint64_t *offset)
{
    struct modelfile_index *x = r->f->index;
    for (uint64_t i = 0; i < n; i++) {
        struct tensor *t = &r->f->tensors[i];
        union map_value seen;
        int rc = take_str(r, &t->name, "a tensor's name");
        if (rc || (rc = check_name(r, t->name, FORMAT_NAME_MAX, "a tensor")) || (rc = parse_dims(r, t)) ||
            (rc = take(r, &offset[i], sizeof *offset, "a tensor's offset")))
            return rc;
        if (map_get(&x->tensors, t->name, &seen))
            return err_set(r->e, ERR_FORMAT, "gguf: tensor %s stands twice; which one is meant is not known, convert the model again",
                           shown_of(t->name).z);
        if (!map_set(&x->tensors, t->name, (union map_value){.u64 = i}))
            return err_set(r->e, ERR_NO_MEMORY, "gguf: no memory for the index of tensors");
        if (offset[i] % r->align)
            return err_set(r->e, ERR_FORMAT,
                           "gguf: the data of tensor %s begins at %llu, which is no multiple of the alignment %zu; the file is damaged",
                           shown_of(t->name).z, (unsigned long long)offset[i], r->align);
        r->f->n_tensors = (size_t)i + 1;
    }
    return 0;
}

/* Data follows the tensor table, at the next multiple of the alignment. */
static int place_data(struct reader *r, const uint64_t *offset)
{
    size_t base;
    if (!r->f->n_tensors)
        return 0;
    if (!ck_align(r->at, r->align, &base) || base > r->n)
        return fail_cut(r, "the padding before the tensor data");
    uint64_t room = r->n - base;
    for (size_t i = 0; i < r->f->n_tensors; i++) {
        struct tensor *t = &r->f->tensors[i];
        uint64_t end;
        if (!ck_add(offset[i], t->bytes, &end))
            return err_set(r->e, ERR_FORMAT, "gguf: the offset %llu of tensor %s overflows; the file is damaged", (unsigned long long)offset[i],
                           shown_of(t->name).z);
        if (end > room)
            return err_set(r->e, ERR_FORMAT, "gguf: tensor %s ends %llu bytes past the end of the file; the download is incomplete, fetch it again",
                           shown_of(t->name).z, (unsigned long long)(end - room));
        t->data = r->p + base + offset[i];
    }
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const struct tensor *x = *(const struct tensor *const *)a, *y = *(const struct tensor *const *)b;
    uintptr_t p = (uintptr_t)x->data, q = (uintptr_t)y->data;
    return p < q ? -1 : p > q;
}

/* Two tensors that share bytes: no converter writes that, and a file that does means something else to each reader. */
static int check_overlap(struct reader *r)
{
    size_t n = r->f->n_tensors;
    if (n < 2)
        return 0;
    struct tensor **t = mem_array(n, sizeof *t);
    if (!t)
        return err_set(r->e, ERR_NO_MEMORY, "gguf: no memory to check %zu tensors", n);
    for (size_t i = 0; i < n; i++)
        t[i] = &r->f->tensors[i];
    qsort(t, n, sizeof *t, by_place);
    int rc = 0;
    for (size_t i = 1; i < n && !rc; i++)
        if ((uintptr_t)t[i - 1]->data + t[i - 1]->bytes > (uintptr_t)t[i]->data)
            rc = err_set(r->e, ERR_FORMAT, "gguf: the data of tensors %s and %s overlap; the file is damaged", shown_of(t[i - 1]->name).z,
                         shown_of(t[i]->name).z);
    mem_free(t);
    return rc;
}

static int parse(struct reader *r)
{
    uint64_t n_tensors = 0, n_meta = 0;
    int rc = parse_head(r, &n_tensors, &n_meta);
    if (rc || (rc = parse_meta(r, n_meta)) || (rc = read_align(r)))
        return rc;
    if (n_tensors > (r->n - r->at) / 33)
        return fail_cut(r, "the table of tensors");
    if (!n_tensors)
        return 0;
    uint64_t *offset = mem_array((size_t)n_tensors, sizeof *offset);
    r->f->tensors = mem_array((size_t)n_tensors, sizeof *r->f->tensors);
    rc = offset && r->f->tensors ? parse_tensors(r, n_tensors, offset)
                                 : err_set(r->e, ERR_NO_MEMORY, "gguf: no memory for %llu tensors", (unsigned long long)n_tensors);
    if (!rc)
        rc = place_data(r, offset);
    mem_free(offset);
    return rc ? rc : check_overlap(r);
}

int gguf_parse(struct modelfile **out, const void *p, size_t n, struct err *e)
{
    *out = NULL;
    struct modelfile *f = mem_new(sizeof *f);
    struct modelfile_index *x = mem_new(sizeof *x);
    if (!f || !x) {
        mem_free(f);
        mem_free(x);
        return err_set(e, ERR_NO_MEMORY, "gguf: no memory for a file's table");
    }
    map_init(&x->meta);
    map_init(&x->tensors);
    f->index = x;
    f->map = (struct os_map){p, n};
    struct reader r = {.p = p, .n = n, .f = f, .e = e};
    int rc = parse(&r);
    if (rc)
        modelfile_close(f);
    else
        *out = f;
    return rc;
}

int gguf_open(struct modelfile **out, const char *path, struct err *e)
{
    struct os_map map;
    *out = NULL;
    int rc = os_map_large(&map, path, e);
    if (rc)
        return rc;
    if ((rc = gguf_parse(out, map.p, map.n, e))) {
        os_map_close(&map);
        return rc;
    }
    (*out)->map_owned = true;
    return 0;
}
