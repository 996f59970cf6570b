#include "net/server_int.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

union address {
    struct sockaddr     any;
    struct sockaddr_in  v4;
    struct sockaddr_in6 v6;
};

/* "127.0.0.1:8000", "[::1]:8000", "localhost:8000", "*:8000"; names are not looked up. */
static int address_parse(union address *out, socklen_t *n, const char *addr, struct err *e)
{
    struct str  all = str_of(addr), host, port;
    const char *colon = strrchr(addr, ':');
    uint64_t    number;
    char        name[INET6_ADDRSTRLEN];
    memset(out, 0, sizeof *out);
    if (!colon)
        return err_set(e, ERR_BAD_VALUE, "net: \"%s\" is no address to listen on; write it as 127.0.0.1:8000, [::1]:8000 or *:8000", addr);
    host = (struct str){all.p, (size_t)(colon - all.p)};
    port = str_of(colon + 1);
    if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = (struct str){host.p + 1, host.n - 2};
    if (str_eqz(host, "localhost"))
        host = STR("127.0.0.1");
    bool any = str_eqz(host, "*");
    if (any)
        host = STR("::");
    if (!str_u64(port, &number) || number > 65535 || host.n >= sizeof name)
        return err_set(e, ERR_BAD_VALUE, "net: \"%s\" is no address to listen on; write it as 127.0.0.1:8000, [::1]:8000 or *:8000", addr);
    memcpy(name, host.p, host.n);
    name[host.n] = 0;
    if (inet_pton(AF_INET, name, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons((uint16_t)number);
        *n = sizeof out->v4;
    } else if (inet_pton(AF_INET6, name, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons((uint16_t)number);
        *n = sizeof out->v6;
    } else
        return err_set(e, ERR_BAD_VALUE, "net: \"%s\" is no address to listen on; write it as 127.0.0.1:8000, [::1]:8000 or *:8000", addr);
    return 0;
}

/* Accepted sockets inherit these: no Nagle, and a vanished peer is found after about two minutes. */
static void tcp_options(int fd, bool both_families)
{
    int one = 1, zero = 0, idle = 60, interval = 15, probes = 4;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, both_families ? &zero : &one, sizeof one);
}

static int tcp_socket(const union address *a, socklen_t n, bool both_families)
{
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    tcp_options(fd, both_families);
    if (bind(fd, &a->any, n) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

static void on_accept(struct evconnlistener *ev, evutil_socket_t fd, struct sockaddr *sa, int n, void *arg)
{
    (void)ev, (void)n;
    conn_accept(arg, fd, sa);
}

/* No descriptor or memory left: accept would fail again at once, so it rests for a moment. */
static void on_accept_error(struct evconnlistener *ev, void *arg)
{
    struct listener *l = arg;
    struct timeval   tv = {0, ACCEPT_PAUSE_MS * 1000};
    evconnlistener_disable(ev);
    event_add(&l->s->accept_again, &tv);
}

/* Takes fd, which is bound, and listens on it. */
static int listener_add(struct server *s, int fd, struct listener **out, int tag, struct err *e)
{
    struct listener *l = mem_new(sizeof *l);
    if (l)
        l->ev = evconnlistener_new(s->base, on_accept, l, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, SOMAXCONN, fd);
    if (!l || !l->ev) {
        int saved = errno;
        mem_free(l);
        close(fd);
        return err_set(e, ERR_IO, "net: cannot listen: %s", strerror(saved));
    }
    evconnlistener_set_error_cb(l->ev, on_accept_error);
    l->s = s;
    l->tag = tag;
    struct listener **end = &s->listeners;
    while (*end)
        end = &(*end)->next;
    *end = l;
    *out = l;
    return 0;
}

static void address_name(int fd, char out[64])
{
    union address a = {0};
    socklen_t     n = sizeof a;
    char          name[INET6_ADDRSTRLEN] = "";
    if (getsockname(fd, &a.any, &n) != 0)
        return;
    if (a.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &a.v6.sin6_addr, name, sizeof name);
        (void)str_fmt(out, 64, "[%s]:%u", name, ntohs(a.v6.sin6_port));
    } else {
        inet_ntop(AF_INET, &a.v4.sin_addr, name, sizeof name);
        (void)str_fmt(out, 64, "%s:%u", name, ntohs(a.v4.sin_port));
    }
}

static const char *mend(int why)
{
    switch (why) {
    case EADDRINUSE: return "; another program has this port (`ss -ltnp` names it), choose one with --listen";
    case EADDRNOTAVAIL: return "; this machine has no such address: `ip address` lists those that it has, 127.0.0.1 is always there, * means all";
    case EACCES: return "; ports below 1024 are for root: choose a higher one, or give the program CAP_NET_BIND_SERVICE";
    case EAFNOSUPPORT: return "; this machine has no IPv6: listen on an IPv4 address";
    default: return "";
    }
}

static int listen_tcp(struct server *s, const char *addr, int tag, SSL_CTX *tls, struct err *e)
{
    union address    a;
    socklen_t        n = 0;
    struct listener *l;
    int              rc = address_parse(&a, &n, addr, e);
    if (rc)
        return rc;
    bool any = addr[0] == '*';
    int  fd = tcp_socket(&a, n, any);
    if (fd < 0 && any && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) { /* a kernel without IPv6 */
        in_port_t port = a.v6.sin6_port;
        a = (union address){.v4 = {.sin_family = AF_INET, .sin_port = port}};
        fd = tcp_socket(&a, sizeof a.v4, false);
    }
    if (fd < 0)
        return err_set(e, ERR_IO, "net: cannot listen on %s: %s%s", addr, strerror(errno), mend(errno));
    rc = listener_add(s, fd, &l, tag, e);
    if (rc)
        return rc;
    l->tls = tls;
    address_name(fd, l->address);
    return 0;
}

int server_listen(struct server *s, const char *addr, int tag, struct err *e) { return listen_tcp(s, addr, tag, NULL, e); }

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *n, const unsigned char *in, unsigned n_in, void *arg)
{
    (void)ssl, (void)arg;
    static const unsigned char ours[] = "\x08http/1.1";
    return SSL_select_next_proto((unsigned char **)out, n, ours, sizeof ours - 1, in, n_in) == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK
                                                                                                                      : SSL_TLSEXT_ERR_NOACK;
}

static int tls_new(SSL_CTX **out, const char *cert, const char *key, struct err *e)
{
    const char *what = "no TLS context";
    SSL_CTX    *t = SSL_CTX_new(TLS_server_method());
    if (t) {
        SSL_CTX_set_min_proto_version(t, TLS1_2_VERSION);
        SSL_CTX_set_options(t, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_COMPRESSION);
        SSL_CTX_set_mode(t, SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_alpn_select_cb(t, on_alpn, NULL);
        what = SSL_CTX_use_certificate_chain_file(t, cert) != 1                ? "the certificate file cannot be used"
               : SSL_CTX_use_PrivateKey_file(t, key, SSL_FILETYPE_PEM) != 1 ? "the key file cannot be used"
               : SSL_CTX_check_private_key(t) != 1                             ? "the key does not belong to the certificate"
                                                                               : NULL;
    }
    if (!what) {
        *out = t;
        return 0;
    }
    char text[160];
    ERR_error_string_n(ERR_get_error(), text, sizeof text);
    ERR_clear_error();
    SSL_CTX_free(t);
    return err_set(e, ERR_BAD_VALUE, "net: TLS with %s and %s: %s (%s)", cert, key, what, text);
}

int server_tls_check(const char *cert_pem, const char *key_pem, int64_t *until_us, struct err *e)
{
    SSL_CTX  *tls = NULL;
    struct tm t = {0};
    int       rc = tls_new(&tls, cert_pem, key_pem, e);
    if (rc)
        return rc;
    *until_us = ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(tls)), &t) == 1 ? (int64_t)timegm(&t) * 1000000 : 0;
    SSL_CTX_free(tls);
    return 0;
}

int server_listen_tls(struct server *s, const char *addr, const char *cert_pem, const char *key_pem, int tag, struct err *e)
{
    SSL_CTX *tls = NULL;
    int      rc = tls_new(&tls, cert_pem, key_pem, e);
    if (rc)
        return rc;
    rc = listen_tcp(s, addr, tag, tls, e);
    if (rc)
        SSL_CTX_free(tls);
    return rc;
}

/* Removes a socket file that nobody listens on. */
static int stale_remove(const struct sockaddr_un *a, struct err *e)
{
    struct stat st;
    if (lstat(a->sun_path, &st) != 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return err_set(e, ERR_CONFLICT, "net: %s exists and is no socket; choose another path", a->sun_path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(e, ERR_IO, "net: no socket: %s", strerror(errno));
    bool live = connect(fd, (const struct sockaddr *)a, sizeof *a) == 0 || errno == EAGAIN;
    close(fd);
    if (live)
        return err_set(e, ERR_CONFLICT, "net: another server answers on %s; stop it first", a->sun_path);
    return unlink(a->sun_path) == 0 ? 0 : err_set(e, ERR_IO, "net: cannot remove the old socket %s: %s", a->sun_path, strerror(errno));
}

int server_listen_unix(struct server *s, const char *path, unsigned mode, int tag, struct err *e)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    struct listener   *l;
    size_t             n = strlen(path);
    if (n == 0 || n >= sizeof a.sun_path)
        return err_set(e, ERR_BAD_VALUE, "net: the socket path \"%s\" must have 1 to %zu bytes", path, sizeof a.sun_path - 1);
    memcpy(a.sun_path, path, n);
    int rc = stale_remove(&a, e);
    if (rc)
        return rc;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* fchmod before bind: the file is born with at most this mode; nobody can connect before listen. */
    if (fd < 0 || fchmod(fd, (mode_t)mode) != 0 || bind(fd, (const struct sockaddr *)&a, sizeof a) != 0 || chmod(path, (mode_t)mode) != 0) {
        rc = err_set(e, ERR_IO, "net: cannot make the socket %s: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return rc;
    }
    rc = listener_add(s, fd, &l, tag, e);
    if (rc == 0 && !(l->unix_path = mem_str(path, n)))
        rc = err_set(e, ERR_NO_MEMORY, "net: no memory for a socket path");
    return rc;
}

void listener_free(struct listener *l)
{
    evconnlistener_free(l->ev);
    SSL_CTX_free(l->tls);
    if (l->unix_path)
        unlink(l->unix_path);
    mem_free(l->unix_path);
    mem_free(l);
}

bool server_address(const struct server *s, size_t i, char out[64])
{
    for (const struct listener *l = s->listeners; l; l = l->next)
        if (l->address[0] && i-- == 0) {
            memcpy(out, l->address, 64);
            return true;
        }
    return false;
}
