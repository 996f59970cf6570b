/* Signing in: to the identity provider and back, a session, and its end. The provider is asked on a worker of its own: it may be slow, and nothing
 * else waits for it. */
#include "api/session.h"
#include "base/hash.h"
#include "base/log.h"
#include "ledger/event.h"
#include <string.h>

enum { LOGIN_SECONDS = 600, WAITING_MAX = 64, COOKIE_MAX = 1024 };
static const char login_cookie[] = "sluice-login";

struct job {
    struct oidc_login login;
    struct buf url; /* where the browser is sent */
    char code[4096];
    char token[SESSION_TOKEN_MAX];
    char cookie[COOKIE_MAX]; /* of the login, when one begins */
};

static void job_free(void *arg)
{
    struct job *j = arg;
    buf_deinit(&j->url);
    explicit_bzero(j, sizeof *j);
    mem_free(j);
}

static void cookie_set(struct http *r, const struct api *a, const char *name, const char *value, const char *path, const char *site, uint32_t seconds)
{
    char text[COOKIE_MAX];
    if (str_fmt(text, sizeof text, "%s=%s; Path=%s; Max-Age=%u; HttpOnly; SameSite=%s%s", name, value, path, seconds, site,
                https_outside(a) ? "; Secure" : ""))
        http_header_add(r, "set-cookie", text);
}

/* state.nonce.verifier.expiry.mac: the server keeps nothing of who has not signed in yet. */
static bool login_pack(struct api *a, const struct oidc_login *x, char out[COOKIE_MAX])
{
    char text[3 * (OIDC_RANDOM + 1) + 32], hex[2 * sizeof(struct sha256) + 1];
    struct sha256 mac;
    if (!str_fmt(text, sizeof text, "%s.%s.%s.%lld", x->state, x->nonce, x->verifier, (long long)(clock_now_us() / 1000000 + LOGIN_SECONDS)))
        return false;
    ledger_mac(a->ledger, "login", str_of(text), &mac);
    str_to_hex(hex, mac.b, sizeof mac.b);
    return str_fmt(out, COOKIE_MAX, "%s.%s", text, hex);
}

static bool piece(struct str *rest, char out[OIDC_RANDOM + 1])
{
    struct str v = str_split(rest, '.');
    if (v.n != OIDC_RANDOM)
        return false;
    memcpy(out, v.p, OIDC_RANDOM);
    return true;
}

static bool login_unpack(struct api *a, struct str cookie, struct oidc_login *out)
{
    struct sha256 want, has;
    struct str rest = cookie;
    int64_t expires;
    *out = (struct oidc_login){0};
    if (cookie.n < 2 * sizeof want + 1 || !str_hex((struct str){cookie.p + cookie.n - 2 * sizeof has, 2 * sizeof has}, has.b, sizeof has.b))
        return false;
    ledger_mac(a->ledger, "login", (struct str){cookie.p, cookie.n - 2 * sizeof has - 1}, &want);
    if (!const_eq(&want, &has, sizeof want) || !piece(&rest, out->state) || !piece(&rest, out->nonce) || !piece(&rest, out->verifier))
        return false;
    return str_i64(str_split(&rest, '.'), &expires) && expires > clock_now_us() / 1000000;
}

static void redirect(struct http *r, const char *where)
{
    http_header_add(r, "location", where);
    http_header_add(r, "cache-control", "no-store");
    http_reply(r, 302, "text/plain", "", 0);
}

static void refuse(struct http *r, const struct err *e)
{
    http_header_add(r, "cache-control", "no-store");
    errors_reply(r, e);
}

/* ---- the first half ---- */

static int begin(struct work *w, struct err *e)
{
    struct job *j = w->ctx;
    int rc = oidc_begin(w->api->oidc, &j->login, &j->url, e);
    return rc == 0 && !login_pack(w->api, &j->login, j->cookie) ? err_set(e, ERR_INTERNAL, "the cookie of the sign-in is too long") : rc;
}

static void begun(struct work *w)
{
    struct job *j = w->ctx;
    w->api->signing_in--;
    if (w->r && w->err.code != ERR_OK) {
        refuse(w->r, &w->err);
    } else if (w->r) {
        log_answer(w->r, "login", 302);
        cookie_set(w->r, w->api, login_cookie, j->cookie, "/auth", "Lax", LOGIN_SECONDS); /* Lax: the provider's redirect brings it */
        redirect(w->r, j->url.data);
    }
}

/* ---- the second half ---- */

static int finish(struct work *w, struct err *e)
{
    struct job *j = w->ctx;
    struct oidc_who who;
    int rc = oidc_finish(w->api->oidc, &j->login, str_of(j->code), &who, e);
    if (rc == 0) {
        struct identity id = {who.issuer, who.subject, who.email, who.groups, who.n_groups};
        rc = ledger_sign_in(w->api->ledger, &id, &w->api->opts.sign_in->rules, j->token, e);
    } else if (rc == -ERR_AUTH) { /* of whom, nobody knows */
        struct err lost;
        if (ledger_event(w->api->ledger, (struct org_id){0}, "sign-in.failed", "", e->msg, &lost) < 0)
            log_line(LOG_ERROR, "sign-in", "%s", lost.msg);
    }
    oidc_who_deinit(&who);
    return rc;
}

static void finished(struct work *w)
{
    struct job *j = w->ctx;
    w->api->signing_in--;
    if (!w->r)
        return;
    cookie_set(w->r, w->api, login_cookie, "", "/auth", "Lax", 0);
    if (w->err.code != ERR_OK) {
        refuse(w->r, &w->err);
        return;
    }
    log_answer(w->r, "callback", 302);
    cookie_set(w->r, w->api, session_cookie(w->api), j->token, "/", "Strict", w->api->opts.sign_in->rules.seconds);
    redirect(w->r, "/");
}

/* Whether a sign-in may begin or go on; else r is answered. */
static struct work *start(struct http *r, struct api *a, int (*fn)(struct work *, struct err *), void (*then)(struct work *), struct err *e)
{
    struct job *j;
    struct work *w;
    if (!a->oidc) {
        err_set(e, ERR_NO_ROUTE, "nobody can sign in here: the operator has set no oidc-issuer");
        return NULL;
    }
    if (!a->started || a->draining || a->signing_in >= WAITING_MAX) {
        err_set(e, ERR_BUSY, "too many people sign in at once; try again in a moment");
        return NULL;
    }
    if (!(j = mem_new(sizeof *j)) || !(w = work_new(a, r, "sign-in", fn))) {
        mem_free(j);
        err_set(e, ERR_NO_MEMORY, "out of memory");
        return NULL;
    }
    buf_init(&j->url, 64 << 10);
    w->ctx = j, w->ctx_free = job_free, w->then = then;
    return w;
}

static void go(struct api *a, struct work *w)
{
    a->signing_in++;
    worker_run(a->sign_ins, w);
}

void route_login(struct http *r, void *app)
{
    struct err e = {0};
    struct work *w = start(r, app, begin, begun, &e);
    if (w)
        go(app, w);
    else
        refuse(r, &e);
}

/* What the browser brings back must be of the sign-in that this browser began. */
static int returned(struct api *a, struct http *r, struct job *j, struct err *e)
{
    struct str state, code, fault;
    if (!login_unpack(a, cookie_of(r, login_cookie), &j->login))
        return err_set(e, ERR_AUTH, "this sign-in took too long, or was begun in another browser; begin again at /auth/login");
    if (!http_query(r, "state", &state) || state.n != OIDC_RANDOM || !const_eq(state.p, j->login.state, OIDC_RANDOM))
        return err_set(e, ERR_AUTH, "the identity provider's answer is of another sign-in; begin again at /auth/login");
    if (http_query(r, "error", &fault))
        return err_set(e, ERR_AUTH, "the identity provider refuses: %.*s", (int)(fault.n < 100 ? fault.n : 100), fault.p);
    if (!http_query(r, "code", &code) || !str_fmt(j->code, sizeof j->code, "%.*s", (int)code.n, code.p))
        return err_set(e, ERR_AUTH, "the identity provider sent no code; begin again at /auth/login");
    return 0;
}

void route_callback(struct http *r, void *app)
{
    struct err e = {0};
    struct work *w = start(r, app, finish, finished, &e);
    if (w && returned(app, r, w->ctx, &e) == 0) {
        go(app, w);
        return;
    }
    work_free(w);
    refuse(r, &e);
}

/* ---- who one is, and the end ---- */

void route_me(struct http *r, void *app)
{
    struct api *a = app;
    const struct visitor *v = http_user(r);
    char csrf[CSRF_MAX];
    struct buf person, out;
    buf_init(&person, 1 << 20), buf_init(&out, 1 << 20);
    csrf_token(a, cookie_of(r, session_cookie(a)), csrf);
    ledger_report_person(a->ledger, &v->person, &person);
    buf_fmt(&out, "{\"object\":\"sluice.person\",\"csrf\":\"%s\",", csrf);
    buf_add(&out, person.data ? person.data + 1 : "}", person.data ? person.len - 1 : 1);
    http_header_add(r, "cache-control", "no-store");
    log_answer(r, "me", 200);
    http_reply(r, 200, "application/json", out.data, out.len);
    buf_deinit(&person), buf_deinit(&out);
}

static int end(struct work *w, struct err *e)
{
    struct job *j = w->ctx;
    ledger_act_as(j->code);
    int rc = ledger_session_end(w->api->ledger, str_of(j->token), e);
    ledger_act_as(NULL);
    buf_str(&w->out, "{}");
    return rc;
}

void route_logout(struct http *r, void *app)
{
    struct api *a = app;
    const struct visitor *v = http_user(r);
    struct err e = {0};
    struct job *j = mem_new(sizeof *j);
    struct work *w = j ? work_new(a, r, "logout", end) : NULL;
    struct str token = cookie_of(r, session_cookie(a));
    if (!w || !str_fmt(j->token, sizeof j->token, "%.*s", (int)token.n, token.p) || !str_fmt(j->code, sizeof j->code, "%s", v->person.email)) {
        mem_free(j);
        work_free(w);
        err_set(&e, ERR_NO_MEMORY, "out of memory");
        refuse(r, &e);
        return;
    }
    buf_init(&j->url, 0);
    w->ctx = j, w->ctx_free = job_free;
    cookie_set(r, a, session_cookie(a), "", "/", "Strict", 0);
    worker_run(a->worker, w);
}
