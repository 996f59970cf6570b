/* sluice's own server, api and ledger over the fake backend of fake.h: what a request costs when answers cost nothing, and what is lost.
 *
 * usage: load_server DATA [--witness FILE] [--accounts N] [--port N] [--budget] [--ungoverned]
 *
 * The first start makes N accounts (16), each with credit, a key and limits on requests and tokens that nobody reaches, and writes the keys to
 * DATA/keys, one a line. Prints its address, ends on SIGTERM.
 *
 * --ungoverned is for measuring alone: this program's calls of the ledger for a request are cut out by the linker (__wrap_...), so that the same
 * server, with the same keys, meters and bills nothing. The product has no such setting. */
#include "base/mem.h"
#include "base/os.h"
#include "ledger/rate.h"
#include "load/fake.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct server *server;
static bool ungoverned;

/* ---- what is cut out ---- */

void __real_ledger_hold(struct ledger *l, const struct hold_req *q, hold_fn fn, void *arg);
void __wrap_ledger_hold(struct ledger *l, const struct hold_req *q, hold_fn fn, void *arg);
void __wrap_ledger_hold(struct ledger *l, const struct hold_req *q, hold_fn fn, void *arg)
{
    if (ungoverned)
        fn(arg, &(struct hold_answer){.hold = {1}});
    else
        __real_ledger_hold(l, q, fn, arg);
}

void __real_ledger_hold_more(struct ledger *l, struct hold_id h, uint32_t output, hold_fn fn, void *arg);
void __wrap_ledger_hold_more(struct ledger *l, struct hold_id h, uint32_t output, hold_fn fn, void *arg);
void __wrap_ledger_hold_more(struct ledger *l, struct hold_id h, uint32_t output, hold_fn fn, void *arg)
{
    if (ungoverned)
        fn(arg, &(struct hold_answer){.hold = h});
    else
        __real_ledger_hold_more(l, h, output, fn, arg);
}

int __real_ledger_journal(struct ledger *l, const struct journal_step *s, size_t n, struct err *e);
int __wrap_ledger_journal(struct ledger *l, const struct journal_step *s, size_t n, struct err *e);
int __wrap_ledger_journal(struct ledger *l, const struct journal_step *s, size_t n, struct err *e)
{
    return ungoverned ? 0 : __real_ledger_journal(l, s, n, e);
}

int __real_ledger_finish(struct ledger *l, const struct finish_req *q, struct bill *out, struct err *e);
int __wrap_ledger_finish(struct ledger *l, const struct finish_req *q, struct bill *out, struct err *e);
int __wrap_ledger_finish(struct ledger *l, const struct finish_req *q, struct bill *out, struct err *e)
{
    return ungoverned ? 0 : __real_ledger_finish(l, q, out, e);
}

bool __real_ledger_rate_levels(struct ledger *l, const struct principal *who, struct str model, struct rate_levels *out);
bool __wrap_ledger_rate_levels(struct ledger *l, const struct principal *who, struct str model, struct rate_levels *out);
bool __wrap_ledger_rate_levels(struct ledger *l, const struct principal *who, struct str model, struct rate_levels *out)
{
    return !ungoverned && __real_ledger_rate_levels(l, who, model, out);
}

/* ---- the accounts ---- */

static int account_make(struct ledger *l, int i, bool budget, FILE *keys, struct err *e)
{
    char name[32], key[LEDGER_KEY_MAX];
    struct org_id org;
    struct principal who;
    struct grant_new g = {.amount = {INT64_C(100000) * MONEY_NANO}, .scope = "any", .funding = "paid"};
    const struct rate_texts most = {.requests = "100000000/minute", .tokens = "1000000000/minute", .parallel = "100000"};
    (void)str_fmt(name, sizeof name, "load-%d", i);
    int rc = ledger_account_create(l, name, &org, e);
    g.org = org;
    if (rc < 0 || (rc = ledger_key_create(l, org, NULL, 0, budget ? &(struct key_limits){.budget = "50000/month"} : NULL, key, e)) < 0 ||
        (rc = ledger_principal(l, str_of(key), &who, e)) < 0 || (rc = ledger_grant_create(l, &g, NULL, e)) < 0 ||
        (rc = ledger_rate_set(l, &(struct rate_owner){.key = who.public_id}, &most, e)) < 0 ||
        (rc = ledger_rate_set(l, &(struct rate_owner){.account = name}, &most, e)) < 0)
        return rc;
    fprintf(keys, "%s\n", key);
    return 0;
}

static int setup(struct ledger *l, const char *dir, uint64_t accounts, bool budget, struct err *e)
{
    static const char *const models[] = {"fake-20ms", "fake-stream", "fake-fast", "fake-faulty", "fake-slow"};
    char path[1024];
    (void)str_fmt(path, sizeof path, "%s/keys", dir);
    if (os_exists(path))
        return 0;
    FILE *keys = fopen(path, "w");
    int rc = keys ? 0 : err_set(e, ERR_IO, "%s cannot be written", path);
    for (size_t i = 0; i < sizeof models / sizeof *models && rc == 0; i++)
        rc = ledger_price_set(l, &(struct price_new){.model = models[i], .input = {100000000}, .output = {400000000}}, NULL, e);
    for (uint64_t i = 0; i < accounts && rc == 0; i++)
        rc = account_make(l, (int)i, budget, keys, e);
    if (keys && fclose(keys) != 0 && rc == 0)
        rc = err_set(e, ERR_IO, "%s cannot be written", path);
    return rc;
}

/* ---- the server ---- */

struct opts {
    const char *dir, *witness;
    uint64_t accounts, port;
    bool budget;
};

static int open_all(const struct opts *o, struct api **api, struct fake **fake, struct ledger **l, struct err *e)
{
    struct server_opts so = {.limits = {.per_address_max = 60000, .connections_max = 60000}};
    struct backend b;
    char sock[1024], addr[64];
    int rc;
    if ((rc = os_mkdirs(o->dir, 0700, e)) < 0 || (rc = fake_new(fake, o->dir, o->witness, e)) < 0 ||
        (rc = api_new(api, &(struct api_opts){0}, e)) < 0)
        return rc;
    api_server_opts(*api, &so);
    if ((rc = server_new(&server, &so, e)) < 0)
        return rc;
    struct ledger_opts lo = {.dir = o->dir, .node = "load", .post = api_post, .post_ctx = server};
    fake_backend(*fake, &b);
    (void)str_fmt(sock, sizeof sock, "%s/admin.sock", o->dir), (void)str_fmt(addr, sizeof addr, "127.0.0.1:%u", (unsigned)o->port);
    if ((rc = ledger_open(l, &lo, e)) < 0 || (rc = setup(*l, o->dir, o->accounts, o->budget, e)) < 0 ||
        (rc = api_start(*api, server, *l, &b, e)) < 0 || (rc = server_listen(server, addr, LISTEN_LOOPBACK, e)) < 0)
        return rc;
    fake_start(*fake, server, *api);
    return server_listen_unix(server, sock, 0600, LISTEN_ADMIN, e);
}

static void on_signal(int sig)
{
    (void)sig;
    server_stop(server, 100);
}

static bool read_opts(struct opts *o, int argc, char **argv)
{
    *o = (struct opts){.dir = argc > 1 ? argv[1] : NULL, .accounts = 16};
    for (int i = 2; i < argc; i++) {
        uint64_t *n = strcmp(argv[i], "--accounts") == 0 ? &o->accounts : strcmp(argv[i], "--port") == 0 ? &o->port : NULL;
        if (strcmp(argv[i], "--ungoverned") == 0)
            ungoverned = true;
        else if (strcmp(argv[i], "--budget") == 0)
            o->budget = true;
        else if (strcmp(argv[i], "--witness") == 0 && i + 1 < argc)
            o->witness = argv[++i];
        else if (!n || i + 1 == argc || !str_u64(str_of(argv[++i]), n))
            return false;
    }
    return o->dir && o->port < 65536;
}

int main(int argc, char **argv)
{
    struct opts o;
    struct err e = {0};
    struct api *api = NULL;
    struct fake *fake = NULL;
    struct ledger *l = NULL;
    char addr[64];
    if (!read_opts(&o, argc, argv))
        return fprintf(stderr, "usage: load_server DATA [--witness FILE] [--accounts N] [--port N] [--budget] [--ungoverned]\n"), 2;
    if (open_all(&o, &api, &fake, &l, &e) < 0)
        return fprintf(stderr, "load_server: %s\n", e.msg), 1;
    signal(SIGTERM, on_signal);
    server_address(server, 0, addr);
    printf("fake models on http://%s\n", addr);
    fflush(stdout);
    if (server_run(server, &e) < 0)
        fprintf(stderr, "load_server: %s\n", e.msg);
    struct backend b;
    fake_backend(fake, &b);
    b.end(b.self);
    for (int i = 0; i < 100 && api_busy(api); i++) {
        server_stop(server, 10);
        if (server_run(server, &e) < 0)
            break;
    }
    api_stop(api);
    ledger_close(l);
    server_free(server);
    api_free(api);
    fake_free(fake);
    return 0;
}
