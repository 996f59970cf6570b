#include "base/log.h"
#include "base/clock.h"
#include "base/json.h"
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

static atomic_int level = LOG_INFO;

void log_level_set(enum log_level min) { atomic_store(&level, (int)min); }

void log_line(enum log_level l, const char *event, const char *fmt, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if ((int)l < atomic_load(&level))
        return;
    char    text[1024], at[32];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    clock_iso(at, clock_now_us());
    struct buf b;
    struct jw  w;
    buf_init(&b, 8192);
    jw_init(&w, &b);
    jw_obj(&w);
    jw_key(&w, "time"), jw_str(&w, at);
    jw_key(&w, "level"), jw_str(&w, names[l]);
    jw_key(&w, "event"), jw_str(&w, event);
    jw_key(&w, "text"), jw_str(&w, text);
    jw_obj_end(&w);
    buf_char(&b, '\n');
    if (!b.failed && write(STDERR_FILENO, b.data, b.len) < 0) {
        /* standard error is gone: nobody is left to tell */
    }
    buf_deinit(&b);
}
