/* Errors on the wire: OpenAI's error object for every refusal, and the log line of a request. */
#include "api/api_int.h"
#include "base/log.h"
#include <string.h>

void errors_body(struct buf *out, const struct err *e, const char *request_id)
{
    struct jw w;
    jw_init(&w, out);
    jw_obj(&w);
    jw_key(&w, "error");
    jw_obj(&w);
    jw_key(&w, "message"), jw_str(&w, e->msg);
    jw_key(&w, "type"), jw_str(&w, err_wire_type(e->code));
    jw_key(&w, "param"), jw_str(&w, e->param[0] ? e->param : NULL);
    jw_key(&w, "code"), jw_str(&w, err_wire_code(e->code));
    jw_obj_end(&w);
    jw_obj_end(&w);
    /* The message may quote a request: it stays out of the log. */
    log_line(LOG_INFO, "request", "id=%s status=%d error=%s", request_id ? request_id : "-", err_http(e->code), err_name(e->code));
}

/* Official clients wait no longer than this for a retry, and past it try again after a second or so: better not. */
enum { RETRY_WAIT_MAX_MS = 60000 };

/* When trying again can succeed: seconds for everybody, milliseconds for clients that know them. */
static void put_retry(struct http *r, const struct err *e)
{
    char text[32];
    if (e->code == ERR_RATE) {
        (void)str_fmt(text, sizeof text, "%llu", (e->retry_ms + 999ull) / 1000);
        http_header_add(r, "retry-after", text);
        (void)str_fmt(text, sizeof text, "%u", e->retry_ms);
        http_header_add(r, "retry-after-ms", text);
    } else if (err_retry(e->code) && err_http(e->code) == 503) {
        http_header_add(r, "retry-after", e->code == ERR_BUSY ? "1" : "5"); /* a full queue moves on sooner than a restart or a load */
    }
}

/* What a customer cannot do is not proposed: commands are the operator's. */
static void for_customers(struct err *e)
{
    static const char command[] = ": sluice ", instead[] = " (ask the operator)";
    char *at = strstr(e->msg, command);
    if (at && (size_t)(at - e->msg) + sizeof instead <= sizeof e->msg)
        memcpy(at, instead, sizeof instead);
}

void errors_reply(struct http *r, const struct err *why)
{
    struct err copy = *why, *e = &copy;
    if (http_listener(r) != LISTEN_ADMIN && (e->code == ERR_RATE || e->code == ERR_OVER_RATE || e->code == ERR_QUOTA))
        for_customers(e);
    bool later = e->code == ERR_RATE && e->retry_ms > RETRY_WAIT_MAX_MS;
    http_header_add(r, "x-should-retry", err_retry(e->code) && !later ? "true" : "false");
    put_retry(r, e);
    http_reply_err(r, e);
}

void log_answer(const struct http *r, const char *route, int status)
{
    log_line(LOG_INFO, "request", "id=%s route=%s status=%d ms=%.1f", http_id(r), route, status, (double)(clock_ns() - http_start_ns(r)) / 1e6);
}
