/* Receipts: how the charge of one request came about, read in one snapshot and computed anew. What is compared here the audit compares for all
 * requests (audit.c). */
#include "ledger/job.h"
#include "ledger/receipt_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void differ(struct receipt *r, const char *fmt, ...) PRINTF(2, 3);
static void differ(struct receipt *r, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    if (r->n_differences == RECEIPT_DIFFERENCES_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const char *kept = arena_str(&r->mem, text, strlen(text));
    r->difference[r->n_differences++] = kept ? kept : "a difference that no memory was left to tell";
}

/* An amount as text, for a message. */
struct amount {
    char text[MONEY_TEXT_MAX];
};
static struct amount amount(int64_t nano)
{
    struct amount a;
    money_text(a.text, (struct money){nano});
    return a;
}

static const char *col_text(struct receipt *r, struct stmt *s, int col)
{
    struct str v = stmt_col_str(s, col);
    const char *kept = v.p ? arena_str(&r->mem, v.p, v.n) : NULL;
    return kept ? kept : "";
}

/* Calls fn for each row of a statement whose values are bound, and puts it back. */
static int each(struct receipt *r, struct stmt *s, int (*fn)(struct receipt *, struct stmt *, struct err *), struct err *e)
{
    bool row = true;
    int rc = 0;
    while (rc == 0 && row) {
        rc = stmt_step(s, &row, e);
        if (rc == 0 && row)
            rc = fn(r, s, e);
    }
    stmt_put(s);
    return rc;
}

/* ---- the usage row, its names, its hold ---- */

/* The columns from `at` on; the statement names them. */
static void read_names(struct receipt *r, struct stmt *s, int at)
{
    const char **names[] = {&r->request,   &r->account, &r->project,  &r->key_id, &r->key_name,
                            &r->key_last4, &r->alias,   &r->revision, &r->tier,   &r->priced_alias};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        *names[i] = col_text(r, s, at + (int)i);
    struct str digest = stmt_col_blob(s, at + 10);
    char hex[2 * sizeof(struct sha256) + 1] = "";
    if (digest.n == sizeof(struct sha256))
        str_to_hex(hex, (const uint8_t *)digest.p, digest.n);
    const char *text = arena_fmt(&r->mem, "sha256:%s", hex);
    r->digest = text ? text : "";
    r->version = stmt_col_i64(s, at + 11), r->effective_us = stmt_col_i64(s, at + 12);
    r->contract = stmt_col_i64(s, at + 13) != 0, r->list_version = stmt_col_i64(s, at + 14);
    for (int i = at; i < at + 15; i++)
        if (stmt_col_null(s, i)) {
            differ(r, "the row names an account, project, key, model or price that is missing");
            break;
        }
    if (strcmp(r->alias, r->priced_alias) != 0)
        differ(r, "the price is one of %.100s, the request is one of %.100s", r->priced_alias, r->alias);
}

static void read_bill(struct receipt *r, struct stmt *s, int at)
{
    r->id = stmt_col_i64(s, at), r->org = stmt_col_i64(s, at + 1), r->price_id = stmt_col_i64(s, at + 2);
    r->reason = stmt_col_i64(s, at + 3), r->status = stmt_col_i64(s, at + 4), r->stream = stmt_col_i64(s, at + 5) != 0;
    r->start_us = stmt_col_i64(s, at + 6), r->first_us = stmt_col_i64(s, at + 7), r->end_us = stmt_col_i64(s, at + 8);
    uint32_t *const counter[] = {&r->counts.input, &r->counts.cache_read, &r->counts.cache_write, &r->counts.output, &r->counts.reasoning};
    for (size_t i = 0; i < sizeof counter / sizeof *counter; i++) {
        int64_t n = stmt_col_i64(s, at + 9 + (int)i);
        *counter[i] = n < 0 || n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
    }
    r->accepted_draft = stmt_col_i64(s, at + 14);
    r->list = stmt_col_i64(s, at + 15), r->charged = stmt_col_i64(s, at + 16);
    r->contracted = stmt_col_i64(s, at + 17), r->list_price_id = stmt_col_i64(s, at + 18);
}

static void read_hold(struct receipt *r, struct stmt *s, int at)
{
    r->scope = col_text(r, s, at);
    r->input = stmt_col_i64(s, at + 1), r->output = stmt_col_i64(s, at + 2);
    r->amount_scope = stmt_col_i64(s, at + 3), r->amount_any = stmt_col_i64(s, at + 4);
    if (!ck_add(r->amount_scope, r->amount_any, &r->held))
        r->held = 0;
    r->placed_us = stmt_col_i64(s, at + 5);
    if (!stmt_col_i64(s, at + 6))
        differ(r, "the hold is still open or is one of another request, account, project, key, model or price");
}

static int on_usage(struct receipt *r, struct stmt *s, struct err *e)
{
    (void)e;
    read_names(r, s, 0);
    read_bill(r, s, 15);
    read_hold(r, s, 34);
    return 0;
}

/* r->id is 0 afterwards when there is no such row, or who may not see it. */
static int read_usage(struct receipt *r, struct ledger *l, const char *request, const struct principal *who, struct err *e)
{
    struct stmt *s;
    int rc =
        stmt_get(&s, l->reader,
                 SQL("SELECT u.request, o.name, p.name, k.public_id, k.name, k.last4, m.alias, m.revision, c.tier, c.model, m.digest, c.version, "
                     "c.effective_us, c.org_id, d.version, u.id, u.org_id, u.price_id, u.reason, u.status, u.stream, u.start_us, u.first_us, "
                     "u.end_us, u.input, "
                     "u.cache_read, u.cache_write, u.output, u.reasoning, u.accepted_draft, u.list, u.charged, u.contracted, u.list_price_id, "
                     "h.scope, h.input, h.output, "
                     "h.amount_scope, h.amount_any, h.created_us, h.state = 1 AND h.request = u.request AND h.org_id = u.org_id AND h.project_id = "
                     "u.project_id AND h.key_id = u.key_id AND h.model_id = u.model_id AND h.price_id = u.price_id "
                     "AND h.list_price_id = u.list_price_id AND h.scope = u.scope FROM hold h JOIN usage u ON u.hold_id = h.id LEFT JOIN "
                     "organisation o ON o.id = u.org_id "
                     "LEFT JOIN project p ON p.id = u.project_id LEFT JOIN key k ON k.id = u.key_id LEFT JOIN model m ON m.id = u.model_id "
                     "LEFT JOIN price c ON c.id = u.price_id LEFT JOIN price d ON d.id = u.list_price_id "
                     "WHERE h.request = ?1 AND (?2 IS NULL OR (u.org_id = ?2 AND (?3 = 0 OR u.project_id = ?3)))"),
                 e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, request);
    if (who)
        stmt_i64(s, 2, who->org.v), stmt_i64(s, 3, who->project.v);
    return each(r, s, on_usage, e);
}

/* ---- the bill again: each meter's product, their sum, what the hold covers ---- */

/* What a reservation covers of it, from its units again. */
static int on_cover(struct receipt *r, struct stmt *s, struct err *e)
{
    (void)e;
    int64_t taken;
    r->reservation = stmt_col_i64(s, 0), r->cover_hour_us = stmt_col_i64(s, 1), r->cover_units = stmt_col_i64(s, 2);
    r->covered = cover_split(stmt_col_i64(s, 3), r->cover_units, &r->counts, &taken);
    const int64_t has[] = {stmt_col_i64(s, 4), stmt_col_i64(s, 5), stmt_col_i64(s, 6), stmt_col_i64(s, 7), stmt_col_i64(s, 8)};
    const int64_t want[] = {r->covered.input, r->covered.cache_read, r->covered.cache_write, r->covered.output, r->covered.reasoning};
    if (taken != r->cover_units || memcmp(has, want, sizeof has) != 0)
        differ(r, "reservation %lld: what it covers does not follow from its units and the counters", (long long)r->reservation);
    return 0;
}

static int read_cover(struct receipt *r, struct ledger *l, const char *request, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->reader,
                      SQL("SELECT v.reservation_id, v.hour_us, v.units, x.input_weight, v.input, v.cache_read, v.cache_write, v.output, v.reasoning "
                          "FROM hold h JOIN cover v ON v.hold_id = h.id JOIN reservation x ON x.id = v.reservation_id WHERE h.request = ?1"),
                      e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, request);
    return each(r, s, on_cover, e);
}

static int read_rates(struct receipt *r, struct ledger *l, struct err *e)
{
    struct price price, list;
    struct quantities q, rest;
    enum scope scope = SCOPE_INFERENCE;
    int rc = price_read(&price, l->reader, r->price_id, e);
    if (rc == 0)
        rc = price_read(&list, l->reader, r->list_price_id, e);
    if (rc < 0)
        return rc;
    (void)scope_find(str_of(r->scope), &scope);
    quantities_of(&q, scope, &r->counts);
    if ((rc = quantities_read(&q, l->reader, r->id, e)) < 0)
        return rc;
    const struct usage_counts left = counts_less(&r->counts, &r->covered);
    quantities_of(&rest, scope, &left);
    if (scope == SCOPE_TRAINING || scope == SCOPE_STORAGE)
        rest = q; /* nothing is reserved for a job */
    const struct price_step *step = price_step_of(&price, &rest), *list_step = price_step_of(&list, &q);
    r->from_tokens = step->from;
    for (int i = 0; i < METER_COUNT; i++)
        r->meter[i].quantity = q.of[i], r->meter[i].covered = q.of[i] - rest.of[i], r->meter[i].rate = step->rate[i],
        r->meter[i].list_rate = list_step->rate[i];
    int64_t at_list = price_list(&list, &q);
    if (at_list != r->list)
        differ(r, "list: %s is stored, the meters come to %s at the list price", amount(r->list).text, amount(at_list).text);
    return 0;
}

static void check_bill(struct receipt *r)
{
    int64_t sum = 0;
    bool fits = true;
    for (int i = 0; i < METER_COUNT; i++) {
        struct receipt_meter *m = &r->meter[i];
        m->fits = money_product(m->quantity - m->covered, (struct money){m->rate > 0 ? m->rate : 0}, meters[i].per, &m->product);
        fits = fits && m->fits && ck_add(sum, m->product.rounded.nano, &sum);
        if (m->quantity > m->covered && m->rate == PRICE_NO_RATE)
            differ(r, "%s: %llu were used, and the price does not sell it", meters[i].name, (unsigned long long)m->quantity);
    }
    if (!fits)
        sum = INT64_MAX; /* as price_list says it */
    int64_t charged = sum < r->held ? sum : r->held;
    if (sum != r->contracted)
        differ(r, "contracted: %s is stored, the meters come to %s", amount(r->contracted).text, amount(sum).text);
    if (charged != r->charged)
        differ(r, "charged: %s is stored, the lesser of the meters' sum and the hold is %s", amount(r->charged).text, amount(charged).text);
    if (!ck_sub(r->list, r->contracted, &r->discount) || !ck_sub(r->contracted, r->charged, &r->waived) || !ck_sub(r->held, r->charged, &r->released))
        differ(r, "list, contracted, charged or hold: an amount that cannot be");
}

/* ---- who paid ---- */

static bool name_find(const char *const *names, int n, struct str name, int *out)
{
    for (*out = 0; *out < n; ++*out)
        if (str_eqz(name, names[*out]))
            return true;
    *out = 0;
    return false;
}

/* What a transaction must be to have taken this line, and its sums. */
static void check_transaction(struct receipt *r, const struct receipt_grant *p, bool ours, int64_t rows, int64_t lines)
{
    if (!ours)
        differ(r, "transaction %lld: it is missing, or is not one of grant %lld, this price and this request", (long long)p->txn, (long long)p->g.id);
    if (p->txn_sum != 0)
        differ(r, "transaction %lld: its entries sum to %s instead of 0", (long long)p->txn, amount(p->txn_sum).text);
    if (rows != p->n_usage || lines != p->txn_amount)
        differ(r, "transaction %lld: it takes %s for %lld requests, %lld requests paid %s in it", (long long)p->txn, amount(p->txn_amount).text,
               (long long)p->n_usage, (long long)rows, amount(lines).text);
}

static int on_grant(struct receipt *r, struct stmt *s, struct err *e)
{
    int scope, funding;
    bool scoped = name_find(scope_names, SCOPE_COUNT, stmt_col_str(s, 3), &scope);
    bool funded = name_find(funding_names, FUNDING_COUNT, stmt_col_str(s, 6), &funding);
    struct receipt_grant p = {.g = {.id = stmt_col_i64(s, 0),
                                    .scope = (enum scope)scope,
                                    .priority = (int)stmt_col_i64(s, 4),
                                    .expires_us = stmt_col_i64(s, 5),
                                    .funding = (enum funding)funding,
                                    .remaining = stmt_col_i64(s, 7)},
                              .known = scoped && funded && stmt_col_i64(s, 8),
                              .amount = stmt_col_i64(s, 1),
                              .txn = stmt_col_i64(s, 2),
                              .posted_us = stmt_col_i64(s, 10),
                              .n_usage = stmt_col_i64(s, 11),
                              .txn_amount = stmt_col_i64(s, 14),
                              .txn_sum = stmt_col_i64(s, 15),
                              .came_back = stmt_col_i64(s, 16),
                              .refunded = stmt_col_i64(s, 18)};
    struct str models = stmt_col_str(s, 17);
    if (models.n && !(p.g.models = arena_str(&r->mem, models.p, models.n)))
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a receipt");
    if (!p.known)
        differ(r, "grant %lld: it paid, and it is missing or another account's", (long long)p.g.id);
    else if (p.g.scope != SCOPE_ANY && strcmp(scope_names[p.g.scope], r->scope) != 0)
        differ(r, "grant %lld: its scope is %s, the request's is %.32s", (long long)p.g.id, scope_names[p.g.scope], r->scope);
    if (p.known && !grant_suits(&p.g, p.g.scope, r->alias))
        differ(r, "grant %lld: it is for %.100s, the request is one of %.100s", (long long)p.g.id, p.g.models, r->alias);
    if (p.refunded > p.amount)
        differ(r, "grant %lld: it paid %s and got %s back", (long long)p.g.id, amount(p.amount).text, amount(p.refunded).text);
    if (!ck_add(r->refunded, p.refunded, &r->refunded))
        r->refunded = INT64_MAX;
    check_transaction(r, &p, stmt_col_i64(s, 9), stmt_col_i64(s, 12), stmt_col_i64(s, 13));
    return vec_push(&r->grants, p) ? 0 : err_set(e, ERR_NO_MEMORY, "ledger: no memory for a receipt");
}

static int in_order(const void *a, const void *b)
{
    enum grant_rule rule;
    return grant_compare(&((const struct receipt_grant *)a)->g, &((const struct receipt_grant *)b)->g, &rule);
}

static int open_beside(struct receipt *r, struct ledger *l, int64_t txn, bool *out, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->reader, SQL("SELECT 1 FROM usage u JOIN txn t ON t.id = ?2 WHERE u.id = ?1 AND EXISTS (" OPEN_BESIDE("u", "t") ")"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, r->id), stmt_i64(s, 2, txn);
    rc = stmt_step(s, out, e);
    stmt_put(s);
    return rc;
}

/* A grant pays once those before it have nothing left, but for what came back later, and for what others held then. */
static int check_order(struct receipt *r, struct ledger *l, struct err *e)
{
    int64_t sum = 0;
    int rc = 0;
    for (size_t i = 0; i < r->grants.n && rc == 0; i++) {
        const struct receipt_grant *p = &r->grants.p[i], *next = i + 1 < r->grants.n ? p + 1 : NULL;
        bool others = true;
        if (!ck_add(sum, p->amount, &sum))
            sum = INT64_MAX;
        if (next && p->g.remaining > p->came_back)
            rc = open_beside(r, l, next->txn, &others, e);
        if (!others)
            differ(r, "grant %lld: it paid although grant %lld, which comes before it, has %s left", (long long)next->g.id, (long long)p->g.id,
                   amount(p->g.remaining).text);
    }
    if (sum != r->charged)
        differ(r, "charged: %s is stored, the grants paid %s", amount(r->charged).text, amount(sum).text);
    return rc;
}

static int read_grants(struct receipt *r, struct ledger *l, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->reader,
                      SQL("SELECT n.grant_id, n.amount, n.txn_id, g.scope, g.priority, g.expires_us, g.funding, g.remaining, g.org_id = ?2, "
                          "t.kind = 'usage' AND t.grant_id = n.grant_id AND t.price_id = ?3 AND t.org_id = ?2 AND ?1 BETWEEN t.first_usage AND "
                          "t.last_usage, t.created_us, t.n_usage, "
                          "(SELECT count(*) FROM usage_line x WHERE x.usage_id BETWEEN t.first_usage AND t.last_usage AND x.txn_id = n.txn_id), "
                          "(SELECT sum(amount) FROM usage_line x WHERE x.usage_id BETWEEN t.first_usage AND t.last_usage AND x.txn_id = n.txn_id), "
                          "(SELECT sum(amount) FROM entry e WHERE e.txn_id = n.txn_id AND e.account_id = g.account_id), "
                          "(SELECT sum(amount) FROM entry e WHERE e.txn_id = n.txn_id), (" CAME_BACK(
                              "g") "), g.models, (SELECT coalesce(sum(r.amount), 0) FROM refund_line r WHERE r.usage_id = n.usage_id AND "
                                   "r.grant_id = n.grant_id) FROM usage_line n "
                                   "LEFT JOIN credit_grant g ON g.id = n.grant_id LEFT JOIN txn t ON t.id = n.txn_id WHERE n.usage_id = ?1"),
                      e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, r->id), stmt_i64(s, 2, r->org), stmt_i64(s, 3, r->price_id);
    if ((rc = each(r, s, on_grant, e)) < 0)
        return rc;
    if (r->grants.n > 1)
        qsort(r->grants.p, r->grants.n, sizeof *r->grants.p, in_order);
    return check_order(r, l, e);
}

static int on_entry(struct receipt *r, struct stmt *s, struct err *e)
{
    struct receipt_entry n = {.txn = stmt_col_i64(s, 0), .line = stmt_col_i64(s, 1), .amount = stmt_col_i64(s, 2), .account = col_text(r, s, 3)};
    if (stmt_col_null(s, 3))
        differ(r, "transaction %lld: the account of its line %lld is missing", (long long)n.txn, (long long)n.line);
    return vec_push(&r->entries, n) ? 0 : err_set(e, ERR_NO_MEMORY, "ledger: no memory for a receipt");
}

static int read_entries(struct receipt *r, struct ledger *l, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->reader,
                      SQL("SELECT e.txn_id, e.line, e.amount, a.code FROM usage_line n JOIN entry e ON e.txn_id = n.txn_id "
                          "LEFT JOIN account a ON a.id = e.account_id WHERE n.usage_id = ?1 ORDER BY e.txn_id, e.line"),
                      e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, r->id);
    return each(r, s, on_entry, e);
}

/* ---- all of it ---- */

static int snapshot(struct receipt *r, struct ledger *l, const char *request, const struct principal *who, struct err *e)
{
    int rc = read_usage(r, l, request, who, e);
    if (rc == 0 && !r->id)
        rc = err_set(e, ERR_NOT_FOUND,
                     "ledger: there is no receipt of %.100s: no request of this account has that id, or it has not ended, or it was refused and "
                     "cost nothing",
                     request);
    if (rc == 0)
        rc = read_cover(r, l, request, e);
    if (rc == 0)
        rc = read_rates(r, l, e);
    if (rc == 0)
        check_bill(r);
    if (rc == 0)
        rc = read_grants(r, l, e);
    return rc == 0 ? read_entries(r, l, e) : rc;
}

int ledger_receipt(struct ledger *l, const char *request, const struct principal *who, struct buf *out, struct err *e)
{
    struct receipt r = {0};
    int rc = queue_flush(l, e); /* what has ended is in the store */
    if (rc < 0)
        return rc;
    arena_init(&r.mem, 1 << 20);
    mutex_lock(&l->reader_lock);
    rc = db_begin(l->reader, e);
    if (rc == 0) {
        rc = snapshot(&r, l, request, who, e);
        db_rollback(l->reader);
    }
    mutex_unlock(&l->reader_lock);
    if (rc == 0)
        receipt_write(&r, l->currency, out);
    if (rc == 0 && out->failed)
        rc = err_set(e, ERR_NO_MEMORY, "ledger: no memory for a receipt");
    vec_deinit(&r.grants), vec_deinit(&r.entries);
    arena_deinit(&r.mem);
    return rc;
}
