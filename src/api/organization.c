/* OpenAI's administration API, as far as a key's own account goes: costs and usage in buckets of time. */
#include "api/admin_args.h"
#include "ledger/usage_buckets.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };

/* ---- the query as arguments ---- */

/* A list is "name=a&name=b", "name[]=a&name[]=b" (as OpenAI's clients write it) or "name=a,b". */
static void list_add(struct http *r, struct jw *w, const char *name)
{
    struct str v;
    for (size_t i = 0; http_query_at(r, name, i, &v); i++)
        do {
            struct str one = str_split(&v, ',');
            jw_strn(w, one.p, one.n);
        } while (v.p);
}

static struct json *args_of(struct http *r)
{
    static const char *const names[] = {"start_time", "end_time", "bucket_width", "limit", "page", "batch"};
    static const char *const lists[][2] = {{"group_by", "group_by[]"},
                                           {"project_ids", "project_ids[]"},
                                           {"api_key_ids", "api_key_ids[]"},
                                           {"models", "models[]"},
                                           {"user_ids", "user_ids[]"}};
    struct buf b;
    struct jw w;
    struct str v;
    struct json *out = NULL;
    buf_init(&b, 64 << 10);
    jw_init(&w, &b);
    jw_obj(&w);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (http_query(r, names[i], &v))
            jw_key(&w, names[i]), jw_strn(&w, v.p, v.n);
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        jw_key(&w, lists[i][0]), jw_arr(&w);
        list_add(r, &w, lists[i][0]), list_add(r, &w, lists[i][1]);
        jw_arr_end(&w);
    }
    jw_obj_end(&w);
    if (b.failed || json_parse(&out, b.data, b.len, NULL) < 0)
        out = NULL;
    buf_deinit(&b);
    return out;
}

/* ---- what is asked ---- */

static int list_read(const struct json *args, const char *name, struct usage_list *out, struct err *e)
{
    const struct json *list = json_get(args, name);
    if (json_len(list) > USAGE_LIST_MAX)
        return err_param(e, ERR_BAD_VALUE, name, "%s has %zu values; it may have %d", name, json_len(list), USAGE_LIST_MAX);
    for (out->n = 0; out->n < json_len(list); out->n++)
        out->of[out->n] = json_str(json_at(list, out->n)).p;
    return 0;
}

static int group_read(const struct json *args, struct usage_buckets *q, struct err *e)
{
    static const struct {
        const char *name;
        unsigned by;
        bool of[3]; /* by enum usage_result */
    } groups[] = {{"project_id", BY_PROJECT, {true, true, true}}, {"api_key_id", BY_KEY, {true, true, true}},
                  {"model", BY_MODEL, {false, true, true}},       {"service_tier", BY_TIER, {false, true, false}},
                  {"batch", BY_BATCH, {false, true, false}},      {"line_item", BY_LINE, {true, false, false}}};
    static const char *const use[] = {"project_id, api_key_id and line_item", "project_id, api_key_id, model, service_tier and batch",
                                      "project_id, api_key_id and model"};
    const struct json *list = json_get(args, "group_by");
    for (size_t i = 0; i < json_len(list); i++) {
        struct str word = json_str(json_at(list, i));
        size_t k = 0;
        while (k < sizeof groups / sizeof groups[0] && !(groups[k].of[q->result] && str_eqz(word, groups[k].name)))
            k++;
        if (k == sizeof groups / sizeof groups[0])
            return err_param(e, ERR_BAD_VALUE, "group_by", "group_by '%.*s' is not known here; use some of %s", (int)(word.n < 64 ? word.n : 64),
                             word.p, use[q->result]);
        q->by |= groups[k].by;
    }
    return 0;
}

static int filters_read(const struct json *args, struct usage_buckets *q, struct err *e)
{
    const char *batch;
    int rc;
    if (json_len(json_get(args, "user_ids")))
        return err_param(e, ERR_UNSUPPORTED, "user_ids", "usage is kept by project and key, not by user; use project_ids or api_key_ids");
    if (q->result == RESULT_COSTS && json_len(json_get(args, "models")))
        return err_param(e, ERR_UNSUPPORTED, "models", "costs are not filtered by models; use group_by=line_item");
    if ((rc = list_read(args, "project_ids", &q->projects, e)) < 0 || (rc = list_read(args, "api_key_ids", &q->keys, e)) < 0 ||
        (rc = list_read(args, "models", &q->models, e)) < 0 || (rc = arg_text(args, "batch", false, &batch, e)) < 0)
        return rc;
    if (batch && !str_eqz(str_of(batch), "true") && !str_eqz(str_of(batch), "false"))
        return err_param(e, ERR_BAD_VALUE, "batch", "batch '%.16s' must be true or false", batch);
    q->none = batch && *batch == 't'; /* no request is one of a batch */
    return 0;
}

static int width_read(const struct json *args, struct usage_buckets *q, int64_t *limit, struct err *e)
{
    static const struct {
        const char *name;
        int64_t s, dflt, most;
    } widths[] = {{"1m", MINUTE, 60, 1440}, {"1h", HOUR, 24, 168}, {"1d", DAY, 7, 31}};
    const char *text;
    int rc = arg_text(args, "bucket_width", false, &text, e);
    for (size_t i = 0; rc == 0 && i < 3; i++)
        if (str_eqz(str_of(text ? text : "1d"), widths[i].name)) {
            q->width_s = widths[i].s;
            return arg_int(args, "limit", 1, q->result == RESULT_COSTS && q->width_s == DAY ? 180 : widths[i].most, widths[i].dflt, limit, e);
        }
    return rc < 0 ? rc : err_param(e, ERR_BAD_VALUE, "bucket_width", "bucket_width '%.16s' is unknown; use 1m, 1h or 1d", text);
}

/* The page's part of [start_time, end_time). *next: where the next one begins; 0: there is none. */
static int times_read(const struct json *args, struct usage_buckets *q, int64_t limit, int64_t *next, struct err *e)
{
    const int64_t most = (int64_t)1 << 33; /* the year 2242 */
    int64_t until, at;
    const char *page;
    int rc;
    if (!arg_given(args, "start_time"))
        return err_param(e, ERR_BAD_REQUEST, "start_time", "start_time is missing; it is in seconds since 1970");
    if ((rc = arg_int(args, "start_time", 0, most, 0, &q->since_s, e)) < 0 ||
        (rc = arg_int(args, "end_time", 0, most, (clock_now_us() / 1000000 / q->width_s + 1) * q->width_s, &until, e)) < 0 ||
        (rc = arg_text(args, "page", false, &page, e)) < 0)
        return rc;
    if (until <= q->since_s)
        return err_param(e, ERR_BAD_VALUE, arg_given(args, "end_time") ? "end_time" : "start_time",
                         "end_time (without one: now) is not after start_time: there is no time between them");
    if (page) {
        struct str rest = str_of(page);
        if (!str_starts(rest, "page_") || !str_i64((struct str){rest.p + 5, rest.n - 5}, &at) || at <= q->since_s || at >= until || at % q->width_s)
            return err_param(e, ERR_BAD_VALUE, "page",
                             "page '%.64s' is no cursor of this report; take next_page of the page before, and change nothing else", page);
        q->since_s = at;
    }
    q->until_s = (q->since_s / q->width_s + limit) * q->width_s;
    *next = q->until_s < until ? q->until_s : 0;
    q->until_s = *next ? *next : until;
    return 0;
}

/* ---- the answer ---- */

static int answer(struct work *w, enum usage_result result, struct err *e)
{
    struct usage_buckets q = {.account = w->who.org_name, .result = result};
    int64_t limit, next = 0;
    int rc;
    if ((rc = width_read(w->args, &q, &limit, e)) < 0 || (rc = times_read(w->args, &q, limit, &next, e)) < 0 ||
        (rc = group_read(w->args, &q, e)) < 0 || (rc = filters_read(w->args, &q, e)) < 0)
        return rc;
    buf_str(&w->out, "{\"object\":\"page\",\"data\":");
    if ((rc = ledger_usage_buckets(w->api->ledger, &q, &w->out, e)) < 0)
        return rc;
    if (next)
        buf_fmt(&w->out, ",\"has_more\":true,\"next_page\":\"page_%lld\"}", (long long)next);
    else
        buf_str(&w->out, ",\"has_more\":false,\"next_page\":null}");
    return 0;
}

static int costs(struct work *w, struct err *e)
{
    return answer(w, RESULT_COSTS, e);
}

static int completions(struct work *w, struct err *e)
{
    return answer(w, RESULT_COMPLETIONS, e);
}

static int embeddings(struct work *w, struct err *e)
{
    return answer(w, RESULT_EMBEDDINGS, e);
}

static void start(struct http *r, struct api *a, const char *route, int (*fn)(struct work *, struct err *))
{
    struct work *w = work_new(a, r, route, fn);
    if (!w) {
        struct err e;
        err_set(&e, ERR_NO_MEMORY, "out of memory");
        errors_reply(r, &e);
        return;
    }
    w->who = *(const struct principal *)http_user(r);
    w->args = args_of(r);
    worker_run(a->worker, w);
}

void route_org_costs(struct http *r, void *app)
{
    start(r, app, "costs", costs);
}
void route_org_completions(struct http *r, void *app)
{
    start(r, app, "usage-completions", completions);
}
void route_org_embeddings(struct http *r, void *app)
{
    start(r, app, "usage-embeddings", embeddings);
}
