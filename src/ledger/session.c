/* Sessions of people who have signed in: found from a cookie's token without touching the disk. */
#include "ledger/member_int.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

void ledger_mac(struct ledger *l, const char *purpose, struct str text, struct sha256 *out)
{
    struct sha256 key; /* one of its own for each purpose, so that no text of one is a text of another */
    hmac_sha256(&key, l->secret, sizeof l->secret, purpose, strlen(purpose));
    hmac_sha256(out, &key, sizeof key, text.p, text.n);
}

static struct str key_of(const struct sha256 *mac)
{
    return (struct str){(const char *)mac->b, sizeof mac->b};
}

/* Into the map, which owns it. */
static int add(struct ledger *l, const struct sha256 *mac, int64_t person, int64_t expires_us, struct err *e)
{
    struct person *p = person_make(l, person, e);
    if (!p)
        return -(int)e->code;
    struct session *x = mem_new(sizeof *x);
    if (x)
        *x = (struct session){expires_us, p};
    mutex_lock(&l->lock);
    bool ok = x && map_set(&l->sessions, key_of(mac), (union map_value){.ptr = x});
    mutex_unlock(&l->lock);
    if (ok)
        return 0;
    mem_free(x);
    return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a session");
}

struct loaded {
    struct sha256 mac;
    int64_t person, expires_us;
};
struct loaded_all VEC(struct loaded);

static int read_all(struct ledger *l, struct loaded_all *out, struct err *e)
{
    struct stmt *s;
    bool row = true;
    int rc = stmt_get(&s, l->db, SQL("SELECT hmac, person_id, expires_us FROM session WHERE expires_us > ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, clock_now_us());
    while (rc == 0 && (rc = stmt_step(s, &row, e)) == 0 && row) {
        struct loaded x = {.person = stmt_col_i64(s, 1), .expires_us = stmt_col_i64(s, 2)};
        struct str hmac = stmt_col_blob(s, 0);
        if (hmac.n != sizeof x.mac) {
            rc = err_set(e, ERR_DB, "ledger: the store is damaged: a session is malformed; restore it from the backup");
            break;
        }
        memcpy(&x.mac, hmac.p, sizeof x.mac);
        if (!vec_push(out, x))
            rc = err_set(e, ERR_NO_MEMORY, "ledger: no memory to read the store");
    }
    stmt_put(s);
    return rc;
}

int sessions_load(struct ledger *l, struct err *e)
{
    struct loaded_all all = {0};
    int rc = read_all(l, &all, e);
    for (size_t i = 0; i < all.n && rc == 0; i++)
        rc = add(l, &all.p[i].mac, all.p[i].person, all.p[i].expires_us, e);
    vec_deinit(&all);
    return rc;
}

void sessions_free(struct ledger *l)
{
    size_t it = 0;
    struct str k;
    union map_value v;
    while (map_next(&l->persons, &it, &k, &v)) {
        struct person *p = v.ptr;
        vec_deinit(&p->in);
        mem_free(p);
    }
    for (it = 0; map_next(&l->sessions, &it, &k, &v);)
        mem_free(v.ptr);
    map_deinit(&l->persons), map_deinit(&l->sessions);
}

/* What is over goes, from the store and from memory. */
static int sweep(struct ledger *l, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db, SQL("DELETE FROM session WHERE expires_us <= ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, l->now_us);
    if ((rc = stmt_run(s, e)) < 0)
        return rc;
    for (bool found = true; found;) { /* the map does not change under a walk */
        size_t it = 0;
        struct str k;
        union map_value v;
        found = false;
        mutex_lock(&l->lock);
        while (!found && map_next(&l->sessions, &it, &k, &v))
            found = ((struct session *)v.ptr)->expires_us <= l->now_us;
        struct sha256 mac;
        if (found) {
            memcpy(&mac, k.p, sizeof mac);
            map_del(&l->sessions, key_of(&mac), NULL);
            mem_free(v.ptr);
        }
        mutex_unlock(&l->lock);
    }
    return 0;
}

int session_begin(struct ledger *l, int64_t person, uint32_t seconds, char token[SESSION_TOKEN_MAX], struct err *e)
{
    uint8_t random[32];
    struct sha256 mac;
    struct stmt *s;
    int64_t expires_us = l->now_us + (int64_t)seconds * 1000000;
    random_bytes(random, sizeof random);
    str_to_hex(token, random, sizeof random);
    ledger_mac(l, "session", str_of(token), &mac);
    int rc = sweep(l, e);
    if (rc == 0)
        rc = stmt_get(&s, l->db, SQL("INSERT INTO session (hmac, person_id, created_us, expires_us) VALUES (?1, ?2, ?3, ?4)"), e);
    if (rc < 0)
        return rc;
    stmt_blob(s, 1, &mac, sizeof mac), stmt_i64(s, 2, person), stmt_i64(s, 3, l->now_us), stmt_i64(s, 4, expires_us);
    rc = stmt_run(s, e);
    return rc < 0 ? rc : add(l, &mac, person, expires_us, e);
}

/* ---- who calls ---- */

/* Under lock; NULL: none that is good. */
static struct session *find(struct ledger *l, struct str token)
{
    struct sha256 mac;
    union map_value v;
    if (token.n != SESSION_TOKEN_MAX - 1)
        return NULL;
    ledger_mac(l, "session", token, &mac);
    if (!map_get(&l->sessions, key_of(&mac), &v))
        return NULL;
    struct session *x = v.ptr;
    return x->expires_us > clock_now_us() ? x : NULL;
}

static void fill(struct ledger *l, const struct person *p, struct str account, struct signed_in *out, struct principal *who)
{
    const struct membership *m = NULL;
    for (size_t i = 0; i < p->in.n; i++)
        if (account.n ? str_eqz(account, p->in.p[i].org->name) : p->in.n == 1)
            m = &p->in.p[i];
    *out = (struct signed_in){.person = p->id, .role = m ? m->role : ROLE_NONE};
    memcpy(out->email, p->email, sizeof out->email);
    *who = (struct principal){.all_models = true};
    if (!m)
        return;
    who->org.v = m->org->id; /* of all its projects: project 0 */
    memcpy(who->org_name, m->org->name, sizeof who->org_name);
    memcpy(who->kv_salt, m->org->kv_salt, sizeof who->kv_salt);
    (void)l;
}

int ledger_session(struct ledger *l, struct str token, struct str account, struct signed_in *out, struct principal *who, struct err *e)
{
    mutex_lock(&l->lock);
    struct session *x = find(l, token);
    if (x)
        fill(l, x->of, account, out, who);
    mutex_unlock(&l->lock);
    return x ? 0 : err_set(e, ERR_AUTH, "you are not signed in, or no longer; sign in again at /auth/login");
}

void ledger_report_person(struct ledger *l, const struct signed_in *who, struct buf *out)
{
    struct jw w;
    jw_init(&w, out);
    jw_obj(&w);
    jw_key(&w, "email"), jw_str(&w, who->email);
    jw_key(&w, "accounts"), jw_arr(&w);
    mutex_lock(&l->lock);
    const struct person *p = person_find(l, who->person);
    for (size_t i = 0; p && i < p->in.n; i++) {
        jw_obj(&w);
        jw_key(&w, "account"), jw_str(&w, p->in.p[i].org->name);
        jw_key(&w, "role"), jw_str(&w, role_names[p->in.p[i].role]);
        jw_obj_end(&w);
    }
    mutex_unlock(&l->lock);
    jw_arr_end(&w);
    jw_obj_end(&w);
}

/* ---- the end ---- */

struct end_args {
    const struct sha256 *mac; /* one session; NULL: all of the address */
    char email[LEDGER_EMAIL_MAX];
    int64_t n;
};

static bool meant(const struct end_args *a, struct str key, const struct session *x)
{
    return a->mac ? key.n == sizeof *a->mac && memcmp(key.p, a->mac, sizeof *a->mac) == 0 : strcmp(x->of->email, a->email) == 0;
}

static int end_call(struct ledger *l, void *arg, struct err *e)
{
    struct end_args *a = arg;
    struct stmt *s;
    char n[32];
    int rc = a->mac ? stmt_get(&s, l->db, SQL("DELETE FROM session WHERE hmac = ?1"), e)
                    : stmt_get(&s, l->db, SQL("DELETE FROM session WHERE person_id IN (SELECT id FROM person WHERE email = ?1)"), e);
    if (rc < 0)
        return rc;
    if (a->mac)
        stmt_blob(s, 1, a->mac, sizeof *a->mac);
    else
        stmt_text(s, 1, a->email);
    if ((rc = stmt_run(s, e)) < 0)
        return rc;
    a->n = db_changes(l->db);
    ASSERT(str_fmt(n, sizeof n, "sessions %lld", (long long)a->n));
    if (a->n && (rc = event_note(l, "sign-out", a->mac && l->actor ? l->actor : a->email, n, e)) < 0)
        return rc;
    size_t it = 0;
    struct str k;
    union map_value v;
    mutex_lock(&l->lock);
    while (map_next(&l->sessions, &it, &k, &v))
        if (meant(a, k, v.ptr))
            ((struct session *)v.ptr)->expires_us = 0; /* the next sweep frees it */
    mutex_unlock(&l->lock);
    return 0;
}

int ledger_session_end(struct ledger *l, struct str token, struct err *e)
{
    struct sha256 mac;
    ledger_mac(l, "session", token, &mac);
    struct end_args a = {.mac = &mac};
    return queue_call(l, end_call, &a, e);
}

int ledger_sessions_end(struct ledger *l, const char *email, int64_t *n, struct err *e)
{
    struct end_args a = {0};
    if (!email_fold(a.email, str_of(email)))
        return err_param(e, ERR_BAD_VALUE, "email", "ledger: '%.100s' is no e-mail address; write name@example.com", email);
    int rc = queue_call(l, end_call, &a, e);
    *n = a.n;
    return rc;
}
