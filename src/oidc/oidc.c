#include "oidc/oidc.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/client.h"

#include <string.h>

enum { ANSWER_MAX = 1 << 20, TOTAL_MS = 15000, REFETCH_S = 60, DISCOVERY_LIFE_S = 3600, GROUPS_MAX = 512 };

struct oidc {
    struct oidc_opts opts;
    char *text[6];
    struct oidc_provider provider;
    bool known;
    uint64_t known_ns, keys_ns; /* when discovery was fetched, and keys because a token named another */
    struct jwks *keys;
};

int oidc_new(struct oidc **out, const struct oidc_opts *o, struct err *e)
{
    const char *const from[6] = {o->issuer, o->client_id, o->client_secret, o->redirect_uri, o->scopes, o->groups_claim};
    struct oidc *x = mem_new(sizeof *x);
    *out = x;
    for (int i = 0; x && i < 6; i++)
        if (!(x->text[i] = mem_str(from[i] ? from[i] : "", strlen(from[i] ? from[i] : "")))) {
            oidc_free(x);
            x = *out = NULL;
        }
    if (!x)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    x->opts = (struct oidc_opts){x->text[0], x->text[1], x->text[2], x->text[3], x->text[4], x->text[5], o->skew_s ? o->skew_s : 60};
    bool local = str_starts(str_of(x->opts.issuer), "http://127.0.0.1") || str_starts(str_of(x->opts.issuer), "http://localhost") ||
                 str_starts(str_of(x->opts.issuer), "http://[::1]");
    if (str_starts(str_of(x->opts.issuer), "https://") || local)
        return 0;
    oidc_free(x);
    *out = NULL;
    return err_set(e, ERR_USAGE, "oidc-issuer: '%.200s' must begin with https:// (http:// is for a provider on this machine)", o->issuer);
}

void oidc_free(struct oidc *o)
{
    if (!o)
        return;
    for (int i = 0; i < 6; i++)
        if (o->text[i]) {
            explicit_bzero(o->text[i], strlen(o->text[i]));
            mem_free(o->text[i]);
        }
    jwks_free(o->keys);
    mem_free(o);
}

/* ---- what the provider tells ---- */

static int fetch(struct buf *out, const char *url, struct err *e)
{
    struct client_answer a = {0};
    struct client_req q = {.method = "GET", .url = url, .total_ms = TOTAL_MS, .answer_max = ANSWER_MAX};
    int rc = client_do(&a, &q, e);
    if (rc >= 0 && a.status != 200)
        rc = err_set(e, ERR_REMOTE, "the identity provider answers %d at %.300s; check oidc-issuer", a.status, url);
    if (rc >= 0)
        buf_add(out, a.body.data ? a.body.data : "", a.body.len);
    client_answer_deinit(&a);
    return rc < 0 ? rc : 0;
}

/* An address of the provider: https, or http where the issuer itself is. */
static bool endpoint(char out[1024], const struct json *j, const char *name, const char *issuer)
{
    struct str v = json_str(json_get(j, name));
    bool plain = str_starts(str_of(issuer), "http://");
    if (!v.n || !(str_starts(v, "https://") || (plain && str_starts(v, "http://"))))
        return false;
    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] <= 0x20 || (unsigned char)v.p[i] >= 0x7f || v.p[i] == '#')
            return false;
    return str_fmt(out, 1024, "%.*s", (int)v.n, v.p);
}

static bool lists(const struct json *arr, const char *word)
{
    for (size_t i = 0; i < json_len(arr) && json_type(arr) == JSON_ARR; i++)
        if (str_eqz(json_str(json_at(arr, i)), word))
            return true;
    return false;
}

int oidc_provider_read(struct oidc_provider *out, struct str text, const char *issuer, struct err *e)
{
    struct json *j = NULL;
    *out = (struct oidc_provider){0};
    if (json_parse(&j, text.p, text.n, NULL) < 0)
        return err_set(e, ERR_REMOTE, "the identity provider's discovery document is no JSON; check oidc-issuer");
    struct str said = json_str(json_get(j, "issuer"));
    const struct json *how = json_get(j, "token_endpoint_auth_methods_supported");
    out->basic = json_type(how) == JSON_NULL || lists(how, "client_secret_basic");
    int rc = 0;
    if (!str_eqz(said, issuer)) /* else one provider could speak for another (mix-up) */
        rc = err_set(e, ERR_REMOTE, "the identity provider calls itself '%.200s'; set oidc-issuer to exactly that, if it is yours",
                     said.p ? said.p : "");
    else if (!endpoint(out->authorization, j, "authorization_endpoint", issuer) || !endpoint(out->token, j, "token_endpoint", issuer) ||
             !endpoint(out->jwks, j, "jwks_uri", issuer))
        rc = err_set(e, ERR_REMOTE, "the identity provider's discovery document names no usable authorization_endpoint, token_endpoint or jwks_uri");
    else if (json_type(json_get(j, "code_challenge_methods_supported")) == JSON_ARR &&
             !lists(json_get(j, "code_challenge_methods_supported"), "S256"))
        rc = err_set(e, ERR_REMOTE, "the identity provider does not take PKCE with S256, which sluice needs");
    else if (!endpoint(out->end_session, j, "end_session_endpoint", issuer))
        out->end_session[0] = 0;
    json_free(j);
    return rc;
}

static bool older(uint64_t then_ns, uint64_t seconds)
{
    return clock_ns() - then_ns > seconds * 1000000000ull;
}

static int discover(struct oidc *o, struct err *e)
{
    struct buf url, text;
    struct oidc_provider fresh;
    struct str issuer = str_of(o->opts.issuer);
    if (o->known && !older(o->known_ns, DISCOVERY_LIFE_S))
        return 0;
    buf_init(&url, 4096), buf_init(&text, ANSWER_MAX);
    buf_fmt(&url, "%.*s/.well-known/openid-configuration", (int)(issuer.n - str_ends(issuer, "/")), issuer.p);
    int rc = fetch(&text, url.data, e);
    if (rc == 0)
        rc = oidc_provider_read(&fresh, (struct str){text.data, text.len}, o->opts.issuer, e);
    if (rc == 0)
        o->provider = fresh, o->known = true, o->known_ns = clock_ns();
    else if (o->known) /* what was known still holds while the provider is away */
        log_line(LOG_WARN, "oidc", "%s", e->msg), *e = (struct err){0}, rc = 0;
    buf_deinit(&url), buf_deinit(&text);
    return rc;
}

static int fetch_keys(struct oidc *o, struct err *e)
{
    struct buf text;
    struct jwks *fresh = NULL;
    buf_init(&text, ANSWER_MAX);
    int rc = fetch(&text, o->provider.jwks, e);
    if (rc == 0)
        rc = jwks_read(&fresh, (struct str){text.data, text.len}, e);
    buf_deinit(&text);
    if (rc == 0) {
        jwks_free(o->keys);
        o->keys = fresh;
    }
    return rc;
}

/* ---- the first half ---- */

static void random_text(char out[OIDC_RANDOM + 1])
{
    uint8_t bytes[32];
    struct buf b;
    random_bytes(bytes, sizeof bytes);
    buf_init(&b, 64);
    base64url_write(&b, bytes, sizeof bytes);
    ASSERT(b.len == OIDC_RANDOM);
    memcpy(out, b.data, OIDC_RANDOM + 1);
    buf_deinit(&b);
}

static void put_escaped(struct buf *out, const char *z)
{
    static const char hex[] = "0123456789ABCDEF";
    for (; *z; z++) {
        unsigned char c = (unsigned char)*z;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~')
            buf_char(out, (char)c);
        else
            buf_char(out, '%'), buf_char(out, hex[c >> 4]), buf_char(out, hex[c & 15]);
    }
}

static void put_field(struct buf *out, const char *name, const char *value)
{
    buf_fmt(out, "%s%s=", out->len && out->data[out->len - 1] != '?' ? "&" : "", name);
    put_escaped(out, value);
}

int oidc_begin(struct oidc *o, struct oidc_login *login, struct buf *url, struct err *e)
{
    struct sha256 digest;
    struct buf challenge, scope;
    int rc = discover(o, e);
    if (rc < 0)
        return rc;
    random_text(login->state), random_text(login->nonce), random_text(login->verifier);
    sha256(&digest, login->verifier, OIDC_RANDOM);
    buf_init(&challenge, 64), buf_init(&scope, 4096);
    base64url_write(&challenge, &digest, sizeof digest);
    buf_fmt(&scope, "openid%s%s", *o->opts.scopes ? " " : "", o->opts.scopes);
    buf_fmt(url, "%s%c", o->provider.authorization, strchr(o->provider.authorization, '?') ? '&' : '?');
    put_field(url, "response_type", "code"), put_field(url, "client_id", o->opts.client_id);
    put_field(url, "redirect_uri", o->opts.redirect_uri), put_field(url, "scope", scope.data), put_field(url, "state", login->state);
    put_field(url, "nonce", login->nonce), put_field(url, "code_challenge", challenge.data), put_field(url, "code_challenge_method", "S256");
    rc = url->failed || scope.failed ? err_set(e, ERR_NO_MEMORY, "out of memory") : 0;
    buf_deinit(&challenge), buf_deinit(&scope);
    return rc;
}

/* ---- the second half ---- */

/* The token endpoint's answer: its id_token, in out. */
static int exchange(struct oidc *o, const struct oidc_login *login, const char *code, struct buf *out, struct err *e)
{
    struct buf body, pair, header;
    struct client_answer a = {0};
    struct json *j = NULL;
    bool secret = *o->opts.client_secret, basic = secret && o->provider.basic;
    buf_init(&body, 64 << 10), buf_init(&pair, 8192), buf_init(&header, 16 << 10);
    put_field(&body, "grant_type", "authorization_code"), put_field(&body, "code", code), put_field(&body, "redirect_uri", o->opts.redirect_uri);
    put_field(&body, "code_verifier", login->verifier);
    if (!basic)
        put_field(&body, "client_id", o->opts.client_id);
    if (secret && !basic)
        put_field(&body, "client_secret", o->opts.client_secret);
    put_escaped(&pair, o->opts.client_id), buf_char(&pair, ':'), put_escaped(&pair, o->opts.client_secret); /* RFC 6749, 2.3.1 */
    buf_str(&header, "Authorization: Basic "), buf_base64(&header, pair.data, pair.len);
    struct client_req q = {.method = "POST",
                           .url = o->provider.token,
                           .body = body.data,
                           .n_body = body.len,
                           .total_ms = TOTAL_MS,
                           .answer_max = ANSWER_MAX,
                           .header = {"Content-Type: application/x-www-form-urlencoded", basic ? header.data : NULL}};
    int rc = client_do(&a, &q, e);
    if (rc >= 0 && (json_parse(&j, a.body.data ? a.body.data : "", a.body.len, NULL) < 0 || a.status != 200)) {
        struct str why = json_str(json_get(j, "error"));
        rc = err_set(e, a.status >= 500 ? ERR_REMOTE : ERR_AUTH, "the identity provider did not give a token (%d %.100s); sign in again", a.status,
                     why.p ? why.p : "");
    }
    struct str token = rc < 0 ? STR("") : json_str(json_get(j, "id_token"));
    if (rc >= 0 && !token.n)
        rc = err_set(e, ERR_REMOTE, "the identity provider's answer has no id_token; is this client allowed the scope openid?");
    else if (rc >= 0)
        buf_add(out, token.p, token.n);
    if (body.data)
        explicit_bzero(body.data, body.len);
    if (pair.data)
        explicit_bzero(pair.data, pair.len);
    if (header.data)
        explicit_bzero(header.data, header.len);
    json_free(j);
    client_answer_deinit(&a);
    buf_deinit(&body), buf_deinit(&pair), buf_deinit(&header);
    return rc < 0 ? rc : 0;
}

static int no(struct err *e, const char *why)
{
    return err_set(e, ERR_AUTH, "the identity provider's token is not valid: %s", why);
}

static bool number(const struct json *j, const char *name, double *out)
{
    const struct json *v = json_get(j, name);
    *out = json_num(v);
    return (json_type(v) == JSON_INT || json_type(v) == JSON_REAL) && *out > -1e15 && *out < 1e15;
}

/* aud: our client, alone or, named as azp, among others. */
static bool for_us(const struct json *claims, const char *client)
{
    const struct json *aud = json_get(claims, "aud"), *azp = json_get(claims, "azp");
    if (json_type(azp) != JSON_NULL && !str_eqz(json_str(azp), client))
        return false;
    if (json_type(aud) == JSON_STR)
        return str_eqz(json_str(aud), client);
    return lists(aud, client) && (json_len(aud) == 1 || json_type(azp) == JSON_STR);
}

int oidc_claims_check(const struct json *c, const struct oidc_opts *o, const char *nonce, int64_t now_s, struct err *e)
{
    double exp, iat, nbf, now = (double)now_s, skew = o->skew_s;
    struct str sub = json_str(json_get(c, "sub")), said = json_str(json_get(c, "nonce"));
    if (!str_eqz(json_str(json_get(c, "iss")), o->issuer))
        return no(e, "it is another issuer's");
    if (!for_us(c, o->client_id))
        return no(e, "it is for another client");
    if (!number(c, "exp", &exp) || exp + skew <= now)
        return no(e, "it is over; is a clock wrong?");
    if (!number(c, "iat", &iat) || iat - skew > now)
        return no(e, "it is from the future; is a clock wrong?");
    if (json_type(json_get(c, "nbf")) != JSON_NULL && (!number(c, "nbf", &nbf) || nbf - skew > now))
        return no(e, "it is not good yet; is a clock wrong?");
    if (said.n != strlen(nonce) || !const_eq(said.p, nonce, said.n))
        return no(e, "it is of another sign-in");
    return sub.n && sub.n <= 255 ? 0 : no(e, "it does not say whom it is about");
}

static int read_who(const struct oidc *o, struct oidc_who *who, struct err *e)
{
    const struct json *c = who->token.claims, *email = json_get(c, "email"), *sure = json_get(c, "email_verified");
    const struct json *groups = json_get(c, *o->opts.groups_claim ? o->opts.groups_claim : "groups");
    bool verified = json_bool(sure) || str_eqz(json_str(sure), "true"); /* some write it as text */
    who->issuer = o->opts.issuer, who->subject = json_str(json_get(c, "sub")).p;
    who->email = json_type(email) == JSON_STR && verified ? json_str(email).p : NULL;
    who->name = json_type(json_get(c, "name")) == JSON_STR ? json_str(json_get(c, "name")).p : NULL;
    size_t n = json_type(groups) == JSON_STR ? 1 : json_type(groups) == JSON_ARR ? json_len(groups) : 0;
    n = n < GROUPS_MAX ? n : GROUPS_MAX;
    if (n && !(who->groups = mem_array(n, sizeof *who->groups)))
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct str one = json_str(json_type(groups) == JSON_STR ? groups : json_at(groups, i));
        if (one.n)
            who->groups[who->n_groups++] = one;
    }
    return 0;
}

/* The signature, with newer keys when the token names one that is not known. */
static int verify(struct oidc *o, const struct jwt *t, struct err *e)
{
    struct err why = {0};
    bool unknown = true;
    int rc = o->keys ? 0 : fetch_keys(o, e);
    if (rc < 0 || (rc = jwt_verify(t, o->keys, &unknown, &why)) == 0)
        return rc;
    if (!unknown || (o->keys_ns && !older(o->keys_ns, REFETCH_S))) {
        *e = why;
        return rc;
    }
    o->keys_ns = clock_ns();
    rc = fetch_keys(o, e);
    return rc < 0 ? rc : jwt_verify(t, o->keys, &unknown, e);
}

int oidc_finish(struct oidc *o, const struct oidc_login *login, struct str code, struct oidc_who *who, struct err *e)
{
    char text[4096];
    *who = (struct oidc_who){0};
    buf_init(&who->text, JWT_MAX + 1);
    if (!code.n || !str_fmt(text, sizeof text, "%.*s", (int)code.n, code.p))
        return err_set(e, ERR_AUTH, "the identity provider's code is missing or too long; sign in again");
    int rc = discover(o, e);
    if (rc == 0)
        rc = exchange(o, login, text, &who->text, e);
    if (rc == 0 && who->text.failed)
        rc = no(e, "it is too long");
    if (rc == 0)
        rc = jwt_read(&who->token, (struct str){who->text.data, who->text.len}, e);
    if (rc == 0)
        rc = verify(o, &who->token, e);
    if (rc == 0)
        rc = oidc_claims_check(who->token.claims, &o->opts, login->nonce, clock_now_us() / 1000000, e);
    return rc == 0 ? read_who(o, who, e) : rc;
}

void oidc_who_deinit(struct oidc_who *who)
{
    mem_free(who->groups);
    jwt_deinit(&who->token);
    buf_deinit(&who->text);
    *who = (struct oidc_who){0};
}
