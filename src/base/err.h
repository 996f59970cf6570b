/* Errors. A function that may fail returns 0 or a negative value and fills a struct err that the caller owns.
 * The text names module, object and fact, and the mend. err.def is the table of classes: HTTP status, exit code,
 * wire type and whether a client may retry. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum errcode {
#define ERR(name, http, exit, type, code, retry) ERR_##name,
#include "base/err.def"
#undef ERR
    ERR_COUNT
};

struct err {
    enum errcode code;
    uint32_t retry_ms; /* how long until it can succeed; 0: nobody knows */
    char param[64]; /* the request parameter at fault, or "" */
    char msg[512];
};

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF(a, b) __attribute__((format(printf, a, b)))

/* Fills e (may be NULL; retry_ms becomes 0) and returns -code, so that `return err_set(e, ERR_IO, "...")` reads well. */
int err_set(struct err *e, enum errcode code, const char *fmt, ...) PRINTF(3, 4);
/* As err_set, with the name of the request parameter at fault. */
int err_param(struct err *e, enum errcode code, const char *param, const char *fmt, ...) PRINTF(4, 5);
/* Puts "text: " before the message that e holds; returns -e->code. */
int err_wrap(struct err *e, const char *fmt, ...) PRINTF(2, 3);

int         err_http(enum errcode c);      /* HTTP status */
int         err_exit(enum errcode c);      /* process exit code */
const char *err_wire_type(enum errcode c); /* OpenAI's error.type */
const char *err_wire_code(enum errcode c); /* OpenAI's error.code, or NULL */
bool        err_retry(enum errcode c);
const char *err_name(enum errcode c);

/* A programmer's error: prints where and aborts, in release too. */
#define ASSERT(x) ((x) ? (void)0 : assert_fail(#x, __FILE__, __LINE__))
_Noreturn void assert_fail(const char *expr, const char *file, int line);
