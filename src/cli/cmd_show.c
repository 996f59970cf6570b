/* sluice show: what a model is */
#include "cli/cli_int.h"
#include "model/model.h"

static void shape_rows(struct jw *w, const struct model_shape *s)
{
    jw_key(w, "architecture"), jw_str(w, s->arch);
    jw_key(w, "parameters"), jw_u64(w, s->n_params);
    jw_key(w, "weight_bytes"), jw_u64(w, s->weight_bytes);
    jw_key(w, "quantisation"), jw_str(w, s->quant);
    jw_key(w, "context"), jw_u64(w, s->n_ctx);
    jw_key(w, "layers"), jw_u64(w, s->n_layers);
    jw_key(w, "embedding"), jw_u64(w, s->n_embd);
    jw_key(w, "heads"), jw_u64(w, s->n_heads);
    jw_key(w, "kv_heads"), jw_u64(w, s->n_kv_heads);
    jw_key(w, "head_width"), jw_u64(w, s->head_dim);
    jw_key(w, "value_width"), jw_u64(w, s->v_dim);
    jw_key(w, "feed_forward"), jw_u64(w, s->n_ff);
    jw_key(w, "layers_differ"), jw_bool(w, s->layers_differ);
    jw_key(w, "rope"), jw_str(w, s->rope);
    jw_key(w, "sliding_window"), jw_u64(w, s->window);
    jw_key(w, "windowed_layers"), jw_u64(w, s->n_windowed);
    jw_key(w, "vocabulary"), jw_u64(w, s->n_vocab);
}

static int show(const struct cli *c, const struct modelfile *f, const char *name, const char *source, const struct ref *ref, struct err *e)
{
    struct model_shape shape;
    struct str template = {0}, licence = str_of(ref->licence);
    char digest[65 + 7] = "sha256:";
    struct json *j = NULL;
    struct buf b;
    struct jw w;
    int rc = model_shape_read(&shape, f, e);
    if (rc < 0)
        return rc;
    if (modelfile_str(f, "tokenizer.chat_template", &template, NULL) < 0 && modelfile_str(f, "tokenizer.chat_template.default", &template, NULL) < 0)
        template = STR("none; a form that its vocabulary speaks for is used");
    if (!licence.n && modelfile_str(f, "general.license", &licence, NULL) < 0)
        licence = STR("not said");
    str_to_hex(digest + 7, ref->digest.b, 32);
    buf_init(&b, 0);
    jw_init(&w, &b);
    jw_obj(&w);
    jw_key(&w, "name"), jw_str(&w, name);
    jw_key(&w, "source"), jw_str(&w, source);
    jw_key(&w, "digest"), jw_str(&w, digest);
    jw_key(&w, "bytes"), jw_u64(&w, ref->size);
    if (ref->n_parts > 1)
        jw_key(&w, "parts"), jw_u64(&w, ref->n_parts);
    shape_rows(&w, &shape);
    jw_key(&w, "licence"), jw_strn(&w, licence.p, licence.n);
    jw_key(&w, "template"), jw_strn(&w, template.p, template.n);
    jw_obj_end(&w);
    rc = json_parse(&j, b.data, b.len, e);
    if (rc >= 0)
        object_print(c, j);
    json_free(j);
    buf_deinit(&b);
    return rc;
}

int cmd_show(const struct cli *c, struct err *e)
{
    char dir[PATH_LEN], hub[PATH_LEN], source[3 * REF_FIELD_MAX + 8] = "built in";
    struct store *s = NULL;
    struct hub_model m = {0};
    struct modelfile *f = NULL;
    const void *guide;
    size_t n;
    int rc;
    if ((rc = args_count(c, 1, 1, e)) < 0 || (rc = data_dir(c, dir, e)) < 0 || (rc = data_file(hub, dir, "hub", e)) < 0 ||
        (rc = store_open(&s, hub, e)) < 0)
        return rc;
    rc = hub_model_open(&m, s, str_of(c->word[0]), e);
    if (rc >= 0) {
        str_fmt(source, sizeof source, "%s%s%s:%s", m.ref.repository, *m.ref.revision ? "@" : "", m.ref.revision, m.ref.file);
        rc = modelfile_open_parts(&f, (const char *const *)m.path, m.n, e);
    } else if (str_eqz(str_of(c->word[0]), GUIDE_NAME) && guide_bytes(&guide, &n)) {
        sha256(&m.ref.digest, guide, n);
        m.ref.size = n, m.ref.n_parts = 1;
        rc = gguf_parse(&f, guide, n, e);
    }
    if (rc >= 0)
        rc = show(c, f, c->word[0], source, &m.ref, e);
    modelfile_close(f);
    hub_model_close(&m);
    store_close(s);
    return rc;
}
