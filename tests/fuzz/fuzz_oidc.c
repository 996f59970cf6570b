/* Whatever an identity provider (or who stands between) sends: a discovery document, a key set, a token, and the claims of one. The first byte says
 * which. */
#include "oidc/oidc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const struct oidc_opts o = {"https://id.example", "sluice", "", "", "", "groups", 60};
    struct str text = {(const char *)data + 1, n - 1};
    struct oidc_provider p;
    struct jwks *keys = NULL;
    struct jwt t;
    struct err e;
    bool unknown;
    if (!n)
        return 0;
    if (data[0] % 4 == 0 && oidc_provider_read(&p, text, o.issuer, &e) == 0 && (!p.token[0] || !p.jwks[0] || !p.authorization[0]))
        __builtin_trap();
    if (data[0] % 4 == 1 && jwks_read(&keys, text, &e) == 0 && !jwks_count(keys))
        __builtin_trap();
    if (data[0] % 4 == 2) {
        struct str rest = text, set = str_split(&rest, '\n'); /* keys, then a token */
        if (jwks_read(&keys, set, &e) < 0)
            keys = NULL;
        if (jwt_read(&t, rest.p ? rest : set, &e) == 0)
            (void)!jwt_verify(&t, keys, &unknown, &e);
        jwt_deinit(&t);
    }
    if (data[0] % 4 == 3) {
        struct json *claims = NULL;
        if (json_parse(&claims, text.p, text.n, NULL) == 0)
            (void)!oidc_claims_check(claims, &o, "n", 1700000000, &e);
        json_free(claims);
    }
    jwks_free(keys);
    return 0;
}
