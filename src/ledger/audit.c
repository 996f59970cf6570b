/* The audit: recomputes everything from the rows, in one snapshot, and lists what differs. What SQL can say is in audit.def; what it cannot
 * (rounding, the hash chain, the journal, the numbers in memory) is checked below. */
#include "ledger/job.h"
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
    struct map prices;   /* by id, as the rows have them */
};

/* The order of grants of one scope, as grant_compare has it. */
#define EXPIRY(g)  "CASE " g ".expires_us WHEN 0 THEN 9223372036854775807 ELSE " g ".expires_us END"
#define FUNDING(g) "instr('promotional goodwill investment paid', " g ".funding)"

/* The cells of the usage cube as the rows give them, one for each row; a cell with its sign turned; whether a sum of both is not 0. */
#define CUBE_OF_ROWS                                                                                                                                 \
    "SELECT u.end_us / 3600000000 AS slot, u.org_id, u.project_id, u.key_id, u.model_id, u.price_id, u.scope, 1 AS requests, "                       \
    "CASE WHEN u.reason IN (4, 5) THEN 1 ELSE 0 END AS errors, u.input, u.cache_read, u.cache_write, u.output, u.reasoning, u.accepted_draft, "      \
    "u.list, u.contracted, u.charged, 0 AS refunded FROM usage u UNION ALL SELECT t.created_us / 3600000000, u.org_id, u.project_id, u.key_id, "     \
    "u.model_id, u.price_id, u.scope, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, r.amount FROM refund_line r JOIN txn t ON t.id = r.txn_id JOIN usage u ON "   \
    "u.id = r.usage_id"
#define CUBE_LESS                                                                                                                                    \
    "-requests, -errors, -input, -cache_read, -cache_write, -output, -reasoning, -accepted_draft, -list, -contracted, -charged, -refunded"
#define CUBE_NONZERO                                                                                                                                 \
    "sum(requests) <> 0 OR sum(errors) <> 0 OR sum(input) <> 0 OR sum(cache_read) <> 0 OR sum(cache_write) <> 0 OR sum(output) <> 0 OR "             \
    "sum(reasoning) <> 0 OR sum(accepted_draft) <> 0 OR sum(list) <> 0 OR sum(contracted) <> 0 OR sum(charged) <> 0 OR sum(refunded) <> 0"

static const struct sql queries[] = {
#define AUDIT(...) SQL(__VA_ARGS__),
#include "ledger/audit.def"
#undef AUDIT
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

/* The rates of a version, read once. */
static int price_of(struct audit *a, int64_t id, const struct price **out, struct err *e)
{
    union map_value v;
    if (map_get(&a->prices, ID_KEY(id), &v)) {
        *out = v.ptr;
        return 0;
    }
    struct price *p = mem_new(sizeof *p);
    int rc = p ? price_read(p, a->l->reader, id, e) : err_set(e, ERR_NO_MEMORY, "ledger: no memory to audit");
    if (rc == 0 && !map_set(&a->prices, ID_KEY(id), (union map_value){.ptr = p}))
        rc = err_set(e, ERR_NO_MEMORY, "ledger: no memory to audit");
    if (rc < 0)
        mem_free(p);
    else
        *out = p;
    return rc;
}

static int on_usage(struct audit *a, struct stmt *s, struct err *e)
{
    const struct price *price, *list_price;
    struct quantities q = {0};
    enum scope scope = SCOPE_INFERENCE;
    int64_t held = stmt_col_i64(s, 12), has[] = {stmt_col_i64(s, 7), stmt_col_i64(s, 8), stmt_col_i64(s, 9)};
    struct usage_counts c = {(uint32_t)stmt_col_i64(s, 1), (uint32_t)stmt_col_i64(s, 2), (uint32_t)stmt_col_i64(s, 3),
                             (uint32_t)stmt_col_i64(s, 4), (uint32_t)stmt_col_i64(s, 5), (uint32_t)stmt_col_i64(s, 6)};
    int rc = price_of(a, stmt_col_i64(s, 10), &price, e);
    if (rc == 0)
        rc = price_of(a, stmt_col_i64(s, 11), &list_price, e);
    if (rc < 0)
        return rc;
    struct str request = stmt_col_str(s, 14);
    if (!scope_find(stmt_col_str(s, 13), &scope))
        differ(a, "usage %lld: it was for %.*s, which nothing computes", (long long)stmt_col_i64(s, 0), (int)stmt_col_str(s, 13).n,
               stmt_col_str(s, 13).p);
    const struct usage_counts covered = {(uint32_t)stmt_col_i64(s, 15), (uint32_t)stmt_col_i64(s, 16), (uint32_t)stmt_col_i64(s, 17),
                                         (uint32_t)stmt_col_i64(s, 18), (uint32_t)stmt_col_i64(s, 19), 0};
    quantities_of(&q, scope, &c);
    if ((scope == SCOPE_TRAINING || scope == SCOPE_STORAGE) && (rc = quantities_read(&q, a->l->reader, stmt_col_i64(s, 0), e)) < 0)
        return rc;
    int64_t list = price_list(list_price, &q);
    if (scope == SCOPE_INFERENCE || scope == SCOPE_EMBEDDINGS) { /* nothing is reserved for a job */
        c = counts_less(&c, &covered);
        quantities_of(&q, scope, &c);
    }
    int64_t contracted = price_list(price, &q), charged = contracted < held ? contracted : held;
    if (list != has[0] || contracted != has[1] || charged != has[2])
        differ(a, "usage %lld (%.*s): list %lld, contracted %lld and charged %lld, its counters and price give %lld, %lld and %lld",
               (long long)stmt_col_i64(s, 0), (int)request.n, request.p ? request.p : "", (long long)has[0], (long long)has[1], (long long)has[2],
               (long long)list, (long long)contracted, (long long)charged);
    return 0;
}

#define COVERED(meter) "coalesce(v." meter ", 0)"
static int charges(struct audit *a, struct err *e)
{
    return each(
        a,
        SQL("SELECT u.id, u.input, u.cache_read, u.cache_write, u.output, u.reasoning, u.accepted_draft, u.list, u.contracted, u.charged, "
            "u.price_id, u.list_price_id, h.amount_scope + h.amount_any, u.scope, u.request, " COVERED("input") ", " COVERED(
                "cache_read") ", " COVERED("cache_write") ", " COVERED("output") ", " COVERED("reasoning") " FROM usage u LEFT JOIN hold h ON h.id = "
                                                                                                           "u.hold_id LEFT JOIN cover v ON v.hold_id "
                                                                                                           "= u.hold_id"),
        on_usage, e);
}

/* ---- reservations: what they cover again, what their hours cost ---- */

static int on_cover(struct audit *a, struct stmt *s, struct err *e)
{
    (void)e;
    int64_t taken;
    const struct usage_counts c = {(uint32_t)stmt_col_i64(s, 3), (uint32_t)stmt_col_i64(s, 4), (uint32_t)stmt_col_i64(s, 5),
                                   (uint32_t)stmt_col_i64(s, 6), (uint32_t)stmt_col_i64(s, 7), 0};
    const struct usage_counts v = {(uint32_t)stmt_col_i64(s, 8),  (uint32_t)stmt_col_i64(s, 9),  (uint32_t)stmt_col_i64(s, 10),
                                   (uint32_t)stmt_col_i64(s, 11), (uint32_t)stmt_col_i64(s, 12), 0};
    const int64_t units = stmt_col_i64(s, 1);
    struct usage_counts want = cover_split(stmt_col_i64(s, 2), units, &c, &taken);
    want.accepted_draft = 0;
    if (taken != units || memcmp(&want, &v, sizeof v) != 0)
        differ(a, "reservation: what covers hold %lld does not follow from its %lld units and its counters", (long long)stmt_col_i64(s, 0),
               (long long)units);
    return 0;
}

static int covers(struct audit *a, struct err *e)
{
    return each(a,
                SQL("SELECT v.hold_id, v.units, r.input_weight, u.input, u.cache_read, u.cache_write, u.output, u.reasoning, v.input, v.cache_read, "
                    "v.cache_write, v.output, v.reasoning FROM cover v JOIN usage u ON u.hold_id = v.hold_id JOIN reservation r ON r.id = "
                    "v.reservation_id WHERE v.state = 1"),
                on_cover, e);
}

/* Ledger thread. */
static int hours(struct audit *a, struct err *e)
{
    struct stmt *s;
    bool row = true;
    int rc = stmt_get(&s, a->l->db, SQL("SELECT reservation_id, hour_us, amount FROM reservation_charge ORDER BY reservation_id, hour_us"), e);
    if (rc < 0)
        return rc;
    while (rc == 0 && row) {
        if ((rc = stmt_step(s, &row, e)) < 0 || !row)
            break;
        const struct reservation *r = reservation_find(a->l, stmt_col_i64(s, 0));
        const int64_t hour = stmt_col_i64(s, 1), amount = stmt_col_i64(s, 2);
        if (!r || hour < r->from_us || hour >= reservation_end(r) || hour % HOUR_US || amount != reservation_amount(r, hour))
            differ(a, "reservation %lld: hour %lld is charged %lld, which is not its price, or is not one of its hours",
                   (long long)stmt_col_i64(s, 0), (long long)hour, (long long)amount);
    }
    stmt_put(s);
    return rc;
}

/* ---- the chain of events ---- */

static int on_event(struct audit *a, struct stmt *s, struct err *e)
{
    (void)e;
    struct sha256 want;
    struct str has = stmt_col_blob(s, 6);
    struct event v = {stmt_col_i64(s, 7), stmt_col_i64(s, 1), stmt_col_str(s, 2), stmt_col_str(s, 3), stmt_col_str(s, 4), stmt_col_str(s, 5)};
    event_hash(&want, &a->chain, &v);
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

static int memory_grant(struct audit *a, const struct grant *g, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, a->l->db, SQL("SELECT remaining, held, adjusted, state, models, expires_us FROM credit_grant WHERE id = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, g->id);
    rc = stmt_step(s, &row, e);
    if (rc == 0 &&
        (!row || stmt_col_i64(s, 0) != g->remaining || stmt_col_i64(s, 1) != g->held || stmt_col_i64(s, 2) != g->adjusted ||
         stmt_col_i64(s, 3) != (int64_t)g->state || !str_eqz(stmt_col_str(s, 4), g->models ? g->models : "") || stmt_col_i64(s, 5) != g->expires_us))
        differ(a, "memory: grant %lld of %s: %lld left, %lld held, %s: not what the store has", (long long)g->id, g->org->name,
               (long long)g->remaining, (long long)g->held, grant_state_names[g->state]);
    stmt_put(s);
    return rc;
}

/* What the owner is told is the sum of the grants. */
static void memory_org(struct audit *a, const struct org *o)
{
    struct org sum = {0};
    for (size_t i = 0; i < a->l->grants.n; i++) {
        struct grant g = *a->l->grants.p[i];
        if (g.org == o)
            g.org = &sum, grant_view(&g);
    }
    mutex_lock(&a->l->lock);
    int64_t free = o->free, held = o->held;
    for (size_t it = 0;;) { /* finished, not yet in the store */
        struct str k;
        union map_value v;
        if (!map_next(&a->l->holds, &it, &k, &v))
            break;
        const struct hold *h = v.ptr;
        if (h->org == o && h->finished)
            held += h->amount_scope + h->amount_any, free -= h->amount_scope + h->amount_any - h->charged;
    }
    mutex_unlock(&a->l->lock);
    if (free != sum.free || held != sum.held)
        differ(a, "memory: account %s: %lld free and %lld held, its grants give %lld and %lld", o->name, (long long)free, (long long)held,
               (long long)sum.free, (long long)sum.held);
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

/* Whether the row of a rate limit is obeyed. This thread alone changes limits: no lock. */
static bool obeyed(struct ledger *l, struct stmt *s)
{
    struct rate_id id;
    struct rate_most row = {0};
    if (!rate_id_read(&id, s, 0) || !rate_most_read(&row, stmt_col_str(s, 3), stmt_col_i64(s, 4), stmt_col_i64(s, 5)))
        return false;
    const struct rate *x = rate_find(l, &id);
    bool same = x && (!row.parallel || row.parallel == x->most.parallel);
    for (int k = 0; same && k < RATE_LIMITS; k++)
        same = !row.of[k] || row.of[k] == x->most.of[k];
    return same;
}

static size_t limits_in_memory(const struct rates *r)
{
    size_t it = 0, n = 0;
    struct str key;
    union map_value v;
    while (map_next(&r->all, &it, &key, &v)) {
        const struct rate_most *m = &((struct rate *)v.ptr)->most;
        n += m->parallel != 0;
        for (int k = 0; k < RATE_LIMITS; k++)
            n += m->of[k] != 0;
    }
    return n;
}

static int memory_rates(struct audit *a, struct err *e)
{
    struct stmt *s;
    bool row = true;
    size_t n = 0, has = limits_in_memory(&a->l->rates);
    int rc = stmt_get(&s, a->l->db, SQL("SELECT whose, owner_id, model, meter, window_s, most FROM rate_limit"), e);
    if (rc < 0)
        return rc;
    for (; (rc = stmt_step(s, &row, e)) == 0 && row; n++)
        if (!obeyed(a->l, s))
            differ(a, "memory: a rate limit of %.*s %lld is not obeyed as the store has it", (int)stmt_col_str(s, 0).n, stmt_col_str(s, 0).p,
                   (long long)stmt_col_i64(s, 1));
    stmt_put(s);
    if (rc == 0 && n != has)
        differ(a, "memory: %zu rate limits are obeyed, the store has %zu", has, n);
    return rc;
}

static int memory(struct ledger *l, void *arg, struct err *e)
{
    size_t it = 0;
    struct str k;
    union map_value v;
    int rc = 0;
    for (size_t i = 0; i < l->grants.n && rc == 0; i++)
        rc = memory_grant(arg, l->grants.p[i], e);
    while (map_next(&l->orgs_by_id, &it, &k, &v))
        memory_org(arg, v.ptr);
    for (it = 0; rc == 0 && map_next(&l->keys_by_id, &it, &k, &v);)
        rc = memory_key(arg, v.ptr, e);
    if (rc == 0)
        rc = memory_rates(arg, e);
    return rc == 0 ? hours(arg, e) : rc;
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

static int engine(struct audit *a, struct err *e)
{
    char fault[256];
    int rc = db_check(a->l->reader, true, fault, sizeof fault, e);
    if (rc == 0 && *fault)
        differ(a, "store: %s", fault);
    return rc;
}

static int snapshot(struct audit *a, struct err *e)
{
    uint64_t torn;
    int rc = answered(a, each(a, SQL("SELECT coalesce(max(id), 0) FROM hold"), on_hold_max, e), e);
    if (rc == 0)
        rc = answered(a, engine(a, e), e);
    for (size_t i = 0; i < sizeof queries / sizeof *queries && rc == 0; i++)
        rc = answered(a, each(a, queries[i], on_line, e), e);
    if (rc == 0)
        rc = answered(a, charges(a, e), e);
    if (rc == 0)
        rc = answered(a, covers(a, e), e);
    if (rc == 0)
        rc = answered(a, each(a, SQL("SELECT id, at_us, actor, action, object, detail, hash, org_id FROM event ORDER BY id"), on_event, e), e);
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

static void prices_free(struct audit *a)
{
    size_t it = 0;
    struct str k;
    union map_value v;
    while (map_next(&a->prices, &it, &k, &v))
        mem_free(v.ptr);
    map_deinit(&a->prices);
}

int ledger_audit(struct ledger *l, struct buf *out, uint64_t *n_diff, struct err *e)
{
    struct audit a = {.l = l, .out = out};
    map_init(&a.prices);
    atomic_store(&l->no_rotate, true); /* the segments stay while they are read; a rotation that runs now ends before the flush is answered */
    int rc = queue_flush(l, e);
    if (rc == 0)
        rc = store(&a, e);
    atomic_store(&l->no_rotate, false);
    if (rc == 0 && !atomic_load(&l->broken))
        rc = queue_call(l, memory, &a, e);
    *n_diff = a.n;
    prices_free(&a);
    if (rc < 0)
        return rc;
    if (a.n > LINES_MAX)
        buf_fmt(out, "and %llu more\n", (unsigned long long)(a.n - LINES_MAX));
    return a.n ? err_set(e, ERR_AUDIT,
                         "ledger: the audit found %llu differences; stop the server, keep a copy of the data folder, and restore the backup",
                         (unsigned long long)a.n)
               : 0;
}
