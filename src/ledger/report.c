/* Reports: JSON arrays of flat objects, from a reader's snapshot; every total is a sum over usage rows. */
#include "ledger/ledger_int.h"

#include "base/clock.h"
#include "base/json.h"
#include "ledger/list_int.h"

#include <string.h>

static void put_money(struct jw *w, const char *key, int64_t nano)
{
    char text[MONEY_TEXT_MAX];
    money_text(text, (struct money){nano});
    jw_key(w, key);
    jw_str(w, text);
}

static void put_str(struct jw *w, const char *key, struct stmt *s, int col)
{
    struct str v = stmt_col_str(s, col);
    jw_key(w, key);
    jw_strn(w, v.p ? v.p : "", v.n);
}

static void put_i64(struct jw *w, const char *key, int64_t v)
{
    jw_key(w, key);
    jw_i64(w, v);
}

/* A time, or null for "none". */
static void put_time(struct jw *w, const char *key, int64_t us)
{
    char text[32];
    jw_key(w, key);
    if (us) {
        clock_iso(text, us);
        jw_str(w, text);
    } else {
        jw_null(w);
    }
}

typedef void row_fn(struct ledger *l, struct jw *w, struct stmt *s);

/* Writes an object for each row. The statement is put back. */
static int rows(struct ledger *l, struct stmt *s, row_fn *fn, struct buf *out, struct err *e)
{
    struct jw w;
    bool row = true;
    int rc = 0;
    jw_init(&w, out);
    jw_arr(&w);
    while (rc == 0 && row && !out->failed) {
        rc = stmt_step(s, &row, e);
        if (rc < 0 || !row)
            break;
        jw_obj(&w);
        fn(l, &w, s);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    stmt_put(s);
    return rc == 0 && out->failed ? err_set(e, ERR_NO_MEMORY, "ledger: the report is too large; narrow it") : rc;
}

/* Everything that was queued before is in the store; then the reader is ours. */
static int reader_get(struct ledger *l, struct sql sql, struct stmt **s, struct err *e)
{
    int rc = queue_flush(l, e);
    if (rc < 0)
        return rc;
    mutex_lock(&l->reader_lock);
    rc = stmt_get(s, l->reader, sql, e);
    if (rc < 0)
        mutex_unlock(&l->reader_lock);
    return rc;
}

static int reader_rows(struct ledger *l, struct stmt *s, row_fn *fn, struct buf *out, struct err *e)
{
    int rc = rows(l, s, fn, out, e);
    mutex_unlock(&l->reader_lock);
    return rc;
}

static int account_filter(struct ledger *l, const char *account, struct err *e)
{
    struct org_id id;
    return account ? ledger_account_find(l, account, &id, e) : 0;
}

void list_str(struct jw *w, const char *key, struct stmt *s, int col)
{
    put_str(w, key, s, col);
}

int list_begin(struct ledger *l, const char *account, struct sql sql, struct stmt **s, struct err *e)
{
    int rc = account_filter(l, account, e);
    return rc < 0 ? rc : reader_get(l, sql, s, e);
}

int list_end(struct ledger *l, struct stmt *s, row_fn *fn, struct buf *out, struct err *e)
{
    return reader_rows(l, s, fn, out, e);
}

/* ---- accounts ---- */

static void account_row(struct ledger *l, struct jw *w, struct stmt *s)
{
    put_str(w, "account", s, 0);
    put_i64(w, "id", stmt_col_i64(s, 1));
    put_money(w, "balance", stmt_col_i64(s, 2));
    put_money(w, "held", stmt_col_i64(s, 3));
    put_money(w, "granted", stmt_col_i64(s, 4));
    put_money(w, "spent", stmt_col_i64(s, 5));
    put_money(w, "refunded", stmt_col_i64(s, 8));
    jw_key(w, "currency"), jw_str(w, l->currency);
    put_i64(w, "keys", stmt_col_i64(s, 6));
    put_time(w, "created", stmt_col_i64(s, 7));
}

/* What the owner's balance counts, as grant_view has it. */
#define SPENDABLE "g.state IN (1, 3, 5)"

/* balance: free to spend; held: reserved by open requests; granted: all grants ever, as they were adjusted. */
int ledger_report_accounts(struct ledger *l, struct buf *out, struct err *e)
{
    struct stmt *s;
    int rc = reader_get(
        l,
        SQL("SELECT o.name, o.id, (SELECT coalesce(sum(remaining - held), 0) FROM credit_grant g WHERE g.org_id = o.id AND " SPENDABLE "), "
            "(SELECT coalesce(sum(held), 0) FROM credit_grant g WHERE g.org_id = o.id AND " SPENDABLE "), "
            "(SELECT coalesce(sum(amount + adjusted), 0) FROM credit_grant g WHERE g.org_id = o.id AND approved_us <> 0), "
            "(SELECT coalesce(sum(charged), 0) FROM usage u WHERE u.org_id = o.id), "
            "(SELECT count(*) FROM key k JOIN project p ON p.id = k.project_id WHERE p.org_id = o.id AND k.revoked_us = 0), o.created_us, "
            "(SELECT coalesce(sum(r.amount), 0) FROM refund_line r JOIN usage u ON u.id = r.usage_id WHERE u.org_id = o.id) "
            "FROM organisation o ORDER BY o.name"),
        &s, e);
    return rc < 0 ? rc : reader_rows(l, s, account_row, out, e);
}

/* ---- keys ---- */

/* A list with commas; empty: all. */
static void put_list(struct jw *w, const char *key, struct stmt *s, int col)
{
    if (stmt_col_str(s, col).n)
        put_str(w, key, s, col);
    else
        jw_key(w, key), jw_str(w, "all");
}

/* The budget as it is set, and what it has paid and reserves, in this month or in all. */
static void key_budget(struct jw *w, struct stmt *s, int col)
{
    char text[MONEY_TEXT_MAX + sizeof "/month"] = "none";
    bool has = stmt_col_i64(s, col) >= 0;
    if (has) {
        money_text(text, (struct money){stmt_col_i64(s, col)});
        if (stmt_col_i64(s, col + 1))
            memcpy(text + strlen(text), "/month", sizeof "/month");
    }
    jw_key(w, "budget"), jw_str(w, text);
    if (has) {
        put_money(w, "budget_spent", stmt_col_i64(s, col + 2)), put_money(w, "budget_held", stmt_col_i64(s, col + 3));
    } else {
        jw_key(w, "budget_spent"), jw_null(w);
        jw_key(w, "budget_held"), jw_null(w);
    }
}

static void key_row(struct ledger *l, struct jw *w, struct stmt *s)
{
    (void)l;
    int64_t expires = stmt_col_i64(s, 6), revoked = stmt_col_i64(s, 7);
    put_str(w, "id", s, 0), put_str(w, "account", s, 1), put_str(w, "project", s, 2), put_str(w, "name", s, 3), put_str(w, "last4", s, 4);
    jw_key(w, "state"), jw_str(w, revoked ? "revoked" : expires && expires <= clock_now_us() ? "expired" : "live");
    put_time(w, "created", stmt_col_i64(s, 5));
    put_time(w, "expires", expires), put_time(w, "revoked", revoked), put_time(w, "rotated", stmt_col_i64(s, 8));
    put_str(w, "scopes", s, 9), put_list(w, "models", s, 10), put_list(w, "allow", s, 11);
    key_budget(w, s, 12);
}

int ledger_report_keys(struct ledger *l, const char *account, struct buf *out, struct err *e)
{
    struct stmt *s;
    int rc = account_filter(l, account, e);
    if (rc == 0)
        rc = reader_get(
            l,
            SQL("SELECT k.public_id, o.name, p.name, k.name, k.last4, k.created_us, k.expires_us, k.revoked_us, k.rotated_us, k.scopes, k.models, "
                "k.allow, k.budget, k.budget_monthly, coalesce(sum(x.charged), 0), coalesce(sum(x.held), 0) FROM key k "
                "JOIN project p ON p.id = k.project_id JOIN organisation o ON o.id = p.org_id "
                "LEFT JOIN key_spend x ON x.key_id = k.id AND (k.budget_monthly = 0 OR x.month = " MONTH_OF(
                    "?2") ") "
                          "WHERE ?1 IS NULL OR o.name = ?1 GROUP BY k.id, o.name, p.name ORDER BY k.id"),
            &s, e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, account), stmt_i64(s, 2, clock_now_us());
    return reader_rows(l, s, key_row, out, e);
}

/* ---- grants ---- */

static const char *state_name(int64_t state, int64_t remaining)
{
    if (state == GRANT_LIVE && remaining == 0)
        return "used";
    return state >= 0 && state < GRANT_STATES ? grant_state_names[state] : "unknown";
}

static void grant_row(struct ledger *l, struct jw *w, struct stmt *s)
{
    put_i64(w, "id", stmt_col_i64(s, 0));
    put_str(w, "account", s, 1);
    put_money(w, "amount", stmt_col_i64(s, 2)), put_money(w, "remaining", stmt_col_i64(s, 3)), put_money(w, "held", stmt_col_i64(s, 12));
    jw_key(w, "currency"), jw_str(w, l->currency);
    put_str(w, "scope", s, 4), put_list(w, "models", s, 13), put_str(w, "funding", s, 5);
    put_i64(w, "priority", stmt_col_i64(s, 6));
    jw_key(w, "state"), jw_str(w, state_name(stmt_col_i64(s, 9), stmt_col_i64(s, 3)));
    put_time(w, "effective", stmt_col_i64(s, 7)), put_time(w, "expires", stmt_col_i64(s, 8));
    put_str(w, "reference", s, 10);
    put_time(w, "created", stmt_col_i64(s, 11));
}

int ledger_report_grants(struct ledger *l, const char *account, struct buf *out, struct err *e)
{
    struct stmt *s;
    int rc = account_filter(l, account, e);
    if (rc == 0)
        rc = reader_get(
            l,
            SQL("SELECT g.id, o.name, g.amount, g.remaining, g.scope, g.funding, g.priority, g.effective_us, g.expires_us, g.state, g.reference, "
                "g.created_us, g.held, g.models FROM credit_grant g JOIN organisation o ON o.id = g.org_id WHERE ?1 IS NULL OR o.name = ?1 ORDER BY "
                "g.id"),
            &s, e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, account);
    return reader_rows(l, s, grant_row, out, e);
}

static void history_row(struct ledger *l, struct jw *w, struct stmt *s)
{
    (void)l;
    put_i64(w, "transaction", stmt_col_i64(s, 0)), put_time(w, "at", stmt_col_i64(s, 1)), put_str(w, "kind", s, 2);
    put_money(w, "amount", stmt_col_i64(s, 3)), put_str(w, "actor", s, 4), put_str(w, "reason", s, 5);
}

/* Usage transactions are left out: they may be millions; what they came to is "spent". */
#define HISTORY_OF(g)                                                                                                                                \
    "FROM txn t JOIN entry e ON e.txn_id = t.id AND e.account_id = " g ".account_id WHERE t.kind <> 'usage' AND t.grant_id IN (" g ".id, " g         \
    ".parent_id)"

static int history(struct ledger *l, struct grant_id id, struct buf *out, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->reader,
                      SQL("SELECT t.id, t.created_us, t.kind, -e.amount, o.actor, o.reason FROM credit_grant g JOIN txn t ON t.grant_id IN (g.id, "
                          "g.parent_id) AND t.kind <> 'usage' JOIN entry e ON e.txn_id = t.id AND e.account_id = g.account_id "
                          "LEFT JOIN operation o ON o.id = t.operation_id WHERE g.id = ?1 ORDER BY t.id LIMIT 10000"),
                      e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, id.v);
    return rows(l, s, history_row, out, e);
}

static void put_grant(struct ledger *l, struct jw *w, struct stmt *s)
{
    grant_row(l, w, s);
    put_money(w, "adjusted", stmt_col_i64(s, 14)), put_money(w, "spent", stmt_col_i64(s, 15));
    put_money(w, "cash_received", stmt_col_i64(s, 16)), put_money(w, "list_value", stmt_col_i64(s, 17));
    put_str(w, "counterparty", s, 18), put_str(w, "instrument", s, 19);
    put_str(w, "created_by", s, 20), put_time(w, "approved", stmt_col_i64(s, 21)), put_str(w, "approved_by", s, 22);
    jw_key(w, "transferred_from");
    if (stmt_col_i64(s, 23))
        jw_i64(w, stmt_col_i64(s, 23));
    else
        jw_null(w);
}

static int grant_object(struct ledger *l, struct grant_id id, struct buf *out, struct err *e)
{
    struct stmt *s;
    struct jw w;
    bool row;
    int rc = stmt_get(&s, l->reader,
                      SQL("SELECT g.id, o.name, g.amount, g.remaining, g.scope, g.funding, g.priority, g.effective_us, g.expires_us, g.state, "
                          "g.reference, g.created_us, g.held, g.models, g.adjusted, (SELECT coalesce(sum(-e.amount), 0) " HISTORY_OF(
                              "g") ") - g.remaining, g.cash_received, g.list_value, g.counterparty, g.instrument, g.created_by, g.approved_us, "
                                   "g.approved_by, g.parent_id FROM credit_grant g JOIN organisation o ON o.id = g.org_id WHERE g.id = ?1"),
                      e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, id.v);
    rc = stmt_step(s, &row, e);
    if (rc == 0 && !row)
        rc = err_param(e, ERR_NOT_FOUND, "grant", "ledger: there is no grant %lld; see `sluice grant list`", (long long)id.v);
    jw_init(&w, out);
    jw_obj(&w);
    if (rc == 0)
        put_grant(l, &w, s);
    stmt_put(s);
    jw_key(&w, "history");
    if (rc == 0)
        rc = history(l, id, out, e);
    w.comma = true;
    jw_obj_end(&w);
    return rc;
}

int ledger_report_grant(struct ledger *l, struct grant_id id, struct buf *out, struct err *e)
{
    int rc = queue_flush(l, e);
    if (rc < 0)
        return rc;
    mutex_lock(&l->reader_lock);
    rc = db_begin(l->reader, e); /* the object and its history are of one moment */
    if (rc == 0) {
        rc = grant_object(l, id, out, e);
        db_rollback(l->reader);
    }
    mutex_unlock(&l->reader_lock);
    return rc;
}

/* ---- rate limits ---- */

/* A text, or null for "all". */
static void put_name(struct jw *w, const char *key, struct stmt *s, int col)
{
    struct str v = stmt_col_str(s, col);
    jw_key(w, key);
    if (v.n)
        jw_strn(w, v.p, v.n);
    else
        jw_null(w);
}

static void rate_row(struct ledger *l, struct jw *w, struct stmt *s)
{
    struct rate_id id;
    struct rate_state x = {0};
    char text[32];
    int64_t window_s = stmt_col_i64(s, 4), most = stmt_col_i64(s, 5);
    if (rate_id_read(&id, s, 0))
        rate_look(l, &id, stmt_col_str(s, 3), window_s, &x);
    clock_duration(text, x.full_ms);
    put_name(w, "account", s, 7), put_name(w, "project", s, 8), put_name(w, "key", s, 6), put_name(w, "model", s, 2);
    put_str(w, "limit", s, 3);
    jw_key(w, "per"), jw_str(w, window_s == 60 ? "minute" : window_s ? "day" : NULL);
    put_i64(w, "most", most);
    jw_key(w, "used"), jw_u64(w, x.used);
    jw_key(w, "left"), jw_u64(w, (uint64_t)most > x.used ? (uint64_t)most - x.used : 0);
    jw_key(w, "full_in"), jw_str(w, window_s ? text : NULL);
}

int ledger_report_rates(struct ledger *l, const char *account, struct buf *out, struct err *e)
{
    struct stmt *s;
    int rc = account_filter(l, account, e);
    if (rc == 0)
        rc = reader_get(l,
                        SQL("SELECT r.whose, r.owner_id, r.model, r.meter, r.window_s, r.most, k.public_id, o.name, "
                            "CASE r.whose WHEN 'project' THEN p.name END FROM rate_limit r "
                            "LEFT JOIN key k ON r.whose = 'key' AND k.id = r.owner_id LEFT JOIN project p ON p.id = CASE r.whose WHEN 'key' "
                            "THEN k.project_id WHEN 'project' THEN r.owner_id END "
                            "LEFT JOIN organisation o ON o.id = CASE r.whose WHEN 'account' THEN r.owner_id ELSE p.org_id END "
                            "WHERE ?1 IS NULL OR o.name = ?1 ORDER BY coalesce(o.name, ''), coalesce(p.id, 0), coalesce(k.id, 0), r.model, "
                            "r.meter = 'parallel', instr('requests input output tokens', r.meter), r.window_s"),
                        &s, e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, account);
    return reader_rows(l, s, rate_row, out, e);
}
