/* Projects: parts of an account. */
#include "ledger/project.h"

#include "base/json.h"
#include "base/mem.h"
#include "ledger/ledger_int.h"
#include "ledger/list_int.h"

#include <string.h>

struct project *project_find(const struct ledger *l, int64_t id)
{
    union map_value v;
    return map_get(&l->projects, ID_KEY(id), &v) ? v.ptr : NULL;
}

struct project *project_named(const struct ledger *l, int64_t org, struct str name)
{
    size_t it = 0;
    struct str k;
    union map_value v;
    while (map_next(&l->projects, &it, &k, &v)) {
        struct project *p = v.ptr;
        if (p->org->id == org && str_eqz(name, p->name))
            return p;
    }
    return NULL;
}

/* A living one, by name; NULL: ERR_NOT_FOUND. Ledger thread. */
struct project *project_live(const struct ledger *l, const struct org *o, const char *name, struct err *e)
{
    struct project *p = project_named(l, o->id, str_of(name));
    if (p && !p->archived_us)
        return p;
    err_param(e, ERR_NOT_FOUND, "project", "ledger: the account '%.100s' has no %sproject '%.100s'; see `sluice project list`", o->name,
              p ? "living " : "", name);
    return NULL;
}

struct project *project_path(const struct ledger *l, const char *path, struct err *e)
{
    const char *slash = strrchr(path, '/');
    char account[LEDGER_NAME_MAX];
    struct org *o = slash && str_fmt(account, sizeof account, "%.*s", (int)(slash - path), path) ? org_named(l, account) : NULL;
    struct project *p = o ? project_named(l, o->id, str_of(slash + 1)) : NULL;
    if (!p)
        err_param(e, ERR_NOT_FOUND, "project", "ledger: there is no project '%.100s'; name it ACCOUNT/PROJECT, see `sluice project list`", path);
    return p;
}

int project_add(struct ledger *l, struct org *o, const struct project *from, struct err *e)
{
    struct project *p = mem_new(sizeof *p);
    union map_value v = {.ptr = p};
    if (p)
        *p = *from, p->org = o;
    mutex_lock(&l->lock);
    bool ok = p && map_set(&l->projects, ID_KEY(from->id), v);
    mutex_unlock(&l->lock);
    if (ok)
        return 0;
    mem_free(p);
    return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a project");
}

/* ---- changing ---- */

struct args {
    int64_t org;
    const char *name;
};

static int org_of(const struct ledger *l, const struct args *a, struct org **out, struct err *e)
{
    *out = org_find(l, a->org);
    return *out ? 0 : err_set(e, ERR_NOT_FOUND, "ledger: there is no account %lld; see `sluice account list`", (long long)a->org);
}

static int create_call(struct ledger *l, void *arg, struct err *e)
{
    struct args *a = arg;
    struct project p = {0};
    struct org *o;
    struct stmt *s;
    int rc = org_of(l, a, &o, e);
    if (rc == 0 && project_named(l, o->id, str_of(a->name)))
        rc = err_param(e, ERR_CONFLICT, "name", "ledger: the account '%.100s' has had a project '%.100s'; choose another name", o->name, a->name);
    if (rc == 0)
        rc = stmt_get(&s, l->db, SQL("INSERT INTO project (name, created_us, org_id) VALUES (?1, ?2, ?3)"), e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, a->name), stmt_i64(s, 2, l->now_us), stmt_i64(s, 3, o->id);
    if ((rc = stmt_run(s, e)) < 0)
        return rc;
    p.id = db_last_id(l->db);
    memcpy(p.name, a->name, strlen(a->name) + 1);
    rc = event_of(l, o->id, "project.create", a->name, o->name, e);
    return rc < 0 ? rc : project_add(l, o, &p, e);
}

int ledger_project_create(struct ledger *l, struct org_id org, const char *name, struct err *e)
{
    size_t n = name ? strlen(name) : 0;
    bool good = n && n < LEDGER_NAME_MAX && utf8_valid(name, n);
    for (size_t i = 0; i < n && good; i++)
        good = (unsigned char)name[i] >= 0x20 && name[i] != 0x7f && name[i] != '/';
    if (!good)
        return err_param(e, ERR_BAD_VALUE, "name", "ledger: a project's name has 1 to %d bytes of UTF-8, without control characters and '/'",
                         LEDGER_NAME_MAX - 1);
    struct args a = {org.v, name};
    return queue_call(l, create_call, &a, e);
}

static int archive_call(struct ledger *l, void *arg, struct err *e)
{
    struct args *a = arg;
    struct org *o;
    struct stmt *s;
    int rc = org_of(l, a, &o, e);
    struct project *p = rc < 0 ? NULL : project_live(l, o, a->name, e);
    if (!p)
        return rc < 0 ? rc : -ERR_NOT_FOUND;
    if (p->id == o->project)
        return err_param(e, ERR_CONFLICT, "project",
                         "ledger: the project '%s' takes the keys that name no project and cannot be archived; "
                         "revoke its keys instead",
                         p->name);
    if ((rc = stmt_get(&s, l->db, SQL("UPDATE project SET archived_us = ?2 WHERE id = ?1"), e)) < 0)
        return rc;
    stmt_i64(s, 1, p->id), stmt_i64(s, 2, l->now_us);
    if ((rc = stmt_run(s, e)) < 0 || (rc = event_of(l, o->id, "project.archive", p->name, o->name, e)) < 0)
        return rc;
    mutex_lock(&l->lock);
    p->archived_us = l->now_us;
    mutex_unlock(&l->lock);
    return 0;
}

int ledger_project_archive(struct ledger *l, struct org_id org, const char *name, struct err *e)
{
    struct args a = {org.v, name};
    return queue_call(l, archive_call, &a, e);
}

/* ---- the list ---- */

static void row(struct ledger *l, struct jw *w, struct stmt *s)
{
    list_str(w, "account", s, 0), list_str(w, "project", s, 1);
    jw_key(w, "state"), jw_str(w, stmt_col_i64(s, 2) ? "archived" : "live");
    report_i64(w, "keys", stmt_col_i64(s, 3));
    report_i64(w, "requests", stmt_col_i64(s, 4)), report_i64(w, "input", stmt_col_i64(s, 5)), report_i64(w, "output", stmt_col_i64(s, 6));
    report_money(w, "cost", stmt_col_i64(s, 7));
    jw_key(w, "currency"), jw_str(w, l->currency);
    report_time(w, "created", stmt_col_i64(s, 8)), report_time(w, "archived", stmt_col_i64(s, 2));
}

int ledger_report_projects(struct ledger *l, const char *account, struct buf *out, struct err *e)
{
    struct stmt *s;
    int rc = list_begin(
        l, account,
        SQL("SELECT o.name, p.name, p.archived_us, (SELECT count(*) FROM key k WHERE k.project_id = p.id AND k.revoked_us = 0), "
            "coalesce(u.n, 0), coalesce(u.input, 0), coalesce(u.output, 0), coalesce(u.charged, 0), p.created_us FROM project p "
            "JOIN organisation o ON o.id = p.org_id LEFT JOIN (SELECT project_id, CAST(sum(requests) AS BIGINT) AS n, CAST(sum(input + cache_read + "
            "cache_write) AS BIGINT) AS input, CAST(sum(output + reasoning) AS BIGINT) AS output, CAST(sum(charged) AS BIGINT) AS charged FROM "
            "usage_cube WHERE level = 1 GROUP BY project_id) u "
            "ON u.project_id = p.id WHERE ?1 IS NULL OR o.name = ?1 ORDER BY o.name, p.id"),
        &s, e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, account);
    return list_end(l, s, row, out, e);
}
