/* The server under test of tests/net/run.py: net/server.h with handlers that hold, stream, flood and wait.
 * echo_server [--port N] [--tls CERT KEY] [--unix PATH] [--limit NAME=N]...
 * Prints "LISTEN address" first and "GONE what milliseconds" (monotonic clock) for each client that left. SIGTERM drains for 120 s. */
#include "base/clock.h"
#include "base/mem.h"
#include "net/server.h"
#include "net/sse.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct server *server;

/* A request that is answered later or in pieces. */
struct job {
    struct http  *r;
    struct timer *t;
    const char   *what;
    int           left;
    uint32_t      every_ms;
    void (*step)(struct job *j);
};

static void job_free(struct job *j)
{
    timer_free(j->t);
    mem_free(j);
}

static void job_gone(void *arg)
{
    struct job *j = arg;
    printf("GONE %s %.3f\n", j->what, (double)clock_ns() / 1e6);
    fflush(stdout);
    job_free(j);
}

static void job_tick(void *arg);

static void job_wait(struct job *j)
{
    timer_free(j->t);
    j->t = server_timer(server, j->every_ms, job_tick, j);
}

static void job_tick(void *arg)
{
    struct job *j = arg;
    j->step(j);
}

static struct job *job_new(struct http *r, const char *what, uint32_t every_ms, int left, void (*step)(struct job *))
{
    struct job *j = mem_must(sizeof *j);
    *j = (struct job){.r = r, .what = what, .every_ms = every_ms, .left = left, .step = step};
    http_on_gone(r, job_gone, j);
    if (step)
        job_wait(j);
    return j;
}

static void answer_ok(struct job *j)
{
    http_reply(j->r, 200, "application/json", "{\"ok\":true}", 11);
    job_free(j);
}

static void event_step(struct job *j)
{
    static const char text[] = "data: {\"choices\":[{\"delta\":{\"content\":\" token\"}}]}\n\n";
    http_stream_write(j->r, text, sizeof text - 1);
    if (j->left > 0 && --j->left == 0) {
        http_stream_end(j->r);
        job_free(j);
    } else
        job_wait(j);
}

/* Fills whatever the client does not read, but keeps under half of out_max: only the stall rule can end it. */
static void flood_step(struct job *j)
{
    static char text[16384];
    memset(text, 'x', sizeof text);
    while (http_stream_unsent(j->r) < 256 << 10)
        http_stream_write(j->r, text, sizeof text);
    job_wait(j);
}

static void overflow_step(struct job *j)
{
    static char text[65536];
    memset(text, 'x', sizeof text);
    for (int i = 0; i < 64; i++)
        http_stream_write(j->r, text, sizeof text);
    job_wait(j);
}

static void on_echo(struct http *r, void *app)
{
    (void)app;
    struct str b = http_body(r);
    http_reply(r, 200, "application/json", b.p, b.n);
}
static void on_slow(struct http *r, void *app) { (void)app, (void)job_new(r, "slow", 300, 1, answer_ok); }
static void on_slow20(struct http *r, void *app) { (void)app, (void)job_new(r, "slow20", 20, 1, answer_ok); }
static void on_slow30(struct http *r, void *app) { (void)app, (void)job_new(r, "slow30", 3000, 1, answer_ok); }
static void on_hold(struct http *r, void *app) { (void)app, (void)job_new(r, "hold", 0, 0, NULL); }
static void stream(struct http *r, const char *what, uint32_t ms, int left, void (*step)(struct job *))
{
    http_stream_open(r, 200, "text/event-stream");
    http_stream_write(r, ": here\n\n", 8);
    (void)job_new(r, what, ms, left, step);
}
static void on_idle(struct http *r, void *app) { (void)app, stream(r, "idle", 0, 0, NULL); }
static void on_sse(struct http *r, void *app) { (void)app, stream(r, "sse", 20, 0, event_step); }
static void on_sse10(struct http *r, void *app) { (void)app, stream(r, "sse10", 10, 10, event_step); }
static void on_flood(struct http *r, void *app) { (void)app, stream(r, "flood", 5, 0, flood_step); }
static void on_overflow(struct http *r, void *app) { (void)app, stream(r, "overflow", 5, 0, overflow_step); }
static void on_param(struct http *r, void *app)
{
    (void)app;
    struct str p = http_param(r, "name");
    http_reply(r, 200, "text/plain", p.p, p.n);
}

static int allow(struct http *r, const struct route *route, void *app, struct err *e)
{
    (void)r, (void)app;
    return route->access ? err_set(e, ERR_FORBIDDEN, "not for you") : 0;
}

static void on_term(int sig)
{
    (void)sig;
    server_stop(server, 120000);
}

static void limit_set(struct server_limits *l, const char *text)
{
    struct str value = str_of(text), name = str_split(&value, '=');
    uint64_t   n = 0;
    if (!str_u64(value, &n))
        fprintf(stderr, "--limit NAME=N\n"), exit(2);
    struct {
        const char *name;
        uint32_t   *p;
    } table[] = {{"head_ms", &l->head_ms},           {"write_stall_ms", &l->write_stall_ms},   {"idle_ms", &l->idle_ms},
                 {"per_address_max", &l->per_address_max}, {"connections_max", &l->connections_max}, {"body_floor_bps", &l->body_floor_bps}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (str_eqz(name, table[i].name)) {
            *table[i].p = (uint32_t)n;
            return;
        }
    fprintf(stderr, "no limit %s\n", text), exit(2);
}

/* Every answer says so, once. */
static void on_head(struct http *r, void *app)
{
    (void)app;
    http_header_add(r, "X-Last", "said");
}

int main(int argc, char **argv)
{
    static const struct route routes[] = {
        {HTTP_POST, "/echo", 0, on_echo},     {HTTP_GET, "/slow", 0, on_slow},         {HTTP_GET, "/slow20", 0, on_slow20},
        {HTTP_GET, "/slow30", 0, on_slow30},  {HTTP_GET, "/hold", 0, on_hold},         {HTTP_POST, "/hold", 0, on_hold},
        {HTTP_GET, "/idle", 0, on_idle},      {HTTP_GET, "/sse", 0, on_sse},           {HTTP_GET, "/sse10", 0, on_sse10},
        {HTTP_GET, "/flood", 0, on_flood},    {HTTP_GET, "/overflow", 0, on_overflow}, {HTTP_GET, "/models/{name*}", 0, on_param},
        {HTTP_GET, "/closed", 1, on_echo},
    };
    struct server_opts o = {.routes = routes, .n_routes = sizeof routes / sizeof *routes, .authorise = allow, .head = on_head};
    struct err         e = {.code = ERR_OK};
    const char        *port = "0", *cert = NULL, *key = NULL, *path = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--port") == 0)
            port = argv[i + 1];
        else if (strcmp(argv[i], "--unix") == 0)
            path = argv[i + 1];
        else if (strcmp(argv[i], "--limit") == 0)
            limit_set(&o.limits, argv[i + 1]);
        else if (strcmp(argv[i], "--tls") == 0 && i + 2 < argc)
            cert = argv[i + 1], key = argv[i + 2], i++;
    }
    char addr[64], bound[64];
    if (!str_fmt(addr, sizeof addr, "127.0.0.1:%s", port) || server_new(&server, &o, &e) != 0 ||
        (cert ? server_listen_tls(server, addr, cert, key, 0, &e) : server_listen(server, addr, 0, &e)) != 0 ||
        (path && server_listen_unix(server, path, 0600, 1, &e) != 0)) {
        fprintf(stderr, "%s\n", e.msg);
        return 1;
    }
    signal(SIGTERM, on_term);
    if (server_address(server, 0, bound))
        printf("LISTEN %s\n", bound);
    fflush(stdout);
    int rc = server_run(server, &e);
    server_free(server);
    return rc ? 1 : 0;
}
