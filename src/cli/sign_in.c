/* How people sign in, from the settings. */
#include "base/os.h"
#include "cli/cli_int.h"
#include <string.h>

static int read_secret(const char *path, char *out, size_t cap, struct err *e)
{
    struct buf b;
    if (!*path)
        return 0;
    buf_init(&b, 4096);
    int rc = os_read_file(&b, path, e);
    struct str secret = str_trim((struct str){b.data, b.len});
    if (rc >= 0 && (!secret.n || !str_fmt(out, cap, "%.*s", (int)secret.n, secret.p)))
        rc = err_set(e, ERR_USAGE, "oidc-client-secret-file: %s must hold one secret of 1 to %zu bytes", path, cap - 1);
    if (b.data)
        explicit_bzero(b.data, b.len);
    buf_deinit(&b);
    return rc < 0 ? rc : 0;
}

static int rules(const struct settings *s, struct sign_in_rules *out, struct err *e)
{
    uint64_t hours;
    int rc;
    out->groups = settings_get(s, "oidc-groups");
    if ((rc = ledger_groups_check(out->groups, e)) < 0 || (rc = settings_yes(s, "signup", &out->signup, e)) < 0 ||
        (rc = settings_u64(s, "session-hours", 24 * 90, &hours, e)) < 0 ||
        (rc = money_parse(&out->grant, str_of(settings_get(s, "signup-grant")), e)) < 0)
        return rc;
    if (!hours || out->grant.nano < 0)
        return err_set(e, ERR_USAGE, "session-hours must be at least 1, and signup-grant not negative");
    out->seconds = (uint32_t)hours * 3600;
    return 0;
}

int sign_in_read(struct sign_in *out, const struct settings *s, struct err *e)
{
    const char *url = settings_get(s, "public-url");
    size_t n = strlen(url);
    struct oidc_opts *o = &out->opts.oidc;
    int rc;
    *o = (struct oidc_opts){.issuer = settings_get(s, "oidc-issuer"),
                            .client_id = settings_get(s, "oidc-client-id"),
                            .client_secret = out->secret,
                            .redirect_uri = out->redirect,
                            .scopes = settings_get(s, "oidc-scopes"),
                            .groups_claim = settings_get(s, "oidc-groups-claim")};
    out->on = *o->issuer != 0;
    if (!out->on)
        return 0;
    if (!*o->client_id || !(str_starts(str_of(url), "https://") || str_starts(str_of(url), "http://")))
        return err_set(e, ERR_USAGE, "signing in needs oidc-client-id and public-url (https://...) beside oidc-issuer");
    if (!str_fmt(out->redirect, sizeof out->redirect, "%.*s/auth/callback", (int)(n - str_ends(str_of(url), "/")), url))
        return err_set(e, ERR_USAGE, "public-url is too long");
    return (rc = read_secret(settings_get(s, "oidc-client-secret-file"), out->secret, sizeof out->secret, e)) < 0 ? rc
                                                                                                                  : rules(s, &out->opts.rules, e);
}
