#include "hub/hub_int.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/os.h"
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    FILE_NAME_MAX = 200, /* of the encoded alias: the file system allows 255, and a file being written has a longer name */
    REF_BYTES_MAX = 64 << 10,
    REFS_MAX = 100000
};

int ref_name_check(struct str name, struct err *e)
{
    if (name.n == 0 || name.n > REF_NAME_MAX)
        return err_set(e, ERR_BAD_VALUE, "hub: a model's name has 1 to %d bytes, this one has %zu", REF_NAME_MAX, name.n);
    if (!utf8_valid(name.p, name.n))
        return err_set(e, ERR_BAD_VALUE, "hub: a model's name is UTF-8 text, this one is not");
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        bool c1 = c == 0xc2 && (unsigned char)name.p[i + 1] < 0xa0; /* U+0080 to U+009F; valid UTF-8, so a byte follows */
        if (c < 32 || c == 127 || c1 || c == '\\')
            return err_set(e, ERR_BAD_VALUE, "hub: a model's name holds no control characters and no backslash");
    }
    if (name.p[0] == ' ' || name.p[name.n - 1] == ' ')
        return err_set(e, ERR_BAD_VALUE, "hub: a model's name neither begins nor ends with a blank");
    for (struct str rest = name; rest.p;) {
        struct str seg = str_split(&rest, '/');
        if (seg.n == 0 || str_eqz(seg, ".") || str_eqz(seg, ".."))
            return err_set(e, ERR_BAD_VALUE, "hub: the parts of a model's name between slashes are not empty, \".\" or \"..\"");
    }
    return 0;
}

/* alias -> file name: letters, digits, "-_." (not a leading dot) and bytes of other scripts as they are, the rest as %XX. */
static int encode_name(struct str name, char out[FILE_NAME_MAX + 1], struct err *e)
{
    size_t n = 0;
    int rc = ref_name_check(name, e);
    for (size_t i = 0; i < name.n && !rc; i++) {
        unsigned char c = (unsigned char)name.p[i];
        bool plain =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || (c == '.' && i) || c >= 128;
        if (n + 3 > FILE_NAME_MAX)
            return err_set(e, ERR_BAD_VALUE, "hub: a model's name with that many slashes and signs is too long; shorten it");
        if (plain)
            out[n++] = (char)c;
        else {
            static const char hex[] = "0123456789ABCDEF";
            out[n++] = '%', out[n++] = hex[c >> 4], out[n++] = hex[c & 15];
        }
    }
    out[n] = 0;
    return rc;
}

static int ref_path(const struct store *s, struct str name, char out[STORE_PATH_MAX], struct err *e)
{
    char enc[FILE_NAME_MAX + 1];
    int rc = encode_name(name, enc, e);
    if (!rc && !str_fmt(out, STORE_PATH_MAX, "%s/refs/%s.json", store_dir(s), enc))
        rc = err_set(e, ERR_IO, "hub: the path of a ref is too long");
    return rc;
}

static int check_field(const char *z, const char *what, struct err *e)
{
    size_t n = strnlen(z, REF_FIELD_MAX + 1);
    if (n > REF_FIELD_MAX || !utf8_valid(z, n))
        return err_set(e, ERR_BAD_VALUE, "hub: the %s of a ref has at most %d bytes of UTF-8", what, REF_FIELD_MAX);
    return 0;
}

struct digest_text {
    char z[7 + 65];
};
static struct digest_text digest_text(const struct sha256 *d)
{
    struct digest_text t = {"sha256:"};
    str_to_hex(t.z + 7, d->b, sizeof d->b);
    return t;
}

static void write_json(struct buf *b, const struct ref *r, const struct ref_part *parts)
{
    struct jw w;
    jw_init(&w, b);
    jw_obj(&w);
    jw_key(&w, "name"), jw_str(&w, r->name);
    jw_key(&w, "repository"), jw_str(&w, r->repository);
    jw_key(&w, "revision"), jw_str(&w, r->revision);
    jw_key(&w, "file"), jw_str(&w, r->file);
    jw_key(&w, "digest"), jw_str(&w, digest_text(&r->digest).z);
    jw_key(&w, "size"), jw_u64(&w, r->size);
    jw_key(&w, "created"), jw_i64(&w, r->created_us);
    if (*r->licence)
        jw_key(&w, "licence"), jw_str(&w, r->licence);
    if (r->n_parts > 1) {
        jw_key(&w, "parts"), jw_arr(&w);
        for (uint32_t i = 0; i < r->n_parts; i++) {
            jw_obj(&w);
            jw_key(&w, "digest"), jw_str(&w, digest_text(&parts[i].digest).z);
            jw_key(&w, "size"), jw_u64(&w, parts[i].size);
            jw_obj_end(&w);
        }
        jw_arr_end(&w);
    }
    jw_obj_end(&w);
    buf_char(b, '\n');
}

void ref_digest(struct sha256 *out, const struct ref_part *parts, size_t n)
{
    if (n == 1) {
        *out = parts[0].digest;
        return;
    }
    struct sha256_ctx *c = sha256_new();
    for (size_t i = 0; i < n; i++) {
        sha256_add(c, digest_text(&parts[i].digest).z, 7 + 64);
        sha256_add(c, "\n", 1);
    }
    sha256_free(c, out);
}

int ref_set_parts(struct store *s, struct ref *r, const struct ref_part *parts, size_t n, struct err *e)
{
    char path[STORE_PATH_MAX], blob[STORE_PATH_MAX];
    struct buf b;
    ASSERT(n >= 1 && n <= REF_PARTS_MAX);
    int rc = ref_path(s, (struct str){r->name, strnlen(r->name, sizeof r->name)}, path, e);
    if (rc || (rc = check_field(r->repository, "repository", e)) || (rc = check_field(r->revision, "revision", e)) ||
        (rc = check_field(r->file, "file", e)))
        return rc;
    r->size = 0, r->n_parts = (uint32_t)n;
    for (size_t i = 0; i < n && !rc; i++) {
        rc = store_path(s, &parts[i].digest, blob, e);
        if (!rc && !ck_add(r->size, parts[i].size, &r->size))
            rc = err_set(e, ERR_TOO_LARGE, "hub: the parts are larger than any file");
    }
    if (rc)
        return rc;
    ref_digest(&r->digest, parts, n);
    if (!r->created_us)
        r->created_us = clock_now_us();
    buf_init(&b, REF_BYTES_MAX);
    write_json(&b, r, parts);
    rc = b.failed ? err_set(e, ERR_NO_MEMORY, "hub: no memory to write a ref") : os_write_file(path, b.data, b.len, 0644, e);
    buf_deinit(&b);
    return rc;
}

int ref_set(struct store *s, const struct ref *in, struct err *e)
{
    struct ref r = *in;
    struct ref_part one = {r.digest, r.size};
    return ref_set_parts(s, &r, &one, 1, e);
}

static bool copy_field(char *out, size_t cap, const struct json *j, const char *key)
{
    struct str v = json_str(json_get(j, key));
    if (json_type(json_get(j, key)) != JSON_STR || v.n >= cap)
        return false;
    memcpy(out, v.p, v.n);
    out[v.n] = 0;
    return true;
}

static bool copy_digest(struct sha256 *out, const struct json *j)
{
    struct str d = json_str(json_get(j, "digest"));
    return str_starts(d, "sha256:") && str_hex((struct str){d.p + 7, d.n - 7}, out->b, sizeof out->b);
}

static bool copy_size(uint64_t *out, const struct json *j)
{
    const struct json *v = json_get(j, "size");
    *out = (uint64_t)json_int(v);
    return json_type(v) == JSON_INT && json_int(v) >= 0;
}

static bool read_json(struct ref *r, const struct json *j)
{
    const struct json *created = json_get(j, "created");
    *r = (struct ref){.n_parts = 1};
    if (!copy_field(r->name, sizeof r->name, j, "name") || !copy_field(r->repository, sizeof r->repository, j, "repository") ||
        !copy_field(r->revision, sizeof r->revision, j, "revision") || !copy_field(r->file, sizeof r->file, j, "file"))
        return false;
    if (json_get(j, "licence") && !copy_field(r->licence, sizeof r->licence, j, "licence"))
        return false;
    r->created_us = json_int(created);
    return copy_digest(&r->digest, j) && copy_size(&r->size, j) && json_type(created) == JSON_INT;
}

/* Parts, which must give the ref's digest and size. false: they do not, or memory is short. */
static bool read_parts(struct ref *r, struct ref_part **out, const struct json *j)
{
    const struct json *list = json_get(j, "parts");
    size_t n = list ? json_len(list) : 1;
    struct sha256 digest;
    uint64_t sum = 0;
    if (list && (json_type(list) != JSON_ARR || n < 2 || n > REF_PARTS_MAX))
        return false;
    struct ref_part *parts = mem_array(n, sizeof *parts);
    bool ok = parts != NULL;
    if (ok && !list)
        parts[0] = (struct ref_part){r->digest, r->size};
    for (size_t i = 0; list && ok && i < n; i++)
        ok = copy_digest(&parts[i].digest, json_at(list, i)) && copy_size(&parts[i].size, json_at(list, i));
    for (size_t i = 0; ok && i < n; i++)
        ok = ck_add(sum, parts[i].size, &sum);
    if (ok) {
        ref_digest(&digest, parts, n);
        ok = sum == r->size && !memcmp(&digest, &r->digest, sizeof digest);
    }
    r->n_parts = (uint32_t)n;
    if (ok && out)
        *out = parts;
    else
        mem_free(parts);
    return ok;
}

int ref_read(struct ref *out, struct ref_part **parts, const char *p, size_t n, struct err *e)
{
    struct json *j = NULL;
    if (parts)
        *parts = NULL;
    int rc =
        n > REF_BYTES_MAX || json_parse(&j, p, n, NULL) || !read_json(out, j) || !read_parts(out, parts, j) ? err_set(e, ERR_IO, "hub: no ref") : 0;
    json_free(j);
    return rc;
}

/* Reads one ref file; its alias must be the one that its name says. */
static int read_file(struct ref *r, struct ref_part **parts, const char *path, const char *encoded, struct err *e)
{
    struct buf b;
    char enc[FILE_NAME_MAX + 1];
    buf_init(&b, REF_BYTES_MAX);
    int rc = os_read_file(&b, path, e);
    if (!rc && ref_read(r, parts, b.data ? b.data : "", b.len, NULL))
        rc = err_set(e, ERR_IO, "hub: %s is damaged; add the model again with --name", path);
    if (!rc && (encode_name(str_of(r->name), enc, NULL) || strcmp(enc, encoded))) {
        rc = err_set(e, ERR_IO, "hub: %s is not a ref of this name; add the model again with --name", path);
        if (parts)
            mem_free(*parts), *parts = NULL;
    }
    buf_deinit(&b);
    return rc;
}

static int no_model(struct str name, struct err *e)
{
    return err_set(e, ERR_NO_MODEL, "hub: there is no model \"%.*s\"; `sluice list` shows the names, `sluice add FILE --name NAME` adds one",
                   (int)name.n, name.p);
}

int ref_parts(const struct store *s, struct str name, struct ref *out, struct ref_part **parts, size_t *n, struct err *e)
{
    char path[STORE_PATH_MAX], enc[FILE_NAME_MAX + 1];
    int rc = ref_path(s, name, path, e);
    if (parts)
        *parts = NULL;
    if (rc || (rc = encode_name(name, enc, e)))
        return rc;
    rc = os_exists(path) ? read_file(out, parts, path, enc, e) : no_model(name, e);
    if (n)
        *n = rc ? 0 : out->n_parts;
    return rc;
}

int ref_get(const struct store *s, struct str name, struct ref *out, struct err *e)
{
    return ref_parts(s, name, out, NULL, NULL, e);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct ref *)a)->name, ((const struct ref *)b)->name);
}

static int list_dir(DIR *d, const char *dir, struct ref **out, size_t *n, struct err *e)
{
    size_t cap = 0;
    for (struct dirent *x; (x = readdir(d));) {
        char path[STORE_PATH_MAX], enc[FILE_NAME_MAX + 1];
        struct str name = str_of(x->d_name);
        struct err why = {0};
        if (!str_ends(name, ".json") || name.n - 5 > FILE_NAME_MAX)
            continue; /* a ref that is being written */
        if (*n == REFS_MAX)
            return err_set(e, ERR_TOO_LARGE, "hub: more than %d refs", REFS_MAX);
        if (*n == cap) {
            struct ref *more = mem_resize(*out, cap = cap ? 2 * cap : 16, sizeof **out);
            if (!more)
                return err_set(e, ERR_NO_MEMORY, "hub: no memory to list %zu refs", *n);
            *out = more;
        }
        (void)str_fmt(enc, sizeof enc, "%.*s", (int)(name.n - 5), x->d_name);
        if (!str_fmt(path, sizeof path, "%s/%s", dir, x->d_name) || read_file(&(*out)[*n], NULL, path, enc, &why))
            log_line(LOG_WARN, "hub_ref", "%s", why.msg);
        else
            ++*n;
    }
    return 0;
}

int ref_list(const struct store *s, struct ref **out, size_t *n, struct err *e)
{
    char dir[STORE_PATH_MAX];
    *out = NULL, *n = 0;
    (void)str_fmt(dir, sizeof dir, "%s/refs", store_dir(s));
    DIR *d = opendir(dir);
    if (!d)
        return err_set(e, ERR_IO, "hub: open %s: %s", dir, strerror(errno));
    int rc = list_dir(d, dir, out, n, e);
    closedir(d);
    if (rc || !*n) {
        mem_free(*out);
        *out = NULL, *n = 0;
    } else
        qsort(*out, *n, sizeof **out, by_name);
    return rc;
}

int ref_delete(struct store *s, struct str name, struct err *e)
{
    char path[STORE_PATH_MAX];
    int rc = ref_path(s, name, path, e);
    if (rc || unlink(path) == 0)
        return rc;
    return errno == ENOENT ? no_model(name, e) : err_set(e, ERR_IO, "hub: remove %s: %s", path, strerror(errno));
}

int ref_uses(const struct store *s, const struct sha256 *digest, bool *used, struct err *e)
{
    struct ref *r;
    size_t n;
    int rc = ref_list(s, &r, &n, e);
    *used = false;
    for (size_t i = 0; i < n && !rc && !*used; i++) {
        struct ref_part *parts = NULL;
        struct ref again;
        size_t n_parts = 0;
        if (r[i].n_parts == 1)
            *used = !memcmp(&r[i].digest, digest, sizeof *digest);
        else
            rc = ref_parts(s, str_of(r[i].name), &again, &parts, &n_parts, e);
        for (size_t k = 0; k < n_parts && !*used; k++)
            *used = !memcmp(&parts[k].digest, digest, sizeof *digest);
        mem_free(parts);
    }
    mem_free(r);
    return rc;
}
