/* Hand-made bad GGUF files: each field at 0, at its limit, one past it, at 2^31, 2^32, 2^63, 2^64 - 1, cut off and lying. Every file must give
 * the error that names its fault, and no two files the same one: a test that only asked for "some error" would pass on the wrong one.
 * The faults are those of docs/formats/gguf.md, and of the public reports about other readers (counts and lengths not held against
 * the file, sums and products that wrap, an alignment read before its type, ranges past the end). */
#include "lie.h"
#include "test.h"
#pragma GCC diagnostic ignored "-Woverride-init" /* a row is the truth, but for ... */

struct row {
    const char *what, *text; /* part of the message; NULL: a file that is odd, and right */
    struct lie  l;
};
#define BAD(text, ...) {#__VA_ARGS__, text, {LIE_TRUTH, __VA_ARGS__}}
#define GOOD(...)      {#__VA_ARGS__, NULL, {LIE_TRUTH, __VA_ARGS__}}
#define P31 (1ull << 31)
#define P32 (1ull << 32)
#define P63 (1ull << 63)
#define MAX UINT64_MAX
#define LONG_64   "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define LONG_255  LONG_64 LONG_64 LONG_64 "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
#define LONG_1024 LONG_255 "k" LONG_255 "k" LONG_255 "k" LONG_255 "k"

static const struct row rows[] = {
    /* what is no GGUF file */
    BAD("does not begin with \"GGUF\"", .magic = "GGUX"),
    BAD("it is big-endian: convert it", .magic = "FUGG"),
    BAD("a GGML file from before GGUF", .magic = "lmgg"),
    BAD("a GGJT file from before GGUF", .magic = "tjgg"),
    BAD("it is a zip archive, maybe of PyTorch", .magic = "PK\3\4"),
    BAD("it is a Python pickle", .magic = "\200\2ab"),
    BAD("it is a web page", .magic = "<html>..", .magic_n = 8),
    BAD("it is a Git LFS pointer", .magic = "version https://git-lfs.github.com/spec/v1", .magic_n = 42),
    BAD("it is JSON, not a model", .magic = "{\"a\""),
    BAD("the file is empty", .cut = 0),
    BAD("ends after 3 bytes, inside the magic number", .cut = 3),
    /* versions */
    BAD("version 0 is unknown", .version = 0),
    BAD("version 1 is not read", .version = 1),
    GOOD(.version = 2),
    BAD("version 4 is unknown", .version = 4),
    BAD("the file is big-endian; convert it", .version = 0x03000000),
    BAD("version 2147483649 is unknown", .version = P31 + 1),
    BAD("version 4294967295 is unknown", .version = UINT32_MAX),
    BAD("ends after 7 bytes, inside the version", .cut = 7),
    /* counts */
    BAD("inside the tensor count", .cut = 15),
    BAD("the tensor count 64 cannot fit", .n_tensors = 64),
    BAD("the tensor count 2147483648 cannot fit", .n_tensors = P31),
    BAD("the tensor count 4294967296 cannot fit", .n_tensors = P32),
    BAD("the tensor count 9223372036854775808 cannot fit", .n_tensors = P63),
    BAD("the tensor count 18446744073709551615 cannot fit", .n_tensors = MAX),
    BAD("of a tensor's name is more than", .n_tensors = 3, .name = "two"), /* the data is read as a third one */
    GOOD(.n_tensors = 1),
    GOOD(.n_tensors = 0),
    BAD("inside the metadata count", .cut = 23),
    BAD("the metadata count 128 cannot fit", .n_meta = 128),
    BAD("the metadata count 2147483648 cannot fit", .n_meta = P31),
    BAD("the metadata count 4294967296 cannot fit", .n_meta = P32),
    BAD("the metadata count 9223372036854775808 cannot fit", .n_meta = P63),
    BAD("the metadata count 18446744073709551615 cannot fit", .n_meta = MAX),
    BAD("the length 562949953421312 of a tensor's name is more than", .n_meta = 7), /* a tensor is read as a key */
    BAD("tensor e.u64 has 10 dimensions", .n_meta = 5),                               /* a key is read as a tensor */
    /* keys */
    BAD("a metadata key has a name of 0 bytes", .key1 = ""),
    GOOD(.key2 = LONG_1024),
    BAD("a metadata key has a name of 1025 bytes", .key2 = LONG_1024 "k"),
    BAD("the length 1048576 of a metadata key is more than", .key1_len = 1 << 20),
    BAD("the length 2147483648 of a metadata key is more than", .key1_len = P31),
    BAD("the length 4294967296 of a metadata key is more than", .key1_len = P32),
    BAD("the length 9223372036854775808 of a metadata key is more than", .key1_len = P63),
    BAD("the length 18446744073709551614 of a metadata key is more than", .key1_len = MAX - 1),
    BAD("the name of a metadata key \"b?\" is not UTF-8", .key2 = "b\xff"),
    BAD("the name of a metadata key \"a.str_x?????", .key1_len = 12), /* swallows its own type: a NUL in a key */
    BAD("metadata key b.array stands twice", .key1 = "b.array"),
    BAD("metadata key general.alignment stands twice", .key1 = "general.alignment"),
    BAD("metadata key c.strings stands twice", .key2 = "c.strings"),
    BAD("inside a metadata type", .n_meta = 2, .n_tensors = 0, .cut = 24 + 8 + 17 + 3),
    /* values */
    BAD("metadata key d.bool is a bool with the value 2", .bool_value = 2),
    BAD("metadata key d.bool is a bool with the value 255", .bool_value = 255),
    GOOD(.bool_value = 0),
    BAD("metadata key d.bool has the unknown type 13", .bool_type = 13),
    BAD("metadata key d.bool has the unknown type 2147483648", .bool_type = P31),
    BAD("metadata key d.bool has the unknown type 4294967295", .bool_type = UINT32_MAX),
    BAD("metadata key a.str_x: gguf: the length 1048576 of a metadata string", .str_len = 1 << 20),
    BAD("metadata key a.str_x: gguf: the length 2147483648 of a metadata string", .str_len = P31),
    BAD("metadata key a.str_x: gguf: the length 4294967296 of a metadata string", .str_len = P32),
    BAD("metadata key a.str_x: gguf: the length 9223372036854775808 of a metadata string", .str_len = P63),
    BAD("metadata key a.str_x: gguf: the length 18446744073709551615 of a metadata string", .str_len = MAX),
    BAD("inside a metadata value", .n_meta = 2, .n_tensors = 0, .cut = 24 + 8 + 17 + 4 + 3),
    BAD("metadata key a.str_x is an array of the unknown type 99", .str_type = META_ARR, .str_len = 5ull << 32 | 99),
    /* arrays */
    BAD("metadata key b.array says 1048576 elements", .arr_len = 1 << 20),
    BAD("metadata key b.array says 2147483648 elements", .arr_len = P31),
    BAD("metadata key b.array says 4294967296 elements", .arr_len = P32),
    BAD("metadata key b.array says 4611686018427387905 elements", .arr_len = (1ull << 62) + 1), /* times 4 it is 4 */
    BAD("metadata key b.array says 9223372036854775808 elements", .arr_len = P63),
    BAD("metadata key b.array says 18446744073709551615 elements", .arr_len = MAX),
    BAD("metadata key b.array is an array of arrays", .elem_type = META_ARR),
    BAD("metadata key b.array is an array of the unknown type 13", .elem_type = 13),
    BAD("metadata key b.array is an array of the unknown type 4294967295", .elem_type = UINT32_MAX),
    GOOD(.elem_type = META_I32),
    BAD("metadata key c.strings says 1048576 elements", .strings_n = 1 << 20),
    BAD("metadata key c.strings says 2305843009213693953 elements", .strings_n = (1ull << 61) + 1), /* times 8 it is 8 */
    BAD("metadata key c.strings says 18446744073709551615 elements", .strings_n = MAX),
    BAD("the length 5501853106183 of a metadata key", .strings_n = 3),
    BAD("metadata key c.strings: gguf: the length 1048576 of a string in an array", .string_len = 1 << 20),
    BAD("metadata key c.strings: gguf: the length 9223372036854775808 of a string in an array", .string_len = P63),
    BAD("metadata key c.strings: gguf: the length 18446744073709551615 of a string in an array", .string_len = MAX),
    /* the alignment */
    GOOD(.align = 8),
    GOOD(.align = 16),
    GOOD(.align = 64),
    BAD("general.alignment 0 is not a power of two", .align = 0),
    BAD("general.alignment 1 is not a power of two from 8", .align = 1),
    BAD("general.alignment 4 is not a power of two from 8", .align = 4),
    BAD("general.alignment 24 is not a power of two", .align = 24),
    BAD("general.alignment 33 is not a power of two", .align = 33),
    BAD("general.alignment 8192 is not a power of two from 8 to 4096", .align = 8192),
    BAD("general.alignment 2147483648 is not a power of two", .align = P31),
    BAD("general.alignment 4294967295 is not a power of two", .align = UINT32_MAX),
    BAD("general.alignment is not a 32-bit unsigned integer", .align_type = META_I32),
    BAD("begins at 256, which is no multiple of the alignment 512", .align = 512),
    BAD("inside the padding before the tensor data", .align = 4096, .n_tensors = 1),
    GOOD(.align = 4096, .n_tensors = 0),
    /* names of tensors */
    BAD("a tensor has a name of 0 bytes", .name = ""),
    GOOD(.name = LONG_255),
    BAD("a tensor has a name of 256 bytes", .name = LONG_255 "k"),
    BAD("the length 1048576 of a tensor's name", .name_len = 1 << 20),
    BAD("the length 2147483648 of a tensor's name", .name_len = P31),
    BAD("the length 4294967296 of a tensor's name", .name_len = P32),
    BAD("the length 9223372036854775808 of a tensor's name", .name_len = P63),
    BAD("the length 18446744073709551614 of a tensor's name", .name_len = MAX - 1),
    BAD("tensor one stands twice", .name = "one"),
    BAD("the name of a tensor \"a?(\" is not UTF-8", .name = "a\xc3("),
    BAD("the name of a tensor \"tw.ox?", .name_len = 7),
    /* dimensions */
    BAD("tensor tw.ox has 0 dimensions", .n_dims = 0),
    GOOD(.n_dims = 1),
    GOOD(.n_dims = 4),
    BAD("tensor tw.ox has 5 dimensions", .n_dims = 5),
    BAD("tensor tw.ox has 2147483648 dimensions", .n_dims = P31),
    BAD("tensor tw.ox has 4294967295 dimensions", .n_dims = UINT32_MAX),
    BAD("dimension 0 of tensor tw.ox is 0", .ne = {0, 2}),
    BAD("dimension 0 of tensor tw.ox is 2147483648", .ne = {P31, 2}),
    BAD("dimension 0 of tensor tw.ox is 4294967296", .ne = {P32, 2}),
    BAD("dimension 0 of tensor tw.ox is 9223372036854775808", .ne = {P63, 2}),
    BAD("dimension 0 of tensor tw.ox is 18446744073709551615", .ne = {MAX, 2}),
    BAD("dimension 1 of tensor tw.ox is 0", .ne = {32, 0}),
    BAD("dimension 1 of tensor tw.ox is 2147483648", .ne = {32, P31}),
    BAD("dimension 1 of tensor tw.ox is 18446744073709551615", .ne = {32, MAX}),
    BAD("dimension 3 of tensor tw.ox is 0", .n_dims = 4, .ne = {32, 2, 1, 0}),
    BAD("tensor tw.ox has more values than the file has room for", .ne = {0x7fffffff, 0x7fffffff}),
    BAD("tensor a has more values than the file", .name = "a", .n_dims = 4, .ne = {1 << 16, 1 << 16, 1 << 16, 1 << 16}), /* 2^64: wraps to 0 */
    BAD("tensor b has more values than the file", .name = "b", .n_dims = 4, .ne = {1 << 30, 1 << 30, 8, 1}),              /* 2^63: negative */
    BAD("inside a tensor's dimensions", .cut = 300),
    /* types and sizes */
    GOOD(.type = 4), /* taken back by ggml: kept, refused when something needs it */
    GOOD(.type = UINT32_MAX),
    GOOD(.type = QUANT_Q8_0),
    BAD("rows of tensor tw.ox have 31 values, which is no multiple of 32 as Q4_0 needs", .type = QUANT_Q4_0, .ne = {31, 1}),
    BAD("rows of tensor tw.ox have 33 values, which is no multiple of 32 as Q8_0 needs", .type = QUANT_Q8_0, .ne = {33, 1}),
    BAD("no multiple of 32 as Q4_1 needs", .type = QUANT_Q4_1, .ne = {16, 1}),
    BAD("no multiple of 32 as Q5_0 needs", .type = QUANT_Q5_0, .ne = {1, 1}),
    BAD("no multiple of 32 as Q5_1 needs", .type = QUANT_Q5_1, .ne = {48, 1}),
    BAD("have 32 values, which is no multiple of 256 as Q2_K needs", .type = QUANT_Q2_K),
    BAD("have 255 values, which is no multiple of 256 as Q3_K needs", .type = QUANT_Q3_K, .ne = {255, 1}),
    BAD("have 257 values, which is no multiple of 256 as Q4_K needs", .type = QUANT_Q4_K, .ne = {257, 1}),
    BAD("have 128 values, which is no multiple of 256 as Q5_K needs", .type = QUANT_Q5_K, .ne = {128, 2}),
    BAD("have 384 values, which is no multiple of 256 as Q6_K needs", .type = QUANT_Q6_K, .ne = {384, 1}),
    GOOD(.type = QUANT_Q6_K, .ne = {256, 1}),
    BAD("tensor tw.ox ends 164 bytes past the end of the file", .type = QUANT_Q6_K, .ne = {256, 2}),
    BAD("tensor tw.ox ends 128 bytes past the end of the file", .ne = {32, 3}),
    BAD("tensor tw.ox ends 256 bytes past the end of the file", .type = 28), /* F64 */
    BAD("tensor tw.ox ends 4 bytes past the end of the file", .ne = {65, 1}),
    /* types whose codes are places in a table: 18 bytes for 32 values, 136 for 256, 17 for 32; 256 bytes are left for them */
    GOOD(.type = QUANT_IQ4_NL, .ne = {32, 14}),
    GOOD(.type = QUANT_IQ4_NL, .ne = {448, 1}),
    BAD("rows of tensor tw.ox have 31 values, which is no multiple of 32 as IQ4_NL needs", .type = QUANT_IQ4_NL, .ne = {31, 1}),
    BAD("rows of tensor tw.ox have 33 values, which is no multiple of 32 as IQ4_NL needs", .type = QUANT_IQ4_NL, .ne = {33, 1}),
    BAD("rows of tensor tw.ox have 16 values, which is no multiple of 32 as IQ4_NL needs", .type = QUANT_IQ4_NL, .ne = {16, 2}), /* 32 in all */
    BAD("tensor tw.ox ends 14 bytes past the end of the file", .type = QUANT_IQ4_NL, .ne = {32, 15}),
    BAD("tensor tw.ox ends 12 bytes past the end of the file", .type = QUANT_IQ4_NL, .ne = {32, 14}, .lost = 16),
    BAD("tensor tw.ox ends 241 bytes past the end of the file", .type = QUANT_IQ4_NL, .ne = {32, 14}, .lost = 245),
    BAD("tensor nl has more values than the file has room for", .type = QUANT_IQ4_NL, .name = "nl", .ne = {1 << 30, 1 << 30}),
    GOOD(.type = QUANT_IQ4_XS, .ne = {256, 1}),
    BAD("rows of tensor tw.ox have 255 values, which is no multiple of 256 as IQ4_XS needs", .type = QUANT_IQ4_XS, .ne = {255, 1}),
    BAD("rows of tensor tw.ox have 257 values, which is no multiple of 256 as IQ4_XS needs", .type = QUANT_IQ4_XS, .ne = {257, 1}),
    BAD("rows of tensor tw.ox have 32 values, which is no multiple of 256 as IQ4_XS needs", .type = QUANT_IQ4_XS, .ne = {32, 8}), /* 256 in all */
    BAD("tensor tw.ox ends 16 bytes past the end of the file", .type = QUANT_IQ4_XS, .ne = {256, 2}),
    BAD("tensor tw.ox ends 1 bytes past the end of the file", .type = QUANT_IQ4_XS, .ne = {256, 1}, .lost = 121),
    BAD("tensor tw.ox ends 135 bytes past the end of the file", .type = QUANT_IQ4_XS, .ne = {256, 1}, .lost = 255),
    BAD("tensor xs has more values than the file has room for", .type = QUANT_IQ4_XS, .name = "xs", .ne = {1 << 30, 1 << 30}),
    GOOD(.type = QUANT_MXFP4, .ne = {32, 15}),
    GOOD(.type = QUANT_MXFP4, .ne = {480, 1}),
    BAD("rows of tensor tw.ox have 31 values, which is no multiple of 32 as MXFP4 needs", .type = QUANT_MXFP4, .ne = {31, 1}),
    BAD("rows of tensor tw.ox have 33 values, which is no multiple of 32 as MXFP4 needs", .type = QUANT_MXFP4, .ne = {33, 1}),
    BAD("rows of tensor tw.ox have 8 values, which is no multiple of 32 as MXFP4 needs", .type = QUANT_MXFP4, .ne = {8, 4}), /* 32 in all */
    BAD("tensor fp4 ends 16 bytes past the end of the file", .type = QUANT_MXFP4, .name = "fp4", .ne = {32, 16}),
    BAD("tensor fp4 ends 1 bytes past the end of the file", .type = QUANT_MXFP4, .name = "fp4", .ne = {32, 15}, .lost = 2),
    BAD("tensor tw.ox ends 254 bytes past the end of the file", .type = QUANT_MXFP4, .ne = {32, 15}, .lost = 255),
    BAD("tensor fp4 has more values than the file has room for", .type = QUANT_MXFP4, .name = "fp4", .ne = {1 << 30, 1 << 30}),
    /* offsets */
    BAD("begins at 1, which is no multiple of the alignment 32", .offset = 1),
    BAD("begins at 255, which is no multiple of the alignment 32", .offset = 255),
    BAD("begins at 18446744073709551615, which is no multiple", .offset = MAX),
    BAD("the data of tensors one and tw.ox overlap", .offset = 224),
    BAD("overlap", .offset = 0, .name = "same.place"),
    BAD("tensor tw.ox ends 32 bytes past the end of the file", .offset = 288),
    BAD("tensor tw.ox ends 2147483392 bytes past", .offset = P31),
    BAD("tensor tw.ox ends 4294967040 bytes past", .offset = P32),
    BAD("tensor tw.ox ends 9223372036854775552 bytes past", .offset = P63),
    BAD("the offset 18446744073709551584 of tensor tw.ox overflows", .offset = MAX - 31),
};

static const char *check(const struct row *r, struct err *e)
{
    struct made m;
    struct modelfile *f;
    void *block;
    make(&m, &r->l);
    int rc = parse_exact(&m, m.b.len, &f, &block, e);
    const char *fault = r->text && (rc != -ERR_FORMAT || f) ? "was accepted"
                        : r->text && !strstr(e->msg, r->text) ? "has another error"
                        : !r->text && rc                      ? "was refused"
                        : r->text && !strstr(e->msg, "gguf: ") ? "has an error that does not name its module"
                                                               : NULL;
    modelfile_close(f);
    free(block);
    buf_deinit(&m.b);
    return fault;
}

TEST(each_has_its_own_error)
{
    enum { N = sizeof rows / sizeof *rows };
    static struct err said[N];
    int n_bad = 0;
    for (int i = 0; i < N; i++) {
        const char *fault = check(&rows[i], &said[i]);
        CHECK_MSG(!fault, "the file with %s %s: %s (wanted %s)", rows[i].what, fault, said[i].msg, rows[i].text ? rows[i].text : "none");
        n_bad += rows[i].text != NULL;
        for (int k = 0; k < i && rows[i].text; k++)
            CHECK_MSG(!rows[k].text || strcmp(said[i].msg, said[k].msg) != 0, "the files with %s and with %s have the same error: %s", rows[i].what,
                      rows[k].what, said[i].msg);
    }
    printf("%d bad files, each with its own error, and %d odd good ones\n", n_bad, N - n_bad);
    CHECK(n_bad >= 100);
}

/* The reader's table has more types than the maths; those of both have the same blocks, or a size would lie for an honest file. */
TEST(reader_and_maths_agree_on_every_type)
{
    int n = 0;
    for (uint32_t id = 0; id < 256; id++) {
        const struct quant_info *q = quant_info(id);
        const struct tensor_type *t = tensor_type(id);
        if (!q)
            continue;
        CHECK_MSG(t && t->block == q->block && t->bytes == q->bytes && !strcmp(t->name, q->name), "type %u", id);
        n++;
    }
    CHECK_MSG(n == 16, "%d types", n);
}

TEST_MAIN()
