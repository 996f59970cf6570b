/* What a key may do: scopes, models, addresses; what is refused when they are written; that they are kept; and a store of before. */
#include "base/hash.h"
#include "base/json.h"
#include "ledger/ledger_int.h"
#include "lib.h"

static struct ledger *l;
static struct org_id org;
static struct principal who;
static char key[LEDGER_KEY_MAX];

static bool start(void)
{
    struct err e;
    l = open_at(dir_new());
    return l && ledger_account_create(l, "acme", &org, &e) == 0 && price_now(l, "guide", 1, 1) && price_now(l, "org/tiny:q4", 1, 1);
}

static void end(void)
{
    CHECK(audit_now(l) == 0);
    ledger_close(l);
    dir_drop();
}

static int create(const struct key_limits *x, struct err *e)
{
    int rc = ledger_key_create(l, org, "k", 0, x, key, e);
    return rc < 0 ? rc : ledger_principal(l, str_of(key), &who, e);
}

static int set(struct key_limits x, struct err *e)
{
    int rc = ledger_key_set(l, who.public_id, &x, e);
    return rc < 0 ? rc : ledger_principal(l, str_of(key), &who, e);
}

static bool model(const char *name)
{
    return ledger_key_model(l, who.key, str_of(name));
}

static bool from(const char *address)
{
    return ledger_key_address(l, who.key, str_of(address));
}

/* A field of the key's row in the report. */
static const char *shown(const char *field)
{
    static char text[2048];
    struct buf out;
    struct json *j = NULL;
    struct err e;
    buf_init(&out, 0);
    snprintf(text, sizeof text, "?");
    if (ledger_report_keys(l, NULL, &out, &e) == 0 && json_parse(&j, out.data, out.len, &e) == 0)
        for (size_t i = 0; i < json_len(j); i++) {
            struct str v = json_str(json_get(json_at(j, i), field));
            if (str_eqz(json_str(json_get(json_at(j, i), "id")), who.public_id))
                snprintf(text, sizeof text, "%.*s", (int)v.n, v.p ? v.p : "");
        }
    json_free(j);
    buf_deinit(&out);
    return text;
}

TEST(a_key_without_limits_may_do_everything)
{
    struct err e;
    CHECK(start() && create(NULL, &e) == 0);
    CHECK(who.scopes == (KEY_SCOPES_ALL & ~KEY_EVENTS) && model("guide") && model("anything") && from("10.0.0.1") && from("nonsense"));
    CHECK(!strcmp(shown("scopes"), "inference,embeddings,models,usage") && !strcmp(shown("models"), "all") && !strcmp(shown("allow"), "all") &&
          !strcmp(shown("budget"), "none"));
    CHECK(!ledger_key_model(l, (struct key_id){99}, STR("guide")) && !ledger_key_address(l, (struct key_id){99}, STR("10.0.0.1"))); /* nobody */
    end();
}

TEST(scopes_models_and_addresses)
{
    struct err e;
    CHECK(start() && create(&(struct key_limits){" usage , inference", "org/tiny:q4", "10.0.0.0/8, 2001:db8::1", "5/month", NULL}, &e) == 0);
    CHECK(who.scopes == (KEY_USAGE | KEY_INFERENCE));
    CHECK(model("org/tiny:q4") && !model("guide") && !model("org/tiny") && !model("org/tiny:q44") && !model("") && !model(","));
    CHECK(from("10.9.8.7") && from("2001:db8::1") && !from("11.0.0.1") && !from("2001:db8::2") && !from("") && !from("unix"));
    CHECK(!strcmp(shown("scopes"), "inference,usage") && !strcmp(shown("models"), "org/tiny:q4") && !strcmp(shown("budget"), "5.00/month"));
    CHECK_MSG(!strcmp(shown("allow"), "10.0.0.0/8,2001:db8::1/128"), "%s", shown("allow"));
    end();
}

TEST(a_change_is_at_once_and_of_that_limit_alone)
{
    struct err e;
    CHECK(start() && create(&(struct key_limits){.scopes = "models", .models = "guide", .allow = "127.0.0.1"}, &e) == 0);
    CHECK(set((struct key_limits){.models = "guide,org/tiny:q4,guide"}, &e) == 0);
    CHECK(model("guide") && model("org/tiny:q4") && !model("other") && who.scopes == KEY_MODELS && from("127.0.0.1") && !from("127.0.0.2"));
    CHECK(!strcmp(shown("models"), "guide,org/tiny:q4"));
    CHECK(set((struct key_limits){.allow = "all"}, &e) == 0 && from("127.0.0.2") && !model("other"));
    CHECK(set((struct key_limits){.models = "all", .scopes = "all"}, &e) == 0 && model("other") && who.scopes == KEY_SCOPES_ALL);
    CHECK(set((struct key_limits){0}, &e) == -ERR_BAD_VALUE && strstr(e.msg, "nothing to set"));
    CHECK(ledger_key_set(l, "nobody0000", &(struct key_limits){.scopes = "all"}, &e) == -ERR_NOT_FOUND);
    CHECK(ledger_key_revoke(l, who.public_id, &e) == 0 &&
          ledger_key_set(l, who.public_id, &(struct key_limits){.scopes = "all"}, &e) == -ERR_NOT_FOUND);
    end();
}

TEST(rotation_and_restart_keep_the_limits)
{
    struct err e;
    CHECK(start() && create(&(struct key_limits){"embeddings", "guide", "::1,10.0.0.0/8", "1", NULL}, &e) == 0);
    CHECK(ledger_key_rotate(l, who.public_id, key, &e) == 0);
    for (int i = 0; i < 2; i++) {
        CHECK(ledger_principal(l, str_of(key), &who, &e) == 0 && who.scopes == KEY_EMBEDDINGS);
        CHECK(model("guide") && !model("other") && from("::1") && from("10.0.0.9") && !from("127.0.0.1"));
        CHECK(!strcmp(shown("budget"), "1.00"));
        ledger_close(l);
        l = open_at(test_dir);
        CHECK(l);
    }
    end();
}

TEST(what_is_wrong_is_named_and_changes_nothing)
{
    struct err e;
    CHECK(start() && create(&(struct key_limits){"models", "guide", "::1", "1", NULL}, &e) == 0);
    static const struct {
        struct key_limits x;
        const char *param, *says;
    } bad[] = {
        {{.scopes = ""}, "scopes", "'' is no scope"},
        {{.scopes = "models,admin"}, "scopes", "'admin' is no scope of a key; they are inference"},
        {{.scopes = "models,"}, "scopes", "'' is no scope"},
        {{.scopes = "models,all"}, "scopes", "'all' is no scope"},
        {{.scopes = "Models"}, "scopes", "'Models'"},
        {{.models = ""}, "models", "empty name"},
        {{.models = "guide,,guide"}, "models", "empty name"},
        {{.models = "guide,unknown"}, "models", "no model unknown has a price"},
        {{.models = "guide;org/tiny:q4"}, "models", "guide;org"},
        {{.allow = ""}, "allow", "'' is no network"},
        {{.allow = "10.0.0.0/8,"}, "allow", "'' is no network"},
        {{.allow = "10.0.0.0/33"}, "allow", "0 to 32"},
        {{.allow = "10.0.0.1/8"}, "allow", "10.0.0.0/8"},
        {{.allow = "example.org"}, "allow", "'example.org' is no network"},
        {{.allow =
              "1.0.0.0/8,1.0.0.0/9,1.0.0.0/10,1.0.0.0/11,1.0.0.0/12,1.0.0.0/13,1.0.0.0/14,1.0.0.0/15,1.0.0.0/16,1.0.0.0/17,1.0.0.0/18,1.0.0.0/19,"
              "1.0.0.0/20,1.0.0.0/21,1.0.0.0/22,1.0.0.0/23,1.0.0.0/24,1.0.0.0/25,1.0.0.0/26,1.0.0.0/27,1.0.0.0/28,1.0.0.0/29,1.0.0.0/30,1.0.0.0/31,"
              "1.0.0.0/32,2.0.0.0/8,2.0.0.0/9,2.0.0.0/10,2.0.0.0/11,2.0.0.0/12,2.0.0.0/13,2.0.0.0/14,2.0.0.0/15"},
         "allow",
         "at most 32 networks"},
        {{.budget = "-1"}, "budget", "negative"},
        {{.scopes = "all", .models = "all", .allow = "all", .budget = "x"}, "budget", "5.00/month"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        e = (struct err){0};
        CHECK_MSG(set(bad[i].x, &e) == -ERR_BAD_VALUE && !strcmp(e.param, bad[i].param) && strstr(e.msg, bad[i].says), "%zu: %s: %s", i, e.param,
                  e.msg);
        e = (struct err){0};
        CHECK_MSG(ledger_key_create(l, org, "b", 0, &bad[i].x, (char[LEDGER_KEY_MAX]){0}, &e) == -ERR_BAD_VALUE && strstr(e.msg, bad[i].says), "%zu",
                  i);
    }
    CHECK(who.scopes == KEY_MODELS && model("guide") && !model("org/tiny:q4") && from("::1") && !from("10.0.0.1") &&
          !strcmp(shown("budget"), "1.00"));
    end();
}

TEST(lists_that_are_too_long)
{
    struct err e;
    char list[3000] = "", name[128];
    CHECK(start() && create(NULL, &e) == 0);
    for (int i = 0; i < 14; i++) {
        snprintf(name, sizeof name, "%0120d", i);
        CHECK(price_now(l, name, 1, 1));
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", i ? "," : "", name);
        CHECK(set((struct key_limits){.models = list}, &e) == (strlen(list) <= KEY_LIST_MAX ? 0 : -ERR_BAD_VALUE));
    }
    CHECK(strstr(e.msg, "bytes") && model(name) == false);
    *list = 0; /* as many networks as there may be, of the longest kind */
    for (int i = 0; i < KEY_NETWORKS_MAX; i++)
        snprintf(list + strlen(list), sizeof list - strlen(list), "%s1111:2222:3333:4444:5555:6666:7777:88%02x/128", i ? "," : "", (unsigned)i);
    CHECK(set((struct key_limits){.allow = list}, &e) == 0 && !strcmp(shown("allow"), list));
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && from("1111:2222:3333:4444:5555:6666:7777:881f") && !from("1111:2222:3333:4444:5555:6666:7777:8820"));
    end();
}

/* ---- a store of version 1 ---- */

/* The row that an older program kept for this key, in a store of its own with the same secret. */
static bool old_store(const char *from_dir, const char *dir, const char *text)
{
    struct db *d = NULL;
    struct err e = {0};
    struct stmt *s;
    struct sha256 hmac;
    struct buf secret;
    char path[128], to[128];
    buf_init(&secret, 0);
    snprintf(path, sizeof path, "%s/secret", from_dir), snprintf(to, sizeof to, "%s/secret", dir);
    bool ok = os_read_file(&secret, path, &e) == 0 && os_write_file(to, secret.data, secret.len, 0600, &e) == 0;
    hmac_sha256(&hmac, secret.data, secret.len, text, strlen(text));
    snprintf(path, sizeof path, "%s/ledger.db", dir);
    ok = ok && db_open(&d, path, DB_READ_WRITE, &e) == 0 && db_migrate(d, ledger_migrations, 1, LEDGER_POSTGRES_BASE, &e) == 0 &&
         db_exec(d,
                 SQL("INSERT INTO organisation VALUES (1, 'old', 1); INSERT INTO project VALUES (1, 1, 'default', 1); "
                     "INSERT INTO pool (org_id, scope, currency) VALUES (1, 'any', 'USD'), (1, 'inference', 'USD'), (1, 'training', 'USD'), (1, "
                     "'embeddings', 'USD')"),
                 &e) == 0 &&
         stmt_get(&s, d, SQL("INSERT INTO key (public_id, project_id, name, hmac, last4, created_us) VALUES (?1, 1, 'laptop', ?2, 'abcd', 1)"), &e) ==
             0;
    if (ok) {
        stmt_str(s, 1, (struct str){text + 10, LEDGER_PUBLIC_ID}), stmt_blob(s, 2, &hmac, sizeof hmac);
        ok = stmt_run(s, &e) == 0;
    }
    db_close(d);
    buf_deinit(&secret);
    return ok;
}

TEST(a_key_of_before_keeps_all_it_could_do)
{
    struct err e;
    char first[64];
    CHECK(start() && create(NULL, &e) == 0);
    ledger_close(l);
    memcpy(first, test_dir, sizeof first);
    CHECK(old_store(first, dir_new(), key));
    l = open_at(test_dir);
    CHECK(l && ledger_principal(l, str_of(key), &who, &e) == 0 && who.scopes == (KEY_SCOPES_ALL & ~KEY_EVENTS) && !strcmp(who.org_name, "old"));
    CHECK(model("anything") && from("10.0.0.1") && !strcmp(shown("budget"), "none") && ledger_key_budget(l, who.key, &(struct money){0}) == false);
    CHECK(price_now(l, "guide", 1, 1) && set((struct key_limits){"usage", "guide", "::1", "2", NULL}, &e) == 0);
    CHECK(who.scopes == KEY_USAGE && !model("x"));
    end();
    memcpy(test_dir, first, sizeof first);
    dir_drop();
}

TEST_MAIN()
