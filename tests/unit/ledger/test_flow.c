/* The life of a request: hold, slices, journal, finish, the bill, and what a second start sees. */
#include "lib.h"

TEST(one_request)
{
    struct ledger *l = open_at(dir_new());
    struct principal who;
    struct bill bill;
    int64_t held;
    CHECK(l && account_with(l, "acme", USD(10), &who) && price_now(l, "m", 1000000000, 2000000000));
    struct hold_answer a = hold_now(l, &who, "req-1", "m", 1000, 500);
    CHECK_MSG(a.err.code == ERR_OK, "%s", a.err.msg);
    CHECK(a.held.nano == 1000000 + 1000000 && a.balance.nano == USD(10).nano - 2000000);
    CHECK(balance_now(l, &who, &held) == a.balance.nano && held == 2000000);
    struct err e;
    CHECK(ledger_journal(l, &(struct journal_step){a.hold, {.input = 1000, .output = 1}}, 1, &e) == 0);
    a = more_now(l, a.hold, 100);
    CHECK(a.err.code == ERR_OK && a.held.nano == 2200000);
    CHECK(finish_now(l, a.hold, 1000, 7, &bill) == 0);
    CHECK(bill.cost.nano == 1000000 + 14000 && bill.balance.nano == USD(10).nano - 1014000);
    CHECK(finish_now(l, a.hold, 1000, 7, &bill) < 0);
    CHECK(audit_now(l) == 0);
    CHECK(balance_now(l, &who, &held) == USD(10).nano - 1014000 && held == 0);
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(l && audit_now(l) == 0 && balance_now(l, &who, &held) == USD(10).nano - 1014000 && held == 0);
    ledger_close(l);
    dir_drop();
}

TEST_MAIN()
