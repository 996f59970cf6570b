#include "base/clock.h"
#include "net/server_int.h"
#include <arpa/inet.h>
#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MS UINT64_C(1000000)
enum { OWED_MAX = 4096 };

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

size_t conn_unsent(const struct conn *c) { return evbuffer_get_length(bufferevent_get_output(c->be)); }

/* Bytes of answers that wait for the client, the kernel's queue included: a slow reader moves it by less than the third that makes the socket
 * writable again, and a thin stream that nobody reads fits into it for minutes. */
static uint64_t waiting_for(const struct conn *c)
{
    int queued = 0;
    (void)ioctl(bufferevent_getfd(c->be), SIOCOUTQ, &queued);
    return conn_unsent(c) + (uint64_t)queued;
}

/* Within write_stall_ms a client takes all that waits for it, or OWED_MAX bytes: from now on. (A dead reader's kernel still takes a few bytes
 * with each probe of its window, so that any progress at all would be too little to ask.) Bytes taken are about right for TLS. */
static void stall_begin(struct conn *c, uint64_t now)
{
    uint64_t waiting = waiting_for(c);
    c->taken = c->given - waiting, c->taken_at = now;
    c->owed = (uint32_t)least(waiting, OWED_MAX);
}

static bool head_begun(const struct conn *c) { return c->handshaking || http1_begun(&c->reader); }

bool conn_idle(const struct conn *c)
{
    return c->handshaking || (c->state == CONN_HEAD && !http1_begun(&c->reader) && conn_unsent(c) == 0 &&
                              evbuffer_get_length(bufferevent_get_input(c->be)) == 0);
}

/* When the state's time is over; 0: it has none. */
static uint64_t state_deadline(const struct conn *c)
{
    const struct server_limits *l = &c->s->opts.limits;
    switch (c->state) {
    case CONN_HEAD: return c->paused ? 0 : c->since + (head_begun(c) ? l->head_ms : l->idle_ms) * MS;
    case CONN_BODY: return c->since + BODY_GRACE_MS * MS + c->reader.body_n * 1000 / l->body_floor_bps * MS;
    case CONN_LINGER: return c->since + LINGER_MS * MS;
    default: return 0;
    }
}

/* Sets the timer, but never later: when it fires too soon it looks again. So a busy connection touches the timer heap seldom. */
static void conn_arm(struct conn *c)
{
    uint64_t now = clock_ns(), want = state_deadline(c);
    if (conn_unsent(c) > 0 || c->state == CONN_ANSWER) {
        uint64_t look = now + (c->s->opts.limits.write_stall_ms / 4 + 1) * MS;
        want = want ? least(want, look) : look;
    }
    if (want == 0 || (c->armed && c->armed <= want))
        return;
    uint64_t       in = want > now ? (want - now) / 1000 + 1 : 1;
    struct timeval tv = {(time_t)(in / 1000000), (suseconds_t)(in % 1000000)};
    c->armed = want;
    event_add(&c->timer, &tv);
}

static void state_set(struct conn *c, enum conn_state state)
{
    c->state = (uint8_t)state;
    c->since = clock_ns();
    conn_arm(c);
}

void conn_stream_begin(struct conn *c)
{
    stall_begin(c, clock_ns());
    conn_arm(c);
}

static void kick(struct conn *c)
{
    if (c->kicked)
        return;
    c->kicked = true;
    c->kick_next = c->s->kicked;
    c->s->kicked = c;
    event_active(&c->s->kick, EV_TIMEOUT, 0);
}

void conn_doom(struct conn *c)
{
    c->doomed = true;
    kick(c);
}

static void address_count(struct conn *c, int add)
{
    union map_value v = {.i64 = 0};
    struct str      key = str_of(c->peer);
    map_get(&c->s->addresses, key, &v);
    v.i64 += add;
    if (v.i64 > 0)
        (void)map_set(&c->s->addresses, key, v); /* out of memory: this address is counted one too low */
    else
        map_del(&c->s->addresses, key, NULL);
}

void conn_free(struct conn *c)
{
    struct server *s = c->s;
    if (c->state == CONN_ANSWER && c->req && !c->req->done) {
        atomic_fetch_add(&s->gone, 1);
        if (c->req->gone)
            c->req->gone(c->req->gone_arg);
    }
    if (c->req)
        request_free(c->req);
    *(c->prev ? &c->prev->next : &s->conns) = c->next;
    if (c->next)
        c->next->prev = c->prev;
    for (struct conn **k = &s->kicked; c->kicked && *k; k = &(*k)->kick_next)
        if (*k == c) {
            *k = c->kick_next;
            break;
        }
    event_del(&c->timer);
    bufferevent_free(c->be);
    address_count(c, -1);
    atomic_fetch_sub(&s->open, 1);
    mem_free(c);
    server_conn_closed(s);
}

/* Nothing more to send: shut our side, and wait for the client's end or LINGER_MS. */
static void half_close(struct conn *c)
{
    if (c->eof) {
        conn_doom(c);
        return;
    }
    if (c->tls) {
        SSL_shutdown(bufferevent_openssl_get_ssl(c->be));
        ERR_clear_error(); /* the queue is the thread's: an error left in it would be blamed on another connection */
    }
    shutdown(bufferevent_getfd(c->be), SHUT_WR);
    bufferevent_enable(c->be, EV_READ);
    state_set(c, CONN_LINGER);
}

void conn_answered(struct conn *c)
{
    bool keep = c->req->keep && !c->eof && !server_stopping(c->s);
    request_free(c->req);
    c->req = NULL;
    http1_init(&c->reader);
    state_set(c, keep ? CONN_HEAD : CONN_FLUSH);
    if (!keep && conn_unsent(c) == 0)
        half_close(c);
    else if (!c->dispatching && evbuffer_get_length(bufferevent_get_input(c->be)) > 0)
        kick(c); /* a pipelined request waits; not from within the application's call */
}

void conn_refuse(struct conn *c, enum errcode code, const char *why)
{
    struct err e = {.code = ERR_OK};
    atomic_fetch_add(&c->s->refused, 1);
    if (!c->req)
        c->req = request_blank(c);
    if (!c->req) {
        conn_doom(c);
        return;
    }
    (void)err_set(&e, code, "%s", why);
    state_set(c, CONN_ANSWER);
    c->req->keep = false;
    http_reply_err(c->req, &e);
}

void conn_send(struct conn *c, const struct iovec *iov, int n)
{
    struct evbuffer *out = bufferevent_get_output(c->be);
    size_t           done = 0, waiting = evbuffer_get_length(out);
    if (c->doomed)
        return;
    if (!c->tls && waiting == 0) {
        struct msghdr m = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};
        ssize_t       sent = sendmsg(bufferevent_getfd(c->be), &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            conn_doom(c);
            return;
        }
        done = sent > 0 ? (size_t)sent : 0;
    }
    struct evbuffer_iovec rest[4];
    int                   n_rest = 0;
    size_t                more = 0;
    for (int i = 0; i < n; i++) {
        size_t skip = done < iov[i].iov_len ? done : iov[i].iov_len;
        c->given += iov[i].iov_len;
        done -= skip;
        if (skip < iov[i].iov_len) {
            ASSERT(n_rest < 4);
            rest[n_rest++] = (struct evbuffer_iovec){(char *)iov[i].iov_base + skip, iov[i].iov_len - skip};
            more += iov[i].iov_len - skip;
        }
    }
    if (more == 0)
        return;
    if (evbuffer_add_iovec(out, rest, n_rest) != more) {
        conn_doom(c);
        return;
    }
    if (waiting == 0) {
        stall_begin(c, clock_ns());
        conn_arm(c);
    }
}

/* The reading steps: true when the next one may go on at once, false when more bytes (or nothing) must come; c may then be freed. */
static bool read_head(struct conn *c)
{
    struct evbuffer *in = bufferevent_get_input(c->be);
    size_t           n = evbuffer_get_length(in), max = c->s->reader.head_max + 1u;
    if (n == 0) {
        conn_arm(c);
        return false;
    }
    if (conn_unsent(c) > ANSWERS_WAITING_MAX) {
        c->paused = true;
        bufferevent_disable(c->be, EV_READ);
        return false;
    }
    if (!http1_begun(&c->reader))
        c->since = clock_ns();
    const char *p = (const char *)evbuffer_pullup(in, (ev_ssize_t)(n < max ? n : max));
    if (!p) {
        conn_free(c);
        return false;
    }
    switch (http1_head(&c->reader, &c->s->reader, p, n < max ? n : max)) {
    case HTTP1_MORE: conn_arm(c); return false;
    case HTTP1_REFUSED: conn_refuse(c, c->reader.code, c->reader.why); return false;
    case HTTP1_DONE: break;
    }
    c->req = request_new(c, &c->reader, p);
    evbuffer_drain(in, c->reader.head_n);
    if (!c->req) {
        conn_refuse(c, ERR_NO_MEMORY, "no memory for the request");
        return false;
    }
    bool keep = c->req->keep;
    c->state = CONN_BODY;
    c->since = clock_ns();
    c->req->keep = keep && !c->reader.chunked && c->reader.length == 0; /* of a request that is not admitted nobody reads the body */
    c->dispatching = true;
    bool ok = request_admit(c->req);
    c->dispatching = false;
    if (ok)
        c->req->keep = keep;
    else
        conn_answered(c);
    return true;
}

/* Keeps a piece of the body; false when it was refused. */
static bool body_keep(struct conn *c, struct str piece)
{
    struct server *s = c->s;
    struct buf    *b = &c->req->body;
    if (piece.n > s->opts.limits.bodies_max - s->bodies) {
        conn_refuse(c, ERR_UNAVAILABLE, "too many large requests are arriving at once; try again");
        return false;
    }
    if (b->cap == 0 && c->reader.has_length && c->reader.length == piece.n)
        buf_reserve(b, piece.n);
    buf_add(b, piece.p, piece.n);
    if (b->failed) {
        conn_refuse(c, ERR_NO_MEMORY, "no memory for the request body");
        return false;
    }
    s->bodies += piece.n;
    return true;
}

static bool read_body(struct conn *c)
{
    struct evbuffer *in = bufferevent_get_input(c->be);
    do {
        struct evbuffer_iovec v = {NULL, 0};
        struct str            piece;
        size_t                used;
        evbuffer_peek(in, -1, NULL, &v, 1);
        enum http1_result r = http1_body(&c->reader, &c->s->reader, v.iov_base, v.iov_len, &used, &piece);
        if (r == HTTP1_REFUSED) {
            conn_refuse(c, c->reader.code, c->reader.why);
            return false;
        }
        if (piece.n && !body_keep(c, piece))
            return false;
        evbuffer_drain(in, used);
        if (r == HTTP1_DONE) {
            request_dispatch(c->req);
            return true;
        }
    } while (evbuffer_get_length(in) > 0);
    if (c->reader.expect) {
        struct iovec go = {"HTTP/1.1 100 Continue\r\n\r\n", 25};
        c->reader.expect = false;
        conn_send(c, &go, 1);
    }
    conn_arm(c);
    return false;
}

static void conn_process(struct conn *c)
{
    struct evbuffer *in = bufferevent_get_input(c->be);
    bool             more = !c->dispatching;
    while (more && !c->doomed)
        switch (c->state) {
        case CONN_HEAD: more = read_head(c); break;
        case CONN_BODY: more = read_body(c); break;
        case CONN_ANSWER:
            /* The kernel could not deliver the client's leaving behind a full buffer: nobody may fill it. */
            if (evbuffer_get_length(in) > PIPELINED_MAX)
                conn_doom(c);
            more = false;
            break;
        default: /* CONN_FLUSH, CONN_LINGER */
            evbuffer_drain(in, evbuffer_get_length(in));
            more = false;
        }
}

void conn_kicked(struct server *s)
{
    while (s->kicked) {
        struct conn *c = s->kicked;
        s->kicked = c->kick_next;
        c->kicked = false;
        if (c->doomed)
            conn_free(c);
        else
            conn_process(c);
    }
}

static void on_read(struct bufferevent *be, void *arg)
{
    (void)be;
    conn_process(arg);
}

static void on_written(struct bufferevent *be, void *arg)
{
    struct conn *c = arg;
    (void)be;
    if (c->doomed)
        return;
    if (c->state == CONN_FLUSH)
        half_close(c);
    else if (c->paused) {
        c->paused = false;
        c->since = clock_ns();
        bufferevent_enable(c->be, EV_READ);
        conn_process(c);
    } else if (c->s->draining && conn_idle(c))
        conn_free(c);
}

static void on_event(struct bufferevent *be, short what, void *arg)
{
    struct conn *c = arg;
    (void)be;
    if (what & BEV_EVENT_CONNECTED) {
        c->handshaking = false;
        c->since = clock_ns();
        return;
    }
    /* The client shut its sending side while finished answers still leave: they may. */
    if ((what & BEV_EVENT_EOF) && c->state != CONN_ANSWER && c->state != CONN_LINGER && !c->doomed && conn_unsent(c) > 0) {
        c->eof = true;
        if (c->req)
            request_free(c->req);
        c->req = NULL;
        state_set(c, CONN_FLUSH);
        return;
    }
    conn_free(c);
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
    struct conn                *c = arg;
    const struct server_limits *l = &c->s->opts.limits;
    uint64_t                    now = clock_ns(), end = state_deadline(c);
    (void)fd, (void)what;
    c->armed = 0;
    if (conn_unsent(c) > 0 || c->state == CONN_ANSWER) {
        if (c->given - waiting_for(c) - c->taken >= c->owed) {
            stall_begin(c, now);
        } else if (now >= c->taken_at + l->write_stall_ms * MS) {
            conn_free(c);
            return;
        }
    }
    if (end == 0 || now < end)
        conn_arm(c);
    else if (c->state == CONN_HEAD && http1_begun(&c->reader))
        conn_refuse(c, ERR_TIMEOUT, "the request's head took too long to arrive");
    else if (c->state == CONN_BODY)
        conn_refuse(c, ERR_TIMEOUT, "the request's body arrives too slowly");
    else
        conn_free(c);
}

static void peer_name(const struct sockaddr *sa, char out[46])
{
    if (sa->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, out, 46);
    else if (sa->sa_family == AF_INET6) {
        const struct in6_addr *a = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED(a))
            inet_ntop(AF_INET, a->s6_addr + 12, out, 46);
        else
            inet_ntop(AF_INET6, a, out, 46);
    } else
        memcpy(out, "unix", 5);
}

static struct bufferevent *bufferevent_make(struct listener *l, int fd)
{
    if (!l->tls)
        return bufferevent_socket_new(l->s->base, fd, BEV_OPT_CLOSE_ON_FREE);
    SSL *ssl = SSL_new(l->tls);
    struct bufferevent *be = ssl ? bufferevent_openssl_socket_new(l->s->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE) : NULL;
    if (be)
        bufferevent_openssl_set_allow_dirty_shutdown(be, 1);
    else
        SSL_free(ssl);
    return be;
}

/* Is there room for one more? Otherwise the text that says why not. */
static const char *no_room(const struct conn *c)
{
    const struct server_limits *l = &c->s->opts.limits;
    union map_value             v = {.i64 = 0};
    if (atomic_load(&c->s->open) > l->connections_max)
        return "the server has as many connections as it allows; try again";
    if (strcmp(c->peer, "unix") != 0 && map_get(&c->s->addresses, str_of(c->peer), &v) && v.i64 > (int64_t)l->per_address_max)
        return "your address has as many connections as the server allows; close some";
    return NULL;
}

void conn_accept(struct listener *l, int fd, const struct sockaddr *sa)
{
    enum { SPARE = 64 }; /* connections past the limit that are told so; further ones are just closed */
    struct server *s = l->s;
    struct conn   *c = atomic_load(&s->open) < s->opts.limits.connections_max + (uint64_t)SPARE ? mem_new(sizeof *c) : NULL;
    if (c)
        c->be = bufferevent_make(l, fd);
    if (!c || !c->be) {
        atomic_fetch_add(&s->refused, 1);
        mem_free(c);
        close(fd);
        return;
    }
    c->s = s;
    c->tag = l->tag;
    c->tls = c->handshaking = l->tls != NULL;
    peer_name(sa, c->peer);
    event_assign(&c->timer, s->base, -1, 0, on_time, c);
    bufferevent_setcb(c->be, on_read, on_written, on_event, c);
    bufferevent_enable(c->be, EV_READ);
    c->next = s->conns;
    if (c->next)
        c->next->prev = c;
    s->conns = c;
    atomic_fetch_add(&s->accepted, 1);
    atomic_fetch_add(&s->open, 1);
    address_count(c, 1);
    http1_init(&c->reader);
    state_set(c, CONN_HEAD);
    const char *why = no_room(c);
    if (why && c->tls) {
        atomic_fetch_add(&s->refused, 1);
        conn_free(c);
    } else if (why)
        conn_refuse(c, ERR_UNAVAILABLE, why);
}
