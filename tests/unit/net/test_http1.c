/* The request reader: one case for each rule, each fed whole, byte by byte and in uneven pieces. tests/net/raw_requests.py has the
 * same rules over a socket. */
#include "base/buf.h"
#include "net/http1.h"
#include "test.h"

static const struct http1_limits limits = {100, 400, 5, 50};

/* Reads data in pieces; the outcome as text: "POST /path?query host=h keep chunked body=hello" or "413 why". */
static void read_request(struct buf *out, struct str data, size_t piece)
{
    struct buf   in, body;
    struct http1 p;
    enum http1_result r = HTTP1_MORE;
    bool         head = true;
    buf_init(&in, 0);
    buf_init(&body, 0);
    http1_init(&p);
    for (size_t at = 0; at < data.n && r == HTTP1_MORE; at += piece) {
        buf_add(&in, data.p + at, piece < data.n - at ? piece : data.n - at);
        if (head && (r = http1_head(&p, &limits, in.data, in.len)) == HTTP1_DONE) {
            const char *h = in.data;
            buf_fmt(out, "%.*s %.*s?%.*s host=%.*s 1.%d%s%s%s", p.method.n, h + p.method.at, p.path.n, h + p.path.at, p.query.n, h + p.query.at,
                    p.host.n, h + p.host.at, p.minor, p.keep_alive ? " keep" : "", p.chunked ? " chunked" : "", p.expect ? " expect" : "");
            buf_cut(&in, p.head_n);
            head = false;
            r = HTTP1_MORE;
        }
        while (!head && r == HTTP1_MORE) {
            size_t     used;
            struct str s;
            r = http1_body(&p, &limits, in.data, in.len, &used, &s);
            buf_add(&body, s.p, s.n);
            buf_cut(&in, used);
            if (in.len == 0)
                break;
        }
    }
    if (r == HTTP1_REFUSED)
        buf_clear(out), buf_fmt(out, "%d %s", err_http(p.code), p.why);
    else if (r == HTTP1_DONE)
        buf_fmt(out, " body=%s rest=%zu", body.data ? body.data : "", in.len);
    else
        buf_str(out, " more");
    buf_deinit(&in);
    buf_deinit(&body);
}

static const char *outcome(struct str data)
{
    static struct buf whole;
    struct buf        pieces;
    buf_deinit(&whole);
    buf_init(&whole, 0);
    read_request(&whole, data, data.n);
    for (size_t piece = 1; piece < 12; piece += 3) {
        buf_init(&pieces, 0);
        read_request(&pieces, data, piece);
        /* What follows the request may not have been fed yet, so `rest` is left out of the comparison. */
        const char *rest = strstr(whole.data, " rest="), *rest2 = strstr(pieces.data, " rest=");
        size_t      a = rest ? (size_t)(rest - whole.data) : whole.len, b = rest2 ? (size_t)(rest2 - pieces.data) : pieces.len;
        if (a != b || memcmp(whole.data, pieces.data, a) != 0) {
            printf("whole:  %s\npieces of %zu: %s\n", whole.data, piece, pieces.data);
            test_failed = true;
        }
        buf_deinit(&pieces);
    }
    return whole.data;
}

#define IS(text, want)                                                                                                                     \
    do {                                                                                                                                   \
        const char *got = outcome(STR(text));                                                                                              \
        CHECK_MSG(!test_failed && strcmp(got, want) == 0, "%s", got);                                                                      \
    } while (0)
#define REFUSED(text, status)                                                                                                              \
    do {                                                                                                                                   \
        const char *got = outcome(STR(text));                                                                                              \
        CHECK_MSG(!test_failed && strncmp(got, status " ", 4) == 0, "%s", got);                                                            \
    } while (0)
#define POST "POST /echo HTTP/1.1\r\nHost: a\r\n"

TEST(accepts)
{
    IS(POST "Content-Length: 5\r\n\r\nhello", "POST /echo? host=a 1.1 keep body=hello rest=0");
    IS(POST "Content-Length: 5\r\n\r\nhelloGET", "POST /echo? host=a 1.1 keep body=hello rest=3");
    IS(POST "\r\n", "POST /echo? host=a 1.1 keep body= rest=0");
    IS("GET /a?x=[1]&y={\"z\"} HTTP/1.1\r\nHost:a:80\r\n\r\n", "GET /a?x=[1]&y={\"z\"} host=a:80 1.1 keep body= rest=0");
    IS("\r\nGET / HTTP/1.1\r\nhOST: \t [::1]:80 \t\r\n\r\n", "GET /? host=[::1]:80 1.1 keep body= rest=0");
    IS("GET / HTTP/1.0\r\n\r\n", "GET /? host= 1.0 body= rest=0");
    IS("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "GET /? host= 1.0 keep body= rest=0");
    IS(POST "Connection: x , CLOSE,\r\n\r\n", "POST /echo? host=a 1.1 body= rest=0");
    IS(POST "Connection: close\r\nConnection: keep-alive\r\n\r\n", "POST /echo? host=a 1.1 body= rest=0");
    IS(POST "Connection: closed\r\n\r\n", "POST /echo? host=a 1.1 keep body= rest=0");
    IS(POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n", "POST /echo? host=a 1.1 keep expect more");
    IS("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS *? host=a 1.1 keep body= rest=0");
    IS(POST "X: \x80\xff\r\nX: \r\n\r\n", "POST /echo? host=a 1.1 keep body= rest=0");
    IS(POST "Content-Encoding: identity\r\n\r\n", "POST /echo? host=a 1.1 keep body= rest=0");
}

TEST(absolute_target)
{
    IS("GET http://A:8/x?y HTTP/1.1\r\nHost: a:8\r\n\r\n", "GET /x?y host=a:8 1.1 keep body= rest=0");
    IS("GET HTTPS://a HTTP/1.1\r\nHost: a\r\n\r\n", "GET ? host=a 1.1 keep body= rest=0");
    IS("GET http://a?q HTTP/1.1\r\nHost: a\r\n\r\n", "GET ?q host=a 1.1 keep body= rest=0");
    REFUSED("GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", "400");
    REFUSED("GET http://a:8/x HTTP/1.1\r\nHost: a\r\n\r\n", "400");
    REFUSED("GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n", "400");
    REFUSED("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", "400");
    REFUSED("GET ftp://a/x HTTP/1.1\r\nHost: a\r\n\r\n", "400");
    REFUSED("GET http://a/x HTTP/1.0\r\n\r\n", "400");
}

TEST(framing)
{
    REFUSED(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "400");
    REFUSED(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "400");
    REFUSED(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "400");
    REFUSED(POST "Content-Length: 1 \t5\r\n\r\n", "400");
    REFUSED(POST "Content-Length: 0000000000000000005\r\n\r\n", "400"); /* 19 digits */
    REFUSED(POST "Content-Length: 999999999999999999\r\n\r\n", "413");
    REFUSED(POST "Content-Length: 51\r\n\r\n", "413");
    IS(POST "Content-Length: 50\r\n\r\n", "POST /echo? host=a 1.1 keep more");
    REFUSED(POST "Transfer-Encoding: gzip\r\n\r\n", "501");
    REFUSED(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "400");
    REFUSED("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400");
}

#define CHUNKED POST "Transfer-Encoding: Chunked\r\n\r\n"
TEST(chunks)
{
    IS(CHUNKED "5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\n\r\nGET", "POST /echo? host=a 1.1 keep chunked body=helloabc rest=3");
    IS(CHUNKED "0000000a\r\n0123456789\r\n00\r\n\r\n", "POST /echo? host=a 1.1 keep chunked body=0123456789 rest=0");
    IS(CHUNKED "5\r\nhel", "POST /echo? host=a 1.1 keep chunked more");
    IS(CHUNKED "0\r\n", "POST /echo? host=a 1.1 keep chunked more");
    REFUSED(CHUNKED "000000005\r\nhello\r\n0\r\n\r\n", "400");
    REFUSED(CHUNKED "33\r\n", "413");
    IS(CHUNKED "32\r\n", "POST /echo? host=a 1.1 keep chunked more");
    REFUSED(CHUNKED "30\r\n012345678901234567890123456789012345678901234567\r\n3\r\n", "413"); /* 48 + 3 bytes */
    REFUSED(CHUNKED "FFFFFFFF\r\n", "413");
    REFUSED(CHUNKED "g\r\n", "400");
    REFUSED(CHUNKED " 5\r\n", "400");
    REFUSED(CHUNKED "5 \r\n", "400");
    REFUSED(CHUNKED "5\n", "400");
    REFUSED(CHUNKED "5\r\r", "400");
    REFUSED(CHUNKED ";a\r\n", "400");
    REFUSED(CHUNKED "5;a\nhello", "400");
    REFUSED(CHUNKED "5\r\nhello\n", "400");
    REFUSED(CHUNKED "5\r\nhello\r0", "400");
    REFUSED(CHUNKED "0\r\nX: y\r\n\r\n", "400");
    REFUSED(CHUNKED "0\r\n\rx", "400");
}

TEST(chunk_extension_has_a_limit)
{
    struct buf b;
    buf_init(&b, 0);
    for (int n = HTTP1_EXTENSION_MAX; n <= HTTP1_EXTENSION_MAX + 1; n++) {
        buf_clear(&b);
        buf_str(&b, CHUNKED "1;");
        for (int i = 0; i < n; i++)
            buf_char(&b, 'a');
        buf_str(&b, "\r\nx\r\n0\r\n\r\n");
        const char *got = outcome((struct str){b.data, b.len});
        CHECK_MSG((strncmp(got, "400", 3) == 0) == (n > HTTP1_EXTENSION_MAX), "%d: %s", n, got);
    }
    buf_deinit(&b);
}

TEST(lines)
{
    REFUSED("GET / HTTP/1.1\nHost: a\r\n\r\n", "400");
    REFUSED(POST "X: ab\nY: c\r\n\r\n", "400");
    REFUSED(POST "X: a\rb\r\n\r\n", "400");
    REFUSED(POST "X: a\r\r\n\r\n", "400");
    REFUSED(POST "X: \0\r\n\r\n", "400");
    REFUSED(POST "X: \x7f\r\n\r\n", "400");
    REFUSED(POST " X: a\r\n\r\n", "400");
    REFUSED(POST "\tX: a\r\n\r\n", "400");
    REFUSED(POST "X\r\n\r\n", "400");
    REFUSED(POST "X : a\r\n\r\n", "400");
    REFUSED(POST ": a\r\n\r\n", "400");
    REFUSED(POST "X\xe9: a\r\n\r\n", "400");
    REFUSED("\r\n\r\n", "400");
    REFUSED("\r\n \r\n", "400");
    REFUSED("\x16\x03", "400"); /* at once, not at the line's end */
    REFUSED("GET / HTTP/1.1\r\n\r\n", "400");
    REFUSED(POST "Host: a\r\n\r\n", "400");
    REFUSED("GET / HTTP/1.1\r\nHost:\r\n\r\n", "400");
    REFUSED("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400");
    REFUSED(POST "Authorization: a\r\nauthorization: b\r\n\r\n", "400");
    REFUSED(POST "Content-Type: a\r\nContent-Type: b\r\n\r\n", "400");
    REFUSED(POST "Content-Encoding: gzip\r\n\r\n", "415");
    REFUSED(POST "Expect: x\r\n\r\n", "417");
}

TEST(request_line)
{
    REFUSED("GET\r\n", "400");
    REFUSED("GET /\r\n", "400");
    REFUSED("GET / \r\n", "400");
    REFUSED(" GET / HTTP/1.1\r\n", "400");
    REFUSED("GET  / HTTP/1.1\r\n", "400");
    REFUSED("GET / HTTP/1.1 \r\n", "400");
    REFUSED("GET / HTTP/11\r\n", "400");
    REFUSED("GET\t/\tHTTP/1.1\r\n", "400");
    REFUSED("GET /\t HTTP/1.1\r\n", "400");
    REFUSED("GET / HTTP/A.1\r\n", "400");
    REFUSED("GET / HTTP/1.x\r\n", "400");
    REFUSED("GET / HTTP/1.2\r\n", "505");
    REFUSED("GET / HTTP/3.0\r\n", "505");
    REFUSED("G@T / HTTP/1.1\r\n", "400");
    REFUSED("GET x HTTP/1.1\r\n", "400");
    REFUSED("POST * HTTP/1.1\r\n", "400");
    REFUSED("GET /\x80 HTTP/1.1\r\n", "400");
    REFUSED("GET /#x HTTP/1.1\r\n", "400");
    REFUSED("GET /?a#x HTTP/1.1\r\n", "400");
    REFUSED("GET /?\xc3\xa9 HTTP/1.1\r\n", "400");
}

TEST(limits)
{
    /* limits: lines of 100, heads of 400, 5 headers */
    char line[256], many[512];
    for (int n = 100; n <= 101; n++) {
        snprintf(line, sizeof line, "GET /%0*d HTTP/1.1\r\nHost: a\r\n\r\n", n - 14, 0);
        const char *got = outcome(str_of(line));
        CHECK_MSG((strncmp(got, "414", 3) == 0) == (n > 100), "%s", got);
        snprintf(line, sizeof line, "GET / HTTP/1.1\r\nHost: a\r\nX: %0*d\r\n\r\n", n - 3, 0);
        got = outcome(str_of(line));
        CHECK_MSG((strncmp(got, "431", 3) == 0) == (n > 100), "%s", got);
    }
    for (int n = 5; n <= 6; n++) {
        snprintf(many, sizeof many, POST "%.*s\r\n", (n - 1) * 6, "A: 1\r\nB: 1\r\nC: 1\r\nD: 1\r\nE: 1\r\n");
        const char *got = outcome(str_of(many));
        CHECK_MSG((strncmp(got, "431", 3) == 0) == (n > 5), "%s", got);
    }
    for (int n = 400; n <= 401; n++) { /* four lines of 90 and a fifth that fills */
        int at = snprintf(many, sizeof many, "GET / HTTP/1.1\r\nHost: a\r\n");
        for (int i = 0; i < 3; i++)
            at += snprintf(many + at, sizeof many - (size_t)at, "X: %0*d\r\n", 95, 0);
        snprintf(many + at, sizeof many - (size_t)at, "Y: %0*d\r\n\r\n", n - at - 7, 0);
        const char *got = outcome(str_of(many));
        CHECK_MSG((strncmp(got, "431", 3) == 0) == (n > 400), "%d %zu: %s", n, strlen(many), got);
    }
}

static const char *segments(struct str path)
{
    static char       text[256];
    char              out[256];
    struct http1_span seg[HTTP1_SEGMENTS_MAX];
    int               n = http1_path(path, out, seg), at;
    if (n < 0)
        return "refused";
    at = snprintf(text, sizeof text, "%d", n);
    for (int i = 0; i < n; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, " [%.*s]", seg[i].n, out + seg[i].at);
    snprintf(text + at, sizeof text - (size_t)at, " %s", out);
    return text;
}

TEST(paths)
{
    CHECK(strcmp(segments(STR("/")), "1 [] ") == 0);
    CHECK(strcmp(segments(STR("/a")), "1 [a] a") == 0);
    CHECK(strcmp(segments(STR("/a/")), "2 [a] [] a/") == 0);
    CHECK(strcmp(segments(STR("/v1/models/o%2fn%20m")), "3 [v1] [models] [o/n m] v1/models/o/n m") == 0);
    CHECK(strcmp(segments(STR("/%2e%2e%2e/...")), "2 [...] [...] .../...") == 0);
    CHECK(strcmp(segments(STR("/%252e")), "1 [%2e] %2e") == 0); /* decoded once */
    const char *refused[] = {"", "a", "/.", "/..", "/a/../b", "/%2e", "/.%2E", "/a%2F..", "/..%2Fa", "/a%2F.%2Fb",
                             "/%00", "/%0a", "/%7f", "/%", "/%4", "/%4g", "/a%"};
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        CHECK_MSG(strcmp(segments(str_of(refused[i])), "refused") == 0, "%s", refused[i]);
    char deep[2 * (HTTP1_SEGMENTS_MAX + 1) + 1];
    for (size_t i = 0; i + 1 < sizeof deep; i += 2)
        deep[i] = '/', deep[i + 1] = 'a';
    CHECK(http1_path((struct str){deep, 2 * HTTP1_SEGMENTS_MAX}, NULL, NULL) == HTTP1_SEGMENTS_MAX);
    CHECK(http1_path((struct str){deep, 2 * HTTP1_SEGMENTS_MAX + 2}, NULL, NULL) == -1);
}

TEST(decoding)
{
    char out[32];
    CHECK(http1_decode(STR("a%20b+c%C3%a9"), false, out) == 7 && memcmp(out, "a b+c\xc3\xa9", 7) == 0);
    CHECK(http1_decode(STR("a+b%2B"), true, out) == 4 && memcmp(out, "a b+", 4) == 0);
    CHECK(http1_decode(STR("%"), true, out) == -1 && http1_decode(STR("a%4"), true, out) == -1 && http1_decode(STR("%g0"), true, out) == -1);
    CHECK(http1_decode(STR("a%00b"), true, out) == -1);
}

TEST(headers_are_found)
{
    struct str head = STR("\r\nGET /host: HTTP/1.1\r\nHost: a\r\nX-A:  b c \r\nx-a: d\r\nEmpty:\r\n\r\n");
    CHECK(str_eqz(http1_header(head.p, head.n, "host"), "a"));
    CHECK(str_eqz(http1_header(head.p, head.n, "x-A"), "b c"));
    CHECK(http1_header(head.p, head.n, "empty").p && http1_header(head.p, head.n, "empty").n == 0);
    CHECK(!http1_header(head.p, head.n, "get /host").p);
    CHECK(!http1_header(head.p, head.n, "x").p);
}

TEST(a_refusal_stays)
{
    struct http1 p;
    http1_init(&p);
    CHECK(http1_head(&p, &limits, "\n", 1) == HTTP1_REFUSED);
    CHECK(http1_head(&p, &limits, "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 30) == HTTP1_REFUSED);
}

TEST_MAIN()
