/* Models in several files: what one writer wrote whole and in parts is the same model, and each way in which parts do not fit has its own
 * error. */
#include "base/buf.h"
#include "base/mem.h"
#include "format/modelfile.h"
#include "test.h"
#include <unistd.h>

enum { TENSORS = 7, VALUES = 40 };

static struct gguf_writer *model(void)
{
    struct gguf_writer *w;
    struct err e;
    if (gguf_writer_new(&w, &e))
        abort();
    gguf_put_str(w, "general.architecture", STR("llama"));
    gguf_put_str(w, "general.name", STR("sharded"));
    for (int t = 0; t < TENSORS; t++) {
        float    x[VALUES];
        uint64_t ne = VALUES - (uint64_t)t;
        char     name[16];
        for (int i = 0; i < VALUES; i++)
            x[i] = (float)(100 * t + i);
        snprintf(name, sizeof name, "t%d", t);
        gguf_put_tensor(w, name, QUANT_F32, 1, &ne, x, ne * sizeof *x);
    }
    return w;
}

static bool is_model(const struct modelfile *f, size_t parts)
{
    struct str s;
    if (!f || f->n_tensors != TENSORS || (parts > 1 && f->n_parts != parts) || modelfile_str(f, "general.name", &s, NULL) || !str_eqz(s, "sharded"))
        return false;
    for (int t = 0; t < TENSORS; t++) {
        char name[16];
        snprintf(name, sizeof name, "t%d", t);
        const struct tensor *x = modelfile_tensor(f, name);
        if (!x || x != &f->tensors[t] || x->bytes != (VALUES - (uint64_t)t) * 4)
            return false;
        for (int i = 0; i < VALUES - t; i++)
            if (((const float *)x->data)[i] < (float)(100 * t + i) || ((const float *)x->data)[i] > (float)(100 * t + i))
                return false;
    }
    return true;
}

/* A folder for files of one test, removed with everything in it. */
struct folder { char dir[64], path[160]; };
static void folder_new(struct folder *d)
{
    snprintf(d->dir, sizeof d->dir, "/tmp/shards.XXXXXX");
    if (!mkdtemp(d->dir))
        abort();
}
static const char *in(struct folder *d, const char *name)
{
    snprintf(d->path, sizeof d->path, "%s/%s", d->dir, name);
    return d->path;
}
static void folder_remove(struct folder *d)
{
    char cmd[160];
    snprintf(cmd, sizeof cmd, "rm -r '%s'", d->dir);
    if (system(cmd) != 0)
        abort();
}

TEST(names)
{
    char name[32];
    CHECK(shard_name(name, sizeof name, STR("model"), 0, 3) && strcmp(name, "model-00001-of-00003.gguf") == 0);
    CHECK(shard_name(name, sizeof name, STR("m"), 1023, 1024) && strcmp(name, "m-01024-of-01024.gguf") == 0);
    CHECK(!shard_name(name, sizeof name, STR("a name that does not fit"), 0, 3));
}

TEST(any_part_opens_the_whole)
{
    for (uint32_t n = 1; n <= 9; n++) { /* with 9 parts of 7 tensors some hold none */
        struct gguf_writer *w = model();
        struct folder d;
        struct err e = {0};
        folder_new(&d);
        CHECK(!gguf_writer_save_parts(w, in(&d, "m"), n, &e));
        for (uint32_t i = 0; i < n; i++) {
            struct modelfile *f;
            char name[40];
            uint32_t part, parts;
            CHECK(shard_name(name, sizeof name, STR("m"), i, n));
            CHECK_MSG(!modelfile_open(&f, in(&d, name), &e), "%s", e.msg);
            CHECK_MSG(is_model(f, n), "part %u of %u", i, n);
            modelfile_close(f);
            CHECK(!gguf_open(&f, d.path, &e) && f->n_parts == 0 && !modelfile_part(f, &part, &parts, &e));
            CHECK(part == (n > 1 ? i : 0) && parts == n);
            modelfile_close(f);
        }
        gguf_writer_free(w);
        folder_remove(&d);
    }
}

TEST(blobs_in_any_order)
{
    struct gguf_writer *w = model();
    struct modelfile *f;
    struct folder d;
    struct err e = {0};
    char path[3][160];
    folder_new(&d);
    CHECK(!gguf_writer_save_parts(w, in(&d, "m"), 3, &e));
    for (int i = 0; i < 3; i++) {
        char from[160];
        snprintf(from, sizeof from, "%s/m-0000%d-of-00003.gguf", d.dir, i + 1);
        snprintf(path[i], sizeof path[i], "%s/%c7ab", d.dir, 'a' + i);
        CHECK(rename(from, path[i]) == 0);
    }
    static const int order[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}};
    for (int o = 0; o < 3; o++) {
        const char *paths[] = {path[order[o][0]], path[order[o][1]], path[order[o][2]]};
        CHECK_MSG(!modelfile_open_parts(&f, paths, 3, &e) && is_model(f, 3), "%s", e.msg);
        modelfile_close(f);
    }
    const char *two[] = {path[0], path[2]}, *twice[] = {path[0], path[2], path[2]}, *gone[] = {path[0], path[1], in(&d, "nothing")};
    CHECK(modelfile_open_parts(&f, two, 2, &e) == -ERR_FORMAT && !f && strstr(e.msg, "has 3 parts (split.count), but 2 were given"));
    CHECK(modelfile_open_parts(&f, two, 1, &e) == -ERR_FORMAT && !f && strstr(e.msg, "has 3 parts (split.count), but 1 were given"));
    CHECK(modelfile_open_parts(&f, twice, 3, &e) == -ERR_FORMAT && !f && strstr(e.msg, "part 3 of 3 was given twice"));
    CHECK(modelfile_open_parts(&f, gone, 3, &e) == -ERR_NOT_FOUND && !f && strstr(e.msg, "part 3 of 3") && strstr(e.msg, "nothing"));
    CHECK(modelfile_open_parts(&f, gone, 0, &e) == -ERR_FORMAT && !f && strstr(e.msg, "a model of 0 files"));
    CHECK(modelfile_open_parts(&f, gone, MODELFILE_PARTS_MAX + 1, &e) == -ERR_FORMAT && !f && strstr(e.msg, "1025 files"));
    gguf_writer_free(w);
    folder_remove(&d);
}

TEST(files_that_lack_or_lie_about_their_names)
{
    struct gguf_writer *w = model();
    struct modelfile *f;
    struct folder d;
    struct err e = {0};
    char to[160];
    folder_new(&d);
    CHECK(!gguf_writer_save_parts(w, in(&d, "m"), 3, &e));
    CHECK(unlink(in(&d, "m-00002-of-00003.gguf")) == 0);
    CHECK(modelfile_open(&f, in(&d, "m-00003-of-00003.gguf"), &e) == -ERR_NOT_FOUND && !f);
    CHECK_MSG(strstr(e.msg, "part 2 of 3 is missing") && strstr(e.msg, "m-00002-of-00003.gguf"), "%s", e.msg);
    static const struct { const char *name, *text; } names[] = {
        {"m.gguf", "its name does not end with -00001-of-00003.gguf"},
        {"-0001-of-0003.gguf", "its name does not end with"},
        {"m-00001-of-00003.ggux", "its name does not end with"},
        {"m-0000a-of-00003.gguf", "its name does not end with"},
        {"m-00000-of-00003.gguf", "its name does not end with"},
        {"m-00002-of-00003.gguf", "is part 1 of 3, but its name says part 2 of 3"},
        {"m-00001-of-00004.gguf", "but its name says part 1 of 4"},
        {"m-99999-of-99999.gguf", "but its name says part 99999 of 99999"},
        {"x", "its name does not end with"},
    };
    snprintf(to, sizeof to, "%s/m-00001-of-00003.gguf", d.dir);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CHECK(rename(to, in(&d, names[i].name)) == 0);
        snprintf(to, sizeof to, "%s", d.path);
        CHECK_MSG(modelfile_open(&f, to, &e) == -ERR_FORMAT && !f && strstr(e.msg, names[i].text), "%s: %s", names[i].name, e.msg);
    }
    gguf_writer_free(w);
    folder_remove(&d);
}

/* A part with chosen keys and tensors, as bytes. */
struct part_of {
    int64_t     no, count, tensors; /* negative: no such key */
    const char *arch, *name, *t[3];
};

static struct modelfile *part(struct buf *b, const struct part_of *p)
{
    struct gguf_writer *w;
    struct modelfile *f;
    struct err e;
    uint64_t ne = 8;
    float x[8] = {0};
    buf_init(b, 0);
    if (gguf_writer_new(&w, &e))
        abort();
    if (p->no >= 0)
        gguf_put_u32(w, "split.no", (uint32_t)p->no);
    if (p->count >= 0)
        gguf_put_u32(w, "split.count", (uint32_t)p->count);
    if (p->tensors >= 0)
        gguf_put_u32(w, "split.tensors.count", (uint32_t)p->tensors);
    if (p->arch)
        gguf_put_str(w, "general.architecture", str_of(p->arch));
    if (p->name)
        gguf_put_str(w, "general.name", str_of(p->name));
    for (int i = 0; i < 3 && p->t[i]; i++)
        gguf_put_tensor(w, p->t[i], QUANT_F32, 1, &ne, x, sizeof x);
    if (gguf_writer_bytes(w, b, &e) || gguf_parse(&f, b->data, b->len, &e))
        printf("%s\n", e.msg), abort();
    gguf_writer_free(w);
    return f;
}

static bool joins(const struct part_of *p, size_t n, const char *text)
{
    struct buf b[4];
    struct modelfile *f[4], *out = NULL;
    struct err e = {0};
    for (size_t i = 0; i < n; i++)
        f[i] = part(&b[i], &p[i]);
    int rc = modelfile_join(&out, f, n, &e);
    bool ok = text ? rc == -ERR_FORMAT && !out && strstr(e.msg, text) && !strncmp(e.msg, "gguf: ", 6) : rc == 0 && out;
    if (!ok)
        printf("wanted %s, got %d %s\n", text ? text : "success", rc, rc ? e.msg : "");
    modelfile_close(out);
    for (size_t i = 0; i < n; i++)
        buf_deinit(&b[i]);
    return ok;
}

TEST(parts_that_do_not_fit)
{
    const struct part_of a = {0, 2, 3, "llama", "m", {"t0", "t1"}}, b = {1, 2, 3, NULL, NULL, {"t2"}};
    struct part_of p[] = {a, b};
#define WRONG(i, field, value, text)                                                                                                       \
    do {                                                                                                                                   \
        p[0] = a, p[1] = b;                                                                                                                \
        p[i].field = value;                                                                                                                \
        CHECK(joins(p, 2, text));                                                                                                          \
    } while (0)
    CHECK(joins(p, 2, NULL));
    WRONG(0, count, 1, "the first is no part of a split model");
    WRONG(0, count, 0, "the first is no part of a split model");
    WRONG(0, count, -1, "the first is no part of a split model");
    WRONG(0, count, 3, "has 3 parts (split.count), but 2 were given");
    WRONG(0, count, UINT32_MAX, "split.count says 4294967295 parts, where at most 1024");
    WRONG(0, count, 1025, "split.count says 1025 parts");
    WRONG(1, count, 3, "part 1 says that there are 2 parts, part 2 says 3");
    WRONG(1, count, 1, "file 2 of 2 is no part of a split model");
    WRONG(1, count, -1, "file 2 of 2 is no part of a split model");
    WRONG(1, no, 0, "part 1 of 2 was given twice");
    WRONG(1, no, 2, "split.no says part 2 of 2 (it counts from 0)");
    WRONG(1, no, UINT32_MAX, "split.no says part 4294967295 of 2");
    WRONG(0, no, -1, "split.no is missing");
    WRONG(1, tensors, 4, "part 1 says that the model has 3 tensors, part 2 says 4");
    WRONG(1, tensors, -1, "part 1 says that the model has 3 tensors, part 2 says 0");
    WRONG(0, tensors, 65537, "split.tensors.count is 65537, outside");
    WRONG(1, t[0], "t1", "tensor t1 stands in part 2 and in an earlier one");
    WRONG(1, t[1], "t3", "the parts hold 4 tensors, where split.tensors.count says 3");
    WRONG(1, t[0], NULL, "the parts hold 2 tensors, where split.tensors.count says 3");
    WRONG(1, arch, "qwen2", "general.architecture is llama in part 1 and qwen2 in part 2");
    WRONG(1, name, "other", "general.name is m in part 1 and other in part 2");
    WRONG(1, arch, "llama", NULL);
    p[0] = a, p[1] = b;
    p[0].tensors = p[1].tensors = -1; /* not said: not checked */
    CHECK(joins(p, 2, NULL));
    struct part_of whole = {-1, -1, -1, "llama", "m", {"t0"}};
    CHECK(joins(&whole, 1, NULL));
    CHECK(joins(&a, 1, "has 2 parts (split.count), but 1 were given"));
}
TEST_MAIN()
