/* The price book as people read it: a row a version and step by input length. */
#include "ledger/ledger_int.h"

#include "base/clock.h"
#include "base/json.h"

static void put_str(struct jw *w, const char *key, struct stmt *s, int col)
{
    struct str v = stmt_col_str(s, col);
    jw_key(w, key);
    if (v.p)
        jw_strn(w, v.p, v.n);
    else
        jw_null(w);
}

static void put_time(struct jw *w, const char *key, int64_t us)
{
    char text[32];
    if (us)
        clock_iso(text, us);
    jw_key(w, key), jw_str(w, us ? text : NULL);
}

/* When it is over; the time of a 64-bit clock's end: never. p, x: the version and its price_end. */
#define STOP(p, x) "coalesce(" x ".end_us, CASE " p ".until_us WHEN 0 THEN 9223372036854775807 ELSE " p ".until_us END)"

static void head(struct ledger *l, struct jw *w, struct stmt *s)
{
    put_str(w, "model", s, 1);
    jw_key(w, "version"), jw_i64(w, stmt_col_i64(s, 2));
    put_str(w, "tier", s, 3), put_str(w, "account", s, 4);
    jw_key(w, "currency"), jw_str(w, l->currency);
    jw_key(w, "from_tokens"), jw_i64(w, stmt_col_i64(s, 5));
}

static void rates(struct jw *w, const int64_t rate[METER_COUNT])
{
    for (int i = 0; i < METER_COUNT; i++) {
        char text[MONEY_TEXT_MAX];
        money_text(text, (struct money){rate[i]});
        jw_key(w, meters[i].name), jw_str(w, rate[i] == PRICE_NO_RATE ? NULL : text);
    }
}

static void tail(struct jw *w, struct stmt *s)
{
    put_str(w, "state", s, 8);
    put_time(w, "effective", stmt_col_i64(s, 6));
    put_time(w, "until", stmt_col_i64(s, 7) == INT64_MAX ? 0 : stmt_col_i64(s, 7));
    put_str(w, "by", s, 9);
}

static int write_rows(struct ledger *l, struct stmt *s, struct buf *out, struct err *e)
{
    struct jw w;
    bool row = true;
    int rc = 0;
    jw_init(&w, out);
    jw_arr(&w);
    while ((rc = stmt_step(s, &row, e)) == 0 && row && !out->failed) {
        struct price p;
        if ((rc = price_read(&p, l->reader, stmt_col_i64(s, 0), e)) < 0)
            break;
        for (size_t i = 0; i < p.n_steps; i++)
            if (p.step[i].from == stmt_col_i64(s, 5)) {
                jw_obj(&w);
                head(l, &w, s), rates(&w, p.step[i].rate), tail(&w, s);
                jw_obj_end(&w);
            }
    }
    jw_arr_end(&w);
    return rc == 0 && out->failed ? err_set(e, ERR_NO_MEMORY, "ledger: the report is too large; narrow it") : rc;
}

/* Prices in force and those to come; of one account: what it pays, by contract or else by the list. */
int ledger_report_prices(struct ledger *l, const char *account, bool all, struct buf *out, struct err *e)
{
    struct stmt *s;
    struct org_id org = {0};
    int rc = account ? ledger_account_find(l, account, &org, e) : 0;
    if (rc < 0 || (rc = queue_flush(l, e)) < 0)
        return rc;
    mutex_lock(&l->reader_lock);
    rc = stmt_get(
        &s, l->reader,
        SQL("SELECT * FROM (SELECT p.id, p.model, p.version, p.tier, o.name, r.from_tokens, p.effective_us, " STOP(
            "p", "x") " AS stop, "
                      "CASE WHEN x.end_us <= p.effective_us THEN 'taken back' WHEN " STOP(
                          "p", "x") " <= ?1 THEN 'over' WHEN p.effective_us > ?1 AND p.effective_us <> p.created_us THEN "
                                    "'scheduled' WHEN EXISTS (SELECT 1 FROM price q LEFT JOIN price_end y ON y.price_id = q.id WHERE q.model = "
                                    "p.model AND q.tier = "
                                    "p.tier AND q.org_id = p.org_id AND (q.effective_us <= ?1 OR q.effective_us = q.created_us) AND " STOP(
                                        "q",
                                        "y") " > ?1 AND (q.effective_us, q.version) > "
                                             "(p.effective_us, p.version)) THEN 'replaced' ELSE 'in force' END AS state, p.created_by FROM price p "
                                             "JOIN (SELECT DISTINCT price_id, from_tokens FROM price_rate) r ON r.price_id = p.id LEFT JOIN "
                                             "price_end x ON x.price_id = p.id "
                                             "LEFT JOIN organisation o ON o.id = p.org_id WHERE ?2 = 0 OR p.org_id IN (0, ?2)) v WHERE ?3 = 1 OR "
                                             "v.state IN ('in force', "
                                             "'scheduled') ORDER BY v.model, v.tier, coalesce(v.name, ''), v.effective_us, v.version, v.from_tokens"),
        e);
    if (rc == 0) {
        stmt_i64(s, 1, clock_now_us()), stmt_i64(s, 2, org.v), stmt_i64(s, 3, all);
        rc = write_rows(l, s, out, e);
        stmt_put(s);
    }
    mutex_unlock(&l->reader_lock);
    return rc;
}
