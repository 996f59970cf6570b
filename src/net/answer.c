#include "base/json.h"
#include "net/server_int.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *reason(int status)
{
    switch (status) {
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 206: return "Partial Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Status";
    }
}

/* RFC 9110 section 5.6.7, made once a second. */
static const char *date(struct server *s)
{
    static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t            now = time(NULL);
    struct tm         t;
    if (now != s->date_s && gmtime_r(&now, &t)) {
        s->date_s = now;
        (void)str_fmt(s->date, sizeof s->date, "%.3s, %02d %.3s %d %02d:%02d:%02d GMT", days + (size_t)t.tm_wday * 3, t.tm_mday,
                      months + (size_t)t.tm_mon * 3, t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
    }
    return s->date;
}

static void header(struct buf *b, const char *name, const char *value)
{
    buf_str(b, name);
    buf_add(b, ": ", 2);
    buf_str(b, value);
    buf_add(b, "\r\n", 2);
}

static bool bodiless(int status) { return status == 204 || status == 304; }

enum { NO_LENGTH = -1, CHUNKED = -2 };

/* Writes the answer's head into the server's scratch buffer. length: of the body, or NO_LENGTH, or CHUNKED. */
static struct buf *head_write(struct http *r, int status, const char *type, int64_t length)
{
    struct server *s = r->c->s;
    struct buf    *b = &s->scratch;
    r->keep = r->keep && !server_stopping(s);
    buf_clear(b);
    buf_fmt(b, "HTTP/1.1 %d %s\r\n", status, reason(status));
    if (type && !bodiless(status))
        header(b, "Content-Type", type);
    if (length == CHUNKED)
        buf_str(b, "Transfer-Encoding: chunked\r\n");
    else if (length >= 0 && !bodiless(status))
        buf_fmt(b, "Content-Length: %lld\r\n", (long long)length);
    header(b, "Date", date(s));
    header(b, "x-request-id", r->id);
    if (!r->keep)
        buf_str(b, "Connection: close\r\n");
    else if (!r->minor)
        buf_str(b, "Connection: keep-alive\r\n");
    buf_add(b, r->headers.data, r->headers.len);
    buf_add(b, "\r\n", 2);
    return b;
}

/* The answer is complete. Inside the request's function the connection goes on when that has returned. */
static void done(struct http *r)
{
    r->done = true;
    if (!r->c->dispatching)
        conn_answered(r->c);
}

void http_header_add(struct http *r, const char *name, const char *value)
{
    struct buf *b = &r->headers;
    size_t      n = strlen(name), v = strlen(value);
    ASSERT(!r->opened && n > 0 && strcspn(name, ": \r\n\t") == n);
    if (!buf_reserve(b, n + v + 4)) /* past ANSWER_HEADERS_MAX: this one and those after it stay away */
        return;
    header(b, name, value);
    for (char *p = b->data + b->len - v - 2; p < b->data + b->len - 2; p++)
        if (*p < ' ' || *p == 127) /* control bytes and what is not ASCII */
            *p = '?';
}

/* The application's last word to the head. */
static void head_last(struct http *r)
{
    const struct server_opts *o = &r->c->s->opts;
    if (o->head)
        o->head(r, o->app);
}

void http_reply(struct http *r, int status, const char *content_type, const void *body, size_t n)
{
    ASSERT(!r->opened && !r->done);
    head_last(r);
    r->opened = true;
    if (bodiless(status))
        n = 0;
    struct buf  *head = head_write(r, status, content_type, (int64_t)n);
    struct iovec iov[2] = {{head->data, head->len}, {(void *)(uintptr_t)body, n}};
    if (head->failed)
        conn_doom(r->c);
    else
        conn_send(r->c, iov, n && r->method != HTTP_HEAD ? 2 : 1);
    done(r);
}

static void error_body(struct buf *out, const struct err *e)
{
    struct jw w;
    jw_init(&w, out);
    jw_obj(&w);
    jw_key(&w, "error"), jw_obj(&w);
    jw_key(&w, "message"), jw_str(&w, e->msg);
    jw_key(&w, "type"), jw_str(&w, err_wire_type(e->code));
    jw_key(&w, "param"), jw_str(&w, e->param[0] ? e->param : NULL);
    jw_key(&w, "code"), jw_str(&w, err_wire_code(e->code));
    jw_obj_end(&w), jw_obj_end(&w);
}

void http_reply_err(struct http *r, const struct err *e)
{
    const struct server_opts *o = &r->c->s->opts;
    struct buf                b;
    buf_init(&b, 64 << 10);
    if (o->error_body)
        o->error_body(&b, e, r->id);
    else
        error_body(&b, e);
    http_reply(r, err_http(e->code), "application/json", b.data, b.failed ? 0 : b.len);
    buf_deinit(&b);
}

void http_stream_open(struct http *r, int status, const char *content_type)
{
    ASSERT(!r->opened && !r->done && !bodiless(status));
    head_last(r);
    r->opened = true;
    r->chunked = r->minor;
    if (!r->minor)
        r->keep = false; /* HTTP/1.0: the close is the end */
    struct buf  *head = head_write(r, status, content_type, r->chunked ? CHUNKED : NO_LENGTH);
    struct iovec iov = {head->data, head->len};
    if (head->failed)
        conn_doom(r->c);
    else
        conn_send(r->c, &iov, 1);
    conn_stream_begin(r->c);
    buf_deinit(&r->headers);
}

void http_stream_write(struct http *r, const void *p, size_t n)
{
    ASSERT(r->opened && !r->done);
    if (n == 0 || r->method == HTTP_HEAD)
        return;
    char size[24] = "";
    if (r->chunked)
        (void)str_fmt(size, sizeof size, "%zx\r\n", n);
    struct iovec iov[3] = {{size, strlen(size)}, {(void *)(uintptr_t)p, n}, {"\r\n", 2}};
    if (r->chunked)
        conn_send(r->c, iov, 3);
    else
        conn_send(r->c, iov + 1, 1);
    if (conn_unsent(r->c) > r->c->s->opts.limits.out_max)
        conn_doom(r->c);
}

size_t http_stream_unsent(const struct http *r) { return conn_unsent(r->c); }

void http_stream_end(struct http *r)
{
    ASSERT(r->opened && !r->done);
    struct iovec end = {"0\r\n\r\n", 5};
    if (r->chunked && r->method != HTTP_HEAD)
        conn_send(r->c, &end, 1);
    done(r);
}
