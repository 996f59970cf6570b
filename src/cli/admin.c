/* An operator's call: to the running server over DATA/admin.sock, else on the ledger itself, which this process then opens alone. */
#include "base/os.h"
#include "cli/cli_int.h"
#include "net/client.h"
#include <string.h>

static void write_args(struct buf *out, const struct admin_arg *args)
{
    struct jw w;
    jw_init(&w, out);
    jw_obj(&w);
    for (; args && args->name; args++)
        if (args->value)
            jw_key(&w, args->name), jw_str(&w, args->value);
    jw_obj_end(&w);
}

static void write_query(struct buf *out, const struct admin_arg *args)
{
    static const char hex[] = "0123456789ABCDEF";
    char sep = '?';
    for (; args && args->name; args++) {
        if (!args->value)
            continue;
        buf_fmt(out, "%c%s=", sep, args->name);
        for (const char *p = args->value; *p; p++) {
            unsigned char u = (unsigned char)*p;
            bool plain = (u >= '0' && u <= '9') || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || u == '-' || u == '.' || u == '_';
            if (plain)
                buf_char(out, (char)u);
            else
                buf_char(out, '%'), buf_char(out, hex[u >> 4]), buf_char(out, hex[u & 15]);
        }
        sep = '&';
    }
}

int error_from_answer(int status, const struct buf *body, struct err *e)
{
    struct json *j = NULL;
    const char *msg = "the server gave no reason";
    int found = ERR_INTERNAL;
    if (json_parse(&j, body->data ? body->data : "", body->len, NULL) >= 0) {
        struct str code = json_str(json_get(json_get(j, "error"), "code")), text = json_str(json_get(json_get(j, "error"), "message"));
        for (int i = 1; i < ERR_COUNT; i++)
            if (err_http((enum errcode)i) == status && code.n && err_wire_code((enum errcode)i) && str_eqz(code, err_wire_code((enum errcode)i)))
                found = i;
        for (int i = ERR_COUNT - 1; i > 0 && found == ERR_INTERNAL; i--)
            if (err_http((enum errcode)i) == status)
                found = i;
        if (text.n)
            msg = text.p;
    }
    int rc = err_set(e, (enum errcode)found, "%s", msg);
    json_free(j);
    return rc;
}

static int over_socket(const char *sock, enum http_method method, const char *path, const struct admin_arg *args, struct buf *out, struct err *e)
{
    struct buf url, body;
    struct client_answer a = {0};
    buf_init(&url, 64 << 10), buf_init(&body, 16 << 20);
    buf_fmt(&url, "http://localhost%s", path);
    if (method == HTTP_GET)
        write_query(&url, args);
    else
        write_args(&body, args);
    struct client_req q = {.method = method == HTTP_GET ? "GET" : "POST",
                           .url = url.data,
                           .unix_socket = sock,
                           .body = method == HTTP_GET ? NULL : body.data,
                           .n_body = method == HTTP_GET ? 0 : body.len};
    int rc = client_do(&a, &q, e);
    if (rc >= 0 && a.status != 200)
        rc = error_from_answer(a.status, &a.body, e);
    else if (rc >= 0)
        buf_add(out, a.body.data, a.body.len);
    client_answer_deinit(&a);
    buf_deinit(&url), buf_deinit(&body);
    return rc;
}

static void run_now(void *ctx, void (*fn)(void *), void *arg)
{
    (void)ctx;
    fn(arg);
}

static int on_ledger(const char *dir, enum http_method method, const char *path, const struct admin_arg *args, struct buf *out, struct err *e)
{
    struct ledger *l = NULL;
    struct ledger_opts o = {.dir = dir, .post = run_now};
    struct settings *settings = NULL;
    struct json *j = NULL;
    struct buf text;
    int rc = os_mkdirs(dir, 0700, e);
    buf_init(&text, 16 << 20);
    write_args(&text, args);
    if (rc >= 0)
        rc = json_parse(&j, text.data, text.len, e);
    if (rc >= 0)
        rc = settings_load(&settings, NULL, dir, e);
    if (rc >= 0) {
        const char *node = settings_get(settings, "node");
        o.store = settings_get(settings, "ledger"), o.node = *node ? node : NULL;
        rc = ledger_open(&l, &o, e);
    }
    if (rc >= 0)
        rc = admin_call(l, method, path, j, out, e);
    if (l)
        ledger_close(l);
    settings_free(settings);
    json_free(j);
    buf_deinit(&text);
    return rc;
}

int admin_do(const struct cli *c, enum http_method method, const char *path, const struct admin_arg *args, struct json **out, struct err *e)
{
    char dir[PATH_LEN], sock[PATH_LEN];
    struct buf answer;
    int rc;
    if ((rc = data_dir(c, dir, e)) < 0 || (rc = data_file(sock, dir, "admin.sock", e)) < 0)
        return rc;
    buf_init(&answer, 64 << 20);
    rc = os_exists(sock) ? over_socket(sock, method, path, args, &answer, e) : -ERR_UNAVAILABLE;
    if (rc == -ERR_UNAVAILABLE && !answer.len) /* no server, or one that was killed and left its socket */
        rc = on_ledger(dir, method, path, args, &answer, e);
    if (rc >= 0)
        rc = json_parse(out, answer.data ? answer.data : "", answer.len, e);
    buf_deinit(&answer);
    return rc;
}
