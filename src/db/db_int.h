/* Between the files of db. */
#pragma once
#include "db/db.h"

/* Makes SQLite take its memory where db_memory_bytes counts it. Before anything else of SQLite's; any number of times, from any thread. */
void db_memory_init(void);
