/* A store that cannot be written for a while: the ledger comes back in the running process. This program's write and pwrite64 stand before libc's
 * and fail on demand; a locked store is locked by a second connection. With PostgreSQL (make test-postgres) its connections are ended instead. */
#include "ledger/ledger_int.h"
#include "lib.h"

#include <errno.h>
#include <sqlite3.h>
#include <sys/syscall.h>

static atomic_int fail_store, fail_journal;

static bool is(int fd, const char *what)
{
    char link[64], path[512] = {0};
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return readlink(link, path, sizeof path - 1) > 0 && strstr(path, what);
}

ssize_t write(int fd, const void *p, size_t n)
{
    if (fd > 2 && atomic_load(&fail_journal) && is(fd, "/journal/")) {
        if (n > 8)
            syscall(SYS_write, fd, p, n / 2);
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_write, fd, p, n);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    if (atomic_load(&fail_store) && is(fd, "/ledger.db")) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, p, n, at);
}

static struct ledger *l;
static struct principal who;

static bool start(void)
{
    l = open_at(dir_new());
    return l && account_with(l, "acme", (struct money){1000}, &who) && price_now(l, "m", 1000000, 1000000);
}

/* Nothing can be written any more, or again. */
static void store_fails(bool fails)
{
    char cmd[700];
    atomic_store(&fail_store, fails);
    if (!*test_store || !fails)
        return;
    snprintf(cmd, sizeof cmd,
             "psql -qXAt '%s' -c \"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sluice' AND pid <> "
             "pg_backend_pid()\" >/dev/null",
             getenv("SLUICE_TEST_POSTGRES"));
    if (system(cmd) != 0)
        abort();
}

static bool heals(void)
{
    for (int i = 0; i < 12000 && atomic_load(&l->broken); i++)
        clock_sleep_ms(5);
    return !atomic_load(&l->broken);
}

/* The ledger is what it should be, also for a process that starts now. */
static bool sound(int64_t balance)
{
    int64_t held;
    for (int pass = 0; pass < 2; pass++) {
        if (!l || audit_now(l) != 0 || balance_now(l, &who, &held) != balance || held != 0) {
            printf("pass %d: balance %lld, expected %lld; held %lld\n", pass, (long long)(l ? balance_now(l, &who, &held) : -1), (long long)balance,
                   (long long)held);
            return false;
        }
        ledger_close(l);
        l = pass ? NULL : open_at(test_dir);
    }
    dir_drop();
    return true;
}

static bool breaks(const char *request)
{
    store_fails(true);
    for (int i = 0; i < 100; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s-%d", request, i);
        if (hold_now(l, &who, name, "m", 1, 1).err.code == ERR_DB)
            return true;
    }
    return false;
}

TEST(requests_go_on_and_what_ended_meanwhile_is_billed)
{
    CHECK(start());
    struct err e = {0};
    struct hold_answer runs = hold_now(l, &who, "runs", "m", 10, 10), ends = hold_now(l, &who, "ends", "m", 20, 20);
    CHECK(runs.err.code == ERR_OK && ends.err.code == ERR_OK);
    CHECK(ledger_journal(l, &(struct journal_step){runs.hold, {.input = 10, .output = 3}}, 1, &e) == 0);
    CHECK(breaks("refused"));
    CHECK(finish_now(l, ends.hold, 20, 5, NULL) == 0);
    CHECK(ledger_journal(l, &(struct journal_step){runs.hold, {.input = 10, .output = 4}}, 1, &e) == 0);
    store_fails(false);
    CHECK(heals());
    CHECK(more_now(l, runs.hold, 5).err.code == ERR_OK);
    CHECK(hold_now(l, &who, "refused-0", "m", 1, 1).err.code == ERR_OK); /* its id was not used */
    CHECK(finish_now(l, runs.hold, 10, 15, NULL) == 0);
    struct hold_answer again = hold_now(l, &who, "ends", "m", 1, 1);
    CHECK(again.err.code == ERR_CONFLICT);
    CHECK(queue_flush(l, &e) == 0);
    int64_t held;
    CHECK(balance_now(l, &who, &held) == 1000 - 25 - 25 - 2 && held == 2 && audit_now(l) == 0);
    ledger_close(l);
    l = open_at(test_dir);
    CHECK(sound(1000 - 50));
}

TEST(what_people_do_fails_whole_and_works_again)
{
    CHECK(start());
    struct err e = {0};
    struct grant_new g = {.org = who.org, .amount = {5}, .scope = "any", .funding = "paid"};
    store_fails(true);
    CHECK(ledger_grant_create(l, &g, NULL, &e) < 0 && e.code == ERR_DB);
    store_fails(false);
    CHECK(heals() && ledger_grant_create(l, &g, NULL, &e) == 0);
    CHECK(sound(1005));
}

TEST(a_journal_on_a_full_disk_begins_anew)
{
    CHECK(start());
    struct err e = {0};
    struct hold_answer a = hold_now(l, &who, "a", "m", 10, 10);
    CHECK(a.err.code == ERR_OK);
    atomic_store(&fail_journal, 1);
    CHECK(ledger_journal(l, &(struct journal_step){a.hold, {.input = 10, .output = 2}}, 1, &e) < 0 && e.code == ERR_DB);
    CHECK(hold_now(l, &who, "b", "m", 1, 1).err.code == ERR_DB);
    atomic_store(&fail_journal, 0);
    CHECK(heals() && ledger_journal(l, &(struct journal_step){a.hold, {.input = 10, .output = 4}}, 1, &e) == 0);
    /* A new process finds everything in the new segment. */
    CHECK(finish_now(l, a.hold, 10, 6, NULL) == 0);
    CHECK(sound(1000 - 16));
}

TEST(a_hold_whose_record_failed_is_no_hold)
{
    CHECK(start());
    atomic_store(&fail_journal, 1); /* the store has it, the journal not: its owner is told no */
    CHECK(hold_now(l, &who, "a", "m", 10, 10).err.code == ERR_DB);
    atomic_store(&fail_journal, 0);
    CHECK(heals());
    CHECK(sound(1000));
}

TEST(a_store_that_is_locked)
{
    CHECK(start());
    if (!*test_store) {
        char path[128];
        sqlite3 *other;
        snprintf(path, sizeof path, "%s/ledger.db", test_dir);
        CHECK(sqlite3_open(path, &other) == SQLITE_OK && sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
        struct hold_answer a = hold_now(l, &who, "a", "m", 1, 1);
        CHECK(a.err.code == ERR_DB && strstr(a.err.msg, "locked"));
        CHECK(sqlite3_close(other) == SQLITE_OK && heals());
    }
    CHECK(sound(1000));
}

TEST_MAIN()
