/* What the reports share: a reader's snapshot in which everything that was queued before is, and the writers of their columns. */
#pragma once
#include "base/json.h"
#include "base/zone.h"
#include "ledger/ledger_int.h"

int report_begin(struct ledger *l, struct err *e) MUST_USE; /* takes the reader and a snapshot */
void report_end(struct ledger *l);                          /* after a report_begin that returned 0 */
/* Binds up to 4 integers from ?1 on and calls fn for each row; fn's error ends it. */
typedef int report_fn(void *arg, struct stmt *s, struct err *e);
int report_each(struct ledger *l, struct sql sql, const int64_t bind[4], report_fn *fn, void *arg, struct err *e) MUST_USE;
/* One integer; 0 when there is no row. text: bound as ?1, then the integers from ?2 on; NULL: none. */
int report_one(struct ledger *l, struct sql sql, const char *text, const int64_t bind[2], int64_t *out, struct err *e) MUST_USE;

void report_money(struct jw *w, const char *key, int64_t nano);
void report_text(struct jw *w, const char *key, struct str v);
void report_i64(struct jw *w, const char *key, int64_t v);
void report_time(struct jw *w, const char *key, int64_t us); /* 0: null */

/* Names by id, read once a report. */
struct names {
    struct map map;
};
void names_init(struct names *n);
void names_deinit(struct names *n);
int names_read(struct names *n, struct ledger *l, struct sql sql /* id, name */, struct err *e) MUST_USE;
const char *names_get(const struct names *n, int64_t id); /* "": none */
