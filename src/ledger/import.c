/* Revenue that other systems booked, from CSV: so that growth against a year ago can be told from the first day. */
#include "ledger/business.h"
#include "ledger/operation.h"
#include "ledger/report_int.h"

#include "base/csv.h"

#include <string.h>

enum { COL_MONTH, COL_CUSTOMER, COL_SEGMENT, COL_PRODUCT, COL_AMOUNT, COL_AI, COL_COUNT, WORD_MAX = 128 };
static const char *const columns[COL_COUNT] = {"month", "customer", "segment", "product", "amount", "ai"};

struct import {
    const char *name, *actor, *reason;
    struct str text;
    struct sha256 digest;
    int at[COL_COUNT]; /* the field that is the column; -1: none */
    int64_t batch, lines, amount;
    bool known;
};

static int bad(struct err *e, const struct csv *c, const char *column, const char *what)
{
    return err_param(e, ERR_BAD_VALUE, column, "import: line %zu, %s: %s", c->line, column, what);
}

static int head_read(struct import *m, struct csv *c, struct err *e)
{
    for (int k = 0; k < COL_COUNT; k++)
        m->at[k] = -1;
    if (!csv_next(c, e))
        return e->code ? -(int)e->code
                       : err_param(e, ERR_BAD_VALUE, "csv", "import: there is no line of column names: month,customer,segment,product,amount");
    for (size_t i = 0; i < c->n; i++)
        for (int k = 0; k < COL_COUNT; k++)
            if (str_ieqz(str_trim(c->field[i]), columns[k]))
                m->at[k] = (int)i;
    for (int k = 0; k < COL_AI; k++)
        if (m->at[k] < 0)
            return err_param(e, ERR_BAD_VALUE, columns[k],
                             "import: the first line has no column '%s'; it names month,customer,segment,product,amount and "
                             "perhaps ai",
                             columns[k]);
    return 0;
}

static bool month_read(struct str v, int64_t *out)
{
    uint64_t y, m;
    if (v.n != 7 || v.p[4] != '-' || !str_u64((struct str){v.p, 4}, &y) || !str_u64((struct str){v.p + 5, 2}, &m) || y < 1970 || y > 9999 || m < 1 ||
        m > 12)
        return false;
    *out = (int64_t)(y * 100 + m);
    return true;
}

static int line_read(struct import *m, const struct csv *c, int64_t *month, struct str word[3], struct money *amount, int64_t *ai, struct err *e)
{
    struct str v[COL_COUNT];
    struct err why;
    for (int k = 0; k < COL_COUNT; k++) {
        if (m->at[k] >= (int)c->n)
            return bad(e, c, columns[k], "the line ends before it");
        v[k] = m->at[k] < 0 ? STR("") : str_trim(c->field[m->at[k]]);
    }
    if (!month_read(v[COL_MONTH], month))
        return bad(e, c, "month", "write a month as 2025-11");
    for (int k = 0; k < 3; k++) {
        word[k] = v[COL_CUSTOMER + k];
        if (!word[k].n || word[k].n >= WORD_MAX || !utf8_valid(word[k].p, word[k].n))
            return bad(e, c, columns[COL_CUSTOMER + k], "it has 1 to 127 bytes of UTF-8");
    }
    if (money_parse(amount, v[COL_AMOUNT], &why) < 0)
        return bad(e, c, "amount", why.msg);
    *ai = str_ieqz(v[COL_AI], "yes") || str_ieqz(v[COL_AI], "1") || str_ieqz(v[COL_AI], "true");
    if (!*ai && v[COL_AI].n && !str_ieqz(v[COL_AI], "no") && !str_ieqz(v[COL_AI], "0") && !str_ieqz(v[COL_AI], "false"))
        return bad(e, c, "ai", "write yes or no");
    return 0;
}

static int line_insert(struct ledger *l, const struct import *m, int64_t month, const struct str word[3], struct money amount, int64_t ai,
                       struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db,
                      SQL("INSERT INTO revenue_line (batch_id, line, month, customer, segment, product, ai, amount) VALUES (?1, ?2, ?3, ?4, ?5, ?6, "
                          "?7, ?8)"),
                      e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, m->batch), stmt_i64(s, 2, m->lines), stmt_i64(s, 3, month), stmt_str(s, 4, word[0]), stmt_str(s, 5, word[1]),
        stmt_str(s, 6, word[2]);
    stmt_i64(s, 7, ai), stmt_i64(s, 8, amount.nano);
    return stmt_run(s, e);
}

/* Without l: only looks, so that a fault is told before anything is written. */
static int lines_read(struct import *m, struct ledger *l, struct err *e)
{
    struct csv c;
    struct money sum = {0};
    struct err fault = {0};
    csv_init(&c, m->text);
    int rc = head_read(m, &c, &fault);
    m->lines = 0;
    while (rc == 0 && csv_next(&c, &fault)) {
        struct str word[3];
        struct money amount;
        int64_t month = 0, ai = 0;
        m->lines++;
        rc = line_read(m, &c, &month, word, &amount, &ai, &fault);
        if (rc == 0 && !money_add(sum, amount, &sum))
            rc = bad(&fault, &c, "amount", "all amounts together are too large");
        if (rc == 0 && l)
            rc = line_insert(l, m, month, word, amount, ai, &fault);
    }
    csv_deinit(&c);
    m->amount = sum.nano;
    if (rc == 0 && fault.code) {
        struct err why = fault;
        rc = err_param(&fault, ERR_BAD_VALUE, "csv", "import: %s", why.msg);
    }
    if (rc == 0 && !m->lines)
        rc = err_param(&fault, ERR_BAD_VALUE, "csv", "import: there is no line after the column names");
    if (rc < 0)
        *e = fault;
    return rc;
}

static int known_find(struct ledger *l, struct import *m, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, l->db, SQL("SELECT id, digest, n_lines, amount FROM revenue_batch WHERE name = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, m->name);
    rc = stmt_step(s, &row, e);
    if (rc == 0 && row) {
        struct str d = stmt_col_blob(s, 1);
        m->known = d.n == sizeof m->digest && memcmp(d.p, &m->digest, sizeof m->digest) == 0;
        m->batch = stmt_col_i64(s, 0), m->lines = stmt_col_i64(s, 2), m->amount = stmt_col_i64(s, 3);
        if (!m->known)
            rc = err_param(e, ERR_CONFLICT, "name",
                           "import: '%.100s' was imported before with other lines; what was wrong is corrected by a further import, "
                           "with amounts less than 0",
                           m->name);
    }
    stmt_put(s);
    return rc;
}

static int batch_insert(struct ledger *l, const struct import *m, struct err *e)
{
    struct stmt *s;
    int rc =
        stmt_get(&s, l->db,
                 SQL("INSERT INTO revenue_batch (id, name, digest, n_lines, amount, actor, reason, created_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, "
                     "?8)"),
                 e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, m->batch), stmt_text(s, 2, m->name), stmt_blob(s, 3, &m->digest, sizeof m->digest), stmt_i64(s, 4, m->lines),
        stmt_i64(s, 5, m->amount);
    stmt_text(s, 6, m->actor), stmt_text(s, 7, m->reason ? m->reason : ""), stmt_i64(s, 8, l->now_us);
    return stmt_run(s, e);
}

static int import_run(struct ledger *l, void *arg, struct err *e)
{
    struct import *m = arg;
    struct stmt *s;
    bool row;
    int rc = known_find(l, m, e);
    if (rc < 0 || m->known)
        return rc;
    if ((rc = stmt_get(&s, l->db, SQL("SELECT coalesce(max(id), 0) + 1 FROM revenue_batch"), e)) < 0 || (rc = stmt_step(s, &row, e)) < 0)
        return rc;
    m->batch = stmt_col_i64(s, 0);
    stmt_put(s);
    if ((rc = batch_insert(l, m, e)) < 0 || (rc = lines_read(m, l, e)) < 0)
        return rc;
    return event_by(l, m->actor, "revenue.import", m->name, m->reason ? m->reason : "", e);
}

int ledger_revenue_import(struct ledger *l, const char *name, struct str csv, const struct deed *by, struct buf *out, struct err *e)
{
    struct import m = {.name = name, .actor = by->actor ? by->actor : "admin", .reason = by->reason, .text = csv};
    struct jw w;
    int rc = words_check("actor", by->actor, LEDGER_NAME_MAX - 1, e);
    if (rc < 0 || (rc = words_check("reason", by->reason, LEDGER_REASON_MAX, e)) < 0 || (rc = words_check("name", name, LEDGER_NAME_MAX - 1, e)) < 0)
        return rc;
    if ((rc = lines_read(&m, NULL, e)) < 0)
        return rc;
    sha256(&m.digest, csv.p, csv.n);
    if ((rc = queue_call(l, import_run, &m, e)) < 0)
        return rc;
    jw_init(&w, out), jw_obj(&w);
    jw_key(&w, "import"), jw_str(&w, name);
    report_i64(&w, "lines", m.lines), report_money(&w, "amount", m.amount);
    jw_key(&w, "currency"), jw_str(&w, l->currency);
    jw_key(&w, "new"), jw_bool(&w, !m.known);
    jw_obj_end(&w);
    return 0;
}

static int imports_row(void *arg, struct stmt *s, struct err *e)
{
    struct jw *w = arg;
    (void)e;
    jw_obj(w);
    report_text(w, "import", stmt_col_str(s, 0)), report_i64(w, "lines", stmt_col_i64(s, 1)), report_money(w, "amount", stmt_col_i64(s, 2));
    report_text(w, "actor", stmt_col_str(s, 3)), report_text(w, "reason", stmt_col_str(s, 4)), report_time(w, "created", stmt_col_i64(s, 5));
    jw_obj_end(w);
    return 0;
}

int ledger_revenue_imports(struct ledger *l, struct buf *out, struct err *e)
{
    struct jw w;
    int rc = report_begin(l, e);
    if (rc < 0)
        return rc;
    jw_init(&w, out), jw_arr(&w);
    rc = report_each(l, SQL("SELECT name, n_lines, amount, actor, reason, created_us FROM revenue_batch ORDER BY id DESC"), NULL, imports_row, &w, e);
    jw_arr_end(&w);
    report_end(l);
    return rc;
}
