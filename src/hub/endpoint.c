/* Where a hub is and which token goes there, from the environment, as the hubs' own clients read it. */
#include "base/os.h"
#include "hub/hub_int.h"
#include <stdlib.h>
#include <string.h>

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

/* A token file: one line. Absent is no error unless it was asked for by name. */
static int read_token(char out[TOKEN_LEN_MAX + 1], const char *path, bool must, struct err *e)
{
    struct buf b;
    buf_init(&b, TOKEN_LEN_MAX + 16);
    int rc = os_read_file(&b, path, e);
    struct str t = str_trim((struct str){b.data, b.len});
    if (!rc && !str_fmt(out, TOKEN_LEN_MAX + 1, "%.*s", (int)t.n, t.p ? t.p : ""))
        rc = err_set(e, ERR_BAD_VALUE, "hub: the token in %s is longer than %d bytes", path, TOKEN_LEN_MAX);
    if (b.data)
        explicit_bzero(b.data, b.len);
    buf_deinit(&b);
    return rc == -ERR_NOT_FOUND && !must ? 0 : rc;
}

/* HF_TOKEN, HUGGING_FACE_HUB_TOKEN, then the file HF_TOKEN_PATH, $HF_HOME/token, ~/.cache/huggingface/token. */
static int hf_token(char out[TOKEN_LEN_MAX + 1], struct err *e)
{
    const char *t = env("HF_TOKEN") ? env("HF_TOKEN") : env("HUGGING_FACE_HUB_TOKEN");
    char path[STORE_PATH_MAX];
    bool ok = false;
    if (t)
        return str_fmt(out, TOKEN_LEN_MAX + 1, "%s", t) ? 0 : err_set(e, ERR_BAD_VALUE, "hub: HF_TOKEN is longer than %d bytes", TOKEN_LEN_MAX);
    if (env("HF_TOKEN_PATH"))
        ok = str_fmt(path, sizeof path, "%s", env("HF_TOKEN_PATH"));
    else if (env("HF_HOME"))
        ok = str_fmt(path, sizeof path, "%s/token", env("HF_HOME"));
    else if (env("XDG_CACHE_HOME"))
        ok = str_fmt(path, sizeof path, "%s/huggingface/token", env("XDG_CACHE_HOME"));
    else if (env("HOME"))
        ok = str_fmt(path, sizeof path, "%s/.cache/huggingface/token", env("HOME"));
    return ok ? read_token(out, path, false, e) : 0;
}

int endpoint_open(struct remote *r, const char *from, const char *token_file, struct err *e)
{
    char token[TOKEN_LEN_MAX + 1] = "", address[512];
    const struct proto *p = NULL;
    const char *at = NULL, *t;
    int rc = 0;
    if (!from || str_eqz(str_of(from), "huggingface") || str_eqz(str_of(from), "hf")) {
        p = &proto_hf;
        at = env("HF_ENDPOINT") ? env("HF_ENDPOINT") : "https://huggingface.co";
        rc = token_file ? 0 : hf_token(token, e);
    } else if (str_eqz(str_of(from), "modelscope")) {
        p = &proto_modelscope;
        at = env("MODELSCOPE_ENDPOINT") ? env("MODELSCOPE_ENDPOINT") : "https://www.modelscope.cn";
        if (!env("MODELSCOPE_ENDPOINT") && env("MODELSCOPE_DOMAIN") && str_fmt(address, sizeof address, "https://%.400s", env("MODELSCOPE_DOMAIN")))
            at = address;
        t = env("MODELSCOPE_API_TOKEN") ? env("MODELSCOPE_API_TOKEN") : env("MODELSCOPE_TOKEN");
        if (t && !token_file && !str_fmt(token, sizeof token, "%s", t))
            rc = err_set(e, ERR_BAD_VALUE, "hub: MODELSCOPE_API_TOKEN is longer than %d bytes", TOKEN_LEN_MAX);
    } else
        return err_set(e, ERR_BAD_VALUE, "hub: --from is huggingface or modelscope, not \"%.40s\"", from);
    if (!rc && token_file)
        rc = read_token(token, token_file, true, e);
    if (!rc)
        rc = remote_init(r, p, at, token, e);
    explicit_bzero(token, sizeof token);
    return rc;
}
