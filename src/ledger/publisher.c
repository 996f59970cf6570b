#include "ledger/publisher.h"
#include "ledger/ledger_int.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

#include <string.h>

/* Under lock, or on the ledger thread. */
static struct terms *newest(const struct ledger *l, const char *model)
{
    union map_value v;
    return map_get(&l->terms, str_of(model), &v) ? v.ptr : NULL;
}

static const struct terms *terms_at(const struct ledger *l, const char *model, int64_t us)
{
    const struct terms *t = newest(l, model);
    while (t && t->effective_us > us)
        t = t->older;
    return t && t->org ? t : NULL;
}

bool ledger_model_downloadable(struct ledger *l, const char *model)
{
    mutex_lock(&l->lock);
    const struct terms *t = terms_at(l, model, clock_now_us());
    bool may = !t || !t->withheld;
    mutex_unlock(&l->lock);
    return may;
}

/* ---- what a request comes to ---- */

int64_t publisher_part(const struct terms *t, const struct price *p, const struct quantities *billed, int64_t contracted, int64_t charged)
{
    const int64_t *rate = price_step_of(p, billed)->rate;
    int64_t sum = 0;
    for (int i = 0; i < METER_COUNT; i++) {
        struct money m;
        if (!billed->of[i] || rate[i] <= 0 || !t->share[i])
            continue;
        if (!money_rate(billed->of[i], (struct money){rate[i]}, meters[i].per, &m) || !ck_add(sum, money_part(m, t->share[i], 10000).nano, &sum))
            return 0; /* a bill that is no amount is cut to the hold, and nobody can say whose part it is */
    }
    if (charged < contracted)
        sum = money_part((struct money){sum}, charged, contracted).nano;
    return sum < charged ? sum : charged;
}

const struct terms *publisher_of(const struct ledger *l, const struct hold *h, int64_t *share)
{
    const struct terms *t = terms_at(l, h->model->alias, h->created_us);
    *share = t && h->charged ? publisher_part(t, h->price, &h->billed, h->contracted, h->charged) : 0;
    return *share ? t : NULL;
}

int publisher_rows(struct ledger *l, const struct terms *t, int64_t usage, int64_t share, struct err *e)
{
    struct stmt *s;
    int rc = stmt_get(&s, l->db, SQL("INSERT INTO usage_share (usage_id, terms_id, amount) VALUES (?1, ?2, ?3)"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, usage), stmt_i64(s, 2, t->id), stmt_i64(s, 3, share);
    return stmt_run(s, e);
}

/* ---- the terms ---- */

static bool keep(struct ledger *l, struct terms *t)
{
    t->older = newest(l, t->model);
    return map_set(&l->terms, str_of(t->model), (union map_value){.ptr = t});
}

static int payable(struct ledger *l, struct terms *t, struct err *e)
{
    char code[64];
    ASSERT(str_fmt(code, sizeof code, "payable:publisher:%lld", (long long)t->org));
    return t->org ? account_get(l, code, "liability", 0, &t->payable, e) : 0;
}

static int shares_load(struct ledger *l, struct terms *t, struct err *e)
{
    struct stmt *s;
    bool row = true;
    enum meter m;
    int rc = stmt_get(&s, l->db, SQL("SELECT meter, basis_points FROM publisher_share WHERE terms_id = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, t->id);
    while ((rc = stmt_step(s, &row, e)) == 0 && row)
        if (meter_find(stmt_col_str(s, 0), &m))
            t->share[m] = (uint32_t)stmt_col_i64(s, 1);
    stmt_put(s);
    return rc;
}

int publisher_load(struct ledger *l, struct err *e)
{
    struct stmt *s;
    bool row = true;
    int rc =
        stmt_get(&s, l->db, SQL("SELECT id, model, version, org_id, downloadable, effective_us FROM publisher_terms ORDER BY effective_us, id"), e);
    if (rc < 0)
        return rc;
    while ((rc = stmt_step(s, &row, e)) == 0 && row) {
        struct terms *t = mem_new(sizeof *t);
        struct str model = stmt_col_str(s, 1);
        if (t)
            *t = (struct terms){.id = stmt_col_i64(s, 0),
                                .version = (int)stmt_col_i64(s, 2),
                                .org = stmt_col_i64(s, 3),
                                .withheld = !stmt_col_i64(s, 4),
                                .effective_us = stmt_col_i64(s, 5)};
        if (!t || !str_fmt(t->model, sizeof t->model, "%.*s", (int)model.n, model.p) || !keep(l, t)) {
            mem_free(t);
            rc = err_set(e, ERR_NO_MEMORY, "ledger: no memory to read the store");
        } else if ((rc = payable(l, t, e)) == 0) {
            rc = shares_load(l, t, e);
        }
        if (rc < 0)
            break;
    }
    stmt_put(s);
    return rc;
}

struct set_args {
    const struct publisher_new *in;
    struct terms *made;
};

static int insert(struct ledger *l, struct terms *t, const char *actor, struct err *e)
{
    struct stmt *s;
    bool row;
    int rc =
        stmt_get(&s, l->db,
                 SQL("INSERT INTO publisher_terms (model, version, org_id, downloadable, effective_us, created_us, created_by) VALUES (?1, (SELECT "
                     "coalesce(max(version), 0) + 1 FROM publisher_terms WHERE model = ?1), ?2, ?3, ?4, ?5, ?6) RETURNING id, version"),
                 e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, t->model), stmt_i64(s, 2, t->org), stmt_i64(s, 3, !t->withheld), stmt_i64(s, 4, t->effective_us), stmt_i64(s, 5, l->now_us);
    stmt_text(s, 6, actor);
    if ((rc = stmt_step(s, &row, e)) == 0 && row)
        t->id = stmt_col_i64(s, 0), t->version = (int)stmt_col_i64(s, 1);
    stmt_put(s);
    for (int i = 0; i < METER_COUNT && rc == 0; i++) {
        if ((rc = stmt_get(&s, l->db, SQL("INSERT INTO publisher_share (terms_id, meter, basis_points) VALUES (?1, ?2, ?3)"), e)) < 0)
            break;
        stmt_i64(s, 1, t->id), stmt_text(s, 2, meters[i].name), stmt_i64(s, 3, t->share[i]);
        rc = stmt_run(s, e);
    }
    return rc;
}

static int set_call(struct ledger *l, void *arg, struct err *e)
{
    struct set_args *a = arg;
    struct terms *t = a->made;
    const struct terms *before = newest(l, t->model);
    const char *actor = a->in->actor ? a->in->actor : "admin";
    char detail[160];
    t->effective_us = a->in->from_us ? a->in->from_us : l->now_us;
    if (!a->in->from_us && before && before->effective_us >= t->effective_us && before->effective_us < l->now_us + 3600ll * 1000000)
        t->effective_us = before->effective_us + 1; /* the clock went back */
    if (t->effective_us < l->now_us)
        return err_param(e, ERR_BAD_VALUE, "from", "ledger: terms from the past would change what is owed already; they begin now or later");
    if (before && before->effective_us >= t->effective_us)
        return err_param(e, ERR_CONFLICT, "from", "ledger: terms %d of %.100s begin later; new ones begin after them", before->version, t->model);
    if (t->org && !org_find(l, t->org))
        return err_param(e, ERR_NOT_FOUND, "account", "ledger: there is no account %lld; see `sluice account list`", (long long)t->org);
    int rc = payable(l, t, e);
    if (rc == 0)
        rc = insert(l, t, actor, e);
    ASSERT(str_fmt(detail, sizeof detail, "terms %d account %lld output %u basis points%s", t->version, (long long)t->org, t->share[METER_OUTPUT],
                   t->withheld ? " withheld" : ""));
    if (rc == 0)
        rc = event_by(l, actor, "publisher.set", t->model, detail, e);
    if (rc < 0)
        return rc;
    mutex_lock(&l->lock);
    bool ok = keep(l, t);
    mutex_unlock(&l->lock);
    if (!ok)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for terms");
    a->made = NULL;
    return 0;
}

static int read_shares(struct terms *t, const struct publisher_new *in, struct err *e)
{
    bool named[METER_COUNT] = {false};
    for (size_t i = 0; i < in->n_shares; i++) {
        const struct publisher_share *x = &in->shares[i];
        enum meter m = METER_INPUT;
        if (x->basis_points > 10000)
            return err_param(e, ERR_BAD_VALUE, "share", "ledger: a share is at most 100 per cent");
        if (x->meter && !meter_find(str_of(x->meter), &m))
            return err_param(e, ERR_BAD_VALUE, "share", "ledger: '%.40s' is no meter", x->meter);
        for (int k = 0; k < METER_COUNT; k++)
            if (x->meter ? k == (int)m : !named[k])
                t->share[k] = x->basis_points, named[k] |= x->meter != NULL;
    }
    return 0;
}

int ledger_publisher_set(struct ledger *l, const struct publisher_new *in, struct err *e)
{
    size_t n = in->model ? strlen(in->model) : 0;
    if (!n || n >= PRICE_MODEL_MAX || !utf8_valid(in->model, n))
        return err_param(e, ERR_BAD_VALUE, "model", "ledger: a model's name has 1 to %d bytes of UTF-8", PRICE_MODEL_MAX - 1);
    struct terms *t = mem_new(sizeof *t);
    if (!t)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for terms");
    struct set_args a = {in, t};
    memcpy(t->model, in->model, n);
    t->org = in->org.v, t->withheld = in->withheld;
    int rc = read_shares(t, in, e);
    if (rc == 0)
        rc = queue_call(l, set_call, &a, e);
    mem_free(a.made);
    return rc;
}

/* ---- reports ---- */

static void put(struct jw *w, const char *key, int64_t nano)
{
    char text[MONEY_TEXT_MAX];
    money_text(text, (struct money){nano});
    jw_key(w, key), jw_str(w, text);
}

static void put_col(struct jw *w, const char *key, struct stmt *s, int col)
{
    struct str v = stmt_col_str(s, col);
    jw_key(w, key);
    if (v.p)
        jw_strn(w, v.p, v.n);
    else
        jw_null(w);
}

static void terms_row(const struct ledger *l, struct jw *w, struct stmt *s)
{
    char text[32];
    (void)l;
    put_col(w, "model", s, 0), put_col(w, "account", s, 1);
    jw_key(w, "version"), jw_i64(w, stmt_col_i64(s, 2));
    clock_iso(text, stmt_col_i64(s, 3));
    jw_key(w, "effective"), jw_str(w, text);
    jw_key(w, "downloadable"), jw_bool(w, stmt_col_i64(s, 4) != 0);
    for (int i = 0; i < 5; i++) {
        static const char *const names[] = {"input %", "output %", "embedding %", "training_token %", "gpu_hour %"};
        int64_t bp = stmt_col_i64(s, 5 + i);
        (void)str_fmt(text, sizeof text, "%lld.%02lld", (long long)(bp / 100), (long long)(bp % 100));
        jw_key(w, names[i]), jw_str(w, text);
    }
    put_col(w, "by", s, 10);
}

static void statement_row(const struct ledger *l, struct jw *w, struct stmt *s)
{
    put_col(w, "publisher", s, 0), put_col(w, "model", s, 1);
    jw_key(w, "terms"), jw_i64(w, stmt_col_i64(s, 2));
    jw_key(w, "requests"), jw_i64(w, stmt_col_i64(s, 3));
    put(w, "charged", stmt_col_i64(s, 4)), put(w, "refunded", stmt_col_i64(s, 5)), put(w, "share", stmt_col_i64(s, 6));
    put(w, "share_refunded", stmt_col_i64(s, 7)), put(w, "owed", stmt_col_i64(s, 6) - stmt_col_i64(s, 7));
    put(w, "balance", -stmt_col_i64(s, 8));
    jw_key(w, "currency"), jw_str(w, l->currency);
}

static int write_rows(struct ledger *l, struct stmt *s, void (*fn)(const struct ledger *, struct jw *, struct stmt *), struct buf *out, struct err *e)
{
    struct jw w;
    bool row = true;
    int rc;
    jw_init(&w, out);
    jw_arr(&w);
    while ((rc = stmt_step(s, &row, e)) == 0 && row && !out->failed)
        jw_obj(&w), fn(l, &w, s), jw_obj_end(&w);
    jw_arr_end(&w);
    stmt_put(s);
    return rc == 0 && out->failed ? err_set(e, ERR_NO_MEMORY, "ledger: the report is too large; narrow it") : rc;
}

#define BP(meter) "(SELECT basis_points FROM publisher_share x WHERE x.terms_id = t.id AND x.meter = '" meter "')"

int ledger_report_publishers(struct ledger *l, struct buf *out, struct err *e)
{
    struct stmt *s;
    int rc = queue_flush(l, e);
    if (rc < 0)
        return rc;
    mutex_lock(&l->reader_lock);
    rc = stmt_get(
        &s, l->reader,
        SQL("SELECT t.model, o.name, t.version, t.effective_us, t.downloadable, " BP("input") ", " BP("output") ", " BP("embedding") ", " BP(
            "training_token") ", " BP("gpu_hour") ", t.created_by FROM publisher_terms t LEFT JOIN organisation o ON o.id = t.org_id ORDER BY "
                                                  "t.model, t.effective_us DESC"),
        e);
    if (rc == 0)
        rc = write_rows(l, s, terms_row, out, e);
    mutex_unlock(&l->reader_lock);
    return rc;
}

int ledger_report_statement(struct ledger *l, const char *account, int64_t since_us, int64_t until_us, struct buf *out, struct err *e)
{
    struct stmt *s;
    struct org_id org;
    char code[64];
    int rc = ledger_account_find(l, account, &org, e);
    if (rc < 0 || (rc = queue_flush(l, e)) < 0)
        return rc;
    ASSERT(str_fmt(code, sizeof code, "payable:publisher:%lld", (long long)org.v));
    mutex_lock(&l->reader_lock);
    rc = stmt_get(
        &s, l->reader,
        SQL("SELECT o.name, t.model, t.version, count(*), CAST(sum(u.charged) AS BIGINT), CAST(sum((SELECT coalesce(sum(r.amount), 0) FROM "
            "refund_line r WHERE r.usage_id = u.id)) AS BIGINT), CAST(sum(x.amount) AS BIGINT), CAST(sum((SELECT coalesce(sum(r.amount), 0) "
            "FROM refund_share r WHERE r.usage_id = u.id)) AS BIGINT), coalesce((SELECT a.balance FROM account a WHERE a.code = ?4), 0) FROM "
            "usage_share x JOIN usage u ON u.id = x.usage_id JOIN publisher_terms t ON t.id = x.terms_id JOIN organisation o ON o.id = "
            "t.org_id WHERE t.org_id = ?1 AND u.end_us >= ?2 AND u.end_us < ?3 GROUP BY t.id, o.name, t.model, t.version ORDER BY t.model, "
            "t.version"),
        e);
    if (rc == 0) {
        stmt_i64(s, 1, org.v), stmt_i64(s, 2, since_us), stmt_i64(s, 3, until_us ? until_us : INT64_MAX), stmt_text(s, 4, code);
        rc = write_rows(l, s, statement_row, out, e);
    }
    mutex_unlock(&l->reader_lock);
    return rc;
}
