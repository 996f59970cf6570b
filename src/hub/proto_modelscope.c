/* ModelScope's protocol, as its client (modelscope.hub) speaks it:
 *
 *   GET  {endpoint}/api/v1/models/{org}/{name}/repo/files?Revision={rev}&Recursive=True    Data.Files: Path, Type, Size, Sha256
 *   GET  {endpoint}/api/v1/models/{org}/{name}/repo?Revision={rev}&FilePath={path}         bytes
 *
 * Answers come in {"Code": 200, "Success": true, "Message", "Data"}. The token goes as a bearer and as the cookie m_session_id. */
#include "hub/remote.h"

/* The envelope tells failures with status 200 too: a code of HTTP's, or one of its own and a message. */
static int read_envelope(const struct remote *r, const struct json *j, const struct json **files, struct err *e)
{
    const struct json *code = json_get(j, "Code");
    struct str message = json_str(json_get(j, "Message"));
    char what[2 * REPO_PART_MAX + 192], shown[121] = "";
    if (json_type(code) == JSON_INT && json_int(code) != 200) {
        struct client_answer a = {.status = json_int(code) > 299 && json_int(code) < 600 ? (int)json_int(code) : 0};
        for (size_t i = 0; i < message.n && i < sizeof shown - 1; i++)
            shown[i] = message.p[i] >= 32 && message.p[i] < 127 ? message.p[i] : '?';
        (void)str_fmt(what, sizeof what, "model %s/%s", r->org, r->name);
        if (a.status)
            return remote_status_error(r, &a, what, e);
        return err_set(e, ERR_NOT_FOUND, "hub: %s does not list %s at revision %s: %s (code %lld)", r->origin.host, what, r->revision, shown,
                       (long long)json_int(code));
    }
    *files = json_get(json_get(j, "Data"), "Files");
    if (json_type(*files) != JSON_ARR)
        return err_set(e, ERR_REMOTE, "hub: %s lists no files for %s/%s; is %s the address of a hub?", r->origin.host, r->org, r->name, r->endpoint);
    return 0;
}

static int read_page(struct remote *r, const struct json *j, struct err *e)
{
    const struct json *files = NULL;
    int rc = read_envelope(r, j, &files, e);
    for (size_t i = 0; !rc && i < json_len(files); i++) {
        const struct json *f = json_at(files, i), *size = json_get(f, "Size");
        if (str_eqz(json_str(json_get(f, "Type")), "blob") && json_type(size) == JSON_INT && json_int(size) >= 0)
            rc = remote_add_file(r, json_str(json_get(f, "Path")), (uint64_t)json_int(size), json_str(json_get(f, "Sha256")), STR(""), e);
    }
    return rc;
}

static int list(struct remote *r, struct err *e)
{
    char rev[3 * sizeof r->revision], url[URL_LEN_MAX];
    struct json *j;
    if (!url_escape(rev, sizeof rev, r->revision, false) ||
        !str_fmt(url, sizeof url, "%s/api/v1/models/%s/%s/repo/files?Revision=%s&Recursive=True", r->endpoint, r->org, r->name, rev))
        return err_set(e, ERR_BAD_VALUE, "hub: the name of the model is too long");
    int rc = remote_json(r, url, &j, NULL, e);
    if (!rc)
        rc = read_page(r, j, e);
    json_free(j);
    return rc;
}

static bool file_url(const struct remote *r, const struct remote_file *f, char out[URL_LEN_MAX])
{
    char path[3 * REMOTE_PATH_MAX + 1], rev[3 * sizeof r->revision];
    return url_escape(path, sizeof path, f->path, false) && url_escape(rev, sizeof rev, r->revision, false) &&
           str_fmt(out, URL_LEN_MAX, "%s/api/v1/models/%s/%s/repo?Revision=%s&FilePath=%s", r->endpoint, r->org, r->name, rev, path);
}

const struct proto proto_modelscope = {.name = "modelscope",
                                       .default_revision = "master",
                                       .token_hint = "set MODELSCOPE_API_TOKEN",
                                       .list = list,
                                       .read_page = read_page,
                                       .file_url = file_url,
                                       .auth_cookie = "m_session_id"};
