/* Events of jobs that run elsewhere: CloudEvents 1.0 over HTTP, structured, batched or binary. What they mean: ledger/job.h. */
#include "api/api_int.h"
#include <string.h>

static int events(struct work *w, struct err *e)
{
    return ledger_events(w->api->ledger, &w->who, w->args, &w->out, e);
}

static int media_type(struct http *r, bool *binary, struct err *e)
{
    struct str type = http_header(r, "content-type"), first = str_trim(str_split(&type, ';'));
    *binary = str_ieqz(first, "application/json") && http_header(r, "ce-type").n;
    if (str_ieqz(first, "application/cloudevents+json") || str_ieqz(first, "application/cloudevents-batch+json") ||
        str_ieqz(first, "application/json"))
        return 0;
    return err_set(e, ERR_MEDIA_TYPE, "send an event as application/cloudevents+json, or several as application/cloudevents-batch+json");
}

/* In binary mode the attributes are headers and the body is the data. */
static int from_headers(struct http *r, struct json **out, struct err *e)
{
    static const char *const names[] = {"specversion", "type", "id", "source", "subject", "time"};
    struct buf b;
    struct jw w;
    struct json *data = NULL;
    int rc = json_parse(&data, http_body(r).p, http_body(r).n, e);
    if (rc < 0)
        return rc;
    buf_init(&b, 256 << 10);
    jw_init(&w, &b);
    jw_obj(&w);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char header[32];
        ASSERT(str_fmt(header, sizeof header, "ce-%s", names[i]));
        struct str v = http_header(r, header);
        if (v.n && utf8_valid(v.p, v.n))
            jw_key(&w, names[i]), jw_strn(&w, v.p, v.n);
    }
    jw_key(&w, "data");
    json_dump(&b, data);
    w.comma = true;
    jw_obj_end(&w);
    rc = b.failed ? err_set(e, ERR_TOO_LARGE, "the event is too large") : json_parse(out, b.data, b.len, e);
    json_free(data);
    buf_deinit(&b);
    return rc;
}

void route_events(struct http *r, void *app)
{
    struct api *a = app;
    struct err e = {0};
    bool binary = false;
    struct work *w = work_new(a, r, "events", events);
    int rc = w ? media_type(r, &binary, &e) : err_set(&e, ERR_NO_MEMORY, "out of memory");
    if (rc >= 0)
        rc = binary ? from_headers(r, &w->args, &e) : json_parse(&w->args, http_body(r).p, http_body(r).n, &e);
    if (rc < 0) {
        work_free(w);
        errors_reply(r, &e);
        return;
    }
    w->who = *(const struct principal *)http_user(r);
    worker_run(a->worker, w);
}
