/* What people do with credit: each deed has an actor and a reason, is done in one transaction of its own, and is kept in `operation` and in the
 * chain of events. With a key it is done once: a second time the first answer comes back, and nothing happens. What fails is not kept, and may
 * be tried again with the same key. */
#include "ledger/operation.h"

#include "base/mem.h"

#include <string.h>

int words_check(const char *name, const char *text, size_t most, struct err *e)
{
    size_t n = text ? strlen(text) : 1;
    bool good = n && n <= most && (!text || utf8_valid(text, n));
    for (size_t i = 0; good && text && i < n; i++)
        good = (unsigned char)text[i] >= 0x20 && text[i] != 0x7f;
    return good ? 0 : err_param(e, ERR_BAD_VALUE, name, "ledger: %s has 1 to %zu bytes of UTF-8 without control characters", name, most);
}

void operation_asks(struct operation *o, const char *text)
{
    buf_add(&o->asked, text ? text : "", text ? strlen(text) + 1 : 1);
}

void operation_asks_i64(struct operation *o, int64_t v)
{
    buf_fmt(&o->asked, "%lld", (long long)v);
    buf_add(&o->asked, "", 1);
}

const char *operation_actor(const struct operation *o)
{
    return o->by->actor ? o->by->actor : "admin";
}

static void digest(struct sha256 *out, const struct operation *o)
{
    struct sha256_ctx *c = sha256_new();
    sha256_add(c, o->kind, strlen(o->kind) + 1);
    sha256_add(c, o->asked.data, o->asked.len);
    sha256_free(c, out);
}

/* The same key again: the answer of the first time, if it asked for the same. */
static int replay(struct ledger *l, struct operation *o, bool *found, struct err *e)
{
    struct sha256 asked;
    struct stmt *s;
    *found = false;
    if (!o->by->key)
        return 0;
    int rc = stmt_get(&s, l->db, SQL("SELECT id, digest, answer FROM operation WHERE key = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, o->by->key);
    digest(&asked, o);
    if ((rc = stmt_step(s, found, e)) == 0 && *found) {
        struct str has = stmt_col_blob(s, 1), answer = stmt_col_str(s, 2);
        o->id = stmt_col_i64(s, 0);
        if (has.n == sizeof asked && memcmp(has.p, &asked, sizeof asked) == 0)
            buf_add(&o->answer, answer.p, answer.n);
        else
            rc = err_param(e, ERR_CONFLICT, "idempotency_key",
                           "ledger: the idempotency key '%.64s' was used for something else (operation %lld); use a new key", o->by->key,
                           (long long)o->id);
    }
    stmt_put(s);
    return rc;
}

static int insert(struct ledger *l, const struct operation *o, struct err *e)
{
    struct sha256 asked;
    struct stmt *s;
    int rc =
        stmt_get(&s, l->db,
                 SQL("INSERT INTO operation (id, key, kind, digest, actor, reason, answer, created_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"), e);
    if (rc < 0)
        return rc;
    digest(&asked, o);
    stmt_i64(s, 1, o->id), stmt_text(s, 2, o->by->key), stmt_text(s, 3, o->kind), stmt_blob(s, 4, &asked, sizeof asked);
    stmt_text(s, 5, operation_actor(o)), stmt_text(s, 6, o->by->reason ? o->by->reason : ""), stmt_text(s, 7, o->answer.data);
    stmt_i64(s, 8, l->now_us);
    return stmt_run(s, e);
}

static int note(struct ledger *l, const struct operation *o, struct err *e)
{
    struct buf detail;
    char action[32];
    buf_init(&detail, 0);
    buf_fmt(&detail, "operation %lld: %s", (long long)o->id, o->detail.len ? o->detail.data : o->answer.data);
    if (o->by->reason)
        buf_fmt(&detail, " reason: %s", o->by->reason);
    ASSERT(str_fmt(action, sizeof action, "%s%s", strcmp(o->kind, "refund") == 0 || o->plain ? "" : "grant.", o->kind));
    int rc = detail.failed ? err_set(e, ERR_NO_MEMORY, "ledger: no memory for an event")
                           : event_record(l, o->org, operation_actor(o), action, o->object, detail.data, e);
    buf_deinit(&detail);
    return rc;
}

static int call(struct ledger *l, void *arg, struct err *e)
{
    struct operation *o = arg;
    bool again;
    int rc = replay(l, o, &again, e);
    if (rc < 0 || again)
        return rc;
    o->id = l->next_operation++;
    if ((rc = o->act(l, o, e)) < 0)
        return rc;
    if (o->known) { /* its number is the next one's */
        l->next_operation--;
        return 0;
    }
    if (o->answer.failed || o->detail.failed)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for an answer");
    rc = insert(l, o, e);
    return rc < 0 ? rc : note(l, o, e);
}

void operation_init(struct operation *o, const char *kind, const struct deed *by, operation_fn act)
{
    *o = (struct operation){.kind = kind, .by = by, .act = act};
    buf_init(&o->asked, 0), buf_init(&o->answer, 0), buf_init(&o->detail, 0);
}

int operation_run(struct ledger *l, struct operation *o, struct buf *out, struct err *e)
{
    const struct deed *by = o->by;
    int rc = words_check("idempotency_key", by->key, LEDGER_NAME_MAX - 1, e);
    if (rc == 0)
        rc = words_check("actor", by->actor, LEDGER_NAME_MAX - 1, e);
    if (rc == 0)
        rc = words_check("reason", by->reason, LEDGER_REASON_MAX, e);
    if (rc == 0 && !by->reason && !o->no_reason)
        rc = err_param(e, ERR_BAD_VALUE, "reason", "ledger: a reason is missing; say why, for who reads the books later");
    if (rc == 0 && o->asked.failed)
        rc = err_set(e, ERR_NO_MEMORY, "ledger: no memory for a request");
    if (rc == 0)
        rc = queue_call(l, call, o, e);
    if (rc == 0 && out)
        buf_add(out, o->answer.data, o->answer.len);
    buf_deinit(&o->asked), buf_deinit(&o->answer), buf_deinit(&o->detail);
    return rc;
}

/* ---- what acts share ---- */

struct grant *operation_grant(struct ledger *l, struct operation *o, struct grant_id id, struct err *e)
{
    if (id.v < 1 || (size_t)id.v > l->grants.n) {
        err_param(e, ERR_NOT_FOUND, "grant", "ledger: there is no grant %lld; see `sluice grant list`", (long long)id.v);
        return NULL;
    }
    ASSERT(str_fmt(o->object, sizeof o->object, "grant %lld", (long long)id.v));
    o->org = l->grants.p[id.v - 1]->org->id;
    return l->grants.p[id.v - 1];
}

int operation_may(const struct ledger *l, const struct grant *g, const char *what, struct err *e)
{
    bool late = g->expires_us && g->expires_us <= l->now_us;
    if ((g->state == GRANT_LIVE || g->state == GRANT_WAITS) && !late)
        return 0;
    return err_param(e, ERR_CONFLICT, "grant", "ledger: grant %lld cannot be %s: it %s; make a new one: sluice grant create", (long long)g->id, what,
                     g->state == GRANT_UNAPPROVED                              ? "is not approved yet"
                     : g->state == GRANT_VOIDED || g->state == GRANT_IS_VOIDED ? "is voided"
                                                                               : "has expired");
}

void answer_money(struct jw *w, const char *key, int64_t nano)
{
    char text[MONEY_TEXT_MAX];
    money_text(text, (struct money){nano});
    jw_key(w, key);
    jw_str(w, text);
}
