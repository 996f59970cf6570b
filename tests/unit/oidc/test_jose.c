/* Tokens and keys: what OpenSSL and node signed is believed, and nothing that differs by a bit. */
#include "oidc/oidc.h"
#include "test.h"

static const char keys[] =
    "{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"},{\"kty\":\"RSA\",\"n\":\"vOZaG082_TjHsZWm-5Vku8_"
    "rK2DYDEQCrfVHoWzZFEQorbIEvGbv6lQI9bsH58xxeRAp8ZuT1wbxTr"
    "TZaHu8MEALowE2mvtOQ0htp7L6D65NJjtigOXPZiAJFdH2pdq5wXBWlTglnBqsyfRfKsHl92a1Lb7lpPtAp26TrSIwBjwGI6QacDIGTSI-ahLhIrlHLzUgdejR7txA8kG9"
    "wDd690WwwHHixpqe97JoYppqTuqc-EWzhVhyz9lCVy-Eda5zTaWAtVurMPbpxadtC5ajgUcxP_FRZ4Xn7ObkeeZpTz3OqcOYex4C93ydrvNxgsOIOLrEg-45_qrWGlcRjq"
    "dFZQ\",\"e\":\"AQAB\",\"kid\":\"r\",\"use\":\"sig\",\"alg\":\"RS256\"},{\"kty\":\"EC\",\"x\":\"sFNILu5Pyw2EacLba-XUkxwbyHxPWG5BGbT8k7ty4N0\","
    "\"y\":\"MZzZTsoWF"
    "YuZf1TSO1dJIszliHsw0LTRpfl5K4riPJI\",\"crv\":\"P-256\",\"kid\":\"e\",\"alg\":\"ES256\",\"use\":\"sig\"}]}";
static const char rs256[] =
    "eyJhbGciOiJSUzI1NiIsImtpZCI6InIifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJzbHVpY2UiLCJzdWIiOiJhbm4iLCJpYXQiOjE3MDAwMDAwMDA"
    "sImV4cCI6MTcwMDAwMDMwMCwibm9uY2UiOiJubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5uIiwiZW1haWwiOiJhbm5AZXhhbXBsZS5jb20iL"
    "CJlbWFpbF92ZXJpZmllZCI6dHJ1ZX0.nAqWXvhjbnhsy5z5qaYGcael3aaQmPF0mKflCx4W4gyP5fqaag7T7mr_W5-gx-cdfa-whXC2-tsT7HCYWrW05KwnmiSw-mvSrz6"
    "iE-qmDDNqr4HJRLm6x-VmB1I9XaK-G-oifLO04pJsXDnZVVEynw__FJEirqsTnFvRbL1HOPNF70qKoTRg6Fqn9cH57zD87ZPNxEaVW6J8FgKzCNnW3pNG0mg8yN4vfc2Ee"
    "PiVnPNwJonBjFSeETESFiuXRej5TV1VtO0ejWDhI5YznMwWEFa5bAWEjibXagQ5MUxAIS4TdYU_uTyIQ73SLnMnbCk-KDXntgdDtK7CERROX7fS9g";
static const char es256[] =
    "eyJhbGciOiJFUzI1NiIsImtpZCI6ImUifQ.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUiLCJhdWQiOiJzbHVpY2UiLCJzdWIiOiJhbm4iLCJpYXQiOjE3MDAwMDAwMDA"
    "sImV4cCI6MTcwMDAwMDMwMCwibm9uY2UiOiJubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5uIiwiZW1haWwiOiJhbm5AZXhhbXBsZS5jb20iL"
    "CJlbWFpbF92ZXJpZmllZCI6dHJ1ZX0.QjWUmxrkN7KquvobYkWKhDnj0FUikfaREgwkl7A_KsFWiG-yXvtA94OOUrxbCsgSY8sQz6XK-fpCU9pdV4_xsQ";
static struct err e;

static int verify(const char *token, const char *set, bool *unknown)
{
    struct jwks *k;
    struct jwt t;
    int rc = jwks_read(&k, str_of(set), &e);
    if (rc == 0 && (rc = jwt_read(&t, str_of(token), &e)) == 0)
        rc = jwt_verify(&t, k, unknown, &e);
    if (k)
        jwt_deinit(&t);
    jwks_free(k);
    return rc;
}

TEST(good_tokens)
{
    bool unknown;
    CHECK_MSG(verify(rs256, keys, &unknown) == 0, "%s", e.msg);
    CHECK_MSG(verify(es256, keys, &unknown) == 0, "%s", e.msg);
}

TEST(every_bit_counts)
{
    const char *const tokens[] = {rs256, es256};
    for (int k = 0; k < 2; k++) {
        char text[2048];
        bool unknown;
        size_t n = strlen(tokens[k]);
        for (size_t i = 0; i < n; i += 7) {
            memcpy(text, tokens[k], n + 1);
            text[i] = text[i] == 'A' ? 'B' : 'A';
            CHECK_MSG(verify(text, keys, &unknown) < 0, "byte %zu of token %d", i, k);
        }
        for (size_t i = 0; i < n; i += 11) {
            memcpy(text, tokens[k], i), text[i] = 0;
            CHECK(verify(text, keys, &unknown) < 0);
        }
    }
}

TEST(a_key_that_is_not_there)
{
    bool unknown;
    char other[sizeof keys];
    memcpy(other, keys, sizeof keys);
    *strstr(other, "\"kid\":\"e\"") = ' ';
    CHECK(verify(es256, other, &unknown) < 0 && e.code == ERR_REMOTE); /* no JSON any more */
    memcpy(other, keys, sizeof keys);
    strstr(other, "\"kid\":\"e\"")[7] = 'f';
    CHECK(verify(es256, other, &unknown) == -ERR_AUTH && unknown);
    CHECK(verify(rs256, other, &unknown) == 0);
}

TEST(base64url)
{
    uint8_t out[8];
    size_t n;
    CHECK(base64url_read(STR(""), out, 8, &n) && n == 0);
    CHECK(base64url_read(STR("-_8"), out, 8, &n) && n == 2 && out[0] == 0xfb && out[1] == 0xff);
    for (const char *const *bad = (const char *const[]){"A", "A=", "AA==", "AB", "+A", "/A", "A A", "AAAAAAAAAAAA", NULL}; *bad; bad++)
        CHECK_MSG(!base64url_read(str_of(*bad), out, 8, &n), "%s", *bad);
}

TEST(discovery)
{
    struct oidc_provider p;
#define DOC(i, a, more)                                                                                                                              \
    "{\"issuer\":\"" i "\",\"authorization_endpoint\":\"" a                                                                                          \
    "\",\"token_endpoint\":\"https://id.example/t\",\"jwks_uri\":\"https://id.example/k\"" more "}"
    CHECK(oidc_provider_read(&p, STR(DOC("https://id.example", "https://id.example/a", "")), "https://id.example", &e) == 0 && p.basic);
    CHECK(oidc_provider_read(&p, STR(DOC("https://id.example/", "https://id.example/a", "")), "https://id.example", &e) == -ERR_REMOTE);
    CHECK(oidc_provider_read(&p, STR(DOC("https://id.example", "http://id.example/a", "")), "https://id.example", &e) == -ERR_REMOTE);
    CHECK(oidc_provider_read(&p, STR(DOC("https://id.example", "https://id.example/a b", "")), "https://id.example", &e) == -ERR_REMOTE);
    CHECK(oidc_provider_read(&p, STR(DOC("https://id.example", "https://id.example/a", ",\"code_challenge_methods_supported\":[\"plain\"]")),
                             "https://id.example", &e) == -ERR_REMOTE);
    CHECK(oidc_provider_read(
              &p, STR(DOC("https://id.example", "https://id.example/a", ",\"token_endpoint_auth_methods_supported\":[\"client_secret_post\"]")),
              "https://id.example", &e) == 0 &&
          !p.basic);
    CHECK(oidc_provider_read(&p, STR("[]"), "https://id.example", &e) == -ERR_REMOTE);
}

TEST_MAIN()
