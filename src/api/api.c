/* Making the api, who may call what, and how it ends. */
#include "api/call.h"
#include "api/session.h"
#include "base/hash.h"
#include "base/log.h"
#include <string.h>

static const struct route routes[] = {
#define ROUTE(method, pattern, access, fn) {HTTP_##method, pattern, ACCESS_##access, fn},
#include "api/routes.def"
#undef ROUTE
#define ADMIN(name, method, path) {HTTP_##method, path, ACCESS_ADMIN, route_admin},
#include "api/admin.def"
#undef ADMIN
};

int api_new(struct api **out, const struct api_opts *o, struct err *e)
{
    struct api *a = mem_new(sizeof *a);
    if (!a)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    a->opts = *o;
    a->start_ns = clock_ns();
    buf_init(&a->scratch, 0);
    *out = a;
    return 0;
}

int api_start(struct api *a, struct server *s, struct ledger *l, const struct backend *b, struct err *e)
{
    a->server = s, a->ledger = l, a->backend = *b;
    int rc = worker_new(&a->worker, e);
    if (rc >= 0)
        rc = worker_new(&a->texts, e);
    if (rc >= 0 && a->opts.sign_in)
        rc = oidc_new(&a->oidc, &a->opts.sign_in->oidc, e);
    if (rc >= 0 && a->oidc)
        rc = worker_new(&a->sign_ins, e);
    a->started = rc >= 0;
    return rc;
}

bool api_busy(const struct api *a)
{
    return a->calls != NULL;
}

void api_stop(struct api *a)
{
    if (!a)
        return;
    worker_free(a->sign_ins);
    worker_free(a->worker);
    worker_free(a->texts);
    oidc_free(a->oidc);
    a->worker = a->texts = a->sign_ins = NULL;
    a->oidc = NULL;
    a->ledger = NULL;
}

void api_free(struct api *a)
{
    if (!a)
        return;
    api_stop(a);
    while (a->calls) /* the ledger finishes them at its next start, from the journal */
        call_free(a->calls);
    buf_deinit(&a->scratch);
    mem_free(a);
}

void api_post(void *server, void (*fn)(void *), void *arg)
{
    server_post(server, fn, arg);
}

/* ---- who may call ---- */

/* The host of a Host header: without the port, brackets kept. */
static struct str host_name(struct str h)
{
    if (h.n && h.p[0] == '[') {
        const char *end = memchr(h.p, ']', h.n);
        return end ? (struct str){h.p, (size_t)(end - h.p) + 1} : h;
    }
    return str_split(&h, ':');
}

static bool host_allowed(const struct api *a, struct str host)
{
    static const char *const local[] = {"localhost", "127.0.0.1", "[::1]"};
    struct str name = host_name(host), rest = str_of(a->opts.hosts ? a->opts.hosts : "");
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++)
        if (str_ieqz(name, local[i]))
            return true;
    while (rest.n) {
        struct str one = str_trim(str_split(&rest, ','));
        if (one.n && one.n == name.n && strncasecmp(one.p, name.p, name.n) == 0)
            return true;
    }
    return false;
}

static bool loopback(struct str peer)
{
    return str_starts(peer, "127.") || str_eqz(peer, "::1") || str_starts(peer, "::ffff:127.");
}

/* "Authorization: Bearer KEY", or Azure's "api-key: KEY". */
static struct str key_of(struct http *r)
{
    struct str h = http_header(r, "authorization");
    if (h.n > 7 && strncasecmp(h.p, "bearer ", 7) == 0)
        return str_trim((struct str){h.p + 7, h.n - 7});
    return h.n ? (struct str){"", 0} : http_header(r, "api-key");
}

/* A proxy speaks for others, and says so: the peer's address is not the client's then. */
static bool forwarded_by_proxy(struct http *r)
{
    static const char *const forwarded[] = {"forwarded", "x-forwarded-for", "x-real-ip", "via"};
    for (size_t i = 0; i < sizeof forwarded / sizeof forwarded[0]; i++)
        if (http_header(r, forwarded[i]).n)
            return true;
    return false;
}

/* Asked from this machine itself. */
static bool from_here(struct http *r)
{
    return !forwarded_by_proxy(r) && loopback(http_peer(r));
}

static int allow_local(struct api *a, struct http *r, struct err *e)
{
    struct str key = key_of(r), want = str_of(a->opts.metrics_key ? a->opts.metrics_key : "");
    if (http_listener(r) == LISTEN_ADMIN || from_here(r) || (want.n && key.n == want.n && const_eq(key.p, want.p, want.n)))
        return 0;
    return err_set(e, ERR_FORBIDDEN, "this address answers on the server's own machine, or to the key of metrics-key-file");
}

/* What a route asks for: a scope of a key, a role of somebody who has signed in, or one of them. scope 0: no key opens it; role NONE: no session. */
struct right {
    unsigned scope;
    enum role role;
};
static const struct right *right_of(enum access access)
{
    static const struct right rights[] = {[ACCESS_INFERENCE] = {KEY_INFERENCE, ROLE_NONE},
                                          [ACCESS_EMBEDDINGS] = {KEY_EMBEDDINGS, ROLE_NONE},
                                          [ACCESS_MODELS] = {KEY_MODELS, ROLE_NONE},
                                          [ACCESS_USAGE] = {KEY_USAGE, ROLE_VIEWER},
                                          [ACCESS_EVENTS] = {KEY_EVENTS, ROLE_NONE},
                                          [ACCESS_VIEWER] = {0, ROLE_VIEWER},
                                          [ACCESS_DEVELOPER] = {0, ROLE_DEVELOPER},
                                          [ACCESS_MANAGER] = {0, ROLE_ADMIN},
                                          [ACCESS_OWNER] = {0, ROLE_OWNER}};
    return &rights[access];
}

/* A good key is asked what it may: from where, then what for. */
static int key_allowed(struct api *a, struct http *r, const struct principal *who, unsigned scope, struct err *e)
{
    char need[KEY_SCOPES_TEXT_MAX], have[KEY_SCOPES_TEXT_MAX], mended[KEY_SCOPES_TEXT_MAX];
    struct str peer = http_peer(r);
    bool proxied = forwarded_by_proxy(r);
    if (!ledger_key_address(a->ledger, who->key, proxied ? STR("") : peer))
        return err_set(
            e, ERR_FORBIDDEN,
            "the key %s may not be used from %.*s%s; call from an address that it is allowed from, or widen it: sluice key set %s --allow NETWORKS",
            who->public_id, (int)peer.n, peer.p, proxied ? ", a proxy, for others" : "", who->public_id);
    if (who->scopes & scope)
        return 0;
    key_scopes_text(need, scope), key_scopes_text(have, who->scopes), key_scopes_text(mended, who->scopes | scope);
    return err_set(e, ERR_FORBIDDEN,
                   "the key %s lacks the scope %s that this address needs (it has %s); use another key, or add it: sluice key set %s --scopes %s",
                   who->public_id, need, have, who->public_id, mended);
}

static int find_principal(struct api *a, struct http *r, unsigned scope, struct err *e)
{
    struct caller *caller = arena_new(http_arena(r), sizeof *caller);
    struct principal *who = &caller->who;
    if (!caller)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    struct str key = key_of(r);
    int rc = ledger_principal(a->ledger, key, who, e);
    if (rc >= 0 && (rc = key_allowed(a, r, who, scope, e)) >= 0)
        http_user_set(r, caller);
    else if (rc == -ERR_AUTH) /* RFC 9110 wants it, RFC 6750 says how */
        http_header_add(r, "www-authenticate", key.n ? "Bearer realm=\"sluice\", error=\"invalid_token\"" : "Bearer realm=\"sluice\"");
    return rc;
}

/* A key where one is sent, else a session. */
static int find_caller(struct api *a, struct http *r, const struct right *right, struct err *e)
{
    bool key = http_header(r, "authorization").n || http_header(r, "api-key").n;
    if (right->role != ROLE_NONE && !key && (!right->scope || cookie_of(r, session_cookie(a)).n))
        return session_allow(a, r, right->role, e);
    if (right->scope)
        return find_principal(a, r, right->scope, e);
    return err_set(e, ERR_AUTH, "no key opens this address: sign in at /auth/login, and send the session's cookie alone");
}

static int authorise(struct http *r, const struct route *route, void *app, struct err *e)
{
    struct api *a = app;
    bool admin = http_listener(r) == LISTEN_ADMIN;
    if (http_listener(r) == LISTEN_LOOPBACK && !host_allowed(a, http_header(r, "host")))
        return err_set(e, ERR_FORBIDDEN,
                       "the Host header names another machine; call this server as 127.0.0.1 or localhost, or allow the name with --hosts");
    if (!a->started && route->access != ACCESS_PUBLIC)
        return err_set(e, ERR_UNAVAILABLE, "the server is starting");
    switch ((enum access)route->access) {
    case ACCESS_PUBLIC:
    case ACCESS_PAGE: return 0;
    case ACCESS_LOCAL: return allow_local(a, r, e);
    case ACCESS_INFERENCE:
    case ACCESS_EMBEDDINGS:
    case ACCESS_MODELS:
    case ACCESS_USAGE:
    case ACCESS_EVENTS:
    case ACCESS_VIEWER:
    case ACCESS_DEVELOPER:
    case ACCESS_MANAGER:
    case ACCESS_OWNER: return find_caller(a, r, right_of((enum access)route->access), e);
    case ACCESS_SIGNED_IN: return session_allow(a, r, ROLE_NONE, e);
    case ACCESS_ADMIN: return admin ? 0 : err_set(e, ERR_NO_ROUTE, "there is nothing at this address");
    case ACCESS_DENY: break;
    }
    return err_set(e, ERR_NO_ROUTE, "there is nothing at this address");
}

void api_server_opts(struct api *a, struct server_opts *out)
{
    out->routes = routes, out->n_routes = sizeof routes / sizeof routes[0];
    out->authorise = authorise;
    out->error_body = errors_body;
    out->head = rate_headers;
    out->app = a;
}

/* ---- the end ---- */

static void cancel_all(void *arg)
{
    struct api *a = arg;
    timer_free(a->drain_timer);
    a->drain_timer = NULL;
    for (struct call *c = a->calls; c; c = c->next)
        call_cancel(c, ERR_UNAVAILABLE, "the server is shutting down and this answer took too long; try again in a moment");
}

void api_drain(struct api *a, uint32_t ms)
{
    if (a->draining)
        return;
    a->draining = true;
    gate_drain(a);
    a->drain_timer = server_timer(a->server, ms, cancel_all, a);
}

void route_page(struct http *r, void *app)
{
    struct api *a = app;
    struct err e;
    if (a->opts.page) {
        a->opts.page(r);
        return;
    }
    err_set(&e, ERR_NO_ROUTE, "this server has no page");
    errors_reply(r, &e);
}
