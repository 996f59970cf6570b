/* Server-sent events: what WHATWG HTML section 9.2 says, whole and byte by byte. */
#include "net/sse.h"
#include "test.h"

static void on_event(void *arg, const char *data, size_t n) { buf_fmt(arg, "[%.*s]", (int)n, data); }

static const char *events(const char *text, size_t n, size_t piece)
{
    static struct buf got;
    struct sse_reader r;
    buf_deinit(&got);
    buf_init(&got, 0);
    buf_str(&got, "");
    buf_reserve(&got, 1);
    sse_reader_init(&r, on_event, &got);
    for (size_t at = 0; at < n; at += piece)
        if (!sse_reader_feed(&r, text + at, piece < n - at ? piece : n - at))
            buf_str(&got, "FULL");
    sse_reader_deinit(&r);
    return got.data;
}
#define IS(text, want)                                                                                                                     \
    for (size_t piece = 1; piece < 40; piece += 3)                                                                                         \
    CHECK_MSG(strcmp(events(text, sizeof(text) - 1, piece), want) == 0, "pieces of %zu: %s", piece, events(text, sizeof(text) - 1, piece))

TEST(reads)
{
    IS("data: a\n\n", "[a]");
    IS("data: a\r\n\r\ndata:b\r\rdata\n\n", "[a][b][]");
    IS(": hi\n\nevent: x\nid: 3\ndata: {\"a\": 1}\n\ndata: [DONE]\n\n", "[{\"a\": 1}][[DONE]]");
    IS("data: a\ndata:  b\ndata:\n\n", "[a\n b\n]");
    IS("\xef\xbb\xbf" "data: a\n\n", "[a]");
    IS("data: a\r\ndata: b\r\n\r\n", "[a\nb]");
    IS("data: a\n\n\xef\xbb\xbf" "data: b\n\n", "[a]");
    IS("database: a\n\n\n\nDATA: b\n\n", "");
    IS("data: never ended", "");
    IS("data: never ended\n", "");
    IS("data: a\r\n\ndata: b\n\r\n", "[a][b]");
}

TEST(limit)
{
    struct sse_reader r;
    struct buf        got;
    char              x[4096];
    bool              ok = true;
    int               n = 0;
    memset(x, 'x', sizeof x);
    buf_init(&got, 0);
    sse_reader_init(&r, on_event, &got);
    for (; ok && n < 2000; n++)
        ok = sse_reader_feed(&r, x, sizeof x);
    CHECK(!ok && n >= 1000);
    CHECK(!sse_reader_feed(&r, "\n\n", 2) && got.len == 0);
    sse_reader_deinit(&r);
}

TEST(writes)
{
    struct buf b;
    buf_init(&b, 0);
    sse_event(&b, NULL, "{}", 2);
    sse_event(&b, "done", "", 0);
    CHECK(strcmp(b.data, "data: {}\n\nevent: done\ndata: \n\n") == 0);
    CHECK(strcmp(events(b.data, b.len, 1), "[{}][]") == 0);
    buf_deinit(&b);
}

TEST_MAIN()
