/* A connection's bytes from an enemy: whatever the reader makes of them, it makes the same of them whole, in pieces and byte by byte;
 * what it accepts routes and decodes without a fault. The first byte chooses the limits. Seeds: the cases of tests/net/raw_requests.py. */
#include "base/buf.h"
#include "base/mem.h"
#include "net/http1.h"
#include "net/route.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void nothing(struct http *r, void *app) { (void)r, (void)app; }

static const struct route rows[] = {
    {HTTP_POST, "/echo", 0, nothing},          {HTTP_GET, "/", 0, nothing},
    {HTTP_GET, "/v1/models", 0, nothing},      {HTTP_GET, "/v1/models/{model*}", 0, nothing},
    {HTTP_GET, "/v1/{a}/{b}", 0, nothing},     {HTTP_DELETE, "/v1/models/{model}/x", 0, nothing},
    {HTTP_GET, "/v1/models/list", 0, nothing},
};
static struct route_table *table;

static void put(struct buf *t, const char *what, const char *p, size_t n)
{
    buf_fmt(t, "%s %zu ", what, n);
    buf_add(t, p, n);
    buf_char(t, '\n');
}

/* What the server does with a head: find headers, decode the path, match it. The copy has exactly the head's size. */
static void head_use(struct buf *t, const struct http1 *p, const char *from)
{
    static const char *const names[] = {"host", "Content-Length", "x", "authorization", ""};
    char                    *head = malloc(p->head_n), *decoded = malloc((size_t)p->path.n + 1);
    struct http1_span        seg[HTTP1_SEGMENTS_MAX];
    struct route_match       m;
    ASSERT(head && decoded);
    memcpy(head, from, p->head_n);
    put(t, "method", head + p->method.at, p->method.n);
    put(t, "path", head + p->path.at, p->path.n);
    put(t, "query", head + p->query.at, p->query.n);
    put(t, "host", head + p->host.at, p->host.n);
    buf_fmt(t, "%d %d %d %d %d %llu\n", p->minor, p->chunked, p->has_length, p->expect, p->keep_alive, (unsigned long long)p->length);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct str v = http1_header(head, p->head_n, names[i]);
        put(t, names[i], v.p ? v.p : "", v.n);
    }
    ASSERT(!(p->chunked && p->has_length) && p->length < UINT64_C(1000000000000000000));
    int count = p->path.n ? http1_path((struct str){head + p->path.at, p->path.n}, decoded, seg) : 0;
    if (count > 0) {
        ASSERT(strlen(decoded) <= p->path.n && !strstr(decoded, "/../") && strncmp(decoded, "../", 3) != 0 && strcmp(decoded, "..") != 0);
        route_match(table, HTTP_GET, decoded, seg, count, &m);
        buf_fmt(t, "%s %u\n", m.route ? m.route->pattern : "-", m.allow);
        for (int i = 0; i < ROUTE_PARAMS_MAX; i++)
            put(t, "param", decoded + m.param[i].at, m.param[i].n);
    } else
        ASSERT(p->path.n == 0 || head[p->path.at] == '*');
    free(head);
    free(decoded);
}

/* Reads the bytes whole (piece = 0) or in pieces of 1 to `piece` bytes as the server does, and writes down what it saw. */
static void run(struct buf *t, const uint8_t *data, size_t n, size_t piece, uint32_t random, const struct http1_limits *l)
{
    struct buf   in, body;
    struct http1 p;
    bool         head = true, refused = false;
    buf_init(&in, 0);
    buf_init(&body, 0);
    http1_init(&p);
    for (size_t at = 0; at < n && !refused;) {
        random = random * 1664525 + 1013904223;
        size_t take = piece ? 1 + (random >> 8) % piece : n;
        take = take < n - at ? take : n - at;
        buf_add(&in, data + at, take);
        at += take;
        enum http1_result r = HTTP1_DONE;
        while (r == HTTP1_DONE && !refused) {
            if (head) {
                r = http1_head(&p, l, in.data, in.len);
                if (r == HTTP1_DONE) {
                    ASSERT(p.head_n <= in.len && p.head_n <= l->head_max);
                    head_use(t, &p, in.data);
                    buf_cut(&in, p.head_n);
                    head = false;
                }
            } else {
                size_t     used;
                struct str s;
                do {
                    r = http1_body(&p, l, in.data, in.len, &used, &s);
                    ASSERT(used <= in.len && s.n <= used);
                    buf_add(&body, s.p, s.n);
                    ASSERT(body.len <= l->body_max && body.len == p.body_n);
                    ASSERT(used > 0 || r != HTTP1_MORE || in.len == 0);
                    buf_cut(&in, used);
                } while (r == HTTP1_MORE && in.len > 0);
                if (r == HTTP1_DONE) {
                    put(t, "body", body.data ? body.data : "", body.len);
                    buf_clear(&body);
                    http1_init(&p);
                    head = true;
                }
            }
            refused = r == HTTP1_REFUSED;
        }
    }
    if (refused)
        buf_fmt(t, "refused %s %s\n", err_name(p.code), p.why);
    put(t, head ? "in a head" : "in a body", body.data ? body.data : "", body.len);
    ASSERT(!t->failed && !in.failed && !body.failed);
    buf_deinit(&in);
    buf_deinit(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const struct http1_limits limits[] = {
        {HTTP1_LINE_MAX, HTTP1_HEAD_MAX, HTTP1_HEADERS_MAX, HTTP1_BODY_MAX},
        {40, 120, 4, 8},
        {64, 65535, 8, 100},
    };
    struct err e;
    if (!table)
        ASSERT(route_table_new(&table, rows, sizeof rows / sizeof *rows, &e) == 0);
    if (n == 0)
        return 0;
    const struct http1_limits *l = &limits[p[0] % 3];
    uint32_t                   random = (uint32_t)n * 2654435761u ^ p[0];
    size_t                     pieces[] = {0, 1, 7, 64};
    struct buf                 want, got;
    buf_init(&want, 0);
    for (size_t i = 0; i < 4; i++) {
        buf_init(&got, 0);
        if (i == 0)
            run(&want, p + 1, n - 1, 0, random, l);
        else {
            run(&got, p + 1, n - 1, pieces[i], random, l);
            ASSERT(got.len == want.len && memcmp(got.data, want.data, got.len) == 0);
        }
        buf_deinit(&got);
    }
    buf_deinit(&want);
    return 0;
}
