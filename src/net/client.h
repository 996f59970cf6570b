/* A small HTTP client (libcurl inside) for the command line: plain requests and server-sent events, over TCP or a Unix socket. */
#pragma once
#include "base/buf.h"

struct client_req {
    const char *method;      /* "GET", "POST" */
    const char *url;         /* "http://127.0.0.1:8000/v1/models" */
    const char *unix_socket; /* NULL: TCP */
    const char *bearer;      /* API key or NULL */
    const char *body;        /* JSON or NULL */
    size_t      n_body;
    uint32_t    connect_ms, total_ms; /* 0: 5 s; 0: no limit */
    /* Called with each piece of the answer as it arrives when set (the body then is not kept; the answer's status is set before the first
     * call); false stops the transfer, which is no error. */
    bool (*on_data)(void *arg, const char *p, size_t n);
    /* Asked while nothing arrives (at least once a second, and after each signal) when set; false stops the transfer. */
    bool (*go_on)(void *arg);
    void *arg;
};
struct client_answer {
    int        status;
    struct buf body;
};
/* 0 when an HTTP answer came, whatever its status; ERR_UNAVAILABLE when none did or it broke off. Needs client_answer_deinit either way. */
int  client_do(struct client_answer *out, const struct client_req *q, struct err *e) MUST_USE;
void client_answer_deinit(struct client_answer *a);
