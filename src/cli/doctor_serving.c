/* What serving needs: models with files and prices, an address that is free, a certificate that is good. */
#include "base/clock.h"
#include "base/os.h"
#include "cli/doctor.h"
#include "format/modelfile.h"
#include <string.h>
#include <sys/stat.h>

enum { TLS_SOON_DAYS = 14 };

static bool model_ok(struct doctor *d, struct store *s, const char *name)
{
    struct hub_model m;
    struct modelfile *f = NULL;
    struct err e = {0};
    struct stat st;
    uint64_t bytes = 0;
    int rc = hub_model_open(&m, s, str_of(name), &e);
    if (rc < 0) {
        doctor_say(d, DOCTOR_FAIL, "pull or add it again under this name, or: sluice rm NAME", "%s: %s", name, e.msg);
        return false;
    }
    for (size_t i = 0; i < m.n; i++)
        bytes += stat(m.path[i], &st) == 0 ? (uint64_t)st.st_size : 0;
    if (bytes != m.ref.size)
        rc = err_set(&e, ERR_FORMAT, "its file has %llu bytes and should have %llu", (unsigned long long)bytes, (unsigned long long)m.ref.size);
    else
        rc = modelfile_open_parts(&f, (const char *const *)m.path, m.n, &e);
    modelfile_close(f);
    hub_model_close(&m);
    if (rc < 0)
        doctor_say(d, DOCTOR_FAIL, "remove the damaged file (sluice rm NAME) and pull or add it again", "%s: %s", name, e.msg);
    return rc >= 0;
}

static int names(struct doctor *d, struct store **s, struct ref **refs, size_t *n, struct err *e)
{
    char hub[PATH_LEN];
    *s = NULL, *refs = NULL, *n = 0;
    if (!doctor_path(d, hub, "hub"))
        return 0;
    int rc = store_open(s, hub, e);
    return rc < 0 ? rc : ref_list(*s, refs, n, e);
}

void doctor_models(struct doctor *d)
{
    struct store *s;
    struct ref *refs;
    struct err e = {0};
    size_t n, good = 0;
    const void *p;
    size_t bytes;
    if (names(d, &s, &refs, &n, &e) < 0)
        doctor_say(d, DOCTOR_FAIL, "mend what the message says", "the models cannot be listed: %s", e.msg);
    for (size_t i = 0; i < n; i++)
        good += model_ok(d, s, refs[i].name);
    if (n == 0 && !guide_bytes(&p, &bytes))
        doctor_say(d, DOCTOR_WARN, "sluice pull ORG/NAME, or sluice add FILE", "there is no model to serve");
    else
        doctor_say(d, DOCTOR_OK, "", "%zu of %zu models of the store have their files%s", good, n,
                   guide_bytes(&p, &bytes) ? "; the guide is built in" : "");
    mem_free(refs);
    store_close(s);
}

static bool has_price(const struct json *prices, const char *name)
{
    for (size_t i = 0; i < json_len(prices); i++)
        if (str_eqz(json_str(json_get(json_at(prices, i), "model")), name))
            return true;
    return false;
}

void doctor_prices(struct doctor *d)
{
    char path[PATH_LEN], mend[REF_NAME_MAX + 64];
    struct store *s;
    struct ref *refs;
    struct json *prices = NULL;
    struct err e = {0};
    size_t n = 0, without = 0;
    if (!doctor_path(d, path, "ledger.db")) {
        doctor_say(d, DOCTOR_SKIP, "", "there is no ledger yet");
        return;
    }
    if (names(d, &s, &refs, &n, &e) < 0)
        n = 0; /* doctor_models says it */
    if (admin_do(d->c, HTTP_GET, "/admin/prices", NULL, &prices, &e) < 0) {
        doctor_say(d, DOCTOR_FAIL, "mend what the message says", "the prices cannot be read: %s", e.msg);
    } else {
        for (size_t i = 0; i < n; i++) {
            if (has_price(prices, refs[i].name))
                continue;
            without++;
            str_fmt(mend, sizeof mend, "sluice price set %s --input X --output Y", refs[i].name);
            doctor_say(d, DOCTOR_WARN, mend, "%s has no price, so every request for it is refused", refs[i].name);
        }
        if (!without)
            doctor_say(d, DOCTOR_OK, "", "every model of the store has a price");
    }
    json_free(prices);
    mem_free(refs);
    store_close(s);
}

void doctor_address(struct doctor *d)
{
    struct server *s = NULL;
    struct server_opts o = {0};
    struct err e = {0};
    if (!d->settings)
        doctor_say(d, DOCTOR_SKIP, "", "the settings cannot be read");
    else if (d->serving)
        doctor_say(d, DOCTOR_OK, "", "a server with this data folder answers");
    else if (server_new(&s, &o, &e) < 0 || server_listen(s, settings_get(d->settings, "listen"), 0, &e) < 0)
        doctor_say(d, DOCTOR_FAIL, "choose another address with listen, or stop who has this one", "%s", e.msg);
    else
        doctor_say(d, DOCTOR_OK, "", "%s is free", settings_get(d->settings, "listen"));
    server_free(s);
}

void doctor_tls(struct doctor *d)
{
    const char *cert = d->settings ? settings_get(d->settings, "tls-cert") : "", *key = d->settings ? settings_get(d->settings, "tls-key") : "";
    struct err e = {0};
    struct stat st;
    int64_t until = 0;
    char at[32];
    if (!*cert && !*key) {
        doctor_say(d, DOCTOR_SKIP, "", "not used (settings tls-cert and tls-key)");
        return;
    }
    if (!*cert || !*key) {
        doctor_say(d, DOCTOR_FAIL, "give both, or none", "only %s is set", *cert ? "tls-cert" : "tls-key");
        return;
    }
    if (server_tls_check(cert, key, &until, &e) < 0) {
        doctor_say(d, DOCTOR_FAIL, "put the certificate (with its chain) and the key that belongs to it in place", "%s", e.msg);
        return;
    }
    clock_iso(at, until);
    if (stat(key, &st) == 0 && (st.st_mode & 0077))
        doctor_say(d, DOCTOR_FAIL, "chmod 0600 it", "the key %s can be read by other users (mode %04o)", key, st.st_mode & 07777u);
    if (until < clock_now_us())
        doctor_say(d, DOCTOR_FAIL, "renew the certificate and restart the server", "%s expired at %s", cert, at);
    else if (until < clock_now_us() + TLS_SOON_DAYS * 86400 * 1000000ll)
        doctor_say(d, DOCTOR_WARN, "renew the certificate and restart the server", "%s expires soon, at %s", cert, at);
    else
        doctor_say(d, DOCTOR_OK, "", "%s is good until %s", cert, at);
}
