#include "base/clock.h"
#include "net/server_int.h"
#include <string.h>

static enum http_method method_of(struct str m)
{
    static const char *const names[] = {[HTTP_GET] = "GET",       [HTTP_POST] = "POST",       [HTTP_PUT] = "PUT",    [HTTP_DELETE] = "DELETE",
                                        [HTTP_HEAD] = "HEAD",     [HTTP_OPTIONS] = "OPTIONS", [HTTP_PATCH] = "PATCH"};
    for (int i = 0; i < HTTP_OTHER; i++)
        if (str_eqz(m, names[i]))
            return (enum http_method)i;
    return HTTP_OTHER;
}

static struct http *request_make(struct conn *c, size_t bytes)
{
    struct http *r = mem_new(sizeof *r + bytes);
    if (!r)
        return NULL;
    r->c = c;
    r->start_ns = clock_ns();
    r->minor = true;
    buf_init(&r->body, c->s->opts.limits.body_max + 1);
    buf_init(&r->headers, ANSWER_HEADERS_MAX);
    arena_init(&r->arena, 0);
    server_id(c->s, r->id);
    return r;
}

struct http *request_blank(struct conn *c) { return request_make(c, 0); }

struct http *request_new(struct conn *c, const struct http1 *p, const char *head)
{
    static const char root[] = "/";
    struct http1_span seg[HTTP1_SEGMENTS_MAX];
    struct route_match m;
    struct http       *r = request_make(c, p->head_n + p->path.n + sizeof root);
    if (!r)
        return NULL;
    memcpy(r->bytes, head, p->head_n);
    r->head_n = p->head_n;
    r->path = p->path;
    r->query = p->query;
    r->minor = p->minor;
    r->keep = p->keep_alive;
    r->method = method_of((struct str){head + p->method.at, p->method.n});
    char *decoded = r->bytes + p->head_n;
    int   n = http1_path(http_path(r), decoded, seg);
    if (n < 0) /* "*" */
        return r;
    route_match(c->s->routes, r->method, decoded, seg, n, &m);
    r->route = m.route;
    r->allow = m.allow;
    memcpy(r->param, m.param, sizeof r->param);
    return r;
}

void request_free(struct http *r)
{
    r->c->s->bodies -= r->body.len;
    buf_deinit(&r->body);
    buf_deinit(&r->headers);
    arena_deinit(&r->arena);
    mem_free(r);
}

static void reply_no_route(struct http *r)
{
    static const char *const names[] = {"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"};
    struct err e = {.code = ERR_OK};
    struct str path = http_path(r);
    if (r->allow == 0) {
        (void)err_set(&e, ERR_NO_ROUTE, "nothing answers at %.*s; docs/using lists the paths", (int)(path.n < 200 ? path.n : 200), path.p);
    } else {
        char allow[64] = "";
        for (unsigned i = 0, n = 0; i < sizeof names / sizeof *names; i++)
            if (r->allow & 1u << i)
                n += (unsigned)(str_fmt(allow + n, sizeof allow - n, "%s%s", n ? ", " : "", names[i]) ? strlen(allow + n) : 0);
        http_header_add(r, "Allow", allow);
        (void)err_set(&e, ERR_METHOD, "%.*s answers to %s only", (int)(path.n < 200 ? path.n : 200), path.p, allow);
    }
    http_reply_err(r, &e);
}

bool request_admit(struct http *r)
{
    const struct server_opts *o = &r->c->s->opts;
    struct err                e = {.code = ERR_OK};
    atomic_fetch_add(&r->c->s->requests, 1);
    if (!r->route) {
        reply_no_route(r);
        return false;
    }
    int rc = o->authorise ? o->authorise(r, r->route, o->app, &e) : err_set(&e, ERR_FORBIDDEN, "this server has no rule that allows this request");
    if (rc != 0)
        http_reply_err(r, &e);
    return rc == 0;
}

void request_dispatch(struct http *r)
{
    struct conn *c = r->c;
    c->state = CONN_ANSWER;
    c->owed = 0;
    c->dispatching = true;
    r->route->fn(r, c->s->opts.app);
    c->dispatching = false;
    if (r->done)
        conn_answered(c);
}

enum http_method http_method(const struct http *r) { return r->method; }
struct str       http_path(const struct http *r) { return r->path.n ? (struct str){r->bytes + r->path.at, r->path.n} : STR("/"); }
struct str       http_header(const struct http *r, const char *name) { return http1_header(r->bytes, r->head_n, name); }
struct str       http_body(const struct http *r) { return (struct str){r->body.data ? r->body.data : "", r->body.len}; }
int              http_listener(const struct http *r) { return r->c->tag; }
const char      *http_id(const struct http *r) { return r->id; }
struct str       http_peer(const struct http *r) { return str_of(r->c->peer); }
uint64_t         http_start_ns(const struct http *r) { return r->start_ns; }
struct arena    *http_arena(struct http *r) { return &r->arena; }
struct server   *http_server(struct http *r) { return r->c->s; }
void            *http_user(const struct http *r) { return r->user; }
void             http_user_set(struct http *r, void *user) { r->user = user; }

struct str http_param(const struct http *r, const char *name)
{
    int i = r->route ? route_param(r->route, name) : -1;
    return i < 0 ? (struct str){NULL, 0} : (struct str){r->bytes + r->head_n + r->param[i].at, r->param[i].n};
}

bool http_query(const struct http *r, const char *name, struct str *out)
{
    return http_query_at(r, name, 0, out);
}

bool http_query_at(const struct http *r, const char *name, size_t i, struct str *out)
{
    struct str rest = {r->bytes + r->query.at, r->query.n};
    while (rest.p && rest.n) {
        struct str value = str_split(&rest, '&'), key = str_split(&value, '=');
        char      *text = arena_new((struct arena *)&r->arena, key.n + value.n + 1);
        int        n = text ? http1_decode(key, true, text) : -1;
        if (n < 0 || !str_eqz((struct str){text, (size_t)n}, name) || i-- > 0)
            continue;
        n = http1_decode(value, true, text);
        if (n < 0)
            return false;
        text[n] = 0;
        *out = (struct str){text, (size_t)n};
        return true;
    }
    return false;
}

void http_on_gone(struct http *r, void (*gone)(void *arg), void *arg)
{
    r->gone = gone;
    r->gone_arg = arg;
}
