#include "net/http1.h"
#include <string.h>

/* Classes of bytes: RFC 9110 section 5.6.2 (token), RFC 3986 section 3.3 (pchar), 3.2.2 (host). */
enum { TOKEN = 1, PCHAR = 2, QUERY = 4, HOST = 8, CTL = 16, HEX = 32, ALPHA_ = TOKEN | PCHAR | QUERY | HOST };
#define BAD CTL
static const uint8_t class_of[256] = {
    [0 ... 31] = BAD,
    [127] = BAD,
    ['0' ... '9'] = ALPHA_ | HEX,
    ['A' ... 'F'] = ALPHA_ | HEX,
    ['G' ... 'Z'] = ALPHA_,
    ['a' ... 'f'] = ALPHA_ | HEX,
    ['g' ... 'z'] = ALPHA_,
    ['-'] = ALPHA_,
    ['.'] = ALPHA_,
    ['_'] = ALPHA_,
    ['~'] = ALPHA_,
    ['!'] = ALPHA_,
    ['$'] = ALPHA_,
    ['&'] = ALPHA_,
    ['\''] = ALPHA_,
    ['*'] = ALPHA_,
    ['+'] = ALPHA_,
    ['%'] = TOKEN | PCHAR | QUERY,
    ['#'] = TOKEN,
    ['^'] = TOKEN | QUERY,
    ['`'] = TOKEN | QUERY,
    ['|'] = TOKEN | QUERY,
    ['('] = PCHAR | QUERY | HOST,
    [')'] = PCHAR | QUERY | HOST,
    [','] = PCHAR | QUERY | HOST,
    [';'] = PCHAR | QUERY | HOST,
    ['='] = PCHAR | QUERY | HOST,
    [':'] = PCHAR | QUERY | HOST,
    ['@'] = PCHAR | QUERY,
    ['/'] = PCHAR | QUERY,
    ['?'] = QUERY,
    ['['] = QUERY | HOST,
    [']'] = QUERY | HOST,
    ['"'] = QUERY,
    ['<'] = QUERY,
    ['>'] = QUERY,
    ['\\'] = QUERY,
    ['{'] = QUERY,
    ['}'] = QUERY,
};

static bool is(char c, int what) { return (class_of[(uint8_t)c] & what) != 0; }

static bool all(struct str s, int what)
{
    for (size_t i = 0; i < s.n; i++)
        if (!is(s.p[i], what))
            return false;
    return true;
}

static int hex(char c) { return c <= '9' ? c - '0' : (c | 32) - 'a' + 10; }

static enum http1_result refuse(struct http1 *p, enum errcode code, const char *why)
{
    p->code = code;
    p->why = why;
    return HTTP1_REFUSED;
}
static enum http1_result bad(struct http1 *p, const char *why) { return refuse(p, ERR_BAD_REQUEST, why); }

enum { FIRST_LINE, FIRST_LINE_AFTER_EMPTY, HEADER_LINES };
/* Headers that may stand once only, as bits of `seen`. */
enum { SEEN_HOST = 1, SEEN_LENGTH = 2, SEEN_CODING = 4, SEEN_AUTHORIZATION = 8, SEEN_TYPE = 16, SEEN_EXPECT = 32, SEEN_CONTENT_CODING = 64 };

void http1_init(struct http1 *p) { *p = (struct http1){.part = FIRST_LINE}; }
bool http1_begun(const struct http1 *p) { return p->scanned > 0; }

static struct http1_span span(const char *head, struct str s) { return (struct http1_span){(uint16_t)(s.p - head), (uint16_t)s.n}; }

/* origin-form "/path?query"; absolute-form "http://authority/path?query" (RFC 9112 section 3.2.2), whose authority must be the Host's. */
static enum http1_result target_read(struct http1 *p, const char *head, struct str t, bool options)
{
    if (options && str_eqz(t, "*")) {
        p->path = span(head, t);
        return HTTP1_MORE;
    }
    size_t scheme = t.n >= 7 && str_ieqz((struct str){t.p, 7}, "http://") ? 7 : t.n >= 8 && str_ieqz((struct str){t.p, 8}, "https://") ? 8 : 0;
    if (scheme) {
        struct str a = {t.p + scheme, 0};
        while (scheme + a.n < t.n && is(a.p[a.n], HOST))
            a.n++;
        if (a.n == 0)
            return bad(p, "the request target has no host");
        p->authority = span(head, a);
        t = (struct str){a.p + a.n, t.n - scheme - a.n};
    }
    struct str query = t, path = str_split(&query, '?');
    if (!scheme && (path.n == 0 || path.p[0] != '/'))
        return bad(p, "the request target must begin with a slash");
    if (path.n && (path.p[0] != '/' || !all(path, PCHAR) || http1_path(path, NULL, NULL) < 0))
        return bad(p, "the path holds a byte, an escape or a dot segment that is not allowed");
    if (!all(query, QUERY))
        return bad(p, "the query holds a byte that is not allowed");
    p->path = path.n ? span(head, path) : (struct http1_span){0, 0};
    p->query = query.p ? span(head, query) : (struct http1_span){0, 0};
    return HTTP1_MORE;
}

static enum http1_result request_line(struct http1 *p, const char *head, struct str line)
{
    struct str rest = line, method = str_split(&rest, ' ');
    if (!rest.p || method.n == 0 || !all(method, TOKEN))
        return bad(p, "the request line must be: method, space, target, space, HTTP/1.1");
    struct str target = str_split(&rest, ' ');
    if (!rest.p || target.n == 0 || rest.n != 8 || !str_starts(rest, "HTTP/") || !is(rest.p[5], HEX) || rest.p[5] > '9' || rest.p[6] != '.' ||
        !is(rest.p[7], HEX) || rest.p[7] > '9')
        return bad(p, "the request line must be: method, space, target, space, HTTP/1.1");
    if (rest.p[5] != '1' || rest.p[7] > '1')
        return refuse(p, ERR_HTTP_VERSION, "this server speaks HTTP/1.1 and HTTP/1.0");
    p->minor = (uint8_t)(rest.p[7] - '0');
    p->method = span(head, method);
    return target_read(p, head, target, str_eqz(method, "OPTIONS"));
}

/* Sets a header's bit; false when it stood before. */
static bool once(struct http1 *p, int bit)
{
    bool first = (p->seen & bit) == 0;
    p->seen |= (uint8_t)bit;
    return first;
}

static enum http1_result length_read(struct http1 *p, struct str v)
{
    if (!once(p, SEEN_LENGTH))
        return bad(p, "Content-Length stands twice");
    if (v.n == 0 || v.n > 18 || !str_u64(v, &p->length))
        return bad(p, "Content-Length must be 1 to 18 digits");
    p->has_length = true;
    return HTTP1_MORE;
}

static enum http1_result coding_read(struct http1 *p, struct str v)
{
    if (!once(p, SEEN_CODING))
        return bad(p, "Transfer-Encoding stands twice");
    if (!str_ieqz(v, "chunked"))
        return refuse(p, ERR_NOT_IMPL, "the only transfer coding that this server knows is: chunked");
    p->chunked = true;
    return HTTP1_MORE;
}

static enum http1_result host_read(struct http1 *p, const char *head, struct str v)
{
    if (!once(p, SEEN_HOST))
        return bad(p, "Host stands twice");
    if (!all(v, HOST))
        return bad(p, "Host must be a name or an address, with a port or without");
    p->host = span(head, v);
    return HTTP1_MORE;
}

static void connection_read(struct http1 *p, struct str v)
{
    while (v.p) {
        struct str word = str_trim(str_split(&v, ','));
        p->said_close = p->said_close || str_ieqz(word, "close");
        p->said_keep_alive = p->said_keep_alive || str_ieqz(word, "keep-alive");
    }
}

static enum http1_result header_line(struct http1 *p, const struct http1_limits *l, const char *head, struct str line)
{
    if (++p->n_headers > l->headers_max)
        return refuse(p, ERR_HEAD_TOO_LARGE, "too many headers");
    struct str value = line, name = str_split(&value, ':');
    if (!value.p || name.n == 0 || !all(name, TOKEN))
        return bad(p, "a header line must be: name, colon, value; folded lines and blanks before the colon are not allowed");
    value = str_trim(value);
    if (str_ieqz(name, "content-length"))
        return length_read(p, value);
    if (str_ieqz(name, "transfer-encoding"))
        return coding_read(p, value);
    if (str_ieqz(name, "host"))
        return host_read(p, head, value);
    if (str_ieqz(name, "connection"))
        connection_read(p, value);
    else if (str_ieqz(name, "expect")) {
        if (!once(p, SEEN_EXPECT) || !str_ieqz(value, "100-continue"))
            return refuse(p, ERR_EXPECTATION, "the only expectation that this server knows is: 100-continue");
        p->expect = true;
    } else if (str_ieqz(name, "content-encoding")) {
        if (!once(p, SEEN_CONTENT_CODING) || !str_ieqz(value, "identity"))
            return refuse(p, ERR_MEDIA_TYPE, "request bodies must come without Content-Encoding");
    } else if ((str_ieqz(name, "authorization") && !once(p, SEEN_AUTHORIZATION)) || (str_ieqz(name, "content-type") && !once(p, SEEN_TYPE)))
        return bad(p, "a header that may stand once stands twice");
    return HTTP1_MORE;
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

static bool same_name(struct str a, struct str b)
{
    bool same = a.n == b.n;
    for (size_t i = 0; same && i < a.n; i++)
        same = lower(a.p[i]) == lower(b.p[i]);
    return same;
}

/* The checks that need the whole head. */
static enum http1_result head_end(struct http1 *p, const struct http1_limits *l, const char *head)
{
    if (p->chunked && p->has_length)
        return bad(p, "Content-Length and Transfer-Encoding stand together");
    if (p->chunked && p->minor == 0)
        return bad(p, "HTTP/1.0 has no Transfer-Encoding");
    if (p->minor == 1 && p->host.n == 0)
        return bad(p, "HTTP/1.1 needs a Host header");
    if (p->authority.n && !same_name((struct str){head + p->authority.at, p->authority.n}, (struct str){head + p->host.at, p->host.n}))
        return bad(p, "the target's host differs from the Host header");
    if (p->has_length && p->length > l->body_max)
        return refuse(p, ERR_TOO_LARGE, "the request body is too large");
    p->keep_alive = !p->said_close && (p->minor == 1 || p->said_keep_alive);
    p->expect = p->expect && p->minor == 1;
    p->left = p->length;
    p->head_n = p->scanned;
    return HTTP1_DONE;
}

static enum http1_result line_end(struct http1 *p, const struct http1_limits *l, const char *head)
{
    struct str line = {head + p->line_at, p->scanned - 2 - p->line_at};
    p->line_at = p->scanned;
    if (p->part == HEADER_LINES)
        return line.n ? header_line(p, l, head, line) : head_end(p, l, head);
    if (line.n == 0) {
        if (p->part == FIRST_LINE_AFTER_EMPTY)
            return bad(p, "more than one empty line stands before the request");
        p->part = FIRST_LINE_AFTER_EMPTY;
        return HTTP1_MORE;
    }
    p->part = HEADER_LINES;
    return request_line(p, head, line);
}

enum http1_result http1_head(struct http1 *p, const struct http1_limits *l, const char *head, size_t n)
{
    if (p->why)
        return HTTP1_REFUSED;
    while (p->scanned < n) {
        char c = head[p->scanned++];
        if (p->scanned > l->head_max)
            return refuse(p, ERR_HEAD_TOO_LARGE, "the request's head is too large");
        if (p->cr != (c == '\n'))
            return bad(p, "lines must end with CR LF, and neither byte may stand elsewhere");
        p->cr = c == '\r';
        if (c == '\n') {
            enum http1_result r = line_end(p, l, head);
            if (r != HTTP1_MORE)
                return r;
        } else if (!p->cr && p->scanned - p->line_at > l->line_max) {
            return p->part == HEADER_LINES ? refuse(p, ERR_HEAD_TOO_LARGE, "a header line is too long")
                                           : refuse(p, ERR_URI_TOO_LONG, "the request line is too long");
        } else if (is(c, CTL) && !p->cr && c != '\t') {
            return bad(p, "the head holds a control byte");
        }
    }
    return HTTP1_MORE;
}

/* Chunked coding, RFC 9112 section 7.1: size [;extension] CRLF data CRLF ... 0 CRLF CRLF. */
enum { SIZE, EXTENSION, SIZE_LF, DATA, DATA_CR, DATA_LF, END_CR, END_LF };

static enum http1_result chunk_size(struct http1 *p, char c)
{
    if (is(c, HEX)) {
        if (++p->digits > 8)
            return bad(p, "a chunk size has more than 8 digits");
        p->left = p->left << 4 | (uint64_t)hex(c);
        return HTTP1_MORE;
    }
    if (p->digits == 0 || (c != '\r' && c != ';'))
        return bad(p, "a chunk must begin with its size in hex digits");
    p->digits = 0;
    p->chunk = c == ';' ? EXTENSION : SIZE_LF;
    return HTTP1_MORE;
}

static enum http1_result chunk_byte(struct http1 *p, const struct http1_limits *l, char c)
{
    switch (p->chunk) {
    case SIZE: return chunk_size(p, c);
    case EXTENSION:
        if (c == '\r')
            p->chunk = SIZE_LF;
        else if ((is(c, CTL) && c != '\t') || ++p->digits > HTTP1_EXTENSION_MAX)
            return bad(p, "a chunk extension is too long or holds a control byte");
        return HTTP1_MORE;
    case SIZE_LF:
        if (c != '\n')
            return bad(p, "a chunk size must end with CR LF");
        if (p->left > l->body_max - p->body_n) /* before any of its data is kept */
            return refuse(p, ERR_TOO_LARGE, "the request body is too large");
        p->digits = 0;
        p->chunk = p->left ? DATA : END_CR;
        return HTTP1_MORE;
    case DATA_CR:
    case END_CR:
        if (c != '\r')
            return bad(p, p->chunk == END_CR ? "trailers are not allowed" : "a chunk's data must end with CR LF");
        p->chunk++;
        return HTTP1_MORE;
    default: /* DATA_LF, END_LF */
        if (c != '\n')
            return bad(p, "a chunk must end with CR LF");
        if (p->chunk == END_LF)
            return HTTP1_DONE;
        p->chunk = SIZE;
        return HTTP1_MORE;
    }
}

enum http1_result http1_body(struct http1 *p, const struct http1_limits *l, const char *in, size_t n, size_t *used, struct str *piece)
{
    size_t at = 0;
    *piece = (struct str){NULL, 0};
    *used = 0;
    if (p->why)
        return HTTP1_REFUSED;
    while (p->chunked && at < n && p->chunk != DATA) {
        enum http1_result r = chunk_byte(p, l, in[at++]);
        *used = at;
        if (r != HTTP1_MORE)
            return r;
    }
    if (!p->chunked || p->chunk == DATA) {
        size_t take = p->left < n - at ? (size_t)p->left : n - at;
        *piece = (struct str){in + at, take};
        p->left -= take;
        p->body_n += take;
        at += take;
        if (p->chunked && p->left == 0)
            p->chunk = DATA_CR;
    }
    *used = at;
    return !p->chunked && p->left == 0 ? HTTP1_DONE : HTTP1_MORE;
}

struct str http1_header(const char *head, size_t n, const char *name)
{
    struct str rest = {head, n};
    bool       first = true;
    while (rest.p) {
        struct str line = str_trim(str_split(&rest, '\n')); /* a head that was read: every line ends with CR LF */
        if (line.n == 0)
            continue;
        struct str value = line, field = str_split(&value, ':');
        if (!first && str_ieqz(field, name))
            return str_trim(value);
        first = false;
    }
    return (struct str){NULL, 0};
}

int http1_decode(struct str in, bool form, char *out)
{
    int n = 0;
    for (size_t i = 0; i < in.n; i++) {
        char c = in.p[i];
        if (c == '%') {
            if (in.n - i < 3 || !is(in.p[i + 1], HEX) || !is(in.p[i + 2], HEX))
                return -1;
            c = (char)(hex(in.p[i + 1]) << 4 | hex(in.p[i + 2]));
            i += 2;
            if (c == 0)
                return -1;
        } else if (form && c == '+')
            c = ' ';
        if (out)
            out[n] = c;
        n++;
    }
    return n;
}

/* Walks the decoded bytes of one segment: no control bytes, and no part between slashes (%2F) may be "." or "..". */
static bool segment_ok(struct str s)
{
    size_t part = 0, dots = 0;
    for (size_t i = 0; i <= s.n; i++) {
        char c = '/';
        if (i < s.n) {
            c = s.p[i];
            if (c == '%') {
                c = (char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2])); /* http1_decode has checked the digits */
                i += 2;
            }
        }
        if (is(c, CTL))
            return false;
        if (c == '/') {
            if (part == dots && (part == 1 || part == 2))
                return false;
            part = dots = 0;
        } else {
            part++;
            dots += c == '.';
        }
    }
    return true;
}

int http1_path(struct str path, char *out, struct http1_span seg[HTTP1_SEGMENTS_MAX])
{
    if (path.n == 0 || path.p[0] != '/')
        return -1;
    struct str rest = {path.p + 1, path.n - 1};
    size_t     at = 0;
    int        count = 0;
    while (rest.p) {
        struct str raw = str_split(&rest, '/');
        int        n = http1_decode(raw, false, out ? out + at : NULL);
        if (n < 0 || !segment_ok(raw) || count == HTTP1_SEGMENTS_MAX)
            return -1;
        if (seg)
            seg[count] = (struct http1_span){(uint16_t)at, (uint16_t)n};
        count++;
        at += (size_t)n;
        if (out)
            out[at] = rest.p ? '/' : 0;
        at++;
    }
    return count;
}
