/* The explorer's cells as OpenAI's buckets. */
#include "ledger/usage_buckets.h"

#include "ledger/usage_read.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { COL_PROJECT, COL_KEY, COL_MODEL, COL_LAST /* the tier or the scope */ };

struct ids {
    int64_t of[USAGE_LIST_MAX];
    size_t n;
};
struct buckets {
    struct usage_scan scan;
    const struct usage_buckets *q;
    struct usage_table table;
    struct ids projects, keys, models;
    struct VEC(int64_t) tier_of; /* by price id: the first price of its tier */
    struct names names[USAGE_ROW_DIMS];
};

/* ---- what is asked ---- */

static bool in(const struct ids *x, int64_t id)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->of[i] == id)
            return true;
    return !x->n;
}

/* what: "project", or NULL for names that may be unknown: nothing is of them. */
static int ids_find(struct buckets *b, const struct usage_list *list, struct sql sql, const char *what, struct ids *out, struct err *e)
{
    int64_t org = b->scan.org;
    for (out->n = 0; out->n < list->n; out->n++) {
        int rc = report_one(b->scan.l, sql, list->of[out->n], (int64_t[]){org, 0}, &out->of[out->n], e);
        if (rc < 0)
            return rc;
        if (what && !out->of[out->n])
            return err_param(e, ERR_NOT_FOUND, what, "ledger: account %.100s has nothing named '%.100s' in %s", b->q->account, list->of[out->n],
                             what);
    }
    return 0;
}

static int tier_add(void *arg, struct stmt *s, struct err *e)
{
    struct buckets *b = arg;
    int64_t id = stmt_col_i64(s, 0);
    while ((int64_t)b->tier_of.n <= id) /* ids are dense */
        if (!vec_push(&b->tier_of, 0))
            return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a report");
    b->tier_of.p[id] = stmt_col_i64(s, 1);
    return 0;
}

static int asked_read(struct buckets *b, struct err *e)
{
    const struct usage_buckets *q = b->q;
    int rc = report_one(b->scan.l, SQL("SELECT id FROM organisation WHERE name = ?1"), q->account, NULL, &b->scan.org, e);
    if (rc == 0 && !b->scan.org)
        rc = err_param(e, ERR_NOT_FOUND, "account", "ledger: there is no account %.100s", q->account);
    if (rc == 0)
        rc = ids_find(b, &q->projects, SQL("SELECT id FROM project WHERE name = ?1 AND org_id = ?2"), "project_ids", &b->projects, e);
    if (rc == 0)
        rc = ids_find(b, &q->keys, SQL("SELECT k.id FROM key k JOIN project p ON p.id = k.project_id WHERE k.public_id = ?1 AND p.org_id = ?2"),
                      "api_key_ids", &b->keys, e);
    if (rc == 0)
        rc = ids_find(b, &q->models, SQL("SELECT coalesce(min(id), 0) FROM model WHERE alias = ?1"), NULL, &b->models, e);
    if (rc == 0 && q->by & BY_TIER)
        rc = report_each(b->scan.l, SQL("SELECT id, min(id) OVER (PARTITION BY tier) FROM price"), NULL, tier_add, b, e);
    return rc;
}

static int names_load(struct buckets *b, struct err *e)
{
    static const struct sql sql[USAGE_ROW_DIMS] = {SQL("SELECT id, name FROM project"), SQL("SELECT id, public_id FROM key"),
                                                   SQL("SELECT id, alias FROM model"), SQL("SELECT id, tier FROM price")};
    const unsigned shown[USAGE_ROW_DIMS] = {BY_PROJECT, BY_KEY, BY_MODEL | BY_LINE, BY_TIER};
    int rc = 0;
    for (int i = 0; i < USAGE_ROW_DIMS && rc == 0; i++)
        if (b->q->by & shown[i])
            rc = names_read(&b->names[i], b->scan.l, sql[i], e);
    return rc;
}

/* ---- cells ---- */

/* Where the bucket begins that a moment is in, before since cuts it. */
static int64_t begin_of(const struct buckets *b, int64_t s)
{
    return s - s % b->q->width_s;
}

static int cell_add(void *arg, size_t bucket, const int64_t dims[DIM_COUNT], const int64_t sums[CUBE_SUMS], struct err *e)
{
    struct buckets *b = arg;
    const unsigned by = b->q->by;
    if (!in(&b->projects, dims[DIM_PROJECT]) || !in(&b->keys, dims[DIM_KEY]) || !in(&b->models, dims[DIM_MODEL]))
        return 0;
    /* The explorer begins where the ledger does; a bucket of ours begins where it was asked for. */
    struct usage_row r = {.from = begin_of(b, b->scan.buckets.p[bucket].from / 1000000)};
    if (by & BY_PROJECT)
        r.dim[COL_PROJECT] = dims[DIM_PROJECT];
    if (by & BY_KEY)
        r.dim[COL_KEY] = dims[DIM_KEY];
    if (by & (BY_MODEL | BY_LINE))
        r.dim[COL_MODEL] = dims[DIM_MODEL];
    if (by & BY_LINE)
        r.dim[COL_LAST] = dims[DIM_SCOPE];
    else if (by & BY_TIER && dims[DIM_PRICE] >= 0 && dims[DIM_PRICE] < (int64_t)b->tier_of.n)
        r.dim[COL_LAST] = b->tier_of.p[dims[DIM_PRICE]];
    return usage_table_add(&b->table, &r, sums, e);
}

static const char *name_of(const struct buckets *b, int col, const struct usage_row *r)
{
    if (col == COL_LAST && b->q->by & BY_LINE)
        return scope_names[r->dim[col]];
    const char *name = names_get(&b->names[col], r->dim[col]);
    return col == COL_LAST && strcmp(name, LEDGER_TIER_STANDARD) == 0 ? "default" : name; /* OpenAI's word */
}

static int row_compare(const void *x, const void *y, void *arg)
{
    const struct usage_row *p = x, *q = y;
    int c = p->from < q->from ? -1 : p->from > q->from;
    for (int i = 0; i < USAGE_ROW_DIMS && c == 0; i++)
        if (p->dim[i] != q->dim[i] && (c = strcmp(name_of(arg, i, p), name_of(arg, i, q))) == 0)
            c = p->dim[i] < q->dim[i] ? -1 : 1;
    return c;
}

/* ---- results ---- */

static void group_put(const struct buckets *b, struct jw *w, const char *key, unsigned by, int col, const struct usage_row *r)
{
    jw_key(w, key), jw_str(w, b->q->by & by ? name_of(b, col, r) : NULL);
}

static int64_t prompt_of(const int64_t *sum)
{
    return sum[CUBE_INPUT] + sum[CUBE_CACHE_READ] + sum[CUBE_CACHE_WRITE];
}

/* What was charged, less what came back. The figure is a decimal of the ledger as it stands, no binary fraction. */
static void amount_put(const struct buckets *b, struct jw *w, const int64_t *sum)
{
    char text[MONEY_TEXT_MAX], currency[LEDGER_CURRENCY_MAX];
    size_t n = strlen(b->scan.l->currency);
    for (size_t i = 0; i <= n; i++)
        currency[i] = (char)tolower((unsigned char)b->scan.l->currency[i]);
    money_text(text, (struct money){sum[CUBE_CHARGED] - sum[CUBE_REFUNDED]});
    jw_key(w, "amount"), jw_obj(w);
    jw_key(w, "value"), jw_raw(w, text, strlen(text));
    jw_key(w, "currency"), jw_str(w, currency);
    jw_obj_end(w);
}

static void costs_put(const struct buckets *b, struct jw *w, const struct usage_row *r)
{
    char line[PRICE_MODEL_MAX + 32];
    const bool by_line = b->q->by & BY_LINE;
    const bool tokens = by_line && (r->dim[COL_LAST] == SCOPE_INFERENCE || r->dim[COL_LAST] == SCOPE_EMBEDDINGS);
    jw_key(w, "object"), jw_str(w, "organization.costs.result");
    amount_put(b, w, r->sum);
    if (by_line)
        str_fmt(line, sizeof line, "%s, %s", name_of(b, COL_MODEL, r), name_of(b, COL_LAST, r));
    jw_key(w, "line_item"), jw_str(w, by_line ? line : NULL);
    group_put(b, w, "project_id", BY_PROJECT, COL_PROJECT, r);
    group_put(b, w, "api_key_id", BY_KEY, COL_KEY, r);
    jw_key(w, "quantity");
    if (tokens)
        jw_i64(w, prompt_of(r->sum) + r->sum[CUBE_OUTPUT] + r->sum[CUBE_REASONING]);
    else
        jw_null(w); /* GPU hours and the like are on the receipt */
    jw_key(w, "quantity_unit"), jw_str(w, tokens ? "tokens" : NULL);
}

static void completions_put(const struct buckets *b, struct jw *w, const struct usage_row *r)
{
    static const char *const others[] = {"input_audio_tokens", "input_cached_audio_tokens", "output_audio_tokens",
                                         "input_image_tokens", "input_cached_image_tokens", "output_image_tokens"};
    const int64_t *n = r->sum, out = n[CUBE_OUTPUT] + n[CUBE_REASONING];
    jw_key(w, "object"), jw_str(w, "organization.usage.completions.result");
    report_i64(w, "input_tokens", prompt_of(n));
    report_i64(w, "input_cached_tokens", n[CUBE_CACHE_READ]), report_i64(w, "input_cache_write_tokens", n[CUBE_CACHE_WRITE]);
    report_i64(w, "input_uncached_tokens", n[CUBE_INPUT]), report_i64(w, "output_tokens", out);
    report_i64(w, "input_text_tokens", n[CUBE_INPUT]), report_i64(w, "output_text_tokens", out);
    report_i64(w, "input_cached_text_tokens", n[CUBE_CACHE_READ]);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) /* there is text alone */
        report_i64(w, others[i], 0);
    report_i64(w, "num_model_requests", n[CUBE_REQUESTS]);
    group_put(b, w, "project_id", BY_PROJECT, COL_PROJECT, r);
    jw_key(w, "user_id"), jw_null(w);
    group_put(b, w, "api_key_id", BY_KEY, COL_KEY, r);
    group_put(b, w, "model", BY_MODEL, COL_MODEL, r);
    jw_key(w, "batch");
    if (b->q->by & BY_BATCH)
        jw_bool(w, false);
    else
        jw_null(w);
    group_put(b, w, "service_tier", BY_TIER, COL_LAST, r);
}

static void embeddings_put(const struct buckets *b, struct jw *w, const struct usage_row *r)
{
    jw_key(w, "object"), jw_str(w, "organization.usage.embeddings.result");
    report_i64(w, "input_tokens", prompt_of(r->sum)), report_i64(w, "num_model_requests", r->sum[CUBE_REQUESTS]);
    group_put(b, w, "project_id", BY_PROJECT, COL_PROJECT, r);
    jw_key(w, "user_id"), jw_null(w);
    group_put(b, w, "api_key_id", BY_KEY, COL_KEY, r);
    group_put(b, w, "model", BY_MODEL, COL_MODEL, r);
}

/* A refund is made of no request of its bucket: usage says nothing of it. */
static bool shown(const struct buckets *b, const struct usage_row *r)
{
    return b->q->result == RESULT_COSTS || r->sum[CUBE_REQUESTS];
}

static void buckets_put(struct buckets *b, struct buf *out)
{
    static void (*const put[])(const struct buckets *, struct jw *, const struct usage_row *) = {costs_put, completions_put, embeddings_put};
    struct jw w;
    size_t i = 0;
    jw_init(&w, out);
    jw_arr(&w);
    for (int64_t from = b->q->since_s, to; from < b->q->until_s; from = to) {
        int64_t begin = begin_of(b, from);
        to = begin + b->q->width_s < b->q->until_s ? begin + b->q->width_s : b->q->until_s;
        jw_obj(&w);
        jw_key(&w, "object"), jw_str(&w, "bucket");
        report_i64(&w, "start_time", from), report_i64(&w, "end_time", to);
        jw_key(&w, "results"), jw_arr(&w);
        for (; i < b->table.rows.n && b->table.rows.p[i].from == begin; i++)
            if (shown(b, &b->table.rows.p[i]))
                jw_obj(&w), put[b->q->result](b, &w, &b->table.rows.p[i]), jw_obj_end(&w);
        jw_arr_end(&w);
        jw_obj_end(&w);
    }
    jw_arr_end(&w);
}

static int scan(struct buckets *b, struct err *e)
{
    int rc = report_begin(b->scan.l, e);
    if (rc < 0)
        return rc;
    rc = asked_read(b, e);
    if (rc == 0 && !b->q->none)
        rc = usage_scan_run(&b->scan, e);
    if (rc == 0)
        rc = names_load(b, e);
    report_end(b->scan.l);
    return rc;
}

int ledger_usage_buckets(struct ledger *l, const struct usage_buckets *q, struct buf *out, struct err *e)
{
    static const char *const scope[] = {NULL, "inference", "embeddings"};
    struct usage_filter f = {.account = q->account, .scope = scope[q->result], .since_us = q->since_s * 1000000, .until_us = q->until_s * 1000000};
    struct buckets b = {.scan = {.l = l, .f = &f, .step_us = q->width_s * 1000000, .cell = cell_add}, .q = q};
    b.scan.arg = &b;
    for (int i = 0; i < USAGE_ROW_DIMS; i++)
        names_init(&b.names[i]);
    int rc = zone_open(&b.scan.zone, NULL, e);
    if (rc == 0 && (rc = scan(&b, e)) == 0) {
        if (b.table.rows.n)
            qsort_r(b.table.rows.p, b.table.rows.n, sizeof *b.table.rows.p, row_compare, &b);
        buckets_put(&b, out);
        rc = out->failed ? err_set(e, ERR_NO_MEMORY, "ledger: the report is too large; narrow it") : 0;
    }
    for (int i = 0; i < USAGE_ROW_DIMS; i++)
        names_deinit(&b.names[i]);
    vec_deinit(&b.tier_of);
    usage_table_deinit(&b.table);
    usage_scan_deinit(&b.scan);
    return rc;
}
