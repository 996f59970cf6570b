/* The server's inside, for server.c listen.c conn.c request.c answer.c. Everything here runs on the loop thread but for the posts.
 *
 * A connection goes HEAD -> BODY -> ANSWER -> HEAD ..., and at its end FLUSH (the rest of the answer leaves) -> LINGER (our side is shut,
 * what the client still sends is thrown away, so that no reset eats the answer) -> freed. */
#pragma once
#include "base/map.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/vec.h"
#include "net/http1.h"
#include "net/route.h"
#include "net/server.h"
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/listener.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <sys/uio.h>

enum {
    ANSWERS_WAITING_MAX = 64 << 10, /* unsent answers past which no further pipelined request is read */
    PIPELINED_MAX = 16 << 10,       /* unread bytes behind an unanswered request; past it the connection is dropped */
    ANSWER_HEADERS_MAX = 8 << 10,   /* what http_header_add may add */
    BODY_GRACE_MS = 5000,           /* before the body's floor counts */
    LINGER_MS = 1000,
    ACCEPT_PAUSE_MS = 100, /* after accept failed for want of descriptors or memory */
};

struct listener {
    struct listener       *next;
    struct server         *s;
    struct evconnlistener *ev;
    SSL_CTX               *tls;
    char                  *unix_path;
    int                    tag;
    char                   address[64]; /* of TCP */
};

struct post {
    void (*fn)(void *);
    void *arg;
};
struct vec_post VEC(struct post);

struct timer {
    struct event   ev;
    struct server *s;
    struct timer  *next, *prev;
    void (*fn)(void *);
    void *arg;
};

struct server {
    struct event_base  *base;
    struct server_opts  opts; /* every limit filled in */
    struct http1_limits reader;
    struct route_table *routes;
    struct listener    *listeners;
    struct conn        *conns, *kicked;
    struct timer       *timers;
    struct event        kick, wake, drain, accept_again;
    int                 wake_fd;
    bool                draining;
    uint64_t            bodies;    /* bytes of request bodies held */
    struct map          addresses; /* connections per client address */
    struct buf          scratch;   /* an answer's head while it is written */
    uint8_t             random[6 * 64]; /* of ids */
    unsigned            random_left;
    char                date[40];
    int64_t             date_s;
    atomic_bool         stopping, farewell;
    atomic_uint         drain_ms;
    struct mutex        lock; /* posts */
    struct vec_post     posts, running;
    atomic_uint_fast64_t accepted, requests, refused, gone, open;
};

enum conn_state { CONN_HEAD, CONN_BODY, CONN_ANSWER, CONN_FLUSH, CONN_LINGER };

struct conn {
    struct server      *s;
    struct conn        *next, *prev, *kick_next;
    struct bufferevent *be;
    struct http        *req;
    struct event        timer;
    struct http1        reader;
    uint64_t            since;  /* when the state's clock began */
    uint64_t            armed;  /* when the timer fires; 0: not armed */
    uint64_t            given;  /* bytes of answers in all */
    uint64_t            taken, taken_at; /* by the client when its present time to take `owed` began, and when that was */
    uint32_t            owed;
    int                 tag;
    uint8_t             state;
    bool                kicked, doomed, eof, paused, dispatching, tls, handshaking;
    char                peer[46];
};

struct http {
    struct conn        *c;
    const struct route *route;
    struct buf          body, headers;
    struct arena        arena;
    void               *user;
    void (*gone)(void *arg);
    void    *gone_arg;
    uint64_t start_ns;
    enum http_method  method;
    struct http1_span param[ROUTE_PARAMS_MAX], path, query;
    unsigned          allow;
    uint32_t          head_n;
    bool              keep, minor, opened, chunked, done;
    char              id[29];
    char              bytes[]; /* the head, then the decoded path */
};

/* conn.c */
void conn_accept(struct listener *l, int fd, const struct sockaddr *sa);
void conn_free(struct conn *c); /* tells the application when a request was open */
/* Drops the connection later, from the loop: safe inside the application's calls. */
void conn_doom(struct conn *c);
bool conn_idle(const struct conn *c);
void conn_refuse(struct conn *c, enum errcode code, const char *why);
/* Sends at once what the socket takes, queues the rest. */
void   conn_send(struct conn *c, const struct iovec *iov, int n);
size_t conn_unsent(const struct conn *c);
void   conn_stream_begin(struct conn *c); /* from now on it is looked whether the client takes what it gets */
/* The request's answer is complete: goes on with the connection. */
void conn_answered(struct conn *c);
void conn_kicked(struct server *s);

/* request.c */
struct http *request_new(struct conn *c, const struct http1 *p, const char *head); /* NULL: out of memory */
struct http *request_blank(struct conn *c);                                        /* for a refusal of what could not be read */
void         request_free(struct http *r);
/* With the head alone: finds a route and asks authorise. False: the request has been answered with the error. */
bool request_admit(struct http *r);
void request_dispatch(struct http *r); /* with the body: runs the route's function */

/* server.c */
void server_id(struct server *s, char id[29]);
void server_conn_closed(struct server *s); /* ends the drain after the last one */

/* listen.c */
void listener_free(struct listener *l);
