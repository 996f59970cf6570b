/* sluice serve: everything put together. */
#include "base/clock.h"
#include "base/log.h"
#include "base/os.h"
#include "cli/cli_int.h"
#include "console/console.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct serving {
    const struct cli *c;
    char dir[PATH_LEN];
    struct settings *settings;
    struct api *api;
    struct server *server;
    struct ledger *ledger;
    struct backend_local *local;
    struct backend backend;
    struct demo demo;
    char metrics_key[256];
    struct sign_in sign_in;
    struct models_watch *watch;
    struct drain drain;
    struct timer *watchdog;
    uint32_t watchdog_ms;
    bool has_demo, has_backend, tls;
};

/* ---- opening ---- */

static int open_ledger(struct serving *s, struct err *e)
{
    const char *node = settings_get(s->settings, "node");
    struct ledger_opts o = {.dir = s->dir,
                            .store = settings_get(s->settings, "ledger"),
                            .node = *node ? node : NULL,
                            .currency = settings_get(s->settings, "currency"),
                            .post = api_post,
                            .post_ctx = s->server,
                            .strict = str_eqz(str_of(settings_get(s->settings, "strict")), "yes")};
    return ledger_open(&s->ledger, &o, e);
}

static void on_new_model(void *arg, const char *alias)
{
    struct serving *s = arg;
    if (!ledger_price_known(s->ledger, alias) && !s->has_demo)
        log_line(LOG_WARN, "model", "%s has no price, so requests for it are refused; sluice price set %s --input X --output Y", alias, alias);
}

static void preload(struct serving *s)
{
    for (struct str rest = str_of(settings_get(s->settings, "preload")); rest.n;) {
        struct str one = str_trim(str_split(&rest, ','));
        if (one.n && !s->backend.model_find(s->backend.self, one))
            log_line(LOG_WARN, "model", "preload: there is no model %.*s; sluice list shows those that there are", (int)one.n, one.p);
        else if (one.n)
            backend_local_preload(s->local, one);
    }
}

/* yes, no, or the most tokens of a draft. */
static int speculation(const struct settings *s, uint32_t *draft_max, struct err *e)
{
    const struct str value = str_of(settings_get(s, "speculation"));
    uint64_t depth;
    if (str_eqz(value, "yes") || str_eqz(value, "no"))
        *draft_max = str_eqz(value, "yes") ? ENGINE_DRAFT_MAX : 0;
    else if (str_u64(value, &depth) && depth <= ENGINE_DRAFT_MAX)
        *draft_max = (uint32_t)depth;
    else
        return err_set(e, ERR_USAGE, "speculation = %s must be yes, no or a number of tokens from 0 to %d", value.p, ENGINE_DRAFT_MAX);
    return 0;
}

static int model_opts(struct serving *s, struct models_opts *o, struct err *e)
{
    uint64_t threads, keep, wait, waits, seqs, queue;
    struct models_budget bytes;
    bool keep_packed, screen;
    const char *publish = settings_get(s->settings, "publish");
    bool reuse;
    uint32_t drafts = 0;
    const char *cpu = settings_get(s->settings, "cpu"), *kv = settings_get(s->settings, "kv-type");
    int rc, kv_type = kv_type_find(kv);
    if (kv_type < 0)
        return err_set(e, ERR_BAD_VALUE, "serve: kv-type %.32s is none of " KV_TYPES, kv);
    if ((rc = models_budget(s->settings, &bytes, e)) < 0 || (rc = settings_u64(s->settings, "threads", 1024, &threads, e)) < 0 ||
        (rc = settings_u64(s->settings, "keep", 1 << 30, &keep, e)) < 0 || (rc = settings_u64(s->settings, "load-wait", 86400, &wait, e)) < 0 ||
        (rc = settings_u64(s->settings, "load-queue", 1 << 20, &waits, e)) < 0 ||
        (rc = settings_u64(s->settings, "sequences", ENGINE_SEQS_MAX, &seqs, e)) < 0 ||
        (rc = settings_u64(s->settings, "queue", ENGINE_QUEUE_MAX, &queue, e)) < 0 ||
        (rc = settings_yes(s->settings, "prefix-cache", &reuse, e)) < 0 || (rc = settings_yes(s->settings, "keep-packed", &keep_packed, e)) < 0 ||
        (rc = settings_yes(s->settings, "screen", &screen, e)) < 0 || (rc = speculation(s->settings, &drafts, e)) < 0)
        return rc;
    *o = (struct models_opts){.dir = s->dir};
    o->local = (struct backend_local_opts){.device = {.n_threads = (int)threads, .cpu_mask = *cpu ? cpu : NULL},
                                           .engine = {.kv_bytes = bytes.kv,
                                                      .seqs_max = (uint32_t)seqs,
                                                      .queue_max = (uint32_t)queue,
                                                      .kv_type = (enum kv_type)kv_type,
                                                      .no_prefix_cache = !reuse,
                                                      .no_screen = !screen,
                                                      .public_bytes = *publish ? bytes.kv / 8 : 0,
                                                      .draft_max = drafts,
                                                      .journal = api_journal,
                                                      .journal_ctx = s->api},
                                           .prefix = *publish ? publish_next : NULL,
                                           .prefix_arg = (void *)(uintptr_t)publish,
                                           .no_packed = !keep_packed,
                                           .memory = bytes.models,
                                           .keep_s = (uint32_t)keep,
                                           .wait_ms = (uint32_t)wait * 1000,
                                           .waits_max = (uint32_t)waits,
                                           .post = api_post,
                                           .post_ctx = s->server};
    return 0;
}

static int open_models(struct serving *s, struct err *e)
{
    struct models_opts o;
    int rc;
    if ((rc = model_opts(s, &o, e)) < 0 || (rc = models_open(&s->local, &o, e)) < 0)
        return rc;
    backend_local_iface(s->local, &s->backend);
    s->has_backend = true;
    struct models_watch_opts w = {.dir = s->dir, .local = s->local, .post = api_post, .post_ctx = s->server, .on_new = on_new_model, .arg = s};
    if ((rc = models_watch_start(&s->watch, &w, e)) < 0)
        return rc;
    preload(s);
    if (!models_default(&s->backend))
        log_line(LOG_WARN, "model", "there is no model to serve yet; sluice add FILE --name NAME");
    return 0;
}

static bool is_loopback(const char *addr)
{
    struct str a = str_of(addr);
    return str_starts(a, "127.") || str_starts(a, "[::1]") || str_starts(a, "localhost:");
}

static int listen_all(struct serving *s, struct err *e)
{
    char sock[PATH_LEN];
    const char *addr = settings_get(s->settings, "listen"), *cert = settings_get(s->settings, "tls-cert"),
               *key = settings_get(s->settings, "tls-key");
    int tag = is_loopback(addr) ? LISTEN_LOOPBACK : LISTEN_PUBLIC, rc = data_file(sock, s->dir, "admin.sock", e);
    if (rc < 0)
        return rc;
    if (!*cert != !*key)
        return err_set(e, ERR_USAGE, "TLS needs both tls-cert and tls-key");
    s->tls = *cert != '\0';
    if (tag == LISTEN_PUBLIC && !s->tls)
        log_line(LOG_WARN, "listen",
                 "%s is open to other machines without TLS: keys travel in the clear; give --tls-cert and --tls-key, or put a TLS proxy in front",
                 addr);
    rc = s->tls ? server_listen_tls(s->server, addr, cert, key, tag, e) : server_listen(s->server, addr, tag, e);
    return rc < 0 ? rc : server_listen_unix(s->server, sock, 0600, LISTEN_ADMIN, e);
}

/* A file and not a value: settings are shown by --print-config, and the environment by ps. */
static int read_metrics_key(struct serving *s, struct err *e)
{
    const char *path = settings_get(s->settings, "metrics-key-file");
    struct buf b;
    if (!*path)
        return 0;
    buf_init(&b, 4096);
    int rc = os_read_file(&b, path, e);
    struct str key = str_trim((struct str){b.data, b.len});
    if (rc >= 0 && (key.n < 16 || !str_fmt(s->metrics_key, sizeof s->metrics_key, "%.*s", (int)key.n, key.p)))
        rc = err_set(e, ERR_USAGE, "metrics-key-file: %s must hold one key of 16 to %zu bytes; make one with: openssl rand -hex 32", path,
                     sizeof s->metrics_key - 1);
    buf_deinit(&b);
    return rc;
}

static int open_all(struct serving *s, struct err *e)
{
    struct api_opts o = {.page = console_page, .hosts = settings_get(s->settings, "hosts"), .metrics_key = s->metrics_key};
    struct server_opts so = {0};
    uint64_t seconds;
    int rc;
    if ((rc = settings_u64(s->settings, "drain-seconds", 86400, &seconds, e)) < 0 || (rc = os_mkdirs(s->dir, 0700, e)) < 0 ||
        (rc = read_metrics_key(s, e)) < 0 || (rc = sign_in_read(&s->sign_in, s->settings, e)) < 0)
        return rc;
    o.sign_in = s->sign_in.on ? &s->sign_in.opts : NULL;
    if ((rc = api_new(&s->api, &o, e)) < 0)
        return rc;
    api_server_opts(s->api, &so);
    if ((rc = server_new(&s->server, &so, e)) < 0 || (rc = open_ledger(s, e)) < 0 || (rc = open_models(s, e)) < 0)
        return rc;
    const struct backend_model *m = models_default(&s->backend);
    if (s->has_demo && (rc = demo_setup(&s->demo, s->ledger, s->dir, m ? m->alias : NULL, e)) < 0)
        return rc;
    if ((rc = api_start(s->api, s->server, s->ledger, &s->backend, e)) < 0)
        return rc;
    if ((rc = listen_all(s, e)) < 0)
        return rc;
    s->drain = (struct drain){.api = s->api, .server = s->server, .ms = (uint32_t)seconds * 1000};
    return drain_start(&s->drain, e);
}

/* The service manager hears from the loop itself: a loop that hangs is restarted. */
static void watchdog(void *arg)
{
    struct serving *s = arg;
    timer_free(s->watchdog);
    notify("WATCHDOG=1");
    s->watchdog = server_timer(s->server, s->watchdog_ms, watchdog, s);
}

/* What was running has its last events now, and its bill. */
static void settle(struct serving *s)
{
    struct err e;
    s->backend.end(s->backend.self);
    for (int i = 0; i < 200 && api_busy(s->api); i++) {
        server_stop(s->server, 10);
        if (server_run(s->server, &e) < 0)
            return;
        clock_sleep_ms(5);
    }
}

static void close_all(struct serving *s)
{
    models_watch_stop(s->watch);
    if (s->has_backend)
        settle(s);
    api_stop(s->api);
    if (s->ledger)
        ledger_close(s->ledger);
    server_free(s->server);
    api_free(s->api);
    models_watch_free(s->watch);
    if (s->has_backend)
        s->backend.free(s->backend.self);
    settings_free(s->settings);
}

/* ---- the greeting ---- */

static void greet(const struct serving *s)
{
    char addr[64] = "";
    const struct backend_model *m = models_default(&s->backend);
    const char *scheme = s->tls ? "https" : "http";
    server_address(s->server, 0, addr);
    printf("sluice %s serves %s on %s://%s\n", SLUICE_VERSION, m ? m->alias : "no model yet", scheme, addr);
    if (s->has_demo) {
        printf("\n  the page   %s://%s/#key=%s\n", scheme, addr, s->demo.key);
        if (m)
            printf("\n  or ask     curl %s://%s/v1/chat/completions -H 'Authorization: Bearer %s' -H 'Content-Type: application/json'"
                   " -d '{\"model\": \"%s\", \"temperature\": 0, \"messages\": [{\"role\": \"user\", \"content\": \"What is sluice?\"}]}'\n",
                   scheme, addr, s->demo.key, m->alias);
        printf("\n  Ctrl-C stops. Data is in %s; its usage: sluice usage --data %s\n\n", s->dir, s->dir);
    }
    fflush(stdout);
}

static int serve(struct serving *s, struct err *e)
{
    drain_block_signals();
    int rc = open_all(s, e);
    if (rc >= 0) {
        greet(s);
        notify("READY=1\nSTATUS=serving");
        if ((s->watchdog_ms = notify_watchdog_ms()))
            watchdog(s);
        rc = server_run(s->server, e);
    }
    drain_stop(&s->drain);
    close_all(s);
    return rc;
}

static int set_log(const char *level, struct err *e)
{
    static const char *const words[] = {"debug", "info", "warn", "error"};
    for (int i = 0; i < 4; i++)
        if (strcmp(level, words[i]) == 0) {
            log_level_set((enum log_level)i);
            return 0;
        }
    return err_set(e, ERR_USAGE, "log = %s must be debug, info, warn or error", level);
}

int cmd_serve(const struct cli *c, struct err *e)
{
    struct serving s = {.c = c, .has_demo = args_flag(c, "demo") != NULL};
    const char *env = getenv("SLUICE_DATA");
    int rc = args_count(c, 0, 0, e);
    if (rc < 0)
        return rc;
    if (s.has_demo && !args_flag(c, "data") && !(env && *env))
        str_fmt(s.dir, sizeof s.dir, "demo-data");
    else if ((rc = data_dir(c, s.dir, e)) < 0)
        return rc;
    if ((rc = settings_load(&s.settings, c, s.dir, e)) < 0)
        return rc;
    if (args_flag(c, "print-config")) {
        settings_print(s.settings, s.dir);
        settings_free(s.settings);
        return 0;
    }
    if ((rc = set_log(settings_get(s.settings, "log"), e)) < 0) {
        settings_free(s.settings);
        return rc;
    }
    return serve(&s, e);
}
