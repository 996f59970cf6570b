/* The HTTP server: one thread, one event loop (libevent inside; no library type shows here).
 *
 * A request's head is matched once against the route table and authorised by the matched route; then its body is read, and the whole
 * request (within the limits) is handed to the route's function on the loop thread. The function answers at once, or keeps the request
 * and answers later: plainly (http_reply) or as a stream (http_stream_*). Until the answer is complete the request stays valid, unless
 * the client leaves: then `gone` is called once and the request must not be touched afterwards.
 *
 * Other threads reach the loop by server_post alone. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

struct server;
struct http;  /* one request and its answer */
struct timer;

enum http_method { HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_HEAD, HTTP_OPTIONS, HTTP_PATCH, HTTP_OTHER };

typedef void (*http_fn)(struct http *r, void *app);

/* One row of the route table. pattern: "/v1/models/{model}"; the last segment may be "{name*}", which takes the rest, slashes included.
 * A literal segment wins over a parameter. `access` is the application's: the server only passes the row to `authorise`. */
struct route {
    enum http_method method;
    const char      *pattern;
    int              access;
    http_fn          fn;
};

struct server_limits { /* every one has a default when 0 */
    uint32_t line_max;        /* 8 KiB: request line or header line */
    uint32_t head_max;        /* 16 KiB */
    uint32_t headers_max;     /* 64 */
    uint64_t body_max;        /* 8 MiB, counted after de-chunking */
    uint32_t connections_max; /* 4096 in all */
    uint32_t per_address_max; /* 2048 per client address */
    uint32_t head_ms;         /* 10 s from the head's first byte */
    uint32_t body_floor_bps;  /* 1 KiB/s */
    uint32_t write_stall_ms;  /* 30 s without progress */
    uint32_t idle_ms;         /* 75 s between requests */
    uint64_t out_max;         /* 1 MiB of unsent stream on one connection; then the client is dropped */
    uint64_t bodies_max;      /* 256 MiB of request bodies held at once by all connections; then 503 */
};

struct server_opts {
    const struct route  *routes;
    size_t               n_routes;
    struct server_limits limits;
    /* Called for a matched route when the request's head has come, before its body is read (http_body is empty then, so strangers cannot make
     * the server hold bodies); 0 lets it through to the route's function, else e is sent as the answer. What it allocates belongs into
     * http_arena: the client may leave before the function runs, and nobody is told. NULL refuses everything. */
    int (*authorise)(struct http *r, const struct route *route, void *app, struct err *e);
    /* Writes the error body (OpenAI's error object) for a refusal of any kind. NULL: the server writes one itself. */
    void (*error_body)(struct buf *out, const struct err *e, const char *request_id);
    /* Called once for each answer, of any kind, just before its head is written: what an answer says of the application's state as it is then,
     * with http_header_add. NULL: nothing. */
    void (*head)(struct http *r, void *app);
    void *app; /* passed to authorise, to head and to the routes' functions */
};

/* Ignores SIGPIPE for the process and raises its soft limit of open files as far as connections_max needs. The route rows must outlive
 * the server. */
int  server_new(struct server **out, const struct server_opts *o, struct err *e) MUST_USE;
/* After server_run has returned (or instead of it). Runs what is still posted: stop your threads before, free your own state after. */
void server_free(struct server *s);
/* "127.0.0.1:8000", "[::1]:8000", "*:8000"; port 0 takes a free one. `tag` comes back from http_listener. */
int  server_listen(struct server *s, const char *addr, int tag, struct err *e) MUST_USE;
/* A stale socket file is replaced, a live one is an error; mode is the file's, e.g. 0600. */
int  server_listen_unix(struct server *s, const char *path, unsigned mode, int tag, struct err *e) MUST_USE;
/* cert_pem, key_pem: paths of PEM files (the certificate with its chain). TLS 1.2 and 1.3. */
int  server_listen_tls(struct server *s, const char *addr, const char *cert_pem, const char *key_pem, int tag, struct err *e) MUST_USE;
/* Reads both files as server_listen_tls would: that they can be used and belong together, and until when the certificate is good. */
int  server_tls_check(const char *cert_pem, const char *key_pem, int64_t *until_us, struct err *e) MUST_USE;
/* The address really bound by the i-th TCP listener, "127.0.0.1:8000"; false when there is none. */
bool server_address(const struct server *s, size_t i, char out[64]);
int  server_run(struct server *s, struct err *e) MUST_USE; /* until server_stop has drained */
/* Any thread, also a signal handler's: stop listening, close idle connections, let answers finish up to drain_ms, return from server_run. */
void server_stop(struct server *s, uint32_t drain_ms);
bool server_stopping(const struct server *s);
/* Any thread: connections end with their next answer; the listeners stay open (who is about to stop says so with its answers). */
void server_farewell(struct server *s);
/* Any thread: runs fn(arg) on the loop thread, in order. Never drops, may allocate (aborts only when memory is gone). */
void server_post(struct server *s, void (*fn)(void *), void *arg);
/* Loop thread only. One shot; the timer stays yours until timer_free, which is allowed at any time, in fn too (server_free frees the rest).
 * NULL: out of memory. timer_free(NULL) is fine. */
struct timer *server_timer(struct server *s, uint32_t ms, void (*fn)(void *), void *arg);
void          timer_free(struct timer *t);

struct server_counts { uint64_t accepted, requests, refused, gone, open; };
void server_count(const struct server *s, struct server_counts *out);

/* The request. All strings live as long as the request. */
enum http_method http_method(const struct http *r);
struct str       http_path(const struct http *r);                     /* raw, without the query */
struct str       http_param(const struct http *r, const char *name);  /* a decoded {name} of the pattern */
bool             http_query(const struct http *r, const char *name, struct str *out); /* decoded */
bool             http_query_at(const struct http *r, const char *name, size_t i, struct str *out); /* the value of its place i, from 0 */
struct str       http_header(const struct http *r, const char *name); /* trimmed; {NULL,0} when absent */
struct str       http_body(const struct http *r);
int              http_listener(const struct http *r);
const char      *http_id(const struct http *r); /* "req_" and 24 hex digits: x-request-id of the answer */
struct str       http_peer(const struct http *r); /* client address without the port */
uint64_t         http_start_ns(const struct http *r);
struct arena    *http_arena(struct http *r);
struct server   *http_server(struct http *r);
void            *http_user(const struct http *r); /* the application's pointer, e.g. the principal found by authorise */
void             http_user_set(struct http *r, void *user);

/* The answer. */
void http_header_add(struct http *r, const char *name, const char *value); /* before http_reply or http_stream_open */
void http_reply(struct http *r, int status, const char *content_type, const void *body, size_t n); /* ends the request */
void http_reply_err(struct http *r, const struct err *e);                                          /* ends the request */
void http_stream_open(struct http *r, int status, const char *content_type);
/* Sent at once as far as the socket takes it: one call an event, one write. Past out_max the client is dropped: `gone` comes later, from
 * the loop, and what is written until then is thrown away. */
void http_stream_write(struct http *r, const void *p, size_t n);
size_t http_stream_unsent(const struct http *r); /* bytes that wait for the client: the application's back-pressure */
void http_stream_end(struct http *r); /* ends the request */
/* Called once, on the loop thread, when the client has left before the answer was complete (or the drain time is over). A client that
 * shuts down only its sending side has left, too. Never called from within http_* functions. */
void http_on_gone(struct http *r, void (*gone)(void *arg), void *arg);
