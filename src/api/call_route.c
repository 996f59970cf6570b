/* The beginning of a call: a body read, its texts made tokens, on this thread or beside it. */
#include "api/call.h"

/* Bytes of a body whose texts the loop thread encodes itself: about a millisecond. */
enum { ENCODE_INLINE_MAX = 16 << 10 };

/* A body of another type than JSON is refused, not guessed at: what a page of a stranger can post without asking (a form, plain text) is none. */
static int read_json(const struct http *r, struct json **out, struct err *e)
{
    struct str type = http_header(r, "content-type"), first = str_split(&type, ';');
    if (first.n && !str_ieqz(str_trim(first), "application/json"))
        return err_set(e, ERR_MEDIA_TYPE, "the body must be JSON; send the header Content-Type: application/json");
    return json_parse(out, http_body(r).p, http_body(r).n, e);
}

/* ---- texts to tokens ---- */

static int encode(struct call *c, struct err *e)
{
    int rc = c->encode(c, e);
    json_free(c->messages), json_free(c->body);
    c->messages = c->body = NULL;
    return rc;
}

static int encode_work(struct work *w, struct err *e)
{
    return encode(w->ctx, e);
}

static void encoded(struct work *w)
{
    struct call *c = w->ctx;
    const struct err *why = c->err.code != ERR_OK ? &c->err : &w->err;
    struct err e = {0};
    if (!c->api->ledger) /* the server has ended */
        call_free(c);
    else if (!c->r || why->code != ERR_OK) /* left, or cancelled, meanwhile; or the texts are at fault */
        call_refuse(c, why);
    else if (call_begin(c, &e) < 0)
        call_refuse(c, &e);
}

/* Long texts are encoded beside the loop, so that no stream waits for them. */
static int begin(struct call *c, size_t bytes, struct err *e)
{
    int rc;
    if (bytes <= ENCODE_INLINE_MAX)
        return (rc = encode(c, e)) < 0 ? rc : call_begin(c, e);
    struct work *w = work_new(c->api, NULL, c->wire->route, encode_work);
    if (!w)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    w->ctx = c, w->then = encoded;
    call_link(c);
    c->state = CALL_ENCODING;
    worker_run(c->api->texts, w);
    return 0;
}

/* Whose request it is; the types were checked by the endpoint. */
static int read_end_user(struct call *c, struct err *e)
{
    struct str name = json_str(json_get(c->body, "safety_identifier"));
    if (!name.n)
        name = json_str(json_get(c->body, "user"));
    const char *copy = name.n ? arena_str(&c->mem, name.p, name.n) : "";
    c->q.end_user = (struct str){copy, copy ? name.n : 0};
    return copy ? 0 : err_set(e, ERR_NO_MEMORY, "out of memory");
}

void call_route(struct api *a, struct http *r, const struct call_wire *wire, call_read_fn read)
{
    struct err e = {0};
    struct buf ignored;
    struct call *c = call_new(a, r, wire);
    int rc = c ? 0 : err_set(&e, ERR_NO_MEMORY, "out of memory");
    buf_init(&ignored, IGNORED_BYTES_MAX + 8);
    if (rc >= 0)
        rc = read_json(r, &c->body, &e);
    if (rc >= 0)
        rc = read(c, c->body, &ignored, &e);
    if (rc >= 0)
        rc = read_end_user(c, &e);
    struct gate *gate = c ? c->gate : NULL;
    if (ignored.len && !gate)
        http_header_add(r, "x-sluice-ignored", ignored.data);
    if (rc >= 0)
        rc = wire->begin ? wire->begin(c, &e) : begin(c, http_body(r).n, &e);
    buf_deinit(&ignored);
    if (rc < 0) {
        if (c)
            call_free(c);
        if (gate)
            gate_park(gate, wire, read);
        else
            errors_reply(r, &e);
    }
}
