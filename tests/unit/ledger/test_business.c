/* Revenue by policy, what is deferred, statements and FOCUS against each other and the ledger; growth and customers as published. */
#include "base/csv.h"
#include "base/json.h"
#include "ledger/business.h"
#include "credit.h"

static struct ledger *l;
static struct json *j;

static void end(void)
{
    json_free(j);
    j = NULL;
    ledger_close(l);
    dir_drop();
}

typedef int report_call(struct ledger *, const struct business_query *, struct buf *, struct err *);
static bool ask(report_call *fn, const struct business_query *q)
{
    struct err e = {0};
    struct buf text;
    buf_init(&text, 0);
    json_free(j);
    j = NULL;
    bool ok = fn(l, q, &text, &e) == 0 && json_parse(&j, text.data, text.len, &e) == 0 && json_type(j) == JSON_ARR;
    if (!ok)
        printf("report: %s\n", e.msg);
    buf_deinit(&text);
    return ok;
}

static int64_t nano(const struct json *row, const char *key)
{
    struct money m = {0};
    struct err e;
    return money_parse(&m, json_str(json_get(row, key)), &e) < 0 ? INT64_MIN : m.nano;
}
static int64_t sum(const char *key)
{
    int64_t n = 0;
    for (size_t i = 0; i < json_len(j); i++)
        n += nano(json_at(j, i), key);
    return n;
}
static const struct json *row_with(const char *key, const char *value)
{
    for (size_t i = 0; i < json_len(j); i++)
        if (str_eqz(json_str(json_get(json_at(j, i), key)), value))
            return json_at(j, i);
    return NULL;
}
static bool is(const struct json *row, const char *key, const char *want)
{
    bool ok = str_eqz(json_str(json_get(row, key)), want);
    if (!ok)
        printf("%s is %s, not %s\n", key, json_str(json_get(row, key)).p, want);
    return ok;
}

/* ---- the ledger's own revenue ---- */

static bool grant(const struct principal *who, const char *funding, struct money amount, const struct money *cash, int64_t expires_us)
{
    struct err e = {0};
    struct grant_new g = {.org = who->org,
                          .amount = amount,
                          .scope = "any",
                          .funding = funding,
                          .cash_received = cash,
                          .expires_us = expires_us,
                          .priority = strcmp(funding, "paid") == 0 ? 50 : 10};
    bool ok = ledger_grant_create(l, &g, NULL, &e) == 0;
    if (!ok)
        printf("%s\n", e.msg);
    return ok;
}

static bool use(const struct principal *who, const char *name, uint32_t in)
{
    struct hold_answer a = hold_now(l, who, name, "m", in, 0);
    return a.err.code == ERR_OK && finish_now(l, a.hold, in, 0, NULL) == 0;
}

/* Promotional credit of 1, then paid credit of 10 for 8 in cash; uses, a refund, an expiry. */
static bool start(struct principal *acme)
{
    struct err e;
    now_us = NOON;
    l = open_at(dir_new());
    if (!l || !account_with(l, "acme", USD(0), acme) || !price_now(l, "m", 1000000000, 1000000000) || !grant(acme, "promotional", USD(1), NULL, 0) ||
        !grant(acme, "paid", USD(10), &USD(8), NOON + 40 * 24 * HOUR) || !use(acme, "a", 500000) || !use(acme, "b", 700000) || !use(acme, "c", 3))
        return false;
    now_us = NOON + 20 * 24 * HOUR; /* the next month */
    if (!use(acme, "d", 1000001) || ledger_refund(l, "b", &USD(0.1), &(struct deed){.reason = "slow"}, NULL, &e) < 0)
        return false;
    now_us = NOON + 41 * 24 * HOUR; /* the rest of the paid credit is over */
    return queue_flush(l, &e) == 0 && !use(acme, "e", 100000000);
}

TEST(revenue_deferred_statement_and_focus_agree)
{
    struct principal acme;
    struct business_query q = {0};
    CHECK(start(&acme) && audit_now(l) == 0);
    CHECK(ask(ledger_report_revenue, &q));
    /* 0.5 + 0.7 + 0.000003 + 1.000001 - 0.1, of which 1 promotional less what came back */
    CHECK(sum("value") == USD(2.100004).nano && sum("value") == -booked_at(l, "revenue:inference"));
    CHECK(sum("value") == sum("recognised") + sum("contra") + sum("memo") && sum("memo") == 0);
    int64_t recognised = sum("recognised"), breakage = sum("breakage");
    CHECK(sum("revenue") == recognised + breakage);
    /* Of the paid credit 0.8 of each unit was paid for: all of the cash is earned at the end. */
    CHECK(recognised + breakage == USD(8).nano && recognised == USD(1.100004).nano * 8 / 10);
    CHECK(row_with("segment", "breakage") && is(row_with("segment", "breakage"), "product", "paid") &&
          is(row_with("segment", "inference"), "product", "own"));
    CHECK(ask(ledger_report_deferred, &q) && nano(json_at(j, 0), "opening") == 0 && sum("received") == USD(8).nano &&
          sum("recognised") == recognised && sum("breakage") == breakage && nano(json_at(j, json_len(j) - 1), "closing") == 0);
    for (size_t i = 1; i < json_len(j); i++)
        CHECK(nano(json_at(j, i), "opening") == nano(json_at(j, i - 1), "closing"));
    q.account = "acme";
    CHECK(ask(ledger_report_account, &q) && nano(json_at(j, json_len(j) - 1), "balance") == left_of(l, 1) + left_of(l, 2));
    CHECK(nano(row_with("line", "used"), "amount") == -USD(1.200003).nano && nano(row_with("line", "refunded"), "amount") == USD(0.1).nano);
    CHECK(ask(ledger_report_focus, &q) && sum("BilledCost") == USD(8).nano && sum("EffectiveCost") == recognised);
    CHECK(is(row_with("ChargeCategory", "Usage"), "ServiceCategory", "AI and Machine Learning") &&
          is(row_with("ChargeCategory", "Purchase"), "EffectiveCost", "0.00"));
    q = (struct business_query){.period = "total"};
    CHECK(ask(ledger_report_margin, &q) && is(json_at(j, 0), "model", "m") && nano(json_at(j, 0), "revenue") == recognised);
    end();
}

/* By a validator that knows the specification and nothing of us. */
TEST(focus_is_valid)
{
    struct principal acme;
    struct buf csv;
    char path[128], command[256];
    CHECK(start(&acme) && ask(ledger_report_focus, &(struct business_query){0}) && json_len(j) > 3);
    buf_init(&csv, 0);
    csv_rows(&csv, j);
    snprintf(path, sizeof path, "%s/focus.csv", test_dir);
    FILE *f = fopen(path, "w");
    CHECK(f && fwrite(csv.data, 1, csv.len, f) == csv.len && fclose(f) == 0);
    snprintf(command, sizeof command, "python3 tests/focus/validate.py %s", path);
    CHECK(system(command) == 0);
    buf_deinit(&csv);
    end();
}

TEST(a_policy_is_data)
{
    static const char text[] =
        "# investment in inference is revenue\nuse paid any cash\nuse promotional any revenue\nuse goodwill any memo\nuse investment any contra\n"
        "expire paid keep\nproduct m inference inference partners ai\nproduct * any other own other\nmachine_hour 0.50\nweight input 1\n";
    struct principal acme;
    struct err e = {0};
    struct buf out;
    buf_init(&out, 0);
    CHECK(start(&acme));
    CHECK_MSG(ledger_policy_set(l, text, &(struct deed){.reason = "for a test"}, &out, &e) == 0, "%s", e.msg);
    CHECK(strstr(out.data, "\"version\":2") && ledger_policy_set(l, text, &(struct deed){.reason = "again"}, &out, &e) == 0 &&
          strstr(out.data, "\"new\":false"));
    struct business_query q = {.period = "total"};
    CHECK(ask(ledger_report_revenue, &q) && sum("breakage") == 0 && is(json_at(j, 0), "product", "partners") &&
          json_int(json_get(json_at(j, 0), "policy")) == 2);
    CHECK(sum("recognised") > USD(1.8).nano && sum("value") == sum("recognised") + sum("contra"));
    q.policy = 1; /* history as it was told before */
    CHECK(ask(ledger_report_revenue, &q) && sum("revenue") == USD(8).nano);
    q.policy = 3;
    CHECK(ledger_report_revenue(l, &q, &out, &e) < 0 && e.code == ERR_NOT_FOUND);
    static const char *const wrong[] = {"use paid any joy\n",  "use paid any cash\n",  "pay me\n",
                                        "machine_hour -1\n",   "weight requests 1\n",  "product a*b any x y\n",
                                        "expire paid later\n", "use paid moon cash\n", "use love any cash\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_MSG(ledger_policy_set(l, wrong[i], &(struct deed){.reason = "x"}, &out, &e) < 0 && strcmp(e.param, "policy") == 0, "%s", wrong[i]);
    CHECK(ledger_policy_set(l, text, &(struct deed){0}, &out, &e) < 0 && audit_now(l) == 0);
    buf_deinit(&out);
    end();
}

/* ---- growth as it was published ---- */

enum { CUSTOMERS = 53000, FRESH = 17700 };

static void line(struct buf *b, const char *month, const char *customer, const char *segment, const char *product, const char *amount, const char *ai)
{
    buf_fmt(b, "%s,%s,%s,%s,%s,%s\n", month, customer, segment, product, amount, ai);
}

/* docs/using/reports.md tells the same figures. In thousands. */
static void published(struct buf *b)
{
    char name[32];
    buf_str(b, "month,customer,segment,product,amount,ai\n");
    line(b, "2022-08", "others", "cloud", "infrastructure", "99000000", "no"), line(b, "2022-08", "others", "ai", "models", "1000000", "yes");
    line(b, "2023-08", "others", "cloud", "infrastructure", "125000000", "no"), line(b, "2023-08", "others", "ai", "models", "4000000", "yes");
    line(b, "2022-11", "others", "cloud", "infrastructure", "75070000", "no"),
        line(b, "2022-11", "others", "office", "productivity", "30000000", "no");
    line(b, "2022-11", "others", "ai", "assistants", "400000", "yes"), line(b, "2022-11", "others", "ai", "models", "1000000", "yes");
    line(b, "2023-11", "others", "cloud", "infrastructure", "96000000", "no"),
        line(b, "2023-11", "others", "office", "productivity", "39000000", "no");
    line(b, "2023-11", "customer 0", "ai", "assistants", "5000000", "yes"), line(b, "2023-11", "customer 0", "ai", "models", "32056", "yes");
    for (int i = 0; i < CUSTOMERS; i++) {
        snprintf(name, sizeof name, "customer %d", i);
        if (i < CUSTOMERS - FRESH)
            line(b, "2022-11", name, "cloud", "infrastructure", "100", "no");
        if (i)
            line(b, "2023-11", name, "ai", "models", "56", "yes");
    }
}

TEST(published_figures)
{
    struct err e = {0};
    struct buf csv, out;
    struct business_query q = {0};
    now_us = 0;
    l = open_at(dir_new());
    buf_init(&csv, 0), buf_init(&out, 0);
    published(&csv);
    CHECK_MSG(ledger_revenue_import(l, "published", (struct str){csv.data, csv.len}, &(struct deed){.reason = "x"}, &out, &e) == 0, "%s", e.msg);
    CHECK(ledger_revenue_import(l, "published", (struct str){csv.data, csv.len}, &(struct deed){.reason = "x"}, &out, &e) == 0 &&
          strstr(out.data, "\"new\":false"));
    CHECK(ledger_revenue_import(l, "published", (struct str){csv.data, csv.len - 1}, &(struct deed){.reason = "x"}, &out, &e) < 0 &&
          e.code == ERR_CONFLICT);
    CHECK(ask(ledger_report_growth, &q));
    const struct json *before = row_with("quarter", "2023-Q3"), *now = row_with("quarter", "2023-Q4");
    CHECK(is(before, "ai_points", "3.00") && is(before, "growth_percent", "29.00") && is(now, "ai_points", "6.00") &&
          is(now, "growth_percent", "30.00") && is(now, "revenue", "143000000.00") && is(now, "year_ago", "110000000.00") &&
          is(now, "ai_run_rate", "32000000.00"));
    CHECK(ask(ledger_report_products, &q));
    double share = 0;
    for (size_t i = 0; i < json_len(j); i++) {
        const struct json *r = json_at(j, i);
        double x;
        if (str_eqz(json_str(json_get(r, "quarter")), "2023-Q4") &&
            (str_eqz(json_str(json_get(r, "product")), "productivity") || str_eqz(json_str(json_get(r, "product")), "assistants")))
            share += str_f64(json_str(json_get(r, "share_of_growth_percent")), &x) ? x : 0;
    }
    CHECK_MSG(share > 41.2 && share < 41.22, "%f", share);
    q.only = "ai";
    CHECK(ask(ledger_report_customers, &q) && (now = row_with("quarter", "2023-Q4")));
    CHECK(json_int(json_get(now, "customers")) == CUSTOMERS && json_int(json_get(now, "new_to_the_cloud")) == FRESH &&
          is(now, "new_percent", "33.40"));
    for (size_t i = 0; i < json_len(j); i++) {
        const struct json *r = json_at(j, i);
        CHECK(nano(r, "revenue") - nano(r, "before") == nano(r, "new") + nano(r, "expansion") - nano(r, "contraction") - nano(r, "churn"));
    }
    buf_deinit(&csv), buf_deinit(&out);
    end();
}

TEST(imports_that_are_wrong)
{
    static const char *const bad[] = {"",
                                      "month\n",
                                      "month,customer,segment,product,amount\n",
                                      "month,customer,segment,product,amount\n2023-13,a,b,c,1\n",
                                      "month,customer,segment,product,amount\n2023-01,,b,c,1\n",
                                      "month,customer,segment,product,amount\n2023-01,a,b,c,one\n",
                                      "month,customer,segment,product,amount\n2023-01,a,b,c\n",
                                      "month,customer,segment,product,amount,ai\n2023-01,a,b,c,1,perhaps\n",
                                      "month,customer,segment,product,amount\n2023-01,a,b,c,1\n\"x",
                                      "month,customer,segment,product,amount\n2023-01,a,b,c,9000000000\n2023-01,a,b,c,9000000000\n"};
    struct err e;
    struct buf out;
    now_us = 0;
    l = open_at(dir_new());
    buf_init(&out, 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(ledger_revenue_import(l, "x", str_of(bad[i]), &(struct deed){.reason = "x"}, &out, &e) < 0 && e.code == ERR_BAD_VALUE, "%zu: %s", i,
                  e.msg);
    CHECK(ledger_revenue_imports(l, &out, &e) == 0 && strcmp(out.data, "[]") == 0);
    buf_deinit(&out);
    end();
}

TEST_MAIN()
