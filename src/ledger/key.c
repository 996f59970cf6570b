/* Keys: sk-sluice-<id>-<secret>-<crc>, also with hf_ in front (clients of Hugging Face insist on it).
 *
 * id 10 characters of base62; secret 32 random bytes in base62 (43 characters); crc the CRC-32 of all that stands before its '-', in base62
 * (6 characters): a typing error or a scanner's false find is refused before any lookup. The store has HMAC-SHA256(DATA/secret, key without
 * hf_), compared in constant time; the key itself is shown once. */
#include "ledger/ledger_int.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/os.h"

#include <stdio.h>
#include <string.h>

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char prefix[] = "sk-sluice-";
enum { PREFIX = 10, SECRET = 43, CRC = 6, BODY = PREFIX + LEDGER_PUBLIC_ID + 1 + SECRET, WHOLE = BODY + 1 + CRC };
_Static_assert(sizeof prefix == PREFIX + 1 && WHOLE + 4 < LEDGER_KEY_MAX, "a key fits");

/* ---- the text ---- */

/* Big-endian bytes in base62, n characters; what does not fit is dropped (43 characters hold 256 bits). bytes is used up. */
static void base62(char *out, size_t n, uint8_t *bytes, size_t n_bytes)
{
    for (size_t i = n; i-- > 0;) {
        unsigned rest = 0;
        for (size_t k = 0; k < n_bytes; k++) {
            unsigned v = rest << 8 | bytes[k];
            bytes[k] = (uint8_t)(v / 62);
            rest = v % 62;
        }
        out[i] = digits[rest];
    }
}

static void crc_text(char out[CRC], const char *p, size_t n)
{
    uint32_t crc = crc32_of(p, n);
    uint8_t b[4] = {(uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8), (uint8_t)crc};
    base62(out, CRC, b, sizeof b);
}

static bool in_base62(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'A' && p[i] <= 'Z') || (p[i] >= 'a' && p[i] <= 'z')))
            return false;
    return true;
}

bool key_shape(struct str key, struct str *bare, struct str *id)
{
    char crc[CRC];
    if (str_starts(key, "hf_"))
        key.p += 3, key.n -= 3;
    if (key.n != WHOLE || memcmp(key.p, prefix, PREFIX) != 0 || key.p[PREFIX + LEDGER_PUBLIC_ID] != '-' || key.p[BODY] != '-' ||
        !in_base62(key.p + PREFIX, LEDGER_PUBLIC_ID) || !in_base62(key.p + PREFIX + LEDGER_PUBLIC_ID + 1, SECRET) ||
        !in_base62(key.p + BODY + 1, CRC))
        return false;
    crc_text(crc, key.p, BODY);
    if (memcmp(crc, key.p + BODY + 1, CRC) != 0)
        return false;
    *bare = key;
    *id = (struct str){key.p + PREFIX, LEDGER_PUBLIC_ID};
    return true;
}

static void public_id_make(char out[LEDGER_PUBLIC_ID + 1])
{
    for (int i = 0; i < LEDGER_PUBLIC_ID;) {
        uint8_t b;
        random_bytes(&b, 1);
        if (b < 248) /* 4 * 62 */
            out[i++] = digits[b % 62];
    }
    out[LEDGER_PUBLIC_ID] = 0;
}

/* Writes a fresh key for the public id. */
static void key_make(char out[LEDGER_KEY_MAX], const char *public_id)
{
    uint8_t secret[32];
    random_bytes(secret, sizeof secret);
    memcpy(out, prefix, PREFIX);
    memcpy(out + PREFIX, public_id, LEDGER_PUBLIC_ID);
    out[PREFIX + LEDGER_PUBLIC_ID] = '-';
    base62(out + PREFIX + LEDGER_PUBLIC_ID + 1, SECRET, secret, sizeof secret);
    out[BODY] = '-';
    crc_text(out + BODY + 1, out, BODY);
    out[WHOLE] = 0;
}

/* ---- the server's secret ---- */

int key_secret(struct ledger *l, struct err *e)
{
    char path[1000];
    if (!str_fmt(path, sizeof path, "%s/secret", l->dir))
        return err_set(e, ERR_IO, "ledger: the path of the data folder is too long");
    if (!os_exists(path)) {
        random_bytes(l->secret, sizeof l->secret);
        return os_write_file(path, l->secret, sizeof l->secret, 0600, e);
    }
    struct buf b;
    buf_init(&b, 4096);
    int rc = os_read_file(&b, path, e);
    if (rc == 0 && b.len != sizeof l->secret)
        rc = err_set(e, ERR_IO, "ledger: %s has %zu bytes instead of %zu; restore it from the backup, or no key will work", path, b.len,
                     sizeof l->secret);
    if (rc == 0)
        memcpy(l->secret, b.data, sizeof l->secret);
    buf_deinit(&b);
    return rc;
}

/* The tenant's salt for prefix caches: nobody outside can compute it. */
void key_salt(const struct ledger *l, int64_t org, uint8_t out[16])
{
    char what[48];
    struct sha256 h;
    ASSERT(str_fmt(what, sizeof what, "kv-salt:%lld", (long long)org));
    hmac_sha256(&h, l->secret, sizeof l->secret, what, strlen(what));
    memcpy(out, &h, 16);
}

/* ---- who calls ---- */

static bool project_lives(const struct ledger *l, int64_t id)
{
    const struct project *p = project_find(l, id);
    return p && !p->archived_us;
}

int ledger_principal(struct ledger *l, struct str text, struct principal *out, struct err *e)
{
    static const struct sha256 nobody;
    struct str bare, id;
    struct sha256 hmac;
    union map_value v;
    bool good = false;
    if (key_shape(text, &bare, &id)) {
        hmac_sha256(&hmac, l->secret, sizeof l->secret, bare.p, bare.n);
        mutex_lock(&l->lock);
        const struct key *k = map_get(&l->keys, id, &v) ? v.ptr : NULL;
        good = const_eq(&hmac, k ? &k->hmac : &nobody, sizeof hmac) && k && !k->revoked_us && (!k->expires_us || k->expires_us > clock_now_us()) &&
               project_lives(l, k->project);
        if (good) {
            *out = (struct principal){.org = {k->org->id}, .project = {k->project}, .key = {k->id}, .scopes = k->scopes};
            out->all_models = key_all_models(k);
            memcpy(out->public_id, k->public_id, sizeof out->public_id);
            memcpy(out->org_name, k->org->name, sizeof out->org_name);
            memcpy(out->kv_salt, k->org->kv_salt, sizeof out->kv_salt);
        }
        mutex_unlock(&l->lock);
    }
    return good ? 0 : err_set(e, ERR_AUTH, "the API key is missing or not valid; send a key of this server as 'Authorization: Bearer sk-sluice-...'");
}

bool ledger_key_of(struct ledger *l, struct org_id org, const char *public_id)
{
    union map_value v;
    mutex_lock(&l->lock);
    bool is = map_get(&l->keys, str_of(public_id), &v) && ((struct key *)v.ptr)->org->id == org.v;
    mutex_unlock(&l->lock);
    return is;
}

/* ---- administration ---- */

struct key_args {
    int64_t org;
    const char *name, *public_id;
    const struct key_limits *limits;
    struct key *made;
    char *text; /* (LEDGER_KEY_MAX) */
};

static void key_free(struct key *k)
{
    if (k)
        mem_free(k->lists);
    mem_free(k);
}

static int key_insert(struct ledger *l, const struct key_args *a, struct key *k, const struct limits *x, struct err *e)
{
    char text[2][KEY_LIST_MAX + 1];
    struct stmt *s;
    int rc = stmt_get(&s, l->db,
                      SQL("INSERT INTO key (public_id, project_id, name, hmac, last4, created_us, expires_us, scopes, models, allow, budget, "
                          "budget_monthly) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"),
                      e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, k->public_id), stmt_i64(s, 2, k->project), stmt_text(s, 3, a->name), stmt_blob(s, 4, &k->hmac, sizeof k->hmac);
    stmt_text(s, 5, a->text + WHOLE - 4), stmt_i64(s, 6, l->now_us), stmt_i64(s, 7, k->expires_us);
    limits_bind(s, 8, x, text);
    rc = stmt_run(s, e);
    k->id = db_last_id(l->db);
    return rc;
}

/* What people did to a key's limits, for the chain of events: all of them as they are now. */
static int limits_note(struct ledger *l, const char *action, const struct key *k, const struct limits *x, struct err *e)
{
    char text[2][KEY_LIST_MAX + 1], detail[2 * KEY_LIST_MAX + 512], budget[MONEY_TEXT_MAX] = "none";
    limits_texts(x, text);
    if (x->budget >= 0)
        money_text(budget, (struct money){x->budget});
    ASSERT(str_fmt(detail, sizeof detail, "%s scopes %s models %s allow %s budget %s%s", k->org->name, text[0],
                   *x->lists.models ? x->lists.models : "all", *text[1] ? text[1] : "all", budget, x->monthly ? "/month" : ""));
    return event_of(l, k->org->id, action, k->public_id, detail, e);
}

static int create_call(struct ledger *l, void *arg, struct err *e)
{
    struct key_args *a = arg;
    struct key *k = a->made;
    struct limits x = {.scopes = KEY_SCOPES_ALL & ~KEY_EVENTS, .budget = -1};
    k->org = org_find(l, a->org);
    if (!k->org)
        return err_set(e, ERR_NOT_FOUND, "ledger: there is no account %lld; see `sluice account list`", (long long)a->org);
    int rc = a->limits ? limits_change(l, &x, a->limits, e) : 0;
    if (rc < 0)
        return rc;
    const struct project *p = a->limits && a->limits->project ? project_live(l, k->org, a->limits->project, e) : project_find(l, k->org->project);
    if (!p)
        return a->limits && a->limits->project ? -ERR_NOT_FOUND : err_set(e, ERR_DB, "ledger: the store is damaged: an account has no project");
    k->project = p->id;
    union map_value taken;
    do
        public_id_make(k->public_id);
    while (map_get(&l->keys, str_of(k->public_id), &taken));
    key_make(a->text, k->public_id);
    hmac_sha256(&k->hmac, l->secret, sizeof l->secret, a->text, WHOLE);
    if ((rc = key_insert(l, a, k, &x, e)) < 0 || (rc = limits_note(l, "key.create", k, &x, e)) < 0)
        return rc;
    if (!limits_give(l, k, &x))
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a key");
    if ((rc = budget_view(l, k, e)) < 0)
        return rc;
    mutex_lock(&l->lock);
    bool ok = state_key_add(l, k);
    mutex_unlock(&l->lock);
    if (!ok)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a key");
    a->made = NULL; /* the maps own it */
    return 0;
}

int ledger_key_create(struct ledger *l, struct org_id org, const char *name, int64_t expires_us, const struct key_limits *limits,
                      char key[LEDGER_KEY_MAX], struct err *e)
{
    size_t n = name ? strlen(name) : 0;
    if (n >= LEDGER_NAME_MAX || (n && !utf8_valid(name, n)))
        return err_param(e, ERR_BAD_VALUE, "name", "ledger: a key's name has at most %d bytes of UTF-8", LEDGER_NAME_MAX - 1);
    if (expires_us && expires_us <= clock_now_us())
        return err_param(e, ERR_BAD_VALUE, "expires", "ledger: the key would expire in the past");
    struct key *k = mem_new(sizeof *k);
    if (!k)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a key");
    k->expires_us = expires_us;
    struct key_args a = {.org = org.v, .name = n ? name : "default", .limits = limits, .made = k, .text = key};
    int rc = queue_call(l, create_call, &a, e);
    key_free(a.made);
    return rc;
}

static struct key *key_find(struct ledger *l, const char *public_id, struct err *e)
{
    union map_value v;
    if (public_id && map_get(&l->keys, str_of(public_id), &v) && !((struct key *)v.ptr)->revoked_us)
        return v.ptr;
    err_set(e, ERR_NOT_FOUND, "ledger: there is no living key with the id '%.20s'; see `sluice key list`", public_id ? public_id : "");
    return NULL;
}

static int rotate_call(struct ledger *l, void *arg, struct err *e)
{
    struct key_args *a = arg;
    struct key *k = key_find(l, a->public_id, e);
    struct sha256 hmac;
    struct stmt *s;
    if (!k)
        return -ERR_NOT_FOUND;
    key_make(a->text, k->public_id);
    hmac_sha256(&hmac, l->secret, sizeof l->secret, a->text, WHOLE);
    int rc = stmt_get(&s, l->db, SQL("UPDATE key SET hmac = ?2, last4 = ?3, rotated_us = ?4 WHERE id = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, k->id), stmt_blob(s, 2, &hmac, sizeof hmac), stmt_text(s, 3, a->text + WHOLE - 4), stmt_i64(s, 4, l->now_us);
    if ((rc = stmt_run(s, e)) < 0 || (rc = event_of(l, k->org->id, "key.rotate", k->public_id, k->org->name, e)) < 0)
        return rc;
    mutex_lock(&l->lock);
    k->hmac = hmac;
    mutex_unlock(&l->lock);
    return 0;
}

/* A new secret for the key, at once; the old one stops working. */
int ledger_key_rotate(struct ledger *l, const char *public_id, char key[LEDGER_KEY_MAX], struct err *e)
{
    struct key_args a = {.public_id = public_id, .text = key};
    return queue_call(l, rotate_call, &a, e);
}

static int revoke_call(struct ledger *l, void *arg, struct err *e)
{
    struct key_args *a = arg;
    struct key *k = key_find(l, a->public_id, e);
    struct stmt *s;
    if (!k)
        return -ERR_NOT_FOUND;
    int rc = stmt_get(&s, l->db, SQL("UPDATE key SET revoked_us = ?2 WHERE id = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, k->id), stmt_i64(s, 2, l->now_us);
    if ((rc = stmt_run(s, e)) < 0 || (rc = event_of(l, k->org->id, "key.revoke", k->public_id, k->org->name, e)) < 0)
        return rc;
    mutex_lock(&l->lock);
    k->revoked_us = l->now_us;
    mutex_unlock(&l->lock);
    return 0;
}

int ledger_key_revoke(struct ledger *l, const char *public_id, struct err *e)
{
    struct key_args a = {.public_id = public_id};
    return queue_call(l, revoke_call, &a, e);
}

static int limits_update(struct ledger *l, const struct key *k, const struct limits *x, struct err *e)
{
    char text[2][KEY_LIST_MAX + 1];
    struct stmt *s;
    int rc = stmt_get(&s, l->db, SQL("UPDATE key SET scopes = ?2, models = ?3, allow = ?4, budget = ?5, budget_monthly = ?6 WHERE id = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, k->id);
    limits_bind(s, 2, x, text);
    return stmt_run(s, e);
}

static int set_call(struct ledger *l, void *arg, struct err *e)
{
    struct key_args *a = arg;
    struct key *k = key_find(l, a->public_id, e);
    struct limits x;
    if (!k)
        return -ERR_NOT_FOUND;
    limits_of(&x, k);
    int rc = limits_change(l, &x, a->limits, e);
    if (rc < 0 || (rc = limits_update(l, k, &x, e)) < 0)
        return rc;
    if ((k->budget < 0) != (x.budget < 0))
        rc = budget_begin(l, k->id, x.budget >= 0, e);
    if (rc < 0 || (rc = limits_note(l, "key.set", k, &x, e)) < 0)
        return rc;
    if (!limits_give(l, k, &x))
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a key's lists");
    return budget_view(l, k, e);
}

int ledger_key_set(struct ledger *l, const char *public_id, const struct key_limits *limits, struct err *e)
{
    if (!limits->scopes && !limits->models && !limits->allow && !limits->budget)
        return err_set(e, ERR_BAD_VALUE, "ledger: nothing to set; give at least one of scopes, models, allow and budget");
    struct key_args a = {.public_id = public_id, .limits = limits};
    return queue_call(l, set_call, &a, e);
}
