/* Server-sent events: writing one event, and reading events out of arriving pieces (WHATWG HTML, section 9.2). */
#pragma once
#include "base/buf.h"

void sse_event(struct buf *out, const char *event /* or NULL */, const char *data, size_t n); /* data must be one line */

struct sse_reader {
    struct buf line, data;
    /* Called with the data of each complete event. */
    void (*on_event)(void *arg, const char *data, size_t n);
    void *arg;
    bool  cr, begun, has_data, failed; /* private */
};
void sse_reader_init(struct sse_reader *r, void (*on_event)(void *, const char *, size_t), void *arg);
void sse_reader_deinit(struct sse_reader *r);
bool sse_reader_feed(struct sse_reader *r, const char *p, size_t n); /* false: an event past the limit */
