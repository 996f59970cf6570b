/* An account's statement: by month what it had, what came, what went, what it has; each line with the balance after it. */
#include "ledger/business.h"
#include "ledger/facts.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_MAX = 320 };
enum kind { LINE_GRANTED, LINE_CAME, LINE_USED, LINE_RESERVED, LINE_REFUNDED, LINE_EXPIRED, LINE_VOIDED, LINE_ADJUSTED, LINE_LEFT, LINE_KINDS };
static const char *const kind_names[LINE_KINDS] = {"granted", "transferred in", "used",     "reserved capacity", "refunded",
                                                   "expired", "voided",         "adjusted", "transferred out"};

struct line {
    int32_t month;
    enum kind kind;
    char label[LABEL_MAX];
    int64_t amount;
};
struct statement {
    struct VEC(struct line) lines;
    struct names models;
    int32_t first; /* month */
};

static int line_add(struct statement *t, int64_t day, enum kind kind, const char *label, int64_t amount, struct err *e)
{
    struct line n = {.month = month_of(day), .kind = kind, .amount = amount};
    if (!amount)
        return 0;
    (void)str_fmt(n.label, sizeof n.label, "%s", label);
    t->first = n.month < t->first ? n.month : t->first;
    return vec_push(&t->lines, n) ? 0 : err_set(e, ERR_NO_MEMORY, "ledger: no memory for a statement");
}

/* day, kind, grant, funding, amount: a debit of the grant's account, which it loses. */
static int booking_row(void *arg, struct stmt *s, struct err *e)
{
    struct str kind = stmt_col_str(s, 1), funding = stmt_col_str(s, 3);
    int64_t amount = -stmt_col_i64(s, 4);
    char label[LABEL_MAX];
    snprintf(label, sizeof label, "grant %lld, %.*s", (long long)stmt_col_i64(s, 2), (int)funding.n, funding.p ? funding.p : "");
    enum kind k = str_eqz(kind, "grant")                                ? LINE_GRANTED
                  : str_eqz(kind, "expire")                             ? LINE_EXPIRED
                  : str_eqz(kind, "void")                               ? LINE_VOIDED
                  : str_eqz(kind, "adjust")                             ? LINE_ADJUSTED
                  : str_eqz(kind, "reserve") || str_eqz(kind, "prepay") ? LINE_RESERVED
                  : amount > 0                                          ? LINE_CAME
                                                                        : LINE_LEFT;
    return line_add(arg, stmt_col_i64(s, 0), k, label, amount, e);
}

static int use_row(void *arg, struct stmt *s, struct err *e)
{
    struct statement *t = arg;
    char label[LABEL_MAX];
    struct str scope = stmt_col_str(s, 2);
    snprintf(label, sizeof label, "%s, %.*s", names_get(&t->models, stmt_col_i64(s, 1)), (int)scope.n, scope.p ? scope.p : "");
    int rc = line_add(t, stmt_col_i64(s, 0), LINE_USED, label, -stmt_col_i64(s, 3), e);
    return rc < 0 ? rc : line_add(t, stmt_col_i64(s, 0), LINE_REFUNDED, label, stmt_col_i64(s, 4), e);
}

static int by_line(const void *a, const void *b)
{
    const struct line *p = a, *q = b;
    if (p->month != q->month)
        return p->month < q->month ? -1 : 1;
    return p->kind != q->kind ? (int)p->kind - (int)q->kind : strcmp(p->label, q->label);
}

static void merge(struct statement *t)
{
    size_t n = 0;
    if (t->lines.n)
        qsort(t->lines.p, t->lines.n, sizeof *t->lines.p, by_line);
    for (size_t i = 0; i < t->lines.n; i++) {
        if (n && by_line(&t->lines.p[n - 1], &t->lines.p[i]) == 0)
            t->lines.p[n - 1].amount += t->lines.p[i].amount;
        else
            t->lines.p[n++] = t->lines.p[i];
    }
    t->lines.n = n;
}

static int read_all(struct statement *t, struct ledger *l, int64_t org, struct err *e)
{
    int64_t bind[4] = {org};
    int rc = names_read(&t->models, l, SQL("SELECT id, alias FROM model"), e);
    if (rc == 0)
        rc = report_each(
            l,
            SQL("SELECT t.created_us / 86400000000, t.kind, g.id, g.funding, e.amount FROM txn t JOIN entry e ON e.txn_id = t.id JOIN credit_grant "
                "g ON g.account_id = e.account_id WHERE g.org_id = ?1 AND t.kind <> 'usage' AND t.kind <> 'refund' ORDER BY t.id"),
            bind, booking_row, t, e);
    if (rc == 0)
        rc = report_each(
            l,
            SQL("SELECT c.day, c.model_id, c.scope, CAST(sum(c.spent) AS BIGINT), CAST(sum(c.refunded) AS BIGINT) FROM grant_cube c JOIN "
                "credit_grant g ON g.id = c.grant_id WHERE g.org_id = ?1 GROUP BY c.day, c.model_id, c.scope ORDER BY c.day, c.model_id, c.scope"),
            bind, use_row, t, e);
    return rc;
}

static void row_put(struct ledger *l, struct jw *w, int32_t month, const char *what, const char *label, int64_t amount, int64_t balance)
{
    char text[PERIOD_TEXT_MAX];
    month_text(text, month, 1);
    jw_obj(w);
    jw_key(w, "month"), jw_str(w, text);
    jw_key(w, "line"), jw_str(w, what);
    jw_key(w, "of"), jw_str(w, label);
    report_money(w, "amount", amount), report_money(w, "balance", balance);
    jw_key(w, "currency"), jw_str(w, l->currency);
    jw_obj_end(w);
}

static void rows_put(struct statement *t, struct ledger *l, struct jw *w, int32_t from, int32_t to)
{
    int64_t balance = 0;
    size_t i = 0;
    for (; i < t->lines.n && t->lines.p[i].month < from; i++)
        balance += t->lines.p[i].amount;
    for (int32_t m = from; m < to; m++) {
        row_put(l, w, m, "opening balance", "", 0, balance);
        for (; i < t->lines.n && t->lines.p[i].month == m; i++) {
            balance += t->lines.p[i].amount;
            row_put(l, w, m, kind_names[t->lines.p[i].kind], t->lines.p[i].label, t->lines.p[i].amount, balance);
        }
        row_put(l, w, m, "closing balance", "", 0, balance);
    }
}

int ledger_report_account(struct ledger *l, const struct business_query *q, struct buf *out, struct err *e)
{
    struct statement t = {.first = INT32_MAX};
    struct org_id org;
    struct jw w;
    int32_t from, to, now = month_of(clock_now_us() / CUBE_DAY_US);
    if (!q->account)
        return err_param(e, ERR_BAD_REQUEST, "account", "ledger: a statement is of one account; name it");
    int rc = ledger_account_find(l, q->account, &org, e);
    if (rc < 0 || (rc = report_begin(l, e)) < 0)
        return rc;
    names_init(&t.models);
    rc = read_all(&t, l, org.v, e);
    report_end(l);
    struct facts span = {0};
    struct fact ends[2] = {{.month = t.first < now ? t.first : now}, {.month = now}};
    span.all.p = ends, span.all.n = 2;
    if (rc == 0)
        rc = months_read(q, &span, &from, &to, e);
    if (rc == 0) {
        merge(&t);
        jw_init(&w, out), jw_arr(&w);
        rows_put(&t, l, &w, from, to);
        jw_arr_end(&w);
    }
    names_deinit(&t.models);
    vec_deinit(&t.lines);
    return rc == 0 && out->failed ? err_set(e, ERR_NO_MEMORY, "ledger: the statement is too long; narrow it with since and until") : rc;
}
