/* A model file from an enemy: parse it, read every key in every way, check it as a model of each family, load its vocabulary, and, where
 * it is a small sound model, load it and compute a step. Seeds: tests/fuzz/corpus/gguf (tools/tinymodel with small sizes). */
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

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static struct device *dev;
    struct modelfile *f;
    struct model_shape s;
    struct model *m;
    struct vocab *v;
    struct err e;
    if (!dev && device_new(&dev, &(struct device_opts){.n_threads = 1}, &e))
        abort();
    if (gguf_parse(&f, p, n, &e)) {
        if (f || !e.msg[0])
            abort();
        return 0;
    }
    read_all(f);
    if (!vocab_load(&v, f, &e))
        vocab_free(v);
    if (!model_shape_read(&s, f, &e) && s.n_params < 1 << 20 && s.n_layers < 8) {
        if (!model_load(&m, f, dev, NULL, NULL, &e)) {
            step(m);
            model_free(m);
        }
    }
    modelfile_close(f);
    return 0;
}
