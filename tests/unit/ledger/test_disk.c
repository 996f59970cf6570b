/* A disk that fails: this program's write, pwrite64 and fdatasync stand before libc's and fail on demand. Then no billable work is accepted,
 * nothing is tried again, and the next start bills what is on the disk. */
#include "ledger/ledger_int.h"
#include "lib.h"

#include <errno.h>
#include <sys/syscall.h>

static atomic_int fail_journal_write, fail_store_write, fail_journal_sync, fail_store_sync;
static atomic_int hold_journal_sync; /* it does not return */
static atomic_int n_syncs_failed;

static bool is_journal(int fd)
{
    char link[64], path[512] = {0};
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return readlink(link, path, sizeof path - 1) > 0 && strstr(path, "/journal/");
}

static bool is_store(int fd)
{
    char link[64], path[512] = {0};
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return readlink(link, path, sizeof path - 1) > 0 && strstr(path, "/ledger.db");
}

ssize_t write(int fd, const void *p, size_t n)
{
    if (fd > 2 && atomic_load(&fail_journal_write) && is_journal(fd)) {
        if (n > 8)
            syscall(SYS_write, fd, p, n / 2); /* what a full disk does: a part of it */
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_write, fd, p, n);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    if (atomic_load(&fail_store_write) && is_store(fd)) {
        errno = ENOSPC;
        return -1;
    }
    return syscall(SYS_pwrite64, fd, p, n, at);
}

int fdatasync(int fd)
{
    while (is_journal(fd) && atomic_load(&hold_journal_sync))
        clock_sleep_ms(1);
    if ((atomic_load(&fail_journal_sync) && is_journal(fd)) || (atomic_load(&fail_store_sync) && is_store(fd))) {
        atomic_fetch_add(&n_syncs_failed, 1);
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

static struct ledger *l;
static struct principal who;

static bool start(void)
{
    atomic_store(&fail_journal_write, 0), atomic_store(&fail_store_write, 0), atomic_store(&fail_journal_sync, 0), atomic_store(&fail_store_sync, 0);
    atomic_store(&n_syncs_failed, 0);
    l = open_at(dir_new());
    if (l)
        atomic_store(&l->no_heal, true); /* test_heal has what comes after */
    return l && account_with(l, "acme", (struct money){1000}, &who) && price_now(l, "m", 1000000, 1000000);
}

/* Mends the disk, opens again: balance as wanted, audit clean, work goes on. */
static bool mended(int64_t balance)
{
    atomic_store(&fail_journal_write, 0), atomic_store(&fail_store_write, 0), atomic_store(&fail_journal_sync, 0), atomic_store(&fail_store_sync, 0);
    ledger_close(l);
    l = open_at(test_dir);
    int64_t held, has = l ? balance_now(l, &who, &held) : -1;
    bool ok = l && audit_now(l) == 0 && has == balance && held == 0 && hold_now(l, &who, "after", "m", 1, 1).err.code == ERR_OK;
    if (!ok)
        printf("balance %lld, expected %lld\n", (long long)has, (long long)balance);
    ledger_close(l);
    dir_drop();
    return ok;
}

TEST(the_journal_cannot_be_written)
{
    CHECK(start());
    struct err e = {0};
    struct hold_answer a = hold_now(l, &who, "a", "m", 10, 10);
    CHECK(a.err.code == ERR_OK && ledger_journal(l, &(struct journal_step){a.hold, {.input = 10, .output = 4}}, 1, &e) == 0);
    atomic_store(&fail_journal_write, 1);
    CHECK(ledger_journal(l, &(struct journal_step){a.hold, {.input = 10, .output = 5}}, 1, &e) < 0 && e.code == ERR_DB && e.msg[0]);
    atomic_store(&fail_journal_write, 0); /* even when the disk works again */
    CHECK(ledger_journal(l, &(struct journal_step){a.hold, {.input = 10, .output = 6}}, 1, &e) < 0);
    struct hold_answer b = hold_now(l, &who, "b", "m", 1, 1);
    CHECK(b.err.code == ERR_DB && strstr(b.err.msg, "restart"));
    CHECK(more_now(l, a.hold, 1).err.code == ERR_DB && finish_now(l, a.hold, 10, 6, NULL) < 0);
    CHECK(ledger_grant_create(l, &(struct grant_new){.org = who.org, .amount = {5}, .scope = "any", .funding = "paid"}, NULL, &e) < 0 &&
          e.code == ERR_DB);
    CHECK(mended(1000 - 14));
}

TEST(the_store_cannot_be_written)
{
    CHECK(start());
    struct err e = {0};
    struct hold_answer a = hold_now(l, &who, "a", "m", 10, 10);
    CHECK(a.err.code == ERR_OK);
    atomic_store(&fail_store_write, 1);
    CHECK(hold_now(l, &who, "b", "m", 1, 1).err.code == ERR_DB);
    atomic_store(&fail_store_write, 0);
    CHECK(hold_now(l, &who, "c", "m", 1, 1).err.code == ERR_DB);
    CHECK(ledger_journal(l, &(struct journal_step){a.hold, {.input = 10, .output = 7}}, 1, &e) ==
          0); /* the journal still works: what runs is billed */
    CHECK(finish_now(l, a.hold, 10, 8, NULL) == 0);
    CHECK(mended(1000 - 18));
}

TEST(the_journal_cannot_be_synced)
{
    CHECK(start());
    struct err e = {0};
    struct hold_answer a = hold_now(l, &who, "a", "m", 10, 10);
    atomic_store(&hold_journal_sync, 1); /* the sync of the hold, if it comes now, ends behind the next record */
    CHECK(a.err.code == ERR_OK && ledger_journal(l, &(struct journal_step){a.hold, {.input = 10, .output = 4}}, 1, &e) == 0);
    atomic_store(&fail_journal_sync, 1);
    atomic_store(&hold_journal_sync, 0);
    for (int i = 0; i < 12000 && !atomic_load(&l->broken); i++)
        clock_sleep_ms(10);
    atomic_store(&fail_journal_sync, 0);
    CHECK(hold_now(l, &who, "b", "m", 1, 1).err.code == ERR_DB);
    clock_sleep_ms(300);
    CHECK(atomic_load(&n_syncs_failed) == 1); /* never tried again */
    CHECK(mended(1000 - 14));
}

TEST(the_store_cannot_be_synced)
{
    CHECK(start());
    struct err e = {0};
    atomic_store(&fail_store_sync, 1);
    CHECK(ledger_grant_create(l, &(struct grant_new){.org = who.org, .amount = {5}, .scope = "any", .funding = "paid"}, NULL, &e) < 0 &&
          e.code == ERR_DB);
    atomic_store(&fail_store_sync, 0);
    CHECK(hold_now(l, &who, "b", "m", 1, 1).err.code == ERR_DB);
    /* Whether the grant is there after a failed sync is the disk's secret; here it is. */
    CHECK(mended(1005));
}

TEST_MAIN()
