/* Server-sent events from a foreign server: the same events whole and in pieces; what sse_event writes reads back. */
#include "base/err.h"
#include "net/sse.h"
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void on_event(void *arg, const char *data, size_t n)
{
    struct buf *t = arg;
    buf_fmt(t, "%zu:", n);
    buf_add(t, data, n);
    buf_char(t, '\n');
}

static void run(struct buf *t, const char *p, size_t n, size_t piece)
{
    struct sse_reader r;
    sse_reader_init(&r, on_event, t);
    for (size_t at = 0; at < n; at += piece)
        ASSERT(sse_reader_feed(&r, p + at, piece < n - at ? piece : n - at));
    sse_reader_deinit(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct buf want, got, text;
    buf_init(&want, 0);
    buf_init(&text, 0);
    run(&want, (const char *)p, n, n ? n : 1);
    for (size_t piece = 1; piece < 6; piece += 2) {
        buf_init(&got, 0);
        run(&got, (const char *)p, n, piece);
        ASSERT(got.len == want.len && (got.len == 0 || memcmp(got.data, want.data, got.len) == 0));
        buf_deinit(&got);
    }
    buf_clear(&want);
    if (n && !memchr(p, '\n', n) && !memchr(p, '\r', n)) {
        buf_init(&got, 0);
        sse_event(&text, "x", (const char *)p, n);
        on_event(&want, (const char *)p, n);
        run(&got, text.data, text.len, 3);
        ASSERT(got.len == want.len && memcmp(got.data, want.data, got.len) == 0);
        buf_deinit(&got);
    }
    buf_deinit(&text);
    buf_deinit(&want);
    return 0;
}
