/* The fields of a request that several endpoints have: params to struct call_request. */
#include "api/call.h"
#include "base/hash.h"
#include <string.h>

/* From here on the answer says what is left of the limits on this model. */
static void note_model(struct call *c, const struct backend_model *m)
{
    struct caller *who = c->r ? http_user(c->r) : NULL;
    size_t n = strlen(m->alias);
    const char *alias = who ? arena_str(http_arena(c->r), m->alias, n) : NULL;
    if (alias)
        who->model = (struct str){alias, n};
}

int read_model(struct call *c, struct str name, struct err *e)
{
    const struct backend_model *m = model_for(c->api, &c->who, name, e);
    if (m)
        note_model(c, m);
    return m ? gate_get(c, m, e) : -ERR_NO_MODEL;
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

/* OpenAI's words for the standard tier are its name here too. */
int read_tier(struct call *c, const struct params *p, struct err *e)
{
    if (!p->has_service_tier)
        return 0;
    struct str tier = p->service_tier;
    if (str_eqz(tier, "auto") || str_eqz(tier, "default"))
        tier = str_of(LEDGER_TIER_STANDARD);
    c->q.tier = arena_str(&c->mem, tier.p, tier.n);
    return c->q.tier ? 0 : err_set(e, ERR_NO_MEMORY, "out of memory");
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

/* One pair of logit_bias: a token's number as a string, and what is added to its logit. */
static int read_bias(struct logit_bias *out, struct str id, const struct json *v, uint32_t n_vocab, struct err *e)
{
    uint64_t token;
    int shown = (int)(id.n < 32 ? id.n : 32);
    if (!str_u64(id, &token) || token >= n_vocab)
        return err_param(e, ERR_BAD_VALUE, "logit_bias", "logit_bias: \"%.*s\" is no token; the model's tokens are \"0\" to \"%u\"", shown, id.p,
                         n_vocab - 1);
    if (json_type(v) != JSON_INT && json_type(v) != JSON_REAL)
        return err_param(e, ERR_BAD_REQUEST, "logit_bias", "logit_bias of token %.*s must be a number, not %s", shown, id.p, json_type_name(v));
    if (!(json_num(v) >= -100 && json_num(v) <= 100))
        return err_param(e, ERR_BAD_VALUE, "logit_bias", "logit_bias of token %.*s is %g, which is outside -100 to 100", shown, id.p, json_num(v));
    *out = (struct logit_bias){(int32_t)token, (float)json_num(v)};
    return 0;
}

static int read_biases(struct call *c, const struct json *obj, struct err *e)
{
    struct sample_params *q = &c->q.sample;
    const struct vocab *v = c->q.model->vocab;
    struct logit_bias *bias = arena_array(&c->mem, json_len(obj) + 1, sizeof *bias);
    const struct json *value;
    struct str key;
    void *it = NULL;
    if (!bias)
        return err_set(e, ERR_NO_MEMORY, "out of memory");
    q->bias = bias;
    while (q->n_bias < LOGIT_BIAS_MAX && json_each(obj, &it, &key, &value)) {
        int rc = read_bias(&bias[q->n_bias], key, value, v ? (uint32_t)vocab_size(v) : INT32_MAX, e);
        if (rc < 0)
            return rc;
        for (uint32_t i = 0; i < q->n_bias; i++) /* "7" and "07" */
            if (bias[i].token == bias[q->n_bias].token)
                return err_param(e, ERR_BAD_VALUE, "logit_bias", "logit_bias names token %d twice", bias[i].token);
        q->n_bias++;
    }
    return 0;
}

static void read_penalties(struct sample_params *q, const struct params *p)
{
    q->presence = (float)p->presence_penalty;
    q->frequency = (float)p->frequency_penalty;
    q->repetition = p->has_repetition_penalty && !(p->has_repeat_last_n && p->repeat_last_n == 0) ? (float)p->repetition_penalty : 1;
    q->repeat_last = p->has_repeat_last_n && p->repeat_last_n > 0 ? (uint32_t)p->repeat_last_n : 0;
}

int read_sampling(struct call *c, const struct params *p, struct err *e)
{
    c->q.sample = (struct sample_params){.temperature = p->has_temperature ? (float)p->temperature : 1.0f,
                                         .top_k = (uint32_t)p->top_k,
                                         .top_p = p->has_top_p ? (float)p->top_p : 1.0f,
                                         .min_p = (float)p->min_p};
    c->q.n = p->has_n ? (uint32_t)p->n : 1;
    read_penalties(&c->q.sample, p);
    if (p->has_seed)
        c->q.sample.seed = (uint64_t)p->seed;
    else
        random_bytes(&c->q.sample.seed, sizeof c->q.sample.seed);
    int rc = p->has_logit_bias ? read_biases(c, p->logit_bias, e) : 0;
    return rc >= 0 && p->has_stop ? read_stops(c, p->stop, e) : rc;
}
