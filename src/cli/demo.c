/* What `serve --demo` makes once in its folder: an account with a key, ten units of credit and a price for the default model. */
#include "base/os.h"
#include "cli/cli_int.h"

#define DEMO_ACCOUNT     "demo"
#define DEMO_KEY_FILE    "demo.key"
#define DEMO_GRANT_NANO  (10ll * MONEY_NANO)
#define DEMO_INPUT_NANO  (MONEY_NANO / 2) /* 0.50 and 1.50 per million tokens */
#define DEMO_OUTPUT_NANO (MONEY_NANO / 2 * 3)

int demo_key_read(char key[LEDGER_KEY_MAX], const char *dir, struct err *e)
{
    char path[PATH_LEN];
    struct buf b;
    int rc = data_file(path, dir, DEMO_KEY_FILE, e);
    buf_init(&b, LEDGER_KEY_MAX + 1);
    if (rc >= 0)
        rc = os_read_file(&b, path, e);
    struct str s = str_trim((struct str){b.data, b.len});
    if (rc >= 0 && (!s.n || !str_fmt(key, LEDGER_KEY_MAX, "%.*s", (int)s.n, s.p)))
        rc = err_set(e, ERR_IO, "%s holds no key; remove it and start again", path);
    buf_deinit(&b);
    return rc;
}

static int make_key(char key[LEDGER_KEY_MAX], struct ledger *l, struct org_id org, const char *dir, struct err *e)
{
    char path[PATH_LEN], line[LEDGER_KEY_MAX + 1];
    int rc;
    if ((rc = data_file(path, dir, DEMO_KEY_FILE, e)) < 0 || (rc = ledger_key_create(l, org, "demo", 0, NULL, key, e)) < 0)
        return rc;
    str_fmt(line, sizeof line, "%s\n", key);
    return os_write_file(path, line, str_of(line).n, 0600, e);
}

int demo_setup(struct demo *out, struct ledger *l, const char *dir, const char *model, struct err *e)
{
    struct org_id org;
    struct grant_id grant;
    struct price_id price;
    struct principal who;
    int rc = ledger_account_find(l, DEMO_ACCOUNT, &org, NULL);
    if (rc < 0 && (rc = ledger_account_create(l, DEMO_ACCOUNT, &org, e)) < 0)
        return rc;
    if (demo_key_read(out->key, dir, NULL) < 0 || ledger_principal(l, str_of(out->key), &who, NULL) < 0)
        if ((rc = make_key(out->key, l, org, dir, e)) < 0)
            return rc;
    struct grant_new g = {.org = org, .amount = {DEMO_GRANT_NANO}, .scope = "any", .funding = "promotional", .priority = 50, .reference = "demo"};
    if ((rc = ledger_grant_create(l, &g, &grant, e)) < 0)
        return rc;
    struct price_new p = {.model = model,
                          .input = {DEMO_INPUT_NANO},
                          .cache_read = {DEMO_INPUT_NANO},
                          .cache_write = {DEMO_INPUT_NANO},
                          .output = {DEMO_OUTPUT_NANO},
                          .reasoning = {DEMO_OUTPUT_NANO}};
    return !model || ledger_price_known(l, model) ? 0 : ledger_price_set(l, &p, &price, e);
}
