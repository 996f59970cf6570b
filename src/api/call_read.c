/* The fields of a request that several endpoints have: params to struct call_request. */
#include "api/call.h"
#include "base/hash.h"

int read_model(struct call *c, struct str name, struct err *e)
{
    struct backend *b = &c->api->backend;
    const struct backend_model *m = b->model_find(b->self, name);
    return m ? gate_get(c, m, e)
             : err_param(e, ERR_NO_MODEL, "model", "the model %.*s does not exist; GET /v1/models lists those that do",
                         (int)(name.n < 255 ? name.n : 255), name.p);
}

static int add_stop(struct call *c, const struct json *s, struct err *e)
{
    struct call_request *q = &c->q;
    if (json_type(s) != JSON_STR)
        return err_param(e, ERR_BAD_REQUEST, "stop", "stop must be a string or an array of strings, not %s", json_type_name(s));
    if (json_str(s).n < 1 || json_str(s).n > STOP_BYTES)
        return err_param(e, ERR_BAD_VALUE, "stop", "a stop string has %zu bytes; it must have 1 to %d", json_str(s).n, STOP_BYTES);
    if (q->n_stops == STOPS_MAX)
        return err_param(e, ERR_BAD_VALUE, "stop", "stop has more than %d strings", STOPS_MAX);
    q->stops[q->n_stops] = arena_str(&c->mem, json_str(s).p, json_str(s).n);
    q->stop_lens[q->n_stops] = json_str(s).n;
    return q->stops[q->n_stops++] ? 0 : err_set(e, ERR_NO_MEMORY, "out of memory");
}

static int read_stops(struct call *c, const struct json *stop, struct err *e)
{
    if (json_type(stop) != JSON_ARR)
        return add_stop(c, stop, e);
    for (size_t i = 0; i < json_len(stop); i++) {
        int rc = add_stop(c, json_at(stop, i), e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int read_stream(struct call *c, const struct params *p, struct err *e)
{
    c->q.stream = p->stream;
    if (!p->has_stream_options)
        return 0;
    if (!c->q.stream)
        return err_param(e, ERR_BAD_VALUE, "stream_options", "stream_options is only allowed together with stream: true");
    const struct json *u = json_get(p->stream_options, "include_usage");
    if (json_type(u) != JSON_BOOL && json_type(u) != JSON_NULL)
        return err_param(e, ERR_BAD_REQUEST, "stream_options", "stream_options.include_usage must be true or false, not %s", json_type_name(u));
    c->q.include_usage = json_bool(u);
    return 0;
}

int read_sampling(struct call *c, const struct params *p, struct err *e)
{
    c->q.sample = (struct sample_params){.temperature = p->has_temperature ? (float)p->temperature : 1.0f,
                                         .top_k = (uint32_t)p->top_k,
                                         .top_p = p->has_top_p ? (float)p->top_p : 1.0f,
                                         .min_p = (float)p->min_p};
    if (p->has_seed)
        c->q.sample.seed = (uint64_t)p->seed;
    else
        random_bytes(&c->q.sample.seed, sizeof c->q.sample.seed);
    return p->has_stop ? read_stops(c, p->stop, e) : 0;
}
