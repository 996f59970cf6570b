/* SQL storage: statements with bound values, transactions, migrations. Two engines behind it: SQLite, a file (sqlite.c), and PostgreSQL, a server
 * that several nodes share (postgres.c).
 *
 * SQL text is always a compile-time constant: SQL("...") accepts a string literal only. Both engines run the same text: parameters ?1, ?2, the
 * types INTEGER (64 bits), TEXT and BLOB; ON CONFLICT DO, RETURNING, CASE, coalesce, CTEs, window functions, FILTER. PostgreSQL's side translates
 * the few words that differ, and has instr, strftime and the like as functions of its own (translate.c). It is stricter: a condition is no
 * integer (`?4 <> 0`, not `?4`), every selected column is grouped, a subquery has a name, and in ON CONFLICT DO UPDATE the row that is there is
 * named by its table (`SET held = key_spend.held + excluded.held`).
 *
 * SQLite 3.40 has a WAL fault with several writers: one connection writes and checkpoints; readers are opened read-only and never checkpoint. */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include <stdint.h>

struct db;
struct stmt;
struct sql { const char *text; };
#define SQL(literal) ((struct sql){"" literal ""})

enum db_kind { DB_SQLITE, DB_POSTGRES };
enum db_mode { DB_READ_ONLY, DB_READ_WRITE };
enum db_sync { DB_SYNC_FULL, DB_SYNC_NORMAL }; /* FULL: a commit is on disk when it returns; NORMAL: a crash of the process loses nothing */

bool db_is_url(const char *where); /* postgres://... */
/* Opens the store: a file (made by DB_READ_WRITE when it is absent), or a database by its URL. The caller closes it with db_close. A connection is
 * used by one thread at a time. */
int  db_open(struct db **out, const char *where, enum db_mode mode, struct err *e) MUST_USE;
void db_close(struct db *d); /* NULL is allowed */
enum db_kind db_kind(const struct db *d);
int  db_exec(struct db *d, struct sql sql, struct err *e) MUST_USE; /* one or more statements, no values */
/* A transaction. Of a reader: one snapshot. Of PostgreSQL's writer: one at a time among all nodes of the store. */
int  db_begin(struct db *d, struct err *e) MUST_USE;
int  db_commit(struct db *d, enum db_sync sync, struct err *e) MUST_USE; /* FULL: this and every earlier commit are on the disk when it returns 0 */
void db_rollback(struct db *d);
int64_t db_changes(struct db *d); /* rows changed by the last statement */
int64_t db_last_id(struct db *d); /* the id that the last INSERT made up */
uint64_t db_memory_bytes(void); /* held by all stores of this process: above all their page caches, of a bounded size each */
int  db_copy(struct db *d, const char *path, struct err *e) MUST_USE; /* a consistent copy into a new file, synced; also on a reader; SQLite only */
int  db_check(struct db *d, bool quick, char *fault, size_t cap, struct err *e) MUST_USE; /* the engine's own check of its file; fault "": sound */
/* Holds the name for as long as this connection lives, among all connections of the store; *mine false: another one has it, for wait_ms too (a
 * connection that was closed may take a moment to end). SQLite: always. Outside a transaction. */
int  db_claim(struct db *d, const char *name, unsigned wait_ms, bool *mine, struct err *e) MUST_USE;
bool db_sync_failed(const struct db *d); /* what the disk has is not known: opening again does not mend that */
int  db_version(struct db *d, int64_t *out, struct err *e) MUST_USE; /* the last migration; 0: an empty store */

/* A prepared statement, cached by its text: get it, bind, step, put it back (reset and cleared). Bound bytes are not copied: they live
 * until the statement is put back. */
int  stmt_get(struct stmt **out, struct db *d, struct sql sql, struct err *e) MUST_USE;
void stmt_put(struct stmt *s);
void stmt_i64(struct stmt *s, int i /* from 1 */, int64_t v);
void stmt_str(struct stmt *s, int i, struct str v);
void stmt_text(struct stmt *s, int i, const char *z); /* NULL binds NULL */
void stmt_blob(struct stmt *s, int i, const void *p, size_t n);
void stmt_null(struct stmt *s, int i);
int  stmt_step(struct stmt *s, bool *row, struct err *e) MUST_USE; /* *row: a row is there */
int  stmt_run(struct stmt *s, struct err *e) MUST_USE;             /* steps to the end and puts it back */
int64_t    stmt_col_i64(struct stmt *s, int col /* from 0 */);
struct str stmt_col_str(struct stmt *s, int col); /* until the next step; {NULL,0} for NULL */
struct str stmt_col_blob(struct stmt *s, int col);
bool       stmt_col_null(struct stmt *s, int col);

struct migration { int version; struct sql sql; };
/* Brings the schema up to the last version, one transaction each; refuses a store newer than this program. Only SQLite has stores of a version
 * before `base`: what moves rows in migrations up to base is in its words, and on PostgreSQL only their CREATE, ALTER and DROP are done. */
int db_migrate(struct db *d, const struct migration *m, size_t n, int base, struct err *e) MUST_USE;
