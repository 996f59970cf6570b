/* The schema as migrations. schema.sql is turned into a C string by make (make/web.mk); a later change is a new line here, never an edit. */
#include "ledger/ledger_int.h"

static const char version_1[] =
#include "ledger_schema.h"
    ;

const struct migration ledger_migrations[] = {{1, {version_1}}};
const size_t ledger_n_migrations = sizeof ledger_migrations / sizeof *ledger_migrations;
