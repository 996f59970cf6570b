/* OpenID Connect, the side that relies: the authorization code flow with PKCE, from a provider's issuer URL to who has signed in.
 *
 * Discovery and keys are fetched when first needed and kept; keys are fetched anew when a token names one that is not among them (at most once a
 * minute), so that a provider may change them. Nothing of a token is kept: no cache stands between a token and its check. */
#pragma once
#include "base/buf.h"
#include "base/json.h"
#include "oidc/jose.h"

struct oidc_opts {                         /* copied */
    const char *issuer;                    /* "https://login.example.com": exactly as the provider writes it */
    const char *client_id, *client_secret; /* secret "": a public client, PKCE alone */
    const char *redirect_uri;              /* of the callback, as it is registered with the provider */
    const char *scopes;                    /* beside openid: "email profile groups" */
    const char *groups_claim;              /* "groups" */
    uint32_t skew_s;                       /* that clocks may differ; 0: 60 */
};
struct oidc;
int oidc_new(struct oidc **out, const struct oidc_opts *o, struct err *e) MUST_USE;
void oidc_free(struct oidc *o);

/* What one sign-in keeps between its two halves: in the browser's cookie. */
enum { OIDC_RANDOM = 43 };
struct oidc_login {
    char state[OIDC_RANDOM + 1], nonce[OIDC_RANDOM + 1], verifier[OIDC_RANDOM + 1];
};
/* A fresh one, and where the browser is sent with it. Asks the provider when its addresses are not known yet. [waits; one thread at a time] */
int oidc_begin(struct oidc *o, struct oidc_login *login, struct buf *url, struct err *e) MUST_USE;

/* Who it is. Strings live until oidc_who_deinit. */
struct oidc_who {
    const char *issuer, *subject, *email, *name; /* email NULL: none that the provider has verified; name NULL: none */
    struct str *groups;
    size_t n_groups;
    struct jwt token;
    struct buf text;
};
/* The second half: the code for a token, the token's checks. ERR_AUTH, ERR_REMOTE, ERR_UNAVAILABLE. [waits; one thread at a time] */
int oidc_finish(struct oidc *o, const struct oidc_login *login, struct str code, struct oidc_who *who, struct err *e) MUST_USE;
void oidc_who_deinit(struct oidc_who *who);

/* ---- the parsers, for tests and the fuzzer ---- */

struct oidc_provider {                                                    /* what discovery tells */
    char authorization[1024], token[1024], jwks[1024], end_session[1024]; /* end_session: "" when there is none */
    bool basic;                                                           /* the token endpoint takes the secret as HTTP Basic; else in the body */
};
int oidc_provider_read(struct oidc_provider *out, struct str json, const char *issuer, struct err *e) MUST_USE;
/* The claims of a token whose signature is good: whose, for whom, when, of which sign-in. now_s: the time. */
int oidc_claims_check(const struct json *claims, const struct oidc_opts *o, const char *nonce, int64_t now_s, struct err *e) MUST_USE;
