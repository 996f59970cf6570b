/* Accounts as their owners know them: organisations. */
#include "ledger/ledger_int.h"

#include "base/mem.h"

#include <string.h>

/* Under lock, or on the ledger thread. */
struct org *org_find(const struct ledger *l, int64_t id)
{
    union map_value v;
    return map_get(&l->orgs_by_id, ID_KEY(id), &v) ? v.ptr : NULL;
}

struct org *org_named(const struct ledger *l, const char *name)
{
    union map_value v;
    return map_get(&l->orgs_by_name, str_of(name), &v) ? v.ptr : NULL;
}

struct account_args {
    const char *name;
    int64_t id;
};

static int insert_named(struct ledger *l, struct sql sql, int64_t org, const char *name, int64_t *id, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db, sql, e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, name), stmt_i64(s, 2, l->now_us);
    if (org)
        stmt_i64(s, 3, org);
    rc = stmt_run(s, e);
    *id = db_last_id(l->db);
    return rc;
}

/* The account o, with its first project. */
static int make(struct ledger *l, struct org *o, struct err *e)
{
    struct project p = {.name = "default"};
    int rc = insert_named(l, SQL("INSERT INTO organisation (name, created_us) VALUES (?1, ?2)"), 0, o->name, &o->id, e);
    if (rc == 0)
        rc = insert_named(l, SQL("INSERT INTO project (name, created_us, org_id) VALUES (?1, ?2, ?3)"), o->id, p.name, &p.id, e);
    if (rc == 0)
        rc = event_of(l, o->id, "account.create", o->name, "", e);
    if (rc < 0)
        return rc;
    o->project = p.id;
    key_salt(l, o->id, o->kv_salt);
    return state_org_add(l, o, e);
}

int account_make(struct ledger *l, const char *name, struct org **out, struct err *e)
{
    struct org *o = mem_new(sizeof *o);
    if (!o)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for an account");
    memcpy(o->name, name, strlen(name) + 1);
    int rc = make(l, o, e);
    if (rc < 0) {
        mem_free(o);
        return rc;
    }
    *out = o;
    struct project p = {.id = o->project, .name = "default"};
    return project_add(l, o, &p, e);
}

bool account_name_good(const char *name)
{
    size_t n = name ? strlen(name) : 0;
    bool good = n && n < LEDGER_NAME_MAX && utf8_valid(name, n);
    for (size_t i = 0; i < n && good; i++)
        good = (unsigned char)name[i] >= 0x20 && name[i] != 0x7f;
    return good;
}

static int create_call(struct ledger *l, void *arg, struct err *e)
{
    struct account_args *a = arg;
    struct org *o;
    if (org_named(l, a->name))
        return err_set(e, ERR_CONFLICT, "ledger: there is already an account '%s'; choose another name", a->name);
    int rc = account_make(l, a->name, &o, e);
    a->id = rc < 0 ? 0 : o->id;
    return rc;
}

int ledger_account_create(struct ledger *l, const char *name, struct org_id *out, struct err *e)
{
    if (!account_name_good(name))
        return err_param(e, ERR_BAD_VALUE, "name", "ledger: an account's name has 1 to %d bytes of UTF-8, without control characters",
                         LEDGER_NAME_MAX - 1);
    struct account_args a = {name, 0};
    int rc = queue_call(l, create_call, &a, e);
    if (rc == 0 && out)
        out->v = a.id;
    return rc;
}

int ledger_account_find(struct ledger *l, const char *name, struct org_id *out, struct err *e)
{
    mutex_lock(&l->lock);
    struct org *o = name ? org_named(l, name) : NULL;
    if (o)
        out->v = o->id;
    mutex_unlock(&l->lock);
    return o ? 0
             : err_set(e, ERR_NOT_FOUND, "ledger: there is no account '%.100s'; make one: sluice account create %.100s", name ? name : "",
                       name ? name : "NAME");
}

/* What the account may still spend, each grant on what it is for, and what open requests hold of it. */
int ledger_balance(struct ledger *l, struct org_id org, struct money *free_out, struct money *held, struct err *e)
{
    mutex_lock(&l->lock);
    struct org *o = org_find(l, org.v);
    if (o && free_out)
        free_out->nano = o->free;
    if (o && held)
        held->nano = o->held;
    mutex_unlock(&l->lock);
    return o ? 0 : err_set(e, ERR_NOT_FOUND, "ledger: there is no account %lld; see `sluice account list`", (long long)org.v);
}
