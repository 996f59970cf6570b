/* Rows of the usage explorer: cells summed by bucket and groups, named, sorted, paged; and the requests themselves. */
#include "ledger/usage.h"

#include "ledger/usage_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 10000, METRICS = CUBE_SUMS + 2 };

/* ---- metrics: the sums of the cube, and what follows from them ---- */

enum { METRIC_TOKENS = CUBE_SUMS, METRIC_NET };
static const struct {
    const char *name;
    int metric;
    bool money;
} metrics[METRICS] = {
    {"requests", CUBE_REQUESTS, false},
    {"errors", CUBE_ERRORS, false},
    {"input", CUBE_INPUT, false},
    {"cache_read", CUBE_CACHE_READ, false},
    {"cache_write", CUBE_CACHE_WRITE, false},
    {"output", CUBE_OUTPUT, false},
    {"reasoning", CUBE_REASONING, false},
    {"accepted_draft", CUBE_ACCEPTED_DRAFT, false},
    {"tokens", METRIC_TOKENS, false},
    {"list", CUBE_LIST, true},
    {"contracted", CUBE_CONTRACTED, true},
    {"cost", CUBE_CHARGED, true},
    {"refunded", CUBE_REFUNDED, true},
    {"net", METRIC_NET, true},
};

static int64_t metric_of(const int64_t sum[CUBE_SUMS], int metric)
{
    if (metric == METRIC_TOKENS)
        return sum[CUBE_INPUT] + sum[CUBE_CACHE_READ] + sum[CUBE_CACHE_WRITE] + sum[CUBE_OUTPUT] + sum[CUBE_REASONING];
    return metric == METRIC_NET ? sum[CUBE_CHARGED] - sum[CUBE_REFUNDED] : sum[metric];
}

/* Bit i: metrics[i] is shown. */
static int metrics_read(const char *text, unsigned *out, struct err *e)
{
    struct str rest = str_of(text ? text : "");
    *out = text ? 0 : ~0u;
    while (text && rest.p) {
        struct str word = str_split(&rest, ',');
        size_t i = 0;
        while (i < METRICS && !str_eqz(word, metrics[i].name))
            i++;
        if (i == METRICS)
            return err_param(
                e, ERR_BAD_VALUE, "metric",
                "metric '%.*s' is unknown; use requests, errors, input, cache_read, cache_write, output, reasoning, accepted_draft, tokens, "
                "list, contracted, cost, refunded, net, or some of these with commas",
                (int)(word.n < 64 ? word.n : 64), word.p ? word.p : "");
        *out |= 1u << i;
    }
    return 0;
}

static void sums_put(struct ledger *l, struct jw *w, const int64_t sum[CUBE_SUMS], unsigned shown)
{
    for (size_t i = 0; i < METRICS; i++)
        if (shown & 1u << i && metrics[i].money)
            report_money(w, metrics[i].name, metric_of(sum, metrics[i].metric));
        else if (shown & 1u << i)
            report_i64(w, metrics[i].name, metric_of(sum, metrics[i].metric));
    jw_key(w, "currency"), jw_str(w, l->currency);
}

/* ---- rows ---- */

struct explorer {
    struct usage_scan scan;
    struct usage_table table;
    struct names names[DIM_COUNT];
    int64_t total[CUBE_SUMS];
    unsigned shown;
};

static int cell_add(void *arg, size_t bucket, const int64_t dims[DIM_COUNT], const int64_t sums[CUBE_SUMS], struct err *e)
{
    struct explorer *x = arg;
    struct usage_row r = {.from = x->scan.buckets.p[bucket].from};
    for (size_t i = 0; i < x->scan.n_dims; i++)
        r.dim[i] = dims[x->scan.dim[i]];
    for (int k = 0; k < CUBE_SUMS; k++)
        x->total[k] += sums[k];
    return usage_table_add(&x->table, &r, sums, e);
}

static int names_load(struct explorer *x, struct err *e)
{
    static const struct sql sql[DIM_COUNT] = {
        SQL("SELECT id, name FROM organisation"),
        SQL("SELECT p.id, o.name || '/' || p.name FROM project p JOIN organisation o ON o.id = p.org_id"),
        SQL("SELECT id, public_id FROM key"),
        SQL("SELECT id, alias FROM model"),
        SQL("SELECT id, revision FROM model"),
        {NULL},
        SQL("SELECT id, model || ' version ' || version FROM price"),
    };
    int rc = 0;
    for (size_t i = 0; i < x->scan.n_dims && rc == 0; i++)
        if (sql[x->scan.dim[i]].text)
            rc = names_read(&x->names[x->scan.dim[i]], x->scan.l, sql[x->scan.dim[i]], e);
    return rc;
}

static const char *dim_text(const struct explorer *x, size_t i, int64_t id)
{
    return x->scan.dim[i] == DIM_SCOPE ? scope_names[id] : names_get(&x->names[x->scan.dim[i]], id);
}

/* The newest first, then by name. */
static int row_compare(const void *a, const void *b, void *arg)
{
    const struct usage_row *p = a, *q = b;
    const struct explorer *x = arg;
    int c = p->from < q->from ? 1 : p->from > q->from ? -1 : 0;
    for (size_t i = 0; i < x->scan.n_dims && c == 0; i++)
        c = strcmp(dim_text(x, i, p->dim[i]), dim_text(x, i, q->dim[i]));
    for (size_t i = 0; i < x->scan.n_dims && c == 0; i++)
        c = p->dim[i] < q->dim[i] ? -1 : p->dim[i] > q->dim[i];
    return c;
}

static void row_put(struct explorer *x, struct jw *w, const struct usage_row *r)
{
    static const char *const keys[CAL_COUNT] = {NULL, "hour", "day", "week", "month", "quarter"};
    char text[PERIOD_TEXT_MAX];
    jw_obj(w);
    if (x->scan.period) {
        /* A bucket may begin after its period, where since cut it. */
        int64_t at = r->from / 1000000, local = period_start(x->scan.period, at + zone_offset(&x->scan.zone, at));
        int64_t begin = zone_utc(&x->scan.zone, local);
        period_text(text, x->scan.period, &x->scan.zone, begin < at ? begin : at);
        jw_key(w, keys[x->scan.period]), jw_str(w, text);
    }
    for (size_t i = 0; i < x->scan.n_dims; i++)
        jw_key(w, usage_dim_names[x->scan.dim[i]]), jw_str(w, dim_text(x, i, r->dim[i]));
    sums_put(x->scan.l, w, r->sum, x->shown);
    jw_obj_end(w);
}

/* ---- pages ---- */

static void cursor_put(const struct explorer *x, const struct usage_row *r, char out[USAGE_CURSOR_MAX])
{
    int n = snprintf(out, USAGE_CURSOR_MAX, "%lld", (long long)r->from);
    for (size_t i = 0; i < x->scan.n_dims; i++)
        n += snprintf(out + n, USAGE_CURSOR_MAX - (size_t)n, ".%lld", (long long)r->dim[i]);
}

static int cursor_bad(const char *text, struct err *e)
{
    return err_param(e, ERR_BAD_VALUE, "after", "after '%.100s' is no cursor of this report; take it from the page before, and change nothing else",
                     text);
}

static int cursor_read(const struct explorer *x, struct usage_row *out, struct err *e)
{
    struct str rest = str_of(x->scan.f->after);
    bool ok = str_i64(str_split(&rest, '.'), &out->from);
    for (size_t i = 0; i < x->scan.n_dims && ok; i++)
        ok = rest.p && str_i64(str_split(&rest, '.'), &out->dim[i]) &&
             (x->scan.dim[i] != DIM_SCOPE || (out->dim[i] >= 0 && out->dim[i] < SCOPE_COUNT));
    return ok && !rest.p ? 0 : cursor_bad(x->scan.f->after, e);
}

static int rows_put(struct explorer *x, struct usage_page *page, struct buf *out, struct err *e)
{
    struct jw w;
    struct usage_row after = {0};
    size_t i = 0, limit = x->scan.f->limit ? x->scan.f->limit : LIMIT;
    if (x->scan.f->after && cursor_read(x, &after, e) < 0)
        return -ERR_BAD_VALUE;
    if (x->table.rows.n)
        qsort_r(x->table.rows.p, x->table.rows.n, sizeof *x->table.rows.p, row_compare, x);
    while (x->scan.f->after && i < x->table.rows.n && row_compare(&x->table.rows.p[i], &after, x) <= 0)
        i++;
    size_t end = x->table.rows.n - i < limit ? x->table.rows.n : i + limit;
    jw_init(&w, out);
    jw_arr(&w);
    for (; i < end; i++)
        row_put(x, &w, &x->table.rows.p[i]);
    jw_arr_end(&w);
    if (page && end < x->table.rows.n && end)
        cursor_put(x, &x->table.rows.p[end - 1], page->next);
    if (page && page->total) {
        jw_init(&w, page->total);
        jw_obj(&w);
        sums_put(x->scan.l, &w, x->total, x->shown);
        jw_obj_end(&w);
    }
    return 0;
}

static int explore(struct ledger *l, const struct usage_filter *f, struct usage_page *page, struct buf *out, struct err *e)
{
    struct explorer x = {.scan = {.l = l, .f = f, .cell = cell_add}};
    x.scan.arg = &x;
    for (int i = 0; i < DIM_COUNT; i++)
        names_init(&x.names[i]);
    int rc = zone_open(&x.scan.zone, f->tz, e);
    if (rc == 0 && (rc = usage_group_read(&x.scan, e)) == 0 && (rc = metrics_read(f->metrics, &x.shown, e)) == 0 && (rc = report_begin(l, e)) == 0) {
        if ((rc = usage_scan_run(&x.scan, e)) == 0)
            rc = names_load(&x, e);
        report_end(l);
    }
    if (rc == 0)
        rc = rows_put(&x, page, out, e);
    for (int i = 0; i < DIM_COUNT; i++)
        names_deinit(&x.names[i]);
    usage_table_deinit(&x.table);
    usage_scan_deinit(&x.scan);
    return rc;
}

/* ---- requests ---- */

struct requests {
    struct ledger *l;
    struct jw w;
    uint32_t n, limit;
    int64_t end_us, id; /* of the last that was written */
    struct usage_page *page;
};

static void request_put(struct requests *q, struct stmt *s)
{
    static const char *const names[] = {"requests", "input", "cache_read", "cache_write", "output", "reasoning", "accepted_draft"};
    struct jw *w = &q->w;
    int64_t reason = stmt_col_i64(s, 12);
    jw_obj(w);
    report_text(w, "request", stmt_col_str(s, 1)), report_text(w, "account", stmt_col_str(s, 2)), report_text(w, "project", stmt_col_str(s, 3));
    report_text(w, "key", stmt_col_str(s, 4)), report_text(w, "model", stmt_col_str(s, 5)), report_text(w, "revision", stmt_col_str(s, 6));
    report_text(w, "scope", stmt_col_str(s, 7));
    jw_key(w, "reason"), jw_str(w, reason >= 0 && reason <= FINISH_CRASH ? reason_names[reason] : "unknown");
    report_i64(w, "status", stmt_col_i64(s, 13));
    jw_key(w, "stream"), jw_bool(w, stmt_col_i64(s, 14) != 0);
    report_time(w, "start", stmt_col_i64(s, 8)), report_time(w, "first", stmt_col_i64(s, 9)), report_time(w, "end", stmt_col_i64(s, 10));
    report_i64(w, "price_version", stmt_col_i64(s, 11));
    report_i64(w, names[0], 1);
    for (int i = 1; i < 7; i++)
        report_i64(w, names[i], stmt_col_i64(s, 14 + i));
    report_money(w, "list", stmt_col_i64(s, 21)), report_money(w, "contracted", stmt_col_i64(s, 22)), report_money(w, "cost", stmt_col_i64(s, 23));
    report_money(w, "refunded", stmt_col_i64(s, 24));
    jw_key(w, "currency"), jw_str(w, q->l->currency);
    jw_obj_end(w);
}

/* One row more than the limit is asked for: then there is a next page. */
static int request_row(struct requests *q, struct stmt *s)
{
    if (q->n++ == q->limit) {
        if (q->page)
            snprintf(q->page->next, USAGE_CURSOR_MAX, "%lld.%lld", (long long)q->end_us, (long long)q->id);
        return 0;
    }
    q->id = stmt_col_i64(s, 0), q->end_us = stmt_col_i64(s, 10);
    request_put(q, s);
    return 0;
}

#define REQUESTS_FROM                                                                                                                                \
    "FROM usage u JOIN organisation o ON o.id = u.org_id JOIN project p ON p.id = u.project_id JOIN key k ON k.id "                                  \
    "= "                                                                                                                                             \
    "u.key_id JOIN model m ON m.id = u.model_id WHERE (?1 IS NULL OR o.name = ?1) AND (?2 IS NULL OR m.alias = ?2) AND (?3 IS NULL OR p.name = ?3) " \
    "AND (?4 IS NULL OR k.public_id = ?4) AND (?5 IS NULL OR u.scope = ?5) AND u.end_us >= ?6 AND u.end_us < ?7 "

static int requests_bind(struct ledger *l, struct stmt **s, struct sql sql, const struct usage_filter *f, struct err *e)
{
    int rc = stmt_get(s, l->reader, sql, e);
    if (rc < 0)
        return rc;
    stmt_text(*s, 1, f->account), stmt_text(*s, 2, f->model), stmt_text(*s, 3, f->project), stmt_text(*s, 4, f->key), stmt_text(*s, 5, f->scope);
    stmt_i64(*s, 6, f->since_us), stmt_i64(*s, 7, f->until_us ? f->until_us : INT64_MAX);
    return 0;
}

static int requests_read(struct requests *q, const struct usage_filter *f, int64_t before_us, int64_t before_id, struct err *e)
{
    struct stmt *s;
    bool row = true;
    int rc = requests_bind(
        q->l, &s,
        SQL("SELECT u.id, u.request, o.name, p.name, k.public_id, m.alias, m.revision, u.scope, u.start_us, u.first_us, u.end_us, "
            "(SELECT c.version FROM price c WHERE c.id = u.price_id), u.reason, u.status, u.stream, u.input, u.cache_read, "
            "u.cache_write, u.output, u.reasoning, u.accepted_draft, u.list, u.contracted, u.charged, (SELECT coalesce(sum(r.amount), 0) FROM "
            "refund_line r WHERE r.usage_id = u.id) " REQUESTS_FROM
            "AND u.end_us <= ?8 AND (u.end_us < ?8 OR u.id < ?9) ORDER BY u.end_us DESC, u.id DESC LIMIT ?10"),
        f, e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 8, before_us), stmt_i64(s, 9, before_id), stmt_i64(s, 10, (int64_t)q->limit + 1);
    while (rc == 0 && row)
        if ((rc = stmt_step(s, &row, e)) == 0 && row)
            rc = request_row(q, s);
    stmt_put(s);
    return rc;
}

static int requests_list(struct ledger *l, const struct usage_filter *f, struct usage_page *page, struct buf *out, struct err *e)
{
    struct requests q = {.l = l, .page = page, .limit = f->limit ? f->limit : LIMIT};
    int64_t before_us = INT64_MAX, before_id = INT64_MAX;
    struct str rest = str_of(f->after ? f->after : "");
    if (f->after && (!str_i64(str_split(&rest, '.'), &before_us) || !rest.p || !str_i64(rest, &before_id)))
        return cursor_bad(f->after, e);
    struct org_id org;
    int rc = f->account ? ledger_account_find(l, f->account, &org, e) : 0;
    if (rc < 0 || (rc = report_begin(l, e)) < 0)
        return rc;
    jw_init(&q.w, out);
    jw_arr(&q.w);
    rc = requests_read(&q, f, before_us, before_id, e);
    jw_arr_end(&q.w);
    report_end(l);
    return rc;
}

/* ---- both ---- */

int ledger_usage_page(struct ledger *l, const struct usage_filter *f, struct usage_page *page, struct buf *out, struct err *e)
{
    if (page)
        page->next[0] = 0;
    if (f->until_us && f->until_us <= f->since_us)
        return err_param(e, ERR_BAD_VALUE, "until", "until is not after since: there is no time between them");
    bool requests = f->group && strcmp(f->group, "request") == 0;
    if (requests && f->metrics)
        return err_param(e, ERR_BAD_VALUE, "metric", "requests are listed with all that is known of them; leave metric out");
    int rc = requests ? requests_list(l, f, page, out, e) : explore(l, f, page, out, e);
    if (rc == 0 && (out->failed || (page && page->total && page->total->failed)))
        return err_set(e, ERR_NO_MEMORY, "ledger: the report is too large; narrow it");
    if (rc == 0 && requests && page && page->total) { /* the sums of all of them, as the explorer has them */
        struct usage_filter all = *f;
        struct usage_page sums = {.total = page->total};
        struct buf none;
        buf_init(&none, 0);
        all.group = "total", all.after = NULL;
        rc = explore(l, &all, &sums, &none, e);
        buf_deinit(&none);
    }
    return rc;
}

int ledger_report_usage(struct ledger *l, const struct usage_filter *f, struct buf *out, struct err *e)
{
    return ledger_usage_page(l, f, NULL, out, e);
}
