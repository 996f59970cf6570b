/* Random courses of operations against a model of some fifty lines that knows nothing of pools, journals or transactions; then the store is
 * opened again and must be the same. */
#include "base/json.h"
#include "base/rng.h"
#include "ledger/ledger_int.h"
#include "lib.h"

/* ---- the model: one account, grants as a list, holds as sums ---- */

enum { GRANTS = 40, HOLDS = 400 };
static struct {
    int64_t left, scope_own, priority, funding; /* funding: 0 promotional to 3 paid */
} grants[GRANTS];
static struct {
    bool open, exists;
    uint32_t in, out, seen;
    int64_t held, rate_in, rate_out;
    uint64_t id;
} holds[HOLDS];
static int n_grants, n_holds;
static int64_t rate_in, rate_out, charged_sum, budget; /* budget: of the one key, in all; -1: none */

static int64_t model_free(void)
{
    int64_t sum = 0;
    for (int i = 0; i < n_grants; i++)
        sum += grants[i].left;
    for (int i = 0; i < n_holds; i++)
        sum -= holds[i].open ? holds[i].held : 0;
    return sum;
}

/* What a hold may still reserve: of the account's credit, and of the key's budget. */
static bool model_may(int64_t want)
{
    int64_t held = 0;
    for (int i = 0; i < n_holds; i++)
        held += holds[i].open ? holds[i].held : 0;
    return want <= model_free() && (budget < 0 || want <= budget - charged_sum - held);
}

static int64_t cost(int64_t rin, int64_t rout, uint32_t in, uint32_t out)
{
    struct money a, b;
    return money_price(in, (struct money){rin}, &a) && money_price(out, (struct money){rout}, &b) ? a.nano + b.nano : INT64_MAX;
}

/* The grant that pays next: of own scope, lowest priority, cheapest funding, oldest. */
static int model_next(void)
{
    int best = -1;
    for (int i = 0; i < n_grants; i++) {
        if (!grants[i].left)
            continue;
        int64_t a = (1 - grants[i].scope_own) * 1000000 + grants[i].priority * 100 + grants[i].funding;
        int64_t b = best < 0 ? INT64_MAX : (1 - grants[best].scope_own) * 1000000 + grants[best].priority * 100 + grants[best].funding;
        if (a < b)
            best = i;
    }
    return best;
}

/* What a finish takes. Of several open holds each has reserved its part of the own-scope pool, which this model does not follow: each grant is
 * compared while one request is open at a time, the sum always. */
static void model_pay(int64_t amount)
{
    charged_sum += amount;
    while (amount) {
        int g = model_next();
        int64_t take = amount < grants[g].left ? amount : grants[g].left;
        grants[g].left -= take;
        amount -= take;
    }
}

/* ---- the courses ---- */

static struct ledger *l;
static struct principal who;
static uint64_t seed, at;
static uint32_t dice(uint32_t n)
{
    return (uint32_t)(rng_u64(seed, 0, at++, 0) % n);
}

static bool do_grant(void)
{
    static const char *fundings[] = {"promotional", "goodwill", "investment", "paid"};
    if (n_grants == GRANTS)
        return true;
    struct err e;
    int i = n_grants++;
    grants[i].left = 1 + dice(3000), grants[i].scope_own = dice(3) == 0, grants[i].priority = dice(4), grants[i].funding = dice(4);
    return ledger_grant_create(l,
                               &(struct grant_new){.org = who.org,
                                                   .amount = {grants[i].left},
                                                   .scope = grants[i].scope_own ? "inference" : "any",
                                                   .funding = fundings[grants[i].funding],
                                                   .priority = (int)grants[i].priority},
                               NULL, &e) == 0;
}

static bool do_hold(void)
{
    if (n_holds == HOLDS)
        return true;
    char request[32];
    int i = n_holds++;
    snprintf(request, sizeof request, "r%d", i);
    holds[i].in = dice(200), holds[i].out = dice(300), holds[i].rate_in = rate_in, holds[i].rate_out = rate_out;
    int64_t want = cost(rate_in, rate_out, holds[i].in, holds[i].out);
    bool ok = model_may(want), of_key = want <= model_free();
    struct hold_answer a = hold_now(l, &who, request, "m", holds[i].in, holds[i].out);
    holds[i].open = holds[i].exists = ok, holds[i].held = want, holds[i].id = a.hold.v;
    return a.err.code == (ok ? ERR_OK : ERR_QUOTA) && (ok ? a.held.nano == want : a.of_key == of_key) && a.balance.nano == model_free();
}

static int some_open(void)
{
    uint32_t from = n_holds ? dice((uint32_t)n_holds) : 0;
    for (uint32_t k = 0; k < (uint32_t)n_holds; k++) {
        int i = (int)((from + k) % (uint32_t)n_holds);
        if (holds[i].open)
            return i;
    }
    return -1;
}

static bool any_open(void)
{
    bool open = false;
    for (int i = 0; i < n_holds; i++)
        open |= holds[i].open;
    return open;
}

static bool do_more(void)
{
    int i = some_open();
    if (i < 0)
        return true;
    uint32_t more = dice(100);
    int64_t want = cost(holds[i].rate_in, holds[i].rate_out, holds[i].in, holds[i].out + more);
    bool ok = model_may(want - holds[i].held);
    struct hold_answer a = more_now(l, (struct hold_id){holds[i].id}, more);
    if (ok)
        holds[i].out += more, holds[i].held = want;
    return a.err.code == (ok ? ERR_OK : ERR_QUOTA) && a.held.nano == holds[i].held && a.balance.nano == model_free();
}

static bool do_step(void)
{
    int i = some_open();
    struct err e;
    if (i < 0)
        return true;
    if (holds[i].seen < holds[i].out)
        holds[i].seen += 1 + dice(holds[i].out - holds[i].seen);
    return ledger_journal(l, &(struct journal_step){{holds[i].id}, {.input = holds[i].in, .output = holds[i].seen}}, 1, &e) == 0;
}

static bool do_finish(void)
{
    int i = some_open();
    if (i < 0)
        return true;
    uint32_t out = holds[i].seen + (holds[i].out > holds[i].seen ? dice(holds[i].out - holds[i].seen + 1) : 0);
    struct bill bill;
    int64_t want = cost(holds[i].rate_in, holds[i].rate_out, holds[i].in, out);
    if (finish_now(l, (struct hold_id){holds[i].id}, holds[i].in, out, &bill) < 0)
        return false;
    holds[i].open = false;
    model_pay(want);
    return bill.cost.nano == want && bill.balance.nano == model_free();
}

static bool do_price(void)
{
    rate_in = dice(5) * 700000, rate_out = dice(7) * 900001;
    return price_now(l, "m", rate_in, rate_out);
}

/* The key's budget comes, changes and goes, also to less than was spent. */
static bool do_budget(void)
{
    struct err e;
    char text[MONEY_TEXT_MAX] = "none";
    budget = dice(4) ? charged_sum / 2 + dice(4000) : -1;
    if (budget >= 0)
        money_text(text, (struct money){budget});
    return ledger_key_set(l, who.public_id, &(struct key_limits){.budget = text}, &e) == 0;
}

/* A restart: open requests end as crash, for what was journaled. */
static bool do_restart(void)
{
    ledger_close(l);
    for (int i = 0; i < n_holds; i++)
        if (holds[i].open) {
            holds[i].open = false;
            model_pay(cost(holds[i].rate_in, holds[i].rate_out, holds[i].seen ? holds[i].in : 0, holds[i].seen));
        }
    l = open_at(test_dir);
    return l != NULL;
}

static bool grants_equal(void)
{
    struct err e;
    if (queue_flush(l, &e) < 0)
        return false;
    for (int i = 0; i < n_grants; i++)
        if (l->grants.p[i]->remaining != grants[i].left)
            return printf("grant %d has %lld, the model %lld\n", i + 1, (long long)l->grants.p[i]->remaining, (long long)grants[i].left), false;
    return true;
}

static bool course(uint64_t s, bool one_at_a_time)
{
    seed = s, at = 0, n_grants = n_holds = 0, charged_sum = 0, budget = -1;
    memset(holds, 0, sizeof holds);
    l = open_at(dir_new());
    bool ok = l && account_with(l, "acme", USD(0), &who) && do_price();
    for (int i = 0; ok && i < 600; i++) {
        uint32_t d = dice(100);
        if (one_at_a_time && d < 20 && any_open())
            continue;
        ok = d < 20   ? do_hold()
             : d < 30 ? do_more()
             : d < 60 ? do_step()
             : d < 90 ? do_finish()
             : d < 96 ? do_grant()
             : d < 97 ? do_price()
             : d < 98 ? do_budget()
                      : do_restart();
        if (!ok)
            printf("course %llu: operation %d (%u) differs\n", (unsigned long long)s, i, d);
        ok = ok && balance_now(l, &who, NULL) == model_free();
        if (ok && one_at_a_time && i % 20 == 0)
            ok = grants_equal();
    }
    ok = ok && do_restart() && balance_now(l, &who, NULL) == model_free() && audit_now(l) == 0 && (!one_at_a_time || grants_equal());
    struct buf out;
    struct json *j = NULL;
    struct err e;
    struct money spent = {-1};
    buf_init(&out, 0);
    ok = ok && ledger_report_accounts(l, &out, &e) == 0 && json_parse(&j, out.data, out.len, &e) == 0 &&
         money_parse(&spent, json_str(json_get(json_at(j, 0), "spent")), &e) == 0 && spent.nano == charged_sum;
    json_free(j);
    buf_deinit(&out);
    ledger_close(l);
    dir_drop();
    return ok;
}

TEST(many_open_at_once)
{
    for (uint64_t s = 1; s <= 12; s++)
        CHECK_MSG(course(s, false), "seed %llu", (unsigned long long)s);
}

TEST(one_open_at_a_time)
{
    for (uint64_t s = 101; s <= 112; s++)
        CHECK_MSG(course(s, true), "seed %llu", (unsigned long long)s);
}

TEST_MAIN()
