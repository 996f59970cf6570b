/* Embeddings against llama.cpp's (tests/golden/embeddings.mjs made them), through the backend that reads the pooling from the file. */
#include "../model/golden.h"
#include "backend/backend.h"
#include "backend/postq.h"
#include "base/clock.h"
#include <math.h>

struct told {
    float vector[256];
    size_t n;
    bool done;
    struct token_counts counts;
};

static void on_event(void *arg, const struct backend_event *ev)
{
    struct told *t = arg;
    t->counts = ev->counts;
    t->done |= ev->kind == SEQ_DONE;
    if (ev->kind == SEQ_VECTOR && ev->n_vector <= 256) {
        t->n = ev->n_vector;
        memcpy(t->vector, ev->vector, t->n * sizeof *t->vector);
    }
}

/* The embedding of the first n of these tokens. */
static bool embed(const struct buf *file, const struct json *tokens, uint32_t n, struct told *t, struct err *e)
{
    struct postq queue;
    struct backend_local *local;
    struct backend be;
    struct backend_job *job;
    struct vec_i32 prompt = {0};
    postq_init(&queue);
    struct backend_local_opts o = {
        .device = {.n_threads = 1}, .engine = {.kv_bytes = 8 << 20, .chunk = 64, .kv_type = KV_F32}, .post = postq_post, .post_ctx = &queue};
    int rc = backend_local_new(&local, &o, e);
    if (rc < 0)
        return false;
    backend_local_iface(local, &be);
    rc = backend_local_add(local, &(struct backend_source){.alias = "m", .bytes = file->data, .n_bytes = file->len}, e);
    for (uint32_t i = 0; i < n && rc == 0; i++)
        rc = vec_push(&prompt, (int32_t)json_int(json_at(tokens, i))) ? 0 : -1;
    struct backend_req q = {.model = rc == 0 ? be.model_find(be.self, STR("m")) : NULL,
                            .kind = SEQ_EMBED,
                            .prompt = prompt.p,
                            .n_prompt = n,
                            .on_event = on_event,
                            .arg = t};
    if (rc == 0)
        rc = be.start(be.self, &q, 1, &job, e);
    for (uint64_t end = clock_ns() + 300000000000ull; rc == 0 && !t->done && clock_ns() < end;)
        postq_run(&queue, 100);
    vec_deinit(&prompt);
    be.free(be.self);
    postq_deinit(&queue);
    return rc == 0;
}

TEST(embeddings_equal_llama_cpp)
{
    struct json *g = golden_read("embeddings.json");
    CHECK(g);
    const struct json *cases = json_get(g, "cases");
    double worst = 0;
    CHECK(json_len(cases) >= 36);
    for (size_t i = 0; i < json_len(cases); i++) {
        const struct json *c = json_at(cases, i), *want = json_get(c, "vector");
        struct told t = {0};
        struct err e = {0};
        struct buf bytes;
        buf_init(&bytes, 0);
        struct modelfile *f = golden_model(c, &bytes, &e);
        uint32_t n = (uint32_t)json_int(json_get(c, "n"));
        CHECK_MSG(f && embed(&bytes, json_get(g, "tokens"), n, &t, &e), "case %zu: %s", i, e.msg);
        CHECK_MSG(t.n == json_len(want) && t.counts.input == n && t.counts.output == 0, "case %zu: %zu numbers of %zu, %u tokens", i, t.n,
                  json_len(want), t.counts.input);
        for (size_t k = 0; k < t.n; k++) {
            double d = fabs((double)t.vector[k] - json_num(json_at(want, k)));
            worst = d > worst ? d : worst;
            CHECK_MSG(d < 2e-6, "case %zu, number %zu: %.8g, llama.cpp has %.8g", i, k, (double)t.vector[k], json_num(json_at(want, k)));
        }
        modelfile_close(f);
        buf_deinit(&bytes);
    }
    if (getenv("SLUICE_TEST_VERBOSE"))
        printf("embeddings: at most %.2g apart\n", worst);
    json_free(g);
}

TEST_MAIN()
