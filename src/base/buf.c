#include "base/buf.h"
#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void buf_init(struct buf *b, size_t max) { *b = (struct buf){.max = max ? max : (size_t)1 << 30}; }

void buf_deinit(struct buf *b)
{
    mem_free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = 0;
}

bool buf_reserve(struct buf *b, size_t more)
{
    size_t max = b->max ? b->max : (size_t)1 << 30, need;
    if (b->failed || !ck_add(b->len, more, &need) || need > max)
        return b->failed = true, false;
    if (need < b->cap)
        return true;
    size_t cap = b->cap ? b->cap : 64;
    while (cap <= need)
        cap *= 2; /* need <= max < SIZE_MAX / 2 */
    char *p = mem_resize(b->data, cap, 1);
    if (!p)
        return b->failed = true, false;
    b->data = p;
    b->cap = cap;
    b->data[b->len] = 0;
    return true;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0 || !buf_reserve(b, n))
        return;
    memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = 0;
}

void buf_str(struct buf *b, const char *s) { buf_add(b, s, strlen(s)); }
void buf_char(struct buf *b, char c) { buf_add(b, &c, 1); }

void buf_fmt(struct buf *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        b->failed = true;
    else if (buf_reserve(b, (size_t)n + 1)) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_cut(struct buf *b, size_t n)
{
    if (n > b->len)
        n = b->len;
    if (n == 0)
        return;
    memmove(b->data, b->data + n, b->len - n + 1);
    b->len -= n;
}

void buf_base64(struct buf *b, const void *p, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *s = p;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)s[i] << 16 | (left > 1 ? (uint32_t)s[i + 1] << 8 : 0) | (left > 2 ? s[i + 2] : 0);
        char four[4] = {digits[v >> 18], digits[v >> 12 & 63], left > 1 ? digits[v >> 6 & 63] : '=', left > 2 ? digits[v & 63] : '='};
        buf_add(b, four, 4);
    }
}
