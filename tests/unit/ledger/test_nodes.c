/* Two nodes on one ledger, in one process: over PostgreSQL (make test-postgres); without it there is nothing to test. */
#include "ledger/share.h"
#include "lib.h"

static struct ledger *node[2];
static char dir[2][128];
static struct principal who;

static struct ledger *open_node(int i, const char *name)
{
    struct err e = {0};
    struct ledger *l = NULL;
    if (ledger_open(&l, &(struct ledger_opts){.dir = dir[i], .store = test_store, .node = name}, &e) < 0)
        printf("ledger_open: %s\n", e.msg);
    return l;
}

static bool start(int64_t credit)
{
    char cmd[500];
    dir_new();
    for (int i = 0; i < 2; i++)
        snprintf(dir[i], sizeof dir[i], "%s/%d", test_dir, i);
    node[0] = open_node(0, "one");
    snprintf(cmd, sizeof cmd, "mkdir -p %s && cp %s/secret %s/", dir[1], dir[0], dir[1]);
    if (!node[0] || system(cmd) != 0 || !account_with(node[0], "acme", (struct money){credit}, &who) || !price_now(node[0], "m", 1000000, 1000000))
        return false;
    return (node[1] = open_node(1, "two")) != NULL;
}

static bool stop(void)
{
    bool ok = audit_now(node[0]) == 0 && audit_now(node[1]) == 0;
    ledger_close(node[0]), ledger_close(node[1]);
    node[0] = node[1] = NULL;
    dir_drop();
    return ok;
}

enum { REQUESTS = 1000, THREADS = 20 };
static struct waiter waiters[REQUESTS];

static void ask_some(void *arg)
{
    for (int i = (int)(intptr_t)arg; i < REQUESTS; i += THREADS) {
        char request[32];
        snprintf(request, sizeof request, "r%d", i);
        ledger_hold(node[i % 2], &(struct hold_req){.who = who, .request = request, .model = "m", .revision = "", .input = 5, .output = 5}, waiter_fn,
                    &waiters[i]);
    }
}

TEST(a_thousand_at_once_on_credit_for_ten)
{
    CHECK(start(109)); /* ten times ten, and nine */
    struct thread t[THREADS] = {0};
    unsigned granted = 0, refused = 0, of[2] = {0};
    for (int i = 0; i < REQUESTS; i++)
        waiter_init(&waiters[i]);
    for (int i = 0; i < THREADS; i++)
        CHECK(thread_start(&t[i], "ask", ask_some, (void *)(intptr_t)i));
    for (int i = 0; i < THREADS; i++)
        thread_join(&t[i]);
    struct hold_answer a[REQUESTS];
    for (int i = 0; i < REQUESTS; i++) {
        a[i] = waiter_wait(&waiters[i]);
        granted += a[i].err.code == ERR_OK, refused += a[i].err.code == ERR_QUOTA;
        of[i % 2] += a[i].err.code == ERR_OK;
    }
    printf("granted %u: %u and %u by the two nodes\n", granted, of[0], of[1]);
    CHECK(granted == 10 && refused == REQUESTS - 10);
    for (int i = 0; i < REQUESTS; i++)
        CHECK(a[i].err.code || finish_now(node[i % 2], a[i].hold, 5, 5, NULL) == 0);
    struct err e;
    CHECK(queue_flush(node[0], &e) == 0 && queue_flush(node[1], &e) == 0);
    CHECK(stop());
}

static bool until(bool (*is)(void))
{
    for (int i = 0; i < 6000; i++) {
        if (is())
            return true;
        clock_sleep_ms(10);
    }
    return false;
}

static char key[LEDGER_KEY_MAX];
static bool second_knows(void)
{
    struct principal p;
    struct err e;
    return ledger_principal(node[1], str_of(key), &p, &e) == 0;
}
static bool second_knows_not(void)
{
    return !second_knows();
}
static bool second_has_a_price(void)
{
    return ledger_price_known(node[1], "new");
}

TEST(what_people_do_on_one_node_holds_on_the_other)
{
    CHECK(start(1000));
    struct err e;
    struct principal p;
    CHECK(ledger_key_create(node[0], who.org, "k", 0, NULL, key, &e) == 0 && until(second_knows));
    CHECK(ledger_principal(node[1], str_of(key), &p, &e) == 0 && memcmp(p.kv_salt, who.kv_salt, sizeof p.kv_salt) == 0);
    CHECK(ledger_key_revoke(node[0], p.public_id, &e) == 0 && until(second_knows_not));
    CHECK(price_now(node[0], "new", 2000000, 2000000) && until(second_has_a_price));
    /* Turn by turn: each sees what the other did, and ids do not meet. */
    for (int i = 0; i < 10; i++) {
        char request[16];
        struct ledger *l = node[i % 2];
        snprintf(request, sizeof request, "t%d", i);
        struct hold_answer h = hold_now(l, &who, request, "new", 1, 1);
        CHECK(h.err.code == ERR_OK && finish_now(l, h.hold, 1, 1, NULL) == 0 && queue_flush(l, &e) == 0);
        CHECK(ledger_grant_create(node[1 - i % 2], &(struct grant_new){.org = who.org, .amount = {10}, .scope = "any", .funding = "paid"}, NULL,
                                  &e) == 0);
    }
    struct rate_owner owner = {.account = "acme"};
    CHECK(ledger_rate_set(node[0], &owner, &(struct rate_texts){.requests = "1/minute"}, &e) == 0);
    CHECK(price_now(node[1], "later", 1, 1)); /* a transaction of the other: it has read the limit */
    CHECK(hold_now(node[1], &who, "limited-1", "m", 1, 1).err.code == ERR_RATE ||
          hold_now(node[1], &who, "limited-2", "m", 1, 1).err.code == ERR_RATE);
    CHECK(hold_now(node[0], &who, "t3", "m", 1, 1).err.code != ERR_OK); /* an id is used once among all */
    CHECK(stop());
}

TEST(one_name_one_node_and_one_secret)
{
    CHECK(start(1000));
    struct err e = {0};
    struct ledger *l = NULL;
    char third[128];
    snprintf(third, sizeof third, "%s/3", test_dir);
    CHECK(ledger_open(&l, &(struct ledger_opts){.dir = third, .store = test_store, .node = "one"}, &e) < 0 && e.code == ERR_CONFLICT &&
          strstr(e.msg, "--node"));
    CHECK(ledger_open(&l, &(struct ledger_opts){.dir = third, .store = test_store, .node = "three"}, &e) < 0 && e.code == ERR_CONFLICT &&
          strstr(e.msg, "secret"));
    CHECK(stop());
}

/* A node that dies with an open hold: its own start ends it by the journal. One that never comes back: another ends it. */
static bool nothing_held(void)
{
    int64_t held;
    (void)balance_now(node[1], &who, &held);
    return held == 0;
}

TEST(a_hold_of_a_node_that_went_away)
{
    CHECK(start(1000));
    struct err e = {0};
    struct hold_answer a = hold_now(node[0], &who, "back", "m", 10, 10);
    CHECK(a.err.code == ERR_OK && ledger_journal(node[0], &(struct journal_step){a.hold, {.input = 10, .output = 4}}, 1, &e) == 0);
    ledger_close(node[0]); /* with the hold open: as if it had been killed */
    CHECK((node[0] = open_node(0, "one")) != NULL && balance_now(node[0], &who, NULL) == 1000 - 14);
    CHECK(hold_now(node[0], &who, "never", "m", 10, 10).err.code == ERR_OK && queue_flush(node[1], &e) == 0);
    ledger_close(node[0]);
    struct hold_answer b = hold_now(node[1], &who, "now", "m", 1, 1); /* it has seen the other's */
    CHECK(b.err.code == ERR_OK && finish_now(node[1], b.hold, 1, 1, NULL) == 0);
    node[1]->hold_life_us = -25 * 24ll * 3600 * 1000000; /* others' time is over, an hour from now */
    node[1]->next_sweep_us = 0;
    CHECK(until(nothing_held));
    node[1]->hold_life_us = LEDGER_HOLD_LIFE_US;
    CHECK((node[0] = open_node(0, "one")) != NULL && balance_now(node[0], &who, NULL) == 1000 - 16);
    CHECK(stop());
}

int main(int argc, char **argv)
{
    if (!getenv("SLUICE_TEST_POSTGRES")) {
        printf("0 passed, 0 failed, 0 skipped\n"); /* make test-postgres has it */
        return 0;
    }
    return test_run(argc > 1 ? argv[1] : NULL);
}
