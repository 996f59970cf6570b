/* From a filter to cells: [since, until) is cut into buckets at the borders of periods, each bucket into days, hours and what is left of hours. */
#include "ledger/usage_read.h"

#include <string.h>

const char *const usage_dim_names[DIM_COUNT] = {"account", "project", "key", "model", "revision", "scope", "price"};
static const char *const period_names[CAL_COUNT] = {"total", "hour", "day", "week", "month", "quarter"};

/* ---- what is asked ---- */

static int group_word(struct usage_scan *u, struct str word, struct err *e)
{
    for (int p = 0; p < CAL_COUNT; p++)
        if (str_eqz(word, period_names[p])) {
            if (u->period)
                return err_param(e, ERR_BAD_VALUE, "group", "group '%.64s' has two periods; name one", u->f->group);
            u->period = (enum calendar)p;
            return 0;
        }
    for (size_t d = 0; d < DIM_COUNT; d++)
        if (str_eqz(word, usage_dim_names[d])) {
            for (size_t i = 0; i < u->n_dims; i++)
                if (u->dim[i] == (enum usage_dim)d)
                    return err_param(e, ERR_BAD_VALUE, "group", "group '%.64s' names %s twice", u->f->group, usage_dim_names[d]);
            if (u->n_dims == USAGE_GROUPS_MAX)
                return err_param(e, ERR_BAD_VALUE, "group", "group '%.64s' has more than %d groups beside a period", u->f->group, USAGE_GROUPS_MAX);
            u->dim[u->n_dims++] = (enum usage_dim)d;
            return 0;
        }
    return err_param(
        e, ERR_BAD_VALUE, "group",
        "group must be some of day, hour, week, month or quarter, account, project, key, model, revision, scope and price, with commas, or "
        "request or total; '%.*s' is none of these",
        (int)(word.n < 64 ? word.n : 64), word.p ? word.p : "");
}

int usage_group_read(struct usage_scan *u, struct err *e)
{
    struct str rest = str_of(u->f->group ? u->f->group : "day");
    int rc = 0;
    while (rc == 0 && rest.p) {
        struct str word = str_split(&rest, ',');
        rc = group_word(u, word, e);
    }
    return rc;
}

static int owners_find(struct usage_scan *u, struct err *e)
{
    const struct usage_filter *f = u->f;
    int rc = 0;
    if (f->account) {
        rc = report_one(u->l, SQL("SELECT id FROM organisation WHERE name = ?1"), f->account, NULL, &u->org, e);
        if (rc == 0 && !u->org)
            rc = err_param(e, ERR_NOT_FOUND, "account", "ledger: there is no account %.100s", f->account);
    }
    if (rc == 0 && f->project) {
        if (!f->account)
            return err_param(e, ERR_BAD_REQUEST, "account", "ledger: project '%.64s' is of an account; name it too", f->project);
        rc = report_one(u->l, SQL("SELECT id FROM project WHERE name = ?1 AND org_id = ?2"), f->project, (int64_t[]){u->org, 0}, &u->project, e);
        if (rc == 0 && !u->project)
            rc = err_param(e, ERR_NOT_FOUND, "project", "ledger: account %.100s has no project %.100s", f->account, f->project);
    }
    if (rc == 0 && f->key) {
        rc =
            report_one(u->l, SQL("SELECT k.id FROM key k JOIN project p ON p.id = k.project_id WHERE k.public_id = ?1 AND (?2 = 0 OR p.org_id = ?2)"),
                       f->key, (int64_t[]){u->org, 0}, &u->key, e);
        if (rc == 0 && !u->key)
            rc = err_param(e, ERR_NOT_FOUND, "key", "ledger: there is no key %.32s", f->key);
    }
    if (rc == 0 && f->scope) {
        for (int i = 0; i < SCOPE_COUNT && !u->scope; i++)
            u->scope = strcmp(f->scope, scope_names[i]) == 0 ? scope_names[i] : NULL;
        if (!u->scope)
            rc = err_param(e, ERR_BAD_VALUE, "scope", "ledger: scope '%.32s' is unknown; use inference, training or embeddings", f->scope);
    }
    return rc;
}

/* Rows come with the lowest id of an alias first. */
static int model_add(void *arg, struct stmt *s, struct err *e)
{
    struct usage_scan *u = arg;
    int64_t id = stmt_col_i64(s, 0), first = stmt_col_i64(s, 1);
    if (u->f->model && str_eqz(stmt_col_str(s, 2), u->f->model))
        u->model = first;
    while ((int64_t)u->first_of.n <= id) /* ids are dense */
        if (!vec_push(&u->first_of, 0))
            return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a report");
    u->first_of.p[id] = first;
    return 0;
}

/* ---- time ---- */

static int bounds_row(void *arg, struct stmt *s, struct err *e)
{
    struct usage_bucket *b = arg;
    (void)e;
    b->from = stmt_col_i64(s, 0) * CUBE_HOUR_US, b->to = stmt_col_i64(s, 1) * CUBE_HOUR_US;
    return 0;
}

static int64_t up(int64_t us, int64_t step)
{
    return (us + step - 1) / step * step;
}

static int buckets_step(struct usage_scan *u, int64_t since, int64_t until, struct err *e)
{
    for (int64_t from = since, to; from < until; from = to) {
        to = up(from + 1, u->step_us) < until ? up(from + 1, u->step_us) : until;
        if (!vec_push(&u->buckets, ((struct usage_bucket){from, to})))
            return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a report");
    }
    return 0;
}

static int64_t to_seconds(int64_t us)
{
    return us / 1000000 - (us % 1000000 < 0);
}

/* [since, until) within what there is, cut at the borders of the periods. */
static int buckets_make(struct usage_scan *u, struct err *e)
{
    struct usage_bucket all;
    /* one aggregate a question: both in one would read every cell */
    int rc = report_each(u->l,
                         SQL("SELECT coalesce((SELECT min(slot) FROM usage_cube WHERE level = 0), 0), coalesce((SELECT max(slot) FROM usage_cube "
                             "WHERE level = 0) + 1, 0)"),
                         NULL, bounds_row, &all, e);
    int64_t since = u->f->since_us > all.from ? u->f->since_us : all.from;
    int64_t until = u->f->until_us && u->f->until_us < all.to ? u->f->until_us : all.to;
    if (rc < 0 || since >= until)
        return rc;
    if (u->step_us)
        return buckets_step(u, since, until, e);
    if (!u->period)
        return vec_push(&u->buckets, ((struct usage_bucket){since, until})) ? 0 : err_set(e, ERR_NO_MEMORY, "ledger: no memory for a report");
    int64_t s = to_seconds(since), local = period_start(u->period, s + zone_offset(&u->zone, s)), from = zone_utc(&u->zone, local) * 1000000;
    while (from < until) {
        int64_t to;
        do { /* an hour that a clock is put forward over is none */
            local = period_next(u->period, local);
            to = zone_utc(&u->zone, local) * 1000000;
        } while (to <= from);
        struct usage_bucket b = {from > since ? from : since, to < until ? to : until};
        if (b.from < b.to && !vec_push(&u->buckets, b))
            return err_set(e, ERR_NO_MEMORY, "ledger: no memory for a report");
        if (u->buckets.n > USAGE_ROWS_MAX)
            return err_param(e, ERR_BAD_VALUE, "since", "ledger: the report has more than %d %ss; narrow it with since and until", USAGE_ROWS_MAX,
                             period_names[u->period]);
        from = to;
    }
    return 0;
}

/* ---- cells ---- */

static size_t bucket_of(struct usage_scan *u, int64_t us)
{
    size_t lo = 0, hi = u->buckets.n;
    if (u->buckets.p[u->last].from <= us && us < u->buckets.p[u->last].to) /* cells come in their order */
        return u->last;
    while (lo + 1 < hi) {
        size_t mid = (lo + hi) / 2;
        if (u->buckets.p[mid].from <= us)
            lo = mid;
        else
            hi = mid;
    }
    return u->last = lo;
}

/* Columns: when, account, project, key, model, price, scope, the sums. */
static int cell_row(void *arg, struct stmt *s, struct err *e)
{
    struct usage_scan *u = arg;
    int64_t dims[DIM_COUNT], sums[CUBE_SUMS], model = stmt_col_i64(s, 4);
    struct str scope = stmt_col_str(s, 6);
    int64_t first = model >= 0 && model < (int64_t)u->first_of.n ? u->first_of.p[model] : model;
    if ((u->model && u->model != first) || (u->scope && !str_eqz(scope, u->scope)))
        return 0;
    dims[DIM_ACCOUNT] = stmt_col_i64(s, 1), dims[DIM_PROJECT] = stmt_col_i64(s, 2), dims[DIM_KEY] = stmt_col_i64(s, 3);
    dims[DIM_MODEL] = first, dims[DIM_REVISION] = model, dims[DIM_PRICE] = stmt_col_i64(s, 5), dims[DIM_SCOPE] = 0;
    while (dims[DIM_SCOPE] < SCOPE_COUNT - 1 && !str_eqz(scope, scope_names[dims[DIM_SCOPE]]))
        dims[DIM_SCOPE]++;
    for (int k = 0; k < CUBE_SUMS; k++)
        sums[k] = stmt_col_i64(s, 7 + k);
    return u->cell(u->arg, bucket_of(u, stmt_col_i64(s, 0)), dims, sums, e);
}

#define OWNER(t) " AND (?4 = 0 OR " t "org_id = ?4) AND (?5 = 0 OR " t "project_id = ?5) AND (?6 = 0 OR " t "key_id = ?6)"
static const struct sql cells_sql = SQL("SELECT slot * 3600000000, org_id, project_id, key_id, model_id, price_id, scope, " CUBE_COLUMNS(
    "") " FROM usage_cube WHERE level = ?1 AND slot >= ?2 AND slot < ?3" OWNER(""));
/* ?1 is 0 here. */
static const struct sql rows_sql = SQL(
    "SELECT u.end_us, u.org_id, u.project_id, u.key_id, u.model_id, u.price_id, u.scope, 1, CASE WHEN u.reason IN (4, 5) THEN 1 ELSE 0 END, u.input, "
    "u.cache_read, u.cache_write, u.output, u.reasoning, u.accepted_draft, u.list, u.contracted, u.charged, ?1 FROM usage u WHERE "
    "u.end_us >= ?2 AND u.end_us < ?3" OWNER("u."));
static const struct sql refunds_sql = SQL("SELECT t.created_us, u.org_id, u.project_id, u.key_id, u.model_id, u.price_id, u.scope, 0, 0, 0, 0, 0, 0, "
                                          "0, 0, 0, 0, ?1, r.amount FROM txn t JOIN "
                                          "refund_line r ON r.txn_id = t.id JOIN usage u ON u.id = r.usage_id WHERE t.kind = 'refund' AND t.kind <> "
                                          "'usage' AND t.created_us >= ?2 AND t.created_us < ?3" OWNER("u."));

static int part_read(struct usage_scan *u, struct sql sql, int64_t first, int64_t from, int64_t to, struct err *e)
{
    struct stmt *s;
    bool row = true;
    int rc = stmt_get(&s, u->l->reader, sql, e);
    if (rc < 0)
        return rc;
    stmt_i64(s, 1, first), stmt_i64(s, 2, from), stmt_i64(s, 3, to), stmt_i64(s, 4, u->org), stmt_i64(s, 5, u->project), stmt_i64(s, 6, u->key);
    while (rc == 0 && row)
        if ((rc = stmt_step(s, &row, e)) == 0 && row)
            rc = cell_row(u, s, e);
    stmt_put(s);
    return rc;
}

static int exact_read(struct usage_scan *u, int64_t from, int64_t to, struct err *e)
{
    if (from >= to)
        return 0;
    int rc = part_read(u, rows_sql, 0, from, to, e);
    return rc < 0 ? rc : part_read(u, refunds_sql, 0, from, to, e);
}

/* A run of one kind of cells, over buckets that follow each other. */
struct run {
    enum cube_level level;
    int64_t from, to;
};

static int run_end(struct usage_scan *u, struct run *r, struct err *e)
{
    int rc = r->from < r->to ? part_read(u, cells_sql, r->level, r->from / CUBE_HOUR_US, r->to / CUBE_HOUR_US, e) : 0;
    r->from = r->to = 0;
    return rc;
}

static int run_on(struct usage_scan *u, struct run *r, enum cube_level level, int64_t from, int64_t to, struct err *e)
{
    if (from >= to)
        return 0;
    if (r->level == level && r->to == from && r->from < r->to) {
        r->to = to;
        return 0;
    }
    int rc = run_end(u, r, e);
    *r = (struct run){level, from, to};
    return rc;
}

static int bucket_read(struct usage_scan *u, const struct usage_bucket *b, struct run *r, struct err *e)
{
    int64_t h0 = up(b->from, CUBE_HOUR_US), h1 = b->to / CUBE_HOUR_US * CUBE_HOUR_US, d0 = up(h0, CUBE_DAY_US), d1 = h1 / CUBE_DAY_US * CUBE_DAY_US;
    int rc;
    if (h0 > h1)
        return exact_read(u, b->from, b->to, e);
    if (d0 >= d1)
        d0 = d1 = h1;
    if ((rc = exact_read(u, b->from, h0, e)) < 0 || (rc = run_on(u, r, CUBE_HOUR, h0, d0, e)) < 0 || (rc = run_on(u, r, CUBE_DAY, d0, d1, e)) < 0 ||
        (rc = run_on(u, r, CUBE_HOUR, d1, h1, e)) < 0)
        return rc;
    return exact_read(u, h1, b->to, e);
}

int usage_scan_run(struct usage_scan *u, struct err *e)
{
    struct run r = {0};
    int rc = owners_find(u, e);
    u->model = u->f->model ? -1 : 0;
    if (rc == 0)
        rc = report_each(u->l, SQL("SELECT m.id, (SELECT min(a.id) FROM model a WHERE a.alias = m.alias), m.alias FROM model m"), NULL, model_add, u,
                         e);
    if (rc == 0)
        rc = buckets_make(u, e);
    if (rc == 0 && u->step_us % CUBE_HOUR_US && u->buckets.n) /* no cell is as short */
        return exact_read(u, u->buckets.p[0].from, u->buckets.p[u->buckets.n - 1].to, e);
    for (size_t i = 0; i < u->buckets.n && rc == 0; i++)
        rc = bucket_read(u, &u->buckets.p[i], &r, e);
    return rc == 0 ? run_end(u, &r, e) : rc;
}

void usage_scan_deinit(struct usage_scan *u)
{
    vec_deinit(&u->first_of);
    vec_deinit(&u->buckets);
    zone_close(&u->zone);
}
