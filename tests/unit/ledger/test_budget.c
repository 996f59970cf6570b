/* A key's budget: never overspent, however many ask at once; trued up; by month; exact after restarts; and the account's credit beside it. */
#include "ledger/ledger_int.h"
#include "lib.h"

static struct ledger *l;
static struct principal who;

/* A key with a budget, on an account with much more credit; 1 and 2 nano-units a token. */
static bool start(const char *budget)
{
    struct err e = {0};
    l = open_at(dir_new());
    bool ok = l && account_with(l, "acme", USD(1), &who) && price_now(l, "m", 1000000, 2000000);
    if (ok && ledger_key_set(l, who.public_id, &(struct key_limits){.budget = budget}, &e) < 0)
        return printf("key set: %s\n", e.msg), false;
    return ok;
}

static void end(void)
{
    CHECK(audit_now(l) == 0);
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && audit_now(l) == 0);
    ledger_close(l);
    dir_drop();
}

static int64_t left(void)
{
    struct money m;
    struct err e;
    if (queue_flush(l, &e) < 0)
        return -2;
    return ledger_key_budget(l, who.key, &m) ? m.nano : -1;
}

static int set(const char *budget, struct err *e)
{
    return ledger_key_set(l, who.public_id, &(struct key_limits){.budget = budget}, e);
}

TEST(refused_in_words_that_name_key_and_mend)
{
    CHECK(start("0.00000003")); /* 30 */
    struct hold_answer a = hold_now(l, &who, "r1", "m", 10, 10), b;
    CHECK(a.err.code == ERR_OK && a.held.nano == 30 && left() == 0);
    b = hold_now(l, &who, "r2", "m", 1, 0);
    CHECK(b.err.code == ERR_QUOTA && b.of_key && b.hold.v == 0 && b.balance.nano == 1000000000 - 30);
    CHECK_MSG(strstr(b.err.msg, who.public_id) && strstr(b.err.msg, "0.00 USD left of its budget of 0.00000003") && strstr(b.err.msg, "key set"),
              "%s", b.err.msg);
    CHECK(finish_now(l, a.hold, 10, 5, NULL) == 0 && left() == 10); /* 20 were spent */
    CHECK(hold_now(l, &who, "r2", "m", 11, 0).err.code == ERR_QUOTA);
    a = hold_now(l, &who, "r2", "m", 0, 5); /* the refused id was not used up */
    CHECK(a.err.code == ERR_OK && left() == 0);
    CHECK(hold_now(l, &who, "r2", "m", 0, 0).err.code == ERR_CONFLICT && left() == 0);
    CHECK(finish_now(l, a.hold, 0, 0, NULL) == 0 && left() == 10);
    CHECK(hold_now(l, &who, "r2", "m", 0, 5).err.code == ERR_CONFLICT && left() == 10); /* what was reserved for it is given back */
    int64_t held;
    CHECK(balance_now(l, &who, &held) == 1000000000 - 20 && held == 0);
    end();
}

TEST(lack_of_credit_says_credit_and_takes_nothing_of_the_budget)
{
    CHECK(start("100"));
    struct hold_answer a = hold_now(l, &who, "r", "m", 0, 600000000);
    CHECK(a.err.code == ERR_QUOTA && !a.of_key && strstr(a.err.msg, "grant create") && left() == 100 * 1000000000ll);
    end();
}

TEST(a_slice_is_refused_by_the_budget_and_the_hold_stays)
{
    CHECK(start("0.0000001")); /* 100 */
    struct hold_answer a = hold_now(l, &who, "r", "m", 10, 40), b;
    CHECK(a.err.code == ERR_OK && left() == 10);
    b = more_now(l, a.hold, 6);
    CHECK(b.err.code == ERR_QUOTA && b.of_key && b.held.nano == 90 && b.balance.nano == 1000000000 - 90 && left() == 10);
    b = more_now(l, a.hold, 5);
    CHECK(b.err.code == ERR_OK && b.held.nano == 100 && left() == 0);
    struct bill bill;
    CHECK(finish_now(l, a.hold, 10, 44, &bill) == 0 && bill.cost.nano == 98 && left() == 2);
    end();
}

TEST(more_than_was_held_is_given_away_and_not_counted)
{
    CHECK(start("0.0000001"));
    struct hold_answer a = hold_now(l, &who, "r", "m", 10, 5);
    struct bill bill;
    CHECK(a.err.code == ERR_OK && finish_now(l, a.hold, 10, 50, &bill) == 0 && bill.cost.nano == 20 && left() == 80);
    end();
}

/* ---- the race: 200 threads, 1,000 requests, a budget for ten ---- */

enum { THREADS = 200, EACH = 5, TEN = 10 };
static atomic_int granted, refused;
static atomic_ullong kept[TEN];

static void racer(void *arg)
{
    for (int i = 0; i < EACH; i++) {
        char request[32];
        snprintf(request, sizeof request, "r%zu", (size_t)arg * EACH + (size_t)i);
        struct hold_answer a = hold_now(l, &who, request, "m", 20, 40);
        int n = a.err.code == ERR_OK ? atomic_fetch_add(&granted, 1) : -1;
        if (n >= 0 && n < TEN)
            atomic_store(&kept[n], a.hold.v);
        if (a.err.code == ERR_QUOTA && a.of_key)
            atomic_fetch_add(&refused, 1);
    }
}

TEST(a_thousand_at_once_on_a_budget_for_ten)
{
    static struct thread t[THREADS];
    CHECK(start("0.000001/month"));
    atomic_store(&granted, 0), atomic_store(&refused, 0);
    for (size_t i = 0; i < THREADS; i++)
        CHECK(thread_start(&t[i], "racer", racer, (void *)i));
    for (size_t i = 0; i < THREADS; i++)
        thread_join(&t[i]);
    CHECK(atomic_load(&granted) == TEN && atomic_load(&refused) == THREADS * EACH - TEN && left() == 0);
    for (int i = 0; i < TEN; i++)
        CHECK(finish_now(l, (struct hold_id){atomic_load(&kept[i])}, 20, 30, NULL) == 0);
    CHECK(left() == TEN * 20);
    end();
}

/* ---- months ---- */

/* Everything so far began 40 days earlier: in a month before. */
static int age(struct ledger *led, void *arg, struct err *e)
{
    (void)arg;
    size_t it = 0;
    struct str k;
    union map_value v;
    while (map_next(&led->holds, &it, &k, &v))
        ((struct hold *)v.ptr)->created_us -= 40 * 86400000000ll;
    int rc = db_exec(led->db,
                     SQL("UPDATE hold SET created_us = created_us - 3456000000000; UPDATE key_spend SET month = (SELECT " MONTH_OF(
                         "h.created_us") " FROM hold h LIMIT 1)"),
                     e);
    struct key *key = key_by_id(led, who.key.v);
    return rc < 0 ? rc : budget_view(led, key, e);
}

TEST(a_month_begins_anew_and_an_old_request_counts_in_its_own)
{
    CHECK(start("0.0000001/month"));
    struct err e;
    struct hold_answer done = hold_now(l, &who, "done", "m", 20, 0), open = hold_now(l, &who, "open", "m", 50, 10), b;
    CHECK(done.err.code == ERR_OK && open.err.code == ERR_OK && finish_now(l, done.hold, 20, 0, NULL) == 0 && left() == 10);
    CHECK(queue_call(l, age, NULL, &e) == 0);
    CHECK(left() == 100 && audit_now(l) == 0);
    b = more_now(l, open.hold, 6);
    CHECK(b.err.code == ERR_QUOTA && b.of_key); /* 90 of 100 are gone in its month */
    CHECK(more_now(l, open.hold, 5).err.code == ERR_OK && left() == 100);
    struct hold_answer fresh = hold_now(l, &who, "fresh", "m", 0, 50);
    CHECK(fresh.err.code == ERR_OK && left() == 0 && hold_now(l, &who, "more", "m", 1, 0).err.code == ERR_QUOTA);
    CHECK(finish_now(l, open.hold, 50, 15, NULL) == 0 && left() == 0);
    CHECK(set("0.0000002", &e) == 0 && left() == 200 - 20 - 80 - 100); /* in all: both months */
    CHECK(set("0.00000015/month", &e) == 0 && left() == 50);
    CHECK(finish_now(l, fresh.hold, 0, 1, NULL) == 0 && left() == 148);
    end();
}

TEST(the_figure_of_a_month_that_is_over_is_not_shown)
{
    CHECK(start("0.0000001/month"));
    CHECK(hold_now(l, &who, "r", "m", 40, 0).err.code == ERR_OK && left() == 60);
    struct key *k = key_by_id(l, who.key.v);
    k->renews_us = clock_now_us() - 1; /* as if the month had ended since */
    CHECK(left() == 100);
    CHECK(hold_now(l, &who, "r2", "m", 1, 0).err.code == ERR_OK && k->renews_us > clock_now_us() &&
          k->renews_us < clock_now_us() + 32 * 86400000000ll);
    CHECK(left() == 59);
    end();
}

/* ---- setting and keeping ---- */

TEST(a_first_budget_counts_all_that_was_spent_and_is_held)
{
    CHECK(start("none"));
    struct err e;
    struct hold_answer a = hold_now(l, &who, "a", "m", 10, 10), b = hold_now(l, &who, "b", "m", 5, 5);
    CHECK(finish_now(l, a.hold, 10, 1, NULL) == 0 && left() == -1);
    CHECK(set("0.00000002", &e) == 0 && left() == 0 && audit_now(l) == 0); /* 12 spent, 15 held of 20 */
    CHECK(hold_now(l, &who, "c", "m", 1, 0).err.code == ERR_QUOTA);
    CHECK(finish_now(l, b.hold, 5, 0, NULL) == 0 && left() == 3);
    CHECK(set("0.00000001", &e) == 0 && left() == 0 && hold_now(l, &who, "c", "m", 0, 1).err.code == ERR_QUOTA); /* below what is spent */
    CHECK(set("0.00000003", &e) == 0 && left() == 13 && hold_now(l, &who, "c", "m", 0, 1).err.code == ERR_OK && left() == 11);
    CHECK(set("none", &e) == 0 && left() == -1 && hold_now(l, &who, "d", "m", 0, 1000).err.code == ERR_OK && audit_now(l) == 0);
    CHECK(set("0.00001", &e) == 0 && left() == 10000 - 17 - 2 - 2000);
    end();
}

TEST(a_budget_of_nothing_lets_through_what_costs_nothing)
{
    CHECK(start("0") && price_now(l, "free", 0, 0));
    CHECK(hold_now(l, &who, "a", "m", 1, 0).err.code == ERR_QUOTA);
    struct hold_answer a = hold_now(l, &who, "a", "free", 100, 100);
    CHECK(a.err.code == ERR_OK && finish_now(l, a.hold, 100, 100, NULL) == 0 && left() == 0);
    end();
}

TEST(other_keys_of_the_account_are_not_touched)
{
    CHECK(start("0.00000001"));
    struct principal other;
    struct err e;
    char key[LEDGER_KEY_MAX];
    CHECK(ledger_key_create(l, who.org, "other", 0, NULL, key, &e) == 0 && ledger_principal(l, str_of(key), &other, &e) == 0);
    CHECK(hold_now(l, &who, "a", "m", 10, 0).err.code == ERR_OK && hold_now(l, &who, "b", "m", 1, 0).err.code == ERR_QUOTA);
    CHECK(hold_now(l, &other, "b", "m", 1000, 0).err.code == ERR_OK && left() == 0);
    end();
}

TEST(restart_and_rotation_keep_it_exact)
{
    CHECK(start("0.0000001/month"));
    struct err e;
    char fresh[LEDGER_KEY_MAX];
    struct hold_answer a = hold_now(l, &who, "a", "m", 30, 10), b = hold_now(l, &who, "b", "m", 10, 0);
    CHECK(b.err.code == ERR_OK && finish_now(l, b.hold, 10, 0, NULL) == 0 && left() == 40);
    CHECK(ledger_journal(l, &(struct journal_step){a.hold, {.input = 30, .output = 2}}, 1, &e) == 0);
    CHECK(ledger_key_rotate(l, who.public_id, fresh, &e) == 0 && left() == 40);
    ledger_close(l); /* a is still open: the next start ends it at 30 + 4 */
    l = open_at(test_dir);
    CHECK(l && left() == 100 - 10 - 34 && ledger_principal(l, str_of(fresh), &who, &e) == 0);
    CHECK(hold_now(l, &who, "c", "m", 57, 0).err.code == ERR_QUOTA && hold_now(l, &who, "c", "m", 56, 0).err.code == ERR_OK);
    end();
}

/* The store lost the commit of a hold (a machine without power), and the budget is too short for it by now: the journal says that it was
 * granted, so it is placed again and billed. */
static int lose(struct ledger *led, void *arg, struct err *e)
{
    (void)arg;
    return db_exec(led->db, SQL("DELETE FROM hold; UPDATE key_spend SET held = 0; UPDATE credit_grant SET held = 0; UPDATE key SET budget = 5"), e);
}

TEST(a_hold_that_only_the_journal_has_is_billed_whatever_the_budget)
{
    CHECK(start("0.0000001"));
    struct err e;
    struct hold_answer a = hold_now(l, &who, "a", "m", 30, 10);
    CHECK(ledger_journal(l, &(struct journal_step){a.hold, {.input = 30, .output = 2}}, 1, &e) == 0 && queue_call(l, lose, NULL, &e) == 0);
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && left() == 0 && balance_now(l, &who, NULL) == 1000000000 - 34 && audit_now(l) == 0);
    CHECK(set("0.0000001", &e) == 0 && left() == 66);
    end();
}

TEST(what_is_no_budget_is_refused)
{
    CHECK(start("1"));
    static const char *const bad[] = {"",       "x",   "-1",           "-1/month",      "1/",  "1/day", "1/month/month",
                                      "/month", "1e3", "0.0000000001", "9999999999999", "1,5", "1 ",    "none/month",
                                      "NaN"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err e = {0};
        CHECK_MSG(set(bad[i], &e) == -ERR_BAD_VALUE && !strcmp(e.param, "budget") && strstr(e.msg, "5.00"), "'%s': %s", bad[i], e.msg);
    }
    struct err e;
    CHECK(left() == 1000000000 && set("9223372036.854775807/month", &e) == 0 && left() == INT64_MAX);
    CHECK(hold_now(l, &who, "a", "m", 1, 0).err.code == ERR_OK && left() == INT64_MAX - 1);
    end();
}

TEST_MAIN()
