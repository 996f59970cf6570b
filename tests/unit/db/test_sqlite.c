/* The SQL layer: values both ways, transactions, the statement cache, readers that cannot write, migrations. */
#include "base/mem.h"
#include "base/os.h"
#include "db/db.h"
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

static char dir[64], path[128];
static struct db *d;
static struct err e;

static bool start(void)
{
    snprintf(dir, sizeof dir, "/tmp/sluice-db-XXXXXX");
    if (!mkdtemp(dir))
        return false;
    snprintf(path, sizeof path, "%s/t.db", dir);
    return db_open(&d, path, DB_READ_WRITE, &e) == 0 && db_exec(d, SQL("CREATE TABLE t (id INTEGER PRIMARY KEY, v) STRICT"), &e) < 0 &&
           db_exec(d, SQL("CREATE TABLE t (id INTEGER PRIMARY KEY, v ANY) STRICT"), &e) == 0;
}

static void end(void)
{
    char cmd[128];
    db_close(d);
    snprintf(cmd, sizeof cmd, "rm -rf %s", dir);
    if (system(cmd) != 0)
        abort();
}

static int64_t count(struct db *from)
{
    struct stmt *s;
    bool row;
    int64_t n = -1;
    if (stmt_get(&s, from, SQL("SELECT count(*) FROM t"), &e) < 0)
        return -1;
    if (stmt_step(s, &row, &e) == 0 && row)
        n = stmt_col_i64(s, 0);
    stmt_put(s);
    return n;
}

static bool add(int64_t v)
{
    struct stmt *s;
    if (stmt_get(&s, d, SQL("INSERT INTO t (v) VALUES (?1)"), &e) < 0)
        return false;
    stmt_i64(s, 1, v);
    return stmt_run(s, &e) == 0;
}

TEST(values_both_ways)
{
    CHECK(start());
    struct stmt *s;
    bool row;
    CHECK(stmt_get(&s, d, SQL("SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7"), &e) == 0);
    stmt_i64(s, 1, INT64_MIN), stmt_str(s, 2, (struct str){"a\0b", 3}), stmt_text(s, 3, "z"), stmt_text(s, 4, NULL), stmt_blob(s, 5, "\x00\xff", 2);
    stmt_null(s, 6), stmt_blob(s, 7, NULL, 0);
    CHECK(stmt_step(s, &row, &e) == 0 && row);
    struct str a = stmt_col_str(s, 1), b = stmt_col_blob(s, 4);
    CHECK(stmt_col_i64(s, 0) == INT64_MIN && a.n == 3 && memcmp(a.p, "a\0b", 3) == 0 && str_eqz(stmt_col_str(s, 2), "z") && stmt_col_null(s, 3));
    CHECK(stmt_col_str(s, 3).p == NULL && b.n == 2 && memcmp(b.p, "\x00\xff", 2) == 0 && stmt_col_null(s, 5) && !stmt_col_null(s, 6) &&
          stmt_col_blob(s, 6).n == 0);
    CHECK(stmt_step(s, &row, &e) == 0 && !row);
    stmt_put(s);
    end();
}

TEST(transactions)
{
    CHECK(start());
    CHECK(db_begin(d, &e) == 0 && add(1) && add(2) && db_changes(d) == 1 && db_last_id(d) == 2 && db_commit(d, DB_SYNC_FULL, &e) == 0 &&
          count(d) == 2);
    CHECK(db_begin(d, &e) == 0 && add(3) && count(d) == 3);
    db_rollback(d);
    CHECK(count(d) == 2);
    db_rollback(d); /* outside of one: nothing */
    CHECK(db_commit(d, DB_SYNC_NORMAL, &e) < 0 && e.code == ERR_DB);
    CHECK(db_begin(d, &e) == 0 && db_begin(d, &e) < 0 && db_commit(d, DB_SYNC_NORMAL, &e) == 0);
    end();
}

TEST(statements_are_cached_and_may_nest)
{
    CHECK(start() && add(1) && add(2));
    struct stmt *a, *b, *c;
    bool row;
    struct sql q = SQL("SELECT v FROM t WHERE v >= ?1 ORDER BY v");
    CHECK(stmt_get(&a, d, q, &e) == 0);
    stmt_i64(a, 1, 1);
    CHECK(stmt_step(a, &row, &e) == 0 && row && stmt_col_i64(a, 0) == 1);
    CHECK(stmt_get(&b, d, q, &e) == 0 && b != a); /* the same text while the first is busy */
    stmt_i64(b, 1, 2);
    CHECK(stmt_step(b, &row, &e) == 0 && row && stmt_col_i64(b, 0) == 2);
    stmt_put(b);
    CHECK(stmt_step(a, &row, &e) == 0 && row && stmt_col_i64(a, 0) == 2);
    stmt_put(a);
    CHECK(stmt_get(&c, d, q, &e) == 0 && c == a); /* kept, and its values are gone */
    CHECK(stmt_step(c, &row, &e) == 0 && !row);
    stmt_put(c);
    stmt_put(NULL);
    end();
}

TEST(errors_name_the_statement)
{
    CHECK(start());
    struct stmt *s;
    CHECK(stmt_get(&s, d, SQL("SELECT nothing FROM nowhere"), &e) < 0 && e.code == ERR_DB && strstr(e.msg, "nowhere") && strstr(e.msg, "t.db"));
    CHECK(stmt_get(&s, d, SQL("INSERT INTO t (id, v) VALUES (1, ?1)"), &e) == 0);
    stmt_i64(s, 2, 5); /* there is no second value */
    CHECK(stmt_run(s, &e) < 0 && e.code == ERR_INTERNAL);
    CHECK(stmt_get(&s, d, SQL("INSERT INTO t (id, v) VALUES (1, 1)"), &e) == 0 && stmt_run(s, &e) == 0);
    CHECK(stmt_get(&s, d, SQL("INSERT INTO t (id, v) VALUES (1, 1)"), &e) == 0 && stmt_run(s, &e) < 0 && strstr(e.msg, "UNIQUE"));
    CHECK(count(d) == 1);
    struct db *no;
    CHECK(db_open(&no, "/nonexistent/x.db", DB_READ_WRITE, &e) < 0 && !no && strstr(e.msg, "/nonexistent/x.db"));
    snprintf(path, sizeof path, "%s/absent.db", dir);
    CHECK(db_open(&no, path, DB_READ_ONLY, &e) < 0 && !no);
    end();
}

TEST(more_texts_than_the_cache_holds)
{
    static const char digits[] = "0123456789abcdef";
    static char texts[400][24];
    CHECK(start());
    for (int i = 0; i < 400; i++) {
        snprintf(texts[i], sizeof texts[i], "SELECT %d", i);
        struct stmt *s;
        bool row;
        CHECK(stmt_get(&s, d, (struct sql){texts[i]}, &e) == 0 && stmt_step(s, &row, &e) == 0 && row && stmt_col_i64(s, 0) == i);
        stmt_put(s);
    }
    (void)digits;
    end();
}

TEST(a_reader_sees_commits_and_writes_nothing)
{
    CHECK(start() && add(1));
    struct db *r;
    CHECK(db_open(&r, path, DB_READ_ONLY, &e) == 0 && count(r) == 1);
    CHECK(db_exec(r, SQL("INSERT INTO t (v) VALUES (9)"), &e) < 0 && db_exec(r, SQL("DELETE FROM t"), &e) < 0);
    CHECK(db_begin(d, &e) == 0 && add(2) && count(r) == 1 && db_commit(d, DB_SYNC_NORMAL, &e) == 0 && count(r) == 2);
    CHECK(db_begin(r, &e) == 0 && count(r) == 2 && add(3) && count(r) == 2); /* its snapshot stays */
    db_rollback(r);
    CHECK(count(r) == 3);
    db_close(r);
    end();
}

/* However much is read and closed, only the writer folds the log into the file. */
TEST(a_reader_never_checkpoints)
{
    CHECK(start() && add(1));
    char wal[160];
    struct stat before, after;
    snprintf(wal, sizeof wal, "%s-wal", path);
    CHECK(stat(wal, &before) == 0 && before.st_size > 0);
    struct stat file, file_after;
    CHECK(stat(path, &file) == 0);
    for (int i = 0; i < 5; i++) {
        struct db *r;
        CHECK(db_open(&r, path, DB_READ_ONLY, &e) == 0 && count(r) == 1);
        (void)!db_exec(r, SQL("PRAGMA wal_checkpoint(TRUNCATE)"), &e);
        db_close(r);
    }
    CHECK(stat(wal, &after) == 0 && after.st_size == before.st_size && stat(path, &file_after) == 0 &&
          file_after.st_mtim.tv_nsec == file.st_mtim.tv_nsec && file_after.st_size == file.st_size);
    db_close(d);
    CHECK(stat(wal, &after) < 0 && db_open(&d, path, DB_READ_WRITE, &e) == 0 && count(d) == 1);
    end();
}

TEST(a_copy_is_whole)
{
    CHECK(start() && add(1) && add(2));
    char to[128];
    struct db *r, *c;
    snprintf(to, sizeof to, "%s/copy.db", dir);
    CHECK(db_open(&r, path, DB_READ_ONLY, &e) == 0);
    CHECK_MSG(db_copy(r, to, &e) == 0, "%s", e.msg);
    CHECK(db_copy(r, to, &e) < 0); /* it exists now */
    CHECK(db_open(&c, to, DB_READ_WRITE, &e) == 0 && count(c) == 2);
    db_close(c);
    db_close(r);
    end();
}

static int64_t version(void)
{
    struct stmt *s;
    bool row;
    if (stmt_get(&s, d, SQL("PRAGMA user_version"), &e) < 0 || stmt_step(s, &row, &e) < 0)
        return -1;
    int64_t v = stmt_col_i64(s, 0);
    stmt_put(s);
    return v;
}

TEST(migrations)
{
    const struct migration m[] = {{1, SQL("CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)")},
                                  {2, SQL("ALTER TABLE a ADD COLUMN y INTEGER DEFAULT 5")},
                                  {4, SQL("INSERT INTO a VALUES (2, 2); INSERT INTO missing VALUES (1)")}};
    CHECK(start());
    CHECK(version() == 0 && db_migrate(d, m, 1, 0, &e) == 0 && version() == 1 && db_migrate(d, m, 2, 0, &e) == 0 && version() == 2);
    CHECK(db_migrate(d, m, 2, 0, &e) == 0 && version() == 2); /* nothing to do */
    CHECK(db_migrate(d, m, 3, 0, &e) < 0 && e.code == ERR_DB && strstr(e.msg, "migration 4") && version() == 2);
    struct stmt *s;
    bool row;
    CHECK(stmt_get(&s, d, SQL("SELECT count(*), sum(y) FROM a"), &e) == 0 && stmt_step(s, &row, &e) == 0 && stmt_col_i64(s, 0) == 1 &&
          stmt_col_i64(s, 1) == 5);
    stmt_put(s);
    CHECK(db_migrate(d, m, 1, 0, &e) < 0 && e.code == ERR_CONFLICT && strstr(e.msg, "version 2")); /* newer than the program */
    end();
}

TEST(not_a_store)
{
    CHECK(start());
    char other[128];
    struct db *x;
    snprintf(other, sizeof other, "%s/other", dir);
    CHECK(os_write_file(other, "this is no database, whatever it says about itself, and it is long enough to have a header of one hundred bytes", 110,
                        0600, &e) == 0);
    CHECK(db_open(&x, other, DB_READ_WRITE, &e) < 0 && !x && strstr(e.msg, "not a database"));
    end();
}

static bool fill(int64_t kib)
{
    struct stmt *s;
    if (stmt_get(&s, d,
                 SQL("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) INSERT INTO t (v) SELECT randomblob(1000) FROM n"),
                 &e) < 0)
        return false;
    stmt_i64(s, 1, kib);
    return stmt_run(s, &e) == 0;
}

/* What the store's gauge says is what the heap has lost to the store, malloc's own bytes for each block included: the soak takes one from the
 * other and calls what is left a leak. (A sanitizer's heap is not malloc's, and says nothing here.) */
TEST(memory_is_counted_as_the_heap_counts_it)
{
    CHECK(start() && fill(100));
    uint64_t heap = os_heap_bytes(), held = db_memory_bytes();
    CHECK(fill(3000));
    heap = os_heap_bytes() - heap, held = db_memory_bytes() - held;
    CHECK(held > 2 << 20);
    CHECK(heap < 1 << 20 || (heap < held + 4096 && held < heap + 4096));
    db_close(d), d = NULL;
    CHECK(db_memory_bytes() < 256 << 10);
    end();
}

/* The page cache has a ceiling: a store of five times its size fills it and no more. */
TEST(memory_has_a_ceiling)
{
    CHECK(start());
    for (int i = 0; i < 8; i++)
        CHECK(fill(5000));
    uint64_t full = db_memory_bytes();
    CHECK(full > 4 << 20 && full < 10 << 20);
    CHECK(fill(5000) && db_memory_bytes() < full + (64 << 10));
    end();
}

TEST_MAIN()
