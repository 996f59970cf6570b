/* Private to api/: people who have signed in, beside keys. */
#pragma once
#include "api/api_int.h"
#include "ledger/member.h"

enum { SESSION_COOKIES_MAX = 8 << 10, CSRF_MAX = 2 * 32 + 1 };

/* Who calls with a session; in the request's arena, of http_user. */
struct visitor {
    struct caller caller; /* first: most of the api asks for nothing else */
    struct signed_in person;
};

/* A cookie of the request; {NULL,0}: there is none. */
struct str cookie_of(struct http *r, const char *name);
/* The name of the session's cookie, by what the sign-in's address is. */
const char *session_cookie(const struct api *a);
/* The session of the request: the person, and its role in the account that it names (x-sluice-account, or ?account=) or the only one that it has.
 * role: the least that the route asks for; ROLE_NONE: to be signed in. Sets http_user. */
int session_allow(struct api *a, struct http *r, enum role role, struct err *e) MUST_USE;
void csrf_token(struct api *a, struct str session, char out[CSRF_MAX]);
bool https_outside(const struct api *a); /* browsers reach this server over https */
