/* quality: what a number format costs in quality. bench/quality.mjs drives it beside llama.cpp.
 *   quality make IN.gguf TYPE OUT.gguf         the same model with its matrices in another type
 *   quality tokens FILE.gguf TEXT              JSON: the tokens of each line of TEXT, after the token that ends a text
 *   quality loss FILE.gguf TOKENS.json [LEVEL] one number for each line: the sum of -ln p over its tokens */
#include "base/json.h"
#include "base/mem.h"
#include "model/model.h"
#include "text/vocab.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX = 256 };

static void die(const char *what)
{
    fprintf(stderr, "quality: %s\n", what);
    exit(1);
}

static void put_numbers(struct gguf_writer *w, const char *key, const struct meta *m)
{
    float *f = mem_array(m->n + 1, sizeof *f);
    int32_t *i = mem_array(m->n + 1, sizeof *i);
    for (uint64_t k = 0; k < m->n; k++) {
        int64_t v = 0;
        if (m->elem == META_F32 ? !meta_arr_f32(m, k, &f[k]) : !meta_arr_i64(m, k, &v))
            die("an array of a type that is not copied");
        i[k] = (int32_t)v;
    }
    if (m->elem == META_F32)
        gguf_put_f32s(w, key, f, m->n);
    else
        gguf_put_i32s(w, key, i, m->n);
    mem_free(f), mem_free(i);
}

static void put_meta(struct gguf_writer *w, const struct modelfile *f, const struct meta *m)
{
    struct err e;
    struct str s;
    uint32_t u;
    float x;
    bool b;
    char *key = mem_str(m->key.p, m->key.n);
    if (m->type == META_STR && !modelfile_str(f, key, &s, &e))
        gguf_put_str(w, key, s);
    else if (m->type == META_F32 && !modelfile_f32(f, key, -INFINITY, INFINITY, &x, &e))
        gguf_put_f32(w, key, x);
    else if (m->type == META_BOOL && !modelfile_bool_or(f, key, false, &b, &e))
        gguf_put_bool(w, key, b);
    else if (m->type == META_ARR && m->elem == META_STR)
        gguf_put_strs(w, key, m->strings, m->n);
    else if (m->type == META_ARR)
        put_numbers(w, key, m);
    else if (!modelfile_u32(f, key, 0, UINT32_MAX, &u, &e))
        gguf_put_u32(w, key, u);
    else
        die("metadata of a type that is not copied");
    mem_free(key);
}

static void make(const char *in, const char *type, const char *out)
{
    struct modelfile *f;
    struct gguf_writer *w;
    struct err e;
    uint32_t id = 0;
    while (id < 64 && !(quant_info(id) && str_ieqz(str_of(type), quant_info(id)->name)))
        id++;
    const struct quant_info *to = quant_info(id);
    if (!to)
        die("no such type");
    if (gguf_open(&f, in, &e) || gguf_writer_new(&w, &e))
        die(e.msg);
    for (size_t i = 0; i < f->n_meta; i++)
        put_meta(w, f, &f->meta[i]);
    for (size_t i = 0; i < f->n_tensors; i++) {
        const struct tensor *t = &f->tensors[i];
        const struct quant_info *q = quant_info(t->type);
        size_t n = (size_t)t->ne[0] * (size_t)(t->n_dims > 1 ? t->ne[1] : 1);
        float *values = mem_array(n, sizeof *values);
        char *data = mem_array(n / to->block + 1, to->bytes), *name = mem_str(t->name.p, t->name.n);
        if (!q || !values || !data)
            die("a tensor of an unknown type, or no memory");
        q->decode(values, t->data, n);
        to->encode(data, values, n / to->block * to->block);
        bool matrix = t->n_dims > 1;
        if (matrix && t->ne[0] % to->block)
            die("rows that are no whole blocks");
        gguf_put_tensor(w, name, matrix ? id : QUANT_F32, t->n_dims, t->ne, matrix ? (void *)data : (void *)values,
                        matrix ? n / to->block * to->bytes : n * sizeof(float));
        mem_free(values), mem_free(data), mem_free(name);
    }
    if (gguf_writer_save(w, out, &e))
        die(e.msg);
    gguf_writer_free(w);
    modelfile_close(f);
}

static void tokens(const char *path, const char *text)
{
    struct modelfile *f;
    struct vocab *v;
    struct err e;
    char line[4096];
    FILE *in = fopen(text, "r");
    if (!in || gguf_open(&f, path, &e) || vocab_load(&v, f, &e))
        die(in ? e.msg : "no such text");
    for (const char *next = "["; fgets(line, sizeof line, in); next = ",\n") {
        struct vec_i32 t = {0};
        if (vocab_encode(v, line, strcspn(line, "\n"), NULL, 0, &(struct encode_opts){0}, &t, &e))
            die(e.msg);
        printf("%s[%d", next, vocab_find(v, STR("<|endoftext|>")));
        for (size_t i = 0; i < t.n; i++)
            printf(",%d", t.p[i]);
        printf("]");
        vec_deinit(&t);
    }
    printf("]\n");
    fclose(in);
    vocab_free(v);
    modelfile_close(f);
}

static double loss(const float *logit, uint32_t n, int32_t token)
{
    double top = -INFINITY, sum = 0;
    for (uint32_t i = 0; i < n; i++)
        top = fmax(top, (double)logit[i]);
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)logit[i] - top);
    return top + log(sum) - (double)logit[token];
}

static void losses(const char *path, const char *json, const char *level)
{
    struct modelfile *f;
    struct device *d;
    struct model *m;
    struct err e;
    struct buf b;
    struct json *j;
    struct kv_shape kv;
    buf_init(&b, 16 << 20);
    if (os_read_file(&b, json, &e) || json_parse(&j, b.data, b.len, &e) || gguf_open(&f, path, &e) ||
        device_new(&d, &(struct device_opts){.cpu_mask = level}, &e) || model_load(&m, f, d, NULL, NULL, &e))
        die(e.msg);
    model_kv_shape(m, KV_F32, &kv);
    uint32_t n_vocab = model_shape(m)->n_vocab;
    float *logits = mem_array((size_t)LINE_MAX * n_vocab, sizeof *logits);
    void *pages[LINE_MAX / KV_PAGE];
    for (int i = 0; i < LINE_MAX / KV_PAGE; i++)
        pages[i] = mem_pages(kv_page_bytes(&kv));
    for (size_t i = 0; i < json_len(j); i++) {
        int32_t token[LINE_MAX], pos[LINE_MAX];
        int n = (int)json_len(json_at(j, i));
        if (n < 2 || n > LINE_MAX)
            die("a line that is too long");
        for (int k = 0; k < n; k++)
            token[k] = (int32_t)json_int(json_at(json_at(j, i), (size_t)k)), pos[k] = k;
        struct kv_seq seq = {.n_rows = n, .pages = pages};
        model_step(m, &(struct step){.n = n, .token = token, .pos = pos, .seqs = &seq, .n_seqs = 1, .kv = kv, .want = pos, .n_want = n,
                                     .logits = logits});
        double sum = 0;
        for (int k = 0; k + 1 < n; k++)
            sum += loss(logits + (size_t)k * n_vocab, n_vocab, token[k + 1]);
        printf("%.9g\n", sum);
    }
    mem_free(logits);
    for (int i = 0; i < LINE_MAX / KV_PAGE; i++)
        mem_pages_free(pages[i], kv_page_bytes(&kv));
    model_free(m);
    device_free(d);
    modelfile_close(f);
    json_free(j);
    buf_deinit(&b);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "make") == 0)
        make(argv[2], argv[3], argv[4]);
    else if (argc == 4 && strcmp(argv[1], "tokens") == 0)
        tokens(argv[2], argv[3]);
    else if ((argc == 4 || argc == 5) && strcmp(argv[1], "loss") == 0)
        losses(argv[2], argv[3], argc == 5 ? argv[4] : NULL);
    else
        return fprintf(stderr, "usage: quality make IN.gguf TYPE OUT.gguf | tokens FILE.gguf TEXT | loss FILE.gguf TOKENS.json [LEVEL]\n"), 2;
}
