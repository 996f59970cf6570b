/* Signing in: from what a provider says of somebody to memberships and a session. */
#include "ledger/event.h"
#include "ledger/member_int.h"

#include <string.h>

struct args {
    const struct identity *who;
    const struct sign_in_rules *rules;
    char *token;
    char email[LEDGER_EMAIL_MAX]; /* what the person is called: the verified address, else subject and issuer */
    bool verified;
    int64_t person, signup_org, signup_grant;
    bool denied;
    char why[200];
};

/* ---- groups ---- */

/* Cuts the next "GROUP=ACCOUNT:ROLE" off; false at the end. ERR: role NONE. */
static bool next_rule(struct str *rest, struct str *group, struct str *account, enum role *role)
{
    struct str one = {0};
    while (rest->n && !one.n)
        one = str_trim(str_split(rest, ','));
    if (!one.n)
        return false;
    size_t eq = one.n, colon = 0;
    for (size_t i = 0; i < one.n; i++)
        if (one.p[i] == '=' && eq == one.n)
            eq = i;
        else if (one.p[i] == ':')
            colon = i; /* the last: groups and accounts may have some */
    *role = ROLE_NONE, *group = one, *account = STR("");
    if (eq == 0 || eq == one.n || colon < eq + 2)
        return true;
    *group = str_trim((struct str){one.p, eq});
    *account = str_trim((struct str){one.p + eq + 1, colon - eq - 1});
    *role = role_named(str_trim((struct str){one.p + colon + 1, one.n - colon - 1}));
    return true;
}

int ledger_groups_check(const char *groups, struct err *e)
{
    struct str rest = str_of(groups), group, account;
    enum role role;
    while (next_rule(&rest, &group, &account, &role))
        if (!role || !group.n || !account.n)
            return err_set(e, ERR_USAGE, "oidc-groups: '%.*s' is no rule; write GROUP=ACCOUNT:ROLE with a role of owner, admin, developer or viewer",
                           (int)(group.n < 80 ? group.n : 80), group.p);
    return 0;
}

static bool in_group(const struct identity *who, struct str group)
{
    for (size_t i = 0; i < who->n_groups; i++)
        if (str_eq(who->groups[i], group))
            return true;
    return false;
}

/* The highest role that the identity's groups give in the account. */
static enum role role_in(const struct args *a, const char *name)
{
    struct str rest = str_of(a->rules->groups ? a->rules->groups : ""), group, account;
    enum role role, best = ROLE_NONE;
    while (next_rule(&rest, &group, &account, &role))
        if (role > best && str_eqz(account, name) && in_group(a->who, group))
            best = role;
    return best;
}

/* A row by group; one that people have made stays as it is. */
static int give(struct ledger *l, const struct args *a, const struct org *o, enum role role, struct err *e)
{
    struct stmt *s;
    char detail[LEDGER_NAME_MAX + 64];
    int rc =
        stmt_get(&s, l->db,
                 SQL("INSERT INTO member (org_id, email, person_id, role, from_group, created_us) VALUES (?1, ?2, ?3, ?4, 1, ?5) ON CONFLICT "
                     "(org_id, email) DO UPDATE SET role = excluded.role WHERE member.from_group = 1 AND member.person_id = excluded.person_id AND "
                     "member.role <> excluded.role"),
                 e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, o->id), stmt_text(s, 2, a->email), stmt_i64(s, 3, a->person), stmt_i64(s, 4, role), stmt_i64(s, 5, l->now_us);
    if ((rc = stmt_run(s, e)) < 0 || !db_changes(l->db))
        return rc;
    ASSERT(str_fmt(detail, sizeof detail, "%s role %s, by group", o->name, role_names[role]));
    return event_of(l, o->id, "member.set", a->email, detail, e);
}

/* Memberships by group that the groups no longer give. */
static int take(struct ledger *l, const struct args *a, struct err *e)
{
    struct VEC(int64_t) gone = {0};
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, l->db, SQL("SELECT org_id FROM member WHERE person_id = ?1 AND from_group = 1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, a->person);
    while ((rc = stmt_step(s, &row, e)) == 0 && row) {
        const struct org *o = org_find(l, stmt_col_i64(s, 0));
        if (o && !role_in(a, o->name) && !vec_push(&gone, o->id))
            rc = err_set(e, ERR_NO_MEMORY, "ledger: no memory for a member");
        if (rc < 0)
            break;
    }
    stmt_put(s);
    for (size_t i = 0; i < gone.n && rc == 0; i++) {
        if ((rc = stmt_get(&s, l->db, SQL("DELETE FROM member WHERE person_id = ?1 AND org_id = ?2 AND from_group = 1"), e)) < 0)
            break;
        stmt_i64(s, 1, a->person), stmt_i64(s, 2, gone.p[i]);
        if ((rc = stmt_run(s, e)) == 0)
            rc = event_of(l, gone.p[i], "member.rm", a->email, "by group", e);
    }
    vec_deinit(&gone);
    return rc;
}

static int follow_groups(struct ledger *l, const struct args *a, struct err *e)
{
    struct str rest = str_of(a->rules->groups ? a->rules->groups : ""), group, account;
    enum role role;
    int rc = take(l, a, e);
    while (rc == 0 && next_rule(&rest, &group, &account, &role)) {
        char name[LEDGER_NAME_MAX];
        struct org *o = str_fmt(name, sizeof name, "%.*s", (int)account.n, account.p) ? org_named(l, name) : NULL;
        if (o && role && in_group(a->who, group))
            rc = give(l, a, o, role_in(a, name), e);
    }
    return rc;
}

/* ---- the person ---- */

static int meet(struct ledger *l, struct args *a, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc =
        stmt_get(&s, l->db,
                 SQL("INSERT INTO person (issuer, subject, email, created_us, seen_us) VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (issuer, subject) "
                     "DO UPDATE SET email = excluded.email, seen_us = excluded.seen_us RETURNING id, signup_org, signup_grant"),
                 e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, a->who->issuer), stmt_text(s, 2, a->who->subject), stmt_text(s, 3, a->email), stmt_i64(s, 4, l->now_us);
    rc = stmt_step(s, &row, e);
    if (rc == 0 && row)
        a->person = stmt_col_i64(s, 0), a->signup_org = stmt_col_i64(s, 1), a->signup_grant = stmt_col_i64(s, 2);
    stmt_put(s);
    if (rc < 0 || !a->verified)
        return rc;
    if ((rc = stmt_get(&s, l->db, SQL("UPDATE member SET person_id = ?1 WHERE person_id = 0 AND email = ?2"), e)) < 0)
        return rc;
    stmt_i64(s, 1, a->person), stmt_text(s, 2, a->email);
    return stmt_run(s, e);
}

static int count(struct ledger *l, const struct args *a, int64_t *n, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, l->db, SQL("SELECT count(*) FROM member WHERE person_id = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, a->person);
    rc = stmt_step(s, &row, e);
    *n = rc == 0 && row ? stmt_col_i64(s, 0) : 0;
    stmt_put(s);
    return rc;
}

/* A name that is free: the address, or with a number behind it. */
static bool free_name(const struct ledger *l, const char *email, char out[LEDGER_NAME_MAX])
{
    bool fits = str_fmt(out, LEDGER_NAME_MAX, "%s", email);
    for (int i = 2; fits && org_named(l, out) && i < 100; i++)
        fits = str_fmt(out, LEDGER_NAME_MAX, "%s %d", email, i);
    return fits && account_name_good(out) && !org_named(l, out);
}

/* An account of one's own: once for each identity. */
static int sign_up(struct ledger *l, struct args *a, struct err *e)
{
    char name[LEDGER_NAME_MAX];
    struct org *o;
    struct stmt *s;
    if (!free_name(l, a->email, name)) {
        a->denied = true;
        return 0;
    }
    int rc = account_make(l, name, &o, e);
    if (rc < 0 ||
        (rc = stmt_get(&s, l->db, SQL("INSERT INTO member (org_id, email, person_id, role, created_us) VALUES (?1, ?2, ?3, 4, ?4)"), e)) < 0)
        return rc;
    stmt_i64(s, 1, o->id), stmt_text(s, 2, a->email), stmt_i64(s, 3, a->person), stmt_i64(s, 4, l->now_us);
    if ((rc = stmt_run(s, e)) < 0 || (rc = stmt_get(&s, l->db, SQL("UPDATE person SET signup_org = ?2, signup_grant = ?3 WHERE id = ?1"), e)) < 0)
        return rc;
    a->signup_org = o->id, a->signup_grant = a->rules->grant.nano;
    stmt_i64(s, 1, a->person), stmt_i64(s, 2, o->id), stmt_i64(s, 3, a->signup_grant);
    if ((rc = stmt_run(s, e)) < 0)
        return rc;
    return event_of(l, o->id, "sign-up", a->email, o->name, e);
}

/* One event for each account, so that its owners see who comes. */
static int note(struct ledger *l, const struct args *a, struct err *e)
{
    const struct person *p = person_find(l, a->person);
    int rc = 0;
    for (size_t i = 0; p && i < p->in.n && rc == 0; i++)
        rc = event_of(l, p->in.p[i].org->id, "sign-in", a->email, p->in.p[i].org->name, e);
    return rc;
}

static int call(struct ledger *l, void *arg, struct err *e)
{
    struct args *a = arg;
    int64_t n;
    l->actor = a->email;
    int rc = meet(l, a, e);
    if (rc == 0)
        rc = follow_groups(l, a, e);
    if (rc == 0)
        rc = count(l, a, &n, e);
    if (rc == 0 && !n) {
        a->denied = !(a->rules->signup && a->verified && !a->signup_org);
        rc = a->denied ? 0 : sign_up(l, a, e);
    }
    if (rc == 0 && a->denied) /* kept: an error would take the event back */
        return event_note(l, "sign-in.denied", a->email, a->who->issuer, e);
    if (rc == 0)
        rc = session_begin(l, a->person, a->rules->seconds, a->token, e);
    return rc < 0 ? rc : note(l, a, e);
}

/* The free credit: by its reference once for each identity, also when an earlier try was cut off. */
static int grant(struct ledger *l, const struct args *a, struct err *e)
{
    char reference[64];
    ASSERT(str_fmt(reference, sizeof reference, "sign-up of person %lld", (long long)a->person));
    struct grant_new g = {.org = {a->signup_org},
                          .amount = {a->signup_grant},
                          .scope = "any",
                          .funding = "promotional",
                          .priority = 50,
                          .reference = reference,
                          .by = {.actor = "sign-up"}};
    return ledger_grant_create(l, &g, NULL, e);
}

int ledger_sign_in(struct ledger *l, const struct identity *who, const struct sign_in_rules *rules, char token[SESSION_TOKEN_MAX], struct err *e)
{
    struct args a = {.who = who, .rules = rules, .token = token};
    a.verified = who->email && email_fold(a.email, str_of(who->email));
    if (!a.verified && !str_fmt(a.email, sizeof a.email, "%s (%s)", who->subject, who->issuer))
        return err_set(e, ERR_FORBIDDEN, "the identity provider's name of you is too long");
    int rc = queue_call(l, call, &a, e);
    if (rc == 0 && a.denied)
        return err_set(e, ERR_FORBIDDEN,
                       "%s is no member of any account here%s; ask an owner of your account, or the operator, to add you: sluice "
                       "member set ACCOUNT %s",
                       a.email, a.verified ? "" : ", and the provider has not verified an e-mail address of yours", a.email);
    return rc == 0 && a.signup_grant ? grant(l, &a, e) : rc;
}
