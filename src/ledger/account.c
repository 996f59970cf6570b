/* Accounts as their owners know them: organisations, each with one project. */
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
    struct org *made;
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

static int create_call(struct ledger *l, void *arg, struct err *e)
{
    struct account_args *a = arg;
    struct org *o = a->made;
    if (org_named(l, a->name))
        return err_set(e, ERR_CONFLICT, "ledger: there is already an account '%s'; choose another name", a->name);
    int rc = insert_named(l, SQL("INSERT INTO organisation (name, created_us) VALUES (?1, ?2)"), 0, a->name, &o->id, e);
    if (rc == 0)
        rc = insert_named(l, SQL("INSERT INTO project (name, created_us, org_id) VALUES (?1, ?2, ?3)"), o->id, "default", &o->project, e);
    if (rc == 0)
        rc = event_note(l, "account.create", a->name, "", e);
    if (rc < 0)
        return rc;
    key_salt(l, o->id, o->kv_salt);
    if ((rc = state_org_add(l, o, e)) < 0)
        return rc;
    a->id = o->id;
    a->made = NULL; /* the maps own it */
    return 0;
}

int ledger_account_create(struct ledger *l, const char *name, struct org_id *out, struct err *e)
{
    size_t n = name ? strlen(name) : 0;
    if (!n || n >= LEDGER_NAME_MAX || !utf8_valid(name, n))
        return err_param(e, ERR_BAD_VALUE, "name", "ledger: an account's name has 1 to %d bytes of UTF-8", LEDGER_NAME_MAX - 1);
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return err_param(e, ERR_BAD_VALUE, "name", "ledger: an account's name holds no control characters");
    struct org *o = mem_new(sizeof *o);
    if (!o)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for an account");
    memcpy(o->name, name, n);
    struct account_args a = {name, o, 0};
    int rc = queue_call(l, create_call, &a, e);
    mem_free(a.made);
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
