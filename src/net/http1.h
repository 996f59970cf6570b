/* The strict HTTP/1.1 request reader: no I/O, no allocation, no callbacks; fed whole or byte by byte it says the same.
 *
 *   request = [CRLF] method SP target SP "HTTP/1." ("0"|"1") CRLF *(name ":" OWS value OWS CRLF) CRLF body
 *
 * What two readers could understand differently is refused, never repaired: bare CR or LF, control bytes, folded lines, a space before
 * the colon, a second Content-Length, Content-Length beside Transfer-Encoding, a transfer coding other than exactly "chunked",
 * chunk sizes that are not 1 to 8 hex digits, trailers. docs/internals/net.md has the whole list.
 *
 * Use: http1_head until it says DONE, with the same growing bytes each time; then http1_body with what follows until it says DONE. */
#pragma once
#include "base/err.h"
#include "base/str.h"

enum {
    HTTP1_LINE_MAX = 8 << 10,
    HTTP1_HEAD_MAX = 16 << 10,
    HTTP1_HEADERS_MAX = 64,
    HTTP1_BODY_MAX = 8 << 20,
    HTTP1_EXTENSION_MAX = 256, /* bytes of one chunk's extension */
    HTTP1_SEGMENTS_MAX = 64,   /* of a path */
};

struct http1_limits {
    uint32_t line_max, head_max, headers_max;
    uint64_t body_max;
};

enum http1_result { HTTP1_MORE, HTTP1_DONE, HTTP1_REFUSED };

struct http1_span {
    uint16_t at, n; /* in the head's bytes */
};

struct http1 {
    /* The head, valid after http1_head said DONE. */
    struct http1_span method, path, query, authority, host; /* path.n == 0: "/"; authority: of an absolute target */
    uint32_t          head_n;                               /* bytes of the head, the empty line included */
    uint8_t           minor;                                /* HTTP/1.minor */
    bool              chunked, has_length, expect, keep_alive;
    uint64_t          length; /* Content-Length */
    /* Why it was refused: one of BAD_REQUEST, TOO_LARGE, URI_TOO_LONG, MEDIA_TYPE, EXPECTATION, HEAD_TOO_LARGE, NOT_IMPL, HTTP_VERSION. */
    enum errcode code;
    const char  *why;
    /* Private. */
    uint32_t scanned, line_at;
    uint16_t n_headers;
    uint8_t  part, seen, chunk;
    uint16_t digits;
    bool     cr, said_close, said_keep_alive;
    uint64_t left, body_n;
};

void http1_init(struct http1 *p);
/* True when bytes of the request's head have arrived. */
bool http1_begun(const struct http1 *p);
/* Reads the head in head[0, n). MORE: call again with the same bytes and more; l->head_max + 1 bytes are always enough for an answer.
 * head_max may be at most 65535. */
enum http1_result http1_head(struct http1 *p, const struct http1_limits *l, const char *head, size_t n);
/* Reads body bytes: *used of them were taken, of which *piece (may be empty) is content. MORE with *used < n: call again with the rest. */
enum http1_result http1_body(struct http1 *p, const struct http1_limits *l, const char *in, size_t n, size_t *used, struct str *piece);

/* The value of a header of a head that was read, trimmed, or {NULL, 0}. Names are compared without case. */
struct str http1_header(const char *head, size_t n, const char *name);

/* Splits a raw path ("/a/b%2Fc") at '/' and decodes each segment once. out (at least path.n + 1 bytes) gets the decoded segments joined
 * by '/' and a final NUL, without the first '/'; seg[i] says where each lies in out. Either may be NULL.
 * Returns the number of segments, or -1: bad escapes, control bytes, "." and ".." also behind %2E and %2F, too many segments. */
int http1_path(struct str path, char *out, struct http1_span seg[HTTP1_SEGMENTS_MAX]);
/* Decodes %XX (and + as a blank when `form`) from in to out (in.n bytes); the length, or -1 on a bad escape or %00. */
int http1_decode(struct str in, bool form, char *out);
