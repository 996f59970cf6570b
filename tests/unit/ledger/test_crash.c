/* The ledger under crash. This program's own write, pwrite64, fdatasync, fsync, ftruncate64, unlink and rename stand before libc's (for SQLite
 * too) and can end the process at the n-th call, also in the middle of a write, or keep a second folder that has only what was synced: the
 * disk of a machine that lost its power.
 *
 * A child works and notes in shared memory what it asked and what it was told; then the parent opens the folder and compares:
 * every request that the child was told is finished is billed exactly as finished; every other is billed at least what it was told is
 * journaled, at most what it asked to journal, and never twice; the audit is clean; and a second start changes nothing. */
#include "base/json.h"
#include "base/rng.h"
#include "ledger/ledger_int.h"
#include "ledger/usage.h"
#include "lib.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- what is shared with the child ---- */

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum { STRIDE = 61 };
#else
enum { STRIDE = 7 };
#endif
enum { SLOTS = 2048, CRASHED = 42 };

struct slot {
    atomic_uint asked, held;              /* 1 when so */
    atomic_uint journal_asked, journaled; /* output tokens, plus 1 */
    atomic_uint finish_asked, finished;   /* output tokens, plus 1 */
};
static struct shared {
    struct slot slot[SLOTS];
    struct slot synced[SLOTS]; /* slot, as it was when the last sync of the journal began */
    atomic_uint granted;       /* grants that were acknowledged */
    atomic_uint deeds;         /* the same of deeds */
    atomic_long calls;
    atomic_long stop_at;                         /* 0: never */
    atomic_int torn;                             /* write half before stopping */
    atomic_int shadowing, keep_unlinked, frozen; /* frozen: synced stays as it is */
} * sh;

static char shadow[80];
static const char *real_dir;

/* ---- the calls that stand before libc's ---- */

static pthread_mutex_t shadow_lock = PTHREAD_MUTEX_INITIALIZER;

static bool stop_here(void)
{
    long at = sh ? atomic_load(&sh->stop_at) : 0;
    return at && atomic_fetch_add(&sh->calls, 1) + 1 == at;
}

static bool in_folder(const char *path, char *to, size_t cap)
{
    size_t n = real_dir ? strlen(real_dir) : 0;
    return n && strncmp(path, real_dir, n) == 0 && snprintf(to, cap, "%s%s", shadow, path + n) < (int)cap;
}

/* Copies a file as it is now into the shadow. */
static void shadow_file(int fd)
{
    char link[64], path[512] = {0}, to[600], chunk[65536];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) < 0 || !in_folder(path, to, sizeof to))
        return;
    int in = open(path, O_RDONLY | O_CLOEXEC), out;
    struct stat st;
    if (in < 0 || fstat(in, &st) < 0 || !S_ISREG(st.st_mode)) {
        if (in >= 0)
            close(in);
        return;
    }
    out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    for (ssize_t n; (n = read(in, chunk, sizeof chunk)) > 0;)
        syscall(SYS_write, out, chunk, (size_t)n);
    close(in);
    close(out);
}

static int synced(int fd, long number)
{
    if (stop_here())
        _exit(CRASHED);
    if (!sh || !atomic_load(&sh->shadowing))
        return (int)syscall(number, fd);
    static struct slot before[SLOTS];
    pthread_mutex_lock(&shadow_lock);
    for (size_t i = 0; i < SLOTS; i++)
        atomic_store(&before[i].journaled, atomic_load(&sh->slot[i].journaled)),
            atomic_store(&before[i].finished, atomic_load(&sh->slot[i].finished));
    shadow_file(fd);
    char link[64], path[512] = {0};
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, path, sizeof path - 1) > 0 && strstr(path, "/journal/") && !atomic_load(&sh->frozen))
        memcpy(sh->synced, before, sizeof before);
    pthread_mutex_unlock(&shadow_lock);
    return 0;
}

ssize_t write(int fd, const void *p, size_t n)
{
    if (fd > 2 && stop_here()) {
        if (atomic_load(&sh->torn))
            syscall(SYS_write, fd, p, n / 2);
        _exit(CRASHED);
    }
    return syscall(SYS_write, fd, p, n);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
    if (stop_here()) {
        if (atomic_load(&sh->torn))
            syscall(SYS_pwrite64, fd, p, n / 2, at);
        _exit(CRASHED);
    }
    return syscall(SYS_pwrite64, fd, p, n, at);
}

int fdatasync(int fd)
{
    return synced(fd, SYS_fdatasync);
}
int fsync(int fd)
{
    return synced(fd, SYS_fsync);
}

int ftruncate64(int fd, off64_t n)
{
    if (stop_here())
        _exit(CRASHED);
    return (int)syscall(SYS_ftruncate, fd, n);
}

int unlink(const char *path)
{
    char to[600];
    if (stop_here())
        _exit(CRASHED);
    if (sh && atomic_load(&sh->shadowing) && !atomic_load(&sh->keep_unlinked) && in_folder(path, to, sizeof to))
        syscall(SYS_unlink, to);
    return (int)syscall(SYS_unlink, path);
}

int rename(const char *from, const char *to)
{
    char a[600], b[600];
    if (stop_here())
        _exit(CRASHED);
    if (sh && atomic_load(&sh->shadowing) && in_folder(from, a, sizeof a) && in_folder(to, b, sizeof b))
        syscall(SYS_rename, a, b);
    return (int)syscall(SYS_rename, from, to);
}

/* ---- the child ---- */

static struct principal who, other; /* known to the parent before the child starts */
enum { DEEDS = 4 };

static bool serve_one(struct ledger *l, uint32_t id, uint32_t steps, bool finish)
{
    struct slot *s = &sh->slot[id];
    struct err e;
    char request[32];
    snprintf(request, sizeof request, "q%u", id);
    atomic_store(&s->asked, 1);
    struct hold_answer a = hold_now(l, &who, request, "m", 10, 4);
    if (a.err.code)
        return false;
    atomic_store(&s->held, 1);
    for (uint32_t k = 1; k <= steps; k++) {
        if (k > 4 && k % 4 == 1 && more_now(l, a.hold, 4).err.code)
            return false;
        atomic_store(&s->journal_asked, k + 1);
        if (ledger_journal(l, &(struct journal_step){a.hold, {.input = 10, .output = k}}, 1, &e) < 0)
            return false;
        atomic_store(&s->journaled, k + 1);
    }
    if (!finish)
        return true;
    atomic_store(&s->finish_asked, steps + 2);
    if (finish_now(l, a.hold, 10, steps + 1, NULL) < 0)
        return false;
    atomic_store(&s->finished, steps + 2);
    return true;
}

static bool grant_one(struct ledger *l)
{
    struct err e;
    char reference[32];
    snprintf(reference, sizeof reference, "g%u", atomic_load(&sh->granted));
    if (ledger_grant_create(l,
                            &(struct grant_new){.org = who.org, .amount = {1000000}, .scope = "inference", .funding = "paid", .reference = reference},
                            NULL, &e) < 0)
        return false;
    atomic_fetch_add(&sh->granted, 1);
    return true;
}

/* What deed number n is done to: the course's first two requests and the grants that it had made by then. Done twice it must be done once. */
static bool deed(struct ledger *l, uint32_t n)
{
    struct err e;
    char key[32];
    snprintf(key, sizeof key, "d%u", n);
    const struct deed by = {key, "ann", "a course"};
    switch (n % DEEDS) {
    case 0: return ledger_grant_adjust(l, (struct grant_id){1}, (struct money){700}, &by, NULL, &e) == 0;
    case 1: return ledger_grant_transfer(l, (struct grant_id){1}, other.org, (struct money){500}, &by, NULL, &e) == 0;
    case 2: return ledger_refund(l, "q0", &(struct money){3}, &by, NULL, &e) == 0;
    default: return ledger_grant_void(l, (struct grant_id){3}, &by, NULL, &e) == 0;
    }
}

static bool deed_one(struct ledger *l)
{
    if (!deed(l, atomic_load(&sh->deeds)))
        return false;
    atomic_fetch_add(&sh->deeds, 1);
    return true;
}

/* A fixed course of work, with small journal segments so that some are rotated. */
static void course(const char *dir, bool strict)
{
    struct ledger *l;
    struct err e;
    if (ledger_open(&l, &(struct ledger_opts){.dir = dir, .node = "child", .strict = strict}, &e) < 0)
        _exit(3);
    atomic_store(&l->segment_bytes, 1500);
    for (uint32_t i = 0; i < 14; i++)
        if (!serve_one(l, i, i % 6, i % 5 != 3) || (i % 6 == 5 && !grant_one(l)) || (i >= 6 && i < 6 + DEEDS && !deed_one(l)))
            _exit(4);
    ledger_close(l);
    _exit(0);
}

/* ---- the parent ---- */

static bool run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static bool run(const char *fmt, ...)
{
    char cmd[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(cmd, sizeof cmd, fmt, ap);
    va_end(ap);
    return system(cmd) == 0;
}

static bool prepare(void)
{
    if (!sh)
        sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    memset(sh, 0, sizeof *sh);
    struct ledger *l = open_at(dir_new());
    struct err e;
    bool ok = l && account_with(l, "acme", USD(1), &who) && account_with(l, "beta", USD(0), &other) && price_now(l, "m", 1000000, 1000000) &&
              ledger_key_set(l, who.public_id, &(struct key_limits){.budget = "0.50/month"}, &e) == 0; /* the audit says whether it stays exact */
    ledger_close(l);
    snprintf(shadow, sizeof shadow, "%s.shadow", test_dir);
    return ok && run("rm -rf %s.base && cp -a %s %s.base", test_dir, test_dir, test_dir);
}

static bool reset(void)
{
    memset(sh, 0, sizeof *sh);
    return run("rm -rf %s %s && cp -a %s.base %s && cp -a %s.base %s", test_dir, shadow, test_dir, test_dir, test_dir, shadow);
}

static void cleanup(void)
{
    run("rm -rf %s %s.base %s", test_dir, test_dir, shadow);
}

/* Runs fn in a child that stops at the n-th call; returns its exit status, or -1. */
static int child(void (*fn)(const char *, bool), bool strict, long stop_at, bool torn)
{
    atomic_store(&sh->calls, 0), atomic_store(&sh->torn, torn);
    pid_t pid = fork();
    if (pid == 0) {
        atomic_store(&sh->stop_at, stop_at);
        fn(test_dir, strict);
        _exit(0);
    }
    int status;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return -1;
    atomic_store(&sh->stop_at, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void open_only(const char *dir, bool strict)
{
    (void)strict;
    struct ledger *l = open_at(dir);
    if (!l)
        _exit(3);
    _exit(0);
}

static bool wrong(const char *request, const char *what, int64_t has, uint32_t want)
{
    printf("request %s: %s: billed %lld, expected %u\n", request, what, (long long)has, want);
    return false;
}

/* One row of the usage report against what the child was told. told: sh->slot, or sh->synced after a loss of power. */
static bool row_ok(const struct json *row, const struct slot *told, uint8_t *billed)
{
    struct str name = json_str(json_get(row, "request"));
    uint64_t id;
    int64_t out = json_int(json_get(row, "output"));
    const char *reason = json_str(json_get(row, "reason")).p;
    if (name.n < 2 || !str_u64((struct str){name.p + 1, name.n - 1}, &id) || id >= SLOTS)
        return wrong(name.p, "unknown", out, 0);
    if (billed[id]++)
        return wrong(name.p, "billed twice", out, 0);
    const struct slot *asked = &sh->slot[id], *t = &told[id];
    uint32_t finished = atomic_load(&t->finished), journaled = atomic_load(&t->journaled);
    uint32_t most = atomic_load(&asked->finish_asked) ? atomic_load(&asked->finish_asked) : atomic_load(&asked->journal_asked);
    if (finished && (out != finished - 1 || strcmp(reason, "stop") != 0))
        return wrong(name.p, reason, out, finished - 1);
    if (journaled && out < journaled - 1)
        return wrong(name.p, "less than journaled", out, journaled - 1);
    if (out > (most ? most - 1 : 0))
        return wrong(name.p, "more than was asked", out, most);
    if (!strcmp(reason, "stop") && !atomic_load(&asked->finish_asked))
        return wrong(name.p, "finished out of nothing", out, 0);
    return true;
}

static bool rows_ok(struct ledger *l, const struct slot *told)
{
    static uint8_t billed[SLOTS];
    struct buf out;
    struct err e = {0};
    struct json *j = NULL;
    bool ok;
    memset(billed, 0, sizeof billed);
    buf_init(&out, 0);
    ok = ledger_report_usage(l, &(struct usage_filter){.group = "request"}, &out, &e) == 0 && json_parse(&j, out.data, out.len, &e) == 0;
    if (!ok)
        printf("report: %s\n", e.msg);
    for (size_t i = 0; ok && i < json_len(j); i++)
        ok = row_ok(json_at(j, i), told, billed);
    for (uint32_t i = 0; ok && i < SLOTS; i++) {
        char name[16];
        snprintf(name, sizeof name, "q%u", i);
        if (!billed[i] && (atomic_load(&told[i].journaled) || atomic_load(&told[i].finished)))
            ok = wrong(name, "not billed at all", 0, atomic_load(&told[i].journaled) - 1);
    }
    json_free(j);
    buf_deinit(&out);
    return ok;
}

/* Deeds that were acknowledged are there, and at most one more; done again they are not done again. A power loss keeps them too: they are synced. */
static bool deeds_ok(struct ledger *l)
{
    struct buf before, after;
    struct err e;
    uint32_t acked = atomic_load(&sh->deeds);
    bool ok = l->next_operation - 1 >= acked;
    buf_init(&before, 0), buf_init(&after, 0);
    ok = ok && ledger_report_grants(l, NULL, &before, &e) == 0;
    for (uint32_t n = 0; n < acked && ok; n++)
        ok = deed(l, n);
    ok = ok && ledger_report_grants(l, NULL, &after, &e) == 0 && before.len == after.len && memcmp(before.data, after.data, after.len) == 0;
    if (!ok)
        printf("%u deeds were acknowledged; again: %s\n%s\n%s\n", acked, e.msg, before.data ? before.data : "", after.data ? after.data : "");
    buf_deinit(&before), buf_deinit(&after);
    return ok;
}

/* Opens dir, compares, opens it once more. */
static bool verify(const char *dir, const struct slot *told, bool exact)
{
    int64_t before = 0, held = 0;
    for (int pass = 0; pass < 2; pass++) {
        struct ledger *l = open_at(dir);
        if (!l)
            return false;
        int64_t now = balance_now(l, &who, &held);
        bool ok = audit_now(l) == 0 && rows_ok(l, told) && held == 0 && (pass == 0 || now == before);
        struct buf out;
        struct err e;
        buf_init(&out, 0);
        size_t grants = 0;
        ok = ok && ledger_report_grants(l, NULL, &out, &e) == 0;
        for (const char *p = out.data; ok && (p = strstr(p, "\"reference\":\"g")); p++)
            grants++;
        if (ok && (grants < atomic_load(&sh->granted) || grants > atomic_load(&sh->granted) + 1))
            printf("%zu grants, %u acknowledged\n", grants, atomic_load(&sh->granted)), ok = false;
        buf_deinit(&out);
        before = now;
        ok = ok && deeds_ok(l) && audit_now(l) == 0;
        ledger_close(l);
        if (!ok)
            return printf("pass %d, exact %d\n", pass, exact), false;
    }
    return true;
}

/* Every 7th call; with SLUICE_CRASH_ALL every one. */
static long stride(void)
{
    return getenv("SLUICE_CRASH_ALL") ? 1 : STRIDE;
}

/* ---- the cases ---- */

TEST(killed_at_every_write)
{
    CHECK(prepare());
    for (int torn = 0; torn < 2; torn++) {
        int rc = CRASHED;
        for (long n = 1; rc == CRASHED; n += stride()) {
            CHECK(reset());
            rc = child(course, false, n, torn);
            CHECK_MSG(rc == 0 || rc == CRASHED, "child ended with %d at call %ld", rc, n);
            if (rc == CRASHED) { /* and the start after it is killed too */
                int again = child(open_only, false, n % 23 + 1, torn);
                CHECK_MSG(again == 0 || again == CRASHED, "start ended with %d after call %ld", again, n);
            }
            CHECK_MSG(verify(test_dir, sh->slot, true), "killed at call %ld%s", n, torn ? ", torn" : "");
            if (rc == 0)
                CHECK_MSG(n > 300, "only %ld calls", n);
        }
    }
    cleanup();
}

/* Runs fn on the folder until the n-th call; the shadow then has what the disk would have. */
static int shadowed(void (*fn)(const char *, bool), bool strict, long n)
{
    real_dir = test_dir;
    atomic_store(&sh->shadowing, 1);
    int rc = child(fn, strict, n, false);
    atomic_store(&sh->shadowing, 0);
    real_dir = NULL;
    return rc;
}

/* The power goes at the n-th call, and again at some call of the start after it: only what was synced is left. */
static bool power_loss(bool strict, bool keep_unlinked)
{
    int rc = CRASHED;
    for (long n = 2; rc == CRASHED; n += stride()) {
        if (!reset())
            return false;
        atomic_store(&sh->keep_unlinked, keep_unlinked);
        rc = shadowed(course, strict, n);
        atomic_store(&sh->frozen, 1);
        if (rc != 0 && rc != CRASHED)
            return printf("child ended with %d at call %ld\n", rc, n), false;
        if (!run("rm -rf %s && cp -a %s %s", test_dir, shadow, test_dir))
            return false;
        int again = shadowed(open_only, strict, n % 61 + 1);
        if (again != 0 && again != CRASHED)
            return printf("start ended with %d after call %ld\n", again, n), false;
        if (!verify(shadow, strict ? sh->slot : sh->synced, strict))
            return printf("power lost at call %ld, strict %d, old segments kept %d\n", n, strict, keep_unlinked), false;
    }
    return true;
}

TEST(power_lost)
{
    CHECK(prepare());
    CHECK(power_loss(false, false) && power_loss(false, true));
    cleanup();
}

TEST(power_lost_with_a_strict_journal)
{
    CHECK(prepare());
    CHECK(power_loss(true, false) && power_loss(true, true));
    cleanup();
}

/* ---- kill -9 under load ---- */

static atomic_uint next_id;
static struct ledger *loaded;

static void worker(void *arg)
{
    (void)arg;
    for (uint32_t id; (id = atomic_fetch_add(&next_id, 1)) < SLOTS;)
        if (!serve_one(loaded, id, id % 9, id % 7 != 2))
            return;
}

static void load(const char *dir, bool strict)
{
    struct err e;
    if (ledger_open(&loaded, &(struct ledger_opts){.dir = dir, .node = "child", .strict = strict}, &e) < 0)
        _exit(3);
    atomic_store(&loaded->segment_bytes, 20000);
    struct thread t[6];
    for (int i = 0; i < 6; i++)
        if (!thread_start(&t[i], "worker", worker, NULL))
            _exit(4);
    for (int i = 0; i < 6; i++)
        thread_join(&t[i]);
    pause();
}

TEST(killed_under_load)
{
    uint64_t rounds = 25;
    const char *more = getenv("SLUICE_CRASH_ROUNDS");
    if (more)
        CHECK(str_u64(str_of(more), &rounds));
    CHECK(prepare());
    for (uint64_t i = 0; i < rounds; i++) {
        CHECK(reset());
        atomic_store(&next_id, 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0)
            load(test_dir, i % 5 == 4);
        usleep((useconds_t)(rng_u64(7, 0, i, 0) % 120000 + 2000));
        int status;
        CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
        CHECK_MSG(verify(test_dir, sh->slot, true), "round %llu", (unsigned long long)i);
    }
    cleanup();
}

TEST_MAIN()
