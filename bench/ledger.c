/* What metering costs: holds, journaled steps and finishes through one ledger thread. Prints microseconds a request.
 * ledger [requests] [open at once] [steps a request] [accounts] */
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/thread.h"
#include "ledger/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct mutex lock;
static struct cond some;
static struct hold_id granted[4096];
static size_t n_granted;
static uint64_t refused;

static void on_hold(void *arg, const struct hold_answer *a)
{
    (void)arg;
    mutex_lock(&lock);
    if (a->err.code)
        refused++, granted[n_granted++] = (struct hold_id){0};
    else
        granted[n_granted++] = a->hold;
    cond_signal(&some);
    mutex_unlock(&lock);
}

static uint64_t arg_or(int argc, char **argv, int i, uint64_t fallback)
{
    uint64_t v;
    return argc > i && str_u64(str_of(argv[i]), &v) ? v : fallback;
}

static void ask(struct ledger *l, const struct principal *who, uint64_t n)
{
    char request[32];
    (void)str_fmt(request, sizeof request, "req-%016llx", (unsigned long long)n);
    ledger_hold(l,
                &(struct hold_req){
                    .who = *who, .request = request, .model = "guide", .revision = "sluice/guide@main:guide.gguf", .input = 300, .output = 200},
                on_hold, NULL);
}

static void die(const char *what, const struct err *e)
{
    fprintf(stderr, "%s: %s\n", what, e->msg);
    exit(1);
}

/* Takes what was granted, journals its steps as the engine would (all in one write a step), finishes it. */
static size_t serve(struct ledger *l, uint64_t steps, uint64_t *step_ns, uint64_t *n_steps, uint64_t *finish_ns)
{
    static struct hold_id mine[4096];
    static struct journal_step step[4096];
    struct err e;
    mutex_lock(&lock);
    while (!n_granted)
        cond_wait(&some, &lock);
    size_t n = n_granted;
    for (size_t i = 0; i < n; i++)
        mine[i] = granted[i];
    n_granted = 0;
    mutex_unlock(&lock);
    for (uint64_t k = 1; k <= steps; k++) {
        for (size_t i = 0; i < n; i++)
            step[i] = (struct journal_step){mine[i], {.input = 300, .output = (uint32_t)k}};
        uint64_t t = clock_ns();
        if (ledger_journal(l, step, n, &e) < 0)
            die("journal", &e);
        *step_ns += clock_ns() - t, ++*n_steps;
    }
    uint64_t t = clock_ns();
    for (size_t i = 0; i < n; i++) {
        struct finish_req q = {
            .hold = mine[i], .counts = {.input = 300, .output = (uint32_t)steps}, .reason = FINISH_STOP, .status = 200, .end_us = clock_now_us()};
        if (mine[i].v && ledger_finish(l, &q, NULL, &e) < 0)
            die("finish", &e);
    }
    *finish_ns += clock_ns() - t;
    return n;
}

int main(int argc, char **argv)
{
    uint64_t total = arg_or(argc, argv, 1, 20000), open = arg_or(argc, argv, 2, 256), steps = arg_or(argc, argv, 3, 4),
             accounts = arg_or(argc, argv, 4, 16);
    char dir[] = "/tmp/sluice-bench-XXXXXX", name[32], key[LEDGER_KEY_MAX], clean[64];
    struct err e = {0};
    struct ledger *l;
    static struct principal who[1024];
    if (!total || !open || open > 4096 || !accounts || accounts > 1024 || steps > 200 || !mkdtemp(dir))
        return fprintf(stderr, "usage: ledger [requests] [open, to 4096] [steps, to 200] [accounts, to 1024]\n"), 2;
    mutex_init(&lock), cond_init(&some);
    if (ledger_open(&l, &(struct ledger_opts){.dir = dir, .node = "bench"}, &e) < 0)
        die("open", &e);
    if (ledger_price_set(l, &(struct price_new){.model = "guide", .input = {100000000}, .output = {400000000}}, NULL, &e) < 0)
        die("price", &e);
    for (uint64_t i = 0; i < accounts; i++) {
        struct org_id org;
        (void)str_fmt(name, sizeof name, "account-%llu", (unsigned long long)i);
        struct grant_new g = {.amount = {INT64_C(1000) * MONEY_NANO}, .scope = "any", .funding = "paid"};
        if (ledger_account_create(l, name, &org, &e) < 0 || ledger_key_create(l, org, NULL, 0, NULL, key, &e) < 0 ||
            ledger_principal(l, str_of(key), &who[i], &e) < 0)
            die("account", &e);
        g.org = org;
        if (ledger_grant_create(l, &g, NULL, &e) < 0)
            die("grant", &e);
    }
    uint64_t asked = 0, done = 0, step_ns = 0, n_steps = 0, finish_ns = 0, start = clock_ns();
    while (asked < open && asked < total)
        ask(l, &who[asked % accounts], asked), asked++;
    while (done < total) {
        size_t n = serve(l, steps, &step_ns, &n_steps, &finish_ns);
        done += n;
        for (; n && asked < total; n--, asked++)
            ask(l, &who[asked % accounts], asked);
    }
    struct buf out;
    buf_init(&out, 0);
    if (ledger_report_accounts(l, &out, &e) < 0) /* waits until everything is committed */
        die("report", &e);
    double s = (double)(clock_ns() - start) / 1e9;
    printf("ledger: %llu requests, %llu at once, %llu steps each, %llu accounts, %llu refused: %.1f us a request, %.0f requests/s; "
           "ledger_journal %.1f us a step, ledger_finish %.1f us\n",
           (unsigned long long)total, (unsigned long long)open, (unsigned long long)steps, (unsigned long long)accounts, (unsigned long long)refused,
           s * 1e6 / (double)total, (double)total / s, (double)step_ns / 1e3 / (double)(n_steps ? n_steps : 1),
           (double)finish_ns / 1e3 / (double)total);
    buf_deinit(&out);
    ledger_close(l);
    (void)str_fmt(clean, sizeof clean, "rm -rf %s", dir);
    return system(clean) == 0 ? 0 : 1;
}
