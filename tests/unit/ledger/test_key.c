/* Keys: the format, what is refused and in which words, rotation, revocation, expiry, and that no secret is ever shown again. */
#include "base/hash.h"
#include "ledger/ledger_int.h"
#include "lib.h"
#include "skip.h"

#include <sys/stat.h>

static struct ledger *l;
static struct principal who;
static struct org_id org;
static char key[LEDGER_KEY_MAX];

static bool start(void)
{
    struct err e;
    l = open_at(dir_new());
    return l && ledger_account_create(l, "acme", &org, &e) == 0 && ledger_key_create(l, org, "laptop", 0, NULL, key, &e) == 0;
}

static void end(void)
{
    ledger_close(l);
    dir_drop();
}

static bool valid(const char *k)
{
    struct err e;
    return ledger_principal(l, str_of(k), &who, &e) == 0;
}

TEST(format)
{
    CHECK(start());
    struct str bare, id;
    CHECK(strlen(key) == 10 + 10 + 1 + 43 + 1 + 6 && strncmp(key, "sk-sluice-", 10) == 0 && key[20] == '-' && key[64] == '-');
    for (size_t i = 10; key[i]; i++)
        CHECK(i == 20 || i == 64 || (key[i] >= '0' && key[i] <= '9') || (key[i] >= 'a' && key[i] <= 'z') || (key[i] >= 'A' && key[i] <= 'Z'));
    /* The checksum said another way: 6 digits of base 62, most significant first. */
    uint64_t v = 0;
    for (int i = 65; i < 71; i++)
        v = v * 62 + (uint64_t)(strchr("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", key[i]) -
                                "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
    CHECK(key_shape(str_of(key), &bare, &id) && id.n == 10 && memcmp(id.p, key + 10, 10) == 0);
    CHECK(v == crc32_of(key, 64));
    end();
}

TEST(accepted_with_and_without_hf)
{
    CHECK(start());
    char hf[LEDGER_KEY_MAX + 4];
    snprintf(hf, sizeof hf, "hf_%s", key);
    CHECK(valid(key) && who.org.v == org.v && strcmp(who.org_name, "acme") == 0 && who.key.v && who.project.v);
    struct principal first = who;
    CHECK(valid(hf) && who.key.v == first.key.v && memcmp(who.kv_salt, first.kv_salt, 16) == 0);
    snprintf(hf, sizeof hf, "hf_hf_%.60s", key);
    CHECK(!valid(hf));
    end();
}

TEST(every_changed_character_is_refused_by_shape)
{
    CHECK(start());
    struct str bare, id;
    for (size_t i = 0; key[i]; i++) {
        char bad[LEDGER_KEY_MAX];
        memcpy(bad, key, sizeof bad);
        bad[i] = bad[i] == 'a' ? 'b' : 'a';
        CHECK_MSG(!key_shape(str_of(bad), &bare, &id), "character %zu", i);
        memcpy(bad, key, sizeof bad);
        bad[i] = 0;
        CHECK(!key_shape(str_of(bad), &bare, &id) && !key_shape((struct str){bad, strlen(key)}, &bare, &id));
    }
    CHECK(!key_shape((struct str){NULL, 0}, &bare, &id) && !key_shape(STR("hf_"), &bare, &id) && !key_shape(STR("sk-sluice-"), &bare, &id));
    end();
}

/* A key with a good checksum that this server never made. */
static void forge(char out[LEDGER_KEY_MAX], const char *id_of)
{
    static const char d[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    memcpy(out, id_of, LEDGER_KEY_MAX);
    out[30] = out[30] == 'x' ? 'y' : 'x';
    uint32_t crc = crc32_of(out, 64);
    for (int i = 70; i > 64; i--)
        out[i] = d[crc % 62], crc /= 62;
}

TEST(the_same_words_for_every_refusal)
{
    CHECK(start());
    struct err e[7] = {0};
    char other[LEDGER_KEY_MAX], wrong[LEDGER_KEY_MAX], unknown[LEDGER_KEY_MAX], old[LEDGER_KEY_MAX], late[LEDGER_KEY_MAX];
    struct err x;
    CHECK(ledger_key_create(l, org, "late", in_minutes(30), NULL, late, &x) == 0 && ledger_key_create(l, org, NULL, 0, NULL, other, &x) == 0);
    forge(wrong, key);
    memcpy(unknown, key, sizeof unknown);
    unknown[12] = unknown[12] == 'x' ? 'y' : 'x';
    forge(unknown, unknown);
    char id[11] = {0};
    memcpy(id, other + 10, 10);
    memcpy(old, other, sizeof old);
    CHECK(valid(other) && ledger_key_revoke(l, id, &x) == 0);
    CHECK(valid(late));
    minutes_pass(60);
    CHECK(ledger_principal(l, (struct str){NULL, 0}, &who, &e[0]) < 0);
    CHECK(ledger_principal(l, STR("nonsense"), &who, &e[1]) < 0);
    CHECK(ledger_principal(l, str_of(wrong), &who, &e[2]) < 0);
    CHECK(ledger_principal(l, str_of(unknown), &who, &e[3]) < 0);
    CHECK(ledger_principal(l, str_of(old), &who, &e[4]) < 0);
    CHECK(ledger_principal(l, str_of(late), &who, &e[5]) < 0);
    for (int i = 0; i < 6; i++)
        CHECK_MSG(e[i].code == ERR_AUTH && strcmp(e[i].msg, e[0].msg) == 0, "refusal %d: %s", i, e[i].msg);
    CHECK(valid(key));
    end();
}

TEST(rotation_and_restart)
{
    CHECK(start());
    struct err e;
    char fresh[LEDGER_KEY_MAX], id[11] = {0};
    memcpy(id, key + 10, 10);
    struct principal before;
    CHECK(valid(key));
    before = who;
    CHECK(ledger_key_rotate(l, id, fresh, &e) == 0);
    CHECK(!valid(key) && valid(fresh) && who.key.v == before.key.v && memcmp(fresh + 10, id, 10) == 0);
    CHECK(ledger_key_rotate(l, "nobody0000", fresh, &e) < 0 && e.code == ERR_NOT_FOUND);
    CHECK(ledger_key_rotate(l, id, fresh, &e) == 0);
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && !valid(key) && valid(fresh) && memcmp(who.kv_salt, before.kv_salt, 16) == 0);
    CHECK(ledger_key_revoke(l, id, &e) == 0 && !valid(fresh));
    CHECK(ledger_key_revoke(l, id, &e) < 0 && e.code == ERR_NOT_FOUND && ledger_key_rotate(l, id, fresh, &e) < 0);
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && !valid(fresh) && audit_now(l) == 0);
    end();
}

TEST(the_secret_is_made_once_and_private)
{
    CHECK(start());
    char path[128];
    struct stat st;
    snprintf(path, sizeof path, "%s/secret", test_dir);
    CHECK(stat(path, &st) == 0 && st.st_size == 32 && (st.st_mode & 07777) == 0600);
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && valid(key));
    ledger_close(l);
    CHECK(truncate(path, 16) == 0);
    struct err e = {0};
    CHECK(ledger_open(&l, &(struct ledger_opts){.dir = test_dir}, &e) < 0 && strstr(e.msg, "secret"));
    dir_drop();
}

TEST(nothing_keeps_or_shows_the_key)
{
    CHECK(start());
    struct buf out;
    struct err e;
    char cmd[256], secret[44] = {0};
    memcpy(secret, key + 21, 43);
    buf_init(&out, 0);
    CHECK(ledger_report_keys(l, NULL, &out, &e) == 0 && ledger_report_accounts(l, &out, &e) == 0);
    CHECK(strstr(out.data, "laptop") && !strstr(out.data, secret));
    buf_deinit(&out);
    ledger_close(l);
    snprintf(cmd, sizeof cmd, "grep -rqaF %s %s", secret, test_dir);
    CHECK(system(cmd) != 0);
    dir_drop();
}

TEST(tenants_have_different_salts)
{
    CHECK(start());
    struct principal other;
    CHECK(valid(key) && account_with(l, "other", USD(0), &other) && memcmp(who.kv_salt, other.kv_salt, 16) != 0);
    end();
}

TEST_MAIN()
