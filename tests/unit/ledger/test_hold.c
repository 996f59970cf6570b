/* Holds: what is refused and in which words, that a hold covers the bill, slices, and the race for the last money. */
#include "base/rng.h"
#include "ledger/ledger_int.h"
#include "lib.h"
#include "skip.h"

static struct ledger *l;
static struct principal who;

static bool start(int64_t credit_nano)
{
    l = open_at(dir_new());
    return l && account_with(l, "acme", (struct money){credit_nano}, &who) && price_now(l, "m", 1000000, 2000000); /* 1 and 2 nano a token */
}

static void end(void)
{
    ledger_close(l);
    dir_drop();
}

TEST(no_price_is_refused)
{
    CHECK(start(1000));
    struct hold_answer a = hold_now(l, &who, "r1", "unpriced", 1, 1);
    CHECK(a.err.code == ERR_NO_PRICE && strstr(a.err.msg, "unpriced") && strstr(a.err.msg, "price set") && a.hold.v == 0);
    CHECK(!ledger_price_known(l, "unpriced") && ledger_price_known(l, "m"));
    CHECK(hold_now(l, &who, "r1", "m", 1, 1).err.code == ERR_OK); /* the id was not used up */
    end();
}

TEST(no_credit_names_balance_estimate_and_mend)
{
    CHECK(start(12345678900)); /* 12.3456789 */
    struct hold_answer a = hold_now(l, &who, "r1", "m", 0, 4000000000u);
    CHECK(a.err.code == ERR_OK && a.held.nano == 8000000000);
    a = hold_now(l, &who, "r2", "m", 1000000000, 2000000000);
    CHECK(a.err.code == ERR_QUOTA && a.balance.nano == 4345678900 && a.hold.v == 0);
    CHECK_MSG(strstr(a.err.msg, "4.3456789 USD") && strstr(a.err.msg, "5.00 USD") && strstr(a.err.msg, "acme") && strstr(a.err.msg, "grant create"),
              "%s", a.err.msg);
    CHECK(audit_now(l) == 0);
    end();
}

TEST(a_request_id_is_used_once)
{
    CHECK(start(1000));
    struct hold_answer a = hold_now(l, &who, "r1", "m", 10, 10), b = hold_now(l, &who, "r1", "m", 10, 10);
    CHECK(a.err.code == ERR_OK && b.err.code == ERR_CONFLICT && strstr(b.err.msg, "r1"));
    CHECK(finish_now(l, a.hold, 10, 10, NULL) == 0);
    b = hold_now(l, &who, "r1", "m", 10, 10);
    CHECK(b.err.code == ERR_CONFLICT && balance_now(l, &who, NULL) == 970);
    CHECK(audit_now(l) == 0);
    end();
}

TEST(bad_requests_are_refused)
{
    CHECK(start(1000));
    char longer[600];
    memset(longer, 'x', sizeof longer);
    longer[599] = 0;
    CHECK(hold_now(l, &who, "", "m", 1, 1).err.code == ERR_BAD_VALUE && hold_now(l, &who, longer, "m", 1, 1).err.code == ERR_BAD_VALUE);
    CHECK(hold_now(l, &who, "r", longer, 1, 1).err.code == ERR_BAD_VALUE);
    struct principal nobody = {.org = {77}};
    CHECK(hold_now(l, &nobody, "r", "m", 1, 1).err.code == ERR_AUTH);
    CHECK(more_now(l, (struct hold_id){99}, 1).err.code == ERR_NOT_FOUND && finish_now(l, (struct hold_id){99}, 1, 1, NULL) < 0);
    CHECK(hold_now(l, &who, "r", "m", UINT32_MAX, UINT32_MAX).err.code == ERR_QUOTA);
    CHECK(audit_now(l) == 0);
    end();
}

TEST(slices_add_up_to_the_bill)
{
    CHECK(start(1000000) && price_now(l, "odd", 333333, 777777));
    for (uint32_t k = 0; k < 40; k++) {
        char request[32];
        snprintf(request, sizeof request, "r%u", k);
        struct hold_answer a = hold_now(l, &who, request, "odd", k, 1);
        CHECK(a.err.code == ERR_OK);
        uint32_t total = 1;
        for (uint32_t i = 0; i < k; i++) {
            a = more_now(l, a.hold, i % 3 + 1);
            total += i % 3 + 1;
            CHECK(a.err.code == ERR_OK);
        }
        struct money in, out;
        struct bill bill;
        CHECK(money_price(k, (struct money){333333}, &in) && money_price(total, (struct money){777777}, &out));
        CHECK(a.held.nano == in.nano + out.nano);
        CHECK(finish_now(l, a.hold, k, total, &bill) == 0 && bill.cost.nano == a.held.nano);
    }
    CHECK(audit_now(l) == 0);
    end();
}

TEST(a_slice_that_is_refused_leaves_the_hold)
{
    CHECK(start(100));
    struct hold_answer a = hold_now(l, &who, "r", "m", 10, 40), b;
    CHECK(a.err.code == ERR_OK && a.balance.nano == 10);
    b = more_now(l, a.hold, 6);
    CHECK(b.err.code == ERR_QUOTA && b.balance.nano == 10 && b.held.nano == 90);
    b = more_now(l, a.hold, 5);
    CHECK(b.err.code == ERR_OK && b.balance.nano == 0 && b.held.nano == 100);
    struct bill bill;
    CHECK(finish_now(l, a.hold, 10, 45, &bill) == 0 && bill.cost.nano == 100 && bill.balance.nano == 0);
    CHECK(more_now(l, a.hold, 1).err.code == ERR_NOT_FOUND);
    CHECK(audit_now(l) == 0);
    end();
}

/* However the counters fall, a bill is never more than its hold, and is the list price but for the last nano-units of a split. */
TEST(the_charge_never_passes_the_hold)
{
    struct err e;
    CHECK(start(1000000000));
    CHECK(ledger_price_set(
              l,
              &(struct price_new){
                  .model = "split", .input = {1500000}, .cache_read = {600000}, .cache_write = {1700000}, .output = {600000}, .reasoning = {2600000}},
              NULL, &e) == 0);
    for (uint64_t i = 0; i < 300; i++) {
        uint32_t r[6];
        for (uint32_t k = 0; k < 6; k++)
            r[k] = (uint32_t)(rng_u64(3, k, i, 0) % 40);
        char request[32];
        snprintf(request, sizeof request, "r%llu", (unsigned long long)i);
        struct hold_answer a = hold_now(l, &who, request, "split", r[0] + r[1] + r[2], r[3] + r[4]);
        struct usage_counts c = {r[0], r[1], r[2], r[3], r[4], r[5]};
        struct bill bill;
        CHECK(a.err.code == ERR_OK);
        CHECK(ledger_finish(l, &(struct finish_req){.hold = a.hold, .counts = c, .reason = FINISH_STOP}, &bill, &e) == 0);
        struct quantities q;
        quantities_of(&q, SCOPE_INFERENCE, &c);
        int64_t list = price_list(&(struct price){.n_steps = 1, .step = {{0, {1500000, 600000, 1700000, 600000, 2600000}}}}, &q);
        CHECK(bill.cost.nano <= a.held.nano && bill.cost.nano <= list && bill.cost.nano >= list - 3);
    }
    CHECK(audit_now(l) == 0);
    end();
}

TEST(a_hold_is_for_the_dearest_meter)
{
    struct err e;
    const int64_t rates[3][5] = {
        {1000000, 5000000, 2000000, 1000000, 1000000}, {1000000, 2000000, 5000000, 1000000, 1000000}, {1000000, 0, 0, 1000000, 5000000}};
    const char *const names[] = {"read", "write", "reason"};
    const struct usage_counts c[] = {{.cache_read = 10}, {.cache_write = 10}, {.reasoning = 10}};
    CHECK(start(1000));
    for (int i = 0; i < 3; i++) {
        struct bill bill;
        const int64_t *r = rates[i];
        const struct price_new p = {
            .model = names[i], .input = {r[0]}, .cache_read = {r[1]}, .cache_write = {r[2]}, .output = {r[3]}, .reasoning = {r[4]}};
        CHECK(ledger_price_set(l, &p, NULL, &e) == 0);
        struct hold_answer a = hold_now(l, &who, names[i], names[i], i < 2 ? 10 : 0, i < 2 ? 0 : 10);
        CHECK(a.err.code == ERR_OK && a.held.nano == 50);
        CHECK(ledger_finish(l, &(struct finish_req){.hold = a.hold, .counts = c[i], .reason = FINISH_STOP}, &bill, &e) == 0 && bill.cost.nano == 50);
    }
    CHECK(audit_now(l) == 0);
    end();
}

TEST(more_than_was_held_is_never_charged)
{
    CHECK(start(1000));
    struct hold_answer a = hold_now(l, &who, "r", "m", 10, 10);
    struct bill bill;
    CHECK(a.held.nano == 30 && finish_now(l, a.hold, 10, 4000, &bill) == 0 && bill.cost.nano == 30 && bill.balance.nano == 970);
    CHECK(audit_now(l) == 0);
    end();
}

TEST(counts_never_go_back)
{
    CHECK(start(1000));
    struct err e;
    struct bill bill;
    struct hold_answer a = hold_now(l, &who, "r", "m", 10, 10);
    CHECK(ledger_journal(l, &(struct journal_step){a.hold, {.input = 10, .output = 7}}, 1, &e) == 0);
    CHECK(finish_now(l, a.hold, 10, 3, &bill) == 0 && bill.cost.nano == 10 + 14);
    CHECK(ledger_journal(l, &(struct journal_step){a.hold, {.input = 10, .output = 9}}, 1, &e) == 0); /* late: free */
    CHECK(audit_now(l) == 0);
    end();
}

TEST(a_free_model_needs_no_credit)
{
    CHECK(start(0) && price_now(l, "free", 0, 0));
    struct hold_answer a = hold_now(l, &who, "r", "free", 100, 100);
    struct bill bill;
    CHECK(a.err.code == ERR_OK && a.held.nano == 0 && finish_now(l, a.hold, 100, 100, &bill) == 0 && bill.cost.nano == 0);
    CHECK(hold_now(l, &who, "s", "m", 1, 0).err.code == ERR_QUOTA && audit_now(l) == 0);
    end();
}

TEST(a_price_change_leaves_open_holds)
{
    CHECK(start(1000));
    struct hold_answer a = hold_now(l, &who, "r", "m", 10, 10), b;
    CHECK(price_now(l, "m", 5000000, 5000000));
    b = more_now(l, a.hold, 10);
    CHECK(b.err.code == ERR_OK && b.held.nano == 50 && b.price.v == a.price.v);
    CHECK(hold_now(l, &who, "s", "m", 1, 1).held.nano == 10);
    struct bill bill;
    CHECK(finish_now(l, a.hold, 10, 20, &bill) == 0 && bill.cost.nano == 50 && audit_now(l) == 0);
    end();
}

TEST(two_processes_on_one_store)
{
    CHECK(start(1000));
    struct ledger *second;
    struct err e = {0};
    CHECK(ledger_open(&second, &(struct ledger_opts){.dir = test_dir}, &e) < 0 && e.code == ERR_CONFLICT && strstr(e.msg, "--data"));
    end();
    CHECK(!second);
}

TEST(a_store_keeps_its_currency)
{
    struct err e = {0};
    CHECK(ledger_open(&l, &(struct ledger_opts){.dir = dir_new(), .currency = "EUR"}, &e) == 0 && strcmp(ledger_currency(l), "EUR") == 0);
    ledger_close(l);
    CHECK(ledger_open(&l, &(struct ledger_opts){.dir = test_dir, .currency = "USD"}, &e) < 0 && e.code == ERR_CONFLICT && strstr(e.msg, "EUR"));
    CHECK(ledger_open(&l, &(struct ledger_opts){.dir = test_dir}, &e) == 0 && strcmp(ledger_currency(l), "EUR") == 0);
    end();
}

TEST(an_open_hold_past_its_life_is_finished)
{
    CHECK(start(1000));
    struct err e;
    struct hold_answer a = hold_now(l, &who, "r", "m", 10, 10);
    CHECK(ledger_journal(l, &(struct journal_step){a.hold, {.input = 10, .output = 1}}, 1, &e) == 0);
    int64_t held = 0;
    minutes_pass(23 * 60);
    CHECK(queue_flush(l, &e) == 0 && queue_flush(l, &e) == 0 && balance_now(l, &who, &held) >= 0 && held == 30);
    minutes_pass(2 * 60);
    CHECK(queue_flush(l, &e) == 0 && queue_flush(l, &e) == 0); /* the first finds it, the second is behind its end */
    balance_now(l, &who, &held);
    CHECK(held == 0 && balance_now(l, &who, NULL) == 988 && audit_now(l) == 0);
    CHECK(finish_now(l, a.hold, 10, 1, NULL) < 0);
    end();
}

/* ---- the race: 200 threads, 1,000 requests, money for ten ---- */

enum { THREADS = 200, EACH = 5 };
static atomic_int admitted, refused, other;

static void racer(void *arg)
{
    for (int i = 0; i < EACH; i++) {
        char request[32];
        snprintf(request, sizeof request, "t%d-%d", (int)(intptr_t)arg, i);
        struct hold_answer a = hold_now(l, &who, request, "m", 10, 20);
        atomic_fetch_add(a.err.code == ERR_OK ? &admitted : a.err.code == ERR_QUOTA ? &refused : &other, 1);
    }
}

TEST(money_for_ten_admits_ten)
{
    CHECK(start(10 * 50 + 49));
    static struct thread t[THREADS];
    for (int round = 0; round < 2; round++) {
        atomic_store(&admitted, 0), atomic_store(&refused, 0);
        for (intptr_t i = 0; i < THREADS; i++)
            CHECK(thread_start(&t[i], "racer", racer, (void *)i));
        for (int i = 0; i < THREADS; i++)
            thread_join(&t[i]);
        if (round == 0) {
            CHECK_MSG(atomic_load(&admitted) == 10 && atomic_load(&refused) == THREADS * EACH - 10 && atomic_load(&other) == 0,
                      "%d admitted, %d refused", atomic_load(&admitted), atomic_load(&refused));
            int64_t held;
            CHECK(balance_now(l, &who, &held) == 49 && held == 500 && audit_now(l) == 0);
        }
    }
    CHECK(atomic_load(&admitted) == 0); /* nothing was finished: nothing more is admitted */
    end();
}

/* Holds and finishes at once: the balance never goes below zero and the sum comes out. */
static atomic_llong spent;
static void spender(void *arg)
{
    for (int i = 0; i < 25; i++) {
        char request[32];
        snprintf(request, sizeof request, "s%d-%d", (int)(intptr_t)arg, i);
        struct hold_answer a = hold_now(l, &who, request, "m", 10, 20);
        if (a.err.code)
            continue;
        struct bill bill;
        struct err e;
        (void)!ledger_journal(l, &(struct journal_step){a.hold, {.input = 10, .output = 3}}, 1, &e);
        if (balance_now(l, &who, NULL) < 0 || finish_now(l, a.hold, 10, (uint32_t)(i % 20), &bill) < 0 || bill.balance.nano < 0)
            atomic_fetch_add(&other, 1);
        else
            atomic_fetch_add(&spent, bill.cost.nano);
    }
}

TEST(holds_and_finishes_together)
{
    CHECK(start(20000));
    static struct thread t[40];
    atomic_store(&other, 0), atomic_store(&spent, 0);
    for (intptr_t i = 0; i < 40; i++)
        CHECK(thread_start(&t[i], "spender", spender, (void *)i));
    for (int i = 0; i < 40; i++)
        thread_join(&t[i]);
    int64_t held;
    CHECK(atomic_load(&other) == 0 && balance_now(l, &who, &held) == 20000 - atomic_load(&spent) && held == 0 && audit_now(l) == 0);
    end();
}

TEST_MAIN()
