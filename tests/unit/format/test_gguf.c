/* The GGUF reader against good files, files cut off at every byte, files with any byte changed, and files that others published.
 * test_bad.c has one bad file for each field and boundary. */
#include "lie.h"
#include "base/mem.h"
#include "test.h"
#include <math.h>

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
