/* A model from an enemy: parse it, read every key in every way, check it as a model of each family, load its vocabulary, and, where it is a
 * small sound model, load it and compute a step. Several files one behind the other, each from its "GGUF" on, are the parts of a split model.
 * Seeds: tests/fuzz/corpus/gguf (tools/tinymodel with small sizes; q2_k and q4_k with other types for the embedding; split: its parts joined). */
#include "base/mem.h"
#include "format/modelfile.h"
#include "model/model.h"
#include "text/vocab.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void read_all(const struct modelfile *f)
{
    struct err e;
    for (size_t i = 0; i < f->n_meta; i++) {
        char *key = mem_str(f->meta[i].key.p, f->meta[i].key.n);
        struct str s;
        uint32_t u;
        float x;
        bool b;
        int64_t v;
        if (!key)
            return;
        (void)!modelfile_str(f, key, &s, &e);
        (void)!modelfile_u32(f, key, 0, UINT32_MAX, &u, &e);
        (void)!modelfile_f32(f, key, -1, 1, &x, &e);
        (void)!modelfile_bool_or(f, key, false, &b, &e);
        if (f->meta[i].n)
            (void)!meta_arr_i64(&f->meta[i], f->meta[i].n - 1, &v), (void)!meta_arr_f32(&f->meta[i], f->meta[i].n - 1, &x);
        mem_free(key);
    }
    volatile uint8_t sum = 0;
    (void)sum; /* the reads are the point */
    for (size_t i = 0; i < f->n_tensors; i++)
        if (f->tensors[i].bytes)
            sum ^= ((const uint8_t *)f->tensors[i].data)[0] ^ ((const uint8_t *)f->tensors[i].data)[f->tensors[i].bytes - 1];
}

static void step(struct model *m)
{
    const struct model_shape *s = model_shape(m);
    struct kv_shape kv;
    model_kv_shape(m, KV_F16, &kv);
    void *page = mem_pages(kv_page_bytes(&kv));
    float *logits = mem_array(s->n_vocab, sizeof *logits);
    int32_t token[2] = {0, (int32_t)s->n_vocab - 1}, pos[2] = {0, 1}, want = 1;
    struct kv_seq seq = {.row0 = 0, .n_rows = 2, .pos0 = 0, .pages = &page};
    if (page && logits)
        model_step(
            m, &(struct step){.n = 2, .token = token, .pos = pos, .seqs = &seq, .n_seqs = 1, .kv = kv, .want = &want, .n_want = 1, .logits = logits});
    mem_pages_free(page, kv_page_bytes(&kv));
    mem_free(logits);
}

enum { PARTS_MAX = 8 };
struct input {
    void  *p[PARTS_MAX]; /* copies: the parser wants aligned bytes, and the sanitizer sees one too far */
    size_t n;
};

/* Cuts the input before each "GGUF" of version 3; what comes before the first belongs to it. */
static void input_cut(struct input *in, size_t size[PARTS_MAX], const uint8_t *p, size_t n)
{
    in->n = 0;
    for (size_t from = 0, to; in->n < PARTS_MAX && (from < n || in->n == 0); from = to) {
        const uint8_t *next = n - from > 8 ? memmem(p + from + 1, n - from - 1, "GGUF\3\0\0", 8) : NULL;
        to = next && in->n + 1 < PARTS_MAX ? (size_t)(next - p) : n;
        size[in->n] = to - from;
        if (!(in->p[in->n] = malloc(to - from + 1)))
            abort();
        memcpy(in->p[in->n++], p + from, to - from);
    }
}

/* NULL: it was refused, with a reason. */
static struct modelfile *model_of(const struct input *in, const size_t size[PARTS_MAX])
{
    struct modelfile *f[PARTS_MAX] = {0}, *whole = NULL;
    struct err e = {0};
    int rc = 0;
    size_t i = 0;
    for (; i < in->n && !rc; i++)
        rc = gguf_parse(&f[i], in->p[i], size[i], &e);
    if (!rc && in->n > 1)
        rc = modelfile_join(&whole, f, in->n, &e);
    else if (!rc)
        whole = f[0];
    else
        for (size_t k = 0; k < i; k++)
            modelfile_close(f[k]);
    if (rc ? whole || !e.msg[0] : !whole)
        abort();
    return whole;
}

static void use(struct modelfile *f)
{
    static struct device *dev;
    struct model_shape s;
    struct model *m;
    struct vocab *v;
    struct err e;
    if (!dev && device_new(&dev, &(struct device_opts){.n_threads = 1}, &e))
        abort();
    read_all(f);
    if (!vocab_load(&v, f, &e))
        vocab_free(v);
    if (!model_shape_read(&s, f, &e) && s.n_params < 1 << 20 && s.n_layers < 8) {
        if (!model_load(&m, f, dev, NULL, NULL, &e)) {
            step(m);
            model_free(m);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct input in;
    size_t size[PARTS_MAX];
    input_cut(&in, size, p, n);
    struct modelfile *f = model_of(&in, size);
    if (f)
        use(f);
    modelfile_close(f);
    for (size_t i = 0; i < in.n; i++)
        free(in.p[i]);
    return 0;
}
