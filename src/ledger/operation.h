/* A deed of somebody's, as operation.c runs it: the same frame for all, and a function that acts. Ledger thread, but init, asks and run. */
#pragma once
#include "base/json.h"
#include "ledger/ledger_int.h"

struct operation;
/* Looks first and refuses with an error; then changes rows and memory, books with o->id, and writes o->answer. Once something in memory is
 * changed only a broken store may fail it. */
typedef int (*operation_fn)(struct ledger *l, struct operation *o, struct err *e);

struct operation {
    const char *kind; /* as the table has it */
    const struct deed *by;
    operation_fn act;
    void *arg;        /* act's */
    bool no_reason;   /* none is needed */
    bool plain;       /* the event is named as the kind is: it is not about a grant */
    bool known;       /* act found it done before by other means: nothing is kept */
    int64_t id;
    int64_t org;      /* the account that it is about; 0: none */
    char object[160]; /* what it is done to, for the event */
    struct buf asked; /* what is asked, each value ended by a NUL: two are the same when this is */
    struct buf answer /* a JSON object */, detail /* of the event; empty: the answer */;
};

void operation_init(struct operation *o, const char *kind, const struct deed *by, operation_fn act);
void operation_asks(struct operation *o, const char *text /* NULL: "" */);
void operation_asks_i64(struct operation *o, int64_t v);
/* Checks who and why, acts or answers again, appends the answer to out (may be NULL), frees what o has. */
int operation_run(struct ledger *l, struct operation *o, struct buf *out, struct err *e) MUST_USE;
const char *operation_actor(const struct operation *o);
/* The grant, named as the object; NULL: ERR_NOT_FOUND. */
struct grant *operation_grant(struct ledger *l, struct operation *o, struct grant_id id, struct err *e);
/* Whether it is live or will be; else ERR_CONFLICT: it cannot be <what>. */
int operation_may(const struct ledger *l, const struct grant *g, const char *what, struct err *e) MUST_USE;
/* Short text that people write; NULL is good. */
int words_check(const char *name, const char *text, size_t most, struct err *e) MUST_USE;
void answer_money(struct jw *w, const char *key, int64_t nano);
