/* What an operator can do: one function a row of admin.def, apart from HTTP, so that the command line can call them without a server. */
#include "api/api_int.h"
#include <string.h>

enum { TEXT_MAX = 1024 }; /* bytes of an argument */

/* ---- arguments: an object of strings (and numbers); errors name the field ---- */

static int text(const struct json *args, const char *name, bool needed, const char **out, struct err *e)
{
    const struct json *v = json_get(args, name);
    *out = NULL;
    if (json_type(v) == JSON_NULL)
        return needed ? err_param(e, ERR_BAD_REQUEST, name, "%s is missing", name) : 0;
    if (json_type(v) != JSON_STR)
        return err_param(e, ERR_BAD_REQUEST, name, "%s must be a string, not %s", name, json_type_name(v));
    if (json_str(v).n > TEXT_MAX || (needed && !json_str(v).n))
        return err_param(e, ERR_BAD_VALUE, name, "%s has %zu bytes; it must have %d to %d", name, json_str(v).n, needed, TEXT_MAX);
    *out = json_str(v).p;
    return 0;
}

static int money(const struct json *args, const char *name, struct money dflt, bool needed, struct money *out, struct err *e)
{
    const char *z;
    int rc = text(args, name, needed, &z, e);
    *out = dflt;
    if (rc < 0 || !z)
        return rc;
    rc = money_parse(out, str_of(z), e);
    if (rc >= 0 && out->nano < 0)
        return err_param(e, ERR_BAD_VALUE, name, "%s is negative", name);
    return rc;
}

static int date(const struct json *args, const char *name, int64_t *out, struct err *e)
{
    const char *z;
    int rc = text(args, name, false, &z, e);
    *out = 0;
    if (rc >= 0 && z && !clock_parse(z, out))
        return err_param(e, ERR_BAD_VALUE, name, "%s is not a date; write 2026-11-23 or 2026-11-23T12:00Z", name);
    return rc;
}

/* An integer as a number or, from a query, as text. */
static int integer(const struct json *args, const char *name, int64_t min, int64_t max, int64_t dflt, int64_t *out, struct err *e)
{
    const struct json *v = json_get(args, name);
    *out = dflt;
    if (json_type(v) == JSON_NULL)
        return 0;
    bool ok = json_type(v) == JSON_INT || (json_type(v) == JSON_STR && str_i64(json_str(v), out));
    if (json_type(v) == JSON_INT)
        *out = json_int(v);
    if (!ok || *out < min || *out > max)
        return err_param(e, ERR_BAD_VALUE, name, "%s must be an integer from %lld to %lld", name, (long long)min, (long long)max);
    return 0;
}

static bool given(const struct json *args, const char *name)
{
    return json_type(json_get(args, name)) != JSON_NULL;
}

static int account(struct ledger *l, const struct json *args, struct org_id *out, struct err *e)
{
    const char *name;
    int rc = text(args, "account", true, &name, e);
    return rc < 0 ? rc : ledger_account_find(l, name, out, e);
}

static int grant(const struct json *args, struct grant_id *out, struct err *e)
{
    int rc = integer(args, "grant", 1, INT64_MAX, 0, &out->v, e);
    return rc == 0 && !out->v ? err_param(e, ERR_BAD_REQUEST, "grant", "grant is missing") : rc;
}

/* Who, why, and the key under which it is done once. */
static int deed(const struct json *args, struct deed *out, struct err *e)
{
    int rc;
    if ((rc = text(args, "actor", false, &out->actor, e)) < 0 || (rc = text(args, "reason", false, &out->reason, e)) < 0 ||
        (rc = text(args, "idempotency_key", false, &out->key, e)) < 0)
        return rc;
    return 0;
}

static void reply_field(struct buf *out, const char *key, const char *value)
{
    struct jw w;
    jw_init(&w, out);
    jw_obj(&w);
    jw_key(&w, key), jw_str(&w, value);
    jw_obj_end(&w);
}

static void reply_id(struct buf *out, const char *key, int64_t value)
{
    struct jw w;
    jw_init(&w, out);
    jw_obj(&w);
    jw_key(&w, key), jw_i64(&w, value);
    jw_obj_end(&w);
}

/* ---- the rows of admin.def ---- */

static int account_create(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *name;
    struct org_id id;
    int rc;
    if ((rc = text(args, "name", true, &name, e)) < 0 || (rc = ledger_account_create(l, name, &id, e)) < 0)
        return rc;
    reply_field(out, "account", name);
    return 0;
}

static int account_list(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    (void)args;
    return ledger_report_accounts(l, out, e);
}

static int limits(const struct json *args, struct key_limits *out, struct err *e)
{
    int rc;
    if ((rc = text(args, "scopes", false, &out->scopes, e)) < 0 || (rc = text(args, "models", false, &out->models, e)) < 0 ||
        (rc = text(args, "allow", false, &out->allow, e)) < 0 || (rc = text(args, "budget", false, &out->budget, e)) < 0)
        return rc;
    return 0;
}

static int key_create(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *name;
    int64_t expires;
    struct org_id org;
    struct key_limits x;
    char key[LEDGER_KEY_MAX];
    int rc;
    if ((rc = account(l, args, &org, e)) < 0 || (rc = text(args, "name", false, &name, e)) < 0 || (rc = date(args, "expires", &expires, e)) < 0 ||
        (rc = limits(args, &x, e)) < 0 || (rc = ledger_key_create(l, org, name ? name : "default", expires, &x, key, e)) < 0)
        return rc;
    reply_field(out, "key", key);
    explicit_bzero(key, sizeof key);
    return 0;
}

static int key_set(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *id;
    struct key_limits x;
    int rc;
    if ((rc = text(args, "id", true, &id, e)) < 0 || (rc = limits(args, &x, e)) < 0 || (rc = ledger_key_set(l, id, &x, e)) < 0)
        return rc;
    reply_field(out, "set", id);
    return 0;
}

static int key_list(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *name;
    int rc = text(args, "account", false, &name, e);
    return rc < 0 ? rc : ledger_report_keys(l, name, out, e);
}

static int key_rotate(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *id;
    char key[LEDGER_KEY_MAX];
    int rc;
    if ((rc = text(args, "id", true, &id, e)) < 0 || (rc = ledger_key_rotate(l, id, key, e)) < 0)
        return rc;
    reply_field(out, "key", key);
    explicit_bzero(key, sizeof key);
    return 0;
}

static int key_revoke(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *id;
    int rc;
    if ((rc = text(args, "id", true, &id, e)) < 0 || (rc = ledger_key_revoke(l, id, e)) < 0)
        return rc;
    reply_field(out, "revoked", id);
    return 0;
}

static int grant_create(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct grant_new g = {0};
    struct money cash, list;
    int64_t priority;
    int rc;
    if ((rc = account(l, args, &g.org, e)) < 0 || (rc = money(args, "amount", (struct money){0}, true, &g.amount, e)) < 0 ||
        (rc = text(args, "scope", false, &g.scope, e)) < 0 || (rc = text(args, "funding", false, &g.funding, e)) < 0 ||
        (rc = text(args, "reference", false, &g.reference, e)) < 0 || (rc = date(args, "expires", &g.expires_us, e)) < 0 ||
        (rc = date(args, "effective", &g.effective_us, e)) < 0 || (rc = integer(args, "priority", 0, 1000, 50, &priority, e)) < 0 ||
        (rc = text(args, "models", false, &g.models, e)) < 0 || (rc = text(args, "counterparty", false, &g.counterparty, e)) < 0 ||
        (rc = text(args, "instrument", false, &g.instrument, e)) < 0 || (rc = deed(args, &g.by, e)) < 0 ||
        (rc = money(args, "cash_received", (struct money){0}, false, &cash, e)) < 0 ||
        (rc = money(args, "list_value", (struct money){0}, false, &list, e)) < 0)
        return rc;
    if (!g.amount.nano)
        return err_param(e, ERR_BAD_VALUE, "amount", "amount is zero; a grant gives something");
    g.scope = g.scope ? g.scope : "any";
    g.funding = g.funding ? g.funding : "paid";
    g.priority = (int)priority;
    g.cash_received = given(args, "cash_received") ? &cash : NULL;
    g.list_value = given(args, "list_value") ? &list : NULL;
    g.answer = out;
    return ledger_grant_create(l, &g, NULL, e);
}

static int grant_list(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *name;
    int rc = text(args, "account", false, &name, e);
    return rc < 0 ? rc : ledger_report_grants(l, name, out, e);
}

static int grant_show(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct grant_id id;
    int rc = grant(args, &id, e);
    return rc < 0 ? rc : ledger_report_grant(l, id, out, e);
}

static int grant_approve(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct grant_id id;
    struct deed by;
    int rc;
    if ((rc = grant(args, &id, e)) < 0 || (rc = deed(args, &by, e)) < 0)
        return rc;
    return ledger_grant_approve(l, id, &by, out, e);
}

static int grant_void(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct grant_id id;
    struct deed by;
    int rc;
    if ((rc = grant(args, &id, e)) < 0 || (rc = deed(args, &by, e)) < 0)
        return rc;
    return ledger_grant_void(l, id, &by, out, e);
}

/* An amount with its sign. */
static int grant_adjust(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct grant_id id;
    struct deed by;
    struct money amount;
    const char *z;
    int rc;
    if ((rc = grant(args, &id, e)) < 0 || (rc = deed(args, &by, e)) < 0 || (rc = text(args, "amount", true, &z, e)) < 0 ||
        (rc = money_parse(&amount, str_of(z + (*z == '+')), e)) < 0)
        return rc;
    return ledger_grant_adjust(l, id, amount, &by, out, e);
}

static int grant_transfer(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct grant_id id;
    struct org_id to;
    struct deed by;
    struct money amount;
    int rc;
    if ((rc = grant(args, &id, e)) < 0 || (rc = account(l, args, &to, e)) < 0 || (rc = deed(args, &by, e)) < 0 ||
        (rc = money(args, "amount", (struct money){0}, true, &amount, e)) < 0)
        return rc;
    return ledger_grant_transfer(l, id, to, amount, &by, out, e);
}

static int grant_limit(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct deed by;
    struct money limit;
    const char *z;
    int rc;
    if ((rc = deed(args, &by, e)) < 0 || (rc = text(args, "limit", true, &z, e)) < 0)
        return rc;
    bool none = strcmp(z, "none") == 0;
    if (!none && (rc = money_parse(&limit, str_of(z), e)) < 0)
        return rc;
    return ledger_grant_limit(l, none ? NULL : &limit, &by, out, e);
}

static int grant_limit_show(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    (void)args;
    return ledger_report_limit(l, out, e);
}

static int refund(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *id;
    char request[REQUEST_NAME_MAX];
    struct deed by;
    struct money amount;
    int rc;
    if ((rc = text(args, "request", true, &id, e)) < 0 || (rc = request_name(request, str_of(id), "request", e)) < 0 ||
        (rc = deed(args, &by, e)) < 0 || (rc = money(args, "amount", (struct money){0}, false, &amount, e)) < 0)
        return rc;
    return ledger_refund(l, request, given(args, "amount") ? &amount : NULL, &by, out, e);
}

/* Cached input costs as much as input, cache writes too, and reasoning as much as output, unless said otherwise. */
static int price_set(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct price_new p = {0};
    struct price_id id;
    int rc;
    if ((rc = text(args, "model", true, &p.model, e)) < 0 || (rc = money(args, "input", p.input, true, &p.input, e)) < 0 ||
        (rc = money(args, "output", p.output, true, &p.output, e)) < 0 || (rc = money(args, "cached_input", p.input, false, &p.cache_read, e)) < 0 ||
        (rc = money(args, "cache_write", p.input, false, &p.cache_write, e)) < 0 ||
        (rc = money(args, "reasoning", p.output, false, &p.reasoning, e)) < 0 || (rc = text(args, "tier", false, &p.tier, e)) < 0 ||
        (rc = ledger_price_set(l, &p, &id, e)) < 0)
        return rc;
    reply_id(out, "price", id.v);
    return 0;
}

static int price_list(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    (void)args;
    return ledger_report_prices(l, out, e);
}

/* Whose limit. */
static int owner(const struct json *args, struct rate_owner *out, struct err *e)
{
    int rc;
    if ((rc = text(args, "key", false, &out->key, e)) < 0 || (rc = text(args, "account", false, &out->account, e)) < 0 ||
        (rc = text(args, "model", false, &out->model, e)) < 0)
        return rc;
    return 0;
}

static int limit_set(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct rate_owner o;
    struct rate_texts t;
    int rc;
    if ((rc = owner(args, &o, e)) < 0 || (rc = text(args, "requests", false, &t.requests, e)) < 0 ||
        (rc = text(args, "input", false, &t.input, e)) < 0 || (rc = text(args, "output", false, &t.output, e)) < 0 ||
        (rc = text(args, "tokens", false, &t.tokens, e)) < 0 || (rc = text(args, "parallel", false, &t.parallel, e)) < 0 ||
        (rc = ledger_rate_set(l, &o, &t, e)) < 0)
        return rc;
    reply_field(out, "set", o.key ? o.key : o.account ? o.account : o.model);
    return 0;
}

static int limit_list(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *name;
    int rc = text(args, "account", false, &name, e);
    return rc < 0 ? rc : ledger_report_rates(l, name, out, e);
}

static int limit_rm(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct rate_owner o;
    int rc;
    if ((rc = owner(args, &o, e)) < 0 || (rc = ledger_rate_rm(l, &o, e)) < 0)
        return rc;
    reply_field(out, "removed", o.key ? o.key : o.account ? o.account : o.model);
    return 0;
}

int usage_filter_read(struct usage_filter *f, const struct json *args, struct err *e)
{
    static const char *const groups[] = {"day", "hour", "model", "account", "request"};
    int64_t limit;
    int rc;
    *f = (struct usage_filter){0};
    if ((rc = text(args, "account", false, &f->account, e)) < 0 || (rc = text(args, "model", false, &f->model, e)) < 0 ||
        (rc = date(args, "since", &f->since_us, e)) < 0 || (rc = date(args, "until", &f->until_us, e)) < 0 ||
        (rc = integer(args, "limit", 1, 100000, 1000, &limit, e)) < 0 || (rc = text(args, "group", false, &f->group, e)) < 0)
        return rc;
    f->limit = (uint32_t)limit;
    f->group = f->group ? f->group : "day";
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        if (strcmp(f->group, groups[i]) == 0)
            return 0;
    return err_param(e, ERR_BAD_VALUE, "group", "group must be day, hour, model, account or request");
}

static int usage(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct usage_filter f;
    int rc = usage_filter_read(&f, args, e);
    return rc < 0 ? rc : ledger_report_usage(l, &f, out, e);
}

/* Of any account's request. */
static int receipt(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    const char *id;
    char request[REQUEST_NAME_MAX];
    int rc;
    if ((rc = text(args, "request", true, &id, e)) < 0 || (rc = request_name(request, str_of(id), "request", e)) < 0)
        return rc;
    return ledger_receipt(l, request, NULL, out, e);
}

/* Differences are an answer, not a failure: {"differences": n, "report": text}. */
static int audit(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    struct buf report;
    uint64_t n = 0;
    struct jw w;
    (void)args;
    buf_init(&report, 16 << 20);
    int rc = ledger_audit(l, &report, &n, e);
    if (rc >= 0 || rc == -ERR_AUDIT) {
        jw_init(&w, out);
        jw_obj(&w);
        jw_key(&w, "differences"), jw_u64(&w, n);
        jw_key(&w, "report"), jw_strn(&w, report.data ? report.data : "", report.len);
        jw_obj_end(&w);
        if (e)
            e->code = ERR_OK;
        rc = 0;
    }
    buf_deinit(&report);
    return rc;
}

/* A copy of the ledger, consistent at one moment, in the data folder: sluice backup takes it from there. */
static int backup(struct ledger *l, const struct json *args, struct buf *out, struct err *e)
{
    (void)args;
    int rc = ledger_stage(l, e);
    if (rc >= 0)
        reply_field(out, "stage", LEDGER_STAGE);
    return rc;
}

/* ---- the table ---- */

static const struct op {
    enum http_method method;
    const char *path;
    int (*fn)(struct ledger *l, const struct json *args, struct buf *out, struct err *e);
} ops[] = {
#define ADMIN(name, method, path) {HTTP_##method, path, name},
#include "api/admin.def"
#undef ADMIN
};

int admin_call(struct ledger *l, enum http_method method, const char *path, const struct json *args, struct buf *out, struct err *e)
{
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (ops[i].method == method && strcmp(ops[i].path, path) == 0)
            return ops[i].fn(l, args, out, e);
    return err_set(e, ERR_NO_ROUTE, "there is no %s", path);
}

static int call(struct work *w, struct err *e)
{
    return admin_call(w->api->ledger, w->method, w->path, w->args, &w->out, e);
}

struct json *query_args(struct http *r)
{
    static const char *const names[] = {"account", "model", "since", "until", "group", "limit", "request", "grant"};
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
    jw_obj_end(&w);
    if (b.failed || json_parse(&out, b.data, b.len, NULL) < 0)
        out = NULL;
    buf_deinit(&b);
    return out;
}

void route_admin(struct http *r, void *app)
{
    struct api *a = app;
    struct err e = {0};
    struct work *w = work_new(a, r, "admin", call);
    int rc = w ? 0 : err_set(&e, ERR_NO_MEMORY, "out of memory");
    if (rc >= 0 && http_method(r) == HTTP_GET)
        w->args = query_args(r);
    else if (rc >= 0)
        rc = json_parse(&w->args, http_body(r).p, http_body(r).n, &e);
    if (rc < 0) {
        work_free(w);
        errors_reply(r, &e);
        return;
    }
    w->method = http_method(r);
    str_fmt(w->path, sizeof w->path, "%.*s", (int)http_path(r).n, http_path(r).p);
    worker_run(a->worker, w);
}
