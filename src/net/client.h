/* An HTTP client (libcurl inside): plain requests, server-sent events and byte ranges, over TCP or a Unix socket. It follows no redirect by
 * itself: who follows one decides what may be sent to the new host (hub/remote.c), and the address rule below decides whether it may be
 * asked at all. It never decodes a content encoding.
 *
 * From the environment: https_proxy, http_proxy, all_proxy, no_proxy (loopback is never proxied); CURL_CA_BUNDLE, else SSL_CERT_FILE, and
 * SSL_CERT_DIR, instead of the system's authorities. */
#pragma once
#include "base/buf.h"
#include "base/str.h"
#include "net/address.h"

/* Keeps connections between requests; one per thread. */
struct client;
int  client_open(struct client **out, struct err *e) MUST_USE;
void client_close(struct client *c);

struct client_req {
    const char    *method;      /* "GET", "POST" */
    const char    *url;         /* "http://127.0.0.1:8000/v1/models" */
    const char    *unix_socket; /* NULL: TCP */
    const char    *bearer;      /* API key or NULL */
    const char    *body;        /* JSON, or of the Content-Type in header; or NULL */
    size_t         n_body;
    uint32_t       connect_ms, total_ms; /* 0: 5 s; 0: no limit */
    uint32_t       stall_ms;             /* no byte for that long: cut off; 0: no limit; rounded up to seconds */
    size_t         answer_max;           /* bytes of a kept body; 0: 64 MiB */
    struct client *client;               /* NULL: a connection of its own */
    const char    *header[4];            /* more headers, "Name: value"; the first NULL ends */
    unsigned       reach;                /* bits 1 << enum net_class that may be connected to; 0: all. Not asked of a proxy's address */
    /* Called with each piece of the answer as it arrives when set (the body then is not kept; the answer's status and headers are set before
     * the first call); false stops the transfer, which is no error. */
    bool (*on_data)(void *arg, const char *p, size_t n);
    /* Asked while nothing arrives (at least once a second, and after each signal) when set; false stops the transfer. */
    bool (*go_on)(void *arg);
    void *arg;
};
/* Why no whole answer came: what may help differs. */
enum client_fault { CLIENT_OK, CLIENT_NO_CONNECTION, CLIENT_CUT, CLIENT_CERTIFICATE, CLIENT_FORBIDDEN_ADDRESS, CLIENT_BAD_URL, CLIENT_OTHER };
struct client_answer {
    int               status;
    struct buf        body;
    struct buf        head;  /* the header lines of the answer, "Name: value\r\n" each; see client_header */
    enum client_fault fault;
    enum net_class    reached; /* the class of the address that was connected to; NET_PUBLIC through a proxy */
};
/* 0 when an HTTP answer came, whatever its status; ERR_UNAVAILABLE when none did or it broke off; ERR_REMOTE when trying again cannot help
 * (a certificate that is not trusted, an address that may not be asked). Needs client_answer_deinit either way. */
int  client_do(struct client_answer *out, const struct client_req *q, struct err *e) MUST_USE;
void client_answer_deinit(struct client_answer *a);
/* The first header of that name, case ignored, blanks cut; false: absent. */
bool client_header(const struct client_answer *a, const char *name, struct str *value);
