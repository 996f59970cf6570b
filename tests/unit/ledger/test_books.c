/* Thousands of random deeds and requests against a reference ledger of a hundred lines that knows grants, holds and accounts as plain sums and
 * nothing of rows, batches or the journal. After each operation every grant, balance and account of the provider is the reference's, and the
 * trial balance is zero; now and then the store is closed and opened, and audited. The clock is the test's, and sometimes goes back. */
#include "base/rng.h"
#include "credit.h"

/* ---- the reference ---- */

enum { ORGS = 3, GRANTS = 400, OPEN = 12, REQUESTS = 20000, MODELS = 2, PARTS = 64 };
enum { WAITS, LIVE, EXPIRED, EXPIRES, VOIDED, IS_VOIDED, UNAPPROVED }; /* as the ledger numbers them */
static const char *const fundings[] = {"promotional", "goodwill", "investment", "paid"},
                         *const scopes[] = {"any", "inference", "training", "embeddings"}, *const models[] = {"m", "n"};

static struct ref_grant {
    int org, scope, model /* -1: every one */, funding, priority, state;
    int64_t amount, left, held, begins, ends, cash;
} grants[GRANTS + 1];
static struct ref_hold {
    bool open;
    int org, scope, model, request, n_parts;
    int64_t amount;
    struct ref_part {
        int grant;
        int64_t n;
    } part[PARTS];
    struct hold_id id;
} holds[OPEN];
static struct ref_charge {
    int org, scope, n_parts;
    struct ref_part part[PARTS];
} charges[REQUESTS];
enum { CASH, REVENUE, EMBEDDINGS, CONTRA, BREAKAGE = CONTRA + 4, VOID = BREAKAGE + 4, ADJUST = VOID + 4, ACCOUNTS = ADJUST + 4 };
static int64_t account[ACCOUNTS]; /* debit positive */
static int n_grants, n_requests;
static int64_t limit, now;

static bool suits(const struct ref_grant *g, const struct ref_hold *h)
{
    return g->org == h->org && (g->scope == 0 || g->scope == h->scope) && (g->model < 0 || g->model == h->model);
}

static bool before(int a, int b)
{
    const struct ref_grant *x = &grants[a], *y = &grants[b];
    int64_t p[] = {x->model < 0, x->scope == 0, x->priority, x->ends ? x->ends : INT64_MAX, x->funding, a};
    int64_t q[] = {y->model < 0, y->scope == 0, y->priority, y->ends ? y->ends : INT64_MAX, y->funding, b};
    int i = 0;
    while (i < 5 && p[i] == q[i])
        i++;
    return p[i] < q[i];
}

/* The grants in their order, by insertion. */
static int in_order(int *out)
{
    for (int g = 1; g <= n_grants; g++) {
        int i = g - 1;
        for (; i > 0 && before(g, out[i - 1]); i--)
            out[i] = out[i - 1];
        out[i] = g;
    }
    return n_grants;
}

/* What no hold reserves of a grant that is over goes. */
static void end(struct ref_grant *g, bool expiry)
{
    account[(expiry ? BREAKAGE : VOID) + g->funding] -= g->left - g->held;
    g->left = g->held;
    g->state = g->held ? (expiry ? EXPIRES : IS_VOIDED) : expiry ? EXPIRED : VOIDED;
}

static void tick(int64_t to)
{
    now = to;
    atomic_store(&now_us, now);
    for (int i = 1; i <= n_grants; i++) {
        struct ref_grant *g = &grants[i];
        bool over = g->ends && g->ends <= now;
        if (g->state == UNAPPROVED && over)
            g->state = EXPIRED;
        else if ((g->state == WAITS || g->state == LIVE) && over)
            end(g, true);
        else if (g->state == WAITS && g->begins <= now)
            g->state = LIVE;
    }
}

static void book(struct ref_grant *g)
{
    account[CASH] += g->cash, account[CONTRA + g->funding] += g->amount - g->cash;
    g->left = g->amount;
    g->state = g->begins <= now ? LIVE : WAITS;
}

static int64_t free_of(const struct ref_grant *g)
{
    return g->left - g->held;
}

static bool place(struct ref_hold *h)
{
    int order[GRANTS], n = in_order(order);
    int64_t rest = h->amount;
    h->n_parts = 0;
    for (int i = 0; i < n && rest; i++) {
        struct ref_grant *g = &grants[order[i]];
        int64_t take = g->state == LIVE && suits(g, h) ? free_of(g) : 0;
        take = take < rest ? take : rest;
        if (take)
            h->part[h->n_parts++] = (struct ref_part){order[i], take};
        rest -= take;
    }
    for (int i = 0; i < h->n_parts && !rest; i++)
        grants[h->part[i].grant].held += h->part[i].n;
    return !rest;
}

static void capture(struct ref_hold *h, int64_t cost)
{
    int order[GRANTS], n = in_order(order);
    struct ref_charge *c = &charges[h->request];
    *c = (struct ref_charge){.org = h->org, .scope = h->scope};
    for (int i = 0; i < h->n_parts; i++)
        grants[h->part[i].grant].held -= h->part[i].n;
    account[h->scope == 3 ? EMBEDDINGS : REVENUE] -= cost;
    for (int i = 0; i < n && cost; i++) {
        struct ref_grant *g = &grants[order[i]];
        int64_t most = g->state == LIVE && suits(g, h) ? free_of(g) : 0;
        for (int k = 0; k < h->n_parts; k++)
            if (h->part[k].grant == order[i] && (g->state == EXPIRES || g->state == IS_VOIDED))
                most = h->part[k].n;
        int64_t take = most < cost ? most : cost;
        if (take)
            c->part[c->n_parts++] = (struct ref_part){order[i], take};
        g->left -= take, cost -= take;
    }
    for (int i = 1; i <= n_grants; i++)
        if (grants[i].state == EXPIRES || grants[i].state == IS_VOIDED)
            end(&grants[i], grants[i].state == EXPIRES);
    h->open = false;
}

/* ---- the courses ---- */

static struct ledger *l;
static struct principal who[ORGS];
static uint64_t seed, at;
static int64_t dice(int64_t n)
{
    return (int64_t)(rng_u64(seed, 0, at++, 0) % (uint64_t)n);
}
static const struct deed ann = {.actor = "ann", .reason = "a course"};
static struct err e;

static int64_t some_time(void)
{
    return now + (1 + dice(200)) * 1000000;
}

static bool do_grant(void)
{
    if (n_grants == GRANTS)
        return true;
    struct ref_grant g = {
        (int)dice(ORGS), (int)dice(4), dice(3) ? -1 : (int)dice(MODELS), (int)dice(4), (int)dice(3), UNAPPROVED, 1 + dice(3000), 0, 0, 0, 0, 0};
    g.begins = dice(4) ? 0 : some_time(), g.ends = dice(2) ? 0 : (g.begins ? g.begins : now) + (1 + dice(300)) * 1000000;
    g.cash = g.funding == 3 ? dice(g.amount + 1) : 0;
    const struct money cash = {g.cash};
    struct grant_new in = {.org = who[g.org].org,
                           .amount = {g.amount},
                           .scope = scopes[g.scope],
                           .models = g.model < 0 ? NULL : models[g.model],
                           .funding = fundings[g.funding],
                           .priority = g.priority,
                           .effective_us = g.begins,
                           .expires_us = g.ends,
                           .cash_received = &cash,
                           .by = ann};
    struct grant_id id;
    if (!g.begins)
        g.begins = now;
    grants[++n_grants] = g;
    if (limit < 0 || g.amount <= limit)
        book(&grants[n_grants]);
    return ledger_grant_create(l, &in, &id, &e) == 0 && id.v == n_grants;
}

static struct ref_grant *some_grant(struct grant_id *id)
{
    id->v = n_grants ? 1 + dice(n_grants) : 0;
    return n_grants ? &grants[id->v] : NULL;
}
static bool may(const struct ref_grant *g)
{
    return g->state == LIVE || g->state == WAITS;
}

static bool do_approve(void)
{
    struct grant_id id;
    struct ref_grant *g = some_grant(&id);
    const struct deed by = {.actor = dice(3) ? "bob" : "Ann"};
    if (!g)
        return true;
    bool ok = g->state == UNAPPROVED && by.actor[0] == 'b';
    if (ok)
        book(g);
    return (ledger_grant_approve(l, id, &by, NULL, &e) == 0) == ok;
}

static bool do_void(void)
{
    struct grant_id id;
    struct ref_grant *g = some_grant(&id);
    if (!g)
        return true;
    bool ok = g->state == UNAPPROVED || (may(g) && g->left);
    if (ok && g->state == UNAPPROVED)
        g->state = VOIDED;
    else if (ok)
        end(g, false);
    return (ledger_grant_void(l, id, &ann, NULL, &e) == 0) == ok;
}

static bool do_adjust(void)
{
    struct grant_id id;
    struct ref_grant *g = some_grant(&id);
    int64_t by = dice(2001) - 1000;
    if (!g)
        return true;
    bool ok = by && may(g) && by >= -free_of(g) && (by < 0 || limit < 0 || by <= limit);
    if (ok)
        g->left += by, account[ADJUST + g->funding] += by;
    return (ledger_grant_adjust(l, id, (struct money){by}, &ann, NULL, &e) == 0) == ok;
}

static bool do_transfer(void)
{
    struct grant_id id;
    struct ref_grant *g = some_grant(&id);
    int to = (int)dice(ORGS);
    int64_t n = dice(1000);
    if (!g || n_grants == GRANTS)
        return true;
    bool ok = n && may(g) && n <= free_of(g) && to != g->org;
    if (ok) {
        grants[++n_grants] = *g;
        struct ref_grant *made = &grants[n_grants];
        made->org = to, made->amount = made->left = n, made->held = 0;
        g->left -= n;
    }
    return (ledger_grant_transfer(l, id, who[to].org, (struct money){n}, &ann, NULL, &e) == 0) == ok;
}

static bool do_hold(void)
{
    struct ref_hold *h = &holds[dice(OPEN)];
    char request[32];
    struct waiter w;
    if (h->open || n_requests == REQUESTS)
        return true;
    *h =
        (struct ref_hold){.org = (int)dice(ORGS), .scope = dice(4) ? 1 : 3, .model = (int)dice(MODELS), .request = n_requests++, .amount = dice(800)};
    snprintf(request, sizeof request, "r%d", h->request);
    waiter_init(&w);
    ledger_hold(l,
                &(struct hold_req){
                    .who = who[h->org], .request = request, .model = models[h->model], .scope = scopes[h->scope], .input = (uint32_t)h->amount},
                waiter_fn, &w);
    struct hold_answer a = waiter_wait(&w);
    h->open = place(h), h->id = a.hold;
    return a.err.code == (h->open ? ERR_OK : ERR_QUOTA);
}

static bool do_finish(void)
{
    struct ref_hold *h = &holds[dice(OPEN)];
    struct bill bill;
    if (!h->open)
        return true;
    int64_t cost = dice(3) ? dice(h->amount + 1) : h->amount;
    if (finish_now(l, h->id, (uint32_t)cost, 0, &bill) < 0 || queue_flush(l, &e) < 0)
        return false;
    capture(h, cost);
    return bill.cost.nano == cost;
}

/* Twice with the same key: the second time nothing happens. */
static bool do_refund(void)
{
    char request[32], key[32];
    int r = n_requests ? (int)dice(n_requests) : 0;
    struct ref_charge *c = &charges[r];
    int64_t sum = 0, n = dice(300);
    snprintf(request, sizeof request, "r%d", r), snprintf(key, sizeof key, "%llu/%llu", (unsigned long long)seed, (unsigned long long)at);
    for (int i = 0; i < c->n_parts; i++)
        sum += c->part[i].n;
    bool ok = sum && n <= sum;
    int64_t rest = !ok ? 0 : n ? n : sum;
    account[c->scope == 3 ? EMBEDDINGS : REVENUE] += rest;
    for (int i = c->n_parts - 1; i >= 0; i--) {
        int64_t back = rest < c->part[i].n ? rest : c->part[i].n;
        struct ref_grant *g = &grants[c->part[i].grant];
        if (g->state == LIVE)
            g->left += back;
        else
            account[(g->state == EXPIRED || g->state == EXPIRES ? BREAKAGE : VOID) + g->funding] -= back;
        c->part[i].n -= back, rest -= back;
    }
    const struct deed by = {key, "ann", "a course"};
    const struct money m = {n};
    bool first = ledger_refund(l, request, n ? &m : NULL, &by, NULL, &e) == 0;
    return first == ok && (!ok || ledger_refund(l, request, n ? &m : NULL, &by, NULL, &e) == 0);
}

static bool do_limit(void)
{
    limit = dice(2) ? -1 : dice(3000);
    const struct money m = {limit};
    return ledger_grant_limit(l, limit < 0 ? NULL : &m, &ann, NULL, &e) == 0;
}

/* A restart ends what is open as a crash that cost nothing. */
static bool do_restart(void)
{
    ledger_close(l);
    for (int i = 0; i < OPEN; i++)
        if (holds[i].open)
            capture(&holds[i], 0);
    l = open_at(test_dir);
    return l && audit_now(l) == 0;
}

/* ---- the comparison ---- */

static int accounts_same(struct ledger *led, void *arg, struct err *err)
{
    static const char *const of[] = {"contra_revenue", "breakage", "void", "adjustment"};
    char code[64];
    int64_t sum = 0;
    bool *same = arg;
    for (int i = 0; i < ACCOUNTS; i++) {
        snprintf(code, sizeof code, "%s:%s", of[i < CONTRA ? 0 : (i - CONTRA) / 4], fundings[i < CONTRA ? 0 : (i - CONTRA) % 4]);
        struct booked b = {i == CASH ? "cash" : i == REVENUE ? "revenue:inference" : i == EMBEDDINGS ? "revenue:embeddings" : code, 0};
        int rc = booked_find(led, &b, err);
        if (rc < 0)
            return rc;
        sum += b.balance;
        if (b.balance != account[i])
            printf("%s has %lld, the reference %lld\n", b.code, (long long)b.balance, (long long)account[i]), *same = false;
    }
    for (int i = 1; i <= n_grants; i++) {
        const struct grant *g = led->grants.p[i - 1];
        if (g->remaining != grants[i].left || g->held != grants[i].held || (int)g->state != grants[i].state)
            printf("grant %d has %lld, %lld held, state %d, the reference %lld, %lld, %d\n", i, (long long)g->remaining, (long long)g->held,
                   (int)g->state, (long long)grants[i].left, (long long)grants[i].held, grants[i].state),
                *same = false;
        sum -= grants[i].left;
    }
    if (sum)
        printf("the trial balance is %lld\n", (long long)sum), *same = false;
    return 0;
}

static bool all_same(void)
{
    bool same = true;
    if (queue_call(l, accounts_same, &same, &e) < 0) /* first: what is due happens before it */
        return false;
    for (int o = 0; o < ORGS; o++) {
        int64_t free = 0, held = 0, has_held, has = balance_now(l, &who[o], &has_held);
        for (int i = 1; i <= n_grants; i++)
            if (grants[i].org == o && grants[i].state != WAITS)
                free += free_of(&grants[i]), held += grants[i].held;
        if (has != free || has_held != held)
            printf("account %d has %lld and %lld held, the reference %lld and %lld\n", o, (long long)has, (long long)has_held, (long long)free,
                   (long long)held),
                same = false;
    }
    return same;
}

static bool one(int64_t d)
{
    return d < 30   ? do_hold()
           : d < 58 ? do_finish()
           : d < 66 ? do_grant()
           : d < 70 ? do_approve()
           : d < 73 ? do_void()
           : d < 79 ? do_adjust()
           : d < 84 ? do_transfer()
           : d < 92 ? do_refund()
           : d < 93 ? do_limit()
           : d < 99 ? (tick(now + dice(20) * 1000000 - (dice(4) ? 0 : 10000000)), true)
                    : true;
}

static bool course(uint64_t s, int n)
{
    static const char *const names[ORGS] = {"a", "b", "c"};
    seed = s, at = 0, n_grants = n_requests = 0, limit = -1;
    memset(account, 0, sizeof account), memset(holds, 0, sizeof holds), memset(charges, 0, sizeof charges);
    tick(NOON);
    l = open_at(dir_new());
    bool ok = l && price_now(l, "m", 1000000, 1000000) && price_now(l, "n", 1000000, 1000000);
    for (int o = 0; o < ORGS; o++)
        ok = ok && account_with(l, names[o], (struct money){0}, &who[o]);
    for (int i = 0; ok && i < n; i++) {
        int64_t d = dice(100);
        ok = one(d) && all_same() && (i % (n / 4) || do_restart());
        if (!ok)
            printf("course %llu: operation %d (%lld) differs: %s\n", (unsigned long long)s, i, (long long)d, e.msg);
    }
    ok = ok && do_restart() && all_same();
    ledger_close(l);
    dir_drop();
    return ok;
}

/* BOOKS_OPERATIONS=100000: so many, in courses of a thousand; `make books`. */
TEST(many_thousand_operations)
{
    uint64_t n = 12000;
    const char *more = getenv("BOOKS_OPERATIONS");
    if (more)
        CHECK(str_u64(str_of(more), &n) && n >= 1000);
    for (uint64_t s = 1; s <= n / 1000; s++)
        CHECK_MSG(course(s, 1000), "seed %llu", (unsigned long long)s);
    printf("%llu operations\n", (unsigned long long)(n / 1000 * 1000));
    atomic_store(&now_us, 0);
}

TEST_MAIN()
