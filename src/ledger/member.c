/* Members of accounts. */
#include "ledger/member_int.h"
#include "ledger/list_int.h"

#include "base/mem.h"

#include <string.h>

const char *const role_names[ROLE_COUNT] = {"none", "viewer", "developer", "admin", "owner"};

enum role role_named(struct str name)
{
    for (int i = ROLE_VIEWER; i < ROLE_COUNT; i++)
        if (str_eqz(name, role_names[i]))
            return (enum role)i;
    return ROLE_NONE;
}

bool email_fold(char out[LEDGER_EMAIL_MAX], struct str email)
{
    size_t at = 0, n_at = 0;
    if (!email.n || email.n >= LEDGER_EMAIL_MAX || !utf8_valid(email.p, email.n))
        return false;
    for (size_t i = 0; i < email.n; i++) {
        unsigned char c = (unsigned char)email.p[i];
        if (c <= 0x20 || c == 0x7f || c == ',' || c == '"' || c == '<' || c == '>')
            return false;
        if (c == '@')
            at = i, n_at++;
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    out[email.n] = 0;
    return n_at == 1 && at > 0 && at + 1 < email.n;
}

/* ---- what is in memory of those who are signed in ---- */

struct person *person_find(const struct ledger *l, int64_t id)
{
    union map_value v;
    return map_get(&l->persons, ID_KEY(id), &v) ? v.ptr : NULL;
}

int person_view(struct ledger *l, int64_t id, struct err *e)
{
    struct person *p = person_find(l, id), fresh = {0};
    struct stmt *s;
    bool row = true;
    if (!p)
        return 0;
    int rc = stmt_get(&s, l->db, SQL("SELECT org_id, role FROM member WHERE person_id = ?1 ORDER BY org_id"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, id);
    while ((rc = stmt_step(s, &row, e)) == 0 && row) {
        struct membership m = {org_find(l, stmt_col_i64(s, 0)), (enum role)stmt_col_i64(s, 1)};
        if (m.org && !vec_push(&fresh.in, m))
            rc = err_set(e, ERR_NO_MEMORY, "ledger: no memory for a member");
        if (rc < 0)
            break;
    }
    stmt_put(s);
    if (rc < 0) {
        vec_deinit(&fresh.in);
        return rc;
    }
    mutex_lock(&l->lock);
    vec_deinit(&p->in);
    p->in.p = fresh.in.p, p->in.n = fresh.in.n, p->in.cap = fresh.in.cap;
    mutex_unlock(&l->lock);
    return 0;
}

static int read_email(struct ledger *l, struct person *p, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, l->db, SQL("SELECT email FROM person WHERE id = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, p->id);
    rc = stmt_step(s, &row, e);
    struct str email = rc == 0 && row ? stmt_col_str(s, 0) : STR("");
    if (rc == 0 && !str_fmt(p->email, sizeof p->email, "%.*s", (int)email.n, email.p))
        rc = err_set(e, ERR_DB, "ledger: the store is damaged: a person's address is too long; restore it from the backup");
    stmt_put(s);
    return rc;
}

struct person *person_make(struct ledger *l, int64_t id, struct err *e)
{
    struct person *p = person_find(l, id);
    if (!p && !(p = mem_new(sizeof *p))) {
        err_set(e, ERR_NO_MEMORY, "ledger: no memory for a person");
        return NULL;
    }
    if (!p->id) {
        p->id = id;
        mutex_lock(&l->lock);
        bool ok = map_set(&l->persons, ID_KEY(id), (union map_value){.ptr = p});
        mutex_unlock(&l->lock);
        if (!ok) {
            mem_free(p);
            err_set(e, ERR_NO_MEMORY, "ledger: no memory for a person");
            return NULL;
        }
    }
    struct person fresh = {.id = id};
    if (read_email(l, &fresh, e) < 0)
        return NULL;
    mutex_lock(&l->lock);
    memcpy(p->email, fresh.email, sizeof p->email);
    mutex_unlock(&l->lock);
    return person_view(l, id, e) < 0 ? NULL : p;
}

/* ---- changing ---- */

struct args {
    int64_t org;
    char email[LEDGER_EMAIL_MAX];
    enum role role, by; /* role NONE: it goes */
};

struct has { /* of the account and address */
    bool there;
    enum role role;
    int64_t person, owners; /* owners: of the account */
};

static int look(struct ledger *l, const struct args *a, struct has *out, struct err *e)
{
    struct stmt *s;
    bool row;
    *out = (struct has){0};
    int rc =
        stmt_get(&s, l->db,
                 SQL("SELECT CASE WHEN email = ?2 THEN 1 ELSE 0 END, role, person_id FROM member WHERE org_id = ?1 AND (email = ?2 OR role = 4)"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, a->org), stmt_text(s, 2, a->email);
    while ((rc = stmt_step(s, &row, e)) == 0 && row) {
        out->owners += stmt_col_i64(s, 1) == ROLE_OWNER;
        if (stmt_col_i64(s, 0))
            out->there = true, out->role = (enum role)stmt_col_i64(s, 1), out->person = stmt_col_i64(s, 2);
    }
    stmt_put(s);
    return rc;
}

static int may(const struct args *a, const struct has *h, struct err *e)
{
    if (!h->there && a->role == ROLE_NONE)
        return err_param(e, ERR_NOT_FOUND, "email", "ledger: '%.100s' is no member of the account; see `sluice member list`", a->email);
    if (h->role > a->by || a->role > a->by)
        return err_set(e, ERR_FORBIDDEN, "ledger: a member who is %s cannot give or take the role %s; ask an owner of the account", role_names[a->by],
                       role_names[h->role > a->role ? h->role : a->role]);
    if (h->role == ROLE_OWNER && a->role != ROLE_OWNER && h->owners == 1)
        return err_set(e, ERR_CONFLICT, "ledger: '%.100s' is the last owner of the account; make another one first", a->email);
    return 0;
}

static int store(struct ledger *l, const struct args *a, struct err *e)
{
    struct stmt *s;
    int rc = a->role
                 ? stmt_get(&s, l->db,
                            SQL("INSERT INTO member (org_id, email, role, created_us) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (org_id, email) DO UPDATE "
                                "SET role = excluded.role, from_group = 0"),
                            e)
                 : stmt_get(&s, l->db, SQL("DELETE FROM member WHERE org_id = ?1 AND email = ?2"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, a->org), stmt_text(s, 2, a->email);
    if (a->role)
        stmt_i64(s, 3, a->role), stmt_i64(s, 4, l->now_us);
    return stmt_run(s, e);
}

static int change_call(struct ledger *l, void *arg, struct err *e)
{
    struct args *a = arg;
    struct org *o = org_find(l, a->org);
    struct has h;
    char detail[LEDGER_NAME_MAX + 64];
    if (!o)
        return err_set(e, ERR_NOT_FOUND, "ledger: there is no account %lld; see `sluice account list`", (long long)a->org);
    int rc = look(l, a, &h, e);
    if (rc < 0 || (rc = may(a, &h, e)) < 0 || (rc = store(l, a, e)) < 0)
        return rc;
    ASSERT(str_fmt(detail, sizeof detail, "%s role %s, was %s", o->name, role_names[a->role], role_names[h.role]));
    rc = event_of(l, o->id, a->role ? "member.set" : "member.rm", a->email, detail, e);
    return rc == 0 && h.person ? person_view(l, h.person, e) : rc;
}

static int change(struct ledger *l, struct org_id org, const char *email, enum role role, enum role by, struct err *e)
{
    struct args a = {.org = org.v, .role = role, .by = by};
    if (!email_fold(a.email, str_of(email)))
        return err_param(e, ERR_BAD_VALUE, "email", "ledger: '%.100s' is no e-mail address; write name@example.com", email);
    return queue_call(l, change_call, &a, e);
}

int ledger_member_set(struct ledger *l, struct org_id org, const char *email, enum role role, enum role by, struct err *e)
{
    if (role <= ROLE_NONE || role >= ROLE_COUNT)
        return err_param(e, ERR_BAD_VALUE, "role", "ledger: a role is owner, admin, developer or viewer");
    return change(l, org, email, role, by, e);
}

int ledger_member_rm(struct ledger *l, struct org_id org, const char *email, enum role by, struct err *e)
{
    return change(l, org, email, ROLE_NONE, by, e);
}

/* ---- the list ---- */

static void row(struct ledger *l, struct jw *w, struct stmt *s)
{
    (void)l;
    int64_t role = stmt_col_i64(s, 2);
    list_str(w, "account", s, 0), list_str(w, "email", s, 1);
    jw_key(w, "role"), jw_str(w, role > ROLE_NONE && role < ROLE_COUNT ? role_names[role] : "unknown");
    jw_key(w, "state"), jw_str(w, stmt_col_i64(s, 3) ? "member" : "invited");
    jw_key(w, "from"), jw_str(w, stmt_col_i64(s, 4) ? "group" : "people");
    report_time(w, "since", stmt_col_i64(s, 5)), report_time(w, "seen", stmt_col_i64(s, 6));
}

int ledger_report_members(struct ledger *l, const char *account, struct buf *out, struct err *e)
{
    struct stmt *s;
    int rc = list_begin(l, account,
                          SQL("SELECT o.name, m.email, m.role, m.person_id, m.from_group, m.created_us, coalesce(p.seen_us, 0) FROM member m JOIN "
                              "organisation o ON o.id = m.org_id LEFT JOIN person p ON p.id = m.person_id WHERE ?1 IS NULL OR o.name = ?1 "
                              "ORDER BY o.name, m.role DESC, m.email"),
                          &s, e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, account);
    return list_end(l, s, row, out, e);
}
