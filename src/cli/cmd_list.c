/* sluice list: the models of the store, and the built-in one */
#include "cli/cli_int.h"

static void row(struct jw *w, const char *name, uint64_t size, uint64_t packed, const char *source, const char *digest)
{
    jw_obj(w);
    jw_key(w, "name"), jw_str(w, name);
    jw_key(w, "bytes"), jw_u64(w, size);
    jw_key(w, "packed_bytes"), jw_u64(w, packed);
    jw_key(w, "source"), jw_str(w, source);
    jw_key(w, "digest"), jw_str(w, digest);
    jw_obj_end(w);
}

/* Of a model that cannot be opened: none. */
static uint64_t packed_bytes(const struct store *s, const char *name)
{
    struct hub_model m;
    struct err e;
    if (hub_model_open(&m, s, str_of(name), &e) < 0)
        return 0;
    uint64_t n = hub_packed_bytes(s, &m);
    hub_model_close(&m);
    return n;
}

static void rows(struct jw *w, const struct store *s, const struct ref *refs, size_t n)
{
    const void *guide;
    size_t bytes;
    bool replaced = false;
    for (size_t i = 0; i < n; i++) {
        char digest[65], source[3 * REF_FIELD_MAX + 8];
        str_to_hex(digest, refs[i].digest.b, 32);
        str_fmt(source, sizeof source, "%s%s%s:%s", refs[i].repository, *refs[i].revision ? "@" : "", refs[i].revision, refs[i].file);
        digest[16] = '\0';
        row(w, refs[i].name, refs[i].size, packed_bytes(s, refs[i].name), source, digest);
        replaced = replaced || str_eqz(str_of(refs[i].name), GUIDE_NAME);
    }
    if (!replaced && guide_bytes(&guide, &bytes)) {
        struct sha256 d;
        char digest[65];
        sha256(&d, guide, bytes);
        str_to_hex(digest, d.b, 32);
        digest[16] = '\0';
        row(w, GUIDE_NAME, bytes, 0, "built in", digest);
    }
}

int cmd_list(const struct cli *c, struct err *e)
{
    char dir[PATH_LEN], hub[PATH_LEN];
    struct store *s = NULL;
    struct ref *refs = NULL;
    struct json *j = NULL;
    struct buf b;
    struct jw w;
    size_t n = 0;
    int rc;
    if ((rc = args_count(c, 0, 0, e)) < 0 || (rc = data_dir(c, dir, e)) < 0 || (rc = data_file(hub, dir, "hub", e)) < 0 ||
        (rc = store_open(&s, hub, e)) < 0)
        return rc;
    buf_init(&b, 0);
    jw_init(&w, &b);
    rc = ref_list(s, &refs, &n, e);
    if (rc >= 0) {
        jw_arr(&w);
        rows(&w, s, refs, n);
        jw_arr_end(&w);
        rc = json_parse(&j, b.data, b.len, e);
    }
    if (rc >= 0)
        table_print(c, j);
    json_free(j);
    buf_deinit(&b);
    mem_free(refs);
    store_close(s);
    return rc;
}
