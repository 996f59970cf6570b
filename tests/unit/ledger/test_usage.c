/* The usage explorer against sums over the requests themselves, by zones and periods; pages; refunds; the cubes again from the rows. */
#include "base/json.h"
#include "ledger/ledger_int.h"
#include "ledger/usage.h"
#include "ledger/usage_buckets.h"
#include "lib.h"

enum { REQUESTS = 300 };
static struct ledger *l;
static struct buf text;
static struct json *j;
static struct principal who[2];
static const char *const accounts[2] = {"acme", "zeta"}, *const models[2] = {"m", "org/n"};
static struct req {
    int64_t end_us, cost;
    uint32_t in, out;
    int account, model;
} req[REQUESTS];
static const int64_t day1 = 1772323200000000 /* 2026-03-01: a clock change of Berlin is within */;

static bool start(void)
{
    uint64_t seed = 7;
    l = open_at(dir_new());
    buf_init(&text, 0);
    if (!l || !account_with(l, "acme", USD(50), &who[0]) || !account_with(l, "zeta", USD(50), &who[1]) ||
        !price_now(l, "m", 1000000000, 2000000000) || !price_now(l, "org/n", 3000000000, 4000000000))
        return false;
    for (int i = 0; i < REQUESTS; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        struct req *r = &req[i];
        *r = (struct req){day1 + (int64_t)(seed >> 33) % (45 * 86400) * 1000000,
                          0,
                          (uint32_t)(seed >> 40) % 90 + 1,
                          (uint32_t)(seed >> 50) % 9,
                          (int)(seed >> 60) & 1,
                          (int)(seed >> 61) & 1};
        r->cost = r->in * (r->model ? 3000 : 1000) + r->out * (r->model ? 4000 : 2000);
        char name[32];
        struct err e;
        snprintf(name, sizeof name, "r%d", i);
        struct hold_answer a = hold_now(l, &who[r->account], name, models[r->model], r->in, r->out);
        struct finish_req f = {.hold = a.hold,
                               .counts = {.input = r->in, .output = r->out},
                               .reason = i % 10 ? FINISH_STOP : FINISH_ERROR,
                               .status = 200,
                               .start_us = r->end_us - 5,
                               .end_us = r->end_us};
        if (a.err.code || ledger_finish(l, &f, NULL, &e) < 0)
            return false;
    }
    return true;
}

static void end(void)
{
    json_free(j);
    j = NULL;
    buf_deinit(&text);
    ledger_close(l);
    dir_drop();
}

static bool ask(const struct usage_filter *f, struct usage_page *p)
{
    struct err e = {0};
    json_free(j);
    j = NULL;
    buf_clear(&text);
    bool ok = ledger_usage_page(l, f, p, &text, &e) == 0 && json_parse(&j, text.data, text.len, &e) == 0;
    if (!ok)
        printf("usage: %s\n", e.msg);
    return ok;
}

static int64_t nano(const struct json *row, const char *key)
{
    struct money m = {-1};
    struct err e;
    return money_parse(&m, json_str(json_get(row, key)), &e) < 0 ? -1 : m.nano;
}
static int64_t num(const struct json *row, const char *key)
{
    return json_int(json_get(row, key));
}

/* What the requests in [since, until) sum to whose period and groups have these names. */
struct sums {
    int64_t requests, errors, input, cost;
};
static struct sums oracle(const struct usage_filter *f, const struct zone *z, enum calendar p, const char *period, const char *account,
                          const char *model)
{
    struct sums s = {0};
    char has[PERIOD_TEXT_MAX];
    for (int i = 0; i < REQUESTS; i++) {
        int64_t t = req[i].end_us / 1000000;
        if (req[i].end_us < f->since_us || (f->until_us && req[i].end_us >= f->until_us))
            continue;
        if (f->account && strcmp(f->account, accounts[req[i].account]) != 0)
            continue;
        period_text(has, p, z, zone_utc(z, period_start(p, t + zone_offset(z, t))));
        if ((period && strcmp(has, period) != 0) || (account && strcmp(account, accounts[req[i].account]) != 0) ||
            (model && strcmp(model, models[req[i].model]) != 0))
            continue;
        s.requests++, s.errors += i % 10 == 0, s.input += req[i].in, s.cost += req[i].cost;
    }
    return s;
}

static bool row_is(const struct json *row, struct sums s)
{
    bool ok = num(row, "requests") == s.requests && num(row, "errors") == s.errors && num(row, "input") == s.input && nano(row, "cost") == s.cost &&
              nano(row, "list") == s.cost && nano(row, "net") == s.cost;
    if (!ok)
        printf("the rows say %lld requests and %lld\n", (long long)s.requests, (long long)s.cost);
    return ok;
}

/* Every row, and all rows together. */
static bool agrees(const struct usage_filter *f, enum calendar p)
{
    static const char *const keys[] = {"", "hour", "day", "week", "month", "quarter"};
    struct zone z;
    struct err e;
    if (zone_open(&z, f->tz, &e) < 0 || !ask(f, NULL))
        return false;
    struct sums all = oracle(f, &z, p, NULL, NULL, NULL), got = {0};
    bool ok = true;
    for (size_t i = 0; i < json_len(j) && ok; i++) {
        const struct json *row = json_at(j, i);
        const char *account = json_str(json_get(row, "account")).p, *model = json_str(json_get(row, "model")).p;
        ok = row_is(row, oracle(f, &z, p, json_str(json_get(row, keys[p])).p, *account ? account : NULL, *model ? model : NULL));
        got.requests += num(row, "requests"), got.cost += nano(row, "cost");
    }
    zone_close(&z);
    return ok && got.requests == all.requests && got.cost == all.cost;
}

TEST(every_zone_and_period)
{
    static const char *const zones[] = {NULL, "+05:30", "-03:00", "+05:45", "Europe/Berlin"};
    static const char *const groups[] = {"hour", "day", "week", "month"};
    CHECK(start());
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        struct zone z;
        struct err e;
        if (zone_open(&z, zones[i], &e) < 0)
            continue; /* without tzdata */
        zone_close(&z);
        for (size_t k = 0; k < 4; k++) {
            char group[64];
            snprintf(group, sizeof group, "account,model,%s", groups[k]);
            CHECK_MSG(agrees(&(struct usage_filter){.group = groups[k], .tz = zones[i]}, CAL_HOUR + (int)k), "%s %s", zones[i], groups[k]);
            CHECK_MSG(
                agrees(&(struct usage_filter){.group = group, .tz = zones[i], .since_us = day1 + 1234567890123, .until_us = day1 + 2876543210987},
                       CAL_HOUR + (int)k),
                "%s %s", zones[i], group);
        }
        CHECK(
            agrees(&(struct usage_filter){.group = "day,model", .account = "zeta", .tz = zones[i], .since_us = day1 + 86400000000 * 3 + 1}, CAL_DAY));
    }
    end();
}

TEST(pages_and_totals)
{
    struct buf total;
    struct usage_page p = {.total = &total};
    struct usage_filter f = {.group = "model,day", .limit = 7};
    char after[USAGE_CURSOR_MAX];
    CHECK(start());
    int64_t rows = 0, cost = 0, all = 0, pages = 0;
    for (int i = 0; i < REQUESTS; i++)
        all += req[i].cost;
    do {
        struct json *sum;
        struct err e;
        buf_init(&total, 0);
        CHECK(ask(&f, &p) && json_len(j) <= 7 && json_parse(&sum, total.data, total.len, &e) == 0 && nano(sum, "cost") == all);
        for (size_t i = 0; i < json_len(j); i++)
            rows += num(json_at(j, i), "requests"), cost += nano(json_at(j, i), "cost");
        json_free(sum);
        buf_deinit(&total);
        snprintf(after, sizeof after, "%s", p.next);
        f.after = after, pages++;
    } while (p.next[0]);
    CHECK(rows == REQUESTS && cost == all && pages > 5);
    f = (struct usage_filter){.group = "request", .limit = 40};
    rows = cost = 0, p.total = NULL;
    do {
        CHECK(ask(&f, &p) && json_len(j) && json_len(j) <= 40);
        for (size_t i = 0; i < json_len(j); i++)
            rows++, cost += nano(json_at(j, i), "cost");
        snprintf(after, sizeof after, "%s", p.next);
        f.after = after;
    } while (p.next[0]);
    CHECK(rows == REQUESTS && cost == all);
    end();
}

TEST(what_is_asked_wrongly)
{
    static const struct {
        struct usage_filter f;
        const char *param;
    } bad[] = {
        {{.group = "year"}, "group"},
        {{.group = "day,hour"}, "group"},
        {{.group = "model,model"}, "group"},
        {{.group = "model,"}, "group"},
        {{.group = "account,project,key,model"}, "group"},
        {{.tz = "Mars"}, "tz"},
        {{.metrics = "joy"}, "metric"},
        {{.after = "x"}, "after"},
        {{.group = "request", .after = "1"}, "after"},
        {{.group = "request", .metrics = "cost"}, "metric"},
        {{.since_us = 5, .until_us = 5}, "until"},
        {{.project = "p"}, "account"},
        {{.key = "none"}, "key"},
        {{.scope = "joy"}, "scope"},
        {{.account = "acme", .project = "p"}, "project"},
    };
    CHECK(start());
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        CHECK_MSG(ledger_report_usage(l, &bad[i].f, &text, &e) < 0 && strcmp(e.param, bad[i].param) == 0, "%zu: %s %s", i, e.param, e.msg);
    }
    CHECK(ask(&(struct usage_filter){.metrics = "cost,tokens", .group = "total"}, NULL) && json_len(j) == 1 && json_len(json_at(j, 0)) == 3);
    end();
}

/* A refund counts now; what was before stays. */
TEST(refunds_count_when_they_are_made)
{
    struct err e;
    CHECK(start());
    int64_t now = clock_now_us();
    CHECK(ledger_refund(l, "r3", NULL, &(struct deed){.reason = "wrong"}, NULL, &e) == 0);
    CHECK(ask(&(struct usage_filter){.group = "day", .until_us = day1 + 46 * 86400000000}, NULL));
    for (size_t i = 0; i < json_len(j); i++)
        CHECK(nano(json_at(j, i), "refunded") == 0);
    CHECK(ask(&(struct usage_filter){.group = "account,model,day", .since_us = now - 1}, NULL) && json_len(j) == 1);
    CHECK(nano(json_at(j, 0), "refunded") == req[3].cost && nano(json_at(j, 0), "cost") == 0 && num(json_at(j, 0), "requests") == 0);
    CHECK(str_eqz(json_str(json_get(json_at(j, 0), "account")), accounts[req[3].account]) && audit_now(l) == 0);
    end();
}

/* Each result of each bucket is what its requests sum to, and all of them together are what the usage explorer says of the range. */
static bool buckets_agree(struct usage_buckets q)
{
    struct err e = {0};
    struct usage_filter f = {.account = q.account, .group = "total", .since_us = q.since_s * 1000000, .until_us = q.until_s * 1000000};
    int64_t requests = 0, cost = 0, at = q.since_s;
    f.model = q.models.n ? q.models.of[0] : NULL;
    f.scope = q.result == RESULT_EMBEDDINGS ? "embeddings" : NULL;
    if (!ask(&f, NULL))
        return false;
    int64_t all_requests = json_len(j) ? num(json_at(j, 0), "requests") : 0, all_cost = json_len(j) ? nano(json_at(j, 0), "net") : 0;
    json_free(j);
    j = NULL;
    buf_clear(&text);
    if (ledger_usage_buckets(l, &q, &text, &e) < 0 || json_parse(&j, text.data, text.len, &e) < 0)
        return false;
    for (size_t i = 0; i < json_len(j); i++) {
        const struct json *b = json_at(j, i), *results = json_get(b, "results");
        struct usage_filter in = {.account = q.account, .since_us = num(b, "start_time") * 1000000, .until_us = num(b, "end_time") * 1000000};
        if (num(b, "start_time") != at || num(b, "end_time") <= at || (num(b, "end_time") % q.width_s && i + 1 < json_len(j)))
            return false;
        at = num(b, "end_time");
        for (size_t k = 0; k < json_len(results); k++) {
            const struct json *r = json_at(results, k);
            const char *model = json_str(json_get(r, "model")).p;
            struct sums s = oracle(&in, &(struct zone){0}, CAL_NONE, NULL, NULL, *model ? model : f.model);
            int64_t value = (int64_t)(json_num(json_get(json_get(r, "amount"), "value")) * 1e9 + 0.5);
            if (q.result == RESULT_COSTS ? value != s.cost : num(r, "num_model_requests") != s.requests || num(r, "input_tokens") != s.input)
                return false;
            requests += num(r, "num_model_requests"), cost += value;
        }
    }
    return at == q.until_s && (q.result == RESULT_COSTS ? cost == all_cost : requests == all_requests);
}

TEST(buckets_of_openai)
{
    static const int64_t widths[] = {86400, 3600, 60};
    const int64_t d = day1 / 1000000;
    struct err e;
    CHECK(start());
    for (size_t i = 0; i < 3; i++)
        for (int k = 0; k < 3; k++) {
            struct usage_buckets q = {.account = accounts[k & 1], .result = k, .width_s = widths[i]};
            q.since_s = d + 7201, q.until_s = d + 40 * 86400 + 77;
            CHECK_MSG(buckets_agree(q), "width %d, result %d", (int)widths[i], k);
            q.by = k == RESULT_COSTS ? BY_PROJECT | BY_KEY : BY_MODEL | BY_KEY | BY_TIER;
            CHECK_MSG(buckets_agree(q), "width %d, result %d, grouped", (int)widths[i], k);
            q.models = (struct usage_list){{"org/n"}, 1};
            CHECK_MSG(buckets_agree(q), "width %d, result %d, of a model", (int)widths[i], k);
        }
    struct usage_buckets q = {.account = "acme", .width_s = 86400, .since_s = d, .until_s = d + 86400, .projects = {{"nobody"}, 1}};
    CHECK(ledger_usage_buckets(l, &q, &text, &e) == -ERR_NOT_FOUND && strcmp(e.param, "project_ids") == 0);
    q.projects.n = 0, q.keys = (struct usage_list){{who[1].public_id}, 1};
    CHECK(ledger_usage_buckets(l, &q, &text, &e) == -ERR_NOT_FOUND && strcmp(e.param, "api_key_ids") == 0); /* another account's */
    end();
}

/* As a store of before has none, then what the migration does. */
static int cubes_again(struct ledger *led, void *arg, struct err *e)
{
    int rc = db_exec(led->db, SQL("DROP TABLE usage_cube; DROP TABLE grant_cube; DROP INDEX txn_time"), e);
    (void)arg;
    for (size_t i = 0; i < ledger_n_migrations && rc == 0; i++)
        if (strstr(ledger_migrations[i].sql.text, "CREATE TABLE usage_cube"))
            rc = db_exec(led->db, ledger_migrations[i].sql, e);
    return rc;
}
static int tamper(struct ledger *led, void *sql, struct err *e)
{
    return db_exec(led->db, (struct sql){sql}, e);
}

/* A store of before gets its cubes from its rows; the audit tells when they are no more what the rows sum to. */
TEST(cubes_from_rows)
{
    static const char *const changes[] = {
        "UPDATE usage_cube SET charged = charged + 1 WHERE level = 0 AND slot = (SELECT min(slot) FROM usage_cube WHERE level = 0)",
        "UPDATE usage_cube SET requests = requests + 1 WHERE level = 1 AND slot = (SELECT max(slot) FROM usage_cube)",
        "DELETE FROM usage_cube WHERE level = 1 AND slot = (SELECT max(slot) FROM usage_cube)",
        "UPDATE grant_cube SET refunded = refunded + 1 WHERE grant_id = 1 AND day = (SELECT min(day) FROM grant_cube WHERE grant_id = 1)",
        "INSERT INTO grant_cube VALUES (1, 1, 1, 1, 'inference', 5, 0)",
    };
    struct err e;
    CHECK(start() && ledger_refund(l, "r3", NULL, &(struct deed){.reason = "wrong"}, NULL, &e) == 0 && audit_now(l) == 0);
    CHECK(queue_call(l, cubes_again, NULL, &e) == 0);
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && audit_now(l) == 0 && agrees(&(struct usage_filter){.group = "account,day", .until_us = day1 + 46 * 86400000000}, CAL_DAY));
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        uint64_t n = 0;
        struct buf out;
        buf_init(&out, 0);
        CHECK_MSG(queue_call(l, tamper, (void *)changes[i], &e) == 0, "%s", e.msg);
        CHECK_MSG(ledger_audit(l, &out, &n, &e) < 0 && n > 0 && strstr(out.data, "cube: "), "%s", changes[i]);
        buf_deinit(&out);
    }
    end();
}

TEST_MAIN()
