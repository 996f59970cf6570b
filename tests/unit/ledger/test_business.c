/* Revenue by policy, what is deferred, statements and FOCUS against each other and the ledger; growth and customers as published. */
#include "base/csv.h"
#include "base/json.h"
#include "ledger/business.h"
#include "ledger/publisher.h"
#include "ledger/reservation.h"
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

/* ---- with contracts and publishers ---- */

struct books {
    const char *like;
    int64_t from_us, to_us, balance;
};
static int books_find(struct ledger *led, void *arg, struct err *e)
{
    struct books *b = arg;
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, led->db,
                      SQL("SELECT CAST(coalesce(sum(n.amount), 0) AS BIGINT) FROM entry n JOIN account a ON a.id = n.account_id JOIN txn t ON t.id = "
                          "n.txn_id WHERE "
                          "a.code LIKE ?1 AND t.created_us >= ?2 AND t.created_us < ?3"),
                      e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, b->like), stmt_i64(s, 2, b->from_us), stmt_i64(s, 3, b->to_us);
    rc = stmt_step(s, &row, e);
    b->balance = rc == 0 && row ? stmt_col_i64(s, 0) : INT64_MIN;
    stmt_put(s);
    return rc;
}
static int64_t books(const char *like, int64_t from_us, int64_t to_us)
{
    struct books b = {like, from_us, to_us, 0};
    struct err e;
    return queue_call(l, books_find, &b, &e) < 0 ? INT64_MIN : b.balance;
}
static int64_t sum_of(const char *key, const char *column, const char *value)
{
    int64_t n = 0;
    for (size_t i = 0; i < json_len(j); i++)
        n += str_eqz(json_str(json_get(json_at(j, i), column)), value) ? nano(json_at(j, i), key) : 0;
    return n;
}

enum { TERM_HOURS = 720, JANUARY_HOURS = 400 };
#define FEBRUARY (1801440000 * 1000000ll) /* NOON is 2027-01-15T08:00Z */

/* 3 up front for 30 days, of which promotional credit pays 0.5; 0.01 an hour for 20 hours; 5 committed for the first day. */
static bool contracts(const struct principal *acme)
{
    struct err e = {0};
    struct reservation_new ahead = {.org = acme->org,
                                    .model = "n",
                                    .rate = 1000,
                                    .capacity = 1000000,
                                    .to_us = NOON + TERM_HOURS * HOUR,
                                    .price = USD(3),
                                    .period = "term",
                                    .upfront = true},
                           hourly = {
                               .org = acme->org, .model = "o", .rate = 1000, .capacity = 1000000, .to_us = NOON + 20 * HOUR, .price = USD(0.01)};
    struct commitment_new c = {.org = acme->org, .name = "c", .amount = USD(5), .from_us = NOON - 8 * HOUR, .to_us = NOON + 16 * HOUR};
    bool ok = ledger_reserve(l, &ahead, NULL, &e) == 0 && ledger_reserve(l, &hourly, NULL, &e) == 0 && ledger_commit(l, &c, NULL, &e) == 0;
    if (!ok)
        printf("%s\n", e.msg);
    return ok;
}

/* A quarter of m's charges is lab's. */
static bool start_contracts(struct principal *acme, struct principal *lab)
{
    struct err e;
    const struct publisher_share quarter = {NULL, 2500};
    now_us = NOON;
    l = open_at(dir_new());
    if (!l || !account_with(l, "acme", USD(0), acme) || !account_with(l, "lab", USD(0), lab) || !price_now(l, "m", 1000000000, 1000000000) ||
        !price_now(l, "n", 1000000000, 1000000000) || !price_now(l, "o", 1000000000, 1000000000) ||
        ledger_publisher_set(l, &(struct publisher_new){.model = "m", .org = lab->org, .shares = &quarter, .n_shares = 1}, &e) < 0 ||
        !grant(acme, "promotional", USD(1), NULL, 0) || !grant(acme, "paid", USD(10), &USD(8), 0) || !use(acme, "a", 500000) || !contracts(acme) ||
        !use(acme, "b", 700000) || audit_now(l) != 0)
        return false;
    now_us = FEBRUARY - HOUR / 2; /* hours are booked in their month */
    if (audit_now(l) != 0)
        return false;
    now_us = FEBRUARY + 20 * 24 * HOUR;
    return use(acme, "c", 300000) && ledger_refund(l, "b", &USD(0.4), &(struct deed){.reason = "slow"}, NULL, &e) == 0 && audit_now(l) == 0;
}

/* What each report says of a month, and what the books have of it. */
static bool ties(const char *month, int64_t from_us, int64_t to_us)
{
    const int64_t booked = -books("revenue:%", from_us, to_us), owed = -books("payable:publisher:%", from_us, to_us),
                  reserved = -books("revenue:reserved", from_us, to_us), short_of = -books("revenue:commitment", from_us, to_us);
    return sum_of("value", "period", month) - sum_of("publisher", "period", month) == booked && sum_of("publisher", "period", month) == owed &&
           sum_of("net", "period", month) == sum_of("gross", "period", month) - owed &&
           (month[6] != '1' || (sum_of("value", "segment", "commitment") == short_of && short_of == USD(3.8).nano)) && reserved > 0;
}

TEST(revenue_is_the_books_revenue_with_contracts_and_publishers)
{
    struct principal acme, lab;
    struct business_query q = {0};
    CHECK(start_contracts(&acme, &lab) && ask(ledger_report_revenue, &q));
    CHECK(ties("2027-01", 0, FEBRUARY) && ties("2027-02", FEBRUARY, INT64_MAX));
    CHECK(sum("value") == sum("recognised") + sum("contra") && sum("gross") == sum("recognised") + sum("breakage") && sum("revenue") == sum("net"));
    /* 30 days are over: all that was paid up front is earned, in January 400 of 720 hours. */
    CHECK(booked_at(l, "deferred:reserved") == 0 && sum_of("value", "segment", "reserved") == USD(3.2).nano);
    const int64_t january = USD(3).nano * JANUARY_HOURS / TERM_HOURS + USD(0.2).nano;
    CHECK(-books("revenue:reserved", 0, FEBRUARY) == january && nano(row_with("segment", "reserved"), "value") == january);
    /* Of 1.5 charged less 0.4 a quarter is lab's; 0.5 was promotional, 0.5 more of it went up front. */
    CHECK(sum("publisher") == USD(1.1).nano / 4);
    const int64_t net = sum("net"), gross = sum("gross"), cash = gross - USD(3.8).nano;
    CHECK(cash == USD(2.5 + 0.2 + 0.7 + 0.3 - 0.4).nano * 8 / 10);
    CHECK(ask(ledger_report_deferred, &q) && sum("recognised") == cash && nano(json_at(j, json_len(j) - 1), "closing") == USD(8).nano - cash);
    CHECK(ask(ledger_report_focus, &q) && sum("EffectiveCost") == cash && sum_of("ContractedCost", "SkuId", "reserved") == USD(3.2).nano);
    CHECK(ask(ledger_report_growth, &q) && nano(json_at(j, json_len(j) - 1), "revenue") == net);
    CHECK(ask(ledger_report_margin, &q) && sum("revenue") == net);
    q.group = "model,funding,scope";
    CHECK(ask(ledger_report_revenue, &q) && sum_of("publisher", "model", "m") == USD(1.1).nano / 4 && sum("net") == net);
    CHECK(sum_of("publisher", "funding", "promotional") == USD(0.5).nano / 4);
    struct err e = {0};
    struct buf out;
    buf_init(&out, 0);
    CHECK(ledger_report_credits(l, &out, &e) == 0);
    json_free(j), j = NULL;
    CHECK(json_parse(&j, out.data, out.len, &e) == 0 && sum("reserved") == USD(3.2).nano);
    for (size_t i = 0; i < json_len(j); i++) {
        const struct json *r = json_at(j, i);
        CHECK(nano(r, "granted") == nano(r, "used") + nano(r, "reserved") + nano(r, "expired") + nano(r, "voided") + nano(r, "outstanding"));
    }
    /* As a principal all of it is revenue, and the share a cost. */
    static const char text[] = "use paid any cash\nuse promotional any contra\nuse goodwill any contra\nuse investment any contra\n"
                               "product * any inference own ai\npublisher m principal\npublisher * agent\n";
    CHECK_MSG(ledger_policy_set(l, text, &(struct deed){.reason = "for a test"}, &out, &e) == 0, "%s", e.msg);
    q.group = NULL;
    CHECK(ask(ledger_report_revenue, &q) && sum("revenue") == gross && sum("net") == net && sum("gross") == gross);
    CHECK(ask(ledger_report_growth, &q) && nano(json_at(j, json_len(j) - 1), "revenue") == gross);
    CHECK(ask(ledger_report_margin, &q) && sum("revenue") == net);
    buf_deinit(&out);
    end();
}

/* Half a day after it was paid: 13 hours of 720 are earned, the rest is deferred, as value in the books and as cash in the report. */
TEST(what_is_paid_up_front_is_deferred)
{
    struct principal acme;
    struct business_query q = {0};
    now_us = NOON;
    l = open_at(dir_new());
    CHECK(l && account_with(l, "acme", USD(0), &acme) && price_now(l, "n", 1000000000, 1000000000) && price_now(l, "o", 1000000000, 1000000000));
    CHECK(grant(&acme, "promotional", USD(1), NULL, 0) && grant(&acme, "paid", USD(10), &USD(8), 0) && contracts(&acme));
    now_us = NOON + 12 * HOUR;
    CHECK(audit_now(l) == 0);
    const int64_t earned = USD(3).nano * 13 / TERM_HOURS, hourly = USD(0.13).nano;
    CHECK(-booked_at(l, "deferred:reserved") == USD(3).nano - earned && ask(ledger_report_revenue, &q) && sum("value") == earned + hourly);
    /* Promotional credit paid the first 1 of 3 and is earned first; the hours that are paid one by one come from what was paid for. */
    CHECK(sum("recognised") == hourly * 8 / 10 && sum("contra") == sum("value") - sum("recognised"));
    CHECK(ask(ledger_report_deferred, &q) && nano(json_at(j, 0), "closing") == USD(8).nano - hourly * 8 / 10);
    now_us = NOON + 300 * HOUR;
    CHECK(audit_now(l) == 0 && ask(ledger_report_revenue, &q) && sum_of("recognised", "segment", "reserved") > USD(0.2).nano);
    CHECK(sum("value") == -books("revenue:%", 0, INT64_MAX));
    end();
}

/* By a validator that knows the specification and nothing of us. */
static bool valid(void)
{
    struct buf csv;
    char path[128], command[256];
    bool ok = ask(ledger_report_focus, &(struct business_query){0}) && json_len(j) > 3;
    buf_init(&csv, 0);
    csv_rows(&csv, j);
    snprintf(path, sizeof path, "%s/focus.csv", test_dir);
    FILE *f = fopen(path, "w");
    ok = ok && f && fwrite(csv.data, 1, csv.len, f) == csv.len;
    ok = f && fclose(f) == 0 && ok;
    snprintf(command, sizeof command, "python3 tests/focus/validate.py %s", path);
    buf_deinit(&csv);
    return ok && system(command) == 0;
}

TEST(focus_is_valid)
{
    struct principal acme, lab;
    CHECK(start(&acme) && valid());
    end();
    CHECK(start_contracts(&acme, &lab) && valid());
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
                                        "expire paid later\n", "use paid moon cash\n", "use love any cash\n",
                                        "publisher m us\n",    "publisher a*b agent\n"};
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
