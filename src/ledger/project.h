/* Projects: parts of an account, with keys and limits of their own. Each account has "default", which takes the keys that name none. */
#pragma once
#include "ledger/ledger.h"

/* Names: 1 to LEDGER_NAME_MAX - 1 bytes of UTF-8 without control characters and '/'. [wait] */
int ledger_project_create(struct ledger *l, struct org_id org, const char *name, struct err *e) MUST_USE;
/* Its keys stop working at once and for good; its usage stays in the reports. "default" cannot go. [wait] */
int ledger_project_archive(struct ledger *l, struct org_id org, const char *name, struct err *e) MUST_USE;
/* A JSON array of projects with what each used; account NULL: all. [wait] */
int ledger_report_projects(struct ledger *l, const char *account, struct buf *out, struct err *e) MUST_USE;
