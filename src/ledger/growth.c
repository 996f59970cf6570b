/* Growth against a year ago by quarters: what AI and each product contributed, and which customers. Of recognised and imported revenue. */
#include "ledger/business.h"
#include "ledger/facts.h"

#include <stdlib.h>
#include <string.h>

/* Revenue of one customer, product and quarter; months are those of the quarter's beginning. */
struct cell {
    int32_t quarter;
    int64_t customer;
    const char *segment, *product;
    bool ai;
    int64_t amount;
};
struct growth {
    struct ledger *l;
    const struct business_query *q;
    struct facts facts;
    int32_t from, to; /* quarters: of the report; the year before is read too */
    struct VEC(struct cell) cells;
    struct VEC(int32_t) first; /* of each customer: the month of its first revenue of any product */
    struct jw w;
};

static bool ai_only(const struct growth *g)
{
    return g->q->only && strcmp(g->q->only, "ai") == 0;
}

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a report");
}

static int cells_make(struct growth *g, struct err *e)
{
    for (size_t i = 0; i < g->facts.customer.n; i++)
        if (!vec_push(&g->first, INT32_MAX))
            return no_memory(e);
    for (size_t i = 0; i < g->facts.all.n; i++) {
        const struct fact *f = &g->facts.all.p[i];
        if (!f->recognised || !fact_earns(f))
            continue;
        struct cell c = {f->month - f->month % 3, f->customer, f->segment, f->product, f->ai, f->recognised};
        int32_t *first = &g->first.p[f->customer];
        *first = f->recognised > 0 && f->month < *first ? f->month : *first;
        if (!vec_push(&g->cells, c))
            return no_memory(e);
    }
    return 0;
}

static int growth_begin(struct growth *g, struct ledger *l, const struct business_query *q, struct buf *out, struct err *e)
{
    *g = (struct growth){.l = l, .q = q};
    jw_init(&g->w, out);
    if (q->only && strcmp(q->only, "ai") != 0)
        return err_param(e, ERR_BAD_VALUE, "only", "only '%.32s' is unknown; write ai, or leave it out for all revenue", q->only);
    int rc = report_begin(l, e);
    if (rc < 0)
        return rc;
    rc = facts_read(&g->facts, l, q->policy, e);
    report_end(l);
    if (rc == 0 && (rc = months_read(q, &g->facts, &g->from, &g->to, e)) == 0)
        g->from -= g->from % 3, g->to = (g->to + 2) / 3 * 3;
    return rc == 0 ? cells_make(g, e) : rc;
}

static int growth_end(struct growth *g, int rc, struct err *e)
{
    facts_deinit(&g->facts);
    vec_deinit(&g->cells);
    vec_deinit(&g->first);
    return rc == 0 && g->w.b->failed ? err_set(e, ERR_NO_MEMORY, "ledger: the report is too large; narrow it") : rc;
}

static int64_t sum_of(const struct growth *g, int32_t quarter, bool ai)
{
    int64_t n = 0;
    for (size_t i = 0; i < g->cells.n; i++)
        n += g->cells.p[i].quarter == quarter && (!ai || g->cells.p[i].ai) ? g->cells.p[i].amount : 0;
    return n;
}

static void percent_put(struct jw *w, const char *key, int64_t a, int64_t b)
{
    char text[32];
    percent_text(text, a, b);
    jw_key(w, key);
    *text ? jw_str(w, text) : jw_null(w);
}

static void quarter_put(struct growth *g, int32_t quarter)
{
    char text[PERIOD_TEXT_MAX];
    month_text(text, quarter, 3);
    jw_obj(&g->w);
    jw_key(&g->w, "quarter"), jw_str(&g->w, text);
}

static void quarter_end(struct growth *g)
{
    jw_key(&g->w, "currency"), jw_str(&g->w, g->l->currency);
    report_i64(&g->w, "policy", g->facts.policy.version);
    jw_obj_end(&g->w);
}

int ledger_report_growth(struct ledger *l, const struct business_query *q, struct buf *out, struct err *e)
{
    struct growth g;
    int rc = growth_begin(&g, l, q, out, e);
    jw_arr(&g.w);
    for (int32_t t = g.from; rc == 0 && t < g.to; t += 3) {
        int64_t now = sum_of(&g, t, false), then = sum_of(&g, t - 12, false), ai = sum_of(&g, t, true), ai_then = sum_of(&g, t - 12, true);
        quarter_put(&g, t);
        report_money(&g.w, "revenue", now), report_money(&g.w, "year_ago", then);
        percent_put(&g.w, "growth_percent", now - then, then);
        report_money(&g.w, "ai_revenue", ai), report_money(&g.w, "ai_year_ago", ai_then);
        percent_put(&g.w, "ai_points", ai - ai_then, then), percent_put(&g.w, "other_points", now - then - ai + ai_then, then);
        percent_put(&g.w, "ai_growth_percent", ai - ai_then, ai_then), percent_put(&g.w, "ai_share_percent", ai, now);
        report_money(&g.w, "ai_run_rate", ai * 4);
        quarter_end(&g);
    }
    jw_arr_end(&g.w);
    return growth_end(&g, rc, e);
}

/* ---- products ---- */

static int by_product(const void *a, const void *b)
{
    const struct cell *p = a, *q = b;
    int c = strcmp(p->segment, q->segment);
    return c ? c : (c = strcmp(p->product, q->product)) ? c : p->ai - q->ai;
}

static void product_put(struct growth *g, int32_t t, const struct cell *c, int64_t now, int64_t then, int64_t all_now, int64_t all_then)
{
    quarter_put(g, t);
    jw_key(&g->w, "segment"), jw_str(&g->w, c->segment);
    jw_key(&g->w, "product"), jw_str(&g->w, c->product);
    jw_key(&g->w, "ai"), jw_bool(&g->w, c->ai);
    report_money(&g->w, "revenue", now), report_money(&g->w, "year_ago", then);
    percent_put(&g->w, "growth_percent", now - then, then);
    percent_put(&g->w, "points", now - then, all_then);
    percent_put(&g->w, "share_of_growth_percent", now - then, all_now - all_then);
    percent_put(&g->w, "share_percent", now, all_now);
    quarter_end(g);
}

int ledger_report_products(struct ledger *l, const struct business_query *q, struct buf *out, struct err *e)
{
    struct growth g;
    int rc = growth_begin(&g, l, q, out, e);
    if (rc == 0 && g.cells.n)
        qsort(g.cells.p, g.cells.n, sizeof *g.cells.p, by_product);
    jw_arr(&g.w);
    for (int32_t t = g.from; rc == 0 && t < g.to; t += 3) {
        int64_t all_now = sum_of(&g, t, false), all_then = sum_of(&g, t - 12, false);
        for (size_t i = 0, end; i < g.cells.n; i = end) {
            int64_t now = 0, then = 0;
            for (end = i; end < g.cells.n && by_product(&g.cells.p[i], &g.cells.p[end]) == 0; end++) {
                now += g.cells.p[end].quarter == t ? g.cells.p[end].amount : 0;
                then += g.cells.p[end].quarter == t - 12 ? g.cells.p[end].amount : 0;
            }
            if (now || then)
                product_put(&g, t, &g.cells.p[i], now, then, all_now, all_then);
        }
    }
    jw_arr_end(&g.w);
    return growth_end(&g, rc, e);
}

/* ---- customers ---- */

struct moves {
    int64_t customers, fresh /* new to the cloud in twelve months */, before, now, then, gained, expansion, contraction, churn, n_gained, n_churned;
    int64_t top[10]; /* falling */
};

static int by_customer(const void *a, const void *b)
{
    const struct cell *p = a, *q = b;
    return p->customer != q->customer ? (p->customer < q->customer ? -1 : 1) : p->quarter < q->quarter ? -1 : p->quarter > q->quarter;
}

static void top_add(struct moves *m, int64_t v)
{
    for (int i = 0; i < 10; i++)
        if (v > m->top[i]) {
            int64_t less = m->top[i];
            m->top[i] = v, v = less;
        }
}

static void customer_add(struct moves *m, int64_t now, int64_t then, bool fresh)
{
    m->now += now, m->then += then;
    m->customers += now > 0, m->before += then > 0, m->fresh += now > 0 && fresh;
    top_add(m, now);
    if (now > 0 && then <= 0)
        m->gained += now - then, m->n_gained++;
    else if (now <= 0 && then > 0)
        m->churn += then - now, m->n_churned++;
    else if (now > then)
        m->expansion += now - then;
    else
        m->contraction += then - now;
}

static void moves_read(const struct growth *g, int32_t t, int32_t back, struct moves *m)
{
    *m = (struct moves){0};
    for (size_t i = 0, end; i < g->cells.n; i = end) {
        int64_t now = 0, then = 0;
        for (end = i; end < g->cells.n && g->cells.p[end].customer == g->cells.p[i].customer; end++) {
            const struct cell *c = &g->cells.p[end];
            if (ai_only(g) && !c->ai)
                continue;
            now += c->quarter == t ? c->amount : 0, then += c->quarter == t - back ? c->amount : 0;
        }
        customer_add(m, now, then, g->first.p[g->cells.p[i].customer] >= t + 3 - 12);
    }
}

int ledger_report_customers(struct ledger *l, const struct business_query *q, struct buf *out, struct err *e)
{
    struct growth g = {0};
    struct moves m;
    bool quarter = q->against && strcmp(q->against, "quarter") == 0;
    if (q->against && !quarter && strcmp(q->against, "year") != 0)
        return err_param(e, ERR_BAD_VALUE, "against", "against '%.32s' is unknown; write year or quarter", q->against);
    int rc = growth_begin(&g, l, q, out, e);
    if (rc == 0 && g.cells.n)
        qsort(g.cells.p, g.cells.n, sizeof *g.cells.p, by_customer);
    jw_arr(&g.w);
    for (int32_t t = g.from; rc == 0 && t < g.to; t += 3) {
        moves_read(&g, t, quarter ? 3 : 12, &m);
        int64_t top = 0;
        for (int i = 0; i < 10; i++)
            top += m.top[i];
        quarter_put(&g, t);
        report_i64(&g.w, "customers", m.customers), report_i64(&g.w, "customers_before", m.before);
        report_i64(&g.w, "new_to_the_cloud", m.fresh), percent_put(&g.w, "new_percent", m.fresh, m.customers);
        report_money(&g.w, "revenue", m.now), report_money(&g.w, "before", m.then), report_money(&g.w, "new", m.gained);
        report_money(&g.w, "expansion", m.expansion), report_money(&g.w, "contraction", m.contraction), report_money(&g.w, "churn", m.churn);
        report_i64(&g.w, "customers_new", m.n_gained), report_i64(&g.w, "customers_churned", m.n_churned);
        percent_put(&g.w, "net_retention_percent", m.then + m.expansion - m.contraction - m.churn, m.then);
        percent_put(&g.w, "gross_retention_percent", m.then - m.contraction - m.churn, m.then);
        percent_put(&g.w, "top10_percent", top, m.now);
        quarter_end(&g);
    }
    jw_arr_end(&g.w);
    return growth_end(&g, rc, e);
}
