/* What a price would have made of the last month: each request that paid this book's price is priced anew, exactly as it would have been, and
 * summed up by account. Requests that fall under another price (a contract, another tier) stay out, as the new price would not reach them. */
#include "ledger/job.h"
#include "ledger/ledger_int.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"

#include <stdlib.h>

struct payer {
    int64_t org, requests, before, after;
    char name[LEDGER_NAME_MAX];
};

struct preview {
    struct price price;
    struct db *reader;
    int64_t since_us, until_us;
    struct VEC(struct payer) payers;        /* as the rows come: by account */
    int64_t requests, before, after, other; /* other: of the model, at another price */
};

static bool add(int64_t *to, int64_t n)
{
    return ck_add(*to, n, to);
}

static int on_row(struct preview *v, struct stmt *s, struct err *e)
{
    struct payer *p = v->payers.n ? &v->payers.p[v->payers.n - 1] : NULL;
    struct quantities q;
    enum scope scope = SCOPE_INFERENCE;
    int rc = 0;
    if (!stmt_col_i64(s, 9)) {
        v->other++;
        return 0;
    }
    if (!p || p->org != stmt_col_i64(s, 0)) {
        struct payer next = {.org = stmt_col_i64(s, 0)};
        struct str name = stmt_col_str(s, 1);
        (void)str_fmt(next.name, sizeof next.name, "%.*s", (int)name.n, name.p ? name.p : "");
        if (!vec_push(&v->payers, next))
            return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a preview");
        p = &v->payers.p[v->payers.n - 1];
    }
    (void)scope_find(stmt_col_str(s, 2), &scope);
    struct usage_counts c = {(uint32_t)stmt_col_i64(s, 3), (uint32_t)stmt_col_i64(s, 4), (uint32_t)stmt_col_i64(s, 5),
                             (uint32_t)stmt_col_i64(s, 6), (uint32_t)stmt_col_i64(s, 7), 0};
    quantities_of(&q, scope, &c);
    if (scope == SCOPE_TRAINING || scope == SCOPE_STORAGE)
        rc = quantities_read(&q, v->reader, stmt_col_i64(s, 10), e);
    if (rc < 0)
        return rc;
    int64_t was = stmt_col_i64(s, 8), is = price_list(&v->price, &q);
    p->requests++, v->requests++;
    if (!add(&p->before, was) || !add(&p->after, is) || !add(&v->before, was) || !add(&v->after, is))
        return err_param(e, ERR_BAD_VALUE, "input",
                         "ledger: at this price the last month would have cost more than there is money; a price is per million");
    return 0;
}

/* The last column: whether the new price would have been the request's. */
static int read_rows(struct ledger *l, struct preview *v, struct err *e)
{
    struct stmt *s;
    bool row = true;
    int rc =
        stmt_get(&s, l->reader,
                 SQL("SELECT u.org_id, o.name, u.scope, u.input, u.cache_read, u.cache_write, u.output, u.reasoning, u.contracted, CASE WHEN "
                     "p.tier = ?4 AND (?5 = u.org_id OR (?5 = 0 AND p.org_id = 0)) THEN 1 ELSE 0 END, u.id FROM usage u JOIN model m ON m.id = "
                     "u.model_id JOIN price p ON p.id = u.price_id LEFT JOIN organisation o ON o.id = u.org_id WHERE m.alias = ?1 AND u.end_us >= "
                     "?2 AND u.end_us < ?3 ORDER BY u.org_id"),
                 e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, v->price.model), stmt_i64(s, 2, v->since_us), stmt_i64(s, 3, v->until_us), stmt_text(s, 4, v->price.tier);
    stmt_i64(s, 5, v->price.org);
    while (rc == 0 && (rc = stmt_step(s, &row, e)) == 0 && row)
        rc = on_row(v, s, e);
    stmt_put(s);
    return rc;
}

/* ---- what is told ---- */

/* change of before in per cent with one decimal: "-18.0"; "" of nothing. */
static void percent(char out[32], int64_t before, int64_t after)
{
    struct money tenths = {0};
    bool less = after < before;
    uint64_t d = less ? (uint64_t)before - (uint64_t)after : (uint64_t)after - (uint64_t)before;
    if (before <= 0 || !money_rate(d, (struct money){1000}, before, &tenths))
        out[0] = 0;
    else
        (void)str_fmt(out, 32, "%s%lld.%lld", less && tenths.nano ? "-" : "", (long long)(tenths.nano / 10), (long long)(tenths.nano % 10));
}

static void put_money(struct jw *w, const char *key, int64_t nano)
{
    char text[MONEY_TEXT_MAX];
    money_text(text, (struct money){nano});
    jw_key(w, key), jw_str(w, text);
}

static void put_change(struct jw *w, int64_t requests, int64_t before, int64_t after)
{
    char text[32];
    percent(text, before, after);
    jw_key(w, "requests"), jw_i64(w, requests);
    put_money(w, "before", before), put_money(w, "after", after), put_money(w, "change", after - before); /* both are 0 or more */
    jw_key(w, "percent"), jw_str(w, text[0] ? text : NULL);
}

/* A whole amount with commas, for a sentence: "12,400"; small ones keep their decimals. */
static void in_words(char out[48], int64_t nano)
{
    char text[MONEY_TEXT_MAX];
    size_t n = 0, k = 0;
    money_text(text, (struct money){nano});
    while (text[n] && text[n] != '.')
        n++;
    for (size_t i = 0; i < n; i++) {
        if (i && (n - i) % 3 == 0)
            out[k++] = ',';
        out[k++] = text[i];
    }
    ASSERT(str_fmt(out + k, 48 - k, "%s", n > 2 ? "" : text + n));
}

static void sentence(const struct ledger *l, const struct preview *v, struct jw *w)
{
    char text[256], amount[48], part[32];
    bool less = v->after < v->before;
    in_words(amount, less ? v->before - v->after : v->after - v->before);
    percent(part, v->before, v->after);
    if (!v->requests)
        (void)str_fmt(text, sizeof text, "nothing was used at this price in the last 30 days");
    else if (v->after == v->before)
        (void)str_fmt(text, sizeof text, "this changes nothing of what the last 30 days brought");
    else if (less)
        (void)str_fmt(text, sizeof text, "this cut costs you %s %s a month and saves your customers %s%%", amount, l->currency, part + 1);
    else
        (void)str_fmt(text, sizeof text, "this rise brings you %s %s a month%s%s%s", amount, l->currency, part[0] ? " and costs your customers " : "",
                      part, part[0] ? "% more" : "");
    jw_key(w, "says"), jw_str(w, text);
}

static int most_first(const void *a, const void *b)
{
    const struct payer *x = a, *y = b;
    return x->before > y->before ? -1 : x->before < y->before;
}

static void write_preview(const struct ledger *l, struct preview *v, struct buf *out)
{
    struct jw w;
    char since[32], until[32];
    clock_iso(since, v->since_us), clock_iso(until, v->until_us);
    if (v->payers.n > 1)
        qsort(v->payers.p, v->payers.n, sizeof *v->payers.p, most_first);
    jw_init(&w, out);
    jw_obj(&w);
    jw_key(&w, "model"), jw_str(&w, v->price.model);
    jw_key(&w, "tier"), jw_str(&w, v->price.tier);
    jw_key(&w, "since"), jw_str(&w, since);
    jw_key(&w, "until"), jw_str(&w, until);
    jw_key(&w, "currency"), jw_str(&w, l->currency);
    sentence(l, v, &w);
    put_change(&w, v->requests, v->before, v->after);
    jw_key(&w, "at_other_prices"), jw_i64(&w, v->other);
    jw_key(&w, "accounts"), jw_arr(&w);
    for (size_t i = 0; i < v->payers.n; i++) {
        const struct payer *p = &v->payers.p[i];
        jw_obj(&w);
        jw_key(&w, "account"), jw_str(&w, p->name);
        put_change(&w, p->requests, p->before, p->after);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
}

int ledger_price_preview(struct ledger *l, const struct price_new *in, struct buf *out, struct err *e)
{
    struct preview *v = mem_new(sizeof *v);
    if (!v)
        return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a preview");
    v->reader = l->reader;
    v->until_us = clock_now_us() + 1, v->since_us = v->until_us - 30ll * 86400 * 1000000;
    int rc = price_make(&v->price, in, e);
    if (rc == 0)
        rc = queue_flush(l, e);
    if (rc == 0) {
        mutex_lock(&l->reader_lock);
        rc = read_rows(l, v, e);
        mutex_unlock(&l->reader_lock);
    }
    if (rc == 0)
        write_preview(l, v, out);
    if (rc == 0 && out->failed)
        rc = err_set(e, ERR_NO_MEMORY, "ledger: no memory for a preview");
    vec_deinit(&v->payers);
    mem_free(v);
    return rc;
}
