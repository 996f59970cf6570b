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
    REF_BYTES_MAX = 8192,
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

static void write_json(struct buf *b, const struct ref *r)
{
    struct jw w;
    char digest[7 + 65] = "sha256:";
    str_to_hex(digest + 7, r->digest.b, sizeof r->digest.b);
    jw_init(&w, b);
    jw_obj(&w);
    jw_key(&w, "name"), jw_str(&w, r->name);
    jw_key(&w, "repository"), jw_str(&w, r->repository);
    jw_key(&w, "revision"), jw_str(&w, r->revision);
    jw_key(&w, "file"), jw_str(&w, r->file);
    jw_key(&w, "digest"), jw_str(&w, digest);
    jw_key(&w, "size"), jw_u64(&w, r->size);
    jw_key(&w, "created"), jw_i64(&w, r->created_us);
    jw_obj_end(&w);
    buf_char(b, '\n');
}

int ref_set(struct store *s, const struct ref *in, struct err *e)
{
    char path[STORE_PATH_MAX], blob[STORE_PATH_MAX];
    struct ref r = *in;
    struct buf b;
    int rc = ref_path(s, (struct str){r.name, strnlen(r.name, sizeof r.name)}, path, e);
    if (rc || (rc = check_field(r.repository, "repository", e)) || (rc = check_field(r.revision, "revision", e)) ||
        (rc = check_field(r.file, "file", e)) || (rc = store_path(s, &r.digest, blob, e)))
        return rc;
    if (!r.created_us)
        r.created_us = clock_now_us();
    buf_init(&b, REF_BYTES_MAX);
    write_json(&b, &r);
    rc = b.failed ? err_set(e, ERR_NO_MEMORY, "hub: no memory to write a ref") : os_write_file(path, b.data, b.len, 0644, e);
    buf_deinit(&b);
    return rc;
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

static bool read_json(struct ref *r, const struct json *j)
{
    struct str digest = json_str(json_get(j, "digest"));
    const struct json *size = json_get(j, "size"), *created = json_get(j, "created");
    *r = (struct ref){0};
    if (!copy_field(r->name, sizeof r->name, j, "name") || !copy_field(r->repository, sizeof r->repository, j, "repository") ||
        !copy_field(r->revision, sizeof r->revision, j, "revision") || !copy_field(r->file, sizeof r->file, j, "file"))
        return false;
    if (!str_starts(digest, "sha256:") || !str_hex((struct str){digest.p + 7, digest.n - 7}, r->digest.b, sizeof r->digest.b))
        return false;
    if (json_type(size) != JSON_INT || json_int(size) < 0 || json_type(created) != JSON_INT)
        return false;
    r->size = (uint64_t)json_int(size);
    r->created_us = json_int(created);
    return true;
}

/* Reads one ref file; its alias must be the one that its name says. */
static int read_file(struct ref *r, const char *path, const char *encoded, struct err *e)
{
    struct buf b;
    struct json *j = NULL;
    char enc[FILE_NAME_MAX + 1];
    buf_init(&b, REF_BYTES_MAX);
    int rc = os_read_file(&b, path, e);
    if (!rc && json_parse(&j, b.data ? b.data : "", b.len, e))
        rc = err_set(e, ERR_IO, "hub: %s is damaged; add the model again with --name", path);
    if (!rc && (!read_json(r, j) || encode_name(str_of(r->name), enc, NULL) || strcmp(enc, encoded)))
        rc = err_set(e, ERR_IO, "hub: %s is not a ref of this name; add the model again with --name", path);
    json_free(j);
    buf_deinit(&b);
    return rc;
}

static int no_model(struct str name, struct err *e)
{
    return err_set(e, ERR_NO_MODEL, "hub: there is no model \"%.*s\"; `sluice list` shows the names, `sluice add FILE --name NAME` adds one",
                   (int)name.n, name.p);
}

int ref_get(const struct store *s, struct str name, struct ref *out, struct err *e)
{
    char path[STORE_PATH_MAX], enc[FILE_NAME_MAX + 1];
    int rc = ref_path(s, name, path, e);
    if (rc || (rc = encode_name(name, enc, e)))
        return rc;
    return os_exists(path) ? read_file(out, path, enc, e) : no_model(name, e);
}

static int by_name(const void *a, const void *b) { return strcmp(((const struct ref *)a)->name, ((const struct ref *)b)->name); }

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
        if (!str_fmt(path, sizeof path, "%s/%s", dir, x->d_name) || read_file(&(*out)[*n], path, enc, &why))
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
    for (size_t i = 0; i < n && !rc; i++)
        *used |= !memcmp(&r[i].digest, digest, sizeof *digest);
    mem_free(r);
    return rc;
}
