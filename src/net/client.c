#include "net/client.h"
#include "base/mem.h"
#include "base/str.h"
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_MAX = 64 << 20, HEAD_BYTES_MAX = 128 << 10, CONNECT_MS = 5000, RECEIVE_BYTES = 512 << 10 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void curl_begin(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct client {
    CURL *curl;
};

struct transfer {
    CURL *curl;
    const struct client_req *q;
    struct client_answer *out;
    bool stopped;      /* by on_data or go_on */
    bool forbidden;    /* an address was refused */
    const char *proxy; /* NULL: direct */
};

int client_open(struct client **out, struct err *e)
{
    pthread_once(&once, curl_begin);
    struct client *c = mem_new(sizeof *c);
    *out = NULL;
    if (!c || !(c->curl = curl_easy_init())) {
        mem_free(c);
        return err_set(e, ERR_NO_MEMORY, "net: no memory for a connection");
    }
    *out = c;
    return 0;
}

void client_close(struct client *c)
{
    if (!c)
        return;
    curl_easy_cleanup(c->curl);
    mem_free(c);
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    long status = 0;
    n *= size; /* size is always 1 */
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    t->out->status = (int)status;
    if (t->q->on_data)
        t->stopped = !t->q->on_data(t->q->arg, p, n);
    else
        buf_add(&t->out->body, p, n);
    return t->stopped || t->out->body.failed ? 0 : n;
}

static size_t on_head(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    n *= size;
    if (n > 5 && !memcmp(p, "HTTP/", 5))
        buf_clear(&t->out->head); /* what came before was an interim answer, or the proxy's */
    else
        buf_add(&t->out->head, p, n);
    return n;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    struct transfer *t = arg;
    (void)a, (void)b, (void)c, (void)d;
    t->stopped = t->stopped || !t->q->go_on(t->q->arg);
    return t->stopped;
}

/* The class of the address that answered, on a kept connection too. */
static void reached_set(struct transfer *t)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    char *ip = NULL;
    if (t->proxy || curl_easy_getinfo(t->curl, CURLINFO_PRIMARY_IP, &ip) != CURLE_OK || !ip)
        return;
    if (inet_pton(AF_INET, ip, &v4.sin_addr) == 1)
        t->out->reached = net_class_of((struct sockaddr *)&v4);
    else if (inet_pton(AF_INET6, ip, &v6.sin6_addr) == 1)
        t->out->reached = net_class_of((struct sockaddr *)&v6);
}

/* The address that is about to be connected to: checked here, after the name was resolved, so that no second answer can differ. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct transfer *t = arg;
    (void)purpose;
    if (!t->proxy) {
        t->out->reached = net_class_of(&a->addr);
        if (t->q->reach && !(t->q->reach >> t->out->reached & 1)) {
            t->forbidden = true;
            return CURL_SOCKET_BAD;
        }
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static bool header_add(struct curl_slist **list, const char *line)
{
    struct curl_slist *more = curl_slist_append(*list, line);
    *list = more ? more : *list;
    return more != NULL;
}

static bool has_type(const struct client_req *q)
{
    for (size_t i = 0; i < sizeof q->header / sizeof *q->header && q->header[i]; i++)
        if (strncasecmp(q->header[i], "content-type:", 13) == 0)
            return true;
    return false;
}

/* Headers for the request; false: out of memory. */
static bool headers_make(struct curl_slist **out, const struct client_req *q)
{
    struct buf auth;
    bool ok = header_add(out, "Expect:") && (has_type(q) || header_add(out, q->body ? "Content-Type: application/json" : "Content-Type:"));
    buf_init(&auth, 8192);
    if (q->bearer && ok) {
        buf_fmt(&auth, "Authorization: Bearer %s", q->bearer);
        ok = !auth.failed && header_add(out, auth.data);
    }
    for (size_t i = 0; i < sizeof q->header / sizeof *q->header && q->header[i] && ok; i++)
        ok = header_add(out, q->header[i]);
    buf_deinit(&auth);
    return ok;
}

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

/* Whether no_proxy names the host: names and domains, "*" for all. Loopback is never proxied. */
static bool goes_direct(struct str host)
{
    struct str rest = str_of(env("no_proxy") ? env("no_proxy") : env("NO_PROXY") ? env("NO_PROXY") : "");
    if (str_eqz(host, "127.0.0.1") || str_eqz(host, "localhost") || str_eqz(host, "[::1]") || str_eqz(rest, "*"))
        return true;
    while (rest.p) {
        struct str one = str_trim(str_split(&rest, ','));
        if (one.n && one.p[0] == '.')
            one.p++, one.n--;
        struct str tail = one.n <= host.n ? (struct str){host.p + host.n - one.n, one.n} : host;
        if (one.n && str_eq(tail, one) && (one.n == host.n || tail.p[-1] == '.'))
            return true;
    }
    return false;
}

/* The proxy of the environment that stands between, NULL: none. Decided here alone (libcurl is told the result), because a proxy's address
 * is the operator's choice and is not judged, and everything else's is. */
static const char *proxy_for(const struct client_req *q)
{
    struct url u;
    if (q->unix_socket || url_parse(&u, q->url, NULL) || goes_direct(str_of(u.host)))
        return NULL;
    const char *p = u.tls ? (env("https_proxy") ? env("https_proxy") : env("HTTPS_PROXY")) : env("http_proxy");
    return p ? p : env("all_proxy") ? env("all_proxy") : env("ALL_PROXY");
}

/* Authorities as curl and Python's requests name them. */
static void authorities_set(CURL *c)
{
    const char *bundle = env("CURL_CA_BUNDLE") ? env("CURL_CA_BUNDLE") : env("SSL_CERT_FILE");
    if (bundle)
        curl_easy_setopt(c, CURLOPT_CAINFO, bundle);
    if (env("SSL_CERT_DIR"))
        curl_easy_setopt(c, CURLOPT_CAPATH, env("SSL_CERT_DIR"));
}

static void options_set(CURL *c, struct transfer *t, struct curl_slist *headers)
{
    const struct client_req *q = t->q;
    curl_easy_setopt(c, CURLOPT_URL, q->url);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)(q->connect_ms ? q->connect_ms : CONNECT_MS));
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)q->total_ms);
    curl_easy_setopt(c, CURLOPT_PROXY, t->proxy ? t->proxy : "");
    curl_easy_setopt(c, CURLOPT_NOPROXY, "");
    authorities_set(c);
    if (q->client)
        curl_easy_setopt(c, CURLOPT_BUFFERSIZE, (long)RECEIVE_BYTES);
    if (q->stall_ms) {
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)((q->stall_ms + 999) / 1000));
    }
    if (q->go_on) {
        curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(c, CURLOPT_XFERINFODATA, t);
        curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    }
    if (q->unix_socket)
        curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, q->unix_socket);
    if (q->body) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->n_body);
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->body);
    } else if (str_eqz(str_of(q->method), "HEAD"))
        curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
    curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
}

static int explain(const struct transfer *t, CURLcode code, const char *text, struct err *e)
{
    const struct client_req *q = t->q;
    const char *why = text[0] ? text : curl_easy_strerror(code);
    struct client_answer *a = t->out;
    if (a->body.failed || a->head.failed)
        return a->fault = CLIENT_OTHER, err_set(e, ERR_TOO_LARGE, "net: the answer of %.200s is larger than %zu bytes", q->url, a->body.max);
    if (t->forbidden) {
        a->fault = CLIENT_FORBIDDEN_ADDRESS;
        return err_set(e, ERR_REMOTE, "net: %.200s leads to a %s address, where nothing outside may send this program; it is not asked", q->url,
                       net_class_name(a->reached));
    }
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_CACERT_BADFILE:
        a->fault = CLIENT_CERTIFICATE;
        return err_set(e, ERR_REMOTE, "net: the certificate of %.200s is not trusted (%.150s); name the file of its authority in SSL_CERT_FILE",
                       q->url, why);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: a->fault = CLIENT_BAD_URL; return err_set(e, ERR_REMOTE, "net: %.200s cannot be asked: %.150s", q->url, why);
    default:
        a->fault = a->status ? CLIENT_CUT : CLIENT_NO_CONNECTION;
        return err_set(e, ERR_UNAVAILABLE, "net: %.200s %s: %.200s", q->url, a->status ? "broke off its answer" : "does not answer", why);
    }
}

int client_do(struct client_answer *out, const struct client_req *q, struct err *e)
{
    struct transfer t = {.q = q, .out = out};
    struct curl_slist *headers = NULL;
    char text[CURL_ERROR_SIZE] = "";
    long status = 0;
    int rc = 0;
    *out = (struct client_answer){.status = 0};
    buf_init(&out->body, q->answer_max ? q->answer_max : ANSWER_MAX);
    buf_init(&out->head, HEAD_BYTES_MAX);
    pthread_once(&once, curl_begin);
    t.curl = q->client ? q->client->curl : curl_easy_init();
    t.proxy = proxy_for(q);
    if (t.curl && q->client)
        curl_easy_reset(t.curl); /* options go, connections stay */
    if (!t.curl || !headers_make(&headers, q)) {
        rc = err_set(e, ERR_NO_MEMORY, "net: no memory for a request");
    } else {
        options_set(t.curl, &t, headers);
        curl_easy_setopt(t.curl, CURLOPT_ERRORBUFFER, text);
        CURLcode code = curl_easy_perform(t.curl);
        curl_easy_getinfo(t.curl, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_setopt(t.curl, CURLOPT_ERRORBUFFER, NULL);
        out->status = (int)status;
        if (!t.forbidden)
            reached_set(&t);
        if (out->body.failed || out->head.failed || (code != CURLE_OK && !t.stopped))
            rc = explain(&t, code, text, e);
    }
    curl_slist_free_all(headers);
    if (!q->client)
        curl_easy_cleanup(t.curl);
    return rc;
}

void client_answer_deinit(struct client_answer *a)
{
    buf_deinit(&a->body);
    buf_deinit(&a->head);
}

bool client_header(const struct client_answer *a, const char *name, struct str *value)
{
    struct str rest = {a->head.data, a->head.len};
    while (rest.p && rest.n) {
        struct str line = str_split(&rest, '\n'), key = str_split(&line, ':');
        if (line.p && str_ieqz(key, name))
            return *value = str_trim(line), true;
    }
    *value = (struct str){"", 0};
    return false;
}
