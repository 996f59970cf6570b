/* The server and the client in one process: the server runs in a thread of its own. What needs raw bytes and slow peers is in tests/net. */
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "net/client.h"
#include "net/server.h"
#include "test.h"
#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct server *server;
static struct thread  loop;
static char           url[128], folder[64] = "";
static atomic_int     gone_count, run_rc;
static _Atomic(struct http *) held;

static void on_gone(void *arg)
{
    (void)arg;
    atomic_fetch_add(&gone_count, 1);
}

static void on_echo(struct http *r, void *app)
{
    (void)app;
    http_header_add(r, "X-Test", "a\r\nInjected: b\xc3\xa9");
    http_reply(r, 200, "text/plain", http_body(r).p, http_body(r).n);
}

/* Everything that the request says, as text. */
static void on_show(struct http *r, void *app)
{
    struct buf b;
    struct str q = {NULL, 0}, name = http_param(r, "name"), nope = http_param(r, "nope");
    bool       has = http_query(r, "q q", &q), has_not = http_query(r, "none", &q);
    buf_init(&b, 0);
    buf_fmt(&b, "%d %.*s name=%.*s nope=%d q=%d %.*s none=%d auth=%.*s tag=%d peer=%.*s user=%s app=%s server=%d late=%d id=%zu", http_method(r),
            (int)http_path(r).n, http_path(r).p, (int)name.n, name.p, nope.p != NULL, has, (int)q.n, q.p, has_not,
            (int)http_header(r, "authorization").n, http_header(r, "authorization").p, http_listener(r), (int)http_peer(r).n, http_peer(r).p,
            (const char *)http_user(r), (const char *)app, http_server(r) == server, clock_ns() - http_start_ns(r) > UINT64_C(120000000000),
            strlen(http_id(r)));
    http_reply(r, 200, "text/plain", b.data, b.len);
    buf_deinit(&b);
}

static void on_hold(struct http *r, void *app)
{
    (void)app;
    http_on_gone(r, on_gone, NULL);
    atomic_store(&held, r);
}

static void on_stream(struct http *r, void *app)
{
    (void)app;
    http_stream_open(r, 200, "text/event-stream");
    for (int i = 0; i < 3; i++)
        http_stream_write(r, "data: x\n\n", 9);
    http_on_gone(r, on_gone, NULL);
    atomic_store(&held, r);
}

static void on_overflow(struct http *r, void *app)
{
    static char block[65536];
    (void)app;
    http_stream_open(r, 200, "text/plain");
    http_on_gone(r, on_gone, NULL);
    for (int i = 0; i < 1000; i++) /* far past out_max: the request must stay valid all the same */
        http_stream_write(r, block, sizeof block);
    atomic_store(&held, r);
}

static void on_big(struct http *r, void *app)
{
    static char block[3 << 20];
    (void)app;
    memset(block, 'b', sizeof block);
    http_reply(r, 200, "text/plain", block, sizeof block);
}

static void finish(void *arg)
{
    struct http *r = arg;
    http_stream_end(r);
}
static void reply_late(void *arg) { http_reply(arg, 201, "text/plain", "late", 4); }

static int allow(struct http *r, const struct route *route, void *app, struct err *e)
{
    (void)app;
    if (route->access == 1)
        return err_param(e, ERR_AUTH, "key", "no \"key\"\n");
    http_user_set(r, "mia");
    return 0;
}

static const struct route routes[] = {
    {HTTP_POST, "/echo", 0, on_echo}, {HTTP_GET, "/show/{name}", 0, on_show},   {HTTP_GET, "/hold", 0, on_hold}, {HTTP_GET, "/stream", 0, on_stream},
    {HTTP_GET, "/no", 1, on_echo},    {HTTP_GET, "/overflow", 0, on_overflow}, {HTTP_GET, "/big", 0, on_big},
};

static void loop_run(void *arg)
{
    struct err e;
    (void)arg;
    atomic_store(&run_rc, server_run(server, &e));
}

static bool begin(struct server_opts *extra)
{
    struct server_opts o = extra ? *extra : (struct server_opts){.authorise = allow};
    struct err         e;
    char               addr[64];
    o.routes = routes, o.n_routes = sizeof routes / sizeof *routes, o.app = (void *)(uintptr_t)"app";
    atomic_store(&gone_count, 0);
    atomic_store(&held, NULL);
    if (server_new(&server, &o, &e) || server_listen(server, "127.0.0.1:0", 7, &e) || !server_address(server, 0, addr))
        return false;
    snprintf(url, sizeof url, "http://%s", addr);
    return thread_start(&loop, "loop", loop_run, NULL);
}

static void end(uint32_t drain_ms)
{
    server_stop(server, drain_ms);
    thread_join(&loop);
    server_free(server);
}

/* Asks and gives the answer as "STATUS body", or the error. */
static const char *ask(struct client_req q, const char *path)
{
    static char          text[4096];
    char                 full[256];
    struct client_answer a;
    struct err           e;
    snprintf(full, sizeof full, "%s%s", url, path);
    q.url = full;
    q.method = q.method ? q.method : "GET";
    if (client_do(&a, &q, &e) != 0)
        snprintf(text, sizeof text, "error %s %s", err_name(e.code), e.msg);
    else
        snprintf(text, sizeof text, "%d %.3000s", a.status, a.body.data ? a.body.data : "");
    client_answer_deinit(&a);
    return text;
}

static int dial(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    uint64_t           port = 0;
    (void)str_u64(str_of(strrchr(url, ':') + 1), &port);
    a.sin_port = htons((uint16_t)port);
    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return connect(fd, (struct sockaddr *)&a, sizeof a) == 0 ? fd : -1;
}

/* Nothing that works takes so long, however slow the machine is. */
#define HANGS_NS UINT64_C(120000000000)
#define UNTIL(condition) for (uint64_t end_ = clock_ns() + HANGS_NS; !(condition) && clock_ns() < end_; clock_sleep_ms(1))

static bool wait_for(const atomic_int *n, int want)
{
    UNTIL(atomic_load(n) == want) {}
    return atomic_load(n) == want;
}
static struct http *wait_held(void)
{
    UNTIL(atomic_load(&held)) {}
    return atomic_load(&held);
}
static uint64_t connections(void)
{
    struct server_counts n;
    server_count(server, &n);
    return n.open;
}

TEST(request_and_answer)
{
    CHECK(begin(NULL));
    const char *got = ask((struct client_req){.method = "POST", .body = "hello", .n_body = 5}, "/echo");
    CHECK_MSG(strcmp(got, "200 hello") == 0, "%s", got);
    got = ask((struct client_req){.bearer = "sk-1"}, "/show/o%2fn?a=1&q+%71=x%20y+z&b");
    CHECK_MSG(strcmp(got, "200 0 /show/o%2fn name=o/n nope=0 q=1 x y z none=0 auth=Bearer sk-1 tag=7 peer=127.0.0.1 user=mia app=app "
                          "server=1 late=0 id=28") == 0,
              "%s", got);
    got = ask((struct client_req){0}, "/no");
    CHECK_MSG(strcmp(got, "401 {\"error\":{\"message\":\"no \\\"key\\\"\\n\","
                          "\"type\":\"invalid_request_error\",\"param\":\"key\",\"code\":\"invalid_api_key\"}}") == 0, "%s", got);
    CHECK(strncmp(ask((struct client_req){.method = "HEAD"}, "/show/x"), "200 ", 4) == 0);
    CHECK(strlen(ask((struct client_req){0}, "/big")) > 3000);
    struct server_counts n;
    server_count(server, &n);
    CHECK(n.requests == 5 && n.accepted >= 5 && n.gone == 0);
    end(1000);
    CHECK(atomic_load(&run_rc) == 0);
}

TEST(a_header_cannot_be_injected)
{
    CHECK(begin(NULL));
    int  fd = dial();
    char got[2048] = "";
    dprintf(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    for (ssize_t n, at = 0; (n = recv(fd, got + at, sizeof got - 1 - (size_t)at, 0)) > 0;)
        at += n;
    close(fd);
    CHECK_MSG(strstr(got, "\r\nX-Test: a??Injected: b??\r\n") && !strstr(got, "\nInjected"), "%s", got);
    CHECK(strstr(got, "\r\nx-request-id: req_") && strstr(got, " GMT\r\n") && strstr(got, "\r\nConnection: close\r\n"));
    end(1000);
}

TEST(deny_by_default)
{
    struct server_opts o = {.authorise = NULL};
    CHECK(begin(&o));
    const char *got = ask((struct client_req){0}, "/show/x");
    CHECK_MSG(strncmp(got, "403 {\"error\"", 12) == 0, "%s", got);
    end(1000);
}

struct pieces {
    int calls, stop_at;
};
static bool on_piece(void *arg, const char *p, size_t n)
{
    struct pieces *c = arg;
    (void)p, (void)n;
    return ++c->calls != c->stop_at;
}
static bool go_on(void *arg)
{
    ((struct pieces *)arg)->calls++;
    return !atomic_load(&held); /* until the request has arrived */
}

static void stream_end_soon(void *arg)
{
    (void)arg;
    struct http *r = wait_held();
    clock_sleep_ms(20);
    server_post(server, finish, r);
}

TEST(streams)
{
    struct pieces p = {.stop_at = 0};
    struct thread t;
    CHECK(begin(NULL));
    CHECK(thread_start(&t, "ender", stream_end_soon, NULL));
    const char *got = ask((struct client_req){.on_data = on_piece, .arg = &p}, "/stream");
    CHECK_MSG(strcmp(got, "200 ") == 0 && p.calls >= 1, "%s %d", got, p.calls);
    thread_join(&t);
    CHECK(atomic_load(&gone_count) == 0);
    /* The client stops: the server notices. */
    p = (struct pieces){.stop_at = 1};
    got = ask((struct client_req){.on_data = on_piece, .arg = &p}, "/stream");
    CHECK_MSG(strcmp(got, "200 ") == 0, "%s", got);
    CHECK(wait_for(&gone_count, 1));
    p = (struct pieces){.calls = 0};
    atomic_store(&held, NULL);
    got = ask((struct client_req){.go_on = go_on, .arg = &p}, "/hold");
    CHECK_MSG(strcmp(got, "0 ") == 0 && p.calls > 0, "%s %d", got, p.calls);
    CHECK(wait_for(&gone_count, 2));
    end(1000);
}

TEST(client_errors)
{
    CHECK(begin(NULL));
    const char *got = ask((struct client_req){.total_ms = 100}, "/hold");
    CHECK_MSG(strncmp(got, "error UNAVAILABLE net: http://", 30) == 0 && strstr(got, "does not answer"), "%s", got);
    for (uint32_t ms = 100; ms < 200000; ms *= 2) { /* a busy machine has begun no answer so soon */
        got = ask((struct client_req){.total_ms = ms}, "/stream");
        if (!strstr(got, "does not answer"))
            break;
    }
    CHECK_MSG(strstr(got, "broke off its answer"), "%s", got);
    end(0);
    got = ask((struct client_req){0}, "/show/x");
    CHECK_MSG(strncmp(got, "error UNAVAILABLE", 17) == 0, "%s", got);
    snprintf(url, sizeof url, "file:///etc/passwd");
    got = ask((struct client_req){0}, "");
    CHECK_MSG(strncmp(got, "error REMOTE", 12) == 0, "%s", got);
}

TEST(gone_once)
{
    CHECK(begin(NULL));
    int fd = dial();
    dprintf(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(wait_held());
    close(fd);
    CHECK(wait_for(&gone_count, 1));
    fd = dial();
    dprintf(fd, "GET /overflow HTTP/1.1\r\nHost: a\r\n\r\n"); /* and nothing is read */
    CHECK(wait_for(&gone_count, 2));
    close(fd);
    UNTIL(connections() == 0) {}
    CHECK(atomic_load(&gone_count) == 2);
    struct server_counts n;
    server_count(server, &n);
    CHECK(n.gone == 2 && n.open == 0);
    end(1000);
}

TEST(drain_time_ends)
{
    CHECK(begin(NULL));
    int fd = dial();
    dprintf(fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(wait_held());
    uint64_t from = clock_ns();
    CHECK(!server_stopping(server));
    server_stop(server, 100);
    CHECK(server_stopping(server));
    thread_join(&loop);
    uint64_t took = (clock_ns() - from) / 1000000;
    CHECK_MSG(took >= 95 && took < 60000, "%d ms", (int)took); /* the stream would go on for ever */
    CHECK(atomic_load(&gone_count) == 1);
    server_free(server);
    close(fd);
}

TEST(drain_waits_for_the_answer)
{
    CHECK(begin(NULL));
    int  fd = dial();
    char got[512] = "";
    dprintf(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
    struct http *r = wait_held();
    CHECK(r);
    server_stop(server, 600000);
    clock_sleep_ms(30);
    server_post(server, reply_late, r);
    for (ssize_t n, at = 0; (n = recv(fd, got + at, sizeof got - 1 - (size_t)at, 0)) > 0;)
        at += n;
    CHECK_MSG(strncmp(got, "HTTP/1.1 201 Created\r\n", 22) == 0 && strstr(got, "Connection: close\r\n") && strstr(got, "\r\n\r\nlate"), "%s", got);
    close(fd);
    thread_join(&loop);
    server_free(server);
    CHECK(atomic_load(&gone_count) == 0);
}

TEST(drain_ends_with_the_stream)
{
    CHECK(begin(NULL));
    int fd = dial();
    dprintf(fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"); /* opened as keep-alive, ended after the stop */
    struct http *r = wait_held();
    CHECK(r);
    uint64_t from = clock_ns();
    server_stop(server, 600000);
    clock_sleep_ms(30);
    server_post(server, finish, r);
    char c[4096];
    while (recv(fd, c, sizeof c, 0) > 0)
        ;
    close(fd);
    thread_join(&loop);
    CHECK(clock_ns() - from < HANGS_NS && atomic_load(&gone_count) == 0);
    server_free(server);
}

TEST(stop_before_run)
{
    CHECK(begin(NULL));
    end(0);
    struct err         e;
    struct server_opts o = {.routes = routes, .n_routes = 1};
    CHECK(server_new(&server, &o, &e) == 0);
    server_stop(server, 0);
    CHECK(server_run(server, &e) == 0);
    server_free(server);
}

/* Posts: each thread's in its order, none lost, also those that nobody ran. */
enum { POSTERS = 4, POSTS = 5000 };
static int      last[POSTERS];
static bool     disorder;
static int      ran;
static void     run_post(void *arg)
{
    uintptr_t v = (uintptr_t)arg;
    int       who = (int)(v >> 16), i = (int)(v & 0xFFFF);
    disorder = disorder || last[who] + 1 != i;
    last[who] = i;
    ran++;
}
static void poster(void *arg)
{
    for (int i = 1; i <= POSTS; i++)
        server_post(server, run_post, (void *)((uintptr_t)arg << 16 | (uintptr_t)i));
}

TEST(posts)
{
    struct thread t[POSTERS];
    CHECK(begin(NULL));
    ran = 0, disorder = false;
    memset(last, 0, sizeof last);
    for (uintptr_t i = 0; i < POSTERS; i++)
        CHECK(thread_start(&t[i], "poster", poster, (void *)i));
    for (int i = 0; i < POSTERS; i++)
        thread_join(&t[i]);
    server_stop(server, 0);
    thread_join(&loop);
    server_post(server, run_post, (void *)(uintptr_t)(POSTS + 1));
    server_free(server);
    CHECK_MSG(ran == POSTERS * POSTS + 1 && !disorder, "%d", ran);
}

static char          order[16];
static atomic_int    ticks;
static struct timer *self;
static void          tick(void *arg)
{
    strcat(order, arg);
    atomic_fetch_add(&ticks, 1);
}
static void tick_free(void *arg)
{
    tick(arg);
    timer_free(self);
}
static void timers_begin(void *arg)
{
    (void)arg;
    struct timer *t = server_timer(server, 1, tick, "never");
    (void)server_timer(server, 30, tick, "c");
    self = server_timer(server, 20, tick_free, "b");
    (void)server_timer(server, 0, tick, "a");
    (void)server_timer(server, 60000, tick, "never");
    timer_free(t);
    timer_free(NULL);
}

TEST(timers)
{
    order[0] = 0;
    atomic_store(&ticks, 0);
    CHECK(begin(NULL));
    server_post(server, timers_begin, NULL);
    CHECK(wait_for(&ticks, 3));
    end(0);
    CHECK_MSG(strcmp(order, "abc") == 0, "%s", order);
}

TEST(bodies_are_bounded_in_all)
{
    struct server_opts o = {.authorise = allow, .limits = {.bodies_max = 1000}};
    char               body[1001];
    CHECK(begin(&o));
    memset(body, 'x', sizeof body);
    CHECK(strncmp(ask((struct client_req){.method = "POST", .body = body, .n_body = 1001}, "/echo"), "503 ", 4) == 0);
    for (int i = 0; i < 3; i++) /* what was held is given back */
        CHECK(strncmp(ask((struct client_req){.method = "POST", .body = body, .n_body = 1000}, "/echo"), "200 ", 4) == 0);
    end(1000);
}

TEST(unix_socket)
{
    char              path[80], file[80];
    struct err        e;
    struct stat       st;
    CHECK(mkdtemp(strcpy(folder, "/tmp/sluice-test-XXXXXX")));
    snprintf(path, sizeof path, "%.60s/s", folder);
    snprintf(file, sizeof file, "%.60s/f", folder);
    /* A stale socket: bound, never listened on, left behind. */
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&a, sizeof a) == 0);
    close(fd);
    fclose(fopen(file, "w"));
    struct server_opts o = {.routes = routes, .n_routes = sizeof routes / sizeof *routes, .authorise = allow, .app = (void *)(uintptr_t)"app"};
    CHECK(server_new(&server, &o, &e) == 0);
    CHECK(server_listen_unix(server, file, 0600, 9, &e) == -ERR_CONFLICT);
    CHECK(server_listen_unix(server, path, 0620, 9, &e) == 0);
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0620);
    CHECK(server_listen_unix(server, path, 0600, 9, &e) == -ERR_CONFLICT && strstr(e.msg, "another server"));
    CHECK(thread_start(&loop, "loop", loop_run, NULL));
    snprintf(url, sizeof url, "http://localhost");
    const char *got = ask((struct client_req){.unix_socket = path}, "/show/x");
    CHECK_MSG(strncmp(got, "200 0 /show/x", 13) == 0 && strstr(got, "tag=9 peer=unix "), "%s", got);
    end(1000);
    CHECK(stat(path, &st) != 0);
    unlink(file);
    rmdir(folder);
}

TEST(addresses)
{
    struct err         e;
    struct server_opts o = {.routes = routes, .n_routes = 1};
    char               addr[64], again[96];
    CHECK(server_new(&server, &o, &e) == 0);
    const char *bad[] = {"", "8000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
                         "127.0.0.1:-1", "example.org:80", "1.2.3:80", "[::1:80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(server_listen(server, bad[i], 0, &e) == -ERR_BAD_VALUE && strstr(e.msg, "127.0.0.1:8000"), "%s: %s", bad[i], e.msg);
    CHECK(!server_address(server, 0, addr));
    CHECK(server_listen(server, "localhost:0", 0, &e) == 0 && server_address(server, 0, addr) && strncmp(addr, "127.0.0.1:", 10) == 0);
    snprintf(again, sizeof again, "%s", addr);
    CHECK(server_listen(server, again, 0, &e) == -ERR_IO && strstr(e.msg, "choose one with --listen"));
    CHECK(server_listen(server, "*:0", 0, &e) == 0 && server_address(server, 1, addr) && !server_address(server, 2, addr));
    CHECK(server_listen_tls(server, "127.0.0.1:0", "/nowhere/cert", "/nowhere/key", 0, &e) == -ERR_BAD_VALUE && strstr(e.msg, "/nowhere/cert"));
    server_free(server);
}

/* TLS with a certificate made here. */
static bool certificate_make(const char *cert, const char *key)
{
    EVP_PKEY *k = EVP_EC_gen("P-256");
    X509     *x = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_set_pubkey(x, k);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"localhost", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    bool  ok = X509_sign(x, k, EVP_sha256()) > 0;
    FILE *c = fopen(cert, "w"), *f = fopen(key, "w");
    ok = ok && c && f && PEM_write_X509(c, x) && PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL);
    if (c)
        fclose(c);
    if (f)
        fclose(f);
    X509_free(x);
    EVP_PKEY_free(k);
    return ok;
}

TEST(tls)
{
    char       cert[128], key[128], addr[64], got[1024] = "";
    struct err e;
    CHECK(mkdtemp(strcpy(folder, "/tmp/sluice-test-XXXXXX")));
    snprintf(cert, sizeof cert, "%s/cert.pem", folder);
    snprintf(key, sizeof key, "%s/key.pem", folder);
    CHECK(certificate_make(cert, key));
    struct server_opts o = {.routes = routes, .n_routes = sizeof routes / sizeof *routes, .authorise = allow, .app = (void *)(uintptr_t)"app"};
    atomic_store(&gone_count, 0);
    atomic_store(&held, NULL);
    CHECK(server_new(&server, &o, &e) == 0 && server_listen_tls(server, "127.0.0.1:0", cert, key, 3, &e) == 0 && server_address(server, 0, addr));
    CHECK(server_listen_tls(server, "127.0.0.1:0", cert, cert, 3, &e) == -ERR_BAD_VALUE);
    snprintf(url, sizeof url, "https://%s", addr);
    CHECK(thread_start(&loop, "loop", loop_run, NULL));
    SSL_CTX *c = SSL_CTX_new(TLS_client_method());
    SSL     *s = SSL_new(c);
    CHECK(SSL_CTX_load_verify_locations(c, cert, NULL) == 1);
    SSL_set_verify(s, SSL_VERIFY_PEER, NULL);
    SSL_set_fd(s, dial());
    CHECK(SSL_connect(s) == 1 && SSL_version(s) >= TLS1_2_VERSION);
    static const char one[] = "GET /show/x HTTP/1.1\r\nHost: a\r\n\r\n", two[] = "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n";
    CHECK(SSL_write(s, one, sizeof one - 1) == sizeof one - 1);
    for (int at = 0, n; !strstr(got, "late=0 id=28") && (n = SSL_read(s, got + at, (int)sizeof got - 1 - at)) > 0;)
        at += n;
    CHECK_MSG(strstr(got, "200 OK") && strstr(got, "tag=3"), "%s", got);
    CHECK(SSL_write(s, two, sizeof two - 1) == sizeof two - 1 && wait_held());
    int fd = SSL_get_fd(s);
    SSL_free(s);
    close(fd);
    SSL_CTX_free(c);
    CHECK(wait_for(&gone_count, 1));
    end(1000);
    unlink(cert), unlink(key), rmdir(folder);
}

TEST_MAIN()
