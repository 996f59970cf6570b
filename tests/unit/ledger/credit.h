/* What the tests of credit share: a clock that they set (make/tests.mk wraps clock_now_us for them), the provider's accounts, deeds. */
#pragma once
#include "base/json.h"
#include "ledger/ledger_int.h"
#include "lib.h"

int64_t __real_clock_now_us(void);
int64_t __wrap_clock_now_us(void);
static _Atomic int64_t now_us;
int64_t __wrap_clock_now_us(void)
{
    int64_t us = atomic_load(&now_us);
    return us ? us : __real_clock_now_us();
}
#define HOUR (3600 * 1000000ll)
#define NOON (1800000000 * 1000000ll) /* when each test begins */

/* The balance of an account of the provider's chart; 0 when there is none yet. */
struct booked {
    const char *code;
    int64_t balance;
};
static inline int booked_find(struct ledger *led, void *arg, struct err *e)
{
    struct booked *b = arg;
    struct stmt *s;
    bool row;
    int rc = stmt_get(&s, led->db, SQL("SELECT balance FROM account WHERE code = ?1"), e);
    if (rc < 0)
        return rc;
    stmt_text(s, 1, b->code);
    rc = stmt_step(s, &row, e);
    b->balance = row ? stmt_col_i64(s, 0) : 0;
    stmt_put(s);
    return rc;
}
static inline int64_t booked_at(struct ledger *l, const char *code)
{
    struct booked b = {code, 0};
    struct err e;
    return queue_call(l, booked_find, &b, &e) < 0 ? INT64_MIN : b.balance;
}

/* What is left of a grant, read after everything queued is committed. */
static inline int64_t left_of(struct ledger *l, int64_t grant)
{
    struct err e;
    return queue_flush(l, &e) < 0 ? -1 : l->grants.p[grant - 1]->remaining;
}
