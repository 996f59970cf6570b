/* Business reports: what use, grants and imports are as revenue, by a versioned policy. Each writes JSON; months and quarters are UTC. [wait]
 * docs/using/reports.md defines every figure by its formula. */
#pragma once
#include "ledger/ledger.h"

struct business_query {
    int64_t since_us, until_us; /* whole months: the one that since is in, to the one before until; 0: all there is */
    const char *period;         /* "month" (NULL), "quarter", "total" */
    /* Of ledger_report_revenue: segment, product, account, model, scope, funding, source, with commas; NULL: "segment,product". */
    const char *group;
    const char *only;           /* of growth and customers: "ai", or NULL: all revenue */
    const char *against;        /* of customers: "year" (NULL) or "quarter" before */
    int64_t policy;             /* the version; 0: the last one */
    const char *account;        /* NULL: all; of a statement: whose */
};
/* value = recognised + contra + memo, and breakage, by period and group; with what was imported. */
int ledger_report_revenue(struct ledger *l, const struct business_query *q, struct buf *out, struct err *e) MUST_USE;
/* The roll-forward of deferred revenue: opening + received - recognised - breakage - voided - adjusted = closing. */
int ledger_report_deferred(struct ledger *l, const struct business_query *q, struct buf *out, struct err *e) MUST_USE;
/* Credits now, by funding and scope. */
int ledger_report_credits(struct ledger *l, struct buf *out, struct err *e) MUST_USE;
/* By quarter: revenue now and a year ago, growth, the points of it that AI contributed. */
int ledger_report_growth(struct ledger *l, const struct business_query *q, struct buf *out, struct err *e) MUST_USE;
/* The same by segment and product of each quarter: points, and the share of the growth. */
int ledger_report_products(struct ledger *l, const struct business_query *q, struct buf *out, struct err *e) MUST_USE;
/* By quarter: customers, the new ones, and revenue as new, expansion, contraction and churn. */
int ledger_report_customers(struct ledger *l, const struct business_query *q, struct buf *out, struct err *e) MUST_USE;
/* By model and period: revenue less what the machine cost. */
int ledger_report_margin(struct ledger *l, const struct business_query *q, struct buf *out, struct err *e) MUST_USE;
/* One account, by month: opening + granted + transferred in - used + refunded - expired - voided - adjusted - transferred out = closing. */
int ledger_report_account(struct ledger *l, const struct business_query *q, struct buf *out, struct err *e) MUST_USE;
/* FOCUS 1.2: one object a charge, with every mandatory column. */
int ledger_report_focus(struct ledger *l, const struct business_query *q, struct buf *out, struct err *e) MUST_USE;

/* The policy: {"version", "text", ...}; 0: the last one. All versions as rows. A new one; the same text again is the same version. */
int ledger_policy_show(struct ledger *l, int64_t version, struct buf *out, struct err *e) MUST_USE;
int ledger_policy_list(struct ledger *l, struct buf *out, struct err *e) MUST_USE;
int ledger_policy_set(struct ledger *l, const char *text, const struct deed *by, struct buf *out, struct err *e) MUST_USE;
/* CSV with the columns month (2025-11), customer, segment, product, amount and, if it is given, ai (yes or no; no: not AI). name: once; the same
 * name with the same text is the same import. All lines or none. */
int ledger_revenue_import(struct ledger *l, const char *name, struct str csv, const struct deed *by, struct buf *out, struct err *e) MUST_USE;
int ledger_revenue_imports(struct ledger *l, struct buf *out, struct err *e) MUST_USE;
