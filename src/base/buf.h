/* A growing byte buffer with a maximum. After an append that did not fit (memory or max) `failed` is set and stays;
 * later appends do nothing, so a writer checks once, at the end. data[len] is always a NUL (when data is not NULL). */
#pragma once
#include "base/err.h"
#include <stdint.h>

struct buf {
    char  *data;
    size_t len, cap, max; /* max: 0 means 1 GiB */
    bool   failed;
};

void buf_init(struct buf *b, size_t max);
void buf_deinit(struct buf *b);
void buf_clear(struct buf *b); /* len = 0, failed = false, memory kept */
bool buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_fmt(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_base64(struct buf *b, const void *p, size_t n); /* RFC 4648, padded */
void buf_cut(struct buf *b, size_t n); /* drops the first n bytes */
