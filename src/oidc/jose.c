#include "oidc/jose.h"

#include "base/mem.h"

#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <string.h>

enum { KID_MAX = 256, RSA_BYTES_MAX = 512, EC_BYTES = 32 };

/* ---- base64url ---- */

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool base64url_read(struct str in, uint8_t *out, size_t cap, size_t *n)
{
    uint32_t bits = 0;
    int have = 0;
    *n = 0;
    if (in.n % 4 == 1)
        return false;
    for (size_t i = 0; i < in.n; i++) {
        int d = digit(in.p[i]);
        if (d < 0)
            return false;
        bits = bits << 6 | (uint32_t)d, have += 6;
        if (have < 8)
            continue;
        have -= 8;
        if (*n == cap)
            return false;
        out[(*n)++] = (uint8_t)(bits >> have);
        bits &= (1u << have) - 1;
    }
    return bits == 0; /* one text for each value */
}

void base64url_write(struct buf *out, const void *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *b = p;
    uint32_t bits = 0;
    int have = 0;
    for (size_t i = 0; i < n; i++)
        for (bits = bits << 8 | b[i], have += 8; have >= 6; have -= 6)
            buf_char(out, digits[bits >> (have - 6) & 63]);
    if (have)
        buf_char(out, digits[bits << (6 - have) & 63]);
}

/* ---- keys ---- */

struct jwk {
    char kid[KID_MAX]; /* "": none */
    bool rsa;
    EVP_PKEY *key;
};
struct jwks {
    size_t n;
    struct jwk key[JWKS_KEYS_MAX];
};

static EVP_PKEY *key_of(const char *type, OSSL_PARAM_BLD *b)
{
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = b ? OSSL_PARAM_BLD_to_param(b) : NULL;
    EVP_PKEY_CTX *ctx = params ? EVP_PKEY_CTX_new_from_name(NULL, type, NULL) : NULL;
    if (!ctx || EVP_PKEY_fromdata_init(ctx) <= 0 || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *rsa_key(const struct json *j)
{
    uint8_t n[RSA_BYTES_MAX], x[8];
    size_t n_n, n_x;
    if (!base64url_read(json_str(json_get(j, "n")), n, sizeof n, &n_n) || !base64url_read(json_str(json_get(j, "e")), x, sizeof x, &n_x) ||
        n_n < 256 || !n[0] || !n_x) /* 2048 bits at least (RFC 7518) */
        return NULL;
    BIGNUM *bn = BN_bin2bn(n, (int)n_n, NULL), *bx = BN_bin2bn(x, (int)n_x, NULL);
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (bn && bx && b && BN_is_odd(bx) && !BN_is_one(bx) && OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_N, bn) &&
        OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_RSA_E, bx))
        key = key_of("RSA", b);
    OSSL_PARAM_BLD_free(b);
    BN_free(bn), BN_free(bx);
    return key;
}

static EVP_PKEY *ec_key(const struct json *j)
{
    uint8_t point[1 + 2 * EC_BYTES] = {4}; /* not compressed */
    size_t nx, ny;
    if (!str_eqz(json_str(json_get(j, "crv")), "P-256") || !base64url_read(json_str(json_get(j, "x")), point + 1, EC_BYTES, &nx) ||
        !base64url_read(json_str(json_get(j, "y")), point + 1 + EC_BYTES, EC_BYTES, &ny) || nx != EC_BYTES || ny != EC_BYTES)
        return NULL;
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (b && OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
        OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point))
        key = key_of("EC", b); /* refuses a point that is not on the curve */
    OSSL_PARAM_BLD_free(b);
    return key;
}

static bool may_sign(const struct json *j, const char *alg)
{
    const struct json *use = json_get(j, "use"), *has = json_get(j, "alg");
    return (json_type(use) == JSON_NULL || str_eqz(json_str(use), "sig")) && (json_type(has) == JSON_NULL || str_eqz(json_str(has), alg));
}

static void add(struct jwks *k, const struct json *j)
{
    struct jwk *x = &k->key[k->n];
    struct str kty = json_str(json_get(j, "kty")), kid = json_str(json_get(j, "kid"));
    if (k->n == JWKS_KEYS_MAX || kid.n >= sizeof x->kid)
        return;
    bool rsa = str_eqz(kty, "RSA"), ec = str_eqz(kty, "EC");
    if ((rsa || ec) && may_sign(j, rsa ? "RS256" : "ES256") && (x->key = rsa ? rsa_key(j) : ec_key(j))) {
        x->rsa = rsa;
        memcpy(x->kid, kid.n ? kid.p : "", kid.n);
        k->n++;
    }
}

int jwks_read(struct jwks **out, struct str text, struct err *e)
{
    struct json *j = NULL;
    struct jwks *k = mem_new(sizeof *k);
    *out = NULL;
    if (!k)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    int rc = json_parse(&j, text.p, text.n, NULL);
    const struct json *keys = rc < 0 ? NULL : json_get(j, "keys");
    for (size_t i = 0; i < json_len(keys) && json_type(keys) == JSON_ARR; i++)
        add(k, json_at(keys, i));
    json_free(j);
    if (k->n) {
        *out = k;
        return 0;
    }
    mem_free(k);
    return err_set(e, ERR_REMOTE, "the identity provider's key set has no RSA key of 2048 bits or more and no P-256 key");
}

void jwks_free(struct jwks *k)
{
    for (size_t i = 0; k && i < k->n; i++)
        EVP_PKEY_free(k->key[i].key);
    mem_free(k);
}

size_t jwks_count(const struct jwks *k)
{
    return k ? k->n : 0;
}

/* ---- tokens ---- */

static int bad(struct err *e, const char *what)
{
    return err_set(e, ERR_AUTH, "the identity provider's token is not valid: %s", what);
}

static int part(struct json **out, struct str in, struct err *e)
{
    uint8_t *bytes = mem_new(in.n + 1);
    size_t n;
    if (!bytes)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    int rc = base64url_read(in, bytes, in.n, &n) ? json_parse(out, (const char *)bytes, n, NULL) : -1;
    mem_free(bytes);
    return rc >= 0 && json_type(*out) == JSON_OBJ ? 0 : bad(e, "a part of it is no JSON object in base64url");
}

int jwt_read(struct jwt *out, struct str text, struct err *e)
{
    *out = (struct jwt){0};
    if (text.n > JWT_MAX)
        return bad(e, "it is too long");
    struct str rest = text, head = str_split(&rest, '.'), claims = str_split(&rest, '.'), signature = str_split(&rest, '.');
    if (rest.p || !head.n || !claims.n || !signature.n)
        return bad(e, "it has not three parts");
    out->signed_part = (struct str){text.p, head.n + 1 + claims.n};
    int rc = part(&out->head, head, e);
    if (rc == 0)
        rc = part(&out->claims, claims, e);
    if (rc == 0 && !base64url_read(signature, out->signature, sizeof out->signature, &out->n_signature))
        rc = bad(e, "its signature is malformed");
    return rc;
}

void jwt_deinit(struct jwt *t)
{
    json_free(t->head), json_free(t->claims);
    *t = (struct jwt){0};
}

/* r and s side by side, as JOSE has them, to DER as OpenSSL has them. */
static bool ec_der(const struct jwt *t, unsigned char **der, int *n)
{
    ECDSA_SIG *sig = t->n_signature == 2 * EC_BYTES ? ECDSA_SIG_new() : NULL;
    BIGNUM *r = sig ? BN_bin2bn(t->signature, EC_BYTES, NULL) : NULL, *s = sig ? BN_bin2bn(t->signature + EC_BYTES, EC_BYTES, NULL) : NULL;
    *der = NULL;
    if (!r || !s || !ECDSA_SIG_set0(sig, r, s)) {
        BN_free(r), BN_free(s);
        ECDSA_SIG_free(sig);
        return false;
    }
    *n = i2d_ECDSA_SIG(sig, der);
    ECDSA_SIG_free(sig);
    return *n > 0;
}

static bool signed_by(const struct jwt *t, const struct jwk *k)
{
    const unsigned char *sig = t->signature;
    unsigned char *der = NULL;
    int n = (int)t->n_signature;
    if (!k->rsa) {
        if (!ec_der(t, &der, &n))
            return false;
        sig = der;
    }
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool ok = c && EVP_DigestVerifyInit(c, NULL, EVP_sha256(), NULL, k->key) == 1 &&
              EVP_DigestVerify(c, sig, (size_t)n, (const unsigned char *)t->signed_part.p, t->signed_part.n) == 1; /* RSA: PKCS #1 1.5 */
    EVP_MD_CTX_free(c);
    OPENSSL_free(der);
    return ok;
}

int jwt_verify(const struct jwt *t, const struct jwks *keys, bool *unknown, struct err *e)
{
    struct str alg = json_str(json_get(t->head, "alg")), kid = json_str(json_get(t->head, "kid"));
    bool rsa = str_eqz(alg, "RS256"), found = false;
    *unknown = false;
    if (!rsa && !str_eqz(alg, "ES256"))
        return err_set(e, ERR_AUTH, "the identity provider signs with '%.20s'; set it to RS256 or ES256", alg.p ? alg.p : "");
    if (json_type(json_get(t->head, "crit")) != JSON_NULL)
        return bad(e, "it asks for what is not known here (crit)");
    for (size_t i = 0; i < jwks_count(keys); i++) {
        const struct jwk *k = &keys->key[i];
        if (k->rsa != rsa || (kid.n && *k->kid && !str_eqz(kid, k->kid)))
            continue;
        found = true;
        if (signed_by(t, k))
            return 0;
    }
    *unknown = !found;
    return bad(e, found ? "its signature is not the provider's" : "none of the provider's keys has its kid");
}
