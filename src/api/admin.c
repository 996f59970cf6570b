/* What an operator can do: one function a row of admin.def, apart from HTTP, so that the command line can call them without a server. */
#include "api/admin_args.h"
#include <string.h>

static const struct op {
    enum http_method method;
    const char *path;
    int (*fn)(struct ledger *l, const struct json *args, struct buf *out, struct err *e);
} ops[] = {
#define ADMIN(name, method, path) {HTTP_##method, path, admin_##name},
#include "api/admin.def"
#undef ADMIN
};

int admin_call(struct ledger *l, enum http_method method, const char *path, const struct json *args, struct buf *out, struct err *e)
{
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (ops[i].method == method && strcmp(ops[i].path, path) == 0)
            return ops[i].fn(l, args, out, e);
    return err_set(e, ERR_NO_ROUTE, "there is no %s", path);
}

static int call(struct work *w, struct err *e)
{
    return admin_call(w->api->ledger, w->method, w->path, w->args, &w->out, e);
}

struct json *query_args(struct http *r)
{
    static const char *const names[] = {"account", "model",  "since", "until", "group", "limit",  "request", "grant",  "all",  "project", "key",
                                        "scope",   "metric", "tz",    "after", "page",  "format", "period",  "policy", "only", "against",
                                        "actor",   "action", "before", "user"};
    struct buf b;
    struct jw w;
    struct str v;
    struct json *out = NULL;
    buf_init(&b, 64 << 10);
    jw_init(&w, &b);
    jw_obj(&w);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (http_query(r, names[i], &v))
            jw_key(&w, names[i]), jw_strn(&w, v.p, v.n);
    jw_obj_end(&w);
    if (b.failed || json_parse(&out, b.data, b.len, NULL) < 0)
        out = NULL;
    buf_deinit(&b);
    return out;
}

void route_admin(struct http *r, void *app)
{
    struct api *a = app;
    struct err e = {0};
    struct work *w = work_new(a, r, "admin", call);
    int rc = w ? 0 : err_set(&e, ERR_NO_MEMORY, "out of memory");
    if (rc >= 0 && http_method(r) == HTTP_GET)
        w->args = query_args(r);
    else if (rc >= 0)
        rc = json_parse(&w->args, http_body(r).p, http_body(r).n, &e);
    if (rc < 0) {
        work_free(w);
        errors_reply(r, &e);
        return;
    }
    if (strncmp(http_path(r).p, "/admin/reservations", sizeof "/admin/reservations" - 1) == 0)
        admin_tell_speeds(a);
    w->method = http_method(r);
    str_fmt(w->path, sizeof w->path, "%.*s", (int)http_path(r).n, http_path(r).p);
    worker_run(a->worker, w);
}
