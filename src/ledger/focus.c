/* FOCUS 1.2 (FinOps Open Cost and Usage Specification): the charges of each day, project, model, price and meter, and the purchases of credit.
 *
 * Credit is bought before it is used, so that a purchase has the BilledCost (the cash) and no EffectiveCost, and use has the EffectiveCost (the part
 * of the cash that went with it) and no BilledCost; so has reserved capacity. ListCost is tokens times price; what a request was charged less than
 * that is not a charge of its own. */
#include "ledger/business.h"
#include "ledger/facts.h"
#include "ledger/price_int.h"

#include <stdio.h>
#include <string.h>

enum { COUNTERS = METER_REASONING + 1 };
struct rates_of {
    int64_t price;
    int64_t nano[METER_COUNT];
};
struct row { /* of the cube */
    int64_t day, org, project, model, price, refunded, list, contracted, tokens[COUNTERS];
    int scope;
};
struct cash_key {
    int64_t day, project, model, scope;
};
struct cash {
    int64_t used, back, list, shared; /* cash of use and of refunds; list of all rows of the key, and of those that were written */
};
struct focus {
    struct ledger *l;
    const struct business_query *q;
    struct facts facts;
    struct names projects;
    struct VEC(struct rates_of) rates;
    struct VEC(struct row) rows;
    struct VEC(struct cash) cash;
    struct map index; /* cash_key -> cash */
    int32_t from, to;
    struct jw w;
};

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "ledger: no memory for the export");
}

/* ---- rows ---- */

static int rate_row(void *arg, struct stmt *s, struct err *e)
{
    struct focus *f = arg;
    int64_t price = stmt_col_i64(s, 0);
    if (!f->rates.n || f->rates.p[f->rates.n - 1].price != price)
        if (!vec_push(&f->rates, ((struct rates_of){.price = price})))
            return no_memory(e);
    for (int m = 0; m < METER_COUNT; m++)
        if (str_eqz(stmt_col_str(s, 1), meters[m].name))
            f->rates.p[f->rates.n - 1].nano[m] = stmt_col_i64(s, 2);
    return 0;
}

static int cube_row(void *arg, struct stmt *s, struct err *e)
{
    struct focus *f = arg;
    struct row r = {.day = stmt_col_i64(s, 0) / 24,
                    .org = stmt_col_i64(s, 1),
                    .project = stmt_col_i64(s, 2),
                    .model = stmt_col_i64(s, 3),
                    .price = stmt_col_i64(s, 4),
                    .refunded = stmt_col_i64(s, 6)};
    while (r.scope < SCOPE_COUNT - 1 && !str_eqz(stmt_col_str(s, 5), scope_names[r.scope]))
        r.scope++;
    r.list = stmt_col_i64(s, 7), r.contracted = stmt_col_i64(s, 8);
    for (int m = 0; m < COUNTERS; m++)
        r.tokens[m] = stmt_col_i64(s, 9 + m);
    return vec_push(&f->rows, r) ? 0 : no_memory(e);
}

/* Nano-units for a million tokens of the counter; what was embedded has a meter of its own. */
static int64_t rate_of(const struct focus *f, const struct row *r, int counter)
{
    size_t lo = 0, hi = f->rates.n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (f->rates.p[mid].price < r->price)
            lo = mid + 1;
        else
            hi = mid;
    }
    int meter = r->scope == SCOPE_EMBEDDINGS && counter == METER_INPUT ? METER_EMBEDDING : counter;
    return lo < f->rates.n && f->rates.p[lo].price == r->price ? f->rates.p[lo].nano[meter] : 0;
}

static int64_t cost_of(const struct focus *f, const struct row *r, int counter)
{
    struct money cost = {0};
    (void)money_price((uint64_t)r->tokens[counter], (struct money){rate_of(f, r, counter)}, &cost);
    return cost.nano;
}

/* A figure at the contract's price, at the list price: by what all of the row costs at both. */
static int64_t at_list(const struct row *r, int64_t contracted)
{
    return r->list == r->contracted || !r->contracted ? contracted : (int64_t)((__int128)contracted * r->list / r->contracted);
}

static struct cash *cash_of(struct focus *f, int64_t day, int64_t project, int64_t model, int scope)
{
    struct cash_key k = {day, project, model, scope};
    struct str key = {(const char *)&k, sizeof k};
    union map_value v = {.u64 = f->cash.n};
    if (!map_get(&f->index, key, &v) && (!map_set(&f->index, key, v) || !vec_push(&f->cash, ((struct cash){0}))))
        return NULL;
    return &f->cash.p[v.u64];
}

static int cash_make(struct focus *f, struct err *e)
{
    for (size_t i = 0; i < f->facts.all.n; i++) {
        const struct fact *x = &f->facts.all.p[i];
        if (x->kind != FACT_USE || x->reserved)
            continue;
        struct cash *c = cash_of(f, x->day, x->project, x->model, x->scope);
        if (!c)
            return no_memory(e);
        *(x->value > 0 ? &c->used : &c->back) += x->cash;
    }
    for (size_t i = 0; i < f->rows.n; i++) {
        struct cash *c = cash_of(f, f->rows.p[i].day, f->rows.p[i].project, f->rows.p[i].model, f->rows.p[i].scope);
        if (!c)
            return no_memory(e);
        for (int m = 0; m < COUNTERS; m++)
            c->list += cost_of(f, &f->rows.p[i], m);
    }
    return 0;
}

/* ---- one charge ---- */

struct charge {
    int64_t day, org, project; /* project 0: none */
    const char *category, *frequency, *service, *subcategory, *unit, *meter;
    char sku[LEDGER_MODEL_MAX + 64], sku_price[LEDGER_MODEL_MAX + 96], text[LEDGER_MODEL_MAX + 160];
    int64_t billed, list, contracted, effective;
    int64_t quantity, quantity_unit; /* the quantity is quantity / quantity_unit */
    int64_t list_unit, contracted_unit;
    bool consumed;
};

static void time_put(struct jw *w, const char *key, int64_t day)
{
    struct date d = date_of(day);
    char text[64];
    snprintf(text, sizeof text, "%04d-%02d-%02dT00:00:00Z", d.year, d.month, d.day);
    jw_key(w, key), jw_str(w, text);
}

static void text_put(struct jw *w, const char *key, const char *z)
{
    jw_key(w, key), jw_str(w, z); /* NULL: null */
}

static int64_t month_day(int32_t month)
{
    return date_days((struct date){month / 12, month % 12 + 1, 1});
}

/* quantity / quantity_unit with all its decimals; the unit is a power of ten up to 10^9. */
static void quantity_put(struct jw *w, const char *key, int64_t quantity, int64_t unit)
{
    char text[MONEY_TEXT_MAX];
    money_text(text, (struct money){quantity * (MONEY_NANO / unit)});
    jw_key(w, key), jw_str(w, text);
}

static void charge_put(struct focus *f, const struct charge *c)
{
    static const char provider[] = "sluice";
    struct jw *w = &f->w;
    char account[32], project[32];
    int32_t month = month_of(c->day);
    snprintf(account, sizeof account, "account-%lld", (long long)c->org), snprintf(project, sizeof project, "project-%lld", (long long)c->project);
    jw_obj(w);
    report_money(w, "BilledCost", c->billed);
    text_put(w, "BillingAccountId", account), text_put(w, "BillingAccountName", names_get(&f->facts.orgs, c->org));
    text_put(w, "BillingCurrency", f->l->currency);
    time_put(w, "BillingPeriodStart", month_day(month)), time_put(w, "BillingPeriodEnd", month_day(month + 1));
    text_put(w, "ChargeCategory", c->category), text_put(w, "ChargeClass", NULL), text_put(w, "ChargeDescription", c->text);
    text_put(w, "ChargeFrequency", c->frequency);
    time_put(w, "ChargePeriodStart", c->day), time_put(w, "ChargePeriodEnd", c->day + 1);
    jw_key(w, "ConsumedQuantity"), c->consumed ? jw_i64(w, c->quantity) : jw_null(w);
    text_put(w, "ConsumedUnit", c->consumed ? "Tokens" : NULL);
    report_money(w, "ContractedCost", c->contracted), report_money(w, "ContractedUnitPrice", c->contracted_unit);
    report_money(w, "EffectiveCost", c->effective);
    text_put(w, "InvoiceIssuerName", provider);
    report_money(w, "ListCost", c->list), report_money(w, "ListUnitPrice", c->list_unit);
    text_put(w, "PricingCategory", "Standard"), quantity_put(w, "PricingQuantity", c->quantity, c->quantity_unit),
        text_put(w, "PricingUnit", c->unit);
    text_put(w, "ProviderName", provider), text_put(w, "PublisherName", provider);
    text_put(w, "ServiceCategory", "AI and Machine Learning"), text_put(w, "ServiceName", c->service),
        text_put(w, "ServiceSubcategory", c->subcategory);
    text_put(w, "SkuId", c->sku), text_put(w, "SkuMeter", c->meter), text_put(w, "SkuPriceId", c->sku_price);
    text_put(w, "SubAccountId", c->project ? project : NULL), text_put(w, "SubAccountName", c->project ? names_get(&f->projects, c->project) : NULL);
    jw_obj_end(w);
}

static void use_init(struct focus *f, struct charge *c, const struct row *r, const char *meter)
{
    static const char *const services[SCOPE_COUNT] = {"Inference", "Inference", "Training", "Embeddings", "Storage"};
    static const char *const subcategories[SCOPE_COUNT] = {"Generative AI", "Generative AI", "Machine Learning", "Natural Language Processing",
                                                           "Other (AI and Machine Learning)"};
    const char *model = names_get(&f->facts.models, r->model);
    *c = (struct charge){.day = r->day,
                         .org = r->org,
                         .project = r->project,
                         .category = "Usage",
                         .frequency = "Usage-Based",
                         .service = services[r->scope],
                         .subcategory = subcategories[r->scope],
                         .unit = "1000000 Tokens",
                         .meter = meter,
                         .quantity_unit = 1000000,
                         .consumed = true};
    (void)str_fmt(c->sku, sizeof c->sku, "%s/%s", model, meter);
    (void)str_fmt(c->sku_price, sizeof c->sku_price, "%s/%s/price-%lld", model, meter, (long long)r->price);
    (void)str_fmt(c->text, sizeof c->text, "%s: %s tokens of %s", c->service, meter, model);
}

static int use_put(struct focus *f, const struct row *r, struct err *e)
{
    struct cash *k = cash_of(f, r->day, r->project, r->model, r->scope);
    struct charge c;
    if (!k)
        return no_memory(e);
    for (int m = 0; m < COUNTERS; m++) {
        if (!r->tokens[m])
            continue;
        use_init(f, &c, r, meters[m].name);
        c.quantity = r->tokens[m], c.contracted = cost_of(f, r, m), c.contracted_unit = rate_of(f, r, m);
        c.list = at_list(r, c.contracted), c.list_unit = at_list(r, c.contracted_unit);
        /* The cash of the day's use by the list value of its rows: differences of rounded shares, which sum to the whole. */
        int64_t before = k->list ? (int64_t)((__int128)k->used * k->shared / k->list) : 0;
        k->shared += c.contracted;
        c.effective = k->list ? (int64_t)((__int128)k->used * k->shared / k->list) - before : 0;
        charge_put(f, &c);
    }
    if (r->refunded && k->back) {
        use_init(f, &c, r, "refund");
        c.effective = k->back, k->back = 0; /* once for the key */
        (void)str_fmt(c.text, sizeof c.text, "Refund of use of %s", names_get(&f->facts.models, r->model));
        charge_put(f, &c);
    }
    return 0;
}

static void purchase_put(struct focus *f, const struct fact *x)
{
    struct charge c = {.day = x->day,
                       .org = x->org,
                       .category = "Purchase",
                       .frequency = "One-Time",
                       .service = "Credits",
                       .subcategory = "Other (AI and Machine Learning)",
                       .unit = "Grants",
                       .meter = "credit",
                       .billed = x->cash,
                       .list = x->value,
                       .contracted = x->cash,
                       .quantity = 1,
                       .quantity_unit = 1,
                       .list_unit = x->value,
                       .contracted_unit = x->cash};
    (void)str_fmt(c.sku, sizeof c.sku, "credit"), (void)str_fmt(c.sku_price, sizeof c.sku_price, "credit/grant-%lld", (long long)x->grant);
    (void)str_fmt(c.text, sizeof c.text, "Credit bought ahead: grant %lld", (long long)x->grant);
    charge_put(f, &c);
}

/* Reserved capacity of a day, as far as a grant paid it; what was paid up front, by its hours. */
static void reserved_put(struct focus *f, const struct fact *x)
{
    struct charge c = {.day = x->day,
                       .org = x->org,
                       .category = "Purchase",
                       .frequency = "Recurring",
                       .service = "Reserved capacity",
                       .subcategory = "Generative AI",
                       .unit = "Days",
                       .meter = "reserved",
                       .list = x->value,
                       .contracted = x->value,
                       .effective = x->cash,
                       .quantity = 1,
                       .quantity_unit = 1,
                       .list_unit = x->value,
                       .contracted_unit = x->value};
    (void)str_fmt(c.sku, sizeof c.sku, "reserved"), (void)str_fmt(c.sku_price, sizeof c.sku_price, "reserved/grant-%lld", (long long)x->grant);
    (void)str_fmt(c.text, sizeof c.text, "Reserved capacity, from grant %lld", (long long)x->grant);
    charge_put(f, &c);
}

/* ---- all ---- */

static int read_all(struct focus *f, struct err *e)
{
    int rc = facts_read(&f->facts, f->l, f->q->policy, e);
    if (rc == 0)
        rc = names_read(&f->projects, f->l, SQL("SELECT id, name FROM project"), e);
    if (rc == 0)
        rc = report_each(f->l, SQL("SELECT price_id, meter, rate FROM price_rate WHERE from_tokens = 0 ORDER BY price_id, meter"), NULL, rate_row, f,
                         e);
    if (rc == 0)
        rc = report_each(
            f->l,
            SQL("SELECT slot, org_id, project_id, model_id, price_id, scope, CAST(sum(refunded) AS BIGINT), CAST(sum(list) AS BIGINT), "
                "CAST(sum(contracted) AS BIGINT), CAST(sum(input) AS BIGINT), "
                "CAST(sum(cache_read) AS BIGINT), CAST(sum(cache_write) AS BIGINT), CAST(sum(output) AS BIGINT), CAST(sum(reasoning) AS BIGINT) "
                "FROM usage_cube WHERE level = 1 GROUP BY slot, org_id, project_id, model_id, price_id, scope ORDER BY slot, org_id, "
                "project_id, model_id, price_id, scope"),
            NULL, cube_row, f, e);
    return rc;
}

static bool wanted(const struct focus *f, int64_t day, int64_t org)
{
    int32_t m = month_of(day);
    return m >= f->from && m < f->to && (!f->q->account || strcmp(names_get(&f->facts.orgs, org), f->q->account) == 0);
}

int ledger_report_focus(struct ledger *l, const struct business_query *q, struct buf *out, struct err *e)
{
    struct focus f = {.l = l, .q = q};
    struct org_id org;
    int rc = q->account ? ledger_account_find(l, q->account, &org, e) : 0;
    if (rc < 0 || (rc = report_begin(l, e)) < 0)
        return rc;
    names_init(&f.projects), map_init(&f.index), jw_init(&f.w, out);
    rc = read_all(&f, e);
    report_end(l);
    if (rc == 0 && (rc = months_read(q, &f.facts, &f.from, &f.to, e)) == 0)
        rc = cash_make(&f, e);
    jw_arr(&f.w);
    for (size_t i = 0; i < f.facts.all.n && rc == 0; i++) {
        const struct fact *x = &f.facts.all.p[i];
        if (!wanted(&f, x->day, x->org))
            continue;
        if (x->kind == FACT_RECEIVED)
            purchase_put(&f, x);
        else if (x->reserved)
            reserved_put(&f, x);
    }
    for (size_t i = 0; i < f.rows.n && rc == 0; i++)
        if (wanted(&f, f.rows.p[i].day, f.rows.p[i].org))
            rc = use_put(&f, &f.rows.p[i], e);
    jw_arr_end(&f.w);
    facts_deinit(&f.facts), names_deinit(&f.projects), map_deinit(&f.index);
    vec_deinit(&f.rates), vec_deinit(&f.rows), vec_deinit(&f.cash);
    return rc == 0 && out->failed ? err_set(e, ERR_NO_MEMORY, "ledger: the export is too large; narrow it with since and until") : rc;
}
