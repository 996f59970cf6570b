/* Penalties, bias and log probabilities against llama.cpp's (tests/golden/sampling.mjs made them), on tiny random models at temperature 0. */
#include "../model/golden.h"
#include "backend/backend.h"
#include "backend/postq.h"
#include "base/clock.h"
#include <math.h>

struct told {
    struct token_logprobs list[64];
    size_t n;
    bool done;
};

static void on_event(void *arg, const struct backend_event *ev)
{
    struct told *t = arg;
    t->done |= ev->kind == SEQ_DONE;
    for (size_t i = 0; i < ev->n_logprobs && t->n < 64; i++)
        t->list[t->n++] = ev->logprobs[i];
}

static struct sample_params params_of(const struct json *c, struct logit_bias bias[8])
{
    const struct json *b = json_get(c, "bias");
    struct sample_params q = {.top_p = 1,
                              .repetition = (float)json_num(json_get(c, "repetition")),
                              .repeat_last = (uint32_t)json_int(json_get(c, "repeat_last")),
                              .presence = (float)json_num(json_get(c, "presence")),
                              .frequency = (float)json_num(json_get(c, "frequency")),
                              .bias = bias,
                              .n_bias = (uint32_t)json_len(b)};
    for (uint32_t i = 0; i < q.n_bias && i < 8; i++)
        bias[i] = (struct logit_bias){(int32_t)json_int(json_at(json_at(b, i), 0)), (float)json_num(json_at(json_at(b, i), 1))};
    return q;
}

static bool say(const struct buf *file, const struct json *prompt, const struct json *c, struct told *t, struct err *e)
{
    struct postq queue;
    struct backend_local *local;
    struct backend be;
    struct backend_job *job;
    struct logit_bias bias[8];
    int32_t tokens[256];
    postq_init(&queue);
    struct backend_local_opts o = {
        .device = {.n_threads = 1}, .engine = {.kv_bytes = 8 << 20, .kv_type = KV_F32}, .post = postq_post, .post_ctx = &queue};
    int rc = backend_local_new(&local, &o, e);
    if (rc < 0)
        return false;
    backend_local_iface(local, &be);
    rc = backend_local_add(local, &(struct backend_source){.alias = "m", .bytes = file->data, .n_bytes = file->len}, e);
    for (size_t i = 0; i < json_len(prompt) && i < 256; i++)
        tokens[i] = (int32_t)json_int(json_at(prompt, i));
    uint32_t n = (uint32_t)json_len(json_get(c, "out"));
    struct backend_req q = {.model = rc == 0 ? be.model_find(be.self, STR("m")) : NULL,
                            .prompt = tokens,
                            .n_prompt = (uint32_t)json_len(prompt),
                            .max_tokens = n,
                            .allowance = n,
                            .sample = params_of(c, bias),
                            .logprobs = true,
                            .top_logprobs = 5,
                            .on_event = on_event,
                            .arg = t};
    if (rc == 0)
        rc = be.start(be.self, &q, 1, &job, e);
    for (uint64_t end = clock_ns() + 300000000000ull; rc == 0 && !t->done && clock_ns() < end;)
        postq_run(&queue, 100);
    be.free(be.self);
    postq_deinit(&queue);
    return rc == 0;
}

/* The peer goes on after a token that ends the text; we do not. */
static bool same_as_peer(const struct json *c, const struct told *t, size_t i)
{
    const struct json *out = json_get(c, "out"), *values = json_get(c, "values"), *tops = json_get(c, "tops");
    for (size_t k = 0; k < t->n; k++) {
        const struct token_logprobs *l = &t->list[k];
        if (l->token != json_int(json_at(out, k)) || fabs((double)l->value - json_num(json_at(values, k))) > 2e-5) {
            printf("case %zu, token %zu: %d with %.7g, llama.cpp has %d with %.7g\n", i, k, l->token, (double)l->value,
                   (int)json_int(json_at(out, k)), json_num(json_at(values, k)));
            return false;
        }
        for (size_t j = 0; j < l->n_top; j++) /* the order may differ between equals */
            if (fabs((double)l->top[j].value - json_num(json_at(json_at(json_at(tops, k), j), 1))) > 2e-5)
                return false;
    }
    return true;
}

TEST(answers_under_penalties_equal_llama_cpp)
{
    struct json *g = golden_read("sampling.json");
    CHECK(g);
    const struct json *cases = json_get(g, "cases");
    size_t compared = 0;
    CHECK(json_len(cases) >= 20);
    for (size_t i = 0; i < json_len(cases); i++) {
        const struct json *c = json_at(cases, i);
        struct told t = {0};
        struct err e = {0};
        struct buf bytes;
        buf_init(&bytes, 0);
        struct modelfile *f = golden_model(c, &bytes, &e);
        CHECK_MSG(f && say(&bytes, json_get(g, "prompt"), c, &t, &e), "case %zu: %s", i, e.msg);
        CHECK_MSG(t.n > 0 && same_as_peer(c, &t, i), "case %zu", i);
        compared += t.n;
        modelfile_close(f);
        buf_deinit(&bytes);
    }
    CHECK_MSG(compared > 300, "only %zu tokens were compared", compared);
    json_free(g);
}

TEST_MAIN()
