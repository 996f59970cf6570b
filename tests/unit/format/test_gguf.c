/* The GGUF reader against good files, and against one bad file for each field and each boundary. Every fault must give the error that
 * names it: a test that only asked for "some error" would pass on the wrong one. */
#include "base/buf.h"
#include "base/mem.h"
#include "format/modelfile.h"
#include "test.h"
#include <math.h>

/* A file built field by field, so that any one field can lie. */
struct made { struct buf b; };
static void u32(struct made *m, uint32_t v) { buf_add(&m->b, &v, 4); }
static void u64(struct made *m, uint64_t v) { buf_add(&m->b, &v, 8); }
static void str(struct made *m, const char *z) { u64(m, strlen(z)), buf_str(&m->b, z); }

struct lie {
    uint32_t version, align, align_type, n_dims, type, bool_value, value_type, elem_type;
    uint64_t n_tensors, n_meta, key_len, str_len, arr_len, arr_str_len, name_len, ne0, ne1, offset;
    const char *key2, *name2, *magic;
};
static const struct lie truth = {.version = 3,
                                 .align = 32,
                                 .align_type = META_U32,
                                 .n_dims = 2,
                                 .type = QUANT_F32,
                                 .bool_value = 1,
                                 .value_type = META_BOOL,
                                 .elem_type = META_F32,
                                 .n_tensors = 2,
                                 .n_meta = 6,
                                 .key_len = 7,
                                 .str_len = 5,
                                 .arr_len = 3,
                                 .arr_str_len = 3,
                                 .name_len = 5,
                                 .ne0 = 32,
                                 .ne1 = 2,
                                 .offset = 256,
                                 .key2 = "b.array",
                                 .name2 = "two",
                                 .magic = "GGUF"};

/* 6 keys, 2 tensors: "one" (32 x 2 F32, 256 bytes at 0), then `name` with the fields of l. */
static void make(struct made *m, const struct lie *l)
{
    buf_init(&m->b, 0);
    buf_add(&m->b, l->magic, 4), u32(m, l->version), u64(m, l->n_tensors), u64(m, l->n_meta);
    str(m, "general.alignment"), u32(m, l->align_type), u32(m, l->align);
    u64(m, l->key_len), buf_str(&m->b, "a.str_x"), u32(m, META_STR), u64(m, l->str_len), buf_str(&m->b, "hello");
    str(m, l->key2), u32(m, META_ARR), u32(m, l->elem_type), u64(m, l->arr_len);
    for (int i = 0; i < 3; i++) {
        float f = (float)i;
        buf_add(&m->b, &f, 4);
    }
    str(m, "c.strings"), u32(m, META_ARR), u32(m, META_STR), u64(m, 2), str(m, "x"), u64(m, l->arr_str_len), buf_str(&m->b, "yyy");
    str(m, "d.bool"), u32(m, l->value_type), buf_char(&m->b, (char)l->bool_value);
    str(m, "e.u64"), u32(m, META_U64), u64(m, UINT64_MAX);
    str(m, "one"), u32(m, 2), u64(m, 32), u64(m, 2), u32(m, QUANT_F32), u64(m, 0);
    u64(m, l->name_len), buf_str(&m->b, l->name_len == 5 ? "tw.ox" : l->name2), u32(m, l->n_dims);
    for (uint32_t i = 0; i < (l->n_dims < 5 ? l->n_dims : 5); i++)
        u64(m, i == 0 ? l->ne0 : i == 1 ? l->ne1 : 1);
    u32(m, l->type), u64(m, l->offset);
    while (m->b.len % 32)
        buf_char(&m->b, 0);
    for (int i = 0; i < 512; i++)
        buf_char(&m->b, (char)i);
}

/* The parser reads from an exact heap block, so that the sanitizer sees one byte too far. */
static int parse_exact(const struct made *m, size_t n, struct modelfile **f, void **block, struct err *e)
{
    *block = malloc(n ? n : 1);
    memcpy(*block, m->b.data, n);
    return gguf_parse(f, *block, n, e);
}

static bool wants(const struct lie *l, const char *text, const char *what)
{
    struct made m;
    struct modelfile *f;
    struct err e = {0};
    void *block;
    make(&m, l);
    int rc = parse_exact(&m, m.b.len, &f, &block, &e);
    bool ok = text ? rc == -ERR_FORMAT && !f && strstr(e.msg, text) && strstr(e.msg, "gguf: ") : rc == 0 && f;
    if (!ok)
        printf("%s: wanted %s, got %d %s\n", what, text ? text : "success", rc, rc ? e.msg : "");
    modelfile_close(f);
    free(block);
    buf_deinit(&m.b);
    return ok;
}

#define BAD(field, value, text)                                                                                                            \
    do {                                                                                                                                   \
        struct lie l_ = truth;                                                                                                             \
        l_.field = value;                                                                                                                  \
        CHECK(wants(&l_, text, #field " = " #value));                                                                                      \
    } while (0)
#define GOOD(field, value) BAD(field, value, NULL)

TEST(the_truth_is_read)
{
    struct made m;
    struct modelfile *f;
    struct err e = {0};
    struct str s;
    uint32_t v;
    float x;
    bool b;
    int64_t i;
    make(&m, &truth);
    CHECK_MSG(!gguf_parse(&f, m.b.data, m.b.len, &e), "%s", e.msg);
    CHECK(f->version == 3 && f->n_meta == 6 && f->n_tensors == 2);
    CHECK(!modelfile_str(f, "a.str_x", &s, &e) && str_eqz(s, "hello"));
    const struct meta *a = modelfile_meta(f, "b.array"), *c = modelfile_meta(f, "c.strings");
    CHECK(a && a->n == 3 && meta_arr_f32(a, 2, &x) && x > 1.9f && x < 2.1f && !meta_arr_f32(a, 3, &x) && !meta_arr_i64(a, 0, &i));
    CHECK(c && c->n == 2 && str_eqz(c->strings[0], "x") && str_eqz(c->strings[1], "yyy") && !meta_arr_f32(c, 0, &x));
    CHECK(!modelfile_bool_or(f, "d.bool", false, &b, &e) && b && !modelfile_bool_or(f, "absent", true, &b, &e) && b);
    CHECK(modelfile_u32(f, "e.u64", 0, UINT32_MAX, &v, &e) == -ERR_FORMAT && strstr(e.msg, "e.u64") && strstr(e.msg, "outside"));
    CHECK(modelfile_u32(f, "a.str_x", 0, 9, &v, &e) == -ERR_FORMAT && strstr(e.msg, "not an integer"));
    CHECK(modelfile_u32(f, "absent", 0, 9, &v, &e) == -ERR_FORMAT && strstr(e.msg, "absent is missing"));
    CHECK(!modelfile_u32_or(f, "absent", 0, 9, 7, &v, &e) && v == 7);
    CHECK(!modelfile_u32(f, "general.alignment", 32, 32, &v, &e) && modelfile_u32(f, "general.alignment", 33, 64, &v, &e) &&
          modelfile_u32(f, "general.alignment", 0, 31, &v, &e));
    CHECK(modelfile_f32(f, "general.alignment", 0, 99, &x, &e) && strstr(e.msg, "floating"));
    CHECK(modelfile_bool_or(f, "a.str_x", true, &b, &e) && modelfile_str(f, "d.bool", &s, &e) && modelfile_str(f, "absent", &s, &e));
    const struct tensor *t = modelfile_tensor(f, "tw.ox");
    CHECK(t && t->n_dims == 2 && t->ne[0] == 32 && t->ne[1] == 2 && t->ne[2] == 1 && t->bytes == 256 && !modelfile_tensor(f, "three"));
    CHECK((const char *)t->data == m.b.data + m.b.len - 256);
    modelfile_close(f);
    buf_deinit(&m.b);
}

TEST(head)
{
    BAD(magic, "GGUX", "does not begin with");
    BAD(magic, "FUGG", "big-endian");
    BAD(magic, "lmgg", "before GGUF");
    BAD(magic, "PK\3\4", "zip");
    BAD(magic, "{\"a\"", "JSON");
    BAD(version, 0, "version 0 is unknown");
    BAD(version, 1, "version 1 is not read");
    GOOD(version, 2);
    BAD(version, 4, "version 4 is unknown");
    BAD(version, 0x03000000, "big-endian");
    BAD(version, UINT32_MAX, "unknown");
    static const uint64_t big[] = {64, 1ull << 31, 1ull << 32, 1ull << 63, UINT64_MAX};
    for (size_t i = 0; i < sizeof big / sizeof *big; i++) {
        BAD(n_tensors, big[i], "the tensor count");
        BAD(n_meta, big[i], "the metadata count");
    }
    GOOD(n_tensors, 1);
    GOOD(n_tensors, 0);
    BAD(n_tensors, 3, "length"); /* padding is read as a tensor: whatever is wrong there, it is named */
    BAD(n_meta, 7, "length"); /* a tensor is read as a key */
    BAD(n_meta, 5, "tensor");
}

TEST(metadata)
{
    static const uint64_t big[] = {1u << 20, 1ull << 31, 1ull << 32, 1ull << 63, UINT64_MAX};
    for (size_t i = 0; i < sizeof big / sizeof *big; i++) {
        BAD(key_len, big[i], "of a metadata key is more than");
        BAD(str_len, big[i], "of a metadata string is more than");
        BAD(arr_len, big[i], "b.array says");
        BAD(arr_str_len, big[i], "of a string in an array is more than");
    }
    BAD(key_len, 0, "name of 0 bytes");
    BAD(str_len, 6, "metadata"); /* swallows a byte of what follows */
    BAD(key2, "a.str_x", "stands twice");
    BAD(key2, "b\xff", "not UTF-8");
    BAD(bool_value, 2, "bool with the value 2");
    GOOD(bool_value, 0);
    BAD(value_type, 13, "unknown type 13");
    BAD(value_type, UINT32_MAX, "unknown type");
    BAD(elem_type, META_ARR, "array of arrays");
    BAD(elem_type, 13, "array of the unknown type 13");
    BAD(elem_type, UINT32_MAX, "unknown type");
    GOOD(elem_type, META_I32);
    char long_key[1100];
    memset(long_key, 'k', sizeof long_key);
    long_key[1024] = 0;
    GOOD(key2, long_key);
    long_key[1024] = 'k', long_key[1025] = 0;
    BAD(key2, long_key, "name of 1025 bytes");
}

TEST(alignment)
{
    GOOD(align, 8);
    GOOD(align, 16);
    static const uint32_t bad[] = {0, 1, 2, 4, 7, 24, 33, 8192, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        BAD(align, bad[i], "not a power of two");
    BAD(align_type, META_I32, "not a 32-bit unsigned");
    BAD(align_type, META_F32, "not a 32-bit unsigned");
    BAD(align, 512, "no multiple of the alignment 512"); /* the offset 256 */
    struct lie l = truth;
    l.align = 4096, l.n_tensors = 1; /* allowed, but the data would begin behind the file */
    CHECK(wants(&l, "inside the padding", "an alignment past the file"));
    l.n_tensors = 0;
    CHECK(wants(&l, NULL, "an alignment of 4096 without tensors"));
}

TEST(tensors)
{
    static const uint64_t big[] = {1u << 20, 1ull << 31, 1ull << 32, 1ull << 63, UINT64_MAX};
    for (size_t i = 0; i < sizeof big / sizeof *big; i++)
        BAD(name_len, big[i], "of a tensor's name is more than");
    BAD(name_len, 0, "a tensor has a name of 0 bytes");
    struct lie l = truth;
    l.name_len = 3, l.name2 = "one";
    CHECK(wants(&l, "tensor one stands twice", "a second tensor one"));
    l.name2 = "a\xc3(";
    CHECK(wants(&l, "not UTF-8", "a name that is no text"));
    BAD(n_dims, 0, "has 0 dimensions");
    GOOD(n_dims, 1);
    GOOD(n_dims, 4);
    BAD(n_dims, 5, "has 5 dimensions");
    BAD(n_dims, UINT32_MAX, "dimensions");
    BAD(ne0, 0, "dimension 0 of tensor tw.ox is 0");
    BAD(ne1, 0, "dimension 1 of tensor tw.ox is 0");
    static const uint64_t dims[] = {1ull << 31, 1ull << 32, 1ull << 63, UINT64_MAX};
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        BAD(ne0, dims[i], "dimension 0 of tensor tw.ox is");
        BAD(ne1, dims[i], "dimension 1 of tensor tw.ox is");
    }
    BAD(ne1, 0x7fffffff, "more values than the file has room for");
    BAD(ne1, 3, "ends 128 bytes past the end of the file");
    GOOD(ne1, 1);
    GOOD(type, 4); /* unknown: kept, refused when something needs it */
    GOOD(type, UINT32_MAX);
    GOOD(type, QUANT_Q8_0);
    BAD(type, 12, "no multiple of 256 as Q4_K needs");
    BAD(type, 28, "ends 256 bytes past"); /* F64 */
    struct lie q = truth;
    q.type = QUANT_Q8_0, q.ne0 = 33;
    CHECK(wants(&q, "no multiple of 32 as Q8_0 needs", "33 values a row"));
    static const uint64_t off[] = {1, 31, 255, UINT64_MAX, (1ull << 32) + 1};
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        BAD(offset, off[i], "no multiple of the alignment");
    BAD(offset, 0, "overlap");
    BAD(offset, 224, "overlap");
    BAD(offset, 288, "ends 32 bytes past the end");
    static const uint64_t far[] = {1ull << 31, 1ull << 32, 1ull << 63, UINT64_MAX - 31};
    for (size_t i = 0; i < sizeof far / sizeof *far; i++)
        BAD(offset, far[i], far[i] > UINT64_MAX - 256 ? "overflows" : "past the end");
}

TEST(cut_off_at_every_byte)
{
    struct made m;
    make(&m, &truth);
    for (size_t n = 0; n < m.b.len; n++) {
        struct modelfile *f;
        struct err e = {0};
        void *block;
        int rc = parse_exact(&m, n, &f, &block, &e);
        free(block);
        CHECK_MSG(rc == -ERR_FORMAT && !f, "%zu bytes of %zu are accepted", n, m.b.len);
        CHECK_MSG(strstr(e.msg, "incomplete") || strstr(e.msg, "empty"), "%zu: %s", n, e.msg);
    }
    buf_deinit(&m.b);
}

/* Nothing may crash or be read out of bounds: that is for the sanitizers to say. What is still accepted must hold together. */
TEST(each_byte_changed)
{
    struct made m;
    make(&m, &truth);
    for (size_t i = 0; i + 512 < m.b.len; i++) {
        static const uint8_t to[] = {0, 1, 0x7f, 0x80, 0xff};
        char keep = m.b.data[i];
        for (size_t k = 0; k < sizeof to; k++) {
            struct modelfile *f;
            struct err e = {0};
            void *block;
            m.b.data[i] = (char)to[k];
            int rc = parse_exact(&m, m.b.len, &f, &block, &e);
            CHECK(rc == 0 || (!f && e.msg[0] && !strncmp(e.msg, "metadata key", 12) + !strncmp(e.msg, "gguf: ", 6)));
            for (size_t t = 0; f && t < f->n_tensors; t++)
                CHECK((const char *)f->tensors[t].data >= (char *)block &&
                      (const char *)f->tensors[t].data + f->tensors[t].bytes <= (char *)block + m.b.len);
            modelfile_close(f);
            free(block);
        }
        m.b.data[i] = keep;
    }
    buf_deinit(&m.b);
}

TEST(written_files_are_read_back)
{
    struct gguf_writer *w;
    struct modelfile *f;
    struct err e = {0};
    struct str two[] = {STR("a"), STR("")};
    int32_t ints[] = {-1, INT32_MAX};
    float floats[] = {0.5f, INFINITY}, x, data[40] = {[39] = 3};
    uint64_t ne[] = {40};
    struct buf b;
    int64_t i;
    buf_init(&b, 0);
    CHECK(!gguf_writer_new(&w, &e));
    gguf_put_u32(w, "u", 7), gguf_put_f32(w, "f", 1.5f), gguf_put_bool(w, "b", true), gguf_put_strs(w, "s", two, 2);
    gguf_put_i32s(w, "i", ints, 2), gguf_put_f32s(w, "x", floats, 2), gguf_put_f32(w, "nan", NAN);
    gguf_put_tensor(w, "t", QUANT_F32, 1, ne, data, sizeof data), gguf_put_tensor(w, "t2", QUANT_F32, 1, ne, data, sizeof data);
    CHECK(!gguf_writer_bytes(w, &b, &e) && !gguf_parse(&f, b.data, b.len, &e));
    CHECK(!modelfile_f32(f, "f", 0, 2, &x, &e) && x > 1.4f && modelfile_f32(f, "nan", -9, 9, &x, &e) && modelfile_f32(f, "f", 0, 1, &x, &e));
    CHECK(meta_arr_i64(modelfile_meta(f, "i"), 0, &i) && i == -1 && meta_arr_i64(modelfile_meta(f, "i"), 1, &i) && i == INT32_MAX);
    CHECK(modelfile_meta(f, "s")->n == 2 && modelfile_meta(f, "s")->strings[1].n == 0);
    const struct tensor *t = modelfile_tensor(f, "t2");
    CHECK(t && t->bytes == sizeof data && !memcmp(t->data, data, sizeof data));
    modelfile_close(f);
    gguf_writer_free(w);
    buf_deinit(&b);
}

TEST(published_files)
{
    static const char *const names[] = {"models/stories260K-f32.gguf", "models/llama-2-tiny-random.gguf", "vocab/ggml-vocab-llama-spm.gguf",
                                        "vocab/ggml-vocab-gpt-2.gguf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *path = test_data(names[i]);
        struct modelfile *f;
        struct err e = {0};
        if (!path)
            SKIP("no ../shared/data");
        CHECK_MSG(!gguf_open(&f, path, &e), "%s", e.msg);
        CHECK(modelfile_meta(f, "general.architecture") && modelfile_meta(f, "tokenizer.ggml.tokens")->n > 100);
        modelfile_close(f);
    }
    struct modelfile *f;
    struct err e = {0};
    CHECK(gguf_open(&f, "tests/no-such-file", &e) == -ERR_NOT_FOUND && !f);
    CHECK(gguf_open(&f, "tests", &e) < 0 && !f);
}

TEST_MAIN()
