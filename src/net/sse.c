#include "net/sse.h"
#include "base/err.h"
#include <string.h>

enum { EVENT_MAX = 4 << 20 }; /* bytes of one line, and of one event's data */

void sse_event(struct buf *out, const char *event, const char *data, size_t n)
{
    ASSERT(n == 0 || (!memchr(data, '\n', n) && !memchr(data, '\r', n)));
    if (event) {
        buf_str(out, "event: ");
        buf_str(out, event);
        buf_char(out, '\n');
    }
    buf_str(out, "data: ");
    buf_add(out, data, n);
    buf_str(out, "\n\n");
}

void sse_reader_init(struct sse_reader *r, void (*on_event)(void *, const char *, size_t), void *arg)
{
    *r = (struct sse_reader){.on_event = on_event, .arg = arg};
    buf_init(&r->line, EVENT_MAX);
    buf_init(&r->data, EVENT_MAX);
}

void sse_reader_deinit(struct sse_reader *r)
{
    buf_deinit(&r->line);
    buf_deinit(&r->data);
}

/* One line without its end. Only "data" matters to us; event, id, retry and comments pass by. */
static bool line_end(struct sse_reader *r)
{
    const char *p = r->line.data ? r->line.data : "";
    size_t      n = r->line.len;
    if (!r->begun && n >= 3 && memcmp(p, "\xEF\xBB\xBF", 3) == 0) /* a byte order mark may stand first */
        p += 3, n -= 3;
    r->begun = true;
    if (n == 0) {
        if (r->has_data)
            r->on_event(r->arg, r->data.data ? r->data.data : "", r->data.len);
        r->has_data = false;
        buf_clear(&r->data);
    } else if (n >= 4 && memcmp(p, "data", 4) == 0 && (n == 4 || p[4] == ':')) {
        size_t skip = n == 4 ? 4 : n > 5 && p[5] == ' ' ? 6 : 5;
        if (r->has_data)
            buf_char(&r->data, '\n');
        buf_add(&r->data, p + skip, n - skip);
        r->has_data = true;
    }
    buf_clear(&r->line);
    return !r->data.failed;
}

bool sse_reader_feed(struct sse_reader *r, const char *p, size_t n)
{
    for (size_t i = 0; i < n && !r->failed;) {
        if (r->cr && p[i] == '\n') { /* the second half of CR LF */
            r->cr = false;
            i++;
            continue;
        }
        size_t run = 0;
        while (i + run < n && p[i + run] != '\n' && p[i + run] != '\r')
            run++;
        buf_add(&r->line, p + i, run);
        i += run;
        r->cr = i < n && p[i] == '\r';
        r->failed = r->line.failed || (i < n && !line_end(r));
        i++;
    }
    return !r->failed;
}
