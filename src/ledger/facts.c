#include "ledger/facts_int.h"

#include "ledger/business.h"

#include <stdio.h>
#include <string.h>

int facts_no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a report");
}

static int word_index(const char *const *names, int n, struct str word)
{
    int i = 0;
    while (i < n - 1 && !str_eqz(word, names[i]))
        i++;
    return i;
}

/* ---- rows ---- */

static int grant_row(void *arg, struct stmt *s, struct err *e)
{
    struct reading *r = arg;
    struct source g = {.id = stmt_col_i64(s, 0),
                       .org = stmt_col_i64(s, 1),
                       .parent = stmt_col_i64(s, 2),
                       .amount = stmt_col_i64(s, 3),
                       .cash = stmt_col_i64(s, 4),
                       .approved_us = stmt_col_i64(s, 5),
                       .funding = word_index(funding_names, FUNDING_COUNT, stmt_col_str(s, 6))};
    return vec_push(&r->grants, g) ? 0 : facts_no_memory(e);
}

static int cell_row(void *arg, struct stmt *s, struct err *e)
{
    struct reading *r = arg;
    struct cell c = {stmt_col_i64(s, 0),
                     stmt_col_i64(s, 1),
                     stmt_col_i64(s, 2),
                     stmt_col_i64(s, 3),
                     stmt_col_i64(s, 5),
                     stmt_col_i64(s, 6),
                     word_index(scope_names, SCOPE_COUNT, stmt_col_str(s, 4))};
    return vec_push(&r->cells, c) ? 0 : facts_no_memory(e);
}

static int booking_row(void *arg, struct stmt *s, struct err *e)
{
    struct reading *r = arg;
    struct str kind = stmt_col_str(s, 1);
    struct booking b = {stmt_col_i64(s, 0),
                        stmt_col_i64(s, 2),
                        stmt_col_i64(s, 3),
                        stmt_col_i64(s, 4),
                        stmt_col_i64(s, 5),
                        str_eqz(kind, "expire")                                ? FACT_EXPIRED
                        : str_eqz(kind, "void")                                ? FACT_VOIDED
                        : str_eqz(kind, "adjust") || str_eqz(kind, "transfer") ? FACT_ADJUSTED
                                                                               : FACT_USE,
                        str_eqz(kind, "transfer"),
                        str_eqz(kind, "prepay")};
    return vec_push(&r->bookings, b) ? 0 : facts_no_memory(e);
}

static int rows_read(struct reading *r, struct ledger *l, struct err *e)
{
    int rc = report_each(l, SQL("SELECT id, org_id, parent_id, amount, cash_received, approved_us, funding FROM credit_grant ORDER BY id"), NULL,
                         grant_row, r, e);
    if (rc == 0)
        rc = report_each(
            l,
            SQL("SELECT grant_id, day, project_id, model_id, scope, spent, refunded FROM grant_cube ORDER BY grant_id, day, project_id, model_id, "
                "scope"),
            NULL, cell_row, r, e);
    /* What left a grant (debits of its account); of a transfer the grant that got it. */
    if (rc == 0)
        rc = report_each(
            l,
            SQL("SELECT t.grant_id, t.kind, t.created_us / 86400000000, e.amount, coalesce((SELECT k.id FROM entry x JOIN credit_grant k ON "
                "k.account_id = x.account_id AND k.id <> t.grant_id WHERE x.txn_id = t.id AND t.kind = 'transfer'), 0), t.id FROM txn t JOIN "
                "credit_grant g ON g.id = t.grant_id JOIN entry e ON e.txn_id = t.id AND e.account_id = g.account_id WHERE t.kind <> 'usage' "
                "AND t.kind IN ('expire', 'void', 'transfer', 'adjust', 'reserve', 'prepay') ORDER BY t.grant_id, t.id"),
            NULL, booking_row, r, e);
    return rc < 0 ? rc : prepaid_read(r, l, e);
}

/* ---- customers and words ---- */

static int customer_of(struct facts *f, const char *name, int64_t *out, struct err *e)
{
    union map_value v = {.i64 = (int64_t)f->customer.n};
    if (!map_get(&f->customers, str_of(name), &v)) {
        char *copy = mem_str(name, strlen(name));
        if (!copy || !map_set(&f->customers, str_of(name), v) || !vec_push(&f->customer, copy)) {
            mem_free(copy);
            return facts_no_memory(e);
        }
    }
    *out = v.i64;
    return 0;
}

int32_t month_of(int64_t day)
{
    struct date d = date_of(day);
    return d.year * 12 + d.month - 1;
}

/* ---- a grant's life ---- */

/* The cash that has left after x of the value has. */
static int64_t cash_at(const struct source *g, int64_t x)
{
    if (x <= 0 || !g->amount)
        return 0;
    return (int64_t)((__int128)g->cash * (x < g->amount ? x : g->amount) / g->amount);
}

static int64_t leave(struct source *g, int64_t value)
{
    g->left += value;
    int64_t before = g->released;
    g->released = cash_at(g, g->left);
    return g->released - before;
}

int fact_add(struct facts *f, struct fact *x, const struct source *g, int64_t day, struct err *e)
{
    x->grant = g->id, x->org = g->org, x->funding = g->funding, x->day = (int32_t)day, x->month = month_of(day);
    int rc = customer_of(f, names_get(&f->orgs, g->org), &x->customer, e);
    return rc < 0 ? rc : vec_push(&f->all, *x) ? 0 : facts_no_memory(e);
}

void fact_treat(const struct facts *f, const struct source *g, struct fact *x)
{
    switch (policy_use_of(&f->policy, g->funding, x->scope)) {
    case TREAT_REVENUE: x->recognised = x->value, x->released = x->cash; break;
    case TREAT_CASH: x->recognised = x->released = x->cash, x->contra = x->value - x->cash; break;
    case TREAT_CONTRA: x->contra = x->value; break;
    default: x->memo = x->value; break;
    }
}

int fact_reserved(struct facts *f, const struct source *g, int64_t day, int64_t value, int64_t cash, struct err *e)
{
    struct fact x = {.kind = FACT_USE,
                     .scope = SCOPE_INFERENCE,
                     .segment = "reserved",
                     .product = "capacity",
                     .ai = true,
                     .reserved = true,
                     .value = value,
                     .cash = cash};
    fact_treat(f, g, &x);
    return fact_add(f, &x, g, day, e);
}

static int part_add(struct facts *f, struct source *g, const struct cell *c, int64_t value, struct err *e)
{
    if (!value)
        return 0;
    const struct policy_product *t = policy_product_of(&f->policy, names_get(&f->models, c->model), c->scope);
    struct fact x = {.kind = FACT_USE,
                     .model = c->model,
                     .project = c->project,
                     .scope = c->scope,
                     .segment = t->segment,
                     .product = t->product,
                     .ai = t->ai,
                     .value = value,
                     .cash = leave(g, value)};
    fact_treat(f, g, &x);
    return fact_add(f, &x, g, c->day, e);
}

static int use_add(struct facts *f, struct source *g, const struct cell *c, struct err *e)
{
    int rc = part_add(f, g, c, c->spent, e);
    return rc < 0 ? rc : part_add(f, g, c, -c->refunded, e);
}

static int booking_add(struct reading *r, struct source *g, const struct booking *b, struct err *e)
{
    struct facts *f = r->f;
    if (b->kind == FACT_ADJUSTED && !b->transfer && b->amount < 0)
        return 0; /* more of it, for no cash */
    int64_t cash = leave(g, b->amount);
    if (b->prepay)
        return prepaid_take(r, b, cash, e);
    if (b->kind == FACT_USE)
        return fact_reserved(f, g, b->day, b->amount, cash, e);
    if (b->transfer) {
        if (b->child > g->id && (size_t)b->child <= r->grants.n)
            r->grants.p[b->child - 1].cash += cash;
        return 0;
    }
    struct fact x = {
        .kind = b->kind, .segment = "breakage", .product = funding_names[g->funding], .ai = true, .value = b->amount, .cash = cash, .released = cash};
    if (b->kind == FACT_EXPIRED) {
        x.recognised = f->policy.breakage[g->funding] ? cash : 0;
        x.released = x.recognised;
    }
    return fact_add(f, &x, g, b->day, e);
}

/* Use and bookings by their days, use first. ic, ib: where its rows begin; moved past them. */
static int grant_facts(struct reading *r, struct source *g, size_t *ic, size_t *ib, struct err *e)
{
    struct fact in = {.kind = FACT_RECEIVED, .segment = "", .product = "", .value = g->amount, .cash = g->cash, .released = g->cash};
    int rc = g->approved_us && g->cash && !g->parent ? fact_add(r->f, &in, g, g->approved_us / CUBE_DAY_US, e) : 0;
    while (rc == 0) {
        const struct cell *c = *ic < r->cells.n && r->cells.p[*ic].grant == g->id ? &r->cells.p[*ic] : NULL;
        const struct booking *b = *ib < r->bookings.n && r->bookings.p[*ib].grant == g->id ? &r->bookings.p[*ib] : NULL;
        if (!c && !b)
            break;
        if (c && (!b || c->day <= b->day))
            rc = use_add(r->f, g, c, e), ++*ic;
        else
            rc = booking_add(r, g, b, e), ++*ib;
    }
    return rc;
}

/* ---- imports ---- */

static int import_row(void *arg, struct stmt *s, struct err *e)
{
    struct facts *f = arg;
    int64_t month = stmt_col_i64(s, 0);
    struct str name = stmt_col_str(s, 1);
    struct fact x = {.kind = FACT_IMPORT,
                     .month = (int32_t)(month / 100 * 12 + month % 100 - 1),
                     .ai = stmt_col_i64(s, 4) != 0,
                     .value = stmt_col_i64(s, 5),
                     .recognised = stmt_col_i64(s, 5)};
    int rc = customer_of(f, name.p ? name.p : "", &x.customer, e);
    /* A few words a million times. */
    int64_t word[2] = {stmt_col_i64(s, 6), stmt_col_i64(s, 7)};
    x.segment = names_get(&f->words, word[0]), x.product = names_get(&f->words, word[1]);
    return rc < 0 ? rc : vec_push(&f->all, x) ? 0 : facts_no_memory(e);
}

static int imports_read(struct facts *f, struct ledger *l, struct err *e)
{
    int rc = names_read(&f->words, l,
                        SQL("SELECT dense_rank() OVER (ORDER BY word), word FROM (SELECT segment AS word FROM revenue_line UNION SELECT product FROM "
                            "revenue_line) x"),
                        e);
    return rc < 0
               ? rc
               : report_each(
                     l,
                     SQL("WITH w AS (SELECT dense_rank() OVER (ORDER BY word) AS n, word FROM (SELECT segment AS word FROM revenue_line UNION SELECT "
                         "product FROM revenue_line) x) SELECT r.month, r.customer, r.segment, r.product, r.ai, r.amount, a.n, b.n FROM "
                         "revenue_line r JOIN w a ON a.word = r.segment JOIN w b ON b.word = r.product ORDER BY r.batch_id, r.line"),
                     NULL, import_row, f, e);
}

/* ---- all ---- */

int facts_read(struct facts *out, struct ledger *l, int64_t policy, struct err *e)
{
    struct reading r = {.f = out};
    size_t ic = 0, ib = 0;
    *out = (struct facts){0};
    names_init(&out->orgs), names_init(&out->models), names_init(&out->words), map_init(&out->customers);
    int rc = policy_load(&out->policy, l, policy, e);
    if (rc == 0)
        rc = names_read(&out->orgs, l, SQL("SELECT id, name FROM organisation"), e);
    if (rc == 0)
        rc = names_read(&out->models, l, SQL("SELECT id, alias FROM model"), e);
    if (rc == 0)
        rc = rows_read(&r, l, e);
    for (size_t i = 0; i < r.grants.n && rc == 0; i++)
        rc = grant_facts(&r, &r.grants.p[i], &ic, &ib, e);
    if (rc == 0)
        rc = contracts_read(&r, l, e);
    if (rc == 0)
        rc = imports_read(out, l, e);
    vec_deinit(&r.grants), vec_deinit(&r.cells), vec_deinit(&r.bookings), vec_deinit(&r.prepaid);
    return rc;
}

void facts_deinit(struct facts *f)
{
    for (size_t i = 0; i < f->customer.n; i++)
        mem_free((char *)f->customer.p[i]);
    vec_deinit(&f->customer);
    vec_deinit(&f->all);
    map_deinit(&f->customers);
    names_deinit(&f->orgs), names_deinit(&f->models), names_deinit(&f->words);
    policy_deinit(&f->policy);
}

/* ---- months ---- */

static int month_border(int64_t us, const char *name, int32_t *out, struct err *e)
{
    struct date d = date_of(us / CUBE_DAY_US);
    *out = month_of(us / CUBE_DAY_US);
    return us % CUBE_DAY_US || d.day != 1
               ? err_param(e, ERR_BAD_VALUE, name,
                           "ledger: %s is within a month; the books are kept by months (UTC): write its first day, as 2026-11-01", name)
               : 0;
}

int months_read(const struct business_query *q, const struct facts *f, int32_t *from, int32_t *to, struct err *e)
{
    int rc = 0;
    *from = INT32_MAX, *to = INT32_MIN;
    for (size_t i = 0; i < f->all.n; i++) {
        *from = f->all.p[i].month < *from ? f->all.p[i].month : *from;
        *to = f->all.p[i].month >= *to ? f->all.p[i].month + 1 : *to;
    }
    int32_t since = INT32_MIN, until = INT32_MAX;
    if (!f->all.n)
        *from = *to = 0;
    if (q->since_us)
        rc = month_border(q->since_us, "since", &since, e);
    if (rc == 0 && q->until_us)
        rc = month_border(q->until_us, "until", &until, e);
    if (rc == 0 && since >= until)
        return err_param(e, ERR_BAD_VALUE, "until", "until is not after since: there is no time between them");
    *from = since > *from ? since : *from, *to = until < *to ? until : *to; /* months of which nothing is known are left out */
    return rc;
}

int period_months(const struct business_query *q, int *out, struct err *e)
{
    static const char *const names[] = {"total", "month", "", "quarter"};
    for (int i = 0; i < 4; i++)
        if (i != 2 && strcmp(q->period ? q->period : "month", names[i]) == 0) {
            *out = i;
            return 0;
        }
    return err_param(e, ERR_BAD_VALUE, "period", "period '%.32s' is unknown; use month, quarter or total", q->period);
}

void month_text(char out[PERIOD_TEXT_MAX], int32_t month, int months)
{
    if (!months)
        snprintf(out, PERIOD_TEXT_MAX, "total");
    else if (months == 3)
        snprintf(out, PERIOD_TEXT_MAX, "%04d-Q%d", month / 12 % 10000, month % 12 / 3 + 1);
    else
        snprintf(out, PERIOD_TEXT_MAX, "%04d-%02d", month / 12 % 10000, month % 12 + 1);
}

void percent_text(char out[32], int64_t a, int64_t b)
{
    out[0] = 0;
    if (!b)
        return;
    __int128 n = (__int128)a * 20000, d = b; /* twice the hundredths of a percent */
    if (d < 0)
        n = -n, d = -d;
    bool minus = n < 0;
    n = ((minus ? -n : n) / d + 1) / 2;
    snprintf(out, 32, "%s%lld.%02d", minus && n ? "-" : "", (long long)(n / 100), (int)(n % 100));
}
