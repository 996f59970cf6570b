/* Hugging Face's protocol, as its client (huggingface_hub) speaks it:
 *
 *   GET  {endpoint}/api/models/{org}/{name}/revision/{rev}                   sha: the commit that rev is now; cardData.license
 *   GET  {endpoint}/api/models/{org}/{name}/tree/{sha}?recursive=True&expand=False   files; Link rel="next" leads to more
 *   GET  {endpoint}/api/models/{org}/{name}/revision/{sha}?blobs=true       where a mirror has no tree: siblings
 *   GET  {endpoint}/{org}/{name}/resolve/{sha}/{path}                        bytes; 302 to a CDN for files in LFS
 *
 * A file in LFS has lfs.oid (SHA-256); a small one has oid, git's blob name. */
#include "hub/remote.h"
#include <string.h>

static bool is_commit(struct str s)
{
    uint8_t sha1[20], sha256[32];
    return str_hex(s, sha1, sizeof sha1) || str_hex(s, sha256, sizeof sha256);
}

static int read_info(struct remote *r, const struct json *j, struct err *e)
{
    struct str sha = json_str(json_get(j, "sha")), licence = json_str(json_get(json_get(j, "cardData"), "license"));
    if (!is_commit(sha))
        return err_set(e, ERR_REMOTE, "hub: %s names no commit for %s/%s; is %s the address of a hub?", r->origin.host, r->org, r->name, r->endpoint);
    (void)str_fmt(r->commit, sizeof r->commit, "%.*s", (int)sha.n, sha.p);
    for (size_t i = 0; i < licence.n && i < sizeof r->licence - 1; i++)
        r->licence[i] = licence.p[i] >= 32 && licence.p[i] < 127 ? licence.p[i] : '?';
    return 0;
}

/* siblings: rfilename, size, blobId, lfs.sha256 */
static int read_siblings(struct remote *r, const struct json *j, struct err *e)
{
    const struct json *list = json_get(j, "siblings");
    int rc = json_type(list) == JSON_ARR ? 0 : err_set(e, ERR_REMOTE, "hub: %s lists no files for %s/%s", r->origin.host, r->org, r->name);
    for (size_t i = 0; i < json_len(list) && !rc; i++) {
        const struct json *f = json_at(list, i), *lfs = json_get(f, "lfs"), *size = json_get(json_len(lfs) ? lfs : f, "size");
        if (json_type(size) == JSON_INT && json_int(size) >= 0)
            rc = remote_add_file(r, json_str(json_get(f, "rfilename")), (uint64_t)json_int(size), json_str(json_get(lfs, "sha256")),
                                 json_len(lfs) ? STR("") : json_str(json_get(f, "blobId")), e);
    }
    return rc;
}

/* A page of the tree, or an answer with siblings. */
static int read_page(struct remote *r, const struct json *j, struct err *e)
{
    if (json_get(j, "siblings"))
        return read_siblings(r, j, e);
    if (json_type(j) != JSON_ARR)
        return err_set(e, ERR_REMOTE, "hub: the list of files of %s is no array", r->origin.host);
    for (size_t i = 0; i < json_len(j); i++) {
        const struct json *f = json_at(j, i), *lfs = json_get(f, "lfs"), *size = json_get(json_len(lfs) ? lfs : f, "size");
        if (!str_eqz(json_str(json_get(f, "type")), "file") || json_type(size) != JSON_INT || json_int(size) < 0)
            continue;
        struct str none = {"", 0};
        struct str oid = json_str(json_get(json_len(lfs) ? lfs : f, "oid"));
        if (json_len(lfs) && str_starts(oid, "sha256:"))
            oid.p += 7, oid.n -= 7;
        int rc =
            remote_add_file(r, json_str(json_get(f, "path")), (uint64_t)json_int(size), json_len(lfs) ? oid : none, json_len(lfs) ? none : oid, e);
        if (rc)
            return rc;
    }
    return 0;
}

static int list_siblings(struct remote *r, struct err *e)
{
    char url[URL_LEN_MAX];
    struct json *j;
    (void)str_fmt(url, sizeof url, "%s/api/models/%s/%s/revision/%s?blobs=true", r->endpoint, r->org, r->name, r->commit);
    int rc = remote_json(r, url, &j, NULL, e);
    if (!rc)
        rc = read_siblings(r, j, e);
    json_free(j);
    return rc;
}

static int list(struct remote *r, struct err *e)
{
    char rev[3 * sizeof r->revision], url[URL_LEN_MAX], next[URL_LEN_MAX];
    struct json *j;
    if (!url_escape(rev, sizeof rev, r->revision, false) ||
        !str_fmt(url, sizeof url, "%s/api/models/%s/%s/revision/%s", r->endpoint, r->org, r->name, rev))
        return err_set(e, ERR_BAD_VALUE, "hub: the name of the model is too long");
    int rc = remote_json(r, url, &j, NULL, e);
    if (!rc)
        rc = read_info(r, j, e);
    json_free(j);
    if (!rc)
        (void)str_fmt(next, sizeof next, "%s/api/models/%s/%s/tree/%s?recursive=True&expand=False", r->endpoint, r->org, r->name, r->commit);
    for (int page = 0; !rc && *next; page++) {
        if (page == REMOTE_PAGES_MAX)
            return err_set(e, ERR_REMOTE, "hub: the list of files of %s has no end (%d pages)", r->origin.host, page);
        (void)str_fmt(url, sizeof url, "%s", next);
        rc = remote_json(r, url, &j, next, e);
        if (!rc)
            rc = read_page(r, j, e);
        json_free(j);
        if (rc == -ERR_NOT_FOUND && page == 0)
            return list_siblings(r, e);
    }
    return rc;
}

static bool file_url(const struct remote *r, const struct remote_file *f, char out[URL_LEN_MAX])
{
    char path[3 * REMOTE_PATH_MAX + 1];
    return url_escape(path, sizeof path, f->path, true) &&
           str_fmt(out, URL_LEN_MAX, "%s/%s/%s/resolve/%s/%s", r->endpoint, r->org, r->name, r->commit, path);
}

const struct proto proto_hf = {.name = "huggingface",
                               .default_revision = "main",
                               .token_hint = "set HF_TOKEN (or log in with `hf auth login`)",
                               .list = list,
                               .read_page = read_page,
                               .file_url = file_url};
