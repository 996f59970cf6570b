/* What the ledger's tests share: a data folder that goes away, and calls that wait for their answer. */
#pragma once
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/os.h"
#include "base/thread.h"
#include "ledger/ledger.h"
#include "test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define USD(x) ((struct money){(int64_t)((x)*1000000000ll)}) /* whole units and exact fractions only */

static char test_dir[64], test_store[400]; /* test_store "": SQLite in test_dir */

/* SLUICE_TEST_POSTGRES=URL (make test-postgres): each folder has a schema of its own in that database. */
static inline void schema(const char *what)
{
    const char *url = getenv("SLUICE_TEST_POSTGRES"), *name = strrchr(test_dir, '-') + 1;
    char cmd[900];
    if (!url)
        return;
    snprintf(cmd, sizeof cmd, "psql -qX '%s' -c 'SET client_min_messages = warning; %s SCHEMA \"%s\" %s'", url, what, name,
             *what == 'D' ? "CASCADE" : "");
    if (system(cmd) != 0)
        abort();
    snprintf(test_store, sizeof test_store, "%s%soptions=-csearch_path%%3D%s", url, strchr(url, '?') ? "&" : "?", name);
}

static inline const char *dir_new(void)
{
    /* In memory where there is room: syncs cost nothing there. */
    snprintf(test_dir, sizeof test_dir, "%s/sluice-ledger-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(test_dir))
        abort();
    for (char *p = strrchr(test_dir, '-') + 1; *p; p++)
        *p = *p >= 'A' && *p <= 'Z' && getenv("SLUICE_TEST_POSTGRES") ? (char)(*p + 32) : *p; /* a schema's name is in small letters */
    (void)mkdir(test_dir, 0700);
    schema("CREATE");
    return test_dir;
}

static inline void dir_drop(void)
{
    char cmd[128];
    snprintf(cmd, sizeof cmd, "rm -rf %s", test_dir);
    if (system(cmd) != 0)
        abort();
    schema("DROP");
}

static inline struct ledger *open_at(const char *dir)
{
    struct err e = {0};
    struct ledger *l = NULL;
    if (ledger_open(&l, &(struct ledger_opts){.dir = dir, .store = test_store, .node = "test"}, &e) < 0) {
        printf("ledger_open: %s\n", e.msg);
        return NULL;
    }
    return l;
}

/* An answer that a test thread waits for (opts.post is NULL: it comes on the ledger thread). */
struct waiter {
    struct mutex m;
    struct cond c;
    bool done;
    struct hold_answer a;
};

static inline void waiter_fn(void *arg, const struct hold_answer *a)
{
    struct waiter *w = arg;
    mutex_lock(&w->m);
    w->a = *a;
    w->done = true;
    cond_signal(&w->c);
    mutex_unlock(&w->m);
}

static inline struct hold_answer waiter_wait(struct waiter *w)
{
    mutex_lock(&w->m);
    while (!w->done)
        cond_wait(&w->c, &w->m);
    mutex_unlock(&w->m);
    mutex_deinit(&w->m);
    cond_deinit(&w->c);
    return w->a;
}

static inline void waiter_init(struct waiter *w)
{
    memset(w, 0, sizeof *w);
    mutex_init(&w->m);
    cond_init(&w->c);
}

static inline struct hold_answer hold_now(struct ledger *l, const struct principal *who, const char *request, const char *model, uint32_t in,
                                          uint32_t out)
{
    struct waiter w;
    waiter_init(&w);
    ledger_hold(l, &(struct hold_req){.who = *who, .request = request, .model = model, .revision = "repo@1:file", .input = in, .output = out},
                waiter_fn, &w);
    return waiter_wait(&w);
}

static inline struct hold_answer more_now(struct ledger *l, struct hold_id h, uint32_t out)
{
    struct waiter w;
    waiter_init(&w);
    ledger_hold_more(l, h, out, waiter_fn, &w);
    return waiter_wait(&w);
}

static inline int finish_now(struct ledger *l, struct hold_id h, uint32_t in, uint32_t out, struct bill *b)
{
    struct err e;
    return ledger_finish(
        l, &(struct finish_req){.hold = h, .counts = {.input = in, .output = out}, .reason = FINISH_STOP, .status = 200, .end_us = clock_now_us()}, b,
        &e);
}

/* 0 when the audit is clean; else prints what it found. */
static inline uint64_t audit_now(struct ledger *l)
{
    struct buf out;
    struct err e = {0};
    uint64_t n = 0;
    buf_init(&out, 0);
    if (ledger_audit(l, &out, &n, &e) < 0)
        printf("audit: %s\n%s", e.msg, out.data ? out.data : "");
    buf_deinit(&out);
    return n ? n : e.code;
}

/* An account with a key and, when credit is more than 0, a grant for any use. */
static inline bool account_with(struct ledger *l, const char *name, struct money credit, struct principal *who)
{
    struct err e = {0};
    struct org_id org;
    char key[LEDGER_KEY_MAX];
    if (ledger_account_create(l, name, &org, &e) < 0 || ledger_key_create(l, org, NULL, 0, NULL, key, &e) < 0 ||
        ledger_principal(l, str_of(key), who, &e) < 0 ||
        (credit.nano && ledger_grant_create(l, &(struct grant_new){.org = org, .amount = credit, .scope = "any", .funding = "paid", .priority = 50},
                                            NULL, &e) < 0)) {
        printf("account_with: %s\n", e.msg);
        return false;
    }
    return true;
}

static inline bool price_now(struct ledger *l, const char *model, int64_t in, int64_t out)
{
    struct err e = {0};
    if (ledger_price_set(
            l, &(struct price_new){.model = model, .input = {in}, .cache_read = {in / 2}, .cache_write = {in}, .output = {out}, .reasoning = {out}},
            NULL, &e) == 0)
        return true;
    printf("price_now: %s\n", e.msg);
    return false;
}

static inline int64_t balance_now(struct ledger *l, const struct principal *who, int64_t *held)
{
    struct money f = {-1}, h = {-1};
    struct err e;
    if (ledger_balance(l, who->org, &f, &h, &e) < 0)
        printf("balance: %s\n", e.msg);
    if (held)
        *held = h.nano;
    return f.nano;
}
