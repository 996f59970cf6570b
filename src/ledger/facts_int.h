/* How facts come about: facts.c follows each grant, facts_contract.c adds what no grant's own rows tell. */
#pragma once
#include "ledger/facts.h"

struct source { /* a grant, as its facts need it */
    int64_t id, org, parent, amount, cash, approved_us, left /* value that has left it */, released /* cash that has gone with it */;
    int funding;
};
struct cell {
    int64_t grant, day, project, model, spent, refunded;
    int scope;
};
struct booking {
    int64_t grant, day, amount, child, txn;
    enum fact_kind kind;
    bool transfer, prepay;
};
struct prepaid { /* what a grant paid up front for a reservation, by transaction, and so by reservation too */
    int64_t reservation, grant, amount, txn, cash, earned;
};
struct reading {
    struct facts *f;
    struct VEC(struct source) grants;
    struct VEC(struct cell) cells;
    struct VEC(struct booking) bookings;
    struct VEC(struct prepaid) prepaid;
};
int facts_no_memory(struct err *e);
int fact_add(struct facts *f, struct fact *x, const struct source *g, int64_t day, struct err *e) MUST_USE;
/* What the policy makes of a use. */
void fact_treat(const struct facts *f, const struct source *g, struct fact *x);
/* Use of reserved capacity: of so much value, with so much cash. */
int fact_reserved(struct facts *f, const struct source *g, int64_t day, int64_t value, int64_t cash, struct err *e) MUST_USE;

/* What was paid up front; before the bookings. */
int prepaid_read(struct reading *r, struct ledger *l, struct err *e) MUST_USE;
/* The grant's booking is one of these: its cash waits there until hours are earned. */
int prepaid_take(struct reading *r, const struct booking *b, int64_t cash, struct err *e) MUST_USE;
/* After all grants: hours of what was paid up front, what commitments were short of, publishers' shares. */
int contracts_read(struct reading *r, struct ledger *l, struct err *e) MUST_USE;
