/* Revenue by period and group, the roll-forward of what is deferred, credits outstanding, margin: sums over facts. */
#include "ledger/business.h"
#include "ledger/facts.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- sums by month and names ---- */

enum { NAMES_MAX = 4, SUMS_MAX = 12, ROWS_MAX = 100000 };
struct pivot_row {
    int32_t month;
    const char *name[NAMES_MAX];
    int64_t sum[SUMS_MAX];
};
struct pivot {
    size_t n_names;
    int months; /* of a period */
    struct VEC(struct pivot_row) rows;
    struct map index;
};

static int32_t period_of(int32_t month, int months)
{
    return months ? month - month % months : 0;
}

static int pivot_add(struct pivot *p, int32_t month, const char *const *name, const int64_t *sum, size_t n, struct err *e)
{
    struct pivot_row r = {.month = period_of(month, p->months)};
    struct buf key;
    union map_value v = {.u64 = p->rows.n};
    buf_init(&key, 0);
    buf_add(&key, &r.month, sizeof r.month);
    for (size_t i = 0; i < p->n_names; i++)
        r.name[i] = name[i], buf_add(&key, name[i], strlen(name[i]) + 1);
    bool ok = !key.failed;
    if (ok && !map_get(&p->index, (struct str){key.data, key.len}, &v))
        ok = p->rows.n < ROWS_MAX && map_set(&p->index, (struct str){key.data, key.len}, v) && vec_push(&p->rows, r);
    buf_deinit(&key);
    if (!ok)
        return err_set(e, ERR_TOO_LARGE, "ledger: the report has more than %d rows, or memory is short; group by less", ROWS_MAX);
    for (size_t i = 0; i < n; i++)
        p->rows.p[v.u64].sum[i] += sum[i];
    return 0;
}

static int pivot_compare(const void *a, const void *b, void *arg)
{
    const struct pivot_row *p = a, *q = b;
    const struct pivot *v = arg;
    int c = p->month < q->month ? -1 : p->month > q->month;
    for (size_t i = 0; i < v->n_names && c == 0; i++)
        c = strcmp(p->name[i], q->name[i]);
    return c;
}

static void pivot_sort(struct pivot *p)
{
    if (p->rows.n)
        qsort_r(p->rows.p, p->rows.n, sizeof *p->rows.p, pivot_compare, p);
}

static void pivot_deinit(struct pivot *p)
{
    vec_deinit(&p->rows);
    map_deinit(&p->index);
}

static void period_put(struct jw *w, int32_t month, int months)
{
    char text[PERIOD_TEXT_MAX];
    month_text(text, month, months);
    jw_key(w, "period"), jw_str(w, text);
}

/* ---- what the reports share ---- */

struct work {
    struct ledger *l;
    const struct business_query *q;
    struct facts facts;
    int32_t from, to;
    int months;
    struct jw w;
};

static int work_begin(struct work *k, struct ledger *l, const struct business_query *q, struct buf *out, struct err *e)
{
    *k = (struct work){.l = l, .q = q};
    jw_init(&k->w, out);
    int rc = period_months(q, &k->months, e);
    if (rc < 0 || (rc = report_begin(l, e)) < 0)
        return rc;
    rc = facts_read(&k->facts, l, q->policy, e);
    report_end(l);
    if (rc == 0)
        rc = months_read(q, &k->facts, &k->from, &k->to, e);
    if (rc == 0 && k->months == 3 && ((q->since_us && k->from % 3) || (q->until_us && k->to % 3)))
        rc = err_param(e, ERR_BAD_VALUE, "since",
                       "ledger: since and until are borders of quarters (January, April, July, October) when the period is one");
    if (rc < 0)
        facts_deinit(&k->facts);
    return rc;
}

static int work_end(struct work *k, int rc, struct err *e)
{
    facts_deinit(&k->facts);
    return rc == 0 && k->w.b->failed ? err_set(e, ERR_NO_MEMORY, "ledger: the report is too large; narrow it") : rc;
}

static bool of_account(const struct work *k, const struct fact *f)
{
    return !k->q->account || strcmp(k->facts.customer.p[f->customer], k->q->account) == 0;
}

/* ---- revenue ---- */

enum { BY_SEGMENT, BY_PRODUCT, BY_ACCOUNT, BY_MODEL, BY_SCOPE, BY_FUNDING, BY_SOURCE, BY_COUNT };
static const char *const by_names[BY_COUNT] = {"segment", "product", "account", "model", "scope", "funding", "source"};
enum { REV_VALUE, REV_RECOGNISED, REV_CONTRA, REV_MEMO, REV_BREAKAGE, REV_IMPORTED, REV_GROSS, REV_PUBLISHER, REV_NET, REV_TOTAL, REV_COUNT };

static const char *by_text(const struct work *k, const struct fact *f, int by)
{
    switch (by) {
    case BY_SEGMENT: return f->segment;
    case BY_PRODUCT: return f->product;
    case BY_ACCOUNT: return k->facts.customer.p[f->customer];
    case BY_MODEL: return f->model ? names_get(&k->facts.models, f->model) : "";
    case BY_SCOPE: return f->kind == FACT_USE || f->kind == FACT_SHARE ? scope_names[f->scope] : "";
    case BY_FUNDING: return f->kind == FACT_IMPORT || f->kind == FACT_SHORTFALL ? "" : funding_names[f->funding];
    default: return f->kind == FACT_IMPORT ? "import" : "ledger";
    }
}

static int group_read(const char *text, int by[NAMES_MAX], size_t *n, struct err *e)
{
    struct str rest = str_of(text ? text : "segment,product");
    *n = 0;
    while (rest.p) {
        struct str word = str_split(&rest, ',');
        int i = 0;
        while (i < BY_COUNT && !str_eqz(word, by_names[i]))
            i++;
        if (i == BY_COUNT || *n == NAMES_MAX)
            return err_param(e, ERR_BAD_VALUE, "group",
                             "group '%.64s' is not up to four of segment, product, account, model, scope, funding and source, with "
                             "commas",
                             text);
        by[(*n)++] = i;
    }
    return 0;
}

static void revenue_of(const struct fact *f, int64_t s[REV_COUNT])
{
    const int64_t gross = f->kind == FACT_SHARE ? 0 : f->recognised;
    s[REV_GROSS] = gross, s[REV_PUBLISHER] = f->share, s[REV_NET] = gross - f->share, s[REV_TOTAL] = f->recognised;
    if (f->kind == FACT_USE || f->kind == FACT_SHORTFALL)
        s[REV_VALUE] = f->value, s[REV_RECOGNISED] = f->recognised, s[REV_CONTRA] = f->contra, s[REV_MEMO] = f->memo;
    else
        s[f->kind == FACT_IMPORT ? REV_IMPORTED : REV_BREAKAGE] = gross;
}

static int revenue_sums(struct work *k, struct pivot *p, const int by[NAMES_MAX], struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < k->facts.all.n && rc == 0; i++) {
        const struct fact *f = &k->facts.all.p[i];
        const char *name[NAMES_MAX] = {0};
        if (!fact_earns(f) || f->month < k->from || f->month >= k->to || !of_account(k, f))
            continue;
        int64_t s[REV_COUNT] = {0};
        revenue_of(f, s);
        for (size_t d = 0; d < p->n_names; d++)
            name[d] = by_text(k, f, by[d]);
        if (f->kind != FACT_EXPIRED || f->recognised)
            rc = pivot_add(p, f->month, name, s, REV_COUNT, e);
    }
    return rc;
}

int ledger_report_revenue(struct ledger *l, const struct business_query *q, struct buf *out, struct err *e)
{
    static const char *const columns[REV_COUNT] = {"value",    "recognised", "contra",    "memo", "breakage",
                                                   "imported", "gross",      "publisher", "net",  "revenue"};
    struct work k;
    struct pivot p = {0};
    int by[NAMES_MAX], rc = group_read(q->group, by, &p.n_names, e);
    if (rc < 0 || (rc = work_begin(&k, l, q, out, e)) < 0)
        return rc;
    map_init(&p.index);
    p.months = k.months;
    if ((rc = revenue_sums(&k, &p, by, e)) == 0)
        pivot_sort(&p);
    jw_arr(&k.w);
    for (size_t i = 0; i < p.rows.n && rc == 0; i++) {
        jw_obj(&k.w);
        period_put(&k.w, p.rows.p[i].month, k.months);
        for (size_t d = 0; d < p.n_names; d++)
            jw_key(&k.w, by_names[by[d]]), jw_str(&k.w, p.rows.p[i].name[d]);
        for (int c = 0; c < REV_COUNT; c++)
            report_money(&k.w, columns[c], p.rows.p[i].sum[c]);
        jw_key(&k.w, "currency"), jw_str(&k.w, l->currency);
        report_i64(&k.w, "policy", k.facts.policy.version);
        jw_obj_end(&k.w);
    }
    jw_arr_end(&k.w);
    pivot_deinit(&p);
    return work_end(&k, rc, e);
}

/* ---- deferred ---- */

enum { DEF_RECEIVED, DEF_RECOGNISED, DEF_BREAKAGE, DEF_VOIDED, DEF_ADJUSTED, DEF_COUNT };

static int deferred_at(const struct fact *f)
{
    switch (f->kind) {
    case FACT_RECEIVED: return DEF_RECEIVED;
    case FACT_USE: return DEF_RECOGNISED;
    case FACT_EXPIRED: return DEF_BREAKAGE;
    case FACT_VOIDED: return DEF_VOIDED;
    case FACT_ADJUSTED: return DEF_ADJUSTED;
    default: return -1;
    }
}

int ledger_report_deferred(struct ledger *l, const struct business_query *q, struct buf *out, struct err *e)
{
    static const char *const columns[DEF_COUNT] = {"received", "recognised", "breakage", "voided", "adjusted"};
    struct work k;
    int rc = work_begin(&k, l, q, out, e);
    if (rc < 0)
        return rc;
    int64_t open = 0;
    for (size_t i = 0; i < k.facts.all.n; i++) {
        const struct fact *f = &k.facts.all.p[i];
        if (f->month < k.from && f->kind != FACT_IMPORT && of_account(&k, f))
            open += f->kind == FACT_RECEIVED ? f->released : -f->released;
    }
    jw_arr(&k.w);
    for (int32_t m = k.from; m < k.to; m = k.months ? period_of(m, k.months) + k.months : k.to) {
        int32_t next = k.months ? period_of(m, k.months) + k.months : k.to;
        int64_t sum[DEF_COUNT] = {0}, close = open;
        for (size_t i = 0; i < k.facts.all.n; i++) {
            const struct fact *f = &k.facts.all.p[i];
            int at = deferred_at(f);
            if (at >= 0 && f->month >= m && f->month < next && of_account(&k, f))
                sum[at] += f->released, close += at == DEF_RECEIVED ? f->released : -f->released;
        }
        jw_obj(&k.w);
        period_put(&k.w, m, k.months);
        report_money(&k.w, "opening", open);
        for (int c = 0; c < DEF_COUNT; c++)
            report_money(&k.w, columns[c], sum[c]);
        report_money(&k.w, "closing", close);
        jw_key(&k.w, "currency"), jw_str(&k.w, l->currency);
        report_i64(&k.w, "policy", k.facts.policy.version);
        jw_obj_end(&k.w);
        open = close;
    }
    jw_arr_end(&k.w);
    return work_end(&k, 0, e);
}

/* ---- credits ---- */

struct credits {
    struct ledger *l;
    struct jw w;
};

static int credit_row(void *arg, struct stmt *s, struct err *e)
{
    static const char *const columns[] = {"granted", "cash_received", "used", "reserved", "expired", "voided", "outstanding", "held"};
    struct credits *c = arg;
    (void)e;
    jw_obj(&c->w);
    report_text(&c->w, "funding", stmt_col_str(s, 0)), report_text(&c->w, "scope", stmt_col_str(s, 1));
    report_i64(&c->w, "grants", stmt_col_i64(s, 2));
    for (int i = 0; i < 8; i++)
        report_money(&c->w, columns[i], stmt_col_i64(s, 3 + i));
    jw_key(&c->w, "currency"), jw_str(&c->w, c->l->currency);
    jw_obj_end(&c->w);
    return 0;
}

/* A transfer is no grant: what came by one is in the grant that it came from. granted: with adjustments. */
int ledger_report_credits(struct ledger *l, struct buf *out, struct err *e)
{
    struct credits c = {.l = l};
    int rc = report_begin(l, e);
    if (rc < 0)
        return rc;
    jw_init(&c.w, out), jw_arr(&c.w);
    rc = report_each(
        l,
        SQL("SELECT g.funding, g.scope, CAST(sum(CASE WHEN g.parent_id = 0 THEN 1 ELSE 0 END) AS BIGINT), CAST(sum(CASE WHEN g.parent_id = 0 THEN "
            "g.amount ELSE 0 END + g.adjusted) AS BIGINT), CAST(sum(g.cash_received) AS BIGINT), CAST(sum(coalesce(u.n, 0)) AS BIGINT), "
            "CAST(sum(coalesce(x.reserved, 0)) AS BIGINT), CAST(sum(coalesce(x.expired, 0)) AS BIGINT), CAST(sum(coalesce(x.voided, 0)) AS BIGINT), "
            "CAST(sum(g.remaining) AS BIGINT), CAST(sum(g.held) AS BIGINT) FROM credit_grant g LEFT JOIN (SELECT grant_id, sum(spent - refunded) AS "
            "n FROM grant_cube GROUP BY "
            "grant_id) u ON u.grant_id = g.id LEFT JOIN (SELECT t.grant_id, sum(CASE t.kind WHEN 'expire' THEN e.amount ELSE 0 END) AS expired, "
            "sum(CASE t.kind WHEN 'void' THEN e.amount ELSE 0 END) AS voided, sum(CASE WHEN t.kind IN ('reserve', 'prepay') THEN e.amount ELSE 0 "
            "END) AS reserved FROM txn t JOIN credit_grant k ON k.id = t.grant_id JOIN entry e ON "
            "e.txn_id = t.id AND e.account_id = k.account_id WHERE t.kind <> 'usage' AND t.kind IN ('expire', 'void', 'reserve', 'prepay') "
            "GROUP BY t.grant_id) x ON x.grant_id = g.id WHERE g.approved_us <> 0 GROUP BY g.funding, g.scope ORDER BY g.funding, g.scope"),
        NULL, credit_row, &c, e);
    jw_arr_end(&c.w);
    report_end(l);
    return rc;
}

/* ---- margin ---- */

struct tokens {
    struct work *k;
    struct pivot *p; /* sums: revenue, weighted tokens, tokens */
};

static int tokens_row(void *arg, struct stmt *s, struct err *e)
{
    struct tokens *t = arg;
    int32_t month = month_of(stmt_col_i64(s, 0) / 24);
    int64_t model = stmt_col_i64(s, 1), weighed = 0, n = 0;
    if (month < t->k->from || month >= t->k->to)
        return 0;
    for (int c = CUBE_INPUT; c <= CUBE_REASONING; c++)
        weighed += t->k->facts.policy.weight[c] * stmt_col_i64(s, 2 + c - CUBE_INPUT), n += stmt_col_i64(s, 2 + c - CUBE_INPUT);
    const char *name = names_get(&t->k->facts.models, model);
    return pivot_add(t->p, month, &name, (int64_t[]){0, weighed, n}, 3, e);
}

/* Hours of a period of which something is known: from its beginning, or the first month's, to its end or now. */
static int64_t period_hours(const struct work *k, int32_t month)
{
    int32_t first = month > k->from ? month : k->from, last = k->months ? month + k->months : k->to;
    last = last < k->to ? last : k->to;
    int64_t a = date_days((struct date){first / 12, first % 12 + 1, 1}) * 24, b = date_days((struct date){last / 12, last % 12 + 1, 1}) * 24;
    int64_t now = clock_now_us() / CUBE_HOUR_US + 1;
    b = b < now ? b : now;
    return b > a ? b - a : 0;
}

static int margin_rows(struct work *k, struct pivot *p, struct err *e)
{
    for (size_t i = 0; i < p->rows.n; i++) {
        const struct pivot_row *r = &p->rows.p[i];
        int64_t all = 0, hours = period_hours(k, r->month), total;
        for (size_t j = 0; j < p->rows.n; j++)
            all += p->rows.p[j].month == r->month ? p->rows.p[j].sum[1] : 0;
        if (!ck_mul(hours, k->facts.policy.machine_hour, &total))
            return err_set(e, ERR_BAD_VALUE, "ledger: the machine's cost of a period is too large to be counted");
        int64_t cost = all ? (int64_t)((__int128)total * r->sum[1] / all) : 0;
        char percent[32];
        percent_text(percent, r->sum[0] - cost, r->sum[0]);
        jw_obj(&k->w);
        period_put(&k->w, r->month, k->months);
        jw_key(&k->w, "model"), jw_str(&k->w, r->name[0]);
        report_i64(&k->w, "tokens", r->sum[2]);
        report_money(&k->w, "revenue", r->sum[0]), report_money(&k->w, "machine_cost", cost), report_money(&k->w, "margin", r->sum[0] - cost);
        jw_key(&k->w, "margin_percent"), *percent ? jw_str(&k->w, percent) : jw_null(&k->w);
        jw_key(&k->w, "currency"), jw_str(&k->w, k->l->currency);
        report_i64(&k->w, "policy", k->facts.policy.version);
        jw_obj_end(&k->w);
    }
    return 0;
}

int ledger_report_margin(struct ledger *l, const struct business_query *q, struct buf *out, struct err *e)
{
    struct work k;
    struct pivot p = {.n_names = 1};
    int rc = work_begin(&k, l, q, out, e);
    if (rc < 0)
        return rc;
    map_init(&p.index);
    p.months = k.months;
    struct tokens t = {.k = &k, .p = &p};
    for (size_t i = 0; i < k.facts.all.n && rc == 0; i++) {
        const struct fact *f = &k.facts.all.p[i];
        const char *name = f->model ? names_get(&k.facts.models, f->model) : "";
        if ((f->kind == FACT_USE || f->kind == FACT_SHARE || f->kind == FACT_SHORTFALL) && f->month >= k.from && f->month < k.to)
            rc = pivot_add(&p, f->month, &name, (int64_t[]){f->kind == FACT_SHARE ? -f->share : f->recognised, 0, 0}, 3, e);
    }
    if (rc == 0 && (rc = report_begin(l, e)) == 0) {
        rc = report_each(l,
                         SQL("SELECT slot, model_id, CAST(sum(input) AS BIGINT), CAST(sum(cache_read) AS BIGINT), CAST(sum(cache_write) AS BIGINT), "
                             "CAST(sum(output) AS BIGINT), CAST(sum(reasoning) AS BIGINT) FROM usage_cube WHERE level = 1 "
                             "GROUP BY slot, model_id"),
                         NULL, tokens_row, &t, e);
        report_end(l);
    }
    pivot_sort(&p);
    jw_arr(&k.w);
    if (rc == 0)
        rc = margin_rows(&k, &p, e);
    jw_arr_end(&k.w);
    pivot_deinit(&p);
    return work_end(&k, rc, e);
}
