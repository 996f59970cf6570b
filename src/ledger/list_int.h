/* Inside the ledger: lists, which are one statement each, beside those of report.c. */
#pragma once
#include "ledger/report_int.h"

void list_str(struct jw *w, const char *key, struct stmt *s, int col);
/* Everything that was queued before is in the store; then the reader is ours, until list_end. account: must be one; NULL: all. */
int list_begin(struct ledger *l, const char *account, struct sql sql, struct stmt **s, struct err *e) MUST_USE;
/* Writes an array with an object for each row. */
int list_end(struct ledger *l, struct stmt *s, void (*row)(struct ledger *l, struct jw *w, struct stmt *s), struct buf *out, struct err *e) MUST_USE;
