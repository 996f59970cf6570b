/* The audit: recomputes everything from the rows, in one snapshot, and lists what differs. Each query returns one line a difference; amounts
 * in them are nano-units. What SQL cannot say (rounding, the hash chain, the journal, the numbers in memory) is checked below. */
#include "ledger/ledger_int.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { LINES_MAX = 1000 }; /* described; all are counted */

struct audit {
    struct ledger *l;
    struct buf *out;
    uint64_t n;
    struct sha256 chain; /* of the last event read */
    uint64_t hold_max;   /* the last hold of the snapshot */
};

/* The order of grants of one scope, as grant_compare has it. */
#define EXPIRY(g)  "CASE " g ".expires_us WHEN 0 THEN 9223372036854775807 ELSE " g ".expires_us END"
#define FUNDING(g) "instr('promotional goodwill investment paid', " g ".funding)"

static const struct sql queries[] = {
    SQL("SELECT 'store: ' || quick_check FROM pragma_quick_check WHERE quick_check <> 'ok' LIMIT 20"),
    SQL("SELECT 'entries: all entries sum to ' || sum(amount) || ' instead of 0' FROM entry HAVING sum(amount) <> 0"),
    SQL("SELECT 'transaction ' || t.id || ': its ' || count(e.line) || ' entries sum to ' || coalesce(sum(e.amount), 0) || ' instead of 0' "
        "FROM txn t LEFT JOIN entry e ON e.txn_id = t.id GROUP BY t.id HAVING count(e.line) < 2 OR sum(e.amount) <> 0"),
    SQL("SELECT 'entry ' || e.txn_id || '/' || e.line || ': its transaction or account is missing' FROM entry e LEFT JOIN txn t ON t.id = e.txn_id "
        "LEFT JOIN account a ON a.id = e.account_id WHERE t.id IS NULL OR a.id IS NULL"),
    SQL("SELECT 'account ' || a.code || ': balance ' || a.balance || ', its entries sum to ' || coalesce(x.s, 0) FROM account a "
        "LEFT JOIN (SELECT account_id, sum(amount) AS s FROM entry GROUP BY account_id) x ON x.account_id = a.id WHERE a.balance <> coalesce(x.s, "
        "0)"),
    SQL("SELECT 'account ' || a.code || ': its grant is missing' FROM account a LEFT JOIN credit_grant g ON g.account_id = a.id "
        "WHERE a.code LIKE 'grant_pool:%' AND g.id IS NULL"),
    SQL("SELECT 'grant ' || g.id || ': remaining ' || g.remaining || ', its entries leave ' || -coalesce(x.s, 0) FROM credit_grant g "
        "LEFT JOIN (SELECT account_id, sum(amount) AS s FROM entry GROUP BY account_id) x ON x.account_id = g.account_id WHERE g.remaining <> "
        "-coalesce(x.s, 0)"),
    SQL("SELECT 'grant ' || g.id || ': amount ' || g.amount || ', booked ' || coalesce(x.s, 0) FROM credit_grant g "
        "LEFT JOIN (SELECT t.grant_id, -sum(e.amount) AS s FROM txn t JOIN entry e ON e.txn_id = t.id JOIN credit_grant k ON k.id = t.grant_id "
        "AND k.account_id = e.account_id WHERE t.kind = 'grant' GROUP BY t.grant_id) x ON x.grant_id = g.id WHERE g.amount <> coalesce(x.s, 0)"),
    SQL("SELECT 'pool ' || p.id || ' (' || p.scope || '): balance ' || p.balance || ', its live grants have ' || coalesce(x.s, 0) FROM pool p "
        "LEFT JOIN (SELECT pool_id, sum(remaining) AS s FROM credit_grant WHERE state = 1 GROUP BY pool_id) x ON x.pool_id = p.id WHERE p.balance <> "
        "coalesce(x.s, 0)"),
    SQL("SELECT 'grant ' || g.id || ': its pool belongs to another account, scope or currency' FROM credit_grant g LEFT JOIN pool p ON p.id = "
        "g.pool_id "
        "WHERE p.id IS NULL OR p.org_id <> g.org_id OR p.scope <> g.scope OR p.currency <> g.currency"),
    SQL("SELECT 'pool ' || p.id || ' (' || p.scope || '): held ' || p.held || ', its open holds sum to ' || coalesce(x.s, 0) FROM pool p LEFT JOIN ("
        "SELECT org_id, scope, sum(s) AS s FROM (SELECT org_id, scope, sum(amount_scope) AS s FROM hold WHERE state = 0 GROUP BY org_id, scope "
        "UNION ALL SELECT org_id, 'any', sum(amount_any) FROM hold WHERE state = 0 GROUP BY org_id) GROUP BY org_id, scope) x "
        "ON x.org_id = p.org_id AND x.scope = p.scope WHERE p.held <> coalesce(x.s, 0)"),
    SQL("SELECT 'hold ' || h.id || ' (' || h.request || '): finished, but it has no usage row' FROM hold h LEFT JOIN usage u ON u.hold_id = h.id "
        "WHERE h.state = 1 AND u.id IS NULL"),
    SQL("SELECT 'usage ' || u.id || ' (' || u.request || '): its hold is missing, open or of another request' FROM usage u LEFT JOIN hold h ON h.id "
        "= u.hold_id "
        "WHERE h.id IS NULL OR h.state <> 1 OR h.request <> u.request OR h.org_id <> u.org_id OR h.project_id <> u.project_id OR h.key_id <> "
        "u.key_id "
        "OR h.model_id <> u.model_id OR h.price_id <> u.price_id"),
    SQL("SELECT 'usage ' || u.id || ' (' || u.request || '): names an account, project, key, price or model that is missing' FROM usage u "
        "LEFT JOIN organisation o ON o.id = u.org_id LEFT JOIN project j ON j.id = u.project_id LEFT JOIN key k ON k.id = u.key_id "
        "LEFT JOIN price p ON p.id = u.price_id LEFT JOIN model m ON m.id = u.model_id "
        "WHERE o.id IS NULL OR j.id IS NULL OR k.id IS NULL OR p.id IS NULL OR m.id IS NULL OR m.alias <> p.model"),
    SQL("SELECT 'usage ' || u.id || ' (' || u.request || '): charged ' || u.charged || ', its lines sum to ' || coalesce(x.s, 0) FROM usage u "
        "LEFT JOIN (SELECT usage_id, sum(amount) AS s FROM usage_line GROUP BY usage_id) x ON x.usage_id = u.id WHERE u.charged <> coalesce(x.s, 0)"),
    SQL("SELECT 'usage line ' || n.usage_id || '/' || n.grant_id || ': its row, grant or transaction is missing or is another one''s' FROM "
        "usage_line n "
        "LEFT JOIN usage u ON u.id = n.usage_id LEFT JOIN credit_grant g ON g.id = n.grant_id LEFT JOIN txn t ON t.id = n.txn_id "
        "WHERE u.id IS NULL OR g.id IS NULL OR t.id IS NULL OR t.kind <> 'usage' OR t.grant_id <> n.grant_id OR t.price_id <> u.price_id OR g.org_id "
        "<> u.org_id "
        "OR t.org_id <> u.org_id OR n.usage_id NOT BETWEEN t.first_usage AND t.last_usage"),
    SQL("SELECT 'usage line ' || n.usage_id || '/' || n.grant_id || ': the grant is for ' || g.scope || ', the request is ' || h.scope FROM "
        "usage_line "
        "n JOIN usage u ON u.id = n.usage_id JOIN hold h ON h.id = u.hold_id JOIN credit_grant g ON g.id = n.grant_id "
        "WHERE g.scope <> 'any' AND g.scope <> h.scope"),
    /* What a grant has left only falls: one that was used up stays so. */
    SQL("SELECT 'usage line ' || b.usage_id || '/' || b.grant_id || ': it paid although grant ' || a.grant_id || ', which comes before it, has ' || "
        "g.remaining || ' left' FROM usage_line a JOIN usage_line b ON b.usage_id = a.usage_id AND b.grant_id <> a.grant_id "
        "JOIN credit_grant g ON g.id = a.grant_id JOIN credit_grant k ON k.id = b.grant_id WHERE g.scope = k.scope AND g.remaining > 0 AND "
        "(g.priority, " EXPIRY("g") ", " FUNDING("g") ", g.id) < (k.priority, " EXPIRY("k") ", " FUNDING("k") ", k.id)"),
    SQL("SELECT 'transaction ' || t.id || ': it moves ' || coalesce(e.amount, 0) || ' of ' || t.n_usage || ' rows ' || t.first_usage || ' to ' || "
        "t.last_usage || "
        "', its lines are ' || coalesce(x.s, 0) || ' of ' || coalesce(x.n, 0) || ' rows' FROM txn t JOIN credit_grant g ON g.id = t.grant_id "
        "LEFT JOIN entry e ON e.txn_id = t.id AND e.account_id = g.account_id LEFT JOIN (SELECT txn_id, sum(amount) AS s, count(*) AS n, "
        "min(usage_id) AS a, "
        "max(usage_id) AS z FROM usage_line GROUP BY txn_id) x ON x.txn_id = t.id WHERE t.kind = 'usage' AND (coalesce(e.amount, 0) <> coalesce(x.s, "
        "0) "
        "OR t.n_usage <> coalesce(x.n, 0) OR t.first_usage <> x.a OR t.last_usage <> x.z)"),
    SQL("SELECT 'transaction ' || t.id || ': its grant is missing' FROM txn t LEFT JOIN credit_grant g ON g.id = t.grant_id WHERE g.id IS NULL"),
    SQL("SELECT 'budget of key ' || k.public_id || ', ' || x.month || ': charged ' || sum(x.has) || ' held ' || sum(x.holds) || ', its rows give ' "
        "|| "
        "sum(x.charged) || ' and ' || sum(x.held) FROM (SELECT key_id, month, charged AS has, held AS holds, 0 AS charged, 0 AS held FROM key_spend "
        "UNION ALL SELECT h.key_id, " MONTH_OF("h.created_us") ", 0, 0, coalesce(u.charged, 0), CASE h.state WHEN 0 THEN h.amount_scope + "
                                                               "h.amount_any ELSE 0 END FROM hold h JOIN key b ON b.id = h.key_id AND b.budget >= 0 "
                                                               "LEFT JOIN usage u ON u.hold_id = h.id) x "
                                                               "LEFT JOIN key k ON k.id = x.key_id GROUP BY x.key_id, x.month HAVING sum(x.has) <> "
                                                               "sum(x.charged) OR sum(x.holds) <> sum(x.held)"),
    SQL("SELECT 'budget of key ' || s.key_id || ': it has none, or is missing, and something is counted for it' FROM key_spend s "
        "LEFT JOIN key k ON k.id = s.key_id WHERE k.id IS NULL OR k.budget < 0"),
    SQL("SELECT 'rows: ' || name || ' has ' || n || ' rows and its last is ' || z FROM (SELECT 'usage' AS name, count(*) AS n, coalesce(max(id), 0) "
        "AS z FROM usage "
        "UNION ALL SELECT 'event', count(*), coalesce(max(id), 0) FROM event UNION ALL SELECT 'credit_grant', count(*), coalesce(max(id), 0) FROM "
        "credit_grant) "
        "WHERE n <> z"),
};

static void differ(struct audit *a, const char *fmt, ...) PRINTF(2, 3);
static void differ(struct audit *a, const char *fmt, ...)
{
    if (a->n++ >= LINES_MAX)
        return;
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    buf_fmt(a->out, "%s\n", line);
}

/* Calls fn for each row. */
static int each(struct audit *a, struct sql sql, int (*fn)(struct audit *, struct stmt *, struct err *), struct err *e)
{
    struct stmt *s;
    bool row = true;
    int rc = stmt_get(&s, a->l->reader, sql, e);
    if (rc < 0)
        return rc;
    while (rc == 0 && row) {
        rc = stmt_step(s, &row, e);
        if (rc == 0 && row)
            rc = fn(a, s, e);
    }
    stmt_put(s);
    return rc;
}

static int on_line(struct audit *a, struct stmt *s, struct err *e)
{
    (void)e;
    struct str line = stmt_col_str(s, 0);
    differ(a, "%.*s", line.n > 500 ? 500 : (int)line.n, line.p ? line.p : "a difference that names a missing value");
    return 0;
}

/* ---- charges: the rounding of the bill again ---- */

static int on_usage(struct audit *a, struct stmt *s, struct err *e)
{
    (void)e;
    int64_t rate[METER_COUNT], held = stmt_col_i64(s, 15);
    struct usage_counts c = {(uint32_t)stmt_col_i64(s, 1), (uint32_t)stmt_col_i64(s, 2), (uint32_t)stmt_col_i64(s, 3),
                             (uint32_t)stmt_col_i64(s, 4), (uint32_t)stmt_col_i64(s, 5), (uint32_t)stmt_col_i64(s, 6)};
    for (int i = 0; i < METER_COUNT; i++)
        rate[i] = stmt_col_i64(s, 10 + i);
    int64_t list = price_list(rate, &c), charged = list < held ? list : held;
    struct str request = stmt_col_str(s, 9);
    if (list != stmt_col_i64(s, 7) || charged != stmt_col_i64(s, 8))
        differ(a, "usage %lld (%.*s): list %lld and charged %lld, its counters and price give %lld and %lld", (long long)stmt_col_i64(s, 0),
               (int)request.n, request.p ? request.p : "", (long long)stmt_col_i64(s, 7), (long long)stmt_col_i64(s, 8), (long long)list,
               (long long)charged);
    return 0;
}

#define RATE(meter)                                                                                                                                  \
    "coalesce((SELECT nano_per_million FROM price_rate r WHERE r.price_id = u.price_id AND r.meter = '" meter "' AND r.from_tokens = 0), 0)"
static int charges(struct audit *a, struct err *e)
{
    return each(
        a,
        SQL("SELECT u.id, u.input, u.cache_read, u.cache_write, u.output, u.reasoning, u.accepted_draft, u.list, u.charged, u.request, " RATE(
            "input") ", " RATE("cache_read") ", " RATE("cache_write") ", " RATE("output") ", " RATE("reasoning") ", h.amount_scope + h.amount_any "
                                                                                                                 "FROM usage u LEFT JOIN hold h ON "
                                                                                                                 "h.id = u.hold_id"),
        on_usage, e);
}

/* ---- the chain of events ---- */

static int on_event(struct audit *a, struct stmt *s, struct err *e)
{
    (void)e;
    struct sha256 want;
    struct str has = stmt_col_blob(s, 6);
    event_hash(&want, &a->chain, stmt_col_i64(s, 1), stmt_col_str(s, 2), stmt_col_str(s, 3), stmt_col_str(s, 4), stmt_col_str(s, 5));
    if (has.n != sizeof want || memcmp(has.p, &want, sizeof want) != 0)
        differ(a, "event %lld: it or one before it was changed or removed: its hash does not follow", (long long)stmt_col_i64(s, 0));
    if (has.n == sizeof want)
        memcpy(&a->chain, has.p, sizeof want);
    return 0;
}

/* ---- the journal against the rows ---- */

static bool counts_le(const struct usage_counts *a, const struct usage_counts *b)
{
    return a->input <= b->input && a->cache_read <= b->cache_read && a->cache_write <= b->cache_write && a->output <= b->output &&
           a->reasoning <= b->reasoning && a->accepted_draft <= b->accepted_draft;
}

/* Compares a record with the hold's row, and with its usage row when it is finished. */
static void compare(struct audit *a, const struct journal_rec *r, struct stmt *s)
{
    struct usage_counts c = {(uint32_t)stmt_col_i64(s, 1), (uint32_t)stmt_col_i64(s, 2), (uint32_t)stmt_col_i64(s, 3),
                             (uint32_t)stmt_col_i64(s, 4), (uint32_t)stmt_col_i64(s, 5), (uint32_t)stmt_col_i64(s, 6)};
    unsigned long long id = r->hold;
    if (r->type == JOURNAL_HOLD && (!str_eq(stmt_col_str(s, 7), r->request) || stmt_col_i64(s, 8) != r->price || stmt_col_i64(s, 9) != r->org))
        differ(a, "journal: hold %llu: its request, account or price differs from the store's", id);
    if (stmt_col_i64(s, 0) == 0)
        return;
    if (r->type == JOURNAL_FINISH && !(counts_le(&c, &r->counts) && counts_le(&r->counts, &c)))
        differ(a, "journal: hold %llu: it was finished with %u prompt and %u output tokens, its usage row has %u and %u", id, r->counts.input,
               r->counts.output, c.input, c.output);
    if (r->type == JOURNAL_STEP && !counts_le(&r->counts, &c))
        differ(a, "journal: hold %llu: %u prompt and %u output tokens were journaled, its usage row has %u and %u", id, r->counts.input,
               r->counts.output, c.input, c.output);
}

static int on_record(void *arg, const struct journal_rec *r, struct err *e)
{
    struct audit *a = arg;
    struct stmt *s;
    bool row;
    if (r->hold > a->hold_max)
        return 0; /* younger than the snapshot */
    int rc =
        stmt_get(&s, a->l->reader,
                 SQL("SELECT h.state, u.input, u.cache_read, u.cache_write, u.output, u.reasoning, u.accepted_draft, h.request, h.price_id, h.org_id "
                     "FROM hold h LEFT JOIN usage u ON u.hold_id = h.id WHERE h.id = ?1"),
                 e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, (int64_t)r->hold);
    rc = stmt_step(s, &row, e);
    if (rc == 0 && row)
        compare(a, r, s);
    else if (rc == 0)
        differ(a, "journal: hold %llu is not in the store", (unsigned long long)r->hold);
    stmt_put(s);
    return rc;
}

static int on_hold_max(struct audit *a, struct stmt *s, struct err *e)
{
    (void)e;
    a->hold_max = (uint64_t)stmt_col_i64(s, 0);
    return 0;
}

/* ---- the numbers in memory, on the ledger thread ---- */

static int memory_pool(struct audit *a, struct org *o, int scope, struct err *e)
{
    struct stmt *s;
    bool row;
    struct pool *p = &o->pool[scope];
    int rc = stmt_get(&s, a->l->db, SQL("SELECT balance, held FROM pool WHERE id = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, p->id);
    rc = stmt_step(s, &row, e);
    if (rc == 0 && (!row || stmt_col_i64(s, 0) != p->balance || stmt_col_i64(s, 1) != p->held))
        differ(a, "memory: pool %lld of %s: balance %lld held %lld, the store has %lld and %lld", (long long)p->id, o->name, (long long)p->balance,
               (long long)p->held, row ? (long long)stmt_col_i64(s, 0) : 0, row ? (long long)stmt_col_i64(s, 1) : 0);
    stmt_put(s);
    return rc;
}

/* Whether the key is in the store as it is obeyed; its budget's figure too. */
static int memory_key(struct audit *a, struct key *k, struct err *e)
{
    struct key other = {.id = k->id};
    struct stmt *s;
    bool row, same = false;
    int64_t left = k->left, renews = k->renews_us;
    int rc = stmt_get(&s, a->l->db, SQL("SELECT revoked_us, scopes, models, allow, budget, budget_monthly FROM key WHERE id = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, k->id);
    rc = stmt_step(s, &row, e);
    if (rc == 0 && row && limits_load(&other, s, 1, e) == 0)
        same = stmt_col_i64(s, 0) == k->revoked_us && limits_same(k, &other);
    stmt_put(s);
    mem_free(other.lists);
    if (rc == 0)
        rc = budget_view(a->l, k, e);
    if (rc == 0 && (!same || (left != k->left && renews == k->renews_us)))
        differ(a, "memory: key %s of %s: its limits, or %lld left of its budget, are not those of the store", k->public_id, k->org->name,
               (long long)left);
    return rc;
}

static int memory(struct ledger *l, void *arg, struct err *e)
{
    size_t it = 0;
    struct str k;
    union map_value v;
    int rc = 0;
    while (rc == 0 && map_next(&l->orgs_by_id, &it, &k, &v))
        for (int i = 0; i < SCOPE_COUNT && rc == 0; i++)
            rc = memory_pool(arg, v.ptr, i, e);
    for (it = 0; rc == 0 && map_next(&l->keys_by_id, &it, &k, &v);)
        rc = memory_key(arg, v.ptr, e);
    return rc;
}

/* ---- all of it ---- */

/* A question that a damaged store cannot answer is a difference too; the others are still asked. */
static int answered(struct audit *a, int rc, const struct err *e)
{
    if (rc != -ERR_DB)
        return rc;
    differ(a, "store: %s", e->msg);
    return 0;
}

static int snapshot(struct audit *a, struct err *e)
{
    uint64_t torn;
    int rc = answered(a, each(a, SQL("SELECT coalesce(max(id), 0) FROM hold"), on_hold_max, e), e);
    for (size_t i = 0; i < sizeof queries / sizeof *queries && rc == 0; i++)
        rc = answered(a, each(a, queries[i], on_line, e), e);
    if (rc == 0)
        rc = answered(a, charges(a, e), e);
    if (rc == 0)
        rc = answered(a, each(a, SQL("SELECT id, at_us, actor, action, object, detail, hash FROM event ORDER BY id"), on_event, e), e);
    return rc == 0 ? answered(a, journal_read(a->l->journal.path, on_record, a, &torn, e), e) : rc;
}

static int store(struct audit *a, struct err *e)
{
    struct ledger *l = a->l;
    mutex_lock(&l->reader_lock);
    int rc = db_begin(l->reader, e);
    if (rc == 0) {
        rc = snapshot(a, e);
        db_rollback(l->reader);
    }
    mutex_unlock(&l->reader_lock);
    return rc;
}

int ledger_audit(struct ledger *l, struct buf *out, uint64_t *n_diff, struct err *e)
{
    struct audit a = {.l = l, .out = out};
    atomic_store(&l->no_rotate, true); /* the segments stay while they are read; a rotation that runs now ends before the flush is answered */
    int rc = queue_flush(l, e);
    if (rc == 0)
        rc = store(&a, e);
    atomic_store(&l->no_rotate, false);
    if (rc == 0 && !atomic_load(&l->broken))
        rc = queue_call(l, memory, &a, e);
    *n_diff = a.n;
    if (rc < 0)
        return rc;
    if (a.n > LINES_MAX)
        buf_fmt(out, "and %llu more\n", (unsigned long long)(a.n - LINES_MAX));
    return a.n ? err_set(e, ERR_AUDIT,
                         "ledger: the audit found %llu differences; stop the server, keep a copy of the data folder, and restore the backup",
                         (unsigned long long)a.n)
               : 0;
}
