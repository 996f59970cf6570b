/* Between the files of db: an engine is a struct db_engine; its stores and statements begin with struct db and struct stmt. What is the same for
 * every engine (the cache of statements, running to the end) is in db.c. */
#pragma once
#include "db/db.h"

enum { STMT_CACHE_MAX = 512 };

struct db_engine {
    enum db_kind kind;
    void (*close)(struct db *d);
    int (*exec)(struct db *d, const char *text, struct err *e);
    int (*begin)(struct db *d, struct err *e);
    int (*commit)(struct db *d, enum db_sync sync, struct err *e);
    void (*rollback)(struct db *d);
    int64_t (*changes)(struct db *d);
    int64_t (*last_id)(struct db *d);
    int (*copy)(struct db *d, const char *path, struct err *e);
    int (*check)(struct db *d, bool quick, char *fault, size_t cap, struct err *e);
    int (*claim)(struct db *d, const char *name, unsigned wait_ms, bool *mine, struct err *e);
    int (*version_get)(struct db *d, int64_t *out, struct err *e);
    int (*version_set)(struct db *d, int version, struct err *e);
    int (*migrate)(struct db *d, const char *text, bool old, struct err *e); /* the statements of one; old: of a version up to the base */

    int (*prepare)(struct stmt **out, struct db *d, const char *text, struct err *e); /* head.db and head.text are set by the caller */
    void (*finalize)(struct stmt *s);
    void (*reset)(struct stmt *s); /* ready to be bound anew */
    void (*bind_i64)(struct stmt *s, int i, int64_t v);
    void (*bind_text)(struct stmt *s, int i, const char *p, size_t n); /* p NULL: NULL */
    void (*bind_blob)(struct stmt *s, int i, const void *p, size_t n);
    void (*bind_null)(struct stmt *s, int i);
    int (*step)(struct stmt *s, bool *row, struct err *e);
    int64_t (*col_i64)(struct stmt *s, int col);
    struct str (*col_str)(struct stmt *s, int col);
    struct str (*col_blob)(struct stmt *s, int col);
    bool (*col_null)(struct stmt *s, int col);
};

struct stmt {
    struct db *db;
    const char *text;
    bool busy, cached;
};

struct db {
    const struct db_engine *engine;
    bool read_only, sync_failed;
    struct stmt *cache[STMT_CACHE_MAX]; /* open addressing by the address of the text */
    size_t n_cache;
};

int lite_open(struct db **out, const char *path, enum db_mode mode, struct err *e) MUST_USE;
int pg_open(struct db **out, const char *url, enum db_mode mode, struct err *e) MUST_USE;

/* Makes SQLite take its memory where db_memory_bytes counts it. Before anything else of SQLite's; any number of times, from any thread. */
void db_memory_init(void);
