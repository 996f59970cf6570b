/* What people did to the ledger, hash-chained: a changed or missing row breaks every later hash. */
#include "ledger/event.h"

#include "ledger/list_int.h"

#include <string.h>

static _Thread_local const char *acts_as;

void ledger_act_as(const char *actor)
{
    acts_as = actor;
}

const char *ledger_actor(void)
{
    return acts_as;
}

/* SHA-256(previous hash, at, then each field ended by a NUL; then, of an account's event, the account). */
void event_hash(struct sha256 *out, const struct sha256 *before, const struct event *v)
{
    struct sha256_ctx *c = sha256_new();
    const struct str f[] = {v->actor, v->action, v->object, v->detail};
    sha256_add(c, before, sizeof *before);
    sha256_add(c, &v->at_us, sizeof v->at_us);
    for (size_t i = 0; i < sizeof f / sizeof *f; i++) {
        sha256_add(c, f[i].p, f[i].n);
        sha256_add(c, "", 1);
    }
    if (v->org)
        sha256_add(c, &v->org, sizeof v->org);
    sha256_free(c, out);
}

/* Adds an event in the open batch. */
int event_record(struct ledger *l, int64_t org, const char *actor, const char *action, const char *object, const char *detail, struct err *e)
{
    struct sha256 hash;
    struct event v = {org, l->now_us, str_of(actor), str_of(action), str_of(object), str_of(detail)};
    event_hash(&hash, &l->chain, &v);
    struct stmt *s;
    int rc = stmt_get(&s, l->db,
                      SQL("INSERT INTO event (id, at_us, actor, action, object, detail, hash, org_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, l->next_event), stmt_i64(s, 2, l->now_us), stmt_text(s, 3, actor), stmt_text(s, 4, action), stmt_text(s, 5, object);
    stmt_text(s, 6, detail), stmt_blob(s, 7, &hash, sizeof hash), stmt_i64(s, 8, org);
    if ((rc = stmt_run(s, e)) < 0)
        return rc;
    l->next_event++;
    l->chain = hash;
    return 0;
}

int event_by(struct ledger *l, const char *actor, const char *action, const char *object, const char *detail, struct err *e)
{
    return event_record(l, 0, actor, action, object, detail, e);
}

int event_of(struct ledger *l, int64_t org, const char *action, const char *object, const char *detail, struct err *e)
{
    return event_record(l, org, l->actor ? l->actor : "admin", action, object, detail, e);
}

int event_note(struct ledger *l, const char *action, const char *object, const char *detail, struct err *e)
{
    return event_of(l, 0, action, object, detail, e);
}

struct note {
    int64_t org;
    const char *action, *object, *detail;
};

static int note_call(struct ledger *l, void *arg, struct err *e)
{
    const struct note *n = arg;
    return event_of(l, n->org, n->action, n->object, n->detail, e);
}

int ledger_event(struct ledger *l, struct org_id org, const char *action, const char *object, const char *detail, struct err *e)
{
    struct note n = {org.v, action, object, detail};
    return queue_call(l, note_call, &n, e);
}

/* ---- reading ---- */

static void row(struct ledger *l, struct jw *w, struct stmt *s)
{
    (void)l;
    char hex[2 * sizeof(struct sha256) + 1] = "";
    struct str hash = stmt_col_blob(s, 6);
    if (hash.n == sizeof(struct sha256))
        str_to_hex(hex, (const uint8_t *)hash.p, hash.n);
    report_i64(w, "event", stmt_col_i64(s, 0)), report_time(w, "at", stmt_col_i64(s, 1)), list_str(w, "actor", s, 2);
    list_str(w, "action", s, 3), list_str(w, "object", s, 4), list_str(w, "detail", s, 5), list_str(w, "account", s, 7);
    jw_key(w, "hash"), jw_str(w, hex);
}

int ledger_report_events(struct ledger *l, const struct event_filter *f, struct buf *out, struct err *e)
{
    struct stmt *s;
    char begins[128] = "";
    if (f->action && !str_fmt(begins, sizeof begins, "%s.", f->action))
        return err_param(e, ERR_BAD_VALUE, "action",
                         "ledger: there is no action '%.60s'; actions are words such as key.create, or key for all of them", f->action);
    int rc = list_begin(l, f->account,
                          SQL("SELECT v.id, v.at_us, v.actor, v.action, v.object, v.detail, v.hash, coalesce(o.name, '') FROM event v LEFT JOIN "
                              "organisation o ON o.id = v.org_id WHERE (?1 IS NULL OR o.name = ?1) AND (?2 IS NULL OR v.actor = ?2) AND (?3 IS NULL "
                              "OR v.action = ?3 OR substr(v.action, 1, length(?4)) = ?4) AND v.at_us >= ?5 AND v.at_us < ?6 AND v.id < ?7 "
                              "ORDER BY v.id DESC LIMIT ?8"),
                          &s, e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, f->account), stmt_text(s, 2, f->actor), stmt_text(s, 3, f->action), stmt_text(s, 4, begins), stmt_i64(s, 5, f->since_us);
    stmt_i64(s, 6, f->until_us ? f->until_us : INT64_MAX), stmt_i64(s, 7, f->before ? f->before : INT64_MAX),
        stmt_i64(s, 8, f->limit ? f->limit : 1000);
    return list_end(l, s, row, out, e);
}

/* The chain of the rows of s: in *head the last hash, *broken the first event that does not follow (0: none). */
static int follow(struct stmt *s, struct sha256 *head, int64_t *n, int64_t *broken, struct err *e)
{
    bool more = true;
    int rc;
    while ((rc = stmt_step(s, &more, e)) == 0 && more) {
        struct event v = {stmt_col_i64(s, 7), stmt_col_i64(s, 1), stmt_col_str(s, 2), stmt_col_str(s, 3), stmt_col_str(s, 4), stmt_col_str(s, 5)};
        struct str has = stmt_col_blob(s, 6);
        event_hash(head, head, &v);
        if (!*broken && (stmt_col_i64(s, 0) != *n + 1 || has.n != sizeof *head || memcmp(has.p, head, sizeof *head) != 0))
            *broken = stmt_col_i64(s, 0);
        ++*n;
    }
    return rc;
}

int ledger_event_check(struct ledger *l, struct buf *out, struct err *e)
{
    struct sha256 head = {0};
    int64_t n = 0, broken = 0;
    char hex[2 * sizeof head + 1];
    struct stmt *s;
    struct jw w;
    int rc = list_begin(l, NULL, SQL("SELECT id, at_us, actor, action, object, detail, hash, org_id FROM event ORDER BY id"), &s, e);
    if (rc < 0)
        return rc;
    rc = follow(s, &head, &n, &broken, e);
    stmt_put(s);
    mutex_unlock(&l->reader_lock);
    if (rc < 0)
        return rc;
    str_to_hex(hex, head.b, sizeof head.b);
    jw_init(&w, out);
    jw_obj(&w);
    jw_key(&w, "events"), jw_i64(&w, n);
    jw_key(&w, "head"), jw_str(&w, hex);
    jw_key(&w, "broken");
    if (broken)
        jw_i64(&w, broken);
    else
        jw_null(&w);
    jw_obj_end(&w);
    return 0;
}
