/* JSON Web Tokens and the keys that sign them (RFC 7515, 7517, 7519): what of them OpenID Connect needs. jose.c is the only file that sees OpenSSL's
 * public keys.
 *
 * Accepted are compact tokens signed with RS256 or ES256, and nothing else: "none", the HMAC algorithms, encrypted tokens and tokens with "crit" are
 * refused; the algorithm must be the key's. Keys inside a token (jwk, jku, x5c, x5u) are never looked at. */
#pragma once
#include "base/buf.h"
#include "base/json.h"

enum { JWT_MAX = 16 << 10, JWKS_KEYS_MAX = 64 };

/* Base64 with '-' and '_', without padding. False: not in that form, with bits left over, or too long for cap. */
bool base64url_read(struct str in, uint8_t *out, size_t cap, size_t *n);
void base64url_write(struct buf *out, const void *p, size_t n);

/* A provider's keys. */
struct jwks;
int jwks_read(struct jwks **out, struct str json, struct err *e) MUST_USE; /* keys of other kinds are passed over; ERR_REMOTE */
void jwks_free(struct jwks *k);
size_t jwks_count(const struct jwks *k);

/* A token taken apart, not yet believed. */
struct jwt {
    struct json *head, *claims;
    struct str signed_part; /* borrowed from the text */
    uint8_t signature[512];
    size_t n_signature;
};
int jwt_read(struct jwt *out, struct str text, struct err *e) MUST_USE; /* ERR_AUTH. Needs jwt_deinit either way */
void jwt_deinit(struct jwt *t);
/* Whether one of the keys has signed it. ERR_AUTH; *unknown: no key has the token's "kid", so newer keys may. */
int jwt_verify(const struct jwt *t, const struct jwks *keys, bool *unknown, struct err *e) MUST_USE;
