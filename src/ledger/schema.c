/* The schema as migrations. schema.sql and schema_3.sql are turned into C strings by make (make/ledger.mk); a later change is a new line
 * here, never an edit. */
#include "ledger/ledger_int.h"

static const char version_1[] =
#include "ledger_schema.h"
    ;

/* What a key may do. A key of before keeps all that it could do; models and allow: lists with commas, '' is every one; budget: nano-units, -1
 * is none. key_spend: of a key with a budget, by the month in which its requests began (202611): what they cost and what open ones hold. */
static const char version_2[] = "ALTER TABLE key ADD COLUMN models TEXT NOT NULL DEFAULT '';"
                                "ALTER TABLE key ADD COLUMN allow TEXT NOT NULL DEFAULT '';"
                                "ALTER TABLE key ADD COLUMN budget INTEGER NOT NULL DEFAULT -1 CHECK (budget >= -1);"
                                "ALTER TABLE key ADD COLUMN budget_monthly INTEGER NOT NULL DEFAULT 0 CHECK (budget_monthly IN (0, 1));"
                                "UPDATE key SET scopes = 'inference,embeddings,models,usage';"
                                "CREATE TABLE key_spend ("
                                " key_id  INTEGER NOT NULL REFERENCES key(id),"
                                " month   INTEGER NOT NULL,"
                                " charged INTEGER NOT NULL DEFAULT 0 CHECK (charged >= 0),"
                                " held    INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),"
                                " PRIMARY KEY (key_id, month)"
                                ") WITHOUT ROWID, STRICT;";

static const char version_3[] =
#include "ledger_schema_3.h"
    ;

/* Rate limits. owner_id: of the key or the organisation, 0 of "all"; model: '' is all together; window_s 0 goes with "parallel" alone. */
static const char version_4[] = "CREATE TABLE rate_limit ("
                                " whose    TEXT NOT NULL CHECK (whose IN ('key', 'account', 'all')),"
                                " owner_id INTEGER NOT NULL,"
                                " model    TEXT NOT NULL,"
                                " meter    TEXT NOT NULL CHECK (meter IN ('requests', 'input', 'output', 'tokens', 'parallel')),"
                                " window_s INTEGER NOT NULL CHECK (window_s IN (0, 60, 86400) AND (window_s = 0) = (meter = 'parallel')),"
                                " most     INTEGER NOT NULL CHECK (most > 0),"
                                " PRIMARY KEY (whose, owner_id, model, meter, window_s)"
                                ") WITHOUT ROWID, STRICT;";

static const char version_5[] =
#include "ledger_schema_5.h"
    ;

static const char version_6[] =
#include "ledger_schema_6.h"
    ;

static const char version_7[] =
#include "ledger_schema_7.h"
    ;

static const char version_8[] =
#include "ledger_schema_8.h"
    ;

static const char version_9[] =
#include "ledger_schema_9.h"
    ;

static const char version_10[] =
#include "ledger_schema_10.h"
    ;

static const char version_11[] =
#include "ledger_schema_11.h"
    ;

static const char version_12[] =
#include "ledger_schema_12.h"
    ;

const struct migration ledger_migrations[] = {{1, {version_1}}, {2, {version_2}},   {3, {version_3}},   {4, {version_4}},
                                              {5, {version_5}}, {6, {version_6}},   {7, {version_7}},   {8, {version_8}},
                                              {9, {version_9}}, {10, {version_10}}, {11, {version_11}}, {12, {version_12}}};
const size_t ledger_n_migrations = sizeof ledger_migrations / sizeof *ledger_migrations;
