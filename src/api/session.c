/* Requests of people who have signed in: the cookie, the role, and that a page of a stranger did not send them. */
#include "api/session.h"
#include "base/hash.h"
#include "ledger/event.h"
#include <string.h>

struct str cookie_of(struct http *r, const char *name)
{
    struct str rest = http_header(r, "cookie");
    while (rest.n) {
        struct str value = str_trim(str_split(&rest, ';')), key = str_split(&value, '=');
        if (str_eqz(key, name))
            return value.p ? value : STR("");
    }
    return (struct str){0};
}

bool https_outside(const struct api *a)
{
    return a->opts.sign_in && str_starts(str_of(a->opts.sign_in->oidc.redirect_uri), "https://");
}

const char *session_cookie(const struct api *a)
{
    return https_outside(a) ? "__Host-sluice-session" : "sluice-session"; /* a browser takes __Host- over https alone */
}

void csrf_token(struct api *a, struct str session, char out[CSRF_MAX])
{
    struct sha256 mac;
    ledger_mac(a->ledger, "csrf", session, &mac);
    str_to_hex(out, mac.b, sizeof mac.b);
}

/* The page that sends it is ours, as far as the browser says. */
static bool from_our_page(struct http *r)
{
    struct str origin = http_header(r, "origin"), site = http_header(r, "sec-fetch-site"), host = http_header(r, "host");
    if (site.n && !str_eqz(site, "same-origin") && !str_eqz(site, "none"))
        return false;
    if (!origin.n)
        return true;
    const char *at = origin.n > 8 ? memchr(origin.p, ':', origin.n) : NULL;
    size_t skip = at ? (size_t)(at - origin.p) + 3 : origin.n;
    return skip < origin.n && origin.n - skip == host.n && strncasecmp(origin.p + skip, host.p, host.n) == 0;
}

/* What changes something bears a token that only our page can read. */
static int check_csrf(struct api *a, struct http *r, struct str session, struct err *e)
{
    char want[CSRF_MAX];
    struct str has = http_header(r, "x-sluice-csrf");
    if (http_method(r) == HTTP_GET || http_method(r) == HTTP_HEAD)
        return 0;
    csrf_token(a, session, want);
    if (from_our_page(r) && has.n == CSRF_MAX - 1 && const_eq(has.p, want, CSRF_MAX - 1))
        return 0;
    return err_set(e, ERR_FORBIDDEN,
                   "the request was not sent by this server's page: send the header x-sluice-csrf with the csrf of GET /v1/sluice/me");
}

static struct str account_of(struct http *r)
{
    struct str v = http_header(r, "x-sluice-account"), q;
    return v.n ? v : http_query(r, "account", &q) ? q : (struct str){0};
}

static int check_role(const struct visitor *v, enum role need, struct str account, struct err *e)
{
    if (need == ROLE_NONE || v->person.role >= need)
        return 0;
    if (v->person.role == ROLE_NONE && account.n)
        return err_set(e, ERR_FORBIDDEN, "you are no member of the account '%.*s'; GET /v1/sluice/me lists yours",
                       (int)(account.n < 100 ? account.n : 100), account.p);
    if (v->person.role == ROLE_NONE)
        return err_set(e, ERR_FORBIDDEN, "say which account: ?account=NAME, or the header x-sluice-account; GET /v1/sluice/me lists yours");
    return err_set(e, ERR_FORBIDDEN, "this needs the role %s in the account %s, and you are %s; ask an owner of the account", role_names[need],
                   v->caller.who.org_name, role_names[v->person.role]);
}

/* ---- denials, for the account's audit log ---- */

struct denial {
    struct org_id org;
    char who[LEDGER_EMAIL_MAX], what[300], why[200];
};

static int note(struct work *w, struct err *e)
{
    struct denial *d = w->ctx;
    ledger_act_as(d->who);
    int rc = ledger_event(w->api->ledger, d->org, "denied", d->what, d->why, e);
    ledger_act_as(NULL);
    return rc;
}

static void noted(struct work *w)
{
    (void)w;
}

static void deny(struct api *a, struct http *r, const struct visitor *v, const struct err *why)
{
    struct work *w = work_new(a, NULL, "denied", note);
    struct denial *d = w ? mem_new(sizeof *d) : NULL;
    if (!d) {
        work_free(w);
        return;
    }
    struct str path = http_path(r);
    d->org = v->caller.who.org;
    (void)str_fmt(d->who, sizeof d->who, "%s", v->person.email);
    (void)str_fmt(d->what, sizeof d->what, "%s %.*s", http_method(r) == HTTP_GET ? "GET" : "POST", (int)(path.n < 200 ? path.n : 200), path.p);
    (void)str_fmt(d->why, sizeof d->why, "%.190s", why->msg);
    w->ctx = d, w->ctx_free = mem_free, w->then = noted;
    worker_run(a->worker, w);
}

int session_allow(struct api *a, struct http *r, enum role role, struct err *e)
{
    struct visitor *v = arena_new(http_arena(r), sizeof *v);
    struct str token = cookie_of(r, session_cookie(a)), account = account_of(r);
    if (!v)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    int rc = ledger_session(a->ledger, token, account, &v->person, &v->caller.who, e);
    if (rc < 0)
        return rc;
    if ((rc = check_csrf(a, r, token, e)) < 0 || (rc = check_role(v, role, account, e)) < 0) {
        deny(a, r, v, e);
        return rc;
    }
    http_user_set(r, v);
    return 0;
}
