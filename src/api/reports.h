/* Private to api/: reports as calls. The operator's are rows of admin.def. */
#pragma once
#include "api/api_int.h"
#include "ledger/usage.h"

/* The usage explorer for a key: the rows of its account alone, with sums and the next page. */
int usage_of(struct work *w, struct err *e) MUST_USE;
