#include "base/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct row {
    const char *name;
    int         http, exit;
    const char *type, *code;
    bool        retry;
} rows[ERR_COUNT] = {
#define ERR(name, http, exit, type, code, retry) {#name, http, exit, type, code, retry},
#include "base/err.def"
#undef ERR
};

static const struct row *row(enum errcode c) { return &rows[(unsigned)c < ERR_COUNT ? c : ERR_INTERNAL]; }

int         err_http(enum errcode c) { return row(c)->http; }
int         err_exit(enum errcode c) { return row(c)->exit; }
const char *err_wire_type(enum errcode c) { return row(c)->type; }
const char *err_wire_code(enum errcode c) { return row(c)->code; }
bool        err_retry(enum errcode c) { return row(c)->retry; }
const char *err_name(enum errcode c) { return row(c)->name; }

static void fill(struct err *e, enum errcode code, const char *param, const char *fmt, va_list ap)
{
    e->code = code;
    e->retry_ms = 0;
    snprintf(e->param, sizeof e->param, "%s", param);
    vsnprintf(e->msg, sizeof e->msg, fmt, ap);
}

int err_set(struct err *e, enum errcode code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (e)
        fill(e, code, "", fmt, ap);
    va_end(ap);
    return -(int)code;
}

int err_param(struct err *e, enum errcode code, const char *param, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    if (e)
        fill(e, code, param, fmt, ap);
    va_end(ap);
    return -(int)code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    if (!e)
        return -(int)ERR_INTERNAL;
    char    tail[sizeof e->msg];
    va_list ap;
    memcpy(tail, e->msg, sizeof tail);
    va_start(ap, fmt);
    int n = vsnprintf(e->msg, sizeof e->msg, fmt, ap);
    va_end(ap);
    int room = (int)sizeof e->msg - n - 3; /* for ": " and the final NUL */
    if (n >= 0 && room > 0)
        snprintf(e->msg + n, sizeof e->msg - (size_t)n, ": %.*s", room, tail);
    return -(int)e->code;
}

_Noreturn void assert_fail(const char *expr, const char *file, int line)
{
    fprintf(stderr, "sluice: %s:%d: this must hold and does not: %s; please report it\n", file, line, expr);
    abort();
}
